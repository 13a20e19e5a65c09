// SPDX-License-Identifier: Apache-2.0
/*
 * Checks of backends, before a connection finds out: one that accepts, or that answers GET with 2xx or 3xx
 * (RFC 9110, 15), is well. So many results in a row change what is believed, and only that. The sockets are the
 * connector's, and what comes from a backend is read up to the status.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/relay.h"

#define MAX_REQUEST 1024 /* with the longest path that is taken and the longest name */
#define STATUS_LEN 12    /* "HTTP/1.1 200" */

static void finish(struct relay *relay, struct backend *backend)
{
	struct check *check = &backend->check;

	if (check->watch.fd >= 0) {
		loop_forget(&relay->loop, &check->watch);
		close(check->watch.fd);
	}
	check->watch.fd = -1;
}

/* @why: NULL: it is well. */
static void result(struct relay *relay, struct backend *backend, const char *why)
{
	const struct backends *backends = &relay->backends;
	struct check *check = &backend->check;

	finish(relay, backend);
	*(why ? &check->bad : &check->good) += 1;
	check->in_row = check->is_failing == !why ? check->in_row + 1 : 0;
	if (check->in_row < (check->is_failing ? backends->rise : backends->fall))
		return;
	check->is_failing = why;
	check->in_row = 0;
	if (why)
		log_line("backend %s: check: %s, %llu in a row; it is a last resort", backend->name,
			 why, (unsigned long long)backends->fall);
	else
		log_line("backend %s: check: it is well again", backend->name);
}

/* --- what is said ----------------------------------------------------------------------------- */

/* Of a connection that serves nobody (proxy-protocol.txt, 2.1 UNKNOWN, 2.2 LOCAL). */
static size_t put_preamble(const struct relay *relay, char *out)
{
	static const char text[] = "PROXY UNKNOWN\r\n";
	static const char binary[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

	if (relay->preamble == PREAMBLE_PROXY_1)
		memcpy(out, text, sizeof(text) - 1);
	else if (relay->preamble == PREAMBLE_PROXY_2)
		memcpy(out, binary, sizeof(binary) - 1);
	return relay->preamble == PREAMBLE_PROXY_1   ? sizeof(text) - 1
	       : relay->preamble == PREAMBLE_PROXY_2 ? sizeof(binary) - 1
						     : 0;
}

/* Returns false where the socket does not take all of it at once, which an idle one does. */
static bool ask(struct relay *relay, const struct backend *backend)
{
	const struct backends *backends = &relay->backends;
	const char *host = backends->texts[backend->of].text;
	char request[MAX_REQUEST];
	size_t len = put_preamble(relay, request);

	if (backends->check == CHECK_HTTP)
		len += (size_t)snprintf(request + len, sizeof(request) - len,
					"GET %s HTTP/1.1\r\nHost: %s\r\n"
					"User-Agent: sluice-relay\r\nConnection: close\r\n\r\n",
					backends->check_path,
					backend_is_local(host) ? "localhost" : host);
	return !len || send(backend->check.watch.fd, request, len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
			       (ssize_t)len;
}

/* --- what comes back -------------------------------------------------------------------------- */

/* Returns NULL for 2xx and 3xx. */
static const char *judge(const char head[STATUS_LEN + 1], char out[48])
{
	int status;

	if (strncmp(head, "HTTP/1.", 7) != 0 || sscanf(head + 8, " %3d", &status) != 1)
		return "it does not speak HTTP/1";
	if (status >= 200 && status < 400)
		return NULL;
	snprintf(out, 48, "HTTP status %d", status);
	return out;
}

static void read_answer(struct relay *relay, struct backend *backend)
{
	struct check *check = &backend->check;
	char text[48];
	ssize_t n = recv(check->watch.fd, check->head + check->head_len,
			 STATUS_LEN - check->head_len, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		result(relay, backend, n < 0 ? strerror(errno) : "it closed without an answer");
		return;
	}
	check->head_len += (size_t)n;
	if (check->head_len == STATUS_LEN)
		result(relay, backend, judge(check->head, text));
}

static void connected(struct relay *relay, struct backend *backend)
{
	struct check *check = &backend->check;
	socklen_t len = sizeof(int);
	int error = 0;

	getsockopt(check->watch.fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		result(relay, backend, strerror(error));
	} else if (!ask(relay, backend)) {
		result(relay, backend, "it takes no request");
	} else if (relay->backends.check == CHECK_TCP) {
		result(relay, backend, NULL);
	} else {
		check->is_asked = true;
		if (loop_watch(&relay->loop, &check->watch, EPOLLIN) < 0)
			finish(relay, backend); /* ours; the next one says */
	}
}

static void check_ready(struct watch *watch, uint32_t events)
{
	struct check *check = owner_of(watch, struct check, watch);
	struct backend *backend = owner_of(check, struct backend, check);

	if (check->is_asked)
		read_answer(check->relay, backend);
	else
		connected(check->relay, backend);
}

/* --- time ------------------------------------------------------------------------------------- */

static void begin(struct relay *relay, struct backend *backend)
{
	struct backends *backends = &relay->backends;
	struct check *check = &backend->check;
	int fd = connector_socket(backends, (size_t)(backend - backends->list));

	check->relay = relay;
	check->is_asked = false;
	check->head_len = 0;
	memset(check->head, 0, sizeof(check->head));
	check->next_ms = relay->loop.now_ms + backends->check_ms;
	check->deadline_ms = relay->loop.now_ms + backends->check_wait_ms;
	if (fd < 0) {
		if (fd != -EPIPE && !dial_is_ours(fd))
			result(relay, backend, strerror(-fd));
		return;
	}
	check->watch = (struct watch){ .fd = fd, .ready = check_ready };
	if (loop_watch(&relay->loop, &check->watch, EPOLLOUT) < 0)
		finish(relay, backend);
}

static void stop_all(struct relay *relay)
{
	size_t i;

	for (i = 0; i < relay->backends.n; i++)
		finish(relay, &relay->backends.list[i]);
}

void check_tick(struct relay *relay)
{
	struct backends *backends = &relay->backends;
	struct backend *backend;
	size_t i;

	if (backends->check == CHECK_NONE)
		return;
	if (relay->draining || backends->connector < 0) {
		stop_all(relay);
		return;
	}
	for (i = 0; i < backends->n; i++) {
		backend = &backends->list[i];
		if (backend->check.watch.fd >= 0 &&
		    relay->loop.now_ms >= backend->check.deadline_ms)
			result(relay, backend, "it did not answer in time");
		else if (backend->check.watch.fd < 0 &&
			 relay->loop.now_ms >= backend->check.next_ms)
			begin(relay, backend);
	}
}
