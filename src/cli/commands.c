/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The list of commands, in the order of help. */
#include "cli/cmd.h"

extern const struct gs_cmd gs_cmd_doctor, gs_cmd_dump, gs_cmd_help, gs_cmd_inspect, gs_cmd_leaks,
	gs_cmd_mem, gs_cmd_ps, gs_cmd_record, gs_cmd_top, gs_cmd_trace, gs_cmd_why;

const struct gs_cmd *const gs_commands[] = {
	&gs_cmd_ps,     &gs_cmd_inspect, &gs_cmd_dump,  &gs_cmd_top,    &gs_cmd_why,  &gs_cmd_trace,
	&gs_cmd_record, &gs_cmd_mem,     &gs_cmd_leaks, &gs_cmd_doctor, &gs_cmd_help, NULL,
};
