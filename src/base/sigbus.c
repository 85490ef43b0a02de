/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * SIGBUS on a watched mapping: put an anonymous page over the one that is gone and return, so that
 * the faulting instruction reads zeros. Everything in the handler is async-signal-safe (mmap is a
 * plain system call; the table is fixed and its words are atomic). Other SIGBUS die as always.
 */
#include "base/sigbus.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS 256

static struct {
	_Atomic uintptr_t base; /* 0: free, 1: being filled in */
	_Atomic size_t size;
	_Atomic bool hit;
} slots[SLOTS];

static void on_sigbus(int sig, siginfo_t *si, void *uc)
{
	uintptr_t at = (uintptr_t)si->si_addr, page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)uc; /* the signature is fixed by sigaction */
	for (size_t i = 0; i < SLOTS; i++) {
		uintptr_t base = atomic_load(&slots[i].base);

		if (base <= 1 || at < base || at - base >= atomic_load(&slots[i].size))
			continue;
		if (mmap((void *)(at & ~(page - 1)), page, PROT_READ,
			 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			break;
		atomic_store(&slots[i].hit, true);
		return;
	}
	signal(sig, SIG_DFL);
	raise(sig);
}

void gs_sigbus_install(void)
{
	struct sigaction sa = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGBUS, &sa, NULL);
}

int gs_sigbus_watch(const void *base, size_t size)
{
	for (int i = 0; i < SLOTS; i++) {
		uintptr_t none = 0;

		if (!atomic_compare_exchange_strong(&slots[i].base, &none, 1))
			continue;
		atomic_store(&slots[i].size, size);
		atomic_store(&slots[i].hit, false);
		atomic_store(&slots[i].base, (uintptr_t)base);
		return i;
	}
	return -1;
}

bool gs_sigbus_hit(int slot)
{
	return slot >= 0 && atomic_load(&slots[slot].hit);
}

void gs_sigbus_forget(int slot)
{
	if (slot >= 0)
		atomic_store(&slots[slot].base, 0);
}
