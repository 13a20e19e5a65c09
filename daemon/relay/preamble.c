// SPDX-License-Identifier: Apache-2.0
/* What a backend is told before the first byte of its client: a PROXY header, if it is to have one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/mem.h>
#include <openssl/x509.h>

#include "common/proxy-write.h"
#include "record/suite.h"
#include "relay/relay.h"

#define MAX_NAME 256
#define MAX_ID 24

static bool read_name(X509 *cert, char out[MAX_NAME])
{
	X509_NAME *subject = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1), len;
	uint8_t *text = NULL;

	if (at < 0)
		return false;
	len = ASN1_STRING_to_UTF8(&text,
				  X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (len > 0 && len < MAX_NAME && !memchr(text, 0, (size_t)len)) {
		memcpy(out, text, (size_t)len);
		out[len] = '\0';
	}
	if (len >= 0)
		OPENSSL_free(text);
	return *out;
}

/* Nothing of a certificate is parsed here but one that has been verified. */
static void tell_certificate(const struct link *link, const struct sluice_conn_info *info,
			     struct proxy_facts *facts, char name[MAX_NAME])
{
	const uint8_t *der;
	size_t len;
	X509 *cert;

	if (sluice_peercert(link->conn, 0, &der, &len) < 0)
		return;
	facts->has_cert = true;
	facts->is_resumed = info->resumed;
	facts->is_verified = info->peer_verified;
	cert = info->peer_verified ? d2i_X509(NULL, &der, (long)len) : NULL;
	if (cert && read_name(cert, name))
		facts->common_name = name;
	X509_free(cert);
}

static size_t write_header(const struct link *link, uint8_t out[PROXY_WRITE_MAX])
{
	struct proxy_facts facts = { .version = NULL };
	struct sluice_conn_info info;
	const struct suite *suite;
	char name[MAX_NAME] = "", id[MAX_ID];

	sluice_peername(link->conn, &facts.source);
	sluice_sockname(link->conn, &facts.destination);
	if (link->relay->preamble == PREAMBLE_PROXY_1)
		return proxy_write_text(out, &facts);
	if (sluice_conn_info(link->conn, &info, sizeof(info)) == 0) {
		facts.alpn = info.alpn;
		facts.sni = info.sni;
		facts.version = info.version_name;
		suite = suite_find(info.suite);
		facts.cipher = suite ? suite->openssl_name : NULL;
		tell_certificate(link, &info, &facts, name);
	}
	snprintf(id, sizeof(id), "%" PRIu64, link->session); /* as the daemon's log has it */
	facts.unique_id = id;
	return proxy_write_binary(out, &facts);
}

int preamble_begin(struct link *link)
{
	uint8_t header[PROXY_WRITE_MAX];
	size_t len;

	if (link->relay->preamble == PREAMBLE_NONE)
		return 0;
	len = write_header(link, header);
	/* The ring's buffers are all of one size, and it keeps them. */
	link->in.buf = malloc(RELAY_CHUNK);
	if (!link->in.buf)
		return -SLUICE_E_NOMEM;
	memcpy(link->in.buf, header, len);
	link->in.len = len;
	return 0;
}
