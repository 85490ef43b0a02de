/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What changed between two looks, in plain words: by how much, in which kind of memory, who did it and what to do about it. A
 * growing process is told of by who made it grow, a shrinking one by who gave back; what else changed by a fifth of
 * that has a sentence of its own. What is within noise (1 MB, a hundredth of RSS) is flat.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/mem_growth.h"
#include "analysis/mem_verdict.h"

#define NOISE (1 << 20)
#define GIVERS 3u      /* named in a sentence */
#define SHARES_MAX 64u /* told apart */

/* ---- kinds ---- */

static uint64_t size_of(int64_t bytes)
{
	return bytes < 0 ? (uint64_t)-bytes : (uint64_t)bytes;
}

/* Classes of one kind change by the same hands: which part of the heap a page is in changes with each collection. */
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

struct change {
	int64_t bytes, huge_bytes;
};

static const char *kind_words(unsigned int kind)
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
	case GS_MEM_THREAD_STACKS:
		return "Threads come from calls into C and system calls that block, and stay; "
		       "runtime.LockOSThread "
		       "takes one for good. Bound how many goroutines do that at once.";
	case GS_MEM_ANONYMOUS:
	case GS_MEM_FILES:
		return "What is mapped has to be unmapped: look for the Munmap that is missing.";
	case GS_MEM_PLUGINS:
	case GS_MEM_PLUGIN_RESIDUE:
		return "Go never unloads a plugin: open each one once, built with the same "
		       "packages as "
		       "the program.";
	case GS_MEM_LIBRARIES:
	case GS_MEM_LIBRARY_RESIDUE:
		return "A library that is opened again and again has to be closed (dlclose), or "
		       "kept.";
	default:
		return NULL;
	}
}

static void changes_of(const struct gs__verdicts *w, struct change change[GS_MEM_CLASS_COUNT])
{
	memset(change, 0, GS_MEM_CLASS_COUNT * sizeof(change[0]));
	for (uint32_t i = 0; i < w->r->n_growth; i++) {
		unsigned int kind = kind_of(w->r->growth[i].class);

		change[kind].bytes += w->r->growth[i].bytes;
		change[kind].huge_bytes += w->r->growth[i].huge_bytes;
	}
}

/* ---- who ---- */

static const char *base_name(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash ? slash + 1 : file;
}

static bool is(const struct gs_mem_grower *g, const char *what)
{
	return strcmp(g->what, what) == 0;
}

/* "C.malloc" of "main._Cfunc_malloc"; others without the folder of their package. */
static const char *short_name(const struct gs_frame *f, char *buf, size_t size)
{
	const char *c = strstr(f->function, "._Cfunc_");

	if (c)
		snprintf(buf, size, "C.%.100s", c + strlen("._Cfunc_"));
	else
		snprintf(buf, size, "%.120s", base_name(f->function));
	return buf;
}

static bool is_runtime(const struct gs_frame *f)
{
	return !(f->flags & GS_FRAME_FOREIGN) &&
	       strncmp(f->function, "runtime.", strlen("runtime.")) == 0;
}

/* "main.(*Cache).load → unix.Mmap cache.go:88"; "the runtime"; "" where the stack does not tell. */
static const char *made_by(const struct gs_stack *st, char *buf, size_t size)
{
	const struct gs_frame *through, *who = gs__mem_doer(st, &through);
	char name[128];

	buf[0] = '\0';
	for (uint32_t i = 0; !who && st && i < st->n_frames; i++) {
		const struct gs_frame *f = &st->frames[i];

		if (is_runtime(f))
			snprintf(buf, size, "the runtime");
		else if (!(f->flags & GS_FRAME_FOREIGN) && f->function[0])
			who = f;
		else if (!buf[0] && f->function[0])
			snprintf(buf, size, "%.160s (C code)", f->function);
	}
	if (who)
		snprintf(buf, size, "%.160s%s%.120s %.80s:%u", who->function, through ? " → " : "",
			 through ? short_name(through, name, sizeof(name)) : "",
			 base_name(who->file), who->line);
	return buf;
}

/* How well a grower explains, the least the best: stacks of the program before the runtime's own, calls before page faults, the memory
 * profile before all for the heap. */
static unsigned int rank_of(const struct gs_mem_grower *g, unsigned int kind)
{
	if (!gs__mem_doer(g->stack, NULL))
		return 3 + (unsigned int)is(g, "page faults");
	if (kind == GS_MEM_HEAP_LIVE)
		return is(g, "Go allocations") ? 0 : is(g, "page faults") ? 1 : 2;
	return is(g, "page faults");
}

/* What one function did in one way, by whatever stacks: what a sentence tells of. */
struct share {
	const struct gs_mem_grower *g; /* the largest */
	int64_t bytes;
};

struct shares {
	struct share v[SHARES_MAX];
	uint32_t n;
};

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_hand(const struct gs_mem_grower *a, const struct gs_mem_grower *b)
{
	const struct gs_frame *x = gs__mem_doer(a->stack, NULL), *y = gs__mem_doer(b->stack, NULL);

	return same(a->what, b->what) && same(a->detail, b->detail) && same(a->cause, b->cause) &&
	       same(x ? x->function : NULL, y ? y->function : NULL);
}

static void add_share(struct shares *s, const struct gs_mem_grower *g)
{
	for (uint32_t i = 0; i < s->n; i++) {
		if (!same_hand(s->v[i].g, g))
			continue;
		s->v[i].bytes += g->bytes;
		if (size_of(g->bytes) > size_of(s->v[i].g->bytes))
			s->v[i].g = g;
		return;
	}
	if (s->n < SHARES_MAX)
		s->v[s->n++] = (struct share){ g, g->bytes };
}

/* Those who made a kind of memory grow (@sign 1), or gave of it back (-1). Growers are sorted: from that end. */
static void shares_of(const struct gs__verdicts *w, unsigned int kind, int sign, struct shares *ret)
{
	ret->n = 0;
	for (uint32_t i = 0; i < w->r->n_growers; i++) {
		const struct gs_mem_grower *g =
			&w->r->growers[sign > 0 ? i : w->r->n_growers - 1 - i];

		if (kind_of(g->class) == kind && g->bytes * sign > 0 && g->stack &&
		    g->stack->n_frames)
			add_share(ret, g);
	}
}

/* The largest of the best that explain at least a tenth of @bytes; then of those that explain less. */
static const struct share *grower_of(const struct shares *s, unsigned int kind, int64_t bytes)
{
	const struct share *best = NULL;
	bool best_much = false;

	for (uint32_t i = 0; i < s->n; i++) {
		const struct share *x = &s->v[i];
		bool much = x->bytes >= bytes / 10;
		unsigned int rank = rank_of(x->g, kind),
			     best_rank = best ? rank_of(best->g, kind) : 0;

		if (!best || (much && !best_much) ||
		    (much == best_much &&
		     (rank < best_rank || (rank == best_rank && x->bytes > best->bytes)))) {
			best = x;
			best_much = much;
		}
	}
	return best;
}

static int most_given_first(const void *a, const void *b)
{
	const struct share *x = a, *y = b;

	return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Who advised huge pages for this kind of memory, or made them. */
static const struct gs_mem_grower *adviser_of(const struct gs__verdicts *w, unsigned int kind)
{
	for (uint32_t i = 0; i < w->r->n_growers; i++) {
		const struct gs_mem_grower *g = &w->r->growers[i];

		if (kind_of(g->class) == kind && g->detail &&
		    (strcmp(g->detail, "MADV_HUGEPAGE") == 0 ||
		     strcmp(g->detail, "MADV_COLLAPSE") == 0))
			return g;
	}
	return NULL;
}

static void add_frames(struct gs_mem_verdict *v, const struct gs_mem_grower *g)
{
	if (!v || !g || !g->stack)
		return;
	v->frames = g->stack->frames;
	v->n_frames = g->stack->n_frames;
}

/* ---- sentences ---- */

/* " made by main.load → unix.Mmap cache.go:88, never unmapped"; with its part of @bytes if that is not nearly all. */
static const char *grown_words(const struct share *share, unsigned int kind, int64_t bytes,
			       char *buf, size_t size)
{
	const struct gs_mem_grower *g = share ? share->g : NULL;
	struct gs__sizes s = { 0 };
	char by[480], part[64] = "";

	buf[0] = '\0';
	if (!g || !made_by(g->stack, by, sizeof(by))[0])
		return buf;
	if (share->bytes < bytes / 10 * 8)
		snprintf(part, sizeof(part), ", %s of it", gs__size(&s, size_of(share->bytes)));
	if (is(g, "dlopen"))
		snprintf(buf, size, "%s by dlopen of %.200s in %s", part[0] ? part : ",",
			 g->detail ? g->detail : "the program itself", by);
	else if (is(g, "page faults"))
		snprintf(buf, size, "%s touched first by %s", part[0] ? part : ",", by);
	else if (is(g, "Go allocations"))
		snprintf(buf, size, "%s by %s", part[0] ? part : ",", by);
	else if (kind == GS_MEM_C_HEAP)
		snprintf(buf, size, "%s made by %s, never freed", part, by);
	else if (g->runtime)
		snprintf(buf, size, "%s made by %s, by %s", part, by, g->runtime);
	else
		snprintf(buf, size, "%s made by %s, never unmapped", part, by);
	return buf;
}

/* "; 40 MiB of it in huge pages, which khugepaged made": memory that nobody asked for. */
static const char *huge_words(const struct gs__verdicts *w, unsigned int kind,
			      const struct change *c, char *buf, size_t size)
{
	const struct gs_mem_grower *g = adviser_of(w, kind);
	struct gs__sizes s = { 0 };
	char by[480] = "";

	buf[0] = '\0';
	if (c->huge_bytes < NOISE || c->huge_bytes < c->bytes / 4)
		return buf;
	if (g)
		made_by(g->stack, by, sizeof(by));
	snprintf(buf, size, "; %s more are in huge pages%s%s%s%s",
		 gs__size(&s, (uint64_t)c->huge_bytes), g ? " (" : "", g ? g->detail : "",
		 by[0] ? " by " : "", by);
	if (g && strlen(buf) + 1 < size)
		strcat(buf, ")");
	return buf;
}

static void say_growth(struct gs__verdicts *w, unsigned int kind, const struct change *c,
		       const char *head, const char *tail)
{
	const struct share *share;
	char by[800], huge[700];
	struct gs__sizes s = { 0 };
	struct gs_mem_verdict *v;
	struct shares shares;

	shares_of(w, kind, 1, &shares);
	share = grower_of(&shares, kind, c->bytes);
	grown_words(share, kind, c->bytes, by, sizeof(by));
	huge_words(w, kind, c, huge, sizeof(huge));
	v = gs__say(w, (enum gs_mem_class_id)kind, c->bytes, grown_advice(kind),
		    "%s%s in %s%s%s%s.", head, gs__size(&s, (uint64_t)c->bytes), kind_words(kind),
		    by, huge, tail);
	add_frames(v, share ? share->g : NULL);
}

/* "given back by the background scavenger": how and by whom. */
static const char *given_words(const struct gs_mem_grower *g, char *buf, size_t size)
{
	const struct gs_frame *who = gs__mem_doer(g->stack, NULL);
	char by[480];

	made_by(g->stack, by, sizeof(by));
	if (g->cause && !who)
		snprintf(buf, size, "given back by %s", g->cause);
	else if (g->cause)
		snprintf(buf, size, "given back by %s in %.160s %.80s:%u", g->cause, who->function,
			 base_name(who->file), who->line);
	else if (is(g, "munmap"))
		snprintf(buf, size, "unmapped%s%s", by[0] ? " by " : "", by);
	else
		snprintf(buf, size, "given back (%s)%s%s", g->detail ? g->detail : g->what,
			 by[0] ? " by " : "", by);
	return buf;
}

/* ", 32 MiB of it given back by …, 16 MiB unmapped by …": those that say a good part of it. */
static const char *givers_words(const struct shares *shares, int64_t bytes, char *buf, size_t size)
{
	bool alone = shares->n && shares->v[0].bytes <= bytes / 10 * 8;
	struct gs__sizes s = { 0 };
	char how[800];
	size_t len = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < shares->n && i < (alone ? 1 : GIVERS) && len < size; i++) {
		const struct share *x = &shares->v[i];

		if (x->bytes > bytes / 10)
			break;
		len += (size_t)snprintf(buf + len, size - len, ", %s%s%s",
					alone ? "" : gs__size(&s, size_of(x->bytes)),
					alone ? ""
					: i   ? " "
					      : " of it ",
					given_words(x->g, how, sizeof(how)));
	}
	return buf;
}

static void say_shrinking(struct gs__verdicts *w, unsigned int kind, const struct change *c,
			  const char *head)
{
	struct gs__sizes s = { 0 };
	struct gs_mem_verdict *v;
	struct shares shares;
	char by[1200];

	shares_of(w, kind, -1, &shares);
	qsort(shares.v, shares.n, sizeof(shares.v[0]), most_given_first);
	givers_words(&shares, c->bytes, by, sizeof(by));
	v = gs__say(w, (enum gs_mem_class_id)kind, c->bytes, NULL, "%s%s less in %s%s.", head,
		    gs__size(&s, size_of(c->bytes)), kind_words(kind), by);
	add_frames(v, shares.n ? shares.v[0].g : NULL);
}

/* ---- the story ---- */

static bool is_noise(const struct gs__verdicts *w, int64_t bytes)
{
	return size_of(bytes) < NOISE || (double)size_of(bytes) * 100 < (double)w->r->rss_bytes;
}

bool gs_memory_lacks_stacks(const struct gs_mem_result *r)
{
	int64_t change[GS_MEM_CLASS_COUNT] = { 0 }, called[GS_MEM_CLASS_COUNT] = { 0 };
	int64_t touched[GS_MEM_CLASS_COUNT] = { 0 };

	for (uint32_t i = 0; i < r->n_growth; i++)
		change[kind_of(r->growth[i].class)] += r->growth[i].bytes;
	for (uint32_t i = 0; i < r->n_growers; i++) {
		const struct gs_mem_grower *g = &r->growers[i];

		if (!g->stack || g->stack->n_frames == 0)
			(is(g, "page faults") ? touched : called)[kind_of(g->class)] += g->bytes;
	}
	for (unsigned int k = 0; k < GS_MEM_CLASS_COUNT; k++)
		if (size_of(change[k]) >= NOISE && (size_of(called[k]) > size_of(change[k]) / 100 ||
						    size_of(touched[k]) > size_of(change[k]) / 100))
			return true;
	return false;
}

/* The kind that changed most in the direction of @sign; GS_MEM_CLASS_COUNT if that is noise. */
static unsigned int most_changed(const struct gs__verdicts *w, const struct change *change,
				 int64_t sign)
{
	unsigned int kind = GS_MEM_CLASS_COUNT;

	for (unsigned int k = 0; k < GS_MEM_CLASS_COUNT; k++)
		if (change[k].bytes * sign > 0 && !is_noise(w, change[k].bytes) &&
		    (kind == GS_MEM_CLASS_COUNT ||
		     change[k].bytes * sign > change[kind].bytes * sign))
			kind = k;
	return kind;
}

void gs__verdict_growth(struct gs__verdicts *w)
{
	const struct gs_mem_result *r = w->r;
	int64_t total = (int64_t)r->rss_bytes - (int64_t)r->rss_before_bytes;
	double seconds = (double)r->watched_ns / 1e9;
	int digits = seconds < 2;
	unsigned int kind;
	struct change change[GS_MEM_CLASS_COUNT];
	char head[128], tail[160] = "";
	struct gs__sizes s = { 0 };

	changes_of(w, change);
	kind = most_changed(w, change, total < 0 ? -1 : 1);
	if (kind == GS_MEM_CLASS_COUNT)
		kind = most_changed(w, change, total < 0 ? 1 : -1);
	if (kind == GS_MEM_CLASS_COUNT) {
		gs__say(w, GS_MEM_UNEXPLAINED, total, NULL,
			"RSS %s by %s in %.*f s; no class of memory changed by a hundredth of it.",
			total < 0 ? "shrank" : "changed", gs__size(&s, size_of(total)), digits,
			seconds);
		w->n_first = w->n;
		return;
	}
	if (kind != GS_MEM_HEAP_LIVE && w->l->heap && change[kind].bytes > 0 &&
	    size_of(change[GS_MEM_HEAP_LIVE].bytes) < size_of(change[kind].bytes) / 10)
		snprintf(tail, sizeof(tail), "; the Go heap is flat (GC goal %s)",
			 gs__size(&s, r->heap_goal_bytes));
	snprintf(head, sizeof(head), "RSS %s %s in %.*f s: ", total < 0 ? "shrank by" : "grew",
		 gs__size(&s, size_of(total)), digits, seconds);
	if (change[kind].bytes > 0)
		say_growth(w, kind, &change[kind], head, tail);
	else
		say_shrinking(w, kind, &change[kind], head);
	for (unsigned int k = 0; k < GS_MEM_CLASS_COUNT; k++) {
		if (k == kind || size_of(change[k].bytes) < NOISE ||
		    size_of(change[k].bytes) < size_of(change[kind].bytes) / 5)
			continue;
		if (change[k].bytes > 0)
			say_growth(w, k, &change[k], "Also ", "");
		else
			say_shrinking(w, k, &change[k], "Also ");
	}
	w->n_first = w->n;
}
