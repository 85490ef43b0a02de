/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_PCLNTAB_H
#define GS_GOLANG_PCLNTAB_H

/*
 * The runtime's own function table (runtime/symtab.go, cmd/link/internal/ld/pcln.go): functions,
 * files, lines, inlining trees and stack-pointer deltas of every pc. Formats of Go 1.18/1.19 (magic
 * 0xfffffff0, _func of 40 bytes) and of 1.20 to 1.27 (0xfffffff1, _func of 44 bytes; from 1.26 the
 * header's textStart is 0 and funcdata lies in the table). Works on bytes of a file or copied from a
 * target. All pcs are runtime addresses: @text is where runtime.text is loaded.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>
#include <gosonde/types.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "image/image.h"

/* funcID values differ per release; these are ours, set from the function's name where the release's
 * number is not stable. Only functions that change how a stack is walked or printed have one. */
enum gs_go_funcid {
	GS_GO_FUNC_NORMAL = 0,
	GS_GO_FUNC_WRAPPER, /* compiler-made, hidden in tracebacks */
	GS_GO_FUNC_MCALL,
	GS_GO_FUNC_MORESTACK,
	GS_GO_FUNC_RT0, /* rt0_go */
	GS_GO_FUNC_SIGPANIC,
	GS_GO_FUNC_SIGTRAMP,
	GS_GO_FUNC_SYSTEMSTACK,
	GS_GO_FUNC_SYSTEMSTACK_SWITCH,
	GS_GO_FUNC_ASYNC_PREEMPT,
	GS_GO_FUNC_DEBUG_CALL,
	GS_GO_FUNC_CGOCALLBACK,
	GS_GO_FUNC_ASMCGOCALL,
	GS_GO_FUNC_GOEXIT,
	GS_GO_FUNC_MSTART,
	GS_GO_FUNC_GOPANIC,
	GS_GO_FUNC_PANICWRAP,
};

enum { GS_GO_FLAG_TOP_FRAME = 1, GS_GO_FLAG_SP_WRITE = 2, GS_GO_FLAG_ASM = 4 };

/* PCDATA and FUNCDATA numbers (internal/abi/symtab.go). */
enum {
	GS_GO_PCDATA_UNSAFE_POINT = 0,
	GS_GO_PCDATA_STACK_MAP = 1,
	GS_GO_PCDATA_INL_TREE = 2,
	GS_GO_PCDATA_ARG_LIVE = 3
};
enum {
	GS_GO_FUNCDATA_ARGS_MAPS = 0,
	GS_GO_FUNCDATA_LOCALS_MAPS = 1,
	GS_GO_FUNCDATA_STACK_OBJECTS = 2,
	GS_GO_FUNCDATA_INL_TREE = 3,
	GS_GO_FUNCDATA_ARG_INFO = 5,
	GS_GO_FUNCDATA_ARG_LIVE = 6,
	GS_GO_FUNCDATA_WRAP_INFO = 7
};

struct gs_go_func {
	gs_addr entry, end;  /* end: entry of the next function */
	const char *name;    /* borrowed, NUL-terminated, raw */
	uint32_t index;      /* in the function table */
	uint32_t offset;     /* of the _func record; opaque */
	uint32_t start_line; /* 0 before 1.20 */
	int32_t args_bytes;  /* size of in and out arguments, or unknown (< 0) */
	uint32_t deferreturn;
	uint32_t pcsp, pcfile, pcln, npcdata, cu_offset;
	uint8_t nfuncdata, flag, raw_func_id;
	enum gs_go_funcid id;
};

/* One line of a traceback: a function, physical or inlined. */
struct gs_go_line {
	const char *function, *file; /* borrowed, raw; file "?" if unknown */
	uint32_t line;
	gs_addr entry;       /* of the physical function */
	bool inlined;        /* has been inlined into the next line */
	bool wrapper;        /* compiler-made; the runtime hides it unless it called gopanic,
				sigpanic or panicwrap, which the id of the line before tells */
	uint32_t start_line; /* of the function, 0 if unknown */
	enum gs_go_funcid id;
};

struct gs_go_pclntab;

/**
 * Find the table in an image: section .gopclntab / .data.rel.ro.gopclntab / __gopclntab, symbols
 * runtime.pclntab+epclntab, else a scan of read-only and relro data for a header that proves itself.
 * @return 0 with the bytes and the table's virtual address; 1 if there is none.
 */
GS_CHECKED int gs_go_pclntab_find(const struct gs_image *img, struct gs_cursor *ret,
				  gs_addr *ret_addr, struct gs_err *err);

/**
 * Open a table over @bytes (borrowed). @text is the load address of runtime.text; @gofunc and
 * @gofunc_bytes are moduledata.gofunc and the bytes from there on (a cursor with size 0 means: no
 * inlining data). @minor is the Go minor release, 0 if unknown (guessed from the magic). Reads the
 * header only.
 */
GS_CHECKED int gs_go_pclntab_open(const struct gs_cursor *bytes, unsigned int minor, gs_addr text,
				  const struct gs_cursor *gofunc_bytes, struct gs_go_pclntab **ret,
				  struct gs_err *err);
struct gs_go_pclntab *gs_go_pclntab_free(struct gs_go_pclntab *t);
GS_DEFINE_CLEANUP(struct gs_go_pclntab *, gs_go_pclntab_free)

/** Header fields that other finders need: the textStart word (0 from 1.26) and where funcnametab lies. */
struct gs_go_pclntab_header {
	uint32_t magic;
	uint8_t min_lc, ptr_size;
	uint64_t nfunc, nfiles, text_start, funcname_offset, cu_offset, filetab_offset,
		pctab_offset, pcln_offset;
};
GS_CHECKED int gs_go_pclntab_header(const struct gs_cursor *bytes, struct gs_go_pclntab_header *ret,
				    struct gs_err *err);

uint32_t gs_go_pclntab_count(const struct gs_go_pclntab *t);
/** Lowest pc and end of the code the table describes. */
void gs_go_pclntab_range(const struct gs_go_pclntab *t, gs_addr *ret_lo, gs_addr *ret_hi);

/** Function number @i. */
GS_CHECKED int gs_go_func_at(const struct gs_go_pclntab *t, uint32_t i, struct gs_go_func *ret,
			     struct gs_err *err);
/** Function that contains @pc. @return 0; 1 if no function does. */
GS_CHECKED int gs_go_func_find(const struct gs_go_pclntab *t, gs_addr pc, struct gs_go_func *ret,
			       struct gs_err *err);
/**
 * Function by exact name; the first call builds a hash index (the scan for a handful of names is
 * gs_go_funcs_by_name). Names may be duplicated (init.0 closures, ABI wrappers "f" and "f.abi0"…): @nth
 * counts from 0 in address order. @return 0; 1 if there is none.
 */
GS_CHECKED int gs_go_func_by_name(const struct gs_go_pclntab *t, const char *name, uint32_t nth,
				  struct gs_go_func *ret, struct gs_err *err);
/** Look up @n names in one pass without building an index; ret[i].entry is 0 for names not found. */
GS_CHECKED int gs_go_funcs_by_name(const struct gs_go_pclntab *t, const char *const *names,
				   size_t n, struct gs_go_func *ret, struct gs_err *err);
/** Called with the number of the name. Non-zero ends the pass. */
typedef int gs_go_named_fn(void *ctx, size_t which, const struct gs_go_func *f);
/**
 * Visit every function that has one of @n names, in address order: an assembly function and its ABI
 * wrapper share one. One pass, no index.
 * @return 0, @visit's result, or a failure of the table.
 */
GS_CHECKED int gs_go_funcs_named(const struct gs_go_pclntab *t, const char *const *names, size_t n,
				 gs_go_named_fn *visit, void *ctx, struct gs_err *err);

/** Bytes from the return address' slot down to sp at @pc (runtime.funcspdelta). */
GS_CHECKED int gs_go_sp_delta(const struct gs_go_pclntab *t, const struct gs_go_func *f, gs_addr pc,
			      int32_t *ret, struct gs_err *err);
/** Value of a PCDATA table at @pc; -1 if the function has no such table (runtime.pcdatavalue). */
GS_CHECKED int gs_go_pcdata(const struct gs_go_pclntab *t, const struct gs_go_func *f,
			    unsigned int table, gs_addr pc, int32_t *ret, struct gs_err *err);
/** Bytes of a FUNCDATA from its start to the end of the gofunc area. @return 0; 1 if none. */
GS_CHECKED int gs_go_funcdata(const struct gs_go_pclntab *t, const struct gs_go_func *f,
			      unsigned int i, struct gs_cursor *ret, struct gs_err *err);

/** Which words hold pointers: bit 0 is the lowest word. */
struct gs_go_bitmap {
	const uint8_t *bytes; /* borrowed; NULL if @n_bits is 0 */
	uint32_t n_bits;
};
/**
 * Stack map number @index of a function: its live locals (GS_GO_FUNCDATA_LOCALS_MAPS) or arguments
 * (GS_GO_FUNCDATA_ARGS_MAPS). @return 0; 1 if the function has none; -GS_E_BAD_DATA.
 */
GS_CHECKED int gs_go_stack_map(const struct gs_go_pclntab *t, const struct gs_go_func *f,
			       unsigned int funcdata, int32_t index, struct gs_go_bitmap *ret,
			       struct gs_err *err);

/** A variable on the stack whose address is taken (runtime.stackObjectRecord): alive if something points to it. */
struct gs_go_stack_object {
	int32_t offset; /* negative: from the top of the locals; else from the arguments */
	uint32_t size, ptr_bytes;
	uint32_t mask; /* of its pointers: offset from moduledata.rodata */
	bool program;  /* @mask is a GC program (runtime.runGCProg) instead */
};
/** Stack objects of a function: @ret_n records for gs_go_stack_object(). @return 0; 1 if it has none. */
GS_CHECKED int gs_go_stack_objects(const struct gs_go_pclntab *t, const struct gs_go_func *f,
				   struct gs_cursor *ret, uint32_t *ret_n, struct gs_err *err);
/** The next one. */
GS_CHECKED int gs_go_stack_object(struct gs_cursor *io, struct gs_go_stack_object *ret,
				  struct gs_err *err);

/**
 * Expand @pc (an instruction inside the call, i.e. return address - 1) into lines, innermost first.
 * At most @max lines; wrappers are included and marked.
 * @return the number of lines (>= 1); negative on damaged tables.
 */
GS_CHECKED int gs_go_lines(const struct gs_go_pclntab *t, const struct gs_go_func *f, gs_addr pc,
			   struct gs_go_line *ret, int max, struct gs_err *err);

/** Called with the name of a function that was inlined (borrowed, raw) and the function that the call
 *  became part of. Non-zero ends the visit. */
typedef int gs_go_inlined_fn(void *ctx, const char *name, const struct gs_go_func *into);
/**
 * Visit every inlined call of every function: 10 to 20 ms per 10,000 functions.
 * @return 0, @visit's result, or a failure of the tables; -GS_E_LIMIT on absurdly many.
 */
GS_CHECKED int gs_go_inlined(const struct gs_go_pclntab *t, gs_go_inlined_fn *visit, void *ctx,
			     struct gs_err *err);

#endif
