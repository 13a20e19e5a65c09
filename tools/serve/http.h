/* SPDX-License-Identifier: Apache-2.0 */
/* Between the two halves of the HTTP server: http.c talks to the peer, http-file.c finds files. */
#ifndef TOOLS_SERVE_HTTP_H
#define TOOLS_SERVE_HTTP_H

#include <sys/stat.h>
#include <linux/openat2.h>

#include "head.h"
#include "peer.h"
#include "request.h"

#define HTTP_HEAD_MAX 16384 /* of a request */
#define HTTP_OUT_MAX 6144   /* of a response without its file: a Location may be long */

/* One request and its response; there is none while the connection waits for a request. */
struct exchange {
	struct request request;
	int fd;     /* the file, -1: none */
	bool index; /* the directory's index.html is being looked for */
	struct open_how how;
	struct statx stx;
	char out[HTTP_OUT_MAX];
};

struct http {
	struct head_scan scan;
	uint64_t discard; /* of a body nobody asked for */
	bool started;     /* a request has begun to arrive */
	bool close;       /* after this response */
	struct exchange *exchange;
	struct upload *upload; /* a body is coming; with it, the exchange it is part of */
};

/* http_file_find() looks for the request's file and answers with it, or with why not. */
void http_file_find(struct peer *peer);

/* http_upload_begin() takes the body of the request, and answers with its length and SHA-256. */
void http_upload_begin(struct peer *peer);

/* http_upload_data() takes what is in rx_buf of it. */
void http_upload_data(struct peer *peer);

/* http_upload_sent() is told that something was sent; true: it was 100 Continue, and the body is next. */
bool http_upload_sent(struct peer *peer);

void http_upload_free(struct http *http);

/* http_file_done() is the completion of the ring's file operations. */
void http_file_done(struct op *op, int res);

/* http_respond_status() answers with a status and a short text. */
void http_respond_status(struct peer *peer, int status);

/* http_respond_text() does so with another text, one line without its end. */
void http_respond_text(struct peer *peer, int status, const char *text);

/* http_respond_continue() asks for the body (RFC 9110, 15.2.1); the answer proper comes later. */
void http_respond_continue(struct peer *peer);

/* http_respond_redirect() sends the client to the request's path with a slash at its end. */
void http_respond_redirect(struct peer *peer);

/* http_respond_file() answers with exchange->fd, whose facts are in exchange->stx. */
void http_respond_file(struct peer *peer);

#endif
