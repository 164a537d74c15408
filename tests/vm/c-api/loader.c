// SPDX-License-Identifier: GPL-2.0-only
/* umd_c_loader.ko: the loader for the first struct umd_mgmt of umd_c_api.ko. */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/usermode_driver_mgmt.h>

#include "blob.h"

extern struct umd_mgmt umd_c_api_mgmts[];

BLOB(handler, ".init.rodata", STATIC_HANDLER);

static int __init loader_init(void)
{
	return umd_mgmt_load(&umd_c_api_mgmts[0], handler_start, handler_end);
}

static void __exit loader_exit(void)
{
	umd_mgmt_unload(&umd_c_api_mgmts[0]);
}

module_init(loader_init);
module_exit(loader_exit);
MODULE_DESCRIPTION("Loader for the test suite");
MODULE_LICENSE("GPL");
