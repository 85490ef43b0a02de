/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Blame, see blame.h. Two ideas:
 *
 * Who ended my wait is asked what it did while I waited; for its own waits the same again. The windows of one
 * level do not overlap, so the times below a node sum up to no more than the node's.
 *
 * A lock goes from hand to hand while I wait. Each wait for it that ended meanwhile is a release, so the releases cut
 * my wait into pieces, and each piece is put down to the goroutine that released at its end:
 *
 *	me      |-------------- waits ---------------|
 *	others    … waits ->| A released  … ->| B released
 *	blame   |---- A ----|------ B --------|-- C --| C released to me
 *
 * The releaser may have come by the lock late. Its waits that are not below the function that released are not under the
 * lock (gs_stack_held); from there back nobody seen held it.
 *
 * A goroutine that was created within the window continues with its creator. Work is a list, not
 * recursion: how deep chains go is up to the target.
 */
#include "analysis/blame.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define WORK_MAX 512u
#define DEPTH_MAX 10u /* printing nests twice as deep, see GS_JSON_DEPTH */
#define STEPS_MAX 20000u
#define RELEASES_MAX 256u
#define SAMPLES_MAX 32u
#define BUSY_MIN_NS 1000000 /* shorter waits for a P are not explained */
#define BESIDE_MAX 64u
#define HABITS 1024u
/* Ports from here on are given to clients by the kernel (net.ipv4.ip_local_port_range). */
#define CLIENT_PORTS 32768

/* What time on CPU is told apart by: samples of one are not of the others. */
enum cpu_kind { CPU_USER, CPU_KERNEL, CPU_FAULT };

/* Where time of a kind was spent last in a context. */
struct habit {
	uint64_t key;
	uint32_t stack, kernel_stack;
};

struct work {
	uint64_t goid;
	int64_t a, b;
	uint32_t parent, depth;
	bool held;           /* only what it did while it held … */
	gs_addr lock;        /* … this, 0 if not known … */
	uint64_t lock_where; /* … which a function with this hash waited for */
	uint32_t release_stack;
};

struct gs_blame {
	struct gs_lives *lives;
	struct gs_stack_book *book;
	struct gs_why_classifier classifier;
	struct gs_blame_tree tree;
	struct work work[WORK_MAX];
	uint32_t n_work, steps;
	uint32_t context;
	bool unfinished;
	struct habit habits[HABITS];
};

struct gs_blame *gs_blame_new(struct gs_lives *lives, struct gs_stack_book *book,
			      const char *goarch)
{
	struct gs_blame *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->lives = lives;
	b->book = book;
	b->classifier =
		(struct gs_why_classifier){ .lives = lives, .book = book, .goarch = goarch };
	return b;
}

struct gs_blame *gs_blame_free(struct gs_blame *b)
{
	free(b);
	return NULL;
}

uint64_t gs_file_hash(const struct gs_file_ref *f)
{
	uint64_t h;

	if (!f || (f->mode == 0 && f->family == 0 && f->name[0] == '\0'))
		return 0;
	if (f->family) {
		bool client = f->peer_port >= CLIENT_PORTS && f->local_port &&
			      f->local_port < CLIENT_PORTS;

		h = gs_hash_bytes(f->family, f->peer_addr, sizeof(f->peer_addr));
		h = gs_hash_u64(h, client ? f->local_port : f->peer_port);
	} else {
		h = gs_hash_bytes(f->dev, f->name, strnlen(f->name, sizeof(f->name)));
	}
	return h ? h : 1;
}

/* ---- nodes ---- */

/* A stretch of time to be put into the tree. */
struct stretch {
	struct gs_blame_node node; /* what it is, without links and sums */
	int64_t ns;
};

static bool is_lock(enum gs_why_class class)
{
	return class == GS_WHY_MUTEX || class == GS_WHY_RWMUTEX;
}

bool gs_blame_same(const struct gs_blame_node *a, const struct gs_blame_node *b)
{
	// One function that waits for many locks of a kind (one per shard, per connection) is one thing.
	bool object = a->object == b->object || (is_lock(a->class) && a->where_hash);

	return a->class == b->class && a->where_hash == b->where_hash && object &&
	       a->file_hash == b->file_hash && a->syscall == b->syscall && a->near == b->near;
}

/* The child of @parent that @s belongs to; 0 if there is no room for another. */
static uint32_t put(struct gs_blame *b, uint32_t parent, const struct stretch *s)
{
	struct gs_blame_tree *t = &b->tree;
	uint32_t i = t->node[parent].first;
	struct gs_blame_node *n;

	while (i && !gs_blame_same(&t->node[i], &s->node))
		i = t->node[i].next;
	if (!i) {
		if (t->n == GS_BLAME_NODES) {
			t->cut = t->node[parent].cut = true;
			return 0;
		}
		i = t->n++;
		t->node[i] = s->node;
		t->node[i].parent = parent;
		t->node[i].next = t->node[parent].first;
		t->node[parent].first = i;
	}
	n = &t->node[i];
	n->ns += s->ns;
	n->count++;
	if (!n->object)
		n->object = s->node.object;
	else if (s->node.object && s->node.object != n->object)
		n->many_objects = true;
	if (s->node.runnable > n->runnable)
		n->runnable = s->node.runnable;
	if (s->ns > n->longest_ns) {
		n->longest_ns = s->ns;
		n->stack = s->node.stack;
		n->kernel_stack = s->node.kernel_stack;
		n->file = s->node.file;
		n->busy = s->node.busy ? s->node.busy : n->busy;
	}
	return i;
}

static void add_holder(struct gs_blame_node *n, uint64_t goid, int64_t ns, uint32_t stack)
{
	uint32_t i = 0, least = 0;

	while (i < n->n_holders && n->holder[i].goid != goid)
		i++;
	if (i == GS_WHY_HOLDERS) {
		n->more_holders = true;
		for (uint32_t k = 1; k < GS_WHY_HOLDERS; k++)
			if (n->holder[k].ns < n->holder[least].ns)
				least = k;
		if (n->holder[least].ns >= ns)
			return;
		i = least;
		n->holder[i].ns = 0;
	} else if (i == n->n_holders) {
		n->n_holders++;
		n->holder[i].ns = 0;
	}
	n->holder[i].goid = goid;
	n->holder[i].ns += ns;
	n->holder[i].stack = stack;
}

static void ask(struct gs_blame *b, struct work w)
{
	if (w.goid == 0 || w.b <= w.a)
		return;
	if (w.depth > DEPTH_MAX || b->n_work == WORK_MAX) {
		b->tree.cut = b->tree.node[w.parent].cut = true;
		return;
	}
	b->work[b->n_work++] = w;
}

/* ---- waits, and who ended them ---- */

static bool is_ended_by_a_goroutine(enum gs_wait wait)
{
	switch (wait) {
	case GS_WAIT_SLEEP:
	case GS_WAIT_IO:
	case GS_WAIT_GC_ASSIST:
	case GS_WAIT_GC:
	case GS_WAIT_SYSTEM:
	case GS_WAIT_PREEMPTED:
		return false;
	default:
		return true;
	}
}

/* Nobody has released it to me yet: whoever it was released to last has it now. */
static void ask_taker(struct gs_blame *b, const struct gs_interval *v,
		      const struct gs_interval *last, gs_addr lock, int64_t a, int64_t end,
		      uint32_t node, uint32_t depth)
{
	if (end <= a || last->goid_low == v->goid_low)
		return;
	add_holder(&b->tree.node[node], last->goid_low, end - a, 0);
	ask(b, (struct work){ .goid = last->goid_low,
			      .a = a,
			      .b = end,
			      .parent = node,
			      .depth = depth + 1,
			      .held = true,
			      .lock = lock,
			      .lock_where = b->tree.node[node].where_hash });
}

/* Cut [@a, @end) of wait @v at the releases of its lock. */
static void ask_holders(struct gs_blame *b, const struct gs_interval *v, gs_addr lock, int64_t a,
			int64_t end, uint32_t node, uint32_t depth)
{
	const struct gs_interval *p = v;
	int64_t to = v->end_ns;
	uint32_t n = 0;

	while (p && to > a) {
		const struct gs_interval *before = gs_lives_previous_wait(b->lives, p);
		int64_t from, piece_b = to < end ? to : end;

		while (before && (before->flags & GS_IVL_F_NO_WAKER) && n++ < RELEASES_MAX)
			before = gs_lives_previous_wait(b->lives, before);
		if (n++ >= RELEASES_MAX)
			before = NULL;
		from = before && before->end_ns > a ? before->end_ns : a;
		if (p == v && !p->wait_for.waker && before && b->unfinished)
			ask_taker(b, v, before, lock, from, piece_b, node, depth);
		if (p->wait_for.waker && piece_b > from) {
			add_holder(&b->tree.node[node], p->wait_for.waker, piece_b - from,
				   p->wait_for.waker_stack);
			ask(b, (struct work){ .goid = p->wait_for.waker,
					      .a = from,
					      .b = piece_b,
					      .parent = node,
					      .depth = depth + 1,
					      .held = true,
					      .lock = lock,
					      .lock_where = b->tree.node[node].where_hash,
					      .release_stack = p->wait_for.waker_stack });
		}
		to = from;
		p = before;
	}
}

static void ask_waker(struct gs_blame *b, const struct gs_interval *v, int64_t a, int64_t end,
		      uint32_t node, uint32_t depth)
{
	uint64_t waker = v->kind == GS_IVL_WAIT ? v->wait_for.waker : v->off.waker;
	uint32_t stack = v->kind == GS_IVL_WAIT ? v->wait_for.waker_stack : 0;

	if (!waker)
		return;
	add_holder(&b->tree.node[node], waker, end - a, stack);
	ask(b, (struct work){ .goid = waker,
			      .a = a,
			      .b = end,
			      .parent = node,
			      .depth = depth + 1,
			      .release_stack = stack });
}

static void take_wait(struct gs_blame *b, const struct work *w, const struct gs_interval *v,
		      int64_t a, int64_t end, const struct gs_why_part *part)
{
	const struct gs_stack_facts *f = gs_stack_facts(b->book, v->stack);
	struct stretch s = { .node = { .class = part->class,
				       .wait = v->wait,
				       .syscall = -1,
				       .where_hash = f->where_hash,
				       .stack = v->stack,
				       .file = v->wait_for.file,
				       .file_hash = gs_file_hash(
					       gs_lives_file(b->lives, v->wait_for.file)) },
			     .ns = part->ns };
	uint32_t node;

	if (part->class == GS_WHY_STW)
		s.node.where_hash = 0;
	if (is_ended_by_a_goroutine(v->wait))
		s.node.object = gs_why_object(part->class, v->wait, f, v->wait_for.object);
	// Channels come and go, a place in the code waits for them: one node however many there were.
	if (part->class == GS_WHY_CHAN || part->class == GS_WHY_SELECT)
		s.node.object = 0;
	node = put(b, w->parent, &s);
	if (!node || !is_ended_by_a_goroutine(v->wait) || part->class == GS_WHY_STW)
		return;
	if (is_lock(part->class))
		ask_holders(b, v, s.node.object, a, end, node, w->depth);
	else
		ask_waker(b, v, a, end, node, w->depth);
}

/* ---- off CPU, and on CPU ---- */

/* Requests are short beside the distance of samples. So time without a sample counts as spent where the last sample of the
 * same context was: of the same route, or of what the same function released. Over many
 * requests that gives each place its share. */
static struct habit *habit_of(struct gs_blame *b, const struct work *w, enum cpu_kind kind)
{
	uint64_t context = w->depth == 0 ? b->context
					 : gs_stack_facts(b->book, w->release_stack)->where_hash;
	uint64_t key = context ? gs_hash_u64(context, (uint64_t)kind << 1 | (w->depth > 0)) : 0;
	struct habit *h = &b->habits[key & (HABITS - 1)];

	if (!key)
		return NULL;
	if (h->key != key)
		*h = (struct habit){ .key = key };
	return h;
}

static void take_off(struct gs_blame *b, const struct work *w, const struct gs_interval *v,
		     int64_t a, const struct gs_why_part *part)
{
	const struct gs_stack_facts *f = gs_stack_facts(b->book, v->stack);
	struct stretch s = { .node = { .class = part->class, .syscall = -1 }, .ns = part->ns };
	uint32_t node;

	s.node.stack = v->stack;
	s.node.kernel_stack = v->kernel_stack;
	if (part->class != GS_WHY_RUNQUEUE_KERNEL && part->class != GS_WHY_STW) {
		s.node.where_hash = f->where_hash;
		if (v->flags & GS_IVL_F_SYSCALL &&
		    !(v->flags & (GS_IVL_F_FAULT | GS_IVL_F_RECLAIM)))
			s.node.syscall = v->off.syscall;
		s.node.file = v->off.file;
		s.node.file_hash = gs_file_hash(gs_lives_file(b->lives, v->off.file));
		if (part->class == GS_WHY_FUTEX)
			s.node.object = v->off.arg;
	}
	if ((part->class == GS_WHY_FAULT_MINOR || part->class == GS_WHY_FAULT_MAJOR) && v->stack) {
		struct habit *h = habit_of(b, w, CPU_FAULT);

		if (h)
			*h = (struct habit){ h->key, v->stack, v->kernel_stack };
	}
	node = put(b, w->parent, &s);
	if (node && part->class == GS_WHY_FUTEX)
		ask_waker(b, v, a, a + part->ns, node, w->depth);
}

static enum cpu_kind kind_of_part(const struct gs_why_part *part)
{
	if (part->class == GS_WHY_FAULT_MINOR || part->class == GS_WHY_FAULT_MAJOR)
		return CPU_FAULT;
	return part->kernel ? CPU_KERNEL : CPU_USER;
}

static enum cpu_kind kind_of_sample(struct gs_blame *b, const struct gs_interval *sample)
{
	if (!sample->kernel_stack)
		return CPU_USER;
	return gs_stack_facts(b->book, sample->kernel_stack)->flags & GS_STACK_KERNEL_FAULT
		       ? CPU_FAULT
		       : CPU_KERNEL;
}

static void put_cpu(struct gs_blame *b, const struct work *w, const struct gs_why_part *part,
		    int64_t ns, uint32_t stack, uint32_t kernel_stack, bool near)
{
	struct stretch s = { .node = { .class = part->class,
				       .syscall = -1,
				       .near = near,
				       .stack = stack,
				       .kernel_stack = kernel_stack },
			     .ns = ns };

	s.node.where_hash = gs_stack_facts(b->book, stack)->where_hash;
	put(b, w->parent, &s);
}

/* Time on CPU that no sample was taken of. */
static void take_unsampled(struct gs_blame *b, const struct work *w, const struct gs_interval *v,
			   const struct gs_why_part *part)
{
	const struct habit *h = habit_of(b, w, kind_of_part(part));

	if (part->class == GS_WHY_GC_ASSIST && v->stack)
		put_cpu(b, w, part, part->ns, v->stack, 0, false);
	else if (part->class != GS_WHY_CGO && !(v->flags & GS_IVL_F_UNSEEN) && h && h->stack)
		put_cpu(b, w, part, part->ns, h->stack, h->kernel_stack, false);
	else if (part->class == GS_WHY_CPU_USER && w->release_stack)
		put_cpu(b, w, part, part->ns, w->release_stack, 0, true); // where it ended
	else
		put_cpu(b, w, part, part->ns, 0, 0, false);
}

/* Samples tell what the time on CPU was spent on: each that fits gets an equal share of @part. */
static void take_on(struct gs_blame *b, const struct work *w, const struct gs_interval *v,
		    const struct gs_why_part *part, const struct gs_interval *const *samples,
		    uint32_t n_samples)
{
	enum cpu_kind kind = kind_of_part(part);
	uint32_t fit = 0, left;
	struct habit *h;

	for (uint32_t i = 0; i < n_samples; i++)
		fit += kind_of_sample(b, samples[i]) == kind;
	if (fit == 0 || part->class == GS_WHY_CGO || v->flags & GS_IVL_F_UNSEEN) {
		take_unsampled(b, w, v, part);
		return;
	}
	left = fit;
	h = habit_of(b, w, kind);
	for (uint32_t i = 0; i < n_samples; i++) {
		const struct gs_interval *p = samples[i];

		if (kind_of_sample(b, p) != kind)
			continue;
		put_cpu(b, w, part, part->ns / fit + (--left == 0 ? part->ns % fit : 0), p->stack,
			p->kernel_stack, false);
		if (h) {
			h->stack = p->stack;
			h->kernel_stack = p->kernel_stack;
		}
	}
}

/* ---- the run queue ---- */

/* What one of those that had the Ps did, scaled down by @num / @den to its part of the wait. */
static void put_beside(struct gs_blame *b, uint32_t node, const struct gs_overlap *o, int64_t num,
		       int64_t den)
{
	const struct gs_interval *sample = NULL;
	struct gs_why_part parts[GS_WHY_PARTS];
	uint32_t n = gs_why_classify(&b->classifier, o->v, o->a, o->b, parts);

	if (o->v->kind == GS_IVL_ON)
		sample = gs_lives_sample_in(b->lives, o->v);
	for (uint32_t i = 0; i < n; i++) {
		struct stretch s = { .node = { .class = parts[i].class, .syscall = -1 } };
		bool where = parts[i].class != GS_WHY_RUNQUEUE_KERNEL &&
			     parts[i].class != GS_WHY_STW;

		s.ns = (int64_t)((__int128_t)parts[i].ns * num / den);
		s.node.stack = sample ? sample->stack : o->v->stack;
		s.node.kernel_stack = sample ? sample->kernel_stack : o->v->kernel_stack;
		if (where)
			s.node.where_hash = gs_stack_facts(b->book, s.node.stack)->where_hash;
		if (s.ns > 0)
			put(b, node, &s);
	}
}

/* A goroutine waits for a P because others have them all. What these do is why it waits: with two Ps, each has half of the
 * blame. When none of them was used, the goroutine waited for a thread of the scheduler, which the kernel
 * had still to put on a CPU. Of long waits in a busy program only the last part is looked at, and stands for all of it. */
static void ask_those_beside(struct gs_blame *b, const struct gs_interval *v, int64_t a,
			     int64_t end, int64_t ns, uint32_t node)
{
	struct stretch idle = { .node = { .class = GS_WHY_RUNQUEUE_KERNEL, .syscall = -1 } };
	struct gs_overlap beside[BESIDE_MAX];
	int64_t sum = 0, from, span;
	uint32_t n, best = 0;

	n = gs_lives_beside(b->lives, v, a, end, beside, BESIDE_MAX, &from);
	b->steps += BESIDE_MAX;
	span = end - from;
	if (span <= 0)
		return;
	for (uint32_t i = 0; i < n; i++) {
		sum += beside[i].b - beside[i].a;
		if (beside[i].b - beside[i].a > beside[best].b - beside[best].a)
			best = i;
	}
	if (n)
		b->tree.node[node].busy = beside[best].v->goid_low;
	for (uint32_t i = 0; i < n; i++)
		put_beside(b, node, &beside[i], ns, sum > span ? sum : span);
	idle.ns = sum < span ? (int64_t)((__int128_t)ns * (span - sum) / span) : 0;
	if (idle.ns > 0 && !gs_lives_is_thinned(b->lives))
		put(b, node, &idle);
}

static void take_ready(struct gs_blame *b, const struct work *w, const struct gs_interval *v,
		       int64_t a, int64_t end, const struct gs_why_part *part)
{
	struct stretch s = { .node = { .class = part->class, .syscall = -1 }, .ns = part->ns };
	bool queue = part->class == GS_WHY_RUNQUEUE_GO && v->kind == GS_IVL_READY;
	uint32_t node;

	if (queue)
		s.node.runnable = v->ready.runnable;
	node = put(b, w->parent, &s);
	if (node && queue && part->ns >= BUSY_MIN_NS)
		ask_those_beside(b, v, a, end, part->ns, node);
}

/* ---- one goroutine's window ---- */

/* It waited for the very lock it released later: before that, others had it. */
static void pass_on(struct gs_blame *b, const struct work *w, const struct gs_interval *v,
		    int64_t end)
{
	struct work other = *w;

	other.goid = v->wait_for.waker;
	other.release_stack = v->wait_for.waker_stack;
	other.b = end;
	if (other.goid == w->goid)
		return;
	if (other.goid)
		add_holder(&b->tree.node[w->parent], other.goid, end - w->a, other.release_stack);
	ask(b, other);
}

/* Whether @v is a wait for the lock that @w is about. Of goroutines that waited already when watching began the address is
 * not known; then the function that waits has to do. */
static bool is_for_same_lock(struct gs_blame *b, const struct work *w, const struct gs_interval *v)
{
	const struct gs_stack_facts f = *gs_stack_facts(b->book, v->stack);
	struct gs_why_part parts[GS_WHY_PARTS];

	if (gs_why_classify(&b->classifier, v, v->start_ns, v->end_ns, parts) != 1 ||
	    !is_lock(parts[0].class))
		return false;
	if (w->lock && v->wait_for.object)
		return gs_why_object(parts[0].class, v->wait, &f, v->wait_for.object) == w->lock;
	return f.where_hash && f.where_hash == w->lock_where;
}

/* False if from here back the goroutine did not hold what @w is about. */
static bool held(struct gs_blame *b, const struct work *w, const struct gs_interval *v, int64_t end)
{
	if (!w->held || (v->kind != GS_IVL_WAIT && v->kind != GS_IVL_OFF))
		return true;
	if (v->kind == GS_IVL_WAIT && is_for_same_lock(b, w, v)) {
		pass_on(b, w, v, end);
		return false;
	}
	if (v->kind == GS_IVL_OFF && v->flags & GS_IVL_F_RUNNABLE)
		return true;
	// Without a release to compare with: it holds what it took in a function while it is in that one.
	if (w->release_stack
		    ? gs_stack_held(b->book, v->stack, w->release_stack)
		    : !w->lock_where || gs_stack_contains(b->book, v->stack, w->lock_where))
		return true;
	b->tree.node[w->parent].holder_unseen = true;
	return false;
}

static void take(struct gs_blame *b, const struct work *w, struct gs_life_walk *walk,
		 const struct gs_interval *v, int64_t a, int64_t end)
{
	struct gs_why_part parts[GS_WHY_PARTS];
	const struct gs_interval *samples[SAMPLES_MAX], *p;
	uint32_t n = gs_why_classify(&b->classifier, v, a, end, parts), n_samples = 0;

	// What an unfinished goroutine has done since its last event is not known if it was on a CPU then.
	if (b->unfinished && v->kind == GS_IVL_ON && v->flags & GS_IVL_F_OPEN && n)
		parts[0].class = GS_WHY_UNKNOWN;
	while (v->kind == GS_IVL_ON && n_samples < SAMPLES_MAX &&
	       (p = gs_life_walk_sample(walk)) != NULL)
		if (p->end_ns >= a && p->end_ns < end)
			samples[n_samples++] = p;
	for (uint32_t i = 0; i < n; i++) {
		if (w->depth == 0)
			b->tree.classes[parts[i].class] += parts[i].ns;
		if (v->kind == GS_IVL_WAIT && parts[i].class != GS_WHY_RUNQUEUE_GO)
			take_wait(b, w, v, a, end, &parts[i]);
		else if (v->kind == GS_IVL_OFF)
			take_off(b, w, v, a, &parts[i]);
		else if (v->kind == GS_IVL_ON)
			take_on(b, w, v, &parts[i], samples, n_samples);
		else
			take_ready(b, w, v, a, end, &parts[i]);
	}
}

static void look(struct gs_blame *b, const struct work *w)
{
	const struct gs_life *life = gs_lives_find(b->lives, w->goid);
	int64_t done = w->b; // what is before that is still to be explained
	int64_t last = w->a; // what is after that, nobody saw
	const struct gs_interval *v;
	struct gs_life_walk walk;
	bool all = true;

	if (life) {
		gs_life_walk_init(&walk, b->lives, life, w->a, w->b);
		while (all && (v = gs_life_walk_next(&walk)) != NULL) {
			int64_t a = v->start_ns > w->a ? v->start_ns : w->a;
			int64_t end = v->end_ns < done ? v->end_ns : done;

			if (end <= a)
				continue;
			all = ++b->steps < STEPS_MAX && held(b, w, v, end);
			if (!all)
				break;
			take(b, w, &walk, v, a, end);
			done = a;
			last = end > last ? end : last;
		}
		b->tree.forgotten |= walk.forgotten;
		if (all && life->born_ns > w->a && life->born_ns >= done && w->depth > 0) {
			struct work creator = *w;

			creator.goid = life->parent;
			creator.b = done;
			creator.depth++;
			creator.held = false;
			ask(b, creator);
		}
	}
	if (last < w->b && w->depth > 0 && gs_lives_thinned_out(b->lives, w->goid))
		b->tree.node[w->parent].cut = true;
	if (b->steps >= STEPS_MAX)
		b->tree.cut = b->tree.node[w->parent].cut = true;
}

/* Root time that nothing is known of: gaps, and what is before the goroutine was first seen. */
static void add_unknown(struct gs_blame *b, int64_t window_ns)
{
	struct stretch s = { .node = { .class = GS_WHY_UNKNOWN, .syscall = -1 }, .ns = window_ns };

	for (int c = 0; c < GS_WHY_CLASSES; c++)
		s.ns -= b->tree.classes[c];
	if (s.ns <= 0)
		return;
	b->tree.classes[GS_WHY_UNKNOWN] += s.ns;
	put(b, 0, &s);
}

const struct gs_blame_tree *gs_blame_explain(struct gs_blame *b, const struct gs_blame_window *w)
{
	struct gs_blame_tree *t = &b->tree;

	memset(&t->node[0], 0, sizeof(t->node[0]));
	memset(t->classes, 0, sizeof(t->classes));
	t->n = 1;
	t->forgotten = t->cut = false;
	t->node[0].ns = w->end_ns - w->begin_ns;
	b->n_work = 0;
	b->steps = 0;
	b->unfinished = w->unfinished;
	b->context = w->context;
	look(b, &(struct work){ .goid = w->goid, .a = w->begin_ns, .b = w->end_ns });
	add_unknown(b, w->end_ns - w->begin_ns);
	b->unfinished = false;
	while (b->n_work) {
		struct work next = b->work[--b->n_work];

		look(b, &next);
	}
	return t;
}
