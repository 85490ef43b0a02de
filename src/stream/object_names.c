/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Names of locks, channels and other objects by address, each asked for once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "golang/lock_field.h"
#include "stream/stream_private.h"

#define NAMES_MAX (1u << 20)

void gs__names_deinit(struct gs__names *s)
{
	free(s->v);
	for (uint32_t i = 0; i < s->n_locks; i++) {
		free(s->lock[i].type);
		free(s->lock[i].name);
	}
	*s = (struct gs__names){ 0 };
}

static struct gs__name *slot_of(struct gs__name *v, uint32_t mask, gs_addr addr)
{
	uint32_t i = (uint32_t)gs_hash_u64(gs_hash_seed(), addr) & mask;

	while (v[i].addr && v[i].addr != addr)
		i = (i + 1) & mask;
	return &v[i];
}

static bool grow(struct gs__names *s)
{
	uint32_t size = s->v ? (s->mask + 1) * 2 : 256;
	struct gs__name *v = size <= NAMES_MAX ? gs_array_new(size, sizeof(*v)) : NULL;

	if (!v)
		return false;
	for (uint32_t i = 0; s->v && i <= s->mask; i++)
		if (s->v[i].addr)
			*slot_of(v, size - 1, s->v[i].addr) = s->v[i];
	free(s->v);
	s->v = v;
	s->mask = size - 1;
	return true;
}

const char *gs__names_object(struct gs__names *s, struct gs_rt *rt, gs_addr addr)
{
	struct gs__name *n;

	if (!addr)
		return NULL;
	if (s->v) {
		n = slot_of(s->v, s->mask, addr);
		if (n->addr)
			return n->name;
	}
	/* A full table answers no more, rather than allocate for each question. */
	if ((!s->v || s->n * 2 >= s->mask) && !grow(s))
		return NULL;
	n = slot_of(s->v, s->mask, addr);
	*n = (struct gs__name){ addr, gs_rt_object_name(rt, addr) };
	s->n++;
	return n->name;
}

/* Frames between the one that waits and the one that locked. */
static bool is_locking(const struct gs_frame *f)
{
	static const char *const packages[] = { "runtime.", "sync.", "internal/sync." };

	for (size_t i = 0; i < GS_ARRAY_SIZE(packages); i++)
		if (strncmp(f->function, packages[i], strlen(packages[i])) == 0)
			return true;
	return false;
}

/* "store.Ledger.mu", from the type with its whole path. In symbols the dots of a path's last part are "%2e". */
static char *lock_name(int fd, const char *type)
{
	char field[GS_GO_LOCK_FIELD_MAX];
	const char *slash = strrchr(type, '/');
	char *name = NULL;

	if (gs_go_lock_field(fd, type, field, NULL) != 0)
		return NULL;
	return asprintf(&name, "%s.%s", slash ? slash + 1 : type, field) < 0 ? NULL : name;
}

const char *gs__names_lock(struct gs__names *s, int fd, const struct gs_stack *stack)
{
	char type[512];
	uint32_t i = 0;

	while (i < stack->n_frames && is_locking(&stack->frames[i]))
		i++;
	if (fd < 0 || i == stack->n_frames ||
	    gs_go_receiver(stack->frames[i].function, type, sizeof(type)) != 0)
		return NULL;
	for (uint32_t k = 0; k < s->n_locks; k++)
		if (strcmp(s->lock[k].type, type) == 0)
			return s->lock[k].name;
	if (s->n_locks == GS__LOCK_TYPES)
		return NULL;
	struct gs__lock_type *l = &s->lock[s->n_locks];

	l->type = strdup(type);
	if (!l->type)
		return NULL;
	l->name = lock_name(fd, type);
	s->n_locks++;
	return l->name;
}
