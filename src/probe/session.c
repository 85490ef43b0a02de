/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A session: opening it, the ways to wait for records, counters, and its end. Loading is in session_load.c,
 * attaching in session_attach.c, the rings in session_rings.c.
 *
 * Waiting. A program that writes a record wakes the reader only if told to (gs_control.wake_mode): a wake-up
 * costs the target about a microsecond. epoll is edge-triggered here, because a ring that holds anything counts
 * as readable, and then a reader that is to sleep until a quarter is full would never sleep.
 */
#include "probe/session.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "probe/host_features_internal.h"
#include "probe/session_private.h"

#define MS 1000000
#define BATCH_LOOK_NS (20 * (int64_t)MS)
#define NAP_NS (250 * 1000)
/* A record that was begun before the flag was set does not wake; it waits so long at most. */
#define ADAPTIVE_SLEEP_NS (20 * (int64_t)MS)
#define INIT_PID_NAMESPACE 0xEFFFFFFCu /* PROC_PID_INIT_INO, include/linux/proc_ns.h */
#define THREADS_BATCH 128

/* --- what is wanted ------------------------------------------------------------------------------ */

bool gs__session_wants(const struct gs_probe_session *s, unsigned int program)
{
	return s->wanted & 1ULL << gs__program_site(program) &&
	       !(s->refused & 1ULL << gs__program_unit(program));
}

bool gs__session_needs(const struct gs_probe_session *s, enum gs_probe_program program)
{
	if (program < GS_PROG_UPROBES)
		return true; // a kernel that refuses one of these has a trouble that should be known
	for (uint32_t i = 0; i < s->plan->n_sites; i++) {
		const struct gs_probe_site *site = &s->plan->site[i];

		// Samples tell `why` which code ran; only a profile on CPU is nothing without them.
		if (site->program == program && program == GS_PROG_SAMPLE)
			return !(s->plan->config.want & GS_PROBE_WANT_GOROUTINES);
		if (site->program == program &&
		    (site->group == GS_GROUP_LIFE || site->group == GS_GROUP_REQUESTS))
			return true;
	}
	return false;
}

void gs__session_refuse(struct gs_probe_session *s, enum gs_probe_program program, const char *fmt,
			...)
{
	struct gs_probe_missing *m;
	va_list ap;

	s->refused |= 1ULL << gs__program_unit(program);
	if (s->n_missing == GS_ARRAY_SIZE(s->missing))
		return;
	m = &s->missing[s->n_missing++];
	m->what = gs__program_name(program) + 3; // without "gs_"
	for (uint32_t i = 0; i < s->plan->n_sites; i++)
		if (s->plan->site[i].program == program)
			m->what = s->plan->site[i].function;
	va_start(ap, fmt);
	vsnprintf(m->why, sizeof(m->why), fmt, ap);
	va_end(ap);
}

/* --- opening ------------------------------------------------------------------------------------ */

/* Programs see PIDs of the first namespace, links take those of the caller's. */
static int check_namespace(struct gs_err *err)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) == 0 && st.st_ino != INIT_PID_NAMESPACE)
		return gs_fail(
			err, -GS_E_UNSUPPORTED, 0,
			"gosonde runs in a PID namespace of its own, where BPF programs cannot "
			"tell which "
			"process is meant. Run it on the host, or in a container with --pid=host");
	return 0;
}

static int check_features(struct gs_features *features, struct gs_err *err)
{
	const struct gs_feature_info *info;
	const struct gs_feature_result *r;
	enum gs_feature missing;

	if (!gs_feature_has(features, GS_FEATURE_BTF)) {
		info = gs_feature_info(GS_FEATURE_BTF);
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "live events cannot be had: no %s: %s. What helps: %s", info->title,
			       info->costs, info->remedy);
	}
	if (gs_features_stream(features, &missing))
		return 0;
	if (missing == GS_FEATURE_UPROBE_MULTI && gs__uprobe_pmu_known())
		return gs_fail(
			err, -GS_E_PERMISSION, 0,
			"live events cannot be had: this kernel places uprobes through perf events "
			"only, and that needs CAP_SYS_ADMIN. Run as root (kernels from 6.6 on ask "
			"for "
			"CAP_BPF and CAP_PERFMON)");
	info = gs_feature_info(missing);
	r = gs_feature_try(features, missing);
	return gs_fail(
		err, r->error == EPERM || r->error == EACCES ? -GS_E_PERMISSION : -GS_E_UNSUPPORTED,
		0, "live events cannot be had: %s: %s. What helps: %s", info->title,
		r->detail[0] ? r->detail : "missing", info->remedy);
}

static int set_up(struct gs_probe_session *s, struct gs_err *err)
{
	static const size_t defaults[GS_WIRE_RINGS] = { 4u << 20, 4u << 20, 1u << 20 };
	int n = libbpf_num_possible_cpus();

	if (n < 1)
		return gs_fail(err, n, 0, "number of CPUs: %s", strerror(-n));
	s->n_cpus = (unsigned int)n;
	s->per_cpu = calloc(s->n_cpus, sizeof(struct gs_wire_counters));
	if (!s->per_cpu)
		return gs_fail(err, -ENOMEM, 0, "session: out of memory");
	for (unsigned int i = 0; i < GS_WIRE_RINGS; i++)
		if (s->o.ring_bytes[i] == 0)
			s->o.ring_bytes[i] = defaults[i];
	for (uint32_t i = 0; i < s->plan->n_sites; i++)
		s->wanted |= 1ULL << s->plan->site[i].program;
	s->multi = !s->o.force_perf && gs__uprobe_multi_known();
	return 0;
}

static int open_rings(struct gs_probe_session *s, struct gs_err *err)
{
	static const uint32_t wake_mode[] = { [GS_WAKE_BATCH] = GS_WIRE_WAKE_BATCH,
					      [GS_WAKE_ADAPTIVE] = GS_WIRE_WAKE_ADAPTIVE,
					      [GS_WAKE_POLL] = GS_WIRE_WAKE_NEVER };

	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll_fd < 0)
		return gs_fail(err, -errno, 0, "epoll: %s", strerror(errno));
	for (unsigned int i = 0; i < GS_WIRE_RINGS; i++) {
		struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
		int r = gs__ring_map(&s->ring[i], s->ring_fd[i], s->o.ring_bytes[i]);

		if (r == 0 && epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->ring_fd[i], &ev) < 0)
			r = -errno;
		if (r < 0)
			return gs_fail(err, r, 0, "ring %u of %zu bytes: %s", i, s->o.ring_bytes[i],
				       strerror(-r));
		s->control->wake_bytes[i] = (uint32_t)(s->o.ring_bytes[i] / 4);
	}
	s->control->wake_mode = wake_mode[s->o.wakeup];
	return 0;
}

int gs_probe_session_open(const struct gs_probe_session_options *o,
			  const struct gs_probe_plan *plan, struct gs_features *features,
			  struct gs_probe_session **ret, struct gs_err *err)
{
	GS_CLEANUP(gs_probe_session_freep) struct gs_probe_session *s = calloc(1, sizeof(*s));
	int64_t start;
	int r;

	if (!s)
		return gs_fail(err, -ENOMEM, 0, "session: out of memory");
	s->o = *o;
	s->plan = plan;
	s->epoll_fd = -1;
	r = check_namespace(err);
	if (r == 0)
		r = check_features(features, err);
	if (r == 0)
		r = set_up(s, err);
	if (r == 0)
		r = gs__session_load(s, err);
	if (r == 0)
		r = open_rings(s, err);
	if (r < 0)
		return r;
	start = gs_now_ns();
	r = gs__session_attach(s, features, err);
	if (r < 0)
		return r;
	s->control->stopped = 0;
	s->attach_ns = gs_now_ns() - start;
	r = s->n_missing > 0;
	*ret = GS_TAKE(s);
	return r;
}

void gs_probe_session_stop(struct gs_probe_session *s)
{
	if (s->control)
		s->control->stopped = 1;
	gs__session_detach_if(s, 0);
	s->detached = true;
}

struct gs_probe_session *gs_probe_session_free(struct gs_probe_session *s)
{
	if (!s)
		return NULL;
	gs_probe_session_stop(s);
	for (unsigned int i = 0; i < GS_WIRE_RINGS; i++)
		gs__ring_unmap(&s->ring[i]);
	gs_closep(&s->epoll_fd);
	gs__session_unload(s);
	free(s->attached);
	free(s->per_cpu);
	free(s);
	return NULL;
}

const struct gs_probe_missing *gs_probe_session_missing(const struct gs_probe_session *s,
							uint32_t *ret_n)
{
	*ret_n = s->n_missing;
	return s->missing;
}

int64_t gs_probe_session_attach_ns(const struct gs_probe_session *s)
{
	return s->attach_ns;
}

int64_t gs_probe_session_load_ns(const struct gs_probe_session *s)
{
	return s->load_ns;
}

const char *gs_probe_session_mechanism(const struct gs_probe_session *s)
{
	return s->multi ? "uprobe_multi" : "perf";
}

/* --- reading ------------------------------------------------------------------------------------ */

static int64_t drain(struct gs_probe_session *s, gs_probe_record_fn *fn, void *ctx)
{
	int64_t n = 0;

	for (unsigned int i = 0; i < GS_WIRE_RINGS; i++)
		n += gs__ring_drain(&s->ring[i], i, fn, ctx);
	return n;
}

static bool waiting(const struct gs_probe_session *s)
{
	for (unsigned int i = 0; i < GS_WIRE_RINGS; i++)
		if (gs__ring_waiting(&s->ring[i]))
			return true;
	return false;
}

static void nap(int64_t ns)
{
	struct timespec ts = { .tv_nsec = ns };

	nanosleep(&ts, NULL); // cut short by a signal: as good
}

/* Until a program wakes us, at most @ns. A signal ends it too. */
static int sleep_on_rings(struct gs_probe_session *s, int64_t ns, struct gs_err *err)
{
	struct timespec ts = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	struct epoll_event ev[GS_WIRE_RINGS];
	int r = epoll_pwait2(s->epoll_fd, ev, GS_WIRE_RINGS, &ts, NULL);

	if (r < 0 && errno == ENOSYS) // Linux before 5.11
		r = epoll_wait(s->epoll_fd, ev, GS_WIRE_RINGS, (int)((ns + MS - 1) / MS));
	if (r < 0 && errno != EINTR)
		return gs_fail(err, -errno, 0, "waiting for records: %s", strerror(errno));
	return 0;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Ask to be woken, look once more, sleep. */
static int sleep_adaptive(struct gs_probe_session *s, int64_t ns, struct gs_err *err)
{
	int r = 0;

	for (unsigned int i = 0; i < GS_WIRE_RINGS; i++)
		__atomic_store_n(&s->control->reader_sleeping[i], 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!waiting(s))
		r = sleep_on_rings(s, least(ns, ADAPTIVE_SLEEP_NS), err);
	for (unsigned int i = 0; i < GS_WIRE_RINGS; i++)
		__atomic_store_n(&s->control->reader_sleeping[i], 0, __ATOMIC_RELAXED);
	return r;
}

/* The wait that comes before a look, and the one after a look that found nothing. @left_ns > 0. */
static int wait_before(struct gs_probe_session *s, int64_t left_ns, struct gs_err *err)
{
	if (s->o.wakeup == GS_WAKE_BATCH)
		return sleep_on_rings(s, least(left_ns, BATCH_LOOK_NS), err);
	if (s->o.wakeup == GS_WAKE_ADAPTIVE && s->busy)
		nap(least(left_ns, NAP_NS));
	return 0;
}

static int wait_after(struct gs_probe_session *s, int64_t left_ns, struct gs_err *err)
{
	if (s->o.wakeup != GS_WAKE_ADAPTIVE)
		return 0;
	if (waiting(s)) { // a record that is not finished
		nap(least(left_ns, NAP_NS));
		return 0;
	}
	return sleep_adaptive(s, left_ns, err);
}

int64_t gs_probe_session_read(struct gs_probe_session *s, int64_t timeout_ns,
			      gs_probe_record_fn *fn, void *ctx, struct gs_err *err)
{
	int64_t end, left = s->detached ? 0 : timeout_ns, n;
	int r;

	if (left <= 0)
		return drain(s, fn, ctx);
	end = gs_now_ns() + left;
	for (;;) {
		r = wait_before(s, left, err);
		if (r < 0)
			return r;
		n = drain(s, fn, ctx);
		s->busy = n > 0;
		left = end - gs_now_ns();
		if (n > 0 || left <= 0)
			return n;
		r = wait_after(s, left, err);
		if (r < 0)
			return r;
		left = end - gs_now_ns();
		if (left <= 0)
			return drain(s, fn, ctx);
	}
}

/* --- tables of the kernel half ------------------------------------------------------------------- */

static void open_state(const struct gs_wire_thread *t, uint32_t tid, uint64_t now,
		       gs_probe_record_fn *fn, void *ctx)
{
	struct gs_wire_off_cpu r = t->off;

	if (!(t->in & GS_WIRE_IN_OFF))
		return;
	r.h.ts_ns = now;
	r.h.seq = 0;
	r.h.cpu = 0;
	r.h.tid = tid;
	if (r.off_ns <= now && gs__record_ok(GS_WIRE_RING_KERNEL, &r.h, sizeof(r)))
		fn(ctx, GS_WIRE_RING_KERNEL, &r.h, r.h.size);
}

int gs_probe_session_open_states(struct gs_probe_session *s, gs_probe_record_fn *fn, void *ctx,
				 struct gs_err *err)
{
	struct batch {
		uint32_t key[THREADS_BATCH];
		struct gs_wire_thread value[THREADS_BATCH];
	};
	GS_CLEANUP(gs_freep) struct batch *b = malloc(sizeof(*b));
	uint32_t at = 0, n, total = 0;
	bool first = true;

	if (!b)
		return gs_fail(err, -ENOMEM, 0, "table of threads: out of memory");
	for (;;) {
		uint32_t next = 0;
		uint64_t now = (uint64_t)gs_now_ns();
		int r;

		n = THREADS_BATCH;
		r = bpf_map_lookup_batch(s->threads_fd, first ? NULL : &at, &next, b->key, b->value,
					 &n, NULL);
		if (r < 0 && r != -ENOENT)
			return gs_fail(err, r, 0, "table of threads: %s", strerror(-r));
		for (uint32_t i = 0; i < n; i++)
			open_state(&b->value[i], b->key[i], now, fn, ctx);
		total += n;
		if (r == -ENOENT || total > GS_WIRE_THREADS) // -ENOENT: that was the last of them
			return 0;
		at = next;
		first = false;
	}
}

int gs_probe_session_bind(struct gs_probe_session *s, uint32_t tid, uint64_t goid, uint64_t g,
			  struct gs_err *err)
{
	struct gs_wire_thread t = { .goid = goid, .g = g, .in = GS_WIRE_IN_KNOWN };
	int r;

	t.mark_ns = (uint64_t)gs_now_ns();
	r = bpf_map_update_elem(s->threads_fd, &tid, &t, BPF_NOEXIST);
	if (r == 0)
		return 0;
	if (r != -EEXIST)
		return gs_fail(err, r, 0, "table of threads: %s", strerror(-r));
	/* Seen, but not with a goroutine. Only a thread that is asleep keeps still while its entry is written; one
	 * that runs is bound by the next probe it meets. */
	r = bpf_map_lookup_elem(s->threads_fd, &tid, &t);
	if (r < 0 || t.in & GS_WIRE_IN_KNOWN || !(t.in & GS_WIRE_IN_OFF))
		return 1;
	t.in |= GS_WIRE_IN_KNOWN;
	t.goid = t.off.h.goid = goid;
	t.g = g;
	r = bpf_map_update_elem(s->threads_fd, &tid, &t, BPF_EXIST);
	return r < 0 ? 1 : 0; // else it has exited
}

static int sum_counters(struct gs_probe_session *s, struct gs_wire_counters *ret,
			struct gs_err *err)
{
	const uint64_t *v = s->per_cpu;
	uint64_t *sum = (uint64_t *)ret;
	const size_t words = sizeof(*ret) / sizeof(*sum);
	uint32_t zero = 0;
	int r = bpf_map_lookup_elem(s->counters_fd, &zero, s->per_cpu);

	if (r < 0)
		return gs_fail(err, r, 0, "counters: %s", strerror(-r));
	for (unsigned int cpu = 0; cpu < s->n_cpus; cpu++)
		for (size_t i = 0; i < words; i++)
			sum[i] += v[cpu * words + i];
	return 0;
}

static int sum_hits(struct gs_probe_session *s, uint32_t site, uint64_t *ret, struct gs_err *err)
{
	enum gs_probe_program p = s->plan->site[site].program;
	uint32_t key = p < GS_PROG_UPROBES ? site : GS_WIRE_HITS_PROGRAM + p;
	const uint64_t *v = s->per_cpu;
	int r = bpf_map_lookup_elem(s->hits_fd, &key, s->per_cpu);

	if (r < 0)
		return gs_fail(err, r, 0, "hits of probes: %s", strerror(-r));
	for (unsigned int cpu = 0; cpu < s->n_cpus; cpu++)
		*ret += v[cpu];
	return 0;
}

int gs_probe_session_counts(struct gs_probe_session *s, struct gs_probe_counts *ret,
			    struct gs_err *err)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = sum_counters(s, &ret->total, err);
	for (uint32_t i = 0; i < s->plan->n_sites && r == 0; i++)
		r = sum_hits(s, i, &ret->hits[i], err);
	for (unsigned int i = 0; i < GS__PROGS && r == 0; i++) {
		struct bpf_prog_info info = { 0 };
		uint32_t len = sizeof(info);

		if (s->prog_fd[i] >= 0 && bpf_obj_get_info_by_fd(s->prog_fd[i], &info, &len) == 0)
			ret->missed += info.recursion_misses;
	}
	for (unsigned int i = 0; i < GS_WIRE_RINGS; i++)
		ret->rejected += s->ring[i].rejected;
	return r;
}

/* --- less ---------------------------------------------------------------------------------------- */

int gs_probe_session_thin(struct gs_probe_session *s, uint32_t log2, struct gs_err *err)
{
	if (log2 > 31)
		return gs_fail(err, -EINVAL, 0, "one of 2^%u is less than can be asked for", log2);
	s->control->thin_mask = (uint32_t)((1ULL << log2) - 1);
	return 0;
}

int gs_probe_session_detach(struct gs_probe_session *s, enum gs_probe_group g, struct gs_err *err)
{
	if (g <= 0 || g >= GS_GROUP_COUNT)
		return gs_fail(err, -EINVAL, 0, "no such group of probes: %d", (int)g);
	gs__session_detach_if(s, g);
	return 0;
}
