// SPDX-License-Identifier: GPL-2.0-only
/*
 * A blob becomes an executable that nobody can name, read or write: a file in a tmpfs mount of its
 * own, which is in no mount table.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "image.h"
#include "shim.h"

struct staging {
	struct work_struct work;
	struct vfsmount *mount;
	const char *name;
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

/*
 * Context: a kworker. Only there may the file be closed on the spot (__fput_sync); closed later, it
 * would still be open for writing when it is executed: ETXTBSY.
 */
static void stage(struct work_struct *work)
{
	struct staging *staging = container_of(work, struct staging, work);
	struct dentry *root = staging->mount->mnt_root;
	struct file *file = file_open_root_mnt(staging->mount, staging->name,
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

	inode_lock(d_inode(root));
	d_inode(root)->i_mode = S_IFDIR | 0555;
	inode_unlock(d_inode(root));
	root->d_sb->s_flags |= SB_RDONLY;
}

/*
 * Ownership: the image is the caller's, until umd_image_free(); name and data stay the caller's and
 * are not used after the return.
 */
struct umd_image *umd_image_new(const char *name, const void *data, size_t len, int *error)
{
	struct staging staging = { .name = name, .data = data, .len = len };
	struct file_system_type *type;
	struct umd_image *image;

	*error = -ENOMEM;
	image = kzalloc(sizeof(*image), GFP_KERNEL);
	if (!image)
		return NULL;
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

	staging.mount = image->mount;
	INIT_WORK_ONSTACK(&staging.work, stage);
	queue_work(UMD_UNBOUND_WQ, &staging.work);
	flush_work(&staging.work);
	destroy_work_on_stack(&staging.work);
	*error = staging.error;
	if (!staging.error)
		return image;

	kern_unmount(image->mount);
free_image:
	kfree(image);
	return NULL;
}

/* A process that still runs keeps the mount until it is gone. */
void umd_image_free(struct umd_image *image)
{
	kern_unmount(image->mount);
	kfree(image);
}

/* For the child, before exec: the mount's root is its root and its working directory. */
void umd_image_enter(struct umd_image *image)
{
	struct path root = { .mnt = image->mount, .dentry = image->mount->mnt_root };
	struct fs_struct *fs = current->fs;
	struct path old_root, old_pwd;

	path_get(&root);
	path_get(&root);
#ifdef UMD_FS_STRUCT_SEQLOCK
	write_seqlock(&fs->seq);
#else
	spin_lock(&fs->lock);
	write_seqcount_begin(&fs->seq);
#endif
	old_root = fs->root;
	old_pwd = fs->pwd;
	fs->root = root;
	fs->pwd = root;
#ifdef UMD_FS_STRUCT_SEQLOCK
	write_sequnlock(&fs->seq);
#else
	write_seqcount_end(&fs->seq);
	spin_unlock(&fs->lock);
#endif
	path_put(&old_root);
	path_put(&old_pwd);
}
