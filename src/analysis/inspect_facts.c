/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Facts about a binary for `inspect`. Whether it uses cgo is asked of the function table, not of
 * CGO_ENABLED, which only says that it might have: every program that links runtime/cgo contains its
 * assembly function crosscall2 (runtime/cgo/asm_*.s, Go 1.19 to 1.27).
 */
#include <errno.h>
#include <string.h>

#include "analysis/inspect.h"
#include "golang/pclntab.h"

#define GO_1_26 26

static const char *machine_name(const struct gs_image_info *i, struct gs_arena *arena)
{
	/* e_machine, IMAGE_FILE_MACHINE_*: the ones that Go programs have. */
	static const struct {
		enum gs_image_format format;
		uint32_t machine;
		const char *name;
	} others[] = {
		{ GS_IMAGE_ELF, 3, "386" },       { GS_IMAGE_ELF, 40, "arm" },
		{ GS_IMAGE_ELF, 21, "ppc64" },    { GS_IMAGE_ELF, 22, "s390x" },
		{ GS_IMAGE_ELF, 8, "mips" },      { GS_IMAGE_ELF, 243, "riscv64" },
		{ GS_IMAGE_ELF, 258, "loong64" }, { GS_IMAGE_PE, 0x14c, "386" },
		{ GS_IMAGE_PE, 0x1c4, "arm" },
	};
	static const char hex[] = "0123456789abcdef";
	char text[] = "0x00000000";

	if (i->arch == GS_ARCH_AMD64)
		return "amd64";
	if (i->arch == GS_ARCH_ARM64)
		return "arm64";
	for (size_t k = 0; k < GS_ARRAY_SIZE(others); k++) {
		if (others[k].format == i->format && others[k].machine == i->machine)
			return others[k].name;
	}
	for (unsigned int k = 0; k < 8; k++)
		text[2 + k] = hex[i->machine >> (28 - 4 * k) & 15];
	return gs_arena_strndup(arena, text, sizeof(text) - 1);
}

static void take_build_settings(struct gs_inspect *f)
{
	const char *modified = gs_go_setting(&f->build, "vcs.modified");

	f->goos_setting = gs_go_setting(&f->build, "GOOS");
	f->goarch_setting = gs_go_setting(&f->build, "GOARCH");
	f->vcs.system = gs_go_setting(&f->build, "vcs");
	f->vcs.revision = gs_go_setting(&f->build, "vcs.revision");
	f->vcs.time = gs_go_setting(&f->build, "vcs.time");
	f->vcs.modified = modified && strcmp(modified, "true") == 0;
}

static int read_image_id(struct gs_inspect *f, const struct gs_image *img, struct gs_arena *arena,
			 struct gs_err *err)
{
	static const char hex[] = "0123456789abcdef";
	struct gs_cursor c;
	uint64_t n;
	char *text;
	int r = gs_image_build_id(img, &c, err);

	if (r != 0)
		return r < 0 ? r : 0;
	n = gs_cursor_size(&c);
	if (n == 0 || n > 64)
		return 0;
	text = gs_arena_alloc(arena, 2 * n + 1);
	if (!text)
		return gs_fail(err, -ENOMEM, 0, "out of memory");
	for (uint64_t i = 0; i < n; i++) {
		uint8_t b;

		r = gs_cursor_u8(&c, &b, err);
		if (r < 0)
			return r;
		text[2 * i] = hex[b >> 4];
		text[2 * i + 1] = hex[b & 15];
	}
	f->image_id = text;
	return 0;
}

/* The names of functions lie between two offsets of the header, one after the other. */
static bool has_function(const struct gs_cursor *table, const struct gs_go_pclntab_header *h,
			 const char *name_with_nuls, size_t n)
{
	struct gs_cursor names;

	if (h->cu_offset <= h->funcname_offset ||
	    gs_cursor_window(table, h->funcname_offset, h->cu_offset - h->funcname_offset, &names,
			     NULL) < 0)
		return false;
	return memmem(names.base, gs_cursor_size(&names), name_with_nuls, n) != NULL;
}

static uint64_t pclntab_section_bytes(const struct gs_image *img, gs_addr addr)
{
	const struct gs_image_info *i = gs_image_info(img);

	for (uint32_t k = 0; k < i->n_sections; k++) {
		const struct gs_image_section *s = gs_image_section_at(img, k);

		if (s->addr == addr && strstr(s->name, "gopclntab"))
			return s->file_size;
	}
	return 0;
}

static int read_pclntab(struct gs_inspect *f, const struct gs_image *img, struct gs_err *err)
{
	static const char crosscall2[] = "\0crosscall2"; // and its closing NUL
	struct gs_go_pclntab_header h;
	struct gs_cursor table;
	gs_addr addr;
	int r = gs_go_pclntab_find(img, &table, &addr, err);

	if (r != 0)
		return r < 0 ? r : 0;
	r = gs_go_pclntab_header(&table, &h, err);
	if (r < 0)
		return r;
	f->has_pclntab = true;
	f->pclntab_functions = h.nfunc;
	f->pclntab_bytes = pclntab_section_bytes(img, addr);
	if (h.magic == 0xfffffff0)
		f->pclntab_version = "1.18";
	else
		f->pclntab_version = f->build.release_known && f->build.release.minor >= GO_1_26
					     ? "1.26"
					     : "1.20";
	f->uses_cgo = has_function(&table, &h, crosscall2, sizeof(crosscall2));
	return 0;
}

/* The linker fills .go.fipsinfo only when GOFIPS140 is set; its data symbol is always there. */
static void read_sections(struct gs_inspect *f, const struct gs_image *img)
{
	for (uint32_t i = 0; i < f->image->n_sections; i++) {
		const struct gs_image_section *s = gs_image_section_at(img, i);

		if (strstr(s->name, "go.fipsinfo") || strstr(s->name, "go_fipsinfo"))
			f->has_fips_info = s->file_size > 0;
		if (s->flags & GS_IMAGE_EXEC)
			f->text_unwind_needed += s->size;
	}
}

static void classify_linking(struct gs_inspect *f, const struct gs_image *img)
{
	const struct gs_image_info *i = f->image;
	const char *needed;

	f->pie = i->is_pie;
	f->stripped = !i->has_symtab;
	if (i->format == GS_IMAGE_ELF)
		f->is_static = !i->has_interp && gs_image_needed(img, 0, &needed, NULL) != 0;
	else
		f->is_static = !i->has_dynamic;
	f->linking = !f->is_static ? "dynamic" : f->pie ? "static-pie" : "static";
}

int gs_inspect_read(const struct gs_image *img, struct gs_arena *arena, struct gs_inspect *ret,
		    struct gs_err *err)
{
	static const char *const formats[] = { "", "elf", "pe", "macho" };
	struct gs_inspect f = { .image = gs_image_info(img) };
	int r;

	f.format = formats[f.image->format];
	f.machine = machine_name(f.image, arena);
	r = gs_go_buildinfo_read(img, arena, &f.build, err);
	if (r < 0)
		return r;
	f.has_buildinfo = r == 0;
	if (f.has_buildinfo)
		take_build_settings(&f);
	f.goos = f.goos_setting ? f.goos_setting : f.image->os;
	f.goarch = f.goarch_setting ? f.goarch_setting : f.machine;
	r = gs_go_build_id(img, arena, &f.go_build_id, err);
	if (r >= 0)
		r = read_image_id(&f, img, arena, err);
	if (r == 0)
		r = read_pclntab(&f, img, err);
	if (r < 0)
		return r;
	read_sections(&f, img);
	classify_linking(&f, img);
	*ret = f;
	return gs_image_intact(img, err);
}
