/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_STREAM_RECORDING_H
#define GS_STREAM_RECORDING_H

/*
 * The format of recordings, shared by writer and reader.
 *
 *   head    "gosonde recording\n", version (u16), 4 bytes zero          all numbers little-endian
 *   block   magic (u32), compressed bytes, raw bytes, number from 0 (u32 each), one zstd frame with checksum
 *   block   …
 *
 * A block's raw bytes are items; an item never crosses blocks, and a batch of events with what was asked about it only if it is
 * very long. An item is a tag (one byte) and LEB128 numbers; strings and
 * frames get numbers from 1 in the order in which they come, 0 is none. What an event refers to comes before it; a consumer that is
 * given a batch of events knows everything up to the event after it, so names and labels that somebody asked
 * for while looking at a batch are answered alike in a replay.
 *
 * Events: of the fields in recording_fields.c a bitmap of those that are not zero, then these.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/event.h"

#define GS__REC_MAGIC "gosonde recording\n"
#define GS__REC_MAGIC_LEN 18
#define GS__REC_VERSION 1
#define GS__REC_HEAD 24
#define GS__REC_BLOCK_MAGIC 0x42525347u /* "GSRB" */
#define GS__REC_BLOCK_HEAD 16
#define GS__REC_RAW_MAX (1u << 20)
#define GS__REC_STRING_MAX 65535u
#define GS__REC_FRAMES_MAX 10240u /* of one stack */

enum gs__rec_tag {
	GS__REC_PROCESS = 1, /* first of all */
	GS__REC_STRING,
	GS__REC_FRAME,
	GS__REC_STACK,
	GS__REC_OBJECT, /* address, name */
	GS__REC_LOCK,   /* address, stack, name */
	GS__REC_LABELS, /* goroutine, pairs */
	GS__REC_BATCH,  /* the events since the last one were handed out together */
	GS__REC_STATS,
	GS__REC_END,
	GS__REC_EVENT = 32, /* + kind */
};

/* How a field of struct gs_event is written. */
enum gs__rec_type {
	GS__REC_UINT = 1,
	GS__REC_INT,    /* zigzag */
	GS__REC_TIME,   /* before the event: difference to its time */
	GS__REC_NEAR,   /* difference to the same field of the event before it that had it */
	GS__REC_TEXT,   /* const char *, NUL-terminated: number of a string */
	GS__REC_FRAMEP, /* const struct gs_frame *: number of a frame */
	GS__REC_BYTES,  /* const char * with its length in another field: written out */
	GS__REC_RAW,    /* array of bytes */
};

struct gs__rec_field {
	uint16_t at, len_at; /* in struct gs_event */
	uint8_t type, size;
	uint64_t max; /* larger ones are refused when reading */
};

#define GS__REC_COMMON 12
#define GS__REC_FIELDS_MAX 48

/** Fields that all events have, GS__REC_COMMON of them. */
extern const struct gs__rec_field gs__rec_common[GS__REC_COMMON];
/** Fields of a kind; *ret_n of them. */
const struct gs__rec_field *gs__rec_fields(enum gs_event_kind k, uint32_t *ret_n);

/* What both sides remember of the events before, for GS__REC_NEAR. */
struct gs__rec_near {
	int64_t t_ns;
	uint64_t value[GS_EV_KIND_COUNT][GS__REC_FIELDS_MAX + GS__REC_COMMON];
};

static inline uint64_t gs__zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t gs__unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#endif
