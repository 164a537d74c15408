/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UMD_IMAGE_H
#define UMD_IMAGE_H

#include <linux/types.h>
#include "shim.h"

struct umd_kmsg;
struct vfsmount;

/* What a process gives up: umd_core::lockdown::Lockdown::number(). Each gives up what the ones before it do. */
enum umd_profile {
	UMD_PROFILE_UNCONFINED = 0,
	UMD_PROFILE_SYSTEM_ROOT = 1,
	UMD_PROFILE_BASIC = 2,
	UMD_PROFILE_CUSTOM = 3,
	UMD_PROFILE_COMPUTE = 4,
	UMD_PROFILE_STRICT = 5,
};

struct umd_image {
	struct vfsmount *mount;
	struct umd_image_plan plan;
	char *name;
	/* What its handlers say; null where they have no /dev/kmsg. */
	struct umd_kmsg *kmsg;
};

/*
 * Is the launcher executed first? It gives up for a handler what only the process itself can: that of the in-tree
 * facility knows nothing of us, and no handler is to be believed that a filter is in force.
 */
static inline bool umd_image_is_launched(const struct umd_image *image)
{
	switch (image->plan.profile) {
	case UMD_PROFILE_UNCONFINED:
		return false;
	case UMD_PROFILE_STRICT:
		return image->plan.foreign;
	default:
		return true;
	}
}

void umd_image_enter(struct umd_image *image, struct umd_image *first);

/* kmsg.c */
struct super_block;
dev_t umd_kmsg_device(void);
struct umd_kmsg *umd_kmsg_new(const char *name, const struct super_block *sb);
void umd_kmsg_free(struct umd_kmsg *log);

/* launcher.c: executed in a handler's place first; see umd_image_is_launched(). */
extern struct umd_image *umd_launcher;

#endif
