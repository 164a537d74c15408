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
#include <linux/seqlock.h>
#include <linux/suspend.h>
#include "shim.h"

#define UMD_LOOK_NS	(10 * NSEC_PER_MSEC)

/* frozen_for has passed in all; now is part of it since frozen_since, where that is not 0. */
static DEFINE_SEQLOCK(clock);
static u64 frozen_for, frozen_since;

#ifdef CONFIG_PM_SLEEP
static struct hrtimer looking;
static struct task_struct *canary;
#endif

/* Context: any. */
u64 umd_now(void)
{
	unsigned int seq;
	u64 now;

	do {
		seq = read_seqbegin(&clock);
		now = (frozen_since ?: ktime_get_ns()) - frozen_for;
	} while (read_seqretry(&clock, seq));
	return now;
}

/*
 * When CLOCK_MONOTONIC will be where it is worth looking at this clock again for something that is due at that
 * time. Context: any.
 */
u64 umd_clock_due(u64 at)
{
	unsigned int seq;
	u64 due;

	do {
		seq = read_seqbegin(&clock);
		due = frozen_since ? ktime_get_ns() + UMD_LOOK_NS : at + frozen_for;
	} while (read_seqretry(&clock, seq));
	return due < at ? U64_MAX : due;
}

#ifdef CONFIG_PM_SLEEP
static void note(bool frozen)
{
	unsigned long flags;
	u64 now;

	write_seqlock_irqsave(&clock, flags);
	now = ktime_get_ns();
	if (frozen && !frozen_since) {
		frozen_since = now;
	} else if (!frozen && frozen_since) {
		frozen_for += now - frozen_since;
		frozen_since = 0;
	}
	write_sequnlock_irqrestore(&clock, flags);
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
	WRITE_ONCE(canary, NULL);
}

static int sleep_notify(struct notifier_block *block, unsigned long event, void *unused)
{
	switch (event) {
	case PM_HIBERNATION_PREPARE:
	case PM_SUSPEND_PREPARE:
	case PM_RESTORE_PREPARE:
		stop_looking();
		WRITE_ONCE(canary, find_canary());
		if (canary)
			hrtimer_start(&looking, ns_to_ktime(UMD_LOOK_NS), HRTIMER_MODE_REL);
		break;
	case PM_POST_HIBERNATION:
	case PM_POST_SUSPEND:
	case PM_POST_RESTORE:
		stop_looking();
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block sleep_block = { .notifier_call = sleep_notify };
#endif

/* Is the system about to freeze its processes, or has it? Context: any. */
bool umd_clock_may_stop(void)
{
#ifdef CONFIG_PM_SLEEP
	return READ_ONCE(canary) != NULL;
#else
	return false;
#endif
}

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
