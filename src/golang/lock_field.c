/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Which field of a type is its lock, from DWARF. A goroutine that waits for a mutex in a method of T most likely waits for T's
 * mutex; if T has exactly one, that is its name. The Go linker describes types as children of the unit "runtime"
 * (see layout_dwarf.c):
 *
 *     DW_TAG_structure_type  name "example.com/shop/store.Ledger"
 *       DW_TAG_member          name "mu", type -> typedef or structure "sync.Mutex"
 */
#include "golang/lock_field.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdbool.h>
#include <string.h>

#include "golang/layout_internal.h"

enum {
	MAX_UNITS = 200000,
	MAX_CHILDREN = 20000000,
	MAX_MEMBERS = 4096,
};

struct result {
	char name[GS_GO_LOCK_FIELD_MAX];
};

static bool name_is(Dwarf_Die *die, const char *name)
{
	const char *s = dwarf_diename(die);

	return s && strcmp(s, name) == 0;
}

static bool is_lock(Dwarf_Die *member)
{
	Dwarf_Attribute attr;
	Dwarf_Die type;

	return dwarf_tag(member) == DW_TAG_member && dwarf_attr(member, DW_AT_type, &attr) &&
	       dwarf_formref_die(&attr, &type) &&
	       (name_is(&type, "sync.Mutex") || name_is(&type, "sync.RWMutex"));
}

/* @return 0 if there is exactly one lock, else 1. */
static int take_struct(Dwarf_Die *type, struct result *ret)
{
	Dwarf_Die member;
	int found = 0, r = dwarf_child(type, &member);

	for (int i = 0; r == 0 && i < MAX_MEMBERS; i++) {
		const char *name = is_lock(&member) ? dwarf_diename(&member) : NULL;

		if (name && strlen(name) < sizeof(ret->name)) {
			strcpy(ret->name, name);
			found++;
		}
		r = dwarf_siblingof(&member, &member);
	}
	return found == 1 ? 0 : 1;
}

/* @return as take_struct(); 2 if the type is not in this unit. */
static int search_unit(Dwarf_Die *unit, const char *type, struct result *ret)
{
	Dwarf_Die die;
	uint32_t children = 0;

	for (int r = dwarf_child(unit, &die); r == 0 && children < MAX_CHILDREN;
	     r = dwarf_siblingof(&die, &die), children++)
		if (dwarf_tag(&die) == DW_TAG_structure_type && name_is(&die, type))
			return take_struct(&die, ret);
	return 2;
}

/* The sandboxed function: everything it opens ends with its process. */
static int find_lock(int fd, void *out, size_t out_bytes, const void *ctx)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die unit;
	Dwarf *dw;
	Elf *elf;
	int r = 2;

	if (out_bytes != sizeof(struct result) || elf_version(EV_CURRENT) == EV_NONE)
		return -1;
	elf = gs__go_dwarf_elf(fd, false);
	dw = elf ? dwarf_begin_elf(elf, DWARF_C_READ, NULL) : NULL;
	for (int i = 0; dw && i < MAX_UNITS && r == 2; i++) {
		if (dwarf_get_units(dw, cu, &cu, NULL, NULL, &unit, NULL) != 0)
			break;
		/* Go's assembly files have units of this name too. */
		r = name_is(&unit, "runtime") ? search_unit(&unit, ctx, out) : 2;
	}
	return r == 0 ? 0 : 1;
}

int gs_go_lock_field(int fd, const char *type, char ret[GS_GO_LOCK_FIELD_MAX], struct gs_err *err)
{
	struct result res = { .name = "" };
	int r = gs__sandbox_run(fd, find_lock, type, &gs__go_dwarf_limits, &res, sizeof(res), err);

	if (r < 0)
		return gs_fail_in(err, r, "cannot read types from DWARF");
	/* The child may have been taken over: it can name a field wrongly, but nothing else. */
	res.name[sizeof(res.name) - 1] = '\0';
	if (r > 0 || !res.name[0])
		return 1;
	memcpy(ret, res.name, sizeof(res.name));
	return 0;
}

int gs_go_receiver(const char *function, char *ret, size_t size)
{
	const char *slash = strrchr(function, '/');
	const char *open = strstr(slash ? slash : function, ".(*");
	const char *close = open ? strchr(open, ')') : NULL;
	size_t package, name;

	if (!open || !close || close[1] != '.')
		return 1;
	package = (size_t)(open - function);
	name = (size_t)(close - open) - 3;
	if (name == 0 || package + 1 + name >= size || memchr(open, '[', (size_t)(close - open)))
		return 1;
	memcpy(ret, function, package);
	ret[package] = '.';
	memcpy(ret + package + 1, open + 3, name);
	ret[package + 1 + name] = '\0';
	return 0;
}
