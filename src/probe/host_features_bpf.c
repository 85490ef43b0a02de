/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Attempts through bpf(2) and perf_event_open(2). Programs are two instructions ("return 0"); probes are
 * placed on a function of gosonde's own that nobody calls, and removed at once. The uapi of newer
 * kernels is declared here because the headers of Debian 12 are older (include/uapi/linux/bpf.h).
 */
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <link.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "probe/host_features_internal.h"

#define ATTACH_UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI, Linux 6.6 */

/* The part of union bpf_attr that BPF_LINK_CREATE reads for uprobe_multi (Linux 6.6). */
struct uprobe_multi_attr {
	__u32 prog_fd, target_fd, attach_type, flags;
	__aligned_u64 path, offsets, ref_ctr_offsets, cookies;
	__u32 cnt, multi_flags, pid, pad;
};

/* Never called; the name is kept so that a list of probes explains itself. */
__attribute__((noinline, used)) static void gs_feature_probe_site(void)
{
	__asm__ volatile("");
}

static int sys_bpf(int cmd, void *attr, unsigned int size)
{
	int r = (int)syscall(SYS_bpf, cmd, attr, size);

	return r < 0 ? -errno : r;
}

static int perf_open(struct perf_event_attr *attr, pid_t pid, int cpu)
{
	int r = (int)syscall(SYS_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return r < 0 ? -errno : r;
}

static uint64_t as_u64(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static int load_program(unsigned int type, unsigned int attach_type, unsigned int btf_id)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = type;
	attr.expected_attach_type = attach_type;
	attr.attach_btf_id = btf_id;
	attr.insns = as_u64(code);
	attr.insn_cnt = GS_ARRAY_SIZE(code);
	attr.license = as_u64("Dual BSD/GPL");
	memcpy(attr.prog_name, "gosonde_try", 11);
	return sys_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
}

/* Take over @fd, which is negative for a failure, as the outcome. */
static void outcome(struct gs_feature_result *ret, int fd)
{
	gs__feature_errno(ret, fd < 0 ? -fd : 0);
	if (fd >= 0)
		close(fd);
}

void gs__try_btf(struct gs_features *fs, struct gs_feature_result *ret)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
		gs__feature_set(ret, GS_FEATURE_YES, "/sys/kernel/btf/vmlinux");
	else
		gs__feature_errno(ret, errno);
}

void gs__try_ringbuf(struct gs_features *fs, struct gs_feature_result *ret)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_RINGBUF;
	attr.max_entries = 4096 * 16; // a power of two and of any page size
	outcome(ret, sys_bpf(BPF_MAP_CREATE, &attr, sizeof(attr)));
}

void gs__try_kprobe_program(struct gs_features *fs, struct gs_feature_result *ret)
{
	outcome(ret, load_program(BPF_PROG_TYPE_KPROBE, 0, 0));
}

static int find_offset(struct dl_phdr_info *info, size_t size, void *ctx)
{
	uint64_t site = as_u64((const void *)(uintptr_t)gs_feature_probe_site), *ret = ctx;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && site >= start && site - start < p->p_filesz)
			*ret = site - start + p->p_offset;
	}
	return 1; // the first object is the program itself
}

static uint64_t site_offset(void)
{
	uint64_t offset = 0;

	(void)dl_iterate_phdr(find_offset, &offset); // returns what the callback did
	return offset;
}

void gs__try_uprobe_multi(struct gs_features *fs, struct gs_feature_result *ret)
{
	GS_CLEANUP(gs_closep) int prog = -1;
	uint64_t offset = site_offset();
	struct uprobe_multi_attr attr = {
		.attach_type = ATTACH_UPROBE_MULTI,
		.path = as_u64("/proc/self/exe"),
		.offsets = as_u64(&offset),
		.cnt = 1,
		.pid = (__u32)getpid(),
	};

	prog = load_program(BPF_PROG_TYPE_KPROBE, ATTACH_UPROBE_MULTI, 0);
	if (prog < 0) {
		gs__feature_errno(ret, -prog);
		if (prog == -EINVAL)
			gs__feature_set(ret, GS_FEATURE_NO, "kernel without uprobe_multi links");
		return;
	}
	attr.prog_fd = (__u32)prog;
	outcome(ret, sys_bpf(BPF_LINK_CREATE, &attr, sizeof(attr)));
	if (ret->error == EINVAL)
		gs__feature_set(ret, GS_FEATURE_NO, "kernel without uprobe_multi links");
	else if (ret->error == 0 && !gs__uprobe_multi_known())
		gs__feature_set(ret, GS_FEATURE_NO, "this kernel's links follow one thread only");
}

/* A link to a file that is not there: kernels that know these links look for the file and miss it,
 * older ones refuse the attach type (libbpf's probe_uprobe_multi_link does the same with "/"). Up to 6.9 a
 * link with a PID saw one thread of the process; 46ba0e49b642, which is in stable kernels too, mended that and made
 * a negative PID invalid before the file is looked for. */
bool gs__uprobe_multi_known(void)
{
	GS_CLEANUP(gs_closep) int prog = load_program(BPF_PROG_TYPE_KPROBE, ATTACH_UPROBE_MULTI, 0);
	uint64_t offset = 0;
	struct uprobe_multi_attr attr = {
		.prog_fd = (__u32)prog,
		.attach_type = ATTACH_UPROBE_MULTI,
		.path = as_u64("/proc/self/none"),
		.offsets = as_u64(&offset),
		.cnt = 1,
	};

	if (prog < 0 || sys_bpf(BPF_LINK_CREATE, &attr, sizeof(attr)) != -ENOENT)
		return false;
	attr.pid = (__u32)-1;
	return sys_bpf(BPF_LINK_CREATE, &attr, sizeof(attr)) == -EINVAL;
}

/* Type number of a perf PMU; negative if the kernel has none of that name. */
static int pmu_type(const char *path)
{
	char line[32];
	int r = gs__feature_read(path, line, sizeof(line));

	return r < 0 ? r : atoi(line);
}

bool gs__uprobe_pmu_known(void)
{
	return pmu_type("/sys/bus/event_source/devices/uprobe/type") >= 0;
}

void gs__try_uprobe_perf(struct gs_features *fs, struct gs_feature_result *ret)
{
	struct perf_event_attr attr = { .size = sizeof(attr) };
	int type = pmu_type("/sys/bus/event_source/devices/uprobe/type");

	if (type < 0) {
		gs__feature_set(ret, GS_FEATURE_NO, "kernel without the uprobe PMU");
		return;
	}
	attr.type = (__u32)type;
	attr.config1 = as_u64("/proc/self/exe");
	attr.config2 = site_offset();
	outcome(ret, perf_open(&attr, 0, -1));
}

void gs__try_kprobe(struct gs_features *fs, struct gs_feature_result *ret)
{
	struct perf_event_attr attr = { .size = sizeof(attr) };
	int type = pmu_type("/sys/bus/event_source/devices/kprobe/type");

	if (type < 0) {
		gs__feature_set(ret, GS_FEATURE_NO, "kernel without CONFIG_KPROBES");
		return;
	}
	attr.type = (__u32)type;
	attr.config1 = as_u64("vfs_read");
	outcome(ret, perf_open(&attr, 0, -1));
}

static int open_tracepoint(int prog, const char *name)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.name = as_u64(name);
	attr.raw_tracepoint.prog_fd = (__u32)prog;
	return sys_bpf(BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr));
}

void gs__try_tracepoint(struct gs_features *fs, struct gs_feature_result *ret)
{
	GS_CLEANUP(gs_closep) int prog = load_program(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0);

	outcome(ret, prog < 0 ? prog : open_tracepoint(prog, "sched_switch"));
}

static int be_silent(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return 0;
}

static int vmlinux_type(const char *name, unsigned int kind)
{
	struct btf *btf;
	int id;

	libbpf_set_print(be_silent); // it writes to stderr otherwise
	btf = btf__load_vmlinux_btf();
	if (!btf)
		return -errno;
	id = btf__find_by_name_kind(btf, name, kind);
	btf__free(btf);
	return id;
}

static void try_typed(const char *type, unsigned int kind, unsigned int attach_type,
		      struct gs_feature_result *ret)
{
	GS_CLEANUP(gs_closep) int prog = -1;
	int id = vmlinux_type(type, kind);

	if (id < 0) {
		ret->error = -id;
		gs__feature_set(ret, GS_FEATURE_NO, "%s is not in the kernel's BTF", type);
		return;
	}
	prog = load_program(BPF_PROG_TYPE_TRACING, attach_type, (unsigned int)id);
	outcome(ret, prog < 0 ? prog : open_tracepoint(prog, NULL));
}

void gs__try_typed_tracepoint(struct gs_features *fs, struct gs_feature_result *ret)
{
	try_typed("btf_trace_sched_switch", BTF_KIND_TYPEDEF, BPF_TRACE_RAW_TP, ret);
}

void gs__try_fentry(struct gs_features *fs, struct gs_feature_result *ret)
{
	try_typed("vfs_read", BTF_KIND_FUNC, BPF_TRACE_FENTRY, ret);
}

void gs__try_perf_clock(struct gs_features *fs, struct gs_feature_result *ret)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_freq = 99,
		.freq = 1,
		.disabled = 1,
	};

	outcome(ret, perf_open(&attr, -1, 0));
}

void gs__try_perf_hardware(struct gs_features *fs, struct gs_feature_result *ret)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_HARDWARE,
		.config = PERF_COUNT_HW_CPU_CYCLES,
		.disabled = 1,
		.exclude_kernel = 1,
	};

	outcome(ret, perf_open(&attr, 0, -1));
	if (ret->error == ENOENT || ret->error == EOPNOTSUPP)
		gs__feature_set(ret, GS_FEATURE_NO, "this machine has none");
}
