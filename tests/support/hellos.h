/* SPDX-License-Identifier: Apache-2.0 */
/* Made hellos: ClientHello and ServerHello messages with any extension, and how they are read. */
#ifndef SLUICE_TESTS_HELLOS_H
#define SLUICE_TESTS_HELLOS_H

#include <stddef.h>
#include <stdint.h>

#include "bssl/hello.h"

#define MESSAGE_HEADER_LEN 4
#define CLIENT_HELLO 1
#define SERVER_HELLO 2

#define RANDOM "RRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRR"
/* RFC 8446, 4.1.3. */
#define RETRY_RANDOM                                                       \
	"\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" \
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

/* struct message - a handshake message in memory of exactly its size; free() its bytes. */
struct message {
	uint8_t *bytes;
	size_t len;
};

/* struct ext - an extension; EXT() makes one from a literal. */
struct ext {
	uint16_t type;
	const char *body;
	size_t len;
};

#define EXT(type, body)                      \
	{                                    \
		type, body, sizeof(body) - 1 \
	}

struct message message_copy(const uint8_t *bytes, size_t len);

/* message_set_length() makes the header fit the bytes that are there. */
void message_set_length(struct message *message);

/* message_make_hello() makes a hello of one suite; @exts NULL: not even their list is there. */
struct message message_make_hello(uint8_t type, const char *random, const struct ext *exts,
				  size_t n_exts);

/*
 * message_parse() reads a hello by its type and frees the message. Returns NULL if it was refused
 * as malformed; any other failure ends the test.
 */
struct hello *message_parse(struct message message);

#endif
