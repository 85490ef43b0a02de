/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A live process. Three descriptors make sure that what is read belongs to what was opened:
 *
 *   /proc/PID (O_PATH)  names the process, not its number: after exit every open below it fails
 *   pidfd               becomes readable when the process has exited
 *   /proc/PID/mem       is tied to the address space (mm_struct) at the time of its open: after
 *                       exit or exec reads through it return 0 bytes, while an address that is not
 *                       mapped gives EIO (fs/proc/base.c, mem_rw: mmget_not_zero)
 *
 * process_vm_readv takes a number, so after an exec it would read the new program. One byte read
 * through mem_fd behind a batch proves that the batch came from the right address space; that is
 * done once in PROVE_EVERY pieces, at every failure that could mean it, and by gs_target_alive(),
 * which callers ask at the end. The start time need not be compared: /proc/PID pins it.
 *
 * process_vm_readv(2) stops at the first byte it cannot read and returns what it has. The piece in
 * which it stopped failed; reading continues behind it. The window of pieces per call shrinks after
 * a failure and grows after success, so that a run of bad pages costs one call each but not the
 * import of a thousand entries each.
 *
 * process_open.c makes it all.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "base/clock.h"
#include "target/process_private.h"

#define PROVE_EVERY 256
#define MAX_PIECES IOV_MAX
#define MIN_PIECES 8
#define MAX_CALL_BYTES ((size_t)1 << 30) /* the kernel moves less than 2 GiB per call */
#define MAX_MAPS_TEXT ((size_t)512 << 20)

static struct gs_process_target *process_of(const struct gs_target *t)
{
	return (struct gs_process_target *)t;
}

bool gs__address_space_lives(const struct gs_process_target *p)
{
	uint8_t byte;
	ssize_t n;

	do {
		n = pread(p->mem_fd, &byte, 1, (off_t)p->probe);
	} while (n < 0 && errno == EINTR);
	return n != 0;
}

static bool has_exited(const struct gs_process_target *p)
{
	GS_CLEANUP(gs_freep) char *text = NULL;
	struct gs__stat st;
	size_t len;

	if (p->pid_fd >= 0) {
		struct pollfd pfd = { .fd = p->pid_fd, .events = POLLIN };

		return poll(&pfd, 1, 0) > 0;
	}
	return gs__slurp(p->proc_fd, "stat", 1 << 16, &text, &len) < 0 ||
	       gs__stat_parse(text, len, &st) < 0 || st.state == 'Z' || st.state == 'X';
}

int gs__process_gone(const struct gs_process_target *p, struct gs_err *err)
{
	// A killed process gives up its memory before it can be seen to have ended.
	for (int i = 0; i < 20 && !has_exited(p); i++) {
		struct stat st;

		if (!gs__address_space_lives(p) && fstatat(p->proc_fd, "exe", &st, 0) == 0)
			return gs_fail(err, -GS_E_GONE, 0,
				       "PID %d started another program (exec) in the meantime. "
				       "Run gosonde again",
				       p->pid);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return gs_fail(err, -GS_E_GONE, 0, "PID %d has exited", p->pid);
}

static int process_alive(const struct gs_target *t, struct gs_err *err)
{
	const struct gs_process_target *p = process_of(t);
	struct stat st;

	if (has_exited(p) || !gs__address_space_lives(p))
		return gs__process_gone(p, err);
	// Somebody else may hold the old address space (vfork); the executable tells then.
	if (fstatat(p->proc_fd, "exe", &st, 0) == 0 &&
	    (st.st_dev != t->id.exe_dev || st.st_ino != t->id.exe_ino))
		return gs_fail(err, -GS_E_GONE, 0,
			       "PID %d started another program (exec) in the meantime. Run gosonde "
			       "again",
			       p->pid);
	return 0;
}

/* ---- reading memory ---- */

static void read_by_mem_fd(const struct gs_process_target *p, struct gs_read *rd)
{
	size_t done = 0;

	rd->result = -GS_E_FAULT;
	while (done < rd->len) {
		uint64_t at = rd->addr + done;
		ssize_t n;

		if (at > INT64_MAX)
			return;
		n = pread(p->mem_fd, (uint8_t *)rd->buf + done, rd->len - done, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		done += (size_t)n;
	}
	rd->result = 0;
}

/* A piece that is too big for one call. */
static void read_slices(const struct gs_process_target *p, struct gs_read *rd)
{
	size_t done = 0;

	rd->result = -GS_E_FAULT;
	while (done < rd->len) {
		size_t want = rd->len - done < MAX_CALL_BYTES ? rd->len - done : MAX_CALL_BYTES;
		struct iovec l = { .iov_base = (uint8_t *)rd->buf + done, .iov_len = want };
		struct iovec r = { .iov_base = (void *)(uintptr_t)(rd->addr + done),
				   .iov_len = want };

		if (process_vm_readv(p->pid, &l, 1, &r, 1, 0) != (ssize_t)want)
			return;
		done += want;
	}
	rd->result = 0;
}

/* How many pieces from @reads go into one call. At least one. */
static size_t fill_window(struct gs_read *reads, size_t n, size_t max, struct iovec *local,
			  struct iovec *remote)
{
	size_t bytes = 0, i;

	for (i = 0; i < n && i < max; i++) {
		if (reads[i].len > MAX_CALL_BYTES - bytes)
			break;
		bytes += reads[i].len;
		local[i] = (struct iovec){ reads[i].buf, reads[i].len };
		remote[i] = (struct iovec){ (void *)(uintptr_t)reads[i].addr, reads[i].len };
	}
	return i;
}

/* Set the results of @n pieces of which @got bytes came. @return how many are decided: all, or up to
 * and with the one that failed. */
static size_t settle(struct gs_read *reads, size_t n, size_t got)
{
	for (size_t i = 0; i < n; i++) {
		if (reads[i].len > got) {
			reads[i].result = -GS_E_FAULT;
			return i + 1;
		}
		got -= reads[i].len;
		reads[i].result = 0;
	}
	return n;
}

int gs__read_by_syscall(const struct gs_process_target *p, struct gs_read *reads, size_t n)
{
	struct iovec local[MAX_PIECES], remote[MAX_PIECES];
	size_t window = MAX_PIECES, at = 0;

	while (at < n) {
		size_t k = fill_window(reads + at, n - at, window, local, remote), decided;
		ssize_t got;

		if (k == 0) {
			read_slices(p, &reads[at++]);
			continue;
		}
		got = process_vm_readv(p->pid, local, k, remote, k, 0);
		if (got < 0 && errno != EFAULT)
			return errno;
		decided = settle(reads + at, k, got < 0 ? 0 : (size_t)got);
		at += decided;
		if (reads[at - 1].result < 0)
			window = decided * 2 < MIN_PIECES ? MIN_PIECES : decided * 2;
		else
			window *= 2;
		window = window > MAX_PIECES ? MAX_PIECES : window;
	}
	return 0;
}

static int refused(const struct gs_process_target *p, int error, struct gs_err *err)
{
	if (error == EPERM || error == EACCES)
		return gs__explain_refusal(p->pid, "read the memory of", err);
	return gs_fail(err, -error, 0, "PID %d: cannot read its memory: %s", p->pid,
		       strerror(error));
}

int gs__process_readv(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	struct gs_process_target *p = (struct gs_process_target *)ctx;
	size_t faults = 0;
	int error = 0;

	if (p->use_mem_fd) {
		for (size_t i = 0; i < n; i++)
			read_by_mem_fd(p, &reads[i]);
	} else {
		error = gs__read_by_syscall(p, reads, n);
	}
	if (error) {
		for (size_t i = 0; i < n; i++)
			reads[i].result = -GS_E_FAULT;
		if (error == ESRCH || !gs__address_space_lives(p))
			return gs__process_gone(p, err);
		return refused(p, error, err);
	}
	for (size_t i = 0; i < n; i++)
		faults += reads[i].result < 0;
	// Many faults may well be the address space that went away.
	if (atomic_fetch_add_explicit(&p->unproven, (uint32_t)n, memory_order_relaxed) + n >=
		    PROVE_EVERY ||
	    faults * 2 > n) {
		atomic_store_explicit(&p->unproven, 0, memory_order_relaxed);
		if (!gs__address_space_lives(p))
			return gs__process_gone(p, err);
	}
	return 0;
}

/* ---- map, threads, end ---- */

/* Errors of files that need ptrace access. */
int gs__process_cannot_open(const struct gs_process_target *p, const char *what, int error,
			    struct gs_err *err)
{
	if (error == EACCES || error == EPERM)
		return gs__explain_refusal(p->pid, what, err);
	if (error == ESRCH || error == ENOENT)
		return gs_fail(err, -GS_E_GONE, 0, "PID %d exited while gosonde opened it", p->pid);
	return gs_fail(err, -error, 0, "PID %d: cannot %s it: %s", p->pid, what, strerror(error));
}

static int process_refresh_maps(struct gs_target *t, struct gs_err *err)
{
	struct gs_process_target *p = process_of(t);
	GS_CLEANUP(gs_freep) char *text = NULL;
	struct gs__maps maps;
	char what[32];
	size_t len;
	int r = gs__slurp(p->proc_fd, "maps", MAX_MAPS_TEXT, &text, &len);

	if (r == -EFBIG)
		return gs_fail(err, -GS_E_LIMIT, 0, "PID %d: its memory map exceeds %zu MiB",
			       p->pid, MAX_MAPS_TEXT >> 20);
	if (r < 0)
		return gs__process_cannot_open(p, "read the memory map of", -r, err);
	if (len == 0 && p->mem_fd >= 0)
		return gs__process_gone(p, err);
	snprintf(what, sizeof(what), "/proc/%d/maps", p->pid);
	r = gs__maps_parse(text, len, what, &maps, err);
	if (r < 0)
		return r;
	gs__maps_deinit(&t->maps);
	t->maps = maps;
	return 0;
}

static int64_t process_now_ns(const struct gs_target *t)
{
	return gs_now_ns() + process_of(t)->clock_offset_ns;
}

static int process_threads(struct gs_target *t, struct gs_err *err)
{
	struct gs_process_target *p = process_of(t);
	GS_CLEANUP(gs_freep) int32_t *tids = NULL;
	size_t n;
	int r;

	t->threads.n = 0;
	if (p->stopped)
		return gs__stopped_threads(p->stopped, &t->threads, err);
	r = gs__list_tids(p, &tids, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct gs_thread th = { 0 }, *slot;

		if (!gs__read_thread(p, tids[i], &th))
			continue; // ended in between
		slot = gs__threads_add(&t->threads);
		if (!slot)
			return gs_fail(err, -ENOMEM, 0, "PID %d: no memory for its threads",
				       p->pid);
		*slot = th;
	}
	return 0;
}

static void process_free(struct gs_target *t)
{
	struct gs_process_target *p = process_of(t);
	int64_t paused;

	if (p->stopped)
		(void)gs__process_resume(t, &paused, NULL); // nobody is left to tell
	gs__target_deinit(t);
	gs_closep(&p->mem_fd);
	gs_closep(&p->pid_fd);
	gs_closep(&p->proc_fd);
	free(p);
}

static bool process_still(const struct gs_target *t)
{
	return ((const struct gs_process_target *)t)->stopped != NULL;
}

const struct gs__target_ops gs__process_ops = {
	.refresh_maps = process_refresh_maps,
	.threads = process_threads,
	.now_ns = process_now_ns,
	.alive = process_alive,
	.still = process_still,
	.stop = gs__process_stop,
	.resume = gs__process_resume,
	.free = process_free,
};
