/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_CLI_FILE_DIGEST_H
#define GS_CLI_FILE_DIGEST_H

#include <gosonde/err.h>

#define GS_SHA256_HEX 64

/** SHA-256 of the whole file behind @fd (its offset is not moved) as lower-case hex. */
GS_CHECKED int gs_file_sha256(int fd, const char *name, char ret[GS_SHA256_HEX + 1],
			      struct gs_err *err);
/** Read a sum as people write it: 64 hex digits in either case, "sha256:" in front allowed.
 *  @return 0 and *ret in lower case; -EINVAL. */
GS_CHECKED int gs_parse_sha256(const char *s, char ret[GS_SHA256_HEX + 1], struct gs_err *err);

#endif
