/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * mem as text:
 *
 *	shop (PID 4711, go1.26.10): 312 MiB resident, swap 0 B, address space 1.9 GiB; cgroup 330 MiB of 512 MiB
 *
 *	RSS grew 212 MiB in 60 s: 205 MiB in anonymous mappings made by main.(*Cache).load …
 *	  → Unmap what is no longer used …
 *	      main.(*Cache).load cache.go:88
 *
 *	RESIDENT   PAGES   SHARE    MAPPED      HUGE  KNOWN
 *	 205 MiB   52480  65.7 %   256 MiB    64 MiB  read      anonymous mappings outside of the Go runtime
 *	 180 MiB   46080           180 MiB    64 MiB              rw-p 1.5 MiB (120)
 *
 *	GROWTH in 60 s: 100 MiB to 312 MiB
 *	…
 *
 * Classes are in the order of what is resident. Of a core file nothing resident is known, so address space takes its place. HUGE is
 * there where any class has huge pages. What is small is left out unless all is asked for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "export/memory_private.h"
#include "export/why_export.h"

#define ITEMS_SHOWN 5u
#define ITEM_SHARE 0.005 /* of the whole; smaller ones without a note are left out */
#define FRAMES_SHOWN 6u
#define GROWERS_SHOWN 3u /* of a class */
#define SITES_SHOWN 5u
#define LEAST_GROWTH (64u << 10)
#define BAR_CELLS 10
#define BAR_WIDTH                                                                                  \
	112 /* of a terminal that has room for bars; without them a line has up to 100 columns */

struct text {
	struct gs__lines t;
	const struct gs_memory_print *p;
	const struct gs_mem_result *r;
	uint64_t whole;  /* RSS; of a core file address space */
	uint64_t least;  /* growth that is worth a line */
	bool bars, huge; /* columns that are there */
};

static void put_line(struct text *x, enum gs__style style)
{
	gs__put_line(&x->t, style);
}

#define put(x, ...) gs_out_printf(&(x)->t.line, __VA_ARGS__)

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100 * (double)part / (double)whole : 0;
}

/* ---- head and verdict ---- */

static void head(struct text *x)
{
	const struct gs_mem_result *r = x->r;
	char a[24];

	gs__mem_put_process(&x->t, r->process);
	if (r->kernel_view)
		put(x, ": %s resident", gs__mem_bytes(a, r->rss_bytes));
	else
		put(x, ": a core file, which does not tell what was resident");
	if (r->swap_bytes)
		put(x, ", %s swapped out", gs__mem_bytes(a, r->swap_bytes));
	if (r->huge_bytes)
		put(x, ", %s in huge pages", gs__mem_bytes(a, r->huge_bytes));
	if (r->virtual_bytes)
		put(x, ", address space %s", gs__mem_bytes(a, r->virtual_bytes));
	if (r->cgroup_bytes)
		put(x, "; its cgroup %s", gs__mem_bytes(a, r->cgroup_bytes));
	if (r->cgroup_bytes && r->cgroup_limit_bytes && r->cgroup_limit_bytes != UINT64_MAX)
		put(x, " of %s", gs__mem_bytes(a, r->cgroup_limit_bytes));
	gs__put_wrapped(&x->t, GS__BOLD, 4);
}

static void verdict(struct text *x)
{
	for (uint32_t i = 0; i < x->r->n_verdict; i++) {
		const struct gs_mem_verdict *v = &x->r->verdict[i];

		if (i == 0)
			put_line(x, GS__PLAIN);
		gs__put_name(&x->t, v->text ? v->text : "");
		gs__put_wrapped(&x->t, i == 0 ? GS__BOLD : GS__PLAIN, 0);
		gs__mem_put_frames(&x->t, v->frames, v->n_frames, FRAMES_SHOWN, 8, x->p->all);
		if (!v->advice || !v->advice[0])
			continue;
		gs_out_str(&x->t.line, "    → ");
		gs__put_name(&x->t, v->advice);
		gs__put_wrapped(&x->t, GS__PLAIN, 6);
	}
}

/* ---- classes ---- */

/* Eighths of a cell, which every terminal font has. */
static void put_bar(struct text *x, uint64_t part, uint64_t whole)
{
	static const char *const eighths[] = { " ", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
	double share = whole ? (double)part / (double)whole : 0;
	unsigned int n = (unsigned int)((share < 1 ? share : 1) * BAR_CELLS * 8 + 0.5), cells = 0;

	for (; cells < n / 8; cells++)
		gs_out_str(&x->t.line, "█");
	if (n % 8) {
		gs_out_str(&x->t.line, eighths[n % 8]);
		cells++;
	}
	put(x, "%*s  ", (int)(BAR_CELLS - cells), "");
}

static const char *or_dash(char buf[24], uint64_t bytes)
{
	return bytes ? gs__mem_bytes(buf, bytes) : "-";
}

static bool any_huge(const struct gs_mem_result *r)
{
	for (int c = 0; c < GS_MEM_CLASS_COUNT; c++)
		if (r->class[c].huge_bytes)
			return true;
	return false;
}

/* Columns of one line; @how NULL: of an item, which has no share of its own. */
static void put_numbers(struct text *x, uint64_t resident, uint64_t bytes, uint64_t huge,
			const char *how)
{
	uint64_t part = x->r->kernel_view ? resident : bytes;
	char a[24];

	if (x->r->kernel_view)
		put(x, "%8s ", or_dash(a, resident));
	if (x->r->kernel_view && resident && x->r->page_bytes)
		put(x, "%7" PRIu64 " ", resident / x->r->page_bytes);
	else if (x->r->kernel_view)
		put(x, "%7s ", "-");
	if (!x->r->kernel_view)
		put(x, "%8s ", or_dash(a, bytes));
	if (how)
		put(x, "%5.1f %%  ", percent(part, x->whole));
	else
		put(x, "%7s  ", "");
	if (x->bars && how)
		put_bar(x, part, x->whole);
	else if (x->bars)
		put(x, "%*s", BAR_CELLS + 2, "");
	if (x->r->kernel_view)
		put(x, "%8s  ", or_dash(a, bytes));
	if (x->huge)
		put(x, "%8s  ", huge ? gs__mem_bytes(a, huge) : "");
	put(x, "%-9s ", how ? how : "");
}

static void title(struct text *x)
{
	put_line(x, GS__PLAIN);
	put(x, x->r->kernel_view ? "RESIDENT   PAGES   SHARE  " : "  MAPPED   SHARE  ");
	if (x->bars)
		put(x, "%*s", BAR_CELLS + 2, "");
	if (x->r->kernel_view)
		put(x, "  MAPPED  ");
	if (x->huge)
		put(x, "    HUGE  ");
	put(x, "KNOWN");
	put_line(x, GS__BOLD);
}

static bool item_shown(const struct text *x, const struct gs_mem_item *i, uint32_t shown)
{
	uint64_t weight = x->r->kernel_view ? i->resident_bytes : i->bytes;

	if (x->p->all)
		return true;
	return shown < ITEMS_SHOWN && (i->note || (double)weight >= (double)x->whole * ITEM_SHARE);
}

static void items(struct text *x, enum gs_mem_class_id c)
{
	uint32_t shown = 0, left = 0;
	uint64_t left_resident = 0, left_bytes = 0;

	for (uint32_t k = 0; k < x->r->n_items; k++) {
		const struct gs_mem_item *i = &x->r->items[k];

		if (i->class != c)
			continue;
		if (!item_shown(x, i, shown)) {
			left++;
			left_resident += i->resident_bytes;
			left_bytes += i->bytes;
			continue;
		}
		put_numbers(x, i->resident_bytes, i->bytes, i->huge_bytes, NULL);
		put(x, "  ");
		gs__put_name(&x->t, i->name ? i->name : "");
		if (i->count > 1)
			put(x, " (%" PRIu32 ")", i->count);
		if (i->note && i->note[0]) {
			put(x, ", ");
			gs__put_name(&x->t, i->note);
		}
		put_line(x, GS__PLAIN);
		shown++;
	}
	if (left && shown) {
		put_numbers(x, left_resident, left_bytes, 0, NULL);
		put(x, "  and %" PRIu32 " more", left);
		put_line(x, GS__DIM);
	}
}

static void classes(struct text *x)
{
	const struct gs_mem_result *r = x->r;
	enum gs_mem_class_id order[GS_MEM_CLASS_COUNT];
	bool any = false;

	gs__mem_class_order(r, order);
	for (int k = 0; k < GS_MEM_CLASS_COUNT; k++) {
		const struct gs_mem_class *c = &r->class[order[k]];

		if (!x->p->all && !c->resident_bytes && !c->bytes && !c->swap_bytes)
			continue;
		if (!any)
			title(x);
		any = true;
		put_numbers(x, c->resident_bytes, c->bytes, c->huge_bytes,
			    c->how ? gs_mem_how_name(c->how) : "");
		put(x, "%s", gs_mem_class_words(order[k]));
		if (c->swap_bytes) {
			char a[24];

			put(x, " (%s more swapped out)", gs__mem_bytes(a, c->swap_bytes));
		}
		put_line(x, x->whole && percent(gs__mem_class_weight(r, order[k]), x->whole) >= 10
				    ? GS__BOLD
				    : GS__PLAIN);
		items(x, order[k]);
	}
}

/* ---- growth ---- */

static uint64_t size_of(int64_t change)
{
	return change < 0 ? -(uint64_t)change : (uint64_t)change;
}

static bool is_call(const struct gs_mem_grower *g)
{
	return g->what && strcmp(g->what, "page faults") != 0 &&
	       strcmp(g->what, "Go allocations") != 0;
}

static void put_grower(struct text *x, const struct gs_mem_grower *g)
{
	char a[24];

	put(x, "    %9s  ", g->bytes ? gs__mem_change(a, g->bytes) : "");
	gs__put_name(&x->t, g->what ? g->what : "");
	if (g->detail) {
		put(x, " ");
		gs__put_name(&x->t, g->detail);
	}
	if (g->runtime)
		put(x, " by %s", g->runtime);
	if (g->cause)
		put(x, " for %s", g->cause);
	if (g->count)
		put(x, ", %" PRIu64 " %s%s", g->count, is_call(g) ? "call" : "time",
		    g->count == 1 ? "" : "s");
	if (g->asked_bytes > size_of(g->bytes) + size_of(g->bytes) / 8)
		put(x, " over %s", gs__mem_bytes(a, g->asked_bytes));
	if (g->how == GS_MEM_ESTIMATED)
		put(x, ", estimated");
	if (g->goid)
		put(x, ", last by goroutine %" PRIu64, g->goid);
	put_line(x, GS__PLAIN);
	if (g->stack)
		gs__mem_put_frames(&x->t, g->stack->frames, g->stack->n_frames, FRAMES_SHOWN, 15,
				   x->p->all);
}

static void growers(struct text *x, enum gs_mem_class_id c)
{
	uint32_t shown = 0, left = 0;

	for (uint32_t i = 0; i < x->r->n_growers; i++) {
		const struct gs_mem_grower *g = &x->r->growers[i];

		if (g->class != c)
			continue;
		if (!x->p->all && (shown == GROWERS_SHOWN || size_of(g->bytes) < x->least)) {
			left++;
			continue;
		}
		put_grower(x, g);
		shown++;
	}
	if (left && shown) {
		put(x, "               and %" PRIu32 " more place%s", left, left == 1 ? "" : "s");
		put_line(x, GS__DIM);
	}
}

/* What was asked for in a class whose resident memory did not change is evidence too. */
static void other_growers(struct text *x, const bool *told)
{
	for (int c = 0; c < GS_MEM_CLASS_COUNT; c++) {
		bool any = false;

		for (uint32_t i = 0; i < x->r->n_growers && !any; i++)
			any = (int)x->r->growers[i].class == c &&
			      (x->p->all || size_of(x->r->growers[i].bytes) >= x->least);
		if (!any || told[c])
			continue;
		put(x, "%9s  %s", "", gs_mem_class_words((enum gs_mem_class_id)c));
		put_line(x, GS__PLAIN);
		growers(x, (enum gs_mem_class_id)c);
	}
}

/* What is worth a line: a hundredth of the largest change. */
static uint64_t least_growth(const struct gs_mem_result *r)
{
	uint64_t largest = 0;

	for (uint32_t i = 0; i < r->n_growth && i < GS_MEM_CLASS_COUNT; i++)
		if (size_of(r->growth[i].bytes) > largest)
			largest = size_of(r->growth[i].bytes);
	return largest / 100 > LEAST_GROWTH ? largest / 100 : LEAST_GROWTH;
}

static void growth_classes(struct text *x)
{
	const struct gs_mem_result *r = x->r;
	bool told[GS_MEM_CLASS_COUNT] = { false };
	uint32_t left = 0;
	int64_t sum = 0;
	char a[24];

	for (uint32_t i = 0; i < r->n_growth && i < GS_MEM_CLASS_COUNT; i++) {
		const struct gs_mem_growth *g = &r->growth[i];

		if (g->class >= GS_MEM_CLASS_COUNT || !g->bytes)
			continue;
		if (!x->p->all && size_of(g->bytes) < x->least) {
			left++;
			sum += g->bytes;
			continue;
		}
		told[g->class] = true;
		put(x, "%9s  %s", gs__mem_change(a, g->bytes), gs_mem_class_words(g->class));
		put_line(x, i == 0 && g->bytes > 0 ? GS__BOLD : GS__PLAIN);
		growers(x, g->class);
	}
	if (left) {
		put(x, "%9s  in %" PRIu32 " other class%s", gs__mem_change(a, sum), left,
		    left == 1 ? "" : "es");
		put_line(x, GS__DIM);
	}
	other_growers(x, told);
}

static void growth(struct text *x)
{
	const struct gs_mem_result *r = x->r;
	char a[24], b[24], c[24], d[24];

	if (r->watched_ns <= 0)
		return;
	x->least = least_growth(r);
	put_line(x, GS__PLAIN);
	put(x, "GROWTH in %s: %s (%s to %s)", gs_why_time(a, r->watched_ns),
	    gs__mem_change(b, (int64_t)(r->rss_bytes - r->rss_before_bytes)),
	    gs__mem_bytes(c, r->rss_before_bytes), gs__mem_bytes(d, r->rss_bytes));
	put_line(x, GS__BOLD);
	growth_classes(x);
}

/* ---- the Go heap ---- */

static void go_heap(struct text *x)
{
	const struct gs_mem_result *r = x->r;
	char a[24];

	if (!r->heap_goal_bytes && !r->n_metrics)
		return;
	put_line(x, GS__PLAIN);
	put(x, "Go heap: ");
	if (r->gc_percent < 0)
		put(x, "GOGC off");
	else
		put(x, "goal %s, GOGC %" PRId32, gs__mem_bytes(a, r->heap_goal_bytes),
		    r->gc_percent);
	if (r->memory_limit_bytes == INT64_MAX || r->memory_limit_bytes <= 0)
		put(x, ", no memory limit");
	else
		put(x, ", memory limit %s", gs__mem_bytes(a, (uint64_t)r->memory_limit_bytes));
	put(x, ", %" PRIu64 " collection%s", r->gc_count, r->gc_count == 1 ? "" : "s");
	if (r->gc_count && r->last_gc_ago_ns >= 0)
		put(x, ", the last %s ago", gs_why_time(a, r->last_gc_ago_ns));
	put_line(x, GS__PLAIN);
}

static void put_goal(struct text *x, const char *words, uint64_t bytes)
{
	char a[24];

	if (bytes != UINT64_MAX)
		put(x, "%s %s", words, gs__mem_bytes(a, bytes));
}

static void scavenger(struct text *x)
{
	const struct gs_mem_scavenger *s = &x->r->scavenger;
	char a[24];

	if (!s->known)
		return;
	put(x, "Scavenger: %s of free pages kept", gs__mem_bytes(a, s->retained_bytes));
	put_goal(x, ", goal of the heap", s->goal_bytes);
	if (x->p->all) {
		put_goal(x, ", by GOGC", s->gc_percent_goal_bytes);
		put_goal(x, ", by the memory limit", s->memory_limit_goal_bytes);
	}
	if (s->behind_bytes)
		put(x, ", behind by %s", gs__mem_bytes(a, s->behind_bytes));
	put_goal(x, "; returned so far: in the background", s->released_background_bytes);
	put_goal(x, ", at once", s->released_eager_bytes);
	put_line(x, GS__PLAIN);
	if (!s->why || !s->why[0])
		return;
	put(x, "  ");
	gs__put_name(&x->t, s->why);
	gs__put_wrapped(&x->t, GS__PLAIN, 2);
}

static void numa(struct text *x)
{
	uint32_t n = x->r->n_numa < 64 ? x->r->n_numa : 64;
	char a[24];

	if (n == 0)
		return;
	put(x, "NUMA:");
	for (uint32_t i = 0; i < n; i++)
		if (x->r->numa_bytes[i] || x->p->all)
			put(x, " node %" PRIu32 " %s (%.0f %%)%s", i,
			    gs__mem_bytes(a, x->r->numa_bytes[i]),
			    percent(x->r->numa_bytes[i], x->r->rss_bytes), i + 1 < n ? "," : "");
	put_line(x, GS__PLAIN);
}

static void put_site(struct text *x, const struct gs_mem_grower *s)
{
	const struct gs_frame *f = s->stack ? gs__mem_culprit(s->stack->frames, s->stack->n_frames)
					    : NULL;
	char a[24];

	put(x, "%9s  ", gs__mem_bytes(a, (uint64_t)s->bytes));
	if (f)
		gs__mem_frame(&x->t.line, f, x->t.go_minor);
	else
		put(x, "?");
	if (s->count)
		put(x, "  (%" PRIu64 " object%s)", s->count, s->count == 1 ? "" : "s");
	put_line(x, GS__PLAIN);
	if (s->stack && (x->p->sites || x->p->all))
		gs__mem_put_frames(&x->t, s->stack->frames, s->stack->n_frames, FRAMES_SHOWN, 15,
				   x->p->all);
}

static void sites(struct text *x)
{
	uint32_t most = x->p->all ? UINT32_MAX : x->p->sites ? x->p->sites : SITES_SHOWN;
	uint32_t shown = 0;

	if (!x->r->n_sites)
		return;
	put_line(x, GS__PLAIN);
	put(x,
	    "ALLOCATED BY (live at the last collection, by the program's memory profile: sampled)");
	put_line(x, GS__BOLD);
	for (uint32_t i = 0; i < x->r->n_sites && shown < most; i++) {
		if (x->r->sites[i].bytes <= 0)
			continue;
		put_site(x, &x->r->sites[i]);
		shown++;
	}
	if (shown == most && shown < x->r->n_sites) {
		put(x, "           and %" PRIu32 " more", x->r->n_sites - shown);
		put_line(x, GS__DIM);
	}
}

static void metrics(struct text *x)
{
	char a[24];

	if (!x->p->all || !x->r->n_metrics)
		return;
	put_line(x, GS__PLAIN);
	put(x, "THE RUNTIME'S OWN COUNTERS (runtime/metrics)");
	put_line(x, GS__BOLD);
	for (uint32_t i = 0; i < x->r->n_metrics && i < GS_MEM_METRICS_MAX; i++) {
		put(x, "%9s  ", gs__mem_bytes(a, x->r->metric[i].bytes));
		gs__put_name(&x->t, x->r->metric[i].name ? x->r->metric[i].name : "?");
		put_line(x, GS__PLAIN);
	}
}

void gs_memory_text(struct gs_out *o, const struct gs_mem_result *r,
		    const struct gs_memory_print *p)
{
	struct text x = { .p = p, .r = r, .huge = any_huge(r) && r->kernel_view };

	gs__lines_init(&x.t, o, p->colour, p->width, r->process);
	x.bars = p->bars && (p->width == 0 || p->width >= BAR_WIDTH);
	x.whole = r->rss_bytes;
	for (int c = 0; !r->kernel_view && c < GS_MEM_CLASS_COUNT; c++)
		x.whole += r->class[c].bytes;
	head(&x);
	verdict(&x);
	growth(&x);
	classes(&x);
	go_heap(&x);
	scavenger(&x);
	numa(&x);
	sites(&x);
	metrics(&x);
	gs__lines_deinit(&x.t);
}
