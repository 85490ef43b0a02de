/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GS_BPF_STREAM_REQUESTS_H
#define GS_BPF_STREAM_REQUESTS_H

/*
 * Requests of net/http and google.golang.org/grpc servers and calls of watched functions; what the runtime does in
 * between: collector phases, assists, C code. A request is recorded on the goroutine that handles it. Field
 * offsets come from the planner; -1 where the release or the binary does not tell.
 */
#include "stream_stack.bpf.h"
#include "stream_thread.bpf.h"

/* Go string at @addr into @dst. @return its length, cut at @max. */
GS_INLINE uint8_t gs_text(struct gs_hit *h, char *dst, uint32_t max, uint64_t addr)
{
	struct {
		uint64_t data, len;
	} s;

	if (gs_read(h, &s, sizeof(s), addr) < 0 || !s.data || !s.len)
		return 0;
	if (s.len > max)
		s.len = max;
	if (gs_read(h, dst, s.len, s.data) < 0)
		return 0;
	return s.len;
}

GS_INLINE void gs_call_fill(struct gs_hit *h, struct gs_wire_call *rec, uint64_t sp, uint8_t call)
{
	gs_usage_take(h, &rec->usage);
	rec->sp = sp;
	rec->call = call;
	rec->method_len = 0;
	rec->pattern_len = 0;
	rec->path_len = 0;
	rec->peer_len = 0;
	rec->function = 0;
	rec->status = -1;
	rec->bytes = -1;
}

GS_INLINE void gs_call_submit(struct gs_hit *h, struct gs_wire_call *rec, uint8_t kind,
			      uint16_t size, uint64_t goid)
{
	uint32_t seq = gs_sequence(h, GS_WIRE_RING_GO);

	gs_head_fill(h, &rec->h, kind, size, seq, goid, 0);
	bpf_ringbuf_submit(rec, gs_wake(&ring_go, GS_WIRE_RING_GO, seq));
}

/* What both ends tell of an *http.Request. */
GS_INLINE void gs_request_fill(struct gs_hit *h, struct gs_wire_call *rec, uint64_t request)
{
	uint64_t url;

	if (gs_config.request_method >= 0)
		rec->method_len = gs_text(h, rec->method, sizeof(rec->method),
					  request + gs_config.request_method);
	if (gs_config.request_url >= 0 && gs_config.url_path >= 0) {
		url = gs_word(h, request + gs_config.request_url);
		if (url)
			rec->path_len =
				gs_text(h, rec->path, sizeof(rec->path), url + gs_config.url_path);
	}
	if (gs_config.request_remote_addr >= 0)
		rec->peer_len = gs_text(h, rec->peer, sizeof(rec->peer),
					request + gs_config.request_remote_addr);
}

/* serverHandler.ServeHTTP(sh, rw, req): sh is one word, rw two (net/http/server.go) */
SEC("kprobe")
int gs_http_begin(struct gs_regs *ctx)
{
	uint64_t request = GS_ARG3(ctx), goid;
	uint8_t call = GS_WIRE_CALL_HTTP1;
	struct gs_wire_call *rec;
	struct gs_hit h;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	goid = gs_goid_running(&h, GS_G(ctx));
	if (gs_thinned(&h, goid))
		return 0;
	if (gs_config.request_proto_major > 0 &&
	    (int32_t)gs_word(&h, request + gs_config.request_proto_major) == 2)
		call = GS_WIRE_CALL_HTTP2;
	rec = gs_reserve(&h, &ring_go, GS_WIRE_RING_GO, sizeof(*rec));
	if (!rec)
		return 0;
	gs_call_fill(&h, rec, ctx->sp, call);
	gs_request_fill(&h, rec, request);
	gs_call_submit(&h, rec, GS_WIRE_CALL_BEGIN, sizeof(*rec), goid);
	return 0;
}

/* (*connReader).abortPendingRead(cr): at the end of (*response).finishRequest, and when hijacked */
SEC("kprobe")
int gs_http1_end(struct gs_regs *ctx)
{
	uint64_t goid, conn, response, request;
	struct gs_wire_call *rec;
	struct gs_hit h;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	goid = gs_goid_running(&h, GS_G(ctx));
	if (gs_thinned(&h, goid))
		return 0;
	conn = gs_word(&h, GS_ARG0(ctx) + gs_config.reader_conn);
	response = conn ? gs_word(&h, conn + gs_config.conn_response) : 0;
	if (!response) /* between two requests of a connection */
		return 0;
	rec = gs_reserve(&h, &ring_go, GS_WIRE_RING_GO, sizeof(*rec));
	if (!rec)
		return 0;
	gs_call_fill(&h, rec, ctx->sp, GS_WIRE_CALL_HTTP1);
	if (gs_config.response_status >= 0)
		rec->status = (int16_t)gs_word(&h, response + gs_config.response_status);
	if (gs_config.response_written >= 0)
		rec->bytes = (int64_t)gs_word(&h, response + gs_config.response_written);
	request = gs_config.response_req >= 0 ? gs_word(&h, response + gs_config.response_req) : 0;
	if (request) {
		gs_request_fill(&h, rec, request);
		if (gs_config.request_pattern >= 0)
			rec->pattern_len = gs_text(&h, rec->pattern, sizeof(rec->pattern),
						   request + gs_config.request_pattern);
	}
	gs_call_submit(&h, rec, GS_WIRE_CALL_END, sizeof(*rec), goid);
	return 0;
}

/* (*responseWriter).handlerDone(w) of HTTP/2 */
SEC("kprobe")
int gs_http2_end(struct gs_regs *ctx)
{
	int32_t at_state, at_status, at_bytes, at_req;
	uint64_t goid, state, request = 0;
	struct gs_wire_call *rec;
	struct gs_hit h;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	at_state = h.arg ? gs_config.xnet_writer_state : gs_config.h2_writer_state;
	at_status = h.arg ? gs_config.xnet_state_status : gs_config.h2_state_status;
	at_bytes = h.arg ? gs_config.xnet_state_bytes : gs_config.h2_state_bytes;
	at_req = h.arg ? gs_config.xnet_state_req : gs_config.h2_state_req;
	goid = gs_goid_running(&h, GS_G(ctx));
	if (gs_thinned(&h, goid))
		return 0;
	rec = gs_reserve(&h, &ring_go, GS_WIRE_RING_GO, sizeof(*rec));
	if (!rec)
		return 0;
	gs_call_fill(&h, rec, ctx->sp, GS_WIRE_CALL_HTTP2);
	state = at_state >= 0 ? gs_word(&h, GS_ARG0(ctx) + at_state) : 0;
	if (state && at_status >= 0)
		rec->status = (int16_t)gs_word(&h, state + at_status);
	if (state && at_bytes >= 0)
		rec->bytes = (int64_t)gs_word(&h, state + at_bytes);
	if (state && at_req >= 0)
		request = gs_word(&h, state + at_req);
	if (request) {
		gs_request_fill(&h, rec, request);
		if (gs_config.request_pattern >= 0)
			rec->pattern_len = gs_text(&h, rec->pattern, sizeof(rec->pattern),
						   request + gs_config.request_pattern);
	}
	gs_call_submit(&h, rec, GS_WIRE_CALL_END, sizeof(*rec), goid);
	return 0;
}

/* (*Server).handleStream(t, stream): t is two words (google.golang.org/grpc/server.go) */
SEC("kprobe")
int gs_grpc_begin(struct gs_regs *ctx)
{
	uint64_t stream = GS_ARG3(ctx), goid;
	struct gs_wire_call *rec;
	struct gs_hit h;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	goid = gs_goid_running(&h, GS_G(ctx));
	if (gs_thinned(&h, goid))
		return 0;
	rec = gs_reserve(&h, &ring_go, GS_WIRE_RING_GO, sizeof(*rec));
	if (!rec)
		return 0;
	gs_call_fill(&h, rec, ctx->sp, GS_WIRE_CALL_GRPC);
	if (gs_config.grpc_stream_inner >= 0)
		stream = gs_word(&h, stream + gs_config.grpc_stream_inner);
	if (stream && gs_config.grpc_stream_method >= 0)
		rec->path_len = gs_text(&h, rec->path, sizeof(rec->path),
					stream + gs_config.grpc_stream_method);
	gs_call_submit(&h, rec, GS_WIRE_CALL_BEGIN, sizeof(*rec), goid);
	return 0;
}

/* (*http2Server).writeStatus(stream, status); OK is often a nil Status or one without a message */
SEC("kprobe")
int gs_grpc_end(struct gs_regs *ctx)
{
	uint64_t goid, proto, status = GS_ARG2(ctx), other = GS_ARG1(ctx);
	struct gs_wire_call *rec;
	struct gs_hit h;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	goid = gs_goid_running(&h, GS_G(ctx));
	if (gs_thinned(&h, goid))
		return 0;
	rec = gs_reserve(&h, &ring_go, GS_WIRE_RING_GO, sizeof(*rec));
	if (!rec)
		return 0;
	gs_call_fill(&h, rec, ctx->sp, GS_WIRE_CALL_GRPC);
	if (gs_config.grpc_status_proto >= 0 && gs_config.grpc_proto_code >= 0) {
		/* Two loads and a choice: a chosen pointer into ctx is refused by the verifier. */
		barrier_var(status);
		barrier_var(other);
		if (gs_config.grpc_status_arg == 1)
			status = other;
		proto = status ? gs_word(&h, status + gs_config.grpc_status_proto) : 0;
		rec->status = 0;
		if (proto)
			rec->status = (int16_t)gs_word(&h, proto + gs_config.grpc_proto_code);
	}
	gs_call_submit(&h, rec, GS_WIRE_CALL_END, sizeof(*rec), goid);
	return 0;
}

GS_INLINE int gs_function(struct gs_regs *ctx, uint8_t kind)
{
	const uint32_t size = __builtin_offsetof(struct gs_wire_call, method);
	struct gs_wire_call *rec;
	struct gs_hit h;
	uint64_t goid;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	goid = gs_goid_running(&h, GS_G(ctx));
	if (gs_thinned(&h, goid))
		return 0;
	rec = gs_reserve(&h, &ring_go, GS_WIRE_RING_GO, size);
	if (!rec)
		return 0;
	gs_call_fill(&h, rec, ctx->sp, GS_WIRE_CALL_FUNCTION);
	rec->function = (uint8_t)h.arg;
	gs_call_submit(&h, rec, kind, size, goid);
	return 0;
}

SEC("kprobe")
int gs_call_begin(struct gs_regs *ctx)
{
	return gs_function(ctx, GS_WIRE_CALL_BEGIN);
}

SEC("kprobe")
int gs_call_end(struct gs_regs *ctx)
{
	return gs_function(ctx, GS_WIRE_CALL_END);
}

GS_INLINE void gs_runtime_submit(struct gs_hit *h, uint64_t goid, uint32_t what, uint64_t arg,
				 bool usage)
{
	struct gs_wire_runtime *rec;
	uint32_t seq;

	rec = gs_reserve(h, &ring_go, GS_WIRE_RING_GO, sizeof(*rec));
	if (!rec)
		return;
	if (usage)
		gs_usage_take(h, &rec->usage);
	else
		gs_usage_zero(&rec->usage);
	rec->what = what;
	rec->pad = 0;
	rec->arg = arg;
	seq = gs_sequence(h, GS_WIRE_RING_GO);
	gs_head_fill(h, &rec->h, GS_WIRE_RUNTIME, sizeof(*rec), seq, goid, 0);
	bpf_ringbuf_submit(rec, gs_wake(&ring_go, GS_WIRE_RING_GO, seq));
}

/* Phases of the collector and stop-the-world; mostly on the system stack. Never thinned. */
SEC("kprobe")
int gs_runtime(struct gs_regs *ctx)
{
	struct gs_hit h;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	gs_runtime_submit(&h, h.t ? h.t->goid : 0, h.arg, GS_ARG0(ctx), false);
	return 0;
}

/* gcAssistAlloc1(gp, scanWork), on the system stack */
SEC("kprobe")
int gs_assist_begin(struct gs_regs *ctx)
{
	struct gs_hit h;
	uint64_t goid;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	goid = gs_goid_running(&h, GS_ARG0(ctx));
	if (!gs_thinned(&h, goid))
		gs_runtime_submit(&h, goid, GS_WIRE_ASSIST_BEGIN, 0, true);
	return 0;
}

SEC("kprobe")
int gs_assist_end(struct gs_regs *ctx)
{
	struct gs_hit h;
	uint64_t goid;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	goid = gs_goid_behind(&h, GS_G(ctx));
	if (!gs_thinned(&h, goid))
		gs_runtime_submit(&h, goid, GS_WIRE_ASSIST_END, 0, true);
	return 0;
}

/* cgocall(fn, arg) */
SEC("kprobe")
int gs_cgo_begin(struct gs_regs *ctx)
{
	struct gs_hit h;

	if (gs_begin_user(&h, ctx) < 0)
		return 0;
	gs_goid_running(&h, GS_G(ctx));
	if (h.t)
		h.t->in |= GS_WIRE_IN_CGO;
	return 0;
}

/* cgocall's call of exitsyscall: C code is over */
SEC("kprobe")
int gs_cgo_end(struct gs_regs *ctx)
{
	struct gs_hit h;

	if (gs_begin_user(&h, ctx) < 0 || !h.t)
		return 0;
	gs_account_user(h.t, h.now);
	h.t->in &= ~GS_WIRE_IN_CGO;
	return 0;
}

#endif
