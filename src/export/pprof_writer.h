/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_EXPORT_PPROF_WRITER_H
#define GS_EXPORT_PPROF_WRITER_H

/*
 * A gzip'd profile.proto (github.com/google/pprof/proto/profile.proto) that is written as it comes: the
 * messages of a protobuf may stand in any order, so each string, function and location goes out when it first
 * appears, through a running deflate. Memory grows with distinct places, not with samples.
 * Strings are escaped, because proto3 wants UTF-8 and names are foreign.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#include <gosonde/err.h>

#include "base/out.h"
#include "export/pprof_tables.h"
#include "model/goroutine.h"
#include "model/result.h"
#include "model/stack.h"

#define GS__PPROF_FLUSH_BYTES 65536u /* of protobuf before it is compressed */
#define GS__PPROF_LABELS_MAX 64u     /* of one sample */
#define GS__PPROF_VALUES_MAX 8u

/* Mappings that locations belong to. Foreign frames (C, vDSO) have none. */
enum gs__pprof_mapping { GS__PPROF_NO_MAPPING, GS__PPROF_EXECUTABLE, GS__PPROF_KERNEL };

struct gs__pprof {
	struct gs_out *out;
	struct gs_out proto;   /* finished messages, not yet compressed */
	struct gs_out message; /* the one being built */
	struct gs_out escaped;
	struct gs__string_table strings;
	struct gs__pair_table functions; /* (name, file) */
	struct gs__pair_table locations; /* (address, number of lines and innermost line) */
	z_stream z;
	bool z_ready;
	uint64_t labels_dropped;
	uint8_t packed[GS__PPROF_FLUSH_BYTES];
};

/** Begin a profile on @out, which is borrowed. gs__pprof_deinit() is right in any case. */
GS_CHECKED int gs__pprof_init(struct gs__pprof *t, struct gs_out *out, struct gs_err *err);
void gs__pprof_deinit(struct gs__pprof *t);
/** Write what is left. @return 0, or the first failure of any buffer. */
GS_CHECKED int gs__pprof_finish(struct gs__pprof *t, struct gs_err *err);

/** Number of a string; a new one goes out. */
GS_CHECKED int gs__pprof_string(struct gs__pprof *t, const char *s, size_t n, uint64_t *ret,
				struct gs_err *err);
/** Sample type (one call for each value of a sample, in order), or what a period counts. */
GS_CHECKED int gs__pprof_sample_type(struct gs__pprof *t, const char *type, const char *unit,
				     struct gs_err *err);
GS_CHECKED int gs__pprof_period(struct gs__pprof *t, const char *type, const char *unit,
				int64_t period, struct gs_err *err);
/** Which sample type viewers show first. */
GS_CHECKED int gs__pprof_default_type(struct gs__pprof *t, const char *type, struct gs_err *err);
void gs__pprof_time(struct gs__pprof *t, int64_t unix_ns, int64_t duration_ns);
/** Declare a mapping, all symbolised. */
GS_CHECKED int gs__pprof_mapping(struct gs__pprof *t, enum gs__pprof_mapping id, const char *file,
				 struct gs_err *err);
/** What the profile is missing, as comments. */
GS_CHECKED int gs__pprof_incomplete(struct gs__pprof *t, const struct gs_incomplete_list *inc,
				    struct gs_err *err);

/**
 * Append the packed location ids of @s to @ids, as runtime/pprof would have them: compiler-made
 * wrappers and runtime.goexit are left out. @leaf: the innermost pc is where it stopped, not a
 * return address.
 */
GS_CHECKED int gs__pprof_locations(struct gs__pprof *t, const struct gs_stack *s, bool leaf,
				   struct gs_out *ids, struct gs_err *err);
/** The same for one frame that has no stack around it. */
GS_CHECKED int gs__pprof_frame(struct gs__pprof *t, const struct gs_frame *f, struct gs_out *ids,
			       struct gs_err *err);

/** A label's key and value by number; a value of 0 is a number label. */
struct gs__pprof_label {
	uint64_t key, value, number;
};

struct gs__pprof_labels {
	struct gs__pprof_label label[GS__PPROF_LABELS_MAX];
	uint32_t n;
};

/** A label of ours; @value NULL: a number. */
GS_CHECKED int gs__pprof_own_label(struct gs__pprof *t, struct gs__pprof_labels *l, const char *key,
				   const char *value, uint64_t number, struct gs_err *err);
/**
 * A label of the goroutine. One that is called like one of @ours (NULL-terminated) becomes "label:NAME",
 * of equal keys the first counts: viewers handle no keys with several values. Empty keys and
 * values say nothing and are left out.
 */
GS_CHECKED int gs__pprof_foreign_label(struct gs__pprof *t, struct gs__pprof_labels *l,
				       const char *const *ours, const struct gs_label *from,
				       struct gs_err *err);

/** A sample with packed location ids, one value per sample type and labels. */
GS_CHECKED int gs__pprof_sample(struct gs__pprof *t, const void *ids, size_t ids_len,
				const int64_t *values, uint32_t n_values,
				const struct gs__pprof_labels *l, struct gs_err *err);

#endif
