/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* SHA-256 of a file, in pieces: memory does not grow with the file. */
#include "cli/file_digest.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PIECE (256u << 10)

int gs_file_sha256(int fd, const char *name, char ret[GS_SHA256_HEX + 1], struct gs_err *err)
{
	static const char hex[] = "0123456789abcdef";
	GS_CLEANUP(gs_freep) uint8_t *piece = malloc(PIECE);
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx ctx;
	off_t at = 0;

	if (!piece)
		return gs_fail(err, -ENOMEM, 0, "out of memory");
	sha256_init(&ctx);
	for (;;) {
		ssize_t n = pread(fd, piece, PIECE, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return gs_fail(err, -errno, (uint64_t)at, "cannot read %s: %s", name,
				       strerror(errno));
		if (n == 0)
			break;
		sha256_update(&ctx, (size_t)n, piece);
		at += n;
	}
	sha256_digest(&ctx, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++) {
		ret[2 * i] = hex[digest[i] >> 4];
		ret[2 * i + 1] = hex[digest[i] & 15];
	}
	ret[GS_SHA256_HEX] = '\0';
	return 0;
}

int gs_parse_sha256(const char *s, char ret[GS_SHA256_HEX + 1], struct gs_err *err)
{
	const char *digits = strncmp(s, "sha256:", 7) == 0 ? s + 7 : s;

	if (strlen(digits) != GS_SHA256_HEX ||
	    strspn(digits, "0123456789abcdefABCDEF") != GS_SHA256_HEX)
		return gs_fail(err, -EINVAL, 0,
			       "--sha256: \"%s\" is no SHA-256: it has 64 hex digits", s);
	for (size_t i = 0; i < GS_SHA256_HEX; i++)
		ret[i] = digits[i] >= 'A' && digits[i] <= 'F' ? (char)(digits[i] + 32) : digits[i];
	ret[GS_SHA256_HEX] = '\0';
	return 0;
}
