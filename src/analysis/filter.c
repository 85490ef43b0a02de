/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Which goroutines to show; see filter.h. Conditions are asked from the cheapest to the dearest. What
 * a regular expression says of a stack is kept under the stack's id together with the stack's hash, so
 * that a filter may outlive a reader (top reopens its target); creators go through a small direct-mapped
 * table keyed by a hash of the name.
 *
 * Expressions come from the user, names from the target: the first may be slow on purpose or by mistake
 * ("(a+)+$"), the second may be chosen to make it so. Hence the match, depth and heap limits; a name on
 * which a limit is reached counts as not matching, and is counted.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "analysis/filter.h"

#include <errno.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/escape.h"
#include "base/hash.h"

#define MATCH_LIMIT 200000u /* steps; some milliseconds */
#define DEPTH_LIMIT 10000u
#define HEAP_LIMIT_KIB 8192u
#define MAX_PATTERN 65536u
#define MAX_STACKS (16u << 20) /* results kept */
#define CREATORS 1024u

enum answer { ANSWER_UNKNOWN = 0, ANSWER_NO, ANSWER_YES };

/* Any of these expressions. */
struct patterns {
	pcre2_code **code;
	size_t n;
};

struct label_condition {
	char *key;
	const char *value; /* in the same block as the key; NULL: any value */
	size_t key_len, value_len;
};

struct gs_filter {
	uint32_t states; /* bit per state; 0: no condition */
	char **wait_reasons;
	size_t n_wait_reasons;
	struct label_condition *labels;
	size_t n_labels;
	int64_t waiting_longer_ns;
	struct patterns functions, created_by;
	pcre2_match_data *match;
	pcre2_match_context *limits;
	uint64_t *stacks; /* by id: hash of the stack, its two lowest bits replaced by the answer */
	uint32_t n_stacks;
	uint64_t creators[CREATORS]; /* hash of the name, lowest two bits as above */
	uint64_t gave_up;
};

static int out_of_memory(struct gs_err *err)
{
	return gs_fail(err, -ENOMEM, 0, "cannot set up the filter: out of memory");
}

static size_t count(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static int add_state(struct gs_filter *f, const char *name, size_t n, struct gs_err *err)
{
	enum gs_goroutine_state state;
	char text[64], shown[128];

	if (n < sizeof(text)) {
		memcpy(text, name, n);
		text[n] = '\0';
		if (gs_goroutine_state_parse(text, &state) == 0) {
			f->states |= 1u << state;
			return 0;
		}
	}
	gs_escape_to(shown, sizeof(shown), name, n);
	return gs_fail(err, -EINVAL, 0,
		       "no goroutine state is called \"%s\". States are idle, runnable, running, "
		       "syscall, waiting, dead, copystack, preempted, leaked and \"waiting for cgo "
		       "callback\". What it waits for is asked for with --wait-reason",
		       shown);
}

static int add_states(struct gs_filter *f, const char *list, struct gs_err *err)
{
	for (;;) {
		size_t n = strcspn(list, ",");
		int r = add_state(f, list, n, err);

		if (r < 0 || list[n] == '\0')
			return r;
		list += n + 1;
	}
}

#define SHOWN 120u /* bytes of a long expression that a message shows, around the place */

static bool inside_character(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* "--function '(foo': missing closing parenthesis at character 5". */
static int bad_pattern(const char *option, const char *pattern, int code, size_t offset,
		       struct gs_err *err)
{
	unsigned char why[160];
	char shown[SHOWN * 2];
	size_t n = strlen(pattern), from, to, character = 1;

	if (pcre2_get_error_message(code, why, sizeof(why)) < 0)
		strcpy((char *)why, "not a regular expression");
	if (offset > n)
		offset = n;
	for (size_t i = 0; i < offset; i++)
		character += !inside_character(pattern[i]);
	from = n > SHOWN && offset > SHOWN / 2 ? offset - SHOWN / 2 : 0;
	while (from && inside_character(pattern[from]))
		from--;
	to = n - from > SHOWN ? from + SHOWN : n;
	while (to < n && inside_character(pattern[to]))
		to++;
	gs_escape_to(shown, sizeof(shown), pattern + from, to - from);
	return gs_fail(err, -EINVAL, offset,
		       "%s '%s%s%s': %s at character %zu. Write \\( and \\[ for brackets in names",
		       option, from ? "…" : "", shown, to < n ? "…" : "", (char *)why, character);
}

static int add_pattern(struct patterns *p, const char *option, const char *pattern,
		       struct gs_err *err)
{
	size_t offset = 0, n = strlen(pattern);
	pcre2_code *code;
	int why = 0;

	if (n > MAX_PATTERN)
		return gs_fail(err, -EINVAL, 0, "%s: the regular expression has more than %u bytes",
			       option, MAX_PATTERN);
	code = pcre2_compile((PCRE2_SPTR)pattern, n,
			     PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &why,
			     &offset, NULL);
	if (!code)
		return bad_pattern(option, pattern, why, offset, err);
	/* Without JIT (or where the kernel forbids executable memory) it is interpreted. */
	(void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	p->code[p->n++] = code;
	return 0;
}

static int add_patterns(struct patterns *p, const char *option, const char *const *list,
			struct gs_err *err)
{
	size_t n = count(list);

	if (n == 0)
		return 0;
	p->code = gs_array_new(n, sizeof(*p->code));
	if (!p->code)
		return out_of_memory(err);
	for (size_t i = 0; i < n; i++) {
		int r = add_pattern(p, option, list[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int add_wait_reasons(struct gs_filter *f, const char *const *list, struct gs_err *err)
{
	size_t n = count(list);

	if (n == 0)
		return 0;
	f->wait_reasons = gs_array_new(n, sizeof(*f->wait_reasons));
	if (!f->wait_reasons)
		return out_of_memory(err);
	for (; f->n_wait_reasons < n; f->n_wait_reasons++) {
		f->wait_reasons[f->n_wait_reasons] = strdup(list[f->n_wait_reasons]);
		if (!f->wait_reasons[f->n_wait_reasons])
			return out_of_memory(err);
	}
	return 0;
}

static int add_label(struct gs_filter *f, const char *text, struct gs_err *err)
{
	struct label_condition *l = &f->labels[f->n_labels];
	const char *equals = strchr(text, '=');
	size_t key_len = equals ? (size_t)(equals - text) : strlen(text);
	char *copy;

	if (key_len == 0)
		return gs_fail(
			err, -EINVAL, 0,
			"a label condition needs a key: write key=value, or key for any value");
	copy = strdup(text);
	if (!copy)
		return out_of_memory(err);
	*l = (struct label_condition){ .key = copy, .key_len = key_len };
	if (equals) {
		l->value = copy + key_len + 1;
		l->value_len = strlen(l->value);
	}
	f->n_labels++;
	return 0;
}

static int add_labels(struct gs_filter *f, const char *const *list, struct gs_err *err)
{
	size_t n = count(list);
	int r = 0;

	if (n == 0)
		return 0;
	f->labels = gs_array_new(n, sizeof(*f->labels));
	if (!f->labels)
		return out_of_memory(err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_label(f, list[i], err);
	return r;
}

static int set_limits(struct gs_filter *f, struct gs_err *err)
{
	f->match = pcre2_match_data_create(1, NULL);
	f->limits = pcre2_match_context_create(NULL);
	if (!f->match || !f->limits)
		return out_of_memory(err);
	pcre2_set_match_limit(f->limits, MATCH_LIMIT);
	pcre2_set_depth_limit(f->limits, DEPTH_LIMIT);
	pcre2_set_heap_limit(f->limits, HEAP_LIMIT_KIB);
	return 0;
}

int gs_filter_new(const struct gs_filter_options *o, struct gs_filter **ret, struct gs_err *err)
{
	GS_CLEANUP(gs_filter_freep) struct gs_filter *f = calloc(1, sizeof(*f));
	int r = 0;

	if (!f)
		return out_of_memory(err);
	f->waiting_longer_ns = o->waiting_longer_ns;
	for (size_t i = 0; r == 0 && i < count(o->states); i++)
		r = add_states(f, o->states[i], err);
	if (r == 0)
		r = add_wait_reasons(f, o->wait_reasons, err);
	if (r == 0)
		r = add_labels(f, o->labels, err);
	if (r == 0)
		r = set_limits(f, err);
	if (r == 0)
		r = add_patterns(&f->functions, "--function", o->functions, err);
	if (r == 0)
		r = add_patterns(&f->created_by, "--created-by", o->created_by, err);
	if (r < 0)
		return r;
	*ret = GS_TAKE(f);
	return 0;
}

static void free_patterns(struct patterns *p)
{
	for (size_t i = 0; i < p->n; i++)
		pcre2_code_free(p->code[i]);
	free(p->code);
}

struct gs_filter *gs_filter_free(struct gs_filter *f)
{
	if (!f)
		return NULL;
	for (size_t i = 0; i < f->n_wait_reasons; i++)
		free(f->wait_reasons[i]);
	free(f->wait_reasons);
	for (size_t i = 0; i < f->n_labels; i++)
		free(f->labels[i].key);
	free(f->labels);
	free_patterns(&f->functions);
	free_patterns(&f->created_by);
	pcre2_match_data_free(f->match);
	pcre2_match_context_free(f->limits);
	free(f->stacks);
	free(f);
	return NULL;
}

uint64_t gs_filter_gave_up(const struct gs_filter *f)
{
	return f->gave_up;
}

static bool name_matches(struct gs_filter *f, const struct patterns *p, const char *name)
{
	size_t n = strlen(name);
	bool limit = false;

	for (size_t i = 0; i < p->n; i++) {
		int r = pcre2_match(p->code[i], (PCRE2_SPTR)name, n, 0, 0, f->match, f->limits);

		if (r == PCRE2_ERROR_JIT_STACKLIMIT)
			r = pcre2_match(p->code[i], (PCRE2_SPTR)name, n, 0, PCRE2_NO_JIT, f->match,
					f->limits);
		if (r >= 0)
			return true;
		limit |= r != PCRE2_ERROR_NOMATCH;
	}
	f->gave_up += limit;
	return false;
}

static bool frames_match(struct gs_filter *f, const struct gs_stack *s)
{
	for (uint32_t i = 0; i < s->n_frames; i++)
		if (name_matches(f, &f->functions, s->frames[i].function))
			return true;
	return false;
}

/* Make room for the answer on stack @id; false where answers are not kept. */
static bool room_for(struct gs_filter *f, uint32_t id)
{
	uint32_t n = f->n_stacks ? f->n_stacks : 1024;
	uint64_t *p;

	if (id < f->n_stacks)
		return true;
	if (id >= MAX_STACKS)
		return false;
	while (n <= id)
		n *= 2;
	p = gs_array_resize(f->stacks, n, sizeof(*p));
	if (!p)
		return false;
	memset(p + f->n_stacks, 0, (n - f->n_stacks) * sizeof(*p));
	f->stacks = p;
	f->n_stacks = n;
	return true;
}

static bool stack_matches(struct gs_filter *f, const struct gs_stack *s)
{
	uint64_t tag = s->hash & ~UINT64_C(3);
	bool yes;

	if (s->id < f->n_stacks && (f->stacks[s->id] & ~UINT64_C(3)) == tag &&
	    (f->stacks[s->id] & 3) != ANSWER_UNKNOWN)
		return (f->stacks[s->id] & 3) == ANSWER_YES;
	yes = frames_match(f, s);
	if (room_for(f, s->id))
		f->stacks[s->id] = tag | (yes ? ANSWER_YES : ANSWER_NO);
	return yes;
}

static bool creator_matches(struct gs_filter *f, const struct gs_frame *created_by)
{
	uint64_t tag, *slot;

	if (!created_by)
		return false;
	tag = gs_hash_bytes(gs_hash_seed(), created_by->function, strlen(created_by->function));
	slot = &f->creators[tag / 4 % CREATORS];
	tag &= ~UINT64_C(3);
	if ((*slot & ~UINT64_C(3)) != tag || (*slot & 3) == ANSWER_UNKNOWN)
		*slot = tag | (name_matches(f, &f->created_by, created_by->function) ? ANSWER_YES
										     : ANSWER_NO);
	return (*slot & 3) == ANSWER_YES;
}

static bool wait_reason_matches(const struct gs_filter *f, const char *wait_reason)
{
	for (size_t i = 0; wait_reason && i < f->n_wait_reasons; i++)
		if (strcasestr(wait_reason, f->wait_reasons[i]))
			return true;
	return false;
}

static bool has_label(const struct gs_goroutine *g, const struct label_condition *want)
{
	for (uint32_t i = 0; i < g->n_labels; i++) {
		const struct gs_label *l = &g->labels[i];

		if (l->key_len != want->key_len || memcmp(l->key, want->key, l->key_len) != 0)
			continue;
		if (!want->value || (l->value_len == want->value_len &&
				     memcmp(l->value, want->value, l->value_len) == 0))
			return true;
	}
	return false;
}

bool gs_filter_match(struct gs_filter *f, const struct gs_goroutine *g)
{
	if (f->states &&
	    ((unsigned int)g->state >= GS_G_STATE_COUNT || !(f->states & 1u << g->state)))
		return false;
	if (f->waiting_longer_ns > 0 && g->wait_ns <= f->waiting_longer_ns)
		return false;
	if (f->n_wait_reasons && !wait_reason_matches(f, g->wait_reason))
		return false;
	for (size_t i = 0; i < f->n_labels; i++)
		if (!has_label(g, &f->labels[i]))
			return false;
	if (f->functions.n && !stack_matches(f, g->stack))
		return false;
	return f->created_by.n == 0 || creator_matches(f, g->created_by);
}
