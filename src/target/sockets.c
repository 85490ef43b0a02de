/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The kernel's socket tables, joined with the descriptors of a process.
 *
 *   1. fd -> inode for all that are asked for (readlink of /proc/PID/fd/N: "socket:[4711]")
 *   2. the tables, in a few dumps; rows whose inode is wanted are kept, so memory does not grow with the machine
 *   3. what no table has is looked for a second time: a dump walks hash buckets in pieces and may pass over one
 *      whose neighbour goes away meanwhile. If the descriptor still is the same socket afterwards, it is in none:
 *      the kernel takes a TCP socket out of its tables when the connection is over for both sides (net/ipv4/tcp.c,
 *      tcp_done, after a reset for example), although the descriptor stays.
 *
 * sock_diag works in the network namespace that its own netlink socket was made in, so a thread of ours enters the
 * target's for a moment when it is another one. That takes CAP_SYS_ADMIN; the text files of /proc/PID/net take nothing.
 *
 * Which protocol a descriptor has says the extended attribute system.sockprotoname (net/socket.c), as lsof asks it;
 * Multipath TCP, the default for listeners since Go 1.24, has a table of its own; but what such a listener accepts from
 * an ordinary client is called MPTCP and is in the table of TCP. Unix sockets have a table too. Those two are only read
 * if there is such a descriptor.
 */
#include "target/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/xattr.h>

#include "base/arena.h"
#include "base/hash.h"
#include "target/target_private.h"

#define BUFFER_BYTES (256u << 10)
#define MAX_ROWS (1u << 23) /* of one dump or file */
#define MPTCP 262           /* IPPROTO_MPTCP */
#define MS 1000000

enum { OPEN_STATES = (1 << GS_TCP_ESTABLISHED) | (1 << GS_TCP_SYN_SENT) | (1 << GS_TCP_LISTEN) };
enum {
	CLOSING_STATES = (1 << GS_TCP_FIN_WAIT1) | (1 << GS_TCP_FIN_WAIT2) | (1 << GS_TCP_CLOSE) |
			 (1 << GS_TCP_CLOSE_WAIT) | (1 << GS_TCP_LAST_ACK) | (1 << GS_TCP_CLOSING)
};

enum protocol { OTHER, TCP, TCP_MULTIPATH, UNIX };

struct wanted {
	enum protocol protocol;
	uint32_t next; /* with the same inode: number + 1 */
};

struct lookup {
	pid_t pid;
	struct gs_socket *io;
	struct wanted *w;
	uint32_t n;
	uint32_t *slot, mask; /* by inode: number + 1 */
	uint64_t seed;
	int diag; /* netlink socket in the target's namespace; -1: text */
	bool tcp_by_diag, multipath_read;
	uint8_t *buf;
};

const char *gs_tcp_state_name(uint8_t state)
{
	static const char *const names[] = {
		[GS_TCP_ESTABLISHED] = "ESTABLISHED",
		[GS_TCP_SYN_SENT] = "SYN_SENT",
		[GS_TCP_SYN_RECV] = "SYN_RECV",
		[GS_TCP_FIN_WAIT1] = "FIN_WAIT1",
		[GS_TCP_FIN_WAIT2] = "FIN_WAIT2",
		[GS_TCP_TIME_WAIT] = "TIME_WAIT",
		[GS_TCP_CLOSE] = "CLOSE",
		[GS_TCP_CLOSE_WAIT] = "CLOSE_WAIT",
		[GS_TCP_LAST_ACK] = "LAST_ACK",
		[GS_TCP_LISTEN] = "LISTEN",
		[GS_TCP_CLOSING] = "CLOSING",
	};

	return state < GS_ARRAY_SIZE(names) && names[state] ? names[state] : "unknown";
}

void gs_socket_address(const struct gs_socket *s, bool peer, char ret[GS_SOCKET_ADDRESS_MAX])
{
	const uint8_t *bytes = peer ? s->peer : s->local;
	unsigned int port = peer ? s->peer_port : s->local_port;
	char text[INET6_ADDRSTRLEN];

	ret[0] = '\0';
	if (s->found != GS_SOCKET_LISTED)
		return;
	if (s->family == AF_UNIX && !peer)
		snprintf(ret, GS_SOCKET_ADDRESS_MAX, "%s", s->path);
	else if (s->family != AF_UNIX && inet_ntop(s->family, bytes, text, sizeof(text)))
		snprintf(ret, GS_SOCKET_ADDRESS_MAX, s->family == AF_INET6 ? "[%s]:%u" : "%s:%u",
			 text, port);
}

/* ---- descriptors ---- */

static uint64_t inode_of(pid_t pid, int32_t fd)
{
	char name[48], link[64];
	ssize_t n;

	if (fd < 0)
		return 0;
	snprintf(name, sizeof(name), "/proc/%d/fd/%d", pid, fd);
	n = readlink(name, link, sizeof(link) - 1);
	if (n < 0)
		return 0;
	link[n] = '\0';
	return strncmp(link, "socket:[", 8) == 0 ? strtoull(link + 8, NULL, 10) : 0;
}

static enum protocol protocol_of(pid_t pid, int32_t fd)
{
	char name[48], text[32];
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/%d/fd/%d", pid, fd);
	n = getxattr(name, "system.sockprotoname", text, sizeof(text) - 1);
	if (n < 0)
		return OTHER;
	text[n] = '\0';
	if (strcmp(text, "TCP") == 0 || strcmp(text, "TCPv6") == 0)
		return TCP;
	if (strncmp(text, "MPTCP", 5) == 0)
		return TCP_MULTIPATH;
	return strncmp(text, "UNIX", 4) == 0 ? UNIX : OTHER;
}

static uint32_t *slot_of(struct lookup *l, uint64_t inode)
{
	uint32_t at = (uint32_t)gs_hash_u64(l->seed, inode) & l->mask;

	while (l->slot[at] && l->io[l->slot[at] - 1].inode != inode)
		at = (at + 1) & l->mask;
	return &l->slot[at];
}

static int find_descriptors(struct lookup *l, struct gs_err *err)
{
	uint32_t slots = 16;

	while (slots < l->n * 2 && slots < 1u << 30)
		slots *= 2;
	l->mask = slots - 1;
	l->seed = gs_hash_seed();
	l->w = (struct wanted *)gs_array_new(l->n ? l->n : 1, sizeof(*l->w));
	l->slot = (uint32_t *)gs_array_new(slots, sizeof(*l->slot));
	l->buf = (uint8_t *)gs_array_new(1, BUFFER_BYTES);
	if (!l->w || !l->slot || !l->buf || l->n >= 1u << 29)
		return gs_fail(err, -ENOMEM, 0, "PID %d: no memory for %u sockets", l->pid, l->n);
	for (uint32_t i = 0; i < l->n; i++) {
		struct gs_socket *s = &l->io[i];
		uint32_t *slot;

		*s = (struct gs_socket){ .fd = s->fd, .last_data_ns = -1, .last_ack_ns = -1 };
		s->inode = inode_of(l->pid, s->fd);
		if (!s->inode)
			continue;
		l->w[i].protocol = protocol_of(l->pid, s->fd);
		slot = slot_of(l, s->inode);
		l->w[i].next = *slot;
		*slot = i + 1;
	}
	return 0;
}

/* Give every descriptor of this inode what the row says. The first row counts: see read_tables(). */
static void found(struct lookup *l, const struct gs_socket *row)
{
	uint32_t i = row->inode ? *slot_of(l, row->inode) : 0;

	for (; i; i = l->w[i - 1].next) {
		struct gs_socket *s = &l->io[i - 1];
		int32_t fd = s->fd;

		if (s->found == GS_SOCKET_LISTED)
			continue;
		*s = *row;
		s->fd = fd;
		s->found = GS_SOCKET_LISTED;
	}
}

static bool wants(const struct lookup *l, enum protocol p)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (l->w[i].protocol == p && l->io[i].found == GS_SOCKET_NONE)
			return true;
	return false;
}

static bool wants_tcp(const struct lookup *l)
{
	return wants(l, TCP) || wants(l, TCP_MULTIPATH);
}

/* ---- sock_diag ---- */

static void tcp_row(struct lookup *l, const struct nlmsghdr *h)
{
	const struct inet_diag_msg *m = (const struct inet_diag_msg *)NLMSG_DATA(h);
	struct gs_socket row = { .last_data_ns = -1, .last_ack_ns = -1 };
	const struct rtattr *a;
	int left;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return;
	row.inode = m->idiag_inode;
	row.family = m->idiag_family;
	row.state = m->idiag_state;
	row.local_port = ntohs(m->id.idiag_sport);
	row.peer_port = ntohs(m->id.idiag_dport);
	memcpy(row.local, m->id.idiag_src, sizeof(row.local));
	memcpy(row.peer, m->id.idiag_dst, sizeof(row.peer));
	a = (const struct rtattr *)(m + 1);
	left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		struct tcp_info t = { 0 };

		if (a->rta_type != INET_DIAG_INFO ||
		    RTA_PAYLOAD(a) < offsetof(struct tcp_info, tcpi_last_ack_recv) + 4)
			continue;
		memcpy(&t, RTA_DATA(a), RTA_PAYLOAD(a) < sizeof(t) ? RTA_PAYLOAD(a) : sizeof(t));
		row.last_data_ns = (int64_t)t.tcpi_last_data_recv * MS;
		row.last_ack_ns = (int64_t)t.tcpi_last_ack_recv * MS;
	}
	found(l, &row);
}

/* unix_release_sock() marks the other end as shut down in both directions, shutdown() in one (net/unix/af_unix.c). */
static uint8_t unix_state(uint8_t state, uint8_t shut)
{
	enum { RECEIVE = 1, BOTH = 3 };

	if (state != GS_TCP_ESTABLISHED)
		return state;
	return shut == BOTH ? GS_TCP_CLOSE : shut & RECEIVE ? GS_TCP_CLOSE_WAIT : state;
}

static void unix_row(struct lookup *l, const struct nlmsghdr *h)
{
	const struct unix_diag_msg *m = (const struct unix_diag_msg *)NLMSG_DATA(h);
	struct gs_socket row = { .family = AF_UNIX, .last_data_ns = -1, .last_ack_ns = -1 };
	const struct rtattr *a;
	uint8_t shut = 0;
	int left;

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) || m->udiag_type == SOCK_DGRAM)
		return;
	row.inode = m->udiag_ino;
	a = (const struct rtattr *)(m + 1);
	left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		size_t n = RTA_PAYLOAD(a);

		if (a->rta_type == UNIX_DIAG_SHUTDOWN && n >= 1)
			memcpy(&shut, RTA_DATA(a), 1);
		if (a->rta_type == UNIX_DIAG_NAME && n && n < sizeof(row.path)) {
			memcpy(row.path, RTA_DATA(a), n);
			row.path[0] = row.path[0] ? row.path[0] : '@';
		}
	}
	row.state = unix_state(m->udiag_state, shut);
	found(l, &row);
}

/* Take the messages of one datagram. @return 0; 1 after the last one; negative errno. */
static int take_rows(struct lookup *l, size_t len,
		     void (*row)(struct lookup *, const struct nlmsghdr *), uint32_t *io_rows)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)l->buf;

	for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = (const struct nlmsgerr *)NLMSG_DATA(h);

			if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)))
				return -EPROTO;
			return e->error < 0 ? e->error : -EPROTO;
		}
		if (++*io_rows > MAX_ROWS)
			return -E2BIG;
		if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY)
			row(l, h);
	}
	return 0;
}

static int dump(struct lookup *l, const void *request, size_t len,
		void (*row)(struct lookup *, const struct nlmsghdr *))
{
	uint32_t rows = 0;
	ssize_t n;
	int r = 0;

	if (send(l->diag, request, len, 0) < 0)
		return -errno;
	while (r == 0) {
		n = recv(l->diag, l->buf, BUFFER_BYTES, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPROTO;
		r = take_rows(l, (size_t)n, row, &rows);
	}
	return r < 0 ? r : 0;
}

static int dump_tcp(struct lookup *l, uint8_t family, uint32_t protocol, uint32_t states, bool info)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
		struct rtattr a;
		uint32_t protocol;
	} q;
	size_t len = protocol > 255 ? sizeof(q) : offsetof(__typeof__(q), a);

	memset(&q, 0, sizeof(q));
	q.h.nlmsg_len = (uint32_t)len;
	q.h.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	q.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	q.r.sdiag_family = family;
	q.r.sdiag_protocol = protocol > 255 ? 0 : (uint8_t)protocol;
	q.r.idiag_states = states;
	q.r.idiag_ext = info ? 1 << (INET_DIAG_INFO - 1) : 0;
	q.a.rta_type = INET_DIAG_REQ_PROTOCOL;
	q.a.rta_len = RTA_LENGTH(sizeof(q.protocol));
	q.protocol = protocol;
	return dump(l, &q, len, tcp_row);
}

static int dump_unix(struct lookup *l)
{
	struct {
		struct nlmsghdr h;
		struct unix_diag_req r;
	} q = {
		.h = { .nlmsg_len = sizeof(q),
		       .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.r = { .sdiag_family = AF_UNIX,
		       .udiag_states = UINT32_MAX,
		       .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER },
	};

	return dump(l, &q, sizeof(q), unix_row);
}

static const uint8_t families[] = { AF_INET, AF_INET6 };

static int dump_connections(struct lookup *l)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < 2 && wants_tcp(l); i++) {
		r = dump_tcp(l, families[i], IPPROTO_TCP, OPEN_STATES, false);
		if (r == 0)
			r = dump_tcp(l, families[i], IPPROTO_TCP, CLOSING_STATES, true);
	}
	return r;
}

static int dump_multipath(struct lookup *l)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < 2 && wants(l, TCP_MULTIPATH); i++)
		r = dump_tcp(l, families[i], MPTCP, OPEN_STATES | CLOSING_STATES, false);
	return r;
}

/* ---- network namespaces ---- */

struct enter {
	int ns, fd, error;
};

static int diag_socket(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct timeval wait = { .tv_sec = 5 };
	int size = 4 << 20;

	if (fd < 0)
		return -1;
	// Without them it would be slower, or might wait for ever for a kernel that does not answer.
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	return fd;
}

static void *enter_main(void *arg)
{
	struct enter *e = (struct enter *)arg;

	e->fd = -1;
	if (setns(e->ns, CLONE_NEWNET) == 0)
		e->fd = diag_socket();
	return NULL;
}

/* A namespace belongs to a thread: one of ours goes there, makes the socket, and ends. */
static int diag_socket_in(int ns)
{
	struct enter e = { .ns = ns, .fd = -1 };
	sigset_t all, old;
	pthread_t th;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&th, NULL, enter_main, &e);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r)
		return -1;
	pthread_join(th, NULL);
	return e.fd;
}

static int diag_socket_of(pid_t pid)
{
	GS_CLEANUP(gs_closep) int ns = -1;
	struct stat mine, theirs;
	char name[48];

	snprintf(name, sizeof(name), "/proc/%d/ns/net", pid);
	ns = open(name, O_RDONLY | O_CLOEXEC);
	if (ns < 0 || fstat(ns, &theirs) < 0 || stat("/proc/thread-self/ns/net", &mine) < 0)
		return -1;
	if (mine.st_ino == theirs.st_ino && mine.st_dev == theirs.st_dev)
		return diag_socket();
	return diag_socket_in(ns);
}

/* ---- text ---- */

/* Addresses are printed as 32-bit words of this machine, each as a number. */
static bool parse_address(const char *text, uint8_t family, uint8_t ret[16], uint16_t *ret_port)
{
	size_t words = family == AF_INET6 ? 4 : 1;

	for (size_t i = 0; i < words; i++) {
		char part[9];
		uint32_t v;

		memcpy(part, text + i * 8, 8);
		part[8] = '\0';
		v = (uint32_t)strtoul(part, NULL, 16);
		memcpy(ret + i * 4, &v, 4);
	}
	if (text[words * 8] != ':')
		return false;
	*ret_port = (uint16_t)strtoul(text + words * 8 + 1, NULL, 16);
	return true;
}

/* "  0: 0100007F:1F90 0100007F:C350 08 00000000:00000001 00:00000000 00000000  0  0 4711 …" */
static void tcp_line(struct lookup *l, const char *line, uint8_t family)
{
	struct gs_socket row = { .family = family, .last_data_ns = -1, .last_ack_ns = -1 };
	char local[48], peer[48];
	unsigned long long inode;
	unsigned int state;
	size_t width = family == AF_INET6 ? 37 : 13;

	if (sscanf(line, " %*u: %47s %47s %x %*s %*s %*s %*u %*u %llu", local, peer, &state,
		   &inode) != 4 ||
	    strlen(local) != width || strlen(peer) != width ||
	    !parse_address(local, family, row.local, &row.local_port) ||
	    !parse_address(peer, family, row.peer, &row.peer_port))
		return;
	row.state = (uint8_t)state;
	row.inode = inode;
	found(l, &row);
}

/* "ffff…: 00000002 00000000 00010000 0001 01 4711 /run/x.sock"; states of enum socket_state. */
static void unix_line(struct lookup *l, const char *line, uint8_t family)
{
	struct gs_socket row = { .family = family, .last_data_ns = -1, .last_ack_ns = -1 };
	unsigned int flags, type;
	unsigned long long inode;

	if (sscanf(line, "%*s %*x %*x %x %x %*x %llu %108s", &flags, &type, &inode, row.path) < 3 ||
	    type == SOCK_DGRAM)
		return;
	row.state = flags & 0x10000 ? GS_TCP_LISTEN : GS_TCP_ESTABLISHED; /* __SO_ACCEPTCON */
	row.inode = inode;
	found(l, &row);
}

static int read_text(struct lookup *l, const char *name, uint8_t family,
		     void (*line)(struct lookup *, const char *, uint8_t))
{
	GS_CLEANUP(gs_fclosep) FILE *f = NULL;
	char path[48], text[512];

	snprintf(path, sizeof(path), "/proc/%d/net/%s", l->pid, name);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	for (uint32_t i = 0; i < MAX_ROWS && fgets(text, sizeof(text), f); i++)
		line(l, text, family);
	return 0;
}

static int read_texts(struct lookup *l)
{
	int r = read_text(l, "tcp", AF_INET, tcp_line), r6;

	r6 = r == 0 ? read_text(l, "tcp6", AF_INET6, tcp_line) : 0;
	return r6 == -ENOENT ? r : r6; // a kernel without IPv6
}

/* ---- all together ---- */

/* Each table by sock_diag, or else as text: the kernel's modules for it may be missing one by one. */
static int read_tables(struct lookup *l, struct gs_err *err)
{
	int r = 0;

	// First, as the parts of a connection that has several are also in the table of TCP.
	if (wants(l, TCP_MULTIPATH))
		l->multipath_read = l->diag >= 0 && dump_multipath(l) == 0;
	if (wants_tcp(l)) {
		l->tcp_by_diag = l->diag >= 0 && dump_connections(l) == 0;
		r = l->tcp_by_diag ? 0 : read_texts(l);
	}
	if (r == 0 && wants(l, UNIX) && (l->diag < 0 || dump_unix(l) < 0))
		r = read_text(l, "unix", AF_UNIX, unix_line);
	if (r < 0)
		return gs_fail(err, r, 0,
			       "PID %d: its sockets cannot be listed: %s. Run as the same user or "
			       "as root, "
			       "where /proc is mounted",
			       l->pid, strerror(-r));
	return 0;
}

/* What is still in no table. Multipath TCP has no text, so nothing can be said of it without sock_diag. */
static void settle_unlisted(struct lookup *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		struct gs_socket *s = &l->io[i];
		enum protocol p = l->w[i].protocol;

		if (s->found != GS_SOCKET_NONE ||
		    (p != TCP && (p != TCP_MULTIPATH || !l->multipath_read)) ||
		    inode_of(l->pid, s->fd) != s->inode)
			continue;
		s->found = GS_SOCKET_UNLISTED;
		s->state = GS_TCP_CLOSE;
	}
}

static void lookup_deinit(struct lookup *l)
{
	gs_closep(&l->diag);
	free(l->w);
	free(l->slot);
	free(l->buf);
}

int gs_sockets_look(pid_t pid, struct gs_socket *io, uint32_t n, enum gs_sockets_how *ret_how,
		    struct gs_err *err)
{
	GS_CLEANUP(lookup_deinit) struct lookup l = { .pid = pid, .io = io, .n = n, .diag = -1 };
	int r = find_descriptors(&l, err);

	if (r < 0)
		return r;
	l.tcp_by_diag = true; // unless it proves not to be
	l.diag = diag_socket_of(pid);
	r = read_tables(&l, err);
	if (r == 0 && wants_tcp(&l))
		r = read_tables(&l, err);
	if (r < 0)
		return r;
	settle_unlisted(&l);
	*ret_how = l.tcp_by_diag && l.diag >= 0 ? GS_SOCKETS_DIAG : GS_SOCKETS_TEXT;
	return 0;
}
