/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Offsets of structures of modules outside of the standard library: google.golang.org/grpc and
 * golang.org/x/net/http2. They come from the target's own DWARF; where it has none, from a table by
 * version (data/module_layouts.inc, made by tools/gen_module_layouts), the version from the build info.
 *
 * gRPC has kept the method of a stream in three ways: in transport.Stream, which handleStream got itself
 * (up to 1.68); behind a pointer in transport.ServerStream (from 1.69); embedded in that (from 1.77).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "probe/plan_private.h"

enum { OFFSETS = 4 };

struct module_layout {
	uint16_t minor; /* first version with it */
	int32_t offset[OFFSETS];
};

#include "probe/data/module_layouts.inc"

/* What is known of one module's structures, and where the values go. */
enum { GRPC_INNER, GRPC_METHOD, GRPC_STATUS, GRPC_CODE };
enum { NET_STATE, NET_REQ, NET_STATUS, NET_BYTES };

#define GRPC_STREAM "google.golang.org/grpc/internal/transport."
#define NET_HTTP2 "golang.org/x/net/http2."

static bool has_site(const struct gs_probe_plan *p, const char *prefix)
{
	for (uint32_t i = 0; i < p->n_sites; i++)
		if (strncmp(p->site[i].function, prefix, strlen(prefix)) == 0)
			return true;
	return false;
}

/* Minor version of a module: 71 of v1.71.1. @return false if the build info does not tell. */
static bool module_minor(const struct gs__plan *pl, const char *path, unsigned long major,
			 unsigned long *ret)
{
	const struct gs_go_buildinfo *b = pl->b->build;
	char *end;

	for (uint32_t i = 0; b && i < b->n_deps; i++) {
		const struct gs_go_module *m = &b->deps[i];

		if (strcmp(m->path, path) != 0)
			continue;
		if (m->replace)
			m = m->replace;
		if (m->version[0] != 'v' || strtoul(m->version + 1, &end, 10) != major ||
		    *end != '.')
			return false;
		*ret = strtoul(end + 1, NULL, 10);
		return true;
	}
	return false;
}

/* The row of a version. */
static const int32_t *row_of(const struct module_layout *rows, size_t n, unsigned long minor)
{
	size_t i = n - 1;

	while (i > 0 && rows[i].minor > minor)
		i--;
	return rows[i].offset;
}

/* Offsets from a table; @what is lost or doubtful is told. */
static void from_table(struct gs__plan *pl, const char *path, unsigned long major,
		       const struct module_layout *rows, size_t n, unsigned long last,
		       const char *what, int32_t *ret)
{
	unsigned long minor;

	if (!module_minor(pl, path, major, &minor)) {
		gs__plan_refuse(pl, path, "%s not seen: its version is not known", what);
		return;
	}
	memcpy(ret, row_of(rows, n, minor), OFFSETS * sizeof(*ret));
	if (minor > last)
		gs__plan_refuse(
			pl, path,
			"%s may be wrong: v%lu.%lu is newer than what gosonde knows, and the "
			"program has no DWARF",
			what, major, minor);
}

/* From the target's DWARF. @return whether all that is needed was there. */
static bool grpc_from_dwarf(const struct gs__plan *pl, int32_t *ret)
{
	static const char *const fields[][2] = {
		{ GRPC_STREAM "ServerStream", "Stream.method" },
		{ GRPC_STREAM "ServerStream", "Stream" },
		{ GRPC_STREAM "Stream", "method" },
		{ "google.golang.org/grpc/internal/status.Status", "s" },
		{ "google.golang.org/genproto/googleapis/rpc/status.Status", "Code" },
	};
	int32_t o[GS_ARRAY_SIZE(fields)];

	if (pl->b->exe_fd < 0 || !gs_image_info(pl->b->image)->has_dwarf ||
	    gs_go_dwarf_offsets(pl->b->exe_fd, fields, GS_ARRAY_SIZE(fields), o, NULL) != 0)
		return false;
	ret[GRPC_INNER] = o[0] >= 0 ? GS_GO_NO_FIELD : o[1];
	ret[GRPC_METHOD] = o[0] >= 0 ? o[0] : o[2];
	ret[GRPC_STATUS] = o[3];
	ret[GRPC_CODE] = o[4];
	return ret[GRPC_METHOD] >= 0 && o[3] >= 0 && o[4] >= 0;
}

static bool net_from_dwarf(const struct gs__plan *pl, int32_t *ret)
{
	static const char *const fields[OFFSETS][2] = {
		[NET_STATE] = { NET_HTTP2 "responseWriter", "rws" },
		[NET_REQ] = { NET_HTTP2 "responseWriterState", "req" },
		[NET_STATUS] = { NET_HTTP2 "responseWriterState", "status" },
		[NET_BYTES] = { NET_HTTP2 "responseWriterState", "wroteBytes" },
	};

	if (pl->b->exe_fd < 0 || !gs_image_info(pl->b->image)->has_dwarf ||
	    gs_go_dwarf_offsets(pl->b->exe_fd, fields, OFFSETS, ret, NULL) != 0)
		return false;
	return ret[NET_STATE] >= 0 && ret[NET_STATUS] >= 0;
}

static void grpc(struct gs__plan *pl)
{
	int32_t o[OFFSETS] = { GS_GO_NO_FIELD, GS_GO_NO_FIELD, GS_GO_NO_FIELD, GS_GO_NO_FIELD };
	struct gs_wire_config *c = &pl->p->config;

	if (!grpc_from_dwarf(pl, o))
		from_table(pl, "google.golang.org/grpc", 1, grpc_layouts,
			   GS_ARRAY_SIZE(grpc_layouts), GRPC_LAST,
			   "methods and codes of gRPC calls", o);
	c->grpc_stream_inner = o[GRPC_INNER];
	c->grpc_stream_method = o[GRPC_METHOD];
	c->grpc_status_proto = o[GRPC_STATUS];
	c->grpc_proto_code = o[GRPC_CODE];
	c->grpc_status_arg = 2; /* (t *http2Server) writeStatus(s, st) */
}

static void net(struct gs__plan *pl)
{
	int32_t o[OFFSETS] = { GS_GO_NO_FIELD, GS_GO_NO_FIELD, GS_GO_NO_FIELD, GS_GO_NO_FIELD };
	struct gs_wire_config *c = &pl->p->config;

	if (!net_from_dwarf(pl, o))
		from_table(pl, "golang.org/x/net", 0, net_layouts, GS_ARRAY_SIZE(net_layouts),
			   NET_LAST, "status and route of HTTP/2 requests", o);
	c->xnet_writer_state = o[NET_STATE];
	c->xnet_state_req = o[NET_REQ];
	c->xnet_state_status = o[NET_STATUS];
	c->xnet_state_bytes = o[NET_BYTES];
}

void gs__plan_modules(struct gs__plan *pl)
{
	if (!(pl->w->want & GS_PROBE_WANT_REQUESTS))
		return;
	if (has_site(pl->p, "google.golang.org/grpc"))
		grpc(pl);
	if (has_site(pl->p, NET_HTTP2))
		net(pl);
}
