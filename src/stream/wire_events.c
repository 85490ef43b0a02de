/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * From the kernel half's records to events: numbers of wait reasons become the release's words, hashes of stacks
 * become numbers of the source. Nothing is allocated; texts of a request stay in the record.
 * Session checked that records are whole (probe/session_record.c); tails that may be missing are looked at here.
 */
#include <string.h>

#include "stream/stream_private.h"

_Static_assert((int)GS_WIRE_F_ADOPTED == GS_EV_ADOPTED &&
		       (int)GS_WIRE_F_PREEMPTED == GS_EV_PREEMPTED &&
		       (int)GS_WIRE_F_SYSCALL == GS_EV_SYSCALL &&
		       (int)GS_WIRE_F_FAULT == GS_EV_FAULT && (int)GS_WIRE_F_MAJOR == GS_EV_MAJOR &&
		       (int)GS_WIRE_F_RECLAIM == GS_EV_RECLAIM && (int)GS_WIRE_F_CGO == GS_EV_CGO &&
		       (int)GS_WIRE_F_NETPOLL == GS_EV_NETPOLL,
	       "flags are passed on as they are");
_Static_assert((int)GS_WIRE_STW_BEGIN == GS_RUNTIME_STW_BEGIN &&
		       (int)GS_WIRE_ASSIST_END == GS_RUNTIME_ASSIST_END &&
		       (int)GS_WIRE_THREAD_NEW == GS_PROCESS_THREAD_NEW &&
		       (int)GS_WIRE_PROCESS_EXIT == GS_PROCESS_EXIT &&
		       (int)GS_WIRE_CALL_HTTP1 == GS_CALL_HTTP1 &&
		       (int)GS_WIRE_CALL_FUNCTION == GS_CALL_FUNCTION,
	       "so are these");

void gs__decoder_init(struct gs__decoder *d, struct gs_rt *rt, struct gs__stacks *stacks)
{
	*d = (struct gs__decoder){ .rt = rt, .stacks = stacks };
	if (rt)
		d->reasons = gs_rt_wait_reasons(rt, &d->n_reasons);
	for (uint32_t i = 0; i < d->n_reasons && i < 256; i++)
		d->wait[i] = gs_wait_of(d->reasons[i]);
}

static struct gs_usage usage_of(const struct gs_wire_usage *u)
{
	return (struct gs_usage){ .kernel_ns = u->kernel_ns,
				  .fault_minor_ns = u->fault_minor_ns,
				  .fault_major_ns = u->fault_major_ns,
				  .reclaim_ns = u->reclaim_ns,
				  .cgo_ns = u->cgo_ns,
				  .faults_minor = u->faults_minor,
				  .faults_major = u->faults_major };
}

static void file_of(const struct gs_wire_file *w, struct gs_file_ref *ret)
{
	_Static_assert(sizeof(w->name) == sizeof(ret->name), "names have the same length");
	*ret = (struct gs_file_ref){ .mode = w->mode,
				     .fd = w->fd,
				     .family = w->family,
				     .protocol = w->protocol,
				     .local_port = w->local_port,
				     .peer_port = w->peer_port,
				     .dev = w->dev };
	memcpy(ret->local_addr, w->local_addr, sizeof(ret->local_addr));
	memcpy(ret->peer_addr, w->peer_addr, sizeof(ret->peer_addr));
	memcpy(ret->name, w->name, sizeof(ret->name));
	ret->name[sizeof(ret->name) - 1] = '\0';
}

static void decode_create(struct gs__decoder *d, const struct gs_wire_go_create *w,
			  struct gs_event *e)
{
	e->create.parent = w->parent;
	e->create.creator_pc = w->creator_pc;
	e->create.start_pc = w->start_pc;
	if (d->rt) {
		e->create.created_by = gs_rt_creator(d->rt, w->creator_pc);
		e->create.start = gs_rt_start(d->rt, w->start_pc);
	}
}

static void decode_park(struct gs__decoder *d, const struct gs_wire_go_park *w, struct gs_event *e)
{
	e->usage = usage_of(&w->usage);
	if (w->reason < d->n_reasons) {
		e->park.reason = d->reasons[w->reason];
		e->park.wait = d->wait[w->reason];
	} else {
		e->park.reason = "";
	}
	e->park.object = w->object;
	e->park.io_mode = (char)w->io_mode;
	e->park.n_cases = w->n_cases;
	e->park.file.fd = -1;
	if (w->has_file)
		file_of(&w->file, &e->park.file);
}

/* Waits whose object the kernel half has from the call before: (*semaRoot).queue, up to Go 1.25. */
static bool is_semaphore(enum gs_wait w)
{
	return w >= GS_WAIT_MUTEX && w <= GS_WAIT_WAITGROUP;
}

static void decode_call(const struct gs_wire_call *w, struct gs_event *e)
{
	e->usage = usage_of(&w->usage);
	e->call.call = (enum gs_call_kind)w->call;
	e->call.function = w->function;
	e->call.sp = w->sp;
	e->call.status = w->status;
	e->call.bytes = w->bytes;
	e->call.method = e->call.path = e->call.pattern = e->call.peer = "";
	if (w->h.size < sizeof(*w))
		return;
	e->call.method = w->method;
	e->call.method_len = w->method_len;
	e->call.path = w->path;
	e->call.path_len = w->path_len;
	e->call.pattern = w->pattern;
	e->call.pattern_len = w->pattern_len;
	e->call.peer = w->peer;
	e->call.peer_len = w->peer_len;
}

static void decode_off_cpu(struct gs__decoder *d, const struct gs_wire_off_cpu *w,
			   struct gs_event *e)
{
	e->usage = usage_of(&w->usage);
	e->kernel_stack = gs__stacks_find(d->stacks, w->kernel_stack);
	e->off_cpu.off_ns = (int64_t)w->off_ns;
	e->off_cpu.wake_ns = (int64_t)w->wake_ns;
	e->off_cpu.waker_goid = w->waker_goid;
	e->off_cpu.waker_tid = (int32_t)w->waker_tid;
	e->off_cpu.syscall = w->syscall;
	e->off_cpu.arg[0] = w->arg[0];
	e->off_cpu.arg[1] = w->arg[1];
	e->off_cpu.task_state = w->state;
	e->off_cpu.io_wait = w->io_wait;
	e->off_cpu.file.fd = -1;
	if (w->has_file)
		file_of(&w->file, &e->off_cpu.file);
}

static void decode_map(const struct gs_wire_map *w, struct gs_event *e)
{
	e->map.syscall = w->syscall;
	memcpy(e->map.arg, w->arg, sizeof(e->map.arg));
	e->map.result = w->result;
}

static void decode_process(const struct gs_wire_process *w, struct gs_event *e)
{
	e->process.what = (enum gs_process_event)w->what;
	e->process.child = (int32_t)w->child;
	memcpy(e->process.comm, w->comm, sizeof(e->process.comm));
	e->process.comm[sizeof(e->process.comm) - 1] = '\0';
}

static const uint16_t kinds[] = {
	[GS_WIRE_GO_CREATE] = GS_EV_GO_CREATE,   [GS_WIRE_GO_READY] = GS_EV_GO_READY,
	[GS_WIRE_GO_RUN] = GS_EV_GO_RUN,         [GS_WIRE_GO_PARK] = GS_EV_GO_PARK,
	[GS_WIRE_GO_YIELD] = GS_EV_GO_YIELD,     [GS_WIRE_GO_EXIT] = GS_EV_GO_EXIT,
	[GS_WIRE_CALL_BEGIN] = GS_EV_CALL_BEGIN, [GS_WIRE_CALL_END] = GS_EV_CALL_END,
	[GS_WIRE_RUNTIME] = GS_EV_RUNTIME,       [GS_WIRE_OFF_CPU] = GS_EV_OFF_CPU,
	[GS_WIRE_SAMPLE] = GS_EV_SAMPLE,         [GS_WIRE_MAP] = GS_EV_MAP,
	[GS_WIRE_PROCESS] = GS_EV_PROCESS,       [GS_WIRE_FAULT] = GS_EV_PAGE_FAULT,
	[GS_WIRE_DLOPEN] = GS_EV_DLOPEN,
};

/*
 * Where probes were taken away, threads keep the state they were in: in a system call, a fault, C code. What they say of it
 * is not true any more.
 */
static void leave_out(uint32_t unseen, struct gs_event *e)
{
	struct gs_usage *u = &e->usage;

	if (unseen & GS_UNSEEN_SYSCALLS)
		u->kernel_ns = 0;
	if (unseen & GS_UNSEEN_CGO) {
		u->cgo_ns = 0;
		e->flags &= (uint16_t)~GS_EV_CGO;
	}
	if (unseen & GS_UNSEEN_FAULTS) {
		u->fault_minor_ns = u->fault_major_ns = u->reclaim_ns = 0;
		u->faults_minor = u->faults_major = 0;
		e->flags &= (uint16_t)~GS_EV_RECLAIM;
		/* Elsewhere the fault is known by how the thread sleeps. */
		if (e->flags & GS_EV_SYSCALL)
			e->flags &= (uint16_t) ~(GS_EV_FAULT | GS_EV_MAJOR);
	}
	if (unseen & GS_UNSEEN_LOCKS && e->kind == GS_EV_GO_PARK && is_semaphore(e->park.wait))
		e->park.object = 0;
}

/*
 * Goroutines that are not followed any more: the last programs that had not heard of it wrote what follows, and what is
 * about the whole process is never left out. False: it is.
 */
static bool is_followed(uint32_t mask, struct gs_event *e)
{
	if (!e->goid || !gs_thinned_out(e->goid, mask))
		return true;
	if (e->kind == GS_EV_RUNTIME && (e->runtime.what == GS_RUNTIME_ASSIST_BEGIN ||
					 e->runtime.what == GS_RUNTIME_ASSIST_END))
		return false;
	e->goid = 0;
	return e->kind == GS_EV_RUNTIME || e->kind == GS_EV_MAP || e->kind == GS_EV_PROCESS ||
	       e->kind == GS_EV_PAGE_FAULT || e->kind == GS_EV_DLOPEN;
}

bool gs__decode(struct gs__decoder *d, const struct gs_wire_head *h, struct gs_event *e)
{
	const void *w = h;

	if (h->kind >= sizeof(kinds) / sizeof(kinds[0]) || !kinds[h->kind]) {
		d->unknown++;
		return false;
	}
	*e = (struct gs_event){ .t_ns = (int64_t)h->ts_ns,
				.goid = h->goid,
				.tid = (int32_t)h->tid,
				.kind = kinds[h->kind],
				.flags = h->flags };
	if (h->stack)
		e->stack = gs__stacks_find(d->stacks, h->stack);
	switch ((enum gs_wire_kind)h->kind) {
	case GS_WIRE_GO_CREATE:
		decode_create(d, w, e);
		break;
	case GS_WIRE_GO_READY:
		e->ready.waker = ((const struct gs_wire_go_ready *)w)->waker;
		break;
	case GS_WIRE_GO_RUN:
		e->run.p = ((const struct gs_wire_go_run *)w)->p;
		break;
	case GS_WIRE_GO_PARK:
		decode_park(d, w, e);
		break;
	case GS_WIRE_GO_YIELD:
	case GS_WIRE_GO_EXIT:
		e->usage = usage_of(&((const struct gs_wire_go_yield *)w)->usage);
		break;
	case GS_WIRE_CALL_BEGIN:
	case GS_WIRE_CALL_END:
		decode_call(w, e);
		break;
	case GS_WIRE_RUNTIME:
		e->usage = usage_of(&((const struct gs_wire_runtime *)w)->usage);
		e->runtime.what = (enum gs_runtime_event)((const struct gs_wire_runtime *)w)->what;
		e->runtime.arg = ((const struct gs_wire_runtime *)w)->arg;
		break;
	case GS_WIRE_OFF_CPU:
		decode_off_cpu(d, w, e);
		break;
	case GS_WIRE_SAMPLE:
		e->kernel_stack = gs__stacks_find(d->stacks,
						  ((const struct gs_wire_sample *)w)->kernel_stack);
		e->sample.period_ns = (int64_t)((const struct gs_wire_sample *)w)->period_ns;
		break;
	case GS_WIRE_MAP:
		decode_map(w, e);
		break;
	case GS_WIRE_PROCESS:
		decode_process(w, e);
		break;
	case GS_WIRE_FAULT:
		e->fault.addr = ((const struct gs_wire_fault *)w)->addr;
		e->fault.period = ((const struct gs_wire_fault *)w)->period;
		break;
	case GS_WIRE_DLOPEN:
		e->dlopen.path = ((const struct gs_wire_dlopen *)w)->path;
		e->dlopen.path_len = (uint16_t)((const struct gs_wire_dlopen *)w)->path_len;
		break;
	default:
		return false;
	}
	if (d->unseen)
		leave_out(d->unseen, e);
	return is_followed(d->thin_mask, e);
}
