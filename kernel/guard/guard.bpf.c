// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps every process, root's too, away from handlers. kernel/shim/guard.c loads it.
 *
 * A handler is known by a bit in its own signal_struct: one structure for all its threads, which exec keeps and
 * fork does not copy. So there is no list that could be wrong, or that root could write to.
 *
 * Nothing here calls a helper that reads memory: the kernel's lockdown LSM forbids those.
 */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

enum bpf_map_type { BPF_MAP_TYPE_UNSPEC };

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "guard.h"

#define EPERM 1

/* Of the kernel's types only what is read; where that lies the running kernel fills in. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct signal_struct {
	unsigned int flags;
};

struct task_struct {
	int tgid;
	struct signal_struct *signal;
};

struct hw_perf_event {
	struct task_struct *target;
};

struct perf_event {
	struct hw_perf_event hw;
};

#pragma clang attribute pop

/* What a handler does to itself its lockdown rules. */
static __always_inline int deny(struct task_struct *task)
{
	if (!(task->signal->flags & UMD_SIGNAL_GUARDED))
		return 0;
	return task->tgid == (int)(bpf_get_current_pid_tgid() >> 32) ? 0 : -EPERM;
}

/* Every signal that has a sender: kill, tgkill, sigqueue, pidfd_send_signal. The kernel's own do not come here. */
SEC("lsm/task_kill")
int BPF_PROG(guard_kill, struct task_struct *task)
{
	return deny(task);
}

/* Sent by a file that somebody has set up so (F_SETOWN): whoever runs by then has nothing to do with it. */
SEC("lsm/file_send_sigiotask")
int BPF_PROG(guard_sigio, struct task_struct *task)
{
	return task->signal->flags & UMD_SIGNAL_GUARDED ? -EPERM : 0;
}

/* ptrace, all that /proc and system calls let look or reach into a process, and joining its namespaces. */
SEC("lsm/ptrace_access_check")
int BPF_PROG(guard_access, struct task_struct *task)
{
	return deny(task);
}

/* Watched by perf, a task can be sent signals. Capabilities let pass there what ptrace may not. */
SEC("lsm/perf_event_alloc")
int BPF_PROG(guard_perf, struct perf_event *event)
{
	struct task_struct *task = event->hw.target;

	return task ? deny(task) : 0;
}

SEC("lsm/task_setscheduler")
int BPF_PROG(guard_scheduler, struct task_struct *task)
{
	return deny(task);
}

SEC("lsm/task_setnice")
int BPF_PROG(guard_nice, struct task_struct *task)
{
	return deny(task);
}

SEC("lsm/task_setioprio")
int BPF_PROG(guard_ioprio, struct task_struct *task)
{
	return deny(task);
}

SEC("lsm/task_setrlimit")
int BPF_PROG(guard_rlimit, struct task_struct *task)
{
	return deny(task);
}

SEC("lsm/task_movememory")
int BPF_PROG(guard_memory, struct task_struct *task)
{
	return deny(task);
}

char guard_license[] SEC("license") = "GPL";
