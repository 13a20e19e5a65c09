/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP/1 request, as far as a server of files must understand it. */
#ifndef TOOLS_SERVE_REQUEST_H
#define TOOLS_SERVE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define REQUEST_PATH_MAX 4096
#define REQUEST_BODY_MAX 16384 /* a body nobody asked for is read and dropped up to here */

enum request_method {
	METHOD_GET,
	METHOD_HEAD,
	METHOD_UPLOAD, /* POST or PUT, where bodies are taken */
	METHOD_OTHER,
};

struct request {
	enum request_method method;
	bool keep_alive;
	bool has_range; /* and no If-Range: what that depends on is not kept here */
	bool has_if_modified_since;
	bool expects_continue; /* the body comes when it is asked for (RFC 9110, 10.1.1) */
	uint64_t body_len;     /* to be discarded, unless it is an upload */
	time_t if_modified_since;
	char range[128];
	char path[REQUEST_PATH_MAX]; /* decoded, dot segments resolved, begins with '/' */
};

struct http_parser;

/*
 * http_parser_new() makes the parser's configuration, one for all requests of a thread. Bodies of POST and PUT may
 * have up to @upload_max bytes; 0: they are methods like others.
 */
struct http_parser *http_parser_new(uint64_t upload_max);
struct http_parser *http_parser_free(struct http_parser *parser);

/*
 * request_parse() reads one whole head that head_scan() has passed. Returns 0 or the status to
 * refuse with; the connection cannot go on after that, because where the next request begins is
 * not certain.
 */
int request_parse(struct http_parser *parser, const uint8_t *head, size_t head_len, bool http11,
		  struct request *ret_request);

enum range_result {
	RANGE_WHOLE, /* not a range this server gives: the whole file */
	RANGE_PART,
	RANGE_UNSATISFIABLE,
};

/* range_parse() reads the value of a Range field for a file of @size bytes. */
enum range_result range_parse(const char *value, uint64_t size, uint64_t *ret_offset,
			      uint64_t *ret_len);

#define HTTP_DATE_LEN 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" and NUL */

/* http_date() writes a time as RFC 9110, 5.6.7 wants it; http_date_parse() reads its three forms. */
void http_date(time_t when, char buf[HTTP_DATE_LEN]);
bool http_date_parse(const char *text, time_t *ret_when);

/* mime_type() returns the media type for a file's name. */
const char *mime_type(const char *path);

#endif
