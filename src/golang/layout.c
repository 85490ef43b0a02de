/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The generated tables: a row per field, a column per Go release. data/layout_tables.inc is the
 * output of tools/gen_layout and defines
 *
 *     columns[COLUMNS]   what each column is: the first release with it, the Go version it was made
 *                        with, its wait reasons, and whether it was measured or composed (see
 *                        gen_layout); sorted by release
 *     amd64[field][COLUMNS], arm64[field][COLUMNS]
 *
 * A minor release usually keeps its layout, but backports have moved fields of runtime.m between
 * patch releases (1.23.12, 1.24.6), so a minor release may have several columns.
 */
#include "golang/layout.h"

#include <inttypes.h>
#include <stdbool.h>

struct column {
	uint16_t minor, patch;
	bool composed; /* no toolchain to measure it with: put together from its neighbours */
	const char *version;
	const char *const *wait_reasons;
	uint32_t n_wait_reasons;
};

#include "golang/data/layout_tables.inc"

_Static_assert((int)GS_GO_TABLE_FIELDS == (int)GS_GO_FIELD_COUNT,
	       "data/layout_fields.inc changed: run tools/gen_layout and commit its output");
/* The last column that is not newer than the release; the first one for releases before all. */
static unsigned int column_of(unsigned int minor, unsigned int patch)
{
	unsigned int i = COLUMNS - 1;

	while (i > 0 && (columns[i].minor > minor ||
			 (columns[i].minor == minor && columns[i].patch > patch)))
		i--;
	return i;
}

int gs_go_layout_for(const struct gs_go_release *release, enum gs_arch arch,
		     struct gs_go_layout *ret, struct gs_err *err)
{
	unsigned int i = column_of(release->minor, release->patch);
	const struct column *c = &columns[i];
	bool exact = c->minor == release->minor && !c->composed && !release->devel;
	const int32_t(*table)[COLUMNS];

	if (arch == GS_ARCH_AMD64)
		table = amd64;
	else if (arch == GS_ARCH_ARM64)
		table = arm64;
	else
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "no layouts of Go's runtime for this CPU: gosonde knows amd64 and "
			       "arm64");
	for (int f = 0; f < GS_GO_FIELD_COUNT; f++)
		ret->offset[f] = table[f][i];
	ret->minor = c->minor;
	ret->arch = arch;
	ret->source = exact ? GS_GO_LAYOUT_TABLE : GS_GO_LAYOUT_NEAREST;
	ret->wait_reasons = c->wait_reasons;
	ret->n_wait_reasons = c->n_wait_reasons;
	return exact ? 0 : 1;
}

int gs_go_layout_table(unsigned int minor, enum gs_arch arch, struct gs_go_layout *ret,
		       struct gs_err *err)
{
	const struct gs_go_release newest = { .minor = (uint16_t)(minor > 0xffff ? 0xffff : minor),
					      .patch = 0xffff };

	return gs_go_layout_for(&newest, arch, ret, err);
}
