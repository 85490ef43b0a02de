/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TESTS_EVENT_SCRIPT_H
#define GS_TESTS_EVENT_SCRIPT_H

/*
 * An event source made by hand, for tests of what consumes events: from an array, or from a text with one
 * event per line:
 *
 *   TIME VERB [GOID] key=value …        # comment
 *
 *   1ms    state  1 state=waiting reason="IO wait" stack=net.read@fd.go:10<main.main
 *   2ms    create 5 parent=1 tid=10 stack=main.serve@srv.go:7 created_by=main.serve@srv.go:7 start=main.worker
 *   2001us run    5 tid=10 p=0
 *   3ms    begin  5 tid=10 call=http1 method=GET path=/x peer=1.2.3.4:5 sp=0x100
 *   4ms    park   5 tid=10 reason=sync.Mutex.Lock object=0x10 stack=main.f@a.go:1<main.g kernel=100us
 *   5ms    ready  5 waker=6 tid=11 stack=main.unlock flags=netpoll
 *   9ms    off    5 tid=10 since=7ms wake=8ms syscall=0 waker=6 flags=syscall kstack=k:vfs_read<k:read
 *   10ms   end    5 call=http1 status=200 pattern=/x bytes=3 sp=0x100
 *   11ms   yield 5 flags=preempted
 *   12ms   exit 5
 *   12ms   runtime what=stw_begin arg=3        13ms sample 5 tid=10 period=10ms stack=…
 *   14ms   map tid=10 syscall=9 arg0=0 arg1=4096 result=4096     15ms process what=exec child=4
 *   16ms   gauge heap_live=1 goroutines=3     17ms lost count=12
 *   18ms   thinned mask=1                     18ms detached what=threads|syscalls
 *   object 0x10 main.mu      label 5 key value      function main.work      incomplete what "why it is"
 *
 * TIME and all times: a whole number with ns (default), us, ms or s. Values with blanks stand in double quotes. wait=
 * follows from reason= (gs_wait_of). Frames: NAME[@FILE:LINE] joined by "<", innermost first; "k:" marks
 * kernel, "c:" C frames, "h:" hidden ones. A file or socket of park/off: fd= mode=0140000 (octal st_mode) family= protocol=
 * peer=1.2.3.4:5432 local=… name= dev=. A mistake in the text aborts with the line: it is the test's.
 */
#include "model/event.h"

/** A source that gives the events of @text and then ends. Free with its free(). */
struct gs_event_source *event_script(const char *text);
/** The same over @n events that the caller keeps; stack ids are those of event_script_stack(). */
struct gs_event_source *event_script_array(const struct gs_event *events, size_t n);

/** The id of a stack written as above; equal texts have equal ids, the first is 1. */
uint32_t event_script_stack(struct gs_event_source *s, const char *frames);
/** A frame that stays, from NAME[@FILE:LINE]. */
const struct gs_frame *event_script_frame(struct gs_event_source *s, const char *frame);
void event_script_object(struct gs_event_source *s, gs_addr addr, const char *name);
void event_script_label(struct gs_event_source *s, uint64_t goid, const char *key,
			const char *value);
/** What stats() will give: to be changed freely. begin_ns and end_ns are those of the events. */
struct gs_stream_stats *event_script_stats(struct gs_event_source *s);
/** Events per next(); default 3, so that consumers see several batches. */
void event_script_batch(struct gs_event_source *s, size_t n);
/** The events, all of them. */
const struct gs_event *event_script_events(struct gs_event_source *s, size_t *ret_n);

#endif
