/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Goroutines that serve or use a connection that is closed.
 *
 *   goroutine ─► functions on its stack: its role       (rt.h: stacks, each distinct one looked at once)
 *   goroutine ─► live pointers of its stack             (rt_roots.h)
 *             ─► objects with a net.Conn ─► net.netFD   (leaks_netfd.h)
 *             ─► descriptor ─► socket                   (target/sockets.h)
 *
 * A stack may lead to several connections: a handler that asks another server has two. In roles whose function is where the
 * goroutine began (net/http's conn.serve), the object closest to the bottom of the stack is theirs; callers of a client are
 * looked at from the top. Goroutines without a role count for every connection that is on their stack or in an object that
 * is, since such an object usually stands for the connection as a whole.
 *
 * Closed is: Close() was called; the kernel has taken the socket out of its tables (reset); or the peer has ended
 * sending (CLOSE_WAIT). The last is a statement about HTTP, but other protocols may still want to be answered.
 *
 * No finding are goroutines that wait for the descriptor itself, as they will be woken, and those that run.
 * Of a goroutine without a role that waits for another descriptor, as a proxy's do, a half closed connection is none; what
 * else is half closed is marked as such, for it may be idle (leaks_closed.c).
 *
 * Connections that only a map, slice or channel leads to are left out: who holds many serves none of them.
 *
 * The target runs: what is closed is read again at the end, as a descriptor's number may have a new owner meanwhile.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/leaks.h"
#include "analysis/leaks_netfd.h"
#include "base/arena.h"
#include "target/sockets.h"

#define NONE UINT32_MAX
#define POINTERS (1u << 16)      /* kept at once */
#define POINTERS_EACH (1u << 13) /* of one goroutine; deeper stacks are cut in the middle */
#define OBJECT_BYTES 384         /* a connection of an object is among its first bytes */
#define SESSION_BYTES 128        /* … of one that is not known */
#define READ_BYTES (8u << 20)
#define READ_RUN (64u << 10)
#define READ_GAP 256
#define LINKS_EACH 8
#define MAX_LINKS (1u << 23)

enum role {
	ROLE_NONE = 0,
	ROLE_HTTP,
	ROLE_HTTP2,
	ROLE_GRPC,
	ROLE_CLIENT,
	ROLE_GRPC_CLIENT,
	ROLES,
	ROLE_ENDS = ROLES, /* closes its connection, and will be done soon */
};

static const struct {
	const char *name;
	bool from_top;
} roles[ROLES] = {
	[ROLE_NONE] = { "connection", false },
	[ROLE_HTTP] = { "HTTP server request", false },
	[ROLE_HTTP2] = { "HTTP/2 server request", false },
	[ROLE_GRPC] = { "gRPC server call", false },
	[ROLE_CLIENT] = { "HTTP client request", true },
	[ROLE_GRPC_CLIENT] = { "gRPC client call", true },
};

/* Functions that say what a goroutine does, from Go 1.19's net/http, golang.org/x/net/http2 and grpc 1.30 on. Names of modules
 * may have a vendor path in front. */
static const struct {
	const char *name;
	bool prefix; /* any method */
	enum role role;
} functions[] = {
	{ "net/http.(*conn).closeWriteAndWait", false, ROLE_ENDS }, /* sleeps for half a second */
	{ "net/http.(*conn).serve", false, ROLE_HTTP },
	{ "net/http.(*http2serverConn).runHandler", false, ROLE_HTTP2 },
	{ "net/http/internal/http2.(*serverConn).runHandler", false, ROLE_HTTP2 }, /* 1.27 */
	{ "golang.org/x/net/http2.(*serverConn).runHandler", false, ROLE_HTTP2 },
	{ "google.golang.org/grpc.(*Server).handleStream", false, ROLE_GRPC },
	{ "net/http.(*persistConn).", true, ROLE_CLIENT },
	{ "net/http.(*http2ClientConn).", true, ROLE_CLIENT },
	{ "net/http/internal/http2.(*ClientConn).", true, ROLE_CLIENT },
	{ "golang.org/x/net/http2.(*ClientConn).", true, ROLE_CLIENT },
	{ "google.golang.org/grpc/internal/transport.(*http2Client).", true, ROLE_GRPC_CLIENT },
};

struct pointer {
	gs_addr slot, value, object;
	uint32_t which;
	uint32_t number; /* netFD it leads to */
};

struct link {
	uint32_t which, number;
	uint8_t role;
};

struct by_goid {
	uint64_t goid;
	uint32_t which;
};

struct finder {
	struct gs_rt *rt;
	const struct gs_memory *mem;
	const struct gs_rt_page_index *index;
	const struct gs_rt_g *g;
	uint32_t n;
	struct gs__netfds *fds;
	struct by_goid *by_goid; /* [n] */
	uint8_t *role;           /* [n] */
	uint8_t *stack_role;     /* by gs_stack.id: enum role + 1 */
	uint32_t stack_roles;
	uint32_t *which; /* to be looked at */
	uint32_t n_which;
	struct pointer *p;
	uint32_t n_p, n_each, *order;
	struct gs_read *read;
	uint8_t *bytes;
	struct link *link;
	uint32_t n_links, links_cap;
	struct gs_socket *socket; /* by number of netFD */
	bool have_sockets;
	uint64_t cut, unreadable;
};

static void finder_deinit(struct finder *f)
{
	gs__netfds_free(f->fds);
	free(f->by_goid);
	free(f->role);
	free(f->stack_role);
	free(f->which);
	free(f->p);
	free(f->order);
	free(f->read);
	free(f->bytes);
	free(f->link);
	free(f->socket);
}

static int no_memory(struct gs_err *err)
{
	return gs_fail(err, -ENOMEM, 0, "no memory to look for closed connections");
}

/* ---- roles ---- */

static enum role role_of_function(const char *name)
{
	for (size_t i = 0; i < GS_ARRAY_SIZE(functions); i++) {
		const char *want = functions[i].name, *at = strstr(name, want);

		if (!at || (at != name && at[-1] != '/'))
			continue;
		if (functions[i].prefix || at[strlen(want)] == '\0')
			return functions[i].role;
	}
	return ROLE_NONE;
}

/* From the outside: a handler that is a client as well serves first of all. */
static enum role role_of_stack(const struct gs_stack *s)
{
	enum role role = ROLE_NONE;

	for (uint32_t i = s->n_frames; i--;) {
		enum role r = role_of_function(s->frames[i].function);

		if (r == ROLE_ENDS)
			return r;
		role = role == ROLE_NONE ? r : role;
	}
	return role;
}

static int compare_goids(const void *a, const void *b)
{
	const struct by_goid *x = (const struct by_goid *)a, *y = (const struct by_goid *)b;

	return (x->goid > y->goid) - (x->goid < y->goid);
}

static int on_goroutine(void *ctx, const struct gs_goroutine *g)
{
	struct finder *f = (struct finder *)ctx;
	struct by_goid key = { .goid = g->id };
	const struct by_goid *found = f->n ? (const struct by_goid *)bsearch(&key, f->by_goid, f->n,
									     sizeof(key),
									     compare_goids)
					   : NULL;
	uint32_t id = g->stack->id;

	if (!found)
		return 0;
	if (id >= f->stack_roles) {
		uint32_t n = id < 1u << 30 ? id * 2 + 1024 : id;
		uint8_t *p = (uint8_t *)gs_array_resize(f->stack_role, n, 1);

		if (!p)
			return -ENOMEM;
		memset(p + f->stack_roles, 0, n - f->stack_roles);
		f->stack_role = p;
		f->stack_roles = n;
	}
	if (!f->stack_role[id])
		f->stack_role[id] = (uint8_t)(role_of_stack(g->stack) + 1);
	f->role[found->which] = f->stack_role[id] - 1;
	return 0;
}

static int find_roles(struct finder *f, struct gs_incomplete_list *inc, struct gs_err *err)
{
	struct gs_rt_dump_options o = { .no_labels = true };
	int r;

	for (uint32_t i = 0; i < f->n; i++)
		f->by_goid[i] = (struct by_goid){ f->g[i].goid, i };
	qsort(f->by_goid, f->n, sizeof(*f->by_goid), compare_goids);
	r = gs_rt_goroutines(f->rt, &o, on_goroutine, f, inc, err);
	return r == -ENOMEM ? no_memory(err) : r;
}

/* Those that wait. main often holds a connection while it waits for its end, so it needs a role. */
static void choose(struct finder *f)
{
	for (uint32_t i = 0; i < f->n; i++) {
		const struct gs_rt_g *g = &f->g[i];

		if ((g->state == GS_G_WAITING || g->state == GS_G_LEAKED) && !g->system &&
		    !g->torn && f->role[i] != ROLE_ENDS && (!g->main || f->role[i]))
			f->which[f->n_which++] = i;
	}
}

/* ---- stacks ---- */

static int compare_objects(const void *a, const void *b, void *ctx)
{
	const struct pointer *p = (const struct pointer *)ctx;
	gs_addr x = p[*(const uint32_t *)a].object, y = p[*(const uint32_t *)b].object;

	return (x > y) - (x < y);
}

static uint32_t bytes_of(const struct finder *f, const struct pointer *p)
{
	const struct gs_rt_span *s = gs_rt_heap_find(f->index, p->object);
	uint64_t most = f->role[p->which] ? OBJECT_BYTES : SESSION_BYTES;

	return (uint32_t)(s && s->elem_size < most ? s->elem_size : most);
}

/* Pointers order[from..*ret_end) lie in one run of memory; *ret_len: how long it is. */
static void find_run(const struct finder *f, uint32_t from, uint32_t *ret_end, uint32_t *ret_len)
{
	gs_addr start = f->p[f->order[from]].object, end = start;
	uint32_t i;

	for (i = from; i < f->n_p; i++) {
		const struct pointer *p = &f->p[f->order[i]];
		gs_addr stop = p->object + bytes_of(f, p);

		if (i > from && (p->object > end + READ_GAP || stop - start > READ_RUN))
			break;
		end = stop > end ? stop : end;
	}
	*ret_end = i;
	*ret_len = (uint32_t)(end - start);
}

static void look_into(struct finder *f, const struct gs_read *run, uint32_t from, uint32_t end)
{
	for (uint32_t i = from; i < end; i++) {
		struct pointer *p = &f->p[f->order[i]];
		const struct pointer *before = i > from ? &f->p[f->order[i - 1]] : NULL;
		const uint8_t *at = (const uint8_t *)run->buf + (p->object - run->addr);

		// Neighbours in this order often point to the same object, and want the same of it.
		if (before && before->object == p->object &&
		    !f->role[before->which] == !f->role[p->which])
			p->number = before->number;
		else
			p->number = gs__netfds_in_object(f->fds, at, bytes_of(f, p));
	}
}

/* Read order[from..) until the buffer is full, and look into what came. @return how far. */
static int read_objects(struct finder *f, uint32_t from, uint32_t *ret_end, struct gs_err *err)
{
	uint32_t used = 0, n = 0, i = from;
	int r;

	while (i < f->n_p) {
		uint32_t end, len;

		find_run(f, i, &end, &len);
		if (used + len > READ_BYTES)
			break;
		f->read[n++] = (struct gs_read){ .addr = f->p[f->order[i]].object,
						 .buf = f->bytes + used,
						 .len = len };
		used += len;
		i = end;
	}
	r = f->mem->readv(f->mem->ctx, f->read, n, err);
	if (r < 0)
		return r;
	*ret_end = i;
	i = from;
	for (uint32_t k = 0; k < n; k++) {
		uint32_t end, len;

		find_run(f, i, &end, &len);
		if (f->read[k].result == 0)
			look_into(f, &f->read[k], i, end);
		else
			f->unreadable++;
		i = end;
	}
	return 0;
}

static int add_link(struct finder *f, uint32_t which, uint32_t number, struct gs_err *err)
{
	if (f->n_links == f->links_cap) {
		uint32_t cap = f->links_cap ? f->links_cap * 2 : 256;
		void *p = f->n_links < MAX_LINKS ? gs_array_resize(f->link, cap, sizeof(*f->link))
						 : NULL;

		if (!p)
			return no_memory(err);
		f->link = (struct link *)p;
		f->links_cap = cap;
	}
	f->link[f->n_links++] = (struct link){ which, number, f->role[which] };
	return 0;
}

/* Pointers p[0..n) are those of one goroutine that lead to a connection, from the top of the stack down. */
static int link_one(struct finder *f, const struct pointer *p, uint32_t n, struct gs_err *err)
{
	uint32_t which = p->which, begin = f->n_links;
	enum role role = (enum role)f->role[which];
	int r = 0;

	if (role != ROLE_NONE)
		return add_link(f, which, p[roles[role].from_top ? 0 : n - 1].number, err);
	for (uint32_t i = 0; r == 0 && i < n && f->n_links - begin < LINKS_EACH; i++) {
		bool known = false;

		for (uint32_t k = begin; k < f->n_links && !known; k++)
			known = f->link[k].number == p[i].number;
		if (!known)
			r = add_link(f, which, p[i].number, err);
	}
	return r;
}

static int compare_slots(const void *a, const void *b)
{
	const struct pointer *x = (const struct pointer *)a, *y = (const struct pointer *)b;

	if (x->which != y->which)
		return x->which < y->which ? -1 : 1;
	return (x->slot > y->slot) - (x->slot < y->slot);
}

/* Do all that was gathered. */
static int settle(struct finder *f, struct gs_err *err)
{
	uint32_t n = 0, at = 0;
	int r = 0;

	for (uint32_t i = 0; i < f->n_p; i++)
		f->order[i] = i;
	qsort_r(f->order, f->n_p, sizeof(*f->order), compare_objects, f->p);
	while (r == 0 && at < f->n_p)
		r = read_objects(f, at, &at, err);
	for (uint32_t i = 0; r == 0 && i < f->n_p; i++) {
		uint32_t direct = gs__netfds_at(f->fds, f->p[i].value);

		f->p[n] = f->p[i];
		f->p[n].number = direct != NONE ? direct : f->p[i].number;
		n += f->p[n].number != NONE;
	}
	f->n_p = 0;
	if (r < 0)
		return r;
	qsort(f->p, n, sizeof(*f->p), compare_slots);
	for (uint32_t i = 0, end; r == 0 && i < n; i = end) {
		for (end = i + 1; end < n && f->p[end].which == f->p[i].which;)
			end++;
		r = link_one(f, &f->p[i], end - i, err);
	}
	return r;
}

static int on_pointers(void *ctx, uint32_t which, const struct gs_rt_pointer *p, size_t n)
{
	struct finder *f = (struct finder *)ctx;

	if (f->n_p && f->p[f->n_p - 1].which != which) {
		f->n_each = 0;
		if (f->n_p > POINTERS - POINTERS_EACH && settle(f, NULL) < 0)
			return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		const struct gs_rt_span *s = gs_rt_heap_find(f->index, p[i].value);
		struct pointer *x = &f->p[f->n_p];

		// Where the stack of a g ends something else may begin, a connection for example.
		if (!s || s->state != GS_RT_SPAN_IN_USE || (s->flags & GS_RT_SPAN_NOSCAN) ||
		    !s->elem_size || p[i].value == f->g[which].g)
			continue;
		if (f->n_each == POINTERS_EACH) {
			// The bottom is what counts: let it take the place of what came last.
			x = &f->p[f->n_p - 1 - f->cut++ % (POINTERS_EACH / 2)];
		} else {
			f->n_p++;
			f->n_each++;
		}
		*x = (struct pointer){
			.slot = p[i].slot, .value = p[i].value, .which = which, .number = NONE
		};
		x->object = p[i].value - (p[i].value - s->start) % s->elem_size;
	}
	return 0;
}

static int find_links(struct finder *f, const struct gs_rt_gs *gs, struct gs_incomplete_list *inc,
		      struct gs_err *err)
{
	int r = gs_rt_stack_roots(f->rt, gs, f->which, f->n_which, true, on_pointers, f, inc, err);

	if (r == 0)
		r = settle(f, err);
	if (r == -ENOMEM)
		return no_memory(err);
	gs_incomplete_add(inc, "connections_deep_stacks", f->cut,
			  "pointers in the middle of stacks that have more than %u were left out",
			  POINTERS_EACH);
	gs_incomplete_add(inc, "connections_unreadable", f->unreadable,
			  "runs of heap objects on stacks could not be read");
	return r;
}

/* ---- sockets ---- */

static int look_at_sockets(struct finder *f, const struct gs_target *t,
			   struct gs_incomplete_list *inc, struct gs_err *err)
{
	enum gs_sockets_how how = GS_SOCKETS_DIAG;
	struct gs_err why;
	uint32_t n;
	const struct gs__netfd *fd = gs__netfds_all(f->fds, &n);
	int r;

	f->socket = (struct gs_socket *)gs_array_new(n ? n : 1, sizeof(*f->socket));
	if (!f->socket)
		return no_memory(err);
	for (uint32_t i = 0; i < n; i++)
		f->socket[i].fd = fd[i].closed ? -1 : fd[i].fd;
	if (gs_target_kind(t) != GS_TARGET_PROCESS) {
		gs_incomplete_add(
			inc, "sockets", n > 0,
			"no live process, so what peers did is not known: only connections "
			"that the program closed itself are found");
		return 0;
	}
	r = gs_sockets_look(gs_target_identity(t)->pid, f->socket, n, &how, &why);
	f->have_sockets = r == 0;
	if (r < 0)
		gs_incomplete_add(inc, "sockets", 1, "%s", why.text);
	if (how == GS_SOCKETS_TEXT)
		gs_incomplete_add(
			inc, "socket_times", 1,
			"no sock_diag in its network namespace (CAP_SYS_ADMIN): since when "
			"connections are closed is not known");
	return 0;
}

static bool peer_ended(const struct finder *f, uint32_t number)
{
	const struct gs_socket *s = &f->socket[number];

	return f->have_sockets && s->found != GS_SOCKET_NONE &&
	       (s->state == GS_TCP_CLOSE_WAIT || s->state == GS_TCP_LAST_ACK ||
		s->state == GS_TCP_CLOSING || s->state == GS_TCP_CLOSE);
}

static bool waits_for_io(const struct finder *f, const struct gs_rt_g *g)
{
	uint32_t n;
	const char *const *names = gs_rt_wait_reasons(f->rt, &n);

	return g->wait_reason < n && strcmp(names[g->wait_reason], "IO wait") == 0;
}

static bool is_finding(const struct finder *f, const struct link *l)
{
	const struct gs_rt_g *g = &f->g[l->which];
	uint32_t n;
	const struct gs__netfd *fd = &gs__netfds_all(f->fds, &n)[l->number];

	if (!fd->closed && !peer_ended(f, l->number))
		return false;
	if (waits_for_io(f, g)) {
		if (gs__netfds_waits(f->fds, l->number, g->g))
			return false;
		if (l->role == ROLE_NONE && !fd->closed &&
		    f->socket[l->number].state == GS_TCP_CLOSE_WAIT)
			return false;
	}
	return gs__netfds_same(f->fds, l->number);
}

static const char *address(const struct finder *f, uint32_t number, bool peer,
			   struct gs_arena *arena)
{
	char text[GS_SOCKET_ADDRESS_MAX > GS__NETFD_ADDRESS_MAX ? GS_SOCKET_ADDRESS_MAX
								: GS__NETFD_ADDRESS_MAX];

	gs_socket_address(&f->socket[number], peer, text);
	if (!text[0])
		gs__netfds_address(f->fds, number, peer, text);
	return text[0] ? gs_arena_strndup(arena, text, strlen(text)) : NULL;
}

static int report(const struct finder *f, const struct link *l, struct gs_arena *arena,
		  int (*visit)(void *ctx, const struct gs_closed_connection *c), void *ctx)
{
	const struct gs_socket *s = &f->socket[l->number];
	uint32_t n;
	const struct gs__netfd *fd = &gs__netfds_all(f->fds, &n)[l->number];
	struct gs_closed_connection c = {
		.goid = f->g[l->which].goid,
		.role = roles[l->role].name,
		.peer = address(f, l->number, true, arena),
		.local = address(f, l->number, false, arena),
		.socket_state = fd->closed ? "closed" : gs_tcp_state_name(s->state),
		.closed_ns = -1,
		.fd = fd->closed ? -1 : fd->fd,
		.conn = fd->addr,
		.half = !fd->closed && l->role == ROLE_NONE && s->state == GS_TCP_CLOSE_WAIT,
	};

	if (!fd->closed && s->found == GS_SOCKET_LISTED && s->state == GS_TCP_CLOSE_WAIT) {
		c.closed_ns = s->last_ack_ns;
		c.at_least = c.closed_ns >= 0;
	}
	return visit(ctx, &c);
}

static int report_all(const struct finder *f, struct gs_arena *arena,
		      int (*visit)(void *ctx, const struct gs_closed_connection *c), void *ctx)
{
	uint32_t last = NONE;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < f->n_links; i++) {
		// One connection of a goroutine says enough, and its links stand together.
		if (f->link[i].which == last || !is_finding(f, &f->link[i]))
			continue;
		last = f->link[i].which;
		r = report(f, &f->link[i], arena, visit, ctx);
	}
	return r;
}

static int finder_init(struct finder *f, struct gs_rt *rt, const struct gs_rt_heap *h,
		       const struct gs_rt_gs *gs, struct gs_err *err)
{
	uint32_t n;

	f->rt = rt;
	f->mem = gs_rt_memory(rt);
	f->index = gs_rt_heap_index(h);
	f->g = gs_rt_gs_all(gs, &f->n);
	n = f->n ? f->n : 1;
	f->by_goid = (struct by_goid *)gs_array_new(n, sizeof(*f->by_goid));
	f->role = (uint8_t *)gs_array_new(n, 1);
	f->which = (uint32_t *)gs_array_new(n, sizeof(*f->which));
	f->p = (struct pointer *)gs_array_new(POINTERS, sizeof(*f->p));
	f->order = (uint32_t *)gs_array_new(POINTERS, sizeof(*f->order));
	f->read = (struct gs_read *)gs_array_new(POINTERS, sizeof(*f->read));
	f->bytes = (uint8_t *)gs_array_new(1, READ_BYTES);
	if (!f->by_goid || !f->role || !f->which || !f->p || !f->order || !f->read || !f->bytes)
		return no_memory(err);
	return 0;
}

int gs_closed_connections(struct gs_target *t, struct gs_rt *rt, const struct gs_rt_heap *h,
			  const struct gs_rt_gs *gs, struct gs_arena *arena,
			  int (*visit)(void *ctx, const struct gs_closed_connection *c), void *ctx,
			  struct gs_incomplete_list *inc, struct gs_err *err)
{
	GS_CLEANUP(finder_deinit) struct finder f = { .rt = rt };
	int r = gs__netfds_new(rt, h, &f.fds, err);

	if (r > 0) {
		gs_incomplete_add(inc, "connections", 1,
				  "the layout of net.netFD in this release is not known");
		return 0;
	}
	if (r == 0)
		r = finder_init(&f, rt, h, gs, err);
	if (r == 0)
		r = find_roles(&f, inc, err);
	if (r < 0)
		return r;
	choose(&f);
	r = find_links(&f, gs, inc, err);
	if (r == 0 && f.n_links)
		r = look_at_sockets(&f, t, inc, err);
	if (r < 0)
		return r;
	return report_all(&f, arena, visit, ctx);
}
