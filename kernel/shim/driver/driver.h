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

struct crypto_shash;
struct dentry;
struct file;
struct file_operations;
struct shash_desc;
struct umd_file;
struct umd_mod_file;
struct umd_mod_keys;

/* umd.ko's. */
struct umd_file *umd_file_new(struct dentry *parent, const char *name, u16 mode,
			      const struct file_operations *fops, void *data, int *error);
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

/* hash.c, in modules that ask for it */

/* Bytes of the longest digest. */
#define UMD_MOD_DIGEST_MAX 64

struct crypto_shash *umd_mod_hash_algorithm(const char *name, int *error);
void umd_mod_hash_algorithm_free(struct crypto_shash *algorithm);
struct shash_desc *umd_mod_hash_new(struct crypto_shash *algorithm, int *error);
int umd_mod_hash_update(struct shash_desc *hash, const u8 *data, size_t len);
int umd_mod_hash_final(struct shash_desc *hash, u8 digest[UMD_MOD_DIGEST_MAX]);
void umd_mod_hash_free(struct shash_desc *hash);

/* verify.c, in modules that ask for it */

/* A public key, in the form in which the kernel takes those of its algorithm. */
struct umd_mod_public_key {
	const char *algorithm;
	const u8 *bytes;
	u32 len;
	u32 reserved;
};

/* A signature over a digest. The names may be NULL where they come from user space. */
struct umd_mod_signature {
	const char *encoding;
	const char *hash;
	const u8 *digest;
	const u8 *value;
	u32 digest_len;
	u32 value_len;
};

void *umd_mod_verifier(const char *algorithm, const char *hash, int *error);
void umd_mod_verifier_free(void *verifier);
int umd_mod_verify(const struct umd_mod_public_key *key, const struct umd_mod_signature *signature);

/* keys.c, in modules that ask for it */

/* As many as the kernel has room for: see struct asymmetric_key_ids. */
#define UMD_MOD_KEY_IDS 3
#define UMD_MOD_KEY_ID_MAX 32
#define UMD_MOD_KEY_DESCRIPTION_MAX 192

/*
 * What a parser has made of its input.
 *
 * @key:	Rust's, from now on owned by the kernel's key
 * @public:	the primary key, whose bytes are as long there as @key
 * @quota:	bytes that the key's owner is charged
 * @id:		what the key can be found by; those of no length are none
 * @description: what the key is called where the caller has no name for it
 */
struct umd_mod_parsed {
	void *key;
	struct umd_mod_public_key public;
	u32 quota;
	u32 description_len;
	u32 id_len[UMD_MOD_KEY_IDS];
	u8 id[UMD_MOD_KEY_IDS][UMD_MOD_KEY_ID_MAX];
	char description[UMD_MOD_KEY_DESCRIPTION_MAX];
};

/* What keyctl pkey_query tells. */
struct umd_mod_key_query {
	u32 bits;
	u16 digest_max;
	u16 value_max;
};

/*
 * @name:	the parser's, and the subtype's of its keys
 * @parse:	0, or a negative errno; -EBADMSG: not ours, another parser is asked. May sleep, but not
 *		for long: all parsers wait for it when one comes or goes.
 * @describe:	a few words for /proc/keys
 * @verify:	0, or a negative errno. May sleep.
 * @destroy:	the last call for a key. May sleep.
 * @data:	for parse
 */
struct umd_mod_key_parser {
	const char *name;
	int (*parse)(void *data, const u8 *input, size_t len, struct umd_mod_parsed *parsed);
	const char *(*describe)(const void *key);
	void (*query)(const void *key, struct umd_mod_key_query *query);
	int (*verify)(const void *key, const struct umd_mod_signature *signature);
	void (*destroy)(void *key);
	void *data;
};

int umd_mod_keys_begin(const struct umd_mod_key_parser *server);
void umd_mod_keys_end(void);
struct umd_mod_keys *umd_mod_keys_get(s32 serial, int *error);
const void *umd_mod_keys_at(const struct umd_mod_keys *keys, size_t index);
void umd_mod_keys_put(struct umd_mod_keys *keys);
s64 umd_mod_real_seconds(void);

/* source.c, in modules that ask for it */
struct file *umd_mod_source_get(s32 fd, int *error);
ssize_t umd_mod_source_read(struct file *file, u8 *to, size_t len, u64 at);
void umd_mod_source_put(struct file *file);

/* log.c, in modules that ask for it */
void umd_mod_log(const char *text, size_t len);

#endif
