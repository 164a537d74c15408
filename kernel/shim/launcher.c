// SPDX-License-Identifier: GPL-2.0-only
/* The launcher's image, which umd.ko carries: crates/umd-launcher. */
#include <linux/init.h>
#include "image.h"
#include "shim.h"

struct umd_image *umd_launcher;

/* Freed with the rest of the init sections: by then it has been copied. */
asm(	".pushsection .init.rodata, \"a\"\n"
	".balign 16\n"
	"umd_launcher_start:\n"
	".incbin \"" UMD_LAUNCHER "\"\n"
	"umd_launcher_end:\n"
	".popsection\n");

extern const char umd_launcher_start[], umd_launcher_end[];

int __init umd_launcher_init(void)
{
	/* It is executed by way of other images, and has no plan of its own. */
	static const struct umd_image_plan none __initconst = { .profile = UMD_PROFILE_STRICT };
	int error = 0;

	umd_launcher = umd_image_new("umd-launcher", umd_launcher_start,
				     umd_launcher_end - umd_launcher_start, &none, &error);
	return umd_launcher ? 0 : error;
}

void umd_launcher_exit(void)
{
	umd_image_free(umd_launcher);
}
