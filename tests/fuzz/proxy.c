/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for common/proxy.h. One parser gets the input at once, the other byte by byte: they must see
 * the same, take no byte behind a header, and none when they are done.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/proxy.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t feed_bytes(struct proxy *proxy, const uint8_t *data, size_t size)
{
	size_t used = 0, n;

	while (used < size && proxy->status == PROXY_MORE) {
		n = proxy_feed(proxy, data + used, 1);
		REQUIRE(n == 1);
		used += n;
	}
	return used;
}

static void check_address(const struct sockaddr_in6 *addr)
{
	REQUIRE(addr->sin6_family == AF_INET6 && !addr->sin6_flowinfo && !addr->sin6_scope_id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy whole = { 0 }, pieces = { 0 };
	size_t used = proxy_feed(&whole, data, size);

	REQUIRE(feed_bytes(&pieces, data, size) == used);
	REQUIRE(pieces.status == whole.status && pieces.error == whole.error);
	REQUIRE(used <= PROXY_MAX && used <= size);
	REQUIRE(whole.status != PROXY_MORE || used == size);
	REQUIRE((whole.status == PROXY_BAD) == (whole.error != NULL));
	REQUIRE(whole.status == PROXY_MORE || proxy_feed(&whole, data, size) == 0);
	if (pieces.status != PROXY_DONE)
		return 0;
	REQUIRE(pieces.named == whole.named);
	if (!whole.named)
		return 0;
	check_address(&whole.source);
	check_address(&whole.destination);
	REQUIRE(!memcmp(&whole.source, &pieces.source, sizeof(whole.source)));
	REQUIRE(!memcmp(&whole.destination, &pieces.destination, sizeof(whole.destination)));
	return 0;
}
