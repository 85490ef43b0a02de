/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Events by hand. The language is in event_script.h. Everything lives in one arena and on growing arrays that the
 * source owns; being test code it aborts instead of failing.
 */
#include "event_script.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"

#define WORDS_MAX 40

struct named {
	gs_addr addr;
	const char *name;
};

struct labelled {
	uint64_t goid;
	struct gs_label label;
};

struct script {
	struct gs_event_source pub;
	struct gs_arena *arena;
	struct gs_event *owned; /* of a text */
	const struct gs_event *events;
	size_t n, at, batch;
	struct gs_stack **stacks;
	char **stack_texts;
	uint32_t n_stacks;
	struct named *objects;
	size_t n_objects;
	struct labelled *labels;
	size_t n_labels;
	const char *functions[16];
	struct gs_process process;
	struct gs_stream_stats stats;
	bool stopped;
	gs_addr pc;       /* of the frame made last */
	const char *line; /* being read, for messages */
};

/* A line in words. */
struct words {
	char *w[WORDS_MAX];
	size_t n;
};

static void die(const struct script *s, const char *what, const char *word)
{
	fprintf(stderr, "event script: %s \"%s\" in: %s\n", what, word, s->line ? s->line : "");
	abort();
}

static void *grow(void *p, size_t n, size_t size)
{
	void *bigger = gs_array_resize(p, n, size);

	if (!bigger)
		abort();
	return bigger;
}

static char *keep(struct script *s, const char *text, size_t n)
{
	char *copy = gs_arena_strndup(s->arena, text, n);

	if (!copy)
		abort();
	return copy;
}

static struct script *script_of(struct gs_event_source *src)
{
	return (struct script *)src;
}

/* ---- the source ---- */

static int next(struct gs_event_source *src, int64_t timeout_ns, const struct gs_event **ret,
		size_t *ret_n, struct gs_err *err)
{
	struct script *s = script_of(src);
	size_t n = s->n - s->at < s->batch ? s->n - s->at : s->batch;

	if (n == 0 || s->stopped)
		return 2;
	*ret = s->events + s->at;
	*ret_n = n;
	s->at += n;
	return 0;
}

static const struct gs_stack *stack(struct gs_event_source *src, uint32_t id)
{
	struct script *s = script_of(src);

	return id && id <= s->n_stacks ? s->stacks[id - 1] : NULL;
}

static const char *object_name(struct gs_event_source *src, gs_addr addr)
{
	struct script *s = script_of(src);

	for (size_t i = 0; i < s->n_objects; i++)
		if (s->objects[i].addr == addr)
			return s->objects[i].name;
	return NULL;
}

static uint32_t labels(struct gs_event_source *src, uint64_t goid, const struct gs_label **ret)
{
	struct script *s = script_of(src);
	struct gs_label *found = gs_arena_array(s->arena, s->n_labels + 1, sizeof(*found));
	uint32_t n = 0;

	for (size_t i = 0; found && i < s->n_labels; i++)
		if (s->labels[i].goid == goid)
			found[n++] = s->labels[i].label;
	*ret = found; /* stays, as the contract wants */
	return n;
}

static const struct gs_stream_stats *stats(struct gs_event_source *src)
{
	return &script_of(src)->stats;
}

static void stop(struct gs_event_source *src)
{
	script_of(src)->stopped = true;
}

static struct gs_event_source *script_free(struct gs_event_source *src)
{
	struct script *s = script_of(src);

	if (!s)
		return NULL;
	gs_arena_free(s->arena);
	free(s->owned);
	free(s->stacks);
	free(s->stack_texts);
	free(s->objects);
	free(s->labels);
	free(s);
	return NULL;
}

struct gs_event_source *event_script_array(const struct gs_event *events, size_t n)
{
	struct script *s = calloc(1, sizeof(*s));

	if (!s || !(s->arena = gs_arena_new(0)))
		abort();
	s->pub = (struct gs_event_source){ .next = next,
					   .stack = stack,
					   .object_name = object_name,
					   .labels = labels,
					   .stats = stats,
					   .stop = stop,
					   .free = script_free,
					   .process = &s->process,
					   .goarch = "amd64",
					   .functions = s->functions };
	s->process = (struct gs_process){ .pid = 4711,
					  .start_time_unix_ns = 1700000000000000000u,
					  .executable = "/srv/app",
					  .go_version = "go1.26.1",
					  .goos = "linux",
					  .goarch = "amd64",
					  .service = "example.com/app" };
	s->events = events;
	s->n = n;
	s->batch = 3;
	s->stats.begin_unix_ns = 1700000001000000000;
	if (n) {
		s->stats.begin_ns = events[0].t_ns;
		s->stats.end_ns = events[n - 1].t_ns;
		s->stats.produced = n;
	}
	return &s->pub;
}

/* ---- frames ---- */

static void parse_frame(struct script *s, const char *text, size_t len, struct gs_frame *ret)
{
	static const struct {
		const char *prefix;
		uint32_t flag;
	} marks[] = { { "k:", GS_FRAME_KERNEL },
		      { "c:", GS_FRAME_FOREIGN },
		      { "h:", GS_FRAME_HIDDEN } };
	*ret = (struct gs_frame){ .file = "" };
	for (size_t i = 0; i < GS_ARRAY_SIZE(marks); i++) {
		if (len > 2 && memcmp(text, marks[i].prefix, 2) == 0) {
			ret->flags = marks[i].flag;
			text += 2;
			len -= 2;
		}
	}
	const char *at = memchr(text, '@', len);
	size_t name_len = at ? (size_t)(at - text) : len;

	ret->function = keep(s, text, name_len);
	if (at) {
		char *file = keep(s, at + 1, len - name_len - 1);
		char *colon = strrchr(file, ':');

		if (!colon)
			die(s, "a frame's file has no line", file);
		*colon = '\0';
		ret->file = file;
		ret->line = (uint32_t)strtoul(colon + 1, NULL, 10);
	}
	ret->entry = s->pc += 0x100;
	ret->pc = ret->entry + 0x10;
}

const struct gs_frame *event_script_frame(struct gs_event_source *src, const char *frame)
{
	struct script *s = script_of(src);
	struct gs_frame *f = gs_arena_alloc(s->arena, sizeof(*f));

	if (!f)
		abort();
	parse_frame(s, frame, strlen(frame), f);
	return f;
}

uint32_t event_script_stack(struct gs_event_source *src, const char *frames)
{
	struct script *s = script_of(src);
	const char *p = frames;
	uint32_t n = 1;

	for (uint32_t i = 0; i < s->n_stacks; i++)
		if (strcmp(s->stack_texts[i], frames) == 0)
			return i + 1;
	for (const char *c = frames; *c; c++)
		n += *c == '<';
	struct gs_stack *st = gs_arena_alloc(s->arena, sizeof(*st));
	struct gs_frame *f = gs_arena_array(s->arena, n, sizeof(*f));

	if (!st || !f)
		abort();
	for (uint32_t i = 0; i < n; i++) {
		size_t len = strcspn(p, "<");

		parse_frame(s, p, len, &f[i]);
		p += len + 1;
	}
	st->id = s->n_stacks;
	st->hash = s->n_stacks + 1;
	st->n_frames = n;
	st->frames = f;
	s->stacks = grow(s->stacks, s->n_stacks + 1, sizeof(s->stacks[0]));
	s->stack_texts = grow(s->stack_texts, s->n_stacks + 1, sizeof(s->stack_texts[0]));
	s->stacks[s->n_stacks] = st;
	s->stack_texts[s->n_stacks] = keep(s, frames, strlen(frames));
	return ++s->n_stacks;
}

/* ---- other facts ---- */

void event_script_object(struct gs_event_source *src, gs_addr addr, const char *name)
{
	struct script *s = script_of(src);

	s->objects = grow(s->objects, s->n_objects + 1, sizeof(s->objects[0]));
	s->objects[s->n_objects++] = (struct named){ addr, keep(s, name, strlen(name)) };
}

void event_script_label(struct gs_event_source *src, uint64_t goid, const char *key,
			const char *value)
{
	struct script *s = script_of(src);

	s->labels = grow(s->labels, s->n_labels + 1, sizeof(s->labels[0]));
	s->labels[s->n_labels++] = (struct labelled){
		goid,
		{ keep(s, key, strlen(key)), keep(s, value, strlen(value)), (uint32_t)strlen(key),
		  (uint32_t)strlen(value) },
	};
}

struct gs_stream_stats *event_script_stats(struct gs_event_source *src)
{
	return &script_of(src)->stats;
}

void event_script_batch(struct gs_event_source *src, size_t n)
{
	script_of(src)->batch = n;
}

const struct gs_event *event_script_events(struct gs_event_source *src, size_t *ret_n)
{
	struct script *s = script_of(src);

	*ret_n = s->n;
	return s->events;
}

/* ---- the text ---- */

/* Words of a line, quotes removed; changes @line. */
static void split(const struct script *s, char *line, struct words *ret)
{
	ret->n = 0;
	while (*line) {
		line += strspn(line, " \t");
		if (!*line || *line == '#')
			return;
		if (ret->n == WORDS_MAX)
			die(s, "too many words", line);
		char *to = line;
		bool quoted = false;

		ret->w[ret->n++] = line;
		for (; *line && (quoted || (*line != ' ' && *line != '\t')); line++) {
			if (*line == '"')
				quoted = !quoted;
			else
				*to++ = *line;
		}
		if (*line)
			line++;
		*to = '\0';
	}
}

/* The value of a key; NULL if it is not there. Taken ones become "" so that misspelt ones are found. */
static const char *value(struct words *w, const char *key)
{
	size_t len = strlen(key);

	for (size_t i = 2; i < w->n; i++) {
		if (strncmp(w->w[i], key, len) == 0 && w->w[i][len] == '=') {
			const char *v = w->w[i] + len + 1;

			w->w[i] += strlen(w->w[i]);
			return v;
		}
	}
	return NULL;
}

static int64_t number(const struct script *s, const char *text, int64_t fallback)
{
	static const struct {
		const char *unit;
		int64_t ns;
	} units[] = {
		{ "", 1 }, { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 }
	};
	char *end;

	if (!text)
		return fallback;
	int64_t n = (int64_t)strtoull(text, &end, 0);

	if (text[0] == '-')
		n = strtoll(text, &end, 0);
	for (size_t i = 0; end != text && i < GS_ARRAY_SIZE(units); i++)
		if (strcmp(end, units[i].unit) == 0)
			return n * units[i].ns;
	die(s, "no number", text);
	return 0;
}

static int64_t num(const struct script *s, struct words *w, const char *key, int64_t fallback)
{
	return number(s, value(w, key), fallback);
}

static const char *str(struct script *s, struct words *w, const char *key)
{
	const char *v = value(w, key);

	return v ? keep(s, v, strlen(v)) : NULL;
}

/* Position of @name in a table. */
static uint32_t choice(const struct script *s, const char *name, const char *const *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (table[i] && strcmp(table[i], name) == 0)
			return (uint32_t)i;
	die(s, "unknown word", name);
	return 0;
}

static uint16_t flags(const struct script *s, struct words *w)
{
	static const char *const names[] = { "adopted", "preempted", "syscall", "fault",
					     "major",   "reclaim",   "cgo",     "netpoll" };
	char *v = (char *)value(w, "flags"); /* words are ours to change */
	uint16_t r = 0;

	for (char *part = v ? strtok(v, "|") : NULL; part; part = strtok(NULL, "|"))
		r |= (uint16_t)(1u << choice(s, part, names, GS_ARRAY_SIZE(names)));
	return r;
}

static void address(const struct script *s, const char *text, uint8_t addr[16], uint16_t *port,
		    uint16_t *family)
{
	char host[64];
	const char *colon = text ? strrchr(text, ':') : NULL;

	if (!text)
		return;
	if (!colon || (size_t)(colon - text) >= sizeof(host))
		die(s, "no address", text);
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	*port = (uint16_t)strtoul(colon + 1, NULL, 10);
	if (inet_pton(AF_INET, host, addr) == 1)
		*family = *family ? *family : AF_INET;
	else if (inet_pton(AF_INET6, host, addr) == 1)
		*family = *family ? *family : AF_INET6;
	else
		die(s, "no address", text);
}

static struct gs_file_ref file_ref(struct script *s, struct words *w)
{
	struct gs_file_ref f = { .fd = (int32_t)num(s, w, "fd", -1),
				 .mode = (uint32_t)num(s, w, "mode", 0),
				 .family = (uint16_t)num(s, w, "family", 0),
				 .protocol = (uint16_t)num(s, w, "protocol", 0),
				 .dev = (uint32_t)num(s, w, "dev", 0) };
	const char *name = value(w, "name");

	address(s, value(w, "peer"), f.peer_addr, &f.peer_port, &f.family);
	address(s, value(w, "local"), f.local_addr, &f.local_port, &f.family);
	if (name)
		snprintf(f.name, sizeof(f.name), "%s", name);
	return f;
}

static const struct gs_frame *frame(struct script *s, struct words *w, const char *key)
{
	const char *v = value(w, key);

	return v ? event_script_frame(&s->pub, v) : NULL;
}

static void parse_state(struct script *s, struct words *w, struct gs_event *e)
{
	const char *state = value(w, "state");

	if (state && gs_goroutine_state_parse(state, &e->state.state) < 0)
		die(s, "unknown state", state);
	e->state.parent = (uint64_t)num(s, w, "parent", 0);
	e->state.wait_reason = str(s, w, "reason");
	e->state.wait = gs_wait_of(e->state.wait_reason);
	e->state.since_ns = num(s, w, "since", 0);
	e->state.created_by = frame(s, w, "created_by");
	e->state.start = frame(s, w, "start");
	e->state.system = num(s, w, "system", 0) != 0;
}

static void parse_create(struct script *s, struct words *w, struct gs_event *e)
{
	e->create.parent = (uint64_t)num(s, w, "parent", 0);
	e->create.created_by = frame(s, w, "created_by");
	e->create.start = frame(s, w, "start");
}

static void parse_ready(struct script *s, struct words *w, struct gs_event *e)
{
	e->ready.waker = (uint64_t)num(s, w, "waker", 0);
}

static void parse_run(struct script *s, struct words *w, struct gs_event *e)
{
	e->run.p = (int32_t)num(s, w, "p", -1);
}

static void parse_park(struct script *s, struct words *w, struct gs_event *e)
{
	const char *mode = value(w, "io");

	e->park.reason = str(s, w, "reason");
	e->park.wait = gs_wait_of(e->park.reason);
	e->park.object = (gs_addr)num(s, w, "object", 0);
	e->park.io_mode = mode ? mode[0] : 0;
	e->park.n_cases = (uint16_t)num(s, w, "cases", 0);
	e->park.file = file_ref(s, w);
}

static void parse_call(struct script *s, struct words *w, struct gs_event *e)
{
	static const char *const kinds[] = { NULL, "http1", "http2", "grpc", "function" };
	const char *kind = value(w, "call");

	e->call.call = kind ? choice(s, kind, kinds, GS_ARRAY_SIZE(kinds)) : GS_CALL_HTTP1;
	e->call.function = (uint32_t)num(s, w, "function", 0);
	e->call.sp = (uint64_t)num(s, w, "sp", 0);
	e->call.status = (int32_t)num(s, w, "status", -1);
	e->call.bytes = num(s, w, "bytes", -1);
	e->call.method = str(s, w, "method");
	e->call.path = str(s, w, "path");
	e->call.pattern = str(s, w, "pattern");
	e->call.peer = str(s, w, "peer");
	e->call.method_len = e->call.method ? (uint16_t)strlen(e->call.method) : 0;
	e->call.path_len = e->call.path ? (uint16_t)strlen(e->call.path) : 0;
	e->call.pattern_len = e->call.pattern ? (uint16_t)strlen(e->call.pattern) : 0;
	e->call.peer_len = e->call.peer ? (uint16_t)strlen(e->call.peer) : 0;
}

static void parse_runtime(struct script *s, struct words *w, struct gs_event *e)
{
	static const char *const names[] = { NULL,        "stw_begin",   "stw_end",
					     "gc_begin",  "gc_mark",     "gc_mark_done",
					     "gc_end",    "sweep_begin", "assist_begin",
					     "assist_end" };
	const char *what = value(w, "what");

	e->runtime.what = choice(s, what ? what : "", names, GS_ARRAY_SIZE(names));
	e->runtime.arg = (uint64_t)num(s, w, "arg", 0);
}

static void parse_off(struct script *s, struct words *w, struct gs_event *e)
{
	e->off_cpu.off_ns = num(s, w, "since", e->t_ns);
	e->off_cpu.wake_ns = num(s, w, "wake", 0);
	e->off_cpu.waker_goid = (uint64_t)num(s, w, "waker", 0);
	e->off_cpu.waker_tid = (int32_t)num(s, w, "waker_tid", 0);
	e->off_cpu.syscall = (int32_t)num(s, w, "syscall", -1);
	e->off_cpu.arg[0] = (uint64_t)num(s, w, "arg0", 0);
	e->off_cpu.arg[1] = (uint64_t)num(s, w, "arg1", 0);
	e->off_cpu.task_state = (uint32_t)num(s, w, "task_state", 1);
	e->off_cpu.io_wait = num(s, w, "io_wait", 0) != 0;
	e->off_cpu.file = file_ref(s, w);
}

static void parse_sample(struct script *s, struct words *w, struct gs_event *e)
{
	e->sample.period_ns = num(s, w, "period", 10000000);
}

static void parse_map(struct script *s, struct words *w, struct gs_event *e)
{
	char key[8];

	e->map.syscall = (int32_t)num(s, w, "syscall", 9);
	for (int i = 0; i < 6; i++) {
		snprintf(key, sizeof(key), "arg%d", i);
		e->map.arg[i] = (uint64_t)num(s, w, key, 0);
	}
	e->map.result = num(s, w, "result", 0);
}

static void parse_page_fault(struct script *s, struct words *w, struct gs_event *e)
{
	e->fault.addr = (uint64_t)num(s, w, "addr", 0);
	e->fault.period = (uint64_t)num(s, w, "period", 1);
}

static void parse_dlopen(struct script *s, struct words *w, struct gs_event *e)
{
	e->dlopen.path = str(s, w, "path");
	e->dlopen.path_len = e->dlopen.path ? (uint16_t)strlen(e->dlopen.path) : 0;
}

static void parse_process(struct script *s, struct words *w, struct gs_event *e)
{
	static const char *const names[] = { NULL,   "thread_new", "thread_exit",
					     "fork", "exec",       "exit" };
	const char *what = value(w, "what"), *comm = value(w, "comm");

	e->process.what = choice(s, what ? what : "", names, GS_ARRAY_SIZE(names));
	e->process.child = (int32_t)num(s, w, "child", 0);
	if (comm)
		snprintf(e->process.comm, sizeof(e->process.comm), "%s", comm);
}

static void parse_gauge(struct script *s, struct words *w, struct gs_event *e)
{
	e->gauge.heap_live_bytes = (uint64_t)num(s, w, "heap_live", 0);
	e->gauge.heap_goal_bytes = (uint64_t)num(s, w, "heap_goal", 0);
	e->gauge.runnable_global = (uint64_t)num(s, w, "runnable_global", 0);
	e->gauge.runnable_local = (uint64_t)num(s, w, "runnable_local", 0);
	e->gauge.goroutines = (uint64_t)num(s, w, "goroutines", 0);
	e->gauge.gomaxprocs = (uint32_t)num(s, w, "gomaxprocs", 0);
	e->gauge.idle_ps = (uint32_t)num(s, w, "idle_ps", 0);
	e->gauge.threads = (uint32_t)num(s, w, "threads", 0);
}

static void parse_lost(struct script *s, struct words *w, struct gs_event *e)
{
	e->lost.count = (uint64_t)num(s, w, "count", 1);
}

static void parse_thinned(struct script *s, struct words *w, struct gs_event *e)
{
	e->thinned.mask = (uint32_t)num(s, w, "mask", 1);
}

static void parse_detached(struct script *s, struct words *w, struct gs_event *e)
{
	char *v = (char *)value(w, "what"); /* words are ours to change */

	for (char *part = v ? strtok(v, "|") : NULL; part; part = strtok(NULL, "|")) {
		uint32_t bit = 1;

		while (bit <= GS_UNSEEN_ALL && strcmp(gs_unseen_name(bit), part) != 0)
			bit <<= 1;
		if (bit > GS_UNSEEN_ALL)
			die(s, "unknown word", part);
		e->detached.unseen |= bit;
	}
}

typedef void parse_fn(struct script *s, struct words *w, struct gs_event *e);

static const struct {
	const char *verb;
	enum gs_event_kind kind;
	parse_fn *parse;
} verbs[] = {
	{ "state", GS_EV_GO_STATE, parse_state },
	{ "create", GS_EV_GO_CREATE, parse_create },
	{ "ready", GS_EV_GO_READY, parse_ready },
	{ "run", GS_EV_GO_RUN, parse_run },
	{ "park", GS_EV_GO_PARK, parse_park },
	{ "yield", GS_EV_GO_YIELD, NULL },
	{ "exit", GS_EV_GO_EXIT, NULL },
	{ "begin", GS_EV_CALL_BEGIN, parse_call },
	{ "end", GS_EV_CALL_END, parse_call },
	{ "runtime", GS_EV_RUNTIME, parse_runtime },
	{ "off", GS_EV_OFF_CPU, parse_off },
	{ "sample", GS_EV_SAMPLE, parse_sample },
	{ "map", GS_EV_MAP, parse_map },
	{ "page_fault", GS_EV_PAGE_FAULT, parse_page_fault },
	{ "dlopen", GS_EV_DLOPEN, parse_dlopen },
	{ "process", GS_EV_PROCESS, parse_process },
	{ "gauge", GS_EV_GAUGE, parse_gauge },
	{ "lost", GS_EV_LOST, parse_lost },
	{ "thinned", GS_EV_THINNED, parse_thinned },
	{ "detached", GS_EV_DETACHED, parse_detached },
};

static void parse_event(struct script *s, struct words *w, struct gs_event *e)
{
	size_t v = 0;
	const char *frames;

	if (w->n < 2)
		die(s, "an event needs a verb", w->w[0]);
	while (v < GS_ARRAY_SIZE(verbs) && strcmp(w->w[1], verbs[v].verb) != 0)
		v++;
	if (v == GS_ARRAY_SIZE(verbs))
		die(s, "unknown verb", w->w[1]);
	*e = (struct gs_event){ .t_ns = number(s, w->w[0], 0), .kind = (uint16_t)verbs[v].kind };
	if (w->n > 2 && !strchr(w->w[2], '=')) {
		e->goid = (uint64_t)number(s, w->w[2], 0);
		w->w[2] += strlen(w->w[2]);
	}
	e->tid = (int32_t)num(s, w, "tid", 0);
	e->flags = flags(s, w);
	if ((frames = value(w, "stack")))
		e->stack = event_script_stack(&s->pub, frames);
	if ((frames = value(w, "kstack")))
		e->kernel_stack = event_script_stack(&s->pub, frames);
	e->usage = (struct gs_usage){ .kernel_ns = num(s, w, "kernel", 0),
				      .fault_minor_ns = num(s, w, "fault_minor", 0),
				      .fault_major_ns = num(s, w, "fault_major", 0),
				      .reclaim_ns = num(s, w, "reclaim", 0),
				      .cgo_ns = num(s, w, "cgo", 0),
				      .faults_minor = (uint32_t)num(s, w, "faults_minor", 0),
				      .faults_major = (uint32_t)num(s, w, "faults_major", 0) };
	if (verbs[v].parse)
		verbs[v].parse(s, w, e);
	for (size_t i = 2; i < w->n; i++)
		if (*w->w[i])
			die(s, "unknown key", w->w[i]);
}

/* Lines that are no events. @return false if it is one. */
static bool parse_fact(struct script *s, struct words *w)
{
	const char *verb = w->w[0];

	if (strcmp(verb, "object") == 0 && w->n == 3) {
		event_script_object(&s->pub, (gs_addr)number(s, w->w[1], 0), w->w[2]);
	} else if (strcmp(verb, "label") == 0 && w->n == 4) {
		event_script_label(&s->pub, (uint64_t)number(s, w->w[1], 0), w->w[2], w->w[3]);
	} else if (strcmp(verb, "function") == 0 && w->n == 2) {
		if (s->pub.n_functions == GS_ARRAY_SIZE(s->functions))
			die(s, "too many functions", w->w[1]);
		s->functions[s->pub.n_functions++] = keep(s, w->w[1], strlen(w->w[1]));
	} else if (strcmp(verb, "incomplete") == 0 && w->n == 3) {
		gs_incomplete_add(&s->stats.incomplete, keep(s, w->w[1], strlen(w->w[1])), 1, "%s",
				  w->w[2]);
	} else {
		return false;
	}
	return true;
}

static void parse_line(struct script *s, const char *text, size_t len)
{
	char *line = keep(s, text, len);
	struct words w;

	s->line = keep(s, text, len);
	split(s, line, &w);
	if (w.n == 0 || parse_fact(s, &w))
		return;
	s->owned = grow(s->owned, s->n + 1, sizeof(s->owned[0]));
	parse_event(s, &w, &s->owned[s->n++]);
}

struct gs_event_source *event_script(const char *text)
{
	struct gs_event_source *src = event_script_array(NULL, 0);
	struct script *s = script_of(src);

	while (*text) {
		size_t len = strcspn(text, "\n");

		parse_line(s, text, len);
		text += len + (text[len] == '\n');
	}
	s->events = s->owned;
	if (s->n) {
		s->stats.begin_ns = s->events[0].t_ns;
		s->stats.end_ns = s->events[s->n - 1].t_ns;
		s->stats.produced = s->n;
	}
	return src;
}
