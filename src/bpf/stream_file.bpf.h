/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BPF_STREAM_FILE_H
#define GS_BPF_STREAM_FILE_H

/*
 * What a descriptor of the current process is: a file's name, a socket's two ends. And which system calls have a
 * descriptor or a path as an argument (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
 */
#include "stream_common.bpf.h"

enum { GS_S_IFMT = 0170000, GS_S_IFSOCK = 0140000, GS_AF_INET = 2, GS_AF_INET6 = 10 };

/* Bit n: argument 0 of system call n is the descriptor that it works on. */
#define GS_BIT(n) (1ULL << ((n)&63))
#if defined(__TARGET_ARCH_x86)
static const uint64_t gs_fd_calls[8] = {
	/* read write close fstat ioctl pread64 pwrite64 readv writev sendfile connect accept sendto
	 * recvfrom sendmsg recvmsg shutdown */
	GS_BIT(0) | GS_BIT(1) | GS_BIT(3) | GS_BIT(5) | GS_BIT(16) | GS_BIT(17) | GS_BIT(18) |
		GS_BIT(19) | GS_BIT(20) | GS_BIT(40) | GS_BIT(42) | GS_BIT(43) | GS_BIT(44) |
		GS_BIT(45) | GS_BIT(46) | GS_BIT(47) | GS_BIT(48),
	/* fcntl flock fsync fdatasync ftruncate getdents */
	GS_BIT(72) | GS_BIT(73) | GS_BIT(74) | GS_BIT(75) | GS_BIT(77) | GS_BIT(78), 0,
	GS_BIT(217), /* getdents64 */
	/* splice sync_file_range fallocate accept4 preadv pwritev recvmmsg syncfs sendmmsg */
	GS_BIT(275) | GS_BIT(277) | GS_BIT(285) | GS_BIT(288) | GS_BIT(295) | GS_BIT(296) |
		GS_BIT(299) | GS_BIT(306) | GS_BIT(307),
	GS_BIT(326) | GS_BIT(327) | GS_BIT(328), /* copy_file_range preadv2 pwritev2 */
};
#else
static const uint64_t gs_fd_calls[8] = {
	/* fcntl ioctl flock ftruncate fallocate close getdents64 read */
	GS_BIT(25) | GS_BIT(29) | GS_BIT(32) | GS_BIT(46) | GS_BIT(47) | GS_BIT(57) | GS_BIT(61) |
		GS_BIT(63),
	/* write readv writev pread64 pwrite64 preadv pwritev sendfile splice fstat fsync fdatasync
	 * sync_file_range */
	GS_BIT(64) | GS_BIT(65) | GS_BIT(66) | GS_BIT(67) | GS_BIT(68) | GS_BIT(69) | GS_BIT(70) |
		GS_BIT(71) | GS_BIT(76) | GS_BIT(80) | GS_BIT(82) | GS_BIT(83) | GS_BIT(84),
	0,
	/* accept connect sendto recvfrom shutdown sendmsg recvmsg accept4 recvmmsg */
	GS_BIT(202) | GS_BIT(203) | GS_BIT(206) | GS_BIT(207) | GS_BIT(210) | GS_BIT(211) |
		GS_BIT(212) | GS_BIT(242) | GS_BIT(243),
	/* syncfs sendmmsg copy_file_range preadv2 pwritev2 */
	GS_BIT(267) | GS_BIT(269) | GS_BIT(285) | GS_BIT(286) | GS_BIT(287),
};
#endif

GS_INLINE bool gs_call_has_fd(int32_t nr)
{
	if (nr < 0 || nr >= 512)
		return false;
	return gs_fd_calls[(nr >> 6) & 7] & GS_BIT(nr);
}

/* Is argument 1 a path: openat newfstatat unlinkat mkdirat renameat2 statx openat2? */
GS_INLINE bool gs_call_has_path(int32_t nr)
{
#if defined(__TARGET_ARCH_x86)
	return nr == 257 || nr == 262 || nr == 263 || nr == 258 || nr == 316 || nr == 332 ||
	       nr == 437;
#else
	return nr == 56 || nr == 79 || nr == 35 || nr == 34 || nr == 276 || nr == 291 || nr == 437;
#endif
}

GS_INLINE void gs_file_none(struct gs_wire_file *f, int32_t fd)
{
	uint64_t *w = (uint64_t *)f;

	for (uint32_t i = 0; i < sizeof(*f) / sizeof(uint64_t); i++)
		w[i] = 0;
	f->fd = fd;
}

GS_INLINE void gs_file_socket(struct gs_wire_file *f, struct file *file)
{
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sk = BPF_CORE_READ(socket, sk);

	f->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	f->protocol = BPF_CORE_READ(sk, sk_protocol);
	if (f->family != GS_AF_INET && f->family != GS_AF_INET6)
		return;
	f->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	f->peer_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (f->family == GS_AF_INET) {
		bpf_core_read(f->local_addr, 4, &sk->__sk_common.skc_rcv_saddr);
		bpf_core_read(f->peer_addr, 4, &sk->__sk_common.skc_daddr);
		return;
	}
	bpf_core_read(f->local_addr, 16, &sk->__sk_common.skc_v6_rcv_saddr);
	bpf_core_read(f->peer_addr, 16, &sk->__sk_common.skc_v6_daddr);
}

/* Describe descriptor @fd of @task, which is the current one. Fields stay 0 where nothing is known. */
GS_INLINE void gs_file_of(struct gs_wire_file *f, struct task_struct *task, int32_t fd)
{
	struct fdtable *table;
	struct file *file = 0;
	struct file **fds;
	const unsigned char *name;
	struct inode *inode;

	gs_file_none(f, fd);
	if (!task->files)
		return;
	table = task->files->fdt;
	if ((uint32_t)fd >= BPF_CORE_READ(table, max_fds))
		return;
	fds = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), &fds[fd]);
	if (!file)
		return;
	inode = BPF_CORE_READ(file, f_inode);
	f->mode = BPF_CORE_READ(inode, i_mode);
	if ((f->mode & GS_S_IFMT) == GS_S_IFSOCK) {
		gs_file_socket(f, file);
		return;
	}
	f->dev = BPF_CORE_READ(inode, i_sb, s_dev);
	name = BPF_CORE_READ(file, f_path.dentry, d_name.name);
	bpf_probe_read_kernel_str(f->name, sizeof(f->name), name);
}

#endif
