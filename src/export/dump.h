/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_DUMP_H
#define GS_EXPORT_DUMP_H

/*
 * Formats of a goroutine dump. A format is a const table of callbacks, one file each (dump_text.c,
 * dump_json.c, dump_folded.c, dump_pprof.c). Goroutines are streamed: nothing is kept per goroutine.
 * Rendered stacks are cached by stack id, so equal stacks cost one memcpy.
 */
#include <stdbool.h>
#include <stdint.h>

#include <gosonde/err.h>

#include "base/out.h"
#include "model/goroutine.h"
#include "model/goroutine_group.h"
#include "model/result.h"

struct gs_dump_options {
	bool all_frames;      /* show frames that Go's tracebacks hide */
	bool args;            /* argument words were asked for */
	bool colour;          /* text on a terminal */
	bool pretty;          /* indented JSON */
	bool grouped;         /* group() will be called instead of goroutine() */
	bool header_labels;   /* text: pprof labels in the header, as GODEBUG=tracebacklabels=1 */
	int64_t time_unix_ns; /* when the dump was taken */
	int64_t duration_ns;  /* set before end(): how long it took */
	int64_t paused_ns;    /* set before end(): how long the target was stopped, 0 if never */
	uint64_t n_total;     /* set before end(): goroutines seen before filters */
	bool total_unknown;   /* set before end(): not all were looked at */
};

struct gs_dump_writer;

struct gs_dump_format {
	const char *name;
	bool binary; /* refuse to print on a terminal */
	int (*open)(struct gs_dump_writer **ret, struct gs_out *out,
		    const struct gs_dump_options *o, const struct gs_process *p,
		    struct gs_err *err);
	int (*goroutine)(struct gs_dump_writer *w, const struct gs_goroutine *g,
			 struct gs_err *err);
	int (*group)(struct gs_dump_writer *w, const struct gs_group *g, struct gs_err *err);
	/** Write the rest. The writer is freed in any case. */
	int (*close)(struct gs_dump_writer *w, const struct gs_dump_options *o,
		     const struct gs_incomplete_list *inc, struct gs_err *err);
	/** Drop the writer without finishing. */
	void (*abort)(struct gs_dump_writer *w);
};

extern const struct gs_dump_format gs_dump_text, gs_dump_json, gs_dump_folded, gs_dump_pprof;

#endif
