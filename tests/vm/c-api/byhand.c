// SPDX-License-Identifier: GPL-2.0-only
/*
 * umd_c_byhand.ko: an owner that takes its driver apart by itself, both files and the process's id. Its
 * parameter `ask` starts a process for each number written, and lets go of it.
 */
#include <linux/module.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/pid.h>
#include <linux/usermode_driver.h>

#include "asked.h"
#include "blob.h"

BLOB(byhand, ".init.rodata", STATIC_HANDLER);

static struct umd_info info = { .driver_name = "umd_c_byhand" };

static int ask_set(const char *text, const struct kernel_param *param)
{
	struct asked asked = { .what = 'e', .in = 1, .out = 1 }, reply;
	loff_t pos = 0;
	int err;

	err = kstrtou8(text, 0, &asked.number);
	if (err)
		return err;
	err = fork_usermode_driver(&info);
	if (err)
		return err;
	err = -EFAULT;
	if (kernel_write(info.pipe_to_umh, &asked, sizeof(asked), &pos) == sizeof(asked)) {
		pos = 0;
		if (kernel_read(info.pipe_from_umh, &reply, sizeof(reply), &pos) == sizeof(reply) &&
		    reply.number == asked.number)
			err = 0;
	}
	/* The end of its input ends it. */
	fput(info.pipe_to_umh);
	fput(info.pipe_from_umh);
	put_pid(info.tgid);
	info.pipe_to_umh = info.pipe_from_umh = NULL;
	info.tgid = NULL;
	return err;
}

static const struct kernel_param_ops ask_ops = { .set = ask_set };
module_param_cb(ask, &ask_ops, NULL, 0200);

static int __init byhand_init(void)
{
	return umd_load_blob(&info, byhand_start, byhand_end - byhand_start);
}

static void __exit byhand_exit(void)
{
	umd_unload_blob(&info);
}

module_init(byhand_init);
module_exit(byhand_exit);
MODULE_DESCRIPTION("An owner that closes everything itself");
MODULE_LICENSE("GPL");
