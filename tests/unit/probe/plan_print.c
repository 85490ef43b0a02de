/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Prints the probes that src/probe plans for a binary, as JSON:
 *
 *	plan_print [--want BITS] [--function NAME]... [--pid PID] FILE
 *
 * Addresses are link-time ones. With a process that runs FILE, its code is compared with the file. The
 * time that planning took goes to stderr.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/out.h"
#include "go_program.h"
#include "probe/plan.h"

static void print_sites(struct gs_json *j, const struct go_program *p,
			const struct gs_probe_plan *plan)
{
	gs_json_key(j, "sites");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < plan->n_sites; i++) {
		const struct gs_probe_site *s = &plan->site[i];

		gs_json_open_object(j);
		gs_json_kv_u64(j, "program", (uint64_t)s->program);
		gs_json_kv_string(j, "placement", gs_probe_placement_name(s->placement));
		gs_json_kv_string(j, "group", gs_probe_group_name(s->group));
		gs_json_kv_string(j, "function", s->function);
		gs_json_kv_u64(j, "addr", s->addr ? s->addr - p->bias : 0);
		gs_json_kv_u64(j, "file_offset", s->file_offset);
		gs_json_kv_u64(j, "arg", s->arg);
		gs_json_kv_bool(j, "emulated", s->emulated);
		gs_json_close(j);
	}
	gs_json_close(j);
}

static void print_config(struct gs_json *j, const struct go_program *p,
			 const struct gs_wire_config *c)
{
	const struct {
		const char *name;
		int32_t value;
	} offsets[] = {
#define OFFSET(name) { #name, c->name }
		OFFSET(g_goid),
		OFFSET(g_m),
		OFFSET(g_waiting),
		OFFSET(g_parent_goid),
		OFFSET(m_p),
		OFFSET(sudog_elem),
		OFFSET(sudog_c),
		OFFSET(hchan_lock),
		OFFSET(pd_fd),
		OFFSET(pd_rg),
		OFFSET(pd_wg),
		OFFSET(request_method),
		OFFSET(request_pattern),
		OFFSET(request_remote_addr),
		OFFSET(conn_response),
		OFFSET(response_status),
		OFFSET(response_written),
		OFFSET(h2_writer_state),
		OFFSET(h2_state_status),
		OFFSET(h2_state_req),
		OFFSET(h2_state_bytes),
		OFFSET(xnet_writer_state),
		OFFSET(xnet_state_status),
		OFFSET(xnet_state_req),
		OFFSET(xnet_state_bytes),
		OFFSET(grpc_stream_inner),
		OFFSET(grpc_stream_method),
		OFFSET(grpc_status_proto),
		OFFSET(grpc_proto_code),
	};
	const struct {
		const char *name;
		uint64_t value;
	} ranges[] = {
		{ "newproc_lo", c->newproc_lo }, { "newproc_hi", c->newproc_hi },
		{ "goyield_lo", c->goyield_lo }, { "goyield_hi", c->goyield_hi },
		{ "ready_lo", c->ready_lo },     { "ready_hi", c->ready_hi },
		{ "text_lo", c->text_lo },       { "text_hi", c->text_hi },
	};

	gs_json_key(j, "config");
	gs_json_open_object(j);
	for (size_t i = 0; i < GS_ARRAY_SIZE(offsets); i++)
		gs_json_kv_i64(j, offsets[i].name, offsets[i].value);
	for (size_t i = 0; i < GS_ARRAY_SIZE(ranges); i++)
		gs_json_kv_u64(j, ranges[i].name, ranges[i].value ? ranges[i].value - p->bias : 0);
	gs_json_key(j, "reasons");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < p->layout.n_wait_reasons && i < GS_ARRAY_SIZE(c->reason); i++)
		gs_json_u64(j, c->reason[i]);
	gs_json_close(j);
	gs_json_close(j);
}

static int print(const struct go_program *p, const struct gs_probe_plan *plan, struct gs_err *err)
{
	struct gs_out out;
	struct gs_json j;
	int r;

	gs_out_init_fd(&out, STDOUT_FILENO);
	gs_json_init(&j, &out, true);
	gs_json_open_object(&j);
	gs_json_kv_string(&j, "go", p->build.version);
	print_sites(&j, p, plan);
	gs_json_key(&j, "functions");
	gs_json_open_array(&j);
	for (uint32_t i = 0; i < plan->n_functions; i++)
		gs_json_string(&j, plan->function[i]);
	gs_json_close(&j);
	gs_json_key(&j, "refused");
	gs_json_open_array(&j);
	for (uint32_t i = 0; i < plan->n_refused; i++) {
		gs_json_open_object(&j);
		gs_json_kv_string(&j, "function", plan->refused[i].function);
		gs_json_kv_string(&j, "why", plan->refused[i].why);
		gs_json_close(&j);
	}
	gs_json_close(&j);
	print_config(&j, p, &plan->config);
	gs_json_close(&j);
	r = gs_out_flush(&out, "stdout", err);
	gs_out_deinit(&out);
	return r;
}

static int run(const struct go_program *p, const struct gs_probe_wish *wish, struct gs_err *err)
{
	static struct gs_probe_plan plan;
	int64_t start = gs_now_ns();
	int r;

	r = gs_probe_plan_make(
		&(struct gs_probe_binary){
			.image = p->img,
			.tab = p->tab,
			.layout = &p->layout,
			.build = &p->build,
			.mem = p->pid ? &p->mem : NULL,
			.bias = p->bias,
			.exe_fd = p->fd,
		},
		wish, &plan, err);
	fprintf(stderr, "%" PRId64 " us\n", (gs_now_ns() - start) / 1000);
	return r < 0 ? r : print(p, &plan, err);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "want", required_argument, NULL, 'w' },
		{ "function", required_argument, NULL, 'f' },
		{ "pid", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	const char *functions[GS_PLAN_FUNCTIONS_MAX + 1];
	struct gs_probe_wish wish = { .want = UINT32_MAX & ~GS_PROBE_WANT_FUNCTIONS,
				      .functions = functions };
	struct go_program p;
	struct gs_err err;
	pid_t pid = 0;
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'w')
			wish.want = (uint32_t)strtoul(optarg, NULL, 0);
		else if (c == 'p')
			pid = atoi(optarg);
		else if (c == 'f' && wish.n_functions < GS_ARRAY_SIZE(functions))
			functions[wish.n_functions++] = optarg;
		else
			return 2;
	}
	if (optind + 1 != argc)
		return 2;
	if (wish.n_functions)
		wish.want |= GS_PROBE_WANT_FUNCTIONS;
	r = go_program_open(&p, argv[optind], pid, &err);
	if (r == 0)
		r = run(&p, &wish, &err);
	if (r < 0)
		fprintf(stderr, "plan_print: %s\n", err.text);
	go_program_close(&p);
	return r < 0 ? 1 : 0;
}
