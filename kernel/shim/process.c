// SPDX-License-Identifier: GPL-2.0-only
/* Handlers as processes: made, killed, and their end noticed. */
#include <linux/anon_inodes.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/seccomp.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/umh.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <asm/syscall.h>
#include <uapi/linux/audit.h>
#include <uapi/linux/sched/types.h>
#include "image.h"
#include "shim.h"

#define UMD_STACK_LIMIT	(1UL << 20)
/* What seccomp makes of the mode of a task that it ends, as in kernel/seccomp.c. */
#define UMD_SECCOMP_MODE_DEAD	(SECCOMP_MODE_FILTER + 1)
/* Descriptors of a handler that knows nothing of us: its channel, the log, what its linker opens. */
#define UMD_FOREIGN_FILES	16

struct workqueue_struct *umd_workqueue;

/*
 * Waits on pid->wait_pidfd for the end of one process. Belongs to itself once it is armed: the end
 * runs the work, which frees it. Until then it keeps umd.ko loaded.
 */
struct watch {
	wait_queue_entry_t entry;
	struct work_struct work;
	struct pid *pid;
	void *process;
	u32 status;
	u32 denied;
};

/*
 * What the launcher is told, and what it says of its exec: an errno, or the close of its file without one. Owned by
 * that file and by whoever spawns, each with a reference.
 */
struct launch {
	struct kref users;
	struct wait_queue_head waiter;
	bool done;
	int error;
	u8 orders[sizeof_field(struct umd_image_plan, orders)];
};

struct spawn {
	struct umd_image *image;
	struct file *channel;
	struct watch *watch;
	struct launch *launch;
	bool installed;
	bool watched;
};

/*
 * Context: a kworker of our own queue, which is drained before umd.ko goes: this code cannot be
 * unmapped under it.
 */
static void reap(struct work_struct *work)
{
	struct watch *watch = container_of(work, struct watch, work);

	/* First, so that whoever waits for the end finds umd.ko unused after it. */
	module_put(THIS_MODULE);
	umd_rs_process_exited(watch->process, watch->status, watch->denied);
	put_pid(watch->pid);
	kfree(watch);
}

/*
 * The system call that seccomp ended this task for. Context: the task's own end, so that its stack is there: one of
 * several threads that ends after the others is not asked, and handlers under seccomp have one.
 */
static u32 denied(struct task_struct *task)
{
	u32 number;

	if (task != current || task->seccomp.mode != UMD_SECCOMP_MODE_DEAD)
		return UMD_NONE_DENIED;
	number = syscall_get_nr(task, task_pt_regs(task));
	if (syscall_get_arch(task) == AUDIT_ARCH_X86_64)
		return number & ~UMD_DENIED_ELSEWHERE;
	/* So that none looks like UMD_NONE_DENIED. */
	return (number & 0x3fffffff) | UMD_DENIED_ELSEWHERE;
}

/* Context: atomic, under tasklist_lock and the wait queue's lock. */
static int ended(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key)
{
	struct watch *watch = container_of(entry, struct watch, entry);
	struct task_struct *task = pid_task(watch->pid, PIDTYPE_TGID);

	/* Newer kernels also tell of single threads. */
	if (task && (!READ_ONCE(task->exit_state) || !thread_group_empty(task)))
		return 0;
	if (task) {
		watch->status = task->signal->flags & SIGNAL_GROUP_EXIT ?
			task->signal->group_exit_code : task->exit_code;
		watch->denied = denied(task);
	}
	list_del_init(&entry->entry);
	queue_work(umd_workqueue, &watch->work);
	return 0;
}

static void launch_release(struct kref *users)
{
	kfree(container_of(users, struct launch, users));
}

/* Context: the launcher's read(2). */
static ssize_t report_read(struct file *file, char __user *to, size_t len, loff_t *pos)
{
	struct launch *launch = file->private_data;

	if (len != sizeof(launch->orders))
		return -EINVAL;
	return copy_to_user(to, launch->orders, len) ? -EFAULT : len;
}

/* Context: the launcher's write(2). */
static ssize_t report_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	struct launch *launch = file->private_data;
	int error;

	if (len != sizeof(error))
		return -EINVAL;
	if (copy_from_user(&error, from, len))
		return -EFAULT;
	launch->error = error > 0 && error <= MAX_ERRNO ? -error : -EIO;
	return len;
}

/* By exec, mostly. */
static int report_release(struct inode *inode, struct file *file)
{
	struct launch *launch = file->private_data;

	smp_store_release(&launch->done, true);
	wake_up(&launch->waiter);
	kref_put(&launch->users, launch_release);
	return 0;
}

static const struct file_operations report_fops = {
	.owner = THIS_MODULE,
	.read = report_read,
	.write = report_write,
	.release = report_release,
};

/*
 * A standard error for handlers with a C library, which needs one at its start: what they write there is nobody's
 * business, and least of all the kernel log's.
 */
static ssize_t sink_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	return len;
}

static const struct file_operations sink_fops = {
	.owner = THIS_MODULE,
	.write = sink_write,
};

/* Context: any. */
bool umd_sink_is(const struct file *file)
{
	return file->f_op == &sink_fops;
}

/* Makes file the next descriptor. Ownership: the file is taken over. */
static int install_next(struct file *file)
{
	int fd;

	if (IS_ERR(file))
		return PTR_ERR(file);
	fd = get_unused_fd_flags(0);
	if (fd < 0) {
		fput(file);
		return fd;
	}
	fd_install(fd, file);
	return 0;
}

/*
 * For the handler a standard error. For the launcher the image's directory, and a file for what it is told and what
 * it has to say: it has the handler's exec close both. Context: the child.
 */
static int install_launch(struct spawn *spawn)
{
	struct vfsmount *mount = spawn->image->mount;
	struct path path = { .mnt = mount, .dentry = mount->mnt_root };
	struct file *report;
	int error;

	error = install_next(anon_inode_getfile("[umd-sink]", &sink_fops, NULL, O_WRONLY));
	if (error)
		return error;
	error = install_next(dentry_open(&path, O_RDONLY | O_DIRECTORY, current_cred()));
	if (error)
		return error;
	report = anon_inode_getfile("[umd-launch]", &report_fops, spawn->launch, O_RDWR);
	if (!IS_ERR(report))
		kref_get(&spawn->launch->users);
	return install_next(report);
}

static void limit(struct rlimit *limits, unsigned int which, unsigned long value)
{
	limits[which].rlim_cur = value;
	limits[which].rlim_max = value;
}

static void limit_all(const struct umd_image *image)
{
	struct rlimit *limits = current->signal->rlim;
	unsigned long files = image->plan.profile >= UMD_PROFILE_CUSTOM ? 3 : UMD_FOREIGN_FILES;

	task_lock(current->group_leader);
	limit(limits, RLIMIT_AS, image->plan.memory_max);
	/* Not 0, which a core_pattern with a pipe ignores. */
	limit(limits, RLIMIT_CORE, 1);
	limit(limits, RLIMIT_FSIZE, 0);
	limit(limits, RLIMIT_MEMLOCK, 0);
	limit(limits, RLIMIT_MSGQUEUE, 0);
	limit(limits, RLIMIT_NOFILE, files);
	/* The launcher sets it itself, after the change of uid, which would count against it. */
	if (!umd_image_is_launched(image))
		limit(limits, RLIMIT_NPROC, 0);
	limit(limits, RLIMIT_RTPRIO, 0);
	limit(limits, RLIMIT_STACK, UMD_STACK_LIMIT);
	task_unlock(current->group_leader);
}

/*
 * The channel as fd 0, 1 and 2 of an empty table; where the launcher comes first 0 and 1 only: what such a handler
 * writes to fd 2 is no reply. Ownership: the first takes over the spawner's
 * reference. Were that dropped later, it could be the last, and the caller who waits to hear of the
 * handler's death would be the one to release the channel.
 */
static int install(struct spawn *spawn)
{
	int count = spawn->launch || spawn->image->plan.foreign ? 2 : 3;
	int fd, wanted;

	for (wanted = 0; wanted < count; wanted++) {
		fd = get_unused_fd_flags(0);
		if (fd < 0)
			return fd;
		if (fd != wanted) {
			put_unused_fd(fd);
			return -EBUSY;
		}
		if (spawn->installed)
			get_file(spawn->channel);
		fd_install(fd, spawn->channel);
		spawn->installed = true;
	}
	return 0;
}

/*
 * What a handler gives up that can be taken from it before exec. Two capabilities are left, with which it, or
 * the launcher, gives up its ids: changing them here ends in a warning of the kernel's (the user's process
 * count is not charged yet). The launcher also needs a page at an address that no handler can have:
 * umd_core::filter::GATE.
 */
static void confine(const struct umd_image *image, struct cred *cred)
{
	kernel_cap_t caps = CAP_EMPTY_SET;

	cap_raise(caps, CAP_SETUID);
	cap_raise(caps, CAP_SETGID);
	if (umd_image_is_launched(image))
		cap_raise(caps, CAP_SYS_RAWIO);
	cred->cap_effective = caps;
	cred->cap_permitted = caps;
	cred->cap_bset = caps;
	cred->cap_inheritable = CAP_EMPTY_SET;
	cred->cap_ambient = CAP_EMPTY_SET;
	task_set_no_new_privs(current);
	limit_all(image);
}

/* Context: the child, before exec. All that needs no cooperation of the handler is done here. */
static int prepare(struct subprocess_info *info, struct cred *cred)
{
	struct spawn *spawn = info->data;
	struct watch *watch = spawn->watch;
	const struct umd_image *image = spawn->image;
	int error = install(spawn);

	if (!error && spawn->launch)
		error = install_launch(spawn);
	if (error)
		return error;

	if (image->plan.profile != UMD_PROFILE_UNCONFINED) {
		confine(image, cred);
		umd_guard_current();
	}
	if (image->plan.nice)
		set_user_nice(current, image->plan.nice);
	current->signal->oom_score_adj = UMD_OOM_SCORE_ADJ;
	current->signal->oom_score_adj_min = UMD_OOM_SCORE_ADJ;
	umd_image_enter(spawn->image, spawn->launch ? umd_launcher : spawn->image);
	/*
	 * Until the host has checked it, one that gives up its ids itself is still root and may fork: then its descendants shall be
	 * found among its children, and it shall have no siblings (CLONE_PARENT), which are not.
	 * umd_task_release() takes both back.
	 */
	if (image->plan.profile == UMD_PROFILE_STRICT && !spawn->launch) {
		spin_lock_irq(&current->sighand->siglock);
		current->signal->is_child_subreaper = 1;
		current->signal->flags |= SIGNAL_UNKILLABLE;
		spin_unlock_irq(&current->sighand->siglock);
	}

	watch->pid = get_pid(task_tgid(current));
	umd_rs_process_born(watch->process, get_pid(task_tgid(current)));
	__module_get(THIS_MODULE);
	add_wait_queue(&watch->pid->wait_pidfd, &watch->entry);
	spawn->watched = true;
	return 0;
}

static bool is_launched(void *launch)
{
	return smp_load_acquire(&((struct launch *)launch)->done);
}

/* Waits until the launcher has executed the handler, or has said why not. Killable. */
static int await_launch(struct launch *launch, u64 until)
{
	int error = umd_wait_killable(&launch->waiter, is_launched, launch, until);

	if (error)
		return error == -ETIME ? -ETIMEDOUT : error;
	return launch->error;
}

/*
 * Makes a process from the image, and returns when it has been executed, or with the reason why
 * not. Context: waits for a kernel worker, and for the launcher until then, killable: neither runs anything of
 * the handler's.
 * Ownership: *watched says whether umd_rs_process_exited() will be called, which takes over the
 * caller's reference to process. The reference to the channel's file is taken over.
 */
int umd_process_spawn(struct umd_image *image, struct file *channel, void *process, u64 until,
		      bool *watched)
{
	struct watch *watch = kzalloc(sizeof(*watch), GFP_KERNEL);
	struct launch *launch = kzalloc(sizeof(*launch), GFP_KERNEL);
	struct spawn spawn = { .image = image, .channel = channel, .watch = watch };
	char *argv[] = { image->name, NULL };
	char *envp[] = { NULL };
	struct subprocess_info *info;
	int error = -ENOMEM;
	char *path;

	*watched = false;
	if (!watch || !launch) {
		kfree(watch);
		kfree(launch);
		fput(channel);
		return -ENOMEM;
	}
	init_waitqueue_func_entry(&watch->entry, ended);
	INIT_WORK(&watch->work, reap);
	watch->process = process;
	watch->denied = UMD_NONE_DENIED;
	memcpy(launch->orders, image->plan.orders, sizeof(launch->orders));
	kref_init(&launch->users);
	init_waitqueue_head(&launch->waiter);
	if (umd_image_is_launched(image))
		spawn.launch = launch;

	/* The path is relative to the working directory, which prepare() sets. */
	path = spawn.launch ? umd_launcher->name : image->name;
	do {
		error = -ENOMEM;
		info = call_usermodehelper_setup(path, argv, envp, GFP_KERNEL, prepare, NULL, &spawn);
		if (info)
			error = call_usermodehelper_exec(info, UMH_WAIT_EXEC);
		/* It was not even tried while the processes are about to be frozen: after that. */
	} while (error == -EBUSY && !spawn.installed && READ_ONCE(umd_clock_may_stop) &&
		 umd_now() < until && !umd_sleep(NSEC_PER_MSEC));
	if (!error && spawn.launch)
		error = await_launch(launch, until);
	*watched = spawn.watched;
	if (!spawn.watched)
		kfree(watch);
	if (!spawn.installed)
		fput(channel);
	kref_put(&launch->users, launch_release);
	return error;
}

/* Context: any, hard IRQ included (as the kernel's own interval timers do). */
void umd_process_kill(struct pid *pid)
{
	kill_pid(pid, SIGKILL, 1);
}

static struct task_struct *task_of(struct pid *pid)
{
	return get_pid_task(pid, PIDTYPE_TGID);
}

/*
 * Gives it the priority of the calling task, where that is of a real-time class, but for one: a handler that has answered, and
 * computes on, must not keep the processor from its caller, whom nothing but the answer wakes. Context: process, no lock.
 */
bool umd_process_lend_priority(struct pid *pid)
{
	struct sched_attr attr = {
		.sched_policy = SCHED_FIFO,
		.sched_priority = current->rt_priority - 1,
	};
	struct task_struct *task;
	int error;

	if ((current->policy != SCHED_FIFO && current->policy != SCHED_RR) ||
	    current->rt_priority < 2)
		return false;
	task = task_of(pid);
	if (!task)
		return false;
	error = sched_setattr_nocheck(task, &attr);
	put_task_struct(task);
	return !error;
}

/* Takes it back. Context: process, no lock. */
void umd_process_take_priority(struct pid *pid)
{
	struct sched_attr attr = { .sched_policy = SCHED_NORMAL };
	struct task_struct *task = task_of(pid);

	if (!task)
		return;
	sched_setattr_nocheck(task, &attr);
	put_task_struct(task);
}

/* Context: any. As seen in the first pid namespace. */
int umd_process_number(struct pid *pid)
{
	return pid_nr(pid);
}

void umd_process_put(struct pid *pid)
{
	put_pid(pid);
}

int umd_process_init(void)
{
	umd_workqueue = alloc_workqueue("umd", WQ_UNBOUND, 0);
	return umd_workqueue ? 0 : -ENOMEM;
}

void umd_process_exit(void)
{
	destroy_workqueue(umd_workqueue);
}
