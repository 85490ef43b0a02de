/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The function table. What starts like an executable is a file, in which it is looked for; all else is
 * a table behind four bytes: release, then the offset of the function data (u16, 0xffff: none) and
 * one byte of no meaning. Look-ups have to agree with each other.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "golang/moduledata.h"
#include "golang/pclntab.h"

#define FUNCTIONS_MAX 64
#define LINES_MAX 16

static size_t sum;

static void ask_pc(const struct gs_go_pclntab *t, const struct gs_go_func *f, gs_addr pc)
{
	struct gs_go_line lines[LINES_MAX];
	struct gs_cursor c;
	struct gs_err err;
	int32_t v;
	int n = gs_go_lines(t, f, pc, lines, LINES_MAX, &err);

	if (n == 0 || n > LINES_MAX)
		abort();
	for (int i = 0; i < n; i++) {
		sum += strlen(lines[i].function) + strlen(lines[i].file) + lines[i].line;
		if (lines[i].entry != f->entry || (i < n - 1 && !lines[i].inlined))
			abort();
	}
	if (gs_go_sp_delta(t, f, pc, &v, &err) == 0)
		sum += (size_t)v;
	for (unsigned int k = 0; k < 5; k++) {
		if (gs_go_pcdata(t, f, k, pc, &v, &err) == 0)
			sum += (size_t)v;
		if (gs_go_funcdata(t, f, k, &c, &err) == 0)
			sum += gs_cursor_left(&c);
	}
}

static void ask_function(const struct gs_go_pclntab *t, const struct gs_go_func *f)
{
	struct gs_go_func found;
	struct gs_err err;
	uint64_t size = f->end - f->entry;

	sum += strlen(f->name);
	// In an unsorted table it may not be found, but what is found contains the pc.
	if (gs_go_func_find(t, f->entry, &found, &err) == 0 &&
	    (found.entry > f->entry || found.end <= f->entry))
		abort();
	if (gs_go_func_by_name(t, f->name, 0, &found, &err) == 1)
		abort(); // it is there
	ask_pc(t, f, f->entry);
	ask_pc(t, f, f->entry + size / 2);
	ask_pc(t, f, f->end - 1);
}

/* Both look-ups by name give the same function. */
static void ask_names(const struct gs_go_pclntab *t, const char *name)
{
	const char *const names[] = { "main.main", name, "runtime.goexit", "no.such" };
	struct gs_go_func found[4], f;
	struct gs_err err;
	int r;

	if (gs_go_funcs_by_name(t, names, 4, found, &err) < 0)
		return;
	for (size_t i = 0; i < 4; i++) {
		r = gs_go_func_by_name(t, names[i], 0, &f, &err);
		if (r < 0)
			continue;
		if ((r == 1) != (found[i].name == NULL) || (r == 0 && f.index != found[i].index))
			abort();
	}
}

static void ask_table(const struct gs_cursor *bytes, unsigned int minor, gs_addr text,
		      const struct gs_cursor *gofunc)
{
	GS_CLEANUP(gs_go_pclntab_freep) struct gs_go_pclntab *t = NULL;
	struct gs_err err = { 0 };
	struct gs_go_func f;
	gs_addr lo, hi;
	int r = gs_go_pclntab_open(bytes, minor, text, gofunc, &t, &err);

	if (r < 0) {
		if (err.code != r || err.text[0] == '\0')
			abort();
		return;
	}
	gs_go_pclntab_range(t, &lo, &hi);
	for (uint32_t i = 0; i < gs_go_pclntab_count(t) && i < FUNCTIONS_MAX; i++) {
		if (gs_go_func_at(t, i, &f, &err) == 0) {
			ask_function(t, &f);
			if (i == 0)
				ask_names(t, f.name);
		}
		// Where an entry of ours is outside of all functions, the next one need not be.
		r = gs_go_func_find(t, lo + (hi - lo) / FUNCTIONS_MAX * i, &f, &err);
		if (r == 0)
			ask_pc(t, &f, lo + (hi - lo) / FUNCTIONS_MAX * i);
	}
}

static void ask_file(const uint8_t *data, size_t size)
{
	GS_CLEANUP(gs_image_freep) struct gs_image *img = NULL;
	struct gs_cursor bytes, gofunc = { 0 };
	struct gs_go_moduledata md;
	struct gs_err err;
	gs_addr addr;

	if (gs_image_from_bytes(data, size, "fuzz", &img, &err) < 0 ||
	    gs_go_pclntab_find(img, &bytes, &addr, &err) != 0)
		return;
	if (gs_go_moduledata_find(img, 0, &bytes, addr, &md, &err) != 0)
		md.text = 0x1000;
	else if (gs_image_at(img, md.gofunc, &gofunc, &err) != 0)
		abort(); // checked when it was found
	ask_table(&bytes, 0, md.text, &gofunc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gs_cursor bytes, gofunc;
	struct gs_err err;
	uint16_t off;

	if (size < 4)
		return 0;
	if (memcmp(data,
		   "\x7f"
		   "ELF",
		   4) == 0 ||
	    memcmp(data, "MZ", 2) == 0 || memcmp(data, "\xcf\xfa\xed\xfe", 4) == 0) {
		ask_file(data, size);
		return 0;
	}
	memcpy(&off, data + 1, sizeof(off));
	bytes = gs_cursor_make(data + 4, size - 4, "fuzz");
	gofunc = bytes;
	if (off == UINT16_MAX || gs_cursor_skip(&gofunc, off, &err) < 0)
		gofunc = gs_cursor_make(NULL, 0, "fuzz");
	ask_table(&bytes, data[0], 0x401000, &gofunc);
	return 0;
}
