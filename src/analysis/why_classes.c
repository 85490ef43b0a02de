/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * From what a goroutine did to the class of its time.
 *
 * Parked: the wait reason decides; where it is too coarse, the stack does: "IO wait" is a read, a write, a
 * connect or an accept, "semacquire" is any lock up to Go 1.19, and whatever is done below net.(*Resolver) is a look-up of a name.
 * Off CPU: what the kernel was asked for. On CPU: what the kernel half measured; the rest is user code. Time in which the
 * world was stopped is taken from waits for the scheduler and from the runtime's own futexes.
 */
#include "analysis/why_classes.h"

#include <sys/stat.h>

#include "analysis/syscall_kinds.h"

static enum gs_why_class net_class(const struct gs_stack_facts *f, char io_mode,
				   const struct gs_file_ref *file)
{
	if (file && (S_ISFIFO(file->mode) || S_ISREG(file->mode) || S_ISCHR(file->mode)))
		return GS_WHY_FILE_IO;
	if ((!file || !S_ISSOCK(file->mode)) && f->flags & GS_STACK_FILE)
		return GS_WHY_FILE_IO;
	if (f->flags & GS_STACK_DIAL)
		return GS_WHY_NET_DIAL;
	if (f->flags & GS_STACK_ACCEPT)
		return GS_WHY_NET_ACCEPT;
	if (io_mode == 'w')
		return GS_WHY_NET_WRITE;
	if (io_mode == 'r')
		return GS_WHY_NET_READ;
	return f->flags & GS_STACK_WRITE ? GS_WHY_NET_WRITE : GS_WHY_NET_READ;
}

static enum gs_why_class semaphore_class(const struct gs_stack_facts *f)
{
	if (f->flags & GS_STACK_STW)
		return GS_WHY_STW;
	if (f->flags & GS_STACK_RWMUTEX)
		return GS_WHY_RWMUTEX;
	if (f->flags & GS_STACK_WAITGROUP)
		return GS_WHY_WAITGROUP;
	if (f->flags & (GS_STACK_MUTEX | GS_STACK_FD_LOCK))
		return GS_WHY_MUTEX;
	if (f->flags & GS_STACK_COND)
		return GS_WHY_COND;
	return GS_WHY_UNKNOWN;
}

enum gs_why_class gs_why_wait_class(struct gs_stack_book *book, uint32_t stack, enum gs_wait wait,
				    char io_mode, const struct gs_file_ref *file)
{
	const struct gs_stack_facts *f = gs_stack_facts(book, stack);

	if (f->flags & GS_STACK_DNS)
		return GS_WHY_DNS;
	switch (wait) {
	case GS_WAIT_MUTEX:
		return f->flags & GS_STACK_RWMUTEX ? GS_WHY_RWMUTEX : GS_WHY_MUTEX;
	case GS_WAIT_RWMUTEX_READ:
	case GS_WAIT_RWMUTEX_WRITE:
		return GS_WHY_RWMUTEX;
	case GS_WAIT_SEMAPHORE:
		return semaphore_class(f);
	case GS_WAIT_WAITGROUP:
		return GS_WHY_WAITGROUP;
	case GS_WAIT_COND:
		return GS_WHY_COND;
	case GS_WAIT_CHAN_RECEIVE:
	case GS_WAIT_CHAN_SEND:
	case GS_WAIT_CHAN_NIL:
		return GS_WHY_CHAN;
	case GS_WAIT_SELECT:
	case GS_WAIT_SELECT_EMPTY:
		return GS_WHY_SELECT;
	case GS_WAIT_SLEEP:
		return GS_WHY_SLEEP;
	case GS_WAIT_IO:
		return net_class(f, io_mode, file);
	case GS_WAIT_GC_ASSIST:
	case GS_WAIT_GC:
		return GS_WHY_GC_ASSIST;
	case GS_WAIT_PREEMPTED:
		return GS_WHY_RUNQUEUE_GO;
	default:
		return GS_WHY_UNKNOWN;
	}
}

static enum gs_why_class descriptor_class(const struct gs_file_ref *file, bool writes)
{
	if (!file || file->mode == 0)
		return GS_WHY_UNKNOWN;
	if (S_ISSOCK(file->mode))
		return writes ? GS_WHY_NET_WRITE : GS_WHY_NET_READ;
	return GS_WHY_FILE_IO;
}

static enum gs_why_class syscall_class(const char *goarch, int32_t number,
				       const struct gs_stack_facts *f,
				       const struct gs_file_ref *file)
{
	enum gs_why_class class;
	enum gs_syscall_kind kind;

	gs_syscall_name(goarch, number, &kind);
	switch (kind) {
	case GS_SYSCALL_READ:
	case GS_SYSCALL_WRITE:
		class = descriptor_class(file, kind == GS_SYSCALL_WRITE);
		if (class == GS_WHY_UNKNOWN && f->flags & GS_STACK_FILE)
			class = GS_WHY_FILE_IO;
		return class;
	case GS_SYSCALL_FILE:
		return GS_WHY_FILE_IO;
	case GS_SYSCALL_NET_READ:
		return GS_WHY_NET_READ;
	case GS_SYSCALL_NET_WRITE:
		return GS_WHY_NET_WRITE;
	case GS_SYSCALL_DIAL:
		return GS_WHY_NET_DIAL;
	case GS_SYSCALL_ACCEPT:
		return GS_WHY_NET_ACCEPT;
	case GS_SYSCALL_FUTEX:
		return GS_WHY_FUTEX;
	case GS_SYSCALL_SLEEP:
		return GS_WHY_SLEEP;
	default:
		return GS_WHY_UNKNOWN;
	}
}

enum gs_why_class gs_why_off_class(struct gs_stack_book *book, const char *goarch, uint32_t stack,
				   uint16_t flags, int32_t syscall, const struct gs_file_ref *file)
{
	const struct gs_stack_facts *f = gs_stack_facts(book, stack);

	if (flags & GS_IVL_F_RECLAIM)
		return GS_WHY_RECLAIM;
	if (flags & GS_IVL_F_FAULT)
		return flags & GS_IVL_F_MAJOR ? GS_WHY_FAULT_MAJOR : GS_WHY_FAULT_MINOR;
	if (f->flags & GS_STACK_DNS)
		return GS_WHY_DNS;
	if (flags & GS_IVL_F_CGO)
		return GS_WHY_CGO;
	if (flags & GS_IVL_F_SYSCALL)
		return syscall_class(goarch, syscall, f, file);
	return GS_WHY_UNKNOWN;
}

static uint32_t put(struct gs_why_part *parts, uint32_t n, enum gs_why_class class, int64_t ns)
{
	if (ns <= 0)
		return n;
	parts[n] = (struct gs_why_part){ .class = class, .ns = ns };
	return n + 1;
}

/* [@a, @b) but for the time the world was stopped in it. */
static uint32_t put_less_stops(const struct gs_why_classifier *c, struct gs_why_part *parts,
			       uint32_t n, enum gs_why_class class, int64_t a, int64_t b)
{
	int64_t stopped = b > a ? gs_lives_stopped_ns(c->lives, a, b) : 0;

	n = put(parts, n, GS_WHY_STW, stopped);
	return put(parts, n, class, b - a - stopped);
}

static uint32_t classify_off(const struct gs_why_classifier *c, const struct gs_interval *v,
			     int64_t a, int64_t b, struct gs_why_part *parts)
{
	int64_t wake = v->off.wake_ns < a ? a : v->off.wake_ns > b ? b : v->off.wake_ns;
	enum gs_why_class class = gs_why_off_class(c->book, c->goarch, v->stack, v->flags,
						   v->off.syscall,
						   gs_lives_file(c->lives, v->off.file));
	uint32_t n;

	if (class == GS_WHY_FUTEX)
		n = put_less_stops(c, parts, 0, class, a, wake);
	else
		n = put(parts, 0, class, wake - a);
	return put(parts, n, GS_WHY_RUNQUEUE_KERNEL, b - wake);
}

static int64_t part_of(int64_t ns, int64_t piece, int64_t whole)
{
	return (int64_t)((__int128_t)ns * piece / whole);
}

static uint32_t classify_on(const struct gs_interval *v, int64_t a, int64_t b,
			    struct gs_why_part *parts)
{
	static const enum gs_why_class of[5] = { GS_WHY_CPU_KERNEL, GS_WHY_FAULT_MINOR,
						 GS_WHY_FAULT_MAJOR, GS_WHY_RECLAIM, GS_WHY_CGO };
	const int64_t ns[5] = { v->on.kernel_ns, v->on.fault_minor_ns, v->on.fault_major_ns,
				v->on.reclaim_ns, v->on.cgo_ns };
	/* Without the scheduler's word, time in the kernel is also time off the CPU. */
	bool assist = v->flags & GS_IVL_F_ASSIST, unseen = v->flags & GS_IVL_F_UNSEEN;
	int64_t left = b - a, whole = v->end_ns - v->start_ns;
	uint32_t n = 0;

	for (uint32_t i = assist || unseen ? 1 : 0; i < 5 && !(v->flags & GS_IVL_F_OPEN); i++) {
		int64_t x = ns[i] ? part_of(ns[i], b - a, whole) : 0;
		uint32_t before = n;

		n = put(parts, n, of[i], x < left ? x : left);
		if (n > before) {
			left -= parts[before].ns;
			parts[before].kernel = of[i] != GS_WHY_CGO;
		}
	}
	if (unseen && !assist)
		return put(parts, n, GS_WHY_UNKNOWN, left);
	return put(parts, n, assist ? GS_WHY_GC_ASSIST : GS_WHY_CPU_USER, left);
}

uint32_t gs_why_classify(const struct gs_why_classifier *c, const struct gs_interval *v, int64_t a,
			 int64_t b, struct gs_why_part ret[GS_WHY_PARTS])
{
	enum gs_why_class class;

	if (b <= a)
		return 0;
	switch (v->kind) {
	case GS_IVL_ON:
		return classify_on(v, a, b, ret);
	case GS_IVL_OFF:
		return classify_off(c, v, a, b, ret);
	case GS_IVL_READY:
		return put_less_stops(c, ret, 0, GS_WHY_RUNQUEUE_GO, a, b);
	case GS_IVL_WAIT:
		class = gs_why_wait_class(c->book, v->stack, (enum gs_wait)v->wait,
					  v->wait_for.io_mode,
					  gs_lives_file(c->lives, v->wait_for.file));
		if (class == GS_WHY_RUNQUEUE_GO)
			return put_less_stops(c, ret, 0, class, a, b);
		return put(ret, 0, class, b - a);
	default:
		return put(ret, 0, GS_WHY_UNKNOWN, b - a);
	}
}

/* sync.Mutex is {state int32, sema uint32}; sync.RWMutex is {w Mutex, writerSem, readerSem uint32, …};
 * sync.WaitGroup keeps its semaphore at 8; sync.Cond is {noCopy, L Locker, notify notifyList, …} (Go 1.19 to 1.27). */
gs_addr gs_why_object(enum gs_why_class class, enum gs_wait wait, const struct gs_stack_facts *f,
		      gs_addr word)
{
	gs_addr field = 0;

	if (class == GS_WHY_MUTEX || (class == GS_WHY_RWMUTEX && wait == GS_WAIT_MUTEX))
		field = f->flags & GS_STACK_FD_LOCK ? 0 : 4;
	else if (class == GS_WHY_RWMUTEX && wait == GS_WAIT_RWMUTEX_WRITE)
		field = 8;
	else if (class == GS_WHY_RWMUTEX && wait == GS_WAIT_RWMUTEX_READ)
		field = 12;
	else if (class == GS_WHY_WAITGROUP)
		field = 8;
	else if (class == GS_WHY_COND && wait == GS_WAIT_COND)
		field = 16;
	return word > field ? word - field : word;
}
