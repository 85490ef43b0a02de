/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Variables of functions, read in the child of dwarf_variables.c. What the Go compiler writes (cmd/compile internal/dwarfgen,
 * internal/ssa/debug.go, cmd/internal/dwarf; 1.19 to 1.27):
 *
 *     DW_TAG_subprogram      name, low_pc, high_pc, frame_base DW_OP_call_frame_cfa
 *       DW_TAG_formal_parameter | DW_TAG_variable
 *                              name, type, location (one, or a list by pc):
 *                                  DW_OP_fbreg N               all of it is on the stack; DW_OP_call_frame_cfa for N = 0
 *                                  DW_OP_fbreg N, DW_OP_deref  it escaped: a pointer to it is on the stack (1.26)
 *                                  [place] DW_OP_piece n …     in parts: on the stack, in registers (DW_OP_regX), nowhere
 *                              DW_AT_go_closure_offset         it comes from the closure, from there on (1.23 and later)
 *       DW_TAG_lexical_block | DW_TAG_inlined_subroutine
 *                              low_pc, high_pc or ranges; variables as above, name and type with the abstract origin
 *
 * A captured "&x" with type *T is a pointer in the closure if x was captured by reference; if it is a large value, T itself
 * is in the closure, and "&x" a local that points there. The parent tells them apart.
 *
 * A method value (x.M) is a closure of the wrapper "pkg.(*T).M-fm" with the receiver behind the function (MethodValueWrapper
 * in cmd/compile internal/typecheck); DWARF does not say so, so the receiver's type is that of the method itself.
 *
 * Types of generic code are shapes (DW_AT_go_dict_index): *uint8 for all pointers, so they say nothing.
 */
#include <dwarf.h>
#include <stdio.h>
#include <string.h>

#include "base/search.h"
#include "golang/dwarf_variables_child.h"

enum {
	MAX_DEPTH = 64,         /* lexical blocks and inlined calls in each other */
	MAX_EXPRESSIONS = 4,    /* that hold at one pc */
	MAX_OFFSET = 256 << 20, /* of frames: stacks are at most 1 GB */
	MAX_PIECE = 1 << 30,
	MAX_CLOSURE = 1 << 20,
	MAX_FUNCTIONS = 1 << 20,
	MAX_WRAPPERS = 64 << 10,
	WRAPPER_SLOTS = MAX_WRAPPERS * 2,
	FM = 3, /* length of "-fm" */
};

bool gs__vars_functions_init(struct gs__vars_child *c)
{
	c->function = gs__vars_pages(MAX_FUNCTIONS, sizeof(*c->function));
	c->wrapper = gs__vars_pages(MAX_WRAPPERS, sizeof(*c->wrapper));
	return c->function && c->wrapper;
}

static bool type_of(Dwarf_Die *die, Dwarf_Die *ret)
{
	Dwarf_Attribute attr;

	return dwarf_attr_integrate(die, DW_AT_type, &attr) && dwarf_formref_die(&attr, ret) &&
	       !dwarf_hasattr(ret, GS__VARS_AT_DICT_INDEX);
}

/* --- locals ------------------------------------------------------------------------------------------------------- */

/* Is the operation a place on the stack? */
static bool on_stack(const Dwarf_Op *op, int64_t *offset)
{
	*offset = op->atom == DW_OP_fbreg ? (int64_t)op->number : 0;
	return (op->atom == DW_OP_fbreg || op->atom == DW_OP_call_frame_cfa) &&
	       *offset > -MAX_OFFSET && *offset < MAX_OFFSET;
}

/* The parts of a location that are on the stack. */
static void take_parts(struct gs__vars_child *c, const struct gs__local *variable,
		       const Dwarf_Op *op, size_t n)
{
	struct gs__vars *v = c->out;
	uint64_t at = 0;

	for (size_t i = 0; i < n; i++) {
		struct gs__local l = *variable;
		int64_t offset = 0;
		bool memory = on_stack(&op[i], &offset);

		if (op[i].atom != DW_OP_piece)
			i++;
		l.indirect = memory && i < n && op[i].atom == DW_OP_deref;
		i += l.indirect;
		if (i < n && (op[i].atom != DW_OP_piece || op[i].number > MAX_PIECE))
			return;
		l.offset = (int32_t)offset;
		l.at = (uint32_t)at;
		l.bytes = i < n ? (uint32_t)op[i].number : 0;
		at += l.bytes;
		if (at > MAX_PIECE)
			return;
		if (memory && v->n_locals < GS__LOCALS_MAX)
			v->local[v->n_locals++] = l;
	}
}

static void take_local(struct gs__vars_child *c, Dwarf_Die *die, uint32_t pc)
{
	Dwarf_Op *op[MAX_EXPRESSIONS];
	size_t n[MAX_EXPRESSIONS];
	Dwarf_Attribute attr;
	Dwarf_Die type;
	int64_t offset;
	struct gs__local l = { .pc = pc };
	bool any = false;

	if (!dwarf_attr(die, DW_AT_location, &attr) ||
	    dwarf_getlocation_addr(&attr, c->out->pc[pc], op, n, MAX_EXPRESSIONS) < 1)
		return;
	for (size_t i = 0; i < n[0]; i++)
		any |= on_stack(&op[0][i], &offset);
	if (!any || !type_of(die, &type))
		return;
	l.type = gs__vars_type(c, &type);
	l.name = gs__vars_text(c->out, dwarf_diename(die));
	l.variable = ++c->n_variables;
	take_parts(c, &l, op[0], n[0]);
}

/* All variables of the function that can be seen at the pc. */
static void take_locals(struct gs__vars_child *c, Dwarf_Die *function, uint32_t pc)
{
	Dwarf_Die stack[MAX_DEPTH];
	int depth = dwarf_child(function, &stack[0]) == 0;

	while (depth > 0 && c->dies++ < GS__VARS_MAX_DIES) {
		Dwarf_Die *die = &stack[depth - 1], inner;
		bool deeper = false;

		switch (dwarf_tag(die)) {
		case DW_TAG_formal_parameter:
		case DW_TAG_variable:
			take_local(c, die, pc);
			break;
		case DW_TAG_lexical_block:
		case DW_TAG_inlined_subroutine:
			deeper = depth < MAX_DEPTH && dwarf_haspc(die, c->out->pc[pc]) > 0 &&
				 dwarf_child(die, &inner) == 0;
			break;
		default:
			break;
		}
		/* Where to go on when all inside of this one is done. */
		if (dwarf_siblingof(die, die) != 0)
			depth--;
		if (deeper)
			stack[depth++] = inner;
	}
}

static uint32_t first_pc(const struct gs__vars *v, uint64_t from)
{
	return GS_SEARCH(i, v->n_pcs, v->pc[i] >= from);
}

/* --- closures ----------------------------------------------------------------------------------------------------- */

/* "main.run.func1", "main.run.gowrap2", "main.run.deferwrap1", "main.run-range1"; also some that are none. */
static bool may_be_closure(const char *name)
{
	return strstr(name, ".func") || strstr(name, "wrap") || strstr(name, "-range");
}

static void take_capture(struct gs__vars_child *c, uint64_t function, uint64_t offset,
			 Dwarf_Die *type, const char *name)
{
	struct gs__vars *v = c->out;

	if (v->n_captures == GS__CAPTURES_MAX || offset > MAX_CLOSURE)
		return;
	v->capture[v->n_captures++] = (struct gs__capture){ .function = function,
							    .offset = (uint32_t)offset,
							    .name = gs__vars_text(v, name),
							    .type = gs__vars_type(c, type) };
}

static void take_captures(struct gs__vars_child *c, Dwarf_Die *function, uint64_t entry)
{
	Dwarf_Die die, type;

	for (int r = dwarf_child(function, &die); r == 0 && c->dies++ < GS__VARS_MAX_DIES;
	     r = dwarf_siblingof(&die, &die)) {
		uint64_t offset;

		if (dwarf_tag(&die) == DW_TAG_variable &&
		    gs__vars_u64(&die, GS__VARS_AT_CLOSURE_OFFSET, &offset) && offset &&
		    type_of(&die, &type))
			take_capture(c, entry, offset, &type, dwarf_diename(&die));
	}
}

/* FNV-1a. */
static uint64_t hash(const char *s, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)s[i]) * 0x100000001b3u;
	return h;
}

/* "main.(*T).M-fm" → "*main.T", "main.T.M-fm" → "main.T". */
static bool receiver_name(const char *wrapper, char *to, size_t size)
{
	const char *type = strstr(wrapper, ".(*"), *dot, *slash = strrchr(wrapper, '/');
	size_t n;

	if (type) {
		n = strcspn(type + 3, ")");
		return type[3 + n] == ')' && snprintf(to, size, "*%.*s.%.*s", (int)(type - wrapper),
						      wrapper, (int)n, type + 3) < (int)size;
	}
	/* The first dot behind the path ends the package, the next one the type. */
	dot = strchr(slash ? slash : wrapper, '.');
	dot = dot ? strchr(dot + 1, '.') : NULL;
	return dot && snprintf(to, size, "%.*s", (int)(dot - wrapper), wrapper) < (int)size;
}

/* The receiver is the first parameter, unless it has no name; its type tells. */
static void take_receiver(struct gs__vars_child *c, Dwarf_Die *method, uint64_t entry,
			  const char *name)
{
	char want[GS__VARS_MAX_NAME];
	Dwarf_Die die, type;
	const char *has;

	if (!receiver_name(name, want, sizeof(want)) || dwarf_child(method, &die) != 0)
		return;
	do {
		if (dwarf_tag(&die) != DW_TAG_formal_parameter)
			continue;
		has = type_of(&die, &type) ? dwarf_diename(&type) : NULL;
		if (has && !strcmp(has, want))
			take_capture(c, entry, sizeof(uint64_t), &type, "(receiver)");
		return;
	} while (c->dies++ < GS__VARS_MAX_DIES && dwarf_siblingof(&die, &die) == 0);
}

/* The wrapper's receiver, if @method is its method. */
static void take_wrapper(struct gs__vars_child *c, const struct gs__vars_function *wrapper,
			 const struct gs__vars_function *method)
{
	Dwarf_Die w, m;
	Dwarf_Addr entry;
	const char *name = dwarf_offdie(c->dw, wrapper->die, &w) ? dwarf_diename(&w) : NULL;
	const char *is = dwarf_offdie(c->dw, method->die, &m) ? dwarf_diename(&m) : NULL;

	if (name && is && !strncmp(is, name, strlen(name) - FM) && !is[strlen(name) - FM] &&
	    dwarf_lowpc(&w, &entry) == 0)
		take_receiver(c, &m, entry, name);
}

/* No qsort() in here: glibc's asks for the machine's memory, which the sandbox forbids. */
void gs__vars_take_wrappers(struct gs__vars_child *c)
{
	uint32_t *index = gs__vars_pages(WRAPPER_SLOTS, sizeof(*index));

	if (!index || !c->n_wrappers)
		return;
	for (uint32_t i = 0; i < c->n_wrappers; i++) {
		uint32_t k = c->wrapper[i].hash % WRAPPER_SLOTS;

		while (index[k])
			k = (k + 1) % WRAPPER_SLOTS;
		index[k] = i + 1;
	}
	for (uint32_t i = 0; i < c->n_functions; i++) {
		uint32_t k = c->function[i].hash % WRAPPER_SLOTS;

		for (; index[k]; k = (k + 1) % WRAPPER_SLOTS)
			if (c->wrapper[index[k] - 1].hash == c->function[i].hash)
				take_wrapper(c, &c->wrapper[index[k] - 1], &c->function[i]);
	}
}

void gs__vars_take_function(struct gs__vars_child *c, Dwarf_Die *die)
{
	const char *name = dwarf_diename(die);
	size_t n = name ? strnlen(name, GS__VARS_MAX_NAME) : 0;
	bool wrapper = n > FM && !memcmp(name + n - FM, "-fm", FM);
	Dwarf_Addr lo, hi;

	if (n > 0 && c->n_functions < MAX_FUNCTIONS)
		c->function[c->n_functions++] =
			(struct gs__vars_function){ hash(name, n), dwarf_dieoffset(die) };
	if (dwarf_lowpc(die, &lo) != 0 || dwarf_highpc(die, &hi) != 0)
		return;
	for (uint32_t i = first_pc(c->out, lo); i < c->out->n_pcs && c->out->pc[i] < hi; i++)
		take_locals(c, die, i);
	if (wrapper && c->n_wrappers < MAX_WRAPPERS)
		c->wrapper[c->n_wrappers++] =
			(struct gs__vars_function){ hash(name, n - FM), dwarf_dieoffset(die) };
	else if (n > 0 && may_be_closure(name))
		take_captures(c, die, lo);
}
