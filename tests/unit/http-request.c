/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads as `sluice serve` reads them: the grammar, and behind it what libhtp makes of them. */
#include "request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "head.h"

#define HOST "Host: a\r\n"

static int set_up(void **state)
{
	*state = http_parser_new(0);
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	*state = http_parser_free(*state);
	return 0;
}

/* The status a head is refused with, 0 for none; fed @step octets at a time. */
static int parse(struct http_parser *parser, const char *text, size_t len, size_t step,
		 struct request *request)
{
	struct head_scan scan;
	size_t given = 0;
	int r;

	head_scan_init(&scan);
	do {
		given = len - given < step ? len : given + step;
		r = head_scan(&scan, (const uint8_t *)text, given);
	} while (r == HEAD_MORE && given < len);
	if (r < 0)
		return -r;
	assert_int_equal(r, HEAD_DONE);
	memset(request, 0, sizeof(*request));
	return request_parse(parser, (const uint8_t *)text, scan.used, scan.http11, request);
}

/* However a head is cut, the outcome is the same. */
static int outcome(void **state, const char *text, size_t len, struct request *request)
{
	int whole = parse(*state, text, len, len, request);
	size_t step;

	for (step = 1; step < 4; step++)
		assert_int_equal(parse(*state, text, len, step, request), whole);
	return whole;
}

#define refused(status, text)                                                                \
	do {                                                                                 \
		struct request refused_;                                                     \
		assert_int_equal(outcome(state, text, sizeof(text) - 1, &refused_), status); \
	} while (0)

static struct request accepted_at(void **state, const char *text, int line)
{
	struct request request;
	int status = outcome(state, text, strlen(text), &request);

	if (status)
		fail_msg("line %d: refused with %d: %s", line, status, text);
	return request;
}

#define accepted(text) accepted_at(state, text, __LINE__)

static void plain_requests_are_understood(void **state)
{
	struct request r = accepted("GET /a/b?c=d HTTP/1.1\r\n" HOST "\r\n");

	assert_int_equal(r.method, METHOD_GET);
	assert_string_equal(r.path, "/a/b");
	assert_true(r.keep_alive);
	assert_false(r.has_range);
	assert_int_equal(r.body_len, 0);
	assert_int_equal(accepted("HEAD / HTTP/1.1\r\n" HOST "\r\n").method, METHOD_HEAD);
	assert_int_equal(accepted("BREW / HTTP/1.1\r\n" HOST "\r\n").method, METHOD_OTHER);
	assert_int_equal(accepted("OPTIONS * HTTP/1.1\r\n" HOST "\r\n").method, METHOD_OTHER);
	assert_string_equal(accepted("GET http://a/x HTTP/1.1\r\n" HOST "\r\n").path, "/x");
	accepted("\r\nGET / HTTP/1.1\r\n" HOST "\r\n");
	accepted("GET / HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n");
}

static void connections_persist_as_their_version_and_options_say(void **state)
{
	assert_false(accepted("GET / HTTP/1.0\r\n\r\n").keep_alive);
	assert_true(accepted("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
	assert_false(accepted("GET / HTTP/1.1\r\n" HOST "Connection: x, Close\r\n\r\n").keep_alive);
	assert_true(accepted("GET / HTTP/1.1\r\n" HOST "Connection: closed\r\n\r\n").keep_alive);
	assert_true(accepted("GET / HTTP/1.7\r\n" HOST "\r\n").keep_alive);
}

static void what_is_no_request_line_is_refused(void **state)
{
	refused(400, "GET /\r\n\r\n");
	refused(400, "GET  / HTTP/1.1\r\n" HOST "\r\n");
	refused(400, "GET / HTTP/1.1 \r\n" HOST "\r\n");
	refused(400, " GET / HTTP/1.1\r\n" HOST "\r\n");
	refused(400, "GET / http/1.1\r\n" HOST "\r\n");
	refused(400, "G(T / HTTP/1.1\r\n" HOST "\r\n");
	refused(400, "GET /\t HTTP/1.1\r\n" HOST "\r\n");
	refused(400, "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n");
	refused(400, "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n");
	refused(400, "GET / HTTP/1.1\n" HOST "\n");
	refused(505, "GET / HTTP/2.0\r\n" HOST "\r\n");
	refused(505, "GET / HTTP/1.x\r\n" HOST "\r\n");
}

static void what_libhtp_would_read_leniently_is_refused(void **state)
{
	refused(400, "GET / HTTP/1.1\r\n" HOST "X: a\r\n folded\r\n\r\n");
	refused(400, "GET / HTTP/1.1\r\n" HOST "X : a\r\n\r\n");
	refused(400, "GET / HTTP/1.1\r\n" HOST "no colon\r\n\r\n");
	refused(400, "GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n");
	refused(400, "GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n");
	refused(400, "GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n");
	refused(400, "GET / HTTP/1.1\r\n" HOST "X: a\nY: b\r\n\r\n");
	refused(400, "GET / HTTP/1.1\r\n" HOST "X: a\r\n\n");
}

static void hosts_that_are_missing_or_ambiguous_are_refused(void **state)
{
	refused(400, "GET / HTTP/1.1\r\n\r\n");
	refused(400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n");
	refused(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
	refused(400, "GET http://b/ HTTP/1.1\r\n" HOST "\r\n");
}

static void bodies_are_measured_strictly(void **state)
{
	assert_int_equal(
		accepted("GET / HTTP/1.1\r\n" HOST "Content-Length: 16384\r\n\r\n").body_len,
		16384);
	refused(413, "GET / HTTP/1.1\r\n" HOST "Content-Length: 16385\r\n\r\n");
	refused(413, "GET / HTTP/1.1\r\n" HOST "Content-Length: 9999999999999999\r\n\r\n");
	refused(400, "GET / HTTP/1.1\r\n" HOST "Content-Length: -5\r\n\r\n");
	refused(400, "GET / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\n");
	refused(400, "GET / HTTP/1.1\r\n" HOST "Content-Length: 5x\r\n\r\n");
	refused(400, "GET / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n");
	refused(400, "GET / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\n");
	refused(400, "GET / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n");
	refused(411, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
	refused(400, "POST / HTTP/1.1\r\n" HOST
		     "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n");
}

/* Only with a limit of its own are bodies taken, and then no byte more. */
static void uploads_have_their_limit(void **state)
{
	static const char post[] = "POST /x HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\n";
	static const char put[] = "PUT /x HTTP/1.1\r\n" HOST
				  "Expect: 100-Continue\r\nContent-Length: 999999\r\n\r\n";
	static const char more[] = "POST /x HTTP/1.1\r\n" HOST "Content-Length: 1000001\r\n\r\n";
	static const char get[] = "GET /x HTTP/1.1\r\n" HOST "Content-Length: 16385\r\n\r\n";
	static const char chunked[] = "POST /x HTTP/1.1\r\n" HOST
				      "Transfer-Encoding: chunked\r\n\r\n";
	static const char nowhere[] = "POST x HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n";
	struct http_parser *parser = http_parser_new(1000000);
	struct request request;

	assert_non_null(parser);
	assert_int_equal(parse(parser, post, strlen(post), 1, &request), 0);
	assert_int_equal(request.method, METHOD_UPLOAD);
	assert_int_equal(request.body_len, 1000000);
	assert_false(request.expects_continue);
	assert_int_equal(parse(parser, put, strlen(put), 1, &request), 0);
	assert_int_equal(request.method, METHOD_UPLOAD);
	assert_true(request.expects_continue);
	assert_int_equal(parse(parser, more, strlen(more), 1, &request), 413);
	assert_int_equal(parse(parser, get, strlen(get), 1, &request), 413);
	assert_int_equal(parse(parser, chunked, strlen(chunked), 1, &request), 411);
	assert_int_equal(parse(parser, nowhere, strlen(nowhere), 1, &request), 400);
	http_parser_free(parser);
	/* Without the limit they are methods like others. */
	assert_int_equal(parse(*state, post, strlen(post), 1, &request), 413);
	assert_int_equal(accepted("POST /x HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n").method,
			 METHOD_OTHER);
}

static void paths_are_decoded_and_stay_below_the_root(void **state)
{
	assert_string_equal(accepted("GET /a%20b+c HTTP/1.1\r\n" HOST "\r\n").path, "/a b+c");
	assert_string_equal(accepted("GET /%c3%a4 HTTP/1.1\r\n" HOST "\r\n").path, "/\xc3\xa4");
	assert_string_equal(accepted("GET /a/../../b HTTP/1.1\r\n" HOST "\r\n").path, "/b");
	assert_string_equal(accepted("GET /%2e%2e/%2E%2e/b HTTP/1.1\r\n" HOST "\r\n").path, "/b");
	assert_string_equal(accepted("GET /a\\..\\b HTTP/1.1\r\n" HOST "\r\n").path, "/a\\..\\b");
	assert_string_equal(accepted("GET //host/a HTTP/1.1\r\n" HOST "\r\n").path, "/host/a");
	refused(400, "GET /a%2fb HTTP/1.1\r\n" HOST "\r\n");
	refused(400, "GET /a%00b HTTP/1.1\r\n" HOST "\r\n");
	refused(400, "GET /%zz HTTP/1.1\r\n" HOST "\r\n");
	refused(400, "GET /% HTTP/1.1\r\n" HOST "\r\n");
	refused(400, "GET * HTTP/1.1\r\n" HOST "\r\n");
	refused(400, "GET a HTTP/1.1\r\n" HOST "\r\n");
}

static void a_path_too_long_is_refused_by_its_own_status(void **state)
{
	static char text[REQUEST_PATH_MAX + 100];
	struct request request;
	int n;

	n = snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\n" HOST "\r\n", REQUEST_PATH_MAX - 1,
		     0);
	assert_int_equal(parse(*state, text, (size_t)n, (size_t)n, &request), 414);
	n = snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\n" HOST "\r\n", REQUEST_PATH_MAX - 2,
		     0);
	assert_int_equal(parse(*state, text, (size_t)n, (size_t)n, &request), 0);
}

static void ranges_and_conditions_are_taken_over(void **state)
{
	struct request r = accepted("GET / HTTP/1.1\r\n" HOST "range: bytes=1-2\r\n"
				    "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n");

	assert_true(r.has_range);
	assert_string_equal(r.range, "bytes=1-2");
	assert_true(r.has_if_modified_since);
	assert_int_equal(r.if_modified_since, 784111777);
	assert_false(
		accepted("GET / HTTP/1.1\r\n" HOST "Range: bytes=1-2\r\nIf-Range: \"x\"\r\n\r\n")
			.has_range);
	assert_false(accepted("GET / HTTP/1.1\r\n" HOST "If-Modified-Since: yesterday\r\n\r\n")
			     .has_if_modified_since);
	refused(400, "GET / HTTP/1.1\r\n" HOST "Range: bytes=1-2\r\nRange: bytes=3-4\r\n\r\n");
}

static void an_endless_head_is_too_long_in_the_line_or_in_the_fields(void **state)
{
	struct head_scan scan;

	head_scan_init(&scan);
	assert_int_equal(head_scan(&scan, (const uint8_t *)"GET /aaaa", 9), HEAD_MORE);
	assert_int_equal(head_too_long(&scan), 414);
	head_scan_init(&scan);
	assert_int_equal(head_scan(&scan, (const uint8_t *)"GET / HTTP/1.1\r\nX: a", 20),
			 HEAD_MORE);
	assert_int_equal(head_too_long(&scan), 431);
}

static void a_head_ends_where_the_next_request_begins(void **state)
{
	static const char text[] = "GET /1 HTTP/1.1\r\n" HOST "\r\nGET /2 HTTP/1.1\r\n";
	struct head_scan scan;

	head_scan_init(&scan);
	assert_int_equal(head_scan(&scan, (const uint8_t *)text, sizeof(text) - 1), HEAD_DONE);
	assert_memory_equal(text + scan.used, "GET /2", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_requests_are_understood),
		cmocka_unit_test(connections_persist_as_their_version_and_options_say),
		cmocka_unit_test(what_is_no_request_line_is_refused),
		cmocka_unit_test(what_libhtp_would_read_leniently_is_refused),
		cmocka_unit_test(hosts_that_are_missing_or_ambiguous_are_refused),
		cmocka_unit_test(bodies_are_measured_strictly),
		cmocka_unit_test(uploads_have_their_limit),
		cmocka_unit_test(paths_are_decoded_and_stay_below_the_root),
		cmocka_unit_test(a_path_too_long_is_refused_by_its_own_status),
		cmocka_unit_test(ranges_and_conditions_are_taken_over),
		cmocka_unit_test(an_endless_head_is_too_long_in_the_line_or_in_the_fields),
		cmocka_unit_test(a_head_ends_where_the_next_request_begins),
	};

	return cmocka_run_group_tests_name("unit/http-request", tests, set_up, tear_down);
}
