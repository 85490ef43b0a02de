/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * gosonde inspect: what a binary is, and whether anything about it is a trap. The file is opened once;
 * digest and parsing use the same descriptor, so they are about the same file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analysis/inspect.h"
#include "analysis/inspect_modules.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "cli/cmd.h"
#include "cli/file_digest.h"
#include "cli/inspect_print.h"
#include "cli/procs.h"
#include "cli/target_arg.h"

#define MODULE_FILE_MAX (64u << 20)

struct inspect_args {
	struct gs_common common;
	const char *sha256, *module;
	bool strict;
};

/* One run of the command. */
struct inspect {
	const struct inspect_args *a;
	struct gs_arena *arena;
	int fd;
	char name[4200];
	struct gs_image *image;
	struct gs_inspect facts;
	struct gs_inspect_check checks[GS_INSPECT_CHECKS_MAX];
	char sha256[GS_SHA256_HEX + 1];
	struct gs_gomod gomod;
	struct gs_gosum gosum;
	struct gs_vendor vendor;
	struct gs_module_files files;
	struct gs_module_findings findings;
	struct gs_inspect_result result;
};

static int open_pid(struct inspect *s, pid_t pid, struct gs_err *err)
{
	char path[64], exe[4096];
	int e;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (access(path, F_OK) < 0)
		return gs_fail(err, -GS_E_GONE, 0, "there is no process %d", pid);
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	e = errno;
	if (s->fd < 0 && (e == EACCES || e == EPERM))
		return gs_fail(
			err, -GS_E_PERMISSION, 0,
			"cannot open the executable of process %d: %s. Run as its user or as "
			"root (CAP_SYS_PTRACE), or give the file itself",
			pid, strerror(e));
	if (s->fd < 0)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "process %d has no executable: it is a kernel thread, a zombie, or "
			       "just ended",
			       pid);
	if (gs_proc_exe(pid, exe, sizeof(exe)) < 0)
		exe[0] = '\0';
	snprintf(s->name, sizeof(s->name), "PID %d%s%s%s", pid, exe[0] ? " (" : "", exe,
		 exe[0] ? ")" : "");
	return 0;
}

static int open_file(struct inspect *s, const char *path, struct gs_err *err)
{
	struct stat st;
	int e;

	s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	e = errno;
	if (s->fd < 0 && e == ENOENT)
		return gs_fail(err, -GS_E_NOT_FOUND, 0, "there is no file %s", path);
	if (s->fd < 0)
		return gs_fail(err, e == EACCES ? -GS_E_PERMISSION : -e, 0, "cannot open %s: %s",
			       path, strerror(e));
	if (fstat(s->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return gs_fail(err, -GS_E_UNSUPPORTED, 0, "%s is no regular file", path);
	snprintf(s->name, sizeof(s->name), "%s", path);
	return 0;
}

static int open_target(struct inspect *s, struct gs_err *err)
{
	const char *word = s->a->common.target;
	pid_t pid;
	int r = gs_target_word(word, &pid, err);

	if (r == GS_WORD_PATH)
		return open_file(s, word, err);
	if (r == GS_WORD_NAME)
		r = gs_find_process(word + 1, &pid, err);
	return r < 0 ? r : open_pid(s, pid, err);
}

/* Before anything is parsed: a download that was cut should be told as such, not as bad ELF. */
static int verify_sum(struct inspect *s, struct gs_err *err)
{
	char wanted[GS_SHA256_HEX + 1];
	int r;

	if (!s->a->sha256)
		return 0;
	r = gs_parse_sha256(s->a->sha256, wanted, err);
	if (r == 0)
		r = gs_file_sha256(s->fd, s->name, s->sha256, err);
	if (r < 0)
		return r;
	if (strcmp(wanted, s->sha256) != 0)
		return gs_fail(err, -EBADMSG, 0,
			       "%s has SHA-256 %s, not %s: it is damaged or another file", s->name,
			       s->sha256, wanted);
	s->result.sha256 = s->sha256;
	return 0;
}

static int read_binary(struct inspect *s, struct gs_err *err)
{
	struct gs_inspect_host host;
	int r = open_target(s, err);

	if (r == 0)
		r = verify_sum(s, err);
	if (r == 0)
		r = gs_image_open_fd(s->fd, s->name, &s->image, err);
	if (r < 0)
		return r;
	if (gs_image_info(s->image)->is_core)
		return gs_fail(err, -GS_E_UNSUPPORTED, 0,
			       "%s is a core file. `gosonde dump` reads it; inspect reads its "
			       "executable",
			       s->name);
	r = gs_inspect_read(s->image, s->arena, &s->facts, err);
	if (r < 0)
		return r;
	if (!gs_inspect_is_go(&s->facts))
		return gs_fail(err, -GS_E_NOT_GO, 0,
			       "%s is no Go program: it has neither build info nor a Go function "
			       "table",
			       s->name);
	gs_inspect_this_host(&host);
	s->result.facts = &s->facts;
	s->result.n_checks = gs_inspect_checks(&s->facts, &host, s->checks);
	return 0;
}

/* @return 0 with the bytes in the arena; 1 if there is no such file. */
static int read_module_file(struct inspect *s, const char *name, const char **ret, size_t *ret_n,
			    struct gs_err *err)
{
	GS_CLEANUP(gs_closep) int fd = -1;
	GS_CLEANUP(gs_freep) char *path = NULL;
	struct stat st;
	size_t n = 0;
	char *text;

	if (asprintf(&path, "%s/%s", s->a->module, name) < 0) {
		path = NULL;
		return gs_fail(err, -ENOMEM, 0, "out of memory");
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 1;
	if (fd < 0 || fstat(fd, &st) < 0)
		return gs_fail(err, -errno, 0, "cannot open %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > MODULE_FILE_MAX)
		return gs_fail(err, -GS_E_LIMIT, 0, "%s is no regular file of at most %u MiB", path,
			       MODULE_FILE_MAX >> 20);
	text = gs_arena_alloc(s->arena, (size_t)st.st_size + 1);
	if (!text)
		return gs_fail(err, -ENOMEM, 0, "out of memory");
	while (n < (size_t)st.st_size) {
		ssize_t got = read(fd, text + n, (size_t)st.st_size - n);

		if (got < 0)
			return gs_fail(err, -errno, 0, "cannot read %s: %s", path, strerror(errno));
		if (got == 0)
			break;
		n += (size_t)got;
	}
	*ret = text;
	*ret_n = n;
	return 0;
}

static int read_module(struct inspect *s, struct gs_err *err)
{
	const char *text;
	size_t n;
	int r = read_module_file(s, "go.mod", &text, &n, err);

	if (r == 1)
		return gs_fail(err, -GS_E_NOT_FOUND, 0, "there is no go.mod in %s", s->a->module);
	if (r == 0)
		r = gs_gomod_parse(text, n, "go.mod", s->arena, &s->gomod, err);
	if (r < 0)
		return r;
	s->files.gomod = &s->gomod;
	r = read_module_file(s, "go.sum", &text, &n, err);
	if (r == 0) {
		r = gs_gosum_parse(text, n, "go.sum", s->arena, &s->gosum, err);
		s->files.gosum = &s->gosum;
	}
	if (r < 0)
		return r;
	r = read_module_file(s, "vendor/modules.txt", &text, &n, err);
	if (r == 0) {
		r = gs_vendor_parse(text, n, "vendor/modules.txt", s->arena, &s->vendor, err);
		s->files.vendor = &s->vendor;
	}
	if (r >= 0)
		r = gs_module_findings_init(&s->findings, s->arena, err);
	if (r < 0)
		return r;
	gs_module_check_files(&s->files, &s->findings);
	if (s->result.facts && s->facts.has_buildinfo)
		gs_module_check_binary(&s->files, &s->facts.build, &s->findings);
	s->result.module_files = &s->files;
	s->result.findings = &s->findings;
	return 0;
}

static int gather(struct inspect *s, struct gs_err *err)
{
	int r = 0;

	s->arena = gs_arena_new(0);
	if (!s->arena)
		return gs_fail(err, -ENOMEM, 0, "out of memory");
	if (!s->a->common.target && !s->a->module)
		return gs_fail(err, -EINVAL, 0,
			       "no target: expected a file or a PID, or --module DIR");
	if (!s->a->common.target && s->a->sha256)
		return gs_fail(err, -EINVAL, 0, "--sha256 needs a file");
	if (s->a->common.target)
		r = read_binary(s, err);
	if (r == 0 && s->a->module)
		r = read_module(s, err);
	s->result.name = s->name;
	s->result.image = s->image;
	s->result.checks = s->checks;
	s->result.module_directory = s->a->module;
	return r;
}

static int print(struct inspect *s, struct gs_err *err)
{
	struct gs_output out;
	int r = gs_output_open(&out, &s->a->common, err);

	if (r < 0)
		return r;
	if (strcmp(s->a->common.format, "json") == 0)
		gs_inspect_print_json(&out.out, &s->result);
	else
		gs_inspect_print_text(&out.out, &s->result, gs_colour_wanted(out.out.fd));
	return gs_output_close(&out, true, err);
}

static int exit_code(const struct inspect *s)
{
	bool failed = s->result.findings && s->findings.n_fail;

	for (uint32_t i = 0; s->a->strict && i < s->result.n_checks; i++)
		failed = failed || s->checks[i].verdict == GS_VERDICT_FAIL;
	return failed ? GS_EXIT_FAILED : GS_EXIT_OK;
}

static int run(void *args)
{
	struct inspect s = { .a = args, .fd = -1 };
	struct gs_err err = { 0 };
	int r = gather(&s, &err);

	if (r == 0)
		r = print(&s, &err);
	r = r < 0 ? gs_report(&s.a->common, &err, NULL) : exit_code(&s);
	gs_image_free(s.image);
	gs_arena_free(s.arena);
	gs_closep(&s.fd);
	return r;
}

static const char *const formats[] = { "text", "json", NULL };

static const struct gs_opt options[] = {
	{ .name = "sha256",
	  .type = GS_OPT_STRING,
	  .arg = "SUM",
	  .dest = offsetof(struct inspect_args, sha256),
	  .help = "Fail unless the file has this SHA-256" },
	{ .name = "module",
	  .type = GS_OPT_STRING,
	  .arg = "DIR",
	  .dest = offsetof(struct inspect_args, module),
	  .help = "Compare go.mod, go.sum and vendor/modules.txt in DIR, and the modules in FILE "
		  "with them; fail where they disagree" },
	{ .name = "strict",
	  .type = GS_OPT_FLAG,
	  .dest = offsetof(struct inspect_args, strict),
	  .help = "Fail if a check fails" },
};

const struct gs_cmd gs_cmd_inspect = {
	.name = "inspect",
	.summary = "Show what a Go binary says about itself, and whether it is a trap",
	.description = "Reads an executable of Linux (ELF), Windows (PE) or macOS (Mach-O), amd64 "
		       "or arm64, or "
		       "that of a running process. Shows the Go release, main package, modules "
		       "with sums and "
		       "replacements, build settings, VCS revision, build ids, linking and where "
		       "symbols come "
		       "from. The file is mapped, not run.\n\n"
		       "Checks give a verdict each: ok, warn (works, but somebody should know) or "
		       "fail (will not "
		       "work, or work wrongly), such as a header for another machine than the code "
		       "inside, "
		       "missing unwind data on Windows, a race detector in production.",
	.examples = "gosonde inspect ./server    a file\n"
		    "gosonde inspect =etcd    the executable of a running process\n"
		    "gosonde inspect --format json server.exe | jq .settings    one part of it\n"
		    "gosonde inspect --sha256 \"$SUM\" ./server    is it the file I built?\n"
		    "gosonde inspect --module . ./server    was it built from these modules?",
	.formats = formats,
	.target = GS_ARG_FILE | GS_ARG_PID | GS_ARG_OPTIONAL,
	.options = options,
	.n_options = GS_ARRAY_SIZE(options),
	.args_size = sizeof(struct inspect_args),
	.run = run,
};
