/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Reads the package-level variables of a Go binary from DWARF, and of their types as much as the program does not know
 * itself. What the Go linker and compiler write (cmd/link internal/ld/dwarf.go, cmd/internal/dwarf, 1.19 to 1.27):
 *
 *     DW_TAG_compile_unit    name "main"
 *       DW_TAG_variable        name "main.cache", location DW_OP_addr X, type -> (in the unit "runtime")
 *       DW_TAG_subprogram …
 *     DW_TAG_compile_unit    name "runtime"
 *       DW_TAG_structure_type  name "main.Cache", byte_size, DW_AT_go_kind 25,
 *                              DW_AT_go_runtime_type: where the descriptor is in the section of types, if it was linked in
 *         DW_TAG_member          name, data_member_location, type
 *
 * Whatever is ever allocated on the heap has a descriptor, so DWARF is followed only through structs and arrays that
 * have none: types of variables themselves, mostly.
 *
 * Everything runs in the child of sandbox.c, which writes to memory that it shares with its parent: the answer is too
 * large for a pipe. No recursion: types wait in the list of types until their parts are read.
 */
#include "golang/dwarf_variables.h"

#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "golang/dwarf_variables_child.h"
#include "golang/layout_internal.h"

enum {
	MAX_UNITS = 200000,
	MAX_TYPEDEFS = 8,
	AT_GO_KIND = 0x2900,
	AT_GO_ELEM = 0x2902,
	AT_GO_RUNTIME_TYPE = 0x2904,
	OP_ADDR_BYTES = 9,
	INDEX_SLOTS = GS__VAR_TYPES_MAX * 2,
};

uint32_t gs__vars_text(struct gs__vars *v, const char *s)
{
	size_t n = s ? strnlen(s, GS__VARS_MAX_NAME) : 0;
	uint32_t at = v->n_text;

	if (n == 0 || n + 1 > GS__VAR_TEXT_MAX - at)
		return 0;
	memcpy(v->text + at, s, n); /* the NUL is there: the memory is fresh */
	v->n_text += (uint32_t)n + 1;
	return at;
}

bool gs__vars_u64(Dwarf_Die *die, unsigned int name, uint64_t *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Word v;
	Dwarf_Addr a;

	if (!dwarf_attr(die, name, &attr))
		return false;
	if (dwarf_whatform(&attr) == DW_FORM_addr) {
		if (dwarf_formaddr(&attr, &a) != 0)
			return false;
		*ret = a;
		return true;
	}
	if (dwarf_formudata(&attr, &v) != 0)
		return false;
	*ret = v;
	return true;
}

static bool attr_die(Dwarf_Die *die, unsigned int name, Dwarf_Die *ret)
{
	Dwarf_Attribute attr;

	return dwarf_attr(die, name, &attr) && dwarf_formref_die(&attr, ret);
}

uint32_t gs__vars_type(struct gs__vars_child *c, Dwarf_Die *die)
{
	struct gs__vars *v = c->out;
	Dwarf_Off off = dwarf_dieoffset(die);
	uint32_t i = (uint32_t)(off * 0x9e3779b97f4a7c15u >> 32) % INDEX_SLOTS;

	while (c->index[i] && c->die[c->index[i] - 1] != off)
		i = (i + 1) % INDEX_SLOTS;
	if (c->index[i] || v->n_types == GS__VAR_TYPES_MAX)
		return c->index[i];
	c->die[v->n_types] = off;
	c->index[i] = ++v->n_types;
	return c->index[i];
}

/* --- types -------------------------------------------------------------------------------------------------------- */

static void take_fields(struct gs__vars_child *c, Dwarf_Die *die, struct gs__var_type *t)
{
	struct gs__vars *v = c->out;
	Dwarf_Die member, type;
	int r = dwarf_child(die, &member);

	t->first_field = v->n_fields;
	for (; r == 0 && v->n_fields < GS__VAR_FIELDS_MAX; r = dwarf_siblingof(&member, &member)) {
		struct gs__var_field *f = &v->field[v->n_fields];

		if (dwarf_tag(&member) != DW_TAG_member ||
		    !gs__vars_u64(&member, DW_AT_data_member_location, &f->offset) ||
		    !attr_die(&member, DW_AT_type, &type))
			continue;
		f->name = gs__vars_text(v, dwarf_diename(&member));
		f->type = gs__vars_type(c, &type);
		t->n_fields++;
		v->n_fields++;
	}
}

/* DW_TAG_array_type has a child DW_TAG_subrange_type with the count. */
static void take_length(Dwarf_Die *die, struct gs__var_type *t)
{
	Dwarf_Die range;

	if (dwarf_child(die, &range) == 0 && dwarf_tag(&range) == DW_TAG_subrange_type &&
	    !gs__vars_u64(&range, DW_AT_count, &t->length) &&
	    gs__vars_u64(&range, DW_AT_upper_bound, &t->length))
		t->length++;
}

/* Through typedefs to what says the kind; the first descriptor on the way is the type's. */
static bool peel(Dwarf_Die *die, struct gs__var_type *t)
{
	for (int i = 0; i < MAX_TYPEDEFS; i++) {
		uint64_t kind, at;

		if (!t->runtime_type && gs__vars_u64(die, AT_GO_RUNTIME_TYPE, &at) && at)
			t->runtime_type = at + 1;
		if (gs__vars_u64(die, AT_GO_KIND, &kind)) {
			t->kind = kind < 32 ? (uint8_t)kind : 0;
			return true;
		}
		if (dwarf_tag(die) != DW_TAG_typedef || !attr_die(die, DW_AT_type, die))
			return dwarf_tag(die) == DW_TAG_pointer_type;
	}
	return false;
}

static void take_type(struct gs__vars_child *c, uint32_t number)
{
	struct gs__var_type *t = &c->out->type[number - 1];
	Dwarf_Die die, elem;

	if (!dwarf_offdie(c->dw, c->die[number - 1], &die))
		return;
	t->name = gs__vars_text(c->out, dwarf_diename(&die));
	if (!peel(&die, t))
		return;
	if (!gs__vars_u64(&die, DW_AT_byte_size, &t->size))
		t->size = 0; /* pointers, maps, channels: the parent knows */
	if (!t->kind)
		t->kind = GS_GO_KIND_POINTER; /* made by the linker: no kind, but a type */
	if (t->runtime_type)
		return;
	switch (t->kind) {
	case GS_GO_KIND_STRUCT:
		take_fields(c, &die, t);
		break;
	case GS_GO_KIND_ARRAY:
		take_length(&die, t);
		if (attr_die(&die, DW_AT_type, &elem))
			t->elem = gs__vars_type(c, &elem);
		break;
	case GS_GO_KIND_POINTER:
		if (attr_die(&die, DW_AT_type, &elem))
			t->elem = gs__vars_type(c, &elem);
		break;
	case GS_GO_KIND_SLICE:
	case GS_GO_KIND_CHAN:
		if (attr_die(&die, AT_GO_ELEM, &elem))
			t->elem = gs__vars_type(c, &elem);
		break;
	default:
		break;
	}
}

/* --- variables ---------------------------------------------------------------------------------------------------- */

static void take_variable(struct gs__vars_child *c, Dwarf_Die *die)
{
	struct gs__vars *v = c->out;
	Dwarf_Attribute attr;
	Dwarf_Block block;
	Dwarf_Die type;
	struct gs__var *var = &v->var[v->n_vars];

	if (v->n_vars == GS__VARS_MAX || !dwarf_attr(die, DW_AT_location, &attr) ||
	    dwarf_formblock(&attr, &block) != 0 || block.length != OP_ADDR_BYTES ||
	    block.data[0] != DW_OP_addr)
		return;
	memcpy(&var->addr, block.data + 1, sizeof(var->addr));
	var->name = gs__vars_text(v, dwarf_diename(die));
	var->type = attr_die(die, DW_AT_type, &type) ? gs__vars_type(c, &type) : 0;
	if (var->name && var->addr)
		v->n_vars++;
}

static void take_unit(struct gs__vars_child *c, Dwarf_Die *unit)
{
	Dwarf_Die die;

	for (int r = dwarf_child(unit, &die); r == 0 && c->dies < GS__VARS_MAX_DIES;
	     r = dwarf_siblingof(&die, &die), c->dies++)
		if (dwarf_tag(&die) == DW_TAG_variable)
			take_variable(c, &die);
		else if (dwarf_tag(&die) == DW_TAG_subprogram)
			gs__vars_take_function(c, &die);
}

void *gs__vars_pages(size_t n, size_t size)
{
	void *p = mmap(NULL, n * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* The sandboxed function. Nothing is freed: the process ends here. */
static int read_vars(int fd, void *out, size_t out_bytes, const void *ctx)
{
	struct gs__vars_child c = { .out = *(struct gs__vars *const *)ctx };
	Dwarf_CU *cu = NULL;
	Dwarf_Die unit;
	Elf *elf;

	(void)out;
	(void)out_bytes;
	if (elf_version(EV_CURRENT) == EV_NONE)
		return -1;
	c.die = gs__vars_pages(GS__VAR_TYPES_MAX, sizeof(*c.die));
	c.index = gs__vars_pages(INDEX_SLOTS, sizeof(*c.index));
	elf = gs__go_dwarf_elf(fd, true);
	c.dw = elf && c.die && c.index && gs__vars_functions_init(&c)
		       ? dwarf_begin_elf(elf, DWARF_C_READ, NULL)
		       : NULL;
	if (!c.dw)
		return 1;
	c.out->n_text = 1;
	for (int i = 0; i < MAX_UNITS; i++) {
		if (dwarf_get_units(c.dw, cu, &cu, NULL, NULL, &unit, NULL) != 0)
			break;
		take_unit(&c, &unit);
	}
	gs__vars_take_wrappers(&c);
	for (uint32_t i = 1; i <= c.out->n_types; i++)
		take_type(&c, i);
	return c.out->n_vars || c.out->n_locals || c.out->n_captures ? 0 : 1;
}

/* --- in the parent ------------------------------------------------------------------------------------------------ */

struct gs__vars *gs__go_vars_new(void)
{
	void *v = mmap(NULL, sizeof(struct gs__vars), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return v == MAP_FAILED ? NULL : v;
}

struct gs__vars *gs__go_vars_free(struct gs__vars *v)
{
	if (v)
		munmap(v, sizeof(*v));
	return NULL;
}

int gs__go_dwarf_vars(int fd, struct gs__vars *v, const struct gs__sandbox_limits *limits,
		      struct gs_err *err)
{
	uint8_t nothing;
	int r = gs__sandbox_run(fd, read_vars, &v, limits, &nothing, sizeof(nothing), err);

	if (r < 0)
		return gs_fail_in(err, r, "cannot read variables from DWARF");
	return r != 0;
}
