/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A verdict on a peer's chain: a path is found (path.c), then the certificate is held against the
 * name that was wanted. Called by stage VERIFY and by `sluice verify`. It must never accept where a
 * check could not be made.
 */
#include "verify/verify.h"

#include <string.h>

#include <netinet/in.h>
#include <openssl/err.h>

#include "verify/path.h"
#include "verify/reason.h"

/* Fills in what follows from the X.509 error. */
static void answer(struct verify_verdict *verdict)
{
	if (!verdict->bad_cert)
		verdict->bad_cert = bad_cert_of(verdict->x509_error);
	verdict->code = bad_cert_code(verdict->bad_cert, verdict->x509_error);
	verdict->alert = bad_cert_alert(verdict->bad_cert);
	if (verdict->x509_error && !verdict->reason)
		verdict->reason = X509_verify_cert_error_string(verdict->x509_error);
}

/* The zone of a link-local address is ours alone (RFC 4007, 11.2). Errors: HOSTNAME. */
static int parse_reference(struct reference *ret_reference, const char *name)
{
	char address[INET6_ADDRSTRLEN];
	size_t len = strcspn(name, "%");

	if (name[len] && len < sizeof(address)) {
		memcpy(address, name, len);
		address[len] = '\0';
		if (strchr(address, ':'))
			name = address;
	}
	return reference_parse(ret_reference, name, NULL);
}

void verify_check_name(struct verify_verdict *verdict, const struct verify_request *request)
{
	const struct sluice_hostname_check *hook = request->hook;
	const char *name = request->name;
	char derived[DNS_MAX_NAME + 2];
	struct reference reference;
	int r = 0;

	if (request->named) {
		verdict->x509_error = request->named->x509_error;
		verdict->by_wildcard = request->named->by_wildcard;
		return;
	}
	verdict->x509_error = X509_V_ERR_HOSTNAME_MISMATCH;
	if (hook && hook->name)
		r = hook->name(hook->arg, name, derived, sizeof(derived));
	if (r < 0)
		return;
	derived[sizeof(derived) - 1] = '\0';
	name = r ? derived : name;
	if (parse_reference(&reference, name) < 0)
		return;
	if (reference.kind == NAME_IP)
		verdict->x509_error = X509_V_ERR_IP_ADDRESS_MISMATCH;
	switch (names_match(sk_X509_value(request->certs, 0), &reference, request->rule, hook,
			    name)) {
	case NAMES_MATCH:
		verdict->x509_error = X509_V_OK;
		break;
	case NAMES_WILDCARD:
		verdict->by_wildcard = true;
		break;
	case NAMES_MALFORMED:
		verdict->x509_error = X509_V_ERR_UNSUPPORTED_NAME_SYNTAX;
		break;
	default:
		break;
	}
}

void verify_run(struct verify_verdict *ret_verdict, const struct verify_request *request)
{
	struct verify_verdict verdict = { 0 };

	path_find(&verdict, request);
	if (!verdict.x509_error && request->name)
		verify_check_name(&verdict, request);
	ERR_clear_error();
	answer(&verdict);
	*ret_verdict = verdict;
}

void verify_verdict_refuse(struct verify_verdict *verdict, int x509_error, const char *reason,
			   size_t index)
{
	verdict->x509_error = x509_error;
	verdict->bad_cert = SLUICE_BAD_CERT_NONE;
	verdict->reason = reason;
	verdict->index = index;
	verdict->crl_reason = 0;
	answer(verdict);
}

void verify_verdict_clear(struct verify_verdict *verdict)
{
	sk_X509_pop_free(verdict->path, X509_free);
	*verdict = (struct verify_verdict){ 0 };
}
