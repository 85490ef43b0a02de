/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_TESTS_FUZZ_FUZZ_H
#define GS_TESTS_FUZZ_FUZZ_H

/*
 * The entry point of each fuzz_NAME.c: called by libFuzzer, and by replay_main.c for each file of
 * the corpus. Always 0.
 */
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
