// SPDX-License-Identifier: GPL-2.0-only
/* A file in /sys/kernel/security that Rust serves. An open file keeps the module loaded. */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "driver.h"

struct umd_mod_file {
	struct umd_file *file;
	/* NULL: in securityfs' root. */
	struct dentry *directory;
	size_t write_max;
	void *interface;
};

/* One open file. */
struct opened {
	const struct umd_mod_file *owner;
	struct mutex lock;
	void *session;
};

static int file_open(struct inode *inode, struct file *file)
{
	const struct umd_mod_file *owner = file->private_data;
	struct opened *opened = kmalloc(sizeof(*opened), GFP_KERNEL);
	int error = 0;

	if (!opened)
		return -ENOMEM;
	opened->owner = owner;
	mutex_init(&opened->lock);
	opened->session = umd_mod_rs_file_open(owner->interface, &error);
	if (!opened->session) {
		kfree(opened);
		return error;
	}
	file->private_data = opened;
	/* Else a second writer would wait for the first one's handler in a lock, unkillable. */
	file->f_mode &= ~FMODE_ATOMIC_POS;
	return 0;
}

static int file_release(struct inode *inode, struct file *file)
{
	struct opened *opened = file->private_data;

	umd_mod_rs_file_release(opened->session);
	kfree(opened);
	return 0;
}

/*
 * One write, one request. A second writer to the same open file is not kept waiting for a handler
 * under a lock: -EBUSY.
 */
static ssize_t file_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	struct opened *opened = file->private_data;
	const struct umd_mod_file *owner = opened->owner;
	ssize_t result;
	char *text;

	if (len > owner->write_max)
		return -EINVAL;
	text = vmemdup_user(from, len);
	if (IS_ERR(text))
		return PTR_ERR(text);
	if (mutex_trylock(&opened->lock)) {
		result = umd_mod_rs_file_write(owner->interface, opened->session, text, len);
		mutex_unlock(&opened->lock);
	} else {
		result = -EBUSY;
	}
	kvfree(text);
	return result;
}

/* What the last write left to be read. */
static ssize_t file_read(struct file *file, char __user *to, size_t len, loff_t *pos)
{
	struct opened *opened = file->private_data;
	const char *text;
	ssize_t result;

	if (!mutex_trylock(&opened->lock))
		return -EBUSY;
	result = umd_mod_rs_file_read(opened->session, &text);
	if (result >= 0)
		result = simple_read_from_buffer(to, len, pos, text, result);
	mutex_unlock(&opened->lock);
	return result;
}

static const struct file_operations file_fops = {
	.owner = THIS_MODULE,
	.open = file_open,
	.read = file_read,
	.write = file_write,
	.llseek = default_llseek,
	.release = file_release,
};

/*
 * The name may be that of a directory, which is made, a slash, and that of the file.
 * Ownership: the file is the caller's, until umd_mod_file_free(); interface must live as long.
 */
struct umd_mod_file *umd_mod_file_new(const char *name, u16 mode, size_t write_max,
				      void *interface, int *error)
{
	struct umd_mod_file *file = kzalloc(sizeof(*file), GFP_KERNEL);
	const char *slash = strchr(name, '/');

	*error = -ENOMEM;
	if (!file)
		return NULL;
	file->write_max = write_max;
	file->interface = interface;
	if (slash) {
		char *directory = kmemdup_nul(name, slash - name, GFP_KERNEL);

		if (!directory)
			goto out;
		file->directory = securityfs_create_dir(directory, NULL);
		kfree(directory);
		*error = PTR_ERR_OR_ZERO(file->directory);
		if (*error)
			goto out;
		name = slash + 1;
	}
	file->file = umd_file_new(file->directory, name, mode, &file_fops, file, error);
	if (file->file)
		return file;
	securityfs_remove(file->directory);
out:
	kfree(file);
	return NULL;
}

/* Nobody has it open any more: else the module would be in use. */
void umd_mod_file_free(struct umd_mod_file *file)
{
	umd_file_free(file->file);
	securityfs_remove(file->directory);
	kfree(file);
}
