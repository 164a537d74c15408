// SPDX-License-Identifier: GPL-2.0-only
/*
 * umd_c_managed.ko: a manager as it was written for the management library of 2023. Nothing in it knows of
 * umd. Write text to /sys/kernel/security/umd_c_managed; it is an error unless the handler repeats it.
 */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/usermode_driver_mgmt.h>

#include "asked.h"

struct umd_mgmt managed_ops;
EXPORT_SYMBOL_GPL(managed_ops);

/* Of mutex.h, which comes along with the management library's header. */
static DEFINE_MUTEX(one_writer);
static struct dentry *managed_dentry;

struct managed_msg {
	struct asked asked;
	char text[4092];
};

static int managed_validate(struct umd_mgmt *mgmt)
{
	struct asked in = { .what = 'e', .in = 1, .out = 1, .number = 42 }, out;
	int ret;

	ret = umd_send_recv(&mgmt->info, &in, sizeof(in), &out, sizeof(out));
	if (ret)
		return ret;
	return out.number == 42 ? 0 : -EINVAL;
}

static ssize_t managed_write(struct file *file, const char __user *buf, size_t datalen, loff_t *ppos)
{
	struct managed_msg *in, *out;
	ssize_t ret = -ENOMEM;

	if (datalen > sizeof(in->text))
		return -EINVAL;
	in = kzalloc(sizeof(*in), GFP_KERNEL);
	out = kzalloc(sizeof(*out), GFP_KERNEL);
	if (!in || !out)
		goto out;
	in->asked.what = 'e';
	in->asked.in = 4;
	in->asked.out = 4;
	ret = -EFAULT;
	if (copy_from_user(in->text, buf, datalen))
		goto out;
	mutex_lock(&one_writer);
	ret = umd_mgmt_send_recv(&managed_ops, in, sizeof(*in), out, sizeof(*out));
	mutex_unlock(&one_writer);
	if (!ret && memcmp(in, out, sizeof(*in)))
		ret = -EBADMSG;
out:
	kfree(in);
	kfree(out);
	return ret ?: datalen;
}

static const struct file_operations managed_fops = {
	.owner = THIS_MODULE,
	.write = managed_write,
};

static int __init managed_init(void)
{
	mutex_init(&managed_ops.lock);
	managed_ops.info.tgid = NULL;
	managed_ops.info.driver_name = "umd_c_managed";
	managed_ops.post_start = managed_validate;
	managed_ops.kmod = "umd_c_managed_loader";
	managed_ops.kmod_loaded = false;
	managed_dentry = securityfs_create_file("umd_c_managed", 0200, NULL, NULL, &managed_fops);
	return PTR_ERR_OR_ZERO(managed_dentry);
}

static void __exit managed_exit(void)
{
	securityfs_remove(managed_dentry);
}

module_init(managed_init);
module_exit(managed_exit);
MODULE_DESCRIPTION("In the style of the management library's users: manager");
MODULE_LICENSE("GPL");
