// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands for <linux/usermode_driver_mgmt.h>. M is the number of a struct umd_mgmt, which is static and
 * exported to loaders, as managers have it.
 *
 *   mgmt M NAME|- KMOD|- POST  initialises it, field by field
 *   m-load M IMAGE             umd_mgmt_load()
 *   m-load-with M IMAGE L MS   umd_mgmt_load_with(): lockdown L, deadline MS, start deadline MS
 *   m-load-prio M IMAGE MS P N the same: deadline MS, enum umd_priority P, nice N
 *   m-unload M                 umd_mgmt_unload()
 *   m-ask M WHAT IN OUT N      umd_mgmt_send_recv() with a request from asked.h
 *   m-raw M B N B N            umd_mgmt_send_recv() with buffers B, "-" for NULL, of N bytes
 *   m-post M POST              what post_start does from now on
 *   m-kill M                   kill_pid(tgid, SIGKILL, 1), under the lock
 *   m-show M                   its fields, and what post_start has seen
 *   m-info M WHAT IN OUT N     umd_send_recv() on its info, under the lock
 *
 * POST: none (no such function), ok, fail (-EREMOTEIO), ask (an exchange), files (the same by
 * kernel_write() and kernel_read()), hang (an exchange that the handler never ends).
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/umd.h>
#include <linux/usermode_driver_mgmt.h>

#include "api.h"
#include "asked.h"

struct umd_mgmt umd_c_api_mgmts[MGMTS];
EXPORT_SYMBOL_GPL(umd_c_api_mgmts);

/* What became of post_start. */
static struct {
	char post[16];
	unsigned int calls;
	unsigned int unlocked;
} seen[MGMTS];

static char raw_in[4096], raw_out[4096];

static bool mgmt_of(const char *word, struct umd_mgmt **mgmt)
{
	unsigned int number;

	*mgmt = NULL;
	if (!strcmp(word, "-"))
		return true;
	if (!number_of(word, &number) || number >= MGMTS)
		return false;
	*mgmt = &umd_c_api_mgmts[number];
	return true;
}

static int by_exchange(struct umd_mgmt *mgmt, char what)
{
	struct asked asked = { .what = what, .in = 1, .out = 1 }, reply = { };
	int ret = umd_send_recv(&mgmt->info, &asked, sizeof(asked), &reply, sizeof(reply));

	if (!ret && memcmp(&asked, &reply, sizeof(reply)))
		ret = -EBADMSG;
	return ret;
}

static int by_files(struct umd_mgmt *mgmt)
{
	struct asked asked = { .what = 'e', .in = 1, .out = 1 }, reply = { };
	loff_t position = 0;

	if (kernel_write(mgmt->info.pipe_to_umh, &asked, sizeof(asked), &position) != sizeof(asked))
		return -EIO;
	position = 0;
	if (kernel_read(mgmt->info.pipe_from_umh, &reply, sizeof(reply), &position) != sizeof(reply))
		return -EIO;
	return memcmp(&asked, &reply, sizeof(reply)) ? -EBADMSG : 0;
}

static int post_start(struct umd_mgmt *mgmt)
{
	size_t number = mgmt - umd_c_api_mgmts;
	const char *post = seen[number].post;

	seen[number].calls++;
	if (!mutex_is_locked(&mgmt->lock))
		seen[number].unlocked++;
	if (!strcmp(post, "fail"))
		return -EREMOTEIO;
	if (!strcmp(post, "ask"))
		return by_exchange(mgmt, 'e');
	if (!strcmp(post, "files"))
		return by_files(mgmt);
	if (!strcmp(post, "hang"))
		return by_exchange(mgmt, 'h');
	return 0;
}

static bool set_post(struct umd_mgmt *mgmt, const char *post)
{
	size_t number = mgmt - umd_c_api_mgmts;

	mgmt->post_start = strcmp(post, "none") ? post_start : NULL;
	return strscpy(seen[number].post, post, sizeof(seen[number].post)) > 0;
}

/* A word that is kept until the module goes or it is initialised again. */
static const char *word_of(const char *word)
{
	return strcmp(word, "-") ? kstrdup(word, GFP_KERNEL) : NULL;
}

static long initialise(struct session *session, int count, char **words)
{
	struct umd_mgmt *mgmt;

	if (!mgmt_of(words[1], &mgmt) || !mgmt)
		return NO_COMMAND;
	kfree(mgmt->info.driver_name);
	kfree(mgmt->kmod);
	mutex_init(&mgmt->lock);
	mgmt->info.tgid = NULL;
	mgmt->info.driver_name = word_of(words[2]);
	mgmt->kmod = word_of(words[3]);
	mgmt->kmod_loaded = false;
	memset(&seen[mgmt - umd_c_api_mgmts], 0, sizeof(seen[0]));
	return set_post(mgmt, words[4]) ? 0 : NO_COMMAND;
}

static long load(struct session *session, int count, char **words)
{
	const struct image *image = image_of(words[2]);
	struct umd_mgmt *mgmt;

	if (!mgmt_of(words[1], &mgmt) || !image)
		return NO_COMMAND;
	return umd_mgmt_load(mgmt, image->start, image->end);
}

static long load_with(struct session *session, int count, char **words)
{
	struct umd_options options = { .size = sizeof(options) };
	const struct image *image = image_of(words[2]);
	struct umd_mgmt *mgmt;
	unsigned int ms;

	if (!mgmt_of(words[1], &mgmt) || !image || !number_of(words[3], &options.confinement.lockdown) ||
	    !number_of(words[4], &ms))
		return NO_COMMAND;
	options.deadline_ns = ms * 1000000ULL;
	options.start_deadline_ns = ms * 1000000ULL;
	return umd_mgmt_load_with(mgmt, image->start, image->end, &options);
}

static long load_prio(struct session *session, int count, char **words)
{
	struct umd_options options = { .size = sizeof(options) };
	const struct image *image = image_of(words[2]);
	struct umd_mgmt *mgmt;
	unsigned int ms, nice;

	if (!mgmt_of(words[1], &mgmt) || !image || !number_of(words[3], &ms) ||
	    !number_of(words[4], &options.confinement.priority) || !number_of(words[5], &nice))
		return NO_COMMAND;
	options.confinement.nice = nice;
	options.deadline_ns = ms * 1000000ULL;
	return umd_mgmt_load_with(mgmt, image->start, image->end, &options);
}

static long unload(struct session *session, int count, char **words)
{
	struct umd_mgmt *mgmt;

	if (!mgmt_of(words[1], &mgmt))
		return NO_COMMAND;
	umd_mgmt_unload(mgmt);
	return 0;
}

static long exchange(struct session *session, char **words, bool on_info)
{
	unsigned int in_len, out_len;
	struct umd_mgmt *mgmt;
	void *in, *out = NULL;
	long ret;

	if (!mgmt_of(words[1], &mgmt) || (on_info && !mgmt) ||
	    !asked_of(words + 2, &in, &in_len, &out_len))
		return NO_COMMAND;
	ret = -ENOMEM;
	if (out_len) {
		out = kvzalloc(out_len, GFP_KERNEL);
		if (!out)
			goto end;
	}
	if (on_info) {
		mutex_lock(&mgmt->lock);
		ret = umd_send_recv(&mgmt->info, in, in_len, out, out_len);
		mutex_unlock(&mgmt->lock);
	} else {
		ret = umd_mgmt_send_recv(mgmt, in, in_len, out, out_len);
	}
	if (!ret && out_len)
		ret = keep(session, out, out_len);
end:
	kvfree(out);
	kvfree(in);
	return ret;
}

static long ask(struct session *session, int count, char **words)
{
	return exchange(session, words, false);
}

static long ask_info(struct session *session, int count, char **words)
{
	return exchange(session, words, true);
}

static long raw(struct session *session, int count, char **words)
{
	void *in = strcmp(words[2], "-") ? raw_in : NULL;
	void *out = strcmp(words[4], "-") ? raw_out : NULL;
	unsigned int in_len, out_len;
	struct umd_mgmt *mgmt;

	if (!mgmt_of(words[1], &mgmt) || !number_of(words[3], &in_len) ||
	    !number_of(words[5], &out_len))
		return NO_COMMAND;
	return umd_mgmt_send_recv(mgmt, in, in_len, out, out_len);
}

static long post(struct session *session, int count, char **words)
{
	struct umd_mgmt *mgmt;

	if (!mgmt_of(words[1], &mgmt) || !mgmt)
		return NO_COMMAND;
	return set_post(mgmt, words[2]) ? 0 : NO_COMMAND;
}

static long kill_process(struct session *session, int count, char **words)
{
	struct umd_mgmt *mgmt;
	long ret;

	if (!mgmt_of(words[1], &mgmt) || !mgmt)
		return NO_COMMAND;
	mutex_lock(&mgmt->lock);
	ret = mgmt->info.tgid ? kill_pid(mgmt->info.tgid, SIGKILL, 1) : -ESRCH;
	mutex_unlock(&mgmt->lock);
	return ret;
}

static long show(struct session *session, int count, char **words)
{
	struct umd_mgmt *mgmt;
	char text[120];
	size_t number;
	pid_t pid;
	int len;

	if (!mgmt_of(words[1], &mgmt) || !mgmt)
		return NO_COMMAND;
	number = mgmt - umd_c_api_mgmts;
	mutex_lock(&mgmt->lock);
	pid = pid_nr(mgmt->info.tgid);
	len = scnprintf(text, sizeof(text), "loaded=%d to=%d from=%d tgid=%d calls=%u unlocked=%u",
			mgmt->kmod_loaded, !!mgmt->info.pipe_to_umh, !!mgmt->info.pipe_from_umh,
			!!mgmt->info.tgid, seen[number].calls, seen[number].unlocked);
	mutex_unlock(&mgmt->lock);
	if (keep(session, text, len))
		return -ENOMEM;
	return pid;
}

void mgmts_end(void)
{
	for (size_t number = 0; number < MGMTS; number++) {
		if (umd_c_api_mgmts[number].kmod_loaded)
			umd_mgmt_unload(&umd_c_api_mgmts[number]);
		kfree(umd_c_api_mgmts[number].info.driver_name);
		kfree(umd_c_api_mgmts[number].kmod);
	}
}

const struct command mgmt_commands[] = {
	{ "mgmt", 5, initialise },
	{ "m-load", 3, load },
	{ "m-load-with", 5, load_with },
	{ "m-load-prio", 6, load_prio },
	{ "m-unload", 2, unload },
	{ "m-ask", 6, ask },
	{ "m-raw", 6, raw },
	{ "m-post", 3, post },
	{ "m-kill", 2, kill_process },
	{ "m-show", 2, show },
	{ "m-info", 6, ask_info },
	{ }
};
