/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Global variables as roots (markroot in runtime/mgcmark.go): data and bss of every module, by the pointer masks that
 * the runtime unpacked at start (moduledata.gcdatamask and gcbssmask: a bit for each word, the lowest first). Sections
 * without pointers (noptrdata, noptrbss) are not read. progToPointerMask (runtime/mbitmap.go) puts a mark behind each
 * mask, which proves that it is one.
 *
 * Ps are in the heap. The buffers of the collector and of write barriers in them hold addresses of the past, which
 * a marker that takes every word for a pointer would believe; so Ps come from here, without those.
 */
#include "runtime/rt_gs.h"

#include <errno.h>
#include <string.h>

#include "runtime/rt_pointer_batch.h"

#define CHUNK (256u << 10)
#define SECTION_MAX (4ull << 30)
#define MASK_END 0xa1
#define P_BYTES_MAX (1u << 20)
#define WB_BUF_MAX 65536u

struct pass {
	struct gs_rt *rt;
	uint8_t *buf, *mask;
	struct gs__pointer_batch out;
	uint64_t unreadable, unmasked;
};

/* The words whose bits are set. @mask begins with the bit of the first word. */
static int add_masked(struct pass *ps, gs_addr at, const uint8_t *bytes, size_t len,
		      const uint8_t *mask)
{
	for (size_t i = 0; i + 8 <= len; i += 64) {
		for (unsigned int b = mask[i / 64]; b; b &= b - 1) {
			size_t w = i + (unsigned int)__builtin_ctz(b) * 8ul;
			int r;

			if (w + 8 > len)
				break;
			r = gs__pointers_add(&ps->out, at + w, gs__u64(bytes + w));
			if (r != 0)
				return r;
		}
	}
	return 0;
}

/* Address of the mask of a section of @len bytes, or 0 if there is none that proves itself. */
static gs_addr find_mask(struct pass *ps, gs_addr moduledata, enum gs_go_field field, uint64_t len)
{
	const struct gs_go_layout *l = &ps->rt->facts.layout;
	uint64_t vec[2]; /* n int32; bytedata */
	uint8_t end;

	if (!gs_go_has(l, field) ||
	    gs_memory_read(ps->rt->mem, moduledata + (uint64_t)l->offset[field], vec, sizeof(vec),
			   NULL) < 0)
		return 0;
	if ((uint32_t)vec[0] > len / 8 || !vec[1] ||
	    gs_memory_u8(ps->rt->mem, vec[1] + (len / 8 + 7) / 8, &end, NULL) < 0 ||
	    end != MASK_END)
		return 0;
	return vec[1];
}

static int section(struct pass *ps, gs_addr moduledata, enum gs_go_field field, gs_addr from,
		   gs_addr to, struct gs_err *err)
{
	gs_addr mask;
	int r = 0;

	if (to < from || to - from > SECTION_MAX) {
		ps->unreadable++;
		return 0;
	}
	mask = find_mask(ps, moduledata, field, to - from);
	ps->unmasked += mask == 0 && to != from;
	for (gs_addr at = from; r == 0 && at < to; at += CHUNK) {
		size_t len = to - at < CHUNK ? to - at : CHUNK;
		size_t mask_len = (len / 8 + 7) / 8;

		r = gs_memory_read(ps->rt->mem, at, ps->buf, len, err);
		if (r == 0 && mask)
			r = gs_memory_read(ps->rt->mem, mask + (at - from) / 64, ps->mask, mask_len,
					   err);
		if (r == -GS_E_FAULT) {
			ps->unreadable += len;
			r = 0;
			continue;
		}
		if (r == 0)
			r = mask ? add_masked(ps, at, ps->buf, len, ps->mask)
				 : gs__pointers_words(&ps->out, at, ps->buf, len);
	}
	return r;
}

/* A P, but for what lies from gcw to the end of wbBuf {next, end, buf[]}. */
static int one_p(struct pass *ps, gs_addr p, struct gs_err *err)
{
	const struct gs_go_layout *l = &ps->rt->facts.layout;
	uint32_t size = (uint32_t)l->offset[GS_GO_P_SIZE], gcw, wb;
	uint64_t wb_end;
	int r = gs_memory_read(ps->rt->mem, p, ps->buf, size, err);

	if (r == -GS_E_FAULT) {
		ps->unreadable += size;
		return 0;
	}
	if (r < 0)
		return r;
	gcw = (uint32_t)l->offset[GS_GO_P_GCW];
	wb = (uint32_t)l->offset[GS_GO_P_WB_BUF];
	wb_end = gs__u64(ps->buf + wb + 8) - p;
	if (wb_end < wb + 16 || wb_end > size || wb_end > wb + WB_BUF_MAX) /* not set up yet */
		wb_end = wb + 16;
	if (gs__field_within(l, GS_GO_P_PCACHE_BASE, 8, size))
		// An address in the heap, of free pages or of whatever came to stand there: no pointer.
		memset(ps->buf + l->offset[GS_GO_P_PCACHE_BASE], 0, 8);
	r = gs__pointers_words(&ps->out, p, ps->buf, gcw);
	return r ? r : gs__pointers_words(&ps->out, p + wb_end, ps->buf + wb_end, size - wb_end);
}

uint32_t gs__ps_list(const struct gs_rt *rt, gs_addr *ret, uint32_t max)
{
	const struct gs_go_layout *l = &rt->facts.layout;
	gs_addr allp = rt->facts.globals.addr[GS_GO_GLOBAL_ALLP];
	uint64_t slice[3]; /* Ps beyond the length wait for GOMAXPROCS to grow again */
	uint32_t n = 0;

	if (!allp || !gs_go_has(l, GS_GO_P_GCW) || !gs_go_has(l, GS_GO_P_WB_BUF) ||
	    !gs__field_within(l, GS_GO_P_SIZE, 8, P_BYTES_MAX) ||
	    l->offset[GS_GO_P_SIZE] > (int32_t)CHUNK ||
	    l->offset[GS_GO_P_GCW] > l->offset[GS_GO_P_WB_BUF] ||
	    !gs__field_within(l, GS_GO_P_WB_BUF, 16, (size_t)l->offset[GS_GO_P_SIZE]))
		return 0;
	if (gs_memory_read(rt->mem, allp, slice, sizeof(slice), NULL) < 0 || slice[2] > max ||
	    gs_memory_read(rt->mem, slice[0], ret, slice[2] * 8, NULL) < 0)
		return 0;
	for (uint64_t i = 0; i < slice[2]; i++)
		if (ret[i])
			ret[n++] = ret[i];
	return n;
}

static int all_ps(struct pass *ps, struct gs_err *err)
{
	gs_addr list[GS__PS_MAX];
	uint32_t n = gs__ps_list(ps->rt, list, GS__PS_MAX);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = one_p(ps, list[i], err);
	return r;
}

static struct pass *pass_free(struct pass *ps)
{
	if (ps) {
		free(ps->buf);
		free(ps->mask);
		free(ps);
	}
	return NULL;
}
GS_DEFINE_CLEANUP(struct pass *, pass_free)

int gs_rt_global_roots(struct gs_rt *rt, gs_rt_pointers_fn *visit, void *ctx,
		       struct gs_incomplete_list *inc, struct gs_err *err)
{
	GS_CLEANUP(pass_freep) struct pass *ps = calloc(1, sizeof(*ps));
	int r = 0;

	if (ps) {
		ps->buf = malloc(CHUNK);
		ps->mask = malloc(CHUNK / 64 + 8);
	}
	if (!ps || !ps->buf || !ps->mask)
		return gs_fail(err, -ENOMEM, 0, "no memory to read global variables");
	ps->rt = rt;
	ps->out.visit = visit;
	ps->out.ctx = ctx;
	for (uint32_t i = 0; r == 0 && i < rt->n_modules; i++) {
		const struct gs_go_moduledata *md = &rt->module[i].md;

		r = section(ps, md->addr, GS_GO_MD_GCDATAMASK, md->data, md->edata, err);
		if (r == 0)
			r = section(ps, md->addr, GS_GO_MD_GCBSSMASK, md->bss, md->ebss, err);
	}
	if (r == 0)
		r = all_ps(ps, err);
	if (r == 0)
		r = gs__pointers_flush(&ps->out);
	if (r != 0)
		return r;
	gs_incomplete_add(inc, "globals_unreadable", ps->unreadable,
			  "bytes of global variables could not be read");
	gs_incomplete_add(inc, "globals_conservative", ps->unmasked,
			  "sections of global variables whose pointer masks were not found; "
			  "every word counts as a pointer");
	return 0;
}
