/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1 server of static files: takes requests from one connection one after another, however
 * they are cut or pipelined, and lets each be answered before it looks at the next. Every request
 * has a fixed time to arrive in; whatever is not certainly a request ends the connection.
 */
#include "http.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps.h"

#define KEY_UPDATE_PATH "/.sluice/key-update"

static int64_t idle_timeout(const struct peer *peer)
{
	return peer->worker->server->settings->idle_timeout;
}

static void wait_for_request(struct peer *peer)
{
	struct http *http = peer->app_data;

	head_scan_init(&http->scan);
	http->started = false;
	peer_deadline(peer, idle_timeout(peer));
	if (peer->rx_len)
		app_http.data(peer); /* pipelined */
	else
		peer_await(peer);
}

static int http_start(struct peer *peer)
{
	peer->app_data = calloc(1, sizeof(struct http));
	if (!peer->app_data)
		return -1;
	peer->io.done = http_file_done;
	wait_for_request(peer);
	return 0;
}

/* Drops what is left of a body. Returns false when more of it must come first. */
static bool discard_body(struct peer *peer, struct http *http)
{
	size_t n = peer->rx_len < http->discard ? peer->rx_len : (size_t)http->discard;

	peer_consume(peer, n);
	http->discard -= n;
	return http->discard == 0;
}

static struct exchange *begin_exchange(struct peer *peer, struct http *http)
{
	http->exchange = calloc(1, sizeof(*http->exchange));
	if (!http->exchange) {
		peer_abort(peer, -SLUICE_E_NOMEM);
		return NULL;
	}
	http->exchange->fd = -1;
	stats_add(&peer->worker->server->stats.http_requests, 1);
	peer->requests++;
	return http->exchange;
}

/* Answers what is not a request, and closes: nobody knows where the next one would begin. */
static void refuse(struct peer *peer, int status)
{
	struct http *http = peer->app_data;

	http->close = true;
	if (http->exchange || begin_exchange(peer, http))
		http_respond_status(peer, status);
}

static void update_keys(struct peer *peer)
{
	int r = peer_update_keys(peer);

	if (r < 0)
		http_respond_text(peer, 501, sluice_strerror(r));
	else
		http_respond_text(peer, 200, "our keys are new");
}

static void answer(struct peer *peer)
{
	struct http *http = peer->app_data;
	const struct request *request = &http->exchange->request;

	if (request->method == METHOD_OTHER)
		http_respond_status(peer, 405);
	else if (request->method == METHOD_UPLOAD)
		http_upload_begin(peer);
	else if (peer->worker->server->settings->key_update_at_request &&
		 strcmp(request->path, KEY_UPDATE_PATH) == 0)
		update_keys(peer);
	else
		http_file_find(peer);
}

static void request_complete(struct peer *peer, struct http *http)
{
	struct exchange *exchange = begin_exchange(peer, http);
	int status;

	if (!exchange)
		return;
	status = request_parse(peer->worker->http, peer->rx_buf, http->scan.used, http->scan.http11,
			       &exchange->request);
	peer_consume(peer, http->scan.used);
	if (status) {
		refuse(peer, status);
		return;
	}
	if (exchange->request.method != METHOD_UPLOAD)
		http->discard = exchange->request.body_len;
	if (!exchange->request.keep_alive || peer->worker->draining)
		http->close = true;
	peer_deadline(peer, idle_timeout(peer));
	answer(peer);
}

static void http_data(struct peer *peer)
{
	struct http *http = peer->app_data;
	int r;

	if (http->upload) {
		http_upload_data(peer);
		return;
	}
	/* A request that is completed while it is refused (408): the answer is on its way, then the end. */
	if (http->exchange)
		return;
	if (!discard_body(peer, http) || peer->rx_len == 0) {
		peer_receive(peer);
		return;
	}
	if (!http->started)
		peer_deadline(peer, idle_timeout(peer)); /* for the whole head, not per byte */
	http->started = true;
	r = head_scan(&http->scan, peer->rx_buf, peer->rx_len);
	if (r < 0)
		refuse(peer, -r);
	else if (r == HEAD_DONE)
		request_complete(peer, http);
	else if (peer->rx_len >= HTTP_HEAD_MAX)
		refuse(peer, head_too_long(&http->scan));
	else
		peer_receive(peer);
}

static void end_exchange(struct http *http)
{
	if (http->exchange && http->exchange->fd >= 0)
		close(http->exchange->fd);
	free(http->exchange);
	http->exchange = NULL;
}

static void http_sent(struct peer *peer)
{
	struct http *http = peer->app_data;

	if (http_upload_sent(peer))
		return;
	end_exchange(http);
	if (http->close || peer->worker->draining)
		peer_finish(peer);
	else
		wait_for_request(peer);
}

/* The peer will send nothing more; what it asked for has been answered. */
static void http_end(struct peer *peer)
{
	peer_finish(peer);
}

static void http_drain(struct peer *peer)
{
	struct http *http = peer->app_data;

	if (http->exchange || http->started)
		http->close = true;
	else
		peer_finish(peer);
}

static void http_expired(struct peer *peer)
{
	struct http *http = peer->app_data;

	if (peer->io.busy)
		peer_deadline(peer, idle_timeout(peer)); /* a slow disk is not the peer's fault */
	else if (http->exchange)
		peer_abort(peer, -SLUICE_E_TIMEOUT);
	else if (http->started)
		refuse(peer, 408);
	else
		peer_finish(peer);
}

static void http_free(struct peer *peer)
{
	struct http *http = peer->app_data;

	end_exchange(http);
	http_upload_free(http);
	free(http);
}

const struct app app_http = {
	.rx_size = HTTP_HEAD_MAX,
	.start = http_start,
	.data = http_data,
	.sent = http_sent,
	.end = http_end,
	.drain = http_drain,
	.expired = http_expired,
	.free = http_free,
};
