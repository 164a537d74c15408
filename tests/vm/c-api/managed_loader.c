// SPDX-License-Identifier: GPL-2.0-only
/* umd_c_managed_loader.ko: the loader that belongs to it. */
#include <linux/module.h>
#include <linux/usermode_driver_mgmt.h>

#include "blob.h"

extern struct umd_mgmt managed_ops;

BLOB(managed_handler, ".init.rodata", STATIC_HANDLER);

static int __init load_umh(void)
{
	return umd_mgmt_load(&managed_ops, managed_handler_start, managed_handler_end);
}

static void __exit fini_umh(void)
{
	umd_mgmt_unload(&managed_ops);
}
module_init(load_umh);
module_exit(fini_umh);
MODULE_DESCRIPTION("In the style of the management library's users: loader");
MODULE_LICENSE("GPL");
