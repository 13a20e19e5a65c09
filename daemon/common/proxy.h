/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of the PROXY protocol, versions 1 and 2 (proxy-protocol.txt of HAProxy), with which a proxy
 * begins a connection: whom it speaks for. No input or output: bytes in, addresses out. A header may come
 * in pieces of any size, and never a byte behind it is taken.
 */
#ifndef SLUICED_COMMON_PROXY_H
#define SLUICED_COMMON_PROXY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROXY_MAX_TEXT 107 /* bytes of a header of version 1 with its CRLF (2.1) */
#define PROXY_MAX 4096     /* of one of version 2: nobody needs the 64 KiB that its length allows */

enum proxy_status {
	PROXY_MORE, /* the header goes on */
	PROXY_DONE,
	PROXY_BAD, /* @error says why */
};

/* struct proxy - a header that is being read; {0} to begin with. */
struct proxy {
	enum proxy_status status;
	const char *error;
	/* DONE: whether it names addresses; if not, those of the socket stand (LOCAL, UNKNOWN, UNIX). */
	bool named;
	struct sockaddr_in6 source, destination; /* IPv4: mapped */

	/* the parser's own */
	uint8_t head[PROXY_MAX_TEXT]; /* the line, or signature, lengths and addresses */
	uint16_t have;
	uint16_t need;            /* version 2: bytes of @head that are wanted next; 0: a line */
	uint16_t left;            /* version 2: bytes behind the addresses */
	uint16_t tlv_left;        /* of the value of the TLV */
	uint8_t tlv[3], tlv_have; /* type and length of the next */
	bool opaque;              /* version 2: what is left has no form that we know */
};

/*
 * proxy_feed() takes at most @len bytes and returns how many of them are the header's. @proxy->status
 * says what to do next; when it is not MORE nothing is taken any more.
 */
size_t proxy_feed(struct proxy *proxy, const uint8_t *bytes, size_t len);

#endif
