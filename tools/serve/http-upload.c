/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking uploads (--upload-max): a body of any length goes through one buffer and a hash, and the answer says how
 * many bytes came and which. Nothing is stored. Called by http.c, which has read the head; a client that sends slowly
 * is waited for as a reader is, from one piece to the next.
 */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "http.h"

#define UPLOAD_BUF (128 << 10) /* eight records in one receive, where the kernel decrypts */

struct upload {
	uint64_t left;
	bool continuing; /* 100 Continue is on its way */
	SHA256_CTX sha;
};

static struct http *http_of(const struct peer *peer)
{
	return peer->app_data;
}

static void answer(struct peer *peer, struct upload *upload)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char hex[2 * sizeof(digest) + 1], text[160];
	size_t i;

	SHA256_Final(digest, &upload->sha);
	for (i = 0; i < sizeof(digest); i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	snprintf(text, sizeof(text), "{\"bytes\": %llu, \"sha256\": \"%s\"}",
		 (unsigned long long)http_of(peer)->exchange->request.body_len, hex);
	http_upload_free(http_of(peer));
	peer_rx_resize(peer, HTTP_HEAD_MAX);
	http_respond_text(peer, 200, text);
}

void http_upload_begin(struct peer *peer)
{
	struct http *http = http_of(peer);
	const struct request *request = &http->exchange->request;
	struct upload *upload = calloc(1, sizeof(*upload));

	if (!upload || !peer_rx_resize(peer, UPLOAD_BUF)) {
		free(upload);
		peer_abort(peer, -SLUICE_E_NOMEM);
		return;
	}
	SHA256_Init(&upload->sha);
	upload->left = request->body_len;
	http->upload = upload;
	if (request->expects_continue && upload->left && !peer->rx_len) {
		upload->continuing = true;
		http_respond_continue(peer);
		return;
	}
	http_upload_data(peer);
}

void http_upload_data(struct peer *peer)
{
	struct upload *upload = http_of(peer)->upload;
	size_t n = peer->rx_len < upload->left ? peer->rx_len : (size_t)upload->left;

	SHA256_Update(&upload->sha, peer->rx_buf, n);
	peer_consume(peer, n);
	upload->left -= n;
	if (upload->left == 0) {
		answer(peer, upload);
		return;
	}
	peer_deadline(peer, peer->worker->server->settings->idle_timeout);
	peer_receive(peer);
}

bool http_upload_sent(struct peer *peer)
{
	struct upload *upload = http_of(peer)->upload;

	if (!upload || !upload->continuing)
		return false;
	upload->continuing = false;
	http_upload_data(peer);
	return true;
}

void http_upload_free(struct http *http)
{
	free(http->upload);
	http->upload = NULL;
}
