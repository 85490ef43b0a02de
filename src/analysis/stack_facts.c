/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What function names on a stack mean. The names are those of Go's standard library, 1.19 to 1.27
 * (sync, internal/sync, internal/poll, net, os, runtime), and of the packages that clients of well-known
 * servers use.
 *
 * Names are foreign: nothing is copied or cut by them, they are only compared.
 */
#include "analysis/stack_facts.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "model/func_name.h"

#define BOOK_SLOTS 4096u /* stacks remembered, direct mapped */
#define HELD_SLOTS 4096u
#define FRAMES_MAX 256u
#define RELEASE_FRAMES 16u /* from the runtime's innermost to sync's */

struct held {
	uint32_t wait, release;
	bool known, result;
};

struct gs_stack_book {
	struct gs_event_source *source;
	const char *module; /* of the main package; "" if not known */
	size_t module_len;
	struct slot {
		uint32_t id;
		struct gs_stack_facts facts;
	} * slots;
	struct held *held;
};

struct gs_stack_book *gs_stack_book_new(struct gs_event_source *s)
{
	GS_CLEANUP(gs_stack_book_freep) struct gs_stack_book *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->source = s;
	b->module = s->process && s->process->service ? s->process->service : "";
	b->module_len = strlen(b->module);
	b->slots = gs_array_new(BOOK_SLOTS, sizeof(*b->slots));
	b->held = gs_array_new(HELD_SLOTS, sizeof(*b->held));
	return b->slots && b->held ? GS_TAKE(b) : NULL;
}

struct gs_stack_book *gs_stack_book_free(struct gs_stack_book *b)
{
	if (b) {
		free(b->slots);
		free(b->held);
		free(b);
	}
	return NULL;
}

uint64_t gs_name_hash(const char *name)
{
	uint64_t h = name && name[0] ? gs_hash_bytes(0, name, strlen(name)) : 0;

	return h ? h : name && name[0];
}

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* ---- whose function it is ---- */

/* Closures of the runtime that were inlined into other packages: "_.goready.func1" (Go 1.27). */
static bool is_blank(const char *function)
{
	return begins(function, "_.");
}

static bool is_std(const char *function)
{
	return is_blank(function) || gs_func_standard(function);
}

static bool is_plumbing(const char *function)
{
	static const char *const low[] = { "runtime.",
					   "sync.",
					   "internal/",
					   "syscall.",
					   "os.",
					   "io.",
					   "bufio.",
					   "net.",
					   "time.",
					   "runtime/",
					   "sync/",
					   "crypto/tls.",
					   "golang.org/x/sys/",
					   "context.",
					   "vendor/",
					   "" };

	for (size_t i = 0; low[i][0]; i++)
		if (begins(function, low[i]))
			return true;
	return function[0] == '\0' || is_blank(function);
}

static bool is_main(const struct gs_stack_book *b, const char *function)
{
	if (begins(function, "main."))
		return true;
	return b->module_len && strncmp(function, b->module, b->module_len) == 0 &&
	       (function[b->module_len] == '/' || function[b->module_len] == '.');
}

/* Of goroutines of the runtime itself the outermost function tells what they are, runtime.gcBgMarkWorker. */
static const struct gs_frame *outermost(const struct gs_stack *s, uint32_t n)
{
	while (n > 1 && (strcmp(s->frames[n - 1].function, "runtime.goexit") == 0 ||
			 strcmp(s->frames[n - 1].function, "runtime.mstart") == 0))
		n--;
	return &s->frames[n - 1];
}

static void find_where(const struct gs_stack_book *b, struct gs_stack_facts *f, uint32_t n)
{
	const struct gs_frame *own = NULL, *std = NULL, *any = NULL;
	bool runtime = true;

	for (uint32_t i = 0; i < n && !own; i++) {
		const struct gs_frame *fr = &f->stack->frames[i];

		if (fr->flags & (GS_FRAME_KERNEL | GS_FRAME_FOREIGN | GS_FRAME_WRAPPER) ||
		    fr->function[0] == '\0')
			continue;
		if (!any)
			any = fr;
		runtime = runtime && begins(fr->function, "runtime.");
		if (!is_std(fr->function) || is_main(b, fr->function))
			own = fr;
		else if (!std && !is_plumbing(fr->function))
			std = fr;
	}
	if (any && runtime)
		any = outermost(f->stack, n);
	f->where = own ? own : std ? std : any;
	if (!f->where)
		return;
	f->where_hash = gs_name_hash(f->where->function);
	if (is_main(b, f->where->function))
		return;
	for (uint32_t i = 0; i < n && !f->from; i++)
		if (is_main(b, f->stack->frames[i].function))
			f->from = &f->stack->frames[i];
}

/* ---- what it is about ---- */

static const struct {
	const char *begin;
	uint32_t flags;
} meanings[] = {
	{ "sync.(*RWMutex).", GS_STACK_RWMUTEX },
	{ "sync.(*Mutex).", GS_STACK_MUTEX },
	{ "internal/sync.(*Mutex).", GS_STACK_MUTEX },
	{ "sync.(*WaitGroup).Wait", GS_STACK_WAITGROUP },
	{ "sync.(*Cond).Wait", GS_STACK_COND },
	{ "internal/poll.(*fdMutex).", GS_STACK_FD_LOCK },
	{ "runtime.stopTheWorld", GS_STACK_STW },
	{ "runtime.gcStart", GS_STACK_STW },
	{ "runtime.gcMarkDone", GS_STACK_STW },
	{ "net.(*Resolver).", GS_STACK_DNS },
	{ "net.cgoLookup", GS_STACK_DNS },
	{ "net.(*resolverConfig).", GS_STACK_DNS },
	{ "net._C2func_getaddrinfo", GS_STACK_DNS },
	{ "net.(*netFD).connect", GS_STACK_DIAL },
	{ "net.(*netFD).dial", GS_STACK_DIAL },
	{ "net.(*sysDialer).", GS_STACK_DIAL },
	{ "net.(*netFD).accept", GS_STACK_ACCEPT },
	{ "internal/poll.(*FD).Accept", GS_STACK_ACCEPT },
	{ "internal/poll.(*FD).Read", GS_STACK_READ },
	{ "internal/poll.(*FD).Pread", GS_STACK_READ },
	{ "internal/poll.(*FD).Write", GS_STACK_WRITE },
	{ "internal/poll.(*FD).Pwrite", GS_STACK_WRITE },
	{ "internal/poll.SendFile", GS_STACK_WRITE },
	{ "internal/poll.Splice", GS_STACK_WRITE },
	{ "os.(*File).", GS_STACK_FILE },
	{ "crypto/tls.(*Conn).", GS_STACK_TLS },
	{ "net/http.(*conn).", GS_STACK_SERVER },
	{ "net/http.(*connReader).", GS_STACK_SERVER },
	{ "net/http.(*http2serverConn).", GS_STACK_SERVER },
	{ "net/http/internal/http2.(*serverConn).", GS_STACK_SERVER },
	{ "golang.org/x/net/http2.(*serverConn).", GS_STACK_SERVER },
	{ "google.golang.org/grpc/internal/transport.(*http2Server).", GS_STACK_SERVER },
	{ "runtime.gcAssistAlloc", GS_STACK_GC },
	{ "runtime.gcParkAssist", GS_STACK_GC },
	{ "runtime.deductAssistCredit", GS_STACK_GC },
};

/* By package, innermost first; "" ends. */
static const struct {
	const char *begin, *protocol;
} speakers[] = {
	{ "github.com/lib/pq.", "postgres" },
	{ "github.com/jackc/pg", "postgres" },
	{ "github.com/go-pg/pg", "postgres" },
	{ "github.com/go-sql-driver/mysql.", "mysql" },
	{ "github.com/go-mysql-org/go-mysql/", "mysql" },
	{ "github.com/microsoft/go-mssqldb", "mssql" },
	{ "github.com/denisenkom/go-mssqldb", "mssql" },
	{ "github.com/redis/go-redis", "redis" },
	{ "github.com/go-redis/redis", "redis" },
	{ "github.com/gomodule/redigo", "redis" },
	{ "github.com/redis/rueidis", "redis" },
	{ "github.com/bradfitz/gomemcache", "memcached" },
	{ "go.mongodb.org/mongo-driver", "mongodb" },
	{ "github.com/gocql/gocql", "cassandra" },
	{ "github.com/segmentio/kafka-go", "kafka" },
	{ "github.com/IBM/sarama", "kafka" },
	{ "github.com/Shopify/sarama", "kafka" },
	{ "github.com/twmb/franz-go", "kafka" },
	{ "github.com/nats-io/nats.go", "nats" },
	{ "github.com/rabbitmq/amqp091-go", "amqp" },
	{ "github.com/streadway/amqp", "amqp" },
	{ "github.com/ClickHouse/", "clickhouse" },
	{ "go.etcd.io/etcd/client", "etcd" },
	{ "google.golang.org/grpc", "grpc" },
	{ "net/http.", "http" },
	{ "net/http/internal/http2.", "http" },
	{ "golang.org/x/net/http2.", "http" },
	{ "net/smtp.", "smtp" },
	{ "net/rpc.", "net/rpc" },
	{ "golang.org/x/crypto/ssh.", "ssh" },
};

static const struct {
	uint16_t port;
	const char *protocol;
} ports[] = {
	{ 22, "ssh" },          { 25, "smtp" },        { 53, "dns" },
	{ 80, "http" },         { 389, "ldap" },       { 443, "https" },
	{ 1433, "mssql" },      { 2379, "etcd" },      { 3306, "mysql" },
	{ 4222, "nats" },       { 4317, "otlp" },      { 5432, "postgres" },
	{ 5672, "amqp" },       { 6379, "redis" },     { 6432, "postgres" },
	{ 8080, "http" },       { 8443, "https" },     { 9000, "clickhouse" },
	{ 9042, "cassandra" },  { 9092, "kafka" },     { 9200, "elasticsearch" },
	{ 11211, "memcached" }, { 26257, "postgres" }, { 27017, "mongodb" },
	{ 50051, "grpc" },
};

const char *gs_port_protocol(uint16_t port)
{
	for (size_t i = 0; i < GS_ARRAY_SIZE(ports); i++)
		if (ports[i].port == port)
			return ports[i].protocol;
	return NULL;
}

static void look_for_meaning(struct gs_stack_facts *f, const char *function)
{
	for (size_t i = 0; i < GS_ARRAY_SIZE(meanings); i++)
		if (begins(function, meanings[i].begin))
			f->flags |= meanings[i].flags;
}

static void look_for_speaker(struct gs_stack_facts *f, const char *function)
{
	for (size_t i = 0; i < GS_ARRAY_SIZE(speakers) && !f->protocol; i++)
		if (begins(function, speakers[i].begin))
			f->protocol = speakers[i].protocol;
}

static void find_facts(const struct gs_stack_book *b, struct gs_stack_facts *f)
{
	uint32_t n = f->stack->n_frames < FRAMES_MAX ? f->stack->n_frames : FRAMES_MAX;

	bool main = false;

	for (uint32_t i = 0; i < n; i++) {
		const struct gs_frame *fr = &f->stack->frames[i];

		if (fr->flags & GS_FRAME_KERNEL) {
			if (strstr(fr->function, "page_fault") || strstr(fr->function, "mm_fault"))
				f->flags |= GS_STACK_KERNEL_FAULT;
			continue;
		}
		look_for_meaning(f, fr->function);
		// Beyond the program's own code is who called it: the server, not the peer it asks.
		main = main || is_main(b, fr->function);
		if (!main)
			look_for_speaker(f, fr->function);
	}
	// RWMutex.Lock calls Mutex.Lock for its inner mutex.
	if (f->flags & GS_STACK_RWMUTEX)
		f->flags &= ~(uint32_t)GS_STACK_MUTEX;
	if (f->protocol && (f->flags & GS_STACK_TLS) && strcmp(f->protocol, "http") == 0)
		f->protocol = "https";
	find_where(b, f, n);
}

const struct gs_stack_facts *gs_stack_facts(struct gs_stack_book *b, uint32_t id)
{
	static const struct gs_stack_facts none;
	struct slot *s = &b->slots[gs_hash_u64(0, id) & (BOOK_SLOTS - 1)];

	if (id == 0)
		return &none;
	if (s->id != id) {
		s->id = id;
		s->facts = (struct gs_stack_facts){ .stack = b->source->stack(b->source, id) };
		if (s->facts.stack)
			find_facts(b, &s->facts);
	}
	return &s->facts;
}

/* ---- what was done under a lock ---- */

static bool is_sync(const struct gs_frame *f)
{
	return begins(f->function, "sync.") || begins(f->function, "internal/sync.");
}

/* The frame that called the method of sync which released: the runtime's below it do not count, nor what sync calls further out
 * (sync.(*Once).Do). */
static uint32_t releaser(const struct gs_stack *s)
{
	uint32_t i = 0, limit = s->n_frames < RELEASE_FRAMES ? s->n_frames : RELEASE_FRAMES;

	while (i < limit && !is_sync(&s->frames[i]))
		i++;
	if (i == limit)
		return 0;
	while (i < s->n_frames && is_sync(&s->frames[i]))
		i++;
	return i;
}

static bool compare(const struct gs_stack *w, const struct gs_stack *r)
{
	uint32_t common = 0, own = releaser(r);

	while (common < w->n_frames && common < r->n_frames &&
	       strcmp(w->frames[w->n_frames - 1 - common].function,
		      r->frames[r->n_frames - 1 - common].function) == 0)
		common++;
	// From the root: the frames of @r up to the caller of the function that released.
	return own >= r->n_frames || common + 1 >= r->n_frames - own;
}

bool gs_stack_request(struct gs_stack_book *b, uint32_t id, enum gs_call_kind *ret,
		      const char **ret_handler)
{
	const struct gs_stack *s = id ? b->source->stack(b->source, id) : NULL;
	const char *handler = "";

	for (uint32_t i = 0; s && i < s->n_frames; i++) {
		const char *f = s->frames[i].function;
		bool grpc = strcmp(f, "google.golang.org/grpc.(*Server).handleStream") == 0;

		if (grpc || strcmp(f, "net/http.serverHandler.ServeHTTP") == 0) {
			*ret = grpc ? GS_CALL_GRPC : GS_CALL_HTTP1;
			*ret_handler = handler;
			return true;
		}
		if (is_main(b, f))
			handler = f;
	}
	return false;
}

bool gs_stack_contains(struct gs_stack_book *b, uint32_t id, uint64_t name_hash)
{
	const struct gs_stack *s = id ? b->source->stack(b->source, id) : NULL;

	if (!s || s->n_frames == 0 || s->end != GS_STACK_COMPLETE)
		return true;
	for (uint32_t i = 0; i < s->n_frames; i++)
		if (gs_name_hash(s->frames[i].function) == name_hash)
			return true;
	return false;
}

bool gs_stack_held(struct gs_stack_book *b, uint32_t wait, uint32_t release)
{
	struct held *h =
		&b->held[gs_hash_u64(0, (uint64_t)wait << 32 | release) & (HELD_SLOTS - 1)];
	const struct gs_stack *w, *r;

	if (wait == 0 || release == 0)
		return true;
	if (h->known && h->wait == wait && h->release == release)
		return h->result;
	w = b->source->stack(b->source, wait);
	r = b->source->stack(b->source, release);
	*h = (struct held){ .wait = wait, .release = release, .known = true };
	h->result = !w || !r || w->n_frames == 0 || r->n_frames == 0 ||
		    w->end != GS_STACK_COMPLETE || r->end != GS_STACK_COMPLETE || compare(w, r);
	return h->result;
}
