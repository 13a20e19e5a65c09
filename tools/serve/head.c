/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The automaton behind head.h: one octet, one step. Called by http.c; looks at every octet once
 * however the peer cuts them. Decides nothing but well-formed or not.
 */
#include "head.h"

#include <string.h>

enum state {
	START,
	START_LF, /* of an empty line before the request line */
	METHOD,
	TARGET_FIRST,
	TARGET,
	VERSION,
	LINE_LF,
	FIELD_START,
	NAME,
	VALUE,
	VALUE_LF,
	END_LF,
	DONE,
};

#define BAD (-400)
#define BAD_VERSION (-505)

static const char version[] = "HTTP/1.";

/* RFC 9110, 5.6.2: tchar. */
static bool is_tchar(uint8_t c)
{
	if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
		return true;
	return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

/* RFC 9110, 5.5: field-vchar, SP, HTAB. */
static bool is_value(uint8_t c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static bool is_target(uint8_t c)
{
	return c > 0x20 && c < 0x7f;
}

static int start(struct head_scan *scan, uint8_t c)
{
	/* RFC 9112, 2.2: at least one empty line before the request line is to be ignored. */
	if (c == '\r' && scan->blank_lines++ == 0)
		return START_LF;
	return is_tchar(c) ? METHOD : BAD;
}

static int in_version(struct head_scan *scan, uint8_t c)
{
	unsigned int at = scan->matched++;

	if (at < strlen("HTTP/"))
		return c == (uint8_t)version[at] ? VERSION : BAD;
	if (at < strlen(version))
		return c == (uint8_t)version[at] ? VERSION : BAD_VERSION;
	if (at == strlen(version)) {
		scan->http11 = c != '0';
		return c >= '0' && c <= '9' ? VERSION : BAD_VERSION;
	}
	return c == '\r' ? LINE_LF : BAD;
}

static int step(struct head_scan *scan, uint8_t c)
{
	switch ((enum state)scan->state) {
	case START:
		return start(scan, c);
	case START_LF:
		return c == '\n' ? START : BAD;
	case METHOD:
		if (c == ' ')
			return TARGET_FIRST;
		return is_tchar(c) ? METHOD : BAD;
	case TARGET_FIRST:
		return is_target(c) ? TARGET : BAD;
	case TARGET:
		if (c == ' ')
			return VERSION;
		return is_target(c) ? TARGET : BAD;
	case VERSION:
		return in_version(scan, c);
	case LINE_LF:
	case VALUE_LF:
		return c == '\n' ? FIELD_START : BAD;
	case FIELD_START:
		/* A line that begins with a blank would be a fold: RFC 9112, 5.2 lets us refuse. */
		if (c == '\r')
			return END_LF;
		return is_tchar(c) ? NAME : BAD;
	case NAME:
		/* No blank before the colon: RFC 9112, 5.1. */
		if (c == ':')
			return VALUE;
		return is_tchar(c) ? NAME : BAD;
	case VALUE:
		if (c == '\r')
			return VALUE_LF;
		return is_value(c) ? VALUE : BAD;
	case END_LF:
		return c == '\n' ? DONE : BAD;
	case DONE:
		break;
	}
	return BAD;
}

void head_scan_init(struct head_scan *scan)
{
	memset(scan, 0, sizeof(*scan));
}

int head_scan(struct head_scan *scan, const uint8_t *buf, size_t len)
{
	while (scan->used < len) {
		int next = step(scan, buf[scan->used]);

		if (next < 0)
			return next;
		scan->state = next;
		scan->used++;
		if (next == DONE)
			return HEAD_DONE;
	}
	return HEAD_MORE;
}

int head_too_long(const struct head_scan *scan)
{
	return scan->state < LINE_LF ? 414 : 431;
}
