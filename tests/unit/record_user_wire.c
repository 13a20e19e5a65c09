/* SPDX-License-Identifier: Apache-2.0 */
/* The user record path against the wire: known records, and every kind of wrong one. */
#include "record/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>

#include <sluice/error.h>

#include "core/secret.h"
#include "support/handmade.h"
#include "support/mem_link.h"

static int teardown(void **state)
{
	return secret_live() == 0 ? 0 : -1;
}

static unsigned int nibble(char c)
{
	return c <= '9' ? (unsigned int)(c - '0') : (unsigned int)(c - 'a') + 10;
}

static size_t unhex(uint8_t *out, const char *hex)
{
	size_t len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
	return len;
}

/* A client's sending direction; secrets and key blocks are the bytes 0, 1, 2, ... */
static struct traffic *make_traffic(uint16_t id, uint64_t seq)
{
	const struct suite *suite = suite_find(id);
	struct traffic *rx, *tx;
	uint8_t bytes[88];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	if (suite->version == TLS13) {
		assert_int_equal(traffic_new_tls13(&tx, suite, bytes, id == 0x1302 ? 48 : 32, seq),
				 0);
		return tx;
	}
	assert_int_equal(traffic_new_tls12(&rx, &tx, suite, bytes, traffic_key_block_len(suite),
					   false, 0, seq),
			 0);
	traffic_free(rx);
	return tx;
}

/* The sender makes exactly this record, and the receiver takes it. */
static void check_known(struct mem_link *link, uint8_t type, const uint8_t *plain, size_t len,
			const char *hex)
{
	uint8_t wire[256];
	size_t wire_len = unhex(wire, hex);
	struct record record;

	assert_int_equal(mem_link_send(link, type, plain, len), 0);
	assert_int_equal(link->wire_end, wire_len);
	assert_memory_equal(link->wire, wire, wire_len);
	assert_int_equal(mem_link_recv(link, NULL, 0, &record), RECORD_READY);
	assert_int_equal(record.type, type);
	assert_int_equal(record.len, len);
	assert_memory_equal(record.data, plain, len);
}

/* RFC 8448, 3: application data and close_notify of both sides. */
static void records_of_rfc8448(void **state)
{
	static const char client_secret[] =
		"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
	static const char server_secret[] =
		"a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
	static const uint8_t close_notify[] = { 1, 0 };
	uint8_t secret[32], plain[50];
	struct traffic *traffic;
	struct mem_link link;

	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)i;

	unhex(secret, client_secret);
	assert_int_equal(traffic_new_tls13(&traffic, suite_find(0x1301), secret, 32, 0), 0);
	assert_int_equal(mem_link_open(&link, traffic), 0);
	check_known(&link, RECORD_DATA, plain, 50,
		    "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5"
		    "b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4");
	check_known(&link, RECORD_ALERT, close_notify, 2,
		    "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3");
	mem_link_close(&link);
	traffic_free(traffic);

	/* The server's first record was a ticket. */
	unhex(secret, server_secret);
	assert_int_equal(traffic_new_tls13(&traffic, suite_find(0x1301), secret, 32, 1), 0);
	assert_int_equal(mem_link_open(&link, traffic), 0);
	check_known(&link, RECORD_DATA, plain, 50,
		    "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d"
		    "90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d");
	check_known(&link, RECORD_ALERT, close_notify, 2,
		    "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9");
	mem_link_close(&link);
	traffic_free(traffic);
}

/* Computed with OpenSSL 3's AES-GCM and ChaCha20-Poly1305 and the RFCs' nonces and AADs. */
static void records_of_another_implementation(void **state)
{
	static const struct {
		uint16_t id;
		uint64_t seq;
		const char *record;
	} cases[] = {
		{ 0xc02f, 1,
		  "170303001e000000000000000153af8ecde2b4cefb9344e5ef3a3643a0da6b93730b60" },
		{ 0xc030, 1,
		  "170303001e000000000000000170ce4deae0d1ab7c631b998e424164055691e7cca41b" },
		{ 0xcca8, 1, "1703030016d85fc71dc54963ffd558716b330bd67c08019fc865af" },
		{ 0x1301, 1, "170303001726914b76ce073ee9a9f45e5307a600eaa95e3c398206ea" },
		{ 0x1302, 1, "1703030017ee7d0c99a72b1a727a21f746ed807222ceb91b8a109344" },
		{ 0x1303, 1, "170303001778d940b3e449d4205d058a8a38a58267abfab4ee2be463" },
		{ 0xc02f, 0x0102030405060708,
		  "170303001e0102030405060708dea84a4347badcb6c195f8b586ca6a1b1c3a3ec99eb1" },
		{ 0xc030, 0x0102030405060708,
		  "170303001e0102030405060708361da55ada9be24e0d1b10181fed2a44dc941fc52182" },
		{ 0xcca8, 0x0102030405060708,
		  "1703030016efe58b803243f537970168211cef346f01b6e790e4c6" },
		{ 0x1301, 0x0102030405060708,
		  "1703030017d6ddb591020690ef10c63e957264ce770e6b3c08d1fd69" },
		{ 0x1302, 0x0102030405060708,
		  "1703030017cae525d3bf25692f0d0307f4712ce516a477e0bcb13301" },
		{ 0x1303, 0x0102030405060708,
		  "1703030017f9c1c6898c8ea5b0d416098799ec431de62b69354c50b6" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct traffic *traffic = make_traffic(cases[i].id, cases[i].seq);
		struct mem_link link;

		assert_int_equal(mem_link_open(&link, traffic), 0);
		check_known(&link, RECORD_DATA, (const uint8_t *)"sluice", 6, cases[i].record);
		assert_int_equal(link.tx->records, cases[i].seq + 1);
		mem_link_close(&link);
		traffic_free(traffic);
	}
}

/*
 * Gives @len bytes of @wire to a new receiver. Returns what it makes of them; behind an error
 * everything must stay an error, and the thread's BoringSSL errors are not ours to leave behind.
 */
static int receive(const struct traffic *traffic, const uint8_t *wire, size_t len,
		   struct record *ret_record, uint8_t *buf, size_t buf_len)
{
	struct mem_link link;
	struct record again;
	struct msghdr msg;
	int r;

	assert_int_equal(mem_link_open(&link, traffic), 0);
	mem_link_put(&link, wire, len);
	r = mem_link_recv(&link, buf, buf_len, ret_record);
	if (r < 0) {
		assert_int_equal(link.rx->ops->next(link.rx, NULL, 0, &again), r);
		assert_int_equal(link.rx->ops->prep(link.rx, NULL, 0, &msg), r);
		assert_int_equal(link.rx->ops->next(link.rx, NULL, 0, &again), r);
		assert_int_equal(link.rx->records, traffic->seq);
	}
	assert_int_equal(ERR_peek_error(), 0);
	mem_link_close(&link);
	return r;
}

static int receive_result(const struct traffic *traffic, const uint8_t *wire, size_t len)
{
	struct record record;

	return receive(traffic, wire, len, &record, NULL, 0);
}

/* Every bit of a record, with all that follows from it for the header's bits. */
static void every_corrupted_bit_is_found(void **state)
{
	static const uint8_t content[] = "sixteen bytes ok\x17";

	for (size_t i = 0; suite_at(i) != NULL; i++) {
		struct traffic *traffic = make_traffic(suite_at(i)->id, 5);
		bool tls13 = suite_at(i)->version == TLS13;
		uint8_t wire[2 * (sizeof(content) + HANDMADE_OVERHEAD_MAX)];
		size_t len = handmade_record(wire, traffic, 5, RECORD_DATA, content,
					     sizeof(content) - 1);

		assert_int_equal(receive_result(traffic, wire, len), RECORD_READY);
		/* A second record behind, so that a longer length finds bytes. */
		handmade_record(wire + len, traffic, 6, RECORD_DATA, content, sizeof(content) - 1);
		for (size_t bit = 0; bit < 8 * len; bit++) {
			size_t claimed;
			int r;

			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
			claimed = RECORD_HEADER_LEN + ((size_t)wire[3] << 8 | wire[4]);
			r = receive_result(traffic, wire, 2 * len);
			wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (bit / 8 == 0)
				assert_int_equal(r, tls13 ? -SLUICE_E_PROTOCOL
							  : -SLUICE_E_BAD_RECORD_MAC);
			else if (bit / 8 <= 2)
				assert_int_equal(r, -SLUICE_E_PROTOCOL);
			else if (bit == 8 * 3 + 7)
				assert_int_equal(r, -SLUICE_E_RECORD_OVERFLOW);
			else if (bit / 8 == 3 || (bit / 8 == 4 && claimed > 2 * len))
				assert_int_equal(r, RECORD_MORE);
			else
				assert_int_equal(r, -SLUICE_E_BAD_RECORD_MAC);
		}
		traffic_free(traffic);
	}
}

/* A failed record never leaves its plaintext where the caller could see it. */
static void nothing_is_shown_of_a_wrong_record(void **state)
{
	for (size_t i = 0; suite_at(i) != NULL; i++) {
		struct traffic *traffic = make_traffic(suite_at(i)->id, 0);
		uint8_t plain[64], wire[64 + HANDMADE_OVERHEAD_MAX], *buf = malloc(64);
		struct record record = { 0 };
		size_t len;

		assert_non_null(buf);
		memset(plain, 0x77, sizeof(plain));
		len = handmade_record(wire, traffic, 0, RECORD_DATA, plain, sizeof(plain));
		wire[len - 1] ^= 1;
		memset(buf, 0, 64);
		assert_int_equal(receive(traffic, wire, len, &record, buf, 64),
				 -SLUICE_E_BAD_RECORD_MAC);
		assert_null(record.data);
		for (size_t k = 0; k < 64; k++)
			assert_int_equal(buf[k], 0);
		free(buf);
		traffic_free(traffic);
	}
}

static void an_end_inside_a_record_is_an_end(void **state)
{
	static const uint8_t content[] = "sixteen bytes ok\x17";
	struct traffic *traffic = make_traffic(0x1301, 0);
	uint8_t wire[sizeof(content) + HANDMADE_OVERHEAD_MAX];
	size_t len = handmade_record(wire, traffic, 0, RECORD_DATA, content, sizeof(content) - 1);

	for (size_t cut = 0; cut < len; cut++) {
		struct mem_link link;
		struct record record;
		struct msghdr msg;

		assert_int_equal(mem_link_open(&link, traffic), 0);
		mem_link_put(&link, wire, cut);
		assert_int_equal(mem_link_recv(&link, NULL, 0, &record), RECORD_MORE);
		assert_int_equal(link.rx->ops->prep(link.rx, NULL, 0, &msg), 0);
		assert_int_equal(link.rx->ops->done(link.rx, 0, &msg, &record), RECORD_EOF);
		/* And stays one, as recv(2) does. */
		assert_int_equal(link.rx->ops->prep(link.rx, NULL, 0, &msg), 0);
		assert_int_equal(link.rx->ops->done(link.rx, 0, &msg, &record), RECORD_EOF);
		mem_link_close(&link);
	}
	traffic_free(traffic);
}

/* One TLS 1.3 record: content of @len bytes, a type, @pad zeros. */
static int receive_padded(const struct traffic *traffic, uint8_t type, size_t len, size_t pad,
			  struct record *ret_record)
{
	uint8_t *inner = calloc(1, len + 1 + pad);
	uint8_t *wire = malloc(len + 1 + pad + HANDMADE_OVERHEAD_MAX);
	size_t wire_len;
	int r;

	assert_non_null(inner);
	assert_non_null(wire);
	memset(inner, 0x33, len);
	inner[len] = type;
	wire_len = handmade_record(wire, traffic, 0, RECORD_DATA, inner, len + 1 + pad);
	r = receive(traffic, wire, wire_len, ret_record, NULL, 0);
	free(inner);
	free(wire);
	return r;
}

static void padding_is_removed(void **state)
{
	struct record record;

	for (uint16_t id = 0x1301; id <= 0x1303; id++) {
		struct traffic *traffic = make_traffic(id, 0);

		for (size_t pad = 0; pad < 300; pad += pad < 20 ? 1 : 55) {
			for (size_t len = 0; len < 3; len++) {
				assert_int_equal(receive_padded(traffic, RECORD_ALERT, len, pad,
								&record),
						 RECORD_READY);
				assert_int_equal(record.type, RECORD_ALERT);
				assert_int_equal(record.len, len);
			}
		}
		/* To the limit: 2^14 bytes, type not counted (RFC 8446, 5.4). */
		assert_int_equal(receive_padded(traffic, RECORD_DATA, 0, 16384, &record),
				 RECORD_READY);
		assert_int_equal(record.len, 0);
		assert_int_equal(receive_padded(traffic, RECORD_DATA, 10000, 6384, &record),
				 RECORD_READY);
		assert_int_equal(record.len, 10000);
		traffic_free(traffic);
	}
}

static void a_record_of_zeros_is_unexpected(void **state)
{
	struct traffic *traffic = make_traffic(0x1301, 0);
	struct record record;
	uint8_t wire[HANDMADE_OVERHEAD_MAX];

	for (size_t pad = 0; pad < 40; pad++)
		assert_int_equal(receive_padded(traffic, 0, 0, pad, &record), -SLUICE_E_PROTOCOL);
	assert_int_equal(receive_padded(traffic, 0, 0, 16384, &record), -SLUICE_E_PROTOCOL);
	/* Not even a type. */
	assert_int_equal(receive_result(traffic, wire,
					handmade_record(wire, traffic, 0, RECORD_DATA, NULL, 0)),
			 -SLUICE_E_PROTOCOL);
	traffic_free(traffic);
}

/* RFC 8446, 5 and 5.1: behind the Finished everything is protected. */
static void plaintext_after_the_handshake_is_unexpected(void **state)
{
	static const uint8_t ccs[] = { 20, 3, 3, 0, 1, 1 };
	static const uint8_t alert[] = { 21, 3, 3, 0, 2, 1, 0 };
	static const uint8_t hello[] = { 22, 3, 1, 0, 4, 1, 0, 0, 0 };
	struct traffic *traffic = make_traffic(0x1301, 0);

	assert_int_equal(receive_result(traffic, ccs, sizeof(ccs)), -SLUICE_E_PROTOCOL);
	assert_int_equal(receive_result(traffic, alert, sizeof(alert)), -SLUICE_E_PROTOCOL);
	assert_int_equal(receive_result(traffic, hello, sizeof(hello)), -SLUICE_E_PROTOCOL);
	traffic_free(traffic);

	/* TLS 1.2: too short to be protected, or wrong. */
	traffic = make_traffic(0xc02f, 0);
	assert_int_equal(receive_result(traffic, ccs, sizeof(ccs)), -SLUICE_E_BAD_RECORD_MAC);
	assert_int_equal(receive_result(traffic, alert, sizeof(alert)), -SLUICE_E_BAD_RECORD_MAC);
	assert_int_equal(receive_result(traffic, hello, sizeof(hello)), -SLUICE_E_PROTOCOL);
	traffic_free(traffic);
}

/* Receives one record whose protected content has @len bytes, the last of them a type. */
static int receive_long(uint16_t id, size_t len)
{
	struct traffic *traffic = make_traffic(id, 0);
	uint8_t *plain = malloc(len), *wire = malloc(len + HANDMADE_OVERHEAD_MAX);
	struct record record;
	int r;

	assert_non_null(plain);
	assert_non_null(wire);
	memset(plain, RECORD_DATA, len);
	r = receive(traffic, wire, handmade_record(wire, traffic, 0, RECORD_DATA, plain, len),
		    &record, NULL, 0);
	free(plain);
	free(wire);
	traffic_free(traffic);
	return r;
}

static void long_records_overflow(void **state)
{
	for (size_t i = 0; suite_at(i) != NULL; i++) {
		const struct suite *suite = suite_at(i);
		bool tls13 = suite->version == TLS13;
		size_t overhead = suite->explicit_len + SUITE_TAG_LEN;
		size_t max_body = tls13 ? RECORD_MAX_CIPHER_TLS13 : RECORD_MAX_CIPHER_TLS12;
		size_t longest = RECORD_MAX_PLAIN + tls13;

		assert_int_equal(receive_long(suite->id, longest), RECORD_READY);
		assert_int_equal(receive_long(suite->id, longest + 1), -SLUICE_E_RECORD_OVERFLOW);
		assert_int_equal(receive_long(suite->id, max_body - overhead),
				 -SLUICE_E_RECORD_OVERFLOW);
		assert_int_equal(receive_long(suite->id, max_body - overhead + 1),
				 -SLUICE_E_RECORD_OVERFLOW);
		assert_int_equal(receive_long(suite->id, 65000), -SLUICE_E_RECORD_OVERFLOW);
	}
}

/* The header alone is enough to know: nobody waits for 64 KiB that will be refused. */
static void overflow_is_seen_in_the_header(void **state)
{
	struct traffic *tls13 = make_traffic(0x1301, 0), *tls12 = make_traffic(0xc02f, 0);
	uint8_t header[] = { 23, 3, 3, 0, 0 };

	for (unsigned int len = 0; len <= 0xffff; len += 7) {
		int r13, r12;

		header[3] = (uint8_t)(len >> 8);
		header[4] = (uint8_t)len;
		r13 = receive_result(tls13, header, sizeof(header));
		r12 = receive_result(tls12, header, sizeof(header));
		assert_int_equal(r13, len < 16             ? -SLUICE_E_BAD_RECORD_MAC
				      : len <= 16384 + 256 ? RECORD_MORE
							   : -SLUICE_E_RECORD_OVERFLOW);
		assert_int_equal(r12, len < 24              ? -SLUICE_E_BAD_RECORD_MAC
				      : len <= 16384 + 2048 ? RECORD_MORE
							    : -SLUICE_E_RECORD_OVERFLOW);
	}
	traffic_free(tls13);
	traffic_free(tls12);
}

static void empty_records_arrive(void **state)
{
	struct traffic *traffic;
	struct record record;
	uint8_t wire[HANDMADE_OVERHEAD_MAX];

	for (size_t i = 0; suite_at(i) != NULL; i++) {
		traffic = make_traffic(suite_at(i)->id, 0);
		if (suite_at(i)->version == TLS13)
			assert_int_equal(receive_padded(traffic, RECORD_DATA, 0, 0, &record),
					 RECORD_READY);
		else
			assert_int_equal(
				receive(traffic, wire,
					handmade_record(wire, traffic, 0, RECORD_DATA, NULL, 0),
					&record, NULL, 0),
				RECORD_READY);
		assert_int_equal(record.type, RECORD_DATA);
		assert_int_equal(record.len, 0);
		assert_true(record.end);
		traffic_free(traffic);
	}
}

/* RFC 8446, 5.3: sequence numbers must not wrap. 2^64-1 itself is not used. */
static void record_numbers_do_not_wrap(void **state)
{
	static uint8_t plain[3 * RECORD_MAX_PLAIN];

	for (size_t i = 0; suite_at(i) != NULL; i++) {
		struct traffic *traffic = make_traffic(suite_at(i)->id, UINT64_MAX - 2);
		uint8_t wire[64];
		struct mem_link link;
		struct record record;
		struct msghdr msg;

		assert_int_equal(mem_link_open(&link, traffic), 0);
		/* Room for two more: a longer send is cut before the limit. */
		assert_int_equal(link.tx->ops->prep(link.tx, RECORD_DATA, plain, sizeof(plain),
						    &msg),
				 2 * RECORD_MAX_PLAIN);
		mem_link_put(&link, msg.msg_iov[0].iov_base, msg.msg_iov[0].iov_len);
		assert_int_equal(link.tx->ops->done(link.tx, (ssize_t)msg.msg_iov[0].iov_len),
				 2 * RECORD_MAX_PLAIN);
		assert_int_equal(link.tx->ops->prep(link.tx, RECORD_DATA, plain, 1, &msg),
				 -SLUICE_E_REKEY);
		for (int n = 0; n < 2; n++)
			assert_int_equal(mem_link_recv(&link, NULL, 0, &record), RECORD_READY);
		assert_int_equal(mem_link_recv(&link, NULL, 0, &record), RECORD_MORE);
		mem_link_put(&link, wire,
			     handmade_record(wire, traffic, UINT64_MAX, RECORD_DATA,
					     (const uint8_t *)"\x17", 1));
		assert_int_equal(mem_link_recv(&link, NULL, 0, &record), -SLUICE_E_PROTOCOL);
		mem_link_close(&link);
		traffic_free(traffic);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(records_of_rfc8448, teardown),
		cmocka_unit_test_teardown(records_of_another_implementation, teardown),
		cmocka_unit_test_teardown(every_corrupted_bit_is_found, teardown),
		cmocka_unit_test_teardown(nothing_is_shown_of_a_wrong_record, teardown),
		cmocka_unit_test_teardown(an_end_inside_a_record_is_an_end, teardown),
		cmocka_unit_test_teardown(padding_is_removed, teardown),
		cmocka_unit_test_teardown(a_record_of_zeros_is_unexpected, teardown),
		cmocka_unit_test_teardown(plaintext_after_the_handshake_is_unexpected, teardown),
		cmocka_unit_test_teardown(long_records_overflow, teardown),
		cmocka_unit_test_teardown(overflow_is_seen_in_the_header, teardown),
		cmocka_unit_test_teardown(empty_records_arrive, teardown),
		cmocka_unit_test_teardown(record_numbers_do_not_wrap, teardown),
	};

	return cmocka_run_group_tests_name("unit/record_user_wire", tests, NULL, NULL);
}
