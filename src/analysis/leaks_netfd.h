/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_ANALYSIS_LEAKS_NETFD_H
#define GS_ANALYSIS_LEAKS_NETFD_H

/* Connections in a Go heap: from any object that is or has a net.Conn to the net.netFD behind it. */
#include "runtime/rt.h"
#include "runtime/rt_heap.h"

/** A net.netFD of a stream socket that has, or had, a peer. */
struct gs__netfd {
	gs_addr addr;
	gs_addr poll;        /* its runtime.pollDesc; 0 once closed */
	gs_addr local, peer; /* *net.TCPAddr or *net.UnixAddr */
	int32_t fd;          /* -1 once closed */
	uint8_t family;      /* AF_* */
	bool closed;         /* by the program itself: Close() has been called */
};

struct gs__netfds;
/** @return 0; 1: this program has no connections that can be read (no package net, unknown layout). @rt, @h are borrowed. */
GS_CHECKED int gs__netfds_new(struct gs_rt *rt, const struct gs_rt_heap *h, struct gs__netfds **ret,
			      struct gs_err *err);
struct gs__netfds *gs__netfds_free(struct gs__netfds *f);
GS_DEFINE_CLEANUP(struct gs__netfds *, gs__netfds_free)

/** @addr is a *net.TCPConn, *net.UnixConn or *net.netFD. @return the number of the net.netFD, or UINT32_MAX. Remembered. */
uint32_t gs__netfds_at(struct gs__netfds *f, gs_addr addr);
/** The first net.Conn in the @len bytes of an object, followed through what is wrapped around it. As above. */
uint32_t gs__netfds_in_object(struct gs__netfds *f, const uint8_t *bytes, size_t len);
/** All found so far; the array moves with the next one. */
const struct gs__netfd *gs__netfds_all(const struct gs__netfds *f, uint32_t *ret_n);
/** Read it again. @return false if it is another one by now, or changed. */
bool gs__netfds_same(const struct gs__netfds *f, uint32_t number);
/** Does a goroutine wait for this very descriptor? */
bool gs__netfds_waits(const struct gs__netfds *f, uint32_t number, gs_addr g);
#define GS__NETFD_ADDRESS_MAX 128
/** The program's own idea of an address: "10.0.0.1:443", "/run/x.sock"; "" if it cannot be read. */
void gs__netfds_address(const struct gs__netfds *f, uint32_t number, bool peer,
			char ret[GS__NETFD_ADDRESS_MAX]);

#endif
