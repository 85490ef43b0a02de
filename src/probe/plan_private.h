/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_PROBE_PLAN_PRIVATE_H
#define GS_PROBE_PLAN_PRIVATE_H

/* What the files of the planner share. */
#include "golang/code_sites.h"
#include "probe/plan.h"

/* A plan in the making. */
struct gs__plan {
	const struct gs_probe_binary *b;
	const struct gs_probe_wish *w;
	struct gs_probe_plan *p;
	enum gs_arch arch;
	unsigned int minor;
};

/* The body that a name stands for. Functions may share a name with a wrapper that the compiler made
 * between two calling conventions; names may also be shared by what nobody can tell apart. */
struct gs__plan_body {
	struct gs_go_func func; /* name NULL: there is none */
	uint32_t n_bodies;      /* that are no wrappers */
	uint32_t n_wrappers;
};

/** Take note of one more function of the name. */
void gs__plan_body_add(struct gs__plan_body *b, const struct gs_go_func *f);
/** Whether one body is left that is meant; else @why says what is wrong. Wrappers count where nothing
 *  else is, if @wrappers. */
bool gs__plan_body_ok(const struct gs__plan_body *b, bool wrappers, char *why, size_t size);

/** The code of @f in the file. */
GS_CHECKED int gs__plan_code(const struct gs__plan *pl, const struct gs_go_func *f,
			     struct gs_cursor *ret, struct gs_err *err);
/** Copy a name into the plan; "?" when there is no room. */
const char *gs__plan_name(struct gs__plan *pl, const char *name);

/**
 * Add the site @s of function @f, after comparing the file with memory there.
 * @return 0; -GS_E_BAD_DATA if they differ; -GS_E_LIMIT
 */
GS_CHECKED int gs__plan_add(struct gs__plan *pl, enum gs_probe_program program,
			    enum gs_probe_group group, uint32_t arg, const char *name,
			    const struct gs_go_func *f, const struct gs_go_site *s,
			    struct gs_err *err);
/** Where the file has the executable code of link-time address @addr. @return 0; 1: nowhere. */
GS_CHECKED int gs__plan_file_offset(const struct gs_image *img, gs_addr addr, uint64_t *ret);
/** Entries of dlopen in the C libraries. */
void gs__plan_libraries(struct gs__plan *pl);
/** Add a program that is attached without a site in the target, once. */
GS_CHECKED int gs__plan_add_other(struct gs__plan *pl, enum gs_probe_program program,
				  enum gs_probe_placement placement, enum gs_probe_group group,
				  const char *name, struct gs_err *err);
/** Begin of @f: PUSH, BRANCH or ENTRY. Functions that begin with a loop are refused, if @once. */
GS_CHECKED int gs__plan_add_begin(struct gs__plan *pl, enum gs_probe_program program,
				  enum gs_probe_group group, uint32_t arg, const char *name,
				  const struct gs_go_func *f, bool once, struct gs_err *err);
/** All ends of @f, or none. @return their number, 0 if it never returns. */
GS_CHECKED int gs__plan_add_ends(struct gs__plan *pl, enum gs_probe_program program,
				 enum gs_probe_group group, uint32_t arg, const char *name,
				 const struct gs_go_func *f, struct gs_err *err);
/** The calls of @target in @f. @return their number. */
GS_CHECKED int gs__plan_add_calls(struct gs__plan *pl, enum gs_probe_program program,
				  enum gs_probe_group group, uint32_t arg, const char *name,
				  const struct gs_go_func *f, gs_addr target, struct gs_err *err);
/** Note that something wanted is not there. */
void gs__plan_refuse(struct gs__plan *pl, const char *function, const char *fmt, ...)
	GS_PRINTF(3, 4);

/** Sites of the runtime, net/http and gRPC; and what they need of the configuration. */
GS_CHECKED int gs__plan_sites(struct gs__plan *pl, struct gs_err *err);
/** Offsets and reasons. */
void gs__plan_config(struct gs__plan *pl);
/** Sites of watched functions. */
GS_CHECKED int gs__plan_functions(struct gs__plan *pl, struct gs_err *err);
/** Number of a wait reason in this release; UINT32_MAX if it has none of that name. */
uint32_t gs__plan_reason(const struct gs__plan *pl, const char *text);
/** Tell which planned functions were inlined somewhere by a profile-guided build. */
GS_CHECKED int gs__plan_inlined(struct gs__plan *pl, struct gs_err *err);
/** Offsets of structures of gRPC and golang.org/x/net/http2. */
void gs__plan_modules(struct gs__plan *pl);

#endif
