/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What goroutines wait for on mutexes, wait groups and condition variables up to Go 1.25 (runtime/sema.go).
 *
 * There semacquire1 and notifyListWait hang a sudog into runtime.semtable or into the notifyList, and nothing leads
 * from the goroutine to it but the local variable of these functions, which lives as long as they sleep. So the frame of
 * the one that sleeps is searched for a pointer to a sudog whose g is this goroutine; its elem is the semaphore. Up to
 * Go 1.19 (of wait groups up to 1.23) the wait reason says only "semacquire": what it is about is told
 * by the function that called.
 *
 * A notifyList is not in the sudog. The list's address stands in the frames of its callers up to sync.(*Cond).Wait,
 * as itself or as the Cond it is part of; a word is taken for it if the list it claims to be begins with the chain of
 * sudogs that this one hangs on.
 */
#include "runtime/rt_gs.h"

#include <errno.h>
#include <string.h>

#define STACK_TOP                                                                                  \
	1536u /* bytes of a stack that hold the frames from gopark to the caller of Lock */
#define FRAMES_MAX 16u
#define WORDS_MAX 96u   /* of the frames that are searched */
#define COND_NOTIFY 16u /* offset of sync.Cond.notify: behind L, an interface */
#define LIST_MAX 64u    /* bytes of a notifyList that is believed */

/* A waiter of the batch. */
struct waiter {
	struct gs__g g;
	uint32_t index; /* in gs->g */
	gs_addr words[WORDS_MAX];
	uint32_t n_words;
	gs_addr sudog, object;
	uint8_t block;
	bool have, same;
};

struct pass {
	struct gs_rt *rt;
	struct gs_rt_gs *gs;
	struct gs__gather buf;
	struct waiter w[GS__BATCH];
	uint32_t n;
	struct gs__piece *piece; /* [GS__BATCH * WORDS_MAX] */
	uint32_t g_size, sudog_size;
	bool conds; /* look for notifyLists in the frames of callers, not for sudogs */
};

static int no_memory(struct gs_err *err)
{
	return gs_fail(err, -ENOMEM, 0, "no memory to look for what goroutines wait for");
}

static int read_gs(struct pass *ps, bool again, struct gs_err *err)
{
	uint32_t n = 0;
	int r;

	for (uint32_t i = 0; i < ps->n; i++)
		ps->piece[n++] = (struct gs__piece){ .addr = ps->gs->g[ps->w[i].index].g,
						     .len = ps->g_size,
						     .tag = i };
	r = gs__gather(ps->rt->mem, &ps->buf, ps->piece, n, GS__G_GAP, err);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const struct gs__piece *p = &ps->piece[i];
		struct waiter *w = &ps->w[p->tag];
		struct gs__g g;

		if (p->bytes)
			gs__g_decode(ps->rt, p->addr, p->bytes, &g);
		if (again) {
			w->same = p->bytes && gs__g_same(&w->g, &g);
			continue;
		}
		w->have = p->bytes && g.goid == ps->gs->g[w->index].goid &&
			  (g.status == GS_G_WAITING || g.status == GS_G_LEAKED) &&
			  g.waitreason == ps->gs->g[w->index].wait_reason;
		w->g = g;
	}
	return r;
}

/* What kind of lock a frame is part of, if any. */
static uint8_t lock_kind(const char *function)
{
	static const struct {
		const char *prefix;
		uint8_t block;
	} table[] = {
		{ "sync.(*Mutex).", GS_RT_BLOCK_MUTEX },
		{ "internal/sync.(*Mutex).", GS_RT_BLOCK_MUTEX },
		{ "sync.(*RWMutex).", GS_RT_BLOCK_RWMUTEX },
		{ "sync.(*WaitGroup).", GS_RT_BLOCK_WAITGROUP },
		{ "sync.(*Cond).", GS_RT_BLOCK_COND },
	};

	for (size_t i = 0; i < GS_ARRAY_SIZE(table); i++)
		if (strncmp(function, table[i].prefix, strlen(table[i].prefix)) == 0)
			return table[i].block;
	return GS_RT_BLOCK_NONE;
}

/* The kind of lock of the first function above the runtime's. */
static uint8_t kind_of(struct pass *ps, const struct gs__walk *walk)
{
	for (uint32_t i = 0; i < walk->n; i++) {
		const struct gs__pc *pc = gs__pc_get(ps->rt, walk->keys[i] >> 1, walk->keys[i] & 1);
		const struct gs_frame *f = pc && pc->known ? gs__pc_frames(ps->rt, pc) : NULL;

		for (uint32_t j = 0; f && j < pc->n_frames; j++) {
			const char *name = f[j].function;

			if (strncmp(name, "runtime.", 8) == 0 ||
			    strncmp(name, "sync.runtime_", 13) == 0 ||
			    strncmp(name, "internal/sync.runtime_", 22) == 0)
				continue;
			return lock_kind(name);
		}
	}
	return GS_RT_BLOCK_NONE;
}

static void add_words(struct waiter *w, const uint8_t *stack, gs_addr at, size_t len, gs_addr from,
		      gs_addr to)
{
	for (gs_addr a = from; a + 8 <= to && a >= at && a + 8 <= at + len; a += 8) {
		gs_addr v = gs__u64(stack + (a - at));

		if (v < 4096 || (v & 7) || (v >= w->g.stack_lo && v < w->g.stack_hi))
			continue;
		if (w->n_words < WORDS_MAX)
			w->words[w->n_words++] = v;
	}
}

/* Collect the words of the frames that matter: of the sleeping function, or of all up to Cond.Wait. */
static void search_stack(struct pass *ps, struct waiter *w, const struct gs__piece *p)
{
	uint64_t keys[FRAMES_MAX];
	gs_addr sps[FRAMES_MAX], argps[FRAMES_MAX];
	struct gs__walk walk = { .keys = keys, .sps = sps, .argps = argps, .max = FRAMES_MAX };
	struct gs__stack_view view = { .rt = ps->rt,
				       .lo = p->addr,
				       .hi = p->addr + p->len,
				       .buf = p->bytes,
				       .buf_at = p->addr,
				       .buf_len = p->len };
	struct gs__walk_start start;
	uint32_t i;

	if (!p->bytes || !gs__walk_parked(&w->g, &start) || start.sp != p->addr)
		return;
	gs__walk(ps->rt, &view, &start, &walk);
	if (w->block == GS__BLOCK_SEMAPHORE)
		w->block = kind_of(ps, &walk);
	for (i = 0; i < walk.n; i++) {
		const struct gs__pc *pc = gs__pc_get(ps->rt, keys[i] >> 1, keys[i] & 1);
		const char *name = pc && pc->known ? pc->func.name : "";
		bool sleeper = strcmp(name, "runtime.semacquire1") == 0 ||
			       strcmp(name, "runtime.notifyListWait") == 0 ||
			       strcmp(name, "sync.runtime_notifyListWait") == 0;

		if (!ps->conds && sleeper)
			add_words(w, p->bytes, p->addr, p->len, sps[i], argps[i]);
		if (ps->conds && strcmp(name, "sync.(*Cond).Wait") == 0)
			/* and where its caller's frame begins: arguments may have been put there */
			add_words(w, p->bytes, p->addr, p->len, p->addr, argps[i] + 64);
	}
}

static int read_stacks(struct pass *ps, struct gs_err *err)
{
	uint32_t n = 0;
	int r;

	for (uint32_t i = 0; i < ps->n; i++) {
		const struct waiter *w = &ps->w[i];
		struct gs__walk_start start;
		gs_addr len;

		if (!w->have || !gs__walk_parked(&w->g, &start))
			continue;
		len = w->g.stack_hi - start.sp;
		ps->piece[n++] =
			(struct gs__piece){ .addr = start.sp,
					    .len = len < STACK_TOP ? (uint32_t)len : STACK_TOP,
					    .tag = i };
	}
	r = gs__gather(ps->rt->mem, &ps->buf, ps->piece, n, GS__STACK_GAP, err);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		search_stack(ps, &ps->w[ps->piece[i].tag], &ps->piece[i]);
	return r;
}

/* Of the words found, the one that is a sudog of this goroutine. A sudog that was given back still names its
 * last goroutine, but has no elem; a notifyList's has none either, there the frame has only one. */
static int find_sudogs(struct pass *ps, struct gs_err *err)
{
	const struct gs_go_layout *l = &ps->rt->facts.layout;
	uint32_t n = 0;
	int r;

	for (uint32_t i = 0; i < ps->n; i++)
		for (uint32_t j = 0; j < ps->w[i].n_words; j++)
			ps->piece[n++] = (struct gs__piece){ .addr = ps->w[i].words[j],
							     .len = ps->sudog_size,
							     .tag = i };
	r = gs__gather(ps->rt->mem, &ps->buf, ps->piece, n, GS__G_GAP, err);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const struct gs__piece *p = &ps->piece[i];
		struct waiter *w = &ps->w[p->tag];
		gs_addr object;

		if (!p->bytes || gs__field_u64(l, GS_GO_SUDOG_G, p->bytes, p->len) != w->g.addr)
			continue;
		object = gs__sudog_pointer(l, p->bytes, p->len, false);
		if ((w->block == GS_RT_BLOCK_COND) != (object == 0))
			continue;
		w->sudog = p->addr;
		w->object = object;
	}
	return r;
}

static int do_locks(struct pass *ps, struct gs_err *err)
{
	int r = read_gs(ps, false, err);

	if (r == 0)
		r = read_stacks(ps, err);
	if (r == 0)
		r = find_sudogs(ps, err);
	if (r == 0)
		r = read_gs(ps, true, err);
	for (uint32_t i = 0; r == 0 && i < ps->n; i++) {
		struct waiter *w = &ps->w[i];
		struct gs_rt_g *g = &ps->gs->g[w->index];

		if (!w->have || !w->same) {
			g->torn = true;
			g->block = GS_RT_BLOCK_NONE;
			continue;
		}
		g->block = w->block;
		g->objects_unknown = w->block != GS_RT_BLOCK_NONE && !w->object;
		if (w->sudog && w->block != GS_RT_BLOCK_NONE)
			r = gs__gs_add_object(
				ps->gs, g, (struct gs_rt_wait_object){ w->object, w->sudog }, err);
	}
	return r;
}

/* The chains that sudogs of condition variables form: for each one its first. */
struct chain {
	gs_addr sudog, next, first;
	uint32_t index; /* in gs->g */
	uint32_t prev;  /* in the array; UINT32_MAX: it is the first */
};

static int chain_order(const void *a, const void *b)
{
	gs_addr x = ((const struct chain *)a)->sudog, y = ((const struct chain *)b)->sudog;

	return (x > y) - (x < y);
}

static struct chain *chain_find(struct chain *c, uint32_t n, gs_addr sudog)
{
	struct chain key = { .sudog = sudog };

	return n ? bsearch(&key, c, n, sizeof(*c), chain_order) : NULL;
}

/* Walk to the first of every chain. Each step is taken once: what a walk passes is given the answer. */
static void link_chains(struct chain *c, uint32_t n)
{
	qsort(c, n, sizeof(*c), chain_order);
	for (uint32_t i = 0; i < n; i++) {
		struct chain *next = c[i].next ? chain_find(c, n, c[i].next) : NULL;

		if (next)
			next->prev = i;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = i, steps = 0;
		gs_addr first;

		while (!c[at].first && c[at].prev != UINT32_MAX && steps++ < n)
			at = c[at].prev;
		first = c[at].first ? c[at].first : c[at].sudog;
		/* A circle has no first; any will do, as no list can claim to begin with it twice. */
		for (at = i; !c[at].first; at = c[at].prev) {
			c[at].first = first;
			if (c[at].prev == UINT32_MAX)
				break;
		}
	}
}

static int load_chains(struct pass *ps, struct chain *c, uint32_t n, struct gs_err *err)
{
	const struct gs_go_layout *l = &ps->rt->facts.layout;
	int r = 0;

	for (uint32_t at = 0; r == 0 && at < n; at += GS__BATCH) {
		uint32_t m = n - at < GS__BATCH ? n - at : GS__BATCH;

		for (uint32_t i = 0; i < m; i++)
			ps->piece[i] = (struct gs__piece){ .addr = c[at + i].sudog,
							   .len = ps->sudog_size,
							   .tag = at + i };
		r = gs__gather(ps->rt->mem, &ps->buf, ps->piece, m, GS__G_GAP, err);
		for (uint32_t i = 0; r == 0 && i < m; i++)
			if (ps->piece[i].bytes)
				c[ps->piece[i].tag].next = gs__field_u64(
					l, GS_GO_SUDOG_NEXT, ps->piece[i].bytes, ps->piece[i].len);
	}
	if (r == 0)
		link_chains(c, n);
	return r;
}

/* Which of the words of each waiter's frames are notifyLists that begin with its chain? */
static int match_lists(struct pass *ps, struct chain *c, uint32_t n_chains, uint32_t skip,
		       struct gs_err *err)
{
	const struct gs_go_layout *l = &ps->rt->facts.layout;
	uint32_t n = 0, len = (uint32_t)l->offset[GS_GO_NOTIFY_LIST_SIZE];
	int r;

	for (uint32_t i = 0; i < ps->n; i++)
		for (uint32_t j = 0; j < ps->w[i].n_words; j++)
			ps->piece[n++] = (struct gs__piece){ .addr = ps->w[i].words[j] + skip,
							     .len = len,
							     .tag = i };
	r = gs__gather(ps->rt->mem, &ps->buf, ps->piece, n, GS__G_GAP, err);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const struct gs__piece *p = &ps->piece[i];
		struct waiter *w = &ps->w[p->tag];
		const struct chain *own = chain_find(c, n_chains, w->sudog);

		if (p->bytes && own && own->first &&
		    gs__field_u64(l, GS_GO_NOTIFY_LIST_HEAD, p->bytes, len) == own->first)
			w->object = p->addr;
	}
	return r;
}

static int do_conds(struct pass *ps, struct chain *c, uint32_t n_chains, struct gs_err *err)
{
	int r = read_gs(ps, false, err);

	if (r == 0)
		r = read_stacks(ps, err);
	if (r == 0)
		r = match_lists(ps, c, n_chains, 0, err);
	if (r == 0)
		r = match_lists(ps, c, n_chains, COND_NOTIFY, err);
	if (r == 0)
		r = read_gs(ps, true, err);
	for (uint32_t i = 0; r == 0 && i < ps->n; i++) {
		const struct waiter *w = &ps->w[i];
		struct gs_rt_g *g = &ps->gs->g[w->index];

		if (!w->have || !w->same || !w->object)
			continue;
		ps->gs->object[g->first_object].object = w->object;
		g->objects_unknown = false;
	}
	return r;
}

static struct pass *pass_new(struct gs_rt *rt, struct gs_rt_gs *gs)
{
	struct pass *ps = calloc(1, sizeof(*ps));

	if (!ps)
		return NULL;
	ps->piece = gs_array_new(GS__BATCH * (size_t)WORDS_MAX, sizeof(*ps->piece));
	if (!ps->piece) {
		free(ps);
		return NULL;
	}
	ps->rt = rt;
	ps->gs = gs;
	ps->g_size = (uint32_t)rt->facts.layout.offset[GS_GO_G_SIZE];
	ps->sudog_size = gs__sudog_size(rt);
	return ps;
}

static void pass_free(struct pass *ps)
{
	gs__gather_free(&ps->buf);
	free(ps->piece);
	free(ps);
}

static bool is_lock(uint8_t block)
{
	return block == GS__BLOCK_SEMAPHORE || block == GS_RT_BLOCK_MUTEX ||
	       block == GS_RT_BLOCK_RWMUTEX || block == GS_RT_BLOCK_WAITGROUP ||
	       block == GS_RT_BLOCK_COND;
}

int gs__gs_locks(struct gs_rt *rt, struct gs_rt_gs *gs, struct gs_err *err)
{
	struct pass *ps = pass_new(rt, gs);
	int r = 0;

	if (!ps)
		return no_memory(err);
	for (uint32_t i = 0; r == 0 && ps->sudog_size && i <= gs->n; i++) {
		if (ps->n == GS__BATCH || (i == gs->n && ps->n)) {
			r = do_locks(ps, err);
			ps->n = 0;
		}
		if (i < gs->n && is_lock(gs->g[i].block)) {
			struct waiter *w = &ps->w[ps->n++];

			*w = (struct waiter){ .index = i, .block = gs->g[i].block };
		}
	}
	pass_free(ps);
	return r;
}

static struct chain *chains_new(const struct gs_rt_gs *gs, uint32_t *ret_n)
{
	uint32_t n = 0;
	struct chain *c;

	for (uint32_t i = 0; i < gs->n; i++)
		n += gs->g[i].block == GS_RT_BLOCK_COND && gs->g[i].n_objects == 1;
	*ret_n = n;
	c = n ? gs_array_new(n, sizeof(*c)) : NULL;
	if (!c)
		return NULL;
	n = 0;
	for (uint32_t i = 0; i < gs->n; i++)
		if (gs->g[i].block == GS_RT_BLOCK_COND && gs->g[i].n_objects == 1)
			c[n++] = (struct chain){
				.sudog = gs->object[gs->g[i].first_object].sudog,
				.index = i,
				.prev = UINT32_MAX,
			};
	return c;
}

int gs__gs_conds(struct gs_rt *rt, struct gs_rt_gs *gs, struct gs_err *err)
{
	const struct gs_go_layout *l = &rt->facts.layout;
	GS_CLEANUP(gs_freep) struct chain *c = NULL;
	struct pass *ps;
	uint32_t n;
	int r;

	if (!gs_go_has(l, GS_GO_NOTIFY_LIST_SIZE) || !gs_go_has(l, GS_GO_SUDOG_NEXT) ||
	    l->offset[GS_GO_NOTIFY_LIST_SIZE] > (int32_t)LIST_MAX)
		return 0;
	c = chains_new(gs, &n);
	if (!c)
		return n ? no_memory(err) : 0;
	ps = pass_new(rt, gs);
	if (!ps)
		return no_memory(err);
	ps->conds = true;
	r = load_chains(ps, c, n, err);
	for (uint32_t at = 0; r == 0 && at < n; at += ps->n) {
		ps->n = n - at < GS__BATCH ? n - at : GS__BATCH;
		for (uint32_t i = 0; i < ps->n; i++)
			ps->w[i] = (struct waiter){ .index = c[at + i].index,
						    .sudog = c[at + i].sudog,
						    .block = GS_RT_BLOCK_COND };
		r = do_conds(ps, c, n, err);
	}
	pass_free(ps);
	return r;
}
