/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Writing the file half of a Go execution trace; see gotrace_file.h. What readers insist on
 * (internal/trace/{reader,generation,batch,batchcursor}.go, Go 1.22 to 1.27):
 *
 *	- generations count up by one and do not interleave; each has exactly one frequency
 *	- a batch holds at most 64 KiB; batches of one thread stand in the order of time
 *	- a string has at most 1024 bytes, a stack 128 frames; a number is defined once per generation, and
 *	  every number that an event or a frame uses is defined
 *	- frames are found by pc, and the first frame with a pc decides what it is called: calls that were
 *	  inlined at one pc get pcs of their own here
 *	- times go through a float64, which keeps 53 bits: nanoseconds since boot have more after 104 days.
 *	  So the time of a batch is a multiple of 1024 and only differences have all their digits
 */
#include "export/gotrace_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"

#define BATCH_BYTES 8192u /* of a thread: readers take up to 65536, but there may be many threads */
#define TABLE_BYTES 65000u /* of a batch of a table */
#define EVENT_BYTES 80u    /* type, time and six arguments */
#define STRING_MAX 1024u
#define FRAMES_MAX 128u
#define NAMES_MAX (4u << 20)
#define STACKS_MAX (4u << 20)
#define ONCE_FIRST (UINT64_C(1) << 40)
#define WIDE_BYTES 5u
/* A reader keeps a whole generation in memory. Cuts are rare because a system call that is under way at
 * one is known only when it is over, and then begins at the cut. */
#define GENERATION_BYTES (16u << 20)
#define GENERATION_NS UINT64_C(10000000000)

enum {
	EV_BATCH = 1,
	EV_STACKS,
	EV_STACK,
	EV_STRINGS,
	EV_STRING,
	EV_SAMPLES,
	EV_SAMPLE,
	EV_FREQUENCY
};

static uint8_t *put(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)v | 0x80;
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

/* Five bytes whatever the value, so that another can take its place. */
static void put_wide(uint8_t *p, uint64_t v)
{
	for (unsigned int i = 0; i < WIDE_BYTES - 1; i++, v >>= 7)
		p[i] = (uint8_t)v | 0x80;
	p[WIDE_BYTES - 1] = (uint8_t)v & 0x7f;
}

static void fail(struct gs__gt_file *f, int e)
{
	if (!f->error)
		f->error = e;
}

int gs__gt_file_init(struct gs__gt_file *f, struct gs_out *out, struct gs_event_source *source,
		     bool go122, struct gs_err *err)
{
	static const char headers[2][16] = { "go 1.23 trace\0\0", "go 1.22 trace\0\0" };
	int r;

	*f = (struct gs__gt_file){
		.out = out,
		.source = source,
		.gen = 1,
		.status_stacks = !go122,
		.strings.kind = EV_STRINGS,
		.stacks.kind = EV_STACKS,
		.samples.kind = EV_SAMPLES,
	};
	r = gs__string_table_init(&f->names, err);
	if (r < 0)
		return r;
	f->strings.buf = malloc(TABLE_BYTES);
	f->stacks.buf = malloc(TABLE_BYTES);
	f->samples.buf = malloc(TABLE_BYTES);
	if (!f->strings.buf || !f->stacks.buf || !f->samples.buf)
		return gs_fail(err, -ENOMEM, 0, "cannot write the trace: out of memory");
	gs_out_bytes(out, headers[go122], sizeof(headers[go122]));
	f->header_total = out->total;
	return 0;
}

void gs__gt_file_deinit(struct gs__gt_file *f)
{
	free(f->strings.buf);
	free(f->stacks.buf);
	free(f->samples.buf);
	gs__string_table_deinit(&f->names);
	gs__pair_table_deinit(&f->starts);
	free(f->name_written.gen);
	free(f->stack_written.gen);
	free(f->start_written.gen);
}

/* --- Batches ----------------------------------------------------------------------------------------- */

static void batch_out(struct gs__gt_file *f, uint64_t m, uint64_t time, const uint8_t *data,
		      uint32_t n)
{
	uint8_t head[64], *p = head;

	*p++ = EV_BATCH;
	p = put(p, f->gen);
	p = put(p, m);
	p = put(p, time);
	p = put(p, n);
	gs_out_bytes(f->out, head, (size_t)(p - head));
	gs_out_bytes(f->out, data, n);
	f->gen_bytes = f->out->total - f->header_total;
}

void gs__gt_flush(struct gs__gt_file *f, struct gs__gt_batch *b)
{
	if (!b->len)
		return;
	batch_out(f, b->m, b->base_ns, b->buf, b->len);
	b->len = 0;
	b->serial++;
}

void gs__gt_batch_deinit(struct gs__gt_batch *b)
{
	free(b->buf);
	b->buf = NULL;
}

uint32_t gs__gt_event(struct gs__gt_file *f, struct gs__gt_batch *b, uint64_t t_ns, uint8_t type,
		      const uint64_t *args, uint32_t n)
{
	uint32_t at, i = 0;
	uint8_t *p;

	if (b->len + EVENT_BYTES > BATCH_BYTES)
		gs__gt_flush(f, b);
	if (!b->buf)
		b->buf = malloc(BATCH_BYTES);
	if (!b->buf) {
		fail(f, -ENOMEM);
		return 0;
	}
	b->last_at = b->len;
	b->before_ns = b->last_ns;
	if (!b->len) {
		b->base_ns = t_ns & ~UINT64_C(1023);
		b->last_ns = b->base_ns;
	}
	p = b->buf + b->len;
	*p++ = type;
	p = put(p, t_ns - b->last_ns);
	at = (uint32_t)(p - b->buf);
	if (type == GS__GT_PROC_STATUS) {
		put_wide(p, args[i++]);
		p += WIDE_BYTES;
	}
	for (; i < n; i++)
		p = put(p, args[i]);
	b->len = (uint32_t)(p - b->buf);
	b->last_ns = t_ns;
	f->any = true;
	return at;
}

bool gs__gt_take_back(struct gs__gt_batch *b, uint32_t serial, uint32_t at)
{
	if (b->serial != serial || b->last_at != at || at >= b->len)
		return false;
	b->len = at;
	b->last_ns = b->before_ns;
	return true;
}

void gs__gt_patch(struct gs__gt_batch *b, uint32_t at, uint64_t v)
{
	put_wide(b->buf + at, v);
}

/* --- Tables ------------------------------------------------------------------------------------------ */

static void chunk_flush(struct gs__gt_file *f, struct gs__gt_chunk *c)
{
	if (c->len > 1)
		batch_out(f, GS__GT_NO_THREAD, f->gen_start_ns & ~UINT64_C(1023), c->buf, c->len);
	c->len = 0;
}

/* Room for @n bytes more of a table. */
static uint8_t *chunk_room(struct gs__gt_file *f, struct gs__gt_chunk *c, uint32_t n)
{
	if (c->len + n > TABLE_BYTES)
		chunk_flush(f, c);
	if (!c->len)
		c->buf[c->len++] = c->kind;
	return c->buf + c->len;
}

static void chunk_used(struct gs__gt_chunk *c, const uint8_t *end)
{
	c->len = (uint32_t)(end - c->buf);
}

/* Whether number @i has been written into generation @gen already; from now on it has. */
static bool written(struct gs__gt_file *f, struct gs__gt_written *w, uint64_t i)
{
	if (i >= w->n) {
		uint32_t n = w->n ? w->n : 1024;
		uint32_t *gen;

		while (n <= i)
			n *= 2;
		gen = gs_array_resize(w->gen, n, sizeof(*gen));
		if (!gen) {
			fail(f, -ENOMEM);
			return true;
		}
		memset(gen + w->n, 0, (n - w->n) * sizeof(*gen));
		w->gen = gen;
		w->n = n;
	}
	if (w->gen[i] == f->gen)
		return true;
	w->gen[i] = f->gen;
	return false;
}

static void string_out(struct gs__gt_file *f, uint64_t number, const char *s, size_t n)
{
	uint8_t *p = chunk_room(f, &f->strings, STRING_MAX + 32);

	*p++ = EV_STRING;
	p = put(p, number);
	p = put(p, n);
	memcpy(p, s, n);
	chunk_used(&f->strings, p + n);
}

uint64_t gs__gt_string_once(struct gs__gt_file *f, const char *s, size_t n)
{
	uint64_t number = ONCE_FIRST + f->n_once;

	if (n > STRING_MAX)
		n = STRING_MAX;
	if (n == 0)
		return 0;
	f->n_once++;
	string_out(f, number, s, n);
	return number;
}

uint64_t gs__gt_string(struct gs__gt_file *f, const char *s, size_t n)
{
	uint64_t number;
	int r;

	if (n > STRING_MAX)
		n = STRING_MAX;
	if (n == 0)
		return 0;
	if (f->names.n >= NAMES_MAX / 2)
		return gs__gt_string_once(f, s, n);
	r = gs__string_number(&f->names, s, n, &number, NULL);
	if (r < 0) {
		fail(f, r);
		return 0;
	}
	if (number >= NAMES_MAX)
		return gs__gt_string_once(f, s, n);
	if (!written(f, &f->name_written, number))
		string_out(f, number, s, n);
	return number;
}

/* The frame's pc, made different for each call inlined there and for frames without one. */
static uint64_t frame_pc(const struct gs_frame *frame, uint32_t inlined, uint64_t function)
{
	if (frame->pc == 0)
		return (UINT64_C(1) << 62) | gs_hash_u64(function, frame->line) >> 4;
	return frame->pc ^ (uint64_t)inlined << 48;
}

/* One frame of a stack on its way into the file. */
struct out_frame {
	const struct gs_frame *frame;
	uint64_t pc, function, file;
};

/*
 * The frames that Go's own traces show (traceStack and fpunwindExpand in runtime/tracestack.go): without wrappers made
 * by the compiler, and without runtime.goexit and, under main.main, runtime.main. Of too many, the
 * innermost ones and the outermost, which names the goroutine.
 */
static uint32_t choose(const struct gs_frame *frames, uint32_t n, struct out_frame *ret)
{
	uint32_t shown = 0, inlined = 0;

	if (n > 1 && strcmp(frames[n - 1].function, "runtime.goexit") == 0)
		n--;
	if (n > 1 && strcmp(frames[n - 1].function, "runtime.main") == 0)
		n--;
	for (uint32_t i = 0; i < n; i++) {
		const struct gs_frame *f = &frames[i];

		if (!(f->flags & GS_FRAME_WRAPPER) || n == 1) {
			shown = shown < FRAMES_MAX ? shown + 1 : FRAMES_MAX;
			ret[shown - 1] = (struct out_frame){ .frame = f, .pc = inlined };
		}
		inlined = f->flags & GS_FRAME_INLINED ? inlined + 1 : 0;
	}
	return shown;
}

static void stack_out(struct gs__gt_file *f, uint64_t number, const struct gs_frame *frames,
		      uint32_t n)
{
	struct out_frame o[FRAMES_MAX];
	uint32_t shown = choose(frames, n, o);
	uint8_t *p;

	for (uint32_t i = 0; i < shown; i++) {
		const struct gs_frame *fr = o[i].frame;

		o[i].function = gs__gt_string(f, fr->function, strlen(fr->function));
		o[i].file = gs__gt_string(f, fr->file, strlen(fr->file));
		o[i].pc = frame_pc(fr, (uint32_t)o[i].pc, o[i].function);
	}
	p = chunk_room(f, &f->stacks, 32 + shown * 40);
	*p++ = EV_STACK;
	p = put(p, number);
	p = put(p, shown);
	for (uint32_t i = 0; i < shown; i++) {
		p = put(p, o[i].pc);
		p = put(p, o[i].function);
		p = put(p, o[i].file);
		p = put(p, o[i].frame->line);
	}
	chunk_used(&f->stacks, p);
}

/* Numbers are even for stacks of the source, odd for those of a single frame. */
uint64_t gs__gt_stack(struct gs__gt_file *f, uint32_t id)
{
	const struct gs_stack *s;

	if (id == 0)
		return 0;
	if (id >= STACKS_MAX) {
		f->untracked++;
		return 0;
	}
	if (id < f->stack_written.n && f->stack_written.gen[id] == f->gen)
		return (uint64_t)id * 2;
	s = f->source->stack(f->source, id);
	if (!s || s->n_frames == 0)
		return 0;
	if (!written(f, &f->stack_written, id))
		stack_out(f, (uint64_t)id * 2, s->frames, s->n_frames);
	return (uint64_t)id * 2;
}

bool gs__gt_stack_complete(struct gs__gt_file *f, uint32_t id)
{
	const struct gs_stack *s = id ? f->source->stack(f->source, id) : NULL;

	return s && s->n_frames && s->end == GS_STACK_COMPLETE;
}

uint64_t gs__gt_start(struct gs__gt_file *f, const struct gs_frame *frame)
{
	uint64_t number;
	int r;

	if (!frame)
		return 0;
	if (f->starts.n >= STACKS_MAX) {
		f->untracked++;
		return 0;
	}
	r = gs__pair_number(&f->starts, frame->pc, (uint64_t)(uintptr_t)frame, &number, NULL);
	if (r < 0) {
		fail(f, r);
		return 0;
	}
	if (!written(f, &f->start_written, number))
		stack_out(f, number * 2 + 1, frame, 1);
	return number * 2 + 1;
}

void gs__gt_sample(struct gs__gt_file *f, uint64_t m, int64_t p, uint64_t g, uint64_t stack)
{
	uint8_t *q = chunk_room(f, &f->samples, EVENT_BYTES);

	*q++ = EV_SAMPLE;
	q = put(q, f->now_ns);
	q = put(q, m);
	q = put(q, p < 0 ? UINT64_MAX : (uint64_t)p);
	q = put(q, g);
	q = put(q, stack);
	chunk_used(&f->samples, q);
}

/* --- Generations ------------------------------------------------------------------------------------- */

bool gs__gt_generation_full(const struct gs__gt_file *f)
{
	if (!f->any)
		return false;
	return f->gen_bytes >= GENERATION_BYTES || f->now_ns - f->gen_start_ns >= GENERATION_NS;
}

void gs__gt_generation_end(struct gs__gt_file *f)
{
	uint8_t frequency[16], *p = frequency;

	*p++ = EV_FREQUENCY;
	p = put(p, 1000000000);
	batch_out(f, GS__GT_NO_THREAD, f->gen_start_ns & ~UINT64_C(1023), frequency,
		  (uint32_t)(p - frequency));
	chunk_flush(f, &f->samples);
	chunk_flush(f, &f->stacks);
	chunk_flush(f, &f->strings);
	f->header_total = f->out->total;
	f->gen_bytes = 0;
	f->gen++;
	f->gen_start_ns = f->now_ns;
	f->any = false;
	f->n_once = 0;
}
