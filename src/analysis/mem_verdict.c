/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A look at memory in plain words: who grew, if there are two looks (mem_verdict_growth.c); where the memory is; and what is
 * unusual, each with what to do. Thresholds are of RSS (of address space in a core file), so that small change is not reported: what is less than 4 MB
 * or less than a twentieth of it has no sentence of its own.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/mem_verdict.h"

const char *gs__size(struct gs__sizes *s, uint64_t bytes)
{
	char *buf = s->text[s->n++ % GS_ARRAY_SIZE(s->text)];

	return gs__mem_size(bytes, buf, sizeof(s->text[0]));
}

struct gs_mem_verdict *gs__say(struct gs__verdicts *w, enum gs_mem_class_id class, int64_t bytes,
			       const char *advice, const char *fmt, ...)
{
	struct gs_mem_verdict *v;
	char text[1600];
	va_list ap;

	if (w->n == GS__VERDICTS_MAX)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	v = &w->v[w->n];
	*v = (struct gs_mem_verdict){ .class = class, .bytes = bytes, .advice = advice };
	v->text = gs_arena_strndup(w->l->arena, text, strlen(text));
	if (!v->text) {
		w->no_memory = true;
		return NULL;
	}
	w->n++;
	return v;
}

/* Bytes of a class: resident, or in a core file its size. */
static uint64_t of(const struct gs__verdicts *w, enum gs_mem_class_id c)
{
	return w->r->kernel_view ? w->r->class[c].resident_bytes : w->r->class[c].bytes;
}

static uint64_t sum_of(const struct gs__verdicts *w, enum gs_mem_class_id from,
		       enum gs_mem_class_id to)
{
	uint64_t sum = 0;

	for (unsigned int c = from; c <= to; c++)
		sum += of(w, (enum gs_mem_class_id)c);
	return sum;
}

static unsigned int percent(uint64_t part, uint64_t whole)
{
	return whole ? (unsigned int)((double)part * 100 / (double)whole + 0.5) : 0;
}

static bool much(const struct gs__verdicts *w, uint64_t bytes, unsigned int percents)
{
	return bytes >= GS__WORTH && (double)bytes * 100 >= (double)w->whole * percents;
}

static const struct gs_mem_item *largest_item(const struct gs__verdicts *w, enum gs_mem_class_id c)
{
	for (uint32_t i = 0; i < w->r->n_items; i++)
		if (w->r->items[i].class == c)
			return &w->r->items[i];
	return NULL;
}

/* "rw-p 64 MiB": an item that is known by its permissions and size only. */
static bool is_size(const char *name)
{
	return strlen(name) > 5 && strspn(name, "rwxps-") == 4 && name[4] == ' ';
}

/* "; the most in NAME (SIZE)"; "" if there is no item. */
static const char *most_of_it(const struct gs__verdicts *w, enum gs_mem_class_id c, char *buf,
			      size_t size)
{
	const struct gs_mem_item *it = largest_item(w, c);
	struct gs__sizes s = { 0 };
	const char *bytes;

	buf[0] = '\0';
	if (!it)
		return buf;
	bytes = gs__size(&s, w->r->kernel_view ? it->resident_bytes : it->bytes);
	if (is_size(it->name) && it->count > 1)
		snprintf(buf, size, "; the most in %u mappings of %.200s each (%.4s), %s together",
			 it->count, it->name + 5, it->name, bytes);
	else if (is_size(it->name) && strcmp(it->name + 5, bytes) == 0)
		snprintf(buf, size, "; the most in one mapping of %s (%.4s)", bytes, it->name);
	else if (is_size(it->name))
		snprintf(buf, size, "; the most in one mapping of %.200s (%.4s), %s of it resident",
			 it->name + 5, it->name, bytes);
	else if (it->count > 1)
		snprintf(buf, size, "; the most in %u × %.200s (%s)", it->count, it->name, bytes);
	else
		snprintf(buf, size, "; the most in %.200s (%s)", it->name, bytes);
	return buf;
}

/* ---- where it is ---- */

static void where(struct gs__verdicts *w)
{
	enum gs_mem_class_id order[GS_MEM_CLASS_COUNT], largest = GS_MEM_UNEXPLAINED;
	const struct gs_mem_result *r = w->r;
	struct gs__sizes s = { 0 };
	char text[512] = "";
	size_t len = 0;

	for (unsigned int i = 0; i < GS_MEM_CLASS_COUNT; i++) {
		unsigned int k = i;

		for (; k > 0 && of(w, order[k - 1]) < of(w, (enum gs_mem_class_id)i); k--)
			order[k] = order[k - 1];
		order[k] = (enum gs_mem_class_id)i;
	}
	largest = order[0];
	for (unsigned int i = 0; i < 4 && of(w, order[i]) * 20 >= w->whole && w->whole; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s %s (%u %%)",
					i ? ", " : ": ", gs__size(&s, of(w, order[i])),
					gs_mem_class_words(order[i]),
					percent(of(w, order[i]), w->whole));
		if (len >= sizeof(text))
			break;
	}
	if (r->kernel_view)
		gs__say(w, largest, (int64_t)of(w, largest), NULL, "RSS is %s%s.",
			gs__size(&s, r->rss_bytes), text);
	else
		gs__say(w, largest, (int64_t)of(w, largest),
			"The kernel's view is missing: run gosonde mem on the live process to see "
			"what "
			"is "
			"resident.",
			"A core file of %s of address space, sizes only: what was resident is not "
			"known%s.",
			gs__size(&s, r->virtual_bytes), text);
	w->n_first = w->n;
}

/* ---- what is unusual ---- */

static void c_heap(struct gs__verdicts *w)
{
	uint64_t c = sum_of(w, GS_MEM_C_HEAP, GS_MEM_C_LARGE);
	uint64_t go = sum_of(w, GS_MEM_HEAP_LIVE, GS_MEM_HEAP_UNUSED);
	uint64_t arenas = of(w, GS_MEM_C_ARENAS);
	enum gs_mem_class_id class = GS_MEM_C_HEAP;
	struct gs__sizes s = { 0 };
	char most[320];

	if (!much(w, c, 10))
		return;
	for (unsigned int k = GS_MEM_C_HEAP; k <= GS_MEM_C_LARGE; k++)
		if (of(w, (enum gs_mem_class_id)k) > of(w, class))
			class = (enum gs_mem_class_id)k;
	gs__say(w, class, (int64_t)c,
		arenas > c / 2
			? "Arenas multiply with threads that call C: MALLOC_ARENA_MAX=2 bounds "
			  "them. If it still "
			  "grows, look for C.malloc and C.CString without C.free."
			: "No Go profile shows it. Look for C.malloc and C.CString without "
			  "C.free, or run with "
			  "heaptrack or a malloc with profiling.",
		"C code holds %s by malloc%s: %s in the main heap, %s in %u arenas of threads, %s "
		"in "
		"large "
		"blocks%s.",
		gs__size(&s, c), c > go ? ", more than Go's objects" : "",
		gs__size(&s, of(w, GS_MEM_C_HEAP)), gs__size(&s, arenas),
		largest_item(w, GS_MEM_C_ARENAS) ? largest_item(w, GS_MEM_C_ARENAS)->count : 0,
		gs__size(&s, of(w, GS_MEM_C_LARGE)),
		most_of_it(w, GS_MEM_C_LARGE, most, sizeof(most)));
}

static void residue(struct gs__verdicts *w, enum gs_mem_class_id c, const char *what,
		    const char *advice)
{
	const struct gs_mem_class *k = &w->r->class[c];
	struct gs__sizes s = { 0 };
	uint32_t count = 0;
	char most[320];

	for (uint32_t i = 0; i < w->r->n_items; i++)
		count += w->r->items[i].class == c ? w->r->items[i].count : 0;
	if (k->bytes == 0)
		return;
	gs__say(w, c, (int64_t)of(w, c), advice, "%u × %s: %s resident of %s mapped%s%s%s.", count,
		what, gs__size(&s, k->resident_bytes), gs__size(&s, k->bytes),
		most_of_it(w, c, most, sizeof(most)),
		largest_item(w, c) && largest_item(w, c)->note ? ", " : "",
		largest_item(w, c) && largest_item(w, c)->note ? largest_item(w, c)->note : "");
}

static void heap_state(struct gs__verdicts *w)
{
	const struct gs_mem_result *r = w->r;
	uint64_t objects = of(w, GS_MEM_HEAP_LIVE) + of(w, GS_MEM_HEAP_NEW);
	uint64_t unused = of(w, GS_MEM_HEAP_UNUSED), kept = of(w, GS_MEM_HEAP_FREE);
	struct gs__sizes s = { 0 };
	char most[320];

	if (much(w, of(w, GS_MEM_HEAP_LAZY), 5))
		gs__say(w, GS_MEM_HEAP_LAZY, (int64_t)of(w, GS_MEM_HEAP_LAZY),
			"GODEBUG=madvdontneed=1, the default, returns memory at once.",
			"%s were given back with MADV_FREE and still count: the kernel takes them "
			"when "
			"it "
			"needs memory. That is no leak.",
			gs__size(&s, of(w, GS_MEM_HEAP_LAZY)));
	if (much(w, unused, 5) && unused * 10 >= (objects + unused) * 3)
		gs__say(w, GS_MEM_HEAP_UNUSED, (int64_t)unused,
			"A few survivors hold whole spans. Let objects of one size live equally "
			"long, "
			"or pool "
			"them; a heap profile (inuse_objects) shows the survivors.",
			"Fragmentation: %s of %s in spans of objects (%u %%) are free slots%s.",
			gs__size(&s, unused), gs__size(&s, objects + unused),
			percent(unused, objects + unused),
			most_of_it(w, GS_MEM_HEAP_UNUSED, most, sizeof(most)));
	if (much(w, r->scavenger.behind_bytes, 5))
		gs__say(w, GS_MEM_HEAP_FREE, (int64_t)r->scavenger.behind_bytes,
			"debug.FreeOSMemory() returns it at once; a memory limit (GOMEMLIMIT) "
			"makes "
			"allocation return it.",
			"The scavenger is behind by %s: %s.",
			gs__size(&s, r->scavenger.behind_bytes), r->scavenger.why);
	else if (much(w, kept, 20))
		gs__say(w, GS_MEM_HEAP_FREE, (int64_t)kept,
			"If it has to be small: a lower GOGC, GOMEMLIMIT, or debug.FreeOSMemory() "
			"after "
			"peaks.",
			"%s of free heap are kept%s%s.", gs__size(&s, kept),
			r->scavenger.why[0] ? ": " : "", r->scavenger.why);
	if (much(w, of(w, GS_MEM_HEAP_NEW), 50) && of(w, GS_MEM_HEAP_NEW) > of(w, GS_MEM_HEAP_LIVE))
		gs__say(w, GS_MEM_HEAP_NEW, (int64_t)of(w, GS_MEM_HEAP_NEW),
			"A lower GOGC, or GOMEMLIMIT, makes collections come earlier.",
			"%s of objects were allocated since the last collection (%s were live "
			"then); "
			"the next "
			"one comes at %s.",
			gs__size(&s, of(w, GS_MEM_HEAP_NEW)), gs__size(&s, of(w, GS_MEM_HEAP_LIVE)),
			gs__size(&s, r->heap_goal_bytes));
}

static void huge_pages(struct gs__verdicts *w)
{
	const struct gs_mem_result *r = w->r;
	const struct gs_mem_class *k = r->class;
	uint64_t inflated = k[GS_MEM_HEAP_RETURNED].huge_bytes +
			    k[GS_MEM_HEAP_RESERVED].huge_bytes + k[GS_MEM_HEAP_FREE].huge_bytes;
	uint64_t heap_huge = 0;
	struct gs__sizes s = { 0 };

	for (unsigned int c = GS_MEM_HEAP_LIVE; c <= GS_MEM_GC_WORK; c++)
		heap_huge += k[c].huge_bytes;
	if (much(w, inflated, 5))
		gs__say(w, GS_MEM_HEAP_RETURNED, (int64_t)inflated,
			"Set transparent_hugepage/khugepaged/max_ptes_none to 0, or let the "
			"process "
			"turn huge "
			"pages off (prctl PR_SET_THP_DISABLE).",
			"Huge pages inflate RSS: %s that the heap returned, never used or has free "
			"are "
			"resident because a huge page covers them.",
			gs__size(&s, inflated));
	else if (much(w, heap_huge, 20))
		gs__say(w, GS_MEM_HEAP_LIVE, (int64_t)heap_huge, NULL,
			"%s of the Go heap lie in transparent huge pages%s.",
			gs__size(&s, heap_huge),
			w->l->huge_advised_bytes ? " (MADV_HUGEPAGE)" : "");
	else if (much(w, r->huge_bytes, 20))
		gs__say(w, GS_MEM_ANONYMOUS, (int64_t)r->huge_bytes, NULL,
			"%s are in transparent huge pages.", gs__size(&s, r->huge_bytes));
}

static void stacks(struct gs__verdicts *w)
{
	uint64_t largest = 0;
	struct gs__sizes s = { 0 };

	for (uint32_t i = 0; i < w->l->n_stacks; i++)
		if (w->l->stack[i].hi - w->l->stack[i].lo > largest)
			largest = w->l->stack[i].hi - w->l->stack[i].lo;
	if (much(w, of(w, GS_MEM_STACKS), 10))
		gs__say(w, GS_MEM_STACKS, (int64_t)of(w, GS_MEM_STACKS),
			"gosonde dump groups them by what they do; gosonde leaks tells which will "
			"never end.",
			"Goroutine stacks take %s: %u stacks, the largest of %s.",
			gs__size(&s, of(w, GS_MEM_STACKS)), w->l->n_stacks, gs__size(&s, largest));
	if (much(w, of(w, GS_MEM_STACKS_FREE), 10))
		gs__say(w, GS_MEM_STACKS_FREE, (int64_t)of(w, GS_MEM_STACKS_FREE),
			"The next collections give them back to the heap.",
			"%s of goroutine stacks are kept for reuse: there were more goroutines, or "
			"deeper "
			"ones, before.",
			gs__size(&s, of(w, GS_MEM_STACKS_FREE)));
	if (much(w, of(w, GS_MEM_THREAD_STACKS), 10))
		gs__say(w, GS_MEM_THREAD_STACKS, (int64_t)of(w, GS_MEM_THREAD_STACKS),
			"Threads come from calls into C and from system calls that block.",
			"Stacks of threads take %s.", gs__size(&s, of(w, GS_MEM_THREAD_STACKS)));
}

/* Classes for which being large is the news. */
static void large_classes(struct gs__verdicts *w)
{
	static const struct {
		enum gs_mem_class_id class;
		unsigned int percents;
		const char *what, *advice;
	} rules[] = {
		{ GS_MEM_ANONYMOUS, 10, "are in anonymous mappings outside of the Go runtime",
		  "gosonde mem --watch tells who maps them and whether they are unmapped again." },
		{ GS_MEM_FILES, 20, "are pages of mapped files",
		  "Clean ones go when the kernel needs memory; they count for RSS all the same." },
		{ GS_MEM_SHARED, 20, "are shared memory",
		  "It counts in each process that maps it: compare PSS before adding processes "
		  "up." },
		{ GS_MEM_RT_PROFILE, 10, "are the runtime's table of profile buckets", NULL },
		{ GS_MEM_RT_PERSISTENT, 20, "are the runtime's own structures",
		  "They are never given back: structures of goroutines, spans and profiles stay as "
		  "many as "
		  "there ever were." },
		{ GS_MEM_RT_ARENAS, 20, "are the runtime's tables of arenas and spans", NULL },
		{ GS_MEM_GC_WORK, 10, "are the garbage collector's work buffers", NULL },
		{ GS_MEM_BSS, 20, "are global variables", NULL },
		{ GS_MEM_DATA, 20, "are initialised global variables", NULL },
		{ GS_MEM_UNEXPLAINED, 5,
		  "changed while memory was read, and have no owner for that",
		  "The process allocates fast: look again." },
	};
	struct gs__sizes s = { 0 };
	char most[320];

	for (size_t i = 0; i < GS_ARRAY_SIZE(rules); i++) {
		uint64_t bytes = of(w, rules[i].class);

		if (much(w, bytes, rules[i].percents))
			gs__say(w, rules[i].class, (int64_t)bytes, rules[i].advice, "%s %s%s.",
				gs__size(&s, bytes), rules[i].what,
				most_of_it(w, rules[i].class, most, sizeof(most)));
	}
}

static void limits(struct gs__verdicts *w)
{
	const struct gs_mem_result *r = w->r;
	uint64_t limit = r->cgroup_limit_bytes, used = r->cgroup_bytes;
	struct gs__sizes s = { 0 };

	if (limit && limit != UINT64_MAX && used > limit - limit / 10)
		gs__say(w, GS_MEM_UNEXPLAINED, (int64_t)used,
			"At the limit the kernel first drops page cache, then kills. GOMEMLIMIT "
			"below "
			"the limit "
			"makes Go collect in time; it does not count C's memory.",
			"The cgroup uses %s of %s (%u %%), page cache included.",
			gs__size(&s, used), gs__size(&s, limit), percent(used, limit));
	if (w->l->heap && r->memory_limit_bytes != INT64_MAX && r->memory_limit_bytes > 0) {
		limit = (uint64_t)r->memory_limit_bytes;
		used = gs_rt_heap_stats(w->l->heap)->mapped_ready;
		if (used > limit - limit / 10)
			gs__say(w, GS_MEM_HEAP_LIVE, (int64_t)used,
				"At the limit the collector runs without pause, up to half of all "
				"CPU "
				"time. Raise "
				"the limit, or find what is live with a heap profile.",
				"Go uses %s of its memory limit of %s (%u %%).", gs__size(&s, used),
				gs__size(&s, limit), percent(used, limit));
	}
	if (r->swap_bytes >= GS__WORTH && r->swap_bytes * 10 > w->whole)
		gs__say(w, GS_MEM_UNEXPLAINED, (int64_t)r->swap_bytes,
			"Each collection reads it back.", "%s are swapped out.",
			gs__size(&s, r->swap_bytes));
}

/* ---- together ---- */

static int most_first(const void *a, const void *b)
{
	const struct gs_mem_verdict *x = (const struct gs_mem_verdict *)a;
	const struct gs_mem_verdict *y = (const struct gs_mem_verdict *)b;

	return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

int gs__verdict(struct gs_memory_look *l, struct gs_err *err)
{
	struct gs__verdicts w = { .l = l, .r = &l->r };
	struct gs_mem_verdict *v;

	w.whole = l->r.kernel_view ? l->r.rss_bytes : sum_of(&w, 0, GS_MEM_UNEXPLAINED);
	if (!l->r.kernel_view)
		w.whole -= of(&w, GS_MEM_HEAP_RESERVED) + of(&w, GS_MEM_RT_PAGE_ALLOC);
	if (l->r.watched_ns)
		gs__verdict_growth(&w);
	where(&w);
	c_heap(&w);
	residue(&w, GS_MEM_PLUGIN_RESIDUE, "a plugin that was refused or replaced",
		"Go never unloads a plugin: open each one once, built with the same packages as "
		"the program.");
	residue(&w, GS_MEM_LIBRARY_RESIDUE, "a library that no handle refers to", NULL);
	heap_state(&w);
	huge_pages(&w);
	stacks(&w);
	large_classes(&w);
	limits(&w);
	v = (struct gs_mem_verdict *)gs_arena_array(l->arena, w.n ? w.n : 1, sizeof(*v));
	if (!v || w.no_memory)
		return gs_fail(err, -GS_E_LIMIT, 0, "no memory for the result");
	qsort(w.v + w.n_first, w.n - w.n_first, sizeof(*v), most_first);
	memcpy(v, w.v, w.n * sizeof(*v));
	l->r.verdict = v;
	l->r.n_verdict = w.n;
	return 0;
}
