// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handlers out of root's reach: a BPF LSM program denies what would stop, change or look into one (kernel/guard), and
 * two marks on the task itself do the rest: signals that nobody asked the program about, and control groups.
 */
#define pr_fmt(fmt) "umd: " fmt
#include <linux/bpf.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#include "../guard/guard.h"
#include "shim.h"

/* kern_sys_bpf() is exported in this one, where there are namespaces for such. */
MODULE_INFO(import_ns, "BPF_INTERNAL");

static char *protect = "off";
module_param(protect, charp, 0444);
MODULE_PARM_DESC(protect, "keep root away from handlers: off, auto (where the kernel can), require");

static bool pin;
module_param(pin, bool, 0444);
MODULE_PARM_DESC(pin, "once loaded, stay until the next boot");

enum { PROTECT_OFF, PROTECT_AUTO, PROTECT_REQUIRE };
static const char *const protects[] = { "off", "auto", "require" };

/* Written by init, before there is a handler. */
static bool guard_is_on __ro_after_init;

#if IS_ENABLED(CONFIG_BPF_LSM)
#include "guard.lskel.h"

#define LINKS	(sizeof(((struct umd_guard *)NULL)->links) / sizeof(int))

static struct bpf_link *links[LINKS];

static void put_links(void)
{
	size_t i;

	for (i = 0; i < LINKS && links[i]; i++) {
		bpf_link_put(links[i]);
		links[i] = NULL;
	}
}

/*
 * The descriptors are insmod's, and go with it or before. What counts is the reference to each link: without it the
 * program would be detached by then.
 */
static int __init take_links(struct umd_guard *skeleton)
{
	const int *fds = (const int *)&skeleton->links;
	size_t i;

	for (i = 0; i < LINKS; i++) {
		struct bpf_link *link = bpf_link_get_from_fd(fds[i]);

		if (IS_ERR(link))
			return PTR_ERR(link);
		links[i] = link;
	}
	return 0;
}

/* What the skeleton makes of descriptors takes 0 for none, and a caller without standard input would get it. */
static int __init load_links(void)
{
	struct umd_guard *skeleton;
	int zero = get_unused_fd_flags(0);
	int error = -ENOMEM;

	if (zero < 0)
		return zero;
	skeleton = umd_guard__open();
	if (skeleton) {
		error = umd_guard__load(skeleton);
		if (!error)
			error = umd_guard__attach(skeleton);
		if (!error)
			error = take_links(skeleton);
		umd_guard__destroy(skeleton);
	}
	put_unused_fd(zero);
	return error;
}

struct trial {
	struct work_struct work;
	struct pid *pid;
	int result;
};

static void __init try_to_signal(struct work_struct *work)
{
	struct trial *trial = container_of(work, struct trial, work);

	trial->result = kill_pid(trial->pid, 0, 0);
}

static void __init mark_for_trial(unsigned int set)
{
	spin_lock_irq(&current->sighand->siglock);
	current->signal->flags = (current->signal->flags & ~UMD_SIGNAL_GUARDED) | set;
	spin_unlock_irq(&current->sighand->siglock);
}

/*
 * A program can be attached and yet never be asked, as where the LSM is not among those that the kernel was booted
 * with. So insmod stands in for a handler for a moment, and a kernel worker asks whether it may be signalled.
 */
static bool __init is_asked(void)
{
	struct trial trial = { .pid = task_tgid(current) };

	INIT_WORK_ONSTACK(&trial.work, try_to_signal);
	mark_for_trial(UMD_SIGNAL_GUARDED);
	queue_work(umd_workqueue, &trial.work);
	flush_work(&trial.work);
	mark_for_trial(0);
	destroy_work_on_stack(&trial.work);
	return trial.result == -EPERM;
}

static int __init load(const char **reason)
{
	int error = load_links();

	*reason = "the BPF LSM programs cannot be loaded";
	if (!error && !is_asked()) {
		*reason = "the BPF LSM is not active (\"bpf\" is missing in lsm=)";
		error = -EOPNOTSUPP;
	}
	if (error)
		put_links();
	return error;
}
#else
static void put_links(void)
{
}

static int __init load(const char **reason)
{
	*reason = "this kernel was built without the BPF LSM";
	return -EOPNOTSUPP;
}
#endif

/* Context: any. */
bool umd_guard_is_on(void)
{
	return guard_is_on;
}

/*
 * Marks the calling task: from now on nothing that a process may do reaches it. umd.ko's own kill does, and so do
 * the kernel's: for want of memory, for a denied system call, for a fault. Context: the child, before exec.
 */
void umd_guard_current(void)
{
	if (!guard_is_on)
		return;
	spin_lock_irq(&current->sighand->siglock);
	current->signal->flags |= SIGNAL_UNKILLABLE | UMD_SIGNAL_GUARDED;
	spin_unlock_irq(&current->sighand->siglock);
#ifdef CONFIG_CGROUPS
	/* In the root group there is no freezer, no limit, and no cgroup.kill. */
	current->no_cgroup_migration = 1;
#endif
}

/* Before there is a handler, and after the workqueue is there. */
int __init umd_guard_init(void)
{
	int wanted = match_string(protects, ARRAY_SIZE(protects), protect);
	const char *reason;
	int error;

	if (wanted < 0) {
		pr_err("protect=%s is none of off, auto and require\n", protect);
		return -EINVAL;
	}
	if (wanted == PROTECT_OFF)
		return 0;
	error = load(&reason);
	if (!error) {
		guard_is_on = true;
		pr_info("handlers are protected from root\n");
		return 0;
	}
	if (wanted == PROTECT_AUTO) {
		pr_warn("handlers are not protected from root: %s (error %d)\n", reason, error);
		return 0;
	}
	pr_err("protect=require: %s (error %d)\n", reason, error);
	return error;
}

/* Last in init: from here on nothing can fail. */
void __init umd_guard_pin(void)
{
	if (pin)
		__module_get(THIS_MODULE);
}

/* No handler lives any more. */
void umd_guard_exit(void)
{
	put_links();
}
