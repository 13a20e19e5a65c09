// SPDX-License-Identifier: Apache-2.0
/*
 * OCSP responses that are stapled: option ocsp_file of profiles and hosts, and NAME.ocsp beside NAME.pem in a
 * directory. They are read when a catalogue is written, again only after they have changed, and checked as the
 * handshaker will check them. What will not do leaves the last good one of the certificate in place.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pool.h>

#include "broker/certs.h"
#include "core/error.h"
#include "handover/messages.h"
#include "options/options.h"
#include "options/profile.h"

#define TEXT_LEN 512
#define MAX_FILE (96 * 1024) /* of a response in PEM */

/* Adds what attributes of @type have. */
static bool add_certs(STACK_OF(CRYPTO_BUFFER) * certs, struct wire_reader reader, int type)
{
	CRYPTO_BUFFER *cert;
	struct attr attr;

	while (wire_next(&reader, &attr) == 1) {
		if (attr.type != type)
			continue;
		cert = CRYPTO_BUFFER_new(attr.bytes, attr.len, NULL);
		if (!cert || !sk_CRYPTO_BUFFER_push(certs, cert)) {
			CRYPTO_BUFFER_free(cert);
			return false;
		}
	}
	return true;
}

/* Checks a response as the handshaker will, by what the entry has so far. Returns what is wrong, or NULL. */
static const char *refuse(const struct staple_source *source, const CRYPTO_BUFFER *der,
			  struct wire_reader entry, struct ocsp_verdict *verdict)
{
	STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
	STACK_OF(CRYPTO_BUFFER) *cas = sk_CRYPTO_BUFFER_new_null();
	const char *wrong = "no memory";

	if (chain && cas && add_certs(chain, entry, ATTR_CERT) &&
	    add_certs(cas, entry, ATTR_OPTION + SLUICE_OPT_CACERTS) &&
	    sk_CRYPTO_BUFFER_num(chain) && ocsp_check_own(verdict, der, chain, cas) == 0)
		wrong = verdict->result == OCSP_STALE ? NULL : verdict->reason;
	/* The handshaker knows the profile's CAs, too, which this entry does not have. */
	if (!wrong && source->of_directory && !verdict->is_signed && verdict->result != OCSP_STALE)
		wrong = "its issuer's certificate is not in the .pem file";
	sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
	sk_CRYPTO_BUFFER_pop_free(cas, CRYPTO_BUFFER_free);
	return wrong;
}

static void forget(struct cert *cert)
{
	free(cert->ocsp);
	free(cert->ocsp_path);
	cert->ocsp = NULL;
	cert->ocsp_path = NULL;
	memset(&cert->ocsp_stamp, 0, sizeof(cert->ocsp_stamp));
}

void staple_inherit(struct cert *cert, const struct cert *old)
{
	if (!old->ocsp || !old->ocsp_path || cert->public_len != old->public_len ||
	    memcmp(cert->public, old->public, old->public_len) != 0)
		return;
	cert->ocsp = malloc(old->ocsp_len);
	cert->ocsp_path = strdup(old->ocsp_path);
	if (!cert->ocsp || !cert->ocsp_path) {
		forget(cert);
		return;
	}
	memcpy(cert->ocsp, old->ocsp, old->ocsp_len);
	cert->ocsp_len = old->ocsp_len;
	cert->ocsp_this_update_s = old->ocsp_this_update_s;
}

static bool keep(struct cert *cert, const CRYPTO_BUFFER *der, int64_t this_update_s)
{
	uint8_t *bytes = malloc(CRYPTO_BUFFER_len(der));

	if (!bytes)
		return false;
	memcpy(bytes, CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der));
	free(cert->ocsp);
	cert->ocsp = bytes;
	cert->ocsp_len = CRYPTO_BUFFER_len(der);
	cert->ocsp_this_update_s = this_update_s;
	return true;
}

/* Returns NULL with the reason in @text. */
static CRYPTO_BUFFER *read_response(const char *path, char text[TEXT_LEN])
{
	struct sluice_error err = { .alert = -1 };
	uint8_t bytes[MAX_FILE];
	CRYPTO_BUFFER *der = NULL;
	struct stamp stamp;
	int fd = cert_open_file("ocsp_file", path, &stamp, text, TEXT_LEN);
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = pread(fd, bytes, sizeof(bytes), 0);
	if (n < 0)
		snprintf(text, TEXT_LEN, "ocsp_file: %.300s: %s", path, strerror(errno));
	else if (ocsp_read(&der, bytes, (size_t)n, "ocsp_file", &err) < 0)
		snprintf(text, TEXT_LEN, "%.150s: %.300s", err.text, path);
	close(fd);
	return der;
}

/* Reads the file into @source->cert. Returns false with the reason in @text. */
static bool take(struct broker *broker, const struct staple_source *source,
		 struct wire_reader entry, char text[TEXT_LEN])
{
	struct ocsp_verdict verdict = { 0 };
	struct cert *cert = source->cert;
	CRYPTO_BUFFER *der = read_response(source->path, text);
	const char *wrong;

	if (!der)
		return false;
	wrong = refuse(source, der, entry, &verdict);
	if (!wrong && cert->ocsp && verdict.this_update_s < cert->ocsp_this_update_s)
		wrong = "it is older than the one in force";
	if (!wrong && verdict.result == OCSP_STALE)
		log_line(broker, CONFIG_LOG_WARNING,
			 "ocsp_file: %.400s: it is out of date, and is not stapled", source->path);
	if (!wrong && !keep(cert, der, verdict.this_update_s))
		wrong = "no memory";
	CRYPTO_BUFFER_free(der);
	if (wrong)
		snprintf(text, TEXT_LEN, "ocsp_file: %.300s: %s", source->path, wrong);
	return !wrong;
}

/* Returns 0, or what ends the job. */
static int take_failed(struct broker *broker, const struct staple_source *source, const char *text)
{
	enum cert_job_kind kind = broker->certs->job.kind;

	if (!source->of_directory && (kind == CERT_START || kind == CERT_RELOAD)) {
		/* The next reload looks at it again. */
		memset(&source->cert->ocsp_stamp, 0, sizeof(source->cert->ocsp_stamp));
		return job_fail(broker, source->place, SLUICE_E_OCSP, text);
	}
	log_line(broker, CONFIG_LOG_WARNING, "%s; %s", text,
		 source->cert->ocsp ? "the one that was read before stays in force"
				    : "nothing is stapled");
	return 0;
}

int staple_put(struct broker *broker, const struct staple_source *source, struct wire *wire)
{
	struct wire_reader entry = { wire->buf + WIRE_HEAD_LEN, wire->len - WIRE_HEAD_LEN };
	struct cert *cert = source->cert;
	char text[TEXT_LEN];
	struct stamp stamp;
	int r = 0;

	if (wire->overflow) /* it will be written again with more room */
		return 0;
	stamp_path(&stamp, source->path);
	if (source->of_directory && !stamp.size) { /* taken away, or never there */
		forget(cert);
		return 0;
	}
	if (!cert->ocsp_path || strcmp(cert->ocsp_path, source->path) != 0) {
		forget(cert);
		cert->ocsp_path = strdup(source->path);
	}
	if (!stamp_same(&stamp, &cert->ocsp_stamp) || !cert->ocsp) {
		cert->ocsp_stamp = stamp;
		if (!take(broker, source, entry, text))
			r = take_failed(broker, source, text);
	}
	if (!r && cert->ocsp)
		wire_put(wire, ATTR_OPTION + SLUICE_OPT_OCSP_RESPONSE, cert->ocsp, cert->ocsp_len);
	return r;
}
