/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Where the census begins. Every global variable is a root of its own, by symbol; places in data and bss that no symbol
 * names (stripped binaries) too. Goroutines are one root for each function that they were started with, so that ten
 * thousand workers are one line. What finalizers and cleanups keep is one root.
 *
 * Structures of the runtime point to each other across all goroutines (g, sudog, M, P). They are pinned: a g and its
 * sudogs belong to the goroutine, Ms and Ps to their list, and others that lead there do not share them.
 *
 * Types of variables come from DWARF; without it only what a pointer leads to can tell its type.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "analysis/heap_objects_private.h"
#include "base/search.h"

enum {
	MAX_VARIABLES = 4 << 20,
	MAX_ROOTS = 64 << 20,
	MAX_VARIABLE_BYTES = 1 << 28,
	PIECE = 256 << 10, /* of a variable */
	BATCH = 256,
	MAX_PS = 4096,
	MAX_MS = 1 << 18,
};

uint32_t gs__ho_root(struct gs_heap_objects *x, const struct gs__ho_root *r)
{
	uint32_t cap = x->roots_cap ? x->roots_cap * 2 : 1024;
	struct gs__ho_root *more;

	if (x->n_roots == x->roots_cap) {
		more = x->n_roots < MAX_ROOTS ? gs_array_resize(x->root, cap, sizeof(*more)) : NULL;
		x->no_memory |= !more;
		if (!more)
			return x->n_roots; /* the last one then */
		x->root = more;
		x->roots_cap = cap;
	}
	x->root[x->n_roots++] = *r;
	return x->n_roots;
}

/* --- variables ---------------------------------------------------------------------------------------------------- */

struct symbols {
	struct gs_heap_objects *x;
	uint64_t bias;
	uint32_t cap;
	struct gs__ho_range in[4]; /* data and bss of the executable */
};

static bool room_for_variable(struct symbols *s)
{
	struct gs_heap_objects *x = s->x;
	uint32_t cap = s->cap ? s->cap * 2 : 4096;
	struct gs__ho_variable *more;

	if (x->n_vars < s->cap)
		return true;
	more = x->n_vars < MAX_VARIABLES ? gs_array_resize(x->var, cap, sizeof(*more)) : NULL;
	if (!more)
		return false;
	x->var = more;
	s->cap = cap;
	return true;
}

static int take_symbol(void *ctx, const struct gs_image_symbol *sym)
{
	struct symbols *s = ctx;
	gs_addr addr = sym->addr + s->bias;

	if (sym->is_function || !sym->size || !sym->name[0] || addr + sym->size < addr)
		return 0;
	for (size_t i = 0; i < GS_ARRAY_SIZE(s->in); i++) {
		if (addr < s->in[i].lo || addr >= s->in[i].hi)
			continue;
		if (!room_for_variable(s))
			return 1;
		s->x->var[s->x->n_vars++] = (struct gs__ho_variable){ .addr = addr,
								      .end = addr + sym->size,
								      .name = sym->name };
		break;
	}
	return 0;
}

static int compare_variables(const void *a, const void *b)
{
	const struct gs__ho_variable *p = a, *q = b;

	if (p->addr != q->addr)
		return p->addr < q->addr ? -1 : 1;
	return p->end > q->end ? -1 : p->end < q->end;
}

static struct gs__ho_variable *variable_at(const struct gs_heap_objects *x, gs_addr addr)
{
	uint32_t behind = GS_SEARCH(i, x->n_vars, x->var[i].addr > addr);

	return behind && addr < x->var[behind - 1].end ? &x->var[behind - 1] : NULL;
}

static void give_types(struct gs_heap_objects *x, const struct gs_go_variable *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct gs__ho_variable *to = variable_at(x, v[i].addr);

		if (!to || to->addr != v[i].addr || !v[i].type ||
		    v[i].type->size > to->end - to->addr)
			continue;
		to->type = v[i].type;
	}
}

/* What DWARF says of all variables. */
static int read_dwarf(struct gs_heap_objects *x, gs_addr types_at, struct gs_err *err)
{
	const struct gs_target *t = gs_rt_target(x->rt);
	GS_CLEANUP(gs_freep) gs_addr *pcs = NULL;
	struct gs_err why = { 0 };
	uint32_t n;
	int r = gs__ho_stack_pcs(x, &pcs, &n, err);

	if (r < 0)
		return r;
	r = gs_go_dwarf_variables(gs_target_exe_fd(t), gs_target_image(t), gs_target_bias(t),
				  types_at, x->types, pcs, n, &x->dwarf, &why);
	if (r == 0)
		give_types(x, x->dwarf.global, x->dwarf.n_globals);
	else if (r < 0)
		gs_incomplete_add(&x->inc, "variables_untyped", x->n_vars, "%s", why.text);
	return 0;
}

int gs__ho_variables(struct gs_heap_objects *x, struct gs_err *err)
{
	const struct gs_target *t = gs_rt_target(x->rt);
	const struct gs_image *img = gs_target_image(t);
	struct symbols s = { .x = x, .bias = gs_target_bias(t) };
	const struct gs_rt_module *m;
	struct gs_err why = { 0 };
	uint32_t n, kept = 0;
	int r = gs_rt_modules(x->rt, &m, &n, err);

	if (r < 0 || !img || n == 0)
		return r < 0 ? r : 0;
	s.in[0] = (struct gs__ho_range){ m[0].data, m[0].edata };
	s.in[1] = (struct gs__ho_range){ m[0].bss, m[0].ebss };
	s.in[2] = (struct gs__ho_range){ m[0].noptrdata, m[0].enoptrdata };
	s.in[3] = (struct gs__ho_range){ m[0].noptrbss, m[0].enoptrbss };
	r = gs_image_each_symbol(img, take_symbol, &s, &why);
	if (r != 0)
		gs_incomplete_add(&x->inc, "variables_unnamed", 1, "%s",
				  r < 0 ? why.text : "too many symbols");
	if (x->n_vars)
		qsort(x->var, x->n_vars, sizeof(*x->var), compare_variables);
	/* Names of one address, and what lies in another variable. */
	for (uint32_t i = 0; i < x->n_vars; i++)
		if (!kept || x->var[i].addr >= x->var[kept - 1].end)
			x->var[kept++] = x->var[i];
	x->n_vars = kept;
	if (gs_target_exe_fd(t) < 0 || !gs_image_info(img)->has_dwarf || !kept)
		return 0;
	return read_dwarf(x, m[0].types, err);
}

static uint32_t label_of(struct gs_heap_objects *x, struct gs__ho_variable *v)
{
	if (!v->label)
		v->label = gs__ho_root(x, &(struct gs__ho_root){ .kind = GS__HO_VARIABLE,
								 .name = v->name,
								 .type = v->type,
								 .at = v->addr });
	return v->label;
}

/* The label of a variable by its name, for structures of the runtime; a root of that name if there is no symbol. */
static uint32_t label_named(struct gs_heap_objects *x, gs_addr at, const char *name)
{
	struct gs__ho_variable *v = variable_at(x, at);

	if (v)
		return label_of(x, v);
	return gs__ho_root(x, &(struct gs__ho_root){ .kind = GS__HO_OTHER, .name = name });
}

/* The pointers of a variable of known type, in pieces of whole elements. */
static int scan_variable(struct gs_heap_objects *x, struct gs__ho_variable *v, uint8_t *buf,
			 struct gs_err *err)
{
	const struct gs_go_type *t = v->type;
	uint64_t piece = PIECE, size = t->size;
	struct gs__ho_bytes b = { .label = label_of(x, v), .only_typed = true };

	if (t->kind == GS_GO_KIND_ARRAY && gs_go_type_complete(x->types, t) && t->elem &&
	    t->elem->size && t->elem->size <= PIECE) {
		b.type = gs__ho_type(x, GS__HO_ARRAY, t->elem);
		piece = PIECE / t->elem->size * t->elem->size;
	} else {
		b.type = gs__ho_type(x, GS__HO_OBJECT, t);
	}
	if (!b.type || size > MAX_VARIABLE_BYTES)
		return 0;
	for (uint64_t at = 0; at < size; at += piece) {
		struct gs_read rd = { .addr = v->addr + at,
				      .buf = buf,
				      .len = size - at < piece ? size - at : piece };
		int r = x->mem->readv(x->mem->ctx, &rd, 1, err);

		if (r < 0)
			return r;
		if (rd.result < 0)
			continue; /* gs_rt_global_roots() says so */
		b.word = (const uint64_t *)(const void *)buf;
		b.n = (uint32_t)(rd.len / 8);
		b.offset = at;
		gs__ho_scan(x, &b);
	}
	return 0;
}

/* Only what the collector itself takes for roots: linker's copies and semtable lead to things without keeping them. */
static bool holds_pointers(const struct gs_rt_module *m, uint32_t n,
			   const struct gs__ho_variable *v)
{
	if (!v->type || !v->type->ptr_bytes || v->type->size < 8 ||
	    !strcmp(v->name, "runtime.semtable"))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if ((v->addr >= m[i].data && v->end <= m[i].edata) ||
		    (v->addr >= m[i].bss && v->end <= m[i].ebss))
			return true;
	return false;
}

static int typed_variables(struct gs_heap_objects *x, struct gs_err *err)
{
	const struct gs_rt_module *m;
	GS_CLEANUP(gs_freep) uint8_t *buf = malloc(PIECE);
	uint32_t n;
	int r = gs_rt_modules(x->rt, &m, &n, err);

	if (!buf)
		return gs_fail(err, -ENOMEM, 0, "cannot look at variables: out of memory");
	for (uint32_t i = 0; r >= 0 && i < x->n_vars; i++)
		if (holds_pointers(m, n, &x->var[i]))
			r = scan_variable(x, &x->var[i], buf, err);
	return r < 0 ? r : 0;
}

static int take_global(void *ctx, const struct gs_rt_pointer *p, size_t n)
{
	struct gs_heap_objects *x = ctx;

	for (size_t i = 0; i < n; i++) {
		struct gs__ho_variable *v;
		uint32_t label;

		if (p[i].value - x->mark->lo >= x->mark->range)
			continue;
		v = variable_at(x, p[i].slot);
		label = v ? label_of(x, v)
			  : gs__ho_root(x, &(struct gs__ho_root){ .kind = GS__HO_PLACE,
								  .at = p[i].slot });
		gs__ho_pointer(x, p[i].value, 0, label);
	}
	return 0;
}

/* --- goroutines --------------------------------------------------------------------------------------------------- */

struct goroutines {
	struct gs_heap_objects *x;
	struct gs_rt_gs *gs;
	const struct gs_rt_g *g;
	uint32_t n;
	struct gs_rt_stack_view view; /* of the last one that stands still, */
	uint32_t view_of;             /* … + 1 */
	uint64_t *start;              /* [n]: their first functions */
	uint32_t *label;              /* [n] */
};

static int read_starts(struct goroutines *q, struct gs_err *err)
{
	struct gs_heap_objects *x = q->x;
	struct gs_read rd[BATCH];
	int32_t off = x->layout->offset[GS_GO_G_STARTPC];

	for (uint32_t i = 0; off >= 0 && i < q->n; i += BATCH) {
		uint32_t n = q->n - i < BATCH ? q->n - i : BATCH;
		int r;

		for (uint32_t k = 0; k < n; k++)
			rd[k] = (struct gs_read){ .addr = q->g[i + k].g + (uint32_t)off,
						  .buf = &q->start[i + k],
						  .len = 8 };
		r = x->mem->readv(x->mem->ctx, rd, n, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int compare_starts(const void *a, const void *b, void *ctx)
{
	const struct goroutines *q = ctx;
	uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;

	if (q->start[i] != q->start[k])
		return q->start[i] < q->start[k] ? -1 : 1;
	return i < k ? -1 : i > k;
}

/* One root for all that began with the same function. */
static int group(struct goroutines *q, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) uint32_t *order = gs_array_new(q->n + 1ul, sizeof(*order));
	uint32_t label = 0;

	if (!order)
		return gs_fail(err, -ENOMEM, 0, "cannot group goroutines: out of memory");
	for (uint32_t i = 0; i < q->n; i++)
		order[i] = i;
	qsort_r(order, q->n, sizeof(*order), compare_starts, q);
	for (uint32_t i = 0; i < q->n; i++) {
		uint32_t g = order[i];

		if (i == 0 || q->start[g] != q->start[order[i - 1]])
			label = gs__ho_root(q->x, &(struct gs__ho_root){ .kind = GS__HO_GOROUTINES,
									 .at = q->start[g],
									 .goid = q->g[g].goid });
		q->label[g] = label;
		if (label)
			q->x->root[label - 1].n++;
	}
	return 0;
}

static void pin_goroutines(struct goroutines *q)
{
	struct gs_heap_objects *x = q->x;

	for (uint32_t i = 0; i < q->n; i++) {
		const struct gs_rt_wait_object *o = gs_rt_gs_objects(q->gs, &q->g[i]);

		gs__ho_pin(x, q->g[i].g, q->label[i], GS__HO_G);
		for (uint32_t k = 0; k < q->g[i].n_objects; k++)
			if (o[k].sudog)
				gs__ho_pin(x, o[k].sudog, q->label[i], GS__HO_SUDOG);
	}
}

static int take_frames(void *ctx, uint32_t which, const struct gs_rt_stack_view *v)
{
	struct goroutines *q = ctx;

	q->view = *v;
	q->view_of = which + 1;
	return 0;
}

/* The stack stands still: its variables tell types, else the word before a pointer that of an interface's value. */
static void take_known_stack(struct goroutines *q, uint32_t label, const struct gs_rt_pointer *p,
			     size_t n)
{
	struct gs_heap_objects *x = q->x;

	for (size_t i = 0; i < n; i++) {
		if (p[i].value - x->mark->lo >= x->mark->range)
			continue;
		if (!p[i].slot || !gs__ho_stack_pointer(x, &q->view, &p[i], label))
			gs__ho_pointer(x, p[i].value, gs__ho_stack_before(&q->view, p[i].slot),
				       label);
	}
}

/* The word before a pointer tells the type of an interface's value. */
static int take_stack(void *ctx, uint32_t which, const struct gs_rt_pointer *p, size_t n)
{
	struct goroutines *q = ctx;
	struct gs_heap_objects *x = q->x;
	struct gs_read rd[BATCH];
	uint64_t before[BATCH];

	if (q->view_of == which + 1) {
		take_known_stack(q, q->label[which], p, n);
		return 0;
	}
	for (size_t i = 0; i < n; i += BATCH) {
		size_t m = n - i < BATCH ? n - i : BATCH, k = 0;

		for (size_t j = 0; j < m; j++) {
			before[j] = 0;
			if (p[i + j].slot && p[i + j].value - x->mark->lo < x->mark->range)
				rd[k++] = (struct gs_read){ .addr = p[i + j].slot - 8,
							    .buf = &before[j],
							    .len = 8 };
		}
		if (k && x->mem->readv(x->mem->ctx, rd, k, NULL) < 0)
			return 1;
		for (size_t j = 0; j < m; j++)
			gs__ho_pointer(x, p[i + j].value, before[j], q->label[which]);
	}
	return 0;
}

static int take_stacks(struct goroutines *q, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) uint32_t *which = gs_array_new(q->n + 1ul, sizeof(*which));
	int r;

	if (!which)
		return gs_fail(err, -ENOMEM, 0, "cannot look at stacks: out of memory");
	for (uint32_t i = 0; i < q->n; i++)
		which[i] = i;
	r = gs_rt_stack_frames(q->x->rt, q->gs, which, q->n, take_frames, take_stack, q, &q->x->inc,
			       err);
	return r > 0 ? gs_fail(err, -GS_E_GONE, 0, "the process ended while its stacks were read")
		     : r;
}

static int take_goroutines(struct gs_heap_objects *x, struct gs_err *err)
{
	GS_CLEANUP(gs_rt_gs_freep) struct gs_rt_gs *gs = NULL;
	GS_CLEANUP(gs_freep) uint64_t *start = NULL;
	GS_CLEANUP(gs_freep) uint32_t *label = NULL;
	struct goroutines q = { .x = x };
	int r = gs_rt_gs_read(x->rt, &gs, &x->inc, err);

	if (r < 0)
		return r;
	q.gs = gs;
	q.g = gs_rt_gs_all(gs, &q.n);
	q.start = start = gs_array_new(q.n + 1ul, sizeof(*start));
	q.label = label = gs_array_new(q.n + 1ul, sizeof(*label));
	if (!start || !label)
		return gs_fail(err, -ENOMEM, 0, "cannot look at goroutines: out of memory");
	r = read_starts(&q, err);
	if (r >= 0)
		r = group(&q, err);
	if (r < 0)
		return r;
	pin_goroutines(&q);
	return take_stacks(&q, err);
}

/* --- Ms, Ps, finalizers ------------------------------------------------------------------------------------------- */

static void pin_ps(struct gs_heap_objects *x, gs_addr allp)
{
	uint32_t label = label_named(x, allp, "runtime.allp");
	uint64_t slice[2], p;

	x->allp = label;
	if (gs_memory_read(x->mem, allp, slice, sizeof(slice), NULL) < 0 || slice[1] > MAX_PS)
		return;
	for (uint64_t i = 0; i < slice[1]; i++)
		if (gs_memory_u64(x->mem, slice[0] + i * 8, &p, NULL) == 0)
			gs__ho_pin(x, p, label, GS__HO_OBJECT);
}

static void pin_ms(struct gs_heap_objects *x, gs_addr allm)
{
	uint32_t label = label_named(x, allm, "runtime.allm");
	int32_t link = x->layout->offset[GS_GO_M_ALLLINK], g0 = x->layout->offset[GS_GO_M_G0],
		sig = x->layout->offset[GS_GO_M_GSIGNAL];
	uint64_t m, g;

	if (link < 0 || gs_memory_u64(x->mem, allm, &m, NULL) < 0)
		return;
	for (uint32_t i = 0; m && i < MAX_MS; i++) {
		gs__ho_pin(x, m, label, GS__HO_OBJECT);
		if (g0 >= 0 && gs_memory_u64(x->mem, m + (uint32_t)g0, &g, NULL) == 0)
			gs__ho_pin(x, g, label, GS__HO_G);
		if (sig >= 0 && gs_memory_u64(x->mem, m + (uint32_t)sig, &g, NULL) == 0)
			gs__ho_pin(x, g, label, GS__HO_G);
		if (gs_memory_u64(x->mem, m + (uint32_t)link, &m, NULL) < 0)
			break;
	}
}

struct specials {
	struct gs_heap_objects *x;
	uint32_t label;
};

static int take_special(void *ctx, const struct gs_rt_pointer *p, size_t n)
{
	struct specials *s = ctx;

	for (size_t i = 0; i < n; i++)
		gs__ho_pointer(s->x, p[i].value, 0, s->label);
	return 0;
}

int gs__ho_roots(struct gs_heap_objects *x, struct gs_err *err)
{
	const struct gs_go_globals *g = &gs_rt_facts(x->rt)->globals;
	struct specials s = { .x = x };
	int r;

	/* Pinned ones first, so that they are nobody else's. */
	if (g->addr[GS_GO_GLOBAL_ALLP])
		pin_ps(x, g->addr[GS_GO_GLOBAL_ALLP]);
	if (g->addr[GS_GO_GLOBAL_ALLM])
		pin_ms(x, g->addr[GS_GO_GLOBAL_ALLM]);
	r = take_goroutines(x, err);
	if (r >= 0)
		r = typed_variables(x, err);
	if (r >= 0)
		r = gs_rt_global_roots(x->rt, take_global, x, &x->inc, err);
	if (r < 0)
		return r;
	s.label = gs__ho_root(x, &(struct gs__ho_root){ .kind = GS__HO_OTHER,
							.name = "finalizers and cleanups" });
	r = gs_rt_special_roots(x->rt, x->h, take_special, &s, &x->inc, err);
	gs__ho_flush(x);
	if (r >= 0 && x->no_memory)
		return gs_fail(err, -ENOMEM, 0, "cannot tell roots apart: out of memory");
	return r < 0 ? r : 0;
}
