/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The runtime's variables in the symbol table: one pass over it, which ends when all are found. */
#include <string.h>

#include "golang/globals_internal.h"

static int take_symbol(void *ctx, const struct gs_image_symbol *s)
{
	static const char prefix[] = "runtime.";
	struct gs__go_symbols *w = ctx;
	const char *name = s->name;

	if (*name == '_') /* Mach-O */
		name++;
	/* Symbols are many and those of the runtime few. */
	if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
		return 0;
	name += sizeof(prefix) - 1;
	for (size_t i = 0; i < w->n; i++) {
		if (w->addr[i] || strcmp(name, w->names[i]) != 0)
			continue;
		w->addr[i] = s->addr + w->bias;
		w->how[i] = GS_GO_HOW_SYMBOL;
		if (w->size)
			w->size[i] = s->size;
		return --w->n_left == 0; /* 1 ends the pass */
	}
	return 0;
}

int gs__go_symbols_find(const struct gs_image *img, struct gs__go_symbols *w, struct gs_err *err)
{
	int r;

	if (!gs_image_info(img)->has_symtab)
		return 0;
	r = gs_image_each_symbol(img, take_symbol, w, err);
	return r < 0 ? r : 0;
}
