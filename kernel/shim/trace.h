/* SPDX-License-Identifier: GPL-2.0-only */
/* Trace events, in /sys/kernel/tracing/events/umd/. Described in docs/tracing.md. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM umd

#if !defined(UMD_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define UMD_TRACE_H

#include <linux/pid.h>
#include <linux/tracepoint.h>

#define UMD_TRACE_NAME 32

TRACE_EVENT(umd_start,
	TP_PROTO(const char *driver, struct pid *pid, int error),
	TP_ARGS(driver, pid, error),
	TP_STRUCT__entry(
		__array(char, driver, UMD_TRACE_NAME)
		__field(int, pid)
		__field(int, error)
	),
	TP_fast_assign(
		strscpy(__entry->driver, driver, UMD_TRACE_NAME);
		__entry->pid = pid_nr(pid);
		__entry->error = error;
	),
	TP_printk("driver=%s pid=%d error=%d", __entry->driver, __entry->pid, __entry->error)
);

TRACE_EVENT(umd_request,
	TP_PROTO(const char *driver, struct pid *pid, u32 id, u32 len),
	TP_ARGS(driver, pid, id, len),
	TP_STRUCT__entry(
		__array(char, driver, UMD_TRACE_NAME)
		__field(int, pid)
		__field(u32, id)
		__field(u32, len)
	),
	TP_fast_assign(
		strscpy(__entry->driver, driver, UMD_TRACE_NAME);
		__entry->pid = pid_nr(pid);
		__entry->id = id;
		__entry->len = len;
	),
	TP_printk("driver=%s pid=%d id=%u len=%u", __entry->driver, __entry->pid, __entry->id,
		  __entry->len)
);

TRACE_EVENT(umd_reply,
	TP_PROTO(const char *driver, struct pid *pid, u32 id, int result),
	TP_ARGS(driver, pid, id, result),
	TP_STRUCT__entry(
		__array(char, driver, UMD_TRACE_NAME)
		__field(int, pid)
		__field(u32, id)
		__field(int, result)
	),
	TP_fast_assign(
		strscpy(__entry->driver, driver, UMD_TRACE_NAME);
		__entry->pid = pid_nr(pid);
		__entry->id = id;
		__entry->result = result;
	),
	TP_printk("driver=%s pid=%d id=%u result=%d", __entry->driver, __entry->pid, __entry->id,
		  __entry->result)
);

TRACE_EVENT(umd_timeout,
	TP_PROTO(const char *driver, struct pid *pid),
	TP_ARGS(driver, pid),
	TP_STRUCT__entry(
		__array(char, driver, UMD_TRACE_NAME)
		__field(int, pid)
	),
	TP_fast_assign(
		strscpy(__entry->driver, driver, UMD_TRACE_NAME);
		__entry->pid = pid_nr(pid);
	),
	TP_printk("driver=%s pid=%d", __entry->driver, __entry->pid)
);

TRACE_EVENT(umd_exit,
	TP_PROTO(const char *driver, struct pid *pid, u32 status),
	TP_ARGS(driver, pid, status),
	TP_STRUCT__entry(
		__array(char, driver, UMD_TRACE_NAME)
		__field(int, pid)
		__field(u32, status)
	),
	TP_fast_assign(
		strscpy(__entry->driver, driver, UMD_TRACE_NAME);
		__entry->pid = pid_nr(pid);
		__entry->status = status;
	),
	TP_printk("driver=%s pid=%d code=%u signal=%u", __entry->driver, __entry->pid,
		  (__entry->status >> 8) & 0xff, __entry->status & 0x7f)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
