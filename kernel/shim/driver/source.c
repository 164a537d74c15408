// SPDX-License-Identifier: GPL-2.0-only
/* A file of the calling task's, which Rust reads. */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sched/signal.h>
#include "driver.h"

/*
 * The task's descriptor of a regular file that it may read: others could keep a reader for ever.
 * Ownership: the caller's, until umd_mod_source_put().
 */
struct file *umd_mod_source_get(s32 fd, int *error)
{
	struct file *file = fget(fd);

	*error = -EBADF;
	if (!file)
		return NULL;
	if (file->f_mode & FMODE_READ) {
		*error = -EINVAL;
		if (S_ISREG(file_inode(file)->i_mode)) {
			*error = 0;
			return file;
		}
	}
	fput(file);
	return NULL;
}

/* How many bytes there were from @at on; 0 at the end. Context: may sleep, killable. */
ssize_t umd_mod_source_read(struct file *file, u8 *to, size_t len, u64 at)
{
	loff_t pos = at;

	if (fatal_signal_pending(current))
		return -EINTR;
	cond_resched();
	return kernel_read(file, to, len, &pos);
}

void umd_mod_source_put(struct file *file)
{
	fput(file);
}
