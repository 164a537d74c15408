// SPDX-License-Identifier: GPL-2.0-only
/* Signatures of public keys, as the kernel verifies them. */
#include <crypto/public_key.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#ifdef UMD_HAVE_SIG
#include <crypto/sig.h>
#else
#include <crypto/akcipher.h>
#endif
#include "driver.h"

/* Where signatures are an algorithm of their own kind, forms have other names. */
#ifdef UMD_HAVE_SIG_ALG
#define PKCS1 "pkcs1"
#define PLAIN "x962(%s)"
#else
#define PKCS1 "pkcs1pad"
#define PLAIN "%s"
#endif

/*
 * The algorithm is there, and stays: who holds it can verify without a module being loaded for it.
 * @hash is NULL where the algorithm has no padding that names one. NULL, and -ENOENT where the
 * kernel has no such algorithm. Ownership: the caller's, until umd_mod_verifier_free(). Context: may
 * load modules.
 */
void *umd_mod_verifier(const char *algorithm, const char *hash, int *error)
{
	char name[CRYPTO_MAX_ALG_NAME];
	void *verifier;

	if (hash)
		snprintf(name, sizeof(name), PKCS1 "(%s,%s)", algorithm, hash);
	else
		snprintf(name, sizeof(name), PLAIN, algorithm);
#ifdef UMD_HAVE_SIG
	verifier = crypto_alloc_sig(name, 0, 0);
#else
	verifier = crypto_alloc_akcipher(name, 0, 0);
#endif
	*error = PTR_ERR_OR_ZERO(verifier);
	return *error ? NULL : verifier;
}

void umd_mod_verifier_free(void *verifier)
{
#ifdef UMD_HAVE_SIG
	crypto_free_sig(verifier);
#else
	crypto_free_akcipher(verifier);
#endif
}

/*
 * 0, or why not, in the kernel's own words. The bytes may be anywhere: what the kernel wants in
 * memory of its own kind is copied. Context: may sleep.
 */
int umd_mod_verify(const struct umd_mod_public_key *key, const struct umd_mod_signature *signature)
{
	struct public_key public = {
		.key = (void *)key->bytes,
		.keylen = key->len,
		.pkey_algo = key->algorithm,
		.id_type = "PGP",
	};
	struct public_key_signature said = {
		.s_size = signature->value_len,
		.encoding = signature->encoding,
		.hash_algo = signature->hash,
	};
	size_t len = size_add(signature->value_len, signature->digest_len);
	u8 *copy;
	int error;

	/* The kernel warns of these. */
	if (!signature->value_len || !signature->digest_len)
		return -EINVAL;
	copy = kmalloc(len, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, signature->value, signature->value_len);
	memcpy(copy + signature->value_len, signature->digest, signature->digest_len);
	said.s = copy;
#ifdef UMD_HAVE_SIGNATURE_M
	said.m = copy + signature->value_len;
	said.m_size = signature->digest_len;
#else
	said.digest = copy + signature->value_len;
	said.digest_size = signature->digest_len;
#endif
	error = public_key_verify_signature(&public, &said);
	kfree(copy);
	return error;
}
