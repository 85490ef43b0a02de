/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A profile as a tree; see profile_tree.h. A line of the profile becomes a list of frames, innermost first,
 * which is then put into the tree from its end. Left out, unless all frames are wanted: wrappers made by the compiler,
 * runtime.goexit, and of a goroutine that waits the runtime's functions at the inner end (gopark and what
 * calls it), since the class says the same in one word.
 *
 * Deeper stacks than MAX_DEPTH lose their outer end and begin with "[incomplete]", like stacks that were not
 * read to their end. When the tree is full, time counts for the innermost caller that is in it.
 */
#include "export/profile_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/func_name.h"

#define MAX_DEPTH 1000u
#define MAX_NODES (1u << 20)
#define MAX_NAME_BYTES ((size_t)64 << 20)
#define MAX_LABEL_FRAMES 16u
#define MARKS (MAX_LABEL_FRAMES + 2)

/* A frame with its name in pieces. */
struct piece_frame {
	struct gs_func_name name;
	const char *file;
	enum gs__frame_kind kind;
};

struct builder {
	struct gs__profile_tree *t;
	const struct gs_profile_facts *facts;
	bool generic_methods;
	bool incomplete;
	struct piece_frame frames[MAX_DEPTH + MARKS]; /* innermost first */
	uint32_t n;
	char goroutine[40];
	struct gs_out text; /* a name put together */
};

static int out_of_memory(struct gs_err *err)
{
	return gs_fail(err, -ENOMEM, 0, "cannot write the profile: out of memory");
}

/* ---- frames of a line ---- */

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static enum gs__frame_kind kind_of(const struct gs_frame *f)
{
	if (f->flags & GS_FRAME_KERNEL)
		return GS__FRAME_KERNEL;
	if (f->flags & GS_FRAME_FOREIGN)
		return GS__FRAME_FOREIGN;
	if (begins(f->function, "runtime.") || begins(f->function, "runtime/") ||
	    begins(f->function, "internal/runtime/"))
		return GS__FRAME_RUNTIME;
	return GS__FRAME_GO;
}

static struct gs_func_name plain(const char *s, size_t n)
{
	return (struct gs_func_name){ .piece = { s }, .len = { n }, .n = 1 };
}

static void put(struct builder *b, struct gs_func_name name, const char *file,
		enum gs__frame_kind kind)
{
	b->frames[b->n++] = (struct piece_frame){ name, file, kind };
}

static void put_text(struct builder *b, const char *s, enum gs__frame_kind kind)
{
	put(b, plain(s, strlen(s)), "", kind);
}

static void put_frame(struct builder *b, const struct gs_frame *f)
{
	if (!f->function[0])
		put(b, plain("[unknown]", 9), "", kind_of(f));
	else if (f->flags & GS_FRAME_KERNEL)
		put(b, plain(f->function, strlen(f->function)), f->file, GS__FRAME_KERNEL);
	else
		put(b, gs_func_name_split(f->function, b->generic_methods), f->file, kind_of(f));
}

static bool left_out(const struct gs_frame *f)
{
	return f->flags & GS_FRAME_WRAPPER || strcmp(f->function, "runtime.goexit") == 0;
}

/* @inner: leave out the runtime's functions at the inner end. */
static void put_stack(struct builder *b, const struct gs_stack *s, bool inner)
{
	uint32_t i = 0;

	for (; inner && i + 1 < s->n_frames && s->frames[i].flags & GS_FRAME_HIDDEN; i++)
		;
	for (; i < s->n_frames && b->n < MAX_DEPTH; i++)
		if (b->facts->all_frames || !left_out(&s->frames[i]))
			put_frame(b, &s->frames[i]);
	if (i < s->n_frames || (s->end != GS_STACK_COMPLETE && s->n_frames))
		b->incomplete = true;
}

static void put_marks(struct builder *b, const struct gs_profile_sample *s)
{
	uint32_t n = s->n_labels < MAX_LABEL_FRAMES ? s->n_labels : MAX_LABEL_FRAMES;

	if (b->incomplete)
		put_text(b, "[incomplete]", GS__FRAME_MARK);
	for (uint32_t i = n; i-- > 0;) {
		const struct gs_label *l = &s->labels[i];

		put(b,
		    (struct gs_func_name){ .piece = { l->key, "=", l->value },
					   .len = { l->key_len, 1, l->value_len },
					   .n = 3 },
		    "", GS__FRAME_MARK);
	}
	if (s->key.goid) {
		snprintf(b->goroutine, sizeof(b->goroutine), "goroutine %" PRIu64, s->key.goid);
		put_text(b, b->goroutine, GS__FRAME_MARK);
	}
}

static void frames_of(struct builder *b, const struct gs_profile_sample *s)
{
	bool waits = !gs_profile_on_cpu(s->key.class);

	b->n = 0;
	b->incomplete = false;
	if (waits) {
		const char *class = gs_why_class_name(s->key.class);

		put(b,
		    (struct gs_func_name){
			    .piece = { "[", class, "]" }, .len = { 1, strlen(class), 1 }, .n = 3 },
		    "", GS__FRAME_CLASS);
	}
	if (s->kernel_stack)
		put_stack(b, s->kernel_stack, false);
	if (s->stack)
		put_stack(b, s->stack, waits && !s->kernel_stack && !b->facts->all_frames);
	else if (s->key.start)
		put_frame(b, s->key.start);
	else if (s->other)
		put_text(b, "(other)", GS__FRAME_MARK);
	else if (!s->kernel_stack)
		put_text(b, "[unknown]", GS__FRAME_MARK);
	put_marks(b, s);
}

/* ---- the tree ---- */

static int grow(void **array, uint32_t n, uint32_t *cap, size_t size, struct gs_err *err)
{
	uint32_t more = *cap ? *cap * 2 : 1024;
	void *p;

	if (n < *cap)
		return 0;
	p = gs_array_resize(*array, more, size);
	if (!p)
		return out_of_memory(err);
	*array = p;
	*cap = more;
	return 0;
}

/* The frame's name in one piece; valid until the next call. */
static const char *text_of(struct builder *b, const struct gs_func_name *name, size_t *ret_len)
{
	if (name->n == 1) {
		*ret_len = name->len[0];
		return name->piece[0];
	}
	b->text.len = 0;
	for (unsigned int i = 0; i < name->n; i++)
		gs_out_bytes(&b->text, name->piece[i], name->len[i]);
	*ret_len = b->text.len;
	return b->text.len ? b->text.buf : "";
}

static int name_number(struct builder *b, const struct piece_frame *f, uint32_t *ret,
		       struct gs_err *err)
{
	struct gs__profile_tree *t = b->t;
	size_t len;
	const char *text = text_of(b, &f->name, &len);
	uint64_t string, number;
	int r;

	if (gs_out_failed(&b->text))
		return out_of_memory(err);
	r = gs__string_number(&t->strings, text, len, &string, err);
	if (r < 0)
		return r;
	r = gs__pair_number(&t->by_text, string, f->kind, &number, err);
	if (r < 0)
		return r;
	*ret = (uint32_t)number - 1;
	if (r == 0)
		return 0;
	r = grow((void **)&t->names, t->n_names, &t->cap_names, sizeof(*t->names), err);
	if (r < 0)
		return r;
	/* Only what is not put together lives as long as the source. */
	if (f->name.n > 1 || f->kind == GS__FRAME_MARK)
		text = gs_arena_strndup(t->arena, text, len);
	if (!text)
		return out_of_memory(err);
	t->names[t->n_names++] = (struct gs__profile_name){
		.text = text, .len = len, .file = f->file, .kind = f->kind
	};
	return 0;
}

/* The child of @parent for a frame; @parent itself when the tree is full. */
static int child(struct builder *b, uint32_t parent, const struct piece_frame *f, uint32_t *ret,
		 struct gs_err *err)
{
	struct gs__profile_tree *t = b->t;
	uint64_t number;
	uint32_t name = 0;
	int r = name_number(b, f, &name, err);

	if (r < 0)
		return r;
	/* Numbers are from 1, and so are nodes but for the root. */
	r = gs__pair_number(&t->edges, parent, name, &number, err);
	if (r < 0)
		return r;
	if (number >= MAX_NODES) {
		*ret = parent;
		return 1;
	}
	if (r > 0) {
		r = grow((void **)&t->nodes, t->n, &t->cap, sizeof(*t->nodes), err);
		if (r < 0)
			return r;
		t->nodes[t->n++] = (struct gs__profile_node){ .parent = parent, .name = name };
	}
	*ret = (uint32_t)number;
	return 0;
}

static int add(struct builder *b, const struct gs_profile_sample *s, struct gs_err *err)
{
	struct gs__profile_node *leaf;
	uint32_t node = 0;
	int r = 0;

	frames_of(b, s);
	for (uint32_t i = b->n; i-- > 0 && r == 0;)
		r = child(b, node, &b->frames[i], &node, err);
	if (r < 0)
		return r;
	if (r > 0)
		b->t->cut += s->count;
	leaf = &b->t->nodes[node];
	leaf->count += s->count;
	if (__builtin_add_overflow(leaf->self_ns, s->ns, &leaf->self_ns))
		leaf->self_ns = INT64_MAX;
	return 0;
}

static void add_up(struct gs__profile_tree *t)
{
	for (uint32_t i = t->n; i-- > 0;) {
		struct gs__profile_node *n = &t->nodes[i], *p = &t->nodes[n->parent];

		if (__builtin_add_overflow(n->total_ns, n->self_ns, &n->total_ns))
			n->total_ns = INT64_MAX;
		if (i && __builtin_add_overflow(p->total_ns, n->total_ns, &p->total_ns))
			p->total_ns = INT64_MAX;
	}
}

static int build(struct builder *b, const struct gs_profile *p, struct gs_err *err)
{
	struct gs__profile_tree *t = b->t;
	uint32_t n;
	const struct gs_profile_sample *s = gs_profile_samples(p, &n);
	int r = gs__string_table_init(&t->strings, err);

	if (r < 0)
		return r;
	t->arena = gs_arena_new(MAX_NAME_BYTES);
	if (!t->arena)
		return out_of_memory(err);
	r = grow((void **)&t->nodes, t->n, &t->cap, sizeof(*t->nodes), err);
	if (r < 0)
		return r;
	t->nodes[t->n++] = (struct gs__profile_node){ 0 };
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = add(b, &s[i], err);
	if (r == 0)
		add_up(t);
	return r;
}

int gs__profile_tree_init(struct gs__profile_tree *t, const struct gs_profile *p,
			  const struct gs_profile_facts *f, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) struct builder *b = calloc(1, sizeof(*b));
	unsigned int minor = gs_go_version_minor(f->process->go_version);
	int r;

	*t = (struct gs__profile_tree){ 0 };
	if (!b)
		return out_of_memory(err);
	b->t = t;
	b->facts = f;
	b->generic_methods = minor == 0 || minor >= 27;
	gs_out_init_mem(&b->text);
	r = build(b, p, err);
	gs_out_deinit(&b->text);
	return r;
}

void gs__profile_tree_deinit(struct gs__profile_tree *t)
{
	free(t->nodes);
	free(t->names);
	gs_arena_free(t->arena);
	gs__string_table_deinit(&t->strings);
	gs__pair_table_deinit(&t->by_text);
	gs__pair_table_deinit(&t->edges);
	*t = (struct gs__profile_tree){ 0 };
}

/* ---- order ---- */

static int compare_names(const struct gs__profile_name *a, const struct gs__profile_name *b)
{
	int r = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);

	if (r == 0)
		r = (a->len > b->len) - (a->len < b->len);
	return r ? r : (a->kind > b->kind) - (a->kind < b->kind);
}

struct order {
	const struct gs__profile_tree *t;
	bool by_name;
};

static int compare_nodes(const void *pa, const void *pb, void *ctx)
{
	const struct order *o = ctx;
	const struct gs__profile_node *a = &o->t->nodes[*(const uint32_t *)pa],
				      *b = &o->t->nodes[*(const uint32_t *)pb];

	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	if (!o->by_name && a->total_ns != b->total_ns)
		return a->total_ns > b->total_ns ? -1 : 1;
	return compare_names(&o->t->names[a->name], &o->t->names[b->name]);
}

int gs__profile_tree_sort(struct gs__profile_tree *t, bool by_name, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) uint32_t *index = gs_array_new(t->n, sizeof(*index));
	struct order o = { t, by_name };

	if (!index)
		return out_of_memory(err);
	for (uint32_t i = 0; i < t->n; i++) {
		index[i] = i;
		t->nodes[i].first_child = t->nodes[i].next = 0;
	}
	/* The root is in front and stays there. */
	if (t->n > 2)
		qsort_r(index + 1, t->n - 1, sizeof(*index), compare_nodes, &o);
	for (uint32_t i = t->n; i-- > 1;) {
		struct gs__profile_node *parent = &t->nodes[t->nodes[index[i]].parent];

		t->nodes[index[i]].next = parent->first_child;
		parent->first_child = index[i];
	}
	return 0;
}

uint32_t gs__profile_tree_next(const struct gs__profile_tree *t, uint32_t node, bool skip,
			       uint32_t *depth)
{
	if (node == 0)
		*depth = 0;
	if (t->nodes[node].first_child && !skip) {
		*depth += node ? 1 : 0;
		return t->nodes[node].first_child;
	}
	while (node && !t->nodes[node].next) {
		node = t->nodes[node].parent;
		if (node)
			--*depth;
	}
	return t->nodes[node].next;
}
