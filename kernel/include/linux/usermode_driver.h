/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * User mode drivers for modules in C that own their process themselves: load a blob, fork it, talk to
 * it over two files. Source compatible with the header of this name that kernels had until 6.16.
 *
 * What is better than it was:
 *
 * - No wait is for ever. A read that gets nothing, a write that nobody takes, an exchange: each ends by
 *   the bytes, the handler's death (-EFAULT; a read says 0, a write -EPIPE), a fatal signal (-EINTR), or
 *   the driver's deadline, at which a timer kills the handler (-ETIMEDOUT). 2 s; see
 *   /sys/kernel/umd/<driver_name>/deadline_ms and <linux/umd.h>.
 * - No caller dies of SIGPIPE, and no signal to a caller kills the handler.
 * - The handler has no capability, no_new_privs, tight limits, and a root that holds its image and
 *   /dev/kmsg only (a dynamically linked one: the system's root). Lines that it writes there have
 *   the driver's name in front.
 *
 * docs/c-api.md lists every call with its errors. All functions may sleep; none may be called in atomic
 * context. One struct umd_info belongs to one owner: calls on it are not to be made in parallel, but for
 * umd_send_recv() and the two files.
 */
#ifndef __LINUX_USERMODE_DRIVER_H__
#define __LINUX_USERMODE_DRIVER_H__

#include <linux/path.h>
#include <linux/sched/signal.h>
#include <linux/umh.h>

struct file;
struct pid;

/*
 * @driver_name:	the owner's; argv[0] of the handler, and its directory in /sys/kernel/umd
 * @pipe_to_umh:	kernel_write() to the handler's fd 0; holds 64 KiB, more waits
 * @pipe_from_umh:	kernel_read() from the handler's fd 1; gives what there is, at least one byte
 * @wd:			the image's private mount; set from load to unload
 * @tgid:		the handler's process; set from fork to cleanup
 */
struct umd_info {
	const char *driver_name;
	struct file *pipe_to_umh;
	struct file *pipe_from_umh;
	struct path wd;
	struct pid *tgid;
};

/*
 * Copies the executable, an ELF file of @len bytes at @data, to a mount of its own.
 * -EBUSY: there is one already. -EINVAL: no info, name or data, or a name with a slash. -ENOMEM.
 */
int umd_load_blob(struct umd_info *info, const void *data, size_t len);

/* Lets go of the copy. A process that still runs keeps it. -EINVAL: there is none. */
int umd_unload_blob(struct umd_info *info);

/*
 * Executes the copy, and sets the two files and @tgid. -EBUSY: @tgid is set already. -EINVAL: nothing is
 * loaded. Else what exec said, -ENOEXEC for what is no executable.
 */
int fork_usermode_driver(struct umd_info *info);

/*
 * Closes both files and drops @tgid; a process that still lives is killed when both files are closed,
 * which is at the latest when the calling task returns to user space. Does nothing where nothing is set.
 */
void umd_cleanup_helper(struct umd_info *info);

/*
 * Sends @in_len bytes, receives exactly @out_len. Both may be of any size, and 0; a handler may reply
 * while it still reads. 0; -EFAULT: no process, it died, or it broke the order of things (it wrote before
 * it read, or what it wrote earlier is still unread: then it is killed); -ETIMEDOUT: the deadline passed,
 * it is killed; -EINTR: the caller is being killed, and the handler is not.
 */
int umd_send_recv(struct umd_info *info, void *in, size_t in_len, void *out, size_t out_len);

/* Kernels from 6.9 on have none. */
bool umd_thread_group_exited(struct pid *pid);
#define thread_group_exited(pid) umd_thread_group_exited(pid)

#endif
