/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Writing a recording beside whoever consumes the events. Format: recording.h.
 *
 * Everything that a consumer of a replay could ask for is asked for here, once: stacks, names of objects and of
 * locks, labels. What the consumer itself asks for goes through here too, so that both get the same.
 * A recording that cannot be written (a full disk) ends; the events go on, and stats() says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "stream/recording.h"
#include "stream/stream.h"

#define BUFFER GS__REC_RAW_MAX
#define FLUSH_AT (128u << 10) /* between batches */
#define SPLIT_AT (640u << 10) /* inside of one; the longest event has 4 x 64 KiB */
#define FLUSH_NS 1000000000
#define LEVEL 1
#define TABLE_MAX (1u << 21) /* slots of each of the tables below */
#define ARENA_MAX ((size_t)256 << 20)

/* A number by 64-bit key; keys are hashes or numbers that are not 0. */
struct slot {
	uint64_t key;
	uint64_t value;
};

struct table {
	struct slot *v;
	uint32_t n, mask;
};

struct tee {
	struct gs_event_source pub;
	struct gs_event_source *inner;
	int fd;
	uint8_t *raw, *packed;
	size_t n_raw, cap_packed;
	uint32_t n_blocks;
	ZSTD_CCtx *zstd;
	struct table strings, frames, stacks, objects, locks, owners;
	uint32_t n_strings, n_frames;
	struct gs__rec_near near;
	int64_t next_flush_ns;
	bool ended;
	struct gs_stream_stats stats; /* handed out at last */
	bool stats_final;
	struct gs_err failed; /* code 0: the recording is written */
};

static struct tee *tee_of(struct gs_event_source *s)
{
	return (struct tee *)s;
}

static void fail(struct tee *t, const char *what, int e)
{
	if (!t->failed.code)
		gs_fail(&t->failed, -e, 0, "%s: %s", what, strerror(e));
}

/* ---- tables ---- */

static struct slot *find(struct slot *v, uint32_t mask, uint64_t key)
{
	uint32_t i = (uint32_t)gs_hash_u64(0, key) & mask;

	while (v[i].key && v[i].key != key)
		i = (i + 1) & mask;
	return &v[i];
}

/* The slot of @key (never 0), free or not; NULL when the table may not grow. */
static struct slot *table_at(struct table *t, uint64_t key)
{
	if (!t->v || t->n * 2 >= t->mask) {
		uint32_t size = t->v ? (t->mask + 1) * 2 : 256;
		struct slot *v = size <= TABLE_MAX ? gs_array_new(size, sizeof(*v)) : NULL;

		if (!v) {
			struct slot *s = t->v ? find(t->v, t->mask, key) : NULL;

			return s && s->key ? s : NULL;
		}
		for (uint32_t i = 0; t->v && i <= t->mask; i++)
			if (t->v[i].key)
				*find(v, size - 1, t->v[i].key) = t->v[i];
		free(t->v);
		t->v = v;
		t->mask = size - 1;
	}
	return find(t->v, t->mask, key);
}

static void table_set(struct table *t, struct slot *s, uint64_t key, uint64_t value)
{
	t->n += s->key == 0;
	*s = (struct slot){ key, value };
}

/* ---- blocks ---- */

static void write_all(struct tee *t, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n && !t->failed.code) {
		ssize_t r = write(t->fd, p, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			fail(t, "cannot write the recording", r < 0 ? errno : EIO);
			return;
		}
		p += r;
		n -= (size_t)r;
	}
}

static void put_u32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void flush(struct tee *t)
{
	uint8_t head[GS__REC_BLOCK_HEAD];

	t->next_flush_ns = gs_now_ns() + FLUSH_NS;
	if (!t->n_raw || t->failed.code)
		return;
	size_t n = ZSTD_compress2(t->zstd, t->packed, t->cap_packed, t->raw, t->n_raw);

	if (ZSTD_isError(n)) {
		fail(t, "cannot compress the recording", ENOMEM);
		return;
	}
	put_u32(head, GS__REC_BLOCK_MAGIC);
	put_u32(head + 4, (uint32_t)n);
	put_u32(head + 8, (uint32_t)t->n_raw);
	put_u32(head + 12, t->n_blocks++);
	write_all(t, head, sizeof(head));
	write_all(t, t->packed, n);
	t->n_raw = 0;
}

/* Begin an item: from here to the next item nothing is flushed. */
static void item(struct tee *t, unsigned int tag)
{
	if (t->n_raw >= SPLIT_AT)
		flush(t);
	if (t->failed.code)
		t->n_raw = 0; /* nobody will read it */
	t->raw[t->n_raw++] = (uint8_t)tag;
}

static void number(struct tee *t, uint64_t v)
{
	uint8_t *p = t->raw + t->n_raw;

	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	t->n_raw = (size_t)(p - t->raw);
}

static void bytes(struct tee *t, const void *p, size_t n)
{
	if (n)
		memcpy(t->raw + t->n_raw, p, n);
	t->n_raw += n;
}

/* ---- strings, frames, stacks ---- */

/* The number of a string; writes it when it is new, so it comes before the item that needs it. 0: NULL. */
static uint32_t string(struct tee *t, const char *s, size_t n)
{
	if (!s)
		return 0;
	if (n > GS__REC_STRING_MAX)
		n = GS__REC_STRING_MAX;
	uint64_t key = gs_hash_bytes(gs_hash_seed(), s, n);
	struct slot *at = table_at(&t->strings, key ? key : 1);

	if (at && at->key)
		return (uint32_t)at->value;
	item(t, GS__REC_STRING);
	number(t, n);
	bytes(t, s, n);
	t->n_strings++;
	if (at)
		table_set(&t->strings, at, key ? key : 1, t->n_strings);
	return t->n_strings;
}

static uint32_t text(struct tee *t, const char *s)
{
	return string(t, s, s ? strlen(s) : 0);
}

static uint32_t frame(struct tee *t, const struct gs_frame *f)
{
	if (!f)
		return 0;
	uint32_t function = text(t, f->function), file = text(t, f->file);
	uint64_t key = gs_hash_u64(gs_hash_seed(), function);

	key = gs_hash_u64(key, (uint64_t)file << 32 | f->line);
	key = gs_hash_u64(gs_hash_u64(gs_hash_u64(key, f->pc), f->entry), f->flags) | 1;
	struct slot *at = table_at(&t->frames, key);

	if (at && at->key)
		return (uint32_t)at->value;
	item(t, GS__REC_FRAME);
	number(t, function);
	number(t, file);
	number(t, f->line);
	number(t, f->pc);
	number(t, f->entry);
	number(t, f->flags);
	t->n_frames++;
	if (at)
		table_set(&t->frames, at, key, t->n_frames);
	return t->n_frames;
}

static void stack(struct tee *t, uint32_t id)
{
	uint32_t ids[GS__REC_FRAMES_MAX];
	const struct gs_stack *s;
	struct slot *at;

	if (!id)
		return;
	at = table_at(&t->stacks, id);
	if (!at || at->key)
		return;
	table_set(&t->stacks, at, id, 1);
	s = t->inner->stack(t->inner, id);
	if (!s)
		return;
	uint32_t n = s->n_frames < GS__REC_FRAMES_MAX ? s->n_frames : GS__REC_FRAMES_MAX;

	for (uint32_t i = 0; i < n; i++)
		ids[i] = frame(t, &s->frames[i]);
	item(t, GS__REC_STACK);
	number(t, id);
	number(t, n < s->n_frames ? GS_STACK_CUT : s->end);
	number(t, n);
	for (uint32_t i = 0; i < n; i++)
		number(t, ids[i]);
}

/* ---- names and labels ---- */

static const char *object(struct tee *t, gs_addr addr)
{
	struct slot *at = addr ? table_at(&t->objects, addr) : NULL;

	if (!at)
		return NULL;
	if (at->key)
		return (const char *)(uintptr_t)at->value;
	const char *name = t->inner->object_name(t->inner, addr);

	table_set(&t->objects, at, addr, (uint64_t)(uintptr_t)name);
	if (name) {
		uint32_t id = text(t, name);

		item(t, GS__REC_OBJECT);
		number(t, addr);
		number(t, id);
	}
	return name;
}

static const char *lock(struct tee *t, gs_addr addr, uint32_t stack_id)
{
	uint64_t key = gs_hash_u64(gs_hash_u64(gs_hash_seed(), addr), stack_id) | 1;
	struct slot *at = addr && stack_id ? table_at(&t->locks, key) : NULL;

	if (!at || !t->inner->lock_name)
		return NULL;
	if (at->key)
		return (const char *)(uintptr_t)at->value;
	const struct gs_stack *s = t->inner->stack(t->inner, stack_id);
	const char *name = s ? t->inner->lock_name(t->inner, addr, s) : NULL;

	table_set(&t->locks, at, key, (uint64_t)(uintptr_t)name);
	if (name) {
		uint32_t id = text(t, name);

		item(t, GS__REC_LOCK);
		number(t, addr);
		number(t, stack_id);
		number(t, id);
	}
	return name;
}

static uint32_t labels(struct tee *t, uint64_t goid, const struct gs_label **ret)
{
	struct slot *at = goid ? table_at(&t->owners, goid) : NULL;
	const struct gs_label *l = NULL;
	uint32_t ids[128], n, k = 0;

	if (!at)
		return 0;
	n = t->inner->labels(t->inner, goid, &l);
	if (ret)
		*ret = l;
	/* A set of labels stays and never changes, so its address stands for it. */
	uint64_t now = n ? (uint64_t)(uintptr_t)l : 0;

	if ((at->key && at->value == now) || (!at->key && !now))
		return n;
	table_set(&t->owners, at, goid, now);
	for (uint32_t i = 0; i < n && k + 2 <= GS_ARRAY_SIZE(ids); i++) {
		ids[k++] = string(t, l[i].key, l[i].key_len);
		ids[k++] = string(t, l[i].value, l[i].value_len);
	}
	item(t, GS__REC_LABELS);
	number(t, goid);
	number(t, k / 2);
	for (uint32_t i = 0; i < k; i++)
		number(t, ids[i]);
	return n;
}

/* ---- events ---- */

static uint64_t load(const struct gs_event *e, const struct gs__rec_field *f)
{
	const uint8_t *p = (const uint8_t *)e + f->at;
	uint64_t v = 0;

	memcpy(&v, p, f->size); /* little-endian */
	return v;
}

static int64_t sign(uint64_t v, uint8_t size)
{
	unsigned int shift = 64 - 8u * size;

	return (int64_t)(v << shift) >> shift;
}

static size_t length(const struct gs_event *e, const struct gs__rec_field *f)
{
	uint16_t n;

	memcpy(&n, (const uint8_t *)e + f->len_at, sizeof(n));
	return n;
}

static bool is_zero(const struct gs_event *e, const struct gs__rec_field *f)
{
	static const uint8_t zeros[64];

	if (f->type == GS__REC_BYTES)
		return length(e, f) == 0;
	if (f->type == GS__REC_RAW)
		return memcmp((const uint8_t *)e + f->at, zeros, f->size) == 0;
	return load(e, f) == 0;
}

/* Numbers of what the event points to; writes what is new. */
static void refer(struct tee *t, const struct gs_event *e, const struct gs__rec_field *f,
		  uint32_t *ret)
{
	uint64_t v;

	if (f->type != GS__REC_TEXT && f->type != GS__REC_FRAMEP)
		return;
	v = load(e, f);
	if (f->type == GS__REC_TEXT)
		*ret = text(t, (const char *)(uintptr_t)v);
	else
		*ret = frame(t, (const struct gs_frame *)(uintptr_t)v);
}

static void field(struct tee *t, const struct gs_event *e, const struct gs__rec_field *f,
		  uint32_t id, uint64_t *near)
{
	uint64_t v;

	switch ((enum gs__rec_type)f->type) {
	case GS__REC_UINT:
		number(t, load(e, f));
		break;
	case GS__REC_INT:
		number(t, gs__zigzag(sign(load(e, f), f->size)));
		break;
	case GS__REC_TIME:
		number(t, gs__zigzag((int64_t)((uint64_t)e->t_ns - load(e, f))));
		break;
	case GS__REC_NEAR:
		v = load(e, f);
		number(t, gs__zigzag((int64_t)(v - *near)));
		*near = v;
		break;
	case GS__REC_TEXT:
	case GS__REC_FRAMEP:
		number(t, id);
		break;
	case GS__REC_BYTES:
		number(t, length(e, f));
		bytes(t, (const char *)(uintptr_t)load(e, f), length(e, f));
		break;
	case GS__REC_RAW:
		bytes(t, (const uint8_t *)e + f->at, f->size);
		break;
	}
}

static void event(struct tee *t, const struct gs_event *e)
{
	uint32_t n, ids[GS__REC_COMMON + GS__REC_FIELDS_MAX] = { 0 };
	const struct gs__rec_field *own = gs__rec_fields((enum gs_event_kind)e->kind, &n);
	uint64_t present = 0;

	stack(t, e->stack);
	stack(t, e->kernel_stack);
	for (uint32_t i = 0; i < GS__REC_COMMON + n; i++) {
		const struct gs__rec_field *f = i < GS__REC_COMMON ? &gs__rec_common[i]
								   : &own[i - GS__REC_COMMON];

		if (is_zero(e, f))
			continue;
		present |= 1ull << i;
		refer(t, e, f, &ids[i]);
	}
	item(t, GS__REC_EVENT + e->kind);
	number(t, gs__zigzag(e->t_ns - t->near.t_ns));
	t->near.t_ns = e->t_ns;
	number(t, present);
	for (; present; present &= present - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(present);
		const struct gs__rec_field *f = i < GS__REC_COMMON ? &gs__rec_common[i]
								   : &own[i - GS__REC_COMMON];

		field(t, e, f, ids[i], &t->near.value[e->kind][i]);
	}
}

/* What consumers may ask about this event. */
static void facts(struct tee *t, const struct gs_event *e)
{
	switch (e->kind) {
	case GS_EV_GO_PARK:
		if (!object(t, e->park.object) && e->park.wait >= GS_WAIT_MUTEX &&
		    e->park.wait <= GS_WAIT_SEMAPHORE)
			lock(t, e->park.object, e->stack);
		break;
	case GS_EV_OFF_CPU:
		if (e->off_cpu.arg[0] >= 4096 && (e->flags & GS_EV_SYSCALL))
			object(t, e->off_cpu.arg[0]);
		break;
	case GS_EV_CALL_BEGIN:
	case GS_EV_SAMPLE:
	case GS_EV_GO_STATE:
		break;
	default:
		return;
	}
	labels(t, e->goid, NULL);
}

/* ---- the rest ---- */

static void write_process(struct tee *t)
{
	const struct gs_event_source *s = t->inner;
	const struct gs_process *p = s->process;
	const char *texts[] = { p->executable, p->go_version, p->goos,
				p->goarch,     p->service,    s->goarch };
	uint32_t ids[GS_ARRAY_SIZE(texts)], functions[64],
		n = s->n_functions < 64 ? s->n_functions : 64;

	for (size_t i = 0; i < GS_ARRAY_SIZE(texts); i++)
		ids[i] = text(t, texts[i]);
	for (uint32_t i = 0; i < n; i++)
		functions[i] = text(t, s->functions[i]);
	item(t, GS__REC_PROCESS);
	number(t, gs__zigzag(p->pid));
	number(t, p->start_time_unix_ns);
	for (size_t i = 0; i < GS_ARRAY_SIZE(texts); i++)
		number(t, ids[i]);
	number(t, n);
	for (uint32_t i = 0; i < n; i++)
		number(t, functions[i]);
}

static void real(struct tee *t, double v)
{
	bytes(t, &v, sizeof(v));
}

static void write_stats(struct tee *t, const struct gs_stream_stats *s)
{
	uint32_t names[GS_PROBES_MAX][2], what[GS_INCOMPLETE_MAX], why[GS_INCOMPLETE_MAX];

	for (uint32_t i = 0; i < s->n_probes; i++) {
		names[i][0] = text(t, s->probe[i].name);
		names[i][1] = text(t, s->probe[i].placement);
	}
	for (uint32_t i = 0; i < s->incomplete.n; i++) {
		what[i] = text(t, s->incomplete.item[i].what);
		why[i] = text(t, s->incomplete.item[i].why);
	}
	item(t, GS__REC_STATS);
	number(t, (uint64_t)s->begin_ns);
	number(t, (uint64_t)s->end_ns);
	number(t, (uint64_t)s->begin_unix_ns);
	number(t, (uint64_t)s->target_cpu_ns);
	number(t, (uint64_t)s->target_cost_ns);
	number(t, (uint64_t)s->self_cpu_ns);
	number(t, s->self_rss_bytes);
	number(t, s->produced);
	number(t, s->lost);
	real(t, s->max_overhead);
	number(t, s->thinned_log2);
	number(t, (uint64_t)s->target_exit);
	number(t, s->n_probes);
	for (uint32_t i = 0; i < s->n_probes; i++) {
		number(t, names[i][0]);
		number(t, names[i][1]);
		number(t, s->probe[i].hits);
		real(t, s->probe[i].cost_ns);
		number(t, s->probe[i].detached);
	}
	number(t, s->incomplete.n);
	for (uint32_t i = 0; i < s->incomplete.n; i++) {
		number(t, what[i]);
		number(t, s->incomplete.item[i].count);
		number(t, why[i]);
	}
}

/* The last words: numbers do not change any more after this. */
static void finish(struct tee *t)
{
	if (t->stats_final)
		return;
	t->stats = *t->inner->stats(t->inner);
	t->stats_final = true;
	write_stats(t, &t->stats);
	flush(t);
}

static int tee_next(struct gs_event_source *src, int64_t timeout_ns, const struct gs_event **ret,
		    size_t *ret_n, struct gs_err *err)
{
	struct tee *t = tee_of(src);
	bool due = gs_now_ns() >= t->next_flush_ns;

	/* Here, because what was asked for about a batch is to be in its block. */
	if (due)
		write_stats(t, t->inner->stats(t->inner));
	if (due || t->n_raw >= FLUSH_AT)
		flush(t);
	int r = t->inner->next(t->inner, timeout_ns, ret, ret_n, err);

	if (r == 2)
		finish(t);
	if (r == 0) {
		for (size_t i = 0; i < *ret_n; i++) {
			event(t, &(*ret)[i]);
			facts(t, &(*ret)[i]);
		}
		item(t, GS__REC_BATCH);
	}
	return r;
}

static const struct gs_stack *tee_stack(struct gs_event_source *src, uint32_t id)
{
	struct tee *t = tee_of(src);

	stack(t, id);
	return t->inner->stack(t->inner, id);
}

static const char *tee_object_name(struct gs_event_source *src, gs_addr addr)
{
	return object(tee_of(src), addr);
}

static const char *tee_lock_name(struct gs_event_source *src, gs_addr addr,
				 const struct gs_stack *s)
{
	struct tee *t = tee_of(src);

	return s && t->inner->stack(t->inner, s->id + 1) == s ? lock(t, addr, s->id + 1) : NULL;
}

static uint32_t tee_labels(struct gs_event_source *src, uint64_t goid, const struct gs_label **ret)
{
	return labels(tee_of(src), goid, ret);
}

static const struct gs_stream_stats *tee_stats(struct gs_event_source *src)
{
	struct tee *t = tee_of(src);

	if (!t->stats_final)
		t->stats = *t->inner->stats(t->inner);
	if (t->failed.code) {
		static const char what[] = "recording_cut";
		struct gs_incomplete_list *l = &t->stats.incomplete;

		for (uint32_t i = 0; i < l->n; i++)
			if (l->item[i].what == what)
				return &t->stats;
		gs_incomplete_add(l, what, 1, "%.150s", t->failed.text);
	}
	return &t->stats;
}

static void tee_stop(struct gs_event_source *src)
{
	struct tee *t = tee_of(src);

	t->inner->stop(t->inner);
}

static struct gs_event_source *tee_free(struct gs_event_source *src)
{
	struct tee *t = tee_of(src);

	if (!t)
		return NULL;
	if (t->fd >= 0 && t->raw) {
		finish(t);
		item(t, GS__REC_END);
		flush(t);
	}
	if (t->fd >= 0)
		close(t->fd);
	t->inner->free(t->inner);
	ZSTD_freeCCtx(t->zstd);
	free(t->strings.v);
	free(t->frames.v);
	free(t->stacks.v);
	free(t->objects.v);
	free(t->locks.v);
	free(t->owners.v);
	free(t->raw);
	free(t->packed);
	free(t);
	return NULL;
}

static int open_file(struct tee *t, const char *path, struct gs_err *err)
{
	uint8_t head[GS__REC_HEAD] = GS__REC_MAGIC;

	/* Requests' paths and peers are nobody else's business. */
	t->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
	if (t->fd < 0)
		return gs_fail(err, -errno, 0, "cannot create the recording %s: %s", path,
			       strerror(errno));
	head[GS__REC_MAGIC_LEN] = GS__REC_VERSION;
	write_all(t, head, sizeof(head));
	if (t->failed.code)
		return gs_fail(err, t->failed.code, 0, "%s: %s", path, t->failed.text);
	return 0;
}

static int make(struct tee *t, const char *path, struct gs_err *err)
{
	t->zstd = ZSTD_createCCtx();
	t->raw = malloc(BUFFER);
	t->cap_packed = ZSTD_compressBound(BUFFER);
	t->packed = malloc(t->cap_packed);
	if (!t->zstd || !t->raw || !t->packed ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(t->zstd, ZSTD_c_compressionLevel, LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(t->zstd, ZSTD_c_checksumFlag, 1))) {
		free(t->raw);
		t->raw = NULL;
		return gs_fail(err, -ENOMEM, 0, "no memory for a recording");
	}
	int r = open_file(t, path, err);

	if (r < 0)
		return r;
	write_process(t);
	write_stats(t, t->inner->stats(t->inner));
	flush(t);
	return 0;
}

int gs_stream_tee_open(struct gs_event_source *s, const char *path, struct gs_event_source **ret,
		       struct gs_err *err)
{
	struct tee *t = calloc(1, sizeof(*t));
	int r;

	if (!t) {
		s->free(s);
		return gs_fail(err, -ENOMEM, 0, "no memory for a recording");
	}
	t->inner = s;
	t->fd = -1;
	t->pub = *s;
	t->pub.next = tee_next;
	t->pub.stack = tee_stack;
	t->pub.object_name = tee_object_name;
	t->pub.lock_name = s->lock_name ? tee_lock_name : NULL;
	t->pub.labels = tee_labels;
	t->pub.stats = tee_stats;
	t->pub.stop = tee_stop;
	t->pub.free = tee_free;
	r = make(t, path, err);
	if (r < 0) {
		tee_free(&t->pub);
		return r;
	}
	*ret = &t->pub;
	return 0;
}
