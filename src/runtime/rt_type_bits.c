/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Pointer bits of types (internal/abi/type.go: Type.GCData; runtime/type.go: getGCMask, buildGCMask).
 *
 * Bits of types that objects with headers can have are kept, and those that had to be made; those of larger types are
 * read when they are needed, a piece at a time. A type without bits of its own (TFlagGCMaskOnDemand, 1.24 and later) is an
 * array or a struct; the runtime makes them when it first needs them, and we make them from those of its
 * elements or fields, without depending on whether it did.
 *
 * Up to 1.23 objects of types whose bits a program makes (KindGCProg) are large ones, with a type of their own that has
 * the bits that came out; such a program is never seen here unless something is damaged.
 */
#include <string.h>

#include "runtime/rt_heap_bits_private.h"

enum {
	TYPE_BYTES = 48, /* of abi.Type, in 1.22 and later */
	TFLAG = 20,
	KIND = 23,
	GC_DATA = 32,
	ELEM = 48, /* abi.ArrayType: Elem, Slice, Len; abi.StructType: PkgPath, Fields */
	LENGTH = 64,
	FIELDS = 56,
	N_FIELDS = 64,
	FIELD_BYTES = 24, /* abi.StructField: Name, Typ, Offset */

	GC_MASK_ON_DEMAND =
		16,   /* abi.TFlagGCMaskOnDemand; up to 1.23 a type with bits that a program made */
	GC_PROG = 64, /* kindGCProg */
	KIND_MASK = 31,
	ARRAY = 17,
	STRUCT = 25,

	KEPT_WORDS = GS_RT_BITS_HEADER_SIZE / 8,
	MADE_WORDS = 8 << 20, /* types of 64 MiB */
	PIECE_WORDS = 1 << 15,
	MAX_DEPTH = 32,
	MAX_FIELDS = 1 << 16,
	MAX_WORK = 1 << 22,
};
#define MAX_SIZE (1ull << 47)

/* What a type says. */
struct part {
	uint64_t size, pointers; /* bytes */
	uint8_t flags, kind;
	gs_addr data;
	uint8_t more[24]; /* behind abi.Type; zeros where that is not readable */
};

/* ---- bits ---- */

/* @n bits of @from, from bit @at on, become bits of @to from @to_at on. Those were zero. */
static void put_bits(uint64_t *to, uint64_t to_at, const uint64_t *from, uint64_t at, uint64_t n)
{
	while (n) {
		uint32_t have = 64 - (uint32_t)(at % 64), room = 64 - (uint32_t)(to_at % 64);
		uint32_t k = have < room ? have : room;
		uint64_t v;

		k = n < k ? (uint32_t)n : k;
		v = from[at / 64] >> at % 64;
		if (k < 64)
			v &= (1ull << k) - 1;
		to[to_at / 64] |= v << to_at % 64;
		at += k;
		to_at += k;
		n -= k;
	}
}

/* Memory for the bits of an element and the beginning of the next. */
static uint64_t *new_bits(struct gs_rt_heap_bits *b, uint64_t period)
{
	return gs_arena_array(b->memory, (period + 64) / 64 + 2, sizeof(uint64_t));
}

/* Let the next elements begin behind the first one. */
static void repeat(uint64_t *bits, uint64_t period)
{
	for (uint64_t i = period; i < period + 64; i++)
		bits[i / 64] |= (bits[i % period / 64] >> i % period % 64 & 1) << i % 64;
}

/* Bits [@at, @at + @n) of an element, read in the target. @ret is zero. */
static bool read_element(struct gs_rt_heap_bits *b, const struct gs_rt_type_bits *t, uint64_t at,
			 uint32_t n, uint64_t *ret, uint64_t ret_at)
{
	uint64_t buffer[PIECE_WORDS / 64 + 1];

	if (at >= t->pointers)
		return true;
	n = t->pointers - at < n ? (uint32_t)(t->pointers - at) : n;
	while (n) {
		uint32_t k = n < PIECE_WORDS ? n : PIECE_WORDS;
		uint32_t shift = at % 8;

		buffer[(shift + k - 1) / 64] = 0;
		if (gs_memory_read(b->mem, t->mask + at / 8, buffer, (shift + k + 7) / 8, NULL) < 0)
			return false;
		put_bits(ret, ret_at, buffer, shift, k);
		at += k;
		ret_at += k;
		n -= k;
	}
	return true;
}

static void take_kept(const struct gs_rt_type_bits *t, uint64_t at, uint32_t n_words, uint64_t *ret)
{
	uint64_t period = t->size / 8, phase = at % period, step = 64 % period;

	for (uint32_t i = 0; i < n_words; i += 64) {
		const uint64_t *w = &t->bits[phase / 64];
		uint32_t shift = phase % 64;

		ret[i / 64] = shift ? w[0] >> shift | w[1] << (64 - shift) : w[0];
		phase += step;
		if (phase >= period)
			phase -= period;
	}
	gs__bits_end(ret, n_words);
}

bool gs_rt_type_bits_take(struct gs_rt_heap_bits *b, const struct gs_rt_type_bits *t, uint64_t at,
			  uint32_t n_words, uint64_t *ret)
{
	uint64_t to = 0, period = t->size / 8;

	if (t->bits) {
		take_kept(t, at, n_words, ret);
		return true;
	}
	memset(ret, 0, (n_words + 63ul) / 64 * sizeof(*ret));
	if (!t->pointers)
		return true;
	for (at %= period; to < n_words;) {
		uint64_t k = period - at < n_words - to ? period - at : n_words - to;

		if (!read_element(b, t, at, (uint32_t)k, ret, to))
			return false;
		to += k;
		at = 0;
	}
	return true;
}

bool gs_rt_type_bits_take_header(struct gs_rt_heap_bits *b, const struct gs_rt_type_bits *t,
				 uint32_t n_words, uint64_t *ret)
{
	/* As if another element ended with the header. */
	bool ok = gs_rt_type_bits_take(b, t, t->size / 8 - 1, n_words, ret);

	ret[0] &= ~1ull;
	return ok;
}

/* ---- the table ---- */

static uint32_t hash_of(const struct gs_rt_heap_bits *b, gs_addr type)
{
	return (uint32_t)(type * 0x9e3779b97f4a7c15ull >> 40) & (b->n_slots - 1);
}

static struct gs_rt_type_bits *find(const struct gs_rt_heap_bits *b, gs_addr type)
{
	if (!b->n_slots)
		return NULL;
	for (uint32_t i = hash_of(b, type); b->slot[i]; i = (i + 1) & (b->n_slots - 1))
		if (b->slot[i]->type == type)
			return b->slot[i];
	return NULL;
}

static void enter(struct gs_rt_heap_bits *b, struct gs_rt_type_bits *t)
{
	uint32_t i = hash_of(b, t->type);

	while (b->slot[i])
		i = (i + 1) & (b->n_slots - 1);
	b->slot[i] = t;
}

static bool grow(struct gs_rt_heap_bits *b)
{
	uint32_t n = b->n_slots;
	struct gs_rt_type_bits **old = b->slot,
			       **slot = gs_array_new(n ? n * 2ul : 256, sizeof(*slot));

	if (!slot)
		return false;
	b->slot = slot;
	b->n_slots = n ? n * 2 : 256;
	for (uint32_t i = 0; i < n; i++)
		if (old[i])
			enter(b, old[i]);
	free(old);
	return true;
}

/* A place for a type, not known so far. NULL: there are too many. */
static struct gs_rt_type_bits *add(struct gs_rt_heap_bits *b, gs_addr type)
{
	struct gs_rt_type_bits *t;

	if (b->n_types == GS__BITS_MAX_TYPES || (b->n_types * 2 >= b->n_slots && !grow(b)))
		return NULL;
	t = gs_arena_alloc(b->memory, sizeof(*t));
	if (!t)
		return NULL;
	t->type = type;
	enter(b, t);
	b->n_types++;
	return t;
}

/* ---- types ---- */

static uint64_t word_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static bool read_part(struct gs_rt_heap_bits *b, gs_addr type, struct part *p)
{
	uint8_t raw[TYPE_BYTES];
	struct gs_read rd[] = {
		{ .addr = type, .buf = raw, .len = sizeof(raw) },
		{ .addr = type + TYPE_BYTES, .buf = p->more, .len = sizeof(p->more) },
	};

	if (type % 8 || b->mem->readv(b->mem->ctx, rd, 2, NULL) < 0 || rd[0].result < 0)
		return false;
	if (rd[1].result < 0)
		memset(p->more, 0, sizeof(p->more));
	p->size = word_at(raw);
	p->pointers = word_at(raw + 8);
	p->data = word_at(raw + GC_DATA);
	p->flags = raw[TFLAG];
	p->kind = raw[KIND];
	return p->pointers <= p->size && p->size < MAX_SIZE && p->pointers % 8 == 0 &&
	       (p->pointers == 0 || p->size % 8 == 0);
}

/* The bits of a type that has some. @return false: not known. */
static bool take_mask(struct gs_rt_heap_bits *b, const struct part *p, struct gs_rt_type_bits *t)
{
	uint64_t *bits;

	if (b->layout->minor < 24 && p->kind & GC_PROG)
		return false;
	t->mask = p->data;
	if (t->size / 8 > KEPT_WORDS)
		return true;
	bits = new_bits(b, t->size / 8);
	if (!bits || !read_element(b, t, 0, (uint32_t)t->pointers, bits, 0))
		return false;
	repeat(bits, t->size / 8);
	t->bits = bits;
	return true;
}

/* ---- making bits ---- */

/* Put the bits of @n elements of type @of into those of @t, from byte @at on. @return false: they do not fit there. */
static bool put_elements(struct gs_rt_heap_bits *b, const struct gs_rt_type_bits *of, uint64_t at,
			 uint64_t n, const struct gs_rt_type_bits *t, uint64_t *bits)
{
	uint64_t piece[PIECE_WORDS / 64], words;

	if (of->pointers == 0)
		return true;
	if (at % 8 || at > t->size || n > (t->size - at) / of->size)
		return false;
	words = n * (of->size / 8);
	for (uint64_t i = 0; i < words; i += PIECE_WORDS) {
		uint32_t k = words - i < PIECE_WORDS ? (uint32_t)(words - i) : PIECE_WORDS;

		if (!gs_rt_type_bits_take(b, of, i, k, piece))
			return false;
		put_bits(bits, at / 8 + i, piece, 0, k);
	}
	return true;
}

/* Make the bits of an array or a struct. @bits NULL: only see whether what it is made of is known, *ret_need is what is not.
 * @return false: it cannot be made. */
static bool make_from(struct gs_rt_heap_bits *b, const struct part *p,
		      const struct gs_rt_type_bits *t, uint64_t *bits, gs_addr *ret_need)
{
	bool array = (p->kind & KIND_MASK) == ARRAY;
	uint64_t n = array ? 1 : word_at(p->more + N_FIELDS - TYPE_BYTES);
	gs_addr fields = word_at(p->more + FIELDS - TYPE_BYTES);

	if (n > MAX_FIELDS || (b->work += n) > MAX_WORK)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		/* Of an array: its element, where a field has its type. */
		uint64_t field[3] = { 0, word_at(p->more + ELEM - TYPE_BYTES), 0 };
		uint64_t times = array ? word_at(p->more + LENGTH - TYPE_BYTES) : 1;
		const struct gs_rt_type_bits *of;

		if (!array && gs_memory_read(b->mem, fields + i * sizeof(field), field,
					     sizeof(field), NULL) < 0)
			return false;
		of = find(b, field[1]);
		if (!of && field[1]) {
			*ret_need = field[1];
			return true;
		}
		if (!of || !of->known || (bits && !put_elements(b, of, field[2], times, t, bits)))
			return false;
	}
	return true;
}

/* @return false: not known, unless *ret_need says what has to be known first. */
static bool make_mask(struct gs_rt_heap_bits *b, const struct part *p, struct gs_rt_type_bits *t,
		      gs_addr *ret_need)
{
	uint8_t kind = p->kind & KIND_MASK;
	uint64_t *bits;

	if (t->size / 8 > MADE_WORDS)
		return gs_memory_u64(b->mem, p->data, &t->mask, NULL) == 0 && t->mask &&
		       t->mask % 8 == 0;
	if ((kind != ARRAY && kind != STRUCT) || !make_from(b, p, t, NULL, ret_need) || *ret_need)
		return false;
	bits = new_bits(b, t->size / 8);
	if (!bits || !make_from(b, p, t, bits, ret_need))
		return false;
	repeat(bits, t->size / 8);
	t->bits = bits;
	return true;
}

/* Enter a type into the table, unless *ret_need says which one has to be there first. @return false: no room. */
static bool load(struct gs_rt_heap_bits *b, gs_addr type, gs_addr *ret_need)
{
	struct gs_rt_type_bits t = { .type = type }, *to;
	struct part p;

	if (find(b, type))
		return true;
	if (read_part(b, type, &p)) {
		t.size = p.size;
		t.pointers = p.pointers / 8;
		if (p.pointers == 0)
			t.known = true;
		else if (b->layout->minor >= 24 && p.flags & GC_MASK_ON_DEMAND)
			t.known = make_mask(b, &p, &t, ret_need);
		else
			t.known = take_mask(b, &p, &t);
	}
	if (*ret_need)
		return true;
	to = add(b, type);
	if (to)
		*to = t;
	return to;
}

static const struct gs_rt_type_bits *look_up(struct gs_rt_heap_bits *b, gs_addr type)
{
	const struct gs_rt_type_bits *t = find(b, type);
	gs_addr stack[MAX_DEPTH] = { type };
	uint32_t n = 1;

	while (!t && n) {
		gs_addr need = 0;

		if (!load(b, stack[n - 1], &need))
			return NULL;
		if (!need)
			n--;
		else if (n < MAX_DEPTH)
			stack[n++] = need;
		else
			return add(b, type); /* a circle */
	}
	return t ? t : find(b, type);
}

const struct gs_rt_type_bits *gs_rt_type_bits(struct gs_rt_heap_bits *b, gs_addr type,
					      uint64_t room)
{
	static const struct gs_rt_type_bits none = { .size = 8, .known = true };
	const struct gs_rt_type_bits *t = b->last;

	if (!type)
		return &none;
	if (!t || t->type != type)
		t = look_up(b, type);
	b->last = t;
	return t && t->known && t->size && t->size % 8 == 0 && t->size <= room ? t : NULL;
}

gs_addr gs_rt_heap_bits_large_type(const struct gs_rt_heap_bits *b, const struct gs_rt_span *s)
{
	return s->mspan + (uint64_t)b->layout->offset[GS_GO_MSPAN_LARGE_TYPE];
}
