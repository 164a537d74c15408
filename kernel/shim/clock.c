// SPDX-License-Identifier: GPL-2.0-only
/*
 * The clock of all deadlines: CLOCK_MONOTONIC, which stands still while the system sleeps, less the time for which user
 * space was frozen for it. Nobody is to blame for that time: callers and handlers were frozen alike.
 *
 * The kernel tells when it begins and ends to prepare for sleep, and not when it has frozen the processes. So between
 * the two a timer looks, each ten milliseconds, whether a process has to be frozen: any other than the one that asked
 * for it.
 */
#include <linux/freezer.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/notifier.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/suspend.h>
#include "shim.h"

#define UMD_LOOK_NS	(10 * NSEC_PER_MSEC)

/*
 * While the clock goes: for how long it has stood in all, by which it is behind CLOCK_MONOTONIC. While it stands: where, and this
 * bit. One word, so that whoever reads it needs no lock.
 */
#define UMD_STANDS	(1ULL << 63)

static u64 behind;

bool umd_clock_may_stop __read_mostly;

#ifdef CONFIG_PM_SLEEP
static struct hrtimer looking;
static struct task_struct *canary;
/* /dev/snapshot prepares as long as it is open, and somebody may suspend meanwhile. */
static unsigned int prepared;
#endif

/* Context: any. */
u64 umd_now(void)
{
	u64 by, now;

	do {
		by = READ_ONCE(behind);
		if (unlikely(by & UMD_STANDS))
			return by & ~UMD_STANDS;
		now = ktime_get_ns() - by;
		/* It may have stood between the two. */
	} while (unlikely(by != READ_ONCE(behind)));
	return now;
}

/*
 * When CLOCK_MONOTONIC will be where it is worth looking at this clock again for something that is due at that
 * time. Context: any.
 */
u64 umd_clock_due(u64 at)
{
	u64 by = READ_ONCE(behind);

	if (unlikely(by & UMD_STANDS))
		return ktime_get_ns() + UMD_LOOK_NS;
	return at + by < at ? U64_MAX : at + by;
}

#ifdef CONFIG_PM_SLEEP
/* Context: the timer, or the notifier while there is none: one at a time. */
static void note(bool frozen)
{
	u64 now = umd_now();
	bool stands = behind & UMD_STANDS;

	if (frozen && !stands)
		WRITE_ONCE(behind, now | UMD_STANDS);
	else if (!frozen && stands)
		WRITE_ONCE(behind, ktime_get_ns() - now);
}

/* Context: hard IRQ. */
static enum hrtimer_restart look(struct hrtimer *timer)
{
	note(freezing(canary));
	hrtimer_forward_now(timer, ns_to_ktime(UMD_LOOK_NS));
	return HRTIMER_RESTART;
}

/* A process that has to be frozen, unlike us. Returns a reference, or NULL if there is none. */
static struct task_struct *find_canary(void)
{
	struct task_struct *task, *found = NULL;

	rcu_read_lock();
	for_each_process(task) {
		if (same_thread_group(task, current) ||
		    task->flags & (PF_KTHREAD | PF_NOFREEZE | PF_EXITING))
			continue;
		found = task;
		get_task_struct(found);
		break;
	}
	rcu_read_unlock();
	return found;
}

static void stop_looking(void)
{
	if (!canary)
		return;
	hrtimer_cancel(&looking);
	note(false);
	put_task_struct(canary);
	canary = NULL;
	WRITE_ONCE(umd_clock_may_stop, false);
}

static int sleep_notify(struct notifier_block *block, unsigned long event, void *unused)
{
	switch (event) {
	case PM_HIBERNATION_PREPARE:
	case PM_SUSPEND_PREPARE:
	case PM_RESTORE_PREPARE:
		if (prepared++)
			break;
		canary = find_canary();
		if (!canary)
			break;
		WRITE_ONCE(umd_clock_may_stop, true);
		umd_waitq_rouse();
		hrtimer_start(&looking, ns_to_ktime(UMD_LOOK_NS), HRTIMER_MODE_REL);
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_SUSPEND:
	case PM_POST_RESTORE:
		/* umd.ko may have come in between. */
		if (prepared && !--prepared)
			stop_looking();
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block sleep_block = { .notifier_call = sleep_notify };
#endif

int umd_clock_init(void)
{
#ifdef CONFIG_PM_SLEEP
#ifdef UMD_HAVE_HRTIMER_SETUP
	hrtimer_setup(&looking, look, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
#else
	hrtimer_init(&looking, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	looking.function = look;
#endif
	return register_pm_notifier(&sleep_block);
#else
	return 0;
#endif
}

void umd_clock_exit(void)
{
#ifdef CONFIG_PM_SLEEP
	unregister_pm_notifier(&sleep_block);
	stop_looking();
#endif
}
