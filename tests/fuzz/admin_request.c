/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for the requests of the administration socket: a line from outside. What is refused says
 * why; what is accepted is in range, and a kill, a rekey and a trace always mean somebody.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/admin.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char name[FILTER_TEXT])
{
	REQUIRE(memchr(name, '\0', FILTER_TEXT));
}

static void check_filter(const struct filter *filter)
{
	struct session session = { .state = SESSION_LIVE, .sni = (char[]){ "www.example.org" } };

	check_name(filter->listener);
	check_name(filter->pool);
	check_name(filter->sni);
	REQUIRE(filter->state >= FILTER_ANY_STATE && filter->state <= SESSION_LIVE);
	REQUIRE(filter->peer_bits <= 128);
	filter_fits(filter, &session, "https", "app", 1);
	session.sni = NULL;
	session.peer.sin6_addr = filter->peer;
	filter_fits(filter, &session, "https", NULL, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct admin_request request;
	const char *wrong;

	if (size > ADMIN_MAX_LINE)
		return 0;
	wrong = admin_request_parse(&request, (const char *)data, size);
	if (wrong) {
		REQUIRE(*wrong);
		return 0;
	}
	REQUIRE(request.verb < ADMIN_VERBS && request.level <= CONFIG_LOG_DEBUG);
	REQUIRE((request.verb != ADMIN_KILL && request.verb != ADMIN_REKEY &&
		 request.verb != ADMIN_TRACE) ||
		(request.id && request.filter.any) || (!request.id && !request.filter.any));
	REQUIRE(request.for_ms <= 86400000 && (!request.for_ms || request.verb == ADMIN_TRACE));
	REQUIRE(request.verb != ADMIN_TRACE || filter_is_early(&request.filter));
	check_filter(&request.filter);
	return 0;
}
