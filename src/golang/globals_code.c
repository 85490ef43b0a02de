/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The code of functions that refer to globals: found by name in the function table, read from the file. */
#include <string.h>

#include "golang/globals_internal.h"

void gs__go_anchor_want(struct gs__go_anchors *a, const char *function)
{
	size_t k = 0;

	while (k < a->n && strcmp(a->function[k], function) != 0)
		k++;
	if (k == a->n && k < GS__GO_MAX_ANCHORS)
		a->function[a->n++] = function;
}

int gs__go_anchor_look_up(struct gs__go_anchors *a, struct gs_err *err)
{
	return a->n ? gs_go_funcs_by_name(a->tab, a->function, a->n, a->func, err) : 0;
}

static bool disassemble(const struct gs__go_anchors *a, const char *function,
			struct gs__go_code *ret)
{
	const struct gs_go_func *func = NULL;
	struct gs_cursor code, rest;
	uint64_t size;

	for (size_t k = 0; k < a->n; k++)
		if (strcmp(a->function[k], function) == 0)
			func = &a->func[k];
	if (!func || !func->entry || func->end <= func->entry ||
	    gs_image_at(a->img, func->entry - a->bias, &rest, NULL) != 0)
		return false;
	size = func->end - func->entry;
	if (size > GS__GO_MAX_CODE)
		size = GS__GO_MAX_CODE;
	if (size > gs_cursor_left(&rest))
		size = gs_cursor_left(&rest);
	if (gs_cursor_sub(&rest, size, &code, NULL) < 0)
		return false;
	if (gs_image_info(a->img)->arch == GS_ARCH_ARM64)
		gs__go_disasm_arm64(&code, func->entry, ret);
	else
		gs__go_disasm_amd64(&code, func->entry, ret);
	return true;
}

bool gs__go_anchor_ref(const struct gs__go_anchors *a, const char *function, unsigned int nth,
		       struct gs__go_code *ret, gs_addr *ret_target)
{
	if (!disassemble(a, function, ret) || ret->n_refs < nth)
		return false;
	*ret_target = ret->refs[nth - 1].target;
	return nth == 1 || *ret_target != ret->refs[0].target;
}

bool gs__go_anchor_in_data(const struct gs__go_anchors *a, gs_addr addr, unsigned int align)
{
	uint32_t n = gs_image_info(a->img)->n_segments;

	for (uint32_t i = 0; i < n; i++) {
		const struct gs_image_segment *s = gs_image_segment_at(a->img, i);

		if ((s->flags & GS_IMAGE_WRITE) && addr - a->bias - s->addr < s->size)
			return addr % align == 0;
	}
	return false;
}
