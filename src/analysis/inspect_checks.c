/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Is anything about this binary a trap? Each check is a function from facts to a verdict: ok, warn
 * (works, but somebody should know) or fail (will not work, or will work wrongly). A check that does not
 * apply to a format is left out.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "analysis/inspect.h"
#include "base/escape.h"

const char *gs_verdict_name(enum gs_verdict v)
{
	return v == GS_VERDICT_OK ? "ok" : v == GS_VERDICT_WARN ? "warn" : "fail";
}

struct checks {
	struct gs_inspect_check *list;
	uint32_t n;
};

static void say(struct checks *c, const char *name, enum gs_verdict v, const char *fmt, ...)
	GS_PRINTF(4, 5);

static void say(struct checks *c, const char *name, enum gs_verdict v, const char *fmt, ...)
{
	struct gs_inspect_check *k = &c->list[c->n];
	char raw[sizeof(k->detail)];
	va_list ap;

	if (c->n == GS_INSPECT_CHECKS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	k->name = name;
	k->verdict = v;
	gs_escape_to(k->detail, sizeof(k->detail), raw, strlen(raw));
	c->n++;
}

static bool setting_is(const struct gs_inspect *f, const char *key, const char *value)
{
	const char *v = f->has_buildinfo ? gs_go_setting(&f->build, key) : NULL;

	return v && strcmp(v, value) == 0;
}

static const char *setting(const struct gs_inspect *f, const char *key)
{
	return f->has_buildinfo ? gs_go_setting(&f->build, key) : NULL;
}

/* A windows/arm64 build whose header says amd64 is started by Windows in its x64 emulation and crashes
 * at the first instruction, or is refused by installers. */
static void check_machine(struct checks *c, const struct gs_inspect *f)
{
	if (!f->goarch_setting)
		say(c, "machine_matches_goarch", GS_VERDICT_WARN,
		    "the file is for %s; the build info does not say what was meant", f->machine);
	else if (strcmp(f->goarch_setting, f->machine) != 0)
		say(c, "machine_matches_goarch", GS_VERDICT_FAIL,
		    "built with GOARCH=%s, but the %s header says %s: the system will run it as %s "
		    "code",
		    f->goarch_setting, f->format, f->machine, f->machine);
	else
		say(c, "machine_matches_goarch", GS_VERDICT_OK, "both %s", f->machine);
}

static void check_format(struct checks *c, const struct gs_inspect *f)
{
	const char *os = f->goos_setting;
	enum gs_image_format expected = GS_IMAGE_ELF;

	if (!os)
		return;
	if (strcmp(os, "windows") == 0)
		expected = GS_IMAGE_PE;
	else if (strcmp(os, "darwin") == 0 || strcmp(os, "ios") == 0)
		expected = GS_IMAGE_MACHO;
	if (expected != f->image->format)
		say(c, "format_matches_goos", GS_VERDICT_FAIL,
		    "built with GOOS=%s, but the file is %s", os, f->format);
	else
		say(c, "format_matches_goos", GS_VERDICT_OK, "%s for %s", f->format, os);
}

static const char *arch_name(enum gs_arch a)
{
	return a == GS_ARCH_AMD64 ? "amd64" : a == GS_ARCH_ARM64 ? "arm64" : "unknown";
}

static void check_native(struct checks *c, const struct gs_inspect *f,
			 const struct gs_inspect_host *h)
{
	bool linux_file = f->goos ? strcmp(f->goos, "linux") == 0
				  : f->image->format == GS_IMAGE_ELF;
	bool emulated = (f->image->arch == GS_ARCH_AMD64 && h->emulates_amd64) ||
			(f->image->arch == GS_ARCH_ARM64 && h->emulates_arm64);

	if (!linux_file)
		say(c, "native", GS_VERDICT_WARN, "for %s/%s; this host is linux/%s",
		    f->goos ? f->goos : f->format, f->machine, arch_name(h->arch));
	else if (f->image->arch == h->arch)
		say(c, "native", GS_VERDICT_OK, "runs natively on this host (linux/%s)",
		    arch_name(h->arch));
	else if (emulated)
		say(c, "native", GS_VERDICT_WARN,
		    "emulated on this host by %s (binfmt_misc): slow, and a running process shows "
		    "the "
		    "emulator, not the Go program",
		    h->emulator);
	else
		say(c, "native", GS_VERDICT_WARN,
		    "for linux/%s; this host is linux/%s and has no emulator for it", f->machine,
		    arch_name(h->arch));
}

static void check_release(struct checks *c, const struct gs_inspect *f)
{
	const struct gs_go_release *r = &f->build.release;

	if (!f->has_buildinfo)
		return;
	if (!f->build.release_known)
		say(c, "release_supported", GS_VERDICT_WARN,
		    "%s is no version gosonde can read: dump and top will guess from the layouts",
		    f->build.version);
	else if (r->minor > GS_GO_MINOR_LAST)
		say(c, "release_supported", GS_VERDICT_WARN,
		    "Go 1.%u is newer than the newest known release, 1.%d: dump and top use its "
		    "layouts and check themselves",
		    r->minor, GS_GO_MINOR_LAST);
	else if (r->minor < GS_GO_MINOR_FIRST)
		say(c, "release_supported", GS_VERDICT_FAIL,
		    "Go 1.%u is older than 1.%d: dump and top refuse it", r->minor,
		    GS_GO_MINOR_FIRST);
	else
		say(c, "release_supported", GS_VERDICT_OK, "Go 1.%u", r->minor);
}

static void check_go_tables(struct checks *c, const struct gs_inspect *f)
{
	if (f->has_buildinfo)
		say(c, "buildinfo", GS_VERDICT_OK, "present");
	else
		say(c, "buildinfo", GS_VERDICT_WARN,
		    "none: release, modules and settings are unknown (garbled or scrubbed?)");
	if (f->has_pclntab)
		say(c, "pclntab", GS_VERDICT_OK, "%llu functions",
		    (unsigned long long)f->pclntab_functions);
	else
		say(c, "pclntab", GS_VERDICT_FAIL,
		    "not found: no function names, no stacks (packed or garbled?)");
}

static void check_symbols(struct checks *c, const struct gs_inspect *f)
{
	if (f->stripped)
		say(c, "stripped", GS_VERDICT_WARN,
		    "no symbol table: gosonde reads the Go function table instead, other tools "
		    "show "
		    "addresses");
	else
		say(c, "stripped", GS_VERDICT_OK, "has a symbol table");
	if (f->image->has_dwarf)
		say(c, "debug_info", GS_VERDICT_OK, "has DWARF");
	else
		say(c, "debug_info", GS_VERDICT_WARN,
		    "no DWARF (-ldflags=-w or stripped): debuggers cannot show variables");
}

/* On Windows every non-leaf function needs a .pdata entry, or exceptions, debuggers and profilers
 * cannot pass it. Elsewhere Go code is unwound by its own tables. */
static void check_unwind(struct checks *c, const struct gs_inspect *f)
{
	if (f->image->format != GS_IMAGE_PE) {
		say(c, "unwind_data", GS_VERDICT_OK,
		    f->image->has_unwind ? "Go's own tables, and for C code the system's"
					 : "Go's own tables");
		return;
	}
	if (f->image->has_unwind)
		say(c, "unwind_data", GS_VERDICT_OK, "has .pdata");
	else
		say(c, "unwind_data", GS_VERDICT_WARN,
		    "no .pdata for %llu bytes of code: exceptions, debuggers and profilers cannot "
		    "unwind on Windows",
		    (unsigned long long)f->text_unwind_needed);
}

static void check_signature(struct checks *c, const struct gs_inspect *f)
{
	bool must = f->image->format == GS_IMAGE_MACHO && f->image->arch == GS_ARCH_ARM64;

	if (f->image->format == GS_IMAGE_ELF)
		return;
	if (f->image->is_signed)
		say(c, "signed", GS_VERDICT_OK, "carries a signature (not verified)");
	else if (must)
		say(c, "signed", GS_VERDICT_FAIL,
		    "not signed: macOS on arm64 kills unsigned programs. codesign -s - FILE");
	else
		say(c, "signed", GS_VERDICT_WARN, "not signed");
}

/* cmd/go records GOFIPS140 unless it is off; DefaultGODEBUG then has fips140=on. */
static void check_fips(struct checks *c, const struct gs_inspect *f)
{
	const char *module = setting(f, "GOFIPS140"), *debug = setting(f, "DefaultGODEBUG");
	bool on = debug && strstr(debug, "fips140=o") && !strstr(debug, "fips140=off");

	if (!module || strcmp(module, "off") == 0)
		say(c, "fips", GS_VERDICT_OK,
		    on ? "FIPS 140 mode on by GODEBUG" : "not a FIPS build");
	else if (!f->has_fips_info && f->image->n_sections && f->image->format != GS_IMAGE_PE)
		say(c, "fips", GS_VERDICT_FAIL,
		    "GOFIPS140=%s, but the file has no .go.fipsinfo: its self-check will abort the "
		    "program",
		    module);
	else
		say(c, "fips", GS_VERDICT_OK, "GOFIPS140=%s", module);
}

static void check_instrumented(struct checks *c, const struct gs_inspect *f)
{
	static const struct {
		const char *key, *name, *what;
	} modes[] = {
		{ "-race", "race_detector", "race detector on: 5 to 10 times the memory and time" },
		{ "-msan", "memory_sanitizer", "memory sanitizer on: not for production" },
		{ "-asan", "address_sanitizer", "address sanitizer on: not for production" },
		{ "-cover", "coverage", "coverage counters on: slower hot loops" },
	};

	for (size_t i = 0; i < GS_ARRAY_SIZE(modes); i++) {
		if (setting_is(f, modes[i].key, "true"))
			say(c, modes[i].name, GS_VERDICT_WARN, "%s", modes[i].what);
		else if (i == 0)
			say(c, modes[i].name, GS_VERDICT_OK, "off");
	}
}

/* A flag among "-N -l" or "all=-N -l"; flags may be quoted. */
static bool has_flag(const char *flags, const char *flag)
{
	size_t n = strlen(flag);

	for (const char *p = flags ? strstr(flags, flag) : NULL; p; p = strstr(p + 1, flag)) {
		bool starts = p == flags || strchr(" ='\"", p[-1]);
		bool ends = p[n] == '\0' || strchr(" '\"", p[n]);

		if (starts && ends)
			return true;
	}
	return false;
}

static void check_optimised(struct checks *c, const struct gs_inspect *f)
{
	const char *flags = setting(f, "-gcflags");
	bool no_opt = has_flag(flags, "-N"), no_inline = has_flag(flags, "-l");

	if (no_opt || no_inline)
		say(c, "optimised", GS_VERDICT_WARN, "built with%s%s (%s): slow code",
		    no_opt ? " -N" : "", no_inline ? " -l" : "",
		    no_opt && no_inline ? "for a debugger"
		    : no_opt            ? "no optimisation"
					: "no inlining");
	else
		say(c, "optimised", GS_VERDICT_OK, "yes");
	if (setting(f, "-pgo"))
		say(c, "pgo", GS_VERDICT_OK, "optimised with a profile");
	else
		say(c, "pgo", GS_VERDICT_OK, "no profile was used");
}

static void check_provenance(struct checks *c, const struct gs_inspect *f)
{
	if (f->vcs.modified)
		say(c, "vcs", GS_VERDICT_WARN,
		    "built from a modified tree: revision %s is not all that is in it",
		    f->vcs.revision ? f->vcs.revision : "(unknown)");
	else if (f->vcs.revision)
		say(c, "vcs", GS_VERDICT_OK, "%s %s", f->vcs.system ? f->vcs.system : "revision",
		    f->vcs.revision);
	else
		say(c, "vcs", GS_VERDICT_OK, "no revision recorded");
	if (setting_is(f, "-trimpath", "true"))
		say(c, "trimpath", GS_VERDICT_OK, "paths of the build machine are removed");
	else
		say(c, "trimpath", GS_VERDICT_OK, "no: file names are paths of the build machine");
}

/* How many behaviours of older releases are asked for. DefaultGODEBUG follows from the go line of go.mod
 * and from //go:debug lines; fips140 in it comes from GOFIPS140 and is no old behaviour. */
static unsigned int old_behaviours(const char *debug)
{
	unsigned int n = 0;

	while (debug && *debug) {
		n += strncmp(debug, "fips140=", 8) != 0;
		debug = strchr(debug, ',');
		debug = debug ? debug + 1 : NULL;
	}
	return n;
}

static void check_runtime_mode(struct checks *c, const struct gs_inspect *f)
{
	const char *debug = setting(f, "DefaultGODEBUG");
	unsigned int n = old_behaviours(debug);

	if (f->uses_cgo)
		say(c, "cgo", GS_VERDICT_OK, "runtime/cgo is linked in");
	else if (setting_is(f, "CGO_ENABLED", "1"))
		say(c, "cgo", GS_VERDICT_OK, "enabled, but nothing uses it");
	else
		say(c, "cgo", GS_VERDICT_OK, "not used");
	if (n)
		say(c, "godebug", GS_VERDICT_WARN,
		    "not as its release behaves by default: %u %s, see "
		    "DefaultGODEBUG",
		    n, n == 1 ? "setting" : "settings");
	else
		say(c, "godebug", GS_VERDICT_OK, "defaults of its own release");
}

uint32_t gs_inspect_checks(const struct gs_inspect *f, const struct gs_inspect_host *host,
			   struct gs_inspect_check ret[GS_INSPECT_CHECKS_MAX])
{
	struct checks c = { .list = ret };

	check_machine(&c, f);
	check_format(&c, f);
	check_native(&c, f, host);
	check_release(&c, f);
	check_go_tables(&c, f);
	check_symbols(&c, f);
	check_unwind(&c, f);
	check_signature(&c, f);
	if (!f->has_buildinfo)
		return c.n;
	check_fips(&c, f);
	check_instrumented(&c, f);
	check_optimised(&c, f);
	check_provenance(&c, f);
	check_runtime_mode(&c, f);
	return c.n;
}
