/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for the request heads of `sluice serve` (tools/serve/head.h, request.h). The first
 * octet says how the rest is cut. What is accepted must keep what request.h promises, and must not
 * depend on the cut.
 */
#include <stdlib.h>
#include <string.h>

#include "head.h"
#include "request.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No segment of a path is ".." once it has been resolved. */
static int climbs(const char *path)
{
	const char *at = path;

	while ((at = strstr(at, "/.."))) {
		at += 3;
		if (!*at || *at == '/')
			return 1;
	}
	return 0;
}

static void check(const struct request *request, size_t size)
{
	uint64_t offset, len;

	REQUIRE(request->body_len <= REQUEST_BODY_MAX);
	REQUIRE(memchr(request->path, 0, sizeof(request->path)));
	REQUIRE(memchr(request->range, 0, sizeof(request->range)));
	if (request->method != METHOD_OTHER) {
		REQUIRE(request->path[0] == '/');
		REQUIRE(!climbs(request->path));
		mime_type(request->path);
	}
	if (request->has_range && range_parse(request->range, size, &offset, &len) == RANGE_PART)
		REQUIRE(len > 0 && offset < size && len <= size - offset);
}

static int scan(const uint8_t *data, size_t size, size_t step, struct head_scan *scanner)
{
	size_t given = 0;
	int r = HEAD_MORE;

	head_scan_init(scanner);
	while (r == HEAD_MORE && given < size) {
		given = size - given < step ? size : given + step;
		r = head_scan(scanner, data, given);
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_parser *parser;
	static struct request request;
	struct head_scan whole, cut;
	int r, status;

	if (!parser)
		parser = http_parser_new(1 << 20);
	if (size < 2)
		return 0;
	r = scan(data + 1, size - 1, size, &whole);
	REQUIRE(scan(data + 1, size - 1, 1 + data[0] % 7, &cut) == r && cut.used == whole.used);
	REQUIRE(r == HEAD_MORE || r == HEAD_DONE || r == -400 || r == -505);
	if (r != HEAD_DONE)
		return 0;
	memset(&request, 0, sizeof(request));
	status = request_parse(parser, data + 1, whole.used, whole.http11, &request);
	REQUIRE(status == 0 || (status >= 400 && status < 600));
	if (status == 0)
		check(&request, size);
	return 0;
}
