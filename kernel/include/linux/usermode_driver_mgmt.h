/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * User mode drivers for modules in C that only want to ask: the handler is loaded on demand, started, and
 * started again when it died. Source compatible with the management library that was proposed for the
 * kernel in 2023, in three parts: a manager module asks by umd_mgmt_send_recv(); a loader module carries
 * the handler, and calls umd_mgmt_load() in its init and umd_mgmt_unload() in its exit.
 *
 * The library of 2023 waited without a bound: a handler that hung hung every caller for ever, in a state
 * in which they could not be killed. Here every call ends within the deadline (2 s; see
 * /sys/kernel/umd/<driver_name>/deadline_ms and <linux/umd.h>), its turn, a start and post_start included,
 * and a caller can be killed at any time without harm to the handler.
 */
#ifndef __LINUX_USERMODE_DRIVER_MGMT_H__
#define __LINUX_USERMODE_DRIVER_MGMT_H__

#include <linux/mutex.h>
#include <linux/usermode_driver.h>

/*
 * @info:		driver_name is the owner's, and tgid is set to NULL by it; the rest is the library's
 * @lock:		initialised by the owner. Held when info changes, and during post_start; not during
 *			an exchange
 * @post_start:		called after each start, before the handler serves anybody, with @lock held; may
 *			call umd_send_recv(&mgmt->info, ...) and use the two files. An error kills the
 *			handler and is returned by whoever wanted it started. May be NULL
 * @kmod:		the module to load when there is no handler; may be NULL
 * @kmod_loaded:	there is one; false at the beginning
 */
struct umd_mgmt {
	struct umd_info info;
	struct mutex lock;
	int (*post_start)(struct umd_mgmt *mgmt);
	const char *kmod;
	bool kmod_loaded;
};

/*
 * Sends @in_len bytes, receives exactly @out_len; loads and starts the handler where necessary. A handler
 * that died before it had read a byte of the request is replaced, and asked once more; one that wrote what
 * nobody had asked for is replaced before it is asked.
 *
 * 0; -ENOPROTOOPT: nothing is loaded, and loading @kmod brought nothing (after a failure modprobe is not
 * run again at once: half a second, then twice as long each time, at most 30 s; while it runs, or @kmod is
 * on its way out, callers wait); -EFAULT: the handler died
 * with the request in hand or broke the order of things; -ETIMEDOUT: the deadline passed; -EINTR: the
 * caller is being killed; -EAGAIN: 64 callers wait already; -EINVAL: no @mgmt, or no buffer where there is
 * a length; else what exec or post_start said.
 */
int umd_mgmt_send_recv(struct umd_mgmt *mgmt, void *in, size_t in_len, void *out, size_t out_len);

/*
 * For the loader: takes a copy of the executable from @start to @end, and starts it. -EBUSY: there is one
 * already. -EINVAL: nothing between @start and @end, or no name. Else as the start ended; then nothing is
 * loaded.
 */
int umd_mgmt_load(struct umd_mgmt *mgmt, char *start, char *end);

/*
 * For the loader: lets the calls in flight end (within the deadline), kills the handler, waits for its
 * death (at most 5 s) and lets go of the copy. Does nothing where nothing is loaded.
 */
void umd_mgmt_unload(struct umd_mgmt *mgmt);

#endif
