/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Connections of package net, found in the heap by what they look like:
 *
 *   net.Conn ──itab──► *net.TCPConn        net.netFD (net/fd_posix.go, same in Go 1.19 to 1.27)
 *      │                                   | pfd  poll.FD {fdmu.state, Sysfd, pd.runtimeCtx ─► pollDesc {fd} } |
 *      └──data──► net.conn {fd} ─────────► | family | sotype | isConnected | net "tcp" | laddr | raddr |
 *
 * A *net.TCPConn is an object of 8 bytes that holds nothing but the pointer to a netFD; and a netFD proves itself: its
 * network is one of five words, its address family belongs to that, and while it is open the pollDesc of the runtime
 * knows the same descriptor. So no type information of the objects in between is needed. Wrappers (*tls.Conn, what
 * limits or counts) hold a net.Conn, which is known by its itab: the interface is net.Conn, or the type a connection of
 * package net.
 *
 * Close() sets a bit in fdmu.state; when the last user has left, Sysfd becomes -1 and runtimeCtx 0 (internal/poll/fd_unix.go
 * destroy). raddr is set once a connection stands, and never for listeners.
 */
#include "analysis/leaks_netfd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/hash.h"
#include "golang/types.h"

#define MAX_NETFDS (1u << 22)
#define MAX_SEEN (1u << 24)
#define MAX_RANGES 64
#define ITABS 1024 /* power of two */
#define DEPTH 5    /* of wrappers around wrappers */
#define WRAPPER_BYTES 128
#define FD_BYTES 256
#define MUTEX_CLOSED 1u /* internal/poll/fd_mutex.go */
#define NONE UINT32_MAX

enum { SOTYPE = 8, NETWORK = 24, LADDR = 40, RADDR = 56, REST = 72 }; /* behind netFD.family */

enum itab_kind { ITAB_NONE = 1, ITAB_CONN };

struct seen {
	gs_addr addr; /* 0: empty */
	uint32_t number;
};

struct range {
	gs_addr start, end;
};

struct gs__netfds {
	struct gs_rt *rt;
	const struct gs_memory *mem;
	const struct gs_go_layout *l;
	const struct gs_rt_page_index *index;
	struct gs_go_types *types;
	struct range itab_range[MAX_RANGES];
	uint32_t n_ranges;
	struct {
		gs_addr addr;
		enum itab_kind kind;
	} itab[ITABS];
	struct gs__netfd *v;
	uint32_t n, cap;
	struct seen *seen;
	uint32_t n_seen, mask;
	uint64_t seed;
};

static uint64_t word(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* ---- what was asked before ---- */

static struct seen *seen_slot(const struct gs__netfds *f, gs_addr addr)
{
	uint32_t at = (uint32_t)gs_hash_u64(f->seed, addr) & f->mask;

	while (f->seen[at].addr && f->seen[at].addr != addr)
		at = (at + 1) & f->mask;
	return &f->seen[at];
}

static bool seen_grow(struct gs__netfds *f)
{
	uint32_t mask = f->mask * 2 + 1, n = f->mask + 1;
	struct seen *old = f->seen, *v = (struct seen *)gs_array_new((size_t)mask + 1, sizeof(*v));

	if (!v)
		return false;
	f->seen = v;
	f->mask = mask;
	for (uint32_t i = 0; i < n; i++)
		if (old[i].addr)
			*seen_slot(f, old[i].addr) = old[i];
	free(old);
	return true;
}

/* Without memory, or beyond the limit, it is only asked again. */
static void remember(struct gs__netfds *f, gs_addr addr, uint32_t number)
{
	struct seen *s;

	if (f->n_seen >= MAX_SEEN || (f->n_seen * 2 > f->mask && !seen_grow(f)))
		return;
	s = seen_slot(f, addr);
	f->n_seen += !s->addr;
	*s = (struct seen){ addr, number };
}

/* ---- net.netFD ---- */

static bool network_fits(const struct gs__netfds *f, gs_addr text, uint64_t len, uint64_t family)
{
	static const char *const tcp[] = { "tcp", "tcp4", "tcp6" };
	char name[16];

	if (len < 3 || len > 10 || gs_memory_read(f->mem, text, name, len, NULL) < 0)
		return false;
	name[len] = '\0';
	if (family == AF_UNIX)
		return strcmp(name, "unix") == 0 || strcmp(name, "unixpacket") == 0;
	for (size_t i = 0; i < GS_ARRAY_SIZE(tcp); i++)
		if (strcmp(name, tcp[i]) == 0)
			return family == AF_INET || family == AF_INET6;
	return false;
}

/* Decode @bytes of the netFD at @addr. False if it is none, or of a socket that has no peer. */
static bool decode(const struct gs__netfds *f, gs_addr addr, const uint8_t *bytes,
		   struct gs__netfd *ret)
{
	const int32_t *o = f->l->offset;
	const uint8_t *pfd = bytes + o[GS_GO_NET_FD_PFD], *rest = bytes + o[GS_GO_NET_FD_FAMILY];
	uint64_t family = word(rest), sotype = word(rest + SOTYPE);
	int64_t fd = (int64_t)word(pfd + o[GS_GO_POLL_FD_SYSFD]);
	uint64_t poll_fd;

	if ((family != AF_INET && family != AF_INET6 && family != AF_UNIX) ||
	    (sotype != SOCK_STREAM && sotype != SOCK_SEQPACKET) || fd < -1 || fd > INT32_MAX ||
	    !word(rest + RADDR) ||
	    !network_fits(f, word(rest + NETWORK), word(rest + NETWORK + 8), family))
		return false;
	*ret = (struct gs__netfd){
		.addr = addr,
		.poll = word(pfd + o[GS_GO_POLL_FD_PD]),
		.local = word(rest + LADDR) ? word(rest + LADDR + 8) : 0,
		.peer = word(rest + RADDR + 8),
		.fd = (int32_t)fd,
		.family = (uint8_t)family,
		.closed = word(pfd + o[GS_GO_POLL_FD_MU_STATE]) & MUTEX_CLOSED,
	};
	if (ret->closed)
		return true;
	// pollDesc.fd stands behind its link. A descriptor that is not polled (blocking) has none.
	return fd >= 0 && (!ret->poll ||
			   (gs_memory_u64(f->mem, ret->poll + (uint64_t)o[GS_GO_POLLDESC_LINK] + 8,
					  &poll_fd, NULL) == 0 &&
			    poll_fd == (uint64_t)fd));
}

static bool read_fd(const struct gs__netfds *f, gs_addr addr, struct gs__netfd *ret)
{
	uint8_t bytes[FD_BYTES];

	return gs_memory_read(f->mem, addr, bytes, (size_t)f->l->offset[GS_GO_NET_FD_SIZE], NULL) ==
		       0 &&
	       decode(f, addr, bytes, ret);
}

/* Objects that begin with a pointer to their type (1.22 and later, larger than 512 bytes) start behind it. */
static bool starts_object(const struct gs_rt_span *s, gs_addr addr)
{
	uint64_t at;

	if (!s || s->state != GS_RT_SPAN_IN_USE || (s->flags & GS_RT_SPAN_NOSCAN) || !s->elem_size)
		return false;
	at = (addr - s->start) % s->elem_size;
	return at == 0 || (at == 8 && (s->flags & GS_RT_SPAN_HEADERS));
}

static uint32_t netfd_at(struct gs__netfds *f, gs_addr addr)
{
	const struct gs_rt_span *s = gs_rt_heap_find(f->index, addr);
	uint64_t size = (uint64_t)f->l->offset[GS_GO_NET_FD_SIZE];
	const struct seen *known;
	struct gs__netfd x;

	if (!starts_object(s, addr) || s->elem_size < size || s->elem_size > size * 2)
		return NONE;
	known = seen_slot(f, addr);
	if (known->addr)
		return known->number;
	if (!read_fd(f, addr, &x) || f->n >= MAX_NETFDS)
		return NONE;
	if (f->n == f->cap) {
		uint32_t cap = f->cap ? f->cap * 2 : 256;
		void *p = gs_array_resize(f->v, cap, sizeof(*f->v));

		if (!p)
			return NONE;
		f->v = (struct gs__netfd *)p;
		f->cap = cap;
	}
	f->v[f->n] = x;
	remember(f, addr, f->n);
	return f->n++;
}

/* ---- what leads there ---- */

static enum itab_kind look_at_itab(struct gs__netfds *f, gs_addr addr)
{
	const struct gs_go_type *inter = NULL, *type = gs_go_itab_type(f->types, addr, &inter);

	if (!type)
		return ITAB_NONE;
	if ((inter && strcmp(inter->name, "net.Conn") == 0) ||
	    strcmp(type->name, "*net.TCPConn") == 0 || strcmp(type->name, "*net.UnixConn") == 0 ||
	    strcmp(type->name, "*tls.Conn") == 0)
		return ITAB_CONN;
	return ITAB_NONE;
}

static bool is_conn_itab(struct gs__netfds *f, gs_addr addr)
{
	uint32_t slot = (uint32_t)gs_hash_u64(f->seed, addr) & (ITABS - 1);
	bool inside = false;

	if (addr % 8)
		return false;
	if (f->itab[slot].addr == addr && f->itab[slot].kind)
		return f->itab[slot].kind == ITAB_CONN;
	for (uint32_t i = 0; i < f->n_ranges && !inside; i++)
		inside = addr >= f->itab_range[i].start && addr < f->itab_range[i].end;
	if (!inside)
		return false;
	f->itab[slot].addr = addr;
	f->itab[slot].kind = look_at_itab(f, addr);
	return f->itab[slot].kind == ITAB_CONN;
}

/* A *net.TCPConn by its address: an object of one pointer. */
static uint32_t conn_at(struct gs__netfds *f, gs_addr addr)
{
	const struct gs_rt_span *s = gs_rt_heap_find(f->index, addr);
	const struct seen *known;
	uint32_t number;
	uint64_t fd;

	if (!starts_object(s, addr) || s->elem_size != 8)
		return NONE;
	known = seen_slot(f, addr);
	if (known->addr)
		return known->number;
	if (gs_memory_u64(f->mem, addr, &fd, NULL) < 0)
		return NONE;
	number = netfd_at(f, fd);
	remember(f, addr, number);
	return number;
}

/* The first net.Conn in an object: *ret_next is what it points to, or 0, and the result the netFD if that is known. */
static uint32_t first_conn(struct gs__netfds *f, const uint8_t *bytes, size_t len,
			   gs_addr *ret_next)
{
	uint64_t before = 0;

	*ret_next = 0;
	for (size_t i = 0; i + 8 <= len; i += 8) {
		uint64_t w = word(bytes + i);
		uint32_t number;

		if (w % 8 == 0 && w >= 4096) {
			number = conn_at(f, w);
			if (number != NONE)
				return number;
			if (is_conn_itab(f, before) && gs_rt_heap_find(f->index, w)) {
				*ret_next = w;
				return NONE;
			}
		}
		before = w;
	}
	return NONE;
}

/* Through wrappers, each of which holds the next. */
static uint32_t unwrap(struct gs__netfds *f, gs_addr addr)
{
	for (int depth = 0; depth < DEPTH && addr; depth++) {
		const struct gs_rt_span *s = gs_rt_heap_find(f->index, addr);
		uint8_t bytes[WRAPPER_BYTES];
		uint64_t len, left;
		uint32_t number = gs__netfds_at(f, addr);

		if (number != NONE)
			return number;
		if (!starts_object(s, addr))
			return NONE;
		left = s->elem_size - (addr - s->start) % s->elem_size;
		len = left < sizeof(bytes) ? left : sizeof(bytes);
		if (gs_memory_read(f->mem, addr, bytes, len, NULL) < 0)
			return NONE;
		number = first_conn(f, bytes, len, &addr);
		if (number != NONE)
			return number;
	}
	return NONE;
}

/* @addr comes from an interface. */
static uint32_t follow(struct gs__netfds *f, gs_addr addr)
{
	const struct seen *known = seen_slot(f, addr);
	uint32_t number;

	if (known->addr)
		return known->number;
	number = unwrap(f, addr);
	remember(f, addr, number);
	return number;
}

uint32_t gs__netfds_at(struct gs__netfds *f, gs_addr addr)
{
	uint32_t number = conn_at(f, addr);

	return number != NONE ? number : netfd_at(f, addr);
}

uint32_t gs__netfds_in_object(struct gs__netfds *f, const uint8_t *bytes, size_t len)
{
	gs_addr next;
	uint32_t number = first_conn(f, bytes, len, &next);

	return number == NONE && next ? follow(f, next) : number;
}

/* ---- more of one ---- */

const struct gs__netfd *gs__netfds_all(const struct gs__netfds *f, uint32_t *ret_n)
{
	*ret_n = f->n;
	return f->v;
}

bool gs__netfds_same(const struct gs__netfds *f, uint32_t number)
{
	const struct gs__netfd *a = &f->v[number];
	struct gs__netfd b;

	return read_fd(f, a->addr, &b) && a->fd == b.fd && a->closed == b.closed &&
	       a->poll == b.poll && a->peer == b.peer;
}

bool gs__netfds_waits(const struct gs__netfds *f, uint32_t number, gs_addr g)
{
	uint8_t bytes[64]; // rg and wg are among the first words (runtime/netpoll.go)

	if (!f->v[number].poll ||
	    gs_memory_read(f->mem, f->v[number].poll, bytes, sizeof(bytes), NULL) < 0)
		return false;
	for (size_t i = 0; i < sizeof(bytes); i += 8)
		if (word(bytes + i) == g)
			return true;
	return false;
}

/* net.TCPAddr is {IP []byte; Port int; Zone string}, net.UnixAddr {Name, Net string}. */
void gs__netfds_address(const struct gs__netfds *f, uint32_t number, bool peer,
			char ret[GS__NETFD_ADDRESS_MAX])
{
	const struct gs__netfd *a = &f->v[number];
	uint8_t bytes[32], ip[16], *at = ip;
	char text[INET6_ADDRSTRLEN];
	uint64_t len;
	bool four;

	ret[0] = '\0';
	if (gs_memory_read(f->mem, peer ? a->peer : a->local, bytes, sizeof(bytes), NULL) < 0)
		return;
	len = word(bytes + 8);
	if (a->family == AF_UNIX) {
		if (len < GS__NETFD_ADDRESS_MAX && len &&
		    gs_memory_read(f->mem, word(bytes), ret, len, NULL) == 0)
			ret[len] = '\0';
		else
			ret[0] = '\0';
		return;
	}
	if ((len != 4 && len != 16) || gs_memory_read(f->mem, word(bytes), ip, len, NULL) < 0)
		return;
	four = len == 4 || memcmp(ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0;
	at += len == 16 && four ? 12 : 0;
	if (inet_ntop(four ? AF_INET : AF_INET6, at, text, sizeof(text)))
		snprintf(ret, GS__NETFD_ADDRESS_MAX, four ? "%s:%u" : "[%s]:%u", text,
			 (unsigned int)(uint16_t)word(bytes + 24));
}

/* ---- life ---- */

static void add_range(struct gs__netfds *f, gs_addr start, gs_addr end)
{
	if (start && start < end && f->n_ranges < MAX_RANGES)
		f->itab_range[f->n_ranges++] = (struct range){ start, end };
}

/* Where itabs lie: the linker's in the modules' data, those made at run time (runtime.getitab) in persistentalloc's memory. */
static int find_types(struct gs__netfds *f, const struct gs_rt_heap *h, struct gs_err *err)
{
	struct gs_go_types_range range[MAX_RANGES];
	const struct gs_rt_meta_range *meta;
	const struct gs_rt_module *m;
	uint32_t n, n_meta;
	int r = gs_rt_modules(f->rt, &m, &n, err);

	if (r < 0)
		return r;
	n = n < MAX_RANGES / 2 ? n : MAX_RANGES / 2;
	for (uint32_t i = 0; i < n; i++) {
		gs_addr first = m[i].rodata && m[i].rodata < m[i].types ? m[i].rodata : m[i].types;

		range[i] = (struct gs_go_types_range){ m[i].types, m[i].etypes };
		add_range(f, first, m[i].enoptrbss > m[i].ebss ? m[i].enoptrbss : m[i].ebss);
	}
	meta = gs_rt_heap_meta(h, &n_meta);
	for (uint32_t i = 0; i < n_meta; i++)
		if (meta[i].kind == GS_RT_META_PERSISTENT)
			add_range(f, meta[i].start, meta[i].end);
	return gs_go_types_new(f->mem, f->l, range, n, &f->types, err);
}

/* The fields behind netFD.family are not in the tables: they have to fill the rest exactly. */
static bool layout_fits(const struct gs_go_layout *l)
{
	static const enum gs_go_field needed[] = {
		GS_GO_NET_FD_SIZE,   GS_GO_NET_FD_PFD, GS_GO_NET_FD_FAMILY, GS_GO_POLL_FD_MU_STATE,
		GS_GO_POLL_FD_SYSFD, GS_GO_POLL_FD_PD, GS_GO_POLLDESC_LINK,
	};
	const int32_t *o = l->offset;

	for (size_t i = 0; i < GS_ARRAY_SIZE(needed); i++)
		if (!gs_go_has(l, needed[i]) || o[needed[i]] < 0 || o[needed[i]] > FD_BYTES)
			return false;
	return o[GS_GO_NET_FD_SIZE] == o[GS_GO_NET_FD_FAMILY] + REST &&
	       o[GS_GO_NET_FD_PFD] + o[GS_GO_POLL_FD_SYSFD] + 8 <= o[GS_GO_NET_FD_SIZE] &&
	       o[GS_GO_NET_FD_PFD] + o[GS_GO_POLL_FD_PD] + 8 <= o[GS_GO_NET_FD_SIZE] &&
	       o[GS_GO_NET_FD_PFD] + o[GS_GO_POLL_FD_MU_STATE] + 8 <= o[GS_GO_NET_FD_SIZE];
}

int gs__netfds_new(struct gs_rt *rt, const struct gs_rt_heap *h, struct gs__netfds **ret,
		   struct gs_err *err)
{
	GS_CLEANUP(gs__netfds_freep) struct gs__netfds *f = NULL;
	int r;

	if (!layout_fits(&gs_rt_facts(rt)->layout))
		return 1;
	f = (struct gs__netfds *)gs_array_new(1, sizeof(*f));
	if (!f)
		return gs_fail(err, -ENOMEM, 0, "no memory for connections");
	f->rt = rt;
	f->mem = gs_rt_memory(rt);
	f->l = &gs_rt_facts(rt)->layout;
	f->index = gs_rt_heap_index(h);
	f->seed = gs_hash_seed();
	f->mask = 4095;
	f->seen = (struct seen *)gs_array_new((size_t)f->mask + 1, sizeof(*f->seen));
	if (!f->seen)
		return gs_fail(err, -ENOMEM, 0, "no memory for connections");
	r = find_types(f, h, err);
	if (r < 0)
		return r;
	*ret = GS_TAKE(f);
	return 0;
}

struct gs__netfds *gs__netfds_free(struct gs__netfds *f)
{
	if (f) {
		gs_go_types_free(f->types);
		free(f->seen);
		free(f->v);
		free(f);
	}
	return NULL;
}
