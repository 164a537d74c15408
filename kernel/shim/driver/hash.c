// SPDX-License-Identifier: GPL-2.0-only
/* Hashes of the kernel's. */
#include <crypto/hash.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include "driver.h"

/* As many bytes at once as may keep others from the processor. */
#define STEP 4096

/*
 * NULL, and -ENOENT where the kernel has no such hash. Ownership: the caller's, until
 * umd_mod_hash_algorithm_free(). Context: may load modules.
 */
struct crypto_shash *umd_mod_hash_algorithm(const char *name, int *error)
{
	struct crypto_shash *algorithm = crypto_alloc_shash(name, 0, 0);

	*error = PTR_ERR_OR_ZERO(algorithm);
	if (*error)
		return NULL;
	if (crypto_shash_digestsize(algorithm) > UMD_MOD_DIGEST_MAX) {
		crypto_free_shash(algorithm);
		*error = -EMSGSIZE;
		return NULL;
	}
	return algorithm;
}

void umd_mod_hash_algorithm_free(struct crypto_shash *algorithm)
{
	crypto_free_shash(algorithm);
}

/* Ownership: the caller's, until umd_mod_hash_free(); the algorithm must live as long. */
struct shash_desc *umd_mod_hash_new(struct crypto_shash *algorithm, int *error)
{
	size_t size = sizeof(struct shash_desc) + crypto_shash_descsize(algorithm);
	struct shash_desc *hash = kmalloc(size, GFP_KERNEL);

	*error = -ENOMEM;
	if (!hash)
		return NULL;
	hash->tfm = algorithm;
	*error = crypto_shash_init(hash);
	if (!*error)
		return hash;
	kfree(hash);
	return NULL;
}

/* Context: may sleep. */
int umd_mod_hash_update(struct shash_desc *hash, const u8 *data, size_t len)
{
	int error = 0;

	while (len && !error) {
		size_t step = min_t(size_t, len, STEP);

		error = crypto_shash_update(hash, data, step);
		data += step;
		len -= step;
		cond_resched();
	}
	return error;
}

/* The length of the digest; the hash can only be freed then. */
int umd_mod_hash_final(struct shash_desc *hash, u8 digest[UMD_MOD_DIGEST_MAX])
{
	int error = crypto_shash_final(hash, digest);

	return error ?: crypto_shash_digestsize(hash->tfm);
}

void umd_mod_hash_free(struct shash_desc *hash)
{
	kfree_sensitive(hash);
}
