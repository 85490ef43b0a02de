/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Prints what src/golang says about a file, for comparison with what Go says itself:
 *
 *	go_print lines FILE            like tests/fixtures/gosym_oracle, every byte of the code
 *	go_print functions FILE        one line per function: entry, end, name, file and line of the entry
 *	go_print stack FILE            stack depth of every instruction, by ranges
 *	go_print buildinfo FILE        like `go version -m`
 *	go_print moduledata FILE
 *	go_print names FILE NAME...    entries of functions by both look-ups, and the time they took
 *	go_print find FILE COUNT       nanoseconds per look-up by pc and per expansion into lines
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/out.h"
#include "golang/buildinfo.h"
#include "golang/moduledata.h"
#include "golang/pclntab.h"
#include "image/image.h"

#define LINES_MAX 256

struct file {
	struct gs_image *img;
	struct gs_arena *arena;
	struct gs_go_buildinfo build;
	unsigned int minor;
	struct gs_go_moduledata md;
	bool have_md;
	struct gs_go_pclntab *tab;
	const char *first_name; /* of function 0 */
	uint64_t open_ns;
};

static int open_table(struct file *f, struct gs_err *err)
{
	struct gs_cursor bytes, gofunc = { 0 };
	struct gs_go_pclntab_header h;
	gs_addr addr, text;
	uint64_t start = (uint64_t)gs_now_ns();
	int r;

	r = gs_go_buildinfo_read(f->img, f->arena, &f->build, err);
	if (r < 0)
		return r;
	f->minor = r == 0 && f->build.release_known ? f->build.release.minor : 0;
	r = gs_go_pclntab_find(f->img, &bytes, &addr, err);
	if (r > 0)
		return gs_fail(err, -GS_E_NOT_GO, 0, "no function table");
	if (r == 0)
		r = gs_go_pclntab_header(&bytes, &h, err);
	if (r == 0)
		r = gs_go_moduledata_find(f->img, f->minor, &bytes, addr, &f->md, err);
	if (r < 0)
		return r;
	f->have_md = r == 0;
	text = f->have_md ? f->md.text : h.text_start;
	if (f->have_md) {
		r = gs_image_at(f->img, f->md.gofunc, &gofunc, err);
		if (r < 0)
			return r;
	} else {
		fprintf(stderr, "go_print: no module data\n");
	}
	r = gs_go_pclntab_open(&bytes, f->minor, text, &gofunc, &f->tab, err);
	f->open_ns = (uint64_t)gs_now_ns() - start;
	return r;
}

/* runtime.elideWrapperCalling: wrappers are shown when they call these. */
static bool elided(const struct gs_go_line *l, enum gs_go_funcid callee)
{
	return l->wrapper && callee != GS_GO_FUNC_GOPANIC && callee != GS_GO_FUNC_SIGPANIC &&
	       callee != GS_GO_FUNC_PANICWRAP;
}

/* As the oracle prints them: without the wrappers that runtime_expandFinalInlineFrame leaves out,
 * which spares the physical function until 1.20. */
static void print_lines(struct gs_out *o, const struct file *f, const struct gs_go_line *l, int n)
{
	enum gs_go_funcid callee = GS_GO_FUNC_NORMAL;

	for (int i = 0; i < n; i++) {
		// The runtime takes offset 0 in the name table for no name (moduledata.funcName).
		const char *name = l[i].function == f->first_name ? "" : l[i].function;

		if (!(n > 1 && elided(&l[i], callee) && (i < n - 1 || f->minor >= 21)))
			gs_out_printf(o, "\t%s|%s|%u|%u", name, l[i].file, l[i].line,
				      l[i].start_line);
		callee = l[i].id;
	}
}

static int cmd_lines(struct file *f, struct gs_out *o, struct gs_err *err)
{
	static struct gs_go_line lines[LINES_MAX];
	GS_CLEANUP(gs_out_deinitp) struct gs_out text = { 0 }, last = { 0 };
	struct gs_go_func fn;
	gs_addr lo, hi;
	int r;

	gs_out_init_mem(&text);
	gs_out_init_mem(&last);
	gs_go_pclntab_range(f->tab, &lo, &hi);
	r = gs_go_func_at(f->tab, 0, &fn, err);
	if (r < 0)
		return r;
	f->first_name = fn.name;
	for (gs_addr pc = lo; pc < hi; pc++) {
		if (pc < fn.entry || pc >= fn.end) {
			r = gs_go_func_find(f->tab, pc, &fn, err);
			if (r != 0)
				return r > 0 ? gs_fail(err, -GS_E_BAD_DATA, pc, "a gap") : r;
		}
		if (pc + 1 == fn.end)
			continue; // to the oracle, a return address there is the next function's
		r = gs_go_lines(f->tab, &fn, pc, lines, LINES_MAX, err);
		if (r < 0)
			return r;
		text.len = 0;
		gs_out_printf(&text, "%" PRIx64, fn.entry - lo);
		print_lines(&text, f, lines, r);
		if (text.len == last.len && memcmp(text.buf, last.buf, text.len) == 0)
			continue;
		gs_out_printf(o, "%" PRIx64 "\t", pc - lo);
		gs_out_bytes(o, text.buf, text.len);
		gs_out_char(o, '\n');
		last.len = 0;
		gs_out_bytes(&last, text.buf, text.len);
	}
	gs_out_printf(o, "%" PRIx64 "\tend\n", hi - lo);
	return 0;
}

static int cmd_functions(struct file *f, struct gs_out *o, struct gs_err *err)
{
	static struct gs_go_line lines[LINES_MAX];
	struct gs_go_func fn;
	int r;

	for (uint32_t i = 0; i < gs_go_pclntab_count(f->tab); i++) {
		r = gs_go_func_at(f->tab, i, &fn, err);
		if (r < 0)
			return r;
		r = gs_go_lines(f->tab, &fn, fn.entry, lines, LINES_MAX, err);
		if (r < 0)
			return r;
		// The position of a pc belongs to the innermost level.
		gs_out_printf(o, "%" PRIx64 "\t%" PRIx64 "\t%s\t%s:%u\n", fn.entry, fn.end, fn.name,
			      lines[0].file, lines[0].line);
	}
	return 0;
}

static int cmd_stack(struct file *f, struct gs_out *o, struct gs_err *err)
{
	struct gs_go_func fn;
	int32_t delta, last;
	int r;

	for (uint32_t i = 0; i < gs_go_pclntab_count(f->tab); i++) {
		r = gs_go_func_at(f->tab, i, &fn, err);
		if (r < 0)
			return r;
		last = INT32_MIN;
		for (gs_addr pc = fn.entry; pc < fn.end; pc++) {
			r = gs_go_sp_delta(f->tab, &fn, pc, &delta, err);
			if (r < 0)
				break; // padding between functions
			if (delta != last)
				gs_out_printf(o, "%" PRIx64 "\t%d\t%s\n", pc, delta, fn.name);
			last = delta;
		}
	}
	return 0;
}

static void print_quoted(struct gs_out *o, const char *s)
{
	// strconv.Quote, as far as settings need it
	bool quote = strpbrk(s, " \t\r\n\"`") != NULL;

	if (quote)
		gs_out_char(o, '"');
	for (; *s; s++) {
		if (quote && (*s == '"' || *s == '\\'))
			gs_out_char(o, '\\');
		if (*s == '\t')
			gs_out_str(o, "\\t");
		else if (*s == '\n')
			gs_out_str(o, "\\n");
		else
			gs_out_char(o, *s);
	}
	if (quote)
		gs_out_char(o, '"');
}

static void print_module(struct gs_out *o, const char *word, const struct gs_go_module *m)
{
	gs_out_printf(o, "\t%s\t%s\t%s", word, m->path, m->version);
	if (!m->replace)
		gs_out_printf(o, "\t%s\n", m->sum);
	else
		gs_out_char(o, '\n');
	if (m->replace) {
		print_module(o, "=>", m->replace);
		gs_out_str(o, "\t\n"); // as BuildInfo.String does
	}
}

static int cmd_buildinfo(struct file *f, struct gs_out *o, struct gs_err *err)
{
	const struct gs_go_buildinfo *b = &f->build;
	int r = gs_go_buildinfo_read(f->img, f->arena, &f->build, err);

	if (r != 0)
		return r > 0 ? gs_fail(err, -GS_E_NOT_GO, 0, "no build info") : r;
	gs_out_printf(o, "%s: %s\n", gs_image_name(f->img), b->version);
	if (b->path)
		gs_out_printf(o, "\tpath\t%s\n", b->path);
	if (b->main)
		print_module(o, "mod", b->main);
	for (uint32_t i = 0; i < b->n_deps; i++)
		print_module(o, "dep", &b->deps[i]);
	for (uint32_t i = 0; i < b->n_settings; i++) {
		gs_out_str(o, "\tbuild\t");
		print_quoted(o, b->settings[i].key);
		gs_out_char(o, '=');
		print_quoted(o, b->settings[i].value);
		gs_out_char(o, '\n');
	}
	return 0;
}

static int cmd_build_id(struct file *f, struct gs_out *o, struct gs_err *err)
{
	const char *id = "";
	int r = gs_go_build_id(f->img, f->arena, &id, err);

	if (r >= 0)
		gs_out_printf(o, "%s\n", id);
	return r < 0 ? r : 0;
}

static int cmd_moduledata(struct file *f, struct gs_out *o, struct gs_err *err)
{
	const struct gs_go_moduledata *m = &f->md;

	(void)err;
	if (!f->have_md)
		return gs_fail(err, -GS_E_NOT_FOUND, 0, "no module data");
#define PRINT(field) gs_out_printf(o, #field "\t%#" PRIx64 "\n", (uint64_t)m->field)
	PRINT(addr);
	PRINT(pclntab);
	PRINT(pclntab_size);
	PRINT(text);
	PRINT(etext);
	PRINT(minpc);
	PRINT(maxpc);
	PRINT(noptrdata);
	PRINT(enoptrdata);
	PRINT(data);
	PRINT(edata);
	PRINT(bss);
	PRINT(ebss);
	PRINT(noptrbss);
	PRINT(enoptrbss);
	PRINT(end);
	PRINT(gcdata);
	PRINT(gcbss);
	PRINT(types);
	PRINT(etypes);
	PRINT(rodata);
	PRINT(gofunc);
	PRINT(next);
	PRINT(has_main);
#undef PRINT
	gs_out_printf(o, "functions\t%u\nopen_ns\t%" PRIu64 "\n", gs_go_pclntab_count(f->tab),
		      f->open_ns);
	return 0;
}

static int cmd_names(struct file *f, struct gs_out *o, const char *const *names, size_t n,
		     struct gs_err *err)
{
	GS_CLEANUP(gs_freep) struct gs_go_func *found = gs_array_new(n + 1, sizeof(*found));
	uint64_t start = (uint64_t)gs_now_ns(), pass, index;
	struct gs_go_func fn;
	int r;

	if (!found)
		return gs_fail(err, -ENOMEM, 0, "out of memory");
	r = gs_go_funcs_by_name(f->tab, names, n, found, err);
	pass = (uint64_t)gs_now_ns() - start;
	if (r < 0)
		return r;
	start = (uint64_t)gs_now_ns();
	for (size_t i = 0; i < n; i++) {
		gs_out_printf(o, "%s\t%" PRIx64, names[i], found[i].entry);
		for (uint32_t nth = 0;; nth++) {
			r = gs_go_func_by_name(f->tab, names[i], nth, &fn, err);
			if (r != 0)
				break;
			gs_out_printf(o, "\t%" PRIx64, fn.entry);
		}
		if (r < 0)
			return r;
		gs_out_char(o, '\n');
	}
	index = (uint64_t)gs_now_ns() - start;
	fprintf(stderr, "pass %.3f ms, index and look-ups %.3f ms, %u functions\n",
		(double)pass / 1e6, (double)index / 1e6, gs_go_pclntab_count(f->tab));
	return 0;
}

static int cmd_find(struct file *f, struct gs_out *o, uint64_t count, struct gs_err *err)
{
	static struct gs_go_line lines[LINES_MAX];
	uint64_t start, found, expanded, state = 1;
	struct gs_go_func fn;
	gs_addr lo, hi;
	int r;

	gs_go_pclntab_range(f->tab, &lo, &hi);
	for (int pass = 0; pass < 2; pass++) {
		start = (uint64_t)gs_now_ns();
		for (uint64_t i = 0; i < count; i++) {
			gs_addr pc;

			state = state * 6364136223846793005u + 1442695040888963407u;
			pc = lo + (state >> 20) % (hi - lo);
			r = gs_go_func_find(f->tab, pc, &fn, err);
			if (r == 0 && pass)
				r = gs_go_lines(f->tab, &fn, pc, lines, LINES_MAX, err);
			if (r < 0)
				return r;
		}
		if (pass)
			expanded = (uint64_t)gs_now_ns() - start;
		else
			found = (uint64_t)gs_now_ns() - start;
	}
	gs_out_printf(o, "find %.1f ns, find and lines %.1f ns\n", (double)found / (double)count,
		      (double)expanded / (double)count);
	return 0;
}

static int run(struct file *f, const char *cmd, char **args, int n, struct gs_out *o,
	       struct gs_err *err)
{
	int r;

	if (strcmp(cmd, "buildinfo") == 0)
		return cmd_buildinfo(f, o, err);
	if (strcmp(cmd, "buildid") == 0)
		return cmd_build_id(f, o, err);
	r = open_table(f, err);
	if (r < 0)
		return r;
	if (strcmp(cmd, "lines") == 0)
		return cmd_lines(f, o, err);
	if (strcmp(cmd, "functions") == 0)
		return cmd_functions(f, o, err);
	if (strcmp(cmd, "stack") == 0)
		return cmd_stack(f, o, err);
	if (strcmp(cmd, "moduledata") == 0)
		return cmd_moduledata(f, o, err);
	if (strcmp(cmd, "names") == 0)
		return cmd_names(f, o, (const char *const *)args, (size_t)n, err);
	if (strcmp(cmd, "find") == 0)
		return cmd_find(f, o, n ? strtoull(args[0], NULL, 10) : 1000000, err);
	return gs_fail(err, -EINVAL, 0, "what is '%s'?", cmd);
}

int main(int argc, char **argv)
{
	struct gs_out out;
	struct file f = { 0 };
	struct gs_err err;
	int r;

	if (argc < 3) {
		fprintf(stderr, "usage: go_print COMMAND FILE [ARGUMENT...]\n");
		return 2;
	}
	gs_out_init_fd(&out, 1);
	f.arena = gs_arena_new(0);
	r = gs_image_open(argv[2], &f.img, &err);
	if (r == 0)
		r = run(&f, argv[1], argv + 3, argc - 3, &out, &err);
	if (r == 0)
		r = gs_image_intact(f.img, &err);
	if (gs_out_flush(&out, "standard output", r < 0 ? NULL : &err) < 0 && r == 0)
		r = -1;
	if (r < 0)
		fprintf(stderr, "go_print: %s: %s\n", argv[2], err.text);
	gs_go_pclntab_free(f.tab);
	gs_image_free(f.img);
	gs_arena_free(f.arena);
	gs_out_deinit(&out);
	return r < 0;
}
