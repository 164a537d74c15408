/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * User mode drivers: run code that the kernel must not trust as a locked-down process, and ask it
 * like a function.
 *
 * All functions may sleep, and must be called without locks that an interrupt or the handler could
 * want. Errors are negative errnos; docs/errors.md tells what each means.
 */
#ifndef _LINUX_UMD_H
#define _LINUX_UMD_H

#include <linux/types.h>

struct umd_driver;
struct umd_worker;

enum umd_framing {
	UMD_FRAMED = 0,		/* handlers that use the umd-handler runtime */
	UMD_RAW = 1,		/* bytes in, bytes out; both of fixed sizes */
};

/* What a handler gives up before it serves. */
enum umd_lockdown {
	UMD_LOCKDOWN_DEFAULT = 0,	/* UMD_STRICT here; UMD_BASIC for <linux/usermode_driver.h> */
	UMD_STRICT = 1,			/* all but read and write of its channel */
	UMD_BASIC = 2,			/* capabilities, new privileges, the system's files, what reaches others */
	UMD_SYSTEM_ROOT = 3,		/* as UMD_BASIC, but it sees the system's files */
	UMD_UNCONFINED = 4,		/* nothing: it is root, as handlers of the in-tree facility were */
	UMD_COMPUTE = 5,		/* as UMD_STRICT, but memory, locks, clocks: for standard libraries */
	UMD_CUSTOM = 6,			/* as UMD_STRICT, but the system calls of a list besides */
};

/* When a handler runs, among the others of the system. */
enum umd_priority {
	UMD_PRIORITY_NICE = 0,		/* always with its nice value */
	UMD_PRIORITY_INHERIT = 1,	/* one below a real-time caller's priority while that is served */
};

/*
 * What a handler gives up, and what it is given; a member of the two structures below. 0 stands for the default.
 *
 * @lockdown:		enum umd_lockdown; docs/lockdown.md has the table
 * @syscalls:		for UMD_CUSTOM: the numbers (x86_64, below 512) of system calls that it may make, and
 * @syscalls_count:	how many there are
 * @memory_max:		its address space in bytes; 0: 64 MiB
 * @nice:		-20 to 19
 * @priority:		enum umd_priority
 */
struct umd_confinement {
	u32 lockdown;
	u32 syscalls_count;
	const u16 *syscalls;
	u64 memory_max;
	s32 nice;
	u32 priority;
};

/*
 * What a driver is. All memory stays the caller's; only data is used after the registration.
 *
 * @size:		sizeof(struct umd_driver_config), so that it can grow
 * @framing:		enum umd_framing
 * @name:		of the driver and of its directory in /sys/kernel/umd; 1 to 31 of
 *			a-z A-Z 0-9 _ and -
 * @blob:		the handler's executable, a static ELF; may be freed after the registration
 * @blob_len:		bytes in it
 * @deadline_ns:	for a call, from its begin; 0: one second
 * @start_deadline_ns:	from exec to hello, health check included; 0: five seconds
 * @request_max:	longest request in bytes; 0: 1 MiB
 * @queue_max:		callers that may wait, at most 64; 0: 64
 * @restart_budget:	deaths in a row that are forgiven, and
 * @restart_window_ns:	within which time; 0 for both: five within a minute
 * @kmod:		the loader: the module that carries the handler and calls umd_driver_provide(); loaded
 *			when a call finds no handler. May be NULL where there is a blob, and @blob may be
 *			NULL where there is a loader
 * @confinement:	what it gives up, and what it is given
 * @health_check:	called after each start, which can be before the registration returns, before the handler serves anybody; asks by
 *			umd_worker_call() only. 0 or a negative errno, which ends the handler.
 *			May be NULL.
 * @data:		passed to health_check
 */
struct umd_driver_config {
	u32 size;
	u32 framing;
	const char *name;
	const void *blob;
	size_t blob_len;
	u64 deadline_ns;
	u64 start_deadline_ns;
	u32 request_max;
	u32 queue_max;
	u32 restart_budget;
	u32 reserved;			/* 0 */
	u64 restart_window_ns;
	const char *kmod;
	struct umd_confinement confinement;
	int (*health_check)(struct umd_worker *worker, void *data);
	void *data;
};

/*
 * Why a call failed, beyond its errno; filled in on failure only. The numbers are those of
 * umd_core::error::Error::code().
 */
struct umd_failure {
	u32 kind;
	u32 detail;
};

/* Stages the image. A pointer, or an ERR_PTR(). The handler is started by the first call. */
struct umd_driver *umd_driver_register(const struct umd_driver_config *config);

/* Starts a handler if none is in service. 0 or a negative errno. @failure may be NULL. */
int umd_driver_start(struct umd_driver *driver, struct umd_failure *failure);

/*
 * Asks the handler: @request_len bytes at @request; at most @reply_size bytes come back into @reply.
 * @deadline_ns, where not 0, takes the place of the driver's. Returns the length of the reply or a
 * negative errno. Both buffers are ordinary kernel memory: kmalloc, vmalloc, a slab cache,
 * static data, or the stack. The wait ends by the reply, the deadline, the handler's death, or a fatal signal.
 * @failure may be NULL.
 */
ssize_t umd_driver_call(struct umd_driver *driver, const void *request, size_t request_len,
			void *reply, size_t reply_size, u64 deadline_ns,
			struct umd_failure *failure);

/*
 * Ends the calls in flight and each one to come, with -ESHUTDOWN, and kills the handler; waits for
 * nobody. For drivers that must see their callers gone before they can unregister.
 */
void umd_driver_abort(struct umd_driver *driver);

/*
 * Aborts the calls in flight and waits until they have returned, kills the handler, waits for its
 * death (at most 5 s) and frees. No call may begin any more once this has begun; and whoever calls
 * without holding a reference to the module must be seen to have left its code before its exit returns.
 */
void umd_driver_unregister(struct umd_driver *driver);

/*
 * For a loader: gives the driver of this name, registered before with a @kmod, its handler. The blob may be
 * freed after the return. A pointer, or an ERR_PTR(): -ENODEV: no such driver; -EBUSY: it has a handler.
 * Where the driver goes first, the next one that is registered by its name has this handler.
 */
struct umd_image_lease *umd_driver_provide(const char *name, const void *blob, size_t len);

/* Takes it away again: calls in flight end first (within the deadline), then the handler is killed. */
void umd_driver_withdraw(struct umd_image_lease *lease);

/*
 * For users of <linux/usermode_driver.h> and <linux/usermode_driver_mgmt.h> who want other values than the
 * defaults. 0 stands for the default.
 */
struct umd_options {
	u32 size;			/* sizeof(struct umd_options), so that it can grow */
	u32 reserved;			/* 0 */
	u64 deadline_ns;		/* for a call, a read, a write; default 2 s */
	u64 start_deadline_ns;		/* for post_start; default 5 s */
	struct umd_confinement confinement;
};

struct umd_info;
struct umd_mgmt;
int umd_load_blob_with(struct umd_info *info, const void *data, size_t len,
		       const struct umd_options *options);
int umd_mgmt_load_with(struct umd_mgmt *mgmt, char *start, char *end,
		       const struct umd_options *options);

/* As umd_driver_call(), for the health check: asks the handler that was just started. */
ssize_t umd_worker_call(struct umd_worker *worker, const void *request, size_t request_len,
			void *reply, size_t reply_size);

#endif
