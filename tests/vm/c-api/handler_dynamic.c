// SPDX-License-Identifier: GPL-2.0-only
/* The same with the system's C library: linked when it is executed. */
#include "handler.c"
