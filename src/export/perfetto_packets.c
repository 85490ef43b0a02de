/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Writing Perfetto's trace packets; see perfetto_packets.h. A trace is a sequence of field 1, TracePacket.
 * What importers insist on (src/trace_processor/importers/proto, docs/reference/synthetic-track-event):
 *
 *	- every packet has the number of its sequence; the first one clears the sequence's state and sets the
 *	  clock of all timestamps, the others say that they need that state
 *	- an interned number is defined by a packet that stands before the first one that uses it
 *	- a track is described before its events; slices of a track nest; packets may stand in any order of time
 *
 * Timestamps are CLOCK_MONOTONIC, which is also made the clock of the whole trace.
 */
#include "export/perfetto_packets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/proto_writer.h"

#define SEQUENCE 1
#define FLUSH_BYTES (256u << 10)
#define STACKS_MAX (4u << 20)
#define FRAMES_MAX 128u
#define MAPPING 1

enum { TRACE_PACKET = 1 };
/* TracePacket */
enum {
	PACKET_CLOCK_SNAPSHOT = 6,
	PACKET_TIMESTAMP = 8,
	PACKET_SEQUENCE = 10,
	PACKET_TRACK_EVENT,
	PACKET_INTERNED,
	PACKET_FLAGS,
	PACKET_DEFAULTS = 59,
	PACKET_TRACK,
	PACKET_PERF_SAMPLE = 66,
	PACKET_FIRST = 87,
};
enum { FLAG_CLEARED = 1, FLAG_NEEDS_STATE = 2 };
enum { CLOCK_ID_REALTIME = 1, CLOCK_ID_MONOTONIC = 3 };
enum { SNAPSHOT_CLOCKS = 1, SNAPSHOT_PRIMARY };
enum { CLOCK_ID = 1, CLOCK_TIMESTAMP };
enum { DEFAULTS_CLOCK = 58 };
/* TrackDescriptor, ProcessDescriptor, ThreadDescriptor, CounterDescriptor */
enum {
	TRACK_UUID = 1,
	TRACK_NAME,
	TRACK_PROCESS,
	TRACK_THREAD,
	TRACK_PARENT,
	TRACK_COUNTER = 8,
	TRACK_ORDERING = 11,
	TRACK_RANK,
};
enum { PROCESS_PID = 1, PROCESS_NAME = 6 };
enum { THREAD_PID = 1, THREAD_TID };
enum { COUNTER_UNIT = 3 };
enum { UNIT_COUNT = 2, UNIT_BYTES };
/* TrackEvent */
enum {
	EVENT_CATEGORY = 3,
	EVENT_ANNOTATION,
	EVENT_TYPE = 9,
	EVENT_NAME,
	EVENT_TRACK,
	EVENT_COUNTER_VALUE = 30,
	EVENT_FLOW = 47,
	EVENT_FLOW_END,
	EVENT_CALLSTACK = 56,
};
enum { TYPE_BEGIN = 1, TYPE_END, TYPE_INSTANT, TYPE_COUNTER };
enum { ANNOTATION_NAME = 1, ANNOTATION_UINT = 3, ANNOTATION_STRING = 6 };
/* InternedData and its members */
enum {
	INTERNED_CATEGORIES = 1,
	INTERNED_NAMES,
	INTERNED_ANNOTATIONS,
	INTERNED_FUNCTIONS = 5,
	INTERNED_FRAMES,
	INTERNED_STACKS,
	INTERNED_PATHS = 17,
	INTERNED_SOURCES,
	INTERNED_MAPPINGS,
};
enum { STRING_IID = 1, STRING_STR };
enum { FRAME_IID = 1, FRAME_FUNCTION, FRAME_MAPPING, FRAME_PC, FRAME_SOURCE, FRAME_LINE };
enum { STACK_IID = 1, STACK_FRAMES };
enum { MAPPING_IID = 1, MAPPING_PATH = 7 };
enum { SAMPLE_CPU = 1, SAMPLE_PID, SAMPLE_TID, SAMPLE_STACK, SAMPLE_MODE };

static const char *const keys[GS__PF_KEYS] = {
	[GS__PF_GOROUTINE] = "goroutine",
	[GS__PF_THREAD] = "thread",
	[GS__PF_P] = "P",
	[GS__PF_REASON] = "reason",
	[GS__PF_WHERE] = "where",
	[GS__PF_OBJECT] = "object",
	[GS__PF_PEER] = "peer",
	[GS__PF_FILE] = "file",
	[GS__PF_STATUS] = "status",
	[GS__PF_PATH] = "path",
	[GS__PF_PATTERN] = "pattern",
	[GS__PF_WAKER] = "woken_by",
	[GS__PF_SYSCALL] = "syscall",
	[GS__PF_WAITED_FOR_CPU] = "waited_for_cpu_ns",
	[GS__PF_PREEMPTED] = "preempted",
	[GS__PF_BYTES] = "bytes",
};
static const char *const categories[GS__PF_CATEGORIES] = {
	[GS__PF_CAT_GOROUTINE] = "goroutine",
	[GS__PF_CAT_THREAD] = "thread",
	[GS__PF_CAT_P] = "p",
	[GS__PF_CAT_CALL] = "call",
	[GS__PF_CAT_RUNTIME] = "runtime",
};

/* --- Packets ----------------------------------------------------------------------------------------- */

void gs__pf_flush(struct gs__pf *p)
{
	gs_out_bytes(p->out, p->buf.buf, p->buf.len);
	if (gs_out_failed(&p->buf) && !p->error)
		p->error = p->buf.error;
	p->buf.len = 0;
}

static size_t packet_begin(struct gs__pf *p, uint64_t flags)
{
	size_t mark;

	if (p->buf.len >= FLUSH_BYTES)
		gs__pf_flush(p);
	mark = gs_proto_begin(&p->buf, TRACE_PACKET);
	gs_proto_u64(&p->buf, PACKET_SEQUENCE, SEQUENCE);
	gs_proto_u64(&p->buf, PACKET_FLAGS, flags);
	return mark;
}

static void packet_end(struct gs__pf *p, size_t mark)
{
	gs_proto_end(&p->buf, mark);
}

static void timestamp(struct gs__pf *p, int64_t t_ns)
{
	gs_proto_u64(&p->buf, PACKET_TIMESTAMP, t_ns > 0 ? (uint64_t)t_ns : 1);
}

/* A string field: protobuf strings are UTF-8, names are foreign. */
static void put_string(struct gs__pf *p, uint32_t field, const char *s, size_t n)
{
	size_t mark;

	if (!gs_escape_needed(s, n)) {
		gs_proto_bytes(&p->buf, field, s, n);
		return;
	}
	mark = gs_proto_begin(&p->buf, field);
	gs_out_name(&p->buf, s, n);
	gs_proto_end(&p->buf, mark);
}

/* InternedString, EventName, EventCategory and DebugAnnotationName are all of this shape. */
static void interned(struct gs__pf *p, uint32_t field, uint64_t iid, const char *s, size_t n)
{
	size_t mark = gs_proto_begin(&p->buf, field);

	gs_proto_u64(&p->buf, STRING_IID, iid);
	put_string(p, STRING_STR, s, n);
	gs_proto_end(&p->buf, mark);
}

static void clock_reading(struct gs__pf *p, uint64_t id, int64_t t_ns)
{
	size_t mark = gs_proto_begin(&p->buf, SNAPSHOT_CLOCKS);

	gs_proto_u64(&p->buf, CLOCK_ID, id);
	gs_proto_u64(&p->buf, CLOCK_TIMESTAMP, (uint64_t)t_ns);
	gs_proto_end(&p->buf, mark);
}

static void first_packets(struct gs__pf *p, int64_t now_ns, int64_t now_unix_ns)
{
	const char *exe = p->source->process ? p->source->process->executable : NULL;
	size_t packet = packet_begin(p, FLAG_CLEARED), mark;

	if (!exe)
		exe = "";
	gs_proto_u64(&p->buf, PACKET_FIRST, 1);
	mark = gs_proto_begin(&p->buf, PACKET_DEFAULTS);
	gs_proto_u64(&p->buf, DEFAULTS_CLOCK, CLOCK_ID_MONOTONIC);
	gs_proto_end(&p->buf, mark);
	mark = gs_proto_begin(&p->buf, PACKET_INTERNED);
	for (uint32_t i = 1; i < GS__PF_CATEGORIES; i++)
		interned(p, INTERNED_CATEGORIES, i, categories[i], strlen(categories[i]));
	for (uint32_t i = 1; i < GS__PF_KEYS; i++)
		interned(p, INTERNED_ANNOTATIONS, i, keys[i], strlen(keys[i]));
	interned(p, INTERNED_PATHS, MAPPING, exe, strlen(exe));
	gs_proto_end(&p->buf, mark);
	packet_end(p, packet);

	packet = packet_begin(p, FLAG_NEEDS_STATE);
	mark = gs_proto_begin(&p->buf, PACKET_INTERNED);
	{
		size_t mapping = gs_proto_begin(&p->buf, INTERNED_MAPPINGS);

		gs_proto_u64(&p->buf, MAPPING_IID, MAPPING);
		gs_proto_u64(&p->buf, MAPPING_PATH, MAPPING);
		gs_proto_end(&p->buf, mapping);
	}
	gs_proto_end(&p->buf, mark);
	packet_end(p, packet);

	packet = packet_begin(p, FLAG_NEEDS_STATE);
	mark = gs_proto_begin(&p->buf, PACKET_CLOCK_SNAPSHOT);
	clock_reading(p, CLOCK_ID_MONOTONIC, now_ns);
	if (now_unix_ns > 0)
		clock_reading(p, CLOCK_ID_REALTIME, now_unix_ns);
	gs_proto_u64(&p->buf, SNAPSHOT_PRIMARY, CLOCK_ID_MONOTONIC);
	gs_proto_end(&p->buf, mark);
	packet_end(p, packet);
}

int gs__pf_init(struct gs__pf *p, struct gs_out *out, struct gs_event_source *source,
		int64_t now_ns, int64_t now_unix_ns, struct gs_err *err)
{
	int r;

	*p = (struct gs__pf){ .out = out, .source = source };
	gs_out_init_mem(&p->buf);
	r = gs__string_table_init(&p->names, err);
	if (r == 0)
		r = gs__string_table_init(&p->functions, err);
	if (r == 0)
		r = gs__string_table_init(&p->files, err);
	if (r < 0)
		return r;
	first_packets(p, now_ns, now_unix_ns);
	return 0;
}

void gs__pf_deinit(struct gs__pf *p)
{
	gs_out_deinit(&p->buf);
	gs__string_table_deinit(&p->names);
	gs__string_table_deinit(&p->functions);
	gs__string_table_deinit(&p->files);
	gs__pair_table_deinit(&p->frames);
	free(p->stack_told);
}

/* --- Tracks ------------------------------------------------------------------------------------------ */

void gs__pf_track(struct gs__pf *p, const struct gs__pf_track *t)
{
	size_t packet = packet_begin(p, FLAG_NEEDS_STATE), track, mark;
	struct gs_out *b = &p->buf;

	track = gs_proto_begin(b, PACKET_TRACK);
	gs_proto_u64(b, TRACK_UUID, t->uuid);
	gs_proto_u64(b, TRACK_PARENT, t->parent);
	if (t->name && (!t->pid || t->tid))
		put_string(p, TRACK_NAME, t->name, t->name_len);
	if (t->pid) {
		mark = gs_proto_begin(b, t->tid ? TRACK_THREAD : TRACK_PROCESS);
		gs_proto_i64(b, t->tid ? THREAD_PID : PROCESS_PID, t->pid);
		if (t->tid)
			gs_proto_i64(b, THREAD_TID, t->tid);
		else if (t->name)
			put_string(p, PROCESS_NAME, t->name, t->name_len);
		gs_proto_end(b, mark);
	}
	if (t->counter) {
		mark = gs_proto_begin(b, TRACK_COUNTER);
		gs_proto_u64(b, COUNTER_UNIT, t->bytes ? UNIT_BYTES : UNIT_COUNT);
		gs_proto_end(b, mark);
	}
	if (t->ordered)
		gs_proto_u64(b, TRACK_ORDERING, GS__PF_ORDER_EXPLICIT);
	gs_proto_i64(b, TRACK_RANK, t->rank);
	gs_proto_end(b, track);
	packet_end(p, packet);
}

/* --- Names and stacks -------------------------------------------------------------------------------- */

/* The number of a string in one of the tables; a new one goes out in a packet of its own. */
static uint64_t number(struct gs__pf *p, struct gs__string_table *t, uint32_t field, const char *s,
		       size_t n)
{
	size_t packet, mark;
	uint64_t iid;
	int r;

	if (n == 0) {
		s = "?";
		n = 1;
	}
	r = gs__string_number(t, s, n, &iid, NULL);
	if (r < 0 && !p->error)
		p->error = r;
	if (r <= 0)
		return r < 0 ? 0 : iid;
	packet = packet_begin(p, FLAG_NEEDS_STATE);
	mark = gs_proto_begin(&p->buf, PACKET_INTERNED);
	interned(p, field, iid, s, n);
	gs_proto_end(&p->buf, mark);
	packet_end(p, packet);
	return iid;
}

uint64_t gs__pf_name(struct gs__pf *p, const char *s, size_t n)
{
	return number(p, &p->names, INTERNED_NAMES, s, n);
}

static uint64_t frame_number(struct gs__pf *p, const struct gs_frame *f)
{
	uint64_t function =
		number(p, &p->functions, INTERNED_FUNCTIONS, f->function, strlen(f->function));
	uint64_t file = number(p, &p->files, INTERNED_SOURCES, f->file, strlen(f->file)), iid;
	size_t packet, data, mark;
	int r = gs__pair_number(&p->frames, function << 32 | (file & UINT32_MAX),
				f->pc ^ (uint64_t)f->line << 40, &iid, NULL);

	if (r < 0 && !p->error)
		p->error = r;
	if (r <= 0)
		return r < 0 ? 0 : iid;
	packet = packet_begin(p, FLAG_NEEDS_STATE);
	data = gs_proto_begin(&p->buf, PACKET_INTERNED);
	mark = gs_proto_begin(&p->buf, INTERNED_FRAMES);
	gs_proto_u64(&p->buf, FRAME_IID, iid);
	gs_proto_u64(&p->buf, FRAME_FUNCTION, function);
	gs_proto_u64(&p->buf, FRAME_MAPPING, MAPPING);
	gs_proto_u64(&p->buf, FRAME_PC, f->pc);
	gs_proto_u64(&p->buf, FRAME_SOURCE, file);
	gs_proto_u64(&p->buf, FRAME_LINE, f->line);
	gs_proto_end(&p->buf, mark);
	gs_proto_end(&p->buf, data);
	packet_end(p, packet);
	return iid;
}

/* Whether a stack has been written; from now on it has. */
static bool told(struct gs__pf *p, uint32_t id)
{
	if (id >= p->n_stack_told) {
		uint32_t n = p->n_stack_told ? p->n_stack_told : 1024;
		uint8_t *told;

		while (n <= id)
			n *= 2;
		told = gs_array_resize(p->stack_told, n, 1);
		if (!told) {
			p->error = -ENOMEM;
			return true;
		}
		memset(told + p->n_stack_told, 0, n - p->n_stack_told);
		p->stack_told = told;
		p->n_stack_told = n;
	}
	if (p->stack_told[id])
		return true;
	p->stack_told[id] = 1;
	return false;
}

uint64_t gs__pf_stack(struct gs__pf *p, uint32_t id)
{
	const struct gs_stack *s;
	uint64_t frames[FRAMES_MAX];
	size_t packet, data, mark;
	uint32_t n;

	if (id == 0 || id >= STACKS_MAX)
		return 0;
	if (id < p->n_stack_told && p->stack_told[id])
		return id;
	s = p->source->stack(p->source, id);
	if (!s || s->n_frames == 0 || told(p, id))
		return 0;
	n = s->n_frames < FRAMES_MAX ? s->n_frames : FRAMES_MAX;
	for (uint32_t i = 0; i < n; i++) /* outermost first */
		frames[i] = frame_number(p, &s->frames[n - 1 - i]);
	packet = packet_begin(p, FLAG_NEEDS_STATE);
	data = gs_proto_begin(&p->buf, PACKET_INTERNED);
	mark = gs_proto_begin(&p->buf, INTERNED_STACKS);
	gs_proto_u64(&p->buf, STACK_IID, id);
	for (uint32_t i = 0; i < n; i++)
		gs_proto_u64(&p->buf, STACK_FRAMES, frames[i]);
	gs_proto_end(&p->buf, mark);
	gs_proto_end(&p->buf, data);
	packet_end(p, packet);
	return id;
}

/* --- Events ------------------------------------------------------------------------------------------ */

void gs__pf_arg_text(struct gs__pf_what *what, enum gs__pf_key key, const char *s, size_t n)
{
	if (!s || n == 0 || what->n_args == GS__PF_ARGS)
		return;
	what->arg[what->n_args].key = key;
	what->arg[what->n_args].text = s;
	what->arg[what->n_args++].len = n;
}

void gs__pf_arg(struct gs__pf_what *what, enum gs__pf_key key, uint64_t v)
{
	if (what->n_args == GS__PF_ARGS)
		return;
	what->arg[what->n_args].key = key;
	what->arg[what->n_args++].number = v;
}

/* A varint field also when it is 0: proto3's default is "absent" for oneof members. */
static void present_u64(struct gs_out *o, uint32_t field, uint64_t v)
{
	gs_proto_varint(o, (uint64_t)field << 3);
	gs_proto_varint(o, v);
}

static void fixed64(struct gs_out *o, uint32_t field, uint64_t v)
{
	if (!v)
		return;
	gs_proto_varint(o, (uint64_t)field << 3 | 1);
	gs_out_bytes(o, &v, sizeof(v)); // little-endian, as the machine
}

static void details(struct gs__pf *p, const struct gs__pf_what *w)
{
	struct gs_out *b = &p->buf;

	gs_proto_u64(b, EVENT_CATEGORY, w->category);
	gs_proto_u64(b, EVENT_NAME, w->name);
	fixed64(b, EVENT_FLOW, w->flow);
	fixed64(b, EVENT_FLOW_END, w->flow_end);
	gs_proto_u64(b, EVENT_CALLSTACK, w->stack);
	for (uint32_t i = 0; i < w->n_args; i++) {
		size_t mark = gs_proto_begin(b, EVENT_ANNOTATION);

		gs_proto_u64(b, ANNOTATION_NAME, w->arg[i].key);
		if (w->arg[i].text)
			put_string(p, ANNOTATION_STRING, w->arg[i].text, w->arg[i].len);
		else
			present_u64(b, ANNOTATION_UINT, w->arg[i].number);
		gs_proto_end(b, mark);
	}
}

static void event(struct gs__pf *p, uint64_t type, uint64_t track, int64_t t_ns,
		  const struct gs__pf_what *what)
{
	size_t packet = packet_begin(p, FLAG_NEEDS_STATE), mark;

	timestamp(p, t_ns);
	mark = gs_proto_begin(&p->buf, PACKET_TRACK_EVENT);
	gs_proto_u64(&p->buf, EVENT_TYPE, type);
	gs_proto_u64(&p->buf, EVENT_TRACK, track);
	if (what)
		details(p, what);
	gs_proto_end(&p->buf, mark);
	packet_end(p, packet);
}

void gs__pf_slice_begin(struct gs__pf *p, uint64_t track, int64_t t_ns,
			const struct gs__pf_what *what)
{
	event(p, TYPE_BEGIN, track, t_ns, what);
}

void gs__pf_slice_end(struct gs__pf *p, uint64_t track, int64_t t_ns,
		      const struct gs__pf_what *what)
{
	event(p, TYPE_END, track, t_ns, what);
}

void gs__pf_instant(struct gs__pf *p, uint64_t track, int64_t t_ns, const struct gs__pf_what *what)
{
	event(p, TYPE_INSTANT, track, t_ns, what);
}

void gs__pf_counter(struct gs__pf *p, uint64_t track, int64_t t_ns, uint64_t v)
{
	size_t packet = packet_begin(p, FLAG_NEEDS_STATE), mark;

	timestamp(p, t_ns);
	mark = gs_proto_begin(&p->buf, PACKET_TRACK_EVENT);
	gs_proto_u64(&p->buf, EVENT_TYPE, TYPE_COUNTER);
	gs_proto_u64(&p->buf, EVENT_TRACK, track);
	present_u64(&p->buf, EVENT_COUNTER_VALUE, v);
	gs_proto_end(&p->buf, mark);
	packet_end(p, packet);
}

void gs__pf_sample(struct gs__pf *p, int64_t t_ns, int32_t pid, int32_t tid, uint64_t stack)
{
	size_t packet = packet_begin(p, FLAG_NEEDS_STATE), mark;

	timestamp(p, t_ns);
	mark = gs_proto_begin(&p->buf, PACKET_PERF_SAMPLE);
	gs_proto_i64(&p->buf, SAMPLE_PID, pid);
	gs_proto_i64(&p->buf, SAMPLE_TID, tid);
	gs_proto_u64(&p->buf, SAMPLE_STACK, stack);
	gs_proto_end(&p->buf, mark);
	packet_end(p, packet);
}
