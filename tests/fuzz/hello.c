/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for bssl/hello.h. The input is a hello message as the wire has it; a first byte that
 * is no hello's type makes the rest a client's body. What is accepted is read to its last byte, and
 * must be what a second reading says.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bssl/hello.h"

#define CLIENT_HELLO 1
#define SERVER_HELLO 2

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t add(uint64_t hash, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ ((const uint8_t *)bytes)[i]) * 1099511628211u + 1;
	return hash ^ (bytes ? 1 : 0);
}

/* Touches every byte, so that a wrong pointer or length is seen. */
static uint64_t read_all(const struct hello *hello)
{
	struct sluice_hello view;
	uint64_t hash = hello_is_retry(hello);

	hello_export(hello, &view);
	hash = add(hash, &view.legacy_version, sizeof(view.legacy_version));
	hash = add(hash, view.sni, view.sni ? strlen(view.sni) : 0);
	hash = add(hash, view.alpn, view.alpn_len);
	hash = add(hash, view.groups, view.n_groups * sizeof(view.groups[0]));
	hash = add(hash, view.signature_algs,
		   view.n_signature_algs * sizeof(view.signature_algs[0]));
	hash = add(hash, view.suites, view.n_suites * sizeof(view.suites[0]));
	hash = add(hash, view.versions, view.n_versions * sizeof(view.versions[0]));
	hash = add(hash, view.ec_point_formats, view.ec_point_formats_len);
	hash = add(hash, view.renegotiation_info, view.renegotiation_info_len);
	hash = add(hash, view.srp, view.srp_len);
	return add(hash, view.next_protocol, view.next_protocol_len);
}

/* What bssl/hello.h promises of every hello that it accepts. */
static void check(const struct hello *hello, bool from_server)
{
	struct sluice_hello view;

	hello_export(hello, &view);
	REQUIRE(view.suites && view.n_suites > 0);
	REQUIRE(!view.sni || (strlen(view.sni) > 0 && strlen(view.sni) <= 255));
	REQUIRE(!view.groups == !view.n_groups);
	REQUIRE(!view.signature_algs == !view.n_signature_algs);
	REQUIRE(!view.versions == !view.n_versions);
	REQUIRE(!view.ec_point_formats == !view.ec_point_formats_len);
	for (size_t at = 0; at < view.alpn_len; at += 1u + view.alpn[at])
		REQUIRE(view.alpn[at] > 0 && at + view.alpn[at] < view.alpn_len);
	if (!from_server) {
		REQUIRE(!hello_is_retry(hello));
		return;
	}
	REQUIRE(view.n_suites == 1 && view.n_groups <= 1 && view.n_versions <= 1);
	REQUIRE(!view.sni && !view.signature_algs && !view.srp);
}

static int parse(struct hello **ret_hello, const uint8_t *data, size_t size)
{
	if (data[0] == SERVER_HELLO)
		return hello_parse_server(ret_hello, data, size);
	if (data[0] == CLIENT_HELLO)
		return hello_parse_client(ret_hello, data, size);
	return hello_parse_client_body(ret_hello, data + 1, size - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hello *hello = NULL, *again = NULL;
	int r;

	if (size == 0)
		return 0;
	r = parse(&hello, data, size);
	if (r < 0) {
		REQUIRE(r == -SLUICE_E_PROTOCOL && !hello);
		return 0;
	}
	check(hello, data[0] == SERVER_HELLO);
	REQUIRE(parse(&again, data, size) == 0);
	REQUIRE(read_all(hello) == read_all(again));
	hello_free(hello);
	hello_free(again);
	return 0;
}
