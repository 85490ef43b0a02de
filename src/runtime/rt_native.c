/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Names of addresses that Go's own tables do not know, from ELF symbol tables: code in C (libc, the
 * executable's cgo part, the vDSO), and global variables of the executable.
 *
 *   pc ─► mapping ─► file (opened through /proc/PID/map_files, else /proc/PID/root) ─► link-time address ─► symbol
 *
 * Each mapped file is read once; of its symbols only functions are kept, sorted by address. Where there is no symbol
 * the name is "libfoo.so+0x12", the offset in the file, which addr2line and objdump understand.
 * The vDSO has no file; the kernel maps a whole ELF image of it, which is read from memory.
 */
#include "runtime/rt_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/search.h"

#define FILES_MAX 256u
#define SYMBOLS_MAX (1u << 19) /* of one file */
#define VDSO_MAX (64u << 10)
#define NAME_MAX_BYTES 512 /* of one symbol; C++ has longer ones, which are cut */
#define LOCK_BYTES 24      /* sync.RWMutex, the largest of them */
#define REFRESH_MAX 64u    /* looks at the memory map for pcs that are in no mapping */

struct symbol {
	gs_addr addr;
	uint64_t size;
	const char *name; /* lives as long as the image */
};

struct symbols {
	struct symbol *v;
	uint32_t n, cap;
	gs_addr skip_lo, skip_hi; /* code that Go's tables know */
	bool data;
};

struct native_file {
	uint64_t dev, ino;
	const char *path;           /* arena; tells files without an inode apart */
	const struct gs_image *img; /* NULL: could not be opened */
	struct gs_image *owned;
	void *bytes; /* of the vDSO */
	struct symbols code;
};

struct gs__natives {
	struct native_file file[FILES_MAX];
	uint32_t n, refreshes;
	struct symbols data;
	bool have_data;
};

void gs__natives_free(struct gs_rt *rt)
{
	struct gs__natives *nat = rt->natives;

	if (!nat)
		return;
	for (uint32_t i = 0; i < nat->n; i++) {
		free(nat->file[i].code.v);
		gs_image_free(nat->file[i].owned);
		free(nat->file[i].bytes);
	}
	free(nat->data.v);
	free(nat);
	rt->natives = NULL;
}

/* Go's linker names data that is no variable with a package of its own: types, strings, tables. */
static bool is_variable(const char *name)
{
	static const char *const made_up[] = { "type:",           "type.", "go:",     "go.",
					       "runtime.gcbits.", "$",     "gclocals" };

	for (size_t i = 0; i < GS_ARRAY_SIZE(made_up); i++)
		if (strncmp(name, made_up[i], strlen(made_up[i])) == 0)
			return false;
	return true;
}

static int take_symbol(void *ctx, const struct gs_image_symbol *s)
{
	struct symbols *t = ctx;

	if (s->is_function == t->data || !s->name[0] ||
	    (s->addr >= t->skip_lo && s->addr < t->skip_hi))
		return 0;
	if (t->data && (s->size == 0 || !is_variable(s->name)))
		return 0;
	if (t->n == t->cap) {
		uint32_t cap = t->cap ? t->cap * 2 : 1024;
		struct symbol *v;

		if (t->n >= SYMBOLS_MAX)
			return 1;
		v = gs_array_resize(t->v, cap, sizeof(*v));
		if (!v)
			return 1;
		t->v = v;
		t->cap = cap;
	}
	t->v[t->n++] = (struct symbol){ s->addr, s->size, s->name };
	return 0;
}

/* By address; of several names for one address the largest extent comes first, then by name, so that the
 * choice does not depend on the order in the file. */
static int symbol_order(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void load_symbols(struct symbols *t, const struct gs_image *img)
{
	/* A damaged table ends early: what was found before is as good as it gets. */
	(void)!gs_image_each_symbol(img, take_symbol, t, NULL);
	if (t->n)
		qsort(t->v, t->n, sizeof(*t->v), symbol_order);
}

/* The symbol that contains @addr; those without a size reach to the next one. */
static const struct symbol *find_symbol(const struct symbols *t, gs_addr addr)
{
	uint32_t behind = GS_SEARCH(i, t->n, t->v[i].addr > addr);

	if (behind == 0)
		return NULL;
	gs_addr start = t->v[behind - 1].addr;

	while (behind > 1 && t->v[behind - 2].addr == start)
		behind--;
	const struct symbol *s = &t->v[behind - 1];
	return s->size == 0 || addr - s->addr < s->size ? s : NULL;
}

static struct gs__natives *natives(struct gs_rt *rt)
{
	if (!rt->natives)
		rt->natives = calloc(1, sizeof(*rt->natives));
	return rt->natives;
}

static void open_vdso(struct gs_rt *rt, struct native_file *f, const struct gs_map *m)
{
	uint64_t size = m->end - m->start;

	if (size > VDSO_MAX || !(f->bytes = malloc(size)) ||
	    gs_memory_read(rt->mem, m->start, f->bytes, size, NULL) < 0 ||
	    gs_image_from_bytes(f->bytes, size, "[vdso]", &f->owned, NULL) < 0)
		return;
	f->img = f->owned;
}

static void open_file(struct gs_rt *rt, struct native_file *f, const struct gs_map *m)
{
	const struct gs_target_identity *id = gs_target_identity(rt->target);

	if (m->ino && m->ino == id->exe_ino && m->dev == id->exe_dev) {
		f->img = rt->img;
		f->code.skip_lo = rt->module[0].lo - rt->bias;
		f->code.skip_hi = rt->module[0].hi - rt->bias;
	} else if (strcmp(m->path, "[vdso]") == 0) {
		open_vdso(rt, f, m);
	} else if (m->ino && m->path[0] == '/' && gs_target_kind(rt->target) == GS_TARGET_PROCESS) {
		GS_CLEANUP(gs_closep) int fd = gs_map_open(id->pid, m, true);

		if (fd >= 0 && gs_image_open_fd(fd, m->path, &f->owned, NULL) == 0)
			f->img = f->owned;
	}
	if (f->img)
		load_symbols(&f->code, f->img);
}

static struct native_file *file_of(struct gs_rt *rt, const struct gs_map *m)
{
	struct gs__natives *nat = natives(rt);

	if (!nat)
		return NULL;
	for (uint32_t i = 0; i < nat->n; i++) {
		struct native_file *f = &nat->file[i];

		if (f->dev == m->dev && f->ino == m->ino &&
		    (m->ino || strcmp(f->path, m->path) == 0))
			return f;
	}
	if (nat->n == FILES_MAX)
		return NULL;
	struct native_file *f = &nat->file[nat->n];
	const char *path = gs_arena_strndup(rt->arena, m->path, strlen(m->path));

	if (!path)
		return NULL;
	*f = (struct native_file){ .dev = m->dev, .ino = m->ino, .path = path };
	nat->n++;
	open_file(rt, f, m);
	return f;
}

static const struct gs_map *map_of(struct gs_rt *rt, gs_addr pc)
{
	const struct gs_map *m = gs_target_map_at(rt->target, pc);
	struct gs__natives *nat = natives(rt);

	if (m || !nat || nat->refreshes >= REFRESH_MAX)
		return m;
	nat->refreshes++; /* a library may have been loaded since */
	return gs_target_refresh_maps(rt->target, NULL) == 0 ? gs_target_map_at(rt->target, pc)
							     : NULL;
}

/* The address that a file's symbols use for @offset in it. */
static bool link_address(const struct gs_image *img, uint64_t offset, gs_addr *ret)
{
	const struct gs_image_info *info = gs_image_info(img);

	for (uint32_t i = 0; i < info->n_segments; i++) {
		const struct gs_image_segment *s = gs_image_segment_at(img, i);

		if (offset >= s->offset && offset - s->offset < s->file_size) {
			*ret = s->addr + (offset - s->offset);
			return true;
		}
	}
	return false;
}

const char *gs__native_name(struct gs_rt *rt, gs_addr pc, gs_addr *ret_entry)
{
	const struct gs_map *m = map_of(rt, pc);
	struct native_file *f = m && m->path[0] ? file_of(rt, m) : NULL;
	char text[NAME_MAX_BYTES];
	const char *base;
	gs_addr link;

	if (!f)
		return NULL;
	uint64_t offset = pc - m->start + m->offset;

	if (f->img && link_address(f->img, offset, &link)) {
		const struct symbol *s = find_symbol(&f->code, link);

		if (s) {
			*ret_entry = pc - (link - s->addr);
			return gs_arena_strndup(rt->arena, s->name,
						strnlen(s->name, NAME_MAX_BYTES));
		}
	}
	base = strrchr(m->path, '/');
	snprintf(text, sizeof(text), "%.400s+0x%" PRIx64, base ? base + 1 : m->path, offset);
	return gs_arena_strndup(rt->arena, text, strlen(text));
}

const char *gs_rt_object_name(struct gs_rt *rt, gs_addr addr)
{
	const struct gs_go_moduledata *md = &rt->module[0].md;
	struct gs__natives *nat = natives(rt);
	char text[NAME_MAX_BYTES];

	/* Go's linker lays out noptrdata, data, bss, noptrbss in a row; cgo's variables lie around them. */
	if (!nat || addr < rt->bias || addr < md->noptrdata || addr >= md->end)
		return NULL;
	if (!nat->have_data) {
		nat->data.data = true;
		load_symbols(&nat->data, rt->img);
		nat->have_data = true;
	}
	const struct symbol *s = find_symbol(&nat->data, addr - rt->bias);

	if (!s)
		return NULL;
	uint64_t off = addr - rt->bias - s->addr;

	/* A mutex waits at the semaphore inside of it; a variable that small is nothing else. */
	if (off && s->size > LOCK_BYTES)
		snprintf(text, sizeof(text), "%.460s+0x%" PRIx64, s->name, off);
	else
		snprintf(text, sizeof(text), "%.511s", s->name);
	return gs_arena_strndup(rt->arena, text, strlen(text));
}
