/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_MODEL_MEM_H
#define GS_MODEL_MEM_H

/*
 * Where a process' resident memory goes: what analysis/mem_*.c find and export/memory_*.c print. Classes do not
 * overlap and their resident bytes add up to the RSS that the kernel's page walk gives (rss_bytes); what does not fit, for
 * the target ran on meanwhile, is the class "unexplained", not hidden.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "model/result.h"
#include "model/stack.h"

/* X(id, "json_name", "in plain words") */
#define GS_MEM_CLASSES(X)                                                                          \
	X(HEAP_LIVE, "heap_live", "Go objects that were live at the last GC")                      \
	X(HEAP_NEW, "heap_new", "Go objects allocated since, garbage included")                    \
	X(HEAP_UNUSED, "heap_unused", "free slots between Go objects (fragmentation)")             \
	X(HEAP_FREE, "heap_free", "free Go heap pages, kept for reuse")                            \
	X(HEAP_LAZY, "heap_lazy", "given back (MADV_FREE), not taken yet")                         \
	X(HEAP_RETURNED, "heap_returned", "given back to the kernel")                              \
	X(HEAP_RESERVED, "heap_reserved", "Go heap address space never used")                      \
	X(STACKS, "stacks", "goroutine stacks in use")                                             \
	X(STACKS_FREE, "stacks_free", "goroutine stacks kept for reuse")                           \
	X(GC_WORK, "gc_work", "the garbage collector's work buffers")                              \
	X(RT_ARENAS, "runtime_arenas", "Go runtime: tables of arenas and spans")                   \
	X(RT_PAGE_ALLOC, "runtime_page_alloc", "Go runtime: page allocator")                       \
	X(RT_PERSISTENT, "runtime_persistent", "Go runtime: spans, caches, profiles, pollers")     \
	X(RT_GC_BITS, "runtime_gc_bits", "Go runtime: mark bits")                                  \
	X(RT_PROFILE, "runtime_profile", "Go runtime: table of profile buckets")                   \
	X(RT_OTHER, "runtime_other", "Go runtime: other")                                          \
	X(TEXT, "text", "the program's code")                                                      \
	X(RODATA, "rodata", "the program's constants and tables")                                  \
	X(DATA, "data", "the program's initialised variables")                                     \
	X(BSS, "bss", "the program's other variables")                                             \
	X(PLUGINS, "plugins", "Go plugins in use")                                                 \
	X(PLUGIN_RESIDUE, "plugin_residue", "Go plugins refused or replaced, mapped for ever")     \
	X(LIBRARIES, "libraries", "shared libraries in use")                                       \
	X(LIBRARY_RESIDUE, "library_residue", "mapped libraries that no handle refers to")         \
	X(C_HEAP, "c_heap", "C heap (malloc)")                                                     \
	X(C_ARENAS, "c_arenas", "C heap of other threads (malloc arenas)")                         \
	X(C_LARGE, "c_large", "large blocks of malloc")                                            \
	X(THREAD_STACKS, "thread_stacks", "stacks of threads")                                     \
	X(FILES, "files", "mapped files")                                                          \
	X(SHARED, "shared", "shared memory")                                                       \
	X(ANONYMOUS, "anonymous", "anonymous mappings outside of the Go runtime")                  \
	X(KERNEL, "kernel", "vdso and other mappings of the kernel")                               \
	X(UNEXPLAINED, "unexplained", "changed while it was read")

enum gs_mem_class_id {
#define X(id, name, words) GS_MEM_##id,
	GS_MEM_CLASSES(X)
#undef X
		GS_MEM_CLASS_COUNT
};
const char *gs_mem_class_name(enum gs_mem_class_id c);
const char *gs_mem_class_words(enum gs_mem_class_id c);

/* How a number is known. */
enum gs_mem_how {
	GS_MEM_READ = 1,  /* page tables or counters say so */
	GS_MEM_DERIVED,   /* computed from such */
	GS_MEM_ESTIMATED, /* shared out by proportion, or told by looks */
};
/** "read", "derived", "estimated". */
const char *gs_mem_how_name(enum gs_mem_how h);

struct gs_mem_class {
	uint64_t bytes;          /* address space */
	uint64_t resident_bytes; /* of it in RSS */
	uint64_t huge_bytes;     /* of that in transparent huge pages */
	uint64_t swap_bytes;
	uint32_t mappings; /* of the kernel, that have a part in it */
	enum gs_mem_how how;
};

/** A mapping, or mappings that are alike, worth a line of their own below a class. */
struct gs_mem_item {
	enum gs_mem_class_id class;
	const char *name; /* path, "[anon: …]", "rw-p 64 MiB"; raw */
	uint32_t count;
	uint64_t bytes, resident_bytes, huge_bytes;
	gs_addr start;    /* of the first */
	const char *note; /* "loaded 3 times", "deleted"; NULL */
};

struct gs_mem_scavenger {
	bool known;
	uint64_t retained_bytes; /* free pages that still count: heap_free + heap_lazy */
	uint64_t goal_bytes;     /* heap it may keep: the lower of both goals; UINT64_MAX: none */
	uint64_t gc_percent_goal_bytes, memory_limit_goal_bytes;
	uint64_t behind_bytes; /* what it should have returned */
	uint64_t released_background_bytes,
		released_eager_bytes; /* so far; UINT64_MAX: not known */
	const char *why;              /* why it keeps what it keeps, in words */
};

/** The runtime's own accounting, in the words of runtime/metrics (/memory/classes/…:bytes). */
struct gs_mem_metric {
	const char *name;
	uint64_t bytes;
};
#define GS_MEM_METRICS_MAX 16

/** One sentence for people, with what proves it. */
struct gs_mem_verdict {
	enum gs_mem_class_id class;
	int64_t bytes;                 /* of RSS, or growth */
	const char *text, *advice;     /* advice: what to do; NULL: nothing */
	const struct gs_frame *frames; /* who, innermost first; NULL */
	uint32_t n_frames;
};

/** Who made a class grow, or gave memory of it back (@bytes is negative then). */
struct gs_mem_grower {
	enum gs_mem_class_id class;
	const char *
		what; /* "mmap", "mremap", "brk", "dlopen", "munmap", "madvise", "page faults", "Go allocations" */
	const char *
		detail; /* of madvise "MADV_DONTNEED"; of dlopen the file that was asked for, raw; NULL: none */
	const char *
		runtime; /* the runtime's function that did it: "runtime.sysMap"; NULL: not the runtime */
	const char *cause;    /* why the runtime did, in words: "the background scavenger"; NULL */
	int64_t bytes;        /* resident; net of what was given back. 0: only asked for */
	uint64_t asked_bytes; /* address space of all such calls; 0: no call, or not known */
	uint64_t count;       /* calls or samples */
	uint64_t goid;        /* of the last one; 0: not known */
	const struct gs_stack *stack; /* NULL: not known */
	enum gs_mem_how how;
};
struct gs_mem_growth {
	enum gs_mem_class_id class;
	int64_t bytes, huge_bytes; /* of resident memory; of that in transparent huge pages */
};

struct gs_mem_result {
	const struct gs_process *process;
	bool kernel_view;          /* false: a core file: bytes only, nothing resident is known */
	uint64_t rss_bytes;        /* by walking the page tables */
	uint64_t status_rss_bytes; /* VmRSS */
	uint64_t swap_bytes, huge_bytes, virtual_bytes;
	uint32_t page_bytes;                       /* of the kernel; 0: not known (core file) */
	uint64_t cgroup_bytes, cgroup_limit_bytes; /* 0: not known */
	struct gs_mem_class class[GS_MEM_CLASS_COUNT];
	const struct gs_mem_item *items; /* by class, largest first */
	uint32_t n_items;
	uint64_t numa_bytes[64];
	uint32_t n_numa; /* 0: not known, or one node */
	struct gs_mem_scavenger scavenger;
	struct gs_mem_metric metric[GS_MEM_METRICS_MAX];
	uint32_t n_metrics;
	uint64_t heap_goal_bytes, gc_count;
	int32_t gc_percent;
	int64_t memory_limit_bytes; /* INT64_MAX: none */
	int64_t last_gc_ago_ns;     /* -1: none yet or unknown */
	/* with --watch */
	int64_t watched_ns; /* 0: not watched */
	uint64_t rss_before_bytes;
	struct gs_mem_growth growth[GS_MEM_CLASS_COUNT]; /* largest first */
	uint32_t n_growth;
	const struct gs_mem_grower *growers; /* largest first */
	uint32_t n_growers;
	/* the Go heap by allocation site, if the program keeps a memory profile */
	const struct gs_mem_grower *sites; /* in use, scaled; largest first */
	uint32_t n_sites;
	const struct gs_mem_verdict *verdict; /* most important first */
	uint32_t n_verdict;
	const struct gs_incomplete_list *incomplete;
};

#endif
