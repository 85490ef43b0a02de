/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_TYPES_PRIVATE_H
#define GS_GOLANG_TYPES_PRIVATE_H

/* Shared by the files that read type descriptors. */
#include <stddef.h>

#include "base/arena.h"
#include "golang/types.h"

enum { GS__GO_TYPE_HEAD = 48 }; /* bytes that descriptors of all kinds have */

struct gs__go_type {
	struct gs_go_type pub;
	uint32_t hash;
	bool damaged; /* completing failed, and will */
};

/* The table hands out constant views of what it may still complete. */
static inline struct gs__go_type *gs__go_type_rec(const struct gs_go_type *type)
{
	return (struct gs__go_type *)(uintptr_t)type;
}

/** All @len bytes or false. */
bool gs__go_types_read(const struct gs_go_types *t, gs_addr addr, void *buf, size_t len);
/** The name (abi.Name) at @addr, without its tag; at most 4096 bytes of it. */
bool gs__go_types_name(struct gs_go_types *t, gs_addr addr, const char **ret);
/** "[]main.Order" from what the type is made of; never NULL or empty. */
const char *gs__go_types_reflect_name(struct gs_go_types *t, const struct gs_go_type *type);
struct gs_arena *gs__go_types_arena(struct gs_go_types *t);

#endif
