// SPDX-License-Identifier: GPL-2.0-only
/*
 * The baseline: a handler behind a pair of pipes, made the way the kernel's own user mode drivers
 * were: blob to a tmpfs mount, a user mode helper with a pipe on each of fd 0 and 1, kernel_write()
 * and kernel_read(). The pipes come from the benchmark's user space.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/umh.h>
#include <linux/workqueue.h>
#include "pipe.h"

enum { REQUEST_OUT, REQUEST_IN, REPLY_OUT, REPLY_IN, ENDS };

struct bench_pipe {
	struct file *ends[ENDS];
	struct vfsmount *mount;
	struct pid *pid;
	char name[32];
};

struct bench_pipe *bench_pipe_new(const int fds[4], int *error)
{
	struct bench_pipe *pipe = kzalloc(sizeof(*pipe), GFP_KERNEL);
	int i;

	*error = -ENOMEM;
	if (!pipe)
		return NULL;
	for (i = 0; i < ENDS; i++) {
		pipe->ends[i] = fget(fds[i]);
		if (!pipe->ends[i]) {
			*error = -EBADF;
			bench_pipe_free(pipe);
			return NULL;
		}
	}
	return pipe;
}

struct staging {
	struct work_struct work;
	struct bench_pipe *pipe;
	const void *blob;
	size_t len;
	int error;
};

static void stage(struct work_struct *work)
{
	struct staging *staging = container_of(work, struct staging, work);
	struct file *file = file_open_root_mnt(staging->pipe->mount, staging->pipe->name,
					       O_CREAT | O_WRONLY, 0700);
	loff_t pos = 0;

	if (IS_ERR(file)) {
		staging->error = PTR_ERR(file);
		return;
	}
	if (kernel_write(file, staging->blob, staging->len, &pos) != staging->len)
		staging->error = -EIO;
	__fput_sync(file);
}

int bench_pipe_load(struct bench_pipe *pipe, const char *name, const void *blob, size_t len)
{
	struct staging staging = { .pipe = pipe, .blob = blob, .len = len };
	struct file_system_type *type = get_fs_type("tmpfs");

	if (!type)
		return -ENODEV;
	pipe->mount = kern_mount(type);
	module_put(type->owner);
	if (IS_ERR(pipe->mount)) {
		staging.error = PTR_ERR(pipe->mount);
		pipe->mount = NULL;
		return staging.error;
	}
	strscpy(pipe->name, name, sizeof(pipe->name));
	INIT_WORK_ONSTACK(&staging.work, stage);
	schedule_work(&staging.work);
	flush_work(&staging.work);
	destroy_work_on_stack(&staging.work);
	return staging.error;
}

void bench_pipe_unload(struct bench_pipe *pipe)
{
	if (pipe->mount)
		kern_unmount(pipe->mount);
	pipe->mount = NULL;
}

static int prepare(struct subprocess_info *info, struct cred *cred)
{
	struct bench_pipe *pipe = info->data;
	struct path pwd = { .mnt = pipe->mount, .dentry = pipe->mount->mnt_root };
	struct fs_struct *fs = current->fs;
	struct path old;
	int fd;

	for (fd = 0; fd < 2; fd++) {
		struct file *end = pipe->ends[fd ? REPLY_IN : REQUEST_OUT];

		if (get_unused_fd_flags(0) != fd)
			return -EBUSY;
		get_file(end);
		fd_install(fd, end);
	}
	path_get(&pwd);
#ifdef UMD_FS_STRUCT_SEQLOCK
	write_seqlock(&fs->seq);
	old = fs->pwd;
	fs->pwd = pwd;
	write_sequnlock(&fs->seq);
#else
	spin_lock(&fs->lock);
	write_seqcount_begin(&fs->seq);
	old = fs->pwd;
	fs->pwd = pwd;
	write_seqcount_end(&fs->seq);
	spin_unlock(&fs->lock);
#endif
	path_put(&old);
	pipe->pid = get_pid(task_tgid(current));
	return 0;
}

int bench_pipe_start(struct bench_pipe *pipe)
{
	char *argv[] = { pipe->name, NULL };
	char *envp[] = { NULL };
	struct subprocess_info *info;

	info = call_usermodehelper_setup(pipe->name, argv, envp, GFP_KERNEL, prepare, NULL, pipe);
	return info ? call_usermodehelper_exec(info, UMH_WAIT_EXEC) : -ENOMEM;
}

static bool gone(struct pid *pid)
{
	struct task_struct *task;
	bool gone;

	rcu_read_lock();
	task = pid_task(pid, PIDTYPE_TGID);
	gone = !task || READ_ONCE(task->exit_state);
	rcu_read_unlock();
	return gone;
}

static void kill_and_wait(struct pid *pid)
{
	kill_pid(pid, SIGKILL, 1);
	wait_event(pid->wait_pidfd, gone(pid));
}

void bench_pipe_kill(struct bench_pipe *pipe)
{
	if (!pipe->pid)
		return;
	kill_and_wait(pipe->pid);
	put_pid(pipe->pid);
	pipe->pid = NULL;
}

void bench_kill(int number)
{
	struct pid *pid = find_get_pid(number);

	if (pid)
		kill_and_wait(pid);
	put_pid(pid);
}

int bench_pipe_call(struct bench_pipe *pipe, const void *request, size_t request_len,
		    void *reply, size_t reply_len)
{
	loff_t pos = 0;

	if (kernel_write(pipe->ends[REQUEST_IN], request, request_len, &pos) != request_len)
		return -EFAULT;
	while (reply_len) {
		ssize_t len = kernel_read(pipe->ends[REPLY_OUT], reply, reply_len, &pos);

		if (len <= 0)
			return -EFAULT;
		reply += len;
		reply_len -= len;
	}
	return 0;
}

void bench_pipe_free(struct bench_pipe *pipe)
{
	int i;

	bench_pipe_kill(pipe);
	bench_pipe_unload(pipe);
	for (i = 0; i < ENDS; i++)
		if (pipe->ends[i])
			fput(pipe->ends[i]);
	kfree(pipe);
}
