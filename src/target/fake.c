/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A target made of what a test puts into it. Memory is a sorted array of 4 KiB pages, each with one
 * bit per byte that says whether the byte is there: pieces may overlap and holes may be anywhere.
 */
#include "target/fake.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/search.h"
#include "target/target_private.h"

#define PAGE 4096u

struct fake_page {
	uint64_t index; /* address / PAGE */
	uint8_t bytes[PAGE];
	uint8_t there[PAGE / 8];
};

struct gs_fake {
	struct gs_target base;
	struct fake_page **pages;
	size_t n, cap;
	uint64_t fail_in; /* the piece that brings this to 0 fails; 0: none */
	void (*on_read)(void *ctx, struct gs_target *t, gs_addr addr, size_t len);
	void *on_read_ctx;
	int64_t now_ns;
	bool in_callback;
};

/* First page whose index is not below @index. */
static size_t lower_bound(const struct gs_fake *f, uint64_t index)
{
	return GS_SEARCH(i, f->n, f->pages[i]->index >= index);
}

static struct fake_page *find_page(const struct gs_fake *f, uint64_t index)
{
	size_t i = lower_bound(f, index);

	return i < f->n && f->pages[i]->index == index ? f->pages[i] : NULL;
}

static struct fake_page *make_page(struct gs_fake *f, uint64_t index)
{
	size_t i = lower_bound(f, index);
	struct fake_page *page;

	if (i < f->n && f->pages[i]->index == index)
		return f->pages[i];
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 64;
		struct fake_page **v = (struct fake_page **)gs_array_resize(
			(void *)f->pages, cap, sizeof(struct fake_page *));

		if (!v)
			return NULL;
		f->pages = v;
		f->cap = cap;
	}
	page = (struct fake_page *)gs_array_new(1, sizeof(*page));
	if (!page)
		return NULL;
	page->index = index;
	memmove((void *)(f->pages + i + 1), (void *)(f->pages + i),
		(f->n - i) * sizeof(f->pages[0]));
	f->pages[i] = page;
	f->n++;
	return page;
}

static bool all_there(const struct fake_page *page, size_t off, size_t n)
{
	for (size_t i = off; i < off + n; i++) {
		if (!(page->there[i / 8] >> (i % 8) & 1))
			return false;
	}
	return true;
}

static int read_piece(const struct gs_fake *f, struct gs_read *rd)
{
	size_t done = 0;

	if (rd->len && rd->addr + (rd->len - 1) < rd->addr)
		return -GS_E_FAULT;
	while (done < rd->len) {
		gs_addr at = rd->addr + done;
		size_t off = at % PAGE, n = PAGE - off;
		const struct fake_page *page = find_page(f, at / PAGE);

		n = n < rd->len - done ? n : rd->len - done;
		if (!page || !all_there(page, off, n))
			return -GS_E_FAULT;
		memcpy((uint8_t *)rd->buf + done, page->bytes + off, n);
		done += n;
	}
	return 0;
}

static int fake_readv(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	struct gs_fake *f = (struct gs_fake *)ctx;

	(void)err; /* a fake is never gone */
	for (size_t i = 0; i < n; i++) {
		if (f->on_read && !f->in_callback) {
			f->in_callback = true; // it may read itself
			f->on_read(f->on_read_ctx, &f->base, reads[i].addr, reads[i].len);
			f->in_callback = false;
		}
		if (f->fail_in && --f->fail_in == 0)
			reads[i].result = -GS_E_FAULT;
		else
			reads[i].result = read_piece(f, &reads[i]);
	}
	return 0;
}

/* One anonymous mapping per run of pages. */
static int fake_refresh_maps(struct gs_target *t, struct gs_err *err)
{
	struct gs_fake *f = (struct gs_fake *)t;
	struct gs_map *v = (struct gs_map *)gs_array_resize(t->maps.v, f->n ? f->n : 1, sizeof(*v));

	if (!v)
		return gs_fail(err, -ENOMEM, 0, "fake target: no memory for its map");
	t->maps_stale = false;
	t->maps.v = v;
	t->maps.n = 0;
	for (size_t i = 0; i < f->n; i++) {
		gs_addr start = f->pages[i]->index * PAGE;
		struct gs_map *last = t->maps.n ? &t->maps.v[t->maps.n - 1] : NULL;

		if (last && last->end == start) {
			last->end += PAGE;
			continue;
		}
		t->maps.v[t->maps.n++] = (struct gs_map){ .start = start,
							  .end = start + PAGE,
							  .prot = GS_IMAGE_READ | GS_IMAGE_WRITE,
							  .path = "" };
	}
	return 0;
}

static int64_t fake_now_ns(const struct gs_target *t)
{
	return ((const struct gs_fake *)t)->now_ns;
}

static void fake_free(struct gs_target *t)
{
	struct gs_fake *f = (struct gs_fake *)t;

	for (size_t i = 0; i < f->n; i++)
		free(f->pages[i]);
	free((void *)f->pages);
	gs__target_deinit(t);
	free(f);
}

static const struct gs__target_ops fake_ops = {
	.refresh_maps = fake_refresh_maps,
	.now_ns = fake_now_ns,
	.free = fake_free,
};

int gs_target_fake_new(enum gs_arch arch, struct gs_target **ret, struct gs_err *err)
{
	struct gs_fake *f = (struct gs_fake *)gs_array_new(1, sizeof(*f));

	if (!f)
		return gs_fail(err, -ENOMEM, 0, "fake target: no memory");
	f->base.ops = &fake_ops;
	f->base.kind = GS_TARGET_FAKE;
	f->base.arch = arch;
	f->base.memory = (struct gs_memory){ .readv = fake_readv, .ctx = f };
	f->base.exe_fd = -1;
	*ret = &f->base;
	return 0;
}

int gs_target_fake_map(struct gs_target *t, gs_addr addr, const void *bytes, size_t len,
		       struct gs_err *err)
{
	struct gs_fake *f = (struct gs_fake *)t;
	size_t done = 0;

	if (len && addr + (len - 1) < addr)
		return gs_fail(err, -EINVAL, addr, "fake target: piece wraps around");
	while (done < len) {
		gs_addr at = addr + done;
		size_t off = at % PAGE, n = PAGE - off;
		struct fake_page *page = make_page(f, at / PAGE);

		if (!page)
			return gs_fail(err, -ENOMEM, addr, "fake target: no memory");
		n = n < len - done ? n : len - done;
		memcpy(page->bytes + off, (const uint8_t *)bytes + done, n);
		for (size_t i = off; i < off + n; i++)
			page->there[i / 8] |= (uint8_t)(1u << (i % 8));
		done += n;
	}
	t->maps_stale = true;
	return 0;
}

void gs_target_fake_image_take(struct gs_target *t, struct gs_image *img, uint64_t bias)
{
	t->image = gs_image_free(t->image);
	t->image = img;
	t->bias = bias;
}

void gs_target_fake_fail_nth(struct gs_target *t, uint64_t nth)
{
	((struct gs_fake *)t)->fail_in = nth;
}

void gs_target_fake_on_read(struct gs_target *t,
			    void (*fn)(void *ctx, struct gs_target *t, gs_addr addr, size_t len),
			    void *ctx)
{
	struct gs_fake *f = (struct gs_fake *)t;

	f->on_read = fn;
	f->on_read_ctx = ctx;
}

void gs_target_fake_now(struct gs_target *t, int64_t now_ns)
{
	((struct gs_fake *)t)->now_ns = now_ns;
}

int gs_target_fake_threads(struct gs_target *t, const struct gs_thread *threads, size_t n,
			   struct gs_err *err)
{
	t->threads.n = 0;
	for (size_t i = 0; i < n; i++) {
		struct gs_thread *th = gs__threads_add(&t->threads);

		if (!th)
			return gs_fail(err, -ENOMEM, 0, "fake target: no memory for threads");
		*th = threads[i];
	}
	return 0;
}
