/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The declaration side of the image builder and the buffer with named numbers. The formats are in
 * elf_builder.c, pe_builder.c and macho_builder.c.
 */
#include "image_builder.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "builder_private.h"

/* Tests run with assertions on; losing memory in them is not worth handling. */
#ifdef NDEBUG
#error "test code needs assert()"
#endif

void *gs_build_grow(void *p, size_t n, size_t size)
{
	// Doubling by powers of two: a block of n elements always has room for the next power.
	if (n > 1 && (n - 1) & (n - 2))
		return p;
	p = realloc(p, (n > 1 ? 2 * (n - 1) : 1) * size);
	assert(p);
	memset((char *)p + (n - 1) * size, 0, ((n > 1 ? 2 * (n - 1) : 1) - (n - 1)) * size);
	return p;
}

static char *copy_string(const char *s)
{
	char *p = strdup(s);

	assert(p);
	return p;
}

void gs_buf_bytes(struct gs_build_buf *b, const void *p, size_t n)
{
	if (b->cap - b->n < n) {
		b->cap = 2 * (b->n + n);
		b->p = realloc(b->p, b->cap);
		assert(b->p);
	}
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
}

void gs_buf_zeros(struct gs_build_buf *b, size_t n)
{
	static const uint8_t zeros[64];

	for (; n > sizeof(zeros); n -= sizeof(zeros))
		gs_buf_bytes(b, zeros, sizeof(zeros));
	gs_buf_bytes(b, zeros, n);
}

void gs_buf_to(struct gs_build_buf *b, size_t to)
{
	assert(to >= b->n);
	gs_buf_zeros(b, to - b->n);
}

void gs_buf_align(struct gs_build_buf *b, size_t align)
{
	gs_buf_to(b, (b->n + align - 1) / align * align);
}

void gs_buf_put(struct gs_build_buf *b, unsigned int width, uint64_t value)
{
	gs_buf_bytes(b, &value, width); // little-endian host
}

void gs_buf_field(struct gs_build_buf *b, unsigned int width, uint64_t value, const char *fmt, ...)
{
	struct gs_build_field *f = GS_BUILD_PUSH(b->fields, b->n_fields);
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(f->name, sizeof(f->name), fmt, ap);
	va_end(ap);
	assert(n > 0 && (size_t)n < sizeof(f->name));
	f->offset = b->n;
	f->width = width;
	gs_buf_put(b, width, value);
}

size_t gs_buf_string(struct gs_build_buf *b, const char *s)
{
	size_t at = b->n;

	gs_buf_bytes(b, s, strlen(s) + 1);
	return at;
}

void gs_buf_take(struct gs_build_buf *b, struct gs_build_buf *other)
{
	for (size_t i = 0; i < other->n_fields; i++) {
		struct gs_build_field *f = GS_BUILD_PUSH(b->fields, b->n_fields);

		*f = other->fields[i];
		f->offset += b->n;
	}
	gs_buf_bytes(b, other->p, other->n);
	gs_buf_deinit(other);
}

void gs_buf_deinit(struct gs_build_buf *b)
{
	free(b->p);
	free(b->fields);
	*b = (struct gs_build_buf){ 0 };
}

void gs_buf_patch(struct gs_build_buf *b, const char *name, uint64_t value)
{
	// Tests that break thousands of fields do it in table order.
	for (size_t k = 0; k < b->n_fields; k++) {
		const struct gs_build_field *f = &b->fields[(b->patched + k) % b->n_fields];

		if (strcmp(f->name, name) == 0) {
			memcpy(b->p + f->offset, &value, f->width);
			b->patched = (size_t)(f - b->fields);
			return;
		}
	}
	fprintf(stderr, "image builder: no field \"%s\"; there are:\n", name);
	for (size_t i = 0; i < b->n_fields; i++)
		fprintf(stderr, "  %s\n", b->fields[i].name);
	abort();
}

struct gs_builder *gs_builder_new(enum gs_image_format format, enum gs_arch arch)
{
	struct gs_builder *b = calloc(1, sizeof(*b));

	assert(b);
	b->format = format;
	b->arch = arch;
	return b;
}

struct gs_builder *gs_builder_free(struct gs_builder *b)
{
	if (!b)
		return NULL;
	for (size_t i = 0; i < b->n_sections; i++) {
		free(b->sections[i].name);
		gs_buf_deinit(&b->sections[i].content);
	}
	for (size_t i = 0; i < b->n_symbols; i++)
		free(b->symbols[i].name);
	for (size_t i = 0; i < b->n_dynamic; i++)
		free(b->dynamic[i].name);
	for (size_t i = 0; i < b->n_needed; i++)
		free(b->needed[i]);
	for (size_t i = 0; i < b->n_breaks; i++)
		free(b->breaks[i].name);
	free(b->sections);
	free(b->symbols);
	free(b->dynamic);
	free(b->relocs);
	free(b->relr);
	free(b->needed);
	free(b->breaks);
	free(b->interp);
	gs_buf_deinit(&b->out);
	free(b);
	return NULL;
}

struct gs_build_section *gs_builder_add(struct gs_builder *b, const char *name, gs_addr addr,
					uint32_t flags)
{
	struct gs_build_section *s = GS_BUILD_PUSH(b->sections, b->n_sections);

	*s = (struct gs_build_section){
		.name = copy_string(name), .addr = addr, .flags = flags, .align = 8
	};
	return s;
}

void gs_builder_section(struct gs_builder *b, const char *name, gs_addr addr, uint32_t flags,
			const void *bytes, uint64_t size)
{
	struct gs_build_section *s = gs_builder_add(b, name, addr, flags);

	s->size = size;
	if (!(flags & GS_IMAGE_NOBITS))
		gs_buf_bytes(&s->content, bytes, size);
}

gs_addr gs_builder_free_addr(const struct gs_builder *b, uint64_t align)
{
	gs_addr top = 0x10000;

	for (size_t i = 0; i < b->n_sections; i++) {
		const struct gs_build_section *s = &b->sections[i];

		if (s->addr && s->addr + s->size > top)
			top = s->addr + s->size;
	}
	return (top + align - 1) / align * align;
}

int gs_builder_section_of(const struct gs_builder *b, gs_addr addr)
{
	int at_end = -1;

	for (size_t i = 0; i < b->n_sections; i++) {
		const struct gs_build_section *s = &b->sections[i];

		if (s->addr && addr >= s->addr && addr < s->addr + s->size)
			return (int)i;
		if (s->addr && addr == s->addr + s->size)
			at_end = (int)i; // runtime.etext and the like belong to what they end
	}
	return at_end;
}

void gs_builder_symbol(struct gs_builder *b, const char *name, gs_addr addr, uint64_t size,
		       bool is_function)
{
	*GS_BUILD_PUSH(b->symbols, b->n_symbols) = (struct gs_build_symbol){
		.name = copy_string(name), .addr = addr, .size = size, .is_function = is_function
	};
}

void gs_builder_dynamic_symbol(struct gs_builder *b, const char *name, gs_addr addr, uint64_t size,
			       bool is_function)
{
	*GS_BUILD_PUSH(b->dynamic, b->n_dynamic) = (struct gs_build_symbol){
		.name = copy_string(name), .addr = addr, .size = size, .is_function = is_function
	};
}

void gs_builder_note(struct gs_builder *b, const char *owner, uint32_t type, const void *desc,
		     uint32_t size)
{
	// Go counts the padding of its name, all others the NUL only.
	uint32_t namesz = strcmp(owner, "Go") == 0 ? 4 : (uint32_t)strlen(owner) + 1;
	struct gs_build_section *s;
	char name[64];

	assert(strlen(owner) < 32);
	snprintf(name, sizeof(name), ".note.%s.%u", owner, type);
	s = gs_builder_add(b, name, 0, GS_IMAGE_READ);
	s->type = 7; // SHT_NOTE
	s->align = 4;
	gs_buf_field(&s->content, 4, namesz, "n_namesz:%s.%u", owner, type);
	gs_buf_field(&s->content, 4, size, "n_descsz:%s.%u", owner, type);
	gs_buf_field(&s->content, 4, type, "n_type:%s.%u", owner, type);
	gs_buf_string(&s->content, owner);
	gs_buf_align(&s->content, 4);
	gs_buf_bytes(&s->content, desc, size);
	gs_buf_align(&s->content, 4);
	s->size = s->content.n;
}

void gs_builder_relative(struct gs_builder *b, gs_addr where, uint64_t addend)
{
	*GS_BUILD_PUSH(b->relocs, b->n_relocs) =
		(struct gs_build_reloc){ .where = where, .addend = addend };
}

void gs_builder_relr(struct gs_builder *b, const uint64_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		*GS_BUILD_PUSH(b->relr, b->n_relr) = words[i];
}

void gs_builder_needed(struct gs_builder *b, const char *library)
{
	*GS_BUILD_PUSH(b->needed, b->n_needed) = copy_string(library);
}

void gs_builder_interp(struct gs_builder *b, const char *path)
{
	free(b->interp);
	b->interp = copy_string(path);
}

void gs_builder_uuid(struct gs_builder *b, const uint8_t uuid[16])
{
	b->has_uuid = true;
	memcpy(b->uuid, uuid, 16);
}

void gs_builder_entry(struct gs_builder *b, gs_addr entry)
{
	b->entry = entry;
}

void gs_builder_options(struct gs_builder *b, uint32_t options)
{
	b->options |= options;
}

void gs_builder_break(struct gs_builder *b, const char *name, uint64_t value)
{
	GS_BUILD_PUSH(b->breaks, b->n_breaks);
	b->breaks[b->n_breaks - 1].name = copy_string(name);
	b->breaks[b->n_breaks - 1].value = value;
}

void gs_builder_truncate(struct gs_builder *b, uint64_t size)
{
	b->truncate = true;
	b->truncate_to = size;
}

const uint8_t *gs_builder_finish(struct gs_builder *b, size_t *ret_size)
{
	assert(b->out.n == 0);
	if (b->format == GS_IMAGE_ELF)
		gs_builder_write_elf(b);
	else if (b->format == GS_IMAGE_PE)
		gs_builder_write_pe(b);
	else
		gs_builder_write_macho(b);
	for (size_t i = 0; i < b->n_breaks; i++)
		gs_buf_patch(&b->out, b->breaks[i].name, b->breaks[i].value);
	if (b->truncate && b->truncate_to < b->out.n)
		b->out.n = b->truncate_to;
	*ret_size = b->out.n;
	return b->out.p;
}

bool gs_builder_field_at(const struct gs_builder *b, size_t i, const char **ret_name,
			 size_t *ret_offset, unsigned int *ret_width)
{
	if (i >= b->out.n_fields)
		return false;
	*ret_name = b->out.fields[i].name;
	*ret_offset = b->out.fields[i].offset;
	*ret_width = b->out.fields[i].width;
	return true;
}

char *gs_builder_temp_file(const void *bytes, size_t size)
{
	const char *dir = getenv("TMPDIR");
	GS_CLEANUP(gs_closep) int fd = -1;
	char *path;

	assert(asprintf(&path, "%s/gosonde-test-XXXXXX", dir ? dir : "/tmp") > 0);
	fd = mkstemp(path);
	assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	return path;
}
