// SPDX-License-Identifier: GPL-2.0-only
/* Lines in the kernel log. Rate limited: whoever may ask a driver must not fill it. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/module.h>
#include <linux/printk.h>
#include "driver.h"

/* text is not terminated: len bytes of it. Context: any. */
void umd_mod_log(const char *text, size_t len)
{
	pr_warn_ratelimited("%.*s\n", (int)len, text);
}
