/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* --dry-run: the plan of probes as a table or as JSON (schema gosonde.plan/1). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json_writer.h"
#include "cli/stream_args.h"
#include "cli/terminal.h"

static const char *trap_name(const struct gs_probe_site *s)
{
	if (s->program >= GS_PROG_UPROBES)
		return "none";
	return s->emulated ? "emulated" : "single-step";
}

static void cell(struct gs_out *o, const char *s, unsigned int width)
{
	unsigned int n = gs_text_cell(o, s, strlen(s), 0);

	for (; n < width; n++)
		gs_out_char(o, ' ');
	gs_out_char(o, ' ');
}

static void print_text(struct gs_out *o, const struct gs_probe_plan *plan,
		       const struct gs_probe_costs *costs)
{
	unsigned int width = 8;

	for (uint32_t i = 0; i < plan->n_sites; i++) {
		unsigned int n =
			gs_text_columns(plan->site[i].function, strlen(plan->site[i].function));

		width = n > width ? n : width;
	}
	cell(o, "FUNCTION", width);
	gs_out_str(o, "PLACE      TRAP        FILE OFFSET NS/HIT GROUP\n");
	for (uint32_t i = 0; i < plan->n_sites; i++) {
		const struct gs_probe_site *s = &plan->site[i];
		char offset[24] = "-";

		if (s->program < GS_PROG_UPROBES)
			snprintf(offset, sizeof(offset), "%#" PRIx64, s->file_offset);
		cell(o, s->function, width);
		gs_out_printf(o, "%-10s %-11s %11s %6.0f %s\n",
			      gs_probe_placement_name(s->placement), trap_name(s), offset,
			      gs_probe_site_cost_ns(costs, s, plan->config.want),
			      gs_probe_group_name(s->group));
	}
	for (uint32_t i = 0; i < plan->n_refused; i++) {
		gs_out_str(o, "not attached: ");
		gs_out_name(o, plan->refused[i].function, strlen(plan->refused[i].function));
		gs_out_str(o, ": ");
		gs_out_name(o, plan->refused[i].why, strlen(plan->refused[i].why));
		gs_out_char(o, '\n');
	}
	gs_out_printf(o, "%u places; costs %s\n", plan->n_sites,
		      costs->measured ? "measured on this machine"
				      : "of a typical machine: measuring needs the privileges of "
					"attaching");
}

static void json_site(struct gs_json *j, const struct gs_probe_site *s,
		      const struct gs_probe_costs *costs, uint32_t want)
{
	gs_json_open_object(j);
	gs_json_kv_string(j, "function", s->function);
	gs_json_kv_string(j, "placement", gs_probe_placement_name(s->placement));
	gs_json_kv_string(j, "trap", trap_name(s));
	if (s->program < GS_PROG_UPROBES) {
		gs_json_key(j, "address");
		gs_json_hex(j, s->addr);
		gs_json_key(j, "file_offset");
		gs_json_hex(j, s->file_offset);
	}
	gs_json_key(j, "cost_seconds");
	gs_json_double(j, gs_probe_site_cost_ns(costs, s, want) / 1e9);
	gs_json_kv_string(j, "group", gs_probe_group_name(s->group));
	gs_json_close(j);
}

static void print_json(struct gs_out *o, const struct gs_process *process,
		       const struct gs_probe_plan *plan, const struct gs_probe_costs *costs)
{
	struct gs_json j;

	gs_json_init(&j, o, false);
	gs_json_open_object(&j);
	gs_json_kv_string(&j, "schema", "gosonde.plan/1");
	gs_process_json(&j, process);
	gs_json_kv_bool(&j, "costs_measured", costs->measured);
	gs_json_key(&j, "probes");
	gs_json_open_array(&j);
	for (uint32_t i = 0; i < plan->n_sites; i++)
		json_site(&j, &plan->site[i], costs, plan->config.want);
	gs_json_close(&j);
	gs_json_key(&j, "incomplete");
	gs_json_open_array(&j);
	for (uint32_t i = 0; i < plan->n_refused; i++) {
		gs_json_open_object(&j);
		gs_json_kv_string(&j, "what", "probes_refused");
		gs_json_kv_u64(&j, "count", 1);
		gs_json_kv_string(&j, "function", plan->refused[i].function);
		gs_json_kv_string(&j, "why", plan->refused[i].why);
		gs_json_close(&j);
	}
	gs_json_close(&j);
	gs_json_close(&j);
	gs_out_char(o, '\n');
}

void gs_stream_plan_print(struct gs_out *o, bool json, const struct gs_process *process,
			  const struct gs_probe_plan *plan, const struct gs_probe_costs *costs)
{
	if (json)
		print_json(o, process, plan, costs);
	else
		print_text(o, plan, costs);
}
