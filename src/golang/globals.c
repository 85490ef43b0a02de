/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Where the runtime's globals lie.
 *
 * With a symbol table: one pass over it. Without (`-ldflags=-s`, strip): the function table of a Go
 * binary cannot be stripped, so the functions of the runtime are known by name, and their code
 * refers to the globals. The compiler has kept the order of those references remarkably stable: the
 * anchor table below says "the 2nd data reference of runtime.stackpoolalloc is &mheap_", and has
 * been measured over Go 1.19 to 1.27, amd64 and arm64, executables, PIE, static PIE, external
 * linking, and builds without optimisation and inlining (where functions that normally vanish by
 * inlining appear and hold the reference). tests/live/globals_matrix.py measures it again.
 *
 * A reference may point into a global, at a field; then the field's offset is subtracted.
 *
 * With live memory each candidate is proved (globals_check.c) and the next anchor is tried when it
 * fails. Without, the first candidate inside writable data is taken and nothing is marked proved.
 *
 * Not covered: -buildmode=shared and -linkshared, whose code goes through a global offset table.
 */
#include "golang/globals.h"

#include "golang/disasm.h"
#include "golang/globals_internal.h"

struct anchor {
	enum gs_go_global global;
	unsigned int round;
	unsigned int nth;  /* data reference of @function, from 1 */
	int field;         /* the reference is to this field; -1: to the start */
	unsigned int plus; /* … and so many bytes further */
	const char *function;
};

/*
 * In order of preference. Counts of builds are out of 64 (8 releases × {default, pie, noopt} for
 * both CPUs, cgo and static PIE for amd64). What an anchor names wrongly elsewhere is refused by the
 * checks.
 *
 * The first round has functions that every program has; the search for names ends when all are
 * found, early in the table, for the runtime's functions come first. Names that a program may lack
 * make it read the whole table (100,000 functions in large programs: 10 to 30 ms when its pages
 * come from the disk cache), so they wait for the second round, which is rarely needed.
 */
static const struct anchor anchors[] = {
	{ GS_GO_GLOBAL_ALLGLEN, 0, 1, -1, 0, "runtime.forEachGRace" }, /* 48 */
	{ GS_GO_GLOBAL_ALLGPTR, 0, 2, -1, 0, "runtime.forEachGRace" },
	{ GS_GO_GLOBAL_ALLGS, 0, 2, -1, 0, "runtime.forEachG" },  /* 64; the 1st is allglock */
	{ GS_GO_GLOBAL_ALLP, 0, 1, -1, 0, "runtime.preemptall" }, /* 64 */
	{ GS_GO_GLOBAL_SCHED, 0, 1, GS_GO_SCHED_LASTPOLL, 0, "runtime.wakeNetPoller" },     /* 64 */
	{ GS_GO_GLOBAL_ALLM, 0, 4, -1, 0, "runtime.mexit" },                                /* 63 */
	{ GS_GO_GLOBAL_ALLM, 0, 5, -1, 0, "runtime.mexit" },                                /* 1 */
	{ GS_GO_GLOBAL_MHEAP, 0, 2, -1, 0, "runtime.stackpoolalloc" },                      /* 64 */
	{ GS_GO_GLOBAL_MEMSTATS, 0, 1, GS_GO_MSTATS_BUCKHASH_SYS, 0, "runtime.newBucket" }, /* 64 */
	{ GS_GO_GLOBAL_FIRSTMODULEDATA, 0, 2, -1, 0, "runtime.modulesinit" },               /* 64 */
	{ GS_GO_GLOBAL_MODULES_SLICE, 0, 2, -1, 0, "runtime.itabsinit" },                   /* 48 */
	/* The 1st is sweep.active.state, where the test of it is inlined. Together 64 */
	{ GS_GO_GLOBAL_GC_CONTROLLER, 0, 2, -1, 0, "runtime.gcControllerCommit" },
	{ GS_GO_GLOBAL_GC_CONTROLLER, 0, 1, -1, 0, "runtime.gcControllerCommit" },
	/* The 1st is the text "unknown wait reason". 64 */
	{ GS_GO_GLOBAL_WAIT_REASONS, 0, 2, -1, 0, "runtime.waitReason.String" },

	/* Without inlining, what is usually part of the functions above. 16 */
	{ GS_GO_GLOBAL_ALLGLEN, 1, 1, -1, 0, "runtime.atomicAllG" },
	{ GS_GO_GLOBAL_ALLGPTR, 1, 2, -1, 0, "runtime.atomicAllG" },
	{ GS_GO_GLOBAL_MODULES_SLICE, 1, 1, -1, 0, "runtime.activeModules" },
	/* Second opinions. */
	{ GS_GO_GLOBAL_ALLP, 1, 1, -1, 0, "runtime.gcMarkTinyAllocs" },            /* 64 */
	{ GS_GO_GLOBAL_ALLP, 1, 2, -1, 0, "runtime.timeSleepUntil" },              /* 64 */
	{ GS_GO_GLOBAL_SCHED, 1, 1, GS_GO_SCHED_LOCK, 0, "runtime.sysmon" },       /* 64 */
	{ GS_GO_GLOBAL_SCHED, 1, 1, GS_GO_SCHED_LOCK, 0, "runtime.mcommoninit" },  /* 64 */
	{ GS_GO_GLOBAL_ALLM, 1, 4, -1, 0, "runtime.mcommoninit" },                 /* 34 */
	{ GS_GO_GLOBAL_ALLM, 1, 6, -1, 0, "runtime.mcommoninit" },                 /* 18 */
	{ GS_GO_GLOBAL_MHEAP, 1, 1, GS_GO_MHEAP_ARENAS, 0, "runtime.findObject" }, /* 48 */
	/* memstats.other_sys: buckhash_sys, gcMiscSys and other_sys follow each other; 64 */
	{ GS_GO_GLOBAL_MEMSTATS, 1, 5, GS_GO_MSTATS_BUCKHASH_SYS, 16, "runtime.getitab" },
	{ GS_GO_GLOBAL_FIRSTMODULEDATA, 1, 1, -1, 0, "runtime.findfunc" },        /* 48 */
	{ GS_GO_GLOBAL_FIRSTMODULEDATA, 1, 1, -1, 0, "runtime.findmoduledatap" }, /* 16: noopt */
};
enum { ROUNDS = 2 };

static const char *const names[GS_GO_GLOBAL_COUNT] = {
	[GS_GO_GLOBAL_ALLGLEN] = "allglen",
	[GS_GO_GLOBAL_ALLGPTR] = "allgptr",
	[GS_GO_GLOBAL_ALLGS] = "allgs",
	[GS_GO_GLOBAL_ALLP] = "allp",
	[GS_GO_GLOBAL_ALLM] = "allm",
	[GS_GO_GLOBAL_SCHED] = "sched",
	[GS_GO_GLOBAL_MHEAP] = "mheap_",
	[GS_GO_GLOBAL_MEMSTATS] = "memstats",
	[GS_GO_GLOBAL_FIRSTMODULEDATA] = "firstmoduledata",
	[GS_GO_GLOBAL_MODULES_SLICE] = "modulesSlice",
	[GS_GO_GLOBAL_GC_CONTROLLER] = "gcController",
	[GS_GO_GLOBAL_WAIT_REASONS] = "waitReasonStrings",
};

const char *gs_go_global_name(enum gs_go_global g)
{
	return (unsigned int)g < GS_GO_GLOBAL_COUNT ? names[g] : "?";
}

struct finder {
	const struct gs_image *img;
	const struct gs_go_pclntab *tab;
	const struct gs_go_layout *layout;
	const struct gs_memory *mem;
	uint64_t bias;
	struct gs_go_globals *ret;
	struct gs_err *err;
	struct gs__go_anchors code;
};

/* Does the global still need a (better) address? */
static bool wanted(const struct finder *f, enum gs_go_global g)
{
	return f->mem ? !f->ret->checked[g] : !f->ret->addr[g];
}

/*
 * Believe @addr if live data proves it, or if there is no live data.
 * @return 1 if it was taken, 0 if not, negative if the target is gone
 */
static int propose(struct finder *f, enum gs_go_global g, gs_addr addr, enum gs_go_global_how how,
		   const char *anchor)
{
	uint32_t n = f->ret->n_wait_reasons;
	int r = 1;

	if (f->mem) {
		r = gs__go_global_check(f->mem, f->layout, f->ret, g, addr, &n, f->err);
		if (r <= 0)
			return r;
		f->ret->checked[g] = true;
		f->ret->n_wait_reasons = n;
	}
	f->ret->addr[g] = addr;
	f->ret->how[g] = how;
	f->ret->anchor[g] = anchor;
	return r;
}

/* ---- symbols ---- */

/* The order in which globals are proved: those that others' proofs use come first. */
static const enum gs_go_global order[GS_GO_GLOBAL_COUNT] = {
	GS_GO_GLOBAL_ALLGLEN,       GS_GO_GLOBAL_ALLGPTR,       GS_GO_GLOBAL_ALLGS,
	GS_GO_GLOBAL_ALLP,          GS_GO_GLOBAL_SCHED,         GS_GO_GLOBAL_ALLM,
	GS_GO_GLOBAL_MHEAP,         GS_GO_GLOBAL_MEMSTATS,      GS_GO_GLOBAL_FIRSTMODULEDATA,
	GS_GO_GLOBAL_MODULES_SLICE, GS_GO_GLOBAL_GC_CONTROLLER, GS_GO_GLOBAL_WAIT_REASONS,
};

static int by_symbols(struct finder *f)
{
	uint64_t size[GS_GO_GLOBAL_COUNT] = { 0 };
	struct gs__go_symbols w = { .names = names,
				    .n = GS_GO_GLOBAL_COUNT,
				    .n_left = GS_GO_GLOBAL_COUNT,
				    .bias = f->bias,
				    .addr = f->ret->addr,
				    .how = f->ret->how,
				    .size = size };
	uint64_t n_reasons;
	int r = gs__go_symbols_find(f->img, &w, f->err);

	if (r < 0)
		return r;
	n_reasons = size[GS_GO_GLOBAL_WAIT_REASONS] / 16; /* a string has 16 bytes */
	f->ret->n_wait_reasons = n_reasons < 256 ? (uint32_t)n_reasons : 0;
	for (size_t i = 0; i < GS_GO_GLOBAL_COUNT && f->mem; i++) {
		enum gs_go_global g = order[i];

		/* A symbol whose data looks wrong is kept, unproved: the layout may be to blame. */
		if (!f->ret->addr[g])
			continue;
		r = propose(f, g, f->ret->addr[g], GS_GO_HOW_SYMBOL, NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- code ---- */

static int look_up_functions(struct finder *f, unsigned int round)
{
	f->code.n = 0;
	for (size_t i = 0; i < GS_ARRAY_SIZE(anchors); i++)
		if (anchors[i].round == round && wanted(f, anchors[i].global))
			gs__go_anchor_want(&f->code, anchors[i].function);
	return gs__go_anchor_look_up(&f->code, f->err);
}

/* Without live data, an address inside the scheduler cannot be the list of threads. */
static bool in_sched(const struct finder *f, gs_addr addr)
{
	gs_addr sched = f->ret->addr[GS_GO_GLOBAL_SCHED];

	return sched && gs_go_has(f->layout, GS_GO_SCHED_SIZE) &&
	       addr - sched < (uint64_t)f->layout->offset[GS_GO_SCHED_SIZE];
}

/* The bound check of waitReason.String: the first compared constant that can be a count. */
static void take_count(struct finder *f, const struct gs__go_code *code)
{
	for (uint32_t i = 0; i < code->n_compares && f->ret->n_wait_reasons == 0; i++)
		if (code->compares[i] >= 8 && code->compares[i] < 256)
			f->ret->n_wait_reasons = (uint32_t)code->compares[i];
}

static int try_anchor(struct finder *f, const struct anchor *a)
{
	struct gs__go_code code;
	gs_addr addr;

	if (!gs__go_anchor_ref(&f->code, a->function, a->nth, &code, &addr))
		return 0;
	addr -= a->plus;
	if (a->field >= 0) {
		if (!gs_go_has(f->layout, (enum gs_go_field)a->field))
			return 0;
		addr -= (uint64_t)f->layout->offset[a->field];
	}
	if (!gs__go_anchor_in_data(&f->code, addr, 8) ||
	    (a->global == GS_GO_GLOBAL_ALLM && in_sched(f, addr)))
		return 0;
	if (a->global == GS_GO_GLOBAL_WAIT_REASONS)
		take_count(f, &code);
	return propose(f, a->global, addr, GS_GO_HOW_CODE, a->function);
}

static int by_code(struct finder *f, unsigned int round)
{
	int r = look_up_functions(f, round);

	if (r < 0)
		return r;
	for (size_t k = 0; k < GS_GO_GLOBAL_COUNT; k++) {
		for (size_t i = 0; i < GS_ARRAY_SIZE(anchors); i++) {
			if (anchors[i].round != round || anchors[i].global != order[k] ||
			    !wanted(f, order[k]))
				continue;
			r = try_anchor(f, &anchors[i]);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* ---- scan ---- */

/* The module description can also be found by what it contains. */
static int by_scan(struct finder *f)
{
	const enum gs_go_global g = GS_GO_GLOBAL_FIRSTMODULEDATA;
	struct gs_go_moduledata md;
	struct gs_cursor bytes;
	gs_addr addr;
	int r;

	if (!wanted(f, g))
		return 0;
	r = gs_go_pclntab_find(f->img, &bytes, &addr, f->err);
	if (r == 0)
		r = gs_go_moduledata_find(f->img, f->layout->minor, &bytes, addr, &md, f->err);
	if (r != 0)
		return 0; /* one global less; the caller was given a table, so the image is sound */
	r = propose(f, g, md.addr + f->bias, GS_GO_HOW_SCAN, NULL);
	return r < 0 ? r : 0;
}

/* Both or none: the length is proved by the array it is of. */
static void drop_lone_length(struct gs_go_globals *g)
{
	if (g->checked[GS_GO_GLOBAL_ALLGPTR])
		return;
	g->checked[GS_GO_GLOBAL_ALLGLEN] = false;
	if (g->how[GS_GO_GLOBAL_ALLGLEN] == GS_GO_HOW_CODE) {
		g->addr[GS_GO_GLOBAL_ALLGLEN] = 0;
		g->how[GS_GO_GLOBAL_ALLGLEN] = GS_GO_HOW_NONE;
		g->anchor[GS_GO_GLOBAL_ALLGLEN] = NULL;
	}
}

int gs_go_globals_find(const struct gs_image *img, const struct gs_go_pclntab *tab,
		       const struct gs_go_layout *layout, const struct gs_memory *mem,
		       uint64_t bias, struct gs_go_globals *ret, struct gs_err *err)
{
	struct gs_go_globals found = { 0 };
	struct finder f = {
		.img = img,
		.tab = tab,
		.layout = layout,
		.mem = mem,
		.bias = bias,
		.ret = &found,
		.err = err,
		.code = { .img = img, .tab = tab, .bias = bias },
	};
	int r = by_symbols(&f);

	for (unsigned int round = 0; r == 0 && round < ROUNDS; round++)
		r = by_code(&f, round);
	if (r == 0)
		r = by_scan(&f);
	if (r < 0)
		return r;
	if (mem)
		drop_lone_length(&found);
	*ret = found;
	return 0;
}
