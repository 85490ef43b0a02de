/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Requests that were kept, as trees with names: numbers of stacks, files and system calls become what they stand for. */
#include <stdlib.h>
#include <string.h>

#include "analysis/syscall_kinds.h"
#include "analysis/why_private.h"

struct child {
	uint32_t index;
	int64_t ns;
};

/* ---- names ---- */

static bool is_lock(enum gs_why_class c)
{
	return c == GS_WHY_MUTEX || c == GS_WHY_RWMUTEX || c == GS_WHY_WAITGROUP ||
	       c == GS_WHY_COND;
}

static bool is_net(enum gs_why_class c)
{
	return c == GS_WHY_NET_READ || c == GS_WHY_NET_WRITE || c == GS_WHY_NET_DIAL ||
	       c == GS_WHY_NET_ACCEPT || c == GS_WHY_DNS;
}

static const char *protocol_of(enum gs_why_class class, const struct gs_stack_facts *f,
			       const struct gs_file_ref *file)
{
	const char *by_port = file && file->family ? gs_port_protocol(file->peer_port) : NULL;

	if (!is_net(class))
		return NULL;
	if (class == GS_WHY_DNS)
		return "dns";
	return f->protocol ? f->protocol : by_port;
}

static const struct gs_file_ref *file_of(struct gs__build *b, const struct gs_blame_node *n,
					 const struct gs_file_ref *file)
{
	struct gs_file_ref *copy;

	if (!n->file_hash)
		return NULL;
	copy = gs__get(b, 1, sizeof(*copy));
	if (copy)
		*copy = *file;
	return copy;
}

static const struct gs_frame *own_code(struct gs_why *w, uint32_t stack)
{
	const struct gs_frame *f = gs_stack_facts(w->book, stack)->where;

	return f && strncmp(f->function, "runtime.", 8) != 0 ? f : NULL;
}

/* Where a goroutine was lately: its latest stack that says so, best one on a CPU; else its first function. */
static const struct gs_frame *lately(struct gs_why *w, uint64_t goid)
{
	const struct gs_life *life = goid ? gs_lives_find(w->lives, goid) : NULL;
	const struct gs_frame *found = NULL, *f;
	const struct gs_interval *v, *p;
	struct gs_life_walk walk;

	if (!life)
		return NULL;
	gs_life_walk_init(&walk, w->lives, life, 0, INT64_MAX);
	for (int i = 0; i < 16 && (v = gs_life_walk_next(&walk)) != NULL; i++) {
		p = v->kind == GS_IVL_ON ? gs_life_walk_sample(&walk) : NULL;
		f = p ? own_code(w, p->stack) : NULL;
		if (f)
			return f;
		if (!found && v->stack)
			found = own_code(w, v->stack);
	}
	return found ? found : life->start;
}

static const char *lock_name(struct gs_event_source *s, const struct gs_blame_node *n,
			     const struct gs_stack *stack)
{
	const char *name = s->object_name && !n->many_objects ? s->object_name(s, n->object) : NULL;

	if (!name && stack && s->lock_name && is_lock(n->class))
		name = s->lock_name(s, n->object, stack);
	return name;
}

void gs__set_what(struct gs__build *b, struct gs_why_what *to, const struct gs_blame_node *n,
		  const struct gs_file_ref *file)
{
	struct gs_why *w = b->w;
	const struct gs_stack_facts f = *gs_stack_facts(w->book, n->stack);
	enum gs_syscall_kind kind;

	*to = (struct gs_why_what){ .class = n->class,
				    .near = n->near,
				    .runnable = n->runnable,
				    .object = n->many_objects ? 0 : n->object,
				    .many_objects = n->many_objects };
	if (n->where_hash) {
		to->where = f.where;
		to->from = f.from;
	}
	to->file = file_of(b, n, file);
	to->protocol = protocol_of(n->class, &f, to->file);
	to->syscall = gs_syscall_name(w->source->goarch, n->syscall, &kind);
	if (n->object)
		to->object_name = lock_name(w->source, n, f.stack);
	to->busy = lately(w, n->busy);
}

/* ---- requests as trees ---- */

static int by_ns_down(const void *pa, const void *pb)
{
	const struct child *a = pa, *b = pb;

	if (a->ns != b->ns)
		return a->ns < b->ns ? 1 : -1;
	return a->index < b->index ? -1 : a->index > b->index;
}

static void set_holders(struct gs__build *b, struct gs_why_blame *to, const struct gs_blame_node *n)
{
	for (uint32_t i = 0; i < n->n_holders; i++) {
		const struct gs_stack_facts *f = gs_stack_facts(b->w->book, n->holder[i].stack);
		struct gs_why_holder h = { .goid = n->holder[i].goid,
					   .ns = n->holder[i].ns,
					   .stack = f->stack,
					   .where = f->where };
		uint32_t k = to->n_holders++;

		for (; k > 0 && to->holder[k - 1].ns < h.ns; k--)
			to->holder[k] = to->holder[k - 1];
		to->holder[k] = h;
	}
	to->more_holders = n->more_holders;
}

static void set_blame(struct gs__build *b, struct gs_why_blame *to, const struct gs__kept *k,
		      uint32_t i)
{
	const struct gs_blame_node *n = &k->node[i];

	gs__set_what(b, &to->what, n, &k->file[i]);
	to->ns = n->ns;
	to->count = n->count;
	to->cut = n->cut;
	to->holder_unseen = n->holder_unseen;
	to->stack = gs_stack_facts(b->w->book, n->stack)->stack;
	to->kernel_stack = gs_stack_facts(b->w->book, n->kernel_stack)->stack;
	set_holders(b, to, n);
}

/* Children of node @i, longest first; each gets its place in @place. @return them. */
static struct gs_why_blame *set_children(struct gs__build *b, const struct gs__kept *k, uint32_t i,
					 struct gs_why_blame **place, uint32_t *ret_n,
					 int64_t *ret_ns)
{
	struct child child[GS_BLAME_NODES];
	struct gs_why_blame *array;
	uint32_t n = 0;

	*ret_ns = 0;
	for (uint32_t c = k->node[i].first; c; c = k->node[c].next)
		child[n++] = (struct child){ .index = c, .ns = k->node[c].ns };
	qsort(child, n, sizeof(child[0]), by_ns_down);
	array = gs__get(b, n, sizeof(*array));
	*ret_n = array ? n : 0;
	for (uint32_t c = 0; array && c < n; c++) {
		place[child[c].index] = &array[c];
		*ret_ns += child[c].ns;
	}
	return array;
}

void gs__set_request(struct gs__build *b, struct gs_why_request *to, const struct gs__kept *k)
{
	struct gs_why_blame *place[GS_BLAME_NODES] = { 0 };
	const struct gs_call *c = &k->call;
	int64_t sum;

	*to = (struct gs_why_request){ .kind = c->kind,
				       .route = gs_routes_name(b->w->routes, k->route),
				       .route_index = k->route,
				       .goid = c->goid,
				       .begin_ns = c->begin_ns,
				       .duration_ns = k->duration_ns,
				       .status = c->status,
				       .bytes = c->bytes,
				       .flags = k->flags };
	memcpy(to->classes, k->classes, sizeof(to->classes));
	to->method = gs_arena_strndup(b->a, c->method, c->method_len);
	to->path = gs_arena_strndup(b->a, c->path, c->path_len);
	to->peer = gs_arena_strndup(b->a, c->peer, c->peer_len);
	b->failed |= !to->method || !to->path || !to->peer;
	to->blame = set_children(b, k, 0, place, &to->n_blame, &sum);
	// A parent comes before its children, so a node's place is known when it is its turn.
	for (uint32_t i = 1; i < k->n && !b->failed; i++) {
		struct gs_why_blame *at = place[i];

		if (!at)
			continue;
		set_blame(b, at, k, i);
		at->cause = set_children(b, k, i, place, &at->n_causes, &at->cause_ns);
	}
}

static int slower(const void *pa, const void *pb)
{
	const struct gs__kept *a = *(struct gs__kept *const *)pa,
			      *b = *(struct gs__kept *const *)pb;

	if (a->duration_ns != b->duration_ns)
		return a->duration_ns < b->duration_ns ? 1 : -1;
	return a->call.begin_ns < b->call.begin_ns ? -1 : a->call.begin_ns > b->call.begin_ns;
}

const struct gs_why_request *gs__set_requests(struct gs__build *b, struct gs__kept **k, uint32_t n)
{
	struct gs_why_request *to = gs__get(b, n, sizeof(*to));

	qsort(k, n, sizeof(*k), slower);
	for (uint32_t i = 0; to && i < n; i++)
		gs__set_request(b, &to[i], k[i]);
	return to;
}
