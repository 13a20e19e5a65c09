// SPDX-License-Identifier: Apache-2.0
/*
 * Option client_cert_cb: a program is asked what to show to a server that wants a certificate. It may take its
 * time; what it names is held against the request like everything else.
 */
#include <stdlib.h>

#include "bssl/own-cert.h"
#include "conn/conn.h"
#include "core/error.h"
#include "options/credentials.h"

/* struct request - what the program is told, and the lists in it. */
struct request {
	struct sluice_cert_request view;
	const uint8_t **names;
	size_t *lens;
};

static int request_init(struct request *request, const SSL *ssl)
{
	const STACK_OF(CRYPTO_BUFFER) *cas = SSL_get0_server_requested_CAs(ssl);
	size_t i, n = cas ? sk_CRYPTO_BUFFER_num(cas) : 0;
	const CRYPTO_BUFFER *name;

	*request = (struct request){ .names = calloc(n + 1, sizeof(*request->names)),
				     .lens = calloc(n + 1, sizeof(*request->lens)) };
	if (!request->names || !request->lens)
		return -SLUICE_E_NOMEM;
	for (i = 0; i < n; i++) {
		name = sk_CRYPTO_BUFFER_value(cas, i);
		request->names[i] = CRYPTO_BUFFER_data(name);
		request->lens[i] = CRYPTO_BUFFER_len(name);
	}
	request->view.authorities = request->names;
	request->view.authority_lens = request->lens;
	request->view.n_authorities = n;
	request->view.n_types = SSL_get0_certificate_types(ssl, &request->view.types);
	request->view.n_signature_algs =
		SSL_get0_peer_verify_algorithms(ssl, &request->view.signature_algs);
	return 0;
}

static void request_deinit(struct request *request)
{
	free(request->names);
	free(request->lens);
}

int client_cert_answer(struct sluice_conn *conn, const struct sluice_options *own,
		       struct sluice_error *ret_err)
{
	struct handshake *hs = conn->hs;
	int r = own ? credentials_load_own(&hs->own, own, conn->profile->creds, ret_err) : 0;

	if (!r) {
		hs->cert_asked = false;
		hs->cert_answered = true;
	}
	return r;
}

/* BoringSSL would only say that the callback failed. */
static int fail(struct sluice_conn *conn, int r, const char *text)
{
	SSL_send_fatal_alert(conn->ssl, SLUICE_ALERT_INTERNAL_ERROR);
	failure_set(&conn->err, -r, 0, "client_cert_cb: %s", text);
	return r;
}

static int take_answer(struct sluice_conn *conn, int answer, const struct sluice_options *own)
{
	struct sluice_error err;
	int r;

	if (answer == SLUICE_PAUSED) {
		conn->hs->cert_asked = true;
		return SLUICE_PAUSED;
	}
	if (answer < 0)
		return fail(conn, -SLUICE_E_POLICY, "the program ends the handshake");
	err_clear(&err);
	r = client_cert_answer(conn, own, &err);
	return r < 0 ? fail(conn, r, err.text) : 0;
}

int client_cert_ask(struct sluice_conn *conn, const SSL *ssl)
{
	const struct sluice_profile *profile = conn->profile;
	struct sluice_options *own = NULL;
	struct request request;
	int r;

	if (!profile->client_cert_cb || conn->hs->cert_answered)
		return 0;
	if (conn->hs->cert_asked)
		return SLUICE_PAUSED;
	r = request_init(&request, ssl);
	if (r == 0) {
		r = profile->client_cert_cb(profile->client_cert_arg, conn, &request.view, &own);
		r = take_answer(conn, r, own);
	} else {
		fail(conn, r, "no memory");
	}
	request_deinit(&request);
	sluice_options_free(own);
	return r;
}
