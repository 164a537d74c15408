/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts of umd_c_api.ko. */
#ifndef API_H
#define API_H

#include <linux/types.h>
#include <linux/usermode_driver_mgmt.h>

/* How many of each there are; "0", "1" and so on, or "-" for NULL. */
#define INFOS 4
#define MGMTS 4

/* An open file: the result of its last command. */
struct session {
	char *data;
	size_t len;
};

/*
 * A command: its words, the first one its name. Returns what the call returned; what is below 0 becomes
 * the error of write(2).
 */
struct command {
	const char *name;
	int words;
	long (*run)(struct session *session, int count, char **words);
};

/* A command that is none. No call of umd's returns it. */
#define NO_COMMAND (-EBADRQC)

/* Both end with an entry without a name. */
extern const struct command info_commands[];
extern const struct command mgmt_commands[];

/* What info_commands and mgmt_commands leave behind. */
void infos_end(void);
void mgmts_end(void);

/* Bytes that may be handed to umd as an executable. */
struct image {
	const char *name;
	char *start;
	char *end;
};

const struct image *image_of(const char *name);
bool number_of(const char *word, unsigned int *number);
bool asked_of(char **words, void **in, unsigned int *in_len, unsigned int *out_len);
int keep(struct session *session, const void *data, size_t len);

extern struct umd_mgmt umd_c_api_mgmts[MGMTS];

#endif
