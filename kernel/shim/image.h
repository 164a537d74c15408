/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UMD_IMAGE_H
#define UMD_IMAGE_H

struct vfsmount;

struct umd_image {
	struct vfsmount *mount;
};

void umd_image_enter(struct umd_image *image);

#endif
