/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * All goroutines of a moment, and what they wait for.
 *
 *   g.waiting ─► sudog ─waitlink─► sudog …     channels: sudog.c; one sudog for each case of a select
 *                └► elem                       semaphores and notifyLists since Go 1.26
 *
 * Up to Go 1.25 nothing leads from a goroutine that waits for a mutex to its sudog: see rt_gs_locks.c. A waiting
 * goroutine cannot go on without its status, sp or trackingSeq changing, so each g is read before and after its
 * sudogs; if the two differ, it ran meanwhile, and nothing about it is believed.
 *
 * Wait reasons are told by name, for their numbers are another in nearly every release (runtime2.go,
 * waitReasonStrings).
 */
#include "runtime/rt_gs.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"

#define OBJECTS_MAX (1u << 26)

struct slot {
	struct gs__g g;
	gs_addr waiting; /* the next sudog to read; 0: no more */
	gs_addr turtle;  /* a sudog seen before: meeting it again is a cycle (Brent) */
	uint32_t steps, limit;
	uint32_t n_objects;
	uint8_t block;
	bool have, moved, broken;
};

/* An object found for a goroutine of the batch, in the order found. */
struct found {
	struct gs_rt_wait_object object;
	uint32_t slot;
};

struct pass {
	struct gs_rt *rt;
	struct gs_rt_gs *gs;
	struct gs__gather buf;
	gs_addr ptrs[GS__BATCH];
	struct slot slot[GS__BATCH];
	struct gs__piece piece[GS__BATCH];
	struct found *found;
	uint32_t n, n_found, found_cap;
	uint32_t g_size, sudog_size;
	uint8_t block_of[256]; /* by wait reason */
	uint64_t torn, unreadable, broken, late;
	int64_t deadline_ns;
};

static const char *const block_names[] = {
	[GS_RT_BLOCK_NONE] = "none",
	[GS_RT_BLOCK_CHAN_SEND] = "chan send",
	[GS_RT_BLOCK_CHAN_RECEIVE] = "chan receive",
	[GS_RT_BLOCK_CHAN_NIL] = "nil channel",
	[GS_RT_BLOCK_SELECT] = "select",
	[GS_RT_BLOCK_SELECT_NONE] = "select (no cases)",
	[GS_RT_BLOCK_MUTEX] = "sync.Mutex",
	[GS_RT_BLOCK_RWMUTEX] = "sync.RWMutex",
	[GS_RT_BLOCK_WAITGROUP] = "sync.WaitGroup",
	[GS_RT_BLOCK_COND] = "sync.Cond",
};

const char *gs_rt_block_name(enum gs_rt_block b)
{
	return (size_t)b < GS_ARRAY_SIZE(block_names) ? block_names[b] : "unknown";
}

void *gs__grow(void *array, uint32_t n, uint32_t *io_cap, size_t size)
{
	void *p;

	if (n < *io_cap)
		return array;
	p = gs_array_resize(array, *io_cap ? *io_cap * 2ul : 256, size);
	if (p)
		*io_cap = *io_cap ? *io_cap * 2 : 256;
	return p;
}

static int no_memory(struct gs_err *err)
{
	return gs_fail(err, -ENOMEM, 0, "no memory for the list of goroutines");
}

int gs__gs_add_object(struct gs_rt_gs *gs, struct gs_rt_g *g, struct gs_rt_wait_object o,
		      struct gs_err *err)
{
	void *p;

	if (gs->n_objects >= OBJECTS_MAX || g->n_objects == UINT16_MAX) {
		g->objects_unknown = true;
		return 0;
	}
	p = gs__grow(gs->object, gs->n_objects, &gs->objects_cap, sizeof(*gs->object));
	if (!p)
		return no_memory(err);
	gs->object = p;
	p = gs__grow(gs->sudog, gs->n_sudogs, &gs->sudogs_cap, sizeof(*gs->sudog));
	if (!p)
		return no_memory(err);
	gs->sudog = p;
	if (g->n_objects++ == 0)
		g->first_object = gs->n_objects;
	gs->object[gs->n_objects++] = o;
	if (o.sudog)
		gs->sudog[gs->n_sudogs++] = o.sudog;
	return 0;
}

gs_addr gs__sudog_pointer(const struct gs_go_layout *l, const uint8_t *sudog, size_t len, bool chan)
{
	enum gs_go_field vu = chan ? GS_GO_SUDOG_C_VU : GS_GO_SUDOG_ELEM_VU;

	/* maybeTraceablePtr: vp is nil while leaks are looked for, vu always holds the address. */
	if (gs_go_has(l, vu))
		return gs__field_u64(l, vu, sudog, len);
	return gs__field_u64(l, chan ? GS_GO_SUDOG_C : GS_GO_SUDOG_ELEM, sudog, len);
}

uint32_t gs__sudog_size(const struct gs_rt *rt)
{
	int32_t size = rt->facts.layout.offset[GS_GO_SUDOG_SIZE];

	return size >= 8 && size <= (int32_t)GS__SUDOG_MAX ? (uint32_t)size : 0;
}

static uint8_t block_by_name(const char *reason)
{
	static const struct {
		const char *name;
		uint8_t block;
	} table[] = {
		{ "chan send", GS_RT_BLOCK_CHAN_SEND },
		{ "chan receive", GS_RT_BLOCK_CHAN_RECEIVE },
		{ "chan send (nil chan)", GS_RT_BLOCK_CHAN_NIL },
		{ "chan receive (nil chan)", GS_RT_BLOCK_CHAN_NIL },
		{ "select", GS_RT_BLOCK_SELECT },
		{ "select (no cases)", GS_RT_BLOCK_SELECT_NONE },
		{ "sync.Mutex.Lock", GS_RT_BLOCK_MUTEX },
		{ "sync.RWMutex.RLock", GS_RT_BLOCK_RWMUTEX },
		{ "sync.RWMutex.Lock", GS_RT_BLOCK_RWMUTEX },
		{ "sync.WaitGroup.Wait", GS_RT_BLOCK_WAITGROUP },
		{ "sync.Cond.Wait", GS_RT_BLOCK_COND },
		{ "semacquire", GS__BLOCK_SEMAPHORE },
	};

	for (size_t i = 0; i < GS_ARRAY_SIZE(table); i++)
		if (strcmp(reason, table[i].name) == 0)
			return table[i].block;
	return GS_RT_BLOCK_NONE;
}

static int load_gs(struct pass *ps, struct gs_err *err)
{
	const struct gs_go_layout *l = &ps->rt->facts.layout;
	uint32_t n = 0;
	int r;

	for (uint32_t i = 0; i < ps->n; i++) {
		ps->slot[i] = (struct slot){ 0 };
		if (ps->ptrs[i])
			ps->piece[n++] = (struct gs__piece){ .addr = ps->ptrs[i],
							     .len = ps->g_size,
							     .tag = i };
	}
	r = gs__gather(ps->rt->mem, &ps->buf, ps->piece, n, GS__G_GAP, err);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const struct gs__piece *p = &ps->piece[i];
		struct slot *s = &ps->slot[p->tag];

		if (!p->bytes) {
			ps->unreadable++;
			continue;
		}
		gs__g_decode(ps->rt, p->addr, p->bytes, &s->g);
		s->have = s->g.status != GS_G_DEAD && s->g.status != GS_G_DEADEXTRA &&
			  s->g.status != GS_G_IDLE && s->g.status < GS_G_STATE_COUNT;
		if (!s->have || (s->g.status != GS_G_WAITING && s->g.status != GS_G_LEAKED))
			continue;
		s->block = ps->block_of[s->g.waitreason];
		s->limit = 2;
		if (s->block == GS_RT_BLOCK_CHAN_SEND || s->block == GS_RT_BLOCK_CHAN_RECEIVE ||
		    s->block == GS_RT_BLOCK_SELECT || gs_go_has(l, GS_GO_SUDOG_ELEM_VU))
			s->waiting = gs__field_u64(l, GS_GO_G_WAITING, p->bytes, ps->g_size);
		/* All its channels are nil: selectgo queues nothing then. */
		if (s->block == GS_RT_BLOCK_SELECT && !s->waiting)
			s->block = GS_RT_BLOCK_SELECT_NONE;
	}
	return r;
}

static int add_found(struct pass *ps, uint32_t slot, gs_addr object, gs_addr sudog,
		     struct gs_err *err)
{
	void *p = gs__grow(ps->found, ps->n_found, &ps->found_cap, sizeof(*ps->found));

	if (!p)
		return no_memory(err);
	ps->found = p;
	ps->found[ps->n_found++] = (struct found){ .slot = slot, .object = { object, sudog } };
	ps->slot[slot].n_objects++;
	return 0;
}

/* Take what a sudog says and go on to the next one of a select. */
static int take_sudog(struct pass *ps, const struct gs__piece *p, struct gs_err *err)
{
	const struct gs_go_layout *l = &ps->rt->facts.layout;
	struct slot *s = &ps->slot[p->tag];
	bool chan = s->block <= GS_RT_BLOCK_SELECT;
	gs_addr object;

	s->waiting = 0;
	if (!p->bytes || gs__field_u64(l, GS_GO_SUDOG_G, p->bytes, p->len) != s->g.addr) {
		s->broken = true;
		return 0;
	}
	object = gs__sudog_pointer(l, p->bytes, p->len, chan);
	if (!object)
		s->broken = true;
	/* waitlink of a semaphore's sudog leads to other goroutines. */
	if (s->block == GS_RT_BLOCK_SELECT)
		s->waiting = gs__field_u64(l, GS_GO_SUDOG_WAITLINK, p->bytes, p->len);
	if (s->waiting && (s->waiting == s->turtle || s->waiting == p->addr)) {
		s->broken = true;
		s->waiting = 0;
	}
	if (++s->steps == s->limit) {
		s->turtle = p->addr;
		s->limit *= 2;
		s->steps = 0;
	}
	return object ? add_found(ps, p->tag, object, p->addr, err) : 0;
}

/* Round by round: the first sudogs of all goroutines of the batch, then the second ones, … */
static int load_sudogs(struct pass *ps, struct gs_err *err)
{
	int r = 0;

	for (uint32_t round = 0; r == 0 && round <= UINT16_MAX; round++) {
		uint32_t n = 0;

		for (uint32_t i = 0; i < ps->n; i++)
			if (ps->slot[i].have && ps->slot[i].block && ps->slot[i].waiting)
				ps->piece[n++] = (struct gs__piece){ .addr = ps->slot[i].waiting,
								     .len = ps->sudog_size,
								     .tag = i };
		if (n == 0)
			return 0;
		r = gs__gather(ps->rt->mem, &ps->buf, ps->piece, n, GS__G_GAP, err);
		for (uint32_t i = 0; r == 0 && i < n; i++)
			r = take_sudog(ps, &ps->piece[i], err);
	}
	for (uint32_t i = 0; i < ps->n; i++)
		ps->slot[i].broken |= ps->slot[i].waiting != 0;
	return r;
}

static int look_again(struct pass *ps, struct gs_err *err)
{
	uint32_t n = 0;
	int r;

	for (uint32_t i = 0; i < ps->n; i++)
		if (ps->slot[i].have)
			ps->piece[n++] = (struct gs__piece){ .addr = ps->ptrs[i],
							     .len = ps->g_size,
							     .tag = i };
	r = gs__gather(ps->rt->mem, &ps->buf, ps->piece, n, GS__G_GAP, err);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const struct gs__piece *p = &ps->piece[i];
		struct gs__g again;

		if (p->bytes)
			gs__g_decode(ps->rt, p->addr, p->bytes, &again);
		ps->slot[p->tag].moved = !p->bytes || !gs__g_same(&ps->slot[p->tag].g, &again);
	}
	return r;
}

/* isSystemGoroutine (runtime/traceback.go). One that runs finalizers or cleanups counts as the program's while it is
 * blocked in what the program gave it. */
static bool is_system(const struct pass *ps, const struct slot *s, bool *ret_main)
{
	const struct gs__pc *p = s->g.startpc ? gs__pc_get(ps->rt, s->g.startpc, true) : NULL;
	const char *name = p && p->known ? p->func.name : "";

	*ret_main = strcmp(name, "runtime.main") == 0;
	if (strncmp(name, "runtime.", 8) != 0 || *ret_main || strcmp(name + 8, "corostart") == 0 ||
	    strcmp(name + 8, "handleAsyncEvent") == 0)
		return false;
	return s->block == GS_RT_BLOCK_NONE ||
	       (strcmp(name + 8, "runfinq") != 0 && strcmp(name + 8, "runFinalizers") != 0 &&
		strcmp(name + 8, "runCleanups") != 0);
}

static void fill(struct pass *ps, const struct slot *s, struct gs_rt_g *out)
{
	bool main;

	*out = (struct gs_rt_g){ .goid = s->g.goid,
				 .g = s->g.addr,
				 .stack_lo = s->g.stack_lo,
				 .stack_hi = s->g.stack_hi,
				 .waitsince = s->g.waitsince,
				 .state = (uint8_t)s->g.status,
				 .wait_reason = s->g.waitreason,
				 .block = s->block,
				 .tracking_seq = s->g.tracking_seq,
				 .torn = s->moved };
	if (s->g.status != GS_G_RUNNING) {
		out->sp = s->g.syscall_sp ? s->g.syscall_sp : s->g.sched_sp;
		out->pc = s->g.syscall_sp ? s->g.syscall_pc : s->g.sched_pc;
	}
	out->system = is_system(ps, s, &main);
	out->main = main;
	if (s->moved) {
		out->block = GS_RT_BLOCK_NONE;
		ps->torn++;
		return;
	}
	out->objects_unknown = s->broken;
	ps->broken += s->broken;
	if (s->n_objects == 0 &&
	    (s->block == GS_RT_BLOCK_SELECT || s->block >= GS_RT_BLOCK_MUTEX ||
	     s->block == GS_RT_BLOCK_CHAN_SEND || s->block == GS_RT_BLOCK_CHAN_RECEIVE))
		out->objects_unknown = true;
}

static int found_order(const void *a, const void *b)
{
	uint32_t x = ((const struct found *)a)->slot, y = ((const struct found *)b)->slot;

	return (x > y) - (x < y);
}

static int emit(struct pass *ps, struct gs_err *err)
{
	struct gs_rt_gs *gs = ps->gs;
	uint32_t at = 0;
	int r = 0;

	if (ps->n_found)
		qsort(ps->found, ps->n_found, sizeof(*ps->found), found_order);
	for (uint32_t i = 0; r == 0 && i < ps->n; i++) {
		const struct slot *s = &ps->slot[i];
		struct gs_rt_g *all;

		if (s->have) {
			all = gs__grow(gs->g, gs->n, &gs->cap, sizeof(*gs->g));
			if (!all)
				return no_memory(err);
			gs->g = all;
			fill(ps, s, &gs->g[gs->n]);
		}
		for (; r == 0 && at < ps->n_found && ps->found[at].slot == i; at++)
			if (s->have && !s->moved)
				r = gs__gs_add_object(gs, &gs->g[gs->n], ps->found[at].object, err);
		gs->n += s->have;
	}
	return r;
}

static int do_batch(void *ctx, uint32_t n, struct gs_err *err)
{
	struct pass *ps = ctx;
	int r;

	if (gs_now_ns() > ps->deadline_ns) {
		ps->late += n;
		return 0;
	}
	ps->n = n;
	ps->n_found = 0;
	r = load_gs(ps, err);
	if (r == 0 && ps->sudog_size)
		r = load_sudogs(ps, err);
	if (r == 0)
		r = look_again(ps, err);
	return r == 0 ? emit(ps, err) : r;
}

static int address_order(const void *a, const void *b)
{
	gs_addr x = *(const gs_addr *)a, y = *(const gs_addr *)b;

	return (x > y) - (x < y);
}

/* Ps stand among the sudogs: see gs_rt_gs_sudogs(). */
static int add_ps(struct pass *ps, struct gs_err *err)
{
	gs_addr list[GS__PS_MAX];
	uint32_t n = gs__ps_list(ps->rt, list, GS__PS_MAX);
	struct gs_rt_gs *gs = ps->gs;

	for (uint32_t i = 0; i < n; i++) {
		void *p = gs__grow(gs->sudog, gs->n_sudogs, &gs->sudogs_cap, sizeof(*gs->sudog));

		if (!p)
			return no_memory(err);
		gs->sudog = p;
		gs->sudog[gs->n_sudogs++] = list[i];
	}
	return 0;
}

static int finish(struct pass *ps, struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct gs_rt_gs *gs = ps->gs;
	int r = 0;

	if (!gs_go_has(&ps->rt->facts.layout, GS_GO_SUDOG_ELEM_VU)) {
		r = gs__gs_locks(ps->rt, gs, err);
		if (r == 0)
			r = gs__gs_conds(ps->rt, gs, err);
	}
	if (r == 0)
		r = add_ps(ps, err);
	if (r == 0)
		r = gs__gs_machines(ps->rt, gs, inc, err);
	for (uint32_t i = 0; i < gs->n; i++)
		if (gs->g[i].block == GS__BLOCK_SEMAPHORE)
			gs->g[i].block = GS_RT_BLOCK_NONE;
	if (gs->n_sudogs)
		qsort(gs->sudog, gs->n_sudogs, sizeof(*gs->sudog), address_order);
	gs_incomplete_add(inc, "goroutines_torn", ps->torn, "ran while they were read");
	gs_incomplete_add(inc, "goroutines_unreadable", ps->unreadable,
			  "their structures (runtime.g) could not be read");
	gs_incomplete_add(inc, "goroutines_late", ps->late, "reading them took too long");
	gs_incomplete_add(inc, "waits_broken", ps->broken,
			  "the lists of what they wait for (runtime.sudog) are damaged");
	return r;
}

int gs_rt_gs_read(struct gs_rt *rt, struct gs_rt_gs **ret, struct gs_incomplete_list *inc,
		  struct gs_err *err)
{
	GS_CLEANUP(gs_rt_gs_freep) struct gs_rt_gs *gs = calloc(1, sizeof(*gs));
	GS_CLEANUP(gs_freep) struct pass *ps = calloc(1, sizeof(*ps));
	int r;

	if (!gs || !ps)
		return no_memory(err);
	ps->rt = rt;
	ps->gs = gs;
	ps->g_size = (uint32_t)rt->facts.layout.offset[GS_GO_G_SIZE];
	ps->sudog_size = gs__sudog_size(rt);
	for (uint32_t i = 0; i < GS_ARRAY_SIZE(ps->block_of); i++)
		ps->block_of[i] = block_by_name(rt->wait_reasons[i]);
	ps->deadline_ns = gs_now_ns() + GS__TIME_MAX_NS;
	r = gs__allgs_each(rt, ps->ptrs, GS__BATCH, do_batch, ps, &ps->unreadable, err);
	if (r == 0)
		r = finish(ps, inc, err);
	gs__gather_free(&ps->buf);
	free(ps->found);
	if (r < 0)
		return r;
	*ret = GS_TAKE(gs);
	return 0;
}

struct gs_rt_gs *gs_rt_gs_free(struct gs_rt_gs *gs)
{
	if (gs) {
		free(gs->g);
		free(gs->object);
		free(gs->sudog);
		free(gs->machine);
		free(gs);
	}
	return NULL;
}

const struct gs_rt_g *gs_rt_gs_all(const struct gs_rt_gs *gs, uint32_t *ret_n)
{
	*ret_n = gs->n;
	return gs->g;
}

const struct gs_rt_wait_object *gs_rt_gs_objects(const struct gs_rt_gs *gs, const struct gs_rt_g *g)
{
	return g->n_objects ? &gs->object[g->first_object] : NULL;
}

const gs_addr *gs_rt_gs_sudogs(const struct gs_rt_gs *gs, uint32_t *ret_n)
{
	*ret_n = gs->n_sudogs;
	return gs->sudog;
}
