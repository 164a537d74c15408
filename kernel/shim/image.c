// SPDX-License-Identifier: GPL-2.0-only
/*
 * A blob becomes an executable that nobody can name, read or write: a file in a tmpfs mount of its
 * own, which is in no mount table.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/kdev_t.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#include "image.h"
#include "shim.h"

struct staging {
	struct work_struct work;
	struct umd_image *image;
	const void *data;
	size_t len;
	int error;
};

/* As write(2) would, in as many steps as it takes. */
static int write_all(struct file *file, const void *data, size_t len)
{
	loff_t pos = 0;

	while (pos < len) {
		ssize_t written = kernel_write(file, data + pos, len - pos, &pos);

		if (written < 0)
			return written;
		if (!written)
			return -EIO;
	}
	return 0;
}

static int make_node(struct dentry *parent, const char *name, umode_t mode, dev_t device)
{
	struct inode *directory = d_inode(parent);
	struct dentry *dentry;
	int error;

	inode_lock_nested(directory, I_MUTEX_PARENT);
	dentry = lookup_one_len(name, parent, strlen(name));
	if (IS_ERR(dentry)) {
		inode_unlock(directory);
		return PTR_ERR(dentry);
	}
	if (S_ISDIR(mode))
		error = vfs_mkdir(UMD_NO_IDMAP, directory, dentry, mode & 0777);
	else
		error = vfs_mknod(UMD_NO_IDMAP, directory, dentry, mode, device);
	/* The kworker's umask has cut it. */
	if (!error)
		d_inode(dentry)->i_mode = mode;
	inode_unlock(directory);
	dput(dentry);
	return error;
}

/* The kernel log, for anybody to write to, in the driver's name: kmsg.c. */
static int make_kmsg(struct umd_image *image)
{
	struct dentry *root = image->mount->mnt_root;
	int error = make_node(root, "dev", S_IFDIR | 0555, 0);
	struct dentry *dev;

	if (error)
		return error;
	inode_lock(d_inode(root));
	dev = lookup_one_len("dev", root, strlen("dev"));
	inode_unlock(d_inode(root));
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	error = make_node(dev, "kmsg", S_IFCHR | 0222, umd_kmsg_device());
	dput(dev);
	if (error)
		return error;
	image->kmsg = umd_kmsg_new(image->name, root->d_sb);
	return image->kmsg ? 0 : -ENOMEM;
}

/*
 * Context: a kworker. Only there may the file be closed on the spot (__fput_sync); closed later, it
 * would still be open for writing when it is executed: ETXTBSY.
 */
static void stage(struct work_struct *work)
{
	struct staging *staging = container_of(work, struct staging, work);
	struct umd_image *image = staging->image;
	struct dentry *root = image->mount->mnt_root;
	struct file *file = file_open_root_mnt(image->mount, image->name,
					       O_CREAT | O_EXCL | O_WRONLY, 0111);

	if (IS_ERR(file)) {
		staging->error = PTR_ERR(file);
		return;
	}
	staging->error = write_all(file, staging->data, staging->len);

	inode_lock(file_inode(file));
	/* Executable but not readable: not dumpable, and nothing can open it again. */
	file_inode(file)->i_mode = S_IFREG | 0111;
	file_inode(file)->i_flags |= S_IMMUTABLE;
	inode_unlock(file_inode(file));
	__fput_sync(file);
	if (!staging->error && image->plan.foreign && image->plan.profile >= UMD_PROFILE_BASIC)
		staging->error = make_kmsg(image);

	inode_lock(d_inode(root));
	d_inode(root)->i_mode = S_IFDIR | 0555;
	inode_unlock(d_inode(root));
	root->d_sb->s_flags |= SB_RDONLY;
}

/*
 * Ownership: the image is the caller's, until umd_image_free(); name, data and plan stay the caller's and
 * are not used after the return.
 */
struct umd_image *umd_image_new(const char *name, const void *data, size_t len,
				const struct umd_image_plan *plan, int *error)
{
	struct staging staging = { .data = data, .len = len };
	struct file_system_type *type;
	struct umd_image *image;

	*error = -ENOMEM;
	image = kzalloc(sizeof(*image), GFP_KERNEL);
	if (!image)
		return NULL;
	image->plan = *plan;
	image->name = kstrdup(name, GFP_KERNEL);
	if (!image->name)
		goto free_image;
	*error = -ENODEV;
	type = get_fs_type("tmpfs");
	if (!type)
		goto free_image;
	image->mount = kern_mount(type);
	module_put(type->owner);
	if (IS_ERR(image->mount)) {
		*error = PTR_ERR(image->mount);
		goto free_image;
	}

	staging.image = image;
	INIT_WORK_ONSTACK(&staging.work, stage);
	queue_work(UMD_UNBOUND_WQ, &staging.work);
	flush_work(&staging.work);
	destroy_work_on_stack(&staging.work);
	*error = staging.error;
	if (!staging.error)
		return image;

	umd_kmsg_free(image->kmsg);
	kern_unmount(image->mount);
free_image:
	/* That is what a tmpfs says where it gets no memory; this one has no other bounds. */
	if (*error == -ENOSPC)
		*error = -ENOMEM;
	kfree(image->name);
	kfree(image);
	return NULL;
}

/* The mount, without a reference; it lives as long as the image. */
struct vfsmount *umd_image_mount(const struct umd_image *image)
{
	return image->mount;
}

/* A process that still runs keeps the mount until it is gone. */
void umd_image_free(struct umd_image *image)
{
	umd_kmsg_free(image->kmsg);
	kern_unmount(image->mount);
	kfree(image->name);
	kfree(image);
}

/*
 * For the child, before exec: the image's mount is its root, unless it needs the system's, and that of first,
 * which is executed first, its working directory.
 */
void umd_image_enter(struct umd_image *image, struct umd_image *first)
{
	struct path root = { .mnt = image->mount, .dentry = image->mount->mnt_root };
	struct path pwd = { .mnt = first->mount, .dentry = first->mount->mnt_root };
	struct fs_struct *fs = current->fs;
	struct path old_root = {}, old_pwd;

	path_get(&pwd);
	if (image->plan.profile >= UMD_PROFILE_BASIC)
		path_get(&root);
#ifdef UMD_FS_STRUCT_SEQLOCK
	write_seqlock(&fs->seq);
#else
	spin_lock(&fs->lock);
	write_seqcount_begin(&fs->seq);
#endif
	old_pwd = fs->pwd;
	fs->pwd = pwd;
	if (image->plan.profile >= UMD_PROFILE_BASIC) {
		old_root = fs->root;
		fs->root = root;
	}
#ifdef UMD_FS_STRUCT_SEQLOCK
	write_sequnlock(&fs->seq);
#else
	write_seqcount_end(&fs->seq);
	spin_unlock(&fs->lock);
#endif
	path_put(&old_root);
	path_put(&old_pwd);
}
