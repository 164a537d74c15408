// SPDX-License-Identifier: GPL-2.0-only
/* /sys/kernel/umd/<driver>/: a directory a driver, one value a file. */
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include "shim.h"

static struct kobject *root;

/* The directories there are. sysfs itself answers a second one of the same name with a warning. */
static LIST_HEAD(directories);
static DEFINE_MUTEX(directories_lock);

struct entry {
	struct kobj_attribute attribute;
	void *driver;
	u32 index;
};

struct umd_sysfs {
	struct list_head list;
	struct kobject *directory;
	size_t count;
	struct entry entries[];
};

static ssize_t show(struct kobject *kobj, struct kobj_attribute *attribute, char *page)
{
	struct entry *entry = container_of(attribute, struct entry, attribute);

	return umd_rs_sysfs_show(entry->driver, entry->index, page, PAGE_SIZE);
}

static ssize_t store(struct kobject *kobj, struct kobj_attribute *attribute, const char *text,
		     size_t len)
{
	struct entry *entry = container_of(attribute, struct entry, attribute);

	return umd_rs_sysfs_store(entry->driver, entry->index, text, len);
}

static int add_directory(struct umd_sysfs *sysfs, const char *name)
{
	struct umd_sysfs *other;
	int error = 0;

	mutex_lock(&directories_lock);
	list_for_each_entry(other, &directories, list)
		if (!strcmp(kobject_name(other->directory), name))
			error = -EEXIST;
	if (!error) {
		sysfs->directory = kobject_create_and_add(name, root);
		if (sysfs->directory)
			list_add(&sysfs->list, &directories);
		else
			error = -ENOMEM;
	}
	mutex_unlock(&directories_lock);
	return error;
}

/*
 * Ownership: the directory is the caller's, until umd_sysfs_free(); driver must live as long. The
 * file names must be static. -EEXIST where there is a directory of this name.
 */
struct umd_sysfs *umd_sysfs_new(const char *name, const char *const *files, const u16 *modes,
				size_t count, void *driver, int *error)
{
	struct umd_sysfs *sysfs = kzalloc(struct_size(sysfs, entries, count), GFP_KERNEL);
	size_t i;

	*error = -ENOMEM;
	if (!sysfs)
		return NULL;
	*error = add_directory(sysfs, name);
	if (*error) {
		kfree(sysfs);
		return NULL;
	}
	for (i = 0; i < count; i++) {
		struct entry *entry = &sysfs->entries[i];

		sysfs_attr_init(&entry->attribute.attr);
		entry->attribute.attr.name = files[i];
		entry->attribute.attr.mode = modes[i];
		entry->attribute.show = modes[i] & 0444 ? show : NULL;
		entry->attribute.store = modes[i] & 0222 ? store : NULL;
		entry->driver = driver;
		entry->index = i;
		*error = sysfs_create_file(sysfs->directory, &entry->attribute.attr);
		if (*error) {
			umd_sysfs_free(sysfs);
			return NULL;
		}
		sysfs->count = i + 1;
	}
	return sysfs;
}

/* Context: waits until nobody is in show() or store() any more. */
void umd_sysfs_free(struct umd_sysfs *sysfs)
{
	size_t i;

	for (i = 0; i < sysfs->count; i++)
		sysfs_remove_file(sysfs->directory, &sysfs->entries[i].attribute.attr);
	mutex_lock(&directories_lock);
	list_del(&sysfs->list);
	kobject_put(sysfs->directory);
	mutex_unlock(&directories_lock);
	kfree(sysfs);
}

int umd_sysfs_init(void)
{
	root = kobject_create_and_add("umd", kernel_kobj);
	return root ? 0 : -ENOMEM;
}

void umd_sysfs_exit(void)
{
	kobject_put(root);
}
