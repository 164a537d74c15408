// SPDX-License-Identifier: GPL-2.0-only
/*
 * The /dev/kmsg in a foreign handler's root directory: what a handler writes there is a line of the
 * kernel log that begins with the driver's name.
 */
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "image.h"

/* A record of the kernel log has 1024 bytes. */
#define MAX_NAME	64
#define MAX_TEXT	900
#define MAX_WRITE	(MAX_TEXT + 8)
#define ESCAPE_LEN	4

/* Who writes. Each open file has a reference; the image has one until it is freed. */
struct umd_kmsg {
	struct kref refs;
	struct list_head entry;
	const struct super_block *sb;
	struct ratelimit_state limit;
	char prefix[];
};

static LIST_HEAD(logs);
/* For logs; held for a walk through them, and for nothing that waits. */
static DEFINE_MUTEX(logs_lock);
static int major;

static void kmsg_release(struct kref *refs)
{
	kfree(container_of(refs, struct umd_kmsg, refs));
}

/* A node with this number that somebody else made is in no image's mount: it is nobody's. */
static int kmsg_open(struct inode *inode, struct file *file)
{
	struct umd_kmsg *log;
	int error = -ENXIO;

	mutex_lock(&logs_lock);
	list_for_each_entry(log, &logs, entry) {
		if (log->sb != inode->i_sb)
			continue;
		kref_get(&log->refs);
		file->private_data = log;
		error = 0;
		break;
	}
	mutex_unlock(&logs_lock);
	return error ? error : stream_open(inode, file);
}

static int kmsg_close(struct inode *inode, struct file *file)
{
	struct umd_kmsg *log = file->private_data;

	kref_put(&log->refs, kmsg_release);
	return 0;
}

/* Nothing is more urgent than a warning: that is what umd says of a handler itself. */
static const char *level_of(unsigned int number)
{
	switch (number & 7) {
	case 5:
		return KERN_NOTICE;
	case 6:
		return KERN_INFO;
	case 7:
		return KERN_DEBUG;
	default:
		return KERN_WARNING;
	}
}

/* "<N>" or "<NN>" or "<NNN>" in front of the text, as syslog(3) has it. Returns its length or 0. */
static size_t parse_level(const char *text, size_t len, const char **level)
{
	unsigned int number = 0;
	size_t at;

	for (at = 1; at < len && at < 4 && text[at] >= '0' && text[at] <= '9'; at++)
		number = number * 10 + (text[at] - '0');
	if (len < 3 || text[0] != '<' || at == 1 || at >= len || text[at] != '>')
		return 0;
	*level = level_of(number);
	return at + 1;
}

/* Printable ASCII stays; to has MAX_TEXT + 1 bytes. Returns whether all of it had room. */
static bool escape(char *to, const char *text, size_t len)
{
	size_t at, used = 0;

	for (at = 0; at < len; at++) {
		unsigned char byte = text[at];
		bool plain = byte >= ' ' && byte <= '~' && byte != '\\';

		if (used + (plain ? 1 : ESCAPE_LEN) > MAX_TEXT)
			break;
		if (plain)
			to[used++] = byte;
		else
			used += scnprintf(to + used, ESCAPE_LEN + 1, "\\x%02x", byte);
	}
	to[used] = 0;
	return at == len;
}

/* One record of the kernel log. Line has room for MAX_TEXT + 1 bytes. */
static void say(struct umd_kmsg *log, char *line, const char *text, size_t len, bool whole)
{
	const char *level = KERN_NOTICE;
	size_t skipped = parse_level(text, len, &level);

	if (!___ratelimit(&log->limit, log->prefix))
		return;
	whole &= escape(line, text + skipped, len - skipped);
	printk("%s%s: %s%s\n", level, log->prefix, line, whole ? "" : " (cut)");
}

/*
 * Each line of what is written is a record of its own.
 * Context: the writer's; may sleep for its pages and for memory, holds no lock.
 */
static ssize_t kmsg_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	struct umd_kmsg *log = file->private_data;
	/* What is too long by one is known to be cut. */
	size_t taken = min_t(size_t, len, MAX_WRITE), at, line_len;
	char *text = kmalloc(MAX_WRITE + MAX_TEXT + 1, GFP_KERNEL);

	if (!text)
		return -ENOMEM;
	if (copy_from_user(text, from, taken)) {
		kfree(text);
		return -EFAULT;
	}
	for (at = 0; at < taken; at += line_len + 1) {
		const char *end = memchr(text + at, '\n', taken - at);

		line_len = end ? end - (text + at) : taken - at;
		if (line_len)
			say(log, text + MAX_WRITE, text + at, line_len, end || taken == len);
	}
	kfree(text);
	return len;
}

static const struct file_operations kmsg_operations = {
	.owner = THIS_MODULE,
	.open = kmsg_open,
	.write = kmsg_write,
	.release = kmsg_close,
};

dev_t umd_kmsg_device(void)
{
	return MKDEV(major, 0);
}

/* Ownership: the image's, until umd_kmsg_free(). Name is copied. */
struct umd_kmsg *umd_kmsg_new(const char *name, const struct super_block *sb)
{
	static const char format[] = "umd: %.*s: handler says";
	size_t size = sizeof(format) + MAX_NAME;
	struct umd_kmsg *log = kzalloc(sizeof(*log) + size, GFP_KERNEL);

	if (!log)
		return NULL;
	kref_init(&log->refs);
	log->sb = sb;
	ratelimit_state_init(&log->limit, DEFAULT_RATELIMIT_INTERVAL, DEFAULT_RATELIMIT_BURST);
	snprintf(log->prefix, size, format, MAX_NAME, name);
	mutex_lock(&logs_lock);
	list_add(&log->entry, &logs);
	mutex_unlock(&logs_lock);
	return log;
}

/* Files that are open still write. To be called while the superblock lives. */
void umd_kmsg_free(struct umd_kmsg *log)
{
	if (!log)
		return;
	mutex_lock(&logs_lock);
	list_del(&log->entry);
	mutex_unlock(&logs_lock);
	kref_put(&log->refs, kmsg_release);
}

/* A number only, no class: no node appears in the system's /dev. */
int __init umd_kmsg_init(void)
{
	major = __register_chrdev(0, 0, 1, "umd-kmsg", &kmsg_operations);
	return major < 0 ? major : 0;
}

void umd_kmsg_exit(void)
{
	__unregister_chrdev(major, 0, 1, "umd-kmsg");
}
