/* SPDX-License-Identifier: GPL-2.0-only */
/* Puts a file into a section: NAME_start to NAME_end. */
#ifndef BLOB_H
#define BLOB_H

#define BLOB(name, section, file)					\
	asm(".pushsection " section ", \"a\"\n"				\
	    ".global " #name "_start\n" #name "_start:\n"		\
	    ".incbin \"" file "\"\n"					\
	    ".global " #name "_end\n" #name "_end:\n"			\
	    ".popsection\n");						\
	extern char name##_start[], name##_end[]

#endif
