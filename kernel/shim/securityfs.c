// SPDX-License-Identifier: GPL-2.0-only
/*
 * The door of a driver module's file in securityfs.
 *
 * Whoever has looked a file up may open it a moment later, when it has been removed. If its functions
 * were the driver module's, the kernel would warn about a module on its way out, or read the memory of
 * one that is gone. So what securityfs knows is a door of umd.ko, which stays as long as there are
 * drivers: it hands over to the module's functions, or says that there is nobody any more.
 */
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/security.h>
#include <linux/slab.h>
#include "shim.h"

struct umd_file {
	struct list_head list;
	/* What the inode knows it by: the inode may outlive it. */
	unsigned long id;
	struct dentry *dentry;
	const struct file_operations *fops;
	void *data;
};

static LIST_HEAD(files);
static DEFINE_MUTEX(files_lock);
static unsigned long last_id;

static int door_open(struct inode *inode, struct file *file)
{
	const struct file_operations *fops = NULL;
	struct umd_file *entry;

	mutex_lock(&files_lock);
	list_for_each_entry(entry, &files, list) {
		if (entry->id != (unsigned long)inode->i_private)
			continue;
		fops = fops_get(entry->fops);
		file->private_data = entry->data;
	}
	mutex_unlock(&files_lock);
	if (!fops)
		return -ENODEV;
	replace_fops(file, fops);
	return fops->open(inode, file);
}

static const struct file_operations door_fops = {
	.owner = THIS_MODULE,
	.open = door_open,
};

/*
 * The file's functions are fops, whose open() finds data in file->private_data.
 * Ownership: the file is the caller's, until umd_file_free(); fops and data must live as long.
 */
struct umd_file *umd_file_new(struct dentry *parent, const char *name, u16 mode,
			      const struct file_operations *fops, void *data, int *error)
{
	struct umd_file *entry = kmalloc(sizeof(*entry), GFP_KERNEL);

	*error = -ENOMEM;
	if (!entry)
		return NULL;
	entry->fops = fops;
	entry->data = data;
	mutex_lock(&files_lock);
	entry->id = ++last_id;
	list_add(&entry->list, &files);
	mutex_unlock(&files_lock);

	entry->dentry = securityfs_create_file(name, mode, parent, (void *)entry->id, &door_fops);
	*error = PTR_ERR_OR_ZERO(entry->dentry);
	if (!*error)
		return entry;
	entry->dentry = NULL;
	umd_file_free(entry);
	return NULL;
}

/* Who has the file open keeps the owner of its functions loaded. */
void umd_file_free(struct umd_file *entry)
{
	securityfs_remove(entry->dentry);
	mutex_lock(&files_lock);
	list_del(&entry->list);
	mutex_unlock(&files_lock);
	kfree(entry);
}
