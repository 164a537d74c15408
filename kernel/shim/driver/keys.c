// SPDX-License-Identifier: GPL-2.0-only
/*
 * A parser of asymmetric keys, and the keys that it makes, whose contents are Rust's.
 *
 * Each key keeps the module loaded, and so does whoever is in the parser: the functions below run
 * neither before the module's init is over, since that may yet fail, nor after its exit has begun.
 *
 * Others than we look at the payload of a key of ours: the kernel takes asym_crypto for a struct
 * public_key whatever the subtype (restrict_link_by_ca(), integrity's keyrings). So it is one.
 */
/* The next ones do not bring it on all kernels. */
#include <linux/key-type.h>
#include <crypto/public_key.h>
#include <keys/asymmetric-parser.h>
#include <keys/asymmetric-subtype.h>
#include <keys/asymmetric-type.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/key.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include "driver.h"

/* A keyring with more keys is not looked through. */
#define KEYRING_MAX 4096

/* What asym_crypto points to: the key by itself first, with no flag set. */
struct contents {
	struct public_key public;
	void *key;
};

struct umd_mod_keys {
	unsigned int count;
	struct key *keys[];
};

/* Of security/keys/internal.h, which modules have no access to; exported since 2.6. */
int key_task_permission(const key_ref_t key_ref, const struct cred *cred,
			enum key_need_perm need_perm);

static const struct umd_mod_key_parser *server;

static struct contents *contents_of(const struct key *key)
{
	return container_of(asymmetric_key_public_key(key), struct contents, public);
}

static void key_describe(const struct key *key, struct seq_file *m)
{
	/* One in the making is shown as well. */
	if (asymmetric_key_public_key(key))
		seq_puts(m, server->describe(contents_of(key)->key));
}

static void contents_free(struct contents *contents)
{
	kfree(contents->public.key);
	kfree(contents);
}

static void key_destroy(void *crypto, void *auth)
{
	struct contents *contents = container_of(crypto, struct contents, public);

	server->destroy(contents->key);
	contents_free(contents);
}

static int key_query(const struct kernel_pkey_params *params, struct kernel_pkey_query *info)
{
	struct umd_mod_key_query query = {};

	server->query(contents_of(params->key)->key, &query);
	*info = (struct kernel_pkey_query){
		.supported_ops = KEYCTL_SUPPORTS_VERIFY,
		.key_size = query.bits,
		.max_data_size = query.digest_max,
		.max_sig_size = query.value_max,
	};
	return 0;
}

static int key_verify(const struct key *key, const struct public_key_signature *said)
{
	const struct umd_mod_signature signature = {
		.encoding = said->encoding,
		.hash = said->hash_algo,
		.value = said->s,
		.value_len = said->s_size,
#ifdef UMD_HAVE_SIGNATURE_M
		.digest = said->m,
		.digest_len = said->m_size,
#else
		.digest = said->digest,
		.digest_len = said->digest_size,
#endif
	};

	/*
	 * Who asks about certificates and the like says of which algorithm the key must be. Their contents and
	 * a signature over data can be made to be the same bytes, and whoever signs data means no certificate.
	 */
	if (said->pkey_algo)
		return -ENOPKG;
	return server->verify(contents_of(key)->key, &signature);
}

static struct asymmetric_key_subtype subtype = {
	.owner = THIS_MODULE,
	.describe = key_describe,
	.destroy = key_destroy,
	.query = key_query,
	.verify_signature = key_verify,
};

static void ids_free(struct asymmetric_key_ids *ids)
{
	for (int i = 0; i < ARRAY_SIZE(ids->id); i++)
		kfree(ids->id[i]);
	kfree(ids);
}

static struct asymmetric_key_ids *ids_new(const struct umd_mod_parsed *parsed)
{
	struct asymmetric_key_ids *ids = kzalloc(sizeof(*ids), GFP_KERNEL);

	BUILD_BUG_ON(ARRAY_SIZE(ids->id) != UMD_MOD_KEY_IDS);
	if (!ids)
		return NULL;
	for (int i = 0; i < UMD_MOD_KEY_IDS; i++) {
		struct asymmetric_key_id *id;

		if (!parsed->id_len[i])
			continue;
		id = asymmetric_key_generate_id(parsed->id[i], parsed->id_len[i], "", 0);
		if (IS_ERR(id)) {
			ids_free(ids);
			return NULL;
		}
		ids->id[i] = id;
	}
	return ids;
}

static struct contents *contents_new(const struct umd_mod_parsed *parsed)
{
	struct contents *contents = kzalloc(sizeof(*contents), GFP_KERNEL);

	if (!contents)
		return NULL;
	contents->key = parsed->key;
	contents->public = (struct public_key){
		.key = kmemdup(parsed->public.bytes, parsed->public.len, GFP_KERNEL),
		.keylen = parsed->public.len,
		.pkey_algo = parsed->public.algorithm,
		.id_type = "PGP",
	};
	if (contents->public.key)
		return contents;
	kfree(contents);
	return NULL;
}

/* Moves what Rust made into a payload; where that fails it is still the caller's. */
static int fill(struct key_preparsed_payload *prep, const struct umd_mod_parsed *parsed)
{
	char *description = kmemdup_nul(parsed->description, parsed->description_len, GFP_KERNEL);
	struct asymmetric_key_ids *ids = ids_new(parsed);
	struct contents *contents = contents_new(parsed);

	if (!description || !ids || !contents) {
		if (contents)
			contents_free(contents);
		if (ids)
			ids_free(ids);
		kfree(description);
		return -ENOMEM;
	}
	prep->description = description;
	prep->quotalen = parsed->quota;
	prep->payload.data[asym_crypto] = &contents->public;
	prep->payload.data[asym_subtype] = &subtype;
	prep->payload.data[asym_key_ids] = ids;
	return 0;
}

/* Context: the parsers' semaphore is held for reading. The key keeps the reference to the module. */
static int parse(struct key_preparsed_payload *prep)
{
	struct umd_mod_parsed parsed = {};
	int error;

	if (READ_ONCE(THIS_MODULE->state) != MODULE_STATE_LIVE || !try_module_get(THIS_MODULE))
		return -EBADMSG;
	error = server->parse(server->data, prep->data, prep->datalen, &parsed);
	if (!error) {
		error = fill(prep, &parsed);
		if (error)
			server->destroy(parsed.key);
	}
	if (error)
		module_put(THIS_MODULE);
	return error;
}

static struct asymmetric_key_parser parser = {
	.owner = THIS_MODULE,
	.parse = parse,
};

/*
 * One at a time; @new_server must live until umd_mod_keys_end() has returned, and @name as long as
 * the module. Context: may sleep.
 */
int umd_mod_keys_begin(const struct umd_mod_key_parser *new_server)
{
	int error;

	if (server)
		return -EBUSY;
	server = new_server;
	parser.name = new_server->name;
	subtype.name = new_server->name;
	subtype.name_len = strlen(new_server->name);
	error = register_asymmetric_key_parser(&parser);
	if (error)
		server = NULL;
	return error;
}

/* There are no keys any more: else the module would be in use. Waits for whoever is refused. */
void umd_mod_keys_end(void)
{
	unregister_asymmetric_key_parser(&parser);
	server = NULL;
}

static bool is_ours(const struct key *key)
{
	return key->type == &key_type_asymmetric && asymmetric_key_subtype(key) == &subtype;
}

/* May the calling task find this key of ours in a keyring that it possesses, or does not? */
static bool may_search(struct key *key, bool possessed)
{
	return key_is_positive(key) && is_ours(key) && !key_validate(key) &&
	       !key_task_permission(make_key_ref(key, possessed), current_cred(), KEY_NEED_SEARCH);
}

static struct umd_mod_keys *keys_new(unsigned int room, int *error)
{
	struct umd_mod_keys *keys = kvzalloc(struct_size(keys, keys, room), GFP_KERNEL);

	*error = keys ? 0 : -ENOMEM;
	return keys;
}

/*
 * The keys in a keyring that the calling task may use: who possesses the keyring possesses them.
 * Context: the keyring's semaphore is held, so the keys stay in it.
 */
static struct umd_mod_keys *keys_within(key_ref_t found_keyring, int *error)
{
	struct key *keyring = key_ref_to_ptr(found_keyring);
	long size = key_type_keyring.read(keyring, NULL, 0);
	struct umd_mod_keys *keys;
	key_serial_t *serials;

	*error = -E2BIG;
	if (size < 0 || size > KEYRING_MAX * sizeof(*serials))
		return NULL;
	*error = -ENOMEM;
	serials = kvzalloc(size + sizeof(*serials), GFP_KERNEL);
	if (!serials)
		return NULL;
	keys = keys_new(size / sizeof(*serials), error);
	if (keys && size)
		key_type_keyring.read(keyring, (char *)serials, size);
	for (int i = 0; keys && i < size / sizeof(*serials); i++) {
		key_ref_t found = lookup_user_key(serials[i], KEY_LOOKUP_PARTIAL,
						  KEY_DEFER_PERM_CHECK);
		struct key *key = key_ref_to_ptr(found);

		if (IS_ERR(found))
			continue;
		if (may_search(key, is_key_possessed(found_keyring)))
			keys->keys[keys->count++] = key;
		else
			key_put(key);
	}
	kvfree(serials);
	return keys;
}

/*
 * The key of ours with this serial number, or those in the keyring with it, not in keyrings within.
 * The numbers of keyctl(2) for the caller's own keyrings will do. -ENOKEY where there are none.
 * Ownership: the caller's, until umd_mod_keys_put(). Context: may sleep; the task that asks.
 */
struct umd_mod_keys *umd_mod_keys_get(s32 serial, int *error)
{
	key_ref_t found = lookup_user_key(serial, 0, KEY_NEED_SEARCH);
	struct key *key = key_ref_to_ptr(found);
	struct umd_mod_keys *keys = NULL;

	*error = PTR_ERR_OR_ZERO(found);
	/* A key in the making was waited for, and a signal came. */
	if (*error == -ERESTARTSYS)
		*error = -EINTR;
	if (*error)
		return NULL;
	*error = -ENOKEY;
	if (is_ours(key)) {
		keys = keys_new(1, error);
		if (keys)
			keys->keys[keys->count++] = key_get(key);
	} else if (key->type == &key_type_keyring) {
		down_read(&key->sem);
		keys = keys_within(found, error);
		up_read(&key->sem);
	}
	key_put(key);
	if (keys && !keys->count) {
		kvfree(keys);
		*error = -ENOKEY;
		return NULL;
	}
	return keys;
}

/* What Rust made of it, which stays as it is until umd_mod_keys_put(); NULL behind the last. */
const void *umd_mod_keys_at(const struct umd_mod_keys *keys, size_t index)
{
	return index < keys->count ? contents_of(keys->keys[index])->key : NULL;
}

void umd_mod_keys_put(struct umd_mod_keys *keys)
{
	for (unsigned int i = 0; i < keys->count; i++)
		key_put(keys->keys[i]);
	kvfree(keys);
}

/* Seconds since 1970. Context: any. */
s64 umd_mod_real_seconds(void)
{
	return ktime_get_real_seconds();
}
