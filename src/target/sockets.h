/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TARGET_SOCKETS_H
#define GS_TARGET_SOCKETS_H

/*
 * What the kernel says of the stream sockets that a process has open: fd -> inode (/proc/PID/fd) -> the tables of the
 * process's network namespace, through sock_diag(7), or as text (/proc/PID/net/tcp …) where that is not permitted.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <gosonde/err.h>

/* States of TCP as the kernel numbers them (include/net/tcp_states.h). */
enum {
	GS_TCP_ESTABLISHED = 1,
	GS_TCP_SYN_SENT,
	GS_TCP_SYN_RECV,
	GS_TCP_FIN_WAIT1,
	GS_TCP_FIN_WAIT2,
	GS_TCP_TIME_WAIT,
	GS_TCP_CLOSE,
	GS_TCP_CLOSE_WAIT,
	GS_TCP_LAST_ACK,
	GS_TCP_LISTEN,
	GS_TCP_CLOSING,
};
/** "ESTABLISHED", "CLOSE_WAIT", …; "unknown" for anything else. */
const char *gs_tcp_state_name(uint8_t state);

enum gs_socket_found {
	GS_SOCKET_NONE = 0, /* the descriptor is not open, or no TCP or Unix stream socket */
	GS_SOCKET_LISTED,   /* in the tables */
	/** Open, but in no table: the connection was reset, or both sides had closed it. A socket that has never been connected
	 *  looks the same. state is CLOSE, addresses and times are not known. */
	GS_SOCKET_UNLISTED,
};

struct gs_socket {
	int32_t fd; /* in */
	enum gs_socket_found found;
	uint64_t inode;
	uint8_t family; /* AF_INET, AF_INET6, AF_UNIX */
	/** Of Unix sockets: ESTABLISHED, LISTEN, CLOSE_WAIT when the peer has ended sending, CLOSE when it is gone. */
	uint8_t state;
	uint16_t local_port, peer_port;
	uint8_t local[16], peer[16]; /* network order; of AF_INET the first four */
	/** Since the last bytes, and the last segment that acknowledged anything, came from the peer; -1: not known. A FIN
	 *  acknowledges as well, so in CLOSE_WAIT the latter is how long the peer has been gone, unless it answered
	 *  keepalive probes since: then it is longer ago. Other states: no statement about the end. */
	int64_t last_data_ns, last_ack_ns;
	char path
		[109]; /* AF_UNIX: its own name or, without one, that of its peer; "@…" abstract; "" none */
};

enum gs_sockets_how { GS_SOCKETS_DIAG = 1, GS_SOCKETS_TEXT };

/**
 * Fill @io[0..n) by their fd. *ret_how: the text has no times, and does not know the end of Unix sockets.
 * What is UNLISTED was open before and after the tables were read, twice.
 * @return 0; negative if the tables cannot be had at all.
 * Memory: that of @io and an index over it. Cost to the target: none; the kernel walks its sockets. About 10 us a descriptor.
 */
GS_CHECKED int gs_sockets_look(pid_t pid, struct gs_socket *io, uint32_t n,
			       enum gs_sockets_how *ret_how, struct gs_err *err);

#define GS_SOCKET_ADDRESS_MAX 128
/** "10.0.0.1:443", "[::1]:80", "/run/app.sock"; "" if not known, as peers of Unix sockets. */
void gs_socket_address(const struct gs_socket *s, bool peer, char ret[GS_SOCKET_ADDRESS_MAX]);

#endif
