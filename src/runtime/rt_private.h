/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_RUNTIME_RT_PRIVATE_H
#define GS_RUNTIME_RT_PRIVATE_H

/* What the files of src/runtime share. */
#include "base/arena.h"
#include "runtime/rt.h"

/* Bounds on what a target can make us do. */
#define GS_RT_MAX_GOROUTINES (1u << 26)
#define GS_RT_MAX_THREADS (1u << 18)
#define GS_RT_MAX_MODULES 256u
#define GS_RT_MAX_LINES 64 /* inlined frames at one pc */
#define GS_RT_MAX_FRAMES 10000u
#define GS_RT_MAX_LABELS 64u
#define GS_RT_MAX_LABEL_BYTES 4096u
#define GS_RT_CACHE_LIMIT ((size_t)1 << 30)

/* A Go module loaded in the target: the executable, or a plugin. */
struct gs__module {
	struct gs_go_moduledata md;
	struct gs_go_pclntab *tab;
	void *pclntab_copy, *gofunc_copy; /* owned, when the bytes come from memory; else NULL */
	gs_addr lo, hi;
};

/* Everything about one pc that walking and printing need. Lives in the arena. */
struct gs__pc {
	uint64_t key; /* pc << 1 | trap; 0 is an empty slot */
	gs_addr entry;
	int32_t sp_delta;
	bool has_delta, has_pcsp;
	bool known; /* a Go function contains the pc */
	uint8_t flag;
	enum gs_go_funcid id;
	uint16_t n_frames;
	uint16_t module;
	struct gs_go_func func;
	const struct gs_frame *frames;   /* NULL until asked for */
	const struct gs_frame *creator;  /* as "created by" shows it; NULL until asked for */
	const struct gs__frame_map *map; /* rt_frame_map.c; NULL until asked for */
};

struct gs__pc_cache {
	struct gs__pc **slot;
	uint32_t n, mask;
};

/* A distinct stack and its raw form. */
struct gs__stack {
	struct gs_stack pub;
	uint32_t n_pcs;
	const uint64_t *pcs; /* keys as in struct gs__pc */
};

struct gs__stack_cache {
	struct gs__stack **slot;
	uint32_t n, mask;
};

/* An M: kernel thread of the runtime. */
struct gs__m {
	gs_addr addr, g0, gsignal, curg, p, lockedg;
	gs_addr vdso_sp, vdso_pc;
	int64_t id;
	int32_t tid;  /* as our PID namespace shows it */
	int64_t p_id; /* -1: none */
};

struct gs__m_table {
	struct gs__m *m; /* sorted by address */
	uint32_t n, cap;
};

struct gs_rt {
	struct gs_target *target;
	const struct gs_memory *mem;
	const struct gs_image *img;
	struct gs_arena *arena; /* facts, modules, pcs, frames, stacks */
	struct gs_rt_facts facts;
	struct gs__module module[GS_RT_MAX_MODULES];
	uint32_t n_modules;
	struct gs__pc_cache pcs;
	struct gs__stack_cache stacks;
	struct gs__m_table ms;
	struct gs__natives *natives;           /* rt_native.c; NULL until asked */
	const struct gs_go_more_globals *more; /* rt_modules.c; NULL until asked */
	struct gs__module_list *list;          /* rt_modules.c; NULL until asked */
	const char **wait_reasons;
	uint32_t n_wait_reasons;
	unsigned int minor; /* of the layout in use */
	enum gs_arch arch;
	uint64_t bias;
};

/* One pass over the fields of a g. */
struct gs__g {
	gs_addr addr;
	gs_addr stack_lo, stack_hi, m, lockedm;
	gs_addr sched_sp, sched_pc, sched_lr, syscall_sp, syscall_pc;
	gs_addr gopc, startpc, labels;
	gs_addr bubble; /* synctestBubble; up to Go 1.24 synctestGroup */
	uint64_t goid, parent_goid;
	int64_t waitsince;
	uint32_t status; /* enum gs_goroutine_state; its count if unknown */
	bool scan;
	uint8_t waitreason, tracking_seq;
};

/* A goroutine stack as bytes: [lo, lo + len) is in @buf, the rest is fetched when touched. */
struct gs__stack_view {
	struct gs_rt *rt;
	gs_addr lo, hi; /* bounds of the whole stack; nothing outside is read */
	gs_addr buf_at;
	const uint8_t *buf;
	size_t buf_len;
	uint8_t *slow; /* GS__SLOW_BYTES, borrowed; used for what is not in @buf */
	gs_addr slow_at;
	size_t slow_len;
	uint32_t slow_reads;
};
#define GS__SLOW_BYTES (64u << 10)

/** The word at @addr. False if it is outside of the stack or unreadable. */
bool gs__stack_word(struct gs__stack_view *v, gs_addr addr, uint64_t *ret);

/* Where a walk begins. */
struct gs__walk_start {
	gs_addr pc, sp, lr;
	bool trap;    /* pc is an instruction that was interrupted, not a return address */
	bool syscall; /* pc and sp are those saved by entersyscall */
	/* Where to go on when a walk over a system stack comes to systemstack or morestack: */
	bool may_jump;
	gs_addr jump_pc, jump_sp, jump_lr;
	struct gs__stack_view *jump_view;
};

/* Result of a walk: keys of pcs, innermost first, in a caller's array. */
struct gs__walk {
	uint64_t *keys;
	gs_addr *argps; /* per frame, NULL if not wanted */
	gs_addr *sps;   /* per frame, NULL if not wanted */
	uint32_t n, max;
	enum gs_stack_end end;
	uint32_t end_pc_unknown; /* 1 if it broke at a pc that is no Go code */
};

/** Walk as runtime/traceback.go's unwinder does (resolveInternal, next). */
void gs__walk(struct gs_rt *rt, struct gs__stack_view *view, const struct gs__walk_start *start,
	      struct gs__walk *io);

/** Cached facts of a pc; NULL only when out of memory. */
const struct gs__pc *gs__pc_get(struct gs_rt *rt, gs_addr pc, bool trap);
/** Its frames, innermost first; fills n_frames. */
const struct gs_frame *gs__pc_frames(struct gs_rt *rt, const struct gs__pc *pc);
const struct gs__module *gs__module_at(const struct gs_rt *rt, gs_addr pc);
/** The frame that "created by" shows for a go statement's return address; NULL if unknown. */
const struct gs_frame *gs__creator(struct gs_rt *rt, gs_addr gopc);
/** The shared stack of these keys; NULL when out of memory or the cache limit is reached. */
const struct gs_stack *gs__stack_intern(struct gs_rt *rt, const uint64_t *keys, uint32_t n,
					enum gs_stack_end end);
void gs__symbols_free(struct gs_rt *rt);
/** Name of a pc outside of Go code, arena-allocated: a symbol, else "libfoo.so+0x12"; NULL if it lies
 *  in no file. @ret_entry is set when it is a symbol. */
const char *gs__native_name(struct gs_rt *rt, gs_addr pc, gs_addr *ret_entry);
void gs__natives_free(struct gs_rt *rt);

/** Globals that only memory and leaks need; searched when first asked for. NULL when that failed. */
const struct gs_go_more_globals *gs__rt_more_globals(struct gs_rt *rt);

/** True if Go's tracebacks hide a function of this name (isExportedRuntime of the release). */
bool gs__runtime_internal(const char *name, unsigned int minor);

/** Read the list of Ms. Failures leave the table as far as it got; counted in @inc. */
GS_CHECKED int gs__ms_read(struct gs_rt *rt, struct gs_incomplete_list *inc, struct gs_err *err);
/** The M at @addr, or NULL. */
const struct gs__m *gs__m_at(const struct gs_rt *rt, gs_addr addr);

/** How long the stack's goroutine can be walked, and where it starts. False: no stack to walk. */
bool gs__walk_parked(const struct gs__g *g, struct gs__walk_start *ret);
/** Bounds of the system or signal stack that @sp lies on, from the M's g0 and gsignal. */
bool gs__system_stack(struct gs_rt *rt, const struct gs__m *m, gs_addr sp, gs_addr *ret_lo,
		      gs_addr *ret_hi);
/** Walk a running goroutine from its thread's registers (stopped target or core). @views: two
 *  views over GS__SLOW_BYTES each, for the system stack and for the goroutine's. */
bool gs__walk_running(struct gs_rt *rt, const struct gs__g *g, const struct gs__m *m,
		      const struct gs_regs *regs, struct gs__stack_view views[2],
		      struct gs__walk *io);

/** Told of the next @n addresses of goroutines. Non-zero ends the visit and is returned. */
typedef int gs__batch_fn(void *ctx, uint32_t n, struct gs_err *err);
/** All of them, in batches of at most @max into @ptrs. Addresses that cannot be read are counted. */
GS_CHECKED int gs__allgs_each(struct gs_rt *rt, gs_addr *ptrs, uint32_t max, gs__batch_fn *batch,
			      void *ctx, uint64_t *io_unreadable, struct gs_err *err);
/** Decode the fields of a g from its bytes (layout's G_SIZE of them). */
void gs__g_decode(const struct gs_rt *rt, gs_addr addr, const uint8_t *bytes, struct gs__g *ret);
/** Same goroutine, not run in between? */
bool gs__g_same(const struct gs__g *a, const struct gs__g *b);

/** Labels of a batch of goroutines: decode @n label pointers (0: none) into @ret, arena-allocated. */
struct gs__labels {
	const struct gs_label *label;
	uint32_t n;
};
GS_CHECKED int gs__labels_read(struct gs_rt *rt, const gs_addr *ptrs, size_t n,
			       struct gs_arena *arena, struct gs__labels *ret, struct gs_err *err);

/** Text of a frame's argument words as the runtime prints them, or NULL. */
const char *gs__args_text(struct gs_rt *rt, const struct gs__pc *pc, struct gs__stack_view *view,
			  gs_addr argp, struct gs_arena *arena);

static inline uint64_t gs__u64(const uint8_t *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t gs__u32(const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

/** The field lies wholly in the first @len bytes of its structure. Layouts may come from the target's own
 *  DWARF, which can put a field anywhere. */
static inline bool gs__field_within(const struct gs_go_layout *l, enum gs_go_field f, size_t width,
				    size_t len)
{
	int32_t at = l->offset[f];

	return at >= 0 && (size_t)at + width <= len;
}

/** The word of a field in the first @len bytes of its structure; 0 if it is not there. */
static inline uint64_t gs__field_u64(const struct gs_go_layout *l, enum gs_go_field f,
				     const uint8_t *bytes, size_t len)
{
	return gs__field_within(l, f, 8, len) ? gs__u64(bytes + l->offset[f]) : 0;
}

static inline uint32_t gs__field_u32(const struct gs_go_layout *l, enum gs_go_field f,
				     const uint8_t *bytes, size_t len)
{
	return gs__field_within(l, f, 4, len) ? gs__u32(bytes + l->offset[f]) : 0;
}

#endif
