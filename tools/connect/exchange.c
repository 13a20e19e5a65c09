/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request and its answer on a connection: --get writes the body of an HTTP response, --request
 * sends a text as it is and writes everything that comes back. Uses the waiting calls.
 */
#include <stdlib.h>
#include <string.h>

#include "client.h"

#define CHUNK 65536
#define HEAD_MAX 8192

static int send_all(struct client *client, const char *text, size_t len)
{
	ssize_t n;

	while (len) {
		n = sluice_send(client->conn, text, len, (int)client->settings->timeout);
		if (n < 0)
			return (int)n;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static ssize_t receive(struct client *client, char *buf)
{
	return sluice_recv(client->conn, buf, CHUNK, (int)client->settings->timeout);
}

/* Writes "\r" and "\n" as the bytes they stand for. @text may be @out. */
static size_t unescape(char *out, const char *text)
{
	size_t len = 0;

	for (; *text; text++) {
		if (text[0] == '\\' && (text[1] == 'r' || text[1] == 'n'))
			out[len++] = *++text == 'r' ? '\r' : '\n';
		else
			out[len++] = *text;
	}
	return len;
}

static int raw_request(struct client *client, FILE *out)
{
	char *text = strdup(client->settings->request);
	char buf[CHUNK];
	ssize_t n;
	int r;

	if (!text)
		return -SLUICE_E_NOMEM;
	r = send_all(client, text, unescape(text, text));
	free(text);
	if (r < 0)
		return r;
	while ((n = receive(client, buf)) > 0) {
		if (fwrite(buf, 1, (size_t)n, out) != (size_t)n)
			return -SLUICE_E_IO;
	}
	return n == -SLUICE_E_CLOSED ? 0 : (int)n;
}

/* Returns 0 when the response is complete and a success. */
static int response(struct client *client, struct http_client *http)
{
	char buf[CHUNK];
	ssize_t n;
	int r;

	do {
		n = receive(client, buf);
		if (n > 0)
			r = http_client_feed(http, buf, (size_t)n);
		else if (n == -SLUICE_E_CLOSED)
			r = http_client_end(http) ? 1 : -SLUICE_E_TRUNCATED;
		else
			r = (int)n;
	} while (r == 0);
	if (r < 0)
		return r;
	if (http_client_status(http) >= 400) {
		fprintf(stderr, "sluice connect: the server answered with status %d\n",
			http_client_status(http));
		return 1;
	}
	return 0;
}

static int get(struct client *client, FILE *out)
{
	struct http_client *http;
	char head[HEAD_MAX];
	int r, len;

	len = snprintf(head, sizeof(head),
		       "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sluice\r\nAccept: */*\r\n"
		       "Connection: close\r\n\r\n",
		       client->settings->get,
		       client->settings->servername ? client->settings->servername : client->host);
	if (len < 0 || (size_t)len >= sizeof(head))
		return -SLUICE_E_INVALID;
	http = http_client_new(head, out);
	if (!http)
		return -SLUICE_E_NOMEM;
	r = send_all(client, head, (size_t)len);
	if (r >= 0)
		r = response(client, http);
	http_client_free(http);
	return r;
}

int request(struct client *client, FILE *out)
{
	int r = client->settings->get ? get(client, out) : raw_request(client, out);

	if (fflush(out) != 0 && r >= 0)
		r = -SLUICE_E_IO;
	return r < 0 ? client_failed(client, r) : r;
}
