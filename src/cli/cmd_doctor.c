/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * gosonde doctor: what works here, for this user, on this kernel; what each missing thing costs and how
 * to get it. Every line is a tried feature (probe/host_features.h) or follows from some of them. Finding
 * things missing is its success: it exits 0.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json_writer.h"
#include "cli/cmd.h"
#include "cli/help.h"
#include "golang/release.h"
#include "probe/host_features.h"

/* How far a command works. */
enum works { WORKS, WORKS_PARTLY, WORKS_NOT };

struct command_state {
	const char *name;
	enum works works;
	char why[160]; /* "" if it works */
};

#define COMMANDS 9

static void say(struct command_state *c, const char *name, enum works works, const char *why)
{
	c->name = name;
	c->works = works;
	snprintf(c->why, sizeof(c->why), "%s", why);
}

/* Whom the snapshot lens can read. */
static void snapshot_state(struct gs_features *fs, struct command_state *c, const char *name)
{
	bool reads = gs_feature_has(fs, GS_FEATURE_VM_READV) ||
		     gs_feature_has(fs, GS_FEATURE_PROC_MEM);

	if (!reads || !gs_feature_has(fs, GS_FEATURE_YAMA))
		say(c, name, WORKS_PARTLY,
		    reads ? "core files only: Yama forbids to read other processes"
			  : "core files only: memory of other processes cannot be read");
	else if (!gs_feature_has(fs, GS_FEATURE_CAP_SYS_PTRACE))
		say(c, name, WORKS_PARTLY,
		    "processes of your own user only, without CAP_SYS_PTRACE");
	else if (geteuid() != 0 && !gs_feature_has(fs, GS_FEATURE_CAP_DAC_READ_SEARCH))
		say(c, name, WORKS_PARTLY,
		    "processes of your own user only, without CAP_DAC_READ_SEARCH");
	else if (!gs_feature_has(fs, GS_FEATURE_USER_NAMESPACE))
		say(c, name, WORKS_PARTLY, "processes of this user namespace only");
	else
		say(c, name, WORKS, "");
}

/* The commands that watch: with probes, or as far as looking again and again goes. */
static void stream_states(struct gs_features *fs, const struct command_state *snapshot,
			  struct command_state ret[4])
{
	enum gs_feature missing = GS_FEATURE_COUNT;
	bool probes = gs_features_stream(fs, &missing);
	char why[160] = "";

	if (!probes)
		snprintf(why, sizeof(why), "missing: %s", gs_feature_info(missing)->title);
	say(&ret[0], "live events", probes ? WORKS : WORKS_NOT, why);
	for (int i = 1; i <= 2; i++) {
		ret[i] = *snapshot;
		ret[i].name = i == 1 ? "why" : "trace";
		if (!probes)
			say(&ret[i], ret[i].name, WORKS_PARTLY,
			    "estimates from snapshots, without live events");
	}
	if (probes && gs_feature_has(fs, GS_FEATURE_PERF_CLOCK))
		say(&ret[3], "record", snapshot->works, snapshot->why);
	else
		say(&ret[3], "record", WORKS_PARTLY,
		    "--off-cpu only: the sampling clock is forbidden");
}

static void command_states(struct gs_features *fs, struct command_state ret[COMMANDS])
{
	struct command_state snapshot;

	snapshot_state(fs, &snapshot, "dump");
	say(&ret[0], "inspect", WORKS, "");
	say(&ret[1], "ps", snapshot.works, snapshot.works == WORKS ? "" : snapshot.why);
	ret[2] = snapshot;
	ret[3] = snapshot;
	ret[3].name = "dump --stop";
	if (!gs_feature_has(fs, GS_FEATURE_PTRACE))
		say(&ret[3], "dump --stop", WORKS_NOT, "ptrace is refused");
	ret[4] = snapshot;
	ret[4].name = "top";
	stream_states(fs, &snapshot, &ret[5]);
}

static const char *mark(enum gs_feature_state s)
{
	return s == GS_FEATURE_YES ? "ok" : s == GS_FEATURE_NO ? "no" : "?";
}

static void print_mark(struct gs_out *o, const char *text, bool good, bool colour)
{
	if (colour)
		gs_out_str(o, good ? "\033[32m" : "\033[33m");
	gs_out_printf(o, "  %-4s ", text);
	if (colour)
		gs_out_str(o, "\033[0m");
}

static void print_feature(struct gs_out *o, struct gs_features *fs, enum gs_feature f, bool colour)
{
	const struct gs_feature_result *r = gs_feature_try(fs, f);
	const struct gs_feature_info *info = gs_feature_info(f);

	print_mark(o, mark(r->state), r->state == GS_FEATURE_YES, colour);
	if (r->detail[0])
		gs_out_printf(o, "%-37s %s\n", info->title, r->detail);
	else
		gs_out_printf(o, "%s\n", info->title);
	if (r->state == GS_FEATURE_YES)
		return;
	gs_out_str(o, "        without it: ");
	gs__help_wrap(o, info->costs, 20, 20);
	gs_out_str(o, "        to get it:  ");
	gs__help_wrap(o, info->remedy, 20, 20);
}

static void host_line(char *buf, size_t size)
{
	struct passwd *pw = getpwuid(geteuid());
	struct utsname u;

	if (uname(&u) < 0)
		memset(&u, 0, sizeof(u));
	snprintf(buf, size, "gosonde %s on %s %s %s, user %s (%u)", GS_VERSION, u.sysname,
		 u.release, u.machine, pw ? pw->pw_name : "?", (unsigned int)geteuid());
}

static void print_text(struct gs_out *o, struct gs_features *fs, bool colour)
{
	static const char *const titles[] = { "", "Privileges", "Settings of the kernel",
					      "Snapshot lens: reading memory",
					      "Stream lens: live events" };
	struct command_state commands[COMMANDS] = { 0 };
	enum gs_feature_group group = 0;
	char host[256];

	host_line(host, sizeof(host));
	gs_out_name(o, host, strlen(host));
	gs_out_char(o, '\n');
	for (unsigned int i = 0; i < GS_FEATURE_COUNT; i++) {
		const struct gs_feature_info *info = gs_feature_info(i);

		if (info->group != group)
			gs_out_printf(o, "\n%s\n", titles[group = info->group]);
		print_feature(o, fs, i, colour);
	}
	gs_out_printf(
		o,
		"\nGo releases\n  1.%d to 1.%d  by tables made from these releases; the target's "
		"own DWARF wins\n  newer         nearest table, proved on the live data, and "
		"said so\n  older         refused (inspect reads Go 1.18 too)\n",
		GS_GO_MINOR_FIRST, GS_GO_MINOR_LAST);
	gs_out_str(o, "\nWhat works\n");
	command_states(fs, commands);
	for (size_t i = 0; i < COMMANDS; i++) {
		static const char *const words[] = { "yes", "part", "no" };

		print_mark(o, words[commands[i].works], commands[i].works == WORKS, colour);
		if (commands[i].why[0])
			gs_out_printf(o, "%-13s %s\n", commands[i].name, commands[i].why);
		else
			gs_out_printf(o, "%s\n", commands[i].name);
	}
}

static void json_features(struct gs_json *j, struct gs_features *fs)
{
	gs_json_key(j, "features");
	gs_json_open_array(j);
	for (unsigned int i = 0; i < GS_FEATURE_COUNT; i++) {
		const struct gs_feature_result *r = gs_feature_try(fs, i);
		const struct gs_feature_info *info = gs_feature_info(i);

		gs_json_open_object(j);
		gs_json_kv_string(j, "name", info->name);
		gs_json_kv_string(j, "group", gs_feature_group_name(info->group));
		gs_json_kv_string(j, "title", info->title);
		gs_json_key(j, "available");
		if (r->state == GS_FEATURE_UNKNOWN)
			gs_json_null(j);
		else
			gs_json_bool(j, r->state == GS_FEATURE_YES);
		gs_json_kv_string(j, "detail", r->detail);
		gs_json_kv_string(j, "costs", info->costs);
		gs_json_kv_string(j, "remedy", info->remedy);
		gs_json_close(j);
	}
	gs_json_close(j);
}

static void json_host(struct gs_json *j)
{
	struct utsname u;

	if (uname(&u) < 0)
		memset(&u, 0, sizeof(u));
	gs_json_key(j, "host");
	gs_json_open_object(j);
	gs_json_kv_string(j, "gosonde_version", GS_VERSION);
	gs_json_kv_string(j, "kernel", u.release);
	gs_json_kv_string(j, "machine", u.machine);
	gs_json_kv_u64(j, "user_id", geteuid());
	gs_json_close(j);
}

static void print_json(struct gs_out *o, struct gs_features *fs)
{
	static const char *const words[] = { "yes", "partly", "no" };
	struct command_state commands[COMMANDS] = { 0 };
	struct gs_json j;
	char release[16];

	gs_json_init(&j, o, false);
	gs_json_open_object(&j);
	gs_json_kv_string(&j, "schema", "gosonde.doctor/1");
	json_host(&j);
	json_features(&j, fs);
	gs_json_key(&j, "go");
	gs_json_open_object(&j);
	snprintf(release, sizeof(release), "1.%d", GS_GO_MINOR_FIRST);
	gs_json_kv_string(&j, "first", release);
	snprintf(release, sizeof(release), "1.%d", GS_GO_MINOR_LAST);
	gs_json_kv_string(&j, "last", release);
	gs_json_kv_string(&j, "newer", "nearest table, proved on the live data");
	gs_json_close(&j);
	command_states(fs, commands);
	gs_json_key(&j, "commands");
	gs_json_open_array(&j);
	for (size_t i = 0; i < COMMANDS; i++) {
		gs_json_open_object(&j);
		gs_json_kv_string(&j, "name", commands[i].name);
		gs_json_kv_string(&j, "works", words[commands[i].works]);
		gs_json_kv_string(&j, "why", commands[i].why);
		gs_json_close(&j);
	}
	gs_json_close(&j);
	gs_json_close(&j);
	gs_out_char(o, '\n');
}

static int run(void *args)
{
	const struct gs_common *c = args;
	struct gs_features fs = { 0 };
	struct gs_err err = { 0 };
	struct gs_output out;
	int r = gs_output_open(&out, c, &err);

	if (r < 0)
		return gs_report(c, &err, NULL);
	if (strcmp(c->format, "json") == 0)
		print_json(&out.out, &fs);
	else
		print_text(&out.out, &fs, gs_colour_wanted(out.out.fd));
	r = gs_output_close(&out, true, &err);
	return r < 0 ? gs_report(c, &err, NULL) : GS_EXIT_OK;
}

static const char *const formats[] = { "text", "json", NULL };

const struct gs_cmd gs_cmd_doctor = {
	.name = "doctor",
	.summary = "Tell what works on this machine and what to do about the rest",
	.description =
		"Tries every kernel feature and privilege that gosonde can use: reads and stops a "
		"child process of its own, loads a BPF program that does nothing, places a probe "
		"on a "
		"function of its own that is never called. Everything is taken away again at "
		"once.\n\n"
		"For each thing that is missing it prints what is lost without it and how to get "
		"it. "
		"The exit status is 0 whatever is missing.",
	.examples = "gosonde doctor    for the user who runs it\n"
		    "sudo gosonde doctor    for root\n"
		    "gosonde doctor --format json | jq '.commands'    for programs",
	.formats = formats,
	.args_size = sizeof(struct gs_common),
	.run = run,
};
