/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Sockets of this very process, or of a child in another network namespace. The truth are the calls that made them,
 * getsockname() and TCP_INFO.
 */
#include "test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "target/sockets.h"
#include "target_child.h"

#define MPTCP 262

struct pair {
	int server, client;
};

static int listen_on(int family, int protocol)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in four = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	bool is_six = family == AF_INET6;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		return -1;
	if (bind(fd, is_six ? (struct sockaddr *)&six : (struct sockaddr *)&four,
		 is_six ? sizeof(six) : sizeof(four)) < 0 ||
	    listen(fd, 512) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static struct pair connect_to(int listener, int protocol)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	struct pair p;

	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	p.client = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, protocol);
	assert_true(p.client >= 0);
	assert_int_equal(connect(p.client, (struct sockaddr *)&a, len), 0);
	p.server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(p.server >= 0);
	return p;
}

static struct gs_socket look_at(pid_t pid, int fd, enum gs_sockets_how want)
{
	struct gs_socket s = { .fd = fd };
	enum gs_sockets_how how = 0;
	struct gs_err err;

	gs_assert_ok(gs_sockets_look(pid, &s, 1, &how, &err), &err);
	assert_int_equal(how, want);
	assert_int_equal(s.fd, fd);
	return s;
}

static struct gs_socket look(int fd)
{
	return look_at(getpid(), fd, GS_SOCKETS_DIAG);
}

static void printed(const struct sockaddr_storage *a, char *ret, size_t size)
{
	char text[INET6_ADDRSTRLEN];

	if (a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;

		inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof(text));
		snprintf(ret, size, "[%s]:%d", text, ntohs(six->sin6_port));
	} else {
		const struct sockaddr_in *four = (const struct sockaddr_in *)a;

		inet_ntop(AF_INET, &four->sin_addr, text, sizeof(text));
		snprintf(ret, size, "%s:%d", text, ntohs(four->sin_port));
	}
}

static void check_addresses(const struct gs_socket *s, int fd)
{
	char want[96], got[GS_SOCKET_ADDRESS_MAX];
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	printed(&a, want, sizeof(want));
	gs_socket_address(s, false, got);
	assert_string_equal(got, want);
	len = sizeof(a);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&a, &len), 0);
	printed(&a, want, sizeof(want));
	gs_socket_address(s, true, got);
	assert_string_equal(got, want);
}

static uint8_t kernel_state(int fd)
{
	struct tcp_info i;
	socklen_t len = sizeof(i);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len), 0);
	return i.tcpi_state;
}

static void reset(int fd)
{
	struct linger l = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(fd);
}

/* A connection's life, seen from its server: open, the peer half closes, is gone; and a reset. */
static void life(int family)
{
	int listener = listen_on(family, 0);
	struct gs_socket s;
	struct pair p;

	if (listener < 0) {
		print_message("# no such addresses here: family %d\n", family);
		skip();
	}
	s = look(listener);
	assert_int_equal(s.found, GS_SOCKET_LISTED);
	assert_int_equal(s.state, GS_TCP_LISTEN);
	p = connect_to(listener, 0);
	s = look(p.server);
	assert_int_equal(s.found, GS_SOCKET_LISTED);
	assert_int_equal(s.state, GS_TCP_ESTABLISHED);
	assert_int_equal(s.family, family);
	check_addresses(&s, p.server);
	assert_int_equal(write(p.client, "x", 1), 1);
	sleep_ms(300);
	shutdown(p.client, SHUT_WR);
	sleep_ms(200);
	s = look(p.server);
	assert_int_equal(s.state, GS_TCP_CLOSE_WAIT);
	assert_int_equal(kernel_state(p.server), s.state);
	check_addresses(&s, p.server);
	// The end of sending counts, not what was sent before.
	assert_true(s.last_ack_ns >= 190000000 && s.last_ack_ns < s.last_data_ns - 250000000);
	s = look(p.client);
	assert_int_equal(s.state, GS_TCP_FIN_WAIT2);
	assert_string_equal(gs_tcp_state_name(s.state), "FIN_WAIT2");
	reset(p.client);
	s = look(p.server);
	assert_int_equal(kernel_state(p.server), GS_TCP_CLOSE);
	assert_int_equal(s.found, GS_SOCKET_UNLISTED);
	assert_int_equal(s.state, GS_TCP_CLOSE);
	assert_true(s.inode != 0 && s.last_ack_ns == -1);
	close(p.server);
	assert_int_equal(look(p.server).found, GS_SOCKET_NONE);
	close(listener);
}

static void test_ipv4(void **state)
{
	life(AF_INET);
}

static void test_ipv6(void **state)
{
	life(AF_INET6);
}

static void test_multipath(void **state)
{
	int listener = listen_on(AF_INET, MPTCP);
	struct gs_socket s;
	struct pair p;

	if (listener < 0) {
		print_message("# no Multipath TCP here: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(look(listener).state, GS_TCP_LISTEN);
	p = connect_to(listener, MPTCP);
	s = look(p.server);
	assert_int_equal(s.found, GS_SOCKET_LISTED);
	assert_int_equal(s.state, GS_TCP_ESTABLISHED);
	check_addresses(&s, p.server);
	close(p.client);
	for (int i = 0; i < 100 && look(p.server).state == GS_TCP_ESTABLISHED; i++)
		sleep_ms(10);
	s = look(p.server);
	if (s.state != GS_TCP_CLOSE_WAIT && s.state != GS_TCP_CLOSE)
		fail_msg("found %d, state %s", s.found, gs_tcp_state_name(s.state));
	close(p.server);
	p = connect_to(listener, 0); // falls back to plain TCP
	assert_int_equal(look(p.server).state, GS_TCP_ESTABLISHED);
	close(p.client);
	close(p.server);
	close(listener);
}

static void test_unix(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "@gosonde-test-sockets" };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[GS_SOCKET_ADDRESS_MAX];
	struct gs_socket s;
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(a.sun_path));
	int client, server, data[2];

	a.sun_path[0] = '\0';
	assert_int_equal(bind(listener, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(listener, 8), 0);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&a, len), 0);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	s = look(server);
	assert_int_equal(s.found, GS_SOCKET_LISTED);
	assert_int_equal(s.state, GS_TCP_ESTABLISHED);
	gs_socket_address(&s, false, text);
	assert_string_equal(text, "@gosonde-test-sockets");
	shutdown(client, SHUT_WR);
	assert_int_equal(look(server).state, GS_TCP_CLOSE_WAIT);
	close(client);
	assert_int_equal(look(server).state, GS_TCP_CLOSE);
	assert_int_equal(look(listener).state, GS_TCP_LISTEN);
	close(server);
	close(listener);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, data), 0);
	assert_int_equal(look(data[0]).found, GS_SOCKET_NONE);
	close(data[0]);
	close(data[1]);
}

static void test_not_sockets(void **state)
{
	struct gs_socket s[4] = { { .fd = 0 }, { .fd = -1 }, { .fd = 1 << 20 }, { .fd = 2 } };
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), pipe_fd[2];
	enum gs_sockets_how how;
	struct gs_err err;

	assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
	s[0].fd = pipe_fd[0];
	s[3].fd = udp;
	gs_assert_ok(gs_sockets_look(getpid(), s, 4, &how, &err), &err);
	for (int i = 0; i < 4; i++)
		assert_int_equal(s[i].found, GS_SOCKET_NONE);
	gs_assert_ok(gs_sockets_look(getpid(), s, 0, &how, &err), &err);
	close(udp);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

/* Many at once, with duplicates; every tenth connection has been closed by the peer. */
static void test_many(void **state)
{
	enum { N = 2000 };
	static struct gs_socket s[2 * N];
	static struct pair p[N];
	struct rlimit limit = { 3 * N + 100, 3 * N + 100 };
	int listener = listen_on(AF_INET, 0);
	enum gs_sockets_how how;
	int64_t begin;
	struct gs_err err;

	if (setrlimit(RLIMIT_NOFILE, &limit)) {
		print_message("# cannot have %d descriptors: %s\n", (int)limit.rlim_cur,
			      strerror(errno));
		skip();
	}
	for (int i = 0; i < N; i++) {
		p[i] = connect_to(listener, 0);
		s[i].fd = p[i].server;
		s[N + i].fd = dup(p[i].server);
		if (i % 10 == 0)
			close(p[i].client);
	}
	begin = gs_now_ns();
	gs_assert_ok(gs_sockets_look(getpid(), s, 2 * N, &how, &err), &err);
	print_message("# %d descriptors: %.1f ms\n", 2 * N, (double)(gs_now_ns() - begin) / 1e6);
	for (int i = 0; i < 2 * N; i++) {
		assert_int_equal(s[i].found, GS_SOCKET_LISTED);
		assert_int_equal(s[i].state, i % N % 10 ? GS_TCP_ESTABLISHED : GS_TCP_CLOSE_WAIT);
		check_addresses(&s[i], s[i].fd);
	}
	for (int i = 0; i < N; i++) {
		close(s[N + i].fd);
		close(p[i].server);
		if (i % 10)
			close(p[i].client);
	}
	close(listener);
}

/* ---- another network namespace ---- */

/* By ourselves, as a program that is executed has no rights in the new user namespace. */
static int loopback_up(void)
{
	struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result = ioctl(fd, SIOCSIFFLAGS, &r);

	close(fd);
	return result;
}

static void other_namespace(struct shared *s)
{
	struct pair p;
	int listener;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 || loopback_up() < 0 ||
	    (listener = listen_on(AF_INET, 0)) < 0) {
		atomic_store(&s->result, -1);
		be_ready(s);
		pause_forever();
	}
	p = connect_to(listener, 0);
	close(p.client);
	atomic_store(&s->counters[0], (uint64_t)p.server);
	be_ready(s);
	pause_forever();
}

/* @ordinary: as a user who may not go there, so the text has to do. */
static void look_into(pid_t pid, int fd, bool ordinary)
{
	struct gs_socket s = look_at(pid, fd, ordinary ? GS_SOCKETS_TEXT : GS_SOCKETS_DIAG);
	char text[GS_SOCKET_ADDRESS_MAX];

	assert_int_equal(s.found, GS_SOCKET_LISTED);
	assert_int_equal(s.state, GS_TCP_CLOSE_WAIT);
	assert_int_equal(s.family, AF_INET);
	gs_socket_address(&s, true, text);
	assert_int_equal(strncmp(text, "127.0.0.1:", 10), 0);
	assert_int_equal(s.last_ack_ns >= 0, !ordinary);
}

static void test_namespace(void **state)
{
	struct shared *s = shared_new();
	pid_t pid = spawn(other_namespace, s);

	assert_true(pid > 0);
	if (atomic_load(&s->result) < 0) {
		end_child(pid);
		print_message("# no network namespaces for this user\n");
		skip();
	}
	look_into(pid, (int)atomic_load(&s->counters[0]), false);
	end_child(pid);
}

/* Last, as there is no way back. */
static void test_namespace_ordinary_user(void **state)
{
	struct shared *s = shared_new();
	pid_t pid;

	if (getuid() == 0 && (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
			      setresuid(65534, 65534, 65534))) {
		print_message("# cannot become another user: %s\n", strerror(errno));
		skip();
	}
	prctl(PR_SET_DUMPABLE, 1); // or /proc/self belongs to root
	life(AF_INET);
	pid = spawn(other_namespace, s);
	assert_true(pid > 0);
	if (atomic_load(&s->result) < 0) {
		end_child(pid);
		print_message("# no network namespaces for this user\n");
		skip();
	}
	look_into(pid, (int)atomic_load(&s->counters[0]), true);
	end_child(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4),        cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_multipath),   cmocka_unit_test(test_unix),
		cmocka_unit_test(test_not_sockets), cmocka_unit_test(test_many),
		cmocka_unit_test(test_namespace),   cmocka_unit_test(test_namespace_ordinary_user),
	};

	return gs_test_main(tests);
}
