/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Who owns which part of the address space, as far as the runtime and the dynamic linker say: the list of claims. The
 * kernel merges neighbouring anonymous mappings whoever made them, so an owner is a range, not a mapping.
 *
 *   rank 0  arenas of the Go heap
 *        1  other memory of the runtime (gs_rt_heap_meta)
 *        2  the executable, by what its mappings allow, and the part of its data that no file backs (bss);
 *           plugins and libraries with theirs
 *        3  stacks of threads, 4 malloc (mem_malloc.c), which look into what is left
 *
 * An instance is what one load of an ELF file mapped: neighbouring mappings of the file, the first one of offset 0. It is in
 * use if the dynamic linker's list has an object whose dynamic section lies in it.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/mem_private.h"
#include "base/search.h"

#define CLAIMS_MAX (1u << 24)
#define PHDRS_MAX 64u
#define ALLOCATED_LEAST (64u << 10) /* of a mapping that may be an allocator's */

struct instance {
	uint32_t first, last; /* numbers of mappings */
	bool exec, loaded, exe;
};

struct instances {
	struct instance *v;
	uint32_t n, cap;
};

/* ---- claims ---- */

int gs__claim_add(struct gs__claims *c, gs_addr start, gs_addr end, unsigned int class,
		  unsigned int rank, uint32_t item, struct gs_err *err)
{
	if (start >= end)
		return 0;
	if (c->n == c->cap) {
		uint32_t cap = c->cap ? c->cap * 2 : 256;
		struct gs__claim *v =
			cap > CLAIMS_MAX
				? NULL
				: (struct gs__claim *)gs_array_resize(c->v, cap, sizeof(*v));

		if (!v)
			return gs_fail(err, -ENOMEM, 0, "no memory for %u parts of memory", cap);
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = (struct gs__claim){ start, end, item, (uint8_t) class, (uint8_t)rank };
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct gs__claim *x = (const struct gs__claim *)a, *y = (const struct gs__claim *)b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (int)x->rank - (int)y->rank;
}

void gs__claims_settle(struct gs__claims *c)
{
	uint32_t kept = 0;

	if (c->n)
		qsort(c->v, c->n, sizeof(*c->v), by_start);
	for (uint32_t i = 0; i < c->n; i++) {
		struct gs__claim x = c->v[i];

		while (kept && x.start < c->v[kept - 1].end) {
			struct gs__claim *before = &c->v[kept - 1];

			if (x.rank >= before->rank) {
				x.start = before->end;
			} else if (x.start > before->start) {
				before->end = x.start;
			} else {
				kept--; // it had been cut to begin behind us
			}
		}
		if (x.start < x.end)
			c->v[kept++] = x;
	}
	c->n = kept;
}

uint32_t gs__claims_from(const struct gs__claims *c, gs_addr addr)
{
	return GS_SEARCH(i, c->n, c->v[i].end > addr);
}

int gs__each_gap(struct gs_memory_look *l, gs__gap_fn *fn, void *ctx, struct gs_err *err)
{
	const struct gs__claims *c = &l->claims;
	uint32_t at = 0;
	int r = 0;

	for (uint32_t i = 0; i < l->n_vmas && r == 0; i++) {
		const struct gs_vma *v = &l->vma[i];
		gs_addr start = v->map.start;

		if (v->map.shared || v->map.path[0] || v->map.ino ||
		    !(v->map.prot & GS_IMAGE_WRITE) || (l->r.kernel_view && v->rss == 0))
			continue;
		while (at < c->n && c->v[at].end <= start)
			at++;
		for (uint32_t k = at; start < v->map.end && r == 0; k++) {
			bool claimed = k < c->n && c->v[k].start < v->map.end;
			gs_addr end = claimed ? c->v[k].start : v->map.end;

			if (start < end)
				r = fn(ctx, v, start, end, err);
			start = claimed ? c->v[k].end : v->map.end;
		}
	}
	return r;
}

/* ---- the runtime ---- */

static const uint8_t meta_class[GS_RT_META_KINDS] = {
	[GS_RT_META_ARENAS] = GS_MEM_RT_ARENAS,
	[GS_RT_META_PAGE_ALLOC] = GS_MEM_RT_PAGE_ALLOC,
	[GS_RT_META_PERSISTENT] = GS_MEM_RT_PERSISTENT,
	[GS_RT_META_GC_BITS] = GS_MEM_RT_GC_BITS,
	[GS_RT_META_PROFILE] = GS_MEM_RT_PROFILE,
	[GS_RT_META_OTHER] = GS_MEM_RT_OTHER,
};

static int claim_runtime(struct gs_memory_look *l, struct gs_err *err)
{
	const struct gs_rt_meta_range *meta;
	const gs_addr *arena;
	uint32_t n;
	int r = 0;

	if (!l->heap)
		return 0;
	arena = gs_rt_heap_arenas(l->heap, &n);
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = gs__claim_add(&l->claims, arena[i], arena[i] + GS_RT_ARENA, GS__MEM_HEAP,
				  RANK_HEAP, 0, err);
	meta = gs_rt_heap_meta(l->heap, &n);
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = gs__claim_add(&l->claims, meta[i].start, meta[i].end,
				  meta_class[meta[i].kind < GS_RT_META_KINDS ? meta[i].kind
									     : GS_RT_META_OTHER],
				  RANK_RUNTIME, 0, err);
	return r;
}

/* ---- instances of files ---- */

static bool same_file(const struct gs_map *a, const struct gs_map *b)
{
	return a->dev == b->dev && a->ino == b->ino &&
	       (a->path == b->path || strcmp(a->path, b->path) == 0);
}

static bool is_file(const struct gs_map *m)
{
	return m->path[0] == '/' || m->ino != 0;
}

static int find_instances(struct gs_memory_look *l, struct instances *t, struct gs_err *err)
{
	for (uint32_t i = 0; i < l->n_vmas; i++) {
		const struct gs_map *m = &l->vma[i].map, *last;
		struct instance *in = t->n ? &t->v[t->n - 1] : NULL;

		if (!is_file(m))
			continue;
		last = in ? &l->vma[in->last].map : NULL;
		if (!in || !same_file(m, last) || m->offset == 0 || m->offset < last->offset) {
			if (t->n == t->cap) {
				uint32_t cap = t->cap ? t->cap * 2 : 64;
				struct instance *v =
					(struct instance *)gs_array_resize(t->v, cap, sizeof(*v));

				if (!v)
					return gs_fail(err, -ENOMEM, 0, "no memory for %u files",
						       cap);
				t->v = v;
				t->cap = cap;
			}
			in = &t->v[t->n++];
			*in = (struct instance){ .first = i };
		}
		in->last = i;
		in->exec |= (m->prot & GS_IMAGE_EXEC) != 0;
	}
	return 0;
}

static struct instance *instance_at(const struct gs_memory_look *l, struct instances *t,
				    gs_addr addr)
{
	uint32_t at = GS_SEARCH(i, t->n, l->vma[t->v[i].last].map.end > addr);

	if (at == t->n || addr < l->vma[t->v[at].first].map.start)
		return NULL;
	return &t->v[at];
}

/* Where the memory of the ELF file mapped at @start ends by its program headers; @end if they cannot be read. */
static gs_addr elf_end(const struct gs_memory_look *l, gs_addr start, gs_addr end)
{
	const struct gs_memory *m = gs_target_memory(l->target);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), first = UINT64_MAX, last = 0;
	Elf64_Phdr ph[PHDRS_MAX];
	Elf64_Ehdr eh;

	if (gs_memory_read(m, start, &eh, sizeof(eh), NULL) < 0 ||
	    memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 || eh.e_phentsize != sizeof(ph[0]) ||
	    eh.e_phnum == 0 || eh.e_phnum > PHDRS_MAX || eh.e_phoff > (1u << 20) ||
	    gs_memory_read(m, start + eh.e_phoff, ph, eh.e_phnum * sizeof(ph[0]), NULL) < 0)
		return end;
	for (uint32_t i = 0; i < eh.e_phnum; i++) {
		if (ph[i].p_type != PT_LOAD || ph[i].p_vaddr + ph[i].p_memsz < ph[i].p_vaddr)
			continue;
		first = ph[i].p_vaddr < first ? ph[i].p_vaddr : first;
		if (ph[i].p_vaddr + ph[i].p_memsz > last)
			last = ph[i].p_vaddr + ph[i].p_memsz;
	}
	if (first >= last || last > (1ull << 46))
		return end;
	last = start + ((last - (first & ~(page - 1)) + page - 1) & ~(page - 1));
	return last > end ? last : end;
}

/* ---- executable, libraries, plugins ---- */

/* Its bss: by the program headers, or without its file by what the module data says. */
static int claim_bss(struct gs_memory_look *l, const struct gs_rt_module *main, gs_addr files_end,
		     struct gs_err *err)
{
	const struct gs_image *img = gs_target_image(l->target);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), bias = gs_target_bias(l->target);
	int r = 0;

	if (!img)
		return main ? gs__claim_add(&l->claims, files_end,
					    main->enoptrbss > main->ebss ? main->enoptrbss
									 : main->ebss,
					    GS_MEM_BSS, RANK_MODULE, 0, err)
			    : 0;
	for (uint32_t i = 0; i < gs_image_info(img)->n_segments && r == 0; i++) {
		const struct gs_image_segment *s = gs_image_segment_at(img, i);
		uint64_t start = s->addr + s->file_size + bias, end = s->addr + s->size + bias;

		if (!(s->flags & GS_IMAGE_WRITE) || s->file_size >= s->size)
			continue;
		r = gs__claim_add(&l->claims, (start + page - 1) & ~(page - 1),
				  (end + page - 1) & ~(page - 1), GS_MEM_BSS, RANK_MODULE, 0, err);
	}
	return r;
}

/* Nothing says what rights a mapping had that gcore left out of its core file (target/core.c); where the code
 * is the runtime knows. */
static enum gs_mem_class_id class_in_exe(const struct gs_map *m, const struct gs_rt_module *main)
{
	bool code = main && main->text >= m->start && main->text < m->end;

	if (m->prot & GS_IMAGE_EXEC || (code && !(m->prot & GS_IMAGE_WRITE)))
		return GS_MEM_TEXT;
	return m->prot & GS_IMAGE_WRITE ? GS_MEM_DATA : GS_MEM_RODATA;
}

static int claim_exe(struct gs_memory_look *l, const struct instance *in,
		     const struct gs_rt_module *main, struct gs_err *err)
{
	int r = 0;

	for (uint32_t i = in->first; i <= in->last && r == 0; i++) {
		const struct gs_map *m = &l->vma[i].map;
		enum gs_mem_class_id c = class_in_exe(m, main);

		if (is_file(m))
			r = gs__claim_add(&l->claims, m->start, m->end, c, RANK_MODULE, 0, err);
	}
	if (r == 0)
		r = claim_bss(l, main, l->vma[in->last].map.end, err);
	return r;
}

/* Why a Go module is of no use. */
static const char *refused(const struct gs_rt_module *mod, uint32_t n, uint32_t which)
{
	for (uint32_t i = 0; i < n; i++)
		if (i != which && !mod[i].bad && mod[i].path[0] &&
		    strcmp(mod[i].path, mod[which].path) == 0)
			return "refused by plugin.Open: the same plugin is loaded from another "
			       "file";
	return "refused by plugin.Open";
}

static void strip_deleted(const char *path, char *buf, size_t size, const char **note)
{
	static const char deleted[] = " (deleted)";
	size_t len = strlen(path), n = sizeof(deleted) - 1;

	if (len > n && strcmp(path + len - n, deleted) == 0) {
		len -= n;
		*note = *note ? *note : "deleted";
	}
	snprintf(buf, size, "%.*s", (int)len, path);
}

static int claim_instance(struct gs_memory_look *l, const struct instance *in,
			  const struct gs_rt_module *mod, uint32_t n_modules, bool linked,
			  struct gs_err *err)
{
	const struct gs_map *first = &l->vma[in->first].map;
	gs_addr end = l->vma[in->last].map.end;
	enum gs_mem_class_id c = in->loaded ? GS_MEM_LIBRARIES : GS_MEM_LIBRARY_RESIDUE;
	const char *note = in->loaded ? NULL : "no handle of the dynamic linker refers to it";
	char name[4096];
	uint32_t item;

	for (uint32_t i = 1; i < n_modules; i++)
		if (mod[i].text >= first->start && mod[i].text < end) {
			c = mod[i].bad ? GS_MEM_PLUGIN_RESIDUE : GS_MEM_PLUGINS;
			note = mod[i].bad ? refused(mod, n_modules, i) : NULL;
		}
	if (c == GS_MEM_LIBRARY_RESIDUE && !linked)
		c = GS_MEM_FILES, note = NULL;
	strip_deleted(first->path, name, sizeof(name), &note);
	item = gs__item(l, c, name, note, first->start);
	gs__item_more(l, item);
	return gs__claim_add(&l->claims, first->start, elf_end(l, first->start, end), c,
			     RANK_MODULE, item, err);
}

/* Mark what the dynamic linker knows, and itself: in its list it is only where a library needs it. @return whether there
 * is one. */
static bool mark_loaded(struct gs_memory_look *l, struct instances *t)
{
	const struct gs_loaded_object *o;
	struct instance *linker;
	uint64_t base;
	uint32_t n;

	if (gs_target_loaded_objects(l->target, &o, &n, NULL) != 0)
		return false;
	linker = gs_target_auxv(l->target, AT_BASE, &base, NULL) == 0 ? instance_at(l, t, base)
								      : NULL;
	if (linker)
		linker->loaded = true;
	for (uint32_t i = 0; i < n; i++) {
		struct instance *in = instance_at(l, t, o[i].dynamic);

		if (in)
			in->loaded = true;
	}
	return n > 0;
}

/* The executable is what its own segments, or the first module's code, were mapped from. */
static void mark_exe(struct gs_memory_look *l, struct instances *t, const struct gs_rt_module *main)
{
	const struct gs_image *img = gs_target_image(l->target);
	struct instance *in = main ? instance_at(l, t, main->text) : NULL;

	if (in)
		in->exe = true;
	for (uint32_t i = 0; img && i < gs_image_info(img)->n_segments; i++) {
		const struct gs_image_segment *s = gs_image_segment_at(img, i);

		in = s->file_size ? instance_at(l, t, s->addr + gs_target_bias(l->target)) : NULL;
		if (in)
			in->exe = true;
	}
}

static int claim_modules(struct gs_memory_look *l, struct gs_err *err)
{
	const struct gs_rt_module *mod = NULL;
	struct instances t = { 0 };
	uint32_t n_modules = 0;
	bool linked;
	int r;

	r = gs_rt_modules(l->rt, &mod, &n_modules, NULL);
	if (r < 0) {
		gs_incomplete_add(
			&l->inc, "modules_unreadable", 1,
			"the list of Go modules cannot be read: plugins count as libraries");
		n_modules = 0;
	}
	r = find_instances(l, &t, err);
	linked = mark_loaded(l, &t);
	mark_exe(l, &t, n_modules ? &mod[0] : NULL);
	for (uint32_t i = 0; i < t.n && r == 0; i++) {
		if (t.v[i].exe)
			r = claim_exe(l, &t.v[i], n_modules ? &mod[0] : NULL, err);
		else if (t.v[i].exec)
			r = claim_instance(l, &t.v[i], mod, n_modules, linked, err);
	}
	free(t.v);
	return r;
}

int gs__claims_make(struct gs_memory_look *l, struct gs_err *err)
{
	int r = claim_runtime(l, err);

	if (r == 0)
		r = claim_modules(l, err);
	gs__claims_settle(&l->claims);
	return r;
}

/* ---- mappings that nobody claims ---- */

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* Names that the runtime gives its mappings since Go 1.25, where the kernel keeps them (CONFIG_ANON_VMA_NAME). */
static enum gs_mem_class_id runtime_name(const char *name)
{
	static const struct {
		const char *name;
		enum gs_mem_class_id class;
	} names[] = {
		{ "heap",
		  GS_MEM_UNEXPLAINED }, // an arena that was not there when the heap was read
		{ "heap reservation", GS_MEM_UNEXPLAINED },
		{ "user arena chunk", GS_MEM_UNEXPLAINED },
		{ "heap metadata", GS_MEM_RT_ARENAS },
		{ "allspans array", GS_MEM_RT_ARENAS },
		{ "page alloc", GS_MEM_RT_PAGE_ALLOC },
		{ "page summary", GS_MEM_RT_PAGE_ALLOC },
		{ "scavenge index", GS_MEM_RT_PAGE_ALLOC },
		{ "gc bits", GS_MEM_RT_GC_BITS },
		{ "immortal metadata", GS_MEM_RT_PERSISTENT },
		{ "profiler hash buckets", GS_MEM_RT_PROFILE },
		{ "OS thread stack", GS_MEM_THREAD_STACKS },
	};

	for (size_t i = 0; i < GS_ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i].name) == 0)
			return names[i].class;
	return GS_MEM_RT_OTHER;
}

static enum gs_mem_class_id anonymous(struct gs_memory_look *l, const struct gs_vma *v,
				      gs_addr start, gs_addr end, uint32_t *ret_item)
{
	const char *note = v->huge_advised ? "MADV_HUGEPAGE" : NULL;
	uint8_t p = v->map.prot;
	char name[256], size[32];

	if (!note && (p & GS_IMAGE_WRITE) && end - start >= ALLOCATED_LEAST)
		note = l->allocator;
	if (v->anon_name[0])
		snprintf(name, sizeof(name), "[anon:%.200s]", v->anon_name);
	else
		snprintf(name, sizeof(name), "%c%c%c%c %s", p & GS_IMAGE_READ ? 'r' : '-',
			 p & GS_IMAGE_WRITE ? 'w' : '-', p & GS_IMAGE_EXEC ? 'x' : '-',
			 v->map.shared ? 's' : 'p', gs__mem_size(end - start, size, sizeof(size)));
	*ret_item = gs__item(l, GS_MEM_ANONYMOUS, name, note, start);
	gs__item_more(l, *ret_item);
	return GS_MEM_ANONYMOUS;
}

static enum gs_mem_class_id named(struct gs_memory_look *l, enum gs_mem_class_id c,
				  const char *path, gs_addr start, uint32_t *ret_item)
{
	const char *note = NULL;
	char name[4096];

	strip_deleted(path, name, sizeof(name), &note);
	// What has no name in the file system is always "deleted".
	if (c == GS_MEM_SHARED && !begins(path, "/dev/shm/"))
		note = NULL;
	*ret_item =
		gs__item(l, c, begins(name, "/dev/zero") ? "shared anonymous" : name, note, start);
	gs__item_more(l, *ret_item);
	return c;
}

enum gs_mem_class_id gs__vma_class(struct gs_memory_look *l, const struct gs_vma *v, gs_addr start,
				   gs_addr end, uint32_t *ret_item)
{
	static const char *const shared[] = { "/memfd:", "/dev/shm/", "/SYSV", "/dev/zero",
					      "[anon_shmem:" };
	const char *path = v->map.path;

	*ret_item = 0;
	for (size_t i = 0; i < GS_ARRAY_SIZE(shared); i++)
		if (begins(path, shared[i]))
			return named(l, GS_MEM_SHARED, path, start, ret_item);
	if (path[0] == '\0' || begins(path, "[anon:")) {
		if (begins(v->anon_name, "Go: "))
			return runtime_name(v->anon_name + 4);
		return anonymous(l, v, start, end, ret_item);
	}
	if (strcmp(path, "[heap]") == 0)
		return GS_MEM_C_HEAP;
	if (begins(path, "[stack"))
		return named(l, GS_MEM_THREAD_STACKS, "the main thread's", start, ret_item);
	if (path[0] == '[' || begins(path, "anon_inode:") || begins(path, "socket:"))
		return named(l, GS_MEM_KERNEL, path, start, ret_item);
	return named(l, GS_MEM_FILES, path, start, ret_item);
}
