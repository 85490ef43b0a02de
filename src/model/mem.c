/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Names of the classes of memory: as keys, and in plain words. */
#include "model/mem.h"

static const struct {
	const char *name, *words;
} classes[GS_MEM_CLASS_COUNT] = {
#define X(id, name, words) [GS_MEM_##id] = { name, words },
	GS_MEM_CLASSES(X)
#undef X
};

const char *gs_mem_class_name(enum gs_mem_class_id c)
{
	return classes[(unsigned int)c < GS_MEM_CLASS_COUNT ? c : GS_MEM_UNEXPLAINED].name;
}

const char *gs_mem_class_words(enum gs_mem_class_id c)
{
	return classes[(unsigned int)c < GS_MEM_CLASS_COUNT ? c : GS_MEM_UNEXPLAINED].words;
}

const char *gs_mem_how_name(enum gs_mem_how h)
{
	return h == GS_MEM_READ ? "read" : h == GS_MEM_DERIVED ? "derived" : "estimated";
}
