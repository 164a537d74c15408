// SPDX-License-Identifier: GPL-2.0-only
/* A driver module's entry, and the handler that it carries, if it does. */
#include <linux/init.h>
#include <linux/module.h>
#include "driver.h"

#ifdef UMD_BLOB
/* Freed with the rest of the init sections: by then umd.ko has its copy. */
asm(	".pushsection .init.rodata, \"a\"\n"
	".balign 16\n"
	"umd_mod_blob_start:\n"
	".incbin \"" UMD_BLOB "\"\n"
	"umd_mod_blob_end:\n"
	".popsection\n");

extern const char umd_mod_blob_start[], umd_mod_blob_end[];

/* Context: during init only, hence the reference to an init section. */
const void __ref *umd_mod_blob(size_t *len)
{
	*len = umd_mod_blob_end - umd_mod_blob_start;
	return umd_mod_blob_start;
}
#else
const void *umd_mod_blob(size_t *len)
{
	*len = 0;
	return NULL;
}
#endif

static int __init umd_mod_init(void)
{
	return umd_mod_rs_init();
}

static void __exit umd_mod_exit(void)
{
	umd_mod_rs_exit();
}

module_init(umd_mod_init);
module_exit(umd_mod_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("User mode driver: " KBUILD_MODNAME);
MODULE_AUTHOR("The umd authors");
