/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The few ELF structures a target needs beyond what src/image offers: headers of core files, which
 * may be cut anywhere, the raw program headers of an executable (where AT_PHDR points), and build
 * ids out of the first pages of a mapping found in a core.
 *
 *   Elf64_Ehdr 64 bytes   e_type@16 e_machine@18 e_entry@24 e_phoff@32 e_shoff@40
 *                         e_phentsize@54 e_phnum@56 e_shentsize@58
 *   Elf64_Phdr 56 bytes   p_type@0 p_flags@4 p_offset@8 p_vaddr@16 p_filesz@32 p_memsz@40 p_align@48
 *   note                  namesz descsz type, name padded to 4 (8), desc padded to 4 (8)
 */
#include <elf.h>
#include <string.h>

#include "target/target_private.h"

int gs__image_cursor(const struct gs_image *img, struct gs_cursor *ret, struct gs_err *err)
{
	return gs_image_file_bytes(img, 0, gs_image_info(img)->file_size, ret, err);
}

static int read_at(const struct gs_cursor *c, uint64_t off, void *dst, size_t n, struct gs_err *err)
{
	struct gs_cursor w;
	int r = gs_cursor_window(c, off, n, &w, err);

	return r < 0 ? r : gs_cursor_bytes(&w, dst, n, err);
}

int gs__elf_head(const struct gs_cursor *file, struct gs__elf_head *ret, struct gs_err *err)
{
	Elf64_Ehdr eh;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (gs_cursor_size(file) < 20 || memcmp(file->base, ELFMAG, SELFMAG) != 0)
		return gs_fail(err, -GS_E_BAD_DATA, 0, "%s: is not an ELF file", file->what);
	memset(&eh, 0, sizeof(eh));
	r = read_at(file, 0, &eh, 20, err);
	if (r < 0)
		return r;
	if (eh.e_ident[EI_DATA] != ELFDATA2LSB)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s: is big-endian; gosonde reads amd64 and arm64", file->what);
	ret->is_64 = eh.e_ident[EI_CLASS] == ELFCLASS64;
	ret->type = eh.e_type;
	ret->machine = eh.e_machine;
	if (!ret->is_64)
		return 0;
	r = read_at(file, 0, &eh, sizeof(eh), err);
	if (r < 0)
		return r;
	ret->arch = eh.e_machine == EM_X86_64    ? GS_ARCH_AMD64
		    : eh.e_machine == EM_AARCH64 ? GS_ARCH_ARM64
						 : GS_ARCH_UNKNOWN;
	ret->entry = eh.e_entry;
	ret->phoff = eh.e_phoff;
	ret->shoff = eh.e_shoff;
	ret->phnum = eh.e_phnum;
	ret->phentsize = eh.e_phentsize;
	ret->shentsize = eh.e_shentsize;
	return 0;
}

int gs__peek_phdr(const struct gs_cursor *file, const struct gs__elf_head *h, uint64_t i,
		  struct gs__peek_phdr *ret, struct gs_err *err)
{
	Elf64_Phdr ph;
	uint64_t off;
	int r;

	if (h->phentsize < sizeof(ph))
		return gs_fail(err, -GS_E_BAD_DATA, 0, "%s: program headers of %u bytes, need %zu",
			       file->what, h->phentsize, sizeof(ph));
	if (__builtin_mul_overflow(i, (uint64_t)h->phentsize, &off) ||
	    __builtin_add_overflow(off, h->phoff, &off))
		return gs_fail(err, -GS_E_BAD_DATA, 0, "%s: program header %" PRIu64 " overflows",
			       file->what, i);
	r = read_at(file, off, &ph, sizeof(ph), err);
	if (r < 0)
		return r;
	*ret = (struct gs__peek_phdr){
		.type = ph.p_type,
		.flags = ph.p_flags,
		.offset = ph.p_offset,
		.vaddr = ph.p_vaddr,
		.filesz = ph.p_filesz,
		.memsz = ph.p_memsz,
		.align = ph.p_align,
	};
	return 0;
}

int gs__peek_phdr_vaddr(const struct gs_cursor *file, const struct gs__elf_head *h, uint64_t *ret,
			struct gs_err *err)
{
	int found = 1;

	if (h->phnum == PN_XNUM)
		return 1; // no linker makes an executable like that
	for (uint64_t i = 0; i < h->phnum; i++) {
		struct gs__peek_phdr ph;
		int r = gs__peek_phdr(file, h, i, &ph, err);

		if (r < 0)
			return r;
		if (ph.type == PT_PHDR) {
			*ret = ph.vaddr;
			return 0;
		}
		if (ph.type != PT_LOAD || found == 0 || h->phoff < ph.offset ||
		    h->phoff - ph.offset >= ph.filesz)
			continue;
		*ret = ph.vaddr + (h->phoff - ph.offset);
		found = 0;
	}
	return found;
}

/* Skip to the next multiple of @align, or to the end where the last note is not padded. */
static int skip_padding(struct gs_cursor *c, uint64_t align, struct gs_err *err)
{
	uint64_t pad = -gs_cursor_offset(c) & (align - 1), left = gs_cursor_left(c);

	return gs_cursor_skip(c, pad < left ? pad : left, err);
}

int gs__elf_note(struct gs_cursor *notes, uint64_t align, struct gs__elf_note *ret,
		 struct gs_err *err)
{
	struct gs_cursor name;
	uint32_t namesz = 0, descsz = 0;
	int r;

	align = align == 8 ? 8 : 4;
	if (gs_cursor_left(notes) < sizeof(Elf64_Nhdr))
		return 1;
	r = gs_cursor_u32(notes, &namesz, err);
	if (r == 0)
		r = gs_cursor_u32(notes, &descsz, err);
	if (r == 0)
		r = gs_cursor_u32(notes, &ret->type, err);
	if (r == 0)
		r = gs_cursor_sub(notes, namesz, &name, err);
	if (r == 0)
		r = skip_padding(notes, align, err);
	if (r == 0)
		r = gs_cursor_sub(notes, descsz, &ret->desc, err);
	if (r == 0)
		r = skip_padding(notes, align, err);
	if (r < 0)
		return r;
	ret->owner = (const char *)name.base;
	ret->owner_len = strnlen(ret->owner, namesz);
	return 0;
}

bool gs__elf_note_is(const struct gs__elf_note *n, const char *owner, uint32_t type)
{
	size_t len = strlen(owner);

	return n->type == type && n->owner_len == len && memcmp(n->owner, owner, len) == 0;
}

static int build_id_in(struct gs_cursor notes, uint64_t align, struct gs__build_id *ret)
{
	struct gs__elf_note n;

	while (gs__elf_note(&notes, align, &n, NULL) == 0) {
		bool gnu = gs__elf_note_is(&n, "GNU", NT_GNU_BUILD_ID);

		if (!gnu && !gs__elf_note_is(&n, "Go", 4))
			continue;
		ret->len = gs_cursor_size(&n.desc);
		if (ret->len == 0 || ret->len > GS__BUILD_ID_MAX)
			continue;
		memcpy(ret->bytes, n.desc.base, ret->len);
		strcpy(ret->owner, gnu ? "GNU" : "Go");
		return 0;
	}
	return 1;
}

int gs__elf_build_id(const struct gs_cursor *file, struct gs__build_id *ret, struct gs_err *err)
{
	struct gs__elf_head h;
	int r = gs__elf_head(file, &h, err);

	memset(ret, 0, sizeof(*ret));
	if (r < 0)
		return r;
	if (!h.is_64 || h.phnum == PN_XNUM)
		return 1;
	for (uint64_t i = 0; i < h.phnum; i++) {
		struct gs__peek_phdr ph;
		struct gs_cursor notes;

		if (gs__peek_phdr(file, &h, i, &ph, NULL) < 0)
			return 1; // cut here
		if (ph.type != PT_NOTE ||
		    gs_cursor_window(file, ph.offset, ph.filesz, &notes, NULL) < 0)
			continue;
		if (build_id_in(notes, ph.align, ret) == 0)
			return 0;
	}
	return 1;
}
