/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TESTS_LIB_BUILDER_PRIVATE_H
#define GS_TESTS_LIB_BUILDER_PRIVATE_H

/* What the writers of the three formats share: a growing buffer whose numbers can have names. */
#include "image_builder.h"

struct gs_build_field {
	char name[160];
	size_t offset;
	unsigned int width;
};

struct gs_build_buf {
	uint8_t *p;
	size_t n, cap;
	struct gs_build_field *fields;
	size_t n_fields;
	size_t patched; /* field of the last patch, where the next search starts */
};

void gs_buf_bytes(struct gs_build_buf *b, const void *p, size_t n);
void gs_buf_zeros(struct gs_build_buf *b, size_t n);
/** Zeros up to a multiple of @align. */
void gs_buf_align(struct gs_build_buf *b, size_t align);
/** Zeros up to offset @to. */
void gs_buf_to(struct gs_build_buf *b, size_t to);
/** A little-endian number of @width bytes without a name. */
void gs_buf_put(struct gs_build_buf *b, unsigned int width, uint64_t value);
/** A number with a name. */
void gs_buf_field(struct gs_build_buf *b, unsigned int width, uint64_t value, const char *fmt, ...)
	GS_PRINTF(4, 5);
/** Append a string with its NUL; its offset. */
size_t gs_buf_string(struct gs_build_buf *b, const char *s);
/** Append another buffer with its fields, and free it. */
void gs_buf_take(struct gs_build_buf *b, struct gs_build_buf *other);
void gs_buf_deinit(struct gs_build_buf *b);
/** Overwrite the field @name; aborts if there is none. */
void gs_buf_patch(struct gs_build_buf *b, const char *name, uint64_t value);

struct gs_build_section {
	char *name;
	gs_addr addr;
	uint32_t flags, type, link, info;
	uint64_t size, align, entsize;
	uint64_t offset; /* in the file, set by the writer */
	struct gs_build_buf content;
};

struct gs_build_symbol {
	char *name;
	gs_addr addr;
	uint64_t size;
	bool is_function;
};

struct gs_build_reloc {
	gs_addr where;
	uint64_t addend;
};

struct gs_builder {
	enum gs_image_format format;
	enum gs_arch arch;
	uint32_t options;
	gs_addr entry;
	char *interp;
	bool has_uuid;
	uint8_t uuid[16];
	struct gs_build_section *sections;
	size_t n_sections;
	struct gs_build_symbol *symbols, *dynamic;
	size_t n_symbols, n_dynamic;
	struct gs_build_reloc *relocs;
	size_t n_relocs;
	uint64_t *relr;
	size_t n_relr;
	char **needed;
	size_t n_needed;
	struct {
		char *name;
		uint64_t value;
	} * breaks;
	size_t n_breaks;
	bool truncate;
	uint64_t truncate_to;
	struct gs_build_buf out;
};

/** Another section at the end; the pointer lives until the next call. */
struct gs_build_section *gs_builder_add(struct gs_builder *b, const char *name, gs_addr addr,
					uint32_t flags);
/** First address behind all loaded sections, rounded up to @align. */
gs_addr gs_builder_free_addr(const struct gs_builder *b, uint64_t align);
/** Index of the loaded section that contains @addr, or ends there, or -1. */
int gs_builder_section_of(const struct gs_builder *b, gs_addr addr);

void gs_builder_write_elf(struct gs_builder *b);
void gs_builder_write_pe(struct gs_builder *b);
void gs_builder_write_macho(struct gs_builder *b);

/** realloc that aborts, for one more element. */
void *gs_build_grow(void *p, size_t n, size_t size);
#define GS_BUILD_PUSH(array, n)                                                                    \
	((array) = gs_build_grow((array), (n) + 1, sizeof(*(array))), &(array)[(n)++])

#endif
