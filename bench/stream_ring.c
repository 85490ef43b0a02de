/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * From the kernel half to a callback: how many records per second one core takes, how late they arrive, whether
 * any is lost, and whether anything is allocated on the way.
 *
 *	bench_stream_ring [--mode poll|adaptive|batch] [--rate N] [--seconds S]
 *
 * A thread on the first CPU makes N cheap system calls per second, each of which is a record
 * (stream_ring.bpf.c). The main thread on the second CPU reads with gs_probe_session_read(), the function that
 * every command uses, on a session that is put together by hand around this producer's maps. Prints one line
 * of JSON. Latency is from the time in the record, taken before it is reserved, to the callback's clock.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "count_allocations.h"
#include "base/clock.h"
#include "probe/session_private.h"
#include "stream_ring.skel.h"

#define BUCKETS 4096

/* --- the callback --------------------------------------------------------------------------------- */

struct reader {
	uint64_t n, gaps, out_of_order;
	uint32_t next_seq;
	int64_t max_ns;
	uint64_t bucket[BUCKETS]; /* 64 per power of two, of nanoseconds */
};

static unsigned int bucket_of(uint64_t ns)
{
	unsigned int log = ns < 64 ? 6 : 63 - (unsigned int)__builtin_clzll(ns);
	unsigned int b = (log - 6) * 64 + (unsigned int)(ns >> (log - 6));

	return b < BUCKETS ? b : BUCKETS - 1;
}

static uint64_t bucket_ns(unsigned int b)
{
	return b < 128 ? b : (uint64_t)(64 + b % 64) << (b / 64 - 1);
}

static void on_record(void *ctx, enum gs_wire_ring ring, const struct gs_wire_head *h, size_t size)
{
	struct reader *r = ctx;
	int64_t late = gs_now_ns() - (int64_t)h->ts_ns;

	if (r->n && h->seq != r->next_seq)
		r->gaps++;
	r->next_seq = h->seq + 1;
	r->n++;
	if (late < 0) {
		r->out_of_order++;
		late = 0;
	}
	if (late > r->max_ns)
		r->max_ns = late;
	r->bucket[bucket_of((uint64_t)late)]++;
}

static double quantile_us(const struct reader *r, double q)
{
	uint64_t seen = 0, want = (uint64_t)(q * (double)r->n);

	for (unsigned int i = 0; i < BUCKETS; i++) {
		seen += r->bucket[i];
		if (seen > want)
			return (double)bucket_ns(i) / 1e3;
	}
	return (double)r->max_ns / 1e3;
}

/* --- the producer --------------------------------------------------------------------------------- */

struct producer {
	uint64_t rate;
	double seconds;
	uint32_t tid;
	uint64_t made;
	bool ready, go, done;
};

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		fprintf(stderr, "cannot use CPU %d alone: %s\n", cpu, strerror(errno));
}

/* Calls are spread evenly; after an interruption the missed ones follow at once. */
static void *produce(void *arg)
{
	struct producer *p = arg;
	int64_t begin, end;

	pin(0);
	p->tid = (uint32_t)gettid();
	__atomic_store_n(&p->ready, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&p->go, __ATOMIC_ACQUIRE))
		sched_yield(); // a system call, but the program is not attached yet
	begin = gs_now_ns();
	end = (int64_t)(p->seconds * 1e9);
	for (;;) {
		int64_t t = gs_now_ns() - begin;
		uint64_t due = (uint64_t)((double)t * (double)p->rate / 1e9);

		if (t >= end)
			break;
		for (; p->made < due; p->made++)
			(void)syscall(SYS_getppid); // the cheapest one
	}
	__atomic_store_n(&p->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* --- a session by hand ---------------------------------------------------------------------------- */

static void die(const char *what, int r)
{
	fprintf(stderr, "%s: %s\n", what, strerror(r < 0 ? -r : errno));
	exit(1);
}

static void open_session(struct gs_probe_session *s, struct stream_ring_bpf *b,
			 enum gs_probe_wakeup wakeup)
{
	static const uint32_t wake_mode[] = { [GS_WAKE_BATCH] = GS_WIRE_WAKE_BATCH,
					      [GS_WAKE_ADAPTIVE] = GS_WIRE_WAKE_ADAPTIVE,
					      [GS_WAKE_POLL] = GS_WIRE_WAKE_NEVER };
	struct bpf_map *map[GS_WIRE_RINGS] = { b->maps.ring_go, b->maps.ring_kernel,
					       b->maps.ring_stack };

	s->o.wakeup = wakeup;
	s->control = &b->bss->gs_control;
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll_fd < 0)
		die("epoll", 0);
	for (unsigned int i = 0; i < GS_WIRE_RINGS; i++) {
		struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
		size_t size = bpf_map__max_entries(map[i]);
		int r;

		s->ring_fd[i] = bpf_map__fd(map[i]);
		s->control->wake_bytes[i] = (uint32_t)size / 4;
		r = gs__ring_map(&s->ring[i], s->ring_fd[i], size);
		if (r < 0 || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->ring_fd[i], &ev) < 0)
			die("ring", r);
	}
	s->control->wake_mode = wake_mode[wakeup];
}

static struct gs_wire_counters sum_counters(struct stream_ring_bpf *b)
{
	int cpus = libbpf_num_possible_cpus();
	struct gs_wire_counters sum = { 0 }, *c = calloc((size_t)cpus, sizeof(*c));
	uint32_t zero = 0;

	if (!c || bpf_map_lookup_elem(bpf_map__fd(b->maps.counters), &zero, c) < 0)
		die("counters", 0);
	for (int i = 0; i < cpus; i++) {
		sum.produced[0] += c[i].produced[0];
		sum.ring_full[0] += c[i].ring_full[0];
	}
	free(c);
	return sum;
}

/* --- a run ---------------------------------------------------------------------------------------- */

/* CPU time of this thread; @ret_preempted: how often something else took its CPU. */
static double cpu_seconds(long *ret_preempted)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	*ret_preempted = u.ru_nivcsw;
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void read_until_done(struct gs_probe_session *s, struct producer *p, struct reader *r)
{
	struct gs_err err;
	int64_t n;

	do {
		bool done = __atomic_load_n(&p->done, __ATOMIC_ACQUIRE);

		n = gs_probe_session_read(s, done ? 0 : 50000000, on_record, r, &err);
		if (n < 0) {
			fprintf(stderr, "%s\n", err.text);
			exit(1);
		}
		if (done && n == 0)
			return;
	} while (true);
}

static void run(enum gs_probe_wakeup wakeup, const char *mode, struct producer *p)
{
	static struct gs_probe_session s;
	static struct reader r;
	struct stream_ring_bpf *b = stream_ring_bpf__open();
	struct gs_wire_counters c;
	uint64_t allocations;
	pthread_t thread;
	long before, preempted;
	double cpu;

	pin(1);
	if (!b || pthread_create(&thread, NULL, produce, p) != 0)
		die("cannot begin", 0);
	while (!__atomic_load_n(&p->ready, __ATOMIC_ACQUIRE))
		usleep(1000);
	((struct gs_wire_config *)&b->rodata->gs_config)->tgid = p->tid;
	if (stream_ring_bpf__load(b) < 0)
		die("cannot load the producer", 0);
	open_session(&s, b, wakeup);
	if (stream_ring_bpf__attach(b) < 0)
		die("cannot attach the producer", 0);
	allocations = __atomic_load_n(&n_allocations, __ATOMIC_RELAXED);
	cpu = cpu_seconds(&before);
	__atomic_store_n(&p->go, true, __ATOMIC_RELEASE);
	read_until_done(&s, p, &r);
	cpu = cpu_seconds(&preempted) - cpu;
	allocations = __atomic_load_n(&n_allocations, __ATOMIC_RELAXED) - allocations;
	pthread_join(thread, NULL);
	stream_ring_bpf__detach(b);
	c = sum_counters(b);
	printf("{\"mode\":\"%s\",\"rate\":%.0f,\"records\":%" PRIu64 ",\"produced\":%" PRIu64
	       ",\"lost\":%" PRIu64 ",\"gaps\":%" PRIu64 ",\"rejected\":%" PRIu64
	       ",\"allocations\":%" PRIu64 ",\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,"
	       "\"max_us\":%.1f,\"reader_cpu\":%.3f,\"preempted\":%ld}\n",
	       mode, (double)r.n / p->seconds, r.n, c.produced[0], c.ring_full[0], r.gaps,
	       s.ring[0].rejected, allocations, quantile_us(&r, 0.5), quantile_us(&r, 0.99),
	       quantile_us(&r, 0.999), (double)r.max_ns / 1e3, cpu / p->seconds,
	       preempted - before);
	stream_ring_bpf__destroy(b);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "mode", required_argument, NULL, 'm' },
						 { "rate", required_argument, NULL, 'r' },
						 { "seconds", required_argument, NULL, 's' },
						 { 0 } };
	static const char *const names[] = {
		[GS_WAKE_BATCH] = "batch", [GS_WAKE_ADAPTIVE] = "adaptive", [GS_WAKE_POLL] = "poll"
	};
	struct producer p = { .rate = 1000000, .seconds = 5 };
	unsigned int mode = GS_WAKE_POLL;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'r')
			p.rate = strtoull(optarg, NULL, 10);
		else if (c == 's')
			p.seconds = strtod(optarg, NULL);
		else if (c == 'm')
			for (mode = 0; mode < 3 && strcmp(optarg, names[mode]) != 0;)
				mode++;
		else
			return 2;
	}
	if (!p.rate || !(p.seconds > 0) || mode > GS_WAKE_POLL)
		return 2;
	run((enum gs_probe_wakeup)mode, names[mode], &p);
	return 0;
}
