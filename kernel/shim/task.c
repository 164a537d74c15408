// SPDX-License-Identifier: GPL-2.0-only
/* What the calling task has given up: read from the task itself, never from what it says. */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/seccomp.h>
#include <linux/uidgid.h>
#include "shim.h"

/* Context: any process context, no locks. Does the caller belong to this process? */
bool umd_task_is(const struct pid *pid)
{
	return task_tgid(current) == pid;
}

/*
 * What is read here is the task's own: not a credential that io_uring lent it, not a kernel thread that
 * works for it. A ring could also go on making system calls that no lockdown sees.
 */
bool umd_task_is_itself(void)
{
	if (current->flags & (PF_KTHREAD | PF_IO_WORKER))
		return false;
#ifdef CONFIG_IO_URING
	if (current->io_uring)
		return false;
#endif
	return current_cred() == current_real_cred();
}

/*
 * One thread, and no child that could keep what this task gives up. umd_process_spawn() has made it the
 * reaper of all its descendants, and a sibling it could not make: so there is nobody else.
 */
bool umd_task_is_single(void)
{
	return get_nr_threads(current) == 1 && list_empty(&current->children);
}

/* It holds no descriptor but its channel and a sink: what it has, it may go on reading and writing. */
bool umd_task_has_only(const void *process)
{
	int fd;

	/* RLIMIT_NOFILE has been 3 since before its first instruction. */
	for (fd = 0; fd < 3; fd++) {
		struct file *file = fget_raw(fd);
		bool good = !file || umd_channel_is(file, process) || umd_sink_is(file);

		if (file)
			fput(file);
		if (!good)
			return false;
	}
	return true;
}

/*
 * What it has open is all that it will ever have: not even by closing one does it get another. Not before its hello: a C
 * library polls its three descriptors at its start, and may poll no more than this limit says.
 */
void umd_task_no_more_files(void)
{
	struct rlimit *files = &current->signal->rlim[RLIMIT_NOFILE];

	task_lock(current->group_leader);
	files->rlim_cur = 0;
	files->rlim_max = 0;
	task_unlock(current->group_leader);
}

/* From now on it is like any other process to those who may kill it, if anybody may; see umd_process_spawn(). */
void umd_task_release(void)
{
	spin_lock_irq(&current->sighand->siglock);
	if (!umd_guard_is_on())
		current->signal->flags &= ~SIGNAL_UNKILLABLE;
	current->signal->is_child_subreaper = 0;
	spin_unlock_irq(&current->sighand->siglock);
}

bool umd_task_has_ids(u32 id)
{
	const struct cred *cred = current_cred();
	kuid_t uid = make_kuid(&init_user_ns, id);
	kgid_t gid = make_kgid(&init_user_ns, id);

	return uid_eq(cred->uid, uid) && uid_eq(cred->euid, uid) &&
	       uid_eq(cred->suid, uid) && uid_eq(cred->fsuid, uid) &&
	       gid_eq(cred->gid, gid) && gid_eq(cred->egid, gid) &&
	       gid_eq(cred->sgid, gid) && gid_eq(cred->fsgid, gid) &&
	       cred->group_info->ngroups == 0;
}

bool umd_task_has_no_caps(void)
{
	const struct cred *cred = current_cred();

	return cap_isclear(cred->cap_effective) && cap_isclear(cred->cap_permitted) &&
	       cap_isclear(cred->cap_inheritable) && cap_isclear(cred->cap_ambient);
}

bool umd_task_has_no_new_privs(void)
{
	return task_no_new_privs(current);
}

/* One process of this user is one too many; root would not be held to it. */
bool umd_task_cannot_fork(void)
{
	return rlimit_max(RLIMIT_NPROC) == 0 && !uid_eq(current_uid(), GLOBAL_ROOT_UID);
}

/* Nothing can be gained from it after no_new_privs; an empty set is easier to read. */
int umd_task_drop_bounding_set(void)
{
	struct cred *cred = prepare_creds();

	if (!cred)
		return -ENOMEM;
	cred->cap_bset = CAP_EMPTY_SET;
	return commit_creds(cred);
}

/*
 * Less than prctl(2) does, which also turns off the time stamp counter; the runtime asks for that itself.
 * From now on read, write, exit and rt_sigreturn; any other system call is the task's end. The mode
 * is a number without contents: what is read here is all there is to it.
 */
bool umd_task_set_strict(void)
{
	if (current->seccomp.mode != SECCOMP_MODE_DISABLED &&
	    current->seccomp.mode != SECCOMP_MODE_STRICT)
		return false;
	current->seccomp.mode = SECCOMP_MODE_STRICT;
	/* The entry code must see the mode when it sees the flag. */
	smp_mb__before_atomic();
	set_task_syscall_work(current, SECCOMP);
	return true;
}

/*
 * The launcher has set one, before it executed what runs here, and nobody can take one off. What is in it cannot be
 * read back, nor need it be.
 */
bool umd_task_has_filter(void)
{
	return current->seccomp.mode == SECCOMP_MODE_FILTER &&
	       atomic_read(&current->seccomp.filter_count) > 0;
}

bool umd_task_is_dying(void)
{
	return fatal_signal_pending(current);
}
