/* SPDX-License-Identifier: GPL-2.0-only */
/* What the test modules in C and their handler say to each other. */
#ifndef ASKED_H
#define ASKED_H

#include <linux/types.h>

/* The first four bytes of each request. So that these may be all, lengths are places in SIZES. */
struct asked {
	/* A letter: see handler.c. */
	__u8 what;
	__u8 in;
	__u8 out;
	__u8 number;
};

static const unsigned int SIZES[] = {
	0, 4, 5, 64, 4096, 65536, 65537, 131072, 307200, 1048576, 4194304,
};

#define SIZES_LEN (sizeof(SIZES) / sizeof(SIZES[0]))

#endif
