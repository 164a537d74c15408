// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sample's handler: an ordinary program. It reads requests from fd 0, writes replies to fd 1, and
 * exits when there are no more. It knows nothing of umd.
 */
#include <stdio.h>
#include <unistd.h>

#include "sample_c.h"

static unsigned char reply[SAMPLE_C_SIZE];

/* 1, or 0 where the requests have ended. */
static int read_all(void *buffer, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t count = read(0, (char *)buffer + done, length - done);

		if (count <= 0)
			return 0;
		done += count;
	}
	return 1;
}

static int write_all(const void *buffer, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t count = write(1, (const char *)buffer + done, length - done);

		if (count <= 0)
			return 0;
		done += count;
	}
	return 1;
}

int main(void)
{
	struct sample_c_request request;
	/* Beside its own image this is all that it finds in its root directory. */
	FILE *log = fopen("/dev/kmsg", "w");

	if (log) {
		fprintf(log, "<6>sample_c: the handler has started\n");
		fclose(log);
	}
	while (read_all(&request, sizeof(request))) {
		if (request.offset >= SAMPLE_C_SIZE)
			return 1;
		reply[request.offset] = 1;
		if (!write_all(reply, sizeof(reply)))
			return 1;
		reply[request.offset] = 0;
	}
	return 0;
}
