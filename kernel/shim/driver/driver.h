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
/* The handler's executable, gone when init has returned; NULL where the module carries none. */
const void *umd_mod_blob(size_t *len);

/* securityfs.c */
struct umd_mod_file *umd_mod_file_new(const char *name, u16 mode, size_t write_max,
				      void *interface, int *error);
void umd_mod_file_free(struct umd_mod_file *file);
void *umd_mod_rs_file_open(void *interface, int *error);
void umd_mod_rs_file_release(void *session);
ssize_t umd_mod_rs_file_write(void *interface, void *session, const char *text, size_t len);
ssize_t umd_mod_rs_file_read(void *session, const char **text);

/* sockopt.c, in modules that ask for it */

/* A call of getsockopt(2) or setsockopt(2); value is an address in the calling task's memory. */
struct umd_mod_sockopt {
	u32 is_set;
	s32 option;
	u32 len;
	u32 pid;
	u64 value;
};

/* Options begin <= option < end. */
struct umd_mod_sockopt_window {
	s32 begin;
	s32 end;
};

/*
 * @get:	options that can be read from Rust
 * @set:	options that can be written to Rust
 * @len_max:	an option with more bytes is the kernel's
 * @serve:	-ENOPROTOOPT: not ours, the kernel is asked; another negative errno: for the caller;
 *		else, for a get, how many bytes have been written to value. May sleep.
 * @data:	for serve
 */
struct umd_mod_sockopt_server {
	struct umd_mod_sockopt_window get;
	struct umd_mod_sockopt_window set;
	u32 len_max;
	u32 reserved;
	int (*serve)(void *data, const struct umd_mod_sockopt *call);
	void *data;
};

int umd_mod_sockopt_begin(const struct umd_mod_sockopt_server *server);
void umd_mod_sockopt_end(void);
int umd_mod_copy_from_user(void *to, u64 address, size_t len);
int umd_mod_copy_to_user(u64 address, const void *from, size_t len);

#endif
