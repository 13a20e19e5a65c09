/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The octet grammar of an HTTP/1 request head (RFC 9112, 2 to 5), checked as the bytes come in.
 * The parser behind it (libhtp) is made to read what sloppy servers would read: it accepts folded
 * fields, bare line feeds, doubled spaces and NUL in values without a flag. Nothing of that gets
 * as far as it.
 */
#ifndef TOOLS_SERVE_HEAD_H
#define TOOLS_SERVE_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct head_scan {
	size_t used; /* octets looked at */
	int state;
	unsigned int blank_lines; /* before the request line */
	unsigned int matched;     /* of the version */
	bool http11;              /* HTTP/1.1 or a later 1.x; else 1.0 */
};

/* Outcomes of head_scan(); a negative result is the HTTP status to refuse with. */
enum head_result {
	HEAD_MORE = 0,
	HEAD_DONE = 1, /* scan->used octets are the head, its empty line included */
};

void head_scan_init(struct head_scan *scan);

/* head_scan() looks at what is new in @buf, which holds everything since the init. */
int head_scan(struct head_scan *scan, const uint8_t *buf, size_t len);

/* head_too_long() returns the status for a head that did not end within the buffer. */
int head_too_long(const struct head_scan *scan);

#endif
