/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_GOLANG_PCLNTAB_PRIVATE_H
#define GS_GOLANG_PCLNTAB_PRIVATE_H

/* What the files of the function table share. */
#include <stdatomic.h>

#include "golang/pclntab.h"

#define GS__GO_MAGIC_12 0xfffffffbu
#define GS__GO_MAGIC_116 0xfffffffau
#define GS__GO_MAGIC_118 0xfffffff0u
#define GS__GO_MAGIC_120 0xfffffff1u
#define GS__GO_HEADER_BYTES 72

/* Longer names than this are not believed: scanning for a NUL that never comes must end. */
#define GS__GO_STRING_MAX (256u << 10)

struct gs__go_name_index;

struct gs_go_pclntab {
	/* windows of the table's bytes; pcln starts with the function table */
	struct gs_cursor names, cutab, files, pctab, pcln;
	struct gs_cursor gofunc; /* empty: unknown */
	gs_addr text;
	uint32_t nfunc;
	uint32_t record_bytes;                     /* size of _func: 40 or 44 */
	uint32_t inline_bytes;                     /* size of inlinedCall: 20 or 16 */
	uint32_t quantum;                          /* minLC */
	unsigned int minor;                        /* 0: unknown */
	_Atomic(struct gs__go_name_index *) index; /* made by the first look-up by name */
};

/** Four bytes at @off from the base of @c. */
GS_CHECKED static inline int gs__go_u32_at(const struct gs_cursor *c, uint64_t off, uint32_t *ret,
					   struct gs_err *err)
{
	struct gs_cursor at = *c;
	int r = gs_cursor_seek(&at, off, err);

	return r < 0 ? r : gs_cursor_u32(&at, ret, err);
}

/** Entry of function @i as offset from text; @i == nfunc: end of the last function. */
GS_CHECKED static inline int gs__go_entry(const struct gs_go_pclntab *t, uint32_t i, uint32_t *ret,
					  struct gs_err *err)
{
	return gs__go_u32_at(&t->pcln, (uint64_t)i * 8, ret, err);
}

/** NUL-terminated string at @off from the base of @table, at most GS__GO_STRING_MAX long. */
GS_CHECKED int gs__go_string(const struct gs_cursor *table, uint64_t off, const char **ret,
			     size_t *ret_len, struct gs_err *err);

/** Offset of the name of function @i in the name table, without reading the rest of its record. */
GS_CHECKED int gs__go_name_offset(const struct gs_go_pclntab *t, uint32_t i, uint32_t *ret,
				  struct gs_err *err);

/** Our number for a release's number; @name decides where the release's numbers are unknown. */
enum gs_go_funcid gs__go_funcid(unsigned int minor, uint8_t raw, const char *name);

/** Forget the name index. */
struct gs__go_name_index *gs__go_name_index_free(struct gs__go_name_index *x);

/**
 * Whether a word of the image's writable data, followed by one equal to @second, is @first: that is
 * how moduledata starts (pcHeader, funcnametab). @from continues behind an earlier hit; 0 starts.
 * @return 0 and the address; 1 if there is none (more).
 */
GS_CHECKED int gs__go_find_words(const struct gs_image *img, uint64_t first, uint64_t second,
				 gs_addr from, gs_addr *ret, struct gs_err *err);

#endif
