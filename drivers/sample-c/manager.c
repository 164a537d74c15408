// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sample's manager: takes an offset that is written to /dev/sample_c, asks the handler, and checks
 * what it says.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/usermode_driver_mgmt.h>

#include "sample_c.h"

static int health_check(struct umd_mgmt *mgmt);

/* The loader, a module of its own, puts the handler in. */
struct umd_mgmt sample_c_mgmt = {
	.info.driver_name = "sample_c",
	.lock = __MUTEX_INITIALIZER(sample_c_mgmt.lock),
	.post_start = health_check,
	.kmod = "sample_c_loader",
};
EXPORT_SYMBOL_GPL(sample_c_mgmt);

/* Nothing that comes from a handler is believed. */
static bool is_answer(const u8 *reply, u32 offset)
{
	return reply[offset] == 1 && !memchr_inv(reply, 0, offset) &&
	       !memchr_inv(reply + offset + 1, 0, SAMPLE_C_SIZE - offset - 1);
}

/* Before a handler serves anybody. The lock is held: only umd_send_recv() may be used here. */
static int health_check(struct umd_mgmt *mgmt)
{
	struct sample_c_request request = { .offset = SAMPLE_C_SIZE - 1 };
	u8 *reply = kvmalloc(SAMPLE_C_SIZE, GFP_KERNEL);
	int ret;

	if (!reply)
		return -ENOMEM;
	ret = umd_send_recv(&mgmt->info, &request, sizeof(request), reply, SAMPLE_C_SIZE);
	if (!ret && !is_answer(reply, request.offset))
		ret = -EBADMSG;
	kvfree(reply);
	return ret;
}

static ssize_t write_offset(struct file *file, const char __user *text, size_t length,
			    loff_t *position)
{
	struct sample_c_request request;
	u8 *reply;
	int ret;

	ret = kstrtou32_from_user(text, length, 10, &request.offset);
	if (ret)
		return ret;
	if (request.offset >= SAMPLE_C_SIZE)
		return -EINVAL;
	reply = kvmalloc(SAMPLE_C_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	ret = umd_mgmt_send_recv(&sample_c_mgmt, &request, sizeof(request), reply, SAMPLE_C_SIZE);
	if (!ret && !is_answer(reply, request.offset))
		ret = -EBADMSG;
	kvfree(reply);
	return ret ? ret : length;
}

/* The owner: while the file is open this module stays. */
static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.write = write_offset,
	.llseek = noop_llseek,
};

/* A misc device, for its open cannot race with rmmod; one in securityfs can. */
static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "sample_c",
	.fops = &operations,
	.mode = 0600,
};

module_misc_device(device);
MODULE_DESCRIPTION("Sample user mode driver in C");
MODULE_LICENSE("GPL");
