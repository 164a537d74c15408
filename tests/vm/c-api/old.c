// SPDX-License-Identifier: GPL-2.0-only
/*
 * umd_c_old.ko: a module as it was written for the facility while that was part of the kernel. Nothing in
 * it knows of umd. Write a number below 64 to /sys/kernel/debug/umd_c_old, and read what became of it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/init.h>
#include <linux/module.h>
#include <linux/umh.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/fs.h>
#include <linux/file.h>
#include <linux/debugfs.h>
#include <linux/usermode_driver.h>

#include "asked.h"

extern char old_handler_start;
extern char old_handler_end;

struct old_request {
	struct asked asked;
	u8 rest[60];
};

struct old_reply {
	u8 bytes[64];
};

struct old_ops {
	struct umd_info info;
	struct mutex lock;
	int (*ask)(u8 number, u8 *answer);
	int (*start)(void);
};

static struct old_ops old_ops;
static struct dentry *old_file;

static void shutdown_umh(void)
{
	struct umd_info *info = &old_ops.info;
	struct pid *tgid = info->tgid;

	if (tgid) {
		kill_pid(tgid, SIGKILL, 1);
		wait_event(tgid->wait_pidfd, thread_group_exited(tgid));
		umd_cleanup_helper(info);
	}
}

static void __stop_umh(void)
{
	if (IS_ENABLED(CONFIG_INET))
		shutdown_umh();
}

static int old_exchange(const struct old_request *req, struct old_reply *reply)
{
	loff_t pos;
	ssize_t n;

	if (!old_ops.info.tgid)
		return -EFAULT;
	pos = 0;
	n = kernel_write(old_ops.info.pipe_to_umh, req, sizeof(*req), &pos);
	if (n != sizeof(*req)) {
		pr_err("write fail %zd\n", n);
		goto stop;
	}
	pos = 0;
	n = kernel_read(old_ops.info.pipe_from_umh, reply, sizeof(*reply), &pos);
	if (n != sizeof(*reply)) {
		pr_err("read fail %zd\n", n);
		goto stop;
	}
	return 0;
stop:
	__stop_umh();
	return -EFAULT;
}

static int old_ask(u8 number, u8 *answer)
{
	struct old_request req = {
		.asked = { .what = 'e', .in = 3, .out = 3, .number = number },
	};
	struct old_reply reply;
	int err = old_exchange(&req, &reply);

	if (!err)
		*answer = reply.bytes[3];
	return err;
}

static int start_umh(void)
{
	u8 answer;
	int err;

	err = fork_usermode_driver(&old_ops.info);
	if (err)
		return err;
	pr_info("Loaded %s pid %d\n", old_ops.info.driver_name, pid_nr(old_ops.info.tgid));
	/* a health check */
	if (old_ask(0, &answer) != 0) {
		shutdown_umh();
		return -EIO;
	}
	return 0;
}

static ssize_t old_write(struct file *file, const char __user *ubuf, size_t count, loff_t *ppos)
{
	u8 number, answer = 0;
	int err;

	err = kstrtou8_from_user(ubuf, count, 0, &number);
	if (err)
		return err;
	mutex_lock(&old_ops.lock);
	if (old_ops.info.tgid && thread_group_exited(old_ops.info.tgid))
		umd_cleanup_helper(&old_ops.info);
	if (!old_ops.info.tgid) {
		err = old_ops.start();
		if (err)
			goto out;
	}
	err = old_ops.ask(number, &answer);
	if (!err && answer != number)
		err = -EBADMSG;
out:
	mutex_unlock(&old_ops.lock);
	return err ?: count;
}

static const struct file_operations old_fops = {
	.owner = THIS_MODULE,
	.write = old_write,
};

static int __init load_umh(void)
{
	int err;

	mutex_init(&old_ops.lock);
	old_ops.info.driver_name = "umd_c_old";
	err = umd_load_blob(&old_ops.info, &old_handler_start,
			    &old_handler_end - &old_handler_start);
	if (err)
		return err;
	old_ops.ask = &old_ask;
	old_ops.start = &start_umh;
	err = start_umh();
	if (err) {
		umd_unload_blob(&old_ops.info);
		return err;
	}
	old_file = debugfs_create_file("umd_c_old", 0600, NULL, NULL, &old_fops);
	return 0;
}

static void __exit fini_umh(void)
{
	debugfs_remove(old_file);
	mutex_lock(&old_ops.lock);
	shutdown_umh();
	mutex_unlock(&old_ops.lock);
	umd_unload_blob(&old_ops.info);
}
module_init(load_umh);
module_exit(fini_umh);
MODULE_DESCRIPTION("In the style of the facility's users in the kernel");
MODULE_LICENSE("GPL");
