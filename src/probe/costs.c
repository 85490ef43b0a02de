/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What a probe costs on this machine. gosonde attaches a program to two functions of its own, calls them some
 * hundred times, and compares with calls of the same functions without a probe. One begins with an
 * instruction that the kernel emulates, the other with one that it single-steps (arch/x86/kernel/uprobes.c,
 * arch/arm64/kernel/probes/decode-insn.c). Machines differ by a factor of ten here, virtual ones most of all.
 *
 * CPU time of this thread is compared, and the median of many short rounds is taken, because a busy machine only
 * ever adds. In such a loop everything is in the nearest caches, while a thread that does other work between two
 * hits finds the kernel's part of it gone, and then its own. So all costs are multiplied by what a hit costs after the second
 * level cache was used for something else, over what it costs in the loop: about 2, which is also what the CPU time of a
 * shop under load says (bench/stream_overhead.py).
 */
#include "probe/budget.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <link.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "bpf/cost.wire.h"
#include "cost.skel.h"
#include "probe/costs_internal.h"

#define ATTACH_UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI, Linux 6.6 */
#define ROUNDS 9
#define CALLS 32 /* per round */
#define STEPPED_CALLS 8
#define SYSCALLS 256
#define STACK_DEPTH 20 /* more than the frames that are taken: GS_COST_FRAMES */
#define TIME_LIMIT_NS 14000000
#define COLD_ROUNDS 15
#define COLD_CALLS 4

/*
 * gs_cost_site_emulated, gs_cost_site_stepped: the probed functions.
 * gs_cost_calls(n, site): n calls. gs_cost_deep(n, site, depth): the same, @depth frames further down. Frame
 * pointers are kept whatever the compiler's options, since the kernel follows them.
 */
void gs_cost_site_emulated(void);
void gs_cost_site_stepped(void);
void gs_cost_calls(unsigned long n, void (*site)(void));
void gs_cost_deep(unsigned long n, void (*site)(void), unsigned long depth);

#define FUNCTION(name)                                                                             \
	".globl " #name "\n.hidden " #name "\n.type " #name ", %function\n.balign 16\n" #name ":"  \
	"\n"
#define END(name) ".size " #name ", . - " #name "\n"

// clang-format off
#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	FUNCTION(gs_cost_site_emulated)
	"push %rbp\n mov %rsp, %rbp\n pop %rbp\n ret\n"
	END(gs_cost_site_emulated)
	FUNCTION(gs_cost_site_stepped)
	"cmp %rsp, %rdi\n push %rbp\n mov %rsp, %rbp\n pop %rbp\n ret\n"
	END(gs_cost_site_stepped)
	FUNCTION(gs_cost_calls)
	"push %rbp\n mov %rsp, %rbp\n push %rbx\n push %r12\n mov %rdi, %rbx\n mov %rsi, %r12\n"
	"1: call *%r12\n dec %rbx\n jnz 1b\n"
	"pop %r12\n pop %rbx\n pop %rbp\n ret\n"
	END(gs_cost_calls)
	FUNCTION(gs_cost_deep)
	"push %rbp\n mov %rsp, %rbp\n dec %rdx\n jz 1f\n call gs_cost_deep\n pop %rbp\n ret\n"
	"1: call gs_cost_calls\n pop %rbp\n ret\n"
	END(gs_cost_deep)
	".popsection\n");
#else
__asm__(".pushsection .text\n"
	FUNCTION(gs_cost_site_emulated)
	"b 1f\n1: ret\n"
	END(gs_cost_site_emulated)
	FUNCTION(gs_cost_site_stepped)
	"cmp sp, x0\n ret\n"
	END(gs_cost_site_stepped)
	FUNCTION(gs_cost_calls)
	"stp x29, x30, [sp, #-32]!\n mov x29, sp\n stp x19, x20, [sp, #16]\n mov x19, x0\n mov x20, x1\n"
	"1: blr x20\n subs x19, x19, #1\n b.ne 1b\n"
	"ldp x19, x20, [sp, #16]\n ldp x29, x30, [sp], #32\n ret\n"
	END(gs_cost_calls)
	FUNCTION(gs_cost_deep)
	"stp x29, x30, [sp, #-16]!\n mov x29, sp\n subs x2, x2, #1\n b.eq 1f\n bl gs_cost_deep\n b 2f\n"
	"1: bl gs_cost_calls\n2: ldp x29, x30, [sp], #16\n ret\n"
	END(gs_cost_deep)
	".popsection\n");
#endif
// clang-format on

/* A virtual machine of 2 CPUs, Linux 6.18. */
static const struct gs_probe_costs typical = {
	.emulated_ns = 1500,
	.stepped_ns = 10000,
	.tracepoint_ns = 200,
	.record_ns = 200,
	.stack_ns = 500,
	.sample_ns = 2500,
};

struct attached {
	int fd[4]; /* links and perf events */
	unsigned int n;
};

struct bench {
	struct gs_cost_bpf *bpf;
	struct attached at;
	int64_t deadline;
};

struct offsets {
	uint64_t site[2]; /* addresses, then file offsets */
};

static int find_offsets(struct dl_phdr_info *info, size_t size, void *ctx)
{
	struct offsets *o = ctx;

	for (int k = 0; k < 2; k++)
		for (int i = 0; i < info->dlpi_phnum; i++) {
			const ElfW(Phdr) *p = &info->dlpi_phdr[i];
			uint64_t start = info->dlpi_addr + p->p_vaddr;

			if (p->p_type != PT_LOAD || o->site[k] < start ||
			    o->site[k] - start >= p->p_filesz)
				continue;
			o->site[k] = o->site[k] - start + p->p_offset;
			break;
		}
	return 1; // the first object is the program itself
}

static int keep(struct bench *b, int fd)
{
	if (fd >= 0)
		b->at.fd[b->at.n++] = fd;
	return fd;
}

/* Both sites by one link (Linux 6.6). */
static int attach_multi(struct bench *b, const struct offsets *o)
{
	struct {
		__u32 prog_fd, target_fd, attach_type, flags;
		__aligned_u64 path, offsets, ref_ctr_offsets, cookies;
		__u32 cnt, multi_flags, pid, pad;
	} attr = {
		.prog_fd = (__u32)bpf_program__fd(b->bpf->progs.gs_cost_uprobe),
		.attach_type = ATTACH_UPROBE_MULTI,
		.path = (uint64_t)(uintptr_t) "/proc/self/exe",
		.offsets = (uint64_t)(uintptr_t)o->site,
		.cnt = GS_ARRAY_SIZE(o->site),
		.pid = (__u32)getpid(),
	};

	return keep(b, (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr)));
}

static int attach_perf(struct bench *b, const struct offsets *o)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.config1 = (uint64_t)(uintptr_t) "/proc/self/exe",
	};
	GS_CLEANUP(gs_fclosep)
	FILE *f = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	unsigned int type;

	if (!f || fscanf(f, "%u", &type) != 1)
		return -1;
	attr.type = type;
	for (int i = 0; i < 2; i++) {
		int fd;

		attr.config2 = o->site[i];
		fd = keep(b, (int)syscall(SYS_perf_event_open, &attr, getpid(), -1, -1,
					  PERF_FLAG_FD_CLOEXEC));
		if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_BPF,
				    bpf_program__fd(b->bpf->progs.gs_cost_uprobe)) < 0)
			return -1;
	}
	return 0;
}

static int be_silent(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return 0;
}

/* Load, for one way to attach or the other. */
static int load(struct bench *b, bool multi)
{
	b->bpf = gs_cost_bpf__open();
	if (!b->bpf)
		return -1;
	if (multi)
		(void)bpf_program__set_expected_attach_type(b->bpf->progs.gs_cost_uprobe,
							    ATTACH_UPROBE_MULTI); // not loaded yet
	if (gs_cost_bpf__load(b->bpf) < 0)
		return -1;
	b->bpf->bss->gs_cost_control.tgid = (uint32_t)getpid();
	return 0;
}

static void *detach(void *arg)
{
	struct attached *a = arg;

	while (a->n)
		close(a->fd[--a->n]);
	free(a);
	return NULL;
}

/*
 * Closing a uprobe waits until no CPU can run its program any more, some 30 ms (kernel/events/uprobes.c,
 * uprobe_unregister_sync). Nobody has to wait with it: the sites are called no more, and if gosonde ends first
 * the kernel closes them.
 */
static void detach_aside(struct attached *a)
{
	struct attached *copy = gs_array_new(1, sizeof(*copy));
	pthread_attr_t attr;
	pthread_t thread;
	int r = -1;

	if (copy && pthread_attr_init(&attr) == 0) {
		*copy = *a;
		if (pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0)
			r = pthread_create(&thread, &attr, detach, copy);
		pthread_attr_destroy(&attr);
	}
	if (r != 0) {
		free(copy);
		for (unsigned int i = 0; i < a->n; i++)
			close(a->fd[i]);
	}
	a->n = 0;
}

static void unload(struct bench *b)
{
	if (b->at.n)
		detach_aside(&b->at);
	gs_cost_bpf__destroy(b->bpf);
	b->bpf = NULL;
}

static int attach(struct bench *b)
{
	struct offsets o = { .site = { (uintptr_t)gs_cost_site_emulated,
				       (uintptr_t)gs_cost_site_stepped } };

	(void)dl_iterate_phdr(find_offsets, &o); // returns what the callback did
	if (load(b, true) == 0 && attach_multi(b, &o) >= 0)
		return 0;
	unload(b);
	return load(b, false) < 0 ? -1 : attach_perf(b, &o);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

/* Of this thread alone: on a busy machine others run in between. */
static int64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static double time_calls(struct bench *b, void (*site)(void), enum gs_cost_mode mode)
{
	unsigned int calls = site == gs_cost_site_stepped ? STEPPED_CALLS : CALLS;
	int64_t begin;

	b->bpf->bss->gs_cost_control.mode = mode;
	begin = cpu_ns();
	gs_cost_deep(calls, site, STACK_DEPTH);
	return (double)(cpu_ns() - begin) / calls;
}

static double time_syscalls(void)
{
	int64_t begin = cpu_ns();

	for (int i = 0; i < SYSCALLS; i++)
		(void)syscall(
			SYS_getppid); // the cheapest one that glibc and the kernel leave alone
	return (double)(cpu_ns() - begin) / SYSCALLS;
}

/* Over all CPUs; @ret_frames: of a stack. */
static uint64_t hits_so_far(struct bench *b, uint64_t *ret_frames)
{
	int cpus = libbpf_num_possible_cpus(), map = bpf_map__fd(b->bpf->maps.cost_scratch);
	GS_CLEANUP(gs_freep)
	struct gs_cost_scratch *s = cpus > 0 ? calloc((size_t)cpus, sizeof(*s)) : NULL;
	uint32_t zero = 0;
	uint64_t n = 0;

	_Static_assert(sizeof(*s) % 8 == 0, "values of per-CPU maps stand 8 bytes aligned");
	if (!s || bpf_map_lookup_elem(map, &zero, s) < 0)
		return 0;
	for (int i = 0; i < cpus; i++) {
		n += s[i].hits;
		if (s[i].frames > *ret_frames)
			*ret_frames = s[i].frames;
	}
	return n;
}

/* Use all of @buf, as a program uses its memory. */
static void touch(volatile char *buf, size_t size)
{
	for (size_t i = 0; i < size; i += 64)
		buf[i]++;
}

static size_t second_level_bytes(void)
{
	long n = sysconf(_SC_LEVEL2_CACHE_SIZE); // 0 where glibc cannot tell

	return n < 1 << 18 ? 1 << 20 : n > 1 << 22 ? 1 << 22 : (size_t)n;
}

/* How much dearer a hit is that finds its memory out of the nearest caches. @hot_ns: with all of it there. */
static double cold_factor(struct bench *b, double hot_ns)
{
	size_t size = second_level_bytes(), n = 0;
	GS_CLEANUP(gs_freep) char *buf = malloc(size);
	double cold[COLD_ROUNDS], f;

	if (!buf)
		return 1;
	b->bpf->bss->gs_cost_control.mode = GS_COST_STACK;
	touch(buf, size);
	while (n < COLD_ROUNDS && (n < 3 || gs_now_ns() < b->deadline)) {
		int64_t begin = cpu_ns(), middle;

		for (int i = 0; i < COLD_CALLS; i++)
			touch(buf, size);
		middle = cpu_ns();
		for (int i = 0; i < COLD_CALLS; i++) {
			touch(buf, size);
			gs_cost_deep(1, gs_cost_site_emulated, STACK_DEPTH);
		}
		cold[n++] = (double)(cpu_ns() - middle - (middle - begin)) / COLD_CALLS;
	}
	f = median(cold, n) / hot_ns;
	return f < 1 ? 1 : f > 4 ? 4 : f;
}

static void measure_uprobes(struct bench *b, struct gs_probe_costs *c)
{
	double trap[ROUNDS], record[ROUNDS], stack[ROUNDS], stepped[ROUNDS], t;
	uint64_t frames = 0;
	size_t n = 0;

	(void)time_calls(b, gs_cost_site_emulated, GS_COST_STACK); // the first hit finds cold code
	(void)time_calls(b, gs_cost_site_stepped, GS_COST_RECORD);
	while (n < ROUNDS && (n < 3 || gs_now_ns() < b->deadline)) {
		trap[n] = time_calls(b, gs_cost_site_emulated, GS_COST_TRAP);
		record[n] = time_calls(b, gs_cost_site_emulated, GS_COST_RECORD);
		stack[n] = time_calls(b, gs_cost_site_emulated, GS_COST_STACK);
		stepped[n] = time_calls(b, gs_cost_site_stepped, GS_COST_RECORD);
		n++;
	}
	if (hits_so_far(b, &frames) != CALLS * (3 * n + 1) + STEPPED_CALLS * (n + 1) ||
	    frames != GS_COST_FRAMES)
		return; // not attached to what was called
	t = median(trap, n);
	c->emulated_ns = median(record, n);
	c->record_ns = c->emulated_ns - t;
	c->stack_ns = median(stack, n) - c->emulated_ns;
	c->stepped_ns = median(stepped, n);
	/* An interrupt instead of a trap, and two stacks. */
	c->sample_ns = c->emulated_ns + 2 * c->stack_ns;
	c->measured = true;
}

static void measure_tracepoint(struct bench *b, struct gs_probe_costs *c)
{
	double without[ROUNDS], with[ROUNDS];
	int fd;

	for (int i = 0; i < ROUNDS; i++)
		without[i] = time_syscalls();
	fd = keep(b, bpf_raw_tracepoint_open("sys_enter",
					     bpf_program__fd(b->bpf->progs.gs_cost_tracepoint)));
	if (fd < 0)
		return;
	for (int i = 0; i < ROUNDS; i++)
		with[i] = time_syscalls();
	c->tracepoint_ns = median(with, ROUNDS) - median(without, ROUNDS);
}

static void multiply(struct gs_probe_costs *c, double f)
{
	c->emulated_ns *= f;
	c->stepped_ns *= f;
	c->tracepoint_ns *= f;
	c->record_ns *= f;
	c->stack_ns *= f;
	c->sample_ns *= f;
}

/* What lies outside of these has met something else than a probe: an interrupt storm, a stopped machine. */
static double plausible(double value, double least, double most, double fallback)
{
	return value >= least && value <= most ? value : fallback;
}

void gs__probe_costs_check(struct gs_probe_costs *c)
{
	if (c->emulated_ns < 50 || c->emulated_ns > 100000 || c->stepped_ns > 200000 ||
	    c->stepped_ns < 50) {
		*c = typical;
		return;
	}
	/* A part may drown in noise when the whole does not. */
	c->record_ns = plausible(c->record_ns, 20, c->emulated_ns, c->emulated_ns / 3);
	c->stack_ns = plausible(c->stack_ns, 50, 20 * c->emulated_ns, c->emulated_ns / 2);
	c->sample_ns =
		plausible(c->sample_ns, c->emulated_ns, 50 * c->emulated_ns, 2 * c->emulated_ns);
	c->tracepoint_ns =
		plausible(c->tracepoint_ns, 10, 10 * c->emulated_ns, c->emulated_ns / 10);
}

void gs_probe_costs_measure(struct gs_probe_costs *ret)
{
	struct bench b = { .deadline = gs_now_ns() + TIME_LIMIT_NS };
	libbpf_print_fn_t print = libbpf_set_print(be_silent);

	*ret = typical;
	if (attach(&b) == 0) {
		measure_uprobes(&b, ret);
		if (ret->measured) {
			measure_tracepoint(&b, ret);
			multiply(ret, cold_factor(&b, ret->emulated_ns + ret->stack_ns));
		}
	}
	unload(&b);
	(void)libbpf_set_print(print); // returns the silent one
	if (ret->measured)
		gs__probe_costs_check(ret);
}
