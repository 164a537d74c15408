// SPDX-License-Identifier: GPL-2.0-only
/* Lines in the kernel log. Rate limited: a hostile handler must not fill it. */
#define pr_fmt(fmt) "umd: " fmt
#include <linux/printk.h>
#include "shim.h"

/* what is not terminated: len bytes of it. pid 0: no handler in particular. */
void umd_log_failure(const char *driver, int pid, const char *what, size_t len, int error)
{
	if (pid)
		pr_warn_ratelimited("%s: handler %d: %.*s (error %d)\n", driver, pid, (int)len,
				    what, error);
	else
		pr_warn_ratelimited("%s: %.*s (error %d)\n", driver, (int)len, what, error);
}

/* name is not terminated: len bytes of it. */
void umd_log_denied(const char *driver, int pid, const char *name, size_t len, u32 number)
{
	pr_warn_ratelimited("%s: handler %d made a system call that its lockdown denies: %.*s (%u)\n",
			    driver, pid, (int)len, name, number);
}

void umd_log_exit(const char *driver, int pid, u32 status)
{
	if (status & 0x7f)
		pr_info_ratelimited("%s: handler %d was ended by signal %u\n", driver, pid,
				    status & 0x7f);
	else
		pr_info_ratelimited("%s: handler %d exited with status %u\n", driver, pid,
				    (status >> 8) & 0xff);
}
