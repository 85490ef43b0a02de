/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What the child that reads DWARF may say of variables: right answers become types, lies and noise become nothing worse than
 * variables without types. Real programs: tests/live/test_heap_objects.py.
 */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "golang/dwarf_variables_private.h"

struct world {
	struct gs_memory mem;
	struct gs_go_layout layout;
	struct gs_go_types *types;
	struct gs__vars *v;
	struct gs_err err;
	struct gs_go_variables all;
	const struct gs_go_variable *var;
	uint32_t n;
};

static int read_nothing(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	(void)ctx;
	(void)err;
	for (size_t i = 0; i < n; i++)
		reads[i].result = -GS_E_FAULT;
	return 0;
}

static void world_init(struct world *w)
{
	*w = (struct world){ .mem = { .readv = read_nothing } };
	gs_assert_ok(gs_go_layout_table(25, GS_ARCH_AMD64, &w->layout, &w->err), &w->err);
	gs_assert_ok(gs_go_types_new(&w->mem, &w->layout, NULL, 0, &w->types, &w->err), &w->err);
	w->v = gs__go_vars_new();
	assert_non_null(w->v);
	w->v->n_text = 1;
}

static void world_deinit(struct world *w)
{
	gs__go_vars_free(w->v);
	gs_go_types_free(w->types);
}

static uint32_t text(struct world *w, const char *s)
{
	uint32_t at = w->v->n_text;

	strcpy(w->v->text + at, s);
	w->v->n_text += (uint32_t)strlen(s) + 1;
	return at;
}

static uint32_t type(struct world *w, const char *name, enum gs_go_kind kind, uint64_t size)
{
	w->v->type[w->v->n_types] =
		(struct gs__var_type){ .name = text(w, name), .kind = (uint8_t)kind, .size = size };
	return ++w->v->n_types;
}

static void field(struct world *w, const char *name, uint32_t number, uint64_t offset)
{
	w->v->field[w->v->n_fields++] =
		(struct gs__var_field){ .name = text(w, name), .type = number, .offset = offset };
}

static void variable(struct world *w, const char *name, uint64_t addr, uint32_t number)
{
	w->v->var[w->v->n_vars++] =
		(struct gs__var){ .addr = addr, .name = text(w, name), .type = number };
}

static int make(struct world *w)
{
	int r = gs__go_make_vars(w->v, NULL, 0x1000, 0, w->types, &w->all, &w->err);

	w->var = w->all.global;
	w->n = w->all.n_globals;
	return r;
}

/* var b struct { n int; p *T }; var a [3]*T, of a T that the program does not describe */
static void right_answers(void **state)
{
	struct world w;
	uint32_t t, p, s, a, n;

	world_init(&w);
	n = type(&w, "int", GS_GO_KIND_INT, 8);
	t = type(&w, "main.T", GS_GO_KIND_STRUCT, 16);
	p = type(&w, "*main.T", GS_GO_KIND_POINTER, 0);
	w.v->type[p - 1].elem = t;
	s = type(&w, "struct { n int; p *main.T }", GS_GO_KIND_STRUCT, 16);
	w.v->type[s - 1].n_fields = 2;
	field(&w, "n", n, 0);
	field(&w, "p", p, 8);
	a = type(&w, "[3]*main.T", GS_GO_KIND_ARRAY, 24);
	w.v->type[a - 1].elem = p;
	w.v->type[a - 1].length = 3;
	variable(&w, "main.b", 0x2000, s);
	variable(&w, "main.a", 0x1000, a);
	variable(&w, "main.c", 0x3000, 0);
	gs_assert_ok(make(&w), &w.err);
	assert_int_equal(w.n, 3);
	assert_string_equal(w.var[0].name, "main.a");
	assert_int_equal(w.var[0].addr, 0x2000);
	assert_int_equal(w.var[0].type->length, 3);
	assert_int_equal(w.var[0].type->elem->size, 8);
	assert_string_equal(w.var[1].type->fields[1].name, "p");
	assert_string_equal(w.var[1].type->fields[1].type->elem->name, "main.T");
	assert_true(gs_go_type_complete(w.types, w.var[1].type));
	assert_null(w.var[2].type);
	world_deinit(&w);
	(void)state;
}

static void local(struct world *w, const char *name, uint32_t number, struct gs__local l)
{
	l.name = text(w, name);
	l.type = number;
	w->v->local[w->v->n_locals++] = l;
}

static void capture(struct world *w, const char *name, uint32_t number, uint64_t function,
		    uint32_t offset)
{
	w->v->capture[w->v->n_captures++] = (struct gs__capture){
		.function = function, .offset = offset, .name = text(w, name), .type = number
	};
}

/* At two pcs, in any order; parts of a variable stand together. */
static void locals(void **state)
{
	struct world w;
	const struct gs_go_locals *at;
	uint32_t s, p;

	world_init(&w);
	s = type(&w, "[]int", GS_GO_KIND_SLICE, 24);
	p = type(&w, "*[]int", GS_GO_KIND_POINTER, 0);
	w.v->type[s - 1].elem = type(&w, "int", GS_GO_KIND_INT, 8);
	w.v->type[p - 1].elem = s;
	w.v->pc[0] = 0x10;
	w.v->pc[1] = 0x20;
	w.v->n_pcs = 2;
	local(&w, "p", p, (struct gs__local){ .pc = 1, .variable = 1, .offset = 8 });
	local(&w, "s", s, (struct gs__local){ .pc = 0, .variable = 2, .at = 16, .bytes = 8 });
	local(&w, "s", s, (struct gs__local){ .pc = 0, .variable = 2, .offset = -40, .bytes = 8 });
	local(&w, "e", s, (struct gs__local){ .pc = 1, .variable = 3, .indirect = true });
	/* no such pc, no type, behind the end, too large, beyond all addresses */
	local(&w, "x", p, (struct gs__local){ .pc = 2 });
	local(&w, "x", 0, (struct gs__local){ .bytes = 8 });
	local(&w, "x", s, (struct gs__local){ .at = 32, .bytes = 8 });
	local(&w, "x", s, (struct gs__local){ .at = UINT32_MAX, .bytes = 8 });
	local(&w, "x", s, (struct gs__local){ .bytes = 32 });
	local(&w, "x", s, (struct gs__local){ .offset = INT32_MAX, .bytes = 8 });
	local(&w, "x", s, (struct gs__local){ .indirect = true, .bytes = 24 });
	gs_assert_ok(make(&w), &w.err);
	assert_int_equal(w.all.n_at, 2);
	at = gs_go_locals_at(&w.all, 0x1010);
	assert_true(at && at->n == 2 && at->local[0].at == 0 && at->local[1].at == 16);
	assert_int_equal(at->local[0].offset, -40);
	at = gs_go_locals_at(&w.all, 0x1020);
	assert_true(at && at->n == 2 && at->local[0].bytes == 8 && at->local[1].bytes == 8);
	assert_string_equal(at->local[0].type->elem->name, "[]int");
	assert_true(at->local[1].indirect);
	assert_null(gs_go_locals_at(&w.all, 0x1018));
	w.v->n_locals = GS__LOCALS_MAX + 1;
	gs_assert_fails(-GS_E_BAD_DATA, "counts", make(&w), &w.err);
	w.v->n_locals = 0;
	w.v->n_pcs = GS__PCS_MAX + 1;
	gs_assert_fails(-GS_E_BAD_DATA, "counts", make(&w), &w.err);
	world_deinit(&w);
	(void)state;
}

static void closures(void **state)
{
	struct world w;
	const struct gs_go_closure *c;
	uint32_t i, p, shape;

	world_init(&w);
	i = type(&w, "int", GS_GO_KIND_INT, 8);
	p = type(&w, "*int", GS_GO_KIND_POINTER, 0);
	w.v->type[p - 1].elem = i;
	shape = type(&w, "*go.shape.int", GS_GO_KIND_POINTER, 0);
	w.v->type[shape - 1].elem = i;
	capture(&w, "&b", p, 0x20, 16);
	capture(&w, "c", p, 0x10, 8);
	capture(&w, "a", i, 0x20, 8);
	/* where the function is, an address that is none, no type, a shape */
	capture(&w, "x", i, 0x20, 0);
	capture(&w, "&x", i, 0x20, 24);
	capture(&w, "x", 0, 0x20, 24);
	capture(&w, "x", shape, 0x20, 24);
	gs_assert_ok(make(&w), &w.err);
	assert_int_equal(w.all.n_closures, 2);
	c = gs_go_closure_of(&w.all, 0x1020);
	assert_true(c && c->n == 2);
	assert_string_equal(c->capture[0].name, "a");
	assert_string_equal(c->capture[1].name, "b");
	assert_true(!c->capture[0].maybe_value && c->capture[1].maybe_value);
	assert_null(gs_go_closure_of(&w.all, 0x1018));
	w.v->n_captures = GS__CAPTURES_MAX + 1;
	gs_assert_fails(-GS_E_BAD_DATA, "counts", make(&w), &w.err);
	world_deinit(&w);
	(void)state;
}

static void lies(void **state)
{
	struct world w;
	uint32_t t;

	world_init(&w);
	w.v->n_vars = GS__VARS_MAX + 1;
	gs_assert_fails(-GS_E_BAD_DATA, "counts", make(&w), &w.err);
	w.v->n_vars = 0;
	w.v->n_text = UINT32_MAX;
	gs_assert_fails(-GS_E_BAD_DATA, "counts", make(&w), &w.err);
	w.v->n_text = 1;
	/* a field outside, fields out of the list, a pointer to no type, an array of the wrong length */
	t = type(&w, "main.T", GS_GO_KIND_STRUCT, 8);
	w.v->type[t - 1].n_fields = 1;
	field(&w, "x", t, 16);
	variable(&w, "main.a", 1, t);
	t = type(&w, "main.U", GS_GO_KIND_STRUCT, 8);
	w.v->type[t - 1].first_field = 1;
	w.v->type[t - 1].n_fields = 7;
	variable(&w, "main.b", 2, t);
	variable(&w, "main.c", 3, type(&w, "*main.V", GS_GO_KIND_POINTER, 8));
	t = type(&w, "[2]main.T", GS_GO_KIND_ARRAY, 8);
	w.v->type[t - 1].elem = 1;
	w.v->type[t - 1].length = 2;
	variable(&w, "main.d", 4, t);
	variable(&w, "main.e", 5, UINT32_MAX);
	gs_assert_ok(make(&w), &w.err);
	assert_int_equal(w.var[0].type->n_fields, 0);
	for (uint32_t i = 1; i < 5; i++)
		assert_null(w.var[i].type);
	world_deinit(&w);
	(void)state;
}

static void noise(void **state)
{
	uint64_t random = 1;

	for (int round = 0; round < 300; round++) {
		struct world w;
		uint8_t *p;

		world_init(&w);
		w.v->n_vars = 50;
		w.v->n_pcs = 20;
		w.v->n_locals = 50;
		w.v->n_captures = 50;
		w.v->n_types = 50;
		w.v->n_fields = 200;
		w.v->n_text = 400;
		for (int part = 0; part < 6; part++) {
			p = part == 0   ? (uint8_t *)w.v->var
			    : part == 1 ? (uint8_t *)w.v->type
			    : part == 2 ? (uint8_t *)w.v->field
			    : part == 3 ? (uint8_t *)w.v->local
			    : part == 4 ? (uint8_t *)w.v->capture
					: (uint8_t *)w.v->text;
			for (size_t i = 0; i < 3000; i++) {
				random = random * 6364136223846793005u + 1442695040888963407u;
				p[i] = i % 4 == 0 || random >> 62 == 0 ? random >> 33 & 63 : 0;
			}
		}
		gs_assert_ok(make(&w), &w.err);
		for (uint32_t i = 0; i < w.all.n_at; i++)
			for (uint32_t k = 0; k < w.all.at[i].n; k++)
				assert_true(w.all.at[i].local[k].bytes);
		for (uint32_t i = 0; i < w.all.n_closures; i++)
			for (uint32_t k = 0; k < w.all.closure[i].n; k++)
				assert_true(w.all.closure[i].capture[k].type);
		for (uint32_t i = 0; i < w.n; i++) {
			const struct gs_go_type *t = w.var[i].type;

			assert_non_null(w.var[i].name);
			for (uint32_t k = 0; t && k < t->n_fields; k++)
				assert_true(t->fields[k].offset + t->fields[k].type->size <=
					    t->size);
		}
		world_deinit(&w);
	}
	(void)state;
}

/* Files that are no programs: an answer, not a crash. */
static void no_dwarf(void **state)
{
	static const char *const content[] = {
		"", "x",
		"\x7f"
		"ELF",
		"a text that is somewhat longer than the head of a file"
	};
	struct world w;

	world_init(&w);
	for (size_t i = 0; i < GS_ARRAY_SIZE(content); i++) {
		GS_CLEANUP(gs_closep) int fd = memfd_create("file", MFD_CLOEXEC);

		assert_true(fd >= 0);
		assert_int_equal(write(fd, content[i], strlen(content[i])), strlen(content[i]));
		gs_assert_result(
			1, gs_go_dwarf_variables(fd, NULL, 0, 0, w.types, NULL, 0, &w.all, &w.err),
			&w.err);
	}
	world_deinit(&w);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_answers), cmocka_unit_test(locals),
		cmocka_unit_test(closures),      cmocka_unit_test(lies),
		cmocka_unit_test(noise),         cmocka_unit_test(no_dwarf),
	};

	return gs_test_main(tests);
}
