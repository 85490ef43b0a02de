/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* From the word on the command line to an open target. */
#include "cli/target_arg.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cmd.h"
#include "cli/go_exe.h"
#include "cli/option_values.h"
#include "cli/procs.h"
#include "target/target.h"

#define MATCHES_MAX 64

int gs_target_word(const char *word, pid_t *ret_pid, struct gs_err *err)
{
	uint64_t pid;

	if (word[0] == '=') {
		if (!word[1])
			return gs_fail(err, -EINVAL, 0, "\"=\" needs a process name: =NAME");
		return GS_WORD_NAME;
	}
	if (strspn(word, "0123456789") != strlen(word))
		return GS_WORD_PATH;
	if (gs_parse_u64(word, &pid, NULL) < 0 || pid == 0 || pid > INT32_MAX)
		return gs_fail(
			err, -EINVAL, 0,
			"\"%s\" is no PID: PIDs are 1 to %d (for a file of that name write ./%s)",
			word, INT32_MAX, word);
	*ret_pid = (pid_t)pid;
	return GS_WORD_PID;
}

struct matches {
	pid_t pid[MATCHES_MAX];
	size_t n;
};

static int collect(const char *name, struct matches *m, struct gs_err *err)
{
	GS_CLEANUP(gs_freep) pid_t *pids = NULL;
	size_t n;
	int r = gs_procs_list(&pids, &n, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n && m->n < MATCHES_MAX; i++) {
		struct gs_proc p;

		if (pids[i] == getpid() || gs_proc_read(pids[i], &p) != 0 || p.kernel_thread ||
		    p.state == 'Z')
			continue;
		if (gs_proc_is_called(&p, name))
			m->pid[m->n++] = pids[i];
	}
	return 0;
}

/* A shell script and the server it started often share a name. */
static void prefer_go(struct matches *m)
{
	GS_CLEANUP(gs_go_exes_freep) struct gs_go_exes *exes = gs_go_exes_new();
	struct matches go = { .n = 0 };

	for (size_t i = 0; exes && i < m->n; i++) {
		const struct gs_go_exe *e;

		if (gs_go_exe_of(exes, m->pid[i], &e) == 0 && e->is_go == 1)
			go.pid[go.n++] = m->pid[i];
	}
	if (go.n)
		*m = go;
}

int gs_find_process(const char *name, pid_t *ret, struct gs_err *err)
{
	struct matches m = { .n = 0 };
	char list[160] = "";
	size_t at = 0;
	int r = collect(name, &m, err);

	if (r < 0)
		return r;
	if (m.n > 1)
		prefer_go(&m);
	if (m.n == 0)
		return gs_fail(err, -GS_E_NOT_FOUND, 0,
			       "no process is called \"%s\". `gosonde ps` lists the Go processes",
			       name);
	if (m.n == 1) {
		*ret = m.pid[0];
		return 0;
	}
	for (size_t i = 0; i < m.n && at + 16 < sizeof(list); i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%d", i ? ", " : "",
				       m.pid[i]);
	return gs_fail(err, -EINVAL, 0,
		       "%zu%s processes are called \"%s\": %s%s. Give the PID of one", m.n,
		       m.n == MATCHES_MAX ? " or more" : "", name, list,
		       at + 16 >= sizeof(list) ? ", …" : "");
}

static int open_path(const struct gs_common *c, struct gs_target **ret, struct gs_err *err)
{
	struct stat st;
	int e;

	if (stat(c->target, &st) == 0)
		return gs_target_open_core(c->target, c->exe, ret, err);
	e = errno;
	if (e != ENOENT)
		return gs_fail(err, e == EACCES ? -GS_E_PERMISSION : -e, 0, "cannot open %s: %s",
			       c->target, strerror(e));
	return gs_fail(err, -GS_E_NOT_FOUND, 0,
		       "%s is no file and no PID. For the process of that name write =%s",
		       c->target, c->target);
}

int gs_open_target(const struct gs_common *c, struct gs_target **ret, struct gs_err *err)
{
	pid_t pid = 0;
	int r = gs_target_word(c->target, &pid, err);

	if (r == GS_WORD_NAME)
		r = gs_find_process(c->target + 1, &pid, err);
	else if (r == GS_WORD_PATH)
		return open_path(c, ret, err);
	if (r < 0)
		return r;
	if (c->exe)
		return gs_fail(err, -EINVAL, 0, "--exe is for core files; \"%s\" is a process",
			       c->target);
	return gs_target_open_pid(pid, ret, err);
}
