// SPDX-License-Identifier: Apache-2.0
/*
 * The verify hook. Called by stage VERIFY with a path that has been examined, it raises the events of one
 * certificate after the other, from the root to the peer's own, and stops where the program wants time for
 * its answer. What cannot be parsed or could not be checked is refused without asking: nobody could
 * know what they accept.
 */
#include "verify/hook.h"

#include <stdlib.h>

#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509v3.h>

#include <sluice/sluice.h>

#include "core/error.h"

#define OID_LEN 128 /* of an extension as text */

/* --- reports -------------------------------------------------------------------------------- */

static bool is_about_the_anchor(int reason)
{
	return reason == SLUICE_BAD_CERT_UNKNOWN_CA || reason == SLUICE_BAD_CERT_SELFSIGNED_PEER;
}

static bool is_there(const struct verify_report *report, int reason, size_t index)
{
	const struct verify_finding *finding;
	size_t i;

	for (i = 0; i < report->n; i++) {
		finding = &report->findings[i];
		if (is_about_the_anchor(reason)
			    ? is_about_the_anchor(finding->reason)
			    : finding->reason == reason && finding->index == index)
			return true;
	}
	return false;
}

bool verify_note(struct verify_report *report, int reason, int x509_error, size_t index,
		 const char *text)
{
	if (is_there(report, reason, index))
		return report->all;
	if (report->n == VERIFY_MAX_FINDINGS - 1) {
		reason = SLUICE_BAD_CERT_NOT_CHECKED;
		x509_error = X509_V_ERR_CERT_REJECTED;
		text = "too much is wrong with the path";
	}
	if (report->n < VERIFY_MAX_FINDINGS)
		report->findings[report->n++] =
			(struct verify_finding){ reason, x509_error, index, text };
	return report->all && report->n < VERIFY_MAX_FINDINGS;
}

/* Finding a path or comparing names took more than it may: it is not known what is wrong. */
static bool is_limit(const struct verify_finding *finding)
{
	return finding->reason == SLUICE_BAD_CERT_OTHER &&
	       finding->x509_error == X509_V_ERR_CERT_REJECTED;
}

const struct verify_finding *verify_fatal(const struct verify_report *report)
{
	size_t i;

	for (i = 0; i < report->n; i++)
		if (report->findings[i].reason == SLUICE_BAD_CERT_NOT_CHECKED ||
		    report->findings[i].reason == SLUICE_BAD_CERT_MALFORMED ||
		    is_limit(&report->findings[i]) ||
		    report->findings[i].index >= sk_X509_num(report->path))
			return &report->findings[i];
	return NULL;
}

struct verify_report *verify_report_free(struct verify_report *report)
{
	if (report)
		sk_X509_pop_free(report->path, X509_free);
	free(report);
	return NULL;
}

/* --- events --------------------------------------------------------------------------------- */

/*
 * Whether BoringSSL evaluates an extension, or path building uses it (RFC 5280, 4.2.1.1 and 4.2.1.2). The
 * latter may not be critical.
 */
static bool is_known(X509_EXTENSION *extension)
{
	int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));

	if (X509_supported_extension(extension))
		return true;
	return !X509_EXTENSION_get_critical(extension) &&
	       (nid == NID_subject_key_identifier || nid == NID_authority_key_identifier);
}

/* The next finding about the certificate. */
static bool next_finding(struct verify_walk *walk, struct sluice_verify_event *event)
{
	const struct verify_finding *finding;

	while (walk->finding < walk->report->n) {
		finding = &walk->report->findings[walk->finding++];
		if (finding->index != event->index)
			continue;
		event->type = SLUICE_EVT_BAD_CERT;
		event->reason = finding->reason;
		event->x509_error = finding->x509_error;
		if (finding->reason == SLUICE_BAD_CERT_REVOKED)
			event->crl_reason = walk->report->crl_reason;
		return true;
	}
	return false;
}

/* The next extension of the certificate that the library does not know. */
static bool next_extension(struct verify_walk *walk, const X509 *cert,
			   struct sluice_verify_event *event, char oid[OID_LEN])
{
	bool anchor = walk->report->anchored && walk->left == sk_X509_num(walk->report->path);
	const ASN1_OCTET_STRING *value;
	X509_EXTENSION *extension;

	while (!anchor && walk->extension < X509_get_ext_count(cert)) {
		extension = X509_get_ext(cert, walk->extension++);
		if (is_known(extension))
			continue;
		value = X509_EXTENSION_get_data(extension);
		OBJ_obj2txt(oid, OID_LEN, X509_EXTENSION_get_object(extension), 1);
		event->type = SLUICE_EVT_EXTENSION;
		event->oid = oid;
		event->critical = X509_EXTENSION_get_critical(extension);
		event->value = ASN1_STRING_get0_data(value);
		event->value_len = (size_t)ASN1_STRING_length(value);
		return true;
	}
	return false;
}

/* Makes the next event; there is one while a certificate is left. */
static void next_event(struct verify_walk *walk, struct sluice_verify_event *event,
		       char oid[OID_LEN])
{
	const X509 *cert = sk_X509_value(walk->report->path, walk->left - 1);

	*event = (struct sluice_verify_event){ .index = (unsigned int)walk->left - 1 };
	if (next_finding(walk, event) || next_extension(walk, cert, event, oid))
		return;
	event->type = event->index ? SLUICE_EVT_VALID : SLUICE_EVT_VALID_PEER;
	walk->left--;
	walk->finding = 0;
	walk->extension = 0;
}

/* --- answers -------------------------------------------------------------------------------- */

/* What is said of a refusal that BoringSSL has no words for. */
static const char *text_of(int reason)
{
	if (reason == SLUICE_BAD_CERT_DENIED)
		return "who was asked about it refuses it";
	if (reason == SLUICE_BAD_CERT_UNDECIDED)
		return "nobody has decided about it";
	return "verify_fun refuses it";
}

static int refuse(struct verify_walk *walk, const struct sluice_verify_event *event, int reason,
		  const char *text)
{
	if (reason <= SLUICE_BAD_CERT_NONE || reason >= SLUICE_BAD_CERTS)
		reason = SLUICE_BAD_CERT_APPLICATION;
	walk->refused = (struct verify_finding){
		.reason = reason,
		.x509_error = event->x509_error,
		.index = event->index,
		.text = text,
		.crl_reason = event->crl_reason,
	};
	return -SLUICE_E_VERIFY;
}

/* What an answer to @event comes to: 0, or a refusal. */
static int judge(struct verify_walk *walk, const struct sluice_verify_event *event, int answer,
		 int reason)
{
	if (answer == SLUICE_VRET_VALID)
		return 0;
	if (answer != SLUICE_VRET_UNKNOWN)
		return refuse(walk, event, reason, event->x509_error ? NULL : text_of(reason));
	if (event->type == SLUICE_EVT_EXTENSION && event->critical) {
		walk->refused = (struct verify_finding){ SLUICE_BAD_CERT_CRITICAL_EXT,
							 X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION,
							 event->index, NULL };
		return -SLUICE_E_VERIFY;
	}
	return event->type == SLUICE_EVT_BAD_CERT ? refuse(walk, event, event->reason, NULL) : 0;
}

/* Asks about one event. */
static int ask(struct verify_walk *walk, struct sluice_conn *conn,
	       struct sluice_verify_event *event)
{
	X509 *cert = sk_X509_value(walk->report->path, event->index);
	uint8_t *der = NULL;
	int answer, reason, len = i2d_X509(cert, &der);

	if (len < 0)
		return refuse(walk, event, SLUICE_BAD_CERT_NOT_CHECKED, "no memory");
	event->cert = der;
	event->cert_len = (size_t)len;
	reason = event->reason ? event->reason : SLUICE_BAD_CERT_APPLICATION;
	answer = walk->fun(conn, event, &walk->state, &reason);
	OPENSSL_free(der);
	if (answer != SLUICE_VRET_LATER)
		return judge(walk, event, answer, reason);
	walk->asked = true;
	walk->awaited = *event;
	walk->awaited.cert = walk->awaited.value = NULL;
	walk->awaited.oid = NULL;
	return SLUICE_PAUSED;
}

int verify_walk_run(struct verify_walk *walk, struct sluice_conn *conn)
{
	struct sluice_verify_event event;
	char oid[OID_LEN];
	int r = 0;

	if (walk->asked) {
		if (!walk->answered)
			return SLUICE_PAUSED;
		walk->asked = walk->answered = false;
		r = judge(walk, &walk->awaited, walk->answer,
			  walk->reason ? walk->reason : walk->awaited.reason);
	}
	while (!r && walk->left) {
		next_event(walk, &event, oid);
		r = ask(walk, conn, &event);
	}
	return r;
}

int verify_walk_answer(struct verify_walk *walk, int answer, int reason)
{
	if (!walk->asked)
		return -SLUICE_E_STATE;
	if (answer < SLUICE_VRET_VALID || answer > SLUICE_VRET_UNKNOWN || reason < 0 ||
	    reason >= SLUICE_BAD_CERTS)
		return -SLUICE_E_INVALID;
	walk->answered = true;
	walk->answer = answer;
	walk->reason = reason;
	return 0;
}

struct verify_walk *verify_walk_new(struct verify_report *report, sluice_verify_fun fun,
				    void *state)
{
	struct verify_walk *walk = calloc(1, sizeof(*walk));

	if (!walk) {
		verify_report_free(report);
		return NULL;
	}
	walk->report = report;
	walk->fun = fun;
	walk->state = state;
	walk->left = sk_X509_num(report->path);
	return walk;
}

struct verify_walk *verify_walk_free(struct verify_walk *walk)
{
	if (walk)
		verify_report_free(walk->report);
	free(walk);
	return NULL;
}
