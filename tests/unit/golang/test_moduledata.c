/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Module data of every release, found in built images and read from memory, and damaged. */
#include "test.h"

#include <stdlib.h>

#include "golang/layout.h"
#include "golang/moduledata.h"
#include "pclntab_builder.h"

struct fixture {
	struct gs_build_go go;
	struct gs_builder *b;
	struct gs_image *img;
	struct gs_build_go_places places;
	struct gs_cursor table;
	gs_addr table_addr;
	struct gs_err err;
	struct gs_go_moduledata md;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->go = *gs_build_go_sample();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	gs_image_free(f->img);
	gs_builder_free(f->b);
	free(f);
	return 0;
}

static void build(struct fixture *f, unsigned int minor, enum gs_image_format format,
		  uint32_t options)
{
	const uint8_t *bytes;
	size_t size;

	f->img = gs_image_free(f->img);
	f->b = gs_builder_free(f->b);
	f->go.minor = minor;
	f->b = gs_build_go_image(&f->go, format, options, &f->places);
	bytes = gs_builder_finish(f->b, &size);
	gs_assert_ok(gs_image_from_bytes(bytes, size, "built", &f->img, &f->err), &f->err);
	gs_assert_ok(gs_go_pclntab_find(f->img, &f->table, &f->table_addr, &f->err), &f->err);
}

static int find(struct fixture *f, unsigned int minor)
{
	return gs_go_moduledata_find(f->img, minor, &f->table, f->table_addr, &f->md, &f->err);
}

static void check(struct fixture *f)
{
	const struct gs_go_moduledata *m = &f->md;

	assert_int_equal(m->pclntab, f->places.pclntab);
	assert_int_equal(m->text, f->places.text);
	assert_int_equal(m->minpc, f->places.text);
	assert_int_equal(m->maxpc, f->places.text + 0xf0);
	assert_int_equal(m->gofunc, f->places.gofunc);
	assert_true(m->pclntab_size <= f->places.pclntab_size);
	assert_true(m->pclntab_size > f->places.pclntab_size - 64);
	assert_int_equal(m->enoptrdata, m->noptrdata + 0x800);
	assert_int_equal(m->edata, m->data + 0x100);
	assert_int_equal(m->ebss, m->noptrbss);
	assert_int_equal(m->end, m->bss + 0x1000);
	assert_int_equal(m->etypes, m->types + 0x10);
	assert_int_equal(m->rodata, m->types);
	assert_int_equal(m->next, 0);
	assert_true(m->has_main);
}

static void test_find(void **state)
{
	static const enum gs_image_format formats[] = { GS_IMAGE_ELF, GS_IMAGE_PE, GS_IMAGE_MACHO };
	struct fixture *f = *state;

	for (unsigned int minor = 19; minor <= 27; minor++) {
		for (uint32_t options = 0; options < 64; options++) {
			for (size_t i = 0; i < GS_ARRAY_SIZE(formats); i++) {
				if (formats[i] != GS_IMAGE_ELF &&
				    (options & (GS_BUILD_GO_NO_SECTIONS | GS_BUILD_GO_PIE_ZERO)))
					continue;
				// Without sections there is no telling where relocations are.
				if ((options & GS_BUILD_GO_NO_SECTIONS) &&
				    (options & GS_BUILD_GO_PIE_ZERO))
					continue;
				build(f, minor, formats[i], options);
				// with the release, without it, and with one that is not known yet
				for (unsigned int guess = 0; guess < 3; guess++) {
					memset(&f->md, 0xee, sizeof(f->md));
					gs_assert_ok(find(f, guess == 0   ? minor
							     : guess == 1 ? 0
									  : 28),
						     &f->err);
					check(f);
					assert_int_equal(f->md.addr, f->places.moduledata);
					assert_true(f->md.from_file);
				}
			}
		}
	}
}

/* ---- in memory ---- */

static int from_image(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	struct fixture *f = ctx;

	for (size_t i = 0; i < n; i++) {
		struct gs_cursor c;

		reads[i].result = -GS_E_FAULT;
		if (gs_image_at(f->img, reads[i].addr, &c, err) == 0 &&
		    gs_cursor_bytes(&c, reads[i].buf, reads[i].len, err) == 0)
			reads[i].result = 0;
	}
	return 0;
}

static void test_read(void **state)
{
	struct fixture *f = *state;
	const struct gs_memory mem = { .readv = from_image, .ctx = f };

	for (unsigned int minor = 19; minor <= 27; minor++) {
		for (unsigned int known = 0; known < 2; known++) {
			build(f, minor, GS_IMAGE_ELF, GS_BUILD_GO_STRIPPED);
			memset(&f->md, 0xee, sizeof(f->md));
			gs_assert_ok(gs_go_moduledata_read(&mem, known ? minor : 0,
							   f->places.moduledata, &f->md, &f->err),
				     &f->err);
			check(f);
			assert_int_equal(f->md.addr, f->places.moduledata);
			assert_false(f->md.from_file);
		}
	}
	gs_assert_fails(-GS_E_FAULT, "module data at",
			gs_go_moduledata_read(&mem, 26, 0x10, &f->md, &f->err), &f->err);
	gs_assert_fails(-GS_E_BAD_DATA, "no address",
			gs_go_moduledata_read(&mem, 26, 0, &f->md, &f->err), &f->err);
	gs_assert_fails(-GS_E_BAD_DATA, "no address",
			gs_go_moduledata_read(&mem, 26, f->places.moduledata + 4, &f->md, &f->err),
			&f->err);
	gs_assert_fails(-GS_E_FAULT, "function table of the module data",
			gs_go_moduledata_read(&mem, 26, f->places.text, &f->md, &f->err), &f->err);
	gs_assert_fails(
		-GS_E_BAD_DATA, "magic",
		gs_go_moduledata_read(&mem, 26, f->places.moduledata + 176, &f->md, &f->err),
		&f->err);
}

/* ---- damage ---- */

/* Memory of the image with one word of moduledata changed. */
struct damaged {
	struct fixture *f;
	uint64_t words[128];
	size_t size;
};

static int from_damaged(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	struct damaged *d = ctx;

	(void)from_image(d->f, reads, n, err); // never fails as a whole
	for (size_t i = 0; i < n; i++) {
		uint64_t off = reads[i].addr - d->f->places.moduledata;

		if (off < d->size && reads[i].len <= d->size - off) {
			memcpy(reads[i].buf, (const uint8_t *)d->words + off, reads[i].len);
			reads[i].result = 0;
		}
	}
	return 0;
}

static void test_damaged(void **state)
{
	static const struct {
		enum gs_go_field field;
		unsigned int extra;
		const char *words;
	} cases[] = {
		{ GS_GO_MD_FUNCNAMETAB, 0, "slices" },
		{ GS_GO_MD_PCLNTABLE, 0, "slices" },
		{ GS_GO_MD_PCLNTABLE, 1, "size" },
		{ GS_GO_MD_FTAB, 0, "slices" },
		{ GS_GO_MD_FTAB, 1, "other functions" },
		{ GS_GO_MD_MINPC, 0, "code" },
		{ GS_GO_MD_TEXT, 0, "its " },
		{ GS_GO_MD_NOPTRDATA, 0, "sections" },
		{ GS_GO_MD_DATA, 0, "sections" },
		{ GS_GO_MD_BSS, 0, "sections" },
		{ GS_GO_MD_NOPTRBSS, 0, "sections" },
		{ GS_GO_MD_EBSS, 0, "sections" },
		{ GS_GO_MD_ENOPTRBSS, 0, "sections" },
		{ GS_GO_MD_TYPES, 0, "sections" },
		{ GS_GO_MD_MAXPC, 0, "sections" },
		{ GS_GO_MD_NEXT, 0, "next module" },
	};
	struct fixture *f = *state;
	struct gs_go_layout l;

	for (unsigned int minor = 19; minor <= 27; minor++) {
		if (gs_go_layout_table(minor, GS_ARCH_AMD64, &l, &f->err) != 0)
			continue; // a release without a table of its own
		build(f, minor, GS_IMAGE_ELF, 0);
		for (size_t i = 0; i < GS_ARRAY_SIZE(cases); i++) {
			struct damaged d = { .f = f, .size = sizeof(d.words) };
			const struct gs_memory mem = { .readv = from_damaged, .ctx = &d };
			struct gs_cursor c;

			// Elsewhere it is another release's moduledata with a good link.
			if (cases[i].field == GS_GO_MD_NEXT && minor > 19 && minor < 27)
				continue;
			gs_assert_ok(gs_image_at(f->img, f->places.moduledata, &c, &f->err),
				     &f->err);
			gs_assert_ok(gs_cursor_bytes(&c, d.words, d.size, &f->err), &f->err);
			gs_assert_ok(gs_go_moduledata_read(&mem, minor, f->places.moduledata,
							   &f->md, &f->err),
				     &f->err);
			d.words[l.offset[cases[i].field] / 8 + cases[i].extra] = 0xfffffffffffff;
			gs_assert_fails(-GS_E_BAD_DATA, cases[i].words,
					gs_go_moduledata_read(&mem, minor, f->places.moduledata,
							      &f->md, &f->err),
					&f->err);
		}
	}
}

static void test_none(void **state)
{
	struct fixture *f = *state;
	struct gs_cursor other;

	build(f, 26, GS_IMAGE_ELF, 0);
	other = f->table;
	// the same table somewhere else is not what this module data describes
	assert_int_equal(
		gs_go_moduledata_find(f->img, 26, &other, f->table_addr + 0x1000, &f->md, &f->err),
		1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_find),
		TEST(test_read),
		TEST(test_damaged),
		TEST(test_none),
	};

	return gs_test_main(tests);
}
