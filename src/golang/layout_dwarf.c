/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Offsets of runtime fields from the DWARF of a Go binary. The Go linker (cmd/link
 * internal/ld/dwarf.go, 1.19 to 1.27) describes every type the program uses once, as a child of the
 * compile unit "runtime":
 *
 *     DW_TAG_compile_unit    name "runtime"
 *       DW_TAG_structure_type  name "runtime.g", byte_size
 *         DW_TAG_member          name "stack", data_member_location (constant), type -> typedef
 *       DW_TAG_typedef         name "runtime.stack", type -> structure_type "runtime.stack"
 *
 * DWARF 4 up to Go 1.24, DWARF 5 from 1.25; sections usually compressed (SHF_COMPRESSED). The types
 * come before the functions of the unit, and reading stops when all wanted structures were seen.
 *
 * libdw does the decoding, and it has met fewer hostile files than it should have: everything above
 * the line "in the parent" runs in the child of sandbox.c. What comes back is a fixed array of
 * integers, which the parent checks one by one.
 *
 * No recursion: paths are at most MAX_DEPTH names deep, lists of children are bounded by count.
 */
#include "golang/layout_internal.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <gelf.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/cursor.h"

enum {
	MAX_DEPTH = 8,           /* names in a path, typedefs in a row */
	MAX_UNITS = 200000,      /* a unit per package and per assembly file */
	MAX_CHILDREN = 20000000, /* of all units together */
	MAX_MEMBERS = 4096,      /* of one structure */
	MAX_OFFSET = 4 << 20,    /* runtime.heapArena, the largest, has 2 MB in Go 1.19 */
};

const struct gs__sandbox_limits gs__go_dwarf_limits = {
	.memory_bytes = 1ULL << 30,
	.cpu_seconds = 3,
	.wall_ns = 3000000000LL,
};

/* What the child writes. */
struct result {
	int32_t offset[GS_GO_FIELD_COUNT];
};
_Static_assert(sizeof(struct result) <= GS__SANDBOX_MAX_OUT, "the result must fit the pipe");

/* What the child looks for; an offset of its output per field. */
struct question {
	const struct gs__go_field *fields;
	int n;
};

/* In the child ------------------------------------------------------------------------------- */

struct search {
	const struct question *q;
	int32_t *offset;
	int missing; /* fields whose structure was not seen yet */
	uint32_t children;
};

static bool name_is(Dwarf_Die *die, const char *name, size_t n)
{
	const char *s = dwarf_diename(die);

	return s && strncmp(s, name, n) == 0 && s[n] == '\0';
}

/* Follow typedefs to what they name. */
static bool peel(Dwarf_Die *die)
{
	for (int i = 0; i < MAX_DEPTH; i++) {
		Dwarf_Attribute attr;

		if (dwarf_tag(die) != DW_TAG_typedef)
			return true;
		if (!dwarf_attr(die, DW_AT_type, &attr) || !dwarf_formref_die(&attr, die))
			return false;
	}
	return false;
}

static bool find_member(Dwarf_Die *type, const char *name, size_t n, Dwarf_Die *ret)
{
	int r = dwarf_child(type, ret);

	for (int i = 0; r == 0 && i < MAX_MEMBERS; i++) {
		if (dwarf_tag(ret) == DW_TAG_member && name_is(ret, name, n))
			return true;
		r = dwarf_siblingof(ret, ret);
	}
	return false;
}

/* Walk "a.b.c" from @type. @return the offset or GS_GO_NO_FIELD. */
static int32_t resolve(const Dwarf_Die *type, const char *path)
{
	Dwarf_Die at = *type, member;
	uint64_t sum = 0;

	for (int depth = 0; depth < MAX_DEPTH; depth++) {
		size_t n = strcspn(path, ".");
		Dwarf_Attribute attr;
		Dwarf_Word off;

		if (!peel(&at) || !find_member(&at, path, n, &member) ||
		    !dwarf_attr(&member, DW_AT_data_member_location, &attr) ||
		    dwarf_formudata(&attr, &off) != 0 || off > MAX_OFFSET)
			return GS_GO_NO_FIELD;
		sum += off;
		if (path[n] == '\0')
			return sum <= MAX_OFFSET ? (int32_t)sum : GS_GO_NO_FIELD;
		path += n + 1;
		if (!dwarf_attr(&member, DW_AT_type, &attr) || !dwarf_formref_die(&attr, &at))
			return GS_GO_NO_FIELD;
	}
	return GS_GO_NO_FIELD;
}

/* Fill in all fields of the structure @die, if it is one that we want. */
static void take_struct(struct search *s, Dwarf_Die *die)
{
	const char *name = dwarf_diename(die);
	int size;

	if (!name)
		return;
	for (int f = 0; f < s->q->n; f++) {
		if (s->offset[f] != GS__GO_NO_STRUCT || strcmp(s->q->fields[f].type, name))
			continue;
		s->missing--;
		if (s->q->fields[f].path[0]) {
			s->offset[f] = resolve(die, s->q->fields[f].path);
			continue;
		}
		size = dwarf_bytesize(die);
		s->offset[f] = size > 0 && size <= MAX_OFFSET ? size : GS_GO_NO_FIELD;
	}
}

static void take_unit(struct search *s, Dwarf_Die *unit)
{
	Dwarf_Die die;
	int r;

	if (!name_is(unit, "runtime", strlen("runtime")))
		return;
	for (r = dwarf_child(unit, &die); r == 0 && s->missing > 0;
	     r = dwarf_siblingof(&die, &die)) {
		if (dwarf_tag(&die) == DW_TAG_structure_type)
			take_struct(s, &die);
		if (++s->children > MAX_CHILDREN)
			return;
	}
}

static void search_units(struct search *s, Dwarf *dw)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;

	for (int i = 0; i < MAX_UNITS && s->missing > 0; i++) {
		if (dwarf_get_units(dw, cu, &cu, NULL, NULL, &die, NULL) != 0)
			return;
		take_unit(s, &die);
	}
}

/* Tells a file without DWARF from one whose DWARF libdw refuses. */
static bool has_debug_info(Elf *elf)
{
	Elf_Scn *scn = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names) < 0)
		return true; /* damaged */
	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr mem, *sh = gelf_getshdr(scn, &mem);
		const char *name = sh ? elf_strptr(elf, names, sh->sh_name) : NULL;

		if (name && (!strcmp(name, ".debug_info") || !strcmp(name, ".zdebug_info")))
			return true;
	}
	return false;
}

/* Sections that say where fields lie, or that names in them refer to; with @code, where functions are (DWARF 5), and where
 * their variables. */
static bool section_wanted(const char *name, bool code)
{
	static const char *const wanted[] = { "info", "abbrev", "str", "line_str", "str_offsets" };
	static const char *const of_code[] = { "addr", "loc", "loclists", "ranges", "rnglists" };

	name += strcspn(name, "_") + 1; /* behind ".debug_" or ".zdebug_" */
	for (size_t i = 0; i < GS_ARRAY_SIZE(wanted); i++)
		if (!strcmp(name, wanted[i]))
			return true;
	for (size_t i = 0; code && i < GS_ARRAY_SIZE(of_code); i++)
		if (!strcmp(name, of_code[i]))
			return true;
	return false;
}

/*
 * libdw decompresses every debug section it finds when it opens a file. Most of them (lines,
 * frames; for types also locations and ranges) are of no use here, so they are declared empty in our private copy of the
 * file's pages. Where the headers make no sense, libelf will say so.
 */
static void hide_sections(uint8_t *file, size_t size, bool code)
{
	struct gs_cursor c = gs_cursor_make(file, size, "file"), names, s;
	Elf64_Ehdr head;
	Elf64_Shdr sh;

	if (gs_cursor_bytes(&c, &head, sizeof(head), NULL) < 0 ||
	    head.e_shentsize != sizeof(Elf64_Shdr) ||
	    gs_cursor_window(&c, head.e_shoff + (uint64_t)head.e_shstrndx * sizeof(sh), sizeof(sh),
			     &s, NULL) < 0 ||
	    gs_cursor_bytes(&s, &sh, sizeof(sh), NULL) < 0 ||
	    gs_cursor_window(&c, sh.sh_offset, sh.sh_size, &names, NULL) < 0)
		return;
	for (unsigned int i = 0; i < head.e_shnum; i++) {
		uint64_t at = head.e_shoff + i * sizeof(sh);
		const char *name;
		size_t n;

		if (gs_cursor_window(&c, at, sizeof(sh), &s, NULL) < 0 ||
		    gs_cursor_bytes(&s, &sh, sizeof(sh), NULL) < 0)
			return;
		if (gs_cursor_seek(&names, sh.sh_name, NULL) < 0 ||
		    gs_cursor_string(&names, &name, &n, NULL) < 0 ||
		    (strncmp(name, ".debug_", 7) && strncmp(name, ".zdebug_", 8)) ||
		    section_wanted(name, code))
			continue;
		sh.sh_type = SHT_NOBITS;
		memcpy(file + at, &sh, sizeof(sh));
	}
}

Elf *gs__go_dwarf_elf(int fd, bool code)
{
	struct stat st;
	void *file;

	if (fstat(fd, &st) < 0 || st.st_size <= 0)
		return NULL;
	file = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED)
		return NULL;
	hide_sections(file, (size_t)st.st_size, code);
	return elf_memory(file, (size_t)st.st_size);
}

/* The sandboxed function. @return 0; 1 if there is no DWARF of the runtime. */
static int read_offsets(int fd, void *out, size_t out_bytes, const void *ctx)
{
	const struct question *q = ctx;
	struct search s = { .q = q, .offset = out, .missing = q->n };
	Dwarf *dw;
	Elf *elf;

	if (out_bytes != (size_t)q->n * sizeof(int32_t) || elf_version(EV_CURRENT) == EV_NONE)
		return -1;
	for (int f = 0; f < q->n; f++)
		s.offset[f] = GS__GO_NO_STRUCT;
	elf = gs__go_dwarf_elf(fd, false);
	if (!elf || elf_kind(elf) != ELF_K_ELF)
		return -1;
	dw = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	if (!dw)
		return has_debug_info(elf) ? -1 : 1;
	search_units(&s, dw);
	/* The process ends here, so nothing is freed. */
	return s.missing == q->n ? 1 : 0;
}

/* In the parent ------------------------------------------------------------------------------ */

/* Without these there is no reading of goroutines, and any Go release has them. */
static const enum gs_go_field required[] = {
	GS_GO_G_SIZE,     GS_GO_G_STACK_LO, GS_GO_G_STACK_HI,     GS_GO_G_M,    GS_GO_G_SCHED_SP,
	GS_GO_G_SCHED_PC, GS_GO_G_GOID,     GS_GO_G_ATOMICSTATUS, GS_GO_M_CURG, GS_GO_G_WAITREASON,
};

/* The listed size of the structure that field @f is of, or GS__GO_NO_STRUCT. */
static int32_t size_of(const struct result *res, int f)
{
	for (int i = 0; i < GS_GO_FIELD_COUNT; i++)
		if (!gs__go_fields[i].path[0] &&
		    !strcmp(gs__go_fields[i].type, gs__go_fields[f].type))
			return res->offset[i];
	return GS__GO_NO_STRUCT;
}

static int check_result(const struct result *res, struct gs_err *err)
{
	for (int f = 0; f < GS_GO_FIELD_COUNT; f++) {
		int32_t size = size_of(res, f), v = res->offset[f];

		if (v < GS__GO_NO_STRUCT || v > MAX_OFFSET)
			return gs_fail(err, -GS_E_BAD_DATA, 0,
				       "DWARF says that %s is at %" PRId32 ", which cannot be",
				       gs_go_field_name((enum gs_go_field)f), v);
		if (gs__go_fields[f].path[0] && size > 0 && v >= size)
			return gs_fail(err, -GS_E_BAD_DATA, 0,
				       "DWARF says that %s is at %" PRId32
				       ", outside of a structure of %" PRId32 " bytes",
				       gs_go_field_name((enum gs_go_field)f), v, size);
	}
	for (size_t i = 0; i < GS_ARRAY_SIZE(required); i++)
		if (res->offset[required[i]] < 0)
			return gs_fail(err, -GS_E_BAD_DATA, 0, "DWARF does not describe %s",
				       gs_go_field_name(required[i]));
	if (res->offset[GS_GO_G_STACK_HI] != res->offset[GS_GO_G_STACK_LO] + 8 ||
	    res->offset[GS_GO_G_SCHED_PC] != res->offset[GS_GO_G_SCHED_SP] + 8)
		return gs_fail(err, -GS_E_BAD_DATA, 0,
			       "DWARF describes runtime.g in a way no Go release has it");
	return 0;
}

int gs__go_layout_dwarf_limited(int fd, const struct gs__sandbox_limits *limits,
				struct gs_go_layout *io, struct gs_err *err)
{
	const struct question q = { .fields = gs__go_fields, .n = GS_GO_FIELD_COUNT };
	struct result res;
	int r;

	r = gs__sandbox_run(fd, read_offsets, &q, limits, &res, sizeof(res), err);
	if (r < 0)
		return gs_fail_in(err, r, "cannot read struct layouts from DWARF");
	if (r > 0)
		return 1;
	r = check_result(&res, err);
	if (r < 0)
		return gs_fail_in(err, r, "cannot use struct layouts from DWARF");
	for (int f = 0; f < GS_GO_FIELD_COUNT; f++)
		if (res.offset[f] != GS__GO_NO_STRUCT)
			io->offset[f] = res.offset[f];
	io->source = GS_GO_LAYOUT_DWARF;
	return 0;
}

int gs_go_layout_dwarf(int fd, struct gs_go_layout *io, struct gs_err *err)
{
	return gs__go_layout_dwarf_limited(fd, &gs__go_dwarf_limits, io, err);
}

int gs_go_dwarf_offsets(int fd, const char *const (*fields)[2], uint32_t n, int32_t *ret,
			struct gs_err *err)
{
	struct gs__go_field list[GS_GO_DWARF_FIELDS_MAX];
	const struct question q = { .fields = list, .n = (int)n };
	int32_t offset[GS_GO_DWARF_FIELDS_MAX];
	int r;

	if (n == 0 || n > GS_GO_DWARF_FIELDS_MAX)
		return gs_fail(err, -EINVAL, 0, "%" PRIu32 " fields of DWARF at once", n);
	for (uint32_t i = 0; i < n; i++)
		list[i] = (struct gs__go_field){ .type = fields[i][0], .path = fields[i][1] };
	r = gs__sandbox_run(fd, read_offsets, &q, &gs__go_dwarf_limits, offset, n * sizeof(*offset),
			    err);
	if (r < 0)
		return gs_fail_in(err, r, "cannot read struct layouts from DWARF");
	for (uint32_t i = 0; r == 0 && i < n; i++)
		if (offset[i] < GS__GO_NO_STRUCT || offset[i] > MAX_OFFSET)
			return gs_fail(err, -GS_E_BAD_DATA, 0,
				       "DWARF says that %s %s is at %" PRId32 ", which cannot be",
				       fields[i][0], fields[i][1], offset[i]);
	for (uint32_t i = 0; i < n; i++)
		ret[i] = r == 0 && offset[i] >= 0 ? offset[i] : GS_GO_NO_FIELD;
	return r;
}
