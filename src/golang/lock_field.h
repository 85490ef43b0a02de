/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_LOCK_FIELD_H
#define GS_GOLANG_LOCK_FIELD_H

#include <stddef.h>

#include <gosonde/err.h>

#define GS_GO_LOCK_FIELD_MAX 64

/**
 * The name of the only lock in a struct type: a field of type sync.Mutex or sync.RWMutex. The DWARF of the file is read in a
 * child process without privileges, as by gs_go_layout_dwarf().
 * @type: as in symbols, with the whole package path: "example.com/shop/store.Ledger".
 * @return 0 and the name; 1: the type is not described, or has no such field, or several;
 *         negative: the file is damaged or the child could not be started. Takes 10 to 60 ms and a fork.
 */
GS_CHECKED int gs_go_lock_field(int fd, const char *type, char ret[GS_GO_LOCK_FIELD_MAX],
				struct gs_err *err);

/**
 * The type whose method a function is, from its name: "a/store.Ledger" of "a/store.(*Ledger).Append" and of closures in it.
 * @return 0; 1: it is no method with a pointer receiver, or of a generic type, or the name is too long.
 */
GS_CHECKED int gs_go_receiver(const char *function, char *ret, size_t size);

#endif
