// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands for <linux/usermode_driver.h>. I is the number of a struct umd_info, which is static, as
 * modules have it.
 *
 *   name I TEXT|-            what its driver_name is from now on; "-" is NULL
 *   load I IMAGE             umd_load_blob()
 *   load-with I IMAGE L MS   umd_load_blob_with(): lockdown L, deadline MS
 *   load-mem I IMAGE MIB     the same: with so much memory
 *   load-short I SIZE        umd_load_blob_with() with options of SIZE bytes
 *   unload I                 umd_unload_blob()
 *   fork I                   fork_usermode_driver()
 *   cleanup I                umd_cleanup_helper()
 *   ask I WHAT IN OUT N      umd_send_recv() with a request from asked.h; both buffers allocated
 *   ask-static, ask-stack    the same with both buffers in the module's data, on the stack
 *   raw I B N B N            umd_send_recv() with buffers B, "-" for NULL, of N bytes
 *   write I WHAT IN OUT N    kernel_write() of that request; how much was written
 *   read I SIZE              kernel_read() of at most SIZE bytes
 *   kill I                   kill_pid(tgid, SIGKILL, 1)
 *   wait I                   waits for the end of the process as the in-tree users do
 *   exited I                 thread_group_exited(); exited -: of NULL
 *   drop I                   fput() of both files, put_pid(), all three NULL: by hand
 *   close I 0|1              fput() of the file that is the handler's fd 0 or 1, which is NULL then
 *   hold I, let              keeps a second reference to its read file; gives it up
 *   show I                   which fields are set, and the process's id
 *   rounds I N               N times load, fork, one exchange, unload, with all of the original's steps
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/umd.h>
#include <linux/usermode_driver.h>
#include <linux/wait.h>

#include "api.h"
#include "asked.h"

static struct umd_info infos[INFOS];
static struct file *held;

static char static_in[65536], static_out[65536];

/* The info that a word names: NULL for "-". */
static bool info_of(const char *word, struct umd_info **info)
{
	unsigned int number;

	*info = NULL;
	if (!strcmp(word, "-"))
		return true;
	if (!number_of(word, &number) || number >= INFOS)
		return false;
	*info = &infos[number];
	return true;
}

static long set_name(struct session *session, int count, char **words)
{
	struct umd_info *info;

	if (!info_of(words[1], &info) || !info)
		return NO_COMMAND;
	kfree(info->driver_name);
	info->driver_name = NULL;
	if (!strcmp(words[2], "-"))
		return 0;
	info->driver_name = kstrdup(words[2], GFP_KERNEL);
	return info->driver_name ? 0 : -ENOMEM;
}

static long load(struct session *session, int count, char **words)
{
	const struct image *image = image_of(words[2]);
	struct umd_info *info;

	if (!info_of(words[1], &info) || !image)
		return NO_COMMAND;
	return umd_load_blob(info, image->start, image->end - image->start);
}

/* What a static program of the C library's does at its start, and one more: nanosleep. For UMD_CUSTOM. */
static const u16 START[] = { 9, 10, 11, 12, 28, 35, 63, 89, 158, 218, 230, 273, 302, 318, 334 };

static long load_with(struct session *session, int count, char **words)
{
	struct umd_options options = {
		.size = sizeof(options),
		.confinement = { .syscalls = START, .syscalls_count = ARRAY_SIZE(START) },
	};
	const struct image *image = image_of(words[2]);
	struct umd_info *info;
	unsigned int ms;

	if (!info_of(words[1], &info) || !image || !number_of(words[3], &options.confinement.lockdown) ||
	    !number_of(words[4], &ms))
		return NO_COMMAND;
	options.deadline_ns = ms * 1000000ULL;
	return umd_load_blob_with(info, image->start, image->end - image->start, &options);
}

static long load_mem(struct session *session, int count, char **words)
{
	struct umd_options options = { .size = sizeof(options) };
	const struct image *image = image_of(words[2]);
	struct umd_info *info;
	unsigned int mib;

	if (!info_of(words[1], &info) || !image || !number_of(words[3], &mib))
		return NO_COMMAND;
	options.confinement.memory_max = (u64)mib << 20;
	return umd_load_blob_with(info, image->start, image->end - image->start, &options);
}

static long load_short(struct session *session, int count, char **words)
{
	const struct image *image = image_of("static");
	struct umd_options options = { };
	struct umd_info *info;

	if (!info_of(words[1], &info) || !number_of(words[2], &options.size))
		return NO_COMMAND;
	return umd_load_blob_with(info, image->start, image->end - image->start, &options);
}

static long unload(struct session *session, int count, char **words)
{
	struct umd_info *info;

	return info_of(words[1], &info) ? umd_unload_blob(info) : NO_COMMAND;
}

static long start(struct session *session, int count, char **words)
{
	struct umd_info *info;

	return info_of(words[1], &info) ? fork_usermode_driver(info) : NO_COMMAND;
}

static long cleanup(struct session *session, int count, char **words)
{
	struct umd_info *info;

	if (!info_of(words[1], &info))
		return NO_COMMAND;
	umd_cleanup_helper(info);
	return 0;
}

static long ask(struct session *session, int count, char **words)
{
	unsigned int in_len, out_len;
	struct umd_info *info;
	void *in, *out = NULL;
	long ret;

	if (!info_of(words[1], &info) || !asked_of(words + 2, &in, &in_len, &out_len))
		return NO_COMMAND;
	ret = -ENOMEM;
	if (out_len) {
		out = kvzalloc(out_len, GFP_KERNEL);
		if (!out)
			goto end;
	}
	ret = umd_send_recv(info, in, in_len, out, out_len);
	if (!ret && out_len)
		ret = keep(session, out, out_len);
end:
	kvfree(out);
	kvfree(in);
	return ret;
}

static long ask_static(struct session *session, int count, char **words)
{
	unsigned int in_len, out_len;
	struct umd_info *info;
	void *in;
	long ret;

	if (!info_of(words[1], &info) || !asked_of(words + 2, &in, &in_len, &out_len))
		return NO_COMMAND;
	if (in_len <= sizeof(static_in) && out_len <= sizeof(static_out)) {
		memcpy(static_in, in, in_len);
		ret = umd_send_recv(info, static_in, in_len, static_out, out_len);
		if (!ret)
			ret = keep(session, static_out, out_len);
	} else {
		ret = NO_COMMAND;
	}
	kvfree(in);
	return ret;
}

static long ask_stack(struct session *session, int count, char **words)
{
	unsigned int in_len, out_len;
	char small_in[64], small_out[64];
	struct umd_info *info;
	void *in;
	long ret;

	if (!info_of(words[1], &info) || !asked_of(words + 2, &in, &in_len, &out_len))
		return NO_COMMAND;
	if (in_len <= sizeof(small_in) && out_len <= sizeof(small_out)) {
		memcpy(small_in, in, in_len);
		ret = umd_send_recv(info, small_in, in_len, small_out, out_len);
		if (!ret)
			ret = keep(session, small_out, out_len);
	} else {
		ret = NO_COMMAND;
	}
	kvfree(in);
	return ret;
}

static long raw(struct session *session, int count, char **words)
{
	void *in = strcmp(words[2], "-") ? static_in : NULL;
	void *out = strcmp(words[4], "-") ? static_out : NULL;
	unsigned int in_len, out_len;
	struct umd_info *info;

	if (!info_of(words[1], &info) || !number_of(words[3], &in_len) ||
	    !number_of(words[5], &out_len))
		return NO_COMMAND;
	return umd_send_recv(info, in, in_len, out, out_len);
}

static long write_file(struct session *session, int count, char **words)
{
	unsigned int in_len, out_len;
	struct umd_info *info;
	loff_t position = 0;
	void *in;
	long ret;

	if (!info_of(words[1], &info) || !info || !asked_of(words + 2, &in, &in_len, &out_len))
		return NO_COMMAND;
	ret = -ENODEV;
	if (info->pipe_to_umh)
		ret = kernel_write(info->pipe_to_umh, in, in_len, &position);
	kvfree(in);
	return ret;
}

static long read_file(struct session *session, int count, char **words)
{
	struct umd_info *info;
	loff_t position = 0;
	unsigned int size;
	void *out;
	long ret;

	if (!info_of(words[1], &info) || !info || !number_of(words[2], &size))
		return NO_COMMAND;
	if (!info->pipe_from_umh)
		return -ENODEV;
	out = kvzalloc(size + 1, GFP_KERNEL);
	if (!out)
		return -ENOMEM;
	ret = kernel_read(info->pipe_from_umh, out, size, &position);
	if (ret > 0 && keep(session, out, ret))
		ret = -ENOMEM;
	kvfree(out);
	return ret;
}

static long kill_process(struct session *session, int count, char **words)
{
	struct umd_info *info;

	if (!info_of(words[1], &info) || !info || !info->tgid)
		return NO_COMMAND;
	return kill_pid(info->tgid, SIGKILL, 1);
}

static long wait_process(struct session *session, int count, char **words)
{
	struct umd_info *info;

	if (!info_of(words[1], &info) || !info || !info->tgid)
		return NO_COMMAND;
	wait_event(info->tgid->wait_pidfd, thread_group_exited(info->tgid));
	return 0;
}

static long exited(struct session *session, int count, char **words)
{
	struct umd_info *info;

	if (!info_of(words[1], &info))
		return NO_COMMAND;
	return thread_group_exited(info ? info->tgid : NULL);
}

static void drop_info(struct umd_info *info)
{
	if (info->pipe_to_umh)
		fput(info->pipe_to_umh);
	if (info->pipe_from_umh)
		fput(info->pipe_from_umh);
	put_pid(info->tgid);
	info->pipe_to_umh = NULL;
	info->pipe_from_umh = NULL;
	info->tgid = NULL;
}

static long drop(struct session *session, int count, char **words)
{
	struct umd_info *info;

	if (!info_of(words[1], &info) || !info)
		return NO_COMMAND;
	drop_info(info);
	return 0;
}

static long close_file(struct session *session, int count, char **words)
{
	struct umd_info *info;
	struct file **file;
	unsigned int fd;

	if (!info_of(words[1], &info) || !info || !number_of(words[2], &fd))
		return NO_COMMAND;
	file = fd ? &info->pipe_from_umh : &info->pipe_to_umh;
	if (!*file)
		return -ENODEV;
	fput(*file);
	*file = NULL;
	return 0;
}

static long hold(struct session *session, int count, char **words)
{
	struct umd_info *info;

	if (!info_of(words[1], &info) || !info || !info->pipe_from_umh || held)
		return NO_COMMAND;
	held = get_file(info->pipe_from_umh);
	return 0;
}

static long let(struct session *session, int count, char **words)
{
	if (!held)
		return NO_COMMAND;
	fput(held);
	held = NULL;
	return 0;
}

static long show(struct session *session, int count, char **words)
{
	struct umd_info *info;
	char text[80];
	int len;

	if (!info_of(words[1], &info) || !info)
		return NO_COMMAND;
	len = scnprintf(text, sizeof(text), "to=%d from=%d tgid=%d image=%d", !!info->pipe_to_umh,
			!!info->pipe_from_umh, !!info->tgid, !!info->wd.mnt);
	if (keep(session, text, len))
		return -ENOMEM;
	return pid_nr(info->tgid);
}

static int one_round(struct umd_info *info, const struct image *image)
{
	struct asked asked = { .what = 'e', .in = 1, .out = 1 }, reply = { };
	loff_t position = 0;
	ssize_t count;
	int ret;

	ret = umd_load_blob(info, image->start, image->end - image->start);
	if (ret)
		return ret;
	ret = fork_usermode_driver(info);
	if (ret)
		goto unload;
	ret = -EIO;
	count = kernel_write(info->pipe_to_umh, &asked, sizeof(asked), &position);
	if (count != sizeof(asked))
		goto kill;
	position = 0;
	count = kernel_read(info->pipe_from_umh, &reply, sizeof(reply), &position);
	if (count == sizeof(reply) && !memcmp(&asked, &reply, sizeof(reply)))
		ret = 0;
kill:
	kill_pid(info->tgid, SIGKILL, 1);
	wait_event(info->tgid->wait_pidfd, thread_group_exited(info->tgid));
	umd_cleanup_helper(info);
unload:
	return umd_unload_blob(info) ? -EXDEV : ret;
}

static long rounds(struct session *session, int count, char **words)
{
	struct umd_info *info;
	unsigned int number;
	int ret = 0;

	if (!info_of(words[1], &info) || !info || !number_of(words[2], &number))
		return NO_COMMAND;
	while (!ret && number--)
		ret = one_round(info, image_of("static"));
	return ret;
}

void infos_end(void)
{
	if (held)
		fput(held);
	for (size_t number = 0; number < INFOS; number++) {
		umd_cleanup_helper(&infos[number]);
		if (infos[number].wd.mnt)
			umd_unload_blob(&infos[number]);
		kfree(infos[number].driver_name);
	}
}

const struct command info_commands[] = {
	{ "name", 3, set_name },
	{ "load", 3, load },
	{ "load-with", 5, load_with },
	{ "load-mem", 4, load_mem },
	{ "load-short", 3, load_short },
	{ "unload", 2, unload },
	{ "fork", 2, start },
	{ "cleanup", 2, cleanup },
	{ "ask", 6, ask },
	{ "ask-static", 6, ask_static },
	{ "ask-stack", 6, ask_stack },
	{ "raw", 6, raw },
	{ "write", 6, write_file },
	{ "read", 3, read_file },
	{ "kill", 2, kill_process },
	{ "wait", 2, wait_process },
	{ "exited", 2, exited },
	{ "drop", 2, drop },
	{ "close", 3, close_file },
	{ "hold", 2, hold },
	{ "let", 1, let },
	{ "show", 2, show },
	{ "rounds", 3, rounds },
	{ }
};
