/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one C++ file: BoringSSL's functions that have no C interface. Called by the EXPORT stage.
 * Never keeps, copies or prints what it passes on, and lets no exception out.
 */
#include "bssl/bridge.h"

#include <openssl/span.h>

#include <sluice/error.h>

extern "C" int bridge_traffic_secrets(const SSL *ssl, const uint8_t **ret_read,
				      size_t *ret_read_len, const uint8_t **ret_write,
				      size_t *ret_write_len)
{
	/* The function is looked up in both namespaces: it is no stable part of the interface. */
	using namespace bssl;
	bssl::Span<const uint8_t> read, write;

	if (!SSL_get_traffic_secrets(ssl, &read, &write) || read.empty() || write.empty())
		return -SLUICE_E_INTERNAL;
	*ret_read = read.data();
	*ret_read_len = read.size();
	*ret_write = write.data();
	*ret_write_len = write.size();
	return 0;
}
