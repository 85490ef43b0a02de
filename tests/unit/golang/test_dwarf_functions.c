/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Local and captured variables from DWARF written by hand, as the Go compiler writes it, and broken in every way. Real
 * programs: tests/live/test_heap_objects.py.
 */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "golang/dwarf_variables_private.h"
#include "golang/layout_internal.h"
#include "image_builder.h"

/* Numbers of the entries in the abbreviation table below. */
enum {
	UNIT = 1,
	POINTER,
	STRUCT,
	SLICE,
	FUNCTION,
	PARAMETER,
	LISTED,
	CAPTURED,
	BLOCK,
	ABSTRACT,
	ABSTRACT_PARAMETER,
	INLINED,
	INLINED_PARAMETER,
};

static const uint8_t abbrevs[] = {
	UNIT,
	0x11,
	1,
	0x03,
	0x08,
	0,
	0, /* name */
	POINTER,
	0x0f,
	0,
	0x03,
	0x08,
	0x80,
	0x52,
	0x0b,
	0x49,
	0x13,
	0,
	0, /* name, go_kind, type */
	STRUCT,
	0x13,
	0,
	0x03,
	0x08,
	0x0b,
	0x0f,
	0x80,
	0x52,
	0x0b,
	0,
	0, /* name, size, go_kind */
	SLICE,
	0x13,
	0,
	0x03,
	0x08,
	0x0b,
	0x0f,
	0x80,
	0x52,
	0x0b,
	0x82,
	0x52,
	0x13,
	0,
	0, /* name, size, go_kind, go_elem */
	FUNCTION,
	0x2e,
	1,
	0x03,
	0x08,
	0x11,
	0x01,
	0x12,
	0x07,
	0,
	0, /* name, low_pc, high_pc */
	PARAMETER,
	0x05,
	0,
	0x03,
	0x08,
	0x49,
	0x13,
	0x02,
	0x18,
	0,
	0, /* name, type, location */
	LISTED,
	0x34,
	0,
	0x03,
	0x08,
	0x49,
	0x13,
	0x02,
	0x17,
	0,
	0, /* name, type, location list */
	CAPTURED,
	0x34,
	0,
	0x03,
	0x08,
	0x49,
	0x13,
	0x87,
	0x52,
	0x0f,
	0,
	0, /* name, type, offset */
	BLOCK,
	0x0b,
	1,
	0x11,
	0x01,
	0x12,
	0x07,
	0,
	0, /* low_pc, high_pc */
	ABSTRACT,
	0x2e,
	1,
	0x03,
	0x08,
	0,
	0, /* name */
	ABSTRACT_PARAMETER,
	0x05,
	0,
	0x03,
	0x08,
	0x49,
	0x13,
	0,
	0, /* name, type */
	INLINED,
	0x1d,
	1,
	0x31,
	0x13,
	0x11,
	0x01,
	0x12,
	0x07,
	0,
	0, /* origin, low_pc, high_pc */
	INLINED_PARAMETER,
	0x05,
	0,
	0x31,
	0x13,
	0x02,
	0x18,
	0,
	0, /* origin, location */
	0,
};

enum { CFA = 0x9c, FBREG = 0x91, DEREF = 0x06, PIECE = 0x93, REG1 = 0x51, CONSTU = 0x10 };

struct bytes {
	uint8_t b[65536];
	size_t n;
};

static void put(struct bytes *i, uint64_t v, size_t n)
{
	memcpy(i->b + i->n, &v, n);
	i->n += n;
}

static uint32_t die(struct bytes *i, int abbrev, const char *name)
{
	uint32_t at = (uint32_t)i->n;

	put(i, (uint64_t)abbrev, 1);
	if (name) {
		memcpy(i->b + i->n, name, strlen(name) + 1);
		i->n += strlen(name) + 1;
	}
	return at;
}

static uint32_t pointer(struct bytes *i, const char *name, uint32_t type)
{
	uint32_t at = die(i, POINTER, name);

	put(i, GS_GO_KIND_POINTER, 1);
	put(i, type, 4);
	return at;
}

static void range(struct bytes *i, uint64_t lo, uint64_t size)
{
	put(i, lo, 8);
	put(i, size, 8);
}

static void place(struct bytes *i, const uint8_t *expression, size_t n)
{
	assert_true(n < 128);
	put(i, n, 1);
	memcpy(i->b + i->n, expression, n);
	i->n += n;
}

static void parameter(struct bytes *i, const char *name, uint32_t type, const uint8_t *e, size_t n)
{
	die(i, PARAMETER, name);
	put(i, type, 4);
	place(i, e, n);
}

static void captured(struct bytes *i, const char *name, uint32_t type, uint8_t offset)
{
	die(i, CAPTURED, name);
	put(i, type, 4);
	put(i, offset, 1);
}

static void list_entry(struct bytes *l, uint64_t lo, uint64_t hi, const uint8_t *e, size_t n)
{
	range(l, lo, hi);
	put(l, n, 2);
	memcpy(l->b + l->n, e, n);
	l->n += n;
}

/* What is special about a description. */
struct variant {
	const uint8_t *expression; /* of parameter a; NULL: DW_OP_call_frame_cfa */
	size_t n_expression;
	int blocks; /* so many in each other, instead of one */
};

struct program {
	struct bytes info, loc;
	uint32_t t, to_t, slice;
};

static void write_types(struct program *p)
{
	struct bytes *i = &p->info;

	p->t = die(i, STRUCT, "main.T");
	put(i, 16, 1);
	put(i, GS_GO_KIND_STRUCT, 1);
	p->to_t = pointer(i, "*main.T", p->t);
	p->slice = die(i, SLICE, "[]main.T");
	put(i, 24, 1);
	put(i, GS_GO_KIND_SLICE, 1);
	put(i, p->t, 4);
}

/* s: in registers first, then in parts; its length stays in a register. */
static void write_list(struct bytes *l)
{
	static const uint8_t in_register[] = { REG1 };
	static const uint8_t parts[] = { FBREG, 0x58,  PIECE, 8,     REG1, PIECE,
					 8,     FBREG, 0x68,  PIECE, 8 };

	range(l, UINT64_MAX, 0x401000); /* base address */
	list_entry(l, 0, 0x20, in_register, sizeof(in_register));
	list_entry(l, 0x40, 0x60, parts, sizeof(parts));
	range(l, 0, 0);
}

static void write_f(struct program *p, const struct variant *v)
{
	static const uint8_t cfa[] = { CFA }, escaped[] = { FBREG, 0x50, DEREF },
			     low[] = { FBREG, 0x48 };
	struct bytes *i = &p->info;
	uint32_t origin, abstract = die(i, ABSTRACT, "main.g");
	int blocks = v->blocks ? v->blocks : 1;

	origin = die(i, ABSTRACT_PARAMETER, "p");
	put(i, p->to_t, 4);
	put(i, 0, 1);
	die(i, FUNCTION, "main.f");
	range(i, 0x401000, 0x100);
	parameter(i, "a", p->to_t, v->expression ? v->expression : cfa,
		  v->expression ? v->n_expression : sizeof(cfa));
	die(i, LISTED, "s");
	put(i, p->slice, 4);
	put(i, 0, 4);
	for (int k = 0; k < blocks; k++) {
		die(i, BLOCK, NULL);
		range(i, 0x401040, 0x40);
	}
	parameter(i, "e", p->t, escaped, sizeof(escaped));
	for (int k = 0; k < blocks; k++) {
		put(i, 0, 1);
		parameter(i, "z", p->to_t, v->blocks ? cfa : NULL, v->blocks ? sizeof(cfa) : 0);
	}
	die(i, INLINED, NULL);
	put(i, abstract, 4);
	range(i, 0x401040, 0x20);
	die(i, INLINED_PARAMETER, NULL);
	put(i, origin, 4);
	place(i, low, sizeof(low));
	put(i, 0, 1);
	put(i, 0, 1);
}

static void write_closures(struct program *p)
{
	static const uint8_t cfa[] = { CFA };
	struct bytes *i = &p->info;

	die(i, FUNCTION, "main.f.func1");
	range(i, 0x401100, 0x10);
	captured(i, "&u", p->to_t, 16);
	captured(i, "t", p->to_t, 8);
	put(i, 0, 1);
	die(i, FUNCTION, "main.(*T).M-fm");
	range(i, 0x401110, 0x10);
	put(i, 0, 1);
	die(i, FUNCTION, "main.(*T).M");
	range(i, 0x401120, 0x10);
	parameter(i, "r", p->to_t, cfa, sizeof(cfa));
	put(i, 0, 1);
	/* A receiver without a name: the first parameter is another. */
	die(i, FUNCTION, "main.(*U).M");
	range(i, 0x401130, 0x10);
	parameter(i, "x", p->to_t, cfa, sizeof(cfa));
	put(i, 0, 1);
	die(i, FUNCTION, "main.(*U).M-fm");
	range(i, 0x401140, 0x10);
	put(i, 0, 1);
}

static void write_program(struct program *p, const struct variant *v)
{
	struct bytes *i = &p->info;

	memset(p, 0, sizeof(*p));
	put(i, 0, 4);
	put(i, 4, 2);
	put(i, 0, 4);
	put(i, 8, 1);
	die(i, UNIT, "main");
	write_types(p);
	write_f(p, v);
	write_closures(p);
	put(i, 0, 1);
	write_list(&p->loc);
	memcpy(i->b, &(uint32_t){ (uint32_t)(i->n - 4) }, 4);
}

static struct gs__vars *ask(const struct program *p, int *ret)
{
	GS_CLEANUP(gs_builder_freep)
	struct gs_builder *b = gs_builder_new(GS_IMAGE_ELF, GS_ARCH_AMD64);
	GS_CLEANUP(gs_closep) int fd = memfd_create("dwarf", MFD_CLOEXEC);
	static const uint8_t code[0x150];
	struct gs__vars *v = gs__go_vars_new();
	struct gs_err err = { 0 };
	const uint8_t *bytes;
	size_t n;

	gs_builder_section(b, ".text", 0x401000, GS_IMAGE_READ | GS_IMAGE_EXEC, code, sizeof(code));
	gs_builder_section(b, ".debug_abbrev", 0, GS_IMAGE_READ, abbrevs, sizeof(abbrevs));
	gs_builder_section(b, ".debug_info", 0, GS_IMAGE_READ, p->info.b, p->info.n);
	gs_builder_section(b, ".debug_loc", 0, GS_IMAGE_READ, p->loc.b, p->loc.n);
	bytes = gs_builder_finish(b, &n);
	assert_true(fd >= 0 && v);
	assert_int_equal(write(fd, bytes, n), n);
	v->pc[0] = 0x401010;
	v->pc[1] = 0x401050;
	v->n_pcs = 2;
	*ret = gs__go_dwarf_vars(fd, v, &gs__go_dwarf_limits, &err);
	return v;
}

static const struct gs__local *find(const struct gs__vars *v, uint32_t pc, const char *name,
				    uint32_t at)
{
	for (uint32_t i = 0; i < v->n_locals; i++)
		if (v->local[i].pc == pc && v->local[i].at == at &&
		    !strcmp(v->text + v->local[i].name, name))
			return &v->local[i];
	return NULL;
}

static void right_answers(void **state)
{
	struct program p;
	struct gs__vars *v;
	const struct gs__local *l, *l2;
	int r;

	write_program(&p, &(struct variant){ 0 });
	v = ask(&p, &r);
	assert_int_equal(r, 0);
	/* At the first pc s is in a register, and the block has not begun. */
	assert_non_null(find(v, 0, "a", 0));
	assert_null(find(v, 0, "s", 0));
	assert_null(find(v, 0, "e", 0));
	assert_null(find(v, 0, "p", 0));
	l = find(v, 1, "a", 0);
	assert_true(l && l->offset == 0 && l->bytes == 0 && !l->indirect);
	l = find(v, 1, "s", 0);
	l2 = find(v, 1, "s", 16);
	assert_true(l && l->offset == -40 && l->bytes == 8);
	assert_true(l2 && l2->offset == -24 && l2->bytes == 8 && l2->variable == l->variable);
	assert_null(find(v, 1, "s", 8));
	l = find(v, 1, "e", 0);
	assert_true(l && l->offset == -48 && l->indirect);
	l = find(v, 1, "p", 0);
	assert_true(l && l->offset == -56 && !l->indirect);
	assert_string_equal(v->text + v->type[l->type - 1].name, "*main.T");
	assert_int_equal(v->n_locals, 6);
	assert_int_equal(v->n_captures, 3);
	assert_int_equal(v->capture[0].offset, 16);
	assert_string_equal(v->text + v->capture[0].name, "&u");
	assert_int_equal(v->capture[1].offset, 8);
	assert_int_equal(v->capture[2].function, 0x401110);
	assert_int_equal(v->capture[2].offset, 8);
	gs__go_vars_free(v);
	(void)state;
}

/* Places that are none. */
static void hostile_expressions(void **state)
{
	static const struct {
		uint8_t e[24];
		size_t n;
		uint32_t found;
	} bad[] = {
		{ { 0 }, 0, 0 },
		{ { FBREG, 0x80 }, 2, 0 },                                 /* cut in a number */
		{ { FBREG, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01 }, 7, 0 },   /* 32 GB away */
		{ { CFA, PIECE, 0xff, 0xff, 0xff, 0xff, 0xff, 1 }, 8, 0 }, /* a huge part */
		{ { DEREF }, 1, 0 },
		{ { PIECE, 8, PIECE, 8 }, 4, 0 },   /* nowhere */
		{ { CFA, CONSTU, 8, 0x22 }, 4, 0 }, /* computed */
		{ { CFA, CFA }, 2, 0 },
		{ { 0xff, 0xff, 0xff }, 3, 0 },
		{ { PIECE, 8, CFA, PIECE, 8 }, 5, 1 },
	};

	for (size_t i = 0; i < GS_ARRAY_SIZE(bad); i++) {
		struct program p;
		struct gs__vars *v;
		int r;

		write_program(
			&p, &(struct variant){ .expression = bad[i].e, .n_expression = bad[i].n });
		v = ask(&p, &r);
		assert_int_equal(r, 0);
		assert_null(find(v, 1, "a", 0));
		assert_int_equal(find(v, 1, "a", 8) != NULL, bad[i].found);
		assert_non_null(find(v, 1, "e", 0)); /* the rest is there */
		gs__go_vars_free(v);
	}
	(void)state;
}

static void deep_blocks(void **state)
{
	struct program p;
	struct gs__vars *v;
	int r;

	write_program(&p, &(struct variant){ .blocks = 1000 });
	v = ask(&p, &r);
	assert_int_equal(r, 0);
	assert_null(find(v, 1, "e", 0)); /* too deep */
	assert_non_null(find(v, 1, "p", 0));
	gs__go_vars_free(v);
	(void)state;
}

/* Whatever the bytes are: an answer within bounds, or none; the parent makes of it what it can. */
static void noise(void **state)
{
	uint64_t random = 1;

	for (int round = 0; round < 150; round++) {
		struct gs_memory mem = { 0 };
		struct gs_go_variables all;
		struct gs_go_types *types;
		struct gs_go_layout layout;
		struct gs_err err = { 0 };
		struct program p;
		struct gs__vars *v;
		int r;

		write_program(&p, &(struct variant){ 0 });
		for (int k = 0; k < 1 + round % 6; k++) {
			struct bytes *b = (random >> 20) % 4 ? &p.info : &p.loc;

			random = random * 6364136223846793005u + 1442695040888963407u;
			b->b[(random >> 33) % b->n] ^= (uint8_t)(random >> 56 | 1);
		}
		v = ask(&p, &r);
		gs_assert_ok(gs_go_layout_table(25, GS_ARCH_AMD64, &layout, &err), &err);
		gs_assert_ok(gs_go_types_new(&mem, &layout, NULL, 0, &types, &err), &err);
		if (r == 0)
			gs_assert_ok(gs__go_make_vars(v, NULL, 0, 0, types, &all, &err), &err);
		for (uint32_t i = 0; r == 0 && i < all.n_at; i++)
			for (uint32_t k = 0; k < all.at[i].n; k++)
				assert_true(all.at[i].local[k].type && all.at[i].local[k].bytes);
		gs_go_types_free(types);
		gs__go_vars_free(v);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_answers),
		cmocka_unit_test(hostile_expressions),
		cmocka_unit_test(deep_blocks),
		cmocka_unit_test(noise),
	};

	return gs_test_main(tests);
}
