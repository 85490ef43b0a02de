/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_CLI_MEM_WATCH_H
#define GS_CLI_MEM_WATCH_H

/* Watching memory for a while: a look before, a look after, and between them events of who asked for memory. */
#include "analysis/mem_look.h"
#include "cli/stream_args.h"

struct gs_mem_watch {
	struct gs_stream_session session;
	struct gs_memory_growth *growth; /* NULL: only differences of looks */
	struct gs_memory_look *before, *after;
	struct gs_mem_result result; /* of the look after, with what the stream is missing */
	struct gs_incomplete_list missing;
	bool without_probes; /* no probes although they were not forbidden */
	char why_without[200];
};

/**
 * Watch the target of @c for @watch_ns, or until Ctrl-C. Without BPF, or with a->no_probes, growth is told by
 * differences of looks, and the result says so.
 * @return 0: see w->result; 1: --dry-run, printed, nothing to do; negative: failed. Close it in any case.
 */
GS_CHECKED int gs_mem_watch_run(struct gs_mem_watch *w, const struct gs_common *c,
				const struct gs_stream_args *a, const struct gs_memory_options *o,
				int64_t watch_ns, struct gs_err *err);
void gs_mem_watch_close(struct gs_mem_watch *w);

#endif
