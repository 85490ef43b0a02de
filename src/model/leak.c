/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The words of leaks, the same in every format. */
#include "model/leak.h"

#include "base/cleanup.h"

const char *gs_leak_kind_name(enum gs_leak_kind k)
{
	static const char *const names[] = { [GS_LEAK_UNREACHABLE] = "unreachable",
					     [GS_LEAK_CONNECTION] = "connection",
					     [GS_LEAK_GROWTH] = "growth" };

	return (size_t)k < GS_ARRAY_SIZE(names) && names[k] ? names[k] : "unknown";
}

const char *gs_leak_confidence_name(enum gs_leak_confidence c)
{
	static const char *const names[] = {
		[GS_LEAK_CERTAIN] = "certain", [GS_LEAK_HIGH] = "high", [GS_LEAK_LIKELY] = "likely"
	};

	return (size_t)c < GS_ARRAY_SIZE(names) && names[c] ? names[c] : "unknown";
}

static const struct {
	const char *name;
	int64_t below_ns;
} ages[GS_LEAK_AGES] = {
	{ "<1s", 1000000000 },    { "<10s", 10000000000 },  { "<1m", 60000000000 },
	{ "<10m", 600000000000 }, { "<1h", 3600000000000 }, { "<1d", 86400000000000 },
	{ "older", INT64_MAX },   { "unknown", 0 },
};

unsigned int gs_leak_age(int64_t age_ns)
{
	unsigned int i = 0;

	if (age_ns < 0)
		return GS_LEAK_AGES - 1;
	while (i < GS_LEAK_AGES - 2 && age_ns >= ages[i].below_ns)
		i++;
	return i;
}

const char *gs_leak_age_name(unsigned int age)
{
	return age < GS_LEAK_AGES ? ages[age].name : "unknown";
}
