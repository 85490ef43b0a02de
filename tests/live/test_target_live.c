/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Reading live processes. The truth comes from the child itself (fork keeps addresses), from ld.so
 * (load bias) and from the kernel.
 */
#include "test.h"

#include <elf.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <link.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "target_child.h"

#define PAGE 4096
#define PAGES 1024

static struct shared *s;
static uint8_t *region; /* PAGES pages, every fourth without access, the last one unmapped */

static int setup(void **state)
{
	s = shared_new();
	region = (uint8_t *)mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return s && region != MAP_FAILED ? 0 : -1;
}

static bool readable(size_t page)
{
	return page % 4 != 3 && page < PAGES - 1;
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 167 + i / PAGE);
}

static void patterned_child(struct shared *sh)
{
	for (size_t i = 0; i < (size_t)PAGES * PAGE; i++)
		region[i] = pattern(i);
	for (size_t i = 0; i < PAGES; i++) {
		if (!readable(i))
			mprotect(region + i * PAGE, PAGE, PROT_NONE);
	}
	munmap(region + (size_t)(PAGES - 1) * PAGE, PAGE);
	be_ready(sh);
	pause_forever();
}

static void idle_child(struct shared *sh)
{
	be_ready(sh);
	pause_forever();
}

static struct gs_target *open_child(pid_t pid)
{
	struct gs_target *t = NULL;
	struct gs_err err;

	assert_true(pid > 0);
	gs_assert_ok(gs_target_open_pid(pid, &t, &err), &err);
	return t;
}

static gs_addr address(size_t page, size_t off)
{
	return (gs_addr)(uintptr_t)region + page * PAGE + off;
}

static int read_one(struct gs_target *t, gs_addr addr, void *buf, size_t n)
{
	return gs_memory_read(gs_target_memory(t), addr, buf, n, NULL);
}

/* One piece of 100 bytes from each page, twice; and the neighbours of the holes. @forced: through
 * /proc/PID/mem, which reads pages without access rights too. */
static void check_reads(struct gs_target *t, bool forced)
{
	enum { N = 2 * PAGES };
	static uint8_t buf[N][100], big[3 * PAGE];
	static struct gs_read reads[N];
	struct gs_err err;

	for (size_t i = 0; i < N; i++)
		reads[i] = (struct gs_read){ .addr = address(i % PAGES, i * 2 % (PAGE - 100)),
					     .buf = buf[i],
					     .len = 100,
					     .result = 77 };
	gs_assert_ok(gs_target_memory(t)->readv(gs_target_memory(t)->ctx, reads, N, &err), &err);
	for (size_t i = 0; i < N; i++) {
		if (forced && i % PAGES < PAGES - 2)
			assert_int_equal(reads[i].result, 0);
		else if (!readable(i % PAGES)) {
			assert_int_equal(reads[i].result, -GS_E_FAULT);
			continue;
		}
		assert_int_equal(reads[i].result, 0);
		for (size_t k = 0; k < 100; k++)
			assert_int_equal(buf[i][k],
					 pattern(i % PAGES * PAGE + i * 2 % (PAGE - 100) + k));
	}
	assert_int_equal(read_one(t, address(4, 0), big, sizeof(big)), 0);
	for (size_t k = 0; k < sizeof(big); k++)
		assert_int_equal(big[k], pattern((size_t)4 * PAGE + k));
	if (!forced) {
		assert_int_equal(read_one(t, address(4, 1), big, sizeof(big)), -GS_E_FAULT);
		assert_int_equal(read_one(t, address(3, PAGE - 1), big, 2), -GS_E_FAULT);
	}
	assert_int_equal(read_one(t, address(2, PAGE - 1), big, 1), 0);
	assert_int_equal(read_one(t, address(PAGES - 1, 0), big, 1), -GS_E_FAULT);
	assert_int_equal(read_one(t, address(PAGES - 2, PAGE - 1), big, 2), -GS_E_FAULT);
	assert_int_equal(read_one(t, 0, big, 8), -GS_E_FAULT);
	assert_int_equal(read_one(t, 0, big, 0), 0);
	assert_int_equal(read_one(t, UINT64_MAX - 3, big, 8), -GS_E_FAULT);
	assert_int_equal(read_one(t, (uint64_t)1 << 63, big, 8), -GS_E_FAULT);
}

static void test_reads(void **state)
{
	pid_t pid = spawn(patterned_child, s);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = open_child(pid);
	struct gs_err err;

	check_reads(t, false);
	gs_assert_ok(gs_target_alive(t, &err), &err);
	end_child(pid);
}

static int64_t own_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* CPU time for @n pieces at @addr and its neighbours; the best of five, as others compute too. */
static int64_t time_reads(struct gs_target *t, struct gs_read *reads, size_t n, gs_addr addr)
{
	static uint8_t buf[8];
	int64_t best = INT64_MAX;
	struct gs_err err;

	for (size_t i = 0; i < n; i++)
		reads[i] = (struct gs_read){ .addr = addr + i % 256 * 8, .buf = buf, .len = 8 };
	for (int i = 0; i < 5; i++) {
		int64_t start = own_cpu_ns(), took;

		gs_assert_ok(gs_target_memory(t)->readv(gs_target_memory(t)->ctx, reads, n, &err),
			     &err);
		took = own_cpu_ns() - start;
		best = took < best ? took : best;
	}
	return best;
}

/* Many bad pages in a row must not cost the import of a thousand entries each. */
static void test_many_faults(void **state)
{
	enum { N = 10000 };
	pid_t pid = spawn(patterned_child, s);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = open_child(pid);
	struct gs_read *reads = (struct gs_read *)calloc(N, sizeof(*reads));
	int64_t good, bad;

	good = time_reads(t, reads, N, address(0, 0));
	for (size_t i = 0; i < N; i++)
		assert_int_equal(reads[i].result, 0);
	bad = time_reads(t, reads, N, address(3, 0));
	for (size_t i = 0; i < N; i++)
		assert_int_equal(reads[i].result, -GS_E_FAULT);
	print_message("# %.2f us per piece, %.2f us per fault\n", (double)good / N / 1e3,
		      (double)bad / N / 1e3);
	assert_true(bad < 8 * good); // measured: twice; 13 times with windows of fixed size
	free(reads);
	end_child(pid);
}

/* A seccomp filter that lets process_vm_readv fail with @error, as containers have. */
static void forbid_process_vm_readv(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		_exit(9);
}

static void reads_without_syscall(int error)
{
	pid_t pid = spawn(patterned_child, s), reader;
	int status;

	reader = fork();
	if (reader == 0) {
		struct gs_target *t;

		forbid_process_vm_readv(error);
		t = open_child(pid);
		check_reads(t, true); // a failed assertion ends the process with another status
		gs_target_free(t);
		_exit(42);
	}
	waitpid(reader, &status, 0);
	end_child(pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
}

static void test_seccomp(void **state)
{
	reads_without_syscall(EPERM);
	reads_without_syscall(ENOSYS);
}

static int main_bias(struct dl_phdr_info *info, size_t size, void *arg)
{
	*(uint64_t *)arg = info->dlpi_addr; // the program itself comes first
	return 1;
}

static void test_identity(void **state)
{
	int64_t before = (int64_t)time(NULL);
	pid_t pid = spawn(idle_child, s);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = open_child(pid);
	const struct gs_target_identity *id = gs_target_identity(t);
	const struct gs_map *maps;
	char path[4096] = "", line[512];
	struct gs_err err;
	struct stat st;
	uint64_t bias = 1, v;
	int64_t now;
	size_t n, lines = 0;
	FILE *f;

	assert_int_equal(gs_target_kind(t), GS_TARGET_PROCESS);
	assert_int_equal(id->pid, pid);
	assert_true(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	assert_string_equal(id->executable, path);
	assert_false(id->exe_deleted);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(id->exe_ino, st.st_ino);
	assert_int_equal(id->exe_dev, st.st_dev);
	assert_true(id->start_ticks > 0);
	// The kernel counts from boot in ticks of 10 ms.
	assert_in_range((int64_t)(id->start_time_unix_ns / 1000000000), before - 1, before + 15);

	assert_non_null(gs_target_image(t));
	assert_true(gs_target_exe_fd(t) >= 0);
	dl_iterate_phdr(main_bias, &bias);
	assert_true(gs_target_bias(t) == bias);
	gs_assert_ok(gs_target_auxv(t, AT_ENTRY, &v, &err), &err);
	assert_true(v == getauxval(AT_ENTRY));
	gs_assert_result(1, gs_target_auxv(t, 12345, &v, &err), &err);
	now = gs_target_now_ns(t);
	assert_in_range(gs_now_ns() - now, 0, 1000000000);

	snprintf(line, sizeof(line), "/proc/%d/maps", pid);
	f = fopen(line, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		lines += strchr(line, '\n') != NULL;
	fclose(f);
	maps = gs_target_maps(t, &n);
	assert_int_equal(n, lines);
	assert_non_null(maps);
	assert_int_equal(gs_target_map_at(t, (uintptr_t)idle_child)->prot,
			 GS_IMAGE_READ | GS_IMAGE_EXEC);
	assert_string_equal(gs_target_map_at(t, (uintptr_t)idle_child)->path, path);
	assert_int_equal(gs_target_map_at(t, (uintptr_t)idle_child)->ino, st.st_ino);
	assert_true(gs_target_map_at(t, (uintptr_t)s)->shared);
	assert_null(gs_target_map_at(t, 0));
	end_child(pid);
}

static void *named_thread(void *arg)
{
	char name[16];

	snprintf(name, sizeof(name), "worker (%d) x", (int)(intptr_t)arg);
	pthread_setname_np(pthread_self(), name);
	atomic_fetch_add(&s->result, 1);
	pause_forever();
	return NULL;
}

static void threaded_child(struct shared *sh)
{
	pthread_t th;

	for (int i = 0; i < 5; i++)
		pthread_create(&th, NULL, named_thread, (void *)(intptr_t)i);
	wait_for(&sh->result, 5);
	be_ready(sh);
	pause_forever();
}

static void test_threads(void **state)
{
	pid_t pid = spawn(threaded_child, s);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = open_child(pid);
	const struct gs_thread *th;
	struct gs_target *none = NULL;
	struct gs_err err;
	char words[64];
	size_t n, named = 0;

	gs_assert_ok(gs_target_threads(t, &th, &n, &err), &err);
	assert_int_equal(n, 6);
	assert_int_equal(th[0].tid, pid);
	for (size_t i = 1; i < n; i++) {
		assert_false(th[i].has_regs);
		assert_int_equal(th[i].ns_tid, th[i].tid);
		assert_int_equal(th[i].state, 'S');
		named += strncmp(th[i].name, "worker (", 8) == 0;
	}
	assert_int_equal(named, 5);
	snprintf(words, sizeof(words), "Use PID %d", pid);
	gs_assert_fails(-GS_E_UNSUPPORTED, words, gs_target_open_pid(th[1].tid, &none, &err), &err);
	end_child(pid);
}

/* ---- processes that end or change ---- */

static void test_exit(void **state)
{
	pid_t pid = spawn(idle_child, s);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = open_child(pid);
	struct gs_target *none = NULL;
	const struct gs_thread *th;
	struct gs_err err;
	char words[64];
	uint64_t v;
	size_t n;

	gs_assert_ok(gs_memory_u64(gs_target_memory(t), (uintptr_t)region, &v, &err), &err);
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	gs_assert_fails(-GS_E_GONE, "has exited", gs_target_alive(t, &err), &err);
	gs_assert_fails(-GS_E_UNSUPPORTED, "zombie", gs_target_open_pid(pid, &none, &err), &err);
	waitpid(pid, NULL, 0);
	gs_assert_fails(-GS_E_GONE, "has exited", gs_target_alive(t, &err), &err);
	gs_assert_fails(-GS_E_GONE, "has exited",
			gs_memory_u64(gs_target_memory(t), (uintptr_t)region, &v, &err), &err);
	gs_assert_fails(-GS_E_GONE, "has exited", gs_target_threads(t, &th, &n, &err), &err);
	gs_assert_fails(-GS_E_GONE, "", gs_target_refresh_maps(t, &err), &err);
	gs_assert_fails(-GS_E_GONE, "has exited", gs_target_stop(t, 0, &err), &err);
	snprintf(words, sizeof(words), "no process with PID %d", pid);
	gs_assert_fails(-GS_E_GONE, words, gs_target_open_pid(pid, &none, &err), &err);
	gs_assert_fails(-GS_E_GONE, "no process with PID 0", gs_target_open_pid(0, &none, &err),
			&err);
	gs_assert_fails(-GS_E_GONE, "no process with PID -5", gs_target_open_pid(-5, &none, &err),
			&err);
	gs_assert_fails(-GS_E_GONE, "no process", gs_target_open_pid(INT32_MAX, &none, &err), &err);
}

/* Runs the same program again: same number, start time, executable and, without address space
 * randomisation, the same addresses. Only the address space tells. */
static void exec_child(struct shared *sh)
{
	be_ready(sh);
	wait_for(&sh->go, 1);
	execl("/proc/self/exe", "test", "--sleep", (char *)NULL);
}

static void wait_for_exec(pid_t pid)
{
	char path[64], text[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	for (int i = 0; i < 5000 && strcmp(text, "test") != 0; i++) {
		int fd = open(path, O_RDONLY);
		ssize_t n = read(fd, text, sizeof(text) - 1);

		close(fd);
		text[n > 0 ? n : 0] = '\0';
		sleep_ms(1);
	}
}

static void test_exec(void **state)
{
	pid_t pid = spawn(exec_child, s);
	GS_CLEANUP(gs_target_freep) struct gs_target *t = open_child(pid);
	struct gs_read reads[300];
	struct gs_err err;
	uint8_t byte;

	for (size_t i = 0; i < 300; i++)
		reads[i] = (struct gs_read){ .addr = 0, .buf = &byte, .len = 1 };
	gs_assert_ok(gs_target_alive(t, &err), &err);
	gs_assert_ok(gs_target_memory(t)->readv(gs_target_memory(t)->ctx, reads, 300, &err), &err);
	atomic_store(&s->go, 1);
	wait_for_exec(pid);
	gs_assert_fails(-GS_E_GONE, "exec", gs_target_alive(t, &err), &err);
	gs_assert_fails(-GS_E_GONE, "exec",
			gs_target_memory(t)->readv(gs_target_memory(t)->ctx, reads, 300, &err),
			&err);
	gs_assert_fails(-GS_E_GONE, "exec",
			gs_memory_read(gs_target_memory(t), (uintptr_t)region, &byte, 1, &err),
			&err);
	end_child(pid);
}

/* The name a program gives to itself when it has got somewhere. */
static void wait_for_name(pid_t pid, const char *want)
{
	char path[64], text[32] = "";
	size_t len = strlen(want);

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	for (int i = 0; i < 5000 && strncmp(text, want, len) != 0; i++) {
		int fd = open(path, O_RDONLY);
		ssize_t n = read(fd, text, sizeof(text) - 1);

		close(fd);
		text[n > 0 ? n : 0] = '\0';
		sleep_ms(1);
	}
}

static const char constant_text[] = "the same before and after exec";

/* Without randomisation the new program has the same bytes at the same addresses: no fault gives it
 * away, and still nobody may take one for the other. */
static void fixed_child(struct shared *sh)
{
	personality(ADDR_NO_RANDOMIZE);
	execl("/proc/self/exe", "test", "--exec", (char *)NULL);
}

static void test_exec_at_same_addresses(void **state)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	struct gs_read reads[300];
	struct gs_err err;
	uint8_t bytes[300];
	uint64_t bias = 0;
	gs_addr addr;
	pid_t pid;
	int r = 0;

	memset(s, 0, sizeof(*s));
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fixed_child(s);
		_exit(1);
	}
	wait_for_name(pid, "waiting");
	t = open_child(pid);
	dl_iterate_phdr(main_bias, &bias);
	addr = (uintptr_t)constant_text - bias + gs_target_bias(t);
	kill(pid, SIGUSR1);
	wait_for_name(pid, "sleeping");
	for (size_t i = 0; i < 300; i++)
		reads[i] = (struct gs_read){ .addr = addr, .buf = &bytes[i], .len = 1 };
	// One piece at a time: the proof has to come within a few hundred.
	for (size_t i = 0; i < 300 && r == 0; i++)
		r = gs_target_memory(t)->readv(gs_target_memory(t)->ctx, &reads[i], 1, &err);
	assert_int_equal(r, -GS_E_GONE);
	assert_int_equal(reads[0].result, 0); // it would have worked
	assert_int_equal(bytes[0], constant_text[0]);
	gs_assert_fails(-GS_E_GONE, "exec", gs_target_alive(t, &err), &err);
	end_child(pid);
}

static pid_t run_program(const char *path)
{
	pid_t pid = fork();
	char self[4096], exe[64];

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(path, "test", "--sleep", (char *)NULL);
		_exit(111);
	}
	snprintf(exe, sizeof(exe), "/proc/%d/exe", pid);
	for (int i = 0; i < 5000; i++) {
		ssize_t n = readlink(exe, self, sizeof(self) - 1);

		self[n > 0 ? n : 0] = '\0';
		if (strcmp(self, path) == 0)
			break;
		sleep_ms(1);
	}
	return pid;
}

/* Opened at every moment of its start: it is there, or it changes, but it is never broken. */
static void test_open_during_exec(void **state)
{
	size_t opened = 0, gone = 0;

	for (int i = 0; i < 100; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			execl("/proc/self/exe", "test", "--sleep", (char *)NULL);
			_exit(111);
		}
		for (int k = 0; k < 10; k++) {
			struct gs_target *t = NULL;
			struct gs_err err;
			int r = gs_target_open_pid(pid, &t, &err);

			if (r < 0 && r != -GS_E_GONE)
				fail_msg("%d: %s", r, err.text);
			opened += r == 0;
			gone += r < 0;
			gs_target_free(t);
		}
		end_child(pid);
	}
	print_message("# %zu opened, %zu in between\n", opened, gone);
	assert_true(opened > 100);
}

static void copy_self(const char *to)
{
	char cmd[4400], self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	snprintf(cmd, sizeof(cmd), "cp '%s' '%s'", self, to);
	assert_int_equal(system(cmd), 0);
}

static void test_deleted(void **state)
{
	static const char *const names[] = { "/tmp/gosonde-deleted-test",
					     "/tmp/gosonde-test (deleted)" };

	for (int i = 0; i < 4; i++) {
		const char *name = names[i % 2];
		bool unlinked = i >= 2;
		GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
		pid_t pid;

		copy_self(name);
		pid = run_program(name);
		if (unlinked)
			unlink(name);
		t = open_child(pid);
		assert_string_equal(gs_target_identity(t)->executable, name);
		assert_int_equal(gs_target_identity(t)->exe_deleted, unlinked);
		assert_non_null(gs_target_image(t));
		assert_non_null(gs_target_map_at(t, gs_target_bias(t)));
		unlink(name);
		end_child(pid);
	}
}

/* ---- what cannot be read ---- */

static void test_kernel_thread(void **state)
{
	struct gs_target *t = NULL;
	struct gs_err err;
	char name[32] = "";
	int fd = open("/proc/2/comm", O_RDONLY);
	ssize_t n = read(fd, name, sizeof(name) - 1);

	close(fd);
	if (n <= 0 || strcmp(name, "kthreadd\n") != 0) {
		print_message("# skipped: PID 2 is not kthreadd here (PID namespace)\n");
		skip();
	}
	gs_assert_fails(-GS_E_UNSUPPORTED, "kernel thread", gs_target_open_pid(2, &t, &err), &err);
}

/* pause() in a loop, as a 32-bit i386 program. */
static void test_32_bit(void **state)
{
	static const uint8_t code[] = { 0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7 };
	static const char path[] = "/tmp/gosonde-32-test";
	Elf32_Ehdr eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
			  .e_type = ET_EXEC,
			  .e_machine = EM_386,
			  .e_version = EV_CURRENT,
			  .e_entry = 0x8048000 + sizeof(eh) + sizeof(Elf32_Phdr),
			  .e_phoff = sizeof(eh),
			  .e_ehsize = sizeof(eh),
			  .e_phentsize = sizeof(Elf32_Phdr),
			  .e_phnum = 1 };
	Elf32_Phdr ph = { .p_type = PT_LOAD,
			  .p_vaddr = 0x8048000,
			  .p_filesz = sizeof(eh) + sizeof(ph) + sizeof(code),
			  .p_memsz = sizeof(eh) + sizeof(ph) + sizeof(code),
			  .p_flags = PF_R | PF_X,
			  .p_align = PAGE };
	struct gs_target *t = NULL;
	struct gs_err err;
	int status = 0, fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	pid_t pid;

	assert_int_equal(write(fd, &eh, sizeof(eh)), sizeof(eh));
	assert_int_equal(write(fd, &ph, sizeof(ph)), sizeof(ph));
	assert_int_equal(write(fd, code, sizeof(code)), sizeof(code));
	close(fd);
	pid = run_program(path);
	unlink(path);
	sleep_ms(20);
	if (waitpid(pid, &status, WNOHANG) == pid) {
		print_message("# skipped: this kernel runs no 32-bit programs (status %#x)\n",
			      (unsigned)status);
		skip();
	}
	gs_assert_fails(-GS_E_UNSUPPORTED, "32-bit program", gs_target_open_pid(pid, &t, &err),
			&err);
	end_child(pid);
}

/* Opens PID s->go as user 65534 and reports. */
static void stranger(struct shared *sh)
{
	struct gs_target *t = NULL;
	struct gs_err err = { 0 };

	if (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
	    setresuid(65534, 65534, 65534) < 0)
		_exit(1);
	atomic_store(&sh->result, gs_target_open_pid(atomic_load(&sh->go), &t, &err));
	snprintf(sh->text, sizeof(sh->text), "%s", err.text);
	be_ready(sh);
	pause_forever();
}

static void undumpable(struct shared *sh)
{
	if (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
	    setresuid(65534, 65534, 65534) < 0)
		_exit(1);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	be_ready(sh);
	pause_forever();
}

/* As spawn(), for a stranger who looks at @pid. */
static pid_t look_as_stranger(pid_t pid)
{
	pid_t child;

	memset(s, 0, sizeof(*s));
	atomic_store(&s->go, pid);
	child = fork();
	if (child == 0) {
		stranger(s);
		_exit(0);
	}
	assert_true(wait_for(&s->ready, 1));
	return child;
}

static void test_permission(void **state)
{
	pid_t pid, other;

	if (geteuid() != 0) {
		print_message("# skipped: needs root to become another user\n");
		skip();
	}
	pid = spawn(idle_child, s);
	other = look_as_stranger(pid);
	assert_int_equal(atomic_load(&s->result), -GS_E_PERMISSION);
	assert_non_null(strstr(s->text, "user root, uid 0"));
	assert_non_null(strstr(s->text, "same user or with CAP_SYS_PTRACE"));
	assert_non_null(strstr(s->text, "setcap cap_sys_ptrace+ep"));
	end_child(other);
	end_child(pid);

	pid = spawn(undumpable, s);
	other = look_as_stranger(pid);
	assert_int_equal(atomic_load(&s->result), -GS_E_PERMISSION);
	assert_non_null(strstr(s->text, "not dumpable"));
	end_child(other);
	end_child(pid);
}

/* ---- namespaces ---- */

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(8);
	close(fd);
}

/* A child in its own time namespace, a day and half a second ahead. */
static void time_child(struct shared *sh)
{
	pid_t pid;

	if (unshare(CLONE_NEWTIME) < 0)
		_exit(7);
	write_text("/proc/self/timens_offsets", "monotonic 86400 500000000\n");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		atomic_store(&sh->go, 1);
		for (;;) {
			atomic_store(&sh->now_ns, gs_now_ns());
			sleep_ms(1);
		}
	}
	wait_for(&sh->go, 1);
	atomic_store(&sh->result, pid);
	be_ready(sh);
	waitpid(pid, NULL, 0);
}

static void test_time_namespace(void **state)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	GS_CLEANUP(gs_target_freep) struct gs_target *outer = NULL;
	pid_t pid;

	if (geteuid() != 0 || access("/proc/self/ns/time", F_OK) < 0 || gs_now_ns() < (int64_t)0) {
		print_message("# skipped: needs root and a kernel with time namespaces\n");
		skip();
	}
	pid = spawn(time_child, s);
	if (pid < 0) {
		print_message("# skipped: no time namespace can be made here\n");
		skip();
	}
	t = open_child(atomic_load(&s->result));
	sleep_ms(5);
	assert_in_range(gs_target_now_ns(t) - atomic_load(&s->now_ns) + 1000000000, 900000000,
			2000000000);
	// Its parent made the namespace for children but stayed in ours.
	outer = open_child(pid);
	assert_in_range(gs_now_ns() - gs_target_now_ns(outer) + 1000000000, 999000000, 2000000000);
	kill(atomic_load(&s->result), SIGKILL);
	waitpid(pid, NULL, 0);
}

/* As in a container: own PIDs, own mounts, the executable on a file system that we do not see. */
static void container_child(struct shared *sh)
{
	pid_t pid;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/mnt", "tmpfs", 0, NULL) < 0)
		_exit(8);
	copy_self("/mnt/inner");
	if (unshare(CLONE_NEWPID) < 0)
		_exit(7);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/mnt/inner", "test", "--sleep", (char *)NULL);
		_exit(9);
	}
	atomic_store(&sh->result, pid);
	sleep_ms(30);
	be_ready(sh);
	waitpid(pid, NULL, 0);
}

static void test_container(void **state)
{
	GS_CLEANUP(gs_target_freep) struct gs_target *t = NULL;
	const struct gs_thread *th;
	struct gs_err err;
	pid_t pid;
	size_t n;

	if (geteuid() != 0) {
		print_message("# skipped: needs root to make namespaces\n");
		skip();
	}
	pid = spawn(container_child, s);
	if (pid < 0) {
		print_message("# skipped: no namespaces can be made here\n");
		skip();
	}
	wait_for_exec(atomic_load(&s->result));
	t = open_child(atomic_load(&s->result));
	assert_string_equal(gs_target_identity(t)->executable, "/mnt/inner");
	assert_false(gs_target_identity(t)->exe_deleted);
	assert_int_equal(access("/mnt/inner", F_OK), -1);
	gs_assert_ok(gs_target_threads(t, &th, &n, &err), &err);
	assert_int_equal(n, 1);
	assert_int_equal(th[0].tid, atomic_load(&s->result));
	assert_int_equal(th[0].ns_tid, 1); // the first process of its namespace
	assert_non_null(gs_target_image(t));
	gs_assert_ok(gs_target_alive(t, &err), &err);
	kill(atomic_load(&s->result), SIGKILL);
	waitpid(pid, NULL, 0);
}

static void on_usr1(int sig)
{
	execl("/proc/self/exe", "test", "--sleep", (char *)NULL);
}

/* This program as a target. */
static void be_program(const char *mode)
{
	if (strcmp(mode, "--exec") == 0) {
		signal(SIGUSR1, on_usr1);
		prctl(PR_SET_NAME, "waiting");
		pause_forever();
	}
	prctl(PR_SET_NAME, "sleeping");
	pause_forever();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads),
		cmocka_unit_test(test_many_faults),
		cmocka_unit_test(test_seccomp),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_exec_at_same_addresses),
		cmocka_unit_test(test_open_during_exec),
		cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_kernel_thread),
		cmocka_unit_test(test_32_bit),
		cmocka_unit_test(test_permission),
		cmocka_unit_test(test_time_namespace),
		cmocka_unit_test(test_container),
	};

	if (argc > 1)
		be_program(argv[1]);
	return cmocka_run_group_tests(tests, setup, NULL);
}
