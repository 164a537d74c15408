// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks, wait queues and timers. All waits are freezable while the system goes to sleep: nobody who waits for a handler, which is
 * frozen itself, keeps it awake. "Unsafe" says that locks may be held meanwhile: those of the file system through
 * which a caller came, which nobody needs to go to sleep. At other times a caller who is frozen, as by a control group, still
 * wakes up, and leaves what others wait for, before it is.
 */
#include <linux/freezer.h>
#include <linux/hrtimer.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include "shim.h"

/* umd_core::policy::Instant::NEVER */
#define UMD_NEVER	U64_MAX

#define UMD_LOCK_CLASSES	3

struct umd_lock {
	spinlock_t lock;
};

/* Locks that are taken one inside the other, for lockdep: Class in crates/umd-kernel/src/ffi/lock.rs. */
static struct lock_class_key classes[UMD_LOCK_CLASSES];

/* Ownership: the caller's, until umd_lock_free(). */
struct umd_lock *umd_lock_new(u32 class)
{
	struct umd_lock *lock = kmalloc(sizeof(*lock), GFP_KERNEL);

	if (!lock)
		return NULL;
	spin_lock_init(&lock->lock);
	lockdep_set_class(&lock->lock, &classes[class % UMD_LOCK_CLASSES]);
	return lock;
}

void umd_lock_free(struct umd_lock *lock)
{
	kfree(lock);
}

/* Context: any; the deadline's timer takes it in hard IRQ context, hence the IRQs. */
unsigned long umd_lock_acquire(struct umd_lock *lock)
{
	unsigned long flags;

	spin_lock_irqsave(&lock->lock, flags);
	return flags;
}

void umd_lock_release(struct umd_lock *lock, unsigned long flags)
{
	spin_unlock_irqrestore(&lock->lock, flags);
}

struct umd_waitq {
	struct list_head all;
	size_t count;
	wait_queue_head_t heads[];
};

static LIST_HEAD(waitqs);
static DEFINE_SPINLOCK(waitqs_lock);

/* Ownership: the caller's, until umd_waitq_free(). */
struct umd_waitq *umd_waitq_new(size_t count)
{
	struct umd_waitq *waitq = kmalloc(struct_size(waitq, heads, count), GFP_KERNEL);
	unsigned long flags;
	size_t i;

	if (!waitq)
		return NULL;
	waitq->count = count;
	for (i = 0; i < count; i++)
		init_waitqueue_head(&waitq->heads[i]);
	spin_lock_irqsave(&waitqs_lock, flags);
	list_add(&waitq->all, &waitqs);
	spin_unlock_irqrestore(&waitqs_lock, flags);
	return waitq;
}

/* Nobody waits any more: the owner sees to that. */
void umd_waitq_free(struct umd_waitq *waitq)
{
	unsigned long flags;

	spin_lock_irqsave(&waitqs_lock, flags);
	list_del(&waitq->all);
	spin_unlock_irqrestore(&waitqs_lock, flags);
	kfree(waitq);
}

/* Has all who wait look whether they may be frozen by now. Context: any. */
void umd_waitq_rouse(void)
{
	struct umd_waitq *waitq;
	unsigned long flags;
	size_t i;

	spin_lock_irqsave(&waitqs_lock, flags);
	list_for_each_entry(waitq, &waitqs, all)
		for (i = 0; i < waitq->count; i++)
			wake_up_all(&waitq->heads[i]);
	spin_unlock_irqrestore(&waitqs_lock, flags);
}

static wait_queue_head_t *head(struct umd_waitq *waitq, size_t index)
{
	return &waitq->heads[index % waitq->count];
}

/*
 * Context: any. "sync" because whoever wakes goes to sleep itself at once: the handler for its
 * next request, the caller for its reply.
 */
void umd_waitq_wake(struct umd_waitq *waitq, size_t index)
{
	__wake_up_sync_key(head(waitq, index), TASK_NORMAL, NULL);
}

/* From now until then, rounded up to the next tick. */
long umd_ticks_until(u64 until)
{
	u64 now;

	if (until == UMD_NEVER)
		return MAX_SCHEDULE_TIMEOUT;
	now = umd_now();
	if (until <= now)
		return 0;
	return min_t(u64, nsecs_to_jiffies64(until - now) + 1, MAX_SCHEDULE_TIMEOUT - 1);
}

/*
 * As wait_event(), but whoever was woken because all is ready leaves at once: the macro would queue
 * once more, which costs about as much as handing over four bytes.
 */
static int wait(wait_queue_head_t *head, int state, bool (*ready)(void *), void *context, u64 until)
{
	struct wait_queue_entry entry;
	long left, interrupted;
	int result = 0;

	if (ready(context))
		return 0;
	left = umd_ticks_until(until);
	init_wait_entry(&entry, 0);
	for (;;) {
		interrupted = prepare_to_wait_event(head, &entry, state | umd_clock_freezable());
		if (ready(context))
			break;
		if (interrupted) {
			result = state & TASK_WAKEKILL ? -EINTR : -ERESTARTSYS;
			break;
		}
		/* The clock may have stood still meanwhile. */
		if (!left)
			left = umd_ticks_until(until);
		if (!left) {
			result = -ETIME;
			break;
		}
		/* Who waits for what is not in the list of all looks by and by. */
		left = schedule_timeout(left == MAX_SCHEDULE_TIMEOUT ? left : min(left, HZ / 4L));
		if (ready(context))
			break;
	}
	finish_wait(head, &entry);
	return result;
}

/* For the other files here; as umd_waitq_killable(). */
int umd_wait_killable(wait_queue_head_t *head, bool (*ready)(void *), void *context, u64 until)
{
	return wait(head, TASK_KILLABLE, ready, context, until);
}

int umd_waitq_killable(struct umd_waitq *waitq, size_t index, bool (*ready)(void *),
		       void *context, u64 until)
{
	return umd_wait_killable(head(waitq, index), ready, context, until);
}

int umd_waitq_interruptible(struct umd_waitq *waitq, size_t index, bool (*ready)(void *),
			    void *context)
{
	return wait(head(waitq, index), TASK_INTERRUPTIBLE | TASK_FREEZABLE_UNSAFE, ready, context,
		    UMD_NEVER);
}

int umd_waitq_until(struct umd_waitq *waitq, size_t index, bool (*ready)(void *),
		    void *context, u64 until)
{
	return wait(head(waitq, index), TASK_UNINTERRUPTIBLE, ready, context, until);
}

void umd_waitq_poll(struct umd_waitq *waitq, size_t index, struct file *file,
		    struct poll_table_struct *table)
{
	poll_wait(file, head(waitq, index), table);
}

struct umd_timer {
	struct hrtimer timer;
	void (*fire)(void *);
	void *context;
};

static enum hrtimer_restart fire(struct hrtimer *hrtimer)
{
	struct umd_timer *timer = container_of(hrtimer, struct umd_timer, timer);

	timer->fire(timer->context);
	return HRTIMER_NORESTART;
}

/*
 * Ownership: the caller's, until umd_timer_free(). The callback runs in hard IRQ context, not in a
 * softirq: a real-time task that spins can starve ksoftirqd, but no interrupt.
 */
struct umd_timer *umd_timer_new(void (*callback)(void *))
{
	struct umd_timer *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return NULL;
#ifdef UMD_HAVE_HRTIMER_SETUP
	hrtimer_setup(&timer->timer, fire, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
#else
	hrtimer_init(&timer->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	timer->timer.function = fire;
#endif
	timer->fire = callback;
	timer->context = NULL;
	return timer;
}

/* Context: before the first start. The timer does not own the context. */
void umd_timer_bind(struct umd_timer *timer, void *context)
{
	timer->context = context;
}

/*
 * The callback comes at that time, or before it where the clock stood still.
 * Context: any, the timer's own callback included; starts of one timer are serialised by their
 * callers.
 */
void umd_timer_start(struct umd_timer *timer, u64 at)
{
	u64 due = umd_clock_due(at);

	hrtimer_start(&timer->timer, ns_to_ktime(min_t(u64, due, KTIME_MAX)), HRTIMER_MODE_ABS);
}

/* Context: may spin until a running callback is over; not from the callback. */
void umd_timer_free(struct umd_timer *timer)
{
	hrtimer_cancel(&timer->timer);
	kfree(timer);
}
