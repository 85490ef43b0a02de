/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The read-only data of the programs that comes from the layout: offsets of the runtime's and
 * net/http's structures, and what each wait reason means.
 */
#include <string.h>

#include "base/cleanup.h"
#include "probe/plan_private.h"

/* GS_GO_NO_FIELD is -1, as in the configuration. */
_Static_assert(GS_GO_NO_FIELD == -1, "offsets of missing fields are -1 on both sides");

static int32_t first_of(const struct gs_go_layout *l, enum gs_go_field a, enum gs_go_field b)
{
	return gs_go_has(l, a) ? l->offset[a] : l->offset[b];
}

static void runtime_offsets(const struct gs_go_layout *l, struct gs_wire_config *c)
{
	c->g_goid = l->offset[GS_GO_G_GOID];
	c->g_m = l->offset[GS_GO_G_M];
	c->g_waiting = l->offset[GS_GO_G_WAITING];
	c->g_gopc = l->offset[GS_GO_G_GOPC];
	c->g_startpc = l->offset[GS_GO_G_STARTPC];
	c->g_parent_goid = l->offset[GS_GO_G_PARENT_GOID];
	c->g_sched_bp = l->offset[GS_GO_G_SCHED_BP];
	c->m_g0 = l->offset[GS_GO_M_G0];
	c->m_procid = l->offset[GS_GO_M_PROCID];
	c->m_p = l->offset[GS_GO_M_P];
	c->m_curg = l->offset[GS_GO_M_CURG];
	c->p_id = l->offset[GS_GO_P_ID];
	// 1.26 and later: a pointer that the collector may not see, and the same as an integer
	// (runtime/runtime2.go, maybeTraceablePtr). The integer is always set.
	c->sudog_elem = first_of(l, GS_GO_SUDOG_ELEM_VU, GS_GO_SUDOG_ELEM);
	c->sudog_c = first_of(l, GS_GO_SUDOG_C_VU, GS_GO_SUDOG_C);
	c->sudog_waitlink = l->offset[GS_GO_SUDOG_WAITLINK];
	// The same change made semaRoot.queue set g.waiting (runtime/sema.go), for finding leaks.
	c->sudog_has_sema = gs_go_has(l, GS_GO_SUDOG_ELEM_VU);
	c->hchan_lock = l->offset[GS_GO_HCHAN_LOCK];
	c->pd_fd = l->offset[GS_GO_POLLDESC_FD];
	c->pd_rg = l->offset[GS_GO_POLLDESC_RG];
	c->pd_wg = l->offset[GS_GO_POLLDESC_WG];
}

static void http_offsets(const struct gs_go_layout *l, struct gs_wire_config *c)
{
	c->request_proto_major = l->offset[GS_GO_REQUEST_PROTO_MAJOR];
	c->request_method = l->offset[GS_GO_REQUEST_METHOD];
	c->request_url = l->offset[GS_GO_REQUEST_URL];
	c->request_pattern = l->offset[GS_GO_REQUEST_PATTERN];
	c->request_remote_addr = l->offset[GS_GO_REQUEST_REMOTE_ADDR];
	c->url_path = l->offset[GS_GO_URL_PATH];
	c->reader_conn = l->offset[GS_GO_CONN_READER_CONN];
	// An atomic.Value (an interface; its second word is the pointer) up to 1.19, then an
	// atomic.Pointer.
	c->conn_response = first_of(l, GS_GO_CONN_CUR_REQ_DATA, GS_GO_CONN_CUR_REQ);
	c->response_status = l->offset[GS_GO_RESPONSE_STATUS];
	c->response_written = l->offset[GS_GO_RESPONSE_WRITTEN];
	c->response_req = l->offset[GS_GO_RESPONSE_REQ];
	// 1.27 moved the bundled copy into a package, whose requests are no *http.Request.
	c->h2_writer_state = first_of(l, GS_GO_HTTP2_PKG_WRITER_STATE, GS_GO_HTTP2_WRITER_STATE);
	c->h2_state_status = first_of(l, GS_GO_HTTP2_PKG_STATE_STATUS, GS_GO_HTTP2_STATE_STATUS);
	c->h2_state_bytes =
		first_of(l, GS_GO_HTTP2_PKG_STATE_WROTE_BYTES, GS_GO_HTTP2_STATE_WROTE_BYTES);
	c->h2_state_req = l->offset[GS_GO_HTTP2_STATE_REQ];
}

/* Wait reasons whose object is not gopark's lock argument (runtime/runtime2.go, waitReasonStrings). Those
 * "(durable)" and "(synctest)" are of goroutines in a test's bubble. */
static const struct {
	const char *text;
	uint8_t reason;
} reasons[] = {
	{ "chan receive", GS_WIRE_REASON_CHAN },
	{ "chan receive (durable)", GS_WIRE_REASON_CHAN },
	{ "chan receive (synctest)", GS_WIRE_REASON_CHAN },
	{ "chan send", GS_WIRE_REASON_CHAN },
	{ "chan send (durable)", GS_WIRE_REASON_CHAN },
	{ "chan send (synctest)", GS_WIRE_REASON_CHAN },
	{ "select", GS_WIRE_REASON_SELECT },
	{ "select (durable)", GS_WIRE_REASON_SELECT },
	{ "select (synctest)", GS_WIRE_REASON_SELECT },
	{ "semacquire", GS_WIRE_REASON_SEMA },
	{ "sync.Mutex.Lock", GS_WIRE_REASON_SEMA },
	{ "sync.RWMutex.Lock", GS_WIRE_REASON_SEMA },
	{ "sync.RWMutex.RLock", GS_WIRE_REASON_SEMA },
	{ "sync.WaitGroup.Wait", GS_WIRE_REASON_SEMA },
	{ "sync.WaitGroup.Wait (durable)", GS_WIRE_REASON_SEMA },
	{ "IO wait", GS_WIRE_REASON_IO },
};

static uint8_t reason_of(const char *text)
{
	for (size_t i = 0; i < GS_ARRAY_SIZE(reasons); i++)
		if (text && strcmp(reasons[i].text, text) == 0)
			return reasons[i].reason;
	return GS_WIRE_REASON_OTHER;
}

static const char *const *reason_texts(const struct gs_probe_binary *b, uint32_t *ret_n)
{
	*ret_n = b->wait_reasons ? b->n_wait_reasons : b->layout->n_wait_reasons;
	return b->wait_reasons ? b->wait_reasons : b->layout->wait_reasons;
}

uint32_t gs__plan_reason(const struct gs__plan *pl, const char *text)
{
	uint32_t n;
	const char *const *texts = reason_texts(pl->b, &n);

	for (uint32_t i = 0; i < n; i++)
		if (texts[i] && strcmp(texts[i], text) == 0)
			return i;
	return UINT32_MAX;
}

void gs__plan_config(struct gs__plan *pl)
{
	const struct gs_probe_binary *b = pl->b;
	struct gs_wire_config *c = &pl->p->config;
	uint32_t n;
	const char *const *text = reason_texts(b, &n);

	c->want = pl->w->want;
	runtime_offsets(b->layout, c);
	http_offsets(b->layout, c);
	c->grpc_stream_inner = c->grpc_stream_method = GS_GO_NO_FIELD;
	c->grpc_status_proto = c->grpc_proto_code = GS_GO_NO_FIELD;
	c->xnet_writer_state = c->xnet_state_status = GS_GO_NO_FIELD;
	c->xnet_state_req = c->xnet_state_bytes = GS_GO_NO_FIELD;
	gs_go_pclntab_range(b->tab, &c->text_lo, &c->text_hi);
	c->sample_period_ns = 1000000000ULL / pl->p->sample_hz;
	c->fault_period = pl->w->fault_period ? pl->w->fault_period : 32;
	for (uint32_t i = 0; i < n && i < GS_ARRAY_SIZE(c->reason); i++)
		c->reason[i] = reason_of(text[i]);
}
