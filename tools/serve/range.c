/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small grammars of HTTP: byte ranges (RFC 9110, 14), dates (5.6.7), media types by extension.
 * Pure functions, called by http.c and request.c.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "request.h"

/* Digits that fit into a number; anything else is no range. */
static bool number(const char **text, uint64_t *ret_number)
{
	size_t digits = strspn(*text, "0123456789");

	if (digits == 0 || digits > 18)
		return false;
	*ret_number = strtoull(*text, NULL, 10);
	*text += digits;
	return true;
}

static enum range_result suffix_range(const char *text, uint64_t size, uint64_t *ret_offset,
				      uint64_t *ret_len)
{
	uint64_t n;

	if (!number(&text, &n) || *text)
		return RANGE_WHOLE;
	if (n == 0 || size == 0)
		return RANGE_UNSATISFIABLE;
	*ret_len = n < size ? n : size;
	*ret_offset = size - *ret_len;
	return RANGE_PART;
}

enum range_result range_parse(const char *value, uint64_t size, uint64_t *ret_offset,
			      uint64_t *ret_len)
{
	uint64_t first, last = UINT64_MAX;

	if (strncasecmp(value, "bytes=", 6) != 0)
		return RANGE_WHOLE;
	value += 6;
	if (*value == '-')
		return suffix_range(value + 1, size, ret_offset, ret_len);
	if (!number(&value, &first) || *value++ != '-')
		return RANGE_WHOLE;
	/* Several ranges may be answered with the whole (14.2), and are. */
	if (*value && (!number(&value, &last) || *value || last < first))
		return RANGE_WHOLE;
	if (first >= size)
		return RANGE_UNSATISFIABLE;
	*ret_offset = first;
	*ret_len = (last < size - 1 ? last : size - 1) - first + 1;
	return RANGE_PART;
}

/* The program never calls setlocale(): strftime(3) and strptime(3) speak English. */
void http_date(time_t when, char buf[HTTP_DATE_LEN])
{
	struct tm tm;

	if (!gmtime_r(&when, &tm) || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900) {
		when = 0;
		gmtime_r(&when, &tm);
	}
	strftime(buf, HTTP_DATE_LEN, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

bool http_date_parse(const char *text, time_t *ret_when)
{
	static const char *const formats[] = { "%a, %d %b %Y %H:%M:%S GMT",
					       "%A, %d-%b-%y %H:%M:%S GMT",
					       "%a %b %d %H:%M:%S %Y" };
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct tm tm = { 0 };
		const char *end = strptime(text, formats[i], &tm);

		if (end && !*end) {
			*ret_when = timegm(&tm);
			return true;
		}
	}
	return false;
}

static const struct {
	const char *extension;
	const char *type;
} types[] = {
	{ "html", "text/html; charset=utf-8" },
	{ "htm", "text/html; charset=utf-8" },
	{ "css", "text/css; charset=utf-8" },
	{ "js", "text/javascript; charset=utf-8" },
	{ "mjs", "text/javascript; charset=utf-8" },
	{ "txt", "text/plain; charset=utf-8" },
	{ "md", "text/markdown; charset=utf-8" },
	{ "csv", "text/csv; charset=utf-8" },
	{ "xml", "application/xml" },
	{ "json", "application/json" },
	{ "wasm", "application/wasm" },
	{ "pdf", "application/pdf" },
	{ "zip", "application/zip" },
	{ "gz", "application/gzip" },
	{ "tar", "application/x-tar" },
	{ "svg", "image/svg+xml" },
	{ "png", "image/png" },
	{ "jpg", "image/jpeg" },
	{ "jpeg", "image/jpeg" },
	{ "gif", "image/gif" },
	{ "webp", "image/webp" },
	{ "avif", "image/avif" },
	{ "ico", "image/vnd.microsoft.icon" },
	{ "mp3", "audio/mpeg" },
	{ "ogg", "audio/ogg" },
	{ "mp4", "video/mp4" },
	{ "webm", "video/webm" },
	{ "woff2", "font/woff2" },
};

const char *mime_type(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *dot = strrchr(slash ? slash : path, '.');
	size_t i;

	for (i = 0; dot && i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcasecmp(dot + 1, types[i].extension) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}
