/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the player of transcripts. Called by the tests of tls/control.h. Never lets a piece of a
 * record live longer than the call that it is fed with.
 */
#include "player.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MAX_STREAM 200000

static void say(struct player *player, const char *format, ...)
{
	size_t len = strlen(player->out);
	va_list args;

	va_start(args, format);
	vsnprintf(player->out + len, sizeof(player->out) - len, format, args);
	va_end(args);
}

/* The bytes of a message must be those that were sent, in order. */
static void check_message(struct player *player, const uint8_t *msg, size_t msg_len)
{
	const uint8_t *from = player->stream + player->stream_seen, *at;

	at = memmem(from, player->stream_len - player->stream_seen, msg, msg_len);
	assert_non_null(at);
	player->stream_seen = at - player->stream + msg_len;
}

static void say_event(struct player *player, const struct control_event *event)
{
	switch (event->type) {
	case CONTROL_CLOSE_NOTIFY:
		say(player, " close");
		return;
	case CONTROL_ALERT:
		say(player, " alert(%u)", event->alert);
		return;
	case CONTROL_WARNING:
		say(player, " warning(%u)", event->alert);
		return;
	case CONTROL_TICKET:
		check_message(player, event->msg, event->msg_len);
		say(player, " ticket(%zu)", event->msg_len);
		return;
	case CONTROL_KEY_UPDATE:
		say(player, " key_update(%d)", event->update_requested);
		return;
	case CONTROL_RENEGOTIATION:
		say(player, " renegotiation");
		return;
	}
	fail_msg("an unknown event %d", event->type);
}

/* After a failure there is nothing but the failure, whatever comes. */
static void check_failed(struct player *player, int code)
{
	static const uint8_t bytes[] = { ALERT_LEVEL_WARNING, SLUICE_ALERT_CLOSE_NOTIFY };
	static const uint8_t types[] = { RECORD_ALERT, RECORD_HANDSHAKE, RECORD_DATA };
	struct control_event event;

	assert_non_null(player->control.fail_text);
	assert_null(player->control.msg);
	for (size_t i = 0; i < sizeof(types); i++) {
		struct record record = { types[i], true, bytes, sizeof(bytes) };

		assert_int_equal(control_feed(&player->control, &record, &event), code);
	}
}

void player_check_memory(const struct player *player)
{
	size_t bound = 2 * player->fed > 64 ? 2 * player->fed : 64;

	assert_true(player->control.msg_size <= bound);
	assert_true(player->control.msg_size <= CONTROL_MAX_MESSAGE);
	assert_true(player->control.msg_len <= player->control.msg_size);
}

static int feed_until_used(struct player *player, struct record *record)
{
	struct control_event event;
	int r;

	while ((r = control_feed(&player->control, record, &event)) == 1) {
		player_check_memory(player);
		say_event(player, &event);
		if (player->stop_when_empty && record->len == 0)
			return 0;
	}
	if (r < 0) {
		if (r == -SLUICE_E_PROTOCOL)
			say(player, " error(%u)", player->control.fail_alert);
		else
			say(player, " code(%d)", r);
		check_failed(player, r);
	}
	return r;
}

static int feed_piece(struct player *player, uint8_t type, const char *bytes, size_t len, bool end)
{
	uint8_t *piece = malloc(len ? len : 1);
	struct record record = { type, end, piece, len };
	int r;

	assert_non_null(piece);
	memcpy(piece, bytes, len);
	player->fed += len;
	r = feed_until_used(player, &record);
	if (r == 0 && type == RECORD_DATA) {
		assert_true(record.len == len || record.len == 0);
		player->delivered += record.len;
	} else if (r == 0) {
		assert_int_equal(record.len, 0);
	}
	player_check_memory(player);
	free(piece);
	return r;
}

int player_record(struct player *player, uint8_t type, const char *bytes, size_t len)
{
	size_t step = 1, at = 0;
	int r;

	player->delivered = 0;
	if (type == RECORD_HANDSHAKE) {
		assert_true(player->stream_len + len <= MAX_STREAM);
		memcpy(player->stream + player->stream_len, bytes, len);
		player->stream_len += len;
	}
	if (player->cut == CUT_NOWHERE)
		step = len;
	else if (player->cut == CUT_IN_THE_MIDDLE)
		step = len / 2 + 1;
	do {
		size_t n = step < len - at ? step : len - at;
		bool end = at + n == len && player->cut != CUT_AFTER_EACH_BYTE_END_APART;

		r = feed_piece(player, type, bytes + at, n, end);
		if (r < 0)
			return r;
		at += n;
	} while (at < len);
	if (player->cut == CUT_AFTER_EACH_BYTE_END_APART) {
		r = feed_piece(player, type, "", 0, true);
		if (r < 0)
			return r;
	}
	if (type == RECORD_DATA)
		say(player, player->delivered == len ? " data" : " ignored");
	return 0;
}

void player_start(struct player *player, uint16_t version, bool is_server)
{
	control_init(&player->control, version, is_server);
	player->stream = malloc(MAX_STREAM);
	assert_non_null(player->stream);
	player->stream_len = 0;
	player->stream_seen = 0;
	player->fed = 0;
	player->delivered = 0;
	player->out[0] = '\0';
}

void player_stop(struct player *player)
{
	control_deinit(&player->control);
	control_deinit(&player->control);
	assert_null(player->control.msg);
	free(player->stream);
}

static void play(const struct script *script, enum cut cut, bool stop_when_empty)
{
	struct player player = { .cut = cut, .stop_when_empty = stop_when_empty };

	player_start(&player, script->version, script->is_server);
	for (size_t i = 0; i < PLAYER_MAX_RECORDS && script->records[i].bytes; i++) {
		const struct script_record *record = &script->records[i];

		if (player_record(&player, record->type, record->bytes, record->len) < 0)
			break;
	}
	assert_string_equal(player.out[0] ? player.out + 1 : "", script->expect);
	player_stop(&player);
}

void player_run(void **state)
{
	const struct script *script = *state;

	for (int cut = 0; cut < CUTS; cut++) {
		play(script, cut, false);
		play(script, cut, true);
	}
}
