/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: what fits and what does not, and every way in which one can be cut off. */
#include "handover/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TYPE 7
#define ID 0x12345678

/* A message with one attribute of each kind; 8 + 12 + 7 + 4 + 10 bytes. */
static size_t sample(uint8_t *buf, size_t size)
{
	struct wire wire;

	wire_begin(&wire, buf, size, TYPE, ID);
	wire_put_u64(&wire, 1, UINT64_MAX);
	wire_put_text(&wire, 2, "abc");
	wire_put(&wire, 3, NULL, 0);
	wire_put(&wire, 1027, "\0\1\2\3\4\5", 6);
	return wire_end(&wire);
}

#define SAMPLE_LEN (8 + 12 + 7 + 4 + 10)

static void what_is_written_is_read(void **state)
{
	uint8_t buf[SAMPLE_LEN];
	struct wire_reader reader;
	struct wire_head head;
	struct attr attr;
	uint64_t value;
	char text[4];

	assert_int_equal(sample(buf, sizeof(buf)), SAMPLE_LEN);
	assert_true(wire_open(&reader, buf, sizeof(buf), &head));
	assert_int_equal(head.version, WIRE_VERSION);
	assert_int_equal(head.type, TYPE);
	assert_int_equal(head.id, ID);
	assert_int_equal(wire_next(&reader, &attr), 1);
	assert_int_equal(attr.type, 1);
	assert_true(attr_u64(&attr, &value) && value == UINT64_MAX);
	assert_int_equal(wire_next(&reader, &attr), 1);
	assert_true(attr_text(&attr, text, sizeof(text)));
	assert_string_equal(text, "abc");
	assert_int_equal(wire_next(&reader, &attr), 1);
	assert_int_equal(attr.len, 0);
	assert_int_equal(wire_next(&reader, &attr), 1);
	assert_int_equal(attr.type, 1027);
	assert_memory_equal(attr.bytes, "\0\1\2\3\4\5", 6);
	assert_int_equal(wire_next(&reader, &attr), 0);
	assert_int_equal(wire_next(&reader, &attr), 0);
}

static void numbers_are_little_endian(void **state)
{
	uint8_t buf[64];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), TYPE, ID);
	wire_put_u64(&wire, 0x0102, 0x1122334455667788);
	assert_memory_equal(
		buf, "\1\7\0\0\x78\x56\x34\x12\2\1\x8\0\x88\x77\x66\x55\x44\x33\x22\x11", 20);
}

/* The buffer is as large as it says: a write beyond it is AddressSanitizer's to find. */
static void an_overflow_at_every_size(void **state)
{
	uint8_t *buf;
	size_t size;

	for (size = 0; size < SAMPLE_LEN; size++) {
		buf = malloc(size ? size : 1);
		assert_non_null(buf);
		assert_int_equal(sample(buf, size), 0);
		free(buf);
	}
}

static void an_overflow_stays(void **state)
{
	uint8_t buf[16];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), TYPE, ID);
	assert_null(wire_room(&wire, 1, 5));
	assert_null(wire_room(&wire, 1, 0)); /* there would be room for it */
	assert_int_equal(wire_end(&wire), 0);
}

static void an_attribute_has_at_most_65535_bytes(void **state)
{
	size_t size = 1 << 18;
	uint8_t *buf = malloc(size);
	struct wire_reader reader;
	struct wire_head head;
	struct attr attr;
	struct wire wire;

	assert_non_null(buf);
	wire_begin(&wire, buf, size, TYPE, ID);
	assert_non_null(wire_room(&wire, 1, UINT16_MAX));
	assert_true(wire_open(&reader, buf, wire_end(&wire), &head));
	assert_int_equal(wire_next(&reader, &attr), 1);
	assert_int_equal(attr.len, UINT16_MAX);
	assert_null(wire_room(&wire, 1, UINT16_MAX + 1));
	assert_int_equal(wire_end(&wire), 0);
	wire_begin(&wire, buf, size, TYPE, ID);
	assert_null(wire_room(&wire, 1, SIZE_MAX));
	free(buf);
}

/* A cut between attributes leaves a shorter message; any other is noticed. */
static void a_message_cut_off_at_every_byte(void **state)
{
	static const size_t ends[] = { 8, 20, 27, 31 };
	uint8_t buf[SAMPLE_LEN], *copy;
	struct wire_reader reader;
	struct wire_head head;
	struct attr attr;
	size_t len, i;
	bool whole;
	int r;

	sample(buf, sizeof(buf));
	for (len = 0; len < SAMPLE_LEN; len++) {
		copy = malloc(len ? len : 1);
		assert_non_null(copy);
		memcpy(copy, buf, len);
		assert_int_equal(wire_open(&reader, copy, len, &head), len >= WIRE_HEAD_LEN);
		for (whole = false, i = 0; i < 4; i++)
			whole |= len == ends[i];
		if (len >= WIRE_HEAD_LEN) {
			while ((r = wire_next(&reader, &attr)) == 1)
				assert_true(attr.bytes + attr.len <= copy + len);
			assert_int_equal(r, whole ? 0 : -1);
			assert_int_equal(wire_next(&reader, &attr), r);
		}
		free(copy);
	}
}

static void another_version_is_no_message(void **state)
{
	struct wire_reader reader;
	struct wire_head head;
	uint8_t buf[SAMPLE_LEN];

	sample(buf, sizeof(buf));
	buf[0] = WIRE_VERSION + 1;
	assert_false(wire_open(&reader, buf, sizeof(buf), &head));
	buf[0] = WIRE_VERSION;
	buf[2] = 1;
	assert_false(wire_open(&reader, buf, sizeof(buf), &head));
	buf[2] = 0;
	buf[3] = 0x80;
	assert_false(wire_open(&reader, buf, sizeof(buf), &head));
}

static void numbers_have_one_to_eight_bytes(void **state)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	struct attr attr = { .bytes = bytes };
	uint64_t value = 77;

	assert_false(attr_u64(&attr, &value));
	attr.len = 9;
	assert_false(attr_u64(&attr, &value));
	assert_int_equal(value, 77);
	attr.len = 1;
	assert_true(attr_u64(&attr, &value) && value == 1);
	attr.len = 3;
	assert_true(attr_u64(&attr, &value) && value == 0x030201);
	attr.len = 8;
	assert_true(attr_u64(&attr, &value) && value == 0x0807060504030201);
}

static void texts_fit_and_have_no_nul(void **state)
{
	struct attr attr = { .bytes = (const uint8_t *)"abcd\0e", .len = 4 };
	char out[5] = "x";

	assert_false(attr_text(&attr, out, 0));
	assert_false(attr_text(&attr, out, 4));
	assert_string_equal(out, "x");
	assert_true(attr_text(&attr, out, 5));
	assert_string_equal(out, "abcd");
	attr.len = 0;
	assert_true(attr_text(&attr, out, 1));
	assert_string_equal(out, "");
	attr.len = 5;
	assert_false(attr_text(&attr, out, sizeof(out)));
	attr.len = 6;
	assert_false(attr_text(&attr, (char[10]){ 0 }, 10));
}

static void texts_without_a_byte_are_not_written(void **state)
{
	uint8_t buf[64];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), TYPE, ID);
	wire_put_text(&wire, 1, NULL);
	wire_put_text(&wire, 1, "");
	assert_int_equal(wire_end(&wire), WIRE_HEAD_LEN);
}

static void buffers_are_freed_once(void **state)
{
	uint8_t *buf = wire_buffer_new();

	assert_non_null(buf);
	memset(buf, 1, WIRE_MAX);
	assert_null(wire_buffer_free(buf));
	assert_null(wire_buffer_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(numbers_are_little_endian),
		cmocka_unit_test(an_overflow_at_every_size),
		cmocka_unit_test(an_overflow_stays),
		cmocka_unit_test(an_attribute_has_at_most_65535_bytes),
		cmocka_unit_test(a_message_cut_off_at_every_byte),
		cmocka_unit_test(another_version_is_no_message),
		cmocka_unit_test(numbers_have_one_to_eight_bytes),
		cmocka_unit_test(texts_fit_and_have_no_nul),
		cmocka_unit_test(texts_without_a_byte_are_not_written),
		cmocka_unit_test(buffers_are_freed_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
