// SPDX-License-Identifier: GPL-2.0-only
/*
 * The handler of the test modules in C: an ordinary program with every fault. What it does at its start
 * its name tells, argv[0]; what it does with a request tells the request.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "asked.h"

static unsigned char request[4194304];
static unsigned char reply[4194304 + 8];

static void sleep_ms(unsigned int ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&time, NULL);
}

static void hang(void)
{
	for (;;)
		pause();
}

static void read_all(void *buffer, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t count = read(0, (char *)buffer + done, length - done);

		if (count <= 0)
			exit(count ? 3 : 0);
		done += count;
	}
}

static void read_in_parts(unsigned char *buffer, size_t length)
{
	static unsigned char more[1024];

	for (size_t done = 0; done < length;) {
		struct iovec parts[] = {
			{ NULL, 0 }, { buffer + done, length - done }, { more, sizeof(more) },
		};
		ssize_t count = readv(0, parts, 3);

		if (count <= 0 || (size_t)count > length - done)
			exit(3);
		done += count;
	}
}

static void write_all(const void *buffer, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t count = write(1, (const char *)buffer + done, length - done);

		if (count <= 0)
			exit(4);
		done += count;
	}
}

/* Without checking that it could be opened: so do the handlers that there are. */
static void tell(const char *text)
{
	FILE *log = fopen("/dev/kmsg", "a");

	setvbuf(log, NULL, _IOLBF, 0);
	fprintf(log, "<5>%s\n", text);
	fclose(log);
}

/* Lines that are forged, too urgent, too long or too many; one write(2) each. */
static void shout(int which)
{
	static const char forged[] = "<5>one\numd: c-other: handler says: two\n"
		"BUG: three\x1b[2J\xe2\x80\xae\\\n";
	static char line[4096];
	int fd = open("/dev/kmsg", O_WRONLY);
	size_t length = sizeof(forged) - 1;

	memcpy(line, forged, length);
	if (which == 1)
		length = sprintf(line, "<0>the machine is on fire\n");
	if (which == 2)
		memset(line, 'L', length = 3000);
	for (int count = which == 3 ? 200 : 1; count; count--) {
		if (which == 3)
			length = sprintf(line, "<6>flood %d\n", count);
		if (write(fd, line, length) != (ssize_t)length)
			exit(9);
	}
	if (which == 4 && (read(fd, line, 1) >= 0 || open("/dev/kmsg", O_RDONLY) >= 0))
		exit(10);
	/* Which stays open until the handler ends. */
	if (which != 5)
		close(fd);
}

static int opens(const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* One line of what it sees of the world: "name=value name=value". */
static void describe(char *text, size_t room, const char *name, int arguments)
{
	extern char **environ;
	int variables = 0, files = 0, descriptors = 0, forked;
	struct dirent *entry;
	DIR *root = opendir("/");

	while (environ && environ[variables])
		variables++;
	while (root && (entry = readdir(root)))
		files += entry->d_name[0] != '.';
	for (int fd = 0; fd < 16; fd++)
		descriptors += (!root || fd != dirfd(root)) && fcntl(fd, F_GETFD) >= 0;
	/* The call itself, for the library's wants memory. */
	forked = syscall(SYS_fork);
	if (!forked)
		_exit(0);
	snprintf(text, room,
		 "name=%s arguments=%d variables=%d uid=%d gid=%d euid=%d descriptors=%d listed=%d files=%d kmsg=%d passwd=%d proc=%d new=%d fork=%d",
		 name, arguments, variables, getuid(), getgid(), geteuid(), descriptors, !!root,
		 files, opens("/dev/kmsg", O_WRONLY), opens("/etc/passwd", O_RDONLY),
		 opens("/proc", O_RDONLY), opens("/tmp/umd-c-api-new", O_WRONLY | O_CREAT),
		 forked < 0 ? errno : 0);
	if (root)
		closedir(root);
}

static int result(long value)
{
	return value < 0 ? errno : 0;
}

/* One line of what it can do to others: "name=errno name=errno". */
static void attack(char *text, size_t room)
{
	long self = getpid();

	snprintf(text, room,
		 "self=%d other=%d all=%d queue=%d thread=%d socket=%d netlink=%d unshare=%d ptrace=%d pidfd=%d keys=%d ring=%d fault=%d bpf=%d perf=%d mount=%d",
		 result(kill(self, 0)), result(kill(1, 0)), result(kill(-1, SIGWINCH)),
		 result(syscall(SYS_rt_sigqueueinfo, 1, SIGWINCH, NULL)),
		 result(syscall(SYS_tgkill, 1, 1, 0)),
		 result(socket(AF_INET, SOCK_DGRAM, 0)), result(socket(AF_NETLINK, SOCK_RAW, 0)),
		 result(syscall(SYS_unshare, 0x10000000)),
		 result(syscall(SYS_ptrace, 0, 0, 0, 0)), result(syscall(SYS_pidfd_open, 1, 0)),
		 result(syscall(SYS_keyctl, 0, -3, 0)), result(syscall(SYS_io_uring_setup, 1, NULL)),
		 result(syscall(SYS_userfaultfd, 1)), result(syscall(SYS_bpf, 0, NULL, 0)),
		 result(syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0)),
		 result(syscall(SYS_mount, NULL, NULL, NULL, 0, NULL)));
}

/* What a handler that computes needs: memory that is really there, and the time. */
static int compute(void)
{
	size_t length = 8 << 20;
	unsigned char *memory = malloc(length);
	struct timespec before, after;

	if (!memory || clock_gettime(CLOCK_MONOTONIC, &before))
		return 1;
	memset(memory, 7, length);
	sleep_ms(1);
	if (clock_gettime(CLOCK_MONOTONIC, &after) || memory[length / 2] != 7)
		return 1;
	free(memory);
	return after.tv_sec == before.tv_sec && after.tv_nsec == before.tv_nsec;
}

/* The reply to an echo: the request, as often as it fits. */
static void echo(size_t in, size_t out)
{
	for (size_t place = 0; place < out; place++)
		reply[place] = in ? request[place % in] : 0;
}

static void serve(const struct asked *asked, char **arguments, int count)
{
	size_t in = SIZES[asked->in], out = SIZES[asked->out];
	size_t rest = in - sizeof(*asked);

	memcpy(request, asked, sizeof(*asked));
	switch (asked->what) {
	case 'x': /* exits with the request in hand, and the rest of it unread */
		exit(asked->number);
	case 'z': /* reads no more */
		hang();
		break;
	case 'b': /* replies before it reads the rest */
		memset(reply, 'b', out);
		write_all(reply, out);
		read_all(request + sizeof(*asked), rest);
		return;
	case 's': /* replies while it reads: each piece as it comes */
		write_all(request, sizeof(*asked));
		for (size_t done = sizeof(*asked); done < in;) {
			size_t piece = in - done < 8192 ? in - done : 8192;

			read_all(request + done, piece);
			write_all(request + done, piece);
			done += piece;
		}
		return;
	case 'v': /* echoes; reads as some C libraries do, with room for more than there is */
		read_in_parts(request + sizeof(*asked), rest);
		echo(in, out);
		write_all(reply, out);
		return;
	}

	read_all(request + sizeof(*asked), rest);
	echo(in, out);
	switch (asked->what) {
	case 'e': /* echoes */
		write_all(reply, out);
		break;
	case '1': /* echoes, a byte at a time */
		for (size_t place = 0; place < out; place++)
			write_all(reply + place, 1);
		break;
	case 'n': /* takes the request, and says nothing */
		break;
	case 'w': /* echoes later */
		sleep_ms(asked->number * 10);
		write_all(reply, out);
		break;
	case 'q': /* echoes, and exits */
		write_all(reply, out);
		exit(asked->number);
	case 'o': /* echoes, and computes */
		write_all(reply, out);
		for (;;)
			asm volatile("");
	case 'h': /* hangs */
		hang();
		break;
	case 'p': /* computes */
		for (;;)
			asm volatile("");
	case 'H': /* half a reply, and hangs */
		write_all(reply, out / 2);
		hang();
		break;
	case 'X': /* half a reply, and exits */
		write_all(reply, out / 2);
		exit(asked->number);
	case 'S': /* half a reply, and crashes */
		write_all(reply, out / 2);
		raise(SIGSEGV);
		break;
	case 'u': /* more than was asked for, in one write */
		write_all(reply, out + 4);
		break;
	case 'l': /* more than was asked for, later */
		write_all(reply, out);
		sleep_ms(20);
		write_all(reply, 4);
		break;
	case 'c': /* echoes, reads no more, and lives */
		write_all(reply, out);
		close(0);
		hang();
		break;
	case 'C': /* closes both, and lives */
		close(0);
		close(1);
		hang();
		break;
	case 'f': /* leaves the answer to its child */
		if (syscall(SYS_fork))
			exit(asked->number);
		write_all(reply, out);
		hang();
		break;
	case 't': /* stops */
		raise(SIGSTOP);
		write_all(reply, out);
		break;
	case 'm': /* a line in the log */
		tell("umd c api: asked for a line");
		write_all(reply, out);
		break;
	case 'M': /* lines in the log that are not as they should be */
		shout(asked->number);
		write_all(reply, out);
		break;
	case 'a': /* echoes after it had some memory and looked at the clock */
		if (compute())
			exit(8);
		write_all(reply, out);
		break;
	case 'j': /* tells what it could do to others */
		memset(reply, 0, out);
		if (out)
			attack((char *)reply, out);
		write_all(reply, out);
		break;
	case 'k': /* wants memory to execute */
		if (syscall(SYS_mmap, 0, 4096, 7, 0x22, -1, 0) == -1)
			exit(errno);
		write_all(reply, out);
		break;
	case 'i': /* tells of itself */
		memset(reply, 0, out);
		if (out)
			describe((char *)reply, out, arguments[0], count);
		write_all(reply, out);
		break;
	default:
		exit(5);
	}
}

static int named(const char *name, const char *start)
{
	return !strncmp(name, start, strlen(start));
}

int main(int count, char **arguments)
{
	const char *name = count ? arguments[0] : "";
	struct asked asked;

	if (named(name, "c-exit"))
		return 7;
	if (named(name, "c-hang"))
		hang();
	if (named(name, "c-early"))
		write_all("soon", 4);
	if (named(name, "c-deaf")) {
		close(0);
		hang();
	}
	if (named(name, "c-mute"))
		close(1);
	if (named(name, "c-tells"))
		tell("umd c api: started");
	for (;;) {
		read_all(&asked, sizeof(asked));
		if (asked.in >= SIZES_LEN || asked.out >= SIZES_LEN)
			return 6;
		serve(&asked, arguments, count);
	}
}
