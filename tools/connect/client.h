/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of `sluice connect` share. Results are 0 or -SLUICE_E_*, as in the library. */
#ifndef TOOLS_CONNECT_CLIENT_H
#define TOOLS_CONNECT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <sluice/sluice.h>

#include "tls-args.h"

struct connect_settings {
	struct tls_args tls;
	const char *servername;
	const char *alpn;
	const char *session_in;
	const char *session_out;
	const char *starttls;
	const char *request;
	const char *get;
	const char *output;
	int64_t timeout;
	bool insecure;
	bool tls12;
	bool tls13;
	bool resume;
	bool keep_open;
	bool json;
	bool quiet;
};

struct client {
	const struct connect_settings *settings;
	char host[256];
	char port[8];
	struct sluice *sluice;
	struct sluice_profile *profile;
	struct sluice_session *session; /* to resume; NULL: none */
	struct sluice_conn *conn;
};

/* client_open() connects, by STARTTLS if asked, and shows the session. On failure it has said why. */
int client_open(struct client *client);

/* client_ticket() waits a moment for a ticket and makes it the session of the next client_open(). */
int client_ticket(struct client *client, int timeout_ms);

/* client_show() prints the facts of the connection on standard error. */
void client_show(const struct client *client);

/* client_show_end() prints what has become of it. */
void client_show_end(const struct client *client);

/* client_complain() prints what went wrong on standard error, as the settings want it. */
void client_complain(const struct client *client, int code, const struct sluice_error *err);

/* client_failed() does so for the client's connection. Returns @code. */
int client_failed(const struct client *client, int code);

/* certificate_names() writes subject and issuer of a DER certificate. Errors: CERT_PARSE. */
int certificate_names(const uint8_t *der, size_t der_len, char *ret_subject, char *ret_issuer,
		      size_t name_len);

/*
 * tcp_target() takes "HOST:PORT" or "[HOST]:PORT" apart. Returns -1 after saying as @command on
 * standard error that it is neither.
 */
int tcp_target(const char *command, const char *target, char *ret_host, size_t host_len,
	       char *ret_port, size_t port_len);

/*
 * tcp_connect() makes a connected, non-blocking socket. Errors: RESOLVE, CONNECT, TIMEOUT, with
 * *@ret_err filled.
 */
int tcp_connect(const char *host, const char *port, int timeout_ms, int *ret_fd,
		struct sluice_error *ret_err);

/* fail() fills @ret_err and returns -@code. */
int fail(struct sluice_error *ret_err, int code, int sys_errno, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * starttls() speaks the plain protocol on @fd up to the line after which TLS begins, and not one
 * byte further. Errors: PROTOCOL (also when the server sends more than it may), CLOSED, TIMEOUT,
 * IO.
 */
int starttls(int fd, const char *protocol, int timeout_ms, struct sluice_error *ret_err);

/* relay() copies standard input to the connection and the connection to standard output. */
int relay(struct client *client);

/* request() sends the request of the settings and writes what is answered to @out. */
int request(struct client *client, FILE *out);

/* http_client: one HTTP response, taken apart as it comes in. */
struct http_client;

struct http_client *http_client_new(const char *request_head, FILE *body);
struct http_client *http_client_free(struct http_client *client);

/*
 * http_client_feed() takes bytes of the response. Returns 1 when it is complete, 0 when more must
 * come, or an error: PROTOCOL, IO (writing the body failed).
 */
int http_client_feed(struct http_client *client, const void *data, size_t len);

/* http_client_end() says that the server has ended. Returns 1 if the response was complete. */
int http_client_end(struct http_client *client);

/* http_client_status() returns the status, 0 before there is one. */
int http_client_status(const struct http_client *client);

#endif
