/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What time was spent on, in plain words. Names are foreign and go out escaped. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "export/frame_words.h"
#include "export/why_export.h"

const char *gs_why_time(char buf[24], int64_t ns)
{
	static const struct {
		double unit;
		const char *name;
	} units[] = { { 1e9, "s" }, { 1e6, "ms" }, { 1e3, "us" } };
	double v = (double)ns;

	for (size_t i = 0; i < GS_ARRAY_SIZE(units); i++) {
		double x = v / units[i].unit;

		// 999.7 us is 1 ms
		if (x < 0.9995)
			continue;
		snprintf(buf, 24, "%.*f %s", x < 9.995 ? 2 : x < 99.95 ? 1 : 0, x, units[i].name);
		return buf;
	}
	snprintf(buf, 24, "%" PRId64 " ns", ns);
	return buf;
}

static void put_in(struct gs_out *o, const char *in, const struct gs_why_what *w,
		   unsigned int go_minor)
{
	if (!w->where)
		return;
	gs_out_str(o, in);
	gs__put_frame(o, w->where, go_minor);
	if (!w->from)
		return;
	gs_out_str(o, ", called by ");
	gs__put_frame(o, w->from, go_minor);
}

static void put_peer(struct gs_out *o, const struct gs_why_what *w, const char *before)
{
	const struct gs_file_ref *f = w->file;
	char text[INET6_ADDRSTRLEN];

	if (!w->protocol && (!f || !f->family))
		return;
	gs_out_str(o, before);
	if (w->protocol)
		gs_out_str(o, w->protocol);
	if (!f || !f->family)
		return;
	if (w->protocol)
		gs_out_str(o, " at ");
	if (f->family == AF_UNIX) {
		gs_out_str(o, "a Unix socket");
	} else if (f->family == AF_INET6 && inet_ntop(AF_INET6, f->peer_addr, text, sizeof(text))) {
		gs_out_printf(o, "[%s]:%u", text, f->peer_port);
	} else if (inet_ntop(AF_INET, f->peer_addr, text, sizeof(text))) {
		gs_out_printf(o, "%s:%u", text, f->peer_port);
	}
}

static void put_file(struct gs_out *o, const struct gs_why_what *w)
{
	const struct gs_file_ref *f = w->file;

	gs_out_str(o, w->syscall ? w->syscall : "waited for");
	if (!f)
		return;
	gs_out_str(o, w->syscall ? " of " : " ");
	if (S_ISFIFO(f->mode))
		gs_out_str(o, "a pipe");
	else if (S_ISDIR(f->mode))
		gs_out_str(o, "directory ");
	else if (S_ISCHR(f->mode))
		gs_out_str(o, "device ");
	else if (!f->name[0])
		gs_out_str(o, "a file");
	if (!S_ISFIFO(f->mode))
		gs_out_name(o, f->name, strnlen(f->name, sizeof(f->name)));
}

static void put_lock(struct gs_out *o, const struct gs_why_what *w, unsigned int go_minor)
{
	bool named = w->object_name || w->object || w->many_objects;

	gs_out_str(o, gs_why_class_words(w->class));
	if (w->object_name) {
		gs_out_char(o, ' ');
		gs_out_name(o, w->object_name, strlen(w->object_name));
	} else if (w->object) {
		gs_out_printf(o, " %#" PRIx64, w->object);
	}
	if (w->many_objects)
		gs_out_str(o, " (several of them)");
	put_in(o, named ? " in " : " of ", w, go_minor);
}

static void put_runqueue(struct gs_out *o, const struct gs_why_what *w, unsigned int go_minor)
{
	gs_out_str(o, "waited for a turn in Go's run queue");
	if (w->runnable)
		gs_out_printf(o, " with %u other%s", w->runnable, w->runnable == 1 ? "" : "s");
	if (w->busy) {
		gs_out_str(o, "; meanwhile ran ");
		gs__put_frame(o, w->busy, go_minor);
	}
}

static void put_unknown(struct gs_out *o, const struct gs_why_what *w, unsigned int go_minor)
{
	if (w->syscall)
		gs_out_printf(o, "system call %s", w->syscall);
	else
		gs_out_str(o, "unknown");
	put_in(o, " in ", w, go_minor);
}

void gs_why_describe(struct gs_out *o, const struct gs_why_what *w, unsigned int go_minor)
{
	switch (w->class) {
	case GS_WHY_MUTEX:
	case GS_WHY_RWMUTEX:
	case GS_WHY_WAITGROUP:
	case GS_WHY_COND:
		put_lock(o, w, go_minor);
		return;
	case GS_WHY_RUNQUEUE_GO:
		put_runqueue(o, w, go_minor);
		return;
	case GS_WHY_FILE_IO:
		put_file(o, w);
		break;
	case GS_WHY_UNKNOWN:
		put_unknown(o, w, go_minor);
		return;
	case GS_WHY_CPU_USER:
		gs_out_str(o, "ran on a CPU");
		put_in(o, w->near ? ", until " : " in ", w, go_minor);
		return;
	case GS_WHY_FUTEX:
		gs_out_printf(o, "waited for futex %#" PRIx64, w->object);
		break;
	default:
		gs_out_str(o, gs_why_class_words(w->class));
		put_peer(o, w,
			 w->class == GS_WHY_NET_READ ? " from "
			 : w->class == GS_WHY_DNS    ? " by "
						     : " to ");
	}
	put_in(o, " in ", w, go_minor);
}
