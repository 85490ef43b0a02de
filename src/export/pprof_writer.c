/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Writing a profile.proto; see pprof_writer.h.
 *
 *	location      one per call site, its lines are the calls inlined there, innermost first. Frames
 *	              hold return addresses, the profile the calls' addresses, one less (emitLocation
 *	              of runtime/pprof)
 *	function      has its symbol's whole name, type arguments included (runtime_FrameSymbolName)
 *	mapping       all symbolised: viewers look for no binary
 */
#include "export/pprof_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "base/proto_writer.h"

/* Field numbers of profile.proto. */
enum {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE,
	PROFILE_MAPPING,
	PROFILE_LOCATION,
	PROFILE_FUNCTION,
	PROFILE_STRING_TABLE,
	PROFILE_TIME_NANOS = 9,
	PROFILE_DURATION_NANOS,
	PROFILE_PERIOD_TYPE,
	PROFILE_PERIOD,
	PROFILE_COMMENT,
	PROFILE_DEFAULT_SAMPLE_TYPE
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

#define MAX_INLINED 256u /* calls inlined at one place */

static int out_of_memory(struct gs_err *err)
{
	return gs_fail(err, -ENOMEM, 0, "cannot write the profile: out of memory");
}

/* Give the protobuf bytes to deflate, and what comes out to the output. */
static int compress_out(struct gs__pprof *t, int flush, struct gs_err *err)
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
		gs_out_bytes(t->out, t->packed, sizeof(t->packed) - t->z.avail_out);
	} while (t->z.avail_out == 0);
	t->proto.len = 0;
	return 0;
}

int gs__pprof_init(struct gs__pprof *t, struct gs_out *out, struct gs_err *err)
{
	int r;

	memset(t, 0, offsetof(struct gs__pprof, packed));
	t->out = out;
	gs_out_init_mem(&t->proto);
	gs_out_init_mem(&t->message);
	gs_out_init_mem(&t->escaped);
	r = gs__string_table_init(&t->strings, err);
	if (r < 0)
		return r;
	/* Best speed, as runtime/pprof; 16 makes it gzip. */
	if (deflateInit2(&t->z, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return out_of_memory(err);
	t->z_ready = true;
	gs_proto_bytes(&t->proto, PROFILE_STRING_TABLE, "", 0);
	return 0;
}

void gs__pprof_deinit(struct gs__pprof *t)
{
	if (t->z_ready)
		deflateEnd(&t->z);
	t->z_ready = false;
	gs_out_deinit(&t->proto);
	gs_out_deinit(&t->message);
	gs_out_deinit(&t->escaped);
	gs__string_table_deinit(&t->strings);
	gs__pair_table_deinit(&t->functions);
	gs__pair_table_deinit(&t->locations);
}

int gs__pprof_finish(struct gs__pprof *t, struct gs_err *err)
{
	int r = t->proto.error ? t->proto.error : t->message.error;

	if (r < 0)
		return gs_fail(err, r, 0, "cannot write the profile: %s", strerror(-r));
	return compress_out(t, Z_FINISH, err);
}

/* A new string goes out as it may be printed. */
int gs__pprof_string(struct gs__pprof *t, const char *s, size_t n, uint64_t *ret,
		     struct gs_err *err)
{
	int r;

	if (gs_escape_needed(s, n)) {
		t->escaped.len = 0;
		gs_out_name(&t->escaped, s, n);
		if (gs_out_failed(&t->escaped))
			return out_of_memory(err);
		s = t->escaped.buf;
		n = t->escaped.len;
	}
	r = gs__string_number(&t->strings, s, n, ret, err);
	if (r > 0)
		gs_proto_bytes(&t->proto, PROFILE_STRING_TABLE, s, n);
	return r < 0 ? r : 0;
}

static int string(struct gs__pprof *t, const char *s, uint64_t *ret, struct gs_err *err)
{
	return gs__pprof_string(t, s, strlen(s), ret, err);
}

static struct gs_out *message(struct gs__pprof *t)
{
	t->message.len = 0;
	return &t->message;
}

static void finish(struct gs__pprof *t, uint32_t field)
{
	gs_proto_bytes(&t->proto, field, t->message.buf, t->message.len);
}

/* ---- what the profile is about ---- */

static int value_type(struct gs__pprof *t, uint32_t field, const char *type, const char *unit,
		      struct gs_err *err)
{
	uint64_t type_n, unit_n;
	struct gs_out *m;
	int r = string(t, type, &type_n, err);

	if (r == 0)
		r = string(t, unit, &unit_n, err);
	if (r < 0)
		return r;
	m = message(t);
	gs_proto_u64(m, VALUE_TYPE_TYPE, type_n);
	gs_proto_u64(m, VALUE_TYPE_UNIT, unit_n);
	finish(t, field);
	return 0;
}

int gs__pprof_sample_type(struct gs__pprof *t, const char *type, const char *unit,
			  struct gs_err *err)
{
	return value_type(t, PROFILE_SAMPLE_TYPE, type, unit, err);
}

int gs__pprof_period(struct gs__pprof *t, const char *type, const char *unit, int64_t period,
		     struct gs_err *err)
{
	gs_proto_i64(&t->proto, PROFILE_PERIOD, period);
	return value_type(t, PROFILE_PERIOD_TYPE, type, unit, err);
}

int gs__pprof_default_type(struct gs__pprof *t, const char *type, struct gs_err *err)
{
	uint64_t n;
	int r = string(t, type, &n, err);

	if (r == 0)
		gs_proto_u64(&t->proto, PROFILE_DEFAULT_SAMPLE_TYPE, n);
	return r;
}

void gs__pprof_time(struct gs__pprof *t, int64_t unix_ns, int64_t duration_ns)
{
	gs_proto_i64(&t->proto, PROFILE_TIME_NANOS, unix_ns);
	gs_proto_i64(&t->proto, PROFILE_DURATION_NANOS, duration_ns);
}

int gs__pprof_mapping(struct gs__pprof *t, enum gs__pprof_mapping id, const char *file,
		      struct gs_err *err)
{
	uint64_t name;
	struct gs_out *m;
	int r = string(t, file ? file : "", &name, err);

	if (r < 0)
		return r;
	m = message(t);
	gs_proto_u64(m, MAPPING_ID, id);
	gs_proto_u64(m, MAPPING_FILENAME, name);
	gs_proto_u64(m, MAPPING_HAS_FUNCTIONS, 1);
	gs_proto_u64(m, MAPPING_HAS_FILENAMES, 1);
	gs_proto_u64(m, MAPPING_HAS_LINE_NUMBERS, 1);
	gs_proto_u64(m, MAPPING_HAS_INLINE_FRAMES, 1);
	finish(t, PROFILE_MAPPING);
	return 0;
}

static int comment(struct gs__pprof *t, const char *what, uint64_t count, const char *why,
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

int gs__pprof_incomplete(struct gs__pprof *t, const struct gs_incomplete_list *inc,
			 struct gs_err *err)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < inc->n; i++)
		r = comment(t, inc->item[i].what, inc->item[i].count, inc->item[i].why, err);
	if (r == 0 && t->labels_dropped)
		r = comment(t, "labels", t->labels_dropped, "too many on one goroutine", err);
	return r;
}

/* ---- stacks ---- */

static int function(struct gs__pprof *t, const struct gs_frame *f, uint64_t *ret,
		    struct gs_err *err)
{
	uint64_t name, file;
	struct gs_out *m;
	int r = string(t, f->function, &name, err);

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
static int lines(struct gs__pprof *t, const struct gs_frame *f, uint32_t n, uint64_t *ret,
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

static enum gs__pprof_mapping mapping_of(const struct gs_frame *f)
{
	if (f->flags & GS_FRAME_KERNEL)
		return GS__PPROF_KERNEL;
	return f->flags & GS_FRAME_FOREIGN ? GS__PPROF_NO_MAPPING : GS__PPROF_EXECUTABLE;
}

/* The location of @n frames of one pc, the last of which holds the others inlined. */
static int location(struct gs__pprof *t, const struct gs_frame *f, uint32_t n, bool leaf,
		    uint64_t *ret, struct gs_err *err)
{
	const struct gs_frame *outer = &f[n - 1];
	uint64_t address = !leaf && outer->pc > outer->entry ? outer->pc - 1 : outer->pc;
	uint64_t functions[MAX_INLINED];
	struct gs_out *m;
	int r = gs__pair_number(&t->locations, address, (uint64_t)n << 32 | f[0].line, ret, err);

	if (r <= 0)
		return r;
	r = lines(t, f, n, functions, err);
	if (r < 0)
		return r;
	m = message(t);
	gs_proto_u64(m, LOCATION_ID, *ret);
	gs_proto_u64(m, LOCATION_MAPPING, mapping_of(outer));
	gs_proto_u64(m, LOCATION_ADDRESS, address);
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

int gs__pprof_locations(struct gs__pprof *t, const struct gs_stack *s, bool leaf,
			struct gs_out *ids, struct gs_err *err)
{
	struct gs_frame inlined[MAX_INLINED];
	uint32_t n = 0;
	bool first = leaf;

	for (uint32_t i = 0; i < s->n_frames; i++) {
		const struct gs_frame *f = &s->frames[i];
		bool ends = !(f->flags & GS_FRAME_INLINED) || i + 1 == s->n_frames;
		uint64_t id;
		int r;

		if (!left_out(f) && n < MAX_INLINED)
			inlined[n++] = *f;
		if (n && ends) {
			r = location(t, inlined, n, first, &id, err);
			if (r < 0)
				return r;
			gs_proto_varint(ids, id);
			n = 0;
		}
		if (ends)
			first = false;
	}
	return 0;
}

int gs__pprof_frame(struct gs__pprof *t, const struct gs_frame *f, struct gs_out *ids,
		    struct gs_err *err)
{
	uint64_t id;
	int r = location(t, f, 1, true, &id, err);

	if (r == 0)
		gs_proto_varint(ids, id);
	return r;
}

/* ---- samples ---- */

static bool has_key(const struct gs__pprof_labels *l, uint64_t key)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (l->label[i].key == key)
			return true;
	return false;
}

int gs__pprof_own_label(struct gs__pprof *t, struct gs__pprof_labels *l, const char *key,
			const char *value, uint64_t number, struct gs_err *err)
{
	struct gs__pprof_label *to = &l->label[l->n];
	int r = string(t, key, &to->key, err);

	to->value = 0;
	to->number = number;
	if (r == 0 && value)
		r = string(t, value, &to->value, err);
	if (r == 0)
		l->n++;
	return r;
}

int gs__pprof_foreign_label(struct gs__pprof *t, struct gs__pprof_labels *l,
			    const char *const *ours, const struct gs_label *from,
			    struct gs_err *err)
{
	struct gs__pprof_label *to;
	char renamed[48];
	int r;

	if (from->key_len == 0 || from->value_len == 0)
		return 0;
	if (l->n == GS__PPROF_LABELS_MAX) {
		t->labels_dropped++;
		return 0;
	}
	to = &l->label[l->n];
	r = gs__pprof_string(t, from->key, from->key_len, &to->key, err);
	for (; r == 0 && *ours; ours++) {
		if (strlen(*ours) != from->key_len || memcmp(*ours, from->key, from->key_len) != 0)
			continue;
		snprintf(renamed, sizeof(renamed), "label:%s", *ours);
		r = string(t, renamed, &to->key, err);
	}
	if (r == 0)
		r = gs__pprof_string(t, from->value, from->value_len, &to->value, err);
	to->number = 0;
	if (r == 0 && !has_key(l, to->key))
		l->n++;
	return r;
}

int gs__pprof_sample(struct gs__pprof *t, const void *ids, size_t ids_len, const int64_t *values,
		     uint32_t n_values, const struct gs__pprof_labels *l, struct gs_err *err)
{
	struct gs_out *m = message(t);
	size_t mark;
	int r = 0;

	if (ids_len)
		gs_proto_bytes(m, SAMPLE_LOCATION, ids, ids_len);
	mark = gs_proto_begin(m, SAMPLE_VALUE);
	for (uint32_t i = 0; i < n_values; i++)
		gs_proto_varint(m, (uint64_t)values[i]);
	gs_proto_end(m, mark);
	for (uint32_t i = 0; i < l->n; i++) {
		mark = gs_proto_begin(m, SAMPLE_LABEL);
		gs_proto_u64(m, LABEL_KEY, l->label[i].key);
		gs_proto_u64(m, LABEL_STR, l->label[i].value);
		gs_proto_u64(m, LABEL_NUM, l->label[i].number);
		gs_proto_end(m, mark);
	}
	finish(t, PROFILE_SAMPLE);
	if (t->proto.len >= GS__PPROF_FLUSH_BYTES)
		r = compress_out(t, Z_NO_FLUSH, err);
	if (r == 0 && gs_out_failed(t->out))
		return gs_fail(err, t->out->error, 0, "cannot write the profile: %s",
			       strerror(-t->out->error));
	return r;
}
