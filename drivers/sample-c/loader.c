// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sample's loader: carries the handler, and gives it to the manager. It can go at any time; the
 * manager has it loaded again when the next request comes.
 */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/usermode_driver_mgmt.h>

/* The manager's. */
extern struct umd_mgmt sample_c_mgmt;

/* From blob.S. */
extern char sample_c_handler_start[];
extern char sample_c_handler_end[];

static int __init loader_init(void)
{
	return umd_mgmt_load(&sample_c_mgmt, sample_c_handler_start, sample_c_handler_end);
}

static void __exit loader_exit(void)
{
	umd_mgmt_unload(&sample_c_mgmt);
}

module_init(loader_init);
module_exit(loader_exit);
MODULE_DESCRIPTION("Handler of the sample user mode driver in C");
MODULE_LICENSE("GPL");
