// SPDX-License-Identifier: Apache-2.0
#include "common/policy.h"

#include <stdio.h>
#include <string.h>

#define FLAG_ASKS 1u
#define FLAG_CHAIN 2u

/* struct head - what a written policy begins with; the profile's name and the extensions follow. */
struct head {
	uint32_t len; /* of all of it */
	uint16_t flags, timeout_ms;
	uint32_t profile_len, extensions_len;
	uint64_t accept, warn, service;
};

const char *policy_never_why(int reason)
{
	switch (reason) {
	case SLUICE_BAD_CERT_MALFORMED:
		return "nobody can say what they accept";
	case SLUICE_BAD_CERT_NOT_CHECKED:
		return "what could not be checked may be wrong in any way";
	case SLUICE_BAD_CERT_INVALID_SIGNATURE:
		return "anybody can write a certificate that its issuer has not signed";
	case SLUICE_BAD_CERT_REVOKED:
		return "the key may be somebody else's; set crl_check to false instead";
	case SLUICE_BAD_CERT_OTHER:
		return "it stands for errors that have no name yet";
	default:
		return "it is the answer of who was asked, and no fault of a certificate";
	}
}

void policy_default(struct policy *policy, bool verify_peer)
{
	*policy = (struct policy){ .accept = verify_peer ? 0 : POLICY_ALL, .profile = "" };
}

enum policy_answer policy_extension(const struct policy *policy, const char *oid, bool critical)
{
	const char *at = policy->extensions, *end = at + policy->extensions_len;

	for (; at < end; at += strlen(at) + 1)
		if (strcmp(at + 1, oid) == 0)
			return *at == '+' ? POLICY_ACCEPT : POLICY_REFUSE;
	if (critical && (policy->accept & POLICY_BIT(SLUICE_BAD_CERT_CRITICAL_EXT)))
		return POLICY_ACCEPT;
	return POLICY_UNKNOWN;
}

size_t policy_write(const struct policy *policy, uint8_t *buf, size_t size)
{
	size_t profile_len = strlen(policy->profile) + 1;
	struct head head = {
		.flags = (policy->asks ? FLAG_ASKS : 0) | (policy->send_chain ? FLAG_CHAIN : 0),
		.timeout_ms = (uint16_t)policy->timeout_ms,
		.profile_len = (uint32_t)profile_len,
		.extensions_len = (uint32_t)policy->extensions_len,
		.accept = policy->accept,
		.warn = policy->warn,
		.service = policy->service,
	};
	size_t len = sizeof(head) + profile_len + policy->extensions_len;

	if (len > size || len > POLICY_MAX_BYTES)
		return 0;
	head.len = (uint32_t)len;
	memcpy(buf, &head, sizeof(head));
	memcpy(buf + sizeof(head), policy->profile, profile_len);
	if (policy->extensions_len)
		memcpy(buf + sizeof(head) + profile_len, policy->extensions,
		       policy->extensions_len);
	return len;
}

/* Texts of at least a sign and a digit, each with its end. */
static bool are_extensions(const char *text, size_t len)
{
	const char *nul;

	while (len) {
		nul = memchr(text, '\0', len);
		if (!nul || nul - text < 2 || nul - text > POLICY_MAX_OID ||
		    (*text != '+' && *text != '-'))
			return false;
		len -= (size_t)(nul + 1 - text);
		text = nul + 1;
	}
	return true;
}

void policy_from(struct policy *ret_policy, const void *bytes)
{
	const char *texts = (const char *)bytes + sizeof(struct head);
	struct head head;

	memcpy(&head, bytes, sizeof(head));
	*ret_policy = (struct policy){
		.accept = head.accept,
		.warn = head.warn,
		.asks = head.flags & FLAG_ASKS,
		.send_chain = head.flags & FLAG_CHAIN,
		.timeout_ms = head.timeout_ms,
		.service = head.service,
		.profile = texts,
		.extensions = texts + head.profile_len,
		.extensions_len = head.extensions_len,
	};
}

bool policy_read(struct policy *ret_policy, const uint8_t *bytes, size_t len)
{
	struct head head;

	if (len < sizeof(head) || len > POLICY_MAX_BYTES)
		return false;
	memcpy(&head, bytes, sizeof(head));
	if (head.len != len || !head.profile_len || head.profile_len > len - sizeof(head) ||
	    head.extensions_len != len - sizeof(head) - head.profile_len ||
	    head.timeout_ms > POLICY_MAX_TIMEOUT)
		return false;
	policy_from(ret_policy, bytes);
	return strnlen(ret_policy->profile, head.profile_len) == head.profile_len - 1 &&
	       are_extensions(ret_policy->extensions, ret_policy->extensions_len);
}

const char *policy_names(char out[POLICY_NAMES_LEN], uint64_t reasons)
{
	size_t len = 0;
	int reason, n;

	out[0] = '\0';
	for (reason = 1; reason < SLUICE_BAD_CERTS; reason++) {
		if (!(reasons & POLICY_BIT(reason)))
			continue;
		n = snprintf(out + len, POLICY_NAMES_LEN - len, "%s%s", len ? "," : "",
			     sluice_bad_cert_name(reason));
		if (n < 0 || (size_t)n >= POLICY_NAMES_LEN - len) {
			out[len] = '\0';
			break;
		}
		len += (size_t)n;
	}
	return out;
}
