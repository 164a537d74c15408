// SPDX-License-Identifier: GPL-2.0-only
/* modprobe, waited for with a limit: the kernel's own request_module() has none. */
#include <linux/kmod.h>
#include <linux/kref.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "shim.h"

/* Owned by whoever waits and by the work, each with a reference. */
struct request {
	struct kref users;
	struct work_struct work;
	struct wait_queue_head waiter;
	bool done;
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
	umd_rs_module_ended(request->name, request->result);
	module_put(THIS_MODULE);
	smp_store_release(&request->done, true);
	wake_up(&request->waiter);
	kref_put(&request->users, release);
}

static bool is_done(void *request)
{
	return smp_load_acquire(&((struct request *)request)->done);
}

static bool never(void *unused)
{
	return false;
}

/*
 * Context: may sleep; killable. 0: modprobe says that all is well; positive: its status; -ETIMEDOUT, -EINTR:
 * it still runs; else it could not be run. name is copied.
 */
int umd_module_request(const char *name, u64 until)
{
	struct request *request = kzalloc(sizeof(*request), GFP_KERNEL);
	int result;

	if (!request) {
		umd_rs_module_ended(name, -ENOMEM);
		return -ENOMEM;
	}
	kref_init(&request->users);
	INIT_WORK(&request->work, run);
	init_waitqueue_head(&request->waiter);
	strscpy(request->name, name, sizeof(request->name));

	__module_get(THIS_MODULE);
	kref_get(&request->users);
	queue_work(umd_workqueue, &request->work);
	result = umd_wait_killable(&request->waiter, is_done, request, until);
	if (!result)
		result = request->result;
	else if (result == -ETIME)
		result = -ETIMEDOUT;
	kref_put(&request->users, release);
	return result;
}

/* Context: may sleep; killable: then -EINTR. */
int umd_sleep(u64 nanos)
{
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(nobody);

	return umd_wait_killable(&nobody, never, NULL, umd_now() + nanos) == -EINTR ? -EINTR : 0;
}
