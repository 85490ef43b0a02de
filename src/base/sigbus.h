/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BASE_SIGBUS_H
#define GS_BASE_SIGBUS_H

/*
 * Foreign files are mapped, and whoever owns one may cut it while we read: the kernel then sends
 * SIGBUS. A registered mapping survives that: the missing page is replaced by zeros and the mapping
 * is marked, so that parsers meet bad data instead of death.
 */
#include <stdbool.h>
#include <stddef.h>

/** Install the handler, once per process; called by programs (cli, fuzzers), not by libraries. */
void gs_sigbus_install(void);
/** Watch a mapping. @return a slot for the other calls, or -1 when all slots are taken (the mapping
 *  is then unprotected and must not be used). */
int gs_sigbus_watch(const void *base, size_t size);
/** True once a page of the mapping had to be replaced. */
bool gs_sigbus_hit(int slot);
void gs_sigbus_forget(int slot);

#endif
