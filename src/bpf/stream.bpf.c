/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Kernel half of the stream lens: one object, one program per kind of site (enum gs_probe_program of
 * src/probe/plan.h), in parts by subject. The contract with the user half is stream.wire.h.
 */
#include "kernel.h"

#include <bpf/bpf_helpers.h>

#include "stream_goroutines.bpf.h"
#include "stream_kernel.bpf.h"
#include "stream_requests.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
