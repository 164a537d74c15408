// SPDX-License-Identifier: GPL-2.0-only
/*
 * The channel: an anonymous file whose reads and writes Rust serves, in the handler's own context.
 * It belongs to umd.ko, so whoever holds a copy of it keeps umd.ko loaded.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include "shim.h"

/* Before 6.4 it was a plain member. */
#ifdef iter_iov_addr
#define UMD_IOVEC(iter) iter_iov(iter)
#else
#define UMD_IOVEC(iter) ((iter)->iov)
#endif

static ssize_t channel_read(struct file *file, char __user *to, size_t len, loff_t *pos)
{
	ssize_t got = umd_rs_channel_read(file->private_data, to, len, file->f_flags & O_NONBLOCK);

	/*
	 * It was the handler itself, with a request: root may have made it a better one for the OOM killer. As the kernel's
	 * own writers set this, but for their lock, which orders them among each other.
	 */
	if (got > 0 && unlikely(current->signal->oom_score_adj != UMD_OOM_SCORE_ADJ))
		WRITE_ONCE(current->signal->oom_score_adj, UMD_OOM_SCORE_ADJ);
	return got;
}

static ssize_t channel_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	return umd_rs_channel_write(file->private_data, from, len, file->f_flags & O_NONBLOCK);
}

/*
 * readv(2), which some C libraries read with: one part, for a second one would wait for more than there is.
 */
static ssize_t channel_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	const struct iovec *part;
	struct file *file = iocb->ki_filp;
	size_t skip = to->iov_offset;
	unsigned long i;

	if (iter_is_ubuf(to))
		return channel_read(file, to->ubuf + skip, iov_iter_count(to), NULL);
	if (!iter_is_iovec(to))
		return -EINVAL;
	part = UMD_IOVEC(to);
	for (i = 0; i < to->nr_segs; i++, skip = 0)
		if (part[i].iov_len > skip)
			return channel_read(file, part[i].iov_base + skip,
					    min(part[i].iov_len - skip, iov_iter_count(to)), NULL);
	return 0;
}

static __poll_t channel_poll(struct file *file, struct poll_table_struct *table)
{
	return (__force __poll_t)umd_rs_channel_poll(file->private_data, file, table);
}

static int channel_release(struct inode *inode, struct file *file)
{
	umd_rs_channel_release(file->private_data);
	return 0;
}

static const struct file_operations channel_fops = {
	.owner = THIS_MODULE,
	.read = channel_read,
	.read_iter = channel_read_iter,
	.write = channel_write,
	.poll = channel_poll,
	.release = channel_release,
};

/*
 * Ownership: the file is the caller's. On success it holds the caller's reference
 * to process, which umd_rs_channel_release() gives back.
 */
struct file *umd_channel_file(void *process, int *error)
{
	struct file *file = anon_inode_getfile("[umd]", &channel_fops, process, O_RDWR);

	if (IS_ERR(file)) {
		*error = PTR_ERR(file);
		return NULL;
	}
	/* A stream: no position, hence no lock around it. */
	file->f_mode &= ~(FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE | FMODE_ATOMIC_POS);
	file->f_mode |= FMODE_STREAM;
	*error = 0;
	return file;
}

/* Is this the channel of that process? */
bool umd_channel_is(const struct file *file, const void *process)
{
	return file->f_op == &channel_fops && file->private_data == process;
}

/*
 * Raw, for the memory is what the module wants handed over, wherever it lies: a slab cache or static data of
 * its own too, which usercopy hardening would not let pass.
 * Context: the handler's task, under a spinlock. A page that is not there ends the copy, so the
 * handler cannot make it wait.
 */
size_t umd_copy_to_handler(void __user *to, const void *from, size_t len)
{
	size_t left = len;

	if (!access_ok(to, len))
		return len;
	pagefault_disable();
	left = raw_copy_to_user(to, from, len);
	pagefault_enable();
	return left;
}

/* Context: as above. Beyond what was copied the destination keeps its bytes. */
size_t umd_copy_from_handler(void *to, const void __user *from, size_t len)
{
	size_t left = len;

	if (!access_ok(from, len))
		return len;
	pagefault_disable();
	left = raw_copy_from_user(to, from, len);
	pagefault_enable();
	return left;
}

/* Context: as above. */
size_t umd_clear_handler(void __user *to, size_t len)
{
	while (len) {
		size_t part = min_t(size_t, len, PAGE_SIZE);
		size_t left = umd_copy_to_handler(to, page_address(ZERO_PAGE(0)), part);

		to += part - left;
		len -= part - left;
		if (left)
			break;
	}
	return len;
}

/* Context: the handler's task, no locks: this may wait as long as the handler's memory wants. */
size_t umd_fault_in_writeable(void __user *to, size_t len)
{
	return fault_in_writeable(to, len);
}

size_t umd_fault_in_readable(const void __user *from, size_t len)
{
	return fault_in_readable(from, len);
}
