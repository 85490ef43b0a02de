/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Resident memory without smaps. What makes smaps slow is that it looks at the struct page of each page (who else maps it,
 * whether it is dirty): a cache miss for each, 0.3 s for 4 GB. PAGEMAP_SCAN looks at page table entries only, as long as it
 * is not asked for files.
 *
 * Entries that smaps does not count as resident are told apart by what they are in: [vvar] and devices (pages without a
 * struct page). Pages of hugetlbfs cannot be told, so a process that has any (status: HugetlbPages) is left to smaps. At the
 * end the sum has to agree with VmRSS, which the kernel keeps without walking (per CPU, so it may be some pages off).
 *
 * The ranges of one call are bounded, for the kernel holds the target's mmap lock meanwhile; they grow where nothing is.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/search.h"
#include "target/residency_private.h"

#define CHUNK_BYTES (512ull << 20) /* some 2 ms */
#define CHUNK_MAX (64ull << 30)
#define RUNS_MAX (8u << 20)
#define OFF_PAGES_PER_CPU                                                                          \
	256 /* 4 counters, a batch of at least 32 pages each; more with many CPUs */

struct quick {
	struct gs_residency *r;
	uint32_t at; /* mapping */
	bool any, no_memory;
};

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* Mappings of what has no struct page. */
static bool counts(const struct gs_vma *v)
{
	const char *p = v->map.path;

	if (begins(p, "/dev/"))
		return begins(p, "/dev/shm/") || begins(p, "/dev/zero");
	return !begins(p, "[vvar") && !begins(p, "[vsyscall") && !begins(p, "anon_inode:");
}

static bool remember(struct gs_residency *r, gs_addr start, gs_addr end, bool huge)
{
	struct gs_page_run *last = r->n_runs ? &r->run[r->n_runs - 1] : NULL;

	if (last && last->end == start && last->huge == huge) {
		last->end = end;
		return true;
	}
	if (r->n_runs == r->runs_cap) {
		uint32_t cap = r->runs_cap ? r->runs_cap * 2 : 4096;
		struct gs_page_run *v =
			cap > RUNS_MAX
				? NULL
				: (struct gs_page_run *)gs_array_resize(r->run, cap, sizeof(*v));

		if (!v)
			return false;
		r->run = v;
		r->runs_cap = cap;
	}
	r->run[r->n_runs++] = (struct gs_page_run){ start, end, huge };
	return true;
}

static void count(struct gs_vma *v, const struct gs__scan_run *run, uint64_t bytes)
{
	if (!run->present) {
		v->swap += bytes;
		return;
	}
	v->rss += bytes;
	if (run->huge && (v->map.path[0] == '/' || v->map.ino))
		v->file_huge += bytes;
	else if (run->huge)
		v->anon_huge += bytes;
}

static int take_run(void *ctx, const struct gs__scan_run *run)
{
	struct quick *q = (struct quick *)ctx;
	struct gs__smaps *s = &q->r->smaps;
	gs_addr at = run->start;

	q->any = true;
	while (q->at < s->n && s->v[q->at].map.end <= at)
		q->at++;
	// A run may reach over neighbouring mappings; what lies in none was mapped since.
	for (uint32_t i = q->at; i < s->n && s->v[i].map.start < run->end; i++) {
		struct gs_vma *v = &s->v[i];
		gs_addr lo = v->map.start > at ? v->map.start : at;
		gs_addr hi = v->map.end < run->end ? v->map.end : run->end;

		if (lo >= hi || !counts(v))
			continue;
		count(v, run, hi - lo);
		if (run->present && !remember(q->r, lo, hi, run->huge))
			q->no_memory = true;
	}
	return q->no_memory;
}

static int scan_all(int fd, struct quick *q, struct gs_err *err)
{
	const struct gs__smaps *s = &q->r->smaps;
	uint64_t chunk = CHUNK_BYTES;
	gs_addr at = 0, last = 0;
	int r = 0;

	// The kernel refuses ranges that reach beyond what user space may have.
	for (uint32_t i = 0; i < s->n && !(s->v[i].map.start >> 63); i++)
		last = s->v[i].map.end;
	for (uint32_t i = 0; i < s->n && r == 0;) {
		gs_addr end;

		if (at >= s->v[i].map.end) {
			i++;
			continue;
		}
		at = at > s->v[i].map.start ? at : s->v[i].map.start;
		if (at >= last)
			break; // [vsyscall]
		end = last - at < chunk ? last : at + chunk;
		q->any = false;
		r = gs__scan(fd, at, end, true, take_run, q, err);
		chunk = q->any || chunk >= CHUNK_MAX ? CHUNK_BYTES : chunk * 2;
		at = end;
	}
	return r;
}

/* Whether the sum is one that VmRSS can stand for. */
static bool agrees(const struct gs_residency_totals *t)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	uint64_t slack = (uint64_t)(cpus > 0 ? cpus : 1) * OFF_PAGES_PER_CPU * 4096;
	uint64_t off = t->rss > t->status_rss ? t->rss - t->status_rss : t->status_rss - t->rss;

	// A process that runs on changes meanwhile.
	slack += t->status_rss / 20;
	return t->status_hugetlb == 0 && off <= slack;
}

int gs_residency_read_quick(struct gs_target *t, struct gs_residency **ret, struct gs_err *err)
{
	GS_CLEANUP(gs_residency_freep) struct gs_residency *res = NULL;
	const struct gs_process_target *p = (const struct gs_process_target *)t;
	GS_CLEANUP(gs_closep) int fd = -1;
	struct quick q = { 0 };
	int r;

	if (gs_target_kind(t) != GS_TARGET_PROCESS)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "only a live process has resident memory that can be looked at");
	fd = openat(p->proc_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return gs__process_cannot_open(p, "read the pages of", errno, err);
	res = (struct gs_residency *)gs_array_new(1, sizeof(*res));
	if (!res)
		return gs_fail(err, -ENOMEM, 0, "PID %d: no memory for its mappings", p->pid);
	r = gs__smaps_read(p, "maps", &res->smaps, err);
	if (r < 0)
		return r;
	q.r = res;
	r = scan_all(fd, &q, err);
	if (r == -ENOTTY || q.no_memory)
		return 1;
	if (r < 0)
		return r;
	res->has_runs = true;
	gs__totals_read(p, res);
	if (!agrees(&res->totals))
		return 1;
	*ret = GS_TAKE(res);
	return 0;
}

int gs_residency_seen(const struct gs_residency *r, gs_addr start, gs_addr end,
		      int (*visit)(void *ctx, const struct gs_page_run *run), void *ctx)
{
	uint32_t at;
	int x = 0;

	if (!r->has_runs)
		return 1;
	at = GS_SEARCH(i, r->n_runs, r->run[i].end > start);
	for (; at < r->n_runs && r->run[at].start < end && x == 0; at++) {
		struct gs_page_run run = r->run[at];

		run.start = run.start > start ? run.start : start;
		run.end = run.end < end ? run.end : end;
		x = visit(ctx, &run);
	}
	return x;
}
