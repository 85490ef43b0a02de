/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Whether a file would run on this machine natively, through an emulator registered in binfmt_misc
 * (Documentation/admin-guide/binfmt-misc.rst), or not at all. A handler's file reads
 *
 *   enabled
 *   interpreter /usr/bin/qemu-aarch64
 *   flags: OCF
 *   offset 0
 *   magic 7f454c460201010000000000000000000200b700
 *
 * and the machine it is for is e_machine, bytes 18 and 19 of the magic.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "analysis/inspect.h"
#include "base/escape.h"

#define BINFMT_DIR "/proc/sys/fs/binfmt_misc"
#define HANDLERS_MAX 256

static bool takes_machine(const char *magic, const char *e_machine)
{
	return strncmp(magic, "7f454c4602", 10) == 0 && strlen(magic) >= 40 &&
	       strncmp(magic + 36, e_machine, 4) == 0;
}

void gs_inspect_host_binfmt(struct gs_inspect_host *h, const char *name, const char *text)
{
	const char *magic = strstr(text, "\nmagic ");
	bool amd64, arm64;

	if (strncmp(text, "enabled", 7) != 0 || !magic)
		return;
	magic += 7;
	amd64 = takes_machine(magic, "3e00");
	arm64 = takes_machine(magic, "b700");
	h->emulates_amd64 = h->emulates_amd64 || amd64;
	h->emulates_arm64 = h->emulates_arm64 || arm64;
	if ((amd64 && h->arch != GS_ARCH_AMD64) || (arm64 && h->arch != GS_ARCH_ARM64))
		gs_escape_to(h->emulator, sizeof(h->emulator), name, strlen(name));
}

static void read_handler(struct gs_inspect_host *h, int dir, const char *name)
{
	GS_CLEANUP(gs_closep) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	char text[1024];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return;
	text[n] = '\0';
	gs_inspect_host_binfmt(h, name, text);
}

void gs_inspect_this_host(struct gs_inspect_host *ret)
{
	DIR *dir = opendir(BINFMT_DIR);
	struct dirent *e;

#if defined(__x86_64__)
	*ret = (struct gs_inspect_host){ .arch = GS_ARCH_AMD64 };
#else
	*ret = (struct gs_inspect_host){ .arch = GS_ARCH_ARM64 };
#endif
	if (!dir)
		return; // not mounted: nothing is emulated
	for (unsigned int i = 0; i < HANDLERS_MAX && (e = readdir(dir)); i++) {
		if (e->d_name[0] != '.')
			read_handler(ret, dirfd(dir), e->d_name);
	}
	closedir(dir);
}
