// SPDX-License-Identifier: Apache-2.0
/* Numbers with units, and colours where they are wanted. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

const char *format_bytes(char out[FORMAT_LEN], uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(out, FORMAT_LEN, unit && value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return out;
}

const char *format_ms(char out[FORMAT_LEN], uint64_t ms)
{
	uint64_t s = ms / 1000;

	if (ms < 1000)
		snprintf(out, FORMAT_LEN, "%" PRIu64 " ms", ms);
	else if (s < 60)
		snprintf(out, FORMAT_LEN, "%.1f s", (double)ms / 1000);
	else if (s < 3600)
		snprintf(out, FORMAT_LEN, "%" PRIu64 " min %02" PRIu64 " s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, FORMAT_LEN, "%" PRIu64 " h %02" PRIu64 " min", s / 3600, s / 60 % 60);
	else
		snprintf(out, FORMAT_LEN, "%" PRIu64 " d %02" PRIu64 " h", s / 86400,
			 s / 3600 % 24);
	return out;
}

const char *format_us(char out[FORMAT_LEN], uint64_t us)
{
	if (us < 1000)
		snprintf(out, FORMAT_LEN, "%" PRIu64 " us", us);
	else if (us < 1000000)
		snprintf(out, FORMAT_LEN, "%.1f ms", (double)us / 1000);
	else
		format_ms(out, us / 1000);
	return out;
}

/* https://no-color.org */
bool format_has_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

const char *format_colour(const char *state)
{
	static const struct {
		const char *state, *colour;
	} colours[] = {
		{ "live", "\033[32m" },       { "serving", "\033[32m" },
		{ "accepting", "\033[32m" },  { "attached", "\033[32m" },
		{ "handshake", "\033[36m" },  { "offered", "\033[36m" },
		{ "attaching", "\033[36m" },  { "queued", "\033[33m" },
		{ "paused", "\033[33m" },     { "draining", "\033[33m" },
		{ "closed", "\033[31m" },     { "stopping", "\033[31m" },
		{ "done", "\033[32m" },       { "established", "\033[32m" },
		{ "waits", "\033[33m" },      { "refused", "\033[31m" },
		{ "timeout", "\033[31m" },    { "failed", "\033[31m" },
		{ "alert-sent", "\033[31m" }, { "alert-received", "\033[31m" },
	};
	size_t i;

	for (i = 0; format_has_colour() && i < sizeof(colours) / sizeof(colours[0]); i++)
		if (strcmp(colours[i].state, state) == 0)
			return colours[i].colour;
	return "";
}

const char *format_bold(void)
{
	return format_has_colour() ? "\033[1m" : "";
}

const char *format_plain(void)
{
	return format_has_colour() ? "\033[0m" : "";
}
