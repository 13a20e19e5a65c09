// SPDX-License-Identifier: Apache-2.0
#include "broker/end.h"

#include <stdbool.h>
#include <stdio.h>

#include <sluice/error.h>

static const struct {
	const char *name, *text;
} ends[ENDS] = {
	[END_NONE] = { "none", "" },
	[END_SHARE] = { "share", "its source has its share of handshakes under way" },
	[END_RATE] = { "rate", "its source comes too often" },
	[END_PENALTY] = { "penalty", "its source has crashed a handshaker" },
	[END_PROXY] = { "proxy", "it is none of the listener's proxies" },
	[END_NO_MEMORY] = { "no_memory", "there was no memory for it" },
	[END_NO_HANDSHAKER] = { "no_handshaker", "no handshaker takes it" },
	[END_CLOSED] = { "closed", "" },
	[END_ERROR] = { "error", "" },
	[END_TOLD] = { "worker", "" },
	[END_WORKER_GONE] = { "worker_gone", "its worker is gone" },
	[END_PROGRAM_GONE] = { "program_gone", "its program is gone" },
	[END_NO_WORKER] = { "no_worker", "no worker had room in time" },
	[END_HANDSHAKER_DIED] = { "handshaker_died", "its handshaker died" },
	[END_HANDSHAKER_LIED] = { "handshaker_lied", "what its handshaker says is not true" },
	[END_KILLED] = { "killed", "ended by the administrator" },
	[END_STOPPED] = { "stopped", "the daemon ends" },
};

const char *end_name(enum end end, int code)
{
	return end == END_ERROR ? sluice_error_name(code) : ends[end].name;
}

const char *end_text(enum end end)
{
	return ends[end].text;
}

void end_reason(char out[END_REASON_LEN], enum end end, int code, const char *text)
{
	bool said = text && *text;

	if (end == END_ERROR && said)
		snprintf(out, END_REASON_LEN, "%s: %s", end_name(end, code), text);
	else
		snprintf(out, END_REASON_LEN, "%s", said ? text : end_name(end, code));
}
