/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for tls/control.h. The input's first byte chooses version and role; then follow
 * pieces of records: a byte with the type (low three bits) and the end flag (0x08), a length of two
 * bytes, the bytes. One engine gets the pieces as they are and another gets them byte by byte: what
 * holds of each is checked, and that both saw the same.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "record/suite.h"
#include "tls/control.h"

#define MIN_ALLOC 64

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct engine {
	struct control control;
	uint64_t trace; /* a hash of all that was seen; the two engines are compared by it */
	size_t fed;
	int failed;
};

static void note(struct engine *engine, uint32_t what)
{
	engine->trace = (engine->trace ^ what) * 1099511628211u + 1;
}

static uint32_t sum(const uint8_t *bytes, size_t len)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	return hash;
}

static bool is_inside(const uint8_t *p, size_t len, const uint8_t *area, size_t area_len)
{
	return area && p >= area && len <= area_len && p - area <= (ptrdiff_t)(area_len - len);
}

static void check_ticket(const struct engine *engine, const struct control_event *event,
			 const uint8_t *piece, size_t piece_len)
{
	const struct control *control = &engine->control;
	const uint8_t *msg = event->msg;

	REQUIRE(control->version == TLS13 && !control->is_server);
	REQUIRE(is_inside(msg, event->msg_len, piece, piece_len) ||
		is_inside(msg, event->msg_len, control->msg, control->msg_len));
	REQUIRE(event->msg_len >= 4 + 14 && event->msg_len <= CONTROL_MAX_MESSAGE);
	REQUIRE(msg[0] == 4);
	REQUIRE((size_t)(msg[1] << 16 | msg[2] << 8 | msg[3]) + 4 == event->msg_len);
}

static void check_event(struct engine *engine, const struct control_event *event,
			const uint8_t *piece, size_t piece_len)
{
	switch (event->type) {
	case CONTROL_CLOSE_NOTIFY:
		REQUIRE(engine->control.closed && event->alert == SLUICE_ALERT_CLOSE_NOTIFY);
		break;
	case CONTROL_ALERT:
		REQUIRE(engine->control.closed && event->alert != SLUICE_ALERT_CLOSE_NOTIFY);
		break;
	case CONTROL_WARNING:
		REQUIRE(engine->control.warnings <= CONTROL_MAX_WARNINGS);
		break;
	case CONTROL_TICKET:
		check_ticket(engine, event, piece, piece_len);
		note(engine, sum(event->msg, event->msg_len));
		break;
	case CONTROL_KEY_UPDATE:
		REQUIRE(engine->control.version == TLS13);
		break;
	case CONTROL_RENEGOTIATION:
		REQUIRE(engine->control.version == TLS12);
		break;
	default:
		abort();
	}
	note(engine, (uint32_t)event->type << 16 | event->alert << 8 | event->update_requested);
}

static void check_memory(const struct engine *engine)
{
	const struct control *control = &engine->control;
	size_t bound = 2 * engine->fed > MIN_ALLOC ? 2 * engine->fed : MIN_ALLOC;

	REQUIRE(control->msg_size <= bound && control->msg_size <= CONTROL_MAX_MESSAGE);
	REQUIRE(control->msg_len <= control->msg_size);
	REQUIRE(control->alert_len <= ALERT_LEN);
	REQUIRE(!engine->failed || !control->msg);
}

/* feed() gives one piece, in memory of its own, until it is used up or refused. */
static void feed(struct engine *engine, uint8_t type, bool end, const uint8_t *bytes, size_t len)
{
	uint8_t *piece = malloc(len ? len : 1);
	struct record record = { type, end, piece, len };
	struct control_event event;
	size_t left = len;
	int r;

	REQUIRE(piece);
	memcpy(piece, bytes, len);
	engine->fed += len;
	while ((r = control_feed(&engine->control, &record, &event)) == 1) {
		REQUIRE(!engine->failed);
		REQUIRE(record.len <= left && record.data + record.len == piece + len);
		left = record.len;
		check_event(engine, &event, piece, len);
		check_memory(engine);
	}
	REQUIRE(r <= 0);
	if (engine->failed) {
		REQUIRE(r == engine->failed);
	} else if (r < 0) {
		REQUIRE(r == -SLUICE_E_PROTOCOL && engine->control.fail_text);
		engine->failed = r;
		note(engine, 0xff000000u | engine->control.fail_alert);
	} else {
		REQUIRE(record.len == 0 || (type == RECORD_DATA && record.len == len));
		REQUIRE(type == RECORD_DATA || type == RECORD_HANDSHAKE || type == RECORD_ALERT ||
			engine->control.closed);
		if (type == RECORD_DATA && end)
			note(engine, 0xfe000000u | engine->control.closed);
	}
	check_memory(engine);
	free(piece);
}

static void feed_bytes(struct engine *engine, uint8_t type, bool end, const uint8_t *bytes,
		       size_t len)
{
	for (size_t i = 0; i + 1 < len; i++)
		feed(engine, type, false, bytes + i, 1);
	if (len > 0)
		feed(engine, type, end, bytes + len - 1, 1);
	else
		feed(engine, type, end, bytes, 0);
}

static uint8_t record_type(uint8_t selector)
{
	static const uint8_t types[] = { RECORD_HANDSHAKE,          RECORD_ALERT, RECORD_DATA,
					 RECORD_CHANGE_CIPHER_SPEC, 24,           RECORD_HANDSHAKE,
					 RECORD_HANDSHAKE,          RECORD_ALERT };

	return types[selector & 7];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct engine whole = { 0 }, bytes = { 0 };

	if (size == 0)
		return 0;
	control_init(&whole.control, data[0] & 1 ? TLS12 : TLS13, data[0] & 2);
	control_init(&bytes.control, data[0] & 1 ? TLS12 : TLS13, data[0] & 2);
	data++;
	size--;
	while (size >= 3) {
		uint8_t type = record_type(data[0]);
		bool end = data[0] & 8;
		size_t len = (size_t)data[1] << 8 | data[2];

		data += 3;
		size -= 3;
		if (len > size)
			len = size;
		feed(&whole, type, end, data, len);
		feed_bytes(&bytes, type, end, data, len);
		data += len;
		size -= len;
	}
	REQUIRE(whole.failed == bytes.failed);
	REQUIRE(whole.trace == bytes.trace);
	control_deinit(&whole.control);
	control_deinit(&bytes.control);
	return 0;
}
