// SPDX-License-Identifier: GPL-2.0-only
/*
 * umd_c_api.ko: lets the test suite make every call of <linux/usermode_driver.h> and
 * <linux/usermode_driver_mgmt.h>, in any order and with any argument.
 *
 * /dev/umd_c_api takes commands, one a write. write(2) fails with the call's error. What the call
 * returned else, and what it brought, is read from the same open file: the number, a newline, the bytes.
 * Commands are not serialised: those of two files run side by side.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "api.h"
#include "asked.h"
#include "blob.h"

#define COMMAND_MAX 8192

/* Where memory is refused, it is not this module that is to notice: before a call, or after one that was made. */
#define SURE (GFP_KERNEL | __GFP_NOFAIL)

BLOB(statically, ".rodata", STATIC_HANDLER);
BLOB(dynamically, ".rodata", DYNAMIC_HANDLER);

static char script[] = "#!/bin/sh\nexec cat\n";
static char text[] = "no executable, just words";
/* So begins an ELF file; nothing of it follows. */
static char header[] = "\177ELF\002\001\001";

static const struct image images[] = {
	{ "static", statically_start, statically_end },
	{ "dynamic", dynamically_start, dynamically_end },
	{ "script", script, script + sizeof(script) - 1 },
	{ "text", text, text + sizeof(text) - 1 },
	{ "header", header, header + sizeof(header) - 1 },
	{ "empty", text, text },
	{ "backwards", text + 4, text },
	{ "null", NULL, NULL },
	{ "nowhere", NULL, (char *)4096 },
};

const struct image *image_of(const char *name)
{
	for (size_t place = 0; place < ARRAY_SIZE(images); place++)
		if (!strcmp(images[place].name, name))
			return &images[place];
	return NULL;
}

bool number_of(const char *word, unsigned int *number)
{
	return !kstrtouint(word, 10, number);
}

static bool size_of(const char *word, unsigned int *size, u8 *place)
{
	if (!number_of(word, size))
		return false;
	for (*place = 0; *place < SIZES_LEN; ++*place)
		if (SIZES[*place] == *size)
			return true;
	return false;
}

/* From WHAT IN OUT NUMBER, a request; the bytes after its first four count up. */
bool asked_of(char **words, void **in, unsigned int *in_len, unsigned int *out_len)
{
	struct asked asked = { .what = words[0][0] };
	unsigned int number;
	u8 *bytes;

	if (!size_of(words[1], in_len, &asked.in) || !size_of(words[2], out_len, &asked.out) ||
	    !number_of(words[3], &number))
		return false;
	asked.number = number;
	*in = NULL;
	if (!*in_len)
		return true;
	bytes = kvmalloc(*in_len, SURE);
	for (unsigned int place = 0; place < *in_len; place++)
		bytes[place] = place + (place >> 8);
	memcpy(bytes, &asked, min_t(size_t, *in_len, sizeof(asked)));
	*in = bytes;
	return true;
}

/* Makes a copy of these bytes the rest of the result. */
int keep(struct session *session, const void *data, size_t len)
{
	kvfree(session->data);
	session->len = 0;
	session->data = kvmalloc(len + 1, GFP_KERNEL);
	if (!session->data)
		return -ENOMEM;
	memcpy(session->data, data, len);
	session->len = len;
	return 0;
}

/* Puts the number in front of what there is. */
static void number_first(struct session *session, long number)
{
	char *data = session->data;
	size_t len = session->len;
	char line[24];
	int count = scnprintf(line, sizeof(line), "%ld\n", number);

	session->data = kvmalloc(count + len, SURE);
	memcpy(session->data, line, count);
	if (len)
		memcpy(session->data + count, data, len);
	session->len = count + len;
	kvfree(data);
}

static long run(struct session *session, int count, char **words)
{
	const struct command *lists[] = { info_commands, mgmt_commands };

	for (size_t list = 0; list < ARRAY_SIZE(lists); list++)
		for (const struct command *command = lists[list]; command->name; command++)
			if (count && !strcmp(command->name, words[0]))
				return count == command->words ?
					command->run(session, count, words) : NO_COMMAND;
	return NO_COMMAND;
}

static ssize_t control_write(struct file *file, const char __user *from, size_t length,
			     loff_t *position)
{
	struct session *session = file->private_data;
	char *line, **words;
	long ret;
	int count;

	if (length > COMMAND_MAX)
		return NO_COMMAND;
	line = memdup_user_nul(from, length);
	if (IS_ERR(line))
		return PTR_ERR(line);
	words = argv_split(GFP_KERNEL, line, &count);
	kfree(line);
	if (!words)
		return -ENOMEM;
	kvfree(session->data);
	session->data = NULL;
	session->len = 0;
	ret = run(session, count, words);
	argv_free(words);
	if (ret >= 0)
		number_first(session, ret);
	return ret < 0 ? ret : length;
}

static ssize_t control_read(struct file *file, char __user *to, size_t length, loff_t *position)
{
	struct session *session = file->private_data;

	return simple_read_from_buffer(to, length, position, session->data, session->len);
}

static int control_open(struct inode *inode, struct file *file)
{
	file->private_data = kzalloc(sizeof(struct session), GFP_KERNEL);
	return file->private_data ? 0 : -ENOMEM;
}

static int control_release(struct inode *inode, struct file *file)
{
	struct session *session = file->private_data;

	kvfree(session->data);
	kfree(session);
	return 0;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = control_open,
	.release = control_release,
	.read = control_read,
	.write = control_write,
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "umd_c_api",
	.fops = &operations,
	.mode = 0600,
};

static int __init api_init(void)
{
	return misc_register(&device);
}

static void __exit api_exit(void)
{
	misc_deregister(&device);
	mgmts_end();
	infos_end();
}

module_init(api_init);
module_exit(api_exit);
MODULE_DESCRIPTION("Every call of the C API, for the test suite");
MODULE_LICENSE("GPL");
