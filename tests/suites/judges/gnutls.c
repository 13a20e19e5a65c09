/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What GnuTLS says of a chain, as `certtool --verify --verify-profile medium` asks it. It knows no limit of
 * depth but its own, and takes every trusted certificate for an anchor. Of CRLs it takes those of trusted CAs.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "line.h"

static time_t now_s;

static time_t tell_time(time_t *ret_s)
{
	if (ret_s)
		*ret_s = now_s;
	return now_s;
}

static gnutls_x509_crt_t parse(const struct line_cert *cert)
{
	const gnutls_datum_t der = { cert->der, (unsigned int)cert->len };
	gnutls_x509_crt_t crt;

	gnutls_x509_crt_init(&crt);
	if (gnutls_x509_crt_import(crt, &der, GNUTLS_X509_FMT_DER) == 0)
		return crt;
	gnutls_x509_crt_deinit(crt);
	return NULL;
}

/* Returns false where one cannot be parsed. */
static bool add_trust(gnutls_x509_trust_list_t list, const struct line *line)
{
	gnutls_x509_crt_t crt;
	size_t i;

	for (i = 0; i < line->n_trust; i++) {
		crt = parse(&line->trust[i]);
		if (!crt)
			return false;
		gnutls_x509_trust_list_add_cas(list, &crt, 1, 0);
	}
	return true;
}

/* CRLs whose signature no trusted certificate verifies are left out by GnuTLS. False: one cannot be parsed. */
static bool add_crls(gnutls_x509_trust_list_t list, const struct line *line)
{
	gnutls_datum_t der;
	gnutls_x509_crl_t crl;
	size_t i;

	for (i = 0; i < line->n_crls; i++) {
		der = (gnutls_datum_t){ line->crls[i].der, (unsigned int)line->crls[i].len };
		gnutls_x509_crl_init(&crl);
		if (gnutls_x509_crl_import(crl, &der, GNUTLS_X509_FMT_DER) < 0) {
			gnutls_x509_crl_deinit(crl);
			return false;
		}
		gnutls_x509_trust_list_add_crls(list, &crl, 1, GNUTLS_TL_VERIFY_CRL, 0);
	}
	return true;
}

static const char *status_text(unsigned int status)
{
	static char text[512];
	gnutls_datum_t out;

	if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &out, 0) < 0)
		return "refused";
	snprintf(text, sizeof(text), "%s", out.data);
	gnutls_free(out.data);
	return text;
}

static const char *verify(gnutls_x509_trust_list_t list, const struct line *line,
			  gnutls_x509_crt_t *chain, unsigned int n)
{
	char purpose[32];
	uint8_t address[16];
	int address_len = 0;
	gnutls_typed_vdata_st data[2] = { { .type = GNUTLS_DT_KEY_PURPOSE_OID } };
	unsigned int status, n_data = 1;
	int r;

	snprintf(purpose, sizeof(purpose), "%s",
		 line->client ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER);
	data[0].data = (unsigned char *)purpose;
	if (line->name) {
		address_len = inet_pton(AF_INET, line->name, address) == 1    ? 4
			      : inet_pton(AF_INET6, line->name, address) == 1 ? 16
									      : 0;
		data[1].type = address_len ? GNUTLS_DT_IP_ADDRESS : GNUTLS_DT_DNS_HOSTNAME;
		data[1].data = address_len ? address : (unsigned char *)line->name;
		data[1].size = address_len ? (unsigned int)address_len : 0;
		n_data = 2;
	}
	r = gnutls_x509_trust_list_verify_crt2(list, chain, n, data, n_data,
					       GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM),
					       &status, NULL);
	if (r < 0)
		return gnutls_strerror(r);
	return status ? status_text(status) : NULL;
}

static const char *judge(const struct line *line)
{
	static gnutls_x509_crt_t chain[LINE_MAX_CERTS];
	const char *reason = "cannot be parsed";
	gnutls_x509_trust_list_t list;
	unsigned int i, n;

	now_s = (time_t)line->now_s;
	gnutls_x509_trust_list_init(&list, 0);
	for (n = 0; n < line->n_chain; n++) {
		chain[n] = parse(&line->chain[n]);
		if (!chain[n])
			break;
	}
	if (n == line->n_chain && add_trust(list, line) && add_crls(list, line))
		reason = verify(list, line, chain, n);
	for (i = 0; i < n; i++)
		gnutls_x509_crt_deinit(chain[i]);
	gnutls_x509_trust_list_deinit(list, 1);
	return reason;
}

int main(void)
{
	static struct line line;
	char *text = NULL;
	size_t size = 0;

	gnutls_global_set_time_function(tell_time);
	while (getline(&text, &size, stdin) > 0) {
		line_parse(&line, text);
		line_answer(&line, judge(&line));
	}
	free(text);
	return 0;
}
