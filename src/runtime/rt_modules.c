/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The Go modules of a process, plugins refused by plugin.Open among them: they stay in the runtime's list
 * (runtime/plugin.go, plugin_lastmoduleinit: md.bad) and stay mapped. And the globals that only memory and leaks need,
 * for the first who asks.
 */
#include "runtime/rt_heap.h"
#include "runtime/rt_private.h"

#include <errno.h>
#include <string.h>

enum { MAX_PATH_BYTES = 4096 };

struct gs__module_list {
	struct gs_rt_module m[GS_RT_MAX_MODULES];
	uint32_t n;
};

const struct gs_go_more_globals *gs__rt_more_globals(struct gs_rt *rt)
{
	struct gs_go_more_globals *more;

	if (rt->more)
		return rt->more;
	more = gs_arena_alloc(rt->arena, sizeof(*more));
	if (!more || gs_go_globals_find_more(rt->img, rt->module[0].tab, &rt->facts.layout, rt->mem,
					     rt->bias, more, NULL) < 0)
		return NULL;
	rt->more = more;
	return more;
}

/* The plugin's path. The same text as last time is the same string. */
static const char *path_of(struct gs_rt *rt, const struct gs_go_moduledata *md, const char *last)
{
	char text[MAX_PATH_BYTES];
	size_t n = md->plugin_path_len < sizeof(text) ? md->plugin_path_len : sizeof(text);
	char *copy;

	if (n == 0 || gs_memory_read(rt->mem, md->plugin_path, text, n, NULL) < 0)
		return "";
	if (last && strlen(last) == n && memcmp(last, text, n) == 0)
		return last;
	copy = gs_arena_strndup(rt->arena, text, n);
	return copy ? copy : "";
}

static void fill(struct gs_rt *rt, const struct gs_go_moduledata *md, struct gs_rt_module *io)
{
	*io = (struct gs_rt_module){
		.text = md->text,
		.etext = md->etext,
		.noptrdata = md->noptrdata,
		.enoptrdata = md->enoptrdata,
		.data = md->data,
		.edata = md->edata,
		.bss = md->bss,
		.ebss = md->ebss,
		.noptrbss = md->noptrbss,
		.enoptrbss = md->enoptrbss,
		.types = md->types,
		.etypes = md->etypes,
		.rodata = md->rodata,
		.gofunc = md->gofunc,
		.pclntab = md->pclntab,
		.pclntab_end = md->pclntab + md->pclntab_size,
		.has_main = md->has_main,
		.bad = md->bad,
		.path = path_of(rt, md, io->path),
	};
}

int gs_rt_modules(struct gs_rt *rt, const struct gs_rt_module **ret, uint32_t *ret_n,
		  struct gs_err *err)
{
	unsigned int minor = rt->facts.build.release_known ? rt->facts.build.release.minor : 0;
	gs_addr at = rt->module[0].md.addr;
	struct gs_go_moduledata md;
	int r = 0;

	if (!rt->list)
		rt->list = gs_arena_alloc(rt->arena, sizeof(*rt->list));
	if (!rt->list)
		return gs_fail(err, -ENOMEM, 0, "no memory for the list of modules");
	rt->list->n = 0;
	/* Plugins may have come since, so the list is read anew; it may be a cycle, so hops are counted. */
	for (uint32_t hop = 0; at && hop < GS_RT_MAX_MODULES; hop++) {
		r = gs_go_moduledata_read(rt->mem, minor, at, &md, err);
		if (r != 0)
			break;
		if (hop && at == rt->module[0].md.addr)
			break;
		fill(rt, &md, &rt->list->m[rt->list->n++]);
		at = md.next;
	}
	*ret = rt->list->m;
	*ret_n = rt->list->n;
	/* What follows a module that cannot be read is not known; the executable's always can. */
	return rt->list->n ? 0 : r < 0 ? r : -GS_E_UNSUPPORTED;
}
