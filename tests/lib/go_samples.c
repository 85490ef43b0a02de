/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Writes the corpora of fuzz_buildinfo and fuzz_pclntab:
 *
 *	go_samples tests/fuzz/corpus
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pclntab_builder.h"

static const char *top;
static int failed;

static void write_file(const char *dir, const char *name, const void *head, size_t n_head,
		       const void *bytes, size_t size)
{
	GS_CLEANUP(gs_freep) char *folder = NULL, *path = NULL;
	GS_CLEANUP(gs_fclosep) FILE *f = NULL;

	if (asprintf(&folder, "%s/%s", top, dir) < 0 || asprintf(&path, "%s/%s", folder, name) < 0)
		abort();
	if (mkdir(folder, 0777) < 0 && errno != EEXIST)
		failed = 1;
	f = fopen(path, "we");
	if (!f || fwrite(head, 1, n_head, f) != n_head || fwrite(bytes, 1, size, f) != size ||
	    fflush(f) != 0) {
		fprintf(stderr, "go_samples: cannot write %s: %s\n", path, strerror(errno));
		failed = 1;
	}
}

static void write_image(const char *dir, const char *name, unsigned int minor,
			enum gs_image_format format, uint32_t options)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = NULL;
	struct gs_build_go go = *gs_build_go_sample();
	struct gs_build_go_places places;
	const uint8_t *bytes;
	size_t size;

	go.minor = minor;
	b = gs_build_go_image(&go, format, options, &places);
	bytes = gs_builder_finish(b, &size);
	write_file(dir, name, NULL, 0, bytes, size);
}

/* release, offset of the function data, 0, table [, function data] */
static void write_table(const char *name, unsigned int minor, enum gs_arch arch)
{
	GS_CLEANUP(gs_freep) uint8_t *bytes = NULL;
	struct gs_build_go go = *gs_build_go_sample();
	struct gs_build_pclntab t;
	uint8_t head[4] = { (uint8_t)minor };
	uint16_t off;
	size_t size;

	go.minor = minor;
	go.arch = arch;
	gs_build_pclntab(&go, minor < 26 ? 0x401000 : 0, &t);
	size = t.size + (t.gofunc_inside ? 0 : t.gofunc_size);
	bytes = calloc(1, size);
	if (!bytes)
		abort();
	memcpy(bytes, t.bytes, t.size);
	if (!t.gofunc_inside)
		memcpy(bytes + t.size, t.gofunc, t.gofunc_size);
	off = (uint16_t)(t.gofunc_inside ? t.gofunc_offset : t.size);
	memcpy(head + 1, &off, 2);
	write_file("pclntab", name, head, 4, bytes, size);
	gs_build_pclntab_deinit(&t);
}

static void write_text(const char *name, const char *text)
{
	write_file("buildinfo", name, NULL, 0, text, strlen(text));
}

static void write_blob(void)
{
	GS_CLEANUP(gs_freep) uint8_t *blob = NULL;
	size_t size;

	blob = gs_build_buildinfo("go1.27.3", "path\tx/y\nmod\tx\tv1\th1:\nbuild\ta=b\n", &size);
	write_file("buildinfo", "blob", "b", 1, blob, size);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: go_samples DIRECTORY\n");
		return 2;
	}
	top = argv[1];
	write_table("table-1.19", 19, GS_ARCH_AMD64);
	write_table("table-1.21-arm64", 21, GS_ARCH_ARM64);
	write_table("table-1.25", 25, GS_ARCH_AMD64);
	write_table("table-1.27", 27, GS_ARCH_AMD64);
	write_image("pclntab", "elf-1.21-pie", 21, GS_IMAGE_ELF,
		    GS_BUILD_GO_PIE_ZERO | GS_BUILD_GO_HIDDEN | GS_BUILD_GO_STRIPPED);
	write_image("pclntab", "elf-1.27", 27, GS_IMAGE_ELF, 0);
	write_image("pclntab", "elf-1.24-no-sections", 24, GS_IMAGE_ELF, GS_BUILD_GO_NO_SECTIONS);
	write_image("pclntab", "pe-1.26", 26, GS_IMAGE_PE, GS_BUILD_GO_STRIPPED);
	write_image("pclntab", "macho-1.23", 23, GS_IMAGE_MACHO, GS_BUILD_GO_STRIPPED);
	write_blob();
	write_text("lines", "mpath\ta/b\nmod\ta\t(devel)\t\ndep\tb\tv1.0.0\th1:x=\n"
			    "dep\tc\tv1\n=>\t./c\t(devel)\t\nbuild\t-ldflags=\"-X \\\"a=b\\\"\"\n"
			    "build\t`k k`=v\nbuild\tGOOS=linux\n");
	write_text("literal", "q\"a\\tb\\u00e9\\x41\\101\\U0001F600\\\\\"");
	write_text("version", "vgo1.26.10 X:nogreenteagc");
	write_text("version-devel", "vdevel go1.25-abcdef Tue Feb 4");
	write_image("buildinfo", "elf", 26, GS_IMAGE_ELF, GS_BUILD_GO_STRIPPED);
	write_image("buildinfo", "pe", 22, GS_IMAGE_PE, GS_BUILD_GO_STRIPPED);
	write_image("buildinfo", "macho", 27, GS_IMAGE_MACHO, GS_BUILD_GO_STRIPPED);
	return failed;
}
