// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two files by which the owner of a process in C reaches it, in place of two pipes: kernel_write() to the
 * one, kernel_read() from the other. They belong to umd.ko, so whoever holds one keeps umd.ko loaded.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/uio.h>
#include "shim.h"

/* What kernel_read() and kernel_write() pass: one piece of kernel memory. */
static void *memory(const struct iov_iter *iter)
{
	return iov_iter_is_kvec(iter) ? iter->kvec->iov_base + iter->iov_offset : NULL;
}

static ssize_t stream_write(struct kiocb *iocb, struct iov_iter *from)
{
	size_t len = min(iov_iter_count(from), iov_iter_single_seg_count(from));
	void *data = memory(from);

	if (!data)
		return len ? -EINVAL : 0;
	return umd_rs_stream_write(iocb->ki_filp->private_data, data, len);
}

static ssize_t stream_read(struct kiocb *iocb, struct iov_iter *to)
{
	size_t len = min(iov_iter_count(to), iov_iter_single_seg_count(to));
	void *data = memory(to);

	if (!data)
		return len ? -EINVAL : 0;
	return umd_rs_stream_read(iocb->ki_filp->private_data, data, len);
}

static int release_to(struct inode *inode, struct file *file)
{
	umd_rs_stream_release(file->private_data, true);
	return 0;
}

static int release_from(struct inode *inode, struct file *file)
{
	umd_rs_stream_release(file->private_data, false);
	return 0;
}

static const struct file_operations to_fops = {
	.owner = THIS_MODULE,
	.write_iter = stream_write,
	.release = release_to,
};

static const struct file_operations from_fops = {
	.owner = THIS_MODULE,
	.read_iter = stream_read,
	.release = release_from,
};

/* Ownership: the file is the caller's, and holds a reference of its own to process. An ERR_PTR() on failure. */
struct file *umd_stream_file(void *process, bool to_handler)
{
	struct file *file = anon_inode_getfile(to_handler ? "[umd-to]" : "[umd-from]",
					       to_handler ? &to_fops : &from_fops, process,
					       to_handler ? O_WRONLY : O_RDONLY);

	if (IS_ERR(file))
		return file;
	umd_rs_process_get(process);
	/* A stream: no position, hence no lock around it. */
	file->f_mode &= ~(FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE | FMODE_ATOMIC_POS);
	file->f_mode |= FMODE_STREAM;
	return file;
}

/* The process behind the file to a handler, without a reference; NULL where it is no such file. */
void *umd_stream_process(const struct file *file)
{
	return file && file->f_op == &to_fops ? file->private_data : NULL;
}
