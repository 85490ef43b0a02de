/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A dump as gzip'd profile.proto (github.com/google/pprof/proto/profile.proto), shaped like the
 * "goroutine" profile of runtime/pprof, so that `go tool pprof` and profile stores take it:
 *
 *	sample type   goroutine/count, period type the same, period 1 (printCountProfile)
 *	sample        one per goroutine, value 1; grouped: one per group, value its count
 *	labels        state, wait_reason, goid (a number; not in groups) and the goroutine's own pprof
 *	              labels; one of those that is called like one of ours becomes "label:NAME", of
 *	              equal keys the first counts: viewers handle no keys with several values
 *	location      one per call site, its lines are the calls inlined there, innermost first. Frames
 *	              hold return addresses, the profile the calls' addresses, one less (emitLocation)
 *	mapping       one, the executable, all symbolised
 *	comment       what the dump is missing
 *
 * Like runtime/pprof: runtime frames are there (runtime.gopark innermost), compiler-made wrappers
 * and runtime.goexit are not; functions have their symbol's whole name, type arguments included. A goroutine whose stack was not read has a sample without locations,
 * which viewers count in the total.
 *
 * The messages of a protobuf may come in any order, so each location, function and string goes out
 * when it first appears, through a running deflate: memory grows with distinct places, not with
 * goroutines. Strings are escaped, because proto3 wants UTF-8 and names are foreign.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/escape.h"
#include "base/proto_writer.h"
#include "export/dump_private.h"
#include "export/pprof_tables.h"

/* Field numbers of profile.proto. */
enum {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE,
	PROFILE_MAPPING,
	PROFILE_LOCATION,
	PROFILE_FUNCTION,
	PROFILE_STRING_TABLE,
	PROFILE_TIME_NANOS = 9,
	PROFILE_PERIOD_TYPE = 11,
	PROFILE_PERIOD,
	PROFILE_COMMENT
};
enum { VALUE_TYPE_TYPE = 1, VALUE_TYPE_UNIT };
enum { SAMPLE_LOCATION = 1, SAMPLE_VALUE, SAMPLE_LABEL };
enum { LABEL_KEY = 1, LABEL_STR, LABEL_NUM };
enum {
	MAPPING_ID = 1,
	MAPPING_FILENAME = 5,
	MAPPING_HAS_FUNCTIONS = 7,
	MAPPING_HAS_FILENAMES,
	MAPPING_HAS_LINE_NUMBERS,
	MAPPING_HAS_INLINE_FRAMES
};
enum { LOCATION_ID = 1, LOCATION_MAPPING, LOCATION_ADDRESS, LOCATION_LINE };
enum { LINE_FUNCTION = 1, LINE_LINE };
enum { FUNCTION_ID = 1, FUNCTION_NAME, FUNCTION_SYSTEM_NAME, FUNCTION_FILENAME };

#define MAIN_MAPPING 1
#define MAX_LABELS 64u     /* of one goroutine */
#define MAX_INLINED 256u   /* calls inlined at one place */
#define FLUSH_BYTES 65536u /* of protobuf before it is compressed */

struct pprof_writer {
	struct gs_dump_writer w;
	struct gs_out proto;   /* finished messages, not yet compressed */
	struct gs_out message; /* the one being built */
	struct gs_out escaped;
	struct gs__string_table strings;
	struct gs__pair_table functions; /* (name, file) */
	struct gs__pair_table locations; /* (pc, number of lines and innermost line) */
	z_stream z;
	bool z_ready;
	uint64_t labels_dropped;
	uint8_t packed[FLUSH_BYTES];
};

/* Give the protobuf bytes to deflate, and what comes out to the output. */
static int compress_out(struct pprof_writer *t, int flush, struct gs_err *err)
{
	int r;

	t->z.next_in = (Bytef *)t->proto.buf;
	t->z.avail_in = (uInt)t->proto.len;
	do {
		t->z.next_out = t->packed;
		t->z.avail_out = sizeof(t->packed);
		r = deflate(&t->z, flush);
		if (r == Z_STREAM_ERROR)
			return gs_fail(err, -EINVAL, 0, "cannot compress the profile");
		gs_out_bytes(t->w.out, t->packed, sizeof(t->packed) - t->z.avail_out);
	} while (t->z.avail_out == 0);
	t->proto.len = 0;
	return 0;
}

/* Number of a string as it may be printed; a new one goes out. */
static int string_n(struct pprof_writer *t, const char *s, size_t n, uint64_t *ret,
		    struct gs_err *err)
{
	int r;

	if (gs_escape_needed(s, n)) {
		t->escaped.len = 0;
		gs_out_name(&t->escaped, s, n);
		if (gs_out_failed(&t->escaped))
			return gs_fail(err, t->escaped.error, 0,
				       "cannot write the profile: out of memory");
		s = t->escaped.buf;
		n = t->escaped.len;
	}
	r = gs__string_number(&t->strings, s, n, ret, err);
	if (r > 0)
		gs_proto_bytes(&t->proto, PROFILE_STRING_TABLE, s, n);
	return r < 0 ? r : 0;
}

static int string(struct pprof_writer *t, const char *s, uint64_t *ret, struct gs_err *err)
{
	return string_n(t, s, strlen(s), ret, err);
}

static struct gs_out *message(struct pprof_writer *t)
{
	t->message.len = 0;
	return &t->message;
}

static void finish(struct pprof_writer *t, uint32_t field)
{
	gs_proto_bytes(&t->proto, field, t->message.buf, t->message.len);
}

static int function(struct pprof_writer *t, const struct gs_frame *f, uint64_t *ret,
		    struct gs_err *err)
{
	uint64_t name, file;
	struct gs_out *m;
	/* The symbol's own name, type arguments and all (runtime_FrameSymbolName). */
	int r = string_n(t, f->function, strlen(f->function), &name, err);

	if (r < 0)
		return r;
	r = string(t, f->file, &file, err);
	if (r < 0)
		return r;
	r = gs__pair_number(&t->functions, name, file, ret, err);
	if (r <= 0)
		return r;
	m = message(t);
	gs_proto_u64(m, FUNCTION_ID, *ret);
	gs_proto_u64(m, FUNCTION_NAME, name);
	gs_proto_u64(m, FUNCTION_SYSTEM_NAME, name);
	gs_proto_u64(m, FUNCTION_FILENAME, file);
	finish(t, PROFILE_FUNCTION);
	return 0;
}

/* The lines of a location: the calls inlined at one place, then the function itself. */
static int lines(struct pprof_writer *t, const struct gs_frame *f, uint32_t n, uint64_t *ret,
		 struct gs_err *err)
{
	for (uint32_t i = 0; i < n; i++) {
		int r = 0;

		ret[i] = 0;
		if (f[i].function[0])
			r = function(t, &f[i], &ret[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The location of @n frames of one pc, the last of which holds the others inlined. */
static int location(struct pprof_writer *t, const struct gs_frame *f, uint32_t n, uint64_t *ret,
		    struct gs_err *err)
{
	const struct gs_frame *outer = &f[n - 1];
	uint64_t functions[MAX_INLINED];
	struct gs_out *m;
	int r = gs__pair_number(&t->locations, outer->pc, (uint64_t)n << 32 | f[0].line, ret, err);

	if (r <= 0)
		return r;
	r = lines(t, f, n, functions, err);
	if (r < 0)
		return r;
	m = message(t);
	gs_proto_u64(m, LOCATION_ID, *ret);
	if (!(outer->flags & (GS_FRAME_FOREIGN | GS_FRAME_KERNEL)))
		gs_proto_u64(m, LOCATION_MAPPING, MAIN_MAPPING);
	gs_proto_u64(m, LOCATION_ADDRESS, outer->pc > outer->entry ? outer->pc - 1 : outer->pc);
	for (uint32_t i = 0; i < n; i++) {
		size_t mark;

		if (!functions[i])
			continue;
		mark = gs_proto_begin(m, LOCATION_LINE);
		gs_proto_u64(m, LINE_FUNCTION, functions[i]);
		gs_proto_u64(m, LINE_LINE, f[i].line);
		gs_proto_end(m, mark);
	}
	finish(t, PROFILE_LOCATION);
	return 0;
}

/* What runtime/pprof leaves out: see tracebackPCs and allFrames. */
static bool left_out(const struct gs_frame *f)
{
	return strcmp(f->function, "runtime.goexit") == 0 || f->flags & GS_FRAME_WRAPPER;
}

/* The packed location ids of a stack, in the scratch buffer. */
static int locations(struct pprof_writer *t, const struct gs_stack *s, struct gs_err *err)
{
	struct gs_frame inlined[MAX_INLINED];
	struct gs_out *ids = gs__scratch(&t->w);
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n_frames; i++) {
		const struct gs_frame *f = &s->frames[i];
		uint64_t id;
		int r;

		if (!left_out(f) && n < MAX_INLINED)
			inlined[n++] = *f;
		if (n == 0 || (f->flags & GS_FRAME_INLINED && i + 1 < s->n_frames))
			continue;
		r = location(t, inlined, n, &id, err);
		if (r < 0)
			return r;
		gs_proto_varint(ids, id);
		n = 0;
	}
	return 0;
}

static int stack(struct pprof_writer *t, const struct gs_stack *s, struct gs__text *ret,
		 struct gs_err *err)
{
	struct gs__text text = gs__stack_kept(&t->w, s);
	int r;

	if (!text.p) {
		r = locations(t, s, err);
		if (r < 0)
			return r;
		text = gs__stack_keep(&t->w, s, 0);
	}
	*ret = text;
	return 0;
}

/* A label's key and value by number; a value of 0 is a number label. */
struct label {
	uint64_t key, value, number;
};

struct labels {
	struct label label[MAX_LABELS];
	uint32_t n;
};

static bool has_key(const struct labels *l, uint64_t key)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (l->label[i].key == key)
			return true;
	return false;
}

static int own_label(struct pprof_writer *t, struct labels *l, const char *key, const char *value,
		     uint64_t number, struct gs_err *err)
{
	struct label *to = &l->label[l->n];
	int r = string(t, key, &to->key, err);

	to->value = 0;
	to->number = number;
	if (r == 0 && value)
		r = string(t, value, &to->value, err);
	if (r == 0)
		l->n++;
	return r;
}

/* What is the goroutine's own; empty keys and values say nothing in a profile. */
static int foreign_label(struct pprof_writer *t, struct labels *l, const struct gs_label *from,
			 struct gs_err *err)
{
	static const char *const ours[] = { "goid", "state", "wait_reason" };
	struct label *to;
	char renamed[32];
	int r;

	if (from->key_len == 0 || from->value_len == 0)
		return 0;
	if (l->n == MAX_LABELS) {
		t->labels_dropped++;
		return 0;
	}
	to = &l->label[l->n];
	r = string_n(t, from->key, from->key_len, &to->key, err);
	for (size_t i = 0; r == 0 && i < GS_ARRAY_SIZE(ours); i++) {
		if (strlen(ours[i]) != from->key_len ||
		    memcmp(ours[i], from->key, from->key_len) != 0)
			continue;
		snprintf(renamed, sizeof(renamed), "label:%s", ours[i]);
		r = string(t, renamed, &to->key, err);
	}
	if (r == 0)
		r = string_n(t, from->value, from->value_len, &to->value, err);
	to->number = 0;
	if (r == 0 && !has_key(l, to->key))
		l->n++;
	return r;
}

static int sample(struct pprof_writer *t, const struct gs_stack *s, uint64_t count,
		  const struct labels *l, struct gs_err *err)
{
	struct gs__text ids;
	struct gs_out *m;
	size_t mark;
	int r = stack(t, s, &ids, err);

	if (r < 0)
		return r;
	m = message(t);
	if (ids.len)
		gs_proto_bytes(m, SAMPLE_LOCATION, ids.p, ids.len);
	mark = gs_proto_begin(m, SAMPLE_VALUE);
	gs_proto_varint(m, count);
	gs_proto_end(m, mark);
	for (uint32_t i = 0; i < l->n; i++) {
		mark = gs_proto_begin(m, SAMPLE_LABEL);
		gs_proto_u64(m, LABEL_KEY, l->label[i].key);
		gs_proto_u64(m, LABEL_STR, l->label[i].value);
		gs_proto_u64(m, LABEL_NUM, l->label[i].number);
		gs_proto_end(m, mark);
	}
	finish(t, PROFILE_SAMPLE);
	if (t->proto.len >= FLUSH_BYTES)
		r = compress_out(t, Z_NO_FLUSH, err);
	return r < 0 ? r : gs__writer_check(&t->w, err);
}

static int state_labels(struct pprof_writer *t, struct labels *l, enum gs_goroutine_state state,
			const char *wait_reason, struct gs_err *err)
{
	int r = own_label(t, l, "state", gs_goroutine_state_name(state), 0, err);

	if (r == 0 && wait_reason && wait_reason[0])
		r = own_label(t, l, "wait_reason", wait_reason, 0, err);
	return r;
}

static int pprof_goroutine(struct gs_dump_writer *w, const struct gs_goroutine *g,
			   struct gs_err *err)
{
	struct pprof_writer *t = (struct pprof_writer *)w;
	struct labels l;
	int r;

	l.n = 0;
	r = own_label(t, &l, "goid", NULL, g->id, err);
	if (r == 0)
		r = state_labels(t, &l, g->state, g->wait_reason, err);
	for (uint32_t i = 0; r == 0 && i < g->n_labels; i++)
		r = foreign_label(t, &l, &g->labels[i], err);
	return r < 0 ? r : sample(t, g->stack, 1, &l, err);
}

static int pprof_group(struct gs_dump_writer *w, const struct gs_group *g, struct gs_err *err)
{
	struct pprof_writer *t = (struct pprof_writer *)w;
	struct labels l;
	int r;

	l.n = 0;
	r = state_labels(t, &l, g->state, g->wait_reason, err);
	return r < 0 ? r : sample(t, g->stack, g->count, &l, err);
}

static void pprof_abort(struct gs_dump_writer *w)
{
	struct pprof_writer *t = (struct pprof_writer *)w;

	if (t->z_ready)
		deflateEnd(&t->z);
	gs_out_deinit(&t->proto);
	gs_out_deinit(&t->message);
	gs_out_deinit(&t->escaped);
	gs__string_table_deinit(&t->strings);
	gs__pair_table_deinit(&t->functions);
	gs__pair_table_deinit(&t->locations);
	gs__writer_deinit(w);
	free(t);
}

static int value_type(struct pprof_writer *t, uint32_t field, struct gs_err *err)
{
	uint64_t type, unit;
	struct gs_out *m;
	int r = string(t, "goroutine", &type, err);

	if (r == 0)
		r = string(t, "count", &unit, err);
	if (r < 0)
		return r;
	m = message(t);
	gs_proto_u64(m, VALUE_TYPE_TYPE, type);
	gs_proto_u64(m, VALUE_TYPE_UNIT, unit);
	finish(t, field);
	return 0;
}

static int mapping(struct pprof_writer *t, const char *executable, struct gs_err *err)
{
	uint64_t file;
	struct gs_out *m;
	int r = string(t, executable ? executable : "", &file, err);

	if (r < 0)
		return r;
	m = message(t);
	gs_proto_u64(m, MAPPING_ID, MAIN_MAPPING);
	gs_proto_u64(m, MAPPING_FILENAME, file);
	gs_proto_u64(m, MAPPING_HAS_FUNCTIONS, 1);
	gs_proto_u64(m, MAPPING_HAS_FILENAMES, 1);
	gs_proto_u64(m, MAPPING_HAS_LINE_NUMBERS, 1);
	gs_proto_u64(m, MAPPING_HAS_INLINE_FRAMES, 1);
	finish(t, PROFILE_MAPPING);
	return 0;
}

static int start(struct pprof_writer *t, const struct gs_dump_options *o,
		 const struct gs_process *p, struct gs_err *err)
{
	int r = gs__string_table_init(&t->strings, err);

	if (r < 0)
		return r;
	/* Best speed, as runtime/pprof; 16 makes it gzip. */
	if (deflateInit2(&t->z, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return gs_fail(err, -ENOMEM, 0, "cannot write the profile: out of memory");
	t->z_ready = true;
	gs_proto_bytes(&t->proto, PROFILE_STRING_TABLE, "", 0);
	r = value_type(t, PROFILE_SAMPLE_TYPE, err);
	if (r == 0)
		r = value_type(t, PROFILE_PERIOD_TYPE, err);
	if (r == 0)
		r = mapping(t, p->executable, err);
	gs_proto_i64(&t->proto, PROFILE_PERIOD, 1);
	gs_proto_i64(&t->proto, PROFILE_TIME_NANOS, o->time_unix_ns);
	return r;
}

static int pprof_open(struct gs_dump_writer **ret, struct gs_out *out,
		      const struct gs_dump_options *o, const struct gs_process *p,
		      struct gs_err *err)
{
	struct pprof_writer *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return gs_fail(err, -ENOMEM, 0, "cannot write the profile: out of memory");
	gs_out_init_mem(&t->proto);
	gs_out_init_mem(&t->message);
	gs_out_init_mem(&t->escaped);
	r = gs__writer_init(&t->w, out, o, p, err);
	if (r == 0)
		r = start(t, o, p, err);
	if (r < 0) {
		pprof_abort(&t->w);
		return r;
	}
	*ret = &t->w;
	return 0;
}

static int comment(struct pprof_writer *t, const char *what, uint64_t count, const char *why,
		   struct gs_err *err)
{
	char text[256];
	uint64_t s;
	int r;

	snprintf(text, sizeof(text), "incomplete: %s: %" PRIu64 ": %s", what, count, why);
	r = string(t, text, &s, err);
	if (r == 0)
		gs_proto_u64(&t->proto, PROFILE_COMMENT, s);
	return r;
}

static int comments(struct pprof_writer *t, const struct gs_incomplete_list *inc,
		    struct gs_err *err)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < inc->n; i++)
		r = comment(t, inc->item[i].what, inc->item[i].count, inc->item[i].why, err);
	if (r == 0 && t->labels_dropped)
		r = comment(t, "labels", t->labels_dropped, "too many on one goroutine", err);
	return r;
}

static int buffer_errors(const struct pprof_writer *t, struct gs_err *err)
{
	int r = t->proto.error ? t->proto.error : t->message.error;

	return r < 0 ? gs_fail(err, r, 0, "cannot write the profile: %s", strerror(-r)) : 0;
}

static int pprof_close(struct gs_dump_writer *w, const struct gs_dump_options *o,
		       const struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct pprof_writer *t = (struct pprof_writer *)w;
	int r = comments(t, inc, err);

	if (r == 0)
		r = buffer_errors(t, err);
	if (r == 0)
		r = compress_out(t, Z_FINISH, err);
	if (r == 0)
		r = gs__writer_check(w, err);
	pprof_abort(w);
	return r;
}

const struct gs_dump_format gs_dump_pprof = {
	.name = "pprof",
	.binary = true,
	.open = pprof_open,
	.goroutine = pprof_goroutine,
	.group = pprof_group,
	.close = pprof_close,
	.abort = pprof_abort,
};
