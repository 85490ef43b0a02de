/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Print the layout that src/golang reads from the DWARF of a Go binary, one "ID offset" per line,
 * "ID -" for fields it does not have. tools/gen_layout makes the tables from this, so that tables
 * and run-time reading come from the same code. Exit status 1 with a message on failure.
 */
#include <inttypes.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "golang/layout_internal.h"

int main(int argc, char **argv)
{
	struct gs_go_layout l = { 0 };
	struct gs_err err;
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: layout_print GO_BINARY\n");
		return 2;
	}
	GS_CLEANUP(gs_closep) int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	for (int f = 0; f < GS_GO_FIELD_COUNT; f++)
		l.offset[f] = GS_GO_NO_FIELD;
	r = gs_go_layout_dwarf(fd, &l, &err);
	if (r != 0) {
		fprintf(stderr, "layout_print: %s: %s\n", argv[1],
			r < 0 ? err.text : "no DWARF of a Go runtime");
		return 1;
	}
	for (int f = 0; f < GS_GO_FIELD_COUNT; f++) {
		if (l.offset[f] == GS_GO_NO_FIELD)
			printf("%s -\n", gs__go_fields[f].id);
		else
			printf("%s %" PRId32 "\n", gs__go_fields[f].id, l.offset[f]);
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
