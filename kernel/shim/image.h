/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UMD_IMAGE_H
#define UMD_IMAGE_H

#include <linux/types.h>

struct vfsmount;

/* What a process gives up: umd_core::policy::Lockdown. Each gives up what the ones before it do. */
enum umd_profile {
	UMD_PROFILE_UNCONFINED = 0,
	UMD_PROFILE_SYSTEM_ROOT = 1,
	UMD_PROFILE_BASIC = 2,
	UMD_PROFILE_STRICT = 3,
};

/*
 * @foreign:	made for the in-tree facility: it knows nothing of us. Its fds are 0 and 1, and the launcher gives
 *		up for it what only the process itself can
 */
struct umd_image {
	struct vfsmount *mount;
	enum umd_profile profile;
	bool foreign;
	char *name;
};

static inline bool umd_image_is_launched(const struct umd_image *image)
{
	return image->foreign && image->profile != UMD_PROFILE_UNCONFINED;
}

void umd_image_enter(struct umd_image *image, struct umd_image *first);

/* launcher.c: executed in a handler's place first, where that knows nothing of us. */
extern struct umd_image *umd_launcher;

#endif
