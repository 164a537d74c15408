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
	u32 reserved;
	u64 restart_window_ns;
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
 * negative errno. Both buffers are ordinary kernel memory: kmalloc, vmalloc, or the stack; not static
 * data of the kernel's own, nor a slab cache that forbids copies to user space. The wait ends by the reply, the deadline, the handler's death, or a fatal signal.
 * @failure may be NULL.
 */
ssize_t umd_driver_call(struct umd_driver *driver, const void *request, size_t request_len,
			void *reply, size_t reply_size, u64 deadline_ns,
			struct umd_failure *failure);

/*
 * Aborts the calls in flight and waits until they have returned, kills the handler, waits for its
 * death (at most 5 s) and frees. No call may begin any more once this has begun; and whoever calls
 * without holding a reference to the module must be seen to have left its code before its exit returns.
 */
void umd_driver_unregister(struct umd_driver *driver);

/* As umd_driver_call(), for the health check: asks the handler that was just started. */
ssize_t umd_worker_call(struct umd_worker *worker, const void *request, size_t request_len,
			void *reply, size_t reply_size);

#endif
