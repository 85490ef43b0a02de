/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Plans for built images: which body of a name is taken, what is refused and in which words, files and
 * processes that differ, names of watched functions. tests/live/test_probe_plan.py does the places with
 * real programs.
 */
#include "test.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "golang/moduledata.h"
#include "pclntab_builder.h"
#include "probe/plan.h"

enum { SLOT = 64, BIAS = 0x1000000, WRAPPER_127 = 23 };

static const uint8_t normal[] = {
	0x49, 0x3b, 0x66, 0x10,       /* cmp 0x10(%r14),%rsp */
	0x76, 0x0f,                   /* jbe to morestack */
	0x55, 0x48, 0x89, 0xe5,       /* push %rbp; mov %rsp,%rbp */
	0xe8, 0x00, 0x00, 0x00, 0x00, /* call, see patch() */
	0x5d, 0xc3,                   /* pop %rbp; ret */
	0x90, 0x90, 0x90, 0x90,       /* morestack would be called here */
	0xeb, 0xe9,                   /* and the function begun again */
};
enum { PUSH_AT = 6, CALL_AT = 10, RET_AT = 16 };

static const char *const files[] = { "a.go" };
static const struct gs_build_step flat[] = { { 0, 0 } };
static const struct gs_build_step inl[] = { { 0, -1 }, { 20, 0 } };
static const struct gs_build_inline nodes[] = { { .name = "shop/store.small", .parent = -1 } };

#define F(n, ...)                                                                                  \
	{                                                                                          \
		.name = n, .sp = flat, .n_sp = 1, .file = flat, .n_file = 1, .line = flat,         \
		.n_line = 1, __VA_ARGS__                                                           \
	}

/* In this order at slots of 64 bytes. */
static const struct gs_build_func sample[] = {
	F("runtime.gopark", 0),
	F("runtime.runqput", 0),
	F("runtime.execute", 0),
	F("runtime.goexit0", 0),
	F("runtime.ready", 0),
	F("runtime.goyield_m", 0),
	F("runtime.newproc.func1", 0),
	F("runtime.goschedImpl", 0),
	F("shop/store.(*Ledger).Append", 0),
	F("shop/store.(*Ledger).Read", .inl = inl, .n_inl = 2, .nodes = nodes, .n_nodes = 1),
	F("other/store.(*Ledger).Read", 0),
	F("shop/store.Map[go.shape.int_0]", 0),
	F("shop/store.Map[go.shape.string_0]", 0),
	F("main.main", 0),
};
enum { GOPARK, RUNQPUT, EXECUTE, GOEXIT, READY, GOYIELD, NEWPROC, GOSCHED, APPEND, N_SAMPLE = 14 };

struct world {
	struct gs_image *lib; /* of the test */
	struct gs_builder *b;
	uint8_t *bytes, *memory;
	struct gs_image *img;
	struct gs_go_pclntab *tab;
	struct gs_go_layout layout;
	struct gs_go_buildinfo build;
	struct gs_memory mem;
	struct gs_probe_binary binary;
	gs_addr text;
	uint64_t text_offset;
	uint64_t bias;
};

static struct gs_err err;
static struct gs_probe_plan plan;

/* The process has what @memory holds at the addresses of .text. */
static int read_memory(void *ctx, struct gs_read *reads, size_t n, struct gs_err *e)
{
	struct world *w = ctx;

	(void)e;
	for (size_t i = 0; i < n; i++) {
		uint64_t off = reads[i].addr - w->bias - w->text;

		reads[i].result = off + reads[i].len <= SLOT * 32 ? 0 : -GS_E_FAULT;
		if (reads[i].result == 0)
			memcpy(reads[i].buf, w->memory + off, reads[i].len);
	}
	return 0;
}

/* Where function @i calls runqput. */
static void patch(struct world *w, uint32_t i)
{
	int32_t distance = (int32_t)(RUNQPUT - (int)i) * SLOT - (CALL_AT + 5);

	memcpy(w->bytes + w->text_offset + i * SLOT + CALL_AT + 1, &distance, 4);
}

static void world_init(struct world *w, const struct gs_build_func *funcs, size_t n, uint64_t bias)
{
	struct gs_build_func at[32];
	struct gs_build_go go = { .minor = 27,
				  .arch = GS_ARCH_AMD64,
				  .funcs = at,
				  .n_funcs = n,
				  .files = files,
				  .n_files = 1 };
	const struct gs_image_section *text;
	struct gs_build_go_places where;
	struct gs_cursor bytes, gofunc;
	const uint8_t *finished;
	gs_addr tab_at;
	size_t size;

	memset(w, 0, sizeof(*w));
	for (size_t i = 0; i < n; i++) {
		at[i] = funcs[i];
		at[i].offset = (uint32_t)i * SLOT;
		at[i].size = SLOT;
	}
	w->b = gs_build_go_image(&go, GS_IMAGE_ELF, 0, &where);
	finished = gs_builder_finish(w->b, &size);
	w->bytes = memcpy(malloc(size), finished, size);
	gs_assert_ok(gs_image_from_bytes(w->bytes, size, "built", &w->img, &err), &err);
	gs_assert_ok(gs_image_find_section(w->img, ".text", &text, &err), &err);
	w->text = where.text;
	w->text_offset = text->offset + (where.text - text->addr);
	w->bias = bias;
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *slot = w->bytes + w->text_offset + i * SLOT;

		memset(slot, 0xcc, SLOT);
		memcpy(slot, normal, sizeof(normal));
		if (i == READY || i == GOYIELD || i == NEWPROC)
			patch(w, i);
	}
	w->memory = memcpy(malloc(SLOT * 32), w->bytes + w->text_offset, SLOT * n);
	gs_assert_ok(gs_go_pclntab_find(w->img, &bytes, &tab_at, &err), &err);
	gs_assert_ok(gs_image_at(w->img, where.gofunc, &gofunc, &err), &err);
	gs_assert_ok(gs_go_pclntab_open(&bytes, 27, where.text + bias, &gofunc, &w->tab, &err),
		     &err);
	gs_assert_ok(gs_go_layout_table(27, GS_ARCH_AMD64, &w->layout, &err), &err);
	w->mem = (struct gs_memory){ .readv = read_memory, .ctx = w };
	w->binary = (struct gs_probe_binary){
		.image = w->img,
		.tab = w->tab,
		.layout = &w->layout,
		.build = &w->build,
		.mem = &w->mem,
		.bias = bias,
		.exe_fd = -1,
	};
}

static void world_deinit(struct world *w)
{
	gs_go_pclntab_free(w->tab);
	gs_image_free(w->img);
	gs_builder_free(w->b);
	free(w->bytes);
	free(w->memory);
}

static int make(struct world *w, uint32_t want)
{
	const struct gs_probe_wish wish = { .want = want };

	return gs_probe_plan_make(&w->binary, &wish, &plan, &err);
}

static int make_function(struct world *w, const char *name)
{
	const struct gs_probe_wish wish = { .want = GS_PROBE_WANT_FUNCTIONS,
					    .functions = &name,
					    .n_functions = 1 };

	return gs_probe_plan_make(&w->binary, &wish, &plan, &err);
}

static const struct gs_probe_site *site_of(enum gs_probe_program program)
{
	for (uint32_t i = 0; i < plan.n_sites; i++)
		if (plan.site[i].program == program)
			return &plan.site[i];
	return NULL;
}

static bool refused(const char *function, const char *words)
{
	for (uint32_t i = 0; i < plan.n_refused; i++)
		if (strcmp(plan.refused[i].function, function) == 0)
			return strstr(plan.refused[i].why, words) != NULL;
	return false;
}

static void goroutines(void **state)
{
	struct world w;

	(void)state;
	for (uint64_t bias = 0; bias <= BIAS; bias += BIAS) {
		const struct gs_probe_site *s;

		world_init(&w, sample, N_SAMPLE, bias);
		gs_assert_result(1, make(&w, GS_PROBE_WANT_GOROUTINES), &err);
		s = site_of(GS_PROG_EXECUTE);
		assert_non_null(s);
		assert_string_equal(s->function, "runtime.execute");
		assert_int_equal(s->placement, GS_PLACE_PUSH);
		assert_true(s->emulated);
		assert_int_equal(s->addr, bias + w.text + EXECUTE * SLOT + PUSH_AT);
		assert_int_equal(s->file_offset, w.text_offset + EXECUTE * SLOT + PUSH_AT);
		assert_int_equal(w.bytes[s->file_offset], 0x55);
		assert_int_equal(plan.config.ready_lo, bias + w.text + READY * SLOT);
		assert_int_equal(plan.config.ready_hi, bias + w.text + (READY + 1) * SLOT);
		assert_int_equal(plan.config.newproc_lo, bias + w.text + NEWPROC * SLOT);
		assert_int_equal(plan.config.goyield_lo, bias + w.text + GOYIELD * SLOT);
		assert_int_equal(site_of(GS_PROG_GOSCHED)->arg,
				 1); /* has the argument "preempted" */
		assert_true(refused("runtime.preemptPark", "not in the binary"));
		assert_true(refused("runtime.preemptPark", "preemptions"));
		assert_non_null(site_of(GS_PROG_PROCESS_EXIT));
		assert_null(site_of(GS_PROG_SCHED_SWITCH));
		world_deinit(&w);
	}
}

static void kernel(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, sample, N_SAMPLE, 0);
	gs_assert_ok(make(&w, GS_PROBE_WANT_THREADS | GS_PROBE_WANT_SYSCALLS | GS_PROBE_WANT_MAPS |
				      GS_PROBE_WANT_SAMPLES),
		     &err);
	assert_string_equal(site_of(GS_PROG_SCHED_SWITCH)->function, "sched:sched_switch");
	assert_int_equal(site_of(GS_PROG_SCHED_SWITCH)->placement, GS_PLACE_TRACEPOINT);
	assert_int_equal(site_of(GS_PROG_SAMPLE)->placement, GS_PLACE_PERF);
	/* sys_exit serves two questions, but is attached once. */
	for (uint32_t i = 0, n = 0; i < plan.n_sites; i++)
		assert_true(plan.site[i].program != GS_PROG_SYS_EXIT || n++ == 0);
	assert_int_equal(plan.sample_hz, 99);
	assert_int_equal(plan.config.sample_period_ns, 1000000000 / 99);
	world_deinit(&w);
}

static void bodies(void **state)
{
	struct gs_build_func funcs[N_SAMPLE];
	struct world w;

	(void)state;
	/* The second function of the name is a wrapper: the first is it, and the other way round. */
	for (int i = 0; i < 2; i++) {
		memcpy(funcs, sample, sizeof(funcs));
		funcs[GOSCHED].name = "runtime.execute";
		funcs[i ? EXECUTE : GOSCHED].func_id = WRAPPER_127;
		world_init(&w, funcs, N_SAMPLE, 0);
		gs_assert_result(1, make(&w, GS_PROBE_WANT_GOROUTINES), &err);
		assert_int_equal(site_of(GS_PROG_EXECUTE)->addr,
				 w.text + (i ? GOSCHED : EXECUTE) * SLOT + PUSH_AT);
		world_deinit(&w);
	}
	/* Two of them: nobody knows. */
	memcpy(funcs, sample, sizeof(funcs));
	funcs[GOSCHED].name = "runtime.execute";
	world_init(&w, funcs, N_SAMPLE, 0);
	gs_assert_fails(-GS_E_UNSUPPORTED, "2 functions of that name",
			make(&w, GS_PROBE_WANT_GOROUTINES), &err);
	world_deinit(&w);
	/* A wrapper only; none. */
	memcpy(funcs, sample, sizeof(funcs));
	funcs[EXECUTE].func_id = WRAPPER_127;
	world_init(&w, funcs, N_SAMPLE, 0);
	gs_assert_fails(-GS_E_UNSUPPORTED, "only wrappers", make(&w, GS_PROBE_WANT_GOROUTINES),
			&err);
	world_deinit(&w);
	funcs[EXECUTE].name = "runtime.executed";
	world_init(&w, funcs, N_SAMPLE, 0);
	gs_assert_fails(-GS_E_UNSUPPORTED, "runtime.execute: it is not in the binary",
			make(&w, GS_PROBE_WANT_GOROUTINES), &err);
	gs_assert_ok(make(&w, GS_PROBE_WANT_THREADS), &err);
	world_deinit(&w);
}

static void other_memory(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, sample, N_SAMPLE, BIAS);
	w.memory[EXECUTE * SLOT + PUSH_AT] = 0xcc;
	gs_assert_result(1, make(&w, GS_PROBE_WANT_GOROUTINES), &err);
	assert_non_null(site_of(GS_PROG_EXECUTE));
	w.memory[EXECUTE * SLOT + PUSH_AT] = 0x53;
	gs_assert_fails(-GS_E_UNSUPPORTED, "other code", make(&w, GS_PROBE_WANT_GOROUTINES), &err);
	w.memory[EXECUTE * SLOT + PUSH_AT] = 0x55;
	w.memory[GOSCHED * SLOT + PUSH_AT] = 0x53; /* not needed as much */
	gs_assert_result(1, make(&w, GS_PROBE_WANT_GOROUTINES), &err);
	assert_null(site_of(GS_PROG_GOSCHED));
	assert_true(refused("runtime.goschedImpl", "other code"));
	w.binary.mem = NULL; /* the file alone */
	gs_assert_result(1, make(&w, GS_PROBE_WANT_GOROUTINES), &err);
	assert_non_null(site_of(GS_PROG_GOSCHED));
	world_deinit(&w);
}

static void callers(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, sample, N_SAMPLE, 0);
	memset(w.bytes + w.text_offset + READY * SLOT + CALL_AT, 0x90, 5);
	w.binary.mem = NULL;
	gs_assert_result(1, make(&w, GS_PROBE_WANT_GOROUTINES), &err);
	assert_int_equal(plan.config.ready_lo, 0);
	assert_true(refused("runtime.ready", "does not call runqput"));
	world_deinit(&w);
}

static void code_refused(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, sample, N_SAMPLE, 0);
	w.binary.mem = NULL;
	w.bytes[w.text_offset + GOSCHED * SLOT] = 0x06; /* no instruction */
	gs_assert_result(1, make(&w, GS_PROBE_WANT_GOROUTINES), &err);
	assert_true(refused("runtime.goschedImpl", "no instruction"));
	w.bytes[w.text_offset + APPEND * SLOT + RET_AT + 1] = 0x06;
	gs_assert_fails(-GS_E_BAD_DATA, "cannot watch shop/store.(*Ledger).Append",
			make_function(&w, "store.(*Ledger).Append"), &err);
	memset(w.bytes + w.text_offset + APPEND * SLOT + RET_AT, 0x90, 2);
	gs_assert_fails(-GS_E_UNSUPPORTED, "never returns",
			make_function(&w, "store.(*Ledger).Append"), &err);
	world_deinit(&w);
}

static void functions(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, sample, N_SAMPLE, 0);
	gs_assert_ok(make_function(&w, "store.(*Ledger).Append"), &err);
	assert_int_equal(plan.n_functions, 1);
	assert_string_equal(plan.function[0], "shop/store.(*Ledger).Append");
	assert_int_equal(site_of(GS_PROG_CALL_BEGIN)->addr, w.text + APPEND * SLOT + PUSH_AT);
	assert_int_equal(site_of(GS_PROG_CALL_END)->addr, w.text + APPEND * SLOT + RET_AT);
	assert_int_equal(site_of(GS_PROG_CALL_END)->placement, GS_PLACE_RET);
	gs_assert_ok(make_function(&w, "main.main"), &err);
	/* All bodies of a generic function are one. */
	gs_assert_ok(make_function(&w, "store.Map[...]"), &err);
	assert_string_equal(plan.function[0], "store.Map[...]");
	assert_int_equal(plan.n_sites, 2 * 2 + 3);
	gs_assert_ok(make_function(&w, "shop/store.Map[go.shape.int_0]"), &err);
	assert_int_equal(plan.n_sites, 2 + 3);

	gs_assert_fails(-GS_E_NOT_FOUND, "any of 2 functions", make_function(&w, "(*Ledger).Read"),
			&err);
	gs_assert_fails(-GS_E_NOT_FOUND, "Similar: shop/store.(*Ledger).Append",
			make_function(&w, "store.(*Ledger).Apend"), &err);
	gs_assert_fails(-GS_E_NOT_FOUND, "its 1 calls were inlined, into shop/store.(*Ledger).Read",
			make_function(&w, "store.small"), &err);
	gs_assert_fails(-GS_E_NOT_FOUND, "no function edger).Append",
			make_function(&w, "edger).Append"), &err);
	gs_assert_fails(-GS_E_NOT_FOUND, "no function ", make_function(&w, ""), &err);
	gs_assert_fails(-GS_E_NOT_FOUND, "no function", make_function(&w, "[...][...][[[]"), &err);
	world_deinit(&w);
}

/* The C library of this test itself: the dynamic linker says where its dlopen is, and the code there is that of the file. */
static void libraries(void **state)
{
	struct gs_probe_library library = { .path = "/lib/gone.so" };
	const struct gs_probe_site *s;
	uint8_t file[16];
	struct world w;
	Dl_info where;
	void *entry = dlsym(RTLD_DEFAULT, "dlopen");
	int fd;

	(void)state;
	if (!entry || !dladdr(entry, &where) || !where.dli_fname || where.dli_fname[0] != '/') {
		print_message("# skipped: needs a test program with a dynamic linker, as every "
			      "machine's but fully static builds\n");
		skip();
	}
	world_init(&w, sample, N_SAMPLE, 0);
	w.binary.lib = &library;
	w.binary.n_libraries = 1;
	gs_assert_result(1, make(&w, GS_PROBE_WANT_DLOPEN), &err);
	assert_non_null(strstr(plan.refused[0].why, "gone.so"));

	gs_assert_ok(gs_image_open(where.dli_fname, &w.lib, &err), &err);
	library = (struct gs_probe_library){ .path = where.dli_fname,
					     .image = w.lib,
					     .bias = (uint64_t)(uintptr_t)where.dli_fbase };
	gs_assert_ok(make(&w, GS_PROBE_WANT_DLOPEN), &err);
	s = site_of(GS_PROG_DLOPEN);
	assert_non_null(s);
	assert_int_equal(s->addr, (uint64_t)(uintptr_t)entry);
	assert_int_equal(s->lib, 1);
	fd = open(where.dli_fname, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, file, sizeof(file), (off_t)s->file_offset), sizeof(file));
	close(fd);
	assert_memory_equal(file, entry, sizeof(file));

	gs_assert_ok(make(&w, GS_PROBE_WANT_MAPS), &err);
	assert_null(site_of(GS_PROG_DLOPEN)); /* not asked for */
	gs_image_free(w.lib);
	world_deinit(&w);
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(gs_probe_placement_name(GS_PLACE_PUSH), "push");
	assert_string_equal(gs_probe_placement_name(GS_PLACE_PERF), "perf");
	assert_string_equal(gs_probe_placement_name((enum gs_probe_placement)99), "?");
	for (int g = 1; g < GS_GROUP_COUNT; g++) {
		assert_true(strlen(gs_probe_group_name((enum gs_probe_group)g)) > 2);
		assert_true(strlen(gs_probe_group_loss((enum gs_probe_group)g)) > 10);
	}
	assert_string_equal(gs_probe_group_name(GS_GROUP_COUNT), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goroutines), cmocka_unit_test(kernel),
		cmocka_unit_test(bodies),     cmocka_unit_test(other_memory),
		cmocka_unit_test(callers),    cmocka_unit_test(code_refused),
		cmocka_unit_test(functions),  cmocka_unit_test(names),
		cmocka_unit_test(libraries),
	};

	return gs_test_main(tests);
}
