/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a profile wants done about what is wrong with a peer's path (keys verify_policy and verify_socket), as
 * the catalogue carries it from the broker to the handshakers. What handshakers do with it is
 * handshaker/policy.c.
 */
#ifndef SLUICED_COMMON_POLICY_H
#define SLUICED_COMMON_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/verify.h>

#define POLICY_MAX_EXTENSIONS 64
#define POLICY_MAX_OID 128       /* bytes of an OID as text */
#define POLICY_MAX_BYTES 16384   /* of a policy that is written */
#define POLICY_MAX_TIMEOUT 60000 /* milliseconds */

/* A set of enum sluice_bad_cert. */
#define POLICY_BIT(reason) (UINT64_C(1) << (reason))
#define POLICY_ALL (POLICY_BIT(SLUICE_BAD_CERTS) - 2)

/* Nobody may accept these; policy_never_why() has the reason of each. */
#define POLICY_NEVER                                                                           \
	(POLICY_BIT(SLUICE_BAD_CERT_MALFORMED) | POLICY_BIT(SLUICE_BAD_CERT_NOT_CHECKED) |     \
	 POLICY_BIT(SLUICE_BAD_CERT_INVALID_SIGNATURE) | POLICY_BIT(SLUICE_BAD_CERT_REVOKED) | \
	 POLICY_BIT(SLUICE_BAD_CERT_OTHER) | POLICY_BIT(SLUICE_BAD_CERT_APPLICATION) |         \
	 POLICY_BIT(SLUICE_BAD_CERT_DENIED) | POLICY_BIT(SLUICE_BAD_CERT_UNDECIDED))

/* With one of these accepted, the names in a certificate are anybody's claim. */
#define POLICY_UNPROVEN                                                                           \
	(POLICY_BIT(SLUICE_BAD_CERT_UNKNOWN_CA) | POLICY_BIT(SLUICE_BAD_CERT_SELFSIGNED_PEER) |   \
	 POLICY_BIT(SLUICE_BAD_CERT_INVALID_ISSUER) |                                             \
	 POLICY_BIT(SLUICE_BAD_CERT_NAME_NOT_PERMITTED) | POLICY_BIT(SLUICE_BAD_CERT_KEY_USAGE) | \
	 POLICY_BIT(SLUICE_BAD_CERT_MAX_PATH_LENGTH) | POLICY_BIT(SLUICE_BAD_CERT_CRITICAL_EXT))

const char *policy_never_why(int reason);

enum policy_answer {
	POLICY_ACCEPT,
	POLICY_REFUSE,
	POLICY_UNKNOWN, /* of an extension: there is no rule */
};

/* struct policy - the rules; texts are borrowed. */
struct policy {
	uint64_t accept; /* reasons; all others are refused */
	uint64_t warn;   /* of @accept: with a warning in the log */
	bool asks;       /* the decision service is asked about each peer */
	bool send_chain; /* ... with its certificates */
	uint32_t timeout_ms;
	uint64_t service;       /* decision_service_id() */
	const char *profile;    /* its name */
	const char *extensions; /* "+1.2.3" accepted, "-1.2.4" refused, each with a NUL; */
	size_t extensions_len;
};

/*
 * policy_default() is what goes without a policy: with verify_peer nothing is accepted, with verify_none
 * everything is but what nobody is asked about (OC-33, OC-34).
 */
void policy_default(struct policy *policy, bool verify_peer);

/* policy_extension() tells what becomes of an extension that the library does not evaluate. */
enum policy_answer policy_extension(const struct policy *policy, const char *oid, bool critical);

/* policy_write() writes it; 0: @size is too small. policy_read() checks what it reads and borrows it. */
size_t policy_write(const struct policy *policy, uint8_t *buf, size_t size);
bool policy_read(struct policy *ret_policy, const uint8_t *bytes, size_t len);

/*
 * policy_from() reads those that policy_read() has accepted before: @bytes as policy_write() left them, without
 * their length, which they begin with.
 */
void policy_from(struct policy *ret_policy, const void *bytes);

/* policy_names() writes the names of a set of reasons, "expired,hostname"; what has no room is left out. */
#define POLICY_NAMES_LEN 320
const char *policy_names(char out[POLICY_NAMES_LEN], uint64_t reasons);

#endif
