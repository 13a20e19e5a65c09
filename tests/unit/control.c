/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Post-handshake messages and record types by transcript. Alerts have a program of their own,
 * unit/alert.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/bssl-pair.h"
#include "support/player.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* --- a memory that runs out (linked with --wrap=realloc) ---------------------------------- */

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

static unsigned int realloc_fails_in; /* 0: never; 1: the next one */

void *__wrap_realloc(void *p, size_t size)
{
	if (realloc_fails_in && --realloc_fails_in == 0)
		return NULL;
	return __real_realloc(p, size);
}

/* --- the scripts ------------------------------------------------------------------------- */

#define KEY_UPDATE(request) "\x18\0\0\1" request
#define NO "\0"
#define YES "\1"

/* A NewSessionTicket, RFC 8446, 4.6.1: the body's length, then lifetime and age_add, then @rest. */
#define TICKET_OF(body_len, rest) "\4\0\0" body_len TICKET_TIMES rest
#define TICKET_TIMES "\0\0\x1c\x20\1\2\3\4"
#define NO_NONCE "\0"
#define NONCE "\2nn"
#define ONE_BYTE_TICKET "\0\1t"
#define NO_EXTENSIONS "\0\0"
#define EARLY_DATA_EXTENSION "\0\x08\0\x2a\0\4\0\0\x40\0"

/* 18 bytes, the smallest; in two parts of which the first ends inside the header. */
#define TICKET TICKET_HEAD TICKET_REST
#define TICKET_HEAD "\4\0"
#define TICKET_REST "\0\x0e" TICKET_TIMES NO_NONCE ONE_BYTE_TICKET NO_EXTENSIONS

/* 34 bytes; in two parts of which the second begins like a KeyUpdate. */
#define FULL_TICKET FULL_TICKET_HEAD FULL_TICKET_REST
#define FULL_TICKET_HEAD TICKET_OF("\x1e", NONCE "\0\7")
#define FULL_TICKET_REST KEY_UPDATE(NO) "tt" EARLY_DATA_EXTENSION

/* RFC 5246, 7.4.1.2: the smallest there is. */
#define CLIENT_HELLO CLIENT_HELLO_HEAD CLIENT_HELLO_REST
#define CLIENT_HELLO_HEAD "\1\0\0\x29\3\3"
#define CLIENT_HELLO_REST RANDOM "\0\0\2\xc0\x2b\1\0"
#define RANDOM "RRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRR"

/* --- what no table says well ------------------------------------------------------------- */

static void only_listed_messages_come_after_the_handshake(void **state)
{
	for (int i = 0; i < 4; i++) {
		uint16_t version = i & 1 ? TLS13 : TLS12;
		bool is_server = i & 2;

		for (unsigned int type = 0; type <= 255; type++) {
			const char header[4] = { (char)type, 0, 0, 0 };
			struct player player = { .cut = CUT_NOWHERE };
			bool listed = version == TLS12 ? type == (is_server ? 1 : 0)
						       : type == 24 || (type == 4 && !is_server);

			player_start(&player, version, is_server);
			player_record(&player, RECORD_HANDSHAKE, header, sizeof(header));
			if (!listed)
				assert_string_equal(player.out, " error(10)");
			else if (type == 0)
				assert_string_equal(player.out, " renegotiation");
			else
				assert_string_equal(player.out, " error(50)");
			player_stop(&player);
		}
	}
}

static void only_data_alerts_and_handshake_are_record_types(void **state)
{
	for (unsigned int type = 0; type <= 255; type++) {
		struct player player = { .cut = CUT_NOWHERE };

		if (type >= RECORD_ALERT && type <= RECORD_DATA)
			continue;
		player_start(&player, type & 1 ? TLS12 : TLS13, type & 2);
		player_record(&player, type, "\1", 1);
		assert_string_equal(player.out, " error(10)");
		player_stop(&player);
	}
}

/* A record layer that lets two records run into each other is not believed. */
static void a_record_inside_an_open_one(void **state)
{
	static const struct {
		uint16_t version;
		struct script_record open, other;
	} runs[] = {
		{ TLS12, AL("\2"), DATA("x") },
		{ TLS13, AL("\2\x28"), DATA("x") }, /* held until the record ends */
		{ TLS13, AL("\2\x28"), HS(TICKET) },
		{ TLS13, HS(KEY_UPDATE(NO)), DATA("x") },
		{ TLS13, HS(KEY_UPDATE(NO)), AL("\1\0") },
		{ TLS13, HS(TICKET), DATA("") },
	};

	for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
		const struct script_record *open = &runs[i].open, *other = &runs[i].other;
		struct record first = { open->type, false, (const uint8_t *)open->bytes,
					open->len };
		struct record second = { other->type, true, (const uint8_t *)other->bytes,
					 other->len };
		struct control control;
		struct control_event event;

		control_init(&control, runs[i].version, false);
		while (control_feed(&control, &first, &event) == 1)
			assert_int_equal(event.type, CONTROL_TICKET);
		assert_int_equal(control_feed(&control, &second, &event), -SLUICE_E_PROTOCOL);
		assert_int_equal(control.fail_alert, SLUICE_ALERT_UNEXPECTED_MESSAGE);
		control_deinit(&control);
	}
}

/* Data need not tell its ends: the kernel joins records as the receiver's buffer has room. */
static void data_without_an_end_hides_no_control_record(void **state)
{
	static const uint8_t bytes[] = { ALERT_LEVEL_WARNING, SLUICE_ALERT_CLOSE_NOTIFY };
	struct record data = { RECORD_DATA, false, bytes, sizeof(bytes) };
	struct record alert = { RECORD_ALERT, true, bytes, sizeof(bytes) };
	struct control control;
	struct control_event event;

	control_init(&control, TLS13, false);
	assert_int_equal(control_feed(&control, &data, &event), 0);
	assert_int_equal(data.len, sizeof(bytes));
	assert_int_equal(control_feed(&control, &alert, &event), 1);
	assert_int_equal(event.type, CONTROL_CLOSE_NOTIFY);
	control_deinit(&control);
}

static void feed_empty_data(struct player *player, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		player_record(player, RECORD_DATA, "", 0);
	player->out[0] = '\0';
}

static void empty_data_records_are_limited(void **state)
{
	struct player player = { 0 };

	for (player.cut = 0; player.cut < CUTS; player.cut++) {
		player_start(&player, TLS13, false);
		feed_empty_data(&player, CONTROL_MAX_EMPTY_RECORDS);
		assert_int_equal(player.control.failed, 0);
		/* One byte, and the count starts again. */
		player_record(&player, RECORD_DATA, "x", 1);
		assert_string_equal(player.out, " data");
		feed_empty_data(&player, CONTROL_MAX_EMPTY_RECORDS);
		assert_int_equal(player.control.failed, 0);
		player_record(&player, RECORD_DATA, "", 0);
		assert_string_equal(player.out, " error(10)");
		player_stop(&player);
	}
}

static void key_updates_are_built(void **state)
{
	uint8_t built[KEY_UPDATE_LEN];

	control_build_key_update(built, false);
	assert_memory_equal(built, KEY_UPDATE(NO), sizeof(built));
	control_build_key_update(built, true);
	assert_memory_equal(built, KEY_UPDATE(YES), sizeof(built));
}

/* --- large messages, and no memory ------------------------------------------------------- */

/* make_ticket() makes a NewSessionTicket of which every vector is as given. */
static char *make_ticket(size_t nonce_len, size_t ticket_len, size_t extension_len, size_t *ret_len)
{
	size_t len = 4 + 4 + 4 + 1 + nonce_len + 2 + ticket_len + 2 + 4 + extension_len, at = 0;
	char *msg = calloc(1, len);

	assert_non_null(msg);
	msg[at++] = 4;
	msg[at++] = (char)((len - 4) >> 16);
	msg[at++] = (char)((len - 4) >> 8);
	msg[at++] = (char)(len - 4);
	at += 4 + 4;
	msg[at++] = (char)nonce_len;
	memset(msg + at, 'n', nonce_len);
	at += nonce_len;
	msg[at++] = (char)(ticket_len >> 8);
	msg[at++] = (char)ticket_len;
	memset(msg + at, 't', ticket_len);
	at += ticket_len;
	msg[at++] = (char)((4 + extension_len) >> 8);
	msg[at++] = (char)(4 + extension_len);
	msg[at++] = (char)0xab;
	msg[at++] = (char)0xcd;
	msg[at++] = (char)(extension_len >> 8);
	msg[at++] = (char)extension_len;
	memset(msg + at, 'e', extension_len);
	assert_int_equal(at + extension_len, len);
	*ret_len = len;
	return msg;
}

static void feed_message(struct player *player, const char *msg, size_t len, size_t record_len)
{
	for (size_t at = 0; at < len; at += record_len) {
		size_t n = len - at < record_len ? len - at : record_len;

		if (player_record(player, RECORD_HANDSHAKE, msg + at, n) < 0)
			return;
	}
}

static void the_largest_ticket_is_taken(void **state)
{
	size_t len;
	char *msg = make_ticket(255, 65535, 65534 - 4, &len);
	struct player player = { .cut = CUT_NOWHERE };
	char expect[32];

	assert_int_equal(len, CONTROL_MAX_MESSAGE);
	snprintf(expect, sizeof(expect), " ticket(%zu) data", len);
	for (size_t record_len = RECORD_MAX_PLAIN; record_len > 900; record_len /= 3) {
		player_start(&player, TLS13, false);
		feed_message(&player, msg, len, record_len);
		player_record(&player, RECORD_DATA, "x", 1);
		assert_string_equal(player.out, expect);
		/* Nothing is kept of it. */
		assert_null(player.control.msg);
		player_stop(&player);
	}
	free(msg);
}

static void a_whole_ticket_is_not_copied(void **state)
{
	static const char two[] = TICKET TICKET;
	struct record record = { RECORD_HANDSHAKE, true, (const uint8_t *)two, sizeof(two) - 1 };
	struct control control;
	struct control_event event;

	control_init(&control, TLS13, false);
	for (size_t at = 0; at < sizeof(two) - 1; at += event.msg_len) {
		assert_int_equal(control_feed(&control, &record, &event), 1);
		assert_ptr_equal(event.msg, two + at);
		assert_null(control.msg);
	}
	assert_int_equal(control_feed(&control, &record, &event), 0);
	control_deinit(&control);
}

static void memory_follows_the_bytes_not_the_header(void **state)
{
	struct player player = { .cut = CUT_NOWHERE };

	player_start(&player, TLS13, false);
	player_record(&player, RECORD_HANDSHAKE, "\4\2\1\6", 4);
	assert_int_equal(player.control.failed, 0);
	assert_true(player.control.msg_size <= 64);
	for (int i = 0; i < 5000; i++) {
		player_record(&player, RECORD_HANDSHAKE, "t", 1);
		player_check_memory(&player);
	}
	assert_int_equal(player.control.failed, 0);
	assert_int_equal(player.control.msg_len, 5004);
	assert_true(player.control.msg_size <= 2 * 5004);
	player_stop(&player);
}

/* Every allocation of a ticket in four records fails in turn. */
static void memory_runs_out(void **state)
{
	struct player player = { .cut = CUT_NOWHERE };
	unsigned int nth;
	char expect[32];
	size_t len;
	char *msg = make_ticket(8, 3000, 0, &len);

	snprintf(expect, sizeof(expect), " code(%d)", -SLUICE_E_NOMEM);
	for (nth = 1;; nth++) {
		player_start(&player, TLS13, false);
		realloc_fails_in = nth;
		feed_message(&player, msg, len, 900);
		if (realloc_fails_in)
			break;
		assert_string_equal(player.out, expect);
		assert_int_equal(player.control.fail_alert, SLUICE_ALERT_INTERNAL_ERROR);
		player_stop(&player);
	}
	realloc_fails_in = 0;
	assert_true(nth > 2);
	assert_int_equal(player.control.failed, 0);
	player_stop(&player);
	free(msg);
}

/* --- what BoringSSL sends ---------------------------------------------------------------- */

struct captured {
	char bytes[8192];
	size_t len;
};

static void capture(int is_write, int version, int content_type, const void *buf, size_t len,
		    SSL *ssl, void *arg)
{
	struct captured *captured = arg;

	if (is_write || content_type != SSL3_RT_HANDSHAKE || !SSL_is_init_finished(ssl))
		return;
	assert_true(captured->len + len <= sizeof(captured->bytes));
	memcpy(captured->bytes + captured->len, buf, len);
	captured->len += len;
}

/* A BoringSSL server puts its tickets and a KeyUpdate into one record if it has not written yet. */
static void boringssl_tickets_and_key_update_in_one_record(void **state)
{
	struct captured captured = { .len = 0 };
	struct bssl_pair pair;
	struct player player = { 0 };
	int tickets;
	char c;

	bssl_pair_init(&pair, TLS1_3_VERSION);
	SSL_CTX_set_session_cache_mode(pair.client_ctx, SSL_SESS_CACHE_CLIENT);
	bssl_pair_connect(&pair);
	bssl_pair_handshake(&pair);
	SSL_set_msg_callback(pair.client, capture);
	SSL_set_msg_callback_arg(pair.client, &captured);
	assert_int_equal(SSL_key_update(pair.server, SSL_KEY_UPDATE_REQUESTED), 1);
	assert_int_equal(SSL_write(pair.server, "x", 1), 1);
	bssl_pair_move(pair.server, pair.client);
	assert_int_equal(SSL_read(pair.client, &c, 1), 1);

	for (player.cut = 0; player.cut < CUTS; player.cut++) {
		player_start(&player, TLS13, false);
		player_record(&player, RECORD_HANDSHAKE, captured.bytes, captured.len);
		assert_int_equal(player.control.failed, 0);
		assert_non_null(strstr(player.out, " key_update(1)"));
		tickets = 0;
		for (char *at = player.out; (at = strstr(at, " ticket(")); at++)
			tickets++;
		assert_int_equal(tickets, 2);
		player_stop(&player);
	}
	bssl_pair_deinit(&pair);
}

static const struct CMUnitTest tests[] = {
	/* KeyUpdate */
	cmocka_unit_test_script(test_key_update, TLS13, CLIENT, "key_update(0) data",
				HS(KEY_UPDATE(NO)), DATA("x")),
	cmocka_unit_test_script(key_update_requested, TLS13, SERVER, "key_update(1)",
				HS(KEY_UPDATE(YES))),
	cmocka_unit_test_script(one_after_another, TLS13, SERVER, "key_update(1) key_update(0)",
				HS(KEY_UPDATE(YES)), HS(KEY_UPDATE(NO))),
	cmocka_unit_test_script(after_tickets_in_their_record, TLS13, CLIENT,
				"ticket(18) ticket(18) key_update(1) data",
				HS(TICKET TICKET KEY_UPDATE(YES)), DATA("x")),
	cmocka_unit_test_script(split_over_records, TLS13, CLIENT, "key_update(1)", HS("\x18"),
				HS("\0\0\1"), HS("\1")),
	cmocka_unit_test_script(after_the_end_of_a_split_ticket, TLS13, CLIENT,
				"ticket(18) key_update(0)", HS(TICKET_HEAD),
				HS(TICKET_REST KEY_UPDATE(NO))),
	cmocka_unit_test_script(neither_0_nor_1, TLS13, CLIENT, "error(47)", HS(KEY_UPDATE("\2"))),
	cmocka_unit_test_script(too_short, TLS13, CLIENT, "error(50)", HS("\x18\0\0\0")),
	cmocka_unit_test_script(too_long, TLS13, CLIENT, "error(50)", HS("\x18\0\0\2\0\0")),
	cmocka_unit_test_script(much_too_long, TLS13, CLIENT, "error(50)",
				HS("\x18\xff\xff\xff\0")),
	cmocka_unit_test_script(not_last_in_its_record, TLS13, CLIENT, "error(10)",
				HS(KEY_UPDATE(NO) TICKET)),
	cmocka_unit_test_script(twice_in_a_record, TLS13, SERVER, "error(10)",
				HS(KEY_UPDATE(NO) KEY_UPDATE(NO))),
	cmocka_unit_test_script(one_byte_after_it, TLS13, SERVER, "error(10)",
				HS(KEY_UPDATE(NO) "\x18")),
	cmocka_unit_test_script(split_and_one_byte_after_it, TLS13, SERVER, "error(10)",
				HS("\x18\0"), HS("\0\1\0\0")),
	cmocka_unit_test_script(not_in_tls12, TLS12, CLIENT, "error(10)", HS(KEY_UPDATE(NO))),
	cmocka_unit_test_script(data_between_fragments, TLS13, CLIENT, "error(10)", HS("\x18\0"),
				DATA("x"), HS("\0\1\0")),
	cmocka_unit_test_script(empty_data_between_fragments, TLS13, CLIENT, "error(10)",
				HS("\x18\0"), DATA(""), HS("\0\1\0")),
	cmocka_unit_test_script(alert_between_fragments, TLS13, CLIENT, "error(10)", HS("\x18\0"),
				AL("\1\0"), HS("\0\1\0")),
	cmocka_unit_test_script(change_cipher_spec_between_fragments, TLS13, CLIENT, "error(10)",
				HS("\x18\0"), REC(RECORD_CHANGE_CIPHER_SPEC, "\1")),

	/* tickets */
	cmocka_unit_test_script(test_ticket, TLS13, CLIENT, "ticket(18)", HS(TICKET)),
	cmocka_unit_test_script(ticket_with_everything, TLS13, CLIENT, "ticket(34)",
				HS(FULL_TICKET)),
	cmocka_unit_test_script(tickets_in_one_record, TLS13, CLIENT,
				"ticket(18) ticket(34) ticket(18)", HS(TICKET FULL_TICKET TICKET)),
	cmocka_unit_test_script(fragment_that_looks_like_a_key_update, TLS13, CLIENT,
				"ticket(34) data", HS(FULL_TICKET_HEAD), HS(FULL_TICKET_REST),
				DATA("x")),
	cmocka_unit_test_script(record_ends_inside_the_next_ticket, TLS13, CLIENT,
				"ticket(18) ticket(34) ticket(18)", HS(TICKET FULL_TICKET_HEAD),
				HS(FULL_TICKET_REST TICKET)),
	cmocka_unit_test_script(record_ends_inside_a_header, TLS13, CLIENT, "ticket(18) ticket(18)",
				HS(TICKET TICKET_HEAD), HS(TICKET_REST)),
	cmocka_unit_test_script(no_server_takes_a_ticket, TLS13, SERVER, "error(10)", HS(TICKET)),
	cmocka_unit_test_script(no_ticket_after_a_tls12_handshake, TLS12, CLIENT, "error(10)",
				HS(TICKET)),
	cmocka_unit_test_script(ticket_too_short, TLS13, CLIENT, "error(50)",
				HS(TICKET_OF("\x0d", NO_NONCE "\0\1" NO_EXTENSIONS))),
	cmocka_unit_test_script(empty_ticket, TLS13, CLIENT, "error(50)",
				HS(TICKET_OF("\x0e", "\1n\0\0" NO_EXTENSIONS))),
	cmocka_unit_test_script(nonce_beyond_the_ticket, TLS13, CLIENT, "error(50)",
				HS(TICKET_OF("\x0e", "\7" ONE_BYTE_TICKET NO_EXTENSIONS))),
	cmocka_unit_test_script(ticket_beyond_its_message, TLS13, CLIENT, "error(50)",
				HS(TICKET_OF("\x0e", NO_NONCE "\0\4t" NO_EXTENSIONS) TICKET)),
	cmocka_unit_test_script(ticket_without_extensions, TLS13, CLIENT, "error(50)",
				HS(TICKET_OF("\x0e", NO_NONCE "\0\3ttt"))),
	cmocka_unit_test_script(bytes_after_the_extensions, TLS13, CLIENT, "error(50)",
				HS(TICKET_OF("\x0f", NO_NONCE ONE_BYTE_TICKET NO_EXTENSIONS "x"))),
	cmocka_unit_test_script(extension_without_length, TLS13, CLIENT, "error(50)",
				HS(TICKET_OF("\x11", NO_NONCE ONE_BYTE_TICKET "\0\3\0\x2a\0"))),
	cmocka_unit_test_script(half_a_type_of_an_extension, TLS13, CLIENT, "error(50)",
				HS(TICKET_OF("\x0f", NO_NONCE ONE_BYTE_TICKET "\0\1\0"))),
	cmocka_unit_test_script(extension_beyond_the_list, TLS13, CLIENT, "error(50)",
				HS(TICKET_OF("\x12", NO_NONCE ONE_BYTE_TICKET "\0\4\0\x2a\0\1")
					   TICKET)),
	cmocka_unit_test_script(ticket_longer_than_any, TLS13, CLIENT, "error(50)",
				HS("\4\2\1\x0a")),
	cmocka_unit_test_script(ticket_of_16_mib, TLS13, CLIENT, "error(50)",
				HS("\4\xff\xff\xff\0")),
	cmocka_unit_test(the_largest_ticket_is_taken),
	cmocka_unit_test(a_whole_ticket_is_not_copied),
	cmocka_unit_test(memory_follows_the_bytes_not_the_header),
	cmocka_unit_test(memory_runs_out),
	cmocka_unit_test(boringssl_tickets_and_key_update_in_one_record),

	/* messages that must not come, and renegotiation */
	cmocka_unit_test(only_listed_messages_come_after_the_handshake),
	cmocka_unit_test_script(certificate_request, TLS13, CLIENT, "error(10)",
				HS("\x0d\0\0\3\0\0\0")),
	cmocka_unit_test_script(finished, TLS13, SERVER, "error(10)", HS("\x14\0\0\x20")),
	cmocka_unit_test_script(no_renegotiation_in_tls13, TLS13, SERVER, "error(10)",
				HS(CLIENT_HELLO)),
	cmocka_unit_test_script(hello_request, TLS12, CLIENT, "renegotiation data", HS("\0\0\0\0"),
				DATA("x")),
	cmocka_unit_test_script(hello_requests_in_one_record, TLS12, CLIENT,
				"renegotiation renegotiation", HS("\0\0\0\0\0\0\0\0")),
	cmocka_unit_test_script(hello_request_split, TLS12, CLIENT, "renegotiation", HS("\0\0"),
				HS("\0\0")),
	cmocka_unit_test_script(hello_request_with_a_body, TLS12, CLIENT, "error(50)",
				HS("\0\0\0\1x")),
	cmocka_unit_test_script(hello_request_to_a_server, TLS12, SERVER, "error(10)",
				HS("\0\0\0\0")),
	cmocka_unit_test_script(client_hello, TLS12, SERVER, "renegotiation data", HS(CLIENT_HELLO),
				DATA("x")),
	cmocka_unit_test_script(client_hello_split, TLS12, SERVER, "renegotiation",
				HS(CLIENT_HELLO_HEAD), HS(CLIENT_HELLO_REST)),
	cmocka_unit_test_script(client_hello_too_short, TLS12, SERVER, "error(50)",
				HS("\1\0\0\x28\3\3")),
	cmocka_unit_test_script(client_hello_to_a_client, TLS12, CLIENT, "error(10)",
				HS(CLIENT_HELLO)),
	cmocka_unit_test_script(empty_handshake_record, TLS13, CLIENT, "error(10)", HS("")),
	cmocka_unit_test_script(empty_handshake_record_inside_a_message, TLS12, CLIENT, "error(10)",
				HS("\0\0"), HS(""), HS("\0\0")),

	/* record types */
	cmocka_unit_test(only_data_alerts_and_handshake_are_record_types),
	cmocka_unit_test_script(change_cipher_spec, TLS12, CLIENT, "error(10)",
				REC(RECORD_CHANGE_CIPHER_SPEC, "\1")),
	cmocka_unit_test_script(empty_data_is_no_end, TLS13, CLIENT, "data data data", DATA(""),
				DATA("x"), DATA("")),
	cmocka_unit_test(empty_data_records_are_limited),
	cmocka_unit_test_script(empty_record_after_an_event, TLS13, CLIENT,
				"key_update(0) error(10)", HS(KEY_UPDATE(NO)), HS("")),
	cmocka_unit_test(a_record_inside_an_open_one),
	cmocka_unit_test(data_without_an_end_hides_no_control_record),

	cmocka_unit_test(key_updates_are_built),
};

int main(void)
{
	return cmocka_run_group_tests_name("unit/control", tests, NULL, NULL);
}
