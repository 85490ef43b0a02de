/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Verdicts of inspect from facts written by hand: one fact is changed, one verdict changes. */
#include "analysis/inspect.h"
#include "test.h"

struct fixture {
	struct gs_image_info image;
	struct gs_go_setting settings[8];
	struct gs_inspect facts;
	struct gs_inspect_host host;
	struct gs_inspect_check checks[GS_INSPECT_CHECKS_MAX];
	uint32_t n;
};

/* A file about which nothing is to be said. */
static void good(struct fixture *f)
{
	*f = (struct fixture){
		.image = { .format = GS_IMAGE_ELF,
			   .arch = GS_ARCH_AMD64,
			   .has_symtab = true,
			   .has_dwarf = true,
			   .n_sections = 10,
			   .os = "linux" },
		.settings = { { "GOARCH", "amd64" }, { "GOOS", "linux" } },
		.facts = { .format = "elf",
			   .machine = "amd64",
			   .goos = "linux",
			   .goarch = "amd64",
			   .goarch_setting = "amd64",
			   .goos_setting = "linux",
			   .has_buildinfo = true,
			   .has_pclntab = true,
			   .pclntab_functions = 9,
			   .linking = "static" },
		.host = { .arch = GS_ARCH_AMD64 },
	};
	f->facts.build = (struct gs_go_buildinfo){
		.version = "go1.26.1",
		.release_known = true,
		.release = { .minor = 26, .patch = 1 },
		.n_settings = 2,
	};
}

static void run(struct fixture *f)
{
	f->facts.image = &f->image;
	f->facts.build.settings = f->settings;
	f->n = gs_inspect_checks(&f->facts, &f->host, f->checks);
}

static void set(struct fixture *f, const char *key, const char *value)
{
	f->settings[f->facts.build.n_settings++] = (struct gs_go_setting){ key, value };
}

static void expect(struct fixture *f, const char *name, enum gs_verdict v, const char *words)
{
	uint32_t others = 0;
	bool found = false;

	run(f);
	for (uint32_t i = 0; i < f->n; i++) {
		const struct gs_inspect_check *c = &f->checks[i];

		if (strcmp(c->name, name) != 0) {
			others += c->verdict != GS_VERDICT_OK;
			continue;
		}
		found = true;
		if (c->verdict != v || !strstr(c->detail, words))
			fail_msg("%s: %s: %s", name, gs_verdict_name(c->verdict), c->detail);
	}
	if (!found)
		fail_msg("there is no check %s", name);
	assert_int_equal(others, 0);
}

static void test_good(void **state)
{
	struct fixture f;

	good(&f);
	run(&f);
	assert_true(f.n > 10);
	for (uint32_t i = 0; i < f.n; i++) {
		assert_int_equal(f.checks[i].verdict, GS_VERDICT_OK);
		assert_true(f.checks[i].detail[0]);
		for (uint32_t k = 0; k < i; k++)
			assert_string_not_equal(f.checks[i].name, f.checks[k].name);
	}
}

static void test_machine(void **state)
{
	struct fixture f;

	good(&f);
	f.facts.goarch_setting = "arm64";
	expect(&f, "machine_matches_goarch", GS_VERDICT_FAIL, "GOARCH=arm64");
	good(&f);
	f.facts.goarch_setting = NULL;
	expect(&f, "machine_matches_goarch", GS_VERDICT_WARN, "amd64");
	good(&f);
	f.facts.goos_setting = "windows";
	expect(&f, "format_matches_goos", GS_VERDICT_FAIL, "GOOS=windows");
	good(&f);
	f.facts.goos_setting = "freebsd"; // ELF too
	expect(&f, "format_matches_goos", GS_VERDICT_OK, "freebsd");
}

static void test_native(void **state)
{
	struct fixture f;

	good(&f);
	f.host.arch = GS_ARCH_ARM64;
	expect(&f, "native", GS_VERDICT_WARN, "no emulator");
	good(&f);
	f.host.arch = GS_ARCH_ARM64;
	f.host.emulates_amd64 = true;
	strcpy(f.host.emulator, "qemu-x86_64");
	expect(&f, "native", GS_VERDICT_WARN, "qemu-x86_64");
	good(&f);
	f.facts.goos = "freebsd";
	expect(&f, "native", GS_VERDICT_WARN, "freebsd/amd64");
}

static void test_binfmt(void **state)
{
	/* As Debian's qemu-user-binfmt registers it. */
	static const char arm64[] =
		"enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\n"
		"flags: POCF\noffset 0\n"
		"magic 7f454c460201010000000000000000000200b700\n"
		"mask ffffffffffffff00fffffffffffffffffeffffff\n";
	static const char arm[] = "enabled\ninterpreter /x\nflags: \noffset 0\n"
				  "magic 7f454c4601010100000000000000000002002800\n";
	struct gs_inspect_host h = { .arch = GS_ARCH_AMD64 };

	gs_inspect_host_binfmt(&h, "qemu-arm", arm);
	gs_inspect_host_binfmt(&h, "python", "enabled\ninterpreter /x\nextension .py\n");
	gs_inspect_host_binfmt(&h, "short", "enabled\nmagic 7f454c46\n");
	gs_inspect_host_binfmt(&h, "empty", "");
	assert_false(h.emulates_arm64 || h.emulates_amd64);
	gs_inspect_host_binfmt(&h, "qemu-aarch64", arm64);
	assert_true(h.emulates_arm64);
	assert_string_equal(h.emulator, "qemu-aarch64");
	h = (struct gs_inspect_host){ .arch = GS_ARCH_AMD64 };
	gs_inspect_host_binfmt(&h, "off",
			       "disabled\ninterpreter /x\nflags: \noffset 0\n"
			       "magic 7f454c460201010000000000000000000200b700\n");
	assert_false(h.emulates_arm64);
}

static void test_release(void **state)
{
	struct fixture f;

	good(&f);
	f.facts.build.release.minor = GS_GO_MINOR_FIRST - 1;
	expect(&f, "release_supported", GS_VERDICT_FAIL, "older");
	good(&f);
	f.facts.build.release.minor = GS_GO_MINOR_LAST + 1;
	expect(&f, "release_supported", GS_VERDICT_WARN, "newer");
	good(&f);
	f.facts.build.release_known = false;
	expect(&f, "release_supported", GS_VERDICT_WARN, "go1.26.1");
}

static void test_tables(void **state)
{
	struct fixture f;

	good(&f);
	f.facts.has_pclntab = false;
	expect(&f, "pclntab", GS_VERDICT_FAIL, "not found");
	good(&f);
	f.facts.stripped = true;
	expect(&f, "stripped", GS_VERDICT_WARN, "no symbol table");
	good(&f);
	f.image.has_dwarf = false;
	expect(&f, "debug_info", GS_VERDICT_WARN, "no DWARF");
	good(&f);
	f.facts.has_buildinfo = false;
	f.facts.build = (struct gs_go_buildinfo){ 0 };
	expect(&f, "buildinfo", GS_VERDICT_WARN, "none");
}

static void windows(struct fixture *f)
{
	good(f);
	f->image.format = GS_IMAGE_PE;
	f->image.has_unwind = f->image.is_signed = true;
	f->image.arch = f->host.arch;
	f->facts.goos_setting = "windows";
	f->facts.goos = "linux"; // so that only the check under test speaks
}

static void test_windows(void **state)
{
	struct fixture f;

	windows(&f);
	expect(&f, "unwind_data", GS_VERDICT_OK, ".pdata");
	windows(&f);
	f.image.has_unwind = false;
	expect(&f, "unwind_data", GS_VERDICT_WARN, "no .pdata");
	windows(&f);
	f.image.is_signed = false;
	expect(&f, "signed", GS_VERDICT_WARN, "not signed");
}

static void test_darwin(void **state)
{
	struct fixture f;

	good(&f);
	f.image.format = GS_IMAGE_MACHO;
	f.image.arch = f.host.arch = GS_ARCH_ARM64;
	f.facts.machine = f.facts.goarch_setting = "arm64";
	f.facts.goos_setting = "darwin";
	expect(&f, "signed", GS_VERDICT_FAIL, "codesign");
	f.image.is_signed = true;
	expect(&f, "signed", GS_VERDICT_OK, "not verified");
}

static void test_settings(void **state)
{
	struct fixture f;

	good(&f);
	set(&f, "-race", "true");
	expect(&f, "race_detector", GS_VERDICT_WARN, "on");
	good(&f);
	set(&f, "-gcflags", "all=-N -l");
	expect(&f, "optimised", GS_VERDICT_WARN, "-N -l");
	good(&f);
	set(&f, "-gcflags", "-l=4 -Nothing");
	expect(&f, "optimised", GS_VERDICT_OK, "yes");
	good(&f);
	set(&f, "-asan", "true");
	expect(&f, "address_sanitizer", GS_VERDICT_WARN, "on");
	good(&f);
	set(&f, "DefaultGODEBUG", "fips140=on,panicnil=1,x=2");
	expect(&f, "godebug", GS_VERDICT_WARN, "2 settings");
	good(&f);
	set(&f, "DefaultGODEBUG", "fips140=on");
	expect(&f, "godebug", GS_VERDICT_OK, "");
	good(&f);
	f.facts.vcs.modified = true;
	expect(&f, "vcs", GS_VERDICT_WARN, "modified");
	good(&f);
	set(&f, "GOFIPS140", "v1.0.0");
	expect(&f, "fips", GS_VERDICT_FAIL, ".go.fipsinfo");
	good(&f);
	set(&f, "GOFIPS140", "v1.0.0");
	f.facts.has_fips_info = true;
	expect(&f, "fips", GS_VERDICT_OK, "v1.0.0");
}

static void test_details_are_escaped_and_cut(void **state)
{
	char long_name[1000];
	struct fixture f;

	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	long_name[0] = '\033';
	good(&f);
	f.facts.goarch_setting = long_name;
	run(&f);
	assert_non_null(strstr(f.checks[0].detail, "\\x1bxxx"));
	assert_true(strlen(f.checks[0].detail) < sizeof(f.checks[0].detail));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),     cmocka_unit_test(test_machine),
		cmocka_unit_test(test_native),   cmocka_unit_test(test_binfmt),
		cmocka_unit_test(test_release),  cmocka_unit_test(test_tables),
		cmocka_unit_test(test_windows),  cmocka_unit_test(test_darwin),
		cmocka_unit_test(test_settings), cmocka_unit_test(test_details_are_escaped_and_cut),
	};

	return gs_test_main(tests);
}
