// SPDX-License-Identifier: Apache-2.0
/*
 * Heads that came before. A server under load answers with the same bytes, second by second, and what
 * libhtp has found in them once (length and end) holds for the same bytes again: it costs five times
 * what TLS and the rest of a small request cost a client. Called by exchange.c.
 */
#include <string.h>

#include "load.h"

#define HEAD_END "\r\n\r\n"
#define OK_11 "HTTP/1.1 200 "
#define OK_10 "HTTP/1.0 200 "

size_t head_match(const struct known_head *known, const uint8_t *data, size_t len)
{
	if (!known->valid || len < known->len || memcmp(known->text, data, known->len) != 0)
		return 0;
	return known->len;
}

/* An interim response (RFC 9110, section 15.2) has a head too, and is not the one that has the length. */
static bool is_ok(const uint8_t *data, size_t len)
{
	return len > strlen(OK_10) &&
	       (!memcmp(data, OK_11, strlen(OK_11)) || !memcmp(data, OK_10, strlen(OK_10)));
}

void head_see(struct known_head *known, const struct slot *slot, const uint8_t *data, size_t len)
{
	const uint8_t *end = memmem(data, len, HEAD_END, strlen(HEAD_END));
	size_t head = end ? (size_t)(end - data) + strlen(HEAD_END) : 0;

	if (known->slot == slot)
		known->slot =
			NULL; /* what was seen of its response before has not been read to its end */
	if (!head || head > sizeof(known->text) || !is_ok(data, head))
		return; /* the one before may come again */
	memcpy(known->text, data, head);
	known->len = head;
	known->slot = slot;
	known->valid = false;
}

void head_learn(struct known_head *known, const struct slot *slot, uint64_t body)
{
	if (known->slot != slot)
		return; /* another one's was seen meanwhile */
	known->slot = NULL;
	known->valid = true;
	known->body = body;
	known->close_after = slot->close_after;
}
