/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Writes one image of each kind that the builders know into a directory: seeds for fuzzers, and
 * something other tools can be asked about (tests/unit/image/test_image_real.py).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "pclntab_builder.h"

static int write_file(const char *dir, const char *name, struct gs_builder *owned)
{
	GS_CLEANUP(gs_builder_freep) struct gs_builder *b = owned;
	GS_CLEANUP(gs_freep) char *path = NULL;
	GS_CLEANUP(gs_fclosep) FILE *f = NULL;
	size_t size;
	const uint8_t *bytes = gs_builder_finish(b, &size);

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return -ENOMEM;
	f = fopen(path, "we");
	if (!f || fwrite(bytes, 1, size, f) != size || fflush(f) != 0) {
		fprintf(stderr, "image_samples: cannot write %s: %s\n", path, strerror(errno));
		return -EIO;
	}
	return 0;
}

/* Everything ELF has that Go images of the builder do not. */
static struct gs_builder *rich_elf(enum gs_arch arch, uint32_t options)
{
	struct gs_builder *b = gs_builder_new(GS_IMAGE_ELF, arch);
	static const uint8_t code[64] = { 0xc3 };
	const uint64_t relr[] = { 0x404000, 7 };

	gs_builder_options(b, options);
	gs_builder_section(b, ".text", 0x401000, GS_IMAGE_READ | GS_IMAGE_EXEC, code, 64);
	gs_builder_section(b, ".data", 0x404000, GS_IMAGE_READ | GS_IMAGE_WRITE, code, 64);
	gs_builder_section(b, ".bss", 0x405000, GS_IMAGE_READ | GS_IMAGE_WRITE | GS_IMAGE_NOBITS,
			   NULL, 0x800);
	gs_builder_section(b, ".debug_info", 0, 0, code, 16);
	gs_builder_note(b, "GNU", 1, "\0\0\0\0\3\0\0\0\2\0\0\0\0\0\0", 16);
	gs_builder_interp(b, "/lib64/ld-linux-x86-64.so.2");
	gs_builder_needed(b, "libc.so.6");
	gs_builder_needed(b, "libpthread.so.0");
	gs_builder_symbol(b, "main", 0x401000, 16, true);
	gs_builder_symbol(b, "table", 0x404000, 64, false);
	gs_builder_dynamic_symbol(b, "puts", 0, 0, true);
	gs_builder_dynamic_symbol(b, "exported", 0x401010, 16, true);
	gs_builder_relative(b, 0x404010, 0x401000);
	gs_builder_relative(b, 0x404008, 0x401010);
	gs_builder_relr(b, relr, 2);
	gs_builder_entry(b, 0x401000);
	return b;
}

static struct gs_builder *rich_macho(uint32_t options)
{
	struct gs_builder *b = gs_builder_new(GS_IMAGE_MACHO, GS_ARCH_ARM64);
	static const uint8_t code[64] = { 0xc0 };

	gs_builder_options(b, options | GS_BUILD_SIGNED | GS_BUILD_DYN);
	gs_builder_section(b, "__TEXT,__text", 0x100004000, GS_IMAGE_READ | GS_IMAGE_EXEC, code,
			   64);
	gs_builder_section(b, "__TEXT,__unwind_info", 0x100004040, GS_IMAGE_READ, code, 32);
	gs_builder_section(b, "__DATA,__data", 0x100008000, GS_IMAGE_READ | GS_IMAGE_WRITE, code,
			   64);
	gs_builder_section(b, "__DATA,__bss", 0x100008040,
			   GS_IMAGE_READ | GS_IMAGE_WRITE | GS_IMAGE_NOBITS, NULL, 64);
	gs_builder_symbol(b, "_main", 0x100004000, 0, true);
	gs_builder_symbol(b, "_data", 0x100008000, 0, false);
	gs_builder_interp(b, "/usr/lib/dyld");
	gs_builder_needed(b, "/usr/lib/libSystem.B.dylib");
	gs_builder_uuid(b, (const uint8_t *)"0123456789abcdef");
	gs_builder_entry(b, 0x100004010);
	return b;
}

static struct gs_builder *rich_pe(uint32_t options)
{
	struct gs_builder *b = gs_builder_new(GS_IMAGE_PE, GS_ARCH_AMD64);
	static const uint8_t code[64] = { 0xc3 };

	gs_builder_options(b, options | GS_BUILD_SIGNED);
	gs_builder_section(b, ".text", 0x140001000, GS_IMAGE_READ | GS_IMAGE_EXEC, code, 64);
	gs_builder_section(b, ".pdata", 0x140002000, GS_IMAGE_READ, code, 12);
	gs_builder_section(b, ".zdebug_info", 0x140003000, GS_IMAGE_READ, code, 16);
	gs_builder_section(b, ".bss", 0x140004000, GS_IMAGE_READ | GS_IMAGE_WRITE | GS_IMAGE_NOBITS,
			   NULL, 0x100);
	gs_builder_symbol(b, "exactly8", 0x140001000, 0, true);
	gs_builder_symbol(b, "short", 0x140001010, 0, true);
	gs_builder_symbol(b, "a.longer.name", 0x140004010, 0, false);
	gs_builder_needed(b, "kernel32.dll");
	gs_builder_needed(b, "ws2_32.dll");
	gs_builder_uuid(b, (const uint8_t *)"0123456789abcdef");
	gs_builder_entry(b, 0x140001000);
	return b;
}

static struct gs_builder *go_image(unsigned int minor, enum gs_image_format format,
				   uint32_t options)
{
	struct gs_build_go go = *gs_build_go_sample();
	struct gs_build_go_places places;

	go.minor = minor;
	return gs_build_go_image(&go, format, options, &places);
}

int main(int argc, char **argv)
{
	const char *dir = argc == 2 ? argv[1] : NULL;
	int r = 0;

	if (!dir || (mkdir(dir, 0777) < 0 && errno != EEXIST)) {
		fprintf(stderr, "usage: image_samples DIRECTORY\n");
		return 2;
	}
	r |= write_file(dir, "elf-amd64", rich_elf(GS_ARCH_AMD64, 0));
	r |= write_file(dir, "elf-arm64-pie", rich_elf(GS_ARCH_ARM64, GS_BUILD_DYN));
	r |= write_file(dir, "elf-extended", rich_elf(GS_ARCH_AMD64, GS_BUILD_EXTENDED));
	r |= write_file(dir, "elf-no-sections",
			rich_elf(GS_ARCH_AMD64, GS_BUILD_NO_SECTIONS | GS_BUILD_GNU_HASH));
	r |= write_file(dir, "elf-core", rich_elf(GS_ARCH_AMD64, GS_BUILD_CORE));
	r |= write_file(dir, "macho-arm64", rich_macho(0));
	r |= write_file(dir, "macho-fat", rich_macho(GS_BUILD_FAT));
	r |= write_file(dir, "macho-dylib", rich_macho(GS_BUILD_LIBRARY));
	r |= write_file(dir, "pe-amd64.exe", rich_pe(GS_BUILD_DYN));
	r |= write_file(dir, "pe-amd64.dll", rich_pe(GS_BUILD_LIBRARY));
	r |= write_file(dir, "go1.19-elf", go_image(19, GS_IMAGE_ELF, 0));
	r |= write_file(dir, "go1.21-elf-pie", go_image(21, GS_IMAGE_ELF, GS_BUILD_GO_PIE_ZERO));
	r |= write_file(dir, "go1.24-pe.exe", go_image(24, GS_IMAGE_PE, 0));
	r |= write_file(dir, "go1.26-elf", go_image(26, GS_IMAGE_ELF, 0));
	r |= write_file(dir, "go1.27-macho", go_image(27, GS_IMAGE_MACHO, 0));
	return r ? 1 : 0;
}
