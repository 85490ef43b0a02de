/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * why as one JSON object, schema "gosonde.why/1":
 *
 *	{"schema","process":{…},"taken_at","watched_seconds",
 *	 "requests":{"count","duration_seconds":{"p50","p90","p99","max"},"sum_seconds","of":"requests|functions",
 *	             "sampled","begun_before","aborted","uncertain","unfinished","classes":{"CLASS":seconds}},
 *	 "slow":{"from_seconds","asked","count","sum_seconds","stands_out"},
 *	 "causes":[CAUSE],"machine":CAUSE|null,
 *	 "routes":[{"route","count","failed","slow","slow_from_seconds","duration_seconds":{…},"sum_seconds","classes":{…},"typical":REQUEST|null}],
 *	 "slowest":[REQUEST],"unfinished":[REQUEST],
 *	 "overhead":{"target_cpu_share","target_cpu_seconds","cost_seconds","max_share","thinned",
 *	             "probes":[{"name","placement","hits","cost_seconds","detached"}]},
 *	 "incomplete":[{"what","count","why"}]}
 *
 *	CAUSE:   {WHAT,"seconds","share","all_seconds","requests","route","route_seconds","route_share","stands_out",
 *	          "frames":[frame],"via":[{WHAT,"seconds"}|{"itself":true,…}]}
 *	REQUEST: {"route","method","path","goroutine_id","begin_seconds","duration_seconds","status","peer",
 *	          "unfinished","aborted","uncertain","cut","classes":{…},"blame":[BLAME]}
 *	BLAME:   {WHAT,"seconds","share","count","frames":[frame],"kernel_frames":[frame],
 *	          "holder":{"id","seconds","frames":[frame]}|null,"holders":[…],"cause":[BLAME]}
 *	WHAT:    "class","where":frame|null,"near","called_by","object","object_name","many_objects","syscall","file","peer","protocol",
 *	         "runnable","busy"
 *
 * classes has only those that are not zero. In BLAME and WHAT, what does not apply is left out; but where, holder
 * and peer are always there, and null if not known. share is of the level above. begin_seconds counts from the beginning of watching.
 */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/json_writer.h"
#include "export/frame_words.h"
#include "export/why_export.h"

struct json {
	struct gs_json *j;
	const struct gs_why_result *r;
	unsigned int go_minor;
};

static void seconds(struct gs_json *j, const char *key, int64_t ns)
{
	gs_json_key(j, key);
	gs_json_seconds(j, ns);
}

static void share(struct gs_json *j, const char *key, int64_t part, int64_t whole)
{
	gs_json_key(j, key);
	gs_json_double(j, whole > 0 ? (double)part / (double)whole : 0);
}

static void flag(struct gs_json *j, const char *key, bool set)
{
	if (set)
		gs_json_kv_bool(j, key, true);
}

static void text_or_null(struct gs_json *j, const char *key, const char *s)
{
	gs_json_kv_string(j, key, s && s[0] ? s : NULL);
}

static void frames(const struct json *t, const char *key, const struct gs_stack *s)
{
	gs__frames_json(t->j, key, s ? s->frames : NULL, s ? s->n_frames : 0, t->go_minor);
}

static void classes(struct gs_json *j, const int64_t *ns)
{
	gs_json_key(j, "classes");
	gs_json_open_object(j);
	for (int c = 0; c < GS_WHY_CLASSES; c++)
		if (ns[c])
			seconds(j, gs_why_class_name((enum gs_why_class)c), ns[c]);
	gs_json_close(j);
}

static void durations(struct gs_json *j, const struct gs_why_spread *s)
{
	gs_json_key(j, "duration_seconds");
	gs_json_open_object(j);
	if (s->count) {
		seconds(j, "p50", s->p50_ns);
		seconds(j, "p90", s->p90_ns);
		seconds(j, "p99", s->p99_ns);
		seconds(j, "max", s->max_ns);
	}
	gs_json_close(j);
	seconds(j, "sum_seconds", s->sum_ns);
}

static void peer(struct gs_json *j, const struct gs_file_ref *f)
{
	char address[INET6_ADDRSTRLEN] = "";

	gs_json_key(j, "peer");
	if (!f || !f->family) {
		gs_json_null(j);
		return;
	}
	if (f->family == AF_INET || f->family == AF_INET6)
		inet_ntop(f->family, f->peer_addr, address, sizeof(address));
	gs_json_open_object(j);
	gs_json_kv_string(j, "family",
			  f->family == AF_INET    ? "inet"
			  : f->family == AF_INET6 ? "inet6"
			  : f->family == AF_UNIX  ? "unix"
						  : "other");
	text_or_null(j, "address", address);
	if (f->peer_port)
		gs_json_kv_u64(j, "port", f->peer_port);
	gs_json_close(j);
}

static void file(struct gs_json *j, const struct gs_file_ref *f)
{
	const char *type = S_ISREG(f->mode)    ? "file"
			   : S_ISDIR(f->mode)  ? "directory"
			   : S_ISFIFO(f->mode) ? "pipe"
			   : S_ISCHR(f->mode)  ? "device"
			   : S_ISBLK(f->mode)  ? "block device"
					       : "other";

	gs_json_key(j, "file");
	gs_json_open_object(j);
	gs_json_kv_string(j, "type", type);
	gs_json_key(j, "name");
	if (f->name[0])
		gs_json_string_n(j, f->name, strnlen(f->name, sizeof(f->name)));
	else
		gs_json_null(j);
	gs_json_close(j);
}

static void optional_frame(const struct json *t, const char *key, const struct gs_frame *f)
{
	if (!f)
		return;
	gs_json_key(t->j, key);
	gs__frame_json(t->j, f, t->go_minor);
}

static void what(const struct json *t, const struct gs_why_what *w)
{
	struct gs_json *j = t->j;

	gs_json_kv_string(j, "class", gs_why_class_name(w->class));
	gs_json_key(j, "where");
	if (w->where)
		gs__frame_json(t->j, w->where, t->go_minor);
	else
		gs_json_null(j);
	flag(j, "near", w->near);
	optional_frame(t, "called_by", w->from);
	if (w->object) {
		gs_json_key(j, "object");
		gs_json_hex(j, w->object);
	}
	if (w->object || w->object_name)
		text_or_null(j, "object_name", w->object_name);
	flag(j, "many_objects", w->many_objects);
	if (w->syscall)
		gs_json_kv_string(j, "syscall", w->syscall);
	if (w->file && !w->file->family)
		file(j, w->file);
	peer(j, w->file);
	if (w->protocol)
		gs_json_kv_string(j, "protocol", w->protocol);
	if (w->runnable)
		gs_json_kv_u64(j, "runnable", w->runnable);
	optional_frame(t, "busy", w->busy);
}

static void holder(const struct json *t, const struct gs_why_holder *h)
{
	gs_json_open_object(t->j);
	gs_json_kv_u64(t->j, "id", h->goid);
	seconds(t->j, "seconds", h->ns);
	frames(t, "frames", h->stack);
	gs_json_close(t->j);
}

static void holders(const struct json *t, const struct gs_why_blame *b)
{
	gs_json_key(t->j, "holder");
	if (b->n_holders)
		holder(t, &b->holder[0]);
	else
		gs_json_null(t->j);
	if (b->n_holders > 1) {
		gs_json_key(t->j, "holders");
		gs_json_open_array(t->j);
		for (uint32_t i = 0; i < b->n_holders; i++)
			holder(t, &b->holder[i]);
		gs_json_close(t->j);
	}
	flag(t->j, "more_holders", b->more_holders);
	flag(t->j, "holder_unseen", b->holder_unseen);
}

/* Depth is bounded where trees are made (analysis/blame.c). */
static void blame(const struct json *t, const char *key, const struct gs_why_blame *b, uint32_t n,
		  int64_t whole)
{
	struct gs_json *j = t->j;

	gs_json_key(j, key);
	gs_json_open_array(j);
	for (uint32_t i = 0; i < n; i++) {
		gs_json_open_object(j);
		what(t, &b[i].what);
		seconds(j, "seconds", b[i].ns);
		share(j, "share", b[i].ns, whole);
		gs_json_kv_u64(j, "count", b[i].count);
		flag(j, "cut", b[i].cut);
		frames(t, "frames", b[i].stack);
		if (b[i].kernel_stack)
			frames(t, "kernel_frames", b[i].kernel_stack);
		holders(t, &b[i]);
		blame(t, "cause", b[i].cause, b[i].n_causes, b[i].ns);
		gs_json_close(j);
	}
	gs_json_close(j);
}

static void request(const struct json *t, const struct gs_why_request *q)
{
	struct gs_json *j = t->j;

	gs_json_open_object(j);
	gs_json_kv_string(j, "route", q->route);
	text_or_null(j, "method", q->method);
	text_or_null(j, "path", q->path);
	gs_json_kv_u64(j, "goroutine_id", q->goid);
	seconds(j, "begin_seconds", q->begin_ns - t->r->begin_ns);
	seconds(j, "duration_seconds", q->duration_ns);
	gs_json_key(j, "status");
	if (q->status >= 0)
		gs_json_i64(j, q->status);
	else
		gs_json_null(j);
	text_or_null(j, "peer", q->peer);
	flag(j, "unfinished", q->flags & GS_WHY_UNFINISHED);
	flag(j, "began_before", q->flags & GS_WHY_BEFORE);
	flag(j, "aborted", q->flags & GS_WHY_ABORTED);
	flag(j, "uncertain", q->flags & GS_WHY_UNCERTAIN);
	flag(j, "cut", q->flags & GS_WHY_CUT);
	classes(j, q->classes);
	blame(t, "blame", q->blame, q->n_blame, q->duration_ns);
	gs_json_close(j);
}

static void requests(const struct json *t, const char *key, const struct gs_why_request *q,
		     uint32_t n)
{
	gs_json_key(t->j, key);
	gs_json_open_array(t->j);
	for (uint32_t i = 0; i < n; i++)
		request(t, &q[i]);
	gs_json_close(t->j);
}

static void totals(const struct json *t)
{
	const struct gs_why_result *r = t->r;
	struct gs_json *j = t->j;

	gs_json_key(j, "requests");
	gs_json_open_object(j);
	gs_json_kv_u64(j, "count", r->duration.count);
	durations(j, &r->duration);
	gs_json_kv_string(j, "of", r->functions ? "functions" : "requests");
	gs_json_kv_u64(j, "sampled", r->sampled);
	gs_json_kv_u64(j, "begun_before", r->begun_before);
	gs_json_kv_u64(j, "aborted", r->aborted);
	gs_json_kv_u64(j, "uncertain", r->uncertain);
	gs_json_kv_u64(j, "unfinished", r->unfinished_total);
	classes(j, r->classes);
	gs_json_close(j);
	gs_json_key(j, "slow");
	gs_json_open_object(j);
	seconds(j, "from_seconds", r->slow_ns);
	gs_json_kv_bool(j, "asked", r->slow_asked);
	gs_json_kv_u64(j, "count", r->slow);
	seconds(j, "sum_seconds", r->slow_sum_ns);
	gs_json_kv_bool(j, "stands_out", r->stands_out);
	gs_json_close(j);
}

static void via(const struct json *t, const struct gs_why_cause *c)
{
	gs_json_key(t->j, "via");
	gs_json_open_array(t->j);
	for (uint32_t i = 0; i < c->n_vias; i++) {
		gs_json_open_object(t->j);
		flag(t->j, "itself", c->via[i].itself);
		what(t, &c->via[i].what);
		seconds(t->j, "seconds", c->via[i].ns);
		gs_json_close(t->j);
	}
	gs_json_close(t->j);
}

static void cause(const struct json *t, const struct gs_why_cause *c)
{
	struct gs_json *j = t->j;

	gs_json_open_object(j);
	what(t, &c->what);
	seconds(j, "seconds", c->ns);
	gs_json_key(j, "share");
	gs_json_double(j, c->share);
	seconds(j, "all_seconds", c->all_ns);
	gs_json_kv_u64(j, "requests", c->requests);
	text_or_null(j, "route", c->route);
	seconds(j, "route_seconds", c->route_ns);
	gs_json_key(j, "route_share");
	gs_json_double(j, c->route_share);
	gs_json_kv_bool(j, "stands_out", c->stands_out);
	frames(t, "frames", c->stack);
	via(t, c);
	gs_json_close(j);
}

static void causes(const struct json *t)
{
	const struct gs_why_result *r = t->r;
	struct gs_json *j = t->j;

	gs_json_key(j, "causes");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < r->n_causes; i++)
		cause(t, &r->causes[i]);
	gs_json_close(j);
	gs_json_key(j, "machine");
	if (r->machine)
		cause(t, r->machine);
	else
		gs_json_null(j);
}

static void routes(const struct json *t)
{
	const struct gs_why_result *r = t->r;
	struct gs_json *j = t->j;

	gs_json_key(j, "routes");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < r->n_routes; i++) {
		const struct gs_why_route *x = &r->routes[i];

		gs_json_open_object(j);
		gs_json_kv_string(j, "route", x->route);
		gs_json_kv_u64(j, "count", x->duration.count);
		gs_json_kv_u64(j, "failed", x->failed);
		gs_json_kv_u64(j, "slow", x->slow);
		gs_json_key(j, "slow_from_seconds");
		if (x->slow_ns)
			gs_json_seconds(j, x->slow_ns);
		else
			gs_json_null(j);
		durations(j, &x->duration);
		classes(j, x->classes);
		gs_json_key(j, "typical");
		if (x->typical)
			request(t, x->typical);
		else
			gs_json_null(j);
		gs_json_close(j);
	}
	gs_json_close(j);
}

static void overhead(const struct json *t)
{
	const struct gs_stream_stats *s = t->r->stats;
	struct gs_json *j = t->j;

	gs_json_key(j, "overhead");
	if (!s) {
		gs_json_null(j);
		return;
	}
	gs_json_open_object(j);
	share(j, "target_cpu_share", s->target_cost_ns, s->target_cpu_ns);
	seconds(j, "target_cpu_seconds", s->target_cpu_ns);
	seconds(j, "cost_seconds", s->target_cost_ns);
	gs_json_key(j, "max_share");
	gs_json_double(j, s->max_overhead);
	gs_json_kv_u64(j, "thinned", (uint64_t)1 << (s->thinned_log2 & 63));
	gs_json_key(j, "probes");
	gs_json_open_array(j);
	for (uint32_t i = 0; i < s->n_probes && i < GS_PROBES_MAX; i++) {
		const struct gs_probe_cost *p = &s->probe[i];

		gs_json_open_object(j);
		text_or_null(j, "name", p->name);
		text_or_null(j, "placement", p->placement);
		gs_json_kv_u64(j, "hits", p->hits);
		seconds(j, "cost_seconds", (int64_t)((double)p->hits * p->cost_ns));
		gs_json_kv_bool(j, "detached", p->detached);
		gs_json_close(j);
	}
	gs_json_close(j);
	gs_json_close(j);
}

void gs_why_json(struct gs_out *o, const struct gs_why_result *r, const struct gs_why_print *p)
{
	const struct gs_process none = { 0 };
	const struct gs_process *process = r->process ? r->process : &none;
	struct gs_json j;
	struct json t = { .j = &j, .r = r, .go_minor = gs_go_version_minor(process->go_version) };

	gs_json_init(&j, o, p->pretty);
	gs_json_open_object(&j);
	gs_json_kv_string(&j, "schema", "gosonde.why/1");
	gs_process_json(&j, process);
	gs_json_key(&j, "taken_at");
	gs_json_time(&j, r->begin_unix_ns > 0 ? (uint64_t)r->begin_unix_ns : 0);
	seconds(&j, "watched_seconds", r->watched_ns);
	totals(&t);
	causes(&t);
	routes(&t);
	requests(&t, "slowest", r->slowest, r->n_slowest);
	requests(&t, "unfinished", r->unfinished, r->n_unfinished);
	overhead(&t);
	gs_incomplete_json(&j, r->incomplete);
	gs_json_close(&j);
	if (!p->pretty)
		gs_out_char(o, '\n');
}
