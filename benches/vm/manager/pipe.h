/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BENCH_PIPE_H
#define BENCH_PIPE_H

#include <linux/types.h>

struct bench_pipe;

/* Context of all: process; may sleep without bound: this is the baseline, not the product. */
struct bench_pipe *bench_pipe_new(const int fds[4], int *error);
int bench_pipe_load(struct bench_pipe *pipe, const char *name, const void *blob, size_t len);
void bench_pipe_unload(struct bench_pipe *pipe);
int bench_pipe_start(struct bench_pipe *pipe);
void bench_pipe_kill(struct bench_pipe *pipe);
int bench_pipe_call(struct bench_pipe *pipe, const void *request, size_t request_len,
		    void *reply, size_t reply_len);
void bench_pipe_free(struct bench_pipe *pipe);
/* Kills a process of umd's and waits until it is gone, as bench_pipe_kill() does. */
void bench_kill(int pid);

#endif
