/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The seam between a driver module's Rust and the kernel, linked into each such module.
 *
 * umd_mod_*     is written in C and called by Rust.
 * umd_mod_rs_*  is written in Rust and called from here.
 */
#ifndef UMD_DRIVER_H
#define UMD_DRIVER_H

#include <linux/types.h>

struct file_operations;
struct umd_file;
struct umd_mod_file;

/* umd.ko's. */
struct umd_file *umd_file_new(const char *name, u16 mode, const struct file_operations *fops,
			      void *data, int *error);
void umd_file_free(struct umd_file *file);

/* entry.c */
int umd_mod_rs_init(void);
void umd_mod_rs_exit(void);
/* The handler's executable; gone when init has returned. */
const void *umd_mod_blob(size_t *len);

/* securityfs.c */
struct umd_mod_file *umd_mod_file_new(const char *name, u16 mode, size_t write_max,
				      void *interface, int *error);
void umd_mod_file_free(struct umd_mod_file *file);
void *umd_mod_rs_file_open(void *interface, int *error);
void umd_mod_rs_file_release(void *session);
ssize_t umd_mod_rs_file_write(void *interface, void *session, const char *text, size_t len);
ssize_t umd_mod_rs_file_read(void *session, const char **text);

#endif
