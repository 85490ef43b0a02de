/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Proofs: each global is recognised by what lies behind it. A wrong address must fail here, also one
 * that points into zeros; a right one must pass at any moment of the target's life after
 * runtime.schedinit, while it runs. So only invariants are tested, not snapshots that other threads
 * may be changing, and a list that others append to is read again before it is refused.
 *
 *     allglen, allgptr, allgs   an array of pointers to g: legal status, ordered stack bounds
 *     allp                      p number i has id i
 *     allm                      linked list of m; m.g0.m leads back; as many as sched has counted
 *     sched                     counters within what they count
 *     mheap_                    allspans: pointers to spans that begin at a page
 *     memstats                  no collections if and only if there was no last one; sizes are sizes
 *     gcController   a live heap; no goal if and only if collections are switched off (GOGC=off)
 *     firstmoduledata, modulesSlice   the magic of the pclntab behind them
 *     waitReasonStrings         Go strings, the first one empty, "chan receive" among them
 */
#include <string.h>

#include "golang/globals_internal.h"

enum {
	SAMPLE = 4,         /* elements looked at, at each end of an array */
	MAX_G_BYTES = 1024, /* runtime.g has 456 bytes in 1.27 */
	MAX_MS = 64,        /* hops along allm */
	MAX_PS = 1024,      /* GOMAXPROCS cannot be more (runtime/proc.go) */
	MAX_REASONS = 256,  /* waitReason is a uint8 */
	MAX_REASON_BYTES = 64,
	PAGE = 8192,             /* of the Go heap, not of the system */
	PID_MAX_LIMIT = 4194304, /* Linux */
};

struct slice {
	uint64_t ptr, len, cap;
};

static int read_slice(const struct gs__go_check *c, gs_addr addr, uint64_t max, struct slice *ret)
{
	struct slice s;
	int r = gs__go_peek(c, addr, &s, sizeof(s));

	if (r <= 0)
		return r;
	if (s.len == 0 || s.len > max || s.cap < s.len || s.ptr == 0 || s.ptr % 8 != 0)
		return 0;
	*ret = s;
	return 1;
}

/* Indices worth looking at in an array of @n: the first and the last few. */
static uint64_t sample_index(uint64_t n, unsigned int i)
{
	return n <= 2 * SAMPLE || i < SAMPLE ? i : n - 2 * SAMPLE + i;
}

static unsigned int sample_count(uint64_t n)
{
	return n <= 2 * SAMPLE ? (unsigned int)n : 2 * SAMPLE;
}

static uint64_t word_at(const uint8_t *bytes, int32_t off, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, bytes + off, n);
	return v;
}

/* The fields of a g that are read below, all within its first MAX_G_BYTES. */
static bool g_layout_usable(const struct gs_go_layout *l)
{
	static const enum gs_go_field used[] = { GS_GO_G_STACK_LO, GS_GO_G_STACK_HI,
						 GS_GO_G_ATOMICSTATUS, GS_GO_G_GOID };

	for (size_t i = 0; i < GS_ARRAY_SIZE(used); i++)
		if (l->offset[used[i]] < 0 || l->offset[used[i]] > l->offset[GS_GO_G_SIZE] - 8)
			return false;
	return l->offset[GS_GO_G_SIZE] > 0 && l->offset[GS_GO_G_SIZE] <= MAX_G_BYTES;
}

static bool g_plausible(const struct gs_go_layout *l, const uint8_t *g)
{
	/* idle, runnable, running, syscall, waiting, dead, copystack, preempted, leaked,
	 * deadextra (runtime2.go, 1.19 to 1.27); 5 and 7 are unused */
	const uint32_t legal = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 8 |
			       1 << 9 | 1 << 10 | 1 << 11;
	const uint32_t dead = 1 << 0 | 1 << 6 | 1 << 11;
	uint64_t lo = word_at(g, l->offset[GS_GO_G_STACK_LO], 8);
	uint64_t hi = word_at(g, l->offset[GS_GO_G_STACK_HI], 8);
	uint64_t goid = word_at(g, l->offset[GS_GO_G_GOID], 8);
	uint64_t status = word_at(g, l->offset[GS_GO_G_ATOMICSTATUS], 4) & ~0x1000ULL;

	if (status > 11 || !(legal >> status & 1) || goid >= 1ULL << 48)
		return false;
	if (dead >> status & 1)
		return lo <= hi && lo % 8 == 0;
	return goid > 0 && lo > 0 && lo < hi && hi - lo <= 1ULL << 32 && lo % 8 == 0 && hi % 8 == 0;
}

/* An array of @n pointers to g. */
static int check_gs(const struct gs__go_check *c, gs_addr array, uint64_t n)
{
	uint8_t bytes[2 * SAMPLE][MAX_G_BYTES];
	struct gs_read reads[2 * SAMPLE];
	uint64_t ptr[2 * SAMPLE];
	unsigned int count = sample_count(n), good = 0;
	int r;

	if (!g_layout_usable(c->layout))
		return 0;
	for (unsigned int i = 0; i < count; i++) {
		r = gs__go_peek(c, array + 8 * sample_index(n, i), &ptr[i], 8);
		if (r <= 0)
			return r;
		if (ptr[i] == 0 || ptr[i] % 8 != 0)
			return 0;
		reads[i] = (struct gs_read){ .addr = ptr[i],
					     .buf = bytes[i],
					     .len = (size_t)c->layout->offset[GS_GO_G_SIZE] };
	}
	r = c->mem->readv(c->mem->ctx, reads, count, c->err);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < count; i++)
		good += reads[i].result == 0 && g_plausible(c->layout, bytes[i]);
	/* One in eight may be caught while its stack is being moved. */
	return good + (count == 2 * SAMPLE) >= count;
}

static int check_allglen(const struct gs__go_check *c)
{
	uint64_t n = 0;
	int r = gs__go_peek(c, c->addr, &n, 8);

	return r <= 0 ? r : n > 0 && n < 1ULL << 26;
}

static int check_allgptr(const struct gs__go_check *c)
{
	uint64_t n = 0, array = 0;
	int r;

	if (!c->found->addr[GS_GO_GLOBAL_ALLGLEN])
		return 0;
	/* The runtime publishes the array before the length, so in this order they fit. */
	r = gs__go_peek(c, c->found->addr[GS_GO_GLOBAL_ALLGLEN], &n, 8);
	if (r > 0)
		r = gs__go_peek(c, c->addr, &array, 8);
	if (r <= 0)
		return r;
	if (n == 0 || n >= 1ULL << 26 || array == 0 || array % 8 != 0)
		return 0;
	return check_gs(c, array, n);
}

static int check_allgs(const struct gs__go_check *c)
{
	struct slice s;
	int r = read_slice(c, c->addr, 1ULL << 26, &s);

	return r <= 0 ? r : check_gs(c, s.ptr, s.len);
}

static int check_allp(const struct gs__go_check *c)
{
	struct slice s;
	int r = read_slice(c, c->addr, MAX_PS, &s);

	if (r <= 0)
		return r;
	for (unsigned int i = 0; i < sample_count(s.len); i++) {
		uint64_t index = sample_index(s.len, i), p = 0, id = 0, status = 0;

		r = gs__go_peek(c, s.ptr + 8 * index, &p, 8);
		if (r > 0)
			r = gs__go_peek_field(c, p, GS_GO_P_ID, 4, &id);
		if (r > 0)
			r = gs__go_peek_field(c, p, GS_GO_P_STATUS, 4, &status);
		if (r <= 0)
			return r;
		if (p == 0 || p % 8 != 0 || id != index || status > 4)
			return 0;
	}
	return 1;
}

/* Threads that the scheduler has: created so far less freed so far (mcount, runtime/proc.go). */
static int thread_count(const struct gs__go_check *c, gs_addr sched, int64_t *ret)
{
	uint64_t next = 0, freed = 0;
	int r = gs__go_peek_field(c, sched, GS_GO_SCHED_MNEXT, 8, &next);

	if (r > 0)
		r = gs__go_peek_field(c, sched, GS_GO_SCHED_NMFREED, 8, &freed);
	if (r > 0)
		*ret = next < 1ULL << 32 && freed <= next ? (int64_t)(next - freed) : -1;
	return r;
}

static int check_sched(const struct gs__go_check *c)
{
	uint64_t goids = 0, max = 0, midle = 0, pidle = 0, spinning = 0, last = 0;
	int64_t threads = -1;
	int r = thread_count(c, c->addr, &threads);

	if (r > 0)
		r = gs__go_peek_field(c, c->addr, GS_GO_SCHED_GOIDGEN, 8, &goids);
	if (r > 0)
		r = gs__go_peek_field(c, c->addr, GS_GO_SCHED_MAXMCOUNT, 4, &max);
	if (r > 0)
		r = gs__go_peek_field(c, c->addr, GS_GO_SCHED_NMIDLE, 4, &midle);
	if (r > 0)
		r = gs__go_peek_field(c, c->addr, GS_GO_SCHED_NPIDLE, 4, &pidle);
	if (r > 0)
		r = gs__go_peek_field(c, c->addr, GS_GO_SCHED_NMSPINNING, 4, &spinning);
	if (r > 0)
		r = gs__go_peek_field(c, c->addr, GS_GO_SCHED_LASTPOLL, 8, &last);
	if (r <= 0)
		return r;
	/* 10000 unless runtime/debug.SetMaxThreads was called; counters may be one thread apart. */
	return threads > 0 && goids > 0 && goids < 1ULL << 48 && max > 0 && max <= INT32_MAX &&
	       threads <= (int64_t)max + 1 && midle <= (uint64_t)threads + 1 && pidle <= MAX_PS &&
	       spinning <= MAX_PS && last < 1ULL << 62;
}

/* Is there an m at @m? Its g0 must lead back to it. Sets *ret_started if it has a thread. */
static int check_m(const struct gs__go_check *c, gs_addr m, bool *ret_started)
{
	uint64_t g0 = 0, back = 0, tid = 0;
	int r;

	if (m % 8 != 0)
		return 0;
	r = gs__go_peek_field(c, m, GS_GO_M_G0, 8, &g0);
	if (r > 0 && g0 == 0)
		return 0;
	if (r > 0)
		r = gs__go_peek_field(c, g0, GS_GO_G_M, 8, &back);
	if (r > 0)
		r = gs__go_peek_field(c, m, GS_GO_M_PROCID, 8, &tid);
	if (r <= 0)
		return r;
	*ret_started |= tid > 0;
	return back == m && tid <= PID_MAX_LIMIT;
}

/* Walk allm. *ret_n is the length, -1 if it was not walked to the end. @return as check_m() */
static int walk_ms(const struct gs__go_check *c, int64_t *ret_n)
{
	bool started = false;
	uint64_t m = 0;
	int64_t n;
	int r = gs__go_peek(c, c->addr, &m, 8);

	if (r > 0 && m == 0)
		return 0;
	for (n = 0; r > 0 && m != 0 && n < MAX_MS; n++) {
		r = check_m(c, m, &started);
		if (r > 0)
			r = gs__go_peek_field(c, m, GS_GO_M_ALLLINK, 8, &m);
	}
	*ret_n = m == 0 ? n : -1;
	return r <= 0 ? r : started;
}

static int check_allm(const struct gs__go_check *c)
{
	gs_addr sched = c->found->checked[GS_GO_GLOBAL_SCHED] ? c->found->addr[GS_GO_GLOBAL_SCHED]
							      : 0;
	int r = 0;

	/* A list that ends too early is one whose link is read at the wrong place, unless a thread
	 * has just come or gone. */
	for (int try = 0; try < 3; try++) {
		int64_t n = -1, want = -1;

		r = walk_ms(c, &n);
		if (r <= 0 || n < 0 || !sched)
			return r;
		r = thread_count(c, sched, &want);
		if (r < 0 || n == want)
			return r < 0 ? r : 1;
		r = 0;
	}
	return r;
}

static int check_mheap(const struct gs__go_check *c)
{
	struct slice s;
	bool any = false;
	int r;

	if (!gs_go_has(c->layout, GS_GO_MHEAP_ALLSPANS))
		return 0;
	r = read_slice(c, c->addr + (uint64_t)c->layout->offset[GS_GO_MHEAP_ALLSPANS], 1ULL << 36,
		       &s);
	for (unsigned int i = 0; r > 0 && i < sample_count(s.len); i++) {
		uint64_t span = 0, start = 0, pages = 0;

		r = gs__go_peek(c, s.ptr + 8 * sample_index(s.len, i), &span, 8);
		if (r > 0)
			r = gs__go_peek_field(c, span, GS_GO_MSPAN_START_ADDR, 8, &start);
		if (r > 0)
			r = gs__go_peek_field(c, span, GS_GO_MSPAN_NPAGES, 8, &pages);
		if (r > 0 && (span % 8 != 0 || start % PAGE != 0 || pages > 1ULL << 35))
			return 0;
		any |= start > 0 && pages > 0;
	}
	return r <= 0 ? r : any;
}

/* The first spans and thread caches are made by mallocinit, so both counters stand from then on. */
static int check_memstats(const struct gs__go_check *c)
{
	uint64_t last = 0, cycles = 0, spans = 0, caches = 0;
	int r = gs__go_peek_field(c, c->addr, GS_GO_MSTATS_LAST_GC_NANOTIME, 8, &last);

	if (r > 0)
		r = gs__go_peek_field(c, c->addr, GS_GO_MSTATS_NUMGC, 4, &cycles);
	if (r > 0)
		r = gs__go_peek_field(c, c->addr, GS_GO_MSTATS_MSPAN_SYS, 8, &spans);
	if (r > 0)
		r = gs__go_peek_field(c, c->addr, GS_GO_MSTATS_MCACHE_SYS, 8, &caches);
	if (r <= 0)
		return r;
	return (last == 0) == (cycles == 0) && last < 1ULL << 62 && spans > 0 &&
	       spans < 1ULL << 48 && caches > 0 && caches < 1ULL << 48;
}

/* gcControllerState begins with gcPercent, negative if off (runtime/mgcpacer.go, commit: the goal is then ^0). */
static int check_gc_controller(const struct gs__go_check *c)
{
	uint64_t live = 0, goal = 0;
	int32_t percent = 0;
	int r = gs__go_peek_field(c, c->addr, GS_GO_GC_HEAP_LIVE, 8, &live);

	if (r > 0)
		r = gs__go_peek_field(c, c->addr, GS_GO_GC_PERCENT_HEAP_GOAL, 8, &goal);
	if (r > 0)
		r = gs__go_peek(c, c->addr, &percent, sizeof(percent));
	if (r <= 0)
		return r;
	return live > 0 && live < 1ULL << 46 && percent != 0 &&
	       (goal == UINT64_MAX) == (percent < 0) &&
	       (percent < 0 || (goal > 4096 && goal < 1ULL << 48));
}

static int check_moduledata(const struct gs__go_check *c, gs_addr addr)
{
	struct gs_go_moduledata md;
	int r = gs_go_moduledata_read(c->mem, c->layout->minor, addr, &md, c->err);

	if (r == -GS_E_GONE || r == -GS_E_PERMISSION)
		return r;
	return r == 0;
}

static int check_modules(const struct gs__go_check *c)
{
	uint64_t at = 0, first = 0;
	struct slice s;
	int r = gs__go_peek(c, c->addr, &at, 8);

	if (r > 0)
		r = read_slice(c, at, 4096, &s);
	if (r > 0)
		r = gs__go_peek(c, s.ptr, &first, 8);
	return r <= 0 ? r : check_moduledata(c, first);
}

struct go_string {
	uint64_t ptr, len;
};

/* The texts behind @n string headers: printable, the first one empty, "chan receive" among them. */
static int check_texts(const struct gs__go_check *c, const struct go_string *s, uint32_t n)
{
	char text[MAX_REASONS][MAX_REASON_BYTES];
	struct gs_read reads[MAX_REASONS];
	bool known = false;
	int r;

	if (s[0].len != 0)
		return 0;
	for (uint32_t i = 1; i < n; i++) {
		if (s[i].len == 0 || s[i].len > MAX_REASON_BYTES)
			return 0;
		reads[i] = (struct gs_read){ .addr = s[i].ptr, .buf = text[i], .len = s[i].len };
	}
	r = c->mem->readv(c->mem->ctx, reads + 1, n - 1, c->err);
	if (r < 0)
		return r;
	for (uint32_t i = 1; i < n; i++) {
		if (reads[i].result < 0)
			return 0;
		for (uint64_t k = 0; k < s[i].len; k++)
			if (text[i][k] < ' ' || text[i][k] > '~')
				return 0;
		known |= s[i].len == 12 && memcmp(text[i], "chan receive", 12) == 0;
	}
	return known;
}

static int check_reasons(const struct gs__go_check *c, uint32_t *io_n)
{
	struct go_string s[MAX_REASONS];
	uint32_t n = *io_n ? *io_n : c->layout->n_wait_reasons;
	int r;

	if (n < 2 || n > MAX_REASONS)
		return 0;
	r = gs__go_peek(c, c->addr, s, n * sizeof(s[0]));
	if (r > 0)
		r = check_texts(c, s, n);
	if (r > 0)
		*io_n = n;
	return r;
}

int gs__go_global_check(const struct gs_memory *mem, const struct gs_go_layout *layout,
			const struct gs_go_globals *found, enum gs_go_global g, gs_addr addr,
			uint32_t *io_wait_reasons, struct gs_err *err)
{
	const struct gs__go_check c = {
		.mem = mem, .layout = layout, .found = found, .addr = addr, .err = err
	};

	switch (g) {
	case GS_GO_GLOBAL_ALLGLEN:
		return check_allglen(&c);
	case GS_GO_GLOBAL_ALLGPTR:
		return check_allgptr(&c);
	case GS_GO_GLOBAL_ALLGS:
		return check_allgs(&c);
	case GS_GO_GLOBAL_ALLP:
		return check_allp(&c);
	case GS_GO_GLOBAL_ALLM:
		return check_allm(&c);
	case GS_GO_GLOBAL_SCHED:
		return check_sched(&c);
	case GS_GO_GLOBAL_MHEAP:
		return check_mheap(&c);
	case GS_GO_GLOBAL_MEMSTATS:
		return check_memstats(&c);
	case GS_GO_GLOBAL_FIRSTMODULEDATA:
		return check_moduledata(&c, addr);
	case GS_GO_GLOBAL_MODULES_SLICE:
		return check_modules(&c);
	case GS_GO_GLOBAL_GC_CONTROLLER:
		return check_gc_controller(&c);
	case GS_GO_GLOBAL_WAIT_REASONS:
		return check_reasons(&c, io_wait_reasons);
	case GS_GO_GLOBAL_COUNT:
		break;
	}
	return 0;
}
