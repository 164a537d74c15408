// SPDX-License-Identifier: GPL-2.0-only
/* The trace events' other side. */
#include <linux/string.h>
#include "shim.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

void umd_trace_start(const char *driver, struct pid *pid, int error)
{
	trace_umd_start(driver, pid, error);
}

void umd_trace_request(const char *driver, struct pid *pid, u32 id, u32 len)
{
	trace_umd_request(driver, pid, id, len);
}

void umd_trace_reply(const char *driver, struct pid *pid, u32 id, int result)
{
	trace_umd_reply(driver, pid, id, result);
}

void umd_trace_timeout(const char *driver, struct pid *pid)
{
	trace_umd_timeout(driver, pid);
}

void umd_trace_exit(const char *driver, struct pid *pid, u32 status)
{
	trace_umd_exit(driver, pid, status);
}
