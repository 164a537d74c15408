/* SPDX-License-Identifier: GPL-2.0-only */
/* What the sample's manager and its handler say to each other. */
#ifndef SAMPLE_C_H
#define SAMPLE_C_H

#include <linux/types.h>

/* Bytes in a reply. */
#define SAMPLE_C_SIZE (128 * 1024)

/* Asks for a reply that is all zeros, but for a 1 at this offset. */
struct sample_c_request {
	__u32 offset;
};

#endif
