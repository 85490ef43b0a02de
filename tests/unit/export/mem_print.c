/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Write a hand-made result of mem to stdout, for tests that read it with other tools.
 *
 *	mem_print FORMAT WORLD [all] [width=N] [sites=N] [colour] [bars] [pretty]
 *	FORMAT  text, json, folded, pprof, html; objects-text, objects-json, objects-pprof
 *	WORLD   shop: a watched server with all there is; core: of a core file; empty: nothing is known;
 *	        hostile: names that try to break out of every format; many: more parts than anybody can see
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "export/memory_export.h"

#define MB (1ull << 20)

static void die(const char *what)
{
	fprintf(stderr, "mem_print: %s\n", what);
	exit(1);
}

static const struct gs_process shop = { .pid = 4711,
					.start_time_unix_ns = 1767225600000000000,
					.executable = "/opt/shop/shop",
					.go_version = "go1.26.10",
					.goos = "linux",
					.goarch = "amd64",
					.service = "example.org/shop" };

static const struct gs_frame load_frames[] = {
	{ .pc = 0x401010,
	  .entry = 0x401000,
	  .function = "golang.org/x/sys/unix.Mmap",
	  .file = "/go/unix/syscall.go",
	  .line = 12 },
	{ .pc = 0x402010,
	  .entry = 0x402000,
	  .function = "example.org/shop/cache.(*Cache[go.shape.int]).load",
	  .file = "/src/cache/cache.go",
	  .line = 88 },
	{ .pc = 0x403010,
	  .entry = 0x403000,
	  .function = "main.main",
	  .file = "/src/main.go",
	  .line = 9 },
	{ .pc = 0x404010,
	  .entry = 0x404000,
	  .function = "runtime.goexit",
	  .file = "/go/asm.s",
	  .line = 1 },
};
static const struct gs_stack load_stack = { .id = 0,
					    .n_frames = GS_ARRAY_SIZE(load_frames),
					    .frames = load_frames };
static const struct gs_frame order_frames[] = {
	{ .pc = 0x501010,
	  .entry = 0x501000,
	  .function = "encoding/json.Unmarshal",
	  .file = "/go/json/decode.go",
	  .line = 7 },
	{ .pc = 0x502010,
	  .entry = 0x502000,
	  .function = "main.readOrder",
	  .file = "/src/order.go",
	  .line = 33 },
};
static const struct gs_stack order_stack = { .id = 1,
					     .n_frames = GS_ARRAY_SIZE(order_frames),
					     .frames = order_frames };

static const struct gs_mem_item shop_items[] = {
	{ .class = GS_MEM_ANONYMOUS,
	  .name = "rw-p 64 MiB",
	  .count = 3,
	  .bytes = 192 * MB,
	  .resident_bytes = 180 * MB,
	  .huge_bytes = 64 * MB,
	  .start = 0x7f0000000000 },
	{ .class = GS_MEM_ANONYMOUS,
	  .name = "[anon: cache]",
	  .count = 1,
	  .bytes = 8 * MB,
	  .resident_bytes = 8 * MB,
	  .start = 0x7f1000000000 },
	{ .class = GS_MEM_ANONYMOUS,
	  .name = "rw-p 4 KiB",
	  .count = 1,
	  .bytes = 4096,
	  .resident_bytes = 4096,
	  .start = 0x7f1100000000 },
	{ .class = GS_MEM_PLUGINS,
	  .name = "/opt/shop/price.so",
	  .count = 4,
	  .bytes = 2 * MB,
	  .resident_bytes = MB / 2,
	  .start = 0x7f2000000000,
	  .note = "loaded 3 times" },
};

static const struct gs_mem_grower shop_growers[] = {
	{ .class = GS_MEM_ANONYMOUS,
	  .what = "mmap",
	  .bytes = 120 * (int64_t)MB,
	  .count = 30,
	  .goid = 34,
	  .stack = &load_stack,
	  .how = GS_MEM_READ },
	{ .class = GS_MEM_HEAP_NEW,
	  .what = "Go allocations",
	  .bytes = 3 * (int64_t)MB,
	  .count = 6,
	  .stack = &order_stack,
	  .how = GS_MEM_ESTIMATED },
	{ .class = GS_MEM_LIBRARIES,
	  .what = "dlopen",
	  .detail = "libz.so.1\x1b",
	  .bytes = 0,
	  .count = 1,
	  .how = GS_MEM_READ },
	{ .class = GS_MEM_HEAP_FREE,
	  .what = "madvise",
	  .detail = "MADV_DONTNEED",
	  .runtime = "runtime.sysUnused",
	  .cause = "the background scavenger",
	  .bytes = -(int64_t)MB,
	  .asked_bytes = 3 * MB,
	  .count = 3,
	  .how = GS_MEM_READ },
};
static const struct gs_mem_grower shop_sites[] = {
	{ .class = GS_MEM_HEAP_LIVE,
	  .what = "in use",
	  .bytes = 30 * (int64_t)MB,
	  .count = 1000,
	  .stack = &order_stack,
	  .how = GS_MEM_ESTIMATED },
	{ .class = GS_MEM_HEAP_LIVE,
	  .what = "in use",
	  .bytes = 10 * (int64_t)MB,
	  .count = 1,
	  .stack = &load_stack,
	  .how = GS_MEM_ESTIMATED },
};
static const struct gs_mem_verdict shop_verdict[] = {
	{ .class = GS_MEM_ANONYMOUS,
	  .bytes = 120 * (int64_t)MB,
	  .text = "RSS grew 124 MiB in 60 s: 120 MiB in anonymous mappings made by "
		  "cache.(*Cache).load.",
	  .advice = "Unmap what is not used any more.",
	  .frames = load_frames,
	  .n_frames = GS_ARRAY_SIZE(load_frames) },
	{ .class = GS_MEM_HEAP_LIVE,
	  .bytes = 48 * (int64_t)MB,
	  .text = "The Go heap is flat (goal 64 MiB)." },
};
static struct gs_incomplete_list shop_incomplete;

static void class(struct gs_mem_result *r, enum gs_mem_class_id c, uint64_t resident,
		  uint64_t bytes, enum gs_mem_how how)
{
	r->class[c] = (struct gs_mem_class){
		.bytes = bytes, .resident_bytes = resident, .mappings = 2, .how = how
	};
	r->rss_bytes += resident;
	r->virtual_bytes += bytes;
}

static void watched(struct gs_mem_result *r)
{
	static const struct gs_mem_growth growth[] = {
		{ GS_MEM_ANONYMOUS, 120 * (int64_t)MB },
		{ GS_MEM_HEAP_NEW, 5 * (int64_t)MB },
		{ GS_MEM_HEAP_FREE, -(int64_t)MB },
	};

	r->watched_ns = 60000000000;
	r->rss_before_bytes = r->rss_bytes - 124 * MB;
	memcpy(r->growth, growth, sizeof(growth));
	r->n_growth = GS_ARRAY_SIZE(growth);
	r->growers = shop_growers;
	r->n_growers = GS_ARRAY_SIZE(shop_growers);
}

static void go_heap(struct gs_mem_result *r)
{
	r->scavenger = (struct gs_mem_scavenger){
		.known = true,
		.retained_bytes = 14 * MB,
		.goal_bytes = 70 * MB,
		.gc_percent_goal_bytes = 70 * MB,
		.memory_limit_goal_bytes = UINT64_MAX,
		.behind_bytes = 2 * MB,
		.released_background_bytes = 40 * MB,
		.released_eager_bytes = UINT64_MAX,
		.why = "GOGC lets it keep a tenth more than the heap's goal",
	};
	r->metric[0] = (struct gs_mem_metric){ "/memory/classes/heap/objects:bytes", 53 * MB };
	r->metric[1] = (struct gs_mem_metric){ "/memory/classes/total:bytes", 99 * MB };
	r->n_metrics = 2;
	r->heap_goal_bytes = 64 * MB;
	r->gc_count = 12;
	r->gc_percent = 100;
	r->memory_limit_bytes = INT64_MAX;
	r->last_gc_ago_ns = 3200000000;
}

static void make_shop(struct gs_mem_result *r)
{
	r->process = &shop;
	r->kernel_view = true;
	r->page_bytes = 4096;
	class(r, GS_MEM_ANONYMOUS, 190 * MB, 204 * MB, GS_MEM_READ);
	class(r, GS_MEM_HEAP_LIVE, 48 * MB, 48 * MB, GS_MEM_DERIVED);
	class(r, GS_MEM_HEAP_NEW, 5 * MB, 6 * MB, GS_MEM_DERIVED);
	class(r, GS_MEM_HEAP_FREE, 14 * MB, 14 * MB, GS_MEM_READ);
	class(r, GS_MEM_HEAP_RESERVED, 0, 40 * MB, GS_MEM_READ);
	class(r, GS_MEM_TEXT, 3 * MB, 4 * MB, GS_MEM_READ);
	class(r, GS_MEM_PLUGINS, MB, 3 * MB, GS_MEM_READ);
	class(r, GS_MEM_C_HEAP, MB / 2 + 1, MB, GS_MEM_ESTIMATED);
	r->class[GS_MEM_ANONYMOUS].huge_bytes = 64 * MB;
	r->class[GS_MEM_C_HEAP].swap_bytes = MB / 2;
	r->huge_bytes = 64 * MB;
	r->status_rss_bytes = r->rss_bytes - 4096;
	r->cgroup_bytes = 300 * MB;
	r->cgroup_limit_bytes = 512 * MB;
	r->items = shop_items;
	r->n_items = GS_ARRAY_SIZE(shop_items);
	r->numa_bytes[0] = 200 * MB;
	r->numa_bytes[1] = r->rss_bytes - 200 * MB;
	r->n_numa = 2;
	r->sites = shop_sites;
	r->n_sites = GS_ARRAY_SIZE(shop_sites);
	r->verdict = shop_verdict;
	r->n_verdict = GS_ARRAY_SIZE(shop_verdict);
	go_heap(r);
	watched(r);
	gs_incomplete_add(&shop_incomplete, "pages_unreadable", 3, "pagemap needs CAP_SYS_ADMIN");
	r->incomplete = &shop_incomplete;
}

/* No kernel's view: sizes of address space only. Sites that say more than there is. */
static void make_core(struct gs_mem_result *r)
{
	static const struct gs_mem_grower sites[] = {
		{ .class = GS_MEM_HEAP_LIVE, .bytes = 3000 * (int64_t)MB, .stack = &order_stack },
		{ .class = GS_MEM_HEAP_LIVE, .bytes = 1000 * (int64_t)MB, .stack = &load_stack },
		{ .class = GS_MEM_HEAP_LIVE, .bytes = -5, .stack = &load_stack },
	};

	r->process = &shop;
	class(r, GS_MEM_HEAP_LIVE, 0, 64 * MB, GS_MEM_DERIVED);
	class(r, GS_MEM_ANONYMOUS, 0, 200 * MB, GS_MEM_READ);
	r->rss_bytes = 0;
	r->items = shop_items;
	r->n_items = GS_ARRAY_SIZE(shop_items);
	r->sites = sites;
	r->n_sites = GS_ARRAY_SIZE(sites);
	go_heap(r);
	r->gc_percent = -1;
	r->memory_limit_bytes = 256 * (int64_t)MB;
	r->last_gc_ago_ns = -1;
	r->scavenger.known = false;
	r->cgroup_limit_bytes = UINT64_MAX;
}

/* Names as a malicious binary or a user's files could have them. */
#define BREAKOUT "</script><script>alert(1)</script><!--"
#define CONTROL "a;b c 12\n\x1b[2J\x1b]0;x\x07\"\\'`${1}\t\x7f"
#define TURNED "\xff\xfe\xe2\x80\xae\xe2\x80\xa8\xc2\x9b&amp;']]>"

static const struct gs_frame hostile_frames[] = {
	{ .pc = 0x10, .function = BREAKOUT, .file = "<!--", .line = 1 },
	{ .pc = 0x20, .function = CONTROL, .file = "/x\r\"y" },
	{ .pc = 0x30, .function = TURNED, .file = "" },
	{ .pc = 0x40, .function = "", .file = "", .flags = GS_FRAME_FOREIGN },
};
static const struct gs_stack hostile_stack = { .n_frames = GS_ARRAY_SIZE(hostile_frames),
					       .frames = hostile_frames };
static const struct gs_process hostile_process = { .pid = 1,
						   .executable = CONTROL,
						   .go_version = BREAKOUT,
						   .goos = TURNED,
						   .goarch = CONTROL,
						   .service = BREAKOUT CONTROL TURNED };

static void make_hostile(struct gs_mem_result *r)
{
	static const struct gs_mem_item items[] = {
		{ .class = GS_MEM_FILES,
		  .name = BREAKOUT,
		  .note = CONTROL,
		  .count = 2,
		  .bytes = 2 * MB,
		  .resident_bytes = MB },
		{ .class = GS_MEM_FILES, .name = CONTROL, .bytes = MB, .resident_bytes = MB },
		{ .class = GS_MEM_FILES, .name = TURNED, .bytes = MB, .resident_bytes = MB },
		{ .class = GS_MEM_FILES, .name = "", .bytes = MB, .resident_bytes = 1 },
		{ .class = GS_MEM_FILES, .bytes = UINT64_MAX, .resident_bytes = UINT64_MAX },
	};
	static const struct gs_mem_grower site = { .class = GS_MEM_HEAP_LIVE,
						   .what = CONTROL,
						   .bytes = INT64_MAX,
						   .count = UINT64_MAX,
						   .stack = &hostile_stack,
						   .how = GS_MEM_ESTIMATED };
	static const struct gs_mem_verdict verdict = { .class = GS_MEM_FILES,
						       .bytes = INT64_MIN,
						       .text = BREAKOUT CONTROL TURNED,
						       .advice = BREAKOUT CONTROL TURNED,
						       .frames = hostile_frames,
						       .n_frames = GS_ARRAY_SIZE(hostile_frames) };

	make_shop(r);
	r->process = &hostile_process;
	class(r, GS_MEM_FILES, 4 * MB, 8 * MB, GS_MEM_READ);
	r->items = items;
	r->n_items = GS_ARRAY_SIZE(items);
	r->sites = r->growers = &site;
	r->n_sites = r->n_growers = 1;
	r->verdict = &verdict;
	r->n_verdict = 1;
	r->growth[0].bytes = INT64_MIN;
	r->growth[1].class = (enum gs_mem_class_id)99;
	r->scavenger.why = BREAKOUT CONTROL;
	r->metric[0].name = BREAKOUT CONTROL;
	r->heap_goal_bytes = UINT64_MAX;
	r->gc_percent = INT32_MIN;
	r->last_gc_ago_ns = INT64_MAX;
	gs_incomplete_add(&shop_incomplete, "files_hostile", UINT64_MAX, "%s", BREAKOUT CONTROL);
}

#define MANY 5000u

static void make_many(struct gs_mem_result *r)
{
	struct gs_mem_item *items = calloc(MANY, sizeof(*items));

	if (!items)
		die("out of memory");
	r->process = &shop;
	r->kernel_view = true;
	r->page_bytes = 4096;
	for (uint32_t i = 0; i < MANY; i++)
		items[i] = (struct gs_mem_item){ .class = GS_MEM_FILES,
						 .name = "/data/segment",
						 .count = 1,
						 .bytes = 8192,
						 .resident_bytes = 4096 + i };
	class(r, GS_MEM_FILES, 4096 * MANY + MANY * (MANY - 1) / 2, 8192 * MANY, GS_MEM_READ);
	r->items = items;
	r->n_items = MANY;
}

/* ---- objects ---- */

static void make_objects(struct gs_heap_objects_result *r, bool hostile)
{
	static const struct gs_heap_type types[] = {
		{ "main.Order", GS_TYPE_HEADER, 1000, 8 * MB, 9 * MB },
		{ "[]uint8 (backing array)", GS_TYPE_POINTER, 10, 2 * MB, 0 },
		{ "? 96 bytes, pointers", GS_TYPE_NONE, 5, 480, 0 },
	};
	static const struct gs_heap_root roots[] = {
		{ .name = "main.cache",
		  .type = "map[string]*main.Order",
		  .objects = 900,
		  .bytes = 7 * MB,
		  .reached_bytes = 8 * MB },
		{ .name = "goroutine 42",
		  .frame = &order_frames[1],
		  .goid = 42,
		  .objects = 20,
		  .bytes = MB,
		  .reached_bytes = 2 * MB },
	};
	static const struct gs_heap_path_step path[] = {
		{ "goroutine 24 (main.main)", 0, NULL },
		{ "main.cache", 0x600000, "map[string]*main.Order" },
		{ "[3]", 0xc000010000, "*main.Order" },
		{ ".next", 0xc000020000, NULL },
	};
	static const struct gs_heap_type bad_types[] = {
		{ BREAKOUT, GS_TYPE_HEADER, UINT64_MAX, UINT64_MAX, UINT64_MAX },
		{ CONTROL, (enum gs_type_how)77, 1, 1, 0 },
		{ TURNED, GS_TYPE_NONE, 1, 1, 0 },
		{ NULL, GS_TYPE_NONE, 0, 0, 0 },
	};
	static const struct gs_heap_root bad_roots[] = {
		{ .name = BREAKOUT, .type = CONTROL, .frame = hostile_frames, .bytes = UINT64_MAX },
		{ .name = CONTROL, .type = TURNED, .frame = &hostile_frames[1], .bytes = 1 },
	};
	static struct gs_heap_path_step bad_path[3000];

	*r = (struct gs_heap_objects_result){ .process = &shop,
					      .objects = 1100,
					      .bytes = 11 * MB,
					      .shared_objects = 100,
					      .shared_bytes = 2 * MB,
					      .typed_bytes = 10 * MB,
					      .sampled_objects = 3,
					      .unreached_objects = 7,
					      .unreached_bytes = 700,
					      .types = types,
					      .n_types = GS_ARRAY_SIZE(types),
					      .roots = roots,
					      .n_roots = GS_ARRAY_SIZE(roots),
					      .path = path,
					      .n_path = GS_ARRAY_SIZE(path),
					      .seconds_ns = 41000000,
					      .incomplete = &shop_incomplete };
	if (!hostile)
		return;
	for (size_t i = 0; i < GS_ARRAY_SIZE(bad_path); i++)
		bad_path[i] = (struct gs_heap_path_step){ i % 2 ? CONTROL : BREAKOUT, i, TURNED };
	r->process = &hostile_process;
	r->types = bad_types;
	r->n_types = GS_ARRAY_SIZE(bad_types);
	r->roots = bad_roots;
	r->n_roots = GS_ARRAY_SIZE(bad_roots);
	r->path = bad_path;
	r->n_path = GS_ARRAY_SIZE(bad_path);
}

static int print(struct gs_out *o, const char *format, const char *world,
		 const struct gs_memory_print *p, struct gs_err *err)
{
	static struct gs_mem_result r;
	struct gs_heap_objects_result x = { 0 };

	if (strcmp(world, "shop") == 0)
		make_shop(&r);
	else if (strcmp(world, "core") == 0)
		make_core(&r);
	else if (strcmp(world, "hostile") == 0)
		make_hostile(&r);
	else if (strcmp(world, "many") == 0)
		make_many(&r);
	else if (strcmp(world, "empty") != 0)
		die(world);
	if (strcmp(world, "empty") != 0)
		make_objects(&x, strcmp(world, "hostile") == 0);
	if (strcmp(format, "text") == 0)
		gs_memory_text(o, &r, p);
	else if (strcmp(format, "json") == 0)
		gs_memory_json(o, &r, p);
	else if (strcmp(format, "folded") == 0)
		gs_memory_folded(o, &r);
	else if (strcmp(format, "html") == 0)
		gs_memory_treemap(o, &r);
	else if (strcmp(format, "pprof") == 0)
		return gs_memory_pprof(o, &r, err);
	else if (strcmp(format, "objects-text") == 0)
		gs_heap_objects_text(o, &x, p);
	else if (strcmp(format, "objects-json") == 0)
		gs_heap_objects_json(o, &x, p);
	else if (strcmp(format, "objects-pprof") == 0)
		return gs_heap_objects_pprof(o, &x, err);
	else
		die(format);
	return 0;
}

int main(int argc, char **argv)
{
	struct gs_memory_print p = { 0 };
	struct gs_err err;
	struct gs_out out;
	int r;

	if (argc < 3)
		die("FORMAT WORLD");
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "all") == 0)
			p.all = true;
		else if (strcmp(argv[i], "colour") == 0)
			p.colour = true;
		else if (strcmp(argv[i], "bars") == 0)
			p.bars = true;
		else if (strcmp(argv[i], "pretty") == 0)
			p.pretty = true;
		else if (strncmp(argv[i], "width=", 6) == 0)
			p.width = (unsigned int)atoi(argv[i] + 6);
		else if (strncmp(argv[i], "sites=", 6) == 0)
			p.sites = (uint32_t)atoi(argv[i] + 6);
		else
			die(argv[i]);
	}
	gs_out_init_fd(&out, 1);
	r = print(&out, argv[1], argv[2], &p, &err);
	if (r == 0)
		r = gs_out_flush(&out, "standard output", &err);
	gs_out_deinit(&out);
	if (r < 0)
		die(err.text);
	return 0;
}
