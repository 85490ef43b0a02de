/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Opening: from a target to a typed view of its runtime.
 *
 *   image ─► build info ─► release ─► layout table
 *     └────► pclntab ─► moduledata (file, then live) ─► globals ─► self-checks on live goroutines
 *
 * The layout is never taken on trust: the first goroutines are decoded with it and must make sense
 * (states, stack bounds, goids, pcs inside of Go code). When they do not (a development release, a
 * fork, a build with experiments), the target's own DWARF is tried, then the tables of the other
 * releases; without a layout that proves itself there is no result, rather than a wrong one.
 */
#include "runtime/rt_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define COPIES_MAX (1ull << 30) /* bytes of all plugins' tables */
#define CHECK_GS 64u

const struct gs_rt_facts *gs_rt_facts(const struct gs_rt *rt)
{
	return &rt->facts;
}

struct gs_rt *gs_rt_free(struct gs_rt *rt)
{
	if (!rt)
		return NULL;
	for (uint32_t i = 0; i < rt->n_modules; i++) {
		gs_go_pclntab_free(rt->module[i].tab);
		free(rt->module[i].pclntab_copy);
		free(rt->module[i].gofunc_copy);
	}
	gs__symbols_free(rt);
	gs__natives_free(rt);
	free(rt->ms.m);
	gs_arena_free(rt->arena);
	free(rt);
	return NULL;
}

static int64_t off(const struct gs_rt *rt, enum gs_go_field f)
{
	return rt->facts.layout.offset[f];
}

/* A word of a g, of which there are as many bytes as the layout says. */
static uint64_t word(const struct gs_rt *rt, const uint8_t *bytes, enum gs_go_field f)
{
	return gs__field_u64(&rt->facts.layout, f, bytes, (size_t)off(rt, GS_GO_G_SIZE));
}

static uint8_t byte(const struct gs_rt *rt, const uint8_t *bytes, enum gs_go_field f)
{
	const struct gs_go_layout *l = &rt->facts.layout;

	return gs__field_within(l, f, 1, (size_t)l->offset[GS_GO_G_SIZE]) ? bytes[l->offset[f]] : 0;
}

/* The runtime's numbers (runtime2.go) have holes: 5 and 7 were states once. */
static uint32_t state_of(uint32_t status)
{
	static const uint8_t states[] = {
		[0] = GS_G_IDLE,      [1] = GS_G_RUNNABLE,    [2] = GS_G_RUNNING,
		[3] = GS_G_SYSCALL,   [4] = GS_G_WAITING,     [5] = GS_G_STATE_COUNT,
		[6] = GS_G_DEAD,      [7] = GS_G_STATE_COUNT, [8] = GS_G_COPYSTACK,
		[9] = GS_G_PREEMPTED, [10] = GS_G_LEAKED,     [11] = GS_G_DEADEXTRA,
	};

	return status < sizeof(states) ? states[status] : GS_G_STATE_COUNT;
}

void gs__g_decode(const struct gs_rt *rt, gs_addr addr, const uint8_t *b, struct gs__g *ret)
{
	uint32_t status = gs__field_u32(&rt->facts.layout, GS_GO_G_ATOMICSTATUS, b,
					(size_t)off(rt, GS_GO_G_SIZE));

	ret->addr = addr;
	ret->stack_lo = word(rt, b, GS_GO_G_STACK_LO);
	ret->stack_hi = word(rt, b, GS_GO_G_STACK_HI);
	ret->m = word(rt, b, GS_GO_G_M);
	ret->lockedm = word(rt, b, GS_GO_G_LOCKEDM);
	ret->sched_sp = word(rt, b, GS_GO_G_SCHED_SP);
	ret->sched_pc = word(rt, b, GS_GO_G_SCHED_PC);
	ret->sched_lr = word(rt, b, GS_GO_G_SCHED_LR);
	ret->syscall_sp = word(rt, b, GS_GO_G_SYSCALLSP);
	ret->syscall_pc = word(rt, b, GS_GO_G_SYSCALLPC);
	ret->gopc = word(rt, b, GS_GO_G_GOPC);
	ret->startpc = word(rt, b, GS_GO_G_STARTPC);
	ret->labels = word(rt, b, GS_GO_G_LABELS);
	ret->bubble = word(rt, b, GS_GO_G_BUBBLE) | word(rt, b, GS_GO_G_SYNC_GROUP);
	ret->goid = word(rt, b, GS_GO_G_GOID);
	ret->parent_goid = word(rt, b, GS_GO_G_PARENT_GOID);
	ret->waitsince = (int64_t)word(rt, b, GS_GO_G_WAITSINCE);
	ret->scan = status & 0x1000; /* _Gscan */
	ret->status = state_of(status & 0xfff);
	ret->waitreason = byte(rt, b, GS_GO_G_WAITREASON);
	ret->tracking_seq = byte(rt, b, GS_GO_G_TRACKING_SEQ);
}

bool gs__g_same(const struct gs__g *a, const struct gs__g *b)
{
	return a->goid == b->goid && a->status == b->status && a->stack_lo == b->stack_lo &&
	       a->stack_hi == b->stack_hi && a->sched_sp == b->sched_sp &&
	       a->sched_pc == b->sched_pc && a->syscall_sp == b->syscall_sp &&
	       a->syscall_pc == b->syscall_pc && a->tracking_seq == b->tracking_seq &&
	       a->waitreason == b->waitreason && a->m == b->m && a->labels == b->labels;
}

static int no_go(const struct gs_rt *rt, struct gs_err *err)
{
	return gs_fail(
		err, -GS_E_NOT_GO, 0,
		"%s is not a Go program: it has neither Go build information nor a Go function "
		"table (pclntab)",
		gs_image_name(rt->img));
}

static int read_build(struct gs_rt *rt, struct gs_err *err)
{
	struct gs_go_buildinfo *b = &rt->facts.build;
	int r = gs_go_buildinfo_read(rt->img, rt->arena, b, err);

	if (r < 0)
		return r;
	if (r == 1)
		*b = (struct gs_go_buildinfo){ .version = "unknown" };
	if (b->release_known && b->release.minor < GS_GO_MINOR_FIRST)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s was built with %s; gosonde reads Go 1.%d and later",
			       gs_image_name(rt->img), b->version, GS_GO_MINOR_FIRST);
	rt->facts.release_unknown = !b->release_known || b->release.minor > GS_GO_MINOR_LAST;
	return 0;
}

/* The whole remainder of the file-backed segment behind moduledata.gofunc. */
static struct gs_cursor gofunc_bytes(const struct gs_rt *rt, gs_addr link_addr)
{
	struct gs_cursor c;

	if (!link_addr || gs_image_at(rt->img, link_addr, &c, NULL) != 0)
		return gs_cursor_make(NULL, 0, "gofunc");
	return c;
}

/*
 * The executable's module. Its moduledata is found in the file and read again live, where relocated
 * words are final; its tables come from the file, which is the same bytes and costs the target nothing.
 */
static int open_main_module(struct gs_rt *rt, struct gs_err *err)
{
	unsigned int minor = rt->facts.build.release_known ? rt->facts.build.release.minor : 0;
	struct gs__module *mod = &rt->module[0];
	struct gs_go_pclntab_header header;
	struct gs_go_moduledata file_md;
	struct gs_cursor bytes, gofunc;
	gs_addr at, text;
	int r;

	r = gs_go_pclntab_find(rt->img, &bytes, &at, err);
	if (r == 1)
		return no_go(rt, err);
	if (r == 0)
		r = gs_go_pclntab_header(&bytes, &header, err);
	if (r < 0)
		return r;
	r = gs_go_moduledata_find(rt->img, minor, &bytes, at, &file_md, err);
	if (r < 0)
		return r;
	if (r == 0)
		r = gs_go_moduledata_read(rt->mem, minor, file_md.addr + rt->bias, &mod->md, err);
	else
		return gs_fail(
			err, -GS_E_UNSUPPORTED, 0,
			"%s: the Go runtime's module data was not found; the file may be packed or "
			"obfuscated",
			gs_image_name(rt->img));
	if (r < 0)
		return gs_fail_in(err, r, "cannot read the Go runtime's module data");
	text = mod->md.text;
	gofunc = gofunc_bytes(rt, mod->md.gofunc ? mod->md.gofunc - rt->bias : 0);
	r = gs_go_pclntab_open(&bytes, minor, text, &gofunc, &mod->tab, err);
	if (r < 0)
		return r;
	mod->lo = mod->md.minpc ? mod->md.minpc : text;
	mod->hi = mod->md.maxpc > mod->md.etext ? mod->md.maxpc : mod->md.etext;
	rt->n_modules = 1;
	return 0;
}

/* Copy [at, at + size) of the target (size 0: to the end), no more than its mapping and @io_budget. */
static void *copy_memory(struct gs_rt *rt, gs_addr at, uint64_t size, uint64_t *io_budget,
			 uint64_t *ret_size)
{
	const struct gs_map *map = gs_target_map_at(rt->target, at);
	void *copy;

	if (!map)
		return NULL;
	if (size == 0 || size > map->end - at)
		size = map->end - at;
	if (size > *io_budget)
		size = *io_budget;
	*io_budget -= size;
	copy = malloc(size ? size : 1);
	if (!copy || gs_memory_read(rt->mem, at, copy, size, NULL) < 0) {
		free(copy);
		return NULL;
	}
	*ret_size = size;
	return copy;
}

/* Plugins: the chain behind firstmoduledata. Their files may be gone, so everything is copied. The chain
 * may be a cycle, also of modules that are no use: hops are counted. */
static void open_plugins(struct gs_rt *rt)
{
	unsigned int minor = rt->facts.build.release_known ? rt->facts.build.release.minor : 0;
	gs_addr next = rt->module[0].md.next;
	uint64_t budget = COPIES_MAX;

	for (uint32_t hop = 1; next && hop < GS_RT_MAX_MODULES; hop++) {
		struct gs__module *mod = &rt->module[rt->n_modules];
		uint64_t size, gofunc_size = 0;
		struct gs_cursor bytes, gofunc;

		*mod = (struct gs__module){ 0 };
		if (gs_go_moduledata_read(rt->mem, minor, next, &mod->md, NULL) != 0)
			return;
		next = mod->md.next;
		mod->pclntab_copy =
			copy_memory(rt, mod->md.pclntab, mod->md.pclntab_size, &budget, &size);
		if (!mod->pclntab_copy)
			continue;
		mod->gofunc_copy = copy_memory(rt, mod->md.gofunc, 0, &budget, &gofunc_size);
		bytes = gs_cursor_make(mod->pclntab_copy, size, "plugin pclntab");
		gofunc = gs_cursor_make(mod->gofunc_copy, gofunc_size, "plugin gofunc");
		if (gs_go_pclntab_open(&bytes, minor, mod->md.text, &gofunc, &mod->tab, NULL) < 0) {
			free(mod->pclntab_copy);
			free(mod->gofunc_copy);
			continue;
		}
		mod->lo = mod->md.minpc;
		mod->hi = mod->md.maxpc > mod->md.etext ? mod->md.maxpc : mod->md.etext;
		rt->n_modules++;
	}
}

static bool pc_is_code(const struct gs_rt *rt, gs_addr pc)
{
	return gs__module_at(rt, pc) != NULL;
}

/* Does the decoded g look like one? */
static bool g_plausible(const struct gs_rt *rt, const struct gs__g *g)
{
	if (g->status >= GS_G_STATE_COUNT)
		return false;
	if (g->status == GS_G_DEAD || g->status == GS_G_DEADEXTRA || g->status == GS_G_IDLE)
		return true;
	if (g->goid == 0 || g->goid > (1ull << 48) || g->parent_goid > (1ull << 48))
		return false;
	if (g->stack_lo >= g->stack_hi || g->stack_hi - g->stack_lo > (1ull << 31) ||
	    (g->stack_hi & 7))
		return false;
	if (g->startpc && !pc_is_code(rt, g->startpc))
		return false;
	if (g->gopc && !pc_is_code(rt, g->gopc))
		return false;
	if (g->status == GS_G_WAITING)
		return g->sched_sp > g->stack_lo && g->sched_sp <= g->stack_hi &&
		       pc_is_code(rt, g->sched_pc) && g->waitreason < 64;
	return true;
}

/* Decode the first goroutines with the layout in use. A few may be in motion, so nine in ten count. */
static bool layout_proves(struct gs_rt *rt)
{
	const struct gs_go_globals *gl = &rt->facts.globals;
	uint8_t bytes[1024];
	gs_addr ptrs[CHECK_GS], list;
	uint64_t len = 0, good = 0, n = 0;

	if (off(rt, GS_GO_G_SIZE) <= 0 || off(rt, GS_GO_G_SIZE) > (int64_t)sizeof(bytes))
		return false;
	if (!gl->addr[GS_GO_GLOBAL_ALLGLEN] || !gl->addr[GS_GO_GLOBAL_ALLGPTR] ||
	    gs_memory_u64(rt->mem, gl->addr[GS_GO_GLOBAL_ALLGLEN], &len, NULL) < 0 ||
	    gs_memory_u64(rt->mem, gl->addr[GS_GO_GLOBAL_ALLGPTR], &list, NULL) < 0)
		return false;
	if (len > CHECK_GS)
		len = CHECK_GS;
	if (len == 0 || gs_memory_read(rt->mem, list, ptrs, len * 8, NULL) < 0)
		return false;
	for (uint64_t i = 0; i < len; i++) {
		struct gs__g g;

		if (gs_memory_read(rt->mem, ptrs[i], bytes, (size_t)off(rt, GS_GO_G_SIZE), NULL) <
		    0)
			continue;
		gs__g_decode(rt, ptrs[i], bytes, &g);
		n++;
		good += g_plausible(rt, &g);
	}
	return n > 0 && good * 10 >= n * 9;
}

static int find_globals(struct gs_rt *rt, struct gs_err *err)
{
	return gs_go_globals_find(rt->img, rt->module[0].tab, &rt->facts.layout, rt->mem, rt->bias,
				  &rt->facts.globals, err);
}

/* Try the layout in rt->facts.layout. @return 1 if it proves itself, 0 if not, negative if gone. */
static int try_layout(struct gs_rt *rt, struct gs_err *err)
{
	int r = find_globals(rt, err);

	if (r == -GS_E_GONE || r == -GS_E_PERMISSION)
		return r;
	return r == 0 && layout_proves(rt);
}

static int choose_layout(struct gs_rt *rt, struct gs_err *err)
{
	struct gs_go_layout *l = &rt->facts.layout;
	/* A minor release may have moved fields between its patch releases: the whole version counts. */
	unsigned int minor = rt->facts.build.release_known ? rt->facts.build.release.minor
							   : GS_GO_MINOR_LAST;
	int r = rt->facts.build.release_known
			? gs_go_layout_for(&rt->facts.build.release, rt->arch, l, err)
			: gs_go_layout_table(minor, rt->arch, l, err);

	if (r < 0)
		return r;
	/* For a release we have no table of, the target's DWARF comes first; without it the table stays. */
	if (rt->facts.release_unknown && gs_target_exe_fd(rt->target) >= 0)
		(void)!gs_go_layout_dwarf(gs_target_exe_fd(rt->target), l, NULL);
	r = try_layout(rt, err);
	if (r != 0)
		return r < 0 ? r : 0;
	if (gs_target_exe_fd(rt->target) >= 0 &&
	    gs_go_layout_dwarf(gs_target_exe_fd(rt->target), l, NULL) == 0) {
		r = try_layout(rt, err);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	for (unsigned int m = GS_GO_MINOR_LAST; m >= GS_GO_MINOR_FIRST; m--) {
		if (m == minor || gs_go_layout_table(m, rt->arch, l, NULL) != 0)
			continue;
		r = try_layout(rt, err);
		if (r < 0)
			return r;
		if (r == 1) {
			rt->facts.release_unknown = true;
			l->source = GS_GO_LAYOUT_NEAREST;
			return 0;
		}
	}
	return gs_fail(
		err, -GS_E_UNSUPPORTED, 0,
		"cannot find the goroutines of this %s program: no known layout of the runtime "
		"(Go 1.%d to 1.%d) fits its memory",
		rt->facts.build.version, GS_GO_MINOR_FIRST, GS_GO_MINOR_LAST);
}

/* The target's own strings, if found; else the release's table; numbers where neither has a name. */
static int load_wait_reasons(struct gs_rt *rt, struct gs_err *err)
{
	const struct gs_go_globals *gl = &rt->facts.globals;
	const struct gs_go_layout *l = &rt->facts.layout;
	uint64_t headers[2 * 256];
	uint32_t n = gl->n_wait_reasons < 256 ? gl->n_wait_reasons : 256;

	rt->wait_reasons = gs_arena_array(rt->arena, 256, sizeof(*rt->wait_reasons));
	if (!rt->wait_reasons)
		return gs_fail(err, -ENOMEM, 0, "no memory for wait reasons");
	for (uint32_t i = 0; i < 256; i++) {
		char number[32];

		if (i < l->n_wait_reasons) {
			rt->wait_reasons[i] = l->wait_reasons[i];
			continue;
		}
		snprintf(number, sizeof(number), "wait reason %u", i);
		rt->wait_reasons[i] = gs_arena_strndup(rt->arena, number, strlen(number));
		if (!rt->wait_reasons[i])
			return gs_fail(err, -ENOMEM, 0, "no memory for wait reasons");
	}
	if (!rt->facts.release_unknown || !gl->addr[GS_GO_GLOBAL_WAIT_REASONS] || n == 0 ||
	    gs_memory_read(rt->mem, gl->addr[GS_GO_GLOBAL_WAIT_REASONS], headers, n * 16ul, NULL) <
		    0)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t len = headers[2 * i + 1];
		char *s = len <= 128 ? gs_arena_alloc(rt->arena, len + 1) : NULL;

		if (s && (len == 0 || gs_memory_read(rt->mem, headers[2 * i], s, len, NULL) == 0))
			rt->wait_reasons[i] = s;
	}
	return 0;
}

static void describe_process(struct gs_rt *rt)
{
	const struct gs_target_identity *id = gs_target_identity(rt->target);
	const struct gs_go_buildinfo *b = &rt->facts.build;
	const char *slash = strrchr(id->executable, '/');

	rt->facts.process = (struct gs_process){
		.pid = id->pid,
		.start_time_unix_ns = id->start_time_unix_ns,
		.executable = id->executable[0] ? id->executable : gs_image_name(rt->img),
		.go_version = b->version,
		.goos = gs_go_setting(b, "GOOS") ? gs_go_setting(b, "GOOS") : "linux",
		.goarch = rt->arch == GS_ARCH_ARM64 ? "arm64" : "amd64",
		.service = b->main && b->main->path ? b->main->path
			   : slash                  ? slash + 1
						    : b->path,
	};
	rt->facts.n_modules = rt->n_modules;
	for (uint32_t i = 0; i < rt->n_modules; i++)
		rt->facts.n_functions += gs_go_pclntab_count(rt->module[i].tab);
}

/* A core file without its executable. */
static int no_executable(const struct gs_rt *rt, struct gs_err *err)
{
	const char *path = gs_target_identity(rt->target)->executable;

	if (!path[0])
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "the core file does not name its executable. Give it with "
			       "--exe FILE");
	return gs_fail(
		err, -GS_E_UNSUPPORTED, 0,
		"its executable %.300s is not here or cannot be read. Give it with --exe FILE",
		path);
}

static int open_all(struct gs_rt *rt, struct gs_err *err)
{
	int r;

	rt->img = gs_target_image(rt->target);
	if (!rt->img)
		return no_executable(rt, err);
	rt->mem = gs_target_memory(rt->target);
	rt->arch = gs_target_arch(rt->target);
	rt->bias = gs_target_bias(rt->target);
	rt->arena = gs_arena_new(GS_RT_CACHE_LIMIT);
	if (!rt->arena)
		return gs_fail(err, -ENOMEM, 0, "no memory");
	r = read_build(rt, err);
	if (r == 0)
		r = open_main_module(rt, err);
	if (r < 0)
		return r;
	open_plugins(rt); /* before the layout, whose proof wants every goroutine's code known */
	r = choose_layout(rt, err);
	if (r < 0)
		return r;
	rt->minor = rt->facts.layout.minor;
	describe_process(rt);
	return load_wait_reasons(rt, err);
}

int gs_rt_open(struct gs_target *t, struct gs_rt **ret, struct gs_err *err)
{
	GS_CLEANUP(gs_rt_freep) struct gs_rt *rt = calloc(1, sizeof(*rt));
	int r;

	if (!rt)
		return gs_fail(err, -ENOMEM, 0, "no memory");
	rt->target = t;
	r = open_all(rt, err);
	if (r < 0)
		return r;
	*ret = GS_TAKE(rt);
	return 0;
}
