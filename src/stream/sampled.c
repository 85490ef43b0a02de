/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Events without probes: all goroutines are read some fifty times a second with the snapshot lens, and what
 * changed between two looks becomes events at the time of the later look. For users and kernels that have no
 * BPF. What is shorter than the distance of two looks is missed, who woke whom is unknown, and a
 * goroutine that is found in the same place twice is taken to have been there in between; the
 * result says so.
 *
 * A request is what has the frame of net/http's serverHandler.ServeHTTP (or of gRPC's handleStream, or
 * of a watched function) on its stack. Running goroutines have no stack that could be read, so they
 * keep what was last known.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "stream/stream_private.h"

#define LOOK_NS 20000000 /* distance of two looks */
#define SHARE 20         /* a look may take a twentieth of the time */
#define GOROUTINES_MAX (1u << 21)
#define STACKS_MAX (1u << 20)
#define EVENTS_PER_GOROUTINE 6

struct known {
	uint64_t goid; /* 0: free */
	uint64_t look; /* last one that met it */
	enum gs_goroutine_state state;
	const char *wait_reason;
	const struct gs_stack *stack;
	int64_t since_ns; /* of the state */
	int32_t tid;
	int32_t syscall; /* the one it sits in, -1: not known */
	uint64_t arg[2];
	bool in_call;
	enum gs_call_kind call;
	uint32_t function;
	const char *handler; /* outermost function of the request that is not net/http's; stays */
};

struct sampled {
	struct gs_event_source pub;
	struct gs_target *target;
	struct gs_rt *rt;
	struct known *table;
	uint32_t n, mask;
	struct gs_event *events;
	size_t n_events, cap_events;
	const struct gs_stack **stacks; /* by id - 1 */
	uint32_t n_stacks, cap_stacks;
	uint64_t look;
	int64_t now_ns, look_ns;
	bool stopped, ended, failed_memory;
	struct gs_stream_stats stats;
	struct timespec cpu_begin;
	clockid_t target_clock;
	bool has_clock;
	int64_t target_cpu_begin;
	const char *functions[GS_PLAN_FUNCTIONS_MAX];
};

static struct sampled *sampled_of(struct gs_event_source *s)
{
	return (struct sampled *)s;
}

static struct known *find(struct sampled *s, uint64_t goid)
{
	uint32_t i = (uint32_t)gs_hash_u64(gs_hash_seed(), goid) & s->mask;

	while (s->table[i].goid && s->table[i].goid != goid)
		i = (i + 1) & s->mask;
	return &s->table[i];
}

/* Make room for twice as many, leaving out those that are gone. */
static bool grow(struct sampled *s)
{
	struct known *old = s->table;
	uint32_t old_n = s->mask + 1, live = 0;

	for (uint32_t i = 0; i < old_n; i++)
		live += old[i].goid && old[i].look + 1 >= s->look;
	uint32_t n = old_n;
	while (live * 2 >= n)
		n *= 2;
	if (n > GOROUTINES_MAX)
		return false;
	s->table = gs_array_new(n, sizeof(*s->table));
	if (!s->table) {
		s->table = old;
		return false;
	}
	s->mask = n - 1;
	s->n = live;
	for (uint32_t i = 0; i < old_n; i++)
		if (old[i].goid && old[i].look + 1 >= s->look)
			*find(s, old[i].goid) = old[i];
	free(old);
	return true;
}

static struct gs_event *emit(struct sampled *s, enum gs_event_kind kind, const struct known *k)
{
	static struct gs_event dropped;

	if (s->n_events == s->cap_events) {
		size_t cap = s->cap_events ? s->cap_events * 2 : 1024;
		struct gs_event *p = gs_array_resize(s->events, cap, sizeof(*p));

		if (!p) {
			s->failed_memory = true;
			return &dropped;
		}
		s->events = p;
		s->cap_events = cap;
	}
	struct gs_event *e = &s->events[s->n_events++];
	*e = (struct gs_event){ .t_ns = s->now_ns, .goid = k->goid, .kind = kind, .tid = k->tid };
	return e;
}

/* The source's id of a stack: that of the reader, which is dense, plus one. */
static uint32_t stack_id(struct sampled *s, const struct gs_stack *stack)
{
	if (!stack || !stack->n_frames || stack->id >= STACKS_MAX)
		return 0;
	if (stack->id >= s->cap_stacks) {
		uint32_t cap = s->cap_stacks ? s->cap_stacks : 256;

		while (cap <= stack->id)
			cap *= 2;
		const struct gs_stack **p = gs_array_resize(s->stacks, cap, sizeof(*p));
		if (!p)
			return 0;
		memset(p + s->cap_stacks, 0, (cap - s->cap_stacks) * sizeof(*p));
		s->stacks = p;
		s->cap_stacks = cap;
	}
	s->stacks[stack->id] = stack;
	return stack->id + 1;
}

static bool is_grpc(const char *f)
{
	return strcmp(f, "google.golang.org/grpc.(*Server).handleStream") == 0;
}

static bool is_plumbing(const char *f)
{
	return strncmp(f, "net/http.", 9) == 0 || strncmp(f, "runtime.", 8) == 0 ||
	       strncmp(f, "google.golang.org/grpc.", 23) == 0;
}

/* Whether a stack is that of a request, and of which handler. */
static bool find_call(const struct sampled *s, const struct gs_stack *stack, struct known *k)
{
	const char *handler = NULL;

	for (uint32_t i = 0; i < stack->n_frames; i++) {
		const char *f = stack->frames[i].function;

		for (uint32_t n = 0; n < s->pub.n_functions; n++) {
			if (strcmp(f, s->functions[n]) == 0) {
				k->call = GS_CALL_FUNCTION;
				k->function = n;
				return true;
			}
		}
		if (s->pub.n_functions)
			continue;
		if (strcmp(f, "net/http.serverHandler.ServeHTTP") == 0 || is_grpc(f)) {
			k->call = is_grpc(f) ? GS_CALL_GRPC : GS_CALL_HTTP1;
			k->handler = handler ? handler : "";
			return true;
		}
		if (!is_plumbing(f))
			handler = f;
	}
	return false;
}

static void emit_call(struct sampled *s, const struct known *k, enum gs_event_kind kind)
{
	struct gs_event *e = emit(s, kind, k);

	e->call.call = k->call;
	e->call.function = k->function;
	e->call.status = -1;
	e->call.bytes = -1;
	e->call.method = e->call.path = e->call.peer = "";
	e->call.pattern = k->handler ? k->handler : "";
	e->call.pattern_len = (uint16_t)strnlen(e->call.pattern, 1024);
}

static bool on_thread(enum gs_goroutine_state state)
{
	return state == GS_G_RUNNING || state == GS_G_SYSCALL;
}

/* The number of the system call a thread sits in, -1 if it runs or nobody may tell. */
static int32_t thread_syscall(const struct sampled *s, int32_t tid, uint64_t arg[2])
{
	char path[64];
	long nr = -1;
	unsigned long long a = 0, b = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", s->pub.process->pid, tid);
	FILE *f = fopen(path, "re");
	if (!f)
		return -1;
	if (fscanf(f, "%ld %llx %llx", &nr, &a, &b) != 3)
		nr = -1;
	fclose(f);
	arg[0] = a;
	arg[1] = b;
	return (int32_t)nr;
}

static void leave_syscall(struct sampled *s, const struct known *k)
{
	struct gs_event *e = emit(s, GS_EV_OFF_CPU, k);

	e->flags = GS_EV_SYSCALL;
	e->stack = stack_id(s, k->stack);
	e->off_cpu.off_ns = k->since_ns;
	e->off_cpu.wake_ns = s->now_ns;
	e->off_cpu.task_state = 1;
	e->off_cpu.file.fd = -1;
	e->off_cpu.syscall = k->syscall;
	memcpy(e->off_cpu.arg, k->arg, sizeof(k->arg));
}

/* Its thread runs in a system call: on a CPU, at a stack that is known. */
static void emit_sample(struct sampled *s, const struct known *k)
{
	struct gs_event *e = emit(s, GS_EV_SAMPLE, k);

	e->stack = stack_id(s, k->stack);
	e->sample.period_ns = LOOK_NS;
}

/* End the state @k was in. After this it runs. */
static void emit_leave(struct sampled *s, const struct known *k)
{
	if (k->state == GS_G_WAITING || k->state == GS_G_LEAKED || k->state == GS_G_PREEMPTED)
		emit(s, GS_EV_GO_READY, k)->tid = 0;
	if (k->state == GS_G_SYSCALL && k->syscall >= 0) // else its thread ran
		leave_syscall(s, k);
	if (!on_thread(k->state))
		emit(s, GS_EV_GO_RUN, k)->run.p = -1;
}

/* From running to the state @k is in now. */
static void emit_enter(struct sampled *s, const struct known *k)
{
	if (k->state == GS_G_RUNNABLE || k->state == GS_G_IDLE) {
		emit(s, GS_EV_GO_YIELD, k);
	} else if (!on_thread(k->state)) {
		struct gs_event *e = emit(s, GS_EV_GO_PARK, k);

		e->stack = stack_id(s, k->stack);
		e->park.reason = k->wait_reason;
		e->park.wait = gs_wait_of(k->wait_reason);
		e->park.file.fd = -1;
	}
}

static void emit_first(struct sampled *s, const struct gs_goroutine *g, const struct known *k)
{
	struct gs_event *e = emit(s, s->look == 1 ? GS_EV_GO_STATE : GS_EV_GO_CREATE, k);

	e->stack = s->look == 1 ? stack_id(s, k->stack) : 0;
	if (s->look > 1) {
		e->create.parent = g->parent_id;
		e->create.created_by = g->created_by;
		e->create.start = g->start ? gs_rt_start(s->rt, g->start->pc) : NULL;
		return;
	}
	e->state.parent = g->parent_id;
	e->state.wait_reason = k->wait_reason;
	e->state.state = k->state;
	e->state.wait = gs_wait_of(k->wait_reason);
	e->state.created_by = g->created_by;
	e->state.start = g->start ? gs_rt_start(s->rt, g->start->pc) : NULL;
	e->state.system = g->system;
}

static bool same_place(const struct known *a, const struct known *b)
{
	return a->state == b->state && a->wait_reason == b->wait_reason && a->stack == b->stack;
}

/* What changed since the last look, in an order that could have happened. */
static void compare(struct sampled *s, const struct gs_goroutine *g, struct known *k,
		    struct known now)
{
	bool born = k->goid == 0;

	if (born) {
		struct known first = now;
		// What is under way already counts from here: stuck requests are what people look for. Requests
		// begin on a CPU.
		bool call = s->look == 1 && now.in_call;

		if (call) {
			first.state = GS_G_RUNNING;
			first.wait_reason = NULL;
		}
		emit_first(s, g, &first);
		now.since_ns = s->now_ns;
		now.syscall = -1;
		if (call) {
			emit_call(s, &now, GS_EV_CALL_BEGIN);
			emit_enter(s, &now);
		}
		if (s->look > 1) {
			k->goid = now.goid;
			k->state = GS_G_RUNNABLE;
		}
	} else if (same_place(k, &now) && k->in_call == now.in_call) {
		k->look = s->look;
		if (k->state == GS_G_SYSCALL && k->syscall < 0) // it ran at all looks so far
			k->syscall = thread_syscall(s, k->tid, k->arg);
		if (k->state == GS_G_SYSCALL && k->syscall < 0)
			emit_sample(s, k);
		return;
	}
	if (!born || s->look > 1) {
		bool call_ends = k->in_call && !now.in_call,
		     call_begins = now.in_call && !k->in_call;

		now.since_ns = same_place(k, &now) ? k->since_ns : s->now_ns;
		if (now.state == GS_G_SYSCALL)
			now.syscall = thread_syscall(s, now.tid, now.arg);
		emit_leave(s, k);
		if (call_ends)
			emit_call(s, k, GS_EV_CALL_END);
		if (call_begins)
			emit_call(s, &now, GS_EV_CALL_BEGIN);
		emit_enter(s, &now);
	}
	*k = now;
	if (k->state == GS_G_SYSCALL && k->syscall < 0)
		emit_sample(s, k);
}

static int visit(void *ctx, const struct gs_goroutine *g)
{
	struct sampled *s = ctx;

	if (g->state == GS_G_DEAD || g->state == GS_G_DEADEXTRA || !g->id)
		return 0;
	if (s->n * 2 >= s->mask && !grow(s))
		return 0;
	struct known *k = find(s, g->id);
	struct known now = { .goid = g->id,
			     .look = s->look,
			     .state = g->state,
			     .wait_reason = g->wait_reason,
			     .tid = g->thread_id,
			     .stack = g->stack };
	if (k->goid && on_thread(now.state) && !g->stack->n_frames) {
		now.in_call = k->in_call;
		now.call = k->call;
		now.function = k->function;
		now.handler = k->handler;
	} else {
		now.in_call = find_call(s, g->stack, &now);
	}
	s->n += k->goid == 0;
	compare(s, g, k, now);
	return 0;
}

static void emit_gone(struct sampled *s)
{
	for (uint32_t i = 0; i <= s->mask; i++) {
		struct known *k = &s->table[i];

		if (!k->goid || k->look + 1 != s->look)
			continue;
		emit_leave(s, k);
		if (k->in_call)
			emit_call(s, k, GS_EV_CALL_END);
		emit(s, GS_EV_GO_EXIT, k);
		k->in_call = false;
	}
}

static int64_t clock_ns(clockid_t c)
{
	struct timespec ts;

	return clock_gettime(c, &ts) == 0 ? (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec : 0;
}

static int look(struct sampled *s, struct gs_err *err)
{
	struct gs_rt_dump_options o = { .no_labels = true };
	int64_t begin = gs_now_ns();

	s->look++;
	s->now_ns = begin;
	s->n_events = 0;
	int r = gs_rt_goroutines(s->rt, &o, visit, s, &s->stats.incomplete, err);
	if (r < 0)
		return r;
	emit_gone(s);
	s->look_ns = gs_now_ns() - begin;
	s->stats.produced += s->n_events;
	s->stats.end_ns = begin;
	return s->failed_memory ? gs_fail(err, -ENOMEM, 0, "no memory for events") : 0;
}

/* Wait for the next look, at most @timeout_ns. False if it is not yet time. */
static bool wait_for_look(struct sampled *s, int64_t timeout_ns)
{
	int64_t pause = s->look_ns * SHARE > LOOK_NS ? s->look_ns * SHARE : LOOK_NS;
	int64_t left = s->look ? s->now_ns + pause - gs_now_ns() : 0;
	int64_t sleep_ns = left < timeout_ns ? left : timeout_ns;

	if (sleep_ns > 0) {
		struct timespec ts = { sleep_ns / 1000000000, sleep_ns % 1000000000 };

		nanosleep(&ts, NULL);
	}
	return left <= timeout_ns;
}

static int sampled_next(struct gs_event_source *src, int64_t timeout_ns,
			const struct gs_event **ret, size_t *ret_n, struct gs_err *err)
{
	struct sampled *s = sampled_of(src);

	if (s->ended || s->stopped)
		return 2;
	if (!wait_for_look(s, timeout_ns))
		return 1;
	int r = look(s, err);
	if (r == -GS_E_GONE || (r < 0 && gs_target_alive(s->target, NULL) < 0)) {
		s->ended = true;
		s->stats.target_exit = 1;
		return 2;
	}
	if (r < 0)
		return r;
	*ret = s->events;
	*ret_n = s->n_events;
	return s->n_events ? 0 : 1;
}

static const struct gs_stack *sampled_stack(struct gs_event_source *src, uint32_t id)
{
	struct sampled *s = sampled_of(src);

	return id && id <= s->cap_stacks ? s->stacks[id - 1] : NULL;
}

static const char *sampled_object_name(struct gs_event_source *src, gs_addr addr)
{
	return NULL; /* where goroutines wait is known only by their stacks */
}

static uint32_t sampled_labels(struct gs_event_source *src, uint64_t goid,
			       const struct gs_label **ret)
{
	return 0;
}

static const struct gs_stream_stats *sampled_stats(struct gs_event_source *src)
{
	struct sampled *s = sampled_of(src);

	if (s->has_clock) {
		int64_t now = clock_ns(s->target_clock);

		if (now > s->target_cpu_begin)
			s->stats.target_cpu_ns = now - s->target_cpu_begin;
	}
	s->stats.self_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	s->stats.self_rss_bytes = gs__self_rss_bytes();
	return &s->stats;
}

static void sampled_stop(struct gs_event_source *src)
{
	sampled_of(src)->stopped = true;
}

static struct gs_event_source *sampled_free(struct gs_event_source *src)
{
	struct sampled *s = sampled_of(src);

	free(s->table);
	free(s->events);
	free(s->stacks);
	free(s);
	return NULL;
}

int gs_stream_sampled_open(struct gs_target *t, struct gs_rt *rt, const struct gs_stream_options *o,
			   struct gs_event_source **ret, struct gs_err *err)
{
	struct sampled *s = calloc(1, sizeof(*s));
	const struct gs_rt_facts *facts = gs_rt_facts(rt);

	if (s)
		s->table = gs_array_new(1024, sizeof(*s->table));
	if (!s || !s->table) {
		free(s);
		return gs_fail(err, -ENOMEM, 0, "no memory to watch goroutines");
	}
	s->mask = 1023;
	s->target = t;
	s->rt = rt;
	s->pub.next = sampled_next;
	s->pub.stack = sampled_stack;
	s->pub.object_name = sampled_object_name;
	s->pub.labels = sampled_labels;
	s->pub.stats = sampled_stats;
	s->pub.stop = sampled_stop;
	s->pub.free = sampled_free;
	s->pub.process = &facts->process;
	s->pub.goarch = facts->process.goarch;
	for (uint32_t i = 0; i < o->wish.n_functions && i < GS_PLAN_FUNCTIONS_MAX; i++)
		s->functions[s->pub.n_functions++] = o->wish.functions[i];
	s->pub.functions = s->functions;
	s->stats.begin_ns = s->stats.end_ns = gs_now_ns();
	s->stats.begin_unix_ns = clock_ns(CLOCK_REALTIME);
	s->has_clock = clock_getcpuclockid(facts->process.pid, &s->target_clock) == 0;
	if (s->has_clock)
		s->target_cpu_begin = clock_ns(s->target_clock);
	gs_incomplete_add(
		&s->stats.incomplete, "estimated_by_snapshots", 1,
		"no probes: goroutines were read 50 times a second; what is shorter is missed, "
		"and who woke whom is unknown");
	*ret = &s->pub;
	return 0;
}
