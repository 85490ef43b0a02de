/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Writes Mach-O 64: header, load commands, sections, and __LINKEDIT with symbols and strings; on
 * demand inside a universal file behind a slice of 32-bit x86.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "builder_private.h"

#define PAGE 0x4000u

/* Consecutive sections of one segment. */
struct group {
	char name[17];
	size_t first, n;
	gs_addr addr;
	uint64_t size, offset, file_size;
	uint32_t prot;
};

/* Offsets that commands need, found by laying out twice. */
struct layout {
	struct group groups[16];
	size_t n_groups;
	uint64_t commands_size, ncmds;
	uint64_t linkedit, symoff, stroff, strsize, sigoff, end;
};

static const char *section_part(const char *name)
{
	const char *comma = strchr(name, ',');

	assert(comma && comma - name <= 16 && strlen(comma + 1) <= 16);
	return comma + 1;
}

static void make_groups(struct gs_builder *b, struct layout *l)
{
	l->n_groups = 0;
	for (size_t i = 0; i < b->n_sections; i++) {
		struct gs_build_section *s = &b->sections[i];
		size_t n = (size_t)(section_part(s->name) - s->name) - 1;
		struct group *g = l->n_groups ? &l->groups[l->n_groups - 1] : NULL;

		if (!g || strlen(g->name) != n || memcmp(g->name, s->name, n) != 0) {
			assert(l->n_groups < GS_ARRAY_SIZE(l->groups));
			g = &l->groups[l->n_groups++];
			*g = (struct group){ .first = i, .addr = s->addr, .offset = s->offset };
			memcpy(g->name, s->name, n);
		}
		g->n++;
		g->size = s->addr + s->size - g->addr;
		if (!(s->flags & GS_IMAGE_NOBITS))
			g->file_size = s->offset + s->size - g->offset;
		g->prot |= s->flags & 7;
	}
}

static void put_name(struct gs_build_buf *o, const char *name)
{
	size_t n = strnlen(name, 16);

	gs_buf_bytes(o, name, n);
	gs_buf_zeros(o, 16 - n);
}

/* Start of a command; @size is the whole. */
static void put_command(struct gs_build_buf *o, struct layout *l, uint32_t cmd, uint64_t size)
{
	uint64_t k = l->ncmds++;

	gs_buf_field(o, 4, cmd, "cmd:%" PRIu64, k);
	gs_buf_field(o, 4, size, "cmdsize:%" PRIu64, k);
}

static void put_section(struct gs_build_buf *o, const struct gs_build_section *s, const char *seg)
{
	const char *name = section_part(s->name);
	uint32_t flags = (s->flags & GS_IMAGE_NOBITS ? 1u : 0u) |
			 (s->flags & GS_IMAGE_EXEC ? 0x80000400u : 0u);

	put_name(o, name);
	put_name(o, seg);
	gs_buf_field(o, 8, s->addr, "addr:%s", name);
	gs_buf_field(o, 8, s->size, "size:%s", name);
	gs_buf_field(o, 4, s->flags & GS_IMAGE_NOBITS ? 0 : s->offset, "offset:%s", name);
	gs_buf_zeros(o, 12);
	gs_buf_field(o, 4, flags, "flags:%s", name);
	gs_buf_zeros(o, 12);
}

static void put_segment(struct gs_builder *b, struct gs_build_buf *o, struct layout *l,
			const struct group *g)
{
	put_command(o, l, 0x19, 72 + 80 * g->n);
	put_name(o, g->name);
	gs_buf_field(o, 8, g->addr, "vmaddr:%s", g->name);
	gs_buf_field(o, 8, g->size, "vmsize:%s", g->name);
	gs_buf_field(o, 8, g->offset, "fileoff:%s", g->name);
	gs_buf_field(o, 8, g->file_size, "filesize:%s", g->name);
	gs_buf_put(o, 4, g->prot);
	gs_buf_field(o, 4, g->prot, "initprot:%s", g->name);
	gs_buf_field(o, 4, g->n, "nsects:%s", g->name);
	gs_buf_put(o, 4, 0);
	for (size_t i = 0; i < g->n; i++)
		put_section(o, &b->sections[g->first + i], g->name);
}

/* Commands that carry a string behind their fixed part of @fixed bytes. */
static void put_string_command(struct gs_build_buf *o, struct layout *l, uint32_t cmd,
			       uint32_t fixed, const char *s)
{
	size_t size = (fixed + strlen(s) + 8) / 8 * 8;

	put_command(o, l, cmd, size);
	gs_buf_field(o, 4, fixed, "stroffset:%" PRIu64, l->ncmds - 1);
	gs_buf_zeros(o, fixed - 12);
	gs_buf_bytes(o, s, strlen(s));
	gs_buf_zeros(o, size - fixed - strlen(s));
}

static void put_entry(struct gs_builder *b, struct gs_build_buf *o, struct layout *l)
{
	bool arm = b->arch == GS_ARCH_ARM64;
	uint64_t registers = arm ? 34 : 21, pc = arm ? 32 : 16;

	if (!b->entry)
		return;
	if (b->interp) {
		put_command(o, l, 0x80000028, 24);
		gs_buf_field(o, 8, b->entry - l->groups[0].addr, "entryoff");
		gs_buf_put(o, 8, 0);
		return;
	}
	put_command(o, l, 0x5, 16 + 8 * registers);
	gs_buf_field(o, 4, arm ? 6 : 4, "flavor");
	gs_buf_put(o, 4, 2 * registers);
	for (uint64_t i = 0; i < registers; i++)
		gs_buf_put(o, 8, i == pc ? b->entry : 0);
}

static void put_commands(struct gs_builder *b, struct gs_build_buf *o, struct layout *l)
{
	const struct group zero = { .name = "__PAGEZERO", .size = 0x100000000 };
	const struct group linkedit = { .name = "__LINKEDIT",
					.addr = gs_builder_free_addr(b, PAGE),
					.size = PAGE,
					.offset = l->linkedit,
					.file_size = l->end - l->linkedit,
					.prot = GS_IMAGE_READ };

	put_segment(b, o, l, &zero);
	for (size_t i = 0; i < l->n_groups; i++)
		put_segment(b, o, l, &l->groups[i]);
	put_segment(b, o, l, &linkedit);
	put_command(o, l, 0x2, 24);
	gs_buf_field(o, 4, l->symoff, "symoff");
	gs_buf_field(o, 4, b->n_symbols, "nsyms");
	gs_buf_field(o, 4, l->stroff, "stroff");
	gs_buf_field(o, 4, l->strsize, "strsize");
	put_command(o, l, 0xb, 80);
	gs_buf_put(o, 4, 0);
	gs_buf_field(o, 4, b->n_symbols, "nlocalsym");
	gs_buf_zeros(o, 64);
	put_entry(b, o, l);
	if (b->interp)
		put_string_command(o, l, 0xe, 12, b->interp);
	if (b->has_uuid) {
		put_command(o, l, 0x1b, 24);
		gs_buf_bytes(o, b->uuid, 16);
	}
	put_command(o, l, 0x32, 24);
	gs_buf_field(o, 4, 1, "platform");
	gs_buf_zeros(o, 12);
	if (b->options & GS_BUILD_LIBRARY)
		put_string_command(o, l, 0xd, 24, "libself.dylib");
	for (size_t i = 0; i < b->n_needed; i++)
		put_string_command(o, l, 0xc, 24, b->needed[i]);
	if (b->options & GS_BUILD_SIGNED) {
		put_command(o, l, 0x1d, 16);
		gs_buf_field(o, 4, l->sigoff, "dataoff");
		gs_buf_field(o, 4, 16, "datasize");
	}
}

static void put_header(struct gs_builder *b, struct gs_build_buf *o, const struct layout *l)
{
	gs_buf_field(o, 4, 0xfeedfacf, "magic");
	gs_buf_field(o, 4, b->arch == GS_ARCH_ARM64 ? 0x0100000c : 0x01000007, "cputype");
	gs_buf_put(o, 4, b->arch == GS_ARCH_ARM64 ? 0 : 3);
	gs_buf_field(o, 4, b->options & GS_BUILD_LIBRARY ? 6 : 2, "filetype");
	gs_buf_field(o, 4, l->ncmds, "ncmds");
	gs_buf_field(o, 4, l->commands_size, "sizeofcmds");
	gs_buf_field(o, 4, b->options & GS_BUILD_DYN ? 0x200085 : 0x85, "mh_flags");
	gs_buf_put(o, 4, 0);
}

static void put_symbols(struct gs_builder *b, struct gs_build_buf *o, struct gs_build_buf *strings)
{
	gs_buf_bytes(strings, " ", 2); // offset 0 is no name
	for (size_t i = 0; i < b->n_symbols; i++) {
		const struct gs_build_symbol *s = &b->symbols[i];
		int sec = gs_builder_section_of(b, s->addr);

		gs_buf_field(o, 4, gs_buf_string(strings, s->name), "n_strx:%zu", i);
		gs_buf_field(o, 1, sec < 0 ? 0x2 : 0xe, "n_type:%zu", i);
		gs_buf_field(o, 1, sec < 0 ? 0 : (uint64_t)sec + 1, "n_sect:%zu", i);
		gs_buf_put(o, 2, 0);
		gs_buf_field(o, 8, s->addr, "n_value:%zu", i);
	}
}

static void place(struct gs_builder *b, struct layout *l, uint64_t symbols, uint64_t strings)
{
	uint64_t at = 32 + l->commands_size;

	for (size_t i = 0; i < b->n_sections; i++) {
		struct gs_build_section *s = &b->sections[i];

		at = (at + 15) / 16 * 16;
		s->offset = at;
		at += s->flags & GS_IMAGE_NOBITS ? 0 : s->size;
	}
	// A segment is one piece of the file: its sections keep their distances.
	make_groups(b, l);
	at = (32 + l->commands_size + 15) / 16 * 16;
	for (size_t g = 0; g < l->n_groups; g++) {
		gs_addr first = l->groups[g].addr;
		uint64_t start = at = (at + 15) / 16 * 16;

		for (size_t i = 0; i < l->groups[g].n; i++) {
			struct gs_build_section *s = &b->sections[l->groups[g].first + i];

			s->offset = start + (s->addr - first);
			if (!(s->flags & GS_IMAGE_NOBITS))
				at = s->offset + s->size;
		}
	}
	make_groups(b, l);
	l->linkedit = l->symoff = (at + 15) / 16 * 16;
	l->stroff = l->symoff + symbols;
	l->strsize = strings;
	l->sigoff = (l->stroff + strings + 15) / 16 * 16;
	l->end = l->sigoff + (b->options & GS_BUILD_SIGNED ? 16 : 0);
}

static void put_big(struct gs_build_buf *o, uint32_t value, const char *name)
{
	gs_buf_field(o, 4, __builtin_bswap32(value), "%s", name);
}

/* The universal header; the real slice starts at 0x100. */
static void put_fat(struct gs_builder *b, struct gs_build_buf *o, const struct gs_build_buf *slice)
{
	put_big(o, 0xcafebabe, "fat_magic");
	put_big(o, 2, "nfat_arch");
	put_big(o, 7, "fat_cputype:0");
	put_big(o, 3, "fat_cpusubtype:0");
	put_big(o, 0x80, "fat_offset:0");
	put_big(o, 0x20, "fat_size:0");
	put_big(o, 4, "fat_align:0");
	put_big(o, b->arch == GS_ARCH_ARM64 ? 0x0100000c : 0x01000007, "fat_cputype:1");
	put_big(o, 0, "fat_cpusubtype:1");
	put_big(o, 0x100, "fat_offset:1");
	put_big(o, (uint32_t)slice->n, "fat_size:1");
	put_big(o, 4, "fat_align:1");
	gs_buf_to(o, 0x80);
	gs_buf_put(o, 4, 0xfeedface);
	gs_buf_to(o, 0x100);
}

void gs_builder_write_macho(struct gs_builder *b)
{
	struct gs_build_buf symbols = { 0 }, strings = { 0 }, commands = { 0 }, slice = { 0 };
	struct layout l = { 0 };

	put_symbols(b, &symbols, &strings);
	place(b, &l, symbols.n, strings.n);
	put_commands(b, &commands, &l); // once for their size
	l.commands_size = commands.n;
	gs_buf_deinit(&commands);
	l.ncmds = 0;
	place(b, &l, symbols.n, strings.n);
	put_commands(b, &commands, &l);
	put_header(b, &slice, &l);
	gs_buf_take(&slice, &commands);
	for (size_t i = 0; i < b->n_sections; i++) {
		if (b->sections[i].flags & GS_IMAGE_NOBITS)
			continue;
		gs_buf_to(&slice, b->sections[i].offset);
		gs_buf_take(&slice, &b->sections[i].content);
	}
	gs_buf_to(&slice, l.symoff);
	gs_buf_take(&slice, &symbols);
	gs_buf_take(&slice, &strings);
	gs_buf_to(&slice, l.end);
	if (b->options & GS_BUILD_FAT)
		put_fat(b, &b->out, &slice);
	gs_buf_take(&b->out, &slice);
}
