/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the making of hellos for the tests of bssl/hello.h. Never leaves a message alive for what
 * was read from it to point into.
 */
#include "hellos.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/bytestring.h>
#include <openssl/mem.h>

struct message message_copy(const uint8_t *bytes, size_t len)
{
	struct message message = { malloc(len ? len : 1), len };

	assert_non_null(message.bytes);
	memcpy(message.bytes, bytes, len);
	return message;
}

void message_set_length(struct message *message)
{
	size_t body_len = message->len - MESSAGE_HEADER_LEN;

	message->bytes[1] = (uint8_t)(body_len >> 16);
	message->bytes[2] = (uint8_t)(body_len >> 8);
	message->bytes[3] = (uint8_t)body_len;
}

static void add_exts(CBB *cbb, const struct ext *exts, size_t n)
{
	CBB list, body;

	assert_true(CBB_add_u16_length_prefixed(cbb, &list));
	for (size_t i = 0; i < n; i++) {
		assert_true(CBB_add_u16(&list, exts[i].type));
		assert_true(CBB_add_u16_length_prefixed(&list, &body));
		assert_true(CBB_add_bytes(&body, (const uint8_t *)exts[i].body, exts[i].len));
		assert_true(CBB_flush(&list));
	}
	assert_true(CBB_flush(cbb));
}

static struct message finish(CBB *cbb)
{
	struct message message;
	uint8_t *bytes;
	size_t len;

	assert_true(CBB_finish(cbb, &bytes, &len));
	message = message_copy(bytes, len);
	OPENSSL_free(bytes);
	return message;
}

struct message message_make_hello(uint8_t type, const char *random, const struct ext *exts,
				  size_t n)
{
	CBB cbb, msg;

	assert_true(CBB_init(&cbb, 256));
	assert_true(CBB_add_u8(&cbb, type));
	assert_true(CBB_add_u24_length_prefixed(&cbb, &msg));
	assert_true(CBB_add_u16(&msg, 0x0303));
	assert_true(CBB_add_bytes(&msg, (const uint8_t *)random, 32));
	assert_true(CBB_add_u8(&msg, 0));
	if (type == CLIENT_HELLO) {
		assert_true(CBB_add_bytes(&msg, (const uint8_t *)"\0\2\x13\1\1\0", 6));
	} else {
		assert_true(CBB_add_bytes(&msg, (const uint8_t *)"\x13\1\0", 3));
	}
	if (exts)
		add_exts(&msg, exts, n);
	return finish(&cbb);
}

struct hello *message_parse(struct message message)
{
	struct hello *hello = NULL;
	int r = -SLUICE_E_PROTOCOL;

	if (message.len > 0 && message.bytes[0] == SERVER_HELLO)
		r = hello_parse_server(&hello, message.bytes, message.len);
	else
		r = hello_parse_client(&hello, message.bytes, message.len);
	free(message.bytes);
	if (r == 0) {
		assert_non_null(hello);
		return hello;
	}
	assert_int_equal(r, -SLUICE_E_PROTOCOL);
	assert_null(hello);
	return NULL;
}
