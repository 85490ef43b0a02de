/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Print the layout that src/golang reads from the DWARF of a Go binary, one "ID offset" per line,
 * "ID -" for fields it does not have. tools/gen_layout makes the tables from this, so that tables
 * and run-time reading come from the same code. With TYPE PATH pairs, prints those instead, one offset
 * per line. Exit status 1 with a message on failure.
 */
#include <inttypes.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "golang/layout_internal.h"

static int print_fields(int fd, const char *file, char **names, uint32_t n)
{
	const char *fields[GS_GO_DWARF_FIELDS_MAX][2];
	int32_t offset[GS_GO_DWARF_FIELDS_MAX];
	struct gs_err err;

	for (uint32_t i = 0; i < n && i < GS_GO_DWARF_FIELDS_MAX; i++) {
		fields[i][0] = names[2 * i];
		fields[i][1] = names[2 * i + 1];
	}
	if (gs_go_dwarf_offsets(fd, fields, n, offset, &err) < 0) {
		fprintf(stderr, "layout_print: %s: %s\n", file, err.text);
		return 1;
	}
	for (uint32_t i = 0; i < n; i++)
		printf("%" PRId32 "\n", offset[i]);
	return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct gs_go_layout l = { 0 };
	struct gs_err err;
	int r;

	if (argc < 2 || argc % 2) {
		fprintf(stderr, "usage: layout_print GO_BINARY [TYPE PATH]...\n");
		return 2;
	}
	GS_CLEANUP(gs_closep) int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	if (argc > 2)
		return print_fields(fd, argv[1], argv + 2, (uint32_t)(argc - 2) / 2);
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
