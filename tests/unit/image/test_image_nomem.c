/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The N-th allocation fails, for every N: src/image says so and leaks nothing (ASan looks). The
 * allocators are replaced by the linker (--wrap), for our libraries' calls only.
 */
#include "test.h"

#include <errno.h>
#include <stdlib.h>

#include "image/image.h"
#include "image_builder.h"

static long countdown; /* < 0: never */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static int refuse(void)
{
	return countdown >= 0 && countdown-- == 0;
}

void *__wrap_malloc(size_t n)
{
	return refuse() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return refuse() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return refuse() ? NULL : __real_realloc(p, n);
}

static int count(void *ctx, const struct gs_image_symbol *s)
{
	*(size_t *)ctx += strlen(s->name);
	return 0;
}

/* Everything that allocates. */
static int use(const uint8_t *bytes, size_t size, struct gs_err *err)
{
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	struct gs_image_symbol s;
	struct gs_cursor c;
	uint64_t word;
	size_t n = 0;
	int r = gs_image_from_bytes(bytes, size, "x", &img, err);

	for (int i = 0; r == 0 && i < 8; i++)
		r = gs_image_find_symbol(img, "exactly8", &s, err);
	if (r == 0)
		r = gs_image_each_symbol(img, count, &n, err);
	if (r == 0)
		r = gs_image_word(img, gs_image_segment_at(img, 0)->addr, &word, err);
	for (uint32_t i = 0; r >= 0 && i < gs_image_info(img)->n_sections; i++)
		r = gs_image_section_bytes(img, gs_image_section_at(img, i), &c, err);
	return r;
}

static struct gs_builder *declare(enum gs_image_format format)
{
	gs_addr at = format == GS_IMAGE_PE ? 0x140001000 : 0x100004000;
	struct gs_builder *b = gs_builder_new(format, GS_ARCH_AMD64);
	char name[60];

	gs_builder_section(b, format == GS_IMAGE_MACHO ? "__TEXT,__text" : ".text", at,
			   GS_IMAGE_READ | GS_IMAGE_EXEC, "12345678", 8);
	gs_builder_symbol(b, "exactly8", at, 0, true);
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	// Enough sections to need more than one block of the arena.
	for (gs_addr i = 1; format != GS_IMAGE_MACHO && i < 200; i++)
		gs_builder_section(b, name, at + i * 0x1000, GS_IMAGE_READ, "x", 1);
	if (format == GS_IMAGE_ELF) {
		gs_builder_relative(b, at + 8, 1); // in disorder, so that they are copied
		gs_builder_relative(b, at, 2);
	}
	return b;
}

static void test_every_allocation(void **state)
{
	(void)state; // no fixture
	for (int format = GS_IMAGE_ELF; format <= GS_IMAGE_MACHO; format++) {
		GS_CLEANUP(gs_builder_freep) struct gs_builder *b = NULL;
		unsigned int refused = 0;
		struct gs_err err;
		size_t size;
		const uint8_t *bytes;

		countdown = -1;
		b = declare(format);
		bytes = gs_builder_finish(b, &size);
		for (long n = 0;; n++) {
			int r;

			countdown = n;
			r = use(bytes, size, &err);
			if (countdown >= 0) { // not reached: the whole run had its memory
				assert_true(r >= 0);
				break;
			}
			// A message without a nice section name is all that may be lost.
			if (r < 0) {
				assert_int_equal(r, -ENOMEM);
				assert_non_null(strstr(err.text, "out of memory"));
				refused++;
			}
		}
		countdown = -1;
		assert_in_range(refused, 2, 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_allocation) };

	countdown = -1;
	return gs_test_main(tests);
}
