/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A look at memory in plain words: who grew, if there are two looks; where the memory is; and what is unusual, each with
 * what to do. Thresholds are of RSS (of address space in a core file), so that small change is not reported: what is less than 4 MB
 * or less than a twentieth of it has no sentence of its own.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/mem_private.h"

#define VERDICTS_MAX 24u
#define WORTH (4ull << 20)

struct verdicts {
	struct gs_memory_look *l;
	const struct gs_mem_result *r;
	struct gs_mem_verdict v[VERDICTS_MAX];
	uint32_t n, n_first; /* the first ones stay in front */
	uint64_t whole;      /* what parts are parts of */
	bool no_memory;
};

struct sizes {
	char text[8][32];
	unsigned int n;
};

static const char *sz(struct sizes *s, uint64_t bytes)
{
	char *buf = s->text[s->n++ % GS_ARRAY_SIZE(s->text)];

	return gs__mem_size(bytes, buf, sizeof(s->text[0]));
}

static struct gs_mem_verdict *say(struct verdicts *w, enum gs_mem_class_id class, int64_t bytes,
				  const char *advice, const char *fmt, ...) GS_PRINTF(5, 6);
static struct gs_mem_verdict *say(struct verdicts *w, enum gs_mem_class_id class, int64_t bytes,
				  const char *advice, const char *fmt, ...)
{
	struct gs_mem_verdict *v;
	char text[1600];
	va_list ap;

	if (w->n == VERDICTS_MAX)
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
static uint64_t of(const struct verdicts *w, enum gs_mem_class_id c)
{
	return w->r->kernel_view ? w->r->class[c].resident_bytes : w->r->class[c].bytes;
}

static uint64_t sum_of(const struct verdicts *w, enum gs_mem_class_id from, enum gs_mem_class_id to)
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

static bool much(const struct verdicts *w, uint64_t bytes, unsigned int percents)
{
	return bytes >= WORTH && (double)bytes * 100 >= (double)w->whole * percents;
}

static const struct gs_mem_item *largest_item(const struct verdicts *w, enum gs_mem_class_id c)
{
	for (uint32_t i = 0; i < w->r->n_items; i++)
		if (w->r->items[i].class == c)
			return &w->r->items[i];
	return NULL;
}

/* ", most of it in 3 × NAME"; "" if there is no item. */
static const char *most_of_it(const struct verdicts *w, enum gs_mem_class_id c, char *buf,
			      size_t size)
{
	const struct gs_mem_item *it = largest_item(w, c);
	struct sizes s = { 0 };
	uint64_t bytes;

	buf[0] = '\0';
	if (!it)
		return buf;
	bytes = w->r->kernel_view ? it->resident_bytes : it->bytes;
	if (it->count > 1)
		snprintf(buf, size, "; the most in %u × %.200s (%s)", it->count, it->name,
			 sz(&s, bytes));
	else
		snprintf(buf, size, "; the most in %.200s (%s)", it->name, sz(&s, bytes));
	return buf;
}

/* ---- where it is ---- */

static void where(struct verdicts *w)
{
	enum gs_mem_class_id order[GS_MEM_CLASS_COUNT], largest = GS_MEM_UNEXPLAINED;
	const struct gs_mem_result *r = w->r;
	struct sizes s = { 0 };
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
					i ? ", " : ": ", sz(&s, of(w, order[i])),
					gs_mem_class_words(order[i]),
					percent(of(w, order[i]), w->whole));
		if (len >= sizeof(text))
			break;
	}
	if (r->kernel_view)
		say(w, largest, (int64_t)of(w, largest), NULL, "RSS is %s%s.", sz(&s, r->rss_bytes),
		    text);
	else
		say(w, largest, (int64_t)of(w, largest),
		    "The kernel's view is missing: run gosonde mem on the live process to see what "
		    "is "
		    "resident.",
		    "A core file of %s of address space, sizes only: what was resident is not "
		    "known%s.",
		    sz(&s, r->virtual_bytes), text);
	w->n_first = w->n;
}

/* ---- what is unusual ---- */

static void c_heap(struct verdicts *w)
{
	uint64_t c = sum_of(w, GS_MEM_C_HEAP, GS_MEM_C_LARGE);
	uint64_t go = sum_of(w, GS_MEM_HEAP_LIVE, GS_MEM_HEAP_UNUSED);
	uint64_t arenas = of(w, GS_MEM_C_ARENAS);
	enum gs_mem_class_id class = GS_MEM_C_HEAP;
	struct sizes s = { 0 };
	char most[320];

	if (!much(w, c, 10))
		return;
	for (unsigned int k = GS_MEM_C_HEAP; k <= GS_MEM_C_LARGE; k++)
		if (of(w, (enum gs_mem_class_id)k) > of(w, class))
			class = (enum gs_mem_class_id)k;
	say(w, class, (int64_t)c,
	    arenas > c / 2 ? "Arenas multiply with threads that call C: MALLOC_ARENA_MAX=2 bounds "
			     "them. If it still "
			     "grows, look for C.malloc and C.CString without C.free."
			   : "No Go profile shows it. Look for C.malloc and C.CString without "
			     "C.free, or run with "
			     "heaptrack or a malloc with profiling.",
	    "C code holds %s by malloc%s: %s in the main heap, %s in %u arenas of threads, %s in "
	    "large "
	    "blocks%s.",
	    sz(&s, c), c > go ? ", more than Go's objects" : "", sz(&s, of(w, GS_MEM_C_HEAP)),
	    sz(&s, arenas),
	    largest_item(w, GS_MEM_C_ARENAS) ? largest_item(w, GS_MEM_C_ARENAS)->count : 0,
	    sz(&s, of(w, GS_MEM_C_LARGE)), most_of_it(w, GS_MEM_C_LARGE, most, sizeof(most)));
}

static void residue(struct verdicts *w, enum gs_mem_class_id c, const char *what,
		    const char *advice)
{
	const struct gs_mem_class *k = &w->r->class[c];
	struct sizes s = { 0 };
	uint32_t count = 0;
	char most[320];

	for (uint32_t i = 0; i < w->r->n_items; i++)
		count += w->r->items[i].class == c ? w->r->items[i].count : 0;
	if (k->bytes == 0)
		return;
	say(w, c, (int64_t)of(w, c), advice, "%u × %s: %s resident of %s mapped%s%s%s.", count,
	    what, sz(&s, k->resident_bytes), sz(&s, k->bytes), most_of_it(w, c, most, sizeof(most)),
	    largest_item(w, c) && largest_item(w, c)->note ? ", " : "",
	    largest_item(w, c) && largest_item(w, c)->note ? largest_item(w, c)->note : "");
}

static void heap_state(struct verdicts *w)
{
	const struct gs_mem_result *r = w->r;
	uint64_t objects = of(w, GS_MEM_HEAP_LIVE) + of(w, GS_MEM_HEAP_NEW);
	uint64_t unused = of(w, GS_MEM_HEAP_UNUSED), kept = of(w, GS_MEM_HEAP_FREE);
	struct sizes s = { 0 };
	char most[320];

	if (much(w, of(w, GS_MEM_HEAP_LAZY), 5))
		say(w, GS_MEM_HEAP_LAZY, (int64_t)of(w, GS_MEM_HEAP_LAZY),
		    "GODEBUG=madvdontneed=1, the default, returns memory at once.",
		    "%s were given back with MADV_FREE and still count: the kernel takes them when "
		    "it "
		    "needs memory. That is no leak.",
		    sz(&s, of(w, GS_MEM_HEAP_LAZY)));
	if (much(w, unused, 5) && unused * 10 >= (objects + unused) * 3)
		say(w, GS_MEM_HEAP_UNUSED, (int64_t)unused,
		    "A few survivors hold whole spans. Let objects of one size live equally long, "
		    "or pool "
		    "them; a heap profile (inuse_objects) shows the survivors.",
		    "Fragmentation: %s of %s in spans of objects (%u %%) are free slots%s.",
		    sz(&s, unused), sz(&s, objects + unused), percent(unused, objects + unused),
		    most_of_it(w, GS_MEM_HEAP_UNUSED, most, sizeof(most)));
	if (much(w, r->scavenger.behind_bytes, 5))
		say(w, GS_MEM_HEAP_FREE, (int64_t)r->scavenger.behind_bytes,
		    "debug.FreeOSMemory() returns it at once; a memory limit (GOMEMLIMIT) makes "
		    "allocation return it.",
		    "The scavenger is behind by %s: %s.", sz(&s, r->scavenger.behind_bytes),
		    r->scavenger.why);
	else if (much(w, kept, 20))
		say(w, GS_MEM_HEAP_FREE, (int64_t)kept,
		    "If it has to be small: a lower GOGC, GOMEMLIMIT, or debug.FreeOSMemory() "
		    "after "
		    "peaks.",
		    "%s of free heap are kept%s%s.", sz(&s, kept), r->scavenger.why[0] ? ": " : "",
		    r->scavenger.why);
	if (much(w, of(w, GS_MEM_HEAP_NEW), 50) && of(w, GS_MEM_HEAP_NEW) > of(w, GS_MEM_HEAP_LIVE))
		say(w, GS_MEM_HEAP_NEW, (int64_t)of(w, GS_MEM_HEAP_NEW),
		    "A lower GOGC, or GOMEMLIMIT, makes collections come earlier.",
		    "%s of objects were allocated since the last collection (%s were live then); "
		    "the next "
		    "one comes at %s.",
		    sz(&s, of(w, GS_MEM_HEAP_NEW)), sz(&s, of(w, GS_MEM_HEAP_LIVE)),
		    sz(&s, r->heap_goal_bytes));
}

static void huge_pages(struct verdicts *w)
{
	const struct gs_mem_result *r = w->r;
	const struct gs_mem_class *k = r->class;
	uint64_t inflated = k[GS_MEM_HEAP_RETURNED].huge_bytes +
			    k[GS_MEM_HEAP_RESERVED].huge_bytes + k[GS_MEM_HEAP_FREE].huge_bytes;
	uint64_t heap_huge = 0;
	struct sizes s = { 0 };

	for (unsigned int c = GS_MEM_HEAP_LIVE; c <= GS_MEM_GC_WORK; c++)
		heap_huge += k[c].huge_bytes;
	if (much(w, inflated, 5))
		say(w, GS_MEM_HEAP_RETURNED, (int64_t)inflated,
		    "Set transparent_hugepage/khugepaged/max_ptes_none to 0, or let the process "
		    "turn huge "
		    "pages off (prctl PR_SET_THP_DISABLE).",
		    "Huge pages inflate RSS: %s that the heap returned, never used or has free are "
		    "resident because a huge page covers them.",
		    sz(&s, inflated));
	else if (much(w, heap_huge, 20))
		say(w, GS_MEM_HEAP_LIVE, (int64_t)heap_huge, NULL,
		    "%s of the Go heap lie in transparent huge pages%s.", sz(&s, heap_huge),
		    w->l->huge_advised_bytes ? " (MADV_HUGEPAGE)" : "");
	else if (much(w, r->huge_bytes, 20))
		say(w, GS_MEM_ANONYMOUS, (int64_t)r->huge_bytes, NULL,
		    "%s are in transparent huge pages.", sz(&s, r->huge_bytes));
}

static void stacks(struct verdicts *w)
{
	uint64_t largest = 0;
	struct sizes s = { 0 };

	for (uint32_t i = 0; i < w->l->n_stacks; i++)
		if (w->l->stack[i].hi - w->l->stack[i].lo > largest)
			largest = w->l->stack[i].hi - w->l->stack[i].lo;
	if (much(w, of(w, GS_MEM_STACKS), 10))
		say(w, GS_MEM_STACKS, (int64_t)of(w, GS_MEM_STACKS),
		    "gosonde dump groups them by what they do; gosonde leaks tells which will "
		    "never end.",
		    "Goroutine stacks take %s: %u stacks, the largest of %s.",
		    sz(&s, of(w, GS_MEM_STACKS)), w->l->n_stacks, sz(&s, largest));
	if (much(w, of(w, GS_MEM_STACKS_FREE), 10))
		say(w, GS_MEM_STACKS_FREE, (int64_t)of(w, GS_MEM_STACKS_FREE),
		    "The next collections give them back to the heap.",
		    "%s of goroutine stacks are kept for reuse: there were more goroutines, or "
		    "deeper "
		    "ones, before.",
		    sz(&s, of(w, GS_MEM_STACKS_FREE)));
	if (much(w, of(w, GS_MEM_THREAD_STACKS), 10))
		say(w, GS_MEM_THREAD_STACKS, (int64_t)of(w, GS_MEM_THREAD_STACKS),
		    "Threads come from calls into C and from system calls that block.",
		    "Stacks of threads take %s.", sz(&s, of(w, GS_MEM_THREAD_STACKS)));
}

/* Classes for which being large is the news. */
static void large_classes(struct verdicts *w)
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
	struct sizes s = { 0 };
	char most[320];

	for (size_t i = 0; i < GS_ARRAY_SIZE(rules); i++) {
		uint64_t bytes = of(w, rules[i].class);

		if (much(w, bytes, rules[i].percents))
			say(w, rules[i].class, (int64_t)bytes, rules[i].advice, "%s %s%s.",
			    sz(&s, bytes), rules[i].what,
			    most_of_it(w, rules[i].class, most, sizeof(most)));
	}
}

static void limits(struct verdicts *w)
{
	const struct gs_mem_result *r = w->r;
	uint64_t limit = r->cgroup_limit_bytes, used = r->cgroup_bytes;
	struct sizes s = { 0 };

	if (limit && limit != UINT64_MAX && used > limit - limit / 10)
		say(w, GS_MEM_UNEXPLAINED, (int64_t)used,
		    "At the limit the kernel first drops page cache, then kills. GOMEMLIMIT below "
		    "the limit "
		    "makes Go collect in time; it does not count C's memory.",
		    "The cgroup uses %s of %s (%u %%), page cache included.", sz(&s, used),
		    sz(&s, limit), percent(used, limit));
	if (w->l->heap && r->memory_limit_bytes != INT64_MAX && r->memory_limit_bytes > 0) {
		limit = (uint64_t)r->memory_limit_bytes;
		used = gs_rt_heap_stats(w->l->heap)->mapped_ready;
		if (used > limit - limit / 10)
			say(w, GS_MEM_HEAP_LIVE, (int64_t)used,
			    "At the limit the collector runs without pause, up to half of all CPU "
			    "time. Raise "
			    "the limit, or find what is live with a heap profile.",
			    "Go uses %s of its memory limit of %s (%u %%).", sz(&s, used),
			    sz(&s, limit), percent(used, limit));
	}
	if (r->swap_bytes >= WORTH && r->swap_bytes * 10 > w->whole)
		say(w, GS_MEM_UNEXPLAINED, (int64_t)r->swap_bytes, "Each collection reads it back.",
		    "%s are swapped out.", sz(&s, r->swap_bytes));
}

/* ---- who grew ---- */

static const char *base_name(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash ? slash + 1 : file;
}

/* Frames that only carry out what somebody else wants. */
static bool is_carrier(const struct gs_frame *f)
{
	static const char *const begins[] = { "runtime.",  "runtime/",          "syscall.",
					      "internal/", "golang.org/x/sys/", "reflect.",
					      "os." };

	if (f->flags & (GS_FRAME_KERNEL | GS_FRAME_FOREIGN | GS_FRAME_WRAPPER) || !f->function[0])
		return true;
	for (size_t i = 0; i < GS_ARRAY_SIZE(begins); i++)
		if (strncmp(f->function, begins[i], strlen(begins[i])) == 0)
			return true;
	return false;
}

/* "main.(*Cache).load → unix.Mmap cache.go:88" */
static const char *made_by(const struct gs_stack *st, char *buf, size_t size)
{
	const struct gs_frame *who = NULL, *through = NULL;

	buf[0] = '\0';
	for (uint32_t i = 0; st && i < st->n_frames && !who; i++) {
		if (is_carrier(&st->frames[i]))
			through = st->frames[i].function[0] ? &st->frames[i] : through;
		else
			who = &st->frames[i];
	}
	if (!who && st && st->n_frames)
		who = &st->frames[0], through = NULL;
	if (!who)
		return buf;
	snprintf(buf, size, "%.160s%s%.120s %.80s:%u", who->function, through ? " → " : "",
		 through ? base_name(through->function) : "", base_name(who->file), who->line);
	return buf;
}

/* Classes of one kind grow by the same hands: which part of the heap a page is in changes with each collection. */
static unsigned int kind_of(enum gs_mem_class_id c)
{
	if (c <= GS_MEM_HEAP_RESERVED)
		return GS_MEM_HEAP_LIVE;
	if (c == GS_MEM_STACKS_FREE)
		return GS_MEM_STACKS;
	if (c >= GS_MEM_C_HEAP && c <= GS_MEM_C_LARGE)
		return GS_MEM_C_HEAP;
	return c;
}

/* The grower with the best knowledge of that kind: mapping calls before page faults of others, the memory profile for objects. */
static const struct gs_mem_grower *grower_of(const struct verdicts *w, unsigned int kind)
{
	const struct gs_mem_grower *best = NULL;

	for (uint32_t i = 0; i < w->r->n_growers; i++) {
		const struct gs_mem_grower *g = &w->r->growers[i];

		if (kind_of(g->class) != kind || !g->stack || g->stack->n_frames == 0)
			continue;
		if (kind == GS_MEM_HEAP_LIVE && strcmp(g->what, "Go allocations") == 0)
			return g;
		if (!best || (kind != GS_MEM_HEAP_LIVE && g->how < best->how))
			best = g;
	}
	return best;
}

static const char *grown_words(unsigned int kind)
{
	return kind == GS_MEM_HEAP_LIVE ? "the Go heap"
	       : kind == GS_MEM_C_HEAP  ? "the C heap (malloc)"
	       : kind == GS_MEM_STACKS  ? "goroutine stacks"
					: gs_mem_class_words((enum gs_mem_class_id)kind);
}

static const char *grown_advice(unsigned int kind)
{
	switch (kind) {
	case GS_MEM_HEAP_LIVE:
		return "gosonde mem --objects tells which types fill the heap and who holds them.";
	case GS_MEM_C_HEAP:
		return "No Go profile shows it. Look for C.malloc and C.CString without C.free.";
	case GS_MEM_STACKS:
		return "gosonde leaks tells which goroutines will never end.";
	case GS_MEM_ANONYMOUS:
	case GS_MEM_FILES:
		return "What is mapped has to be unmapped: look for the Munmap that is missing.";
	default:
		return NULL;
	}
}

static void growth_of(const struct verdicts *w, int64_t grown[GS_MEM_CLASS_COUNT])
{
	memset(grown, 0, GS_MEM_CLASS_COUNT * sizeof(grown[0]));
	for (uint32_t i = 0; i < w->r->n_growth; i++)
		grown[kind_of(w->r->growth[i].class)] += w->r->growth[i].bytes;
}

static void say_growth(struct verdicts *w, unsigned int kind, int64_t bytes, const char *head,
		       const char *tail)
{
	const struct gs_mem_grower *g = grower_of(w, kind);
	struct gs_mem_verdict *v;
	struct sizes s = { 0 };
	char by[480] = "";
	bool kept = g && strcmp(g->what, "mmap") == 0;

	made_by(g ? g->stack : NULL, by, sizeof(by));
	v = say(w, (enum gs_mem_class_id)kind, bytes, grown_advice(kind), "%s%s in %s%s%s%s%s%s.",
		head, sz(&s, (uint64_t)bytes), grown_words(kind),
		by[0] ? (kept ? " made by " : ", by ") : "", by, kept ? ", never unmapped" : "",
		tail[0] ? "; " : "", tail);
	if (v && g) {
		v->frames = g->stack->frames;
		v->n_frames = g->stack->n_frames;
	}
}

static void growth(struct verdicts *w)
{
	const struct gs_mem_result *r = w->r;
	int64_t total = (int64_t)r->rss_bytes - (int64_t)r->rss_before_bytes;
	int64_t grown[GS_MEM_CLASS_COUNT], first = 0;
	unsigned int seconds = (unsigned int)(((double)r->watched_ns + 5e8) / 1e9), kind = 0;
	char head[128], tail[160] = "";
	struct sizes s = { 0 };

	growth_of(w, grown);
	for (unsigned int k = 0; k < GS_MEM_CLASS_COUNT; k++)
		if (grown[k] > first) {
			first = grown[k];
			kind = k;
		}
	// The unit of the sentence is a second of watching; what came within noise is flat.
	if (first < (int64_t)(1u << 20) || (double)first * 100 < (double)r->rss_bytes) {
		say(w, GS_MEM_UNEXPLAINED, total, NULL,
		    "RSS %s %s in %u s; no class of memory grew by a hundredth of it.",
		    total < 0 ? "shrank by" : "changed by",
		    sz(&s, (uint64_t)(total < 0 ? -total : total)), seconds);
		w->n_first = w->n;
		return;
	}
	if (kind != GS_MEM_HEAP_LIVE && w->l->heap && grown[GS_MEM_HEAP_LIVE] < first / 10)
		snprintf(tail, sizeof(tail), "the Go heap is flat (GC goal %s)",
			 sz(&s, r->heap_goal_bytes));
	snprintf(head, sizeof(head), "RSS %s %s in %u s: ", total < 0 ? "shrank by" : "grew",
		 sz(&s, (uint64_t)(total < 0 ? -total : total)), seconds);
	say_growth(w, kind, first, head, tail);
	for (unsigned int k = 0; k < GS_MEM_CLASS_COUNT; k++)
		if (k != kind && grown[k] >= first / 5 && grown[k] >= (int64_t)(1u << 20))
			say_growth(w, k, grown[k], "Also ", "");
	w->n_first = w->n;
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
	struct verdicts w = { .l = l, .r = &l->r };
	struct gs_mem_verdict *v;

	w.whole = l->r.kernel_view ? l->r.rss_bytes : sum_of(&w, 0, GS_MEM_UNEXPLAINED);
	if (!l->r.kernel_view)
		w.whole -= of(&w, GS_MEM_HEAP_RESERVED) + of(&w, GS_MEM_RT_PAGE_ALLOC);
	if (l->r.watched_ns)
		growth(&w);
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
