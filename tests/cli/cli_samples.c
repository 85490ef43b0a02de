/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Writes the files that the golden tests of the command line look into: cli_samples DIR. Each has one
 * property that inspect should tell.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "pclntab_builder.h"

#define LINUX "build\tCGO_ENABLED=0\nbuild\tGOARCH=amd64\nbuild\tGOOS=linux\n"
#define SERVER "path\texample.com/shop/cmd/server\nmod\texample.com/shop\t(devel)\t\n"

static const char server[] = SERVER
	"dep\texample.com/log\tv1.2.3\th1:abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG=\n"
	"dep\texample.com/old\tv0.1.0\n"
	"=>\texample.com/new\tv0.2.0\th1:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq=\n"
	"build\t-buildmode=exe\nbuild\t-compiler=gc\nbuild\t-trimpath=true\n" LINUX
	"build\tvcs=git\nbuild\tvcs.revision=0123456789abcdef\n"
	"build\tvcs.time=2026-01-02T03:04:05Z\nbuild\tvcs.modified=true\n";

struct sample {
	const char *file, *version, *modinfo;
	enum gs_image_format format;
	enum gs_arch arch;
	uint32_t go_options, options;
	const char *broken;
	uint64_t value;
	uint64_t cut; /* bytes to keep */
};

static const struct sample samples[] = {
	{ "server", "go1.25.3", server, GS_IMAGE_ELF, GS_ARCH_AMD64, .go_options = 0 },
	{ "stripped", "go1.21.0 X:nocoverageredesign", SERVER LINUX, GS_IMAGE_ELF, GS_ARCH_AMD64,
	  GS_BUILD_GO_STRIPPED | GS_BUILD_GO_PIE },
	{ "race", "go1.24.1",
	  SERVER
	  "build\t-race=true\nbuild\t-gcflags=\"all=-N -l\"\nbuild\tCGO_ENABLED=1\n"
	  "build\tDefaultGODEBUG=fips140=on,panicnil=1\nbuild\tGOARCH=amd64\nbuild\tGOOS=linux\n",
	  GS_IMAGE_ELF, GS_ARCH_AMD64 },
	{ "arm64", "go1.27.0", SERVER "build\tGOARCH=arm64\nbuild\tGOOS=linux\n", GS_IMAGE_ELF,
	  GS_ARCH_ARM64 },
	/* The trap: code for arm64, a header that says amd64. */
	{ "trap.exe", "go1.23.5", SERVER "build\tGOARCH=arm64\nbuild\tGOOS=windows\n", GS_IMAGE_PE,
	  GS_ARCH_ARM64, .broken = "Machine", .value = 0x8664 },
	{ "windows.exe", "go1.26.1", SERVER "build\tGOARCH=arm64\nbuild\tGOOS=windows\n",
	  GS_IMAGE_PE, GS_ARCH_ARM64 },
	{ "darwin", "go1.26.1", SERVER "build\tGOARCH=arm64\nbuild\tGOOS=darwin\n", GS_IMAGE_MACHO,
	  GS_ARCH_ARM64 },
	{ "darwin-signed", "go1.26.1", SERVER "build\tGOARCH=arm64\nbuild\tGOOS=darwin\n",
	  GS_IMAGE_MACHO, GS_ARCH_ARM64, .options = GS_BUILD_SIGNED },
	/* An old go line in go.mod. */
	{ "old", "go1.27.0",
	  SERVER "build\tDefaultGODEBUG=allowmultiplevcs=1,asynctimerchan=1,containermaxprocs=0,"
		 "cryptocustomrand=1,decoratemappings=0,gotypesalias=0,httplaxcontentlength=1,"
		 "httpmuxgo121=1,panicnil=1\n" LINUX,
	  GS_IMAGE_ELF, GS_ARCH_AMD64 },
	{ "future", "go1.99.0", SERVER LINUX, GS_IMAGE_ELF, GS_ARCH_AMD64 },
	{ "garbled", "unknown", SERVER LINUX, GS_IMAGE_ELF, GS_ARCH_AMD64 },
	{ "hostile", "go1.25.0",
	  "path\texample.com/\033[31mred\nmod\texample.com/a\xff\xe2\x80\xae"
	  "b\tv1.0.0\033]0;x\a\t\n"
	  "build\t-ldflags=\"-X main.v=\033[2J\"\n" LINUX,
	  GS_IMAGE_ELF, GS_ARCH_AMD64 },
	{ "truncated", "go1.25.0", SERVER LINUX, GS_IMAGE_ELF, GS_ARCH_AMD64, .cut = 100 },
	{ "elf32", "go1.25.0", SERVER LINUX, GS_IMAGE_ELF, GS_ARCH_AMD64, .broken = "EI_CLASS",
	  .value = 1 },
	{ "core", "go1.25.0", SERVER LINUX, GS_IMAGE_ELF, GS_ARCH_AMD64, .options = GS_BUILD_CORE },
};

static int write_file(const char *dir, const char *name, struct gs_builder *b)
{
	GS_CLEANUP(gs_freep) char *path = NULL;
	GS_CLEANUP(gs_fclosep) FILE *f = NULL;
	size_t size;
	const uint8_t *bytes = gs_builder_finish(b, &size);

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return -ENOMEM;
	f = fopen(path, "we");
	if (!f || fwrite(bytes, 1, size, f) != size || fflush(f) != 0) {
		fprintf(stderr, "cli_samples: cannot write %s: %s\n", path, strerror(errno));
		return -EIO;
	}
	return 0;
}

static int write_sample(const char *dir, const struct sample *s)
{
	struct gs_build_go go = *gs_build_go_sample();
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = NULL;
	struct gs_build_go_places places;

	go.arch = s->arch;
	go.version = s->version;
	go.modinfo = s->modinfo;
	go.minor = 25;
	b = gs_build_go_image(&go, s->format, s->go_options, &places);
	if (s->options)
		gs_builder_options(b, s->options);
	if (s->broken)
		gs_builder_break(b, s->broken, s->value);
	if (s->cut)
		gs_builder_truncate(b, s->cut);
	return write_file(dir, s->file, b);
}

/* An executable that is not Go's. */
static int write_foreign(const char *dir)
{
	static const uint8_t code[64] = { 0xc3 };
	GS_CLEANUP(gs_builder_freep)
	struct gs_builder *b = gs_builder_new(GS_IMAGE_ELF, GS_ARCH_AMD64);

	gs_builder_section(b, ".text", 0x401000, GS_IMAGE_READ | GS_IMAGE_EXEC, code, 64);
	gs_builder_symbol(b, "main", 0x401000, 16, true);
	return write_file(dir, "foreign", b);
}

int main(int argc, char **argv)
{
	int r = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: cli_samples DIR\n");
		return 2;
	}
	if (mkdir(argv[1], 0777) < 0 && errno != EEXIST) {
		fprintf(stderr, "cli_samples: cannot make %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < GS_ARRAY_SIZE(samples) && r == 0; i++)
		r = write_sample(argv[1], &samples[i]);
	if (r == 0)
		r = write_foreign(argv[1]);
	return r < 0 ? 1 : 0;
}
