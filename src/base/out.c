/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Buffered output with a sticky error; see out.h. */
#include "base/out.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/escape.h"

#define FD_BUFFER (512u << 10)
#define WRITER_FROM (4u << 20) /* bytes; below that a thread is not worth its start */
#define MEM_LIMIT ((size_t)2 << 30)

void gs_out_init_fd(struct gs_out *o, int fd)
{
	*o = (struct gs_out){ .fd = fd };
}

void gs_out_init_mem(struct gs_out *o)
{
	*o = (struct gs_out){ .fd = -1 };
}

/* One buffer in flight: the owner fills the other one meanwhile. */
struct gs_out_writer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int fd, error;
	char *buf;
	size_t len, cap;
	bool busy, quit;
};

static int write_all(int fd, const char *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, buf + done, len - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static void *writer_main(void *arg)
{
	struct gs_out_writer *w = arg;

	pthread_mutex_lock(&w->lock);
	while (!w->quit) {
		int r;

		if (!w->busy) {
			pthread_cond_wait(&w->changed, &w->lock);
			continue;
		}
		pthread_mutex_unlock(&w->lock);
		r = write_all(w->fd, w->buf, w->len);
		pthread_mutex_lock(&w->lock);
		w->error = r;
		w->busy = r < 0; /* after a failure nothing more is taken */
		pthread_cond_signal(&w->changed);
		if (r < 0)
			break;
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* Signals stay with the threads that know what to do with them. Without a thread we write ourselves. */
static void writer_start(struct gs_out *o)
{
	struct gs_out_writer *w = calloc(1, sizeof(*w));
	sigset_t all, old;
	int r;

	if (!w)
		return;
	w->fd = o->fd;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&w->thread, NULL, writer_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0)
		o->writer = w;
	else
		free(w);
}

/* Wait until what was handed over is written. */
static void writer_wait(struct gs_out *o)
{
	struct gs_out_writer *w = o->writer;

	while (w->busy && !w->error)
		pthread_cond_wait(&w->changed, &w->lock);
	if (w->error && !o->error)
		o->error = w->error;
}

static void writer_hand_over(struct gs_out *o)
{
	struct gs_out_writer *w = o->writer;
	char *buf = o->buf;
	size_t cap = o->cap;

	pthread_mutex_lock(&w->lock);
	writer_wait(o);
	if (!o->error) {
		o->buf = w->buf;
		o->cap = w->cap;
		w->buf = buf;
		w->cap = cap;
		w->len = o->len;
		w->busy = true;
		pthread_cond_signal(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
}

static void writer_stop(struct gs_out_writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->quit = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->changed);
	free(w->buf);
	free(w);
}

void gs_out_deinit(struct gs_out *o)
{
	if (o->writer)
		writer_stop(o->writer);
	free(o->buf);
	*o = (struct gs_out){ .fd = -1 };
}

static void drain(struct gs_out *o)
{
	if (!o->writer && o->total >= WRITER_FROM)
		writer_start(o);
	if (o->writer)
		writer_hand_over(o);
	else
		o->error = write_all(o->fd, o->buf, o->len);
	o->len = 0;
}

bool gs_out_room(struct gs_out *o, size_t n)
{
	size_t cap;
	char *p;

	if (o->error)
		return false;
	if (o->fd >= 0 && o->len)
		drain(o);
	if (o->error)
		return false;
	if (o->cap - o->len >= n)
		return true;
	if (n > MEM_LIMIT || o->len > MEM_LIMIT - n) {
		o->error = -EFBIG;
		return false;
	}
	cap = o->cap ? o->cap : o->fd >= 0 ? FD_BUFFER : 4096;
	while (cap - o->len < n)
		cap *= 2;
	p = realloc(o->buf, cap);
	if (!p) {
		o->error = -ENOMEM;
		return false;
	}
	o->buf = p;
	o->cap = cap;
	return true;
}

int gs_out_flush(struct gs_out *o, const char *name, struct gs_err *err)
{
	if (o->fd >= 0 && !o->error)
		drain(o);
	if (o->writer) {
		pthread_mutex_lock(&o->writer->lock);
		writer_wait(o);
		pthread_mutex_unlock(&o->writer->lock);
	}
	if (!o->error)
		return 0;
	return gs_fail(err, o->error, 0, "cannot write %s: %s", name, strerror(-o->error));
}

void gs_out_u64(struct gs_out *o, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	gs_out_bytes(o, digits + at, sizeof(digits) - at);
}

void gs_out_i64(struct gs_out *o, int64_t v)
{
	if (v < 0)
		gs_out_char(o, '-');
	gs_out_u64(o, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void gs_out_hex(struct gs_out *o, uint64_t v)
{
	char digits[18];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v);
	digits[--at] = 'x';
	digits[--at] = '0';
	gs_out_bytes(o, digits + at, sizeof(digits) - at);
}

void gs_out_printf(struct gs_out *o, const char *fmt, ...)
{
	char small[512];
	GS_CLEANUP(gs_freep) char *big = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n < sizeof(small)) {
		gs_out_bytes(o, small, (size_t)n);
		return;
	}
	va_start(ap, fmt);
	n = vasprintf(&big, fmt, ap);
	va_end(ap);
	if (n >= 0)
		gs_out_bytes(o, big, (size_t)n);
	else if (!o->error)
		o->error = -ENOMEM;
}

void gs_out_name(struct gs_out *o, const char *s, size_t n)
{
	if (!gs_escape_needed(s, n)) {
		gs_out_bytes(o, s, n);
		return;
	}
	if (gs_out_room(o, 4 * n + 1)) {
		size_t len = gs_escape_to(o->buf + o->len, o->cap - o->len, s, n);

		o->len += len;
		o->total += len;
	}
}
