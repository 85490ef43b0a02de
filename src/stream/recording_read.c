/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A recording as a source of events. Format: recording.h.
 *
 * The file may come from anywhere: every number is checked before it is used as an index, a length or a time, tables and
 * arenas have limits, a block has a checksum. A recording that ends early (gosonde was killed) or is damaged further on gives what comes
 * before, and stats() says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "stream/recording.h"
#include "stream/stream.h"

#define ARENA_MAX ((size_t)512 << 20)
#define ENTRIES_MAX (1u << 22) /* strings, frames, stacks, names: of each */
#define BATCH_MAX 4096u
#define TIME_MAX ((int64_t)1 << 62)
#define FUNCTIONS_MAX 64u
#define LABELS_MAX 64u

/* Pointers by number, from 1. */
struct list {
	const void **v;
	uint32_t n, cap;
};

/* Pointers by 64-bit key, which is not 0. */
struct map_slot {
	uint64_t key;
	const void *value;
};

struct map {
	struct map_slot *v;
	uint32_t n, mask;
};

struct label_set {
	uint32_t n;
	struct gs_label label[];
};

struct replay {
	struct gs_event_source pub;
	int fd;
	char *path;
	struct gs_arena *arena;
	uint8_t *packed, *raw;
	size_t cap_packed;
	ZSTD_DCtx *zstd;
	uint32_t n_blocks;
	struct gs_cursor block; /* items that are left */
	struct list strings, frames;
	struct map stacks, objects, locks, labels;
	struct gs__rec_near near;
	struct gs_event events[BATCH_MAX];
	struct gs_process process;
	bool have_process;
	const char *functions[FUNCTIONS_MAX];
	struct gs_stream_stats stats;
	bool ended, stopped;
	struct gs_err why;  /* code 0: no damage so far */
	const char *damage; /* "recording_truncated", … */
};

static struct replay *replay_of(struct gs_event_source *s)
{
	return (struct replay *)s;
}

/* ---- tables ---- */

static int list_add(struct list *l, const void *p, struct gs_err *err)
{
	if (l->n == l->cap) {
		uint32_t cap = l->cap ? l->cap * 2 : 1024;
		const void **v = cap <= ENTRIES_MAX ? gs_array_resize(l->v, cap, sizeof(*v)) : NULL;

		if (!v)
			return gs_fail(err, -GS_E_LIMIT, 0, "more than %u names or frames",
				       ENTRIES_MAX);
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = p;
	return 0;
}

/* What has number @id; NULL for 0. */
static int list_get(const struct list *l, uint64_t id, const void **ret, struct gs_err *err)
{
	if (id > l->n)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "number %" PRIu64 " of %u", id, l->n);
	*ret = id ? l->v[id - 1] : NULL;
	return 0;
}

static struct map_slot *map_find(const struct map *m, uint64_t key)
{
	uint32_t i = (uint32_t)gs_hash_u64(gs_hash_seed(), key) & m->mask;

	while (m->v[i].key && m->v[i].key != key)
		i = (i + 1) & m->mask;
	return &m->v[i];
}

static const void *map_get(const struct map *m, uint64_t key)
{
	return m->v && key ? map_find(m, key)->value : NULL;
}

static int map_set(struct map *m, uint64_t key, const void *value, struct gs_err *err)
{
	if (!m->v || m->n * 2 >= m->mask) {
		struct map bigger = { .mask = m->v ? m->mask * 2 + 1 : 255, .n = m->n };

		bigger.v = bigger.mask < ENTRIES_MAX
				   ? gs_array_new(bigger.mask + 1, sizeof(*bigger.v))
				   : NULL;
		if (!bigger.v)
			return gs_fail(err, -GS_E_LIMIT, 0, "more than %u entries",
				       ENTRIES_MAX / 2);
		for (uint32_t i = 0; m->v && i <= m->mask; i++)
			if (m->v[i].key)
				*map_find(&bigger, m->v[i].key) = m->v[i];
		free(m->v);
		*m = bigger;
	}
	struct map_slot *s = map_find(m, key);

	m->n += s->key == 0;
	*s = (struct map_slot){ key, value };
	return 0;
}

static uint64_t lock_key(gs_addr addr, uint64_t stack)
{
	return gs_hash_u64(gs_hash_u64(gs_hash_seed(), addr), stack) | 1;
}

static int no_memory(struct gs_err *err)
{
	return gs_fail(err, -GS_E_LIMIT, 0, "it needs more than %zu MiB of memory",
		       ARENA_MAX >> 20);
}

/* ---- blocks ---- */

/* Read exactly @n bytes. @return 0; 1 at the end of the file, before the first byte; -GS_E_BAD_DATA when it ends inside. */
static int read_all(struct replay *p, void *buf, size_t n, struct gs_err *err)
{
	char *at = buf;
	size_t left = n;

	while (left) {
		ssize_t r = read(p->fd, at, left);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return gs_fail(err, -errno, 0, "cannot read it: %s", strerror(errno));
		if (r == 0)
			return left == n ? 1
					 : gs_fail(err, -GS_E_BAD_DATA, 0, "its last block is cut");
		at += r;
		left -= (size_t)r;
	}
	return 0;
}

static int check_block(struct replay *p, const uint32_t head[4], struct gs_err *err)
{
	if (head[0] != GS__REC_BLOCK_MAGIC || head[3] != p->n_blocks)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "block %u does not begin as a block",
			       p->n_blocks);
	if (head[2] == 0 || head[2] > GS__REC_RAW_MAX || head[1] == 0 || head[1] > p->cap_packed)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "block %u claims %u bytes in %u",
			       p->n_blocks, head[2], head[1]);
	return 0;
}

/* The next block. @return 0; 1 at the end of the file. */
static int next_block(struct replay *p, struct gs_err *err)
{
	uint32_t head[4]; /* magic, packed, raw, number: little-endian as we are */
	int r = read_all(p, head, sizeof(head), err);

	if (r == 0)
		r = check_block(p, head, err);
	if (r != 0)
		return r;
	r = read_all(p, p->packed, head[1], err);
	if (r == 1)
		r = gs_fail(err, -GS_E_BAD_DATA, 0, "its last block is cut");
	if (r < 0)
		return r;
	size_t n = ZSTD_decompressDCtx(p->zstd, p->raw, head[2], p->packed, head[1]);

	if (ZSTD_isError(n) || n != head[2])
		return gs_fail(err, -GS_E_BAD_DATA, 0, "block %u is damaged: %s", p->n_blocks,
			       ZSTD_isError(n) ? ZSTD_getErrorName(n) : "its size is another");
	p->n_blocks++;
	p->block = gs_cursor_make(p->raw, n, "recording");
	return 0;
}

/* ---- items ---- */

static int upto(struct gs_cursor *c, uint64_t max, uint64_t *ret, struct gs_err *err)
{
	int r = gs_cursor_uvarint(c, ret, err);

	if (r == 0 && *ret > max)
		r = gs_fail(err, -GS_E_BAD_DATA, 0, "%" PRIu64 " where at most %" PRIu64 " can be",
			    *ret, max);
	return r;
}

static int text(struct replay *p, struct gs_cursor *c, const char **ret, struct gs_err *err)
{
	const void *s = NULL;
	uint64_t id;
	int r = gs_cursor_uvarint(c, &id, err);

	if (r == 0)
		r = list_get(&p->strings, id, &s, err);
	if (r == 0)
		*ret = s;
	return r;
}

/* A text that must be one: "" stands for none. */
static int name(struct replay *p, struct gs_cursor *c, const char **ret, struct gs_err *err)
{
	int r = text(p, c, ret, err);

	if (r == 0 && !*ret)
		*ret = "";
	return r;
}

static int read_string(struct replay *p, struct gs_cursor *c, struct gs_err *err)
{
	struct gs_cursor sub = { 0 };
	uint64_t n;
	int r = upto(c, GS__REC_STRING_MAX, &n, err);

	if (r == 0)
		r = gs_cursor_sub(c, n, &sub, err);
	if (r < 0)
		return r;
	const char *s = gs_arena_strndup(p->arena, (const char *)sub.base, n);

	return s ? list_add(&p->strings, s, err) : no_memory(err);
}

static int read_frame(struct replay *p, struct gs_cursor *c, struct gs_err *err)
{
	struct gs_frame f = { 0 }, *copy;
	uint64_t line, flags;
	int r = name(p, c, &f.function, err);

	if (r == 0)
		r = name(p, c, &f.file, err);
	if (r == 0)
		r = upto(c, UINT32_MAX, &line, err);
	if (r == 0)
		r = gs_cursor_uvarint(c, &f.pc, err);
	if (r == 0)
		r = gs_cursor_uvarint(c, &f.entry, err);
	if (r == 0)
		r = upto(c, UINT32_MAX, &flags, err);
	if (r < 0)
		return r;
	f.line = (uint32_t)line;
	f.flags = (uint32_t)flags;
	copy = gs_arena_alloc(p->arena, sizeof(f));
	if (!copy)
		return no_memory(err);
	*copy = f;
	return list_add(&p->frames, copy, err);
}

static int read_stack(struct replay *p, struct gs_cursor *c, struct gs_err *err)
{
	uint64_t id, end, n, number;
	const void *f = NULL;
	int r = upto(c, UINT32_MAX, &id, err);

	if (r == 0)
		r = upto(c, GS_STACK_TORN, &end, err);
	if (r == 0)
		r = upto(c, GS__REC_FRAMES_MAX, &n, err);
	if (r == 0 && id == 0)
		r = gs_fail(err, -GS_E_BAD_DATA, 0, "a stack without a number");
	if (r < 0)
		return r;
	struct gs_stack *s = gs_arena_alloc(p->arena, sizeof(*s));
	struct gs_frame *frames = gs_arena_array(p->arena, n ? n : 1, sizeof(*frames));

	if (!s || !frames)
		return no_memory(err);
	for (uint64_t i = 0; i < n; i++) {
		r = gs_cursor_uvarint(c, &number, err);
		if (r == 0)
			r = list_get(&p->frames, number, &f, err);
		if (r == 0 && !f)
			r = gs_fail(err, -GS_E_BAD_DATA, 0, "a stack with a missing frame");
		if (r < 0)
			return r;
		frames[i] = *(const struct gs_frame *)f;
	}
	*s = (struct gs_stack){ .hash = gs_hash_u64(gs_hash_seed(), id),
				.id = (uint32_t)id - 1,
				.n_frames = (uint32_t)n,
				.end = (enum gs_stack_end)end,
				.frames = frames };
	return map_set(&p->stacks, id, s, err);
}

static int read_object(struct replay *p, struct gs_cursor *c, struct gs_err *err)
{
	const char *s = NULL;
	uint64_t addr;
	int r = gs_cursor_uvarint(c, &addr, err);

	if (r == 0)
		r = text(p, c, &s, err);
	return r < 0 || !addr ? r : map_set(&p->objects, addr, s, err);
}

static int read_lock(struct replay *p, struct gs_cursor *c, struct gs_err *err)
{
	const char *s = NULL;
	uint64_t addr, stack;
	int r = gs_cursor_uvarint(c, &addr, err);

	if (r == 0)
		r = upto(c, UINT32_MAX, &stack, err);
	if (r == 0)
		r = text(p, c, &s, err);
	return r < 0 ? r : map_set(&p->locks, lock_key(addr, stack), s, err);
}

static int read_labels(struct replay *p, struct gs_cursor *c, struct gs_err *err)
{
	struct label_set *set;
	uint64_t goid, n;
	int r = gs_cursor_uvarint(c, &goid, err);

	if (r == 0)
		r = upto(c, LABELS_MAX, &n, err);
	if (r < 0)
		return r;
	set = gs_arena_alloc(p->arena, sizeof(*set) + n * sizeof(set->label[0]));
	if (!set)
		return no_memory(err);
	set->n = (uint32_t)n;
	for (uint64_t i = 0; r == 0 && i < n; i++) {
		struct gs_label *l = &set->label[i];

		r = name(p, c, &l->key, err);
		if (r == 0)
			r = name(p, c, &l->value, err);
		if (r == 0) {
			l->key_len = (uint32_t)strlen(l->key);
			l->value_len = (uint32_t)strlen(l->value);
		}
	}
	return r < 0 || !goid ? r : map_set(&p->labels, goid, set, err);
}

static int read_process(struct replay *p, struct gs_cursor *c, struct gs_err *err)
{
	struct gs_process *pr = &p->process;
	const char **texts[] = { &pr->executable, &pr->go_version, &pr->goos,
				 &pr->goarch,     &pr->service,    &p->pub.goarch };
	uint64_t pid, n;
	int r = upto(c, UINT32_MAX, &pid, err);

	if (p->have_process)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "it tells of two processes");
	if (r == 0)
		r = gs_cursor_uvarint(c, &pr->start_time_unix_ns, err);
	for (size_t i = 0; r == 0 && i < GS_ARRAY_SIZE(texts); i++)
		r = name(p, c, texts[i], err);
	if (r == 0)
		r = upto(c, FUNCTIONS_MAX, &n, err);
	for (uint64_t i = 0; r == 0 && i < n; i++)
		r = name(p, c, &p->functions[i], err);
	if (r < 0)
		return r;
	pr->pid = (int32_t)gs__unzigzag(pid);
	p->pub.n_functions = (uint32_t)n;
	p->have_process = true;
	return 0;
}

/* ---- numbers ---- */

static int time_ns(struct gs_cursor *c, int64_t *ret, struct gs_err *err)
{
	uint64_t v;
	int r = upto(c, (uint64_t)TIME_MAX, &v, err);

	if (r == 0)
		*ret = (int64_t)v;
	return r;
}

static int real(struct gs_cursor *c, double max, double *ret, struct gs_err *err)
{
	double v;
	int r = gs_cursor_bytes(c, &v, sizeof(v), err);

	if (r == 0 && !(v >= 0 && v <= max)) /* also false for what is no number */
		r = gs_fail(err, -GS_E_BAD_DATA, 0, "a number out of its range");
	if (r == 0)
		*ret = v;
	return r;
}

static int read_probes(struct replay *p, struct gs_cursor *c, struct gs_stream_stats *s,
		       struct gs_err *err)
{
	uint64_t n, detached;
	int r = upto(c, GS_PROBES_MAX, &n, err);

	if (r == 0)
		s->n_probes = (uint32_t)n;
	for (uint64_t i = 0; r == 0 && i < n; i++) {
		struct gs_probe_cost *pc = &s->probe[i];

		r = name(p, c, &pc->name, err);
		if (r == 0)
			r = name(p, c, &pc->placement, err);
		if (r == 0)
			r = gs_cursor_uvarint(c, &pc->hits, err);
		if (r == 0)
			r = real(c, 1e15, &pc->cost_ns, err);
		if (r == 0)
			r = upto(c, 1, &detached, err);
		if (r == 0)
			pc->detached = detached;
	}
	return r;
}

static int read_incomplete(struct replay *p, struct gs_cursor *c, struct gs_incomplete_list *l,
			   struct gs_err *err)
{
	uint64_t n;
	int r = upto(c, GS_INCOMPLETE_MAX, &n, err);

	if (r == 0)
		l->n = (uint32_t)n;
	for (uint64_t i = 0; r == 0 && i < n; i++) {
		const char *why = "";

		r = name(p, c, &l->item[i].what, err);
		if (r == 0)
			r = gs_cursor_uvarint(c, &l->item[i].count, err);
		if (r == 0)
			r = name(p, c, &why, err);
		if (r == 0)
			snprintf(l->item[i].why, sizeof(l->item[i].why), "%s", why);
	}
	return r;
}

static int read_stats(struct replay *p, struct gs_cursor *c, struct gs_err *err)
{
	struct gs_stream_stats s = { 0 };
	int64_t *const times[] = { &s.begin_ns,      &s.end_ns,         &s.begin_unix_ns,
				   &s.target_cpu_ns, &s.target_cost_ns, &s.self_cpu_ns };
	uint64_t *const counts[] = { &s.self_rss_bytes, &s.produced, &s.lost };
	uint64_t thinned, target_exit;
	int r = 0;

	for (size_t i = 0; r == 0 && i < GS_ARRAY_SIZE(times); i++)
		r = time_ns(c, times[i], err);
	for (size_t i = 0; r == 0 && i < GS_ARRAY_SIZE(counts); i++)
		r = gs_cursor_uvarint(c, counts[i], err);
	if (r == 0)
		r = real(c, 1, &s.max_overhead, err);
	if (r == 0)
		r = upto(c, 31, &thinned, err);
	if (r == 0)
		r = upto(c, 2, &target_exit, err);
	if (r == 0)
		r = read_probes(p, c, &s, err);
	if (r == 0)
		r = read_incomplete(p, c, &s.incomplete, err);
	if (r < 0)
		return r;
	s.thinned_log2 = (uint32_t)thinned;
	s.target_exit = (int)target_exit;
	p->stats = s;
	return 0;
}

/* ---- events ---- */

static void store(struct gs_event *e, const struct gs__rec_field *f, uint64_t v)
{
	memcpy((uint8_t *)e + f->at, &v, f->size); /* little-endian */
}

static int fits(const struct gs__rec_field *f, uint64_t v, struct gs_err *err)
{
	if (v > f->max || (f->size < 8 && v >> (8 * f->size)))
		return gs_fail(err, -GS_E_BAD_DATA, 0, "a field of an event is out of its range");
	return 0;
}

static int read_int(struct gs_cursor *c, const struct gs__rec_field *f, uint64_t *ret,
		    struct gs_err *err)
{
	int r = gs_cursor_uvarint(c, ret, err);
	int64_t v;

	if (r < 0)
		return r;
	v = gs__unzigzag(*ret);
	if (f->size < 8 &&
	    (v < -((int64_t)1 << (8 * f->size - 1)) || v >= (int64_t)1 << (8 * f->size - 1)))
		return gs_fail(err, -GS_E_BAD_DATA, 0, "a field of an event is out of its range");
	*ret = (uint64_t)v;
	return 0;
}

static int read_time(struct gs_cursor *c, int64_t t_ns, uint64_t *ret, struct gs_err *err)
{
	int r = gs_cursor_uvarint(c, ret, err);

	if (r < 0)
		return r;
	*ret = (uint64_t)t_ns - (uint64_t)gs__unzigzag(*ret);
	return *ret <= (uint64_t)TIME_MAX
		       ? 0
		       : gs_fail(err, -GS_E_BAD_DATA, 0, "a time of an event is out of its range");
}

static int read_bytes(struct gs_cursor *c, struct gs_event *e, const struct gs__rec_field *f,
		      struct gs_err *err)
{
	struct gs_cursor sub = { 0 };
	uint64_t n;
	uint16_t len;
	int r = upto(c, f->max, &n, err);

	if (r == 0)
		r = gs_cursor_sub(c, n, &sub, err);
	if (r < 0)
		return r;
	len = (uint16_t)n;
	memcpy((uint8_t *)e + f->len_at, &len, sizeof(len));
	store(e, f, (uint64_t)(uintptr_t)sub.base);
	return 0;
}

static int read_field(struct replay *p, struct gs_cursor *c, struct gs_event *e,
		      const struct gs__rec_field *f, uint64_t *near, struct gs_err *err)
{
	const void *ptr = NULL;
	uint64_t v = 0;
	int r;

	switch ((enum gs__rec_type)f->type) {
	case GS__REC_RAW:
		return gs_cursor_bytes(c, (uint8_t *)e + f->at, f->size, err);
	case GS__REC_BYTES:
		return read_bytes(c, e, f, err);
	case GS__REC_UINT:
		r = gs_cursor_uvarint(c, &v, err);
		if (r == 0)
			r = fits(f, v, err);
		break;
	case GS__REC_INT:
		r = read_int(c, f, &v, err);
		break;
	case GS__REC_TIME:
		r = read_time(c, e->t_ns, &v, err);
		break;
	case GS__REC_NEAR:
		r = gs_cursor_uvarint(c, &v, err);
		v = *near += (uint64_t)gs__unzigzag(v);
		break;
	case GS__REC_TEXT:
	case GS__REC_FRAMEP:
		r = gs_cursor_uvarint(c, &v, err);
		if (r == 0)
			r = list_get(f->type == GS__REC_TEXT ? &p->strings : &p->frames, v, &ptr,
				     err);
		v = (uint64_t)(uintptr_t)ptr;
		break;
	default:
		return gs_fail(err, -GS_E_BAD_DATA, 0, "a field of no known type");
	}
	if (r == 0)
		store(e, f, v);
	return r;
}

/* What readers of events rely on beyond the range of each field. */
static int check_event(const struct replay *p, struct gs_event *e, struct gs_err *err)
{
	switch (e->kind) {
	case GS_EV_CALL_BEGIN:
	case GS_EV_CALL_END:
		e->call.method = e->call.method ? e->call.method : "";
		e->call.path = e->call.path ? e->call.path : "";
		e->call.pattern = e->call.pattern ? e->call.pattern : "";
		e->call.peer = e->call.peer ? e->call.peer : "";
		if (e->call.call == GS_CALL_FUNCTION && e->call.function >= p->pub.n_functions)
			return gs_fail(err, -GS_E_BAD_DATA, 0, "a call of an unknown function");
		break;
	case GS_EV_DLOPEN:
		e->dlopen.path = e->dlopen.path ? e->dlopen.path : "";
		break;
	case GS_EV_GO_PARK:
		e->park.file.name[sizeof(e->park.file.name) - 1] = '\0';
		break;
	case GS_EV_OFF_CPU:
		e->off_cpu.file.name[sizeof(e->off_cpu.file.name) - 1] = '\0';
		break;
	case GS_EV_PROCESS:
		e->process.comm[sizeof(e->process.comm) - 1] = '\0';
		break;
	default:
		break;
	}
	return 0;
}

static int read_event(struct replay *p, struct gs_cursor *c, unsigned int kind, struct gs_event *e,
		      struct gs_err *err)
{
	const struct gs__rec_field *own;
	uint64_t delta, present;
	uint32_t n;
	int r;

	if (kind == 0 || kind >= GS_EV_KIND_COUNT)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "an item of no known kind");
	own = gs__rec_fields((enum gs_event_kind)kind, &n);
	r = gs_cursor_uvarint(c, &delta, err);
	if (r == 0)
		r = gs_cursor_uvarint(c, &present, err);
	if (r == 0 && present >> (GS__REC_COMMON + n))
		r = gs_fail(err, -GS_E_BAD_DATA, 0, "an event with unknown fields");
	if (r < 0)
		return r;
	uint64_t t = (uint64_t)p->near.t_ns + (uint64_t)gs__unzigzag(delta);

	if (t > (uint64_t)TIME_MAX)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "a time of an event is out of its range");
	p->near.t_ns = (int64_t)t;
	*e = (struct gs_event){ .t_ns = (int64_t)t, .kind = (uint16_t)kind };
	for (; r == 0 && present; present &= present - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(present);
		const struct gs__rec_field *f = i < GS__REC_COMMON ? &gs__rec_common[i]
								   : &own[i - GS__REC_COMMON];

		r = read_field(p, c, e, f, &p->near.value[kind][i], err);
	}
	return r < 0 ? r : check_event(p, e, err);
}

/* An item that is no event. @return 0; 1: end of a batch; 2: end of the recording. */
static int read_fact(struct replay *p, struct gs_cursor *c, unsigned int tag, struct gs_err *err)
{
	switch (tag) {
	case GS__REC_PROCESS:
		return read_process(p, c, err);
	case GS__REC_STRING:
		return read_string(p, c, err);
	case GS__REC_FRAME:
		return read_frame(p, c, err);
	case GS__REC_STACK:
		return read_stack(p, c, err);
	case GS__REC_OBJECT:
		return read_object(p, c, err);
	case GS__REC_LOCK:
		return read_lock(p, c, err);
	case GS__REC_LABELS:
		return read_labels(p, c, err);
	case GS__REC_STATS:
		return read_stats(p, c, err);
	case GS__REC_BATCH:
		return 1;
	case GS__REC_END:
		return 2;
	default:
		return gs_fail(err, -GS_E_BAD_DATA, 0, "an item of no known kind");
	}
}

/*
 * Read on, at most one batch of events and the facts behind it. Strings of an event lie in the block, so a batch ends
 * with its block at the latest.
 * @return 0; 1: there is no more.
 */
static int read_on(struct replay *p, size_t *ret_n, struct gs_err *err)
{
	bool closed = false; /* the batch is complete: only facts are added */
	size_t n = 0;
	int r = 0;

	*ret_n = 0;
	while (r == 0) {
		uint8_t tag;

		if (gs_cursor_left(&p->block) == 0) {
			if (n)
				break;
			r = next_block(p, err);
			if (r != 0)
				break;
		}
		tag = *p->block.pos;
		if (tag >= GS__REC_EVENT && (closed || n == BATCH_MAX))
			break;
		p->block.pos++;
		if (tag >= GS__REC_EVENT)
			r = read_event(p, &p->block, tag - GS__REC_EVENT, &p->events[n], err);
		else
			r = read_fact(p, &p->block, tag, err);
		n += r == 0 && tag >= GS__REC_EVENT;
		closed |= r == 1 && n;
		if (r == 1)
			r = 0;
	}
	*ret_n = n;
	if (r == 2) {
		p->ended = true;
		r = 0;
	}
	return r;
}

/* ---- the interface ---- */

static void note_damage(struct replay *p, const char *what, const char *why)
{
	p->damage = what;
	gs_incomplete_add(&p->stats.incomplete, what, 1, "%s", why);
	if (p->stats.end_ns < p->near.t_ns)
		p->stats.end_ns = p->near.t_ns;
	p->ended = true;
}

static int replay_next(struct gs_event_source *src, int64_t timeout_ns, const struct gs_event **ret,
		       size_t *ret_n, struct gs_err *err)
{
	struct replay *p = replay_of(src);
	struct gs_err why = { 0 };
	size_t n = 0;
	int r = 0;

	while (!p->ended && !p->stopped && n == 0) {
		r = read_on(p, &n, &why);
		if (r == 1)
			note_damage(
				p, "recording_truncated",
				"the recording stops before its end: gosonde was killed, or it is "
				"still being written");
		if (r < 0)
			note_damage(p, "recording_damaged", why.text);
	}
	if (n == 0)
		return 2;
	*ret = p->events;
	*ret_n = n;
	return 0;
}

static const struct gs_stack *replay_stack(struct gs_event_source *src, uint32_t id)
{
	return map_get(&replay_of(src)->stacks, id);
}

static const char *replay_object_name(struct gs_event_source *src, gs_addr addr)
{
	return map_get(&replay_of(src)->objects, addr);
}

static const char *replay_lock_name(struct gs_event_source *src, gs_addr addr,
				    const struct gs_stack *s)
{
	return s ? map_get(&replay_of(src)->locks, lock_key(addr, (uint64_t)s->id + 1)) : NULL;
}

static uint32_t replay_labels(struct gs_event_source *src, uint64_t goid,
			      const struct gs_label **ret)
{
	const struct label_set *set = map_get(&replay_of(src)->labels, goid);

	if (!set)
		return 0;
	*ret = set->label;
	return set->n;
}

static const struct gs_stream_stats *replay_stats(struct gs_event_source *src)
{
	return &replay_of(src)->stats;
}

static void replay_stop(struct gs_event_source *src)
{
	replay_of(src)->stopped = true;
}

static struct gs_event_source *replay_free(struct gs_event_source *src)
{
	struct replay *p = replay_of(src);

	if (!p)
		return NULL;
	if (p->fd >= 0)
		close(p->fd);
	ZSTD_freeDCtx(p->zstd);
	gs_arena_free(p->arena);
	free(p->strings.v);
	free(p->frames.v);
	free(p->stacks.v);
	free(p->objects.v);
	free(p->locks.v);
	free(p->labels.v);
	free(p->packed);
	free(p->raw);
	free(p);
	return NULL;
}

/* A recording's first bytes, from the current position of @fd. @return 0; 1 if it is none. */
static int read_head(int fd, uint8_t head[GS__REC_HEAD])
{
	size_t n = 0;

	while (n < GS__REC_HEAD) {
		ssize_t r = read(fd, head + n, GS__REC_HEAD - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return 1;
		n += (size_t)r;
	}
	return memcmp(head, GS__REC_MAGIC, GS__REC_MAGIC_LEN) != 0;
}

bool gs_stream_is_recording(const char *path)
{
	GS_CLEANUP(gs_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	uint8_t head[GS__REC_HEAD];
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && read_head(fd, head) == 0;
}

static int open_file(struct replay *p, const char *path, struct gs_err *err)
{
	uint8_t head[GS__REC_HEAD];
	uint16_t version;
	struct stat st;

	p->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (p->fd < 0 || fstat(p->fd, &st) < 0)
		return gs_fail(err, errno == EACCES ? -GS_E_PERMISSION : -errno, 0,
			       "cannot open %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || read_head(p->fd, head) != 0)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "%s is no recording of gosonde", path);
	memcpy(&version, head + GS__REC_MAGIC_LEN, sizeof(version));
	if (version != GS__REC_VERSION)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s is a recording of format %u; this gosonde reads format %u", path,
			       version, GS__REC_VERSION);
	return 0;
}

/* The first block tells of the process. */
static int begin(struct replay *p, const char *path, struct gs_err *err)
{
	struct gs_err why = { 0 };
	int r = open_file(p, path, err);

	if (r < 0)
		return r;
	r = next_block(p, &why);
	while (r == 0 && !p->have_process && gs_cursor_left(&p->block)) {
		uint8_t tag = *p->block.pos++;

		r = tag >= GS__REC_EVENT ? gs_fail(&why, -GS_E_BAD_DATA, 0, "events of nobody")
					 : read_fact(p, &p->block, tag, &why);
	}
	if (r == 0 && p->have_process)
		return 0;
	return gs_fail(err, -GS_E_BAD_DATA, 0, "the recording %s is damaged: %s", path,
		       r < 0 ? why.text : "it does not say of which process");
}

int gs_stream_replay_open(const char *path, struct gs_event_source **ret, struct gs_err *err)
{
	struct replay *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return gs_fail(err, -ENOMEM, 0, "no memory for a recording");
	p->fd = -1;
	p->pub = (struct gs_event_source){ .next = replay_next,
					   .stack = replay_stack,
					   .object_name = replay_object_name,
					   .lock_name = replay_lock_name,
					   .labels = replay_labels,
					   .stats = replay_stats,
					   .stop = replay_stop,
					   .free = replay_free,
					   .process = &p->process,
					   .functions = p->functions };
	p->arena = gs_arena_new(ARENA_MAX);
	p->zstd = ZSTD_createDCtx();
	p->cap_packed = ZSTD_compressBound(GS__REC_RAW_MAX);
	p->packed = malloc(p->cap_packed);
	p->raw = malloc(GS__REC_RAW_MAX);
	r = p->arena && p->zstd && p->packed && p->raw
		    ? begin(p, path, err)
		    : gs_fail(err, -ENOMEM, 0, "no memory for a recording");
	if (r < 0) {
		replay_free(&p->pub);
		return r;
	}
	*ret = &p->pub;
	return 0;
}
