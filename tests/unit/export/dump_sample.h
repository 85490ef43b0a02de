/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TESTS_DUMP_SAMPLE_H
#define GS_TESTS_DUMP_SAMPLE_H

/*
 * A dump made by hand, one goroutine per thing that a format has to get right. The unit tests compare
 * what a format makes of it with what Go would print; the dump_print program writes it for tests that
 * read it back with other tools.
 */
#include "base/out.h"
#include "export/dump.h"

/* Numbers of the goroutines in gs_sample. */
enum {
	SAMPLE_RUNNING,   /* no stack */
	SAMPLE_RECEIVE,   /* locked, minutes, created by main */
	SAMPLE_RECEIVE_2, /* the same stack, less than a minute, other parent */
	SAMPLE_SYSCALL,   /* minutes, cut stack */
	SAMPLE_LEAKED,
	SAMPLE_BUBBLE, /* synctest */
	SAMPLE_LABELS,
	SAMPLE_HOSTILE, /* names with control characters, broken stack, being scanned */
	SAMPLE_SYSTEM,  /* nothing but hidden frames */
	SAMPLE_GENERIC, /* generic and inlined functions, a wrapper, a panic */
	SAMPLE_CGO,
	SAMPLE_COUNT
};

extern const struct gs_goroutine gs_sample[SAMPLE_COUNT];
extern const struct gs_process gs_sample_process;
extern const struct gs_group gs_sample_groups[3];
extern const struct gs_incomplete_list gs_sample_incomplete;

/** Everything through @f into @out; the first failure, @err says what. */
int gs_sample_write(const struct gs_dump_format *f, struct gs_out *out,
		    const struct gs_dump_options *o, const char *go_version, struct gs_err *err);
/** Goroutine number @i alone. @return a string to free, or NULL. */
char *gs_sample_one(const struct gs_dump_format *f, const struct gs_dump_options *o,
		    const char *go_version, unsigned int i);
/** Group number @i alone. @return a string to free, or NULL. */
char *gs_sample_one_group(const struct gs_dump_format *f, const struct gs_dump_options *o,
			  unsigned int i);

#endif
