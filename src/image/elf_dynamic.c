/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What the dynamic loader would read of an ELF file: PT_DYNAMIC, needed libraries, the symbol table
 * behind DT_SYMTAB when there are no section headers, and RELATIVE relocations.
 *
 * RELATIVE relocations give the words that a position independent executable has after loading.
 * With RELA the word is the addend and the file may hold anything (linkers other than Go's leave
 * zeros). RELR and REL keep the addend in the file, so the file's own bytes are right already and
 * these tables need not be read.
 *
 * Linkers put RELATIVE relocations first and in order (DT_RELACOUNT), Go's writes them in section
 * order; both are searched in place. Only tables in disorder are copied and sorted.
 */
#include <errno.h>

#include "image/image_private.h"

/* A dynamic section has some dozens of entries. */
#define MAX_DYNAMIC (1u << 16)
/* Bound on the copy of a table in disorder: 128 MB. */
#define MAX_SORTED_RELOCS ((size_t)8 << 20)

static int locate_dynamic(struct gs_image *img, struct gs_cursor *ret, struct gs_err *err)
{
	for (uint64_t i = 0; i < gs__elf_n_phdrs(img); i++) {
		Elf64_Phdr ph;
		int r = gs__elf_phdr(img, i, &ph, err);

		if (r < 0)
			return r;
		if (ph.p_type == PT_DYNAMIC)
			return gs_cursor_window(&img->file, ph.p_offset, ph.p_filesz, ret, err);
	}
	return 1;
}

/* The string table: DT_STRSZ bytes, or what there is if that is too much. */
static int dynamic_strings(struct gs_image *img, gs_addr addr, uint64_t size, struct gs_cursor *ret,
			   struct gs_err *err)
{
	struct gs_cursor c;
	int r = addr ? gs_image_at(img, addr, &c, err) : 1;

	if (r < 0)
		return r;
	if (r == 1)
		c = gs_cursor_make(NULL, 0, img->name);
	return gs_cursor_sub(&c, size < gs_cursor_left(&c) ? size : gs_cursor_left(&c), ret, err);
}

static int read_dynamic(struct gs_image *img, struct gs_err *err)
{
	struct gs__elf_dynamic *d = &img->elf.dynamic;
	gs_addr strtab = 0;
	uint64_t strsz = 0, n;
	struct gs_cursor c;
	int r = locate_dynamic(img, &c, err);

	if (r < 0)
		return gs_fail_in(err, r, "cannot read the dynamic section of %s", img->name);
	if (r)
		return 0;
	d->there = true;
	d->entries = c;
	n = gs_cursor_left(&c) / sizeof(Elf64_Dyn);
	for (uint64_t i = 0; i < n && i < MAX_DYNAMIC; i++) {
		Elf64_Dyn dyn;

		r = gs_cursor_bytes(&c, &dyn, sizeof(dyn), err);
		if (r < 0)
			return r;
		if (dyn.d_tag == DT_NULL)
			break;
		else if (dyn.d_tag == DT_STRTAB)
			strtab = dyn.d_un.d_ptr;
		else if (dyn.d_tag == DT_STRSZ)
			strsz = dyn.d_un.d_val;
		else if (dyn.d_tag == DT_SYMTAB)
			d->symtab = dyn.d_un.d_ptr;
		else if (dyn.d_tag == DT_HASH)
			d->hash = dyn.d_un.d_ptr;
		else if (dyn.d_tag == DT_GNU_HASH)
			d->gnu_hash = dyn.d_un.d_ptr;
		else if (dyn.d_tag == DT_RELA)
			d->rela = dyn.d_un.d_ptr;
		else if (dyn.d_tag == DT_RELASZ)
			d->rela_size = dyn.d_un.d_val;
	}
	return dynamic_strings(img, strtab, strsz, &d->strings, err);
}

/* PT_DYNAMIC decoded. @return 0; 1 if the file has none. */
static int dynamic(struct gs_image *img, const struct gs__elf_dynamic **ret, struct gs_err *err)
{
	struct gs__elf_dynamic *d = &img->elf.dynamic;
	int r = gs__image_once(img, &d->lazy, read_dynamic, err);

	if (r < 0)
		return r;
	*ret = d;
	return d->there ? 0 : 1;
}

int gs__elf_needed(struct gs_image *img, uint32_t i, const char **ret, struct gs_err *err)
{
	const struct gs__elf_dynamic *d;
	struct gs_cursor c;
	uint32_t seen = 0;
	int r = dynamic(img, &d, err);

	if (r)
		return r;
	c = d->entries;
	for (uint32_t k = 0; gs_cursor_left(&c) >= sizeof(Elf64_Dyn) && k < MAX_DYNAMIC; k++) {
		Elf64_Dyn dyn;
		size_t len;

		r = gs_cursor_bytes(&c, &dyn, sizeof(dyn), err);
		if (r < 0)
			return r;
		if (dyn.d_tag == DT_NULL)
			break;
		if (dyn.d_tag != DT_NEEDED || seen++ != i)
			continue;
		*ret = gs__string_at(&d->strings, dyn.d_un.d_val, GS__MAX_SECTION_NAME, &len);
		if (!*ret)
			return gs_fail(err, -GS_E_BAD_DATA, 0, "%s: needed library %u has no name",
				       img->name, i);
		return 0;
	}
	return 1;
}

/* Number of dynamic symbols by DT_HASH: one chain word per symbol. */
static int count_by_hash(struct gs_image *img, gs_addr hash, uint64_t *ret, struct gs_err *err)
{
	struct gs_cursor c;
	uint32_t nbucket, nchain = 0;
	int r = gs__image_range(img, hash, 8, &c, err);

	if (r)
		return r;
	r = gs_cursor_u32(&c, &nbucket, err);
	if (r == 0)
		r = gs_cursor_u32(&c, &nchain, err);
	*ret = nchain;
	return r;
}

/* Number of dynamic symbols by DT_GNU_HASH: the chain of the highest bucket ends with a set low
 * bit; symbols below symoffset are not hashed. */
static int count_by_gnu_hash(struct gs_image *img, gs_addr hash, uint64_t *ret, struct gs_err *err)
{
	struct gs_cursor c, buckets;
	uint32_t head[4], last = 0, word = 0;
	int r = gs_image_at(img, hash, &c, err);

	if (r)
		return r;
	r = gs_cursor_bytes(&c, head, sizeof(head), err); // nbuckets, symoffset, bloom size, shift
	if (r == 0)
		r = gs_cursor_skip(&c, (uint64_t)head[2] * 8, err);
	if (r == 0)
		r = gs_cursor_sub(&c, (uint64_t)head[0] * 4, &buckets, err);
	while (r == 0 && gs_cursor_left(&buckets) > 0) {
		r = gs_cursor_u32(&buckets, &word, err);
		last = word > last ? word : last;
	}
	if (r < 0)
		return r;
	if (last < head[1]) {
		*ret = head[1];
		return 0;
	}
	r = gs_cursor_skip(&c, (uint64_t)(last - head[1]) * 4, err);
	for (word = 0; r == 0 && !(word & 1); last++)
		r = gs_cursor_u32(&c, &word, err);
	*ret = last;
	return r;
}

int gs__elf_dynamic_symtab(struct gs_image *img, struct gs__symtab *ret, struct gs_err *err)
{
	const struct gs__elf_dynamic *d;
	struct gs_cursor c, records;
	uint64_t n = 0;
	int r = dynamic(img, &d, err);

	if (r || !d->symtab || (!d->hash && !d->gnu_hash))
		return r < 0 ? r : 1;
	r = d->hash ? count_by_hash(img, d->hash, &n, err)
		    : count_by_gnu_hash(img, d->gnu_hash, &n, err);
	if (r == 0)
		r = gs_image_at(img, d->symtab, &c, err);
	if (r == 0)
		r = gs_cursor_table(&c, n, sizeof(Elf64_Sym), &records, err);
	if (r < 0)
		return gs_fail_in(err, r, "cannot read the dynamic symbols of %s", img->name);
	if (r || n > GS__MAX_SYMBOLS)
		return 1;
	*ret = (struct gs__symtab){ .records = records,
				    .strings = d->strings,
				    .n = (uint32_t)n,
				    .record_size = sizeof(Elf64_Sym) };
	return 0;
}

static bool is_relative(const struct gs_image *img, const Elf64_Rela *rela)
{
	uint64_t type = ELF64_R_TYPE(rela->r_info);

	return img->info.arch == GS_ARCH_ARM64 ? type == R_AARCH64_RELATIVE
					       : type == R_X86_64_RELATIVE;
}

/* The relocations the loader applies: DT_RELA. @return 0; 1 if there are none. */
static int locate_relocs(struct gs_image *img, struct gs_cursor *ret, struct gs_err *err)
{
	const struct gs__elf_dynamic *d;
	int r = dynamic(img, &d, err);

	if (r)
		return r;
	if (!d->rela || !d->rela_size)
		return 1;
	r = gs__image_range(img, d->rela, d->rela_size - d->rela_size % sizeof(Elf64_Rela), ret,
			    err);
	return r < 0 ? gs_fail_in(err, r, "cannot read the relocations of %s", img->name) : r;
}

static int by_address(const void *a, const void *b)
{
	const struct gs__elf_reloc *x = a, *y = b;

	return x->where < y->where ? -1 : x->where > y->where;
}

static int sort_copy(struct gs_image *img, struct gs_cursor c, size_t n, struct gs_err *err)
{
	struct gs__elf *e = &img->elf;

	if (n > MAX_SORTED_RELOCS)
		return gs_fail(err, -GS_E_LIMIT, 0,
			       "%s has %zu unordered relocations, more than the %zu gosonde sorts",
			       img->name, n, MAX_SORTED_RELOCS);
	e->relocs = gs_array_new(n, sizeof(*e->relocs));
	if (!e->relocs)
		return gs__out_of_memory(img, err);
	while (gs_cursor_left(&c) > 0 && e->n_relocs < n) {
		Elf64_Rela rela;
		int r = gs_cursor_bytes(&c, &rela, sizeof(rela), err);

		if (r < 0)
			return r;
		if (is_relative(img, &rela))
			e->relocs[e->n_relocs++] =
				(struct gs__elf_reloc){ .where = rela.r_offset,
							.addend = (uint64_t)rela.r_addend };
	}
	qsort(e->relocs, e->n_relocs, sizeof(*e->relocs), by_address);
	return 0;
}

/* One pass: is the run of RELATIVE relocations at the start ascending, and are there others? */
static int read_relocs(struct gs_image *img, struct gs_err *err)
{
	struct gs_cursor all, c;
	uint64_t prefix = 0, n = 0;
	gs_addr last = 0;
	int r = locate_relocs(img, &all, err);

	if (r)
		return r < 0 ? r : 0;
	c = all;
	for (uint64_t i = 0; gs_cursor_left(&c) > 0; i++) {
		Elf64_Rela rela;

		r = gs_cursor_bytes(&c, &rela, sizeof(rela), err);
		if (r < 0)
			return r;
		if (!is_relative(img, &rela))
			continue;
		n++;
		if (prefix == i && (i == 0 || rela.r_offset > last))
			prefix++;
		last = rela.r_offset;
	}
	if (prefix != n)
		return sort_copy(img, all, (size_t)n, err);
	img->elf.in_place = all;
	img->elf.n_in_place = prefix;
	return 0;
}

static int relative_in_place(const struct gs__elf *e, gs_addr addr, uint64_t *ret,
			     struct gs_err *err)
{
	uint64_t lo = 0, hi = e->n_in_place;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		struct gs_cursor c = e->in_place;
		Elf64_Rela rela;
		int r = gs_cursor_seek(&c, mid * sizeof(rela), err);

		if (r == 0)
			r = gs_cursor_bytes(&c, &rela, sizeof(rela), err);
		if (r < 0)
			return r;
		if (rela.r_offset == addr) {
			*ret = (uint64_t)rela.r_addend;
			return 0;
		}
		if (rela.r_offset < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 1;
}

int gs__elf_relative(struct gs_image *img, gs_addr addr, uint64_t *ret, struct gs_err *err)
{
	struct gs__elf *e = &img->elf;
	struct gs__elf_reloc key = { .where = addr };
	const struct gs__elf_reloc *found;
	int r = gs__image_once(img, &e->relocs_lazy, read_relocs, err);

	if (r < 0)
		return r;
	if (!e->relocs)
		return relative_in_place(e, addr, ret, err);
	found = bsearch(&key, e->relocs, e->n_relocs, sizeof(key), by_address);
	if (!found)
		return 1;
	*ret = found->addend;
	return 0;
}

void gs__elf_close(struct gs_image *img)
{
	free(img->elf.relocs);
	img->elf.relocs = NULL;
}
