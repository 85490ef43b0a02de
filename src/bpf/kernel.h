/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BPF_KERNEL_H
#define GS_BPF_KERNEL_H

/*
 * The few kernel structures that the programs look into. Only names and types of the fields matter: offsets are
 * taken from the running kernel's BTF when a program is loaded. Fields that changed their name or place
 * have a second declaration with a suffix after "___", which the loader ignores. Registers of a uprobe and
 * of a perf sample are user ABI and need no relocation (arch/x86/include/asm/ptrace.h,
 * arch/arm64/include/uapi/asm/ptrace.h).
 */
#include <linux/bpf.h>
#include <stdbool.h>

typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
typedef __s8 int8_t;
typedef __s16 int16_t;
typedef __s32 int32_t;
typedef __s64 int64_t;

#if defined(__TARGET_ARCH_x86)
struct gs_regs {
	uint64_t r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	uint64_t orig_ax, ip, cs, flags, sp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct gs_regs {
	uint64_t regs[31], sp, pc, pstate;
};
#else
#error "registers of this CPU are not known"
#endif

/* include/uapi/linux/bpf_perf_event.h */
struct gs_perf_data {
	struct gs_regs regs;
	uint64_t sample_period, addr;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r14, di, si, dx, r10, r8, r9, ax, bp, sp, ip, orig_ax;
};
#else
struct pt_regs {
	uint64_t regs[31], sp, pc;
	uint64_t orig_x0;
	int32_t syscallno;
};
#endif

struct super_block {
	uint32_t s_dev;
};

struct inode {
	uint16_t i_mode;
	struct super_block *i_sb;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	struct inode *f_inode;
	struct path f_path;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct in6_addr {
	uint8_t bytes[16];
};

struct sock_common {
	uint32_t skc_daddr, skc_rcv_saddr;
	uint16_t skc_dport, skc_num; /* network order, host order */
	uint16_t skc_family;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	uint16_t sk_protocol;
};

struct socket {
	struct sock *sk;
};

struct atomic_int { /* atomic_t is a typedef of a structure without a name */
	int counter;
};

struct signal_struct {
	struct atomic_int live; /* threads that have not exited */
};

struct task_struct {
	unsigned int __state; /* since 5.14 */
	unsigned in_iowait : 1;
	int pid, tgid;
	char comm[16];
	struct files_struct *files;
	struct signal_struct *signal;
};

struct task_struct___before_5_14 {
	long state;
};

#pragma clang attribute pop

#endif
