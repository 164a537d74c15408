// SPDX-License-Identifier: GPL-2.0-only
/* The module itself, and what it exports. */
#include <linux/module.h>
#include <linux/umd.h>
#include "shim.h"

EXPORT_SYMBOL_GPL(umd_driver_register);
EXPORT_SYMBOL_GPL(umd_driver_start);
EXPORT_SYMBOL_GPL(umd_driver_call);
EXPORT_SYMBOL_GPL(umd_driver_unregister);
EXPORT_SYMBOL_GPL(umd_worker_call);

/* What driver modules in Rust need besides. */
EXPORT_SYMBOL_GPL(umd_alloc);
EXPORT_SYMBOL_GPL(umd_free);
EXPORT_SYMBOL_GPL(umd_alloc_big);
EXPORT_SYMBOL_GPL(umd_free_big);
EXPORT_SYMBOL_GPL(umd_now);
EXPORT_SYMBOL_GPL(umd_file_new);
EXPORT_SYMBOL_GPL(umd_file_free);

static int __init umd_init(void)
{
	int error;

	/* The handler's path would be replaced by somebody else's. */
	if (IS_ENABLED(CONFIG_STATIC_USERMODEHELPER)) {
		pr_err("umd: this kernel executes nothing but CONFIG_STATIC_USERMODEHELPER_PATH\n");
		return -EOPNOTSUPP;
	}
	error = umd_process_init();
	if (error)
		return error;
	error = umd_sysfs_init();
	if (error)
		umd_process_exit();
	return error;
}

/* No handler lives any more: each one holds a reference to this module. */
static void __exit umd_exit(void)
{
	umd_sysfs_exit();
	umd_process_exit();
}

module_init(umd_init);
module_exit(umd_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("User mode drivers");
MODULE_AUTHOR("The umd authors");
