/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * /proc/PID/smaps (fs/proc/task_mmu.c, show_smap): a line as in maps, then counters of that mapping,
 *
 *   c000000000-c000400000 rw-p 00000000 00:00 0                              [anon: Go: heap]
 *   Size:               4096 kB
 *   Rss:                 312 kB
 *   …
 *   VmFlags: rd wr mr mw me ac sd hg
 *
 * which the kernel sums over the page table at the moment it prints them. A process may have 100,000 mappings and
 * then 80 MB of text, so the file is taken in pieces and no line is kept. Keys begin with an upper-case letter, the
 * lines of mappings with a digit in lower case; new keys of later kernels are passed over.
 *
 * Zero pages and swapped ones do not count as resident there, huge pages of hugetlbfs neither.
 * numa_maps has one line for each mapping with N<node>=<pages> and the size of its pages.
 */
#include "target/residency.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "target/residency_private.h"

#define LINE_BUFFER (64u << 10) /* a path has at most 4096 bytes, each newline of it becomes four */

/* ---- lines ---- */

/* Hand out the whole lines in @buf; what is left is moved to its beginning. @return as @fn. */
static int take_lines(char *buf, size_t *len, gs__line_fn *fn, void *ctx)
{
	char *p = buf, *end = buf + *len;
	int r = 0;

	while (r == 0) {
		char *nl = (char *)memchr(p, '\n', (size_t)(end - p));

		if (!nl)
			break;
		*nl = '\0';
		r = fn(ctx, p, (size_t)(nl - p));
		p = nl + 1;
	}
	*len = (size_t)(end - p);
	memmove(buf, p, *len);
	return r;
}

int gs__each_line(int dir_fd, const char *name, gs__line_fn *fn, void *ctx)
{
	GS_CLEANUP(gs_closep) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	GS_CLEANUP(gs_freep) char *buf = (char *)malloc(LINE_BUFFER);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	if (!buf)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(fd, buf + len, LINE_BUFFER - len);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno
				     : 0; // a last line without an end was cut: not believed
		len += (size_t)n;
		r = take_lines(buf, &len, fn, ctx);
		if (r)
			return r;
		if (len == LINE_BUFFER)
			return -EBADMSG;
	}
}

/* ---- smaps ---- */

void gs__smaps_deinit(struct gs__smaps *s)
{
	s->arena = gs_arena_free(s->arena);
	free(s->v);
	*s = (struct gs__smaps){ 0 };
}

/* Mappings of one file follow each other: share the copy of its path. */
static const char *intern(struct gs__smaps *s, const char *path, size_t len)
{
	const char *before = s->n ? s->v[s->n - 1].map.path : "";

	if (len == 0)
		return "";
	if (strncmp(before, path, len) == 0 && before[len] == '\0')
		return before;
	return gs_arena_strndup(s->arena, path, len);
}

/* "[anon: Go: heap]" is a name that the process gave (prctl PR_SET_VMA_ANON_NAME), with a space in front. */
static const char *anon_name(struct gs__smaps *s, const char *path, size_t len)
{
	static const char *const prefixes[] = { "[anon:", "[anon_shmem:" };

	for (size_t i = 0; i < GS_ARRAY_SIZE(prefixes); i++) {
		size_t n = strlen(prefixes[i]);

		if (len <= n || path[len - 1] != ']' || strncmp(path, prefixes[i], n) != 0)
			continue;
		n += path[n] == ' ';
		return gs_arena_strndup(s->arena, path + n, len - n - 1);
	}
	return "";
}

static int begin_mapping(struct gs__smaps *s, const char *line, size_t len)
{
	struct gs_vma v = { 0 };
	const char *path;
	size_t path_len;

	if (!gs__maps_line(line, line + len, &v.map, &path, &path_len))
		return -EBADMSG;
	s->skip = s->n && v.map.start < s->v[s->n - 1].map.end;
	if (s->skip)
		return 0;
	if (s->n == s->cap) {
		uint32_t cap = s->cap ? s->cap * 2 : 256;
		struct gs_vma *bigger;

		if (s->n >= GS__MAX_MAPS)
			return -EFBIG;
		bigger = (struct gs_vma *)gs_array_resize(s->v, cap, sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		s->v = bigger;
		s->cap = cap;
	}
	v.map.path = intern(s, path, path_len);
	v.anon_name = anon_name(s, path, path_len);
	if (!v.map.path || !v.anon_name)
		return -ENOMEM;
	s->v[s->n++] = v;
	return 0;
}

/* " mr mw hg" of the line VmFlags (show_smap_vma_flags). */
static void take_flags(struct gs_vma *v, const char *p, const char *end)
{
	for (; end - p >= 2; p++) {
		if (p[0] == ' ' || (p + 2 < end && p[2] != ' '))
			continue;
		v->huge_advised |= p[0] == 'h' && p[1] == 'g';
		v->no_huge |= p[0] == 'n' && p[1] == 'h';
		v->grows_down |= p[0] == 'g' && p[1] == 'd';
		v->dont_dump |= p[0] == 'd' && p[1] == 'd';
		p++;
	}
}

static uint64_t kilobytes(const char *p, const char *end)
{
	uint64_t v = 0;

	while (p < end && *p == ' ')
		p++;
	for (; p < end && *p >= '0' && *p <= '9' && v < UINT64_MAX / 1024 / 100; p++)
		v = v * 10 + (uint64_t)(*p - '0');
	return v * 1024;
}

struct key {
	const char *name;
	size_t len;
	size_t at; /* in struct gs_vma; several keys may add to one */
};
#define KEY(name, field)                                                                           \
	{                                                                                          \
		name ":", sizeof(name), offsetof(struct gs_vma, field)                             \
	}

static const struct key smaps_keys[] = {
	KEY("Rss", rss),
	KEY("Pss", pss),
	KEY("Swap", swap),
	KEY("Shared_Clean", shared_clean),
	KEY("Shared_Dirty", shared_dirty),
	KEY("Private_Clean", private_clean),
	KEY("Private_Dirty", private_dirty),
	KEY("Anonymous", anonymous),
	KEY("LazyFree", lazy_free),
	KEY("AnonHugePages", anon_huge),
	KEY("ShmemPmdMapped", file_huge),
	KEY("FilePmdMapped", file_huge),
	KEY("Shared_Hugetlb", hugetlb),
	KEY("Private_Hugetlb", hugetlb),
	KEY("Locked", locked),
};

int gs__smaps_line(struct gs__smaps *s, const char *line, size_t len)
{
	struct gs_vma *v;

	if (len == 0)
		return -EBADMSG;
	if (*line < 'A' || *line > 'Z')
		return begin_mapping(s, line, len);
	if (s->skip || s->n == 0)
		return s->n == 0 ? -EBADMSG : 0;
	v = &s->v[s->n - 1];
	for (size_t i = 0; i < GS_ARRAY_SIZE(smaps_keys); i++) {
		const struct key *k = &smaps_keys[i];

		if (line[0] != k->name[0] || len < k->len || memcmp(line, k->name, k->len) != 0)
			continue;
		*(uint64_t *)((char *)v + k->at) += kilobytes(line + k->len, line + len);
		return 0;
	}
	if (len > 8 && memcmp(line, "VmFlags:", 8) == 0)
		take_flags(v, line + 8, line + len);
	return 0;
}

static int smaps_line(void *ctx, const char *line, size_t len)
{
	return gs__smaps_line((struct gs__smaps *)ctx, line, len);
}

int gs__smaps_read(const struct gs_process_target *p, const char *file, struct gs__smaps *s,
		   struct gs_err *err)
{
	int r;

	s->arena = gs_arena_new(GS__MAX_MAPS_BYTES);
	if (!s->arena)
		return gs_fail(err, -ENOMEM, 0, "PID %d: no memory for its mappings", p->pid);
	r = gs__each_line(p->proc_fd, file, smaps_line, s);
	if (r == 0 && s->n == 0)
		return gs__process_gone(p, err);
	if (r == -EBADMSG)
		return gs_fail(err, -GS_E_BAD_DATA, 0,
			       "/proc/%d/%s: cannot understand what the kernel prints", p->pid,
			       file);
	if (r == -EFBIG)
		return gs_fail(err, -GS_E_LIMIT, 0,
			       "PID %d: has more than %d mappings, which is our limit", p->pid,
			       GS__MAX_MAPS);
	if (r == -ENOENT && !faccessat(p->proc_fd, "maps", F_OK, 0))
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "the kernel has no /proc/PID/smaps (CONFIG_PROC_PAGE_MONITOR)");
	if (r < 0)
		return gs__process_cannot_open(p, "read the resident memory of", -r, err);
	return 0;
}

/* ---- totals ---- */

void gs__status_parse(const char *text, struct gs_residency_totals *ret)
{
	const struct {
		const char *key;
		uint64_t *to;
	} keys[] = {
		{ "\nVmRSS:", &ret->status_rss },  { "\nRssAnon:", &ret->rss_anon },
		{ "\nRssFile:", &ret->rss_file },  { "\nRssShmem:", &ret->rss_shmem },
		{ "\nVmPTE:", &ret->page_tables }, { "\nVmSize:", &ret->virtual_bytes },
		{ "\nVmHWM:", &ret->peak_rss },    { "\nHugetlbPages:", &ret->status_hugetlb },
	};

	for (size_t i = 0; i < GS_ARRAY_SIZE(keys); i++) {
		// The name in the first line is the process's to choose, but cannot hold a newline.
		const char *p = strstr(text, keys[i].key);

		if (!p)
			continue;
		p += strlen(keys[i].key);
		p += strspn(p, "\t ");
		*keys[i].to = kilobytes(p, p + strnlen(p, 32));
	}
}

static void sum_up(const struct gs__smaps *s, struct gs_residency_totals *t)
{
	for (uint32_t i = 0; i < s->n; i++) {
		const struct gs_vma *v = &s->v[i];

		t->rss += v->rss;
		t->pss += v->pss;
		t->swap += v->swap;
		t->anon_huge += v->anon_huge;
		t->lazy_free += v->lazy_free;
		t->hugetlb += v->hugetlb;
	}
}

void gs__totals_read(const struct gs_process_target *p, struct gs_residency *r)
{
	GS_CLEANUP(gs_freep) char *status = NULL;
	size_t len;

	sum_up(&r->smaps, &r->totals);
	if (gs__slurp(p->proc_fd, "status", 1 << 20, &status, &len) == 0)
		gs__status_parse(status, &r->totals);
	gs__cgroup_read(p, &r->totals);
}

int gs_residency_read(struct gs_target *t, struct gs_residency **ret, struct gs_err *err)
{
	GS_CLEANUP(gs_residency_freep) struct gs_residency *res = NULL;
	const struct gs_process_target *p = (const struct gs_process_target *)t;
	int r;

	if (gs_target_kind(t) != GS_TARGET_PROCESS)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "only a live process has resident memory that can be looked at");
	res = (struct gs_residency *)gs_array_new(1, sizeof(*res));
	if (!res)
		return gs_fail(err, -ENOMEM, 0, "PID %d: no memory for its mappings", p->pid);
	r = gs__smaps_read(p, "smaps", &res->smaps, err);
	if (r < 0)
		return r;
	gs__totals_read(p, res);
	*ret = GS_TAKE(res);
	return 0;
}

struct gs_residency *gs_residency_free(struct gs_residency *r)
{
	if (r) {
		gs__smaps_deinit(&r->smaps);
		free(r->run);
		free(r);
	}
	return NULL;
}

const struct gs_vma *gs_residency_vmas(const struct gs_residency *r, uint32_t *ret_n)
{
	*ret_n = r->smaps.n;
	return r->smaps.v;
}

const struct gs_residency_totals *gs_residency_totals(const struct gs_residency *r)
{
	return &r->totals;
}

/* ---- NUMA ---- */

void gs__numa_line(struct gs_numa *ret, const char *line, size_t len)
{
	uint64_t pages[GS_NUMA_NODES_MAX] = { 0 }, page_kb = 4;
	const char *end = line + len, *p = line;
	static const char size_key[] = "kernelpagesize_kB=";

	while (p < end) {
		const char *word = p, *stop = (const char *)memchr(p, ' ', (size_t)(end - p));
		char *after;

		p = stop ? stop + 1 : end;
		stop = stop ? stop : end;
		if (*word == 'N' && word + 1 < stop && word[1] >= '0' && word[1] <= '9') {
			unsigned long node = strtoul(word + 1, &after, 10);

			if (node < GS_NUMA_NODES_MAX && after < stop && *after == '=')
				pages[node] += kilobytes(after + 1, stop) / 1024;
		} else if ((size_t)(stop - word) > sizeof(size_key) - 1 &&
			   memcmp(word, size_key, sizeof(size_key) - 1) == 0) {
			page_kb = kilobytes(word + sizeof(size_key) - 1, stop) / 1024;
		}
	}
	for (uint32_t i = 0; i < GS_NUMA_NODES_MAX; i++) {
		ret->bytes[i] += pages[i] * page_kb * 1024;
		if (pages[i] && ret->n_nodes <= i)
			ret->n_nodes = i + 1;
	}
}

static int numa_line(void *ctx, const char *line, size_t len)
{
	gs__numa_line((struct gs_numa *)ctx, line, len);
	return 0;
}

int gs_residency_numa(struct gs_target *t, struct gs_numa *ret, struct gs_err *err)
{
	const struct gs_process_target *p = (const struct gs_process_target *)t;
	struct gs_numa numa = { 0 };
	int r;

	if (gs_target_kind(t) != GS_TARGET_PROCESS)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "only a live process has memory on NUMA nodes");
	r = gs__each_line(p->proc_fd, "numa_maps", numa_line, &numa);
	if (r == -ENOENT && faccessat(p->proc_fd, "maps", F_OK, 0) == 0)
		return 1;
	if (r == -EBADMSG)
		return gs_fail(err, -GS_E_BAD_DATA, 0,
			       "/proc/%d/numa_maps: cannot understand what the kernel prints",
			       p->pid);
	if (r < 0)
		return gs__process_cannot_open(p, "read the resident memory of", -r, err);
	*ret = numa;
	return 0;
}
