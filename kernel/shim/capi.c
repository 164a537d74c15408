// SPDX-License-Identifier: GPL-2.0-only
/*
 * <linux/usermode_driver.h> and <linux/usermode_driver_mgmt.h>. The structures are the callers', with no room
 * for anything of ours: what we keep is found by the mount in wd, from load to unload.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/umd.h>
#include <linux/usermode_driver_mgmt.h>
#include "shim.h"

/* Who waits for a struct umd_mgmt's lock looks again after so many ms: a mutex knows no time limit. */
#define UMD_LOCK_PAUSE_MS	2

int umd_load_blob_with(struct umd_info *info, const void *data, size_t len,
		       const struct umd_options *options)
{
	struct vfsmount *mount;
	int error = 0;

	if (!info || !info->driver_name || !data || !len)
		return -EINVAL;
	if (info->wd.mnt || info->wd.dentry)
		return -EBUSY;
	mount = umd_rs_blob_load(info->driver_name, data, len, options, NULL, NULL, &error);
	if (!mount)
		return error;
	info->wd.mnt = mount;
	info->wd.dentry = mount->mnt_root;
	return 0;
}

int umd_load_blob(struct umd_info *info, const void *data, size_t len)
{
	return umd_load_blob_with(info, data, len, NULL);
}

int umd_unload_blob(struct umd_info *info)
{
	struct vfsmount *mount;

	if (!info || !info->wd.mnt)
		return -EINVAL;
	mount = info->wd.mnt;
	info->wd.mnt = NULL;
	info->wd.dentry = NULL;
	return umd_rs_blob_unload(mount);
}

/* Ownership: the files and the pid become the info's; process stays the caller's. */
static int attach(struct umd_info *info, void *process)
{
	struct file *to, *from;

	to = umd_stream_file(process, true);
	if (IS_ERR(to))
		return PTR_ERR(to);
	from = umd_stream_file(process, false);
	if (IS_ERR(from)) {
		fput(to);
		return PTR_ERR(from);
	}
	info->pipe_to_umh = to;
	info->pipe_from_umh = from;
	info->tgid = get_pid(umd_rs_process_pid(process));
	return 0;
}

int fork_usermode_driver(struct umd_info *info)
{
	int error = 0;
	void *process;

	if (!info)
		return -EINVAL;
	if (info->tgid)
		return -EBUSY;
	if (!info->wd.mnt)
		return -EINVAL;
	process = umd_rs_blob_fork(info->wd.mnt, &error);
	if (!process)
		return error;
	error = attach(info, process);
	/* Nobody has a file of it that could be closed. */
	if (error)
		umd_process_kill(umd_rs_process_pid(process));
	umd_rs_process_put(process);
	return error;
}

void umd_cleanup_helper(struct umd_info *info)
{
	if (!info)
		return;
	if (info->pipe_to_umh)
		fput(info->pipe_to_umh);
	if (info->pipe_from_umh)
		fput(info->pipe_from_umh);
	put_pid(info->tgid);
	info->pipe_to_umh = NULL;
	info->pipe_from_umh = NULL;
	info->tgid = NULL;
}

int umd_send_recv(struct umd_info *info, void *in, size_t in_len, void *out, size_t out_len)
{
	void *process;

	if (!info || !info->tgid || (in_len && !in) || (out_len && !out))
		return -EFAULT;
	process = umd_stream_process(info->pipe_to_umh);
	if (!process)
		return -EFAULT;
	return umd_rs_stream_exchange(process, in, in_len, out, out_len);
}

/* Has it no thread left that is not a zombie? As in kernels before 6.9. */
bool umd_thread_group_exited(struct pid *pid)
{
	struct task_struct *task;
	bool exited;

	rcu_read_lock();
	task = pid_task(pid, PIDTYPE_PID);
	exited = !task || (READ_ONCE(task->exit_state) && thread_group_empty(task));
	rcu_read_unlock();
	return exited;
}

static int lock_within(struct mutex *lock, u64 until)
{
	while (!mutex_trylock(lock)) {
		if (fatal_signal_pending(current))
			return -EINTR;
		if (umd_now() >= until)
			return -ETIMEDOUT;
		schedule_timeout_killable(msecs_to_jiffies(UMD_LOCK_PAUSE_MS));
	}
	return 0;
}

/*
 * A process was started for a managed driver: its owner sees it from now on, and may ask it. Context: the
 * start's caller, no locks of ours.
 */
static int started(void *process, void *data)
{
	struct umd_mgmt *mgmt = data;
	int error = lock_within(&mgmt->lock, umd_rs_process_start_deadline(process));

	if (error)
		return error;
	umd_cleanup_helper(&mgmt->info);
	error = attach(&mgmt->info, process);
	if (!error && mgmt->post_start) {
		error = mgmt->post_start(mgmt);
		/* Whatever it said: it is no success, and no pointer. */
		if (error > 0)
			error = -EINVAL;
	}
	if (error)
		umd_cleanup_helper(&mgmt->info);
	mutex_unlock(&mgmt->lock);
	return error;
}

/* Context: any. The mount may be gone when it is used: it is looked up there. */
static struct vfsmount *loaded(struct umd_mgmt *mgmt)
{
	return READ_ONCE(mgmt->kmod_loaded) ? READ_ONCE(mgmt->info.wd.mnt) : NULL;
}

static bool is_loaded(void *mgmt)
{
	return loaded(mgmt) != NULL;
}

int umd_mgmt_send_recv(struct umd_mgmt *mgmt, void *in, size_t in_len, void *out, size_t out_len)
{
	struct vfsmount *mount;
	int error;
	u64 begin;

	if (!mgmt || (in_len && !in) || (out_len && !out))
		return -EINVAL;
	begin = umd_now();
	for (;;) {
		mount = loaded(mgmt);
		error = -ENOPROTOOPT;
		if (mount)
			error = umd_rs_blob_call(mount, mgmt, begin, in, in_len, out, out_len);
		/* Not loaded, or not any more: else it is what post_start said. */
		if (error != -ENOPROTOOPT || !mgmt->kmod || (mount && mount == loaded(mgmt)))
			return error;
		error = umd_rs_module_request(mgmt->kmod, begin, is_loaded, mgmt);
		if (error)
			return error;
	}
}

int umd_mgmt_load_with(struct umd_mgmt *mgmt, char *start, char *end,
		       const struct umd_options *options)
{
	struct vfsmount *mount;
	int error = 0;
	void *process;

	if (!mgmt || !start || end <= start || !mgmt->info.driver_name)
		return -EINVAL;
	mutex_lock(&mgmt->lock);
	if (mgmt->kmod_loaded || mgmt->info.wd.mnt) {
		mutex_unlock(&mgmt->lock);
		return -EBUSY;
	}
	mount = umd_rs_blob_load(mgmt->info.driver_name, start, end - start, options, started,
				 mgmt, &error);
	if (mount) {
		mgmt->info.wd.mnt = mount;
		mgmt->info.wd.dentry = mount->mnt_root;
	}
	mutex_unlock(&mgmt->lock);
	if (!mount)
		return error;

	process = umd_rs_blob_fork(mount, &error);
	if (process) {
		umd_rs_process_put(process);
		WRITE_ONCE(mgmt->kmod_loaded, true);
		if (mgmt->kmod)
			umd_rs_module_came(mgmt->kmod);
		return 0;
	}
	mutex_lock(&mgmt->lock);
	umd_unload_blob(&mgmt->info);
	mutex_unlock(&mgmt->lock);
	return error;
}

int umd_mgmt_load(struct umd_mgmt *mgmt, char *start, char *end)
{
	return umd_mgmt_load_with(mgmt, start, end, NULL);
}

void umd_mgmt_unload(struct umd_mgmt *mgmt)
{
	struct vfsmount *mount = mgmt ? loaded(mgmt) : NULL;

	if (!mount)
		return;
	if (mgmt->kmod)
		umd_rs_module_goes(mgmt->kmod, false);
	WRITE_ONCE(mgmt->kmod_loaded, false);
	/* Without the lock: a start that is under way wants it. */
	umd_rs_blob_unload(mount);
	mutex_lock(&mgmt->lock);
	umd_cleanup_helper(&mgmt->info);
	mgmt->info.wd.mnt = NULL;
	mgmt->info.wd.dentry = NULL;
	mutex_unlock(&mgmt->lock);
	if (mgmt->kmod)
		umd_rs_module_goes(mgmt->kmod, true);
}
