// SPDX-License-Identifier: GPL-2.0-only
/* modprobe, waited for with a limit: the kernel's own request_module() has none. */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kmod.h>
#include <linux/kref.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#include "shim.h"

/* Owned by whoever waits and by the work, each with a reference. */
struct request {
	struct kref users;
	struct work_struct work;
	struct completion done;
	int result;
	char name[MODULE_NAME_LEN];
};

static void release(struct kref *users)
{
	kfree(container_of(users, struct request, users));
}

/*
 * Context: a kworker of our own queue, which is drained before umd.ko goes. The reference to umd.ko makes an
 * rmmod say "in use" instead of waiting for modprobe there.
 */
static void run(struct work_struct *work)
{
	struct request *request = container_of(work, struct request, work);

	request->result = request_module("%s", request->name);
	module_put(THIS_MODULE);
	complete(&request->done);
	kref_put(&request->users, release);
}

/*
 * Context: may sleep; killable. 0: modprobe says that all is well; positive: its status; -ETIMEDOUT, -EINTR:
 * it still runs; else it could not be run. name is copied.
 */
int umd_module_request(const char *name, u64 until)
{
	struct request *request = kzalloc(sizeof(*request), GFP_KERNEL);
	long left;
	int result;

	if (!request)
		return -ENOMEM;
	kref_init(&request->users);
	INIT_WORK(&request->work, run);
	init_completion(&request->done);
	strscpy(request->name, name, sizeof(request->name));

	__module_get(THIS_MODULE);
	kref_get(&request->users);
	queue_work(umd_workqueue, &request->work);
	left = wait_for_completion_killable_timeout(&request->done, umd_ticks_until(until));
	if (left > 0)
		result = request->result;
	else
		result = left ? -EINTR : -ETIMEDOUT;
	kref_put(&request->users, release);
	return result;
}

/* Context: may sleep; killable: then -EINTR. */
int umd_sleep(u64 nanos)
{
	schedule_timeout_killable(nsecs_to_jiffies(nanos) + 1);
	return fatal_signal_pending(current) ? -EINTR : 0;
}
