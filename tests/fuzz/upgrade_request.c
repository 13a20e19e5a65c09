/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for daemon/broker/upgrade-request.c: the input is a MSG_UPGRADE as a program sends it. What
 * is taken keeps what broker.h promises, and has nothing that a log could not show.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t size)
{
	REQUIRE(strnlen(text, size) < size);
	for (; *text; text++)
		REQUIRE(*text > 0x20 && *text < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct upgrade_request request;
	struct wire_reader reader;
	struct wire_head head;
	const char *wrong;

	if (!wire_open(&reader, data, size, &head))
		return 0;
	wrong = upgrade_request_read(&request, reader);
	REQUIRE(!wrong || *wrong);
	if (wrong)
		return 0;
	REQUIRE(request.role == SLUICE_CLIENT || request.role == SLUICE_SERVER);
	REQUIRE(request.profile[0]);
	REQUIRE(request.role == SLUICE_CLIENT || (!request.host[0] && !request.alpn[0]));
	check_text(request.profile, sizeof(request.profile));
	check_text(request.host, sizeof(request.host));
	check_text(request.alpn, sizeof(request.alpn));
	return 0;
}
