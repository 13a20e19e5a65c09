/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the copy of a peer's hello. Called by the HELLO stage, inside BoringSSL's pause for a server
 * and on the held bytes for a client. Never negotiates: BoringSSL reads the same bytes for itself,
 * and what it makes of them is what the connection will be.
 */
#include "bssl/hello.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bytestring.h>

#define RANDOM_LEN 32
#define MAX_SESSION_ID 32
#define MAX_NAME 255 /* of a host, RFC 1035, 2.3.4 */

#define NAME_TYPE_HOST 0 /* RFC 6066, 3 */

/* The extensions that are read. BoringSSL has no name for all of them. */
enum extension_type {
	EXT_SERVER_NAME = 0,
	EXT_SUPPORTED_GROUPS = 10,
	EXT_EC_POINT_FORMATS = 11,
	EXT_SRP = 12,
	EXT_SIGNATURE_ALGORITHMS = 13,
	EXT_ALPN = 16,
	EXT_SUPPORTED_VERSIONS = 43,
	EXT_SIGNATURE_ALGORITHMS_CERT = 50,
	EXT_KEY_SHARE = 51,
	EXT_NEXT_PROTOCOL = 13172, /* draft-agl-tls-nextprotoneg-04 */
	EXT_RENEGOTIATION_INFO = 0xff01,
};

enum hello_type {
	HELLO_CLIENT = 1,
	HELLO_SERVER = 2,
};

/* RFC 8446, 4.1.3: the SHA-256 of "HelloRetryRequest". */
static const uint8_t retry_random[RANDOM_LEN] = {
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
	0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
	0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
};

struct hello {
	struct sluice_hello view;  /* points into store */
	const uint16_t *cert_algs; /* client's only */
	size_t n_cert_algs;
	bool retry;
	uint16_t store[];
};

/* struct fields - where in the message things are. A field without data was not sent. */
struct fields {
	uint16_t legacy_version;
	bool retry;
	CBS suites, groups, signature_algs, cert_algs, versions; /* big-endian 16-bit numbers */
	CBS sni, alpn, ec_point_formats, renegotiation_info, srp, next_protocol;
};

/* --- extensions -------------------------------------------------------------------------- */

/* One list of 16-bit numbers, not empty, and nothing after it. */
static bool get_u16_list(CBS *body, CBS *out)
{
	return CBS_get_u16_length_prefixed(body, out) && CBS_len(out) > 0 &&
	       CBS_len(out) % 2 == 0 && CBS_len(body) == 0;
}

/*
 * RFC 6066, 3: a list of names of different types, of which only host_name was ever defined. So the
 * list has one entry; anything else would make it unclear which name is meant.
 */
static bool get_client_sni(struct fields *fields, CBS *body)
{
	CBS list, name;
	uint8_t type;

	if (!CBS_get_u16_length_prefixed(body, &list) || CBS_len(body) != 0 ||
	    !CBS_get_u8(&list, &type) || type != NAME_TYPE_HOST ||
	    !CBS_get_u16_length_prefixed(&list, &name) || CBS_len(&list) != 0)
		return false;
	if (CBS_len(&name) == 0 || CBS_len(&name) > MAX_NAME || CBS_contains_zero_byte(&name))
		return false;
	fields->sni = name;
	return true;
}

/* A server only says by it that it used the name. */
static bool check_server_sni(struct fields *fields, CBS *body)
{
	return CBS_len(body) == 0;
}

static bool get_groups(struct fields *fields, CBS *body)
{
	return get_u16_list(body, &fields->groups);
}

static bool get_signature_algs(struct fields *fields, CBS *body)
{
	return get_u16_list(body, &fields->signature_algs);
}

static bool get_cert_algs(struct fields *fields, CBS *body)
{
	return get_u16_list(body, &fields->cert_algs);
}

static bool get_client_versions(struct fields *fields, CBS *body)
{
	CBS list;

	if (!CBS_get_u8_length_prefixed(body, &list) || CBS_len(&list) == 0 ||
	    CBS_len(&list) % 2 != 0 || CBS_len(body) != 0)
		return false;
	fields->versions = list;
	return true;
}

static bool get_server_version(struct fields *fields, CBS *body)
{
	return CBS_get_bytes(body, &fields->versions, 2) && CBS_len(body) == 0;
}

/* RFC 8446, 4.2.8: a HelloRetryRequest names a group, a ServerHello has a share of it. */
static bool get_server_key_share(struct fields *fields, CBS *body)
{
	CBS share;

	if (!CBS_get_bytes(body, &fields->groups, 2))
		return false;
	if (fields->retry)
		return CBS_len(body) == 0;
	return CBS_get_u16_length_prefixed(body, &share) && CBS_len(&share) > 0 &&
	       CBS_len(body) == 0;
}

static bool get_alpn(struct fields *fields, CBS *body)
{
	CBS list, rest, name;

	if (!CBS_get_u16_length_prefixed(body, &list) || CBS_len(&list) == 0 || CBS_len(body) != 0)
		return false;
	rest = list;
	while (CBS_len(&rest) > 0) {
		if (!CBS_get_u8_length_prefixed(&rest, &name) || CBS_len(&name) == 0)
			return false;
	}
	fields->alpn = list;
	return true;
}

/* RFC 7301, 3.1: a server names exactly one protocol. */
static bool get_server_alpn(struct fields *fields, CBS *body)
{
	return get_alpn(fields, body) && CBS_len(&fields->alpn) == 1u + CBS_data(&fields->alpn)[0];
}

static bool get_ec_point_formats(struct fields *fields, CBS *body)
{
	return CBS_get_u8_length_prefixed(body, &fields->ec_point_formats) &&
	       CBS_len(&fields->ec_point_formats) > 0 && CBS_len(body) == 0;
}

static bool get_renegotiation_info(struct fields *fields, CBS *body)
{
	return CBS_get_u8_length_prefixed(body, &fields->renegotiation_info) && CBS_len(body) == 0;
}

static bool get_srp(struct fields *fields, CBS *body)
{
	fields->srp = *body;
	return true;
}

static bool get_next_protocol(struct fields *fields, CBS *body)
{
	fields->next_protocol = *body;
	return true;
}

/* What is read of an extension, by who sent it; NULL: nothing. */
static const struct extension {
	uint16_t type;
	bool (*from_client)(struct fields *fields, CBS *body);
	bool (*from_server)(struct fields *fields, CBS *body);
} extensions[] = {
	{ EXT_SERVER_NAME, get_client_sni, check_server_sni },
	{ EXT_SUPPORTED_GROUPS, get_groups, NULL },
	{ EXT_EC_POINT_FORMATS, get_ec_point_formats, get_ec_point_formats },
	{ EXT_SRP, get_srp, NULL },
	{ EXT_SIGNATURE_ALGORITHMS, get_signature_algs, NULL },
	{ EXT_SIGNATURE_ALGORITHMS_CERT, get_cert_algs, NULL },
	{ EXT_ALPN, get_alpn, get_server_alpn },
	{ EXT_SUPPORTED_VERSIONS, get_client_versions, get_server_version },
	{ EXT_KEY_SHARE, NULL, get_server_key_share },
	{ EXT_NEXT_PROTOCOL, get_next_protocol, get_next_protocol },
	{ EXT_RENEGOTIATION_INFO, get_renegotiation_info, get_renegotiation_info },
};

static bool get_extension(struct fields *fields, enum hello_type from, uint16_t type, CBS *body)
{
	for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
		bool (*get)(struct fields * fields, CBS * body) =
			from == HELLO_CLIENT ? extensions[i].from_client
					     : extensions[i].from_server;

		if (extensions[i].type == type)
			return !get || get(fields, body);
	}
	return true;
}

/*
 * RFC 5246, 7.4.1.4 and RFC 8446, 4.2: there may be none at all, and none may be there twice. A bit
 * per type keeps that linear for the 16383 that a hello has room for.
 */
static bool get_extensions(struct fields *fields, enum hello_type from, CBS *hello)
{
	uint8_t seen[65536 / 8] = { 0 };
	CBS list, body;
	uint16_t type;

	if (CBS_len(hello) == 0)
		return true;
	if (!CBS_get_u16_length_prefixed(hello, &list) || CBS_len(hello) != 0)
		return false;
	while (CBS_len(&list) > 0) {
		if (!CBS_get_u16(&list, &type) || !CBS_get_u16_length_prefixed(&list, &body) ||
		    (seen[type / 8] & 1u << type % 8) || !get_extension(fields, from, type, &body))
			return false;
		seen[type / 8] |= 1u << type % 8;
	}
	return true;
}

/* --- messages ---------------------------------------------------------------------------- */

/* What both hellos begin with. */
static bool get_start(struct fields *fields, CBS *hello)
{
	CBS random, session_id;

	if (!CBS_get_u16(hello, &fields->legacy_version) ||
	    !CBS_get_bytes(hello, &random, RANDOM_LEN) ||
	    !CBS_get_u8_length_prefixed(hello, &session_id) ||
	    CBS_len(&session_id) > MAX_SESSION_ID)
		return false;
	fields->retry = CBS_mem_equal(&random, retry_random, RANDOM_LEN);
	return true;
}

static bool get_client_hello(struct fields *fields, CBS *hello)
{
	CBS compression;

	if (!get_start(fields, hello) || !CBS_get_u16_length_prefixed(hello, &fields->suites) ||
	    CBS_len(&fields->suites) == 0 || CBS_len(&fields->suites) % 2 != 0 ||
	    !CBS_get_u8_length_prefixed(hello, &compression) || CBS_len(&compression) == 0)
		return false;
	fields->retry = false;
	return get_extensions(fields, HELLO_CLIENT, hello);
}

static bool get_server_hello(struct fields *fields, CBS *hello)
{
	uint8_t compression;

	return get_start(fields, hello) && CBS_get_bytes(hello, &fields->suites, 2) &&
	       CBS_get_u8(hello, &compression) && get_extensions(fields, HELLO_SERVER, hello);
}

/* The body of a message that must have one type and exactly the length it says. */
static bool get_message(CBS *ret_body, enum hello_type type, const uint8_t *msg, size_t msg_len)
{
	uint8_t found;
	CBS cbs;

	CBS_init(&cbs, msg, msg_len);
	return CBS_get_u8(&cbs, &found) && found == type &&
	       CBS_get_u24_length_prefixed(&cbs, ret_body) && CBS_len(&cbs) == 0;
}

/* --- the copy ---------------------------------------------------------------------------- */

static const uint16_t *copy_u16s(uint8_t **at, CBS list, size_t *ret_n)
{
	uint16_t *numbers = (uint16_t *)(void *)*at, number;
	size_t n = 0;

	if (!CBS_data(&list))
		return NULL;
	while (CBS_get_u16(&list, &number))
		numbers[n++] = number;
	*at += n * sizeof(numbers[0]);
	*ret_n = n;
	return numbers;
}

static const uint8_t *copy_bytes(uint8_t **at, CBS bytes, size_t *ret_len)
{
	uint8_t *copy = *at;

	if (!CBS_data(&bytes))
		return NULL;
	*ret_len = CBS_len(&bytes);
	memcpy(copy, CBS_data(&bytes), *ret_len);
	*at += *ret_len;
	return copy;
}

/* copy_name() relies on the store being zeroed: a NUL follows. */
static const char *copy_name(uint8_t **at, CBS name)
{
	size_t len;
	const uint8_t *copy = copy_bytes(at, name, &len);

	if (copy)
		(*at)++;
	return (const char *)copy;
}

static size_t store_size(const struct fields *fields)
{
	return CBS_len(&fields->suites) + CBS_len(&fields->groups) +
	       CBS_len(&fields->signature_algs) + CBS_len(&fields->cert_algs) +
	       CBS_len(&fields->versions) + CBS_len(&fields->sni) + 1 + CBS_len(&fields->alpn) +
	       CBS_len(&fields->ec_point_formats) + CBS_len(&fields->renegotiation_info) +
	       CBS_len(&fields->srp) + CBS_len(&fields->next_protocol);
}

static int copy_fields(struct hello **ret_hello, const struct fields *fields)
{
	struct hello *hello = calloc(1, sizeof(*hello) + store_size(fields));
	struct sluice_hello *view;
	uint8_t *at;

	if (!hello)
		return -SLUICE_E_NOMEM;
	hello->retry = fields->retry;
	view = &hello->view;
	view->legacy_version = fields->legacy_version;
	/* The numbers first: they must be aligned. */
	at = (uint8_t *)hello->store;
	view->suites = copy_u16s(&at, fields->suites, &view->n_suites);
	view->groups = copy_u16s(&at, fields->groups, &view->n_groups);
	view->signature_algs = copy_u16s(&at, fields->signature_algs, &view->n_signature_algs);
	hello->cert_algs = copy_u16s(&at, fields->cert_algs, &hello->n_cert_algs);
	view->versions = copy_u16s(&at, fields->versions, &view->n_versions);
	view->sni = copy_name(&at, fields->sni);
	view->alpn = copy_bytes(&at, fields->alpn, &view->alpn_len);
	view->ec_point_formats =
		copy_bytes(&at, fields->ec_point_formats, &view->ec_point_formats_len);
	view->renegotiation_info =
		copy_bytes(&at, fields->renegotiation_info, &view->renegotiation_info_len);
	view->srp = copy_bytes(&at, fields->srp, &view->srp_len);
	view->next_protocol = copy_bytes(&at, fields->next_protocol, &view->next_protocol_len);
	*ret_hello = hello;
	return 0;
}

int hello_parse_client_body(struct hello **ret_hello, const uint8_t *body, size_t body_len)
{
	struct fields fields = { 0 };
	CBS cbs;

	CBS_init(&cbs, body, body_len);
	if (!get_client_hello(&fields, &cbs))
		return -SLUICE_E_PROTOCOL;
	return copy_fields(ret_hello, &fields);
}

int hello_parse_client(struct hello **ret_hello, const uint8_t *msg, size_t msg_len)
{
	CBS body;

	if (!get_message(&body, HELLO_CLIENT, msg, msg_len))
		return -SLUICE_E_PROTOCOL;
	return hello_parse_client_body(ret_hello, CBS_data(&body), CBS_len(&body));
}

int hello_parse_server(struct hello **ret_hello, const uint8_t *msg, size_t msg_len)
{
	struct fields fields = { 0 };
	CBS body;

	if (!get_message(&body, HELLO_SERVER, msg, msg_len) || !get_server_hello(&fields, &body))
		return -SLUICE_E_PROTOCOL;
	return copy_fields(ret_hello, &fields);
}

void hello_export(const struct hello *hello, struct sluice_hello *ret_hello)
{
	*ret_hello = hello->view;
}

size_t hello_cert_algs(const struct hello *hello, const uint16_t **ret_algs)
{
	*ret_algs = hello->cert_algs ? hello->cert_algs : hello->view.signature_algs;
	return hello->cert_algs ? hello->n_cert_algs : hello->view.n_signature_algs;
}

bool hello_is_retry(const struct hello *hello)
{
	return hello->retry;
}

struct hello *hello_free(struct hello *hello)
{
	free(hello);
	return NULL;
}
