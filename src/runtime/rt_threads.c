/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The runtime's threads (runtime.m) and which P each holds. The list runtime.allm is prepended to and
 * never freed from while we look at it without a stop; a link that leads nowhere ends the walk and is
 * counted. m.procid is the thread id in the target's own PID namespace; it is translated to ours.
 */
#include "runtime/rt_private.h"

#include <errno.h>
#include <stdlib.h>

#include "base/search.h"

const struct gs__m *gs__m_at(const struct gs_rt *rt, gs_addr addr)
{
	uint32_t at = GS_SEARCH(i, rt->ms.n, rt->ms.m[i].addr >= addr);

	return at < rt->ms.n && rt->ms.m[at].addr == addr ? &rt->ms.m[at] : NULL;
}

static int by_addr(const void *a, const void *b)
{
	gs_addr x = ((const struct gs__m *)a)->addr, y = ((const struct gs__m *)b)->addr;

	return (x > y) - (x < y);
}

struct p_id {
	gs_addr addr;
	int64_t id;
};

static int by_p(const void *a, const void *b)
{
	gs_addr x = ((const struct p_id *)a)->addr, y = ((const struct p_id *)b)->addr;

	return (x > y) - (x < y);
}

/* Addresses of all Ps with their ids; the index in allp is the id (procresize). */
static struct p_id *read_ps(struct gs_rt *rt, size_t *ret_n)
{
	gs_addr allp = rt->facts.globals.addr[GS_GO_GLOBAL_ALLP];
	GS_CLEANUP(gs_freep) gs_addr *ptrs = NULL;
	struct p_id *ps;
	uint64_t slice[2];

	*ret_n = 0;
	if (!allp || gs_memory_read(rt->mem, allp, slice, sizeof(slice), NULL) < 0)
		return NULL;
	if (slice[1] == 0 || slice[1] > (1u << 16))
		return NULL;
	ptrs = gs_array_new(slice[1], sizeof(*ptrs));
	ps = gs_array_new(slice[1], sizeof(*ps));
	if (!ptrs || !ps || gs_memory_read(rt->mem, slice[0], ptrs, slice[1] * 8, NULL) < 0) {
		free(ps);
		return NULL;
	}
	for (size_t i = 0; i < slice[1]; i++)
		ps[i] = (struct p_id){ ptrs[i], (int64_t)i };
	qsort(ps, slice[1], sizeof(*ps), by_p);
	*ret_n = slice[1];
	return ps;
}

static struct gs__m *add_m(struct gs__m_table *t)
{
	if (t->n == t->cap) {
		uint32_t cap = t->cap ? t->cap * 2 : 64;
		struct gs__m *bigger = gs_array_resize(t->m, cap, sizeof(*t->m));

		if (!bigger)
			return NULL;
		t->m = bigger;
		t->cap = cap;
	}
	return &t->m[t->n++];
}

/* A word of an m, of which there are as many bytes as the layout says. */
static gs_addr field(const struct gs_rt *rt, const uint8_t *bytes, enum gs_go_field f)
{
	const struct gs_go_layout *l = &rt->facts.layout;

	return gs__field_u64(l, f, bytes, (size_t)l->offset[GS_GO_M_SIZE]);
}

static void decode_m(const struct gs_rt *rt, gs_addr addr, const uint8_t *bytes, struct gs__m *m)
{
	*m = (struct gs__m){
		.addr = addr,
		.g0 = field(rt, bytes, GS_GO_M_G0),
		.gsignal = field(rt, bytes, GS_GO_M_GSIGNAL),
		.curg = field(rt, bytes, GS_GO_M_CURG),
		.p = field(rt, bytes, GS_GO_M_P),
		.lockedg = field(rt, bytes, GS_GO_M_LOCKEDG),
		.vdso_sp = field(rt, bytes, GS_GO_M_VDSO_SP),
		.vdso_pc = field(rt, bytes, GS_GO_M_VDSO_PC),
		.id = (int64_t)field(rt, bytes, GS_GO_M_ID),
		.tid = (int32_t)field(rt, bytes, GS_GO_M_PROCID),
		.p_id = -1,
	};
}

/* In a container procid is the inner id. gs_target_threads knows both. */
static void translate_tids(struct gs_rt *rt)
{
	const struct gs_thread *th;
	size_t n;

	if (gs_target_threads(rt->target, &th, &n, NULL) < 0)
		return;
	for (uint32_t i = 0; i < rt->ms.n; i++)
		for (size_t k = 0; k < n; k++)
			if (th[k].ns_tid > 0 && th[k].ns_tid == rt->ms.m[i].tid &&
			    th[k].tid != th[k].ns_tid) {
				rt->ms.m[i].tid = th[k].tid;
				break;
			}
}

int gs__ms_read(struct gs_rt *rt, struct gs_incomplete_list *inc, struct gs_err *err)
{
	const struct gs_go_layout *l = &rt->facts.layout;
	gs_addr head = rt->facts.globals.addr[GS_GO_GLOBAL_ALLM], at;
	GS_CLEANUP(gs_freep) struct p_id *ps = NULL;
	GS_CLEANUP(gs_freep) uint8_t *bytes = NULL;
	size_t n_ps;

	rt->ms.n = 0;
	if (!head || !gs_go_has(l, GS_GO_M_ALLLINK) || l->offset[GS_GO_M_SIZE] <= 0)
		return 0;
	if (gs_memory_u64(rt->mem, head, &at, NULL) < 0) {
		gs_incomplete_add(inc, "threads_unreadable", 1, "runtime.allm cannot be read");
		return 0;
	}
	bytes = gs_array_new(1, (size_t)l->offset[GS_GO_M_SIZE]);
	if (!bytes)
		return gs_fail(err, -ENOMEM, 0, "no memory for the list of threads");
	while (at) {
		struct gs__m *m;

		if (gs_memory_read(rt->mem, at, bytes, (size_t)l->offset[GS_GO_M_SIZE], NULL) < 0) {
			gs_incomplete_add(inc, "threads_unreadable", 1,
					  "the list of threads (runtime.allm) breaks off");
			break;
		}
		m = add_m(&rt->ms);
		if (!m)
			return gs_fail(err, -ENOMEM, 0, "no memory for the list of threads");
		decode_m(rt, at, bytes, m);
		at = field(rt, bytes, GS_GO_M_ALLLINK);
		/* A cycle repeats the first entry or runs into the limit. */
		if (at && (at == rt->ms.m[0].addr || rt->ms.n == GS_RT_MAX_THREADS)) {
			gs_incomplete_add(inc, "threads_unreadable", 1,
					  "the list of threads (runtime.allm) is a cycle");
			break;
		}
	}
	ps = read_ps(rt, &n_ps);
	for (uint32_t i = 0; ps && i < rt->ms.n; i++) {
		struct p_id key = { rt->ms.m[i].p, 0 };
		const struct p_id *hit = bsearch(&key, ps, n_ps, sizeof(*ps), by_p);

		rt->ms.m[i].p_id = hit ? hit->id : -1;
	}
	if (rt->ms.n)
		qsort(rt->ms.m, rt->ms.n, sizeof(*rt->ms.m), by_addr);
	translate_tids(rt);
	return 0;
}
