/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /sys/kernel/security/umd_pgp/verify: verifies signatures with PGP keys in keyrings.
 *
 * One open file is one transaction: one write(2) of a struct umd_pgp_request and what it says that
 * follows, then a read of a struct umd_pgp_result. All numbers are little-endian. The write fails for
 * what is no request (EINVAL), and for a second one (EALREADY); what became of one that was understood
 * is in the result.
 */
#ifndef _LINUX_UMD_PGP_H
#define _LINUX_UMD_PGP_H

#include <linux/types.h>

#define UMD_PGP_VERSION 1

/* The most bytes of signatures, and of data, that a request takes along. */
#define UMD_PGP_SIGNATURE_MAX (64 << 10)
#define UMD_PGP_DATA_MAX (1 << 20)

/* What is signed, and how. */
enum umd_pgp_kind {
	UMD_PGP_DETACHED = 1,	/* packets of signatures; the data */
	UMD_PGP_INLINE = 2,	/* no signature; the data are a message in packets, signatures included */
	UMD_PGP_RPM = 3,	/* no signature; the data are a package, by descriptor */
};

/* In the flags of a request: */
#define UMD_PGP_FD 0x1		/* the data are a regular file, from its begin to its end */
/* In those of both: of a package, only the header was asked for. */
#define UMD_PGP_HEADER_ONLY 0x2
/* In those of a result: the package has these signatures besides, which were not looked at. */
#define UMD_PGP_MET_1002 0x10
#define UMD_PGP_MET_1005 0x20
#define UMD_PGP_MET_278 0x40
/* In those of a result: the data are signed as text. How their lines end was not signed. */
#define UMD_PGP_TEXT 0x80

/*
 * @version:	UMD_PGP_VERSION
 * @kind:	enum umd_pgp_kind
 * @flags:	UMD_PGP_FD, UMD_PGP_HEADER_ONLY
 * @key:	serial number of a key or a keyring, or KEY_SPEC_*, as for keyctl(2)
 * @fd:		with UMD_PGP_FD, else 0
 * @signature_len: bytes of signatures that follow
 * @data_len:	bytes of data that follow these; without UMD_PGP_FD
 * @reserved:	0
 */
struct umd_pgp_request {
	__le32 version;
	__le32 kind;
	__le32 flags;
	__le32 key;
	__le32 fd;
	__le32 signature_len;
	__le32 data_len;
	__le32 reserved;
};

/*
 * @version:	UMD_PGP_VERSION
 * @error:	0: verified, else an errno: ENOKEY (no key that is named), EKEYREJECTED, EKEYEXPIRED,
 *		EKEYREVOKED, ENOPKG (not supported, or a header without a digest of the payload, where that
 *		was asked for), EBADMSG (malformed), and others
 * @flags:	UMD_PGP_HEADER_ONLY, UMD_PGP_MET_*, UMD_PGP_TEXT
 * @key_version: 4 or 6
 * @made:	when the signature was made, in seconds since 1970
 * @data_at:	where in the message the data are that were signed; UMD_PGP_INLINE only
 * @data_len:	how many bytes they have
 * @fingerprint_len: bytes of @fingerprint and of @primary
 * @fingerprint: of the key that has signed
 * @primary:	of its primary key, where it is a subkey, else the same
 * @reason:	which check failed, or what is worth saying, in words; zeros behind
 */
struct umd_pgp_result {
	__le32 version;
	__le32 error;
	__le32 flags;
	__le32 key_version;
	__le64 made;
	__le32 data_at;
	__le32 data_len;
	__le32 fingerprint_len;
	__le32 reserved;
	__u8 fingerprint[32];
	__u8 primary[32];
	char reason[96];
};

#endif
