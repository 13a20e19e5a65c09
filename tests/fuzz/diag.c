/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for diag/parse.h. The input is a message of sock_diag(7) without its header. What is
 * accepted keeps what diag.h promises, and says the same when it is read again.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "diag/parse.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct diag_socket *socket)
{
	REQUIRE(socket->local.ss_family == AF_INET || socket->local.ss_family == AF_INET6);
	REQUIRE(socket->peer.ss_family == socket->local.ss_family);
	if (!socket->has_counts)
		REQUIRE(!socket->bytes_in && !socket->bytes_out && !socket->rtt_us &&
			!socket->retransmits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diag_socket socket, again;
	int r;

	memset(&socket, 0, sizeof(socket));
	memset(&again, 0, sizeof(again));
	r = diag_parse(data, size, &socket);
	REQUIRE(r == 0 || r == -EBADMSG);
	REQUIRE(diag_parse(data, size, &again) == r);
	if (r == 0) {
		check(&socket);
		REQUIRE(memcmp(&socket, &again, sizeof(socket)) == 0);
	}
	return 0;
}
