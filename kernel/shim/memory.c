// SPDX-License-Identifier: GPL-2.0-only
/* Memory for Rust. */
#include <linux/mm.h>
#include <linux/slab.h>
#include "shim.h"

/* Ownership: the caller's, until umd_free(). */
void *umd_alloc(size_t size)
{
	return kmalloc(size, GFP_KERNEL);
}

void umd_free(void *memory)
{
	kfree(memory);
}

/* Ownership: the caller's, until umd_free_big(). */
void *umd_alloc_big(size_t size)
{
	return kvzalloc(size, GFP_KERNEL);
}

void umd_free_big(void *memory)
{
	kvfree(memory);
}
