/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Stacks by number. Programs send each distinct stack once, with a hash; events refer to the hash. Here a
 * stack gets the next number and is kept as raw pcs, 8 bytes each; frames are made when somebody asks, which for
 * most stacks nobody does.
 *
 * A hash is 64 bits made by the programs; two stacks of one hash would be one, which at a million stacks happens once in
 * forty million runs. Programs forget what they sent when their table is full and send it again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "stream/stream_private.h"

#define STACKS_MAX (1u << 20)
#define RAW_MAX (8u << 20)            /* pcs: 64 MiB */
#define ARENA_MAX ((size_t)256 << 20) /* of kernel frames and stack objects */
#define KNOWN_SALT 0x736e6170u        /* snapshot's stacks share the table: keys of their own */

int gs__stacks_init(struct gs__stacks *s, struct gs_rt *rt, struct gs_err *err)
{
	*s = (struct gs__stacks){ .rt = rt };
	s->arena = gs_arena_new(ARENA_MAX);
	return s->arena ? 0 : gs_fail(err, -ENOMEM, 0, "no memory for stacks");
}

void gs__stacks_deinit(struct gs__stacks *s)
{
	gs_ksyms_free(s->ksyms);
	gs_arena_free(s->arena);
	free(s->entry);
	free(s->slot);
	free(s->raw);
	*s = (struct gs__stacks){ 0 };
}

static uint32_t home(const struct gs__stacks *s, uint64_t hash)
{
	return (uint32_t)gs_hash_u64(gs_hash_seed(), hash) & s->mask;
}

uint32_t gs__stacks_find(const struct gs__stacks *s, uint64_t hash)
{
	if (!s->slot || hash == 0)
		return 0;
	for (uint32_t i = home(s, hash);; i = (i + 1) & s->mask) {
		uint32_t id = s->slot[i];

		if (id == 0 || s->entry[id - 1].hash == hash)
			return id;
	}
}

static bool grow_table(struct gs__stacks *s)
{
	uint32_t size = s->slot ? (s->mask + 1) * 2 : 512;
	uint32_t *slot = gs_array_new(size, sizeof(*slot));

	if (!slot)
		return false;
	free(s->slot);
	s->slot = slot;
	s->mask = size - 1;
	for (uint32_t id = 1; id <= s->n; id++) {
		uint32_t i = home(s, s->entry[id - 1].hash);

		while (slot[i])
			i = (i + 1) & s->mask;
		slot[i] = id;
	}
	return true;
}

/* An entry with the next number; NULL when there is no room. */
static struct gs__stack_entry *new_entry(struct gs__stacks *s, uint64_t hash)
{
	if (s->n >= STACKS_MAX || ((!s->slot || s->n * 2 >= s->mask) && !grow_table(s)))
		return NULL;
	if (s->n == s->cap) {
		uint32_t cap = s->cap ? s->cap * 2 : 256;
		struct gs__stack_entry *p = gs_array_resize(s->entry, cap, sizeof(*p));

		if (!p)
			return NULL;
		s->entry = p;
		s->cap = cap;
	}
	uint32_t i = home(s, hash);

	while (s->slot[i])
		i = (i + 1) & s->mask;
	struct gs__stack_entry *e = &s->entry[s->n++];
	s->slot[i] = s->n;
	*e = (struct gs__stack_entry){ .hash = hash };
	return e;
}

static bool room_for_raw(struct gs__stacks *s, uint32_t n)
{
	if (s->cap_raw - s->n_raw >= n)
		return true;
	size_t cap = s->cap_raw ? s->cap_raw * 2 : 4096;

	if (cap > RAW_MAX)
		return false;
	uint64_t *p = gs_array_resize(s->raw, cap, sizeof(*p));

	if (!p)
		return false;
	s->raw = p;
	s->cap_raw = cap;
	return true;
}

void gs__stacks_add(struct gs__stacks *s, const struct gs_wire_stack *w)
{
	uint32_t n = w->n < GS_WIRE_STACK_MAX ? w->n : GS_WIRE_STACK_MAX;

	if (w->h.stack == 0 || gs__stacks_find(s, w->h.stack))
		return;
	struct gs__stack_entry *e = room_for_raw(s, n) ? new_entry(s, w->h.stack) : NULL;

	if (!e) {
		s->refused++;
		return;
	}
	e->raw_at = (uint32_t)s->n_raw;
	e->n = (uint8_t)n;
	e->flags = (uint8_t)w->flags;
	e->sp_word = w->sp_word;
	memcpy(s->raw + s->n_raw, w->pc, n * sizeof(*w->pc));
	s->n_raw += n;
}

/* What the source hands out has numbers of its own: those of events. */
static const struct gs_stack *publish(struct gs__stacks *s, uint32_t id, uint32_t n_frames,
				      const struct gs_frame *frames, enum gs_stack_end end)
{
	struct gs_stack *p = gs_arena_alloc(s->arena, sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct gs_stack){ .hash = gs_hash_u64(gs_hash_seed(), id),
				.id = id - 1,
				.n_frames = n_frames,
				.end = end,
				.frames = frames };
	s->entry[id - 1].pub = p;
	return p;
}

uint32_t gs__stacks_add_known(struct gs__stacks *s, const struct gs_stack *known)
{
	uint64_t key;
	uint32_t id;

	if (!known || known->n_frames == 0)
		return 0;
	key = gs_hash_u64(KNOWN_SALT, (uint64_t)(uintptr_t)known) | 1;
	id = gs__stacks_find(s, key);
	if (id)
		return id;
	if (!new_entry(s, key)) {
		s->refused++;
		return 0;
	}
	return publish(s, s->n, known->n_frames, known->frames, known->end) ? s->n : 0;
}

static void open_ksyms(struct gs__stacks *s)
{
	struct gs_err err = { 0 };

	s->ksyms_tried = true;
	if (gs_ksyms_open(&s->ksyms, &err) < 0)
		snprintf(s->ksyms_why, sizeof(s->ksyms_why), "%.159s", err.text);
}

/* What belongs to the tracing of the event, not to the event. */
static bool is_tracing(const char *name)
{
	static const char *const prefixes[] = { "bpf_prog_",       "bpf_trace_run",
						"__bpf_trace_",    "__traceiter_",
						"bpf_trampoline_", "bpf_get_stack",
						"__bpf_get_stack" };

	for (size_t i = 0; i < GS_ARRAY_SIZE(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static const struct gs_stack *kernel_stack(struct gs__stacks *s, uint32_t id)
{
	const struct gs__stack_entry *e = &s->entry[id - 1];
	struct gs_frame *f = gs_arena_array(s->arena, e->n, sizeof(*f));
	uint32_t skip = 0;
	bool top = true; /* programs need not have names (net.core.bpf_jit_kallsyms) */

	if (!f)
		return NULL;
	if (!s->ksyms_tried)
		open_ksyms(s);
	for (uint32_t i = 0; i < e->n; i++) {
		uint64_t pc = s->raw[e->raw_at + i], start = 0;
		const char *name = NULL;

		/* Return addresses, but for the first: a call may be its function's last instruction. */
		if (s->ksyms)
			name = gs_ksyms_find(s->ksyms, i ? pc - 1 : pc, &start);
		s->kernel_unnamed += name == NULL;
		f[i] = (struct gs_frame){ .pc = pc,
					  .entry = start,
					  .function = name ? name : "",
					  .file = "",
					  .flags = GS_FRAME_KERNEL };
		if (top && name && is_tracing(name))
			skip = i + 1;
		top = top && (!name || skip == i + 1);
	}
	return publish(s, id, e->n - skip, f + skip,
		       e->flags & 1 ? GS_STACK_CUT : GS_STACK_COMPLETE);
}

const struct gs_stack *gs__stacks_get(struct gs__stacks *s, uint32_t id)
{
	struct gs__stack_entry *e;
	const struct gs_stack *st;

	if (id == 0 || id > s->n)
		return NULL;
	e = &s->entry[id - 1];
	if (e->pub)
		return e->pub;
	if (e->flags & 2)
		return kernel_stack(s, id);
	if (!s->rt)
		return NULL;
	st = gs_rt_symbolize(s->rt, &(struct gs_rt_raw_stack){ .pcs = s->raw + e->raw_at,
							       .n = e->n,
							       .cut = e->flags & 1,
							       .has_sp_word = e->flags & 4,
							       .sp_word = e->sp_word });
	return st ? publish(s, id, st->n_frames, st->frames, st->end) : NULL;
}
