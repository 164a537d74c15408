// SPDX-License-Identifier: GPL-2.0-only
/* The module itself, and what it exports. */
#include <linux/module.h>
#include <linux/umd.h>
#include <linux/usermode_driver_mgmt.h>
#include "shim.h"

EXPORT_SYMBOL_GPL(umd_driver_register);
EXPORT_SYMBOL_GPL(umd_driver_start);
EXPORT_SYMBOL_GPL(umd_driver_call);
EXPORT_SYMBOL_GPL(umd_driver_abort);
EXPORT_SYMBOL_GPL(umd_driver_unregister);
EXPORT_SYMBOL_GPL(umd_worker_call);
EXPORT_SYMBOL_GPL(umd_driver_provide);
EXPORT_SYMBOL_GPL(umd_driver_withdraw);

/* <linux/usermode_driver.h>, <linux/usermode_driver_mgmt.h> */
EXPORT_SYMBOL_GPL(umd_load_blob);
EXPORT_SYMBOL_GPL(umd_load_blob_with);
EXPORT_SYMBOL_GPL(umd_unload_blob);
EXPORT_SYMBOL_GPL(fork_usermode_driver);
EXPORT_SYMBOL_GPL(umd_cleanup_helper);
EXPORT_SYMBOL_GPL(umd_send_recv);
EXPORT_SYMBOL_GPL(umd_thread_group_exited);
EXPORT_SYMBOL_GPL(umd_mgmt_send_recv);
EXPORT_SYMBOL_GPL(umd_mgmt_load);
EXPORT_SYMBOL_GPL(umd_mgmt_load_with);
EXPORT_SYMBOL_GPL(umd_mgmt_unload);

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
	error = umd_clock_init();
	if (error)
		return error;
	error = umd_process_init();
	if (error)
		goto clock;
	error = umd_guard_init();
	if (error)
		goto process;
	error = umd_sysfs_init();
	if (error)
		goto guard;
	error = umd_kmsg_init();
	if (error)
		goto sysfs;
	error = umd_launcher_init();
	if (error)
		goto kmsg;
	error = umd_rs_init();
	if (error)
		goto launcher;
	umd_guard_pin();
	return 0;

launcher:
	umd_launcher_exit();
kmsg:
	umd_kmsg_exit();
sysfs:
	umd_sysfs_exit();
guard:
	umd_guard_exit();
process:
	umd_process_exit();
clock:
	umd_clock_exit();
	return error;
}

/* No handler lives any more: each one holds a reference to this module. */
static void __exit umd_exit(void)
{
	umd_sysfs_exit();
	umd_process_exit();
	umd_guard_exit();
	umd_rs_exit();
	umd_launcher_exit();
	umd_kmsg_exit();
	umd_clock_exit();
}

module_init(umd_init);
module_exit(umd_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("User mode drivers");
MODULE_AUTHOR("The umd authors");
