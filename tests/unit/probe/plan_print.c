/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Prints the probes that src/probe plans for a binary, as JSON:
 *
 *	plan_print [--want BITS] [--function NAME]... [--pid PID] FILE
 *
 * Addresses are link-time ones. With a process that runs FILE, its code is compared with the file.
 * Memory is read with process_vm_readv here, so that src/target is not in the way. The time that
 * planning took goes to stderr.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "base/out.h"
#include "golang/buildinfo.h"
#include "golang/moduledata.h"
#include "golang/pclntab.h"
#include "image/image.h"
#include "probe/plan.h"

struct program {
	struct gs_image *img;
	struct gs_arena *arena;
	struct gs_go_pclntab *tab;
	struct gs_go_layout layout;
	struct gs_go_buildinfo build;
	int fd;
	pid_t pid; /* 0: file only */
	uint64_t bias;
};

static int read_pid(void *ctx, struct gs_read *reads, size_t n, struct gs_err *err)
{
	const struct program *p = ctx;

	for (size_t i = 0; i < n; i++) {
		struct iovec to = { .iov_base = reads[i].buf, .iov_len = reads[i].len };
		struct iovec from = { .iov_base = (void *)reads[i].addr, .iov_len = reads[i].len };

		if (process_vm_readv(p->pid, &to, 1, &from, 1, 0) == (ssize_t)reads[i].len)
			reads[i].result = 0;
		else
			reads[i].result = -GS_E_FAULT;
		if (reads[i].result < 0 && errno == ESRCH)
			return gs_fail(err, -GS_E_GONE, 0, "the process is gone");
	}
	return 0;
}

/* Where the file's first byte is mapped, less where it wants to be. */
static int find_bias(struct program *p)
{
	char line[4096], path[64];
	struct stat st;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", p->pid);
	f = fopen(path, "re");
	if (!f || fstat(p->fd, &st) < 0)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		uint64_t start, offset, ino;

		if (sscanf(line, "%" SCNx64 "-%*x %*s %" SCNx64 " %*s %" SCNu64, &start, &offset,
			   &ino) == 3 &&
		    ino == st.st_ino && offset == 0) {
			p->bias = start - (gs_image_info(p->img)->base & ~0xfffULL);
			fclose(f);
			return 0;
		}
	}
	fclose(f);
	return -1;
}

static int open_program(struct program *p, const char *file, struct gs_err *err)
{
	struct gs_cursor bytes, c, gofunc;
	struct gs_go_moduledata md;
	gs_addr addr;
	int r;

	p->fd = open(file, O_RDONLY | O_CLOEXEC);
	if (p->fd < 0)
		return gs_fail(err, -errno, 0, "%s: %s", file, strerror(errno));
	r = gs_image_open_fd(p->fd, file, &p->img, err);
	if (r < 0)
		return r;
	if (p->pid && find_bias(p) < 0)
		return gs_fail(err, -GS_E_NOT_FOUND, 0, "process %d does not run %s", p->pid, file);
	r = gs_go_buildinfo_read(p->img, p->arena, &p->build, err);
	if (r == 0)
		r = gs_go_layout_for(&p->build.release, gs_image_info(p->img)->arch, &p->layout,
				     err);
	if (r < 0)
		return r;
	r = gs_go_pclntab_find(p->img, &bytes, &addr, err);
	if (r == 0)
		r = gs_go_moduledata_find(p->img, p->layout.minor, &bytes, addr, &md, err);
	if (r != 0)
		return r < 0 ? r : gs_fail(err, -GS_E_NOT_GO, 0, "no Go tables in %s", file);
	if (gs_image_at(p->img, md.gofunc, &c, err) != 0 ||
	    gs_cursor_sub(&c, gs_cursor_left(&c), &gofunc, err) < 0)
		return gs_fail(err, -GS_E_BAD_DATA, md.gofunc, "no inlining data in %s", file);
	return gs_go_pclntab_open(&bytes, p->layout.minor, md.text + p->bias, &gofunc, &p->tab,
				  err);
}

static void print_sites(struct gs_json *j, const struct program *p,
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

static void print_config(struct gs_json *j, const struct program *p, const struct gs_wire_config *c)
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

static int print(const struct program *p, const struct gs_probe_plan *plan, struct gs_err *err)
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

static int run(struct program *p, const char *file, const struct gs_probe_wish *wish,
	       struct gs_err *err)
{
	const struct gs_memory mem = { .readv = read_pid, .ctx = p };
	static struct gs_probe_plan plan;
	int64_t start;
	int r = open_program(p, file, err);

	if (r < 0)
		return r;
	start = gs_now_ns();
	r = gs_probe_plan_make(
		&(struct gs_probe_binary){
			.image = p->img,
			.tab = p->tab,
			.layout = &p->layout,
			.build = &p->build,
			.mem = p->pid ? &mem : NULL,
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
	struct program p = { .arena = gs_arena_new(0), .fd = -1 };
	struct gs_err err;
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'w')
			wish.want = (uint32_t)strtoul(optarg, NULL, 0);
		else if (c == 'p')
			p.pid = atoi(optarg);
		else if (c == 'f' && wish.n_functions < GS_ARRAY_SIZE(functions))
			functions[wish.n_functions++] = optarg;
		else
			return 2;
	}
	if (optind + 1 != argc)
		return 2;
	if (wish.n_functions)
		wish.want |= GS_PROBE_WANT_FUNCTIONS;
	r = run(&p, argv[optind], &wish, &err);
	if (r < 0)
		fprintf(stderr, "plan_print: %s\n", err.text);
	gs_go_pclntab_free(p.tab);
	gs_image_free(p.img);
	gs_arena_free(p.arena);
	gs_closep(&p.fd);
	return r < 0 ? 1 : 0;
}
