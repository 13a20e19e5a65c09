/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing responses: heads with exactly the fields of their status, short texts, and the start of
 * a file. Called by http.c and http-file.c; everything goes out through peer_send*().
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "http.h"

/* What is written into exchange->out; cut, never overrun, and checked at the end. */
struct writer {
	struct exchange *exchange;
	size_t len;
	bool overrun;
};

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" },
	{ 206, "Partial Content" },
	{ 301, "Moved Permanently" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 411, "Length Required" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 416, "Range Not Satisfiable" },
	{ 431, "Request Header Fields Too Large" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
	{ 505, "HTTP Version Not Supported" },
};

static const char *reason(int status)
{
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].status == status)
			return reasons[i].reason;
	}
	return "Internal Server Error";
}

static struct http *http_of(struct peer *peer)
{
	return peer->app_data;
}

__attribute__((format(printf, 2, 3))) static void put(struct writer *writer, const char *format,
						      ...)
{
	size_t room = sizeof(writer->exchange->out) - writer->len;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(writer->exchange->out + writer->len, room, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= room)
		writer->overrun = true;
	else
		writer->len += (size_t)n;
}

static struct writer begin(struct peer *peer, int status)
{
	struct http *http = http_of(peer);
	struct writer writer = { .exchange = http->exchange };
	char date[HTTP_DATE_LEN];

	if (status >= 400)
		stats_add(&peer->worker->server->stats.http_errors, 1);
	http_date(time(NULL), date);
	put(&writer, "HTTP/1.1 %d %s\r\nDate: %s\r\nServer: sluice\r\nConnection: %s\r\n", status,
	    reason(status), date, http->close ? "close" : "keep-alive");
	return writer;
}

/* Ends the head and, unless it was only asked for the head, adds @text. */
static void finish_with_text(struct peer *peer, struct writer *writer, const char *text)
{
	put(writer, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n\r\n",
	    strlen(text) + 1);
	if (writer->exchange->request.method != METHOD_HEAD)
		put(writer, "%s\n", text);
	if (writer->overrun)
		peer_abort(peer, -SLUICE_E_INTERNAL);
	else
		peer_send(peer, writer->exchange->out, writer->len);
}

void http_respond_text(struct peer *peer, int status, const char *text)
{
	struct writer writer = begin(peer, status);

	finish_with_text(peer, &writer, text);
}

void http_respond_continue(struct peer *peer)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	peer_send(peer, text, sizeof(text) - 1);
}

void http_respond_status(struct peer *peer, int status)
{
	struct writer writer = begin(peer, status);

	if (status == 405)
		put(&writer, "Allow: GET, HEAD%s\r\n",
		    peer->worker->server->settings->upload_max ? ", POST, PUT" : "");
	finish_with_text(peer, &writer, reason(status));
}

static void put_path(struct writer *writer, const char *path)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~/!$&'()*+,;=:@";

	for (; *path; path++) {
		if (strchr(plain, *path))
			put(writer, "%c", *path);
		else
			put(writer, "%%%02X", (unsigned char)*path);
	}
}

void http_respond_redirect(struct peer *peer)
{
	struct writer writer = begin(peer, 301);

	/* The path begins with exactly one slash: two would name another host. */
	put(&writer, "Location: ");
	put_path(&writer, writer.exchange->request.path);
	put(&writer, "/\r\n");
	if (writer.overrun)
		http_respond_status(peer, 414);
	else
		finish_with_text(peer, &writer, reason(301));
}

static bool not_modified(const struct exchange *exchange)
{
	return exchange->request.has_if_modified_since &&
	       exchange->stx.stx_mtime.tv_sec <= exchange->request.if_modified_since;
}

/* The facts of the file that every answer with or about it carries. */
static void put_validators(struct writer *writer)
{
	char date[HTTP_DATE_LEN];

	http_date(writer->exchange->stx.stx_mtime.tv_sec, date);
	put(writer, "Last-Modified: %s\r\nAccept-Ranges: bytes\r\n", date);
}

static void respond_unsatisfiable(struct peer *peer, uint64_t size)
{
	struct writer writer = begin(peer, 416);

	put(&writer, "Content-Range: bytes */%llu\r\n", (unsigned long long)size);
	finish_with_text(peer, &writer, reason(416));
}

static void respond_not_modified(struct peer *peer)
{
	struct writer writer = begin(peer, 304);

	put_validators(&writer);
	put(&writer, "\r\n");
	peer_send(peer, writer.exchange->out, writer.len);
}

/* Sends @len bytes of the file from @offset on, or with HEAD only says so. */
static void send_part(struct peer *peer, struct writer *writer, uint64_t offset, uint64_t len)
{
	struct exchange *exchange = writer->exchange;
	int fd = exchange->fd;

	put_validators(writer);
	put(writer,
	    "Content-Type: %s\r\nX-Content-Type-Options: nosniff\r\nContent-Length: %llu\r\n\r\n",
	    mime_type(exchange->index ? "index.html" : exchange->request.path),
	    (unsigned long long)len);
	if (exchange->request.method == METHOD_HEAD || len == 0) {
		peer_send(peer, exchange->out, writer->len);
		return;
	}
	exchange->fd = -1; /* the driver's now */
	peer_send_file(peer, exchange->out, writer->len, fd, offset, len);
}

void http_respond_file(struct peer *peer)
{
	struct exchange *exchange = http_of(peer)->exchange;
	uint64_t size = exchange->stx.stx_size, offset = 0, len = size;
	enum range_result range = RANGE_WHOLE;
	struct writer writer;

	if (not_modified(exchange)) {
		respond_not_modified(peer);
		return;
	}
	/* RFC 9110, 14.2: a Range is for GET alone. */
	if (exchange->request.has_range && exchange->request.method == METHOD_GET)
		range = range_parse(exchange->request.range, size, &offset, &len);
	if (range == RANGE_UNSATISFIABLE) {
		respond_unsatisfiable(peer, size);
		return;
	}
	writer = begin(peer, range == RANGE_PART ? 206 : 200);
	if (range == RANGE_PART)
		put(&writer, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)offset,
		    (unsigned long long)(offset + len - 1), (unsigned long long)size);
	send_part(peer, &writer, offset, len);
}
