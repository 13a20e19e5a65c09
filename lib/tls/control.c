/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what a connection has to know to read control records after the handshake: the message that
 * is being put together, the alert, and the counts of what leads nowhere. Called by the live
 * connection with every record either record path delivers. Never touches a descriptor or a key,
 * never answers the peer itself, and never holds more memory than twice what the peer has sent.
 */
#include "tls/control.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bytestring.h>

#include "record/suite.h"

#define MESSAGE_HEADER_LEN 4
#define MESSAGE_MIN_ALLOC 64
#define MINUTE_US 60000000ull

/* Handshake messages, RFC 8446, 4 and RFC 5246, 7.4. */
enum message_type {
	MESSAGE_HELLO_REQUEST = 0,
	MESSAGE_CLIENT_HELLO = 1,
	MESSAGE_NEW_SESSION_TICKET = 4,
	MESSAGE_CERTIFICATE_REQUEST = 13,
	MESSAGE_KEY_UPDATE = 24,
};

/* RFC 8446, 4.6.1: lifetime, age_add, empty nonce, one byte of ticket, no extensions. */
#define TICKET_MIN (4 + 4 + 1 + 2 + 1 + 2)
/* RFC 5246, 7.4.1.2: version, random, empty session id, one suite, one compression method. */
#define CLIENT_HELLO_MIN (2 + 32 + 1 + 2 + 2 + 1 + 1)
#define BODY_MAX (CONTROL_MAX_MESSAGE - MESSAGE_HEADER_LEN)

enum receiver {
	RECEIVER_CLIENT = 1,
	RECEIVER_SERVER = 2,
};

/*
 * struct message_rule - a message that may come after the handshake. take() gets the whole message;
 * it returns 1 with an event, 0 when there is none (yet), or the error.
 */
struct message_rule {
	uint8_t type;
	uint16_t version;
	int receivers;
	size_t body_min, body_max;
	int (*take)(struct control *control, const uint8_t *msg, size_t msg_len,
		    struct control_event *ret_event);
};

static int take_ticket(struct control *control, const uint8_t *msg, size_t msg_len,
		       struct control_event *ret_event);
static int take_key_update(struct control *control, const uint8_t *msg, size_t msg_len,
			   struct control_event *ret_event);
static int take_renegotiation(struct control *control, const uint8_t *msg, size_t msg_len,
			      struct control_event *ret_event);

/* Whatever is not in this list is unexpected_message, as soon as its header is there. */
static const struct message_rule message_rules[] = {
	{ MESSAGE_NEW_SESSION_TICKET, TLS13, RECEIVER_CLIENT, TICKET_MIN, BODY_MAX, take_ticket },
	{ MESSAGE_KEY_UPDATE, TLS13, RECEIVER_CLIENT | RECEIVER_SERVER,
	  KEY_UPDATE_LEN - MESSAGE_HEADER_LEN, KEY_UPDATE_LEN - MESSAGE_HEADER_LEN,
	  take_key_update },
	{ MESSAGE_HELLO_REQUEST, TLS12, RECEIVER_CLIENT, 0, 0, take_renegotiation },
	{ MESSAGE_CLIENT_HELLO, TLS12, RECEIVER_SERVER, CLIENT_HELLO_MIN, BODY_MAX,
	  take_renegotiation },
};

static void drop_message(struct control *control)
{
	free(control->msg);
	control->msg = NULL;
	control->msg_len = 0;
	control->msg_size = 0;
}

static int fail_with(struct control *control, int code, uint8_t alert, const char *text)
{
	drop_message(control);
	control->failed = code;
	control->fail_alert = alert;
	control->fail_text = text;
	return code;
}

static int fail(struct control *control, uint8_t alert, const char *text)
{
	return fail_with(control, -SLUICE_E_PROTOCOL, alert, text);
}

static void advance(struct record *record, size_t len)
{
	record->data += len;
	record->len -= len;
}

/* --- messages ---------------------------------------------------------------------------- */

/* message_size() returns the length of a message with its header, as that header has it. */
static size_t message_size(const uint8_t *header)
{
	return MESSAGE_HEADER_LEN +
	       ((size_t)header[1] << 16 | (size_t)header[2] << 8 | (size_t)header[3]);
}

static const struct message_rule *find_rule(const struct control *control, uint8_t type)
{
	int receiver = control->is_server ? RECEIVER_SERVER : RECEIVER_CLIENT;

	for (size_t i = 0; i < sizeof(message_rules) / sizeof(message_rules[0]); i++) {
		const struct message_rule *rule = &message_rules[i];

		if (rule->type == type && rule->version == control->version &&
		    (rule->receivers & receiver))
			return rule;
	}
	return NULL;
}

static const char *refusal_text(const struct control *control, uint8_t type)
{
	switch (type) {
	case MESSAGE_HELLO_REQUEST:
	case MESSAGE_CLIENT_HELLO:
		return control->version == TLS13 ? "TLS 1.3 has no renegotiation"
						 : "this side cannot be asked for renegotiation";
	case MESSAGE_NEW_SESSION_TICKET:
		return control->is_server ? "a client sent a session ticket"
					  : "a session ticket after the handshake";
	case MESSAGE_CERTIFICATE_REQUEST:
		/* RFC 8446, 4.6.2: we never send post_handshake_auth. */
		return "a certificate request after the handshake, which was not offered";
	case MESSAGE_KEY_UPDATE:
		return "TLS 1.2 has no KeyUpdate";
	default:
		return "a handshake message that cannot come after the handshake";
	}
}

/* check_header() refuses a message before a byte of its body is kept. */
static int check_header(struct control *control, const uint8_t *header)
{
	const struct message_rule *rule = find_rule(control, header[0]);
	size_t body_len = message_size(header) - MESSAGE_HEADER_LEN;

	if (!rule)
		return fail(control, SLUICE_ALERT_UNEXPECTED_MESSAGE,
			    refusal_text(control, header[0]));
	/* RFC 8446, 6: an out-of-range length is decode_error, too long as well as too short. */
	if (body_len < rule->body_min)
		return fail(control, SLUICE_ALERT_DECODE_ERROR,
			    "a handshake message that is too short");
	if (body_len > rule->body_max)
		return fail(control, SLUICE_ALERT_DECODE_ERROR,
			    "a handshake message that is too long");
	return 0;
}

/* Returns 0 or the alert. RFC 8446, 4.2: none comes twice. */
static uint8_t check_ticket_extensions(CBS *extensions)
{
	uint8_t seen[(UINT16_MAX + 1) / 8] = { 0 };
	uint16_t type;
	CBS body;

	while (CBS_len(extensions) > 0) {
		if (!CBS_get_u16(extensions, &type) ||
		    !CBS_get_u16_length_prefixed(extensions, &body))
			return SLUICE_ALERT_DECODE_ERROR;
		if (seen[type / 8] & 1u << type % 8)
			return SLUICE_ALERT_ILLEGAL_PARAMETER;
		seen[type / 8] |= 1u << type % 8;
	}
	return 0;
}

/* RFC 8446, 4.6.1. What the extensions say is for whoever uses the ticket. */
static int take_ticket(struct control *control, const uint8_t *msg, size_t msg_len,
		       struct control_event *ret_event)
{
	CBS body, nonce, ticket, extensions;
	uint8_t alert;

	CBS_init(&body, msg + MESSAGE_HEADER_LEN, msg_len - MESSAGE_HEADER_LEN);
	/* Lifetime and age_add may be anything. */
	if (!CBS_skip(&body, 4 + 4) || !CBS_get_u8_length_prefixed(&body, &nonce) ||
	    !CBS_get_u16_length_prefixed(&body, &ticket) || CBS_len(&ticket) == 0 ||
	    !CBS_get_u16_length_prefixed(&body, &extensions) || CBS_len(&body) != 0)
		return fail(control, SLUICE_ALERT_DECODE_ERROR, "a malformed session ticket");
	alert = check_ticket_extensions(&extensions);
	if (alert)
		return fail(control, alert, "a session ticket with malformed extensions");

	control->counts.tickets++;
	*ret_event = (struct control_event){
		.type = CONTROL_TICKET,
		.msg = msg,
		.msg_len = msg_len,
	};
	return 1;
}

/*
 * RFC 8446, 4.6.3 and 5.1: the keys change at a record boundary, so the event waits for it; until
 * then whoever installs keys could be shown bytes of the old epoch.
 */
static int take_key_update(struct control *control, const uint8_t *msg, size_t msg_len,
			   struct control_event *ret_event)
{
	uint8_t request = msg[MESSAGE_HEADER_LEN];

	if (request > 1)
		return fail(control, SLUICE_ALERT_ILLEGAL_PARAMETER,
			    "a KeyUpdate that is neither 0 nor 1");
	control->counts.key_updates++;
	if (control->requests++ >= control->max_requests)
		return fail(control, SLUICE_ALERT_UNEXPECTED_MESSAGE,
			    "too many key updates in a row");
	control->after_key_update = true;
	control->update_requested = request == 1;
	return 0;
}

/* RFC 5246, 7.2.2 and 7.4.1.1. What a ClientHello offers does not matter: it is declined. */
static int take_renegotiation(struct control *control, const uint8_t *msg, size_t msg_len,
			      struct control_event *ret_event)
{
	control->counts.renegotiations++;
	if (control->requests++ >= control->max_requests)
		return fail(control, SLUICE_ALERT_UNEXPECTED_MESSAGE,
			    "too many requests to renegotiate in a row");
	*ret_event = (struct control_event){ .type = CONTROL_RENEGOTIATION };
	return 1;
}

/* --- reassembly -------------------------------------------------------------------------- */

static int reserve(struct control *control, size_t need)
{
	size_t size = control->msg_size ? control->msg_size : MESSAGE_MIN_ALLOC;
	uint8_t *p;

	if (need <= control->msg_size)
		return 0;
	while (size < need)
		size *= 2;
	if (size > CONTROL_MAX_MESSAGE)
		size = CONTROL_MAX_MESSAGE;
	p = realloc(control->msg, size);
	if (!p)
		return fail_with(control, -SLUICE_E_NOMEM, SLUICE_ALERT_INTERNAL_ERROR,
				 "out of memory");
	control->msg = p;
	control->msg_size = size;
	return 0;
}

/* hold() moves bytes of the record into the reassembly until that has @len of them. */
static int hold(struct control *control, struct record *record, size_t len)
{
	size_t take = len - control->msg_len;
	int r;

	if (take > record->len)
		take = record->len;
	r = reserve(control, control->msg_len + take);
	if (r < 0)
		return r;
	memcpy(control->msg + control->msg_len, record->data, take);
	control->msg_len += take;
	advance(record, take);
	return 0;
}

/*
 * next_message() returns 1 with the next whole message, which lies in the record itself if it is
 * all there, and 0 when more has to come.
 */
static int next_message(struct control *control, struct record *record, const uint8_t **ret_msg,
			size_t *ret_len)
{
	int r;

	if (control->msg_len == 0 && record->len >= MESSAGE_HEADER_LEN &&
	    record->len >= message_size(record->data)) {
		r = check_header(control, record->data);
		if (r < 0)
			return r;
		*ret_msg = record->data;
		*ret_len = message_size(record->data);
		advance(record, *ret_len);
		return 1;
	}

	if (control->msg_len < MESSAGE_HEADER_LEN) {
		r = hold(control, record, MESSAGE_HEADER_LEN);
		if (r < 0 || control->msg_len < MESSAGE_HEADER_LEN)
			return r;
		r = check_header(control, control->msg);
		if (r < 0)
			return r;
	}
	r = hold(control, record, message_size(control->msg));
	if (r < 0 || control->msg_len < message_size(control->msg))
		return r;
	*ret_msg = control->msg;
	*ret_len = control->msg_len;
	return 1;
}

/* drop_delivered() frees a message whose event the caller has seen by now. */
static void drop_delivered(struct control *control)
{
	if (control->msg_len >= MESSAGE_HEADER_LEN &&
	    control->msg_len == message_size(control->msg))
		drop_message(control);
}

/* --- records ----------------------------------------------------------------------------- */

/* Each message is work for us, and little for the peer. */
static int count_message(struct control *control)
{
	if (control->now_us - control->minute_us >= MINUTE_US) {
		control->minute_us = control->now_us;
		control->messages = 0;
	}
	if (control->messages++ >= control->max_messages)
		return fail(control, SLUICE_ALERT_UNEXPECTED_MESSAGE,
			    "too many handshake messages in a minute");
	return 0;
}

static int feed_handshake(struct control *control, struct record *record,
			  struct control_event *ret_event)
{
	const uint8_t *msg = NULL;
	size_t msg_len = 0;
	int r;

	while (record->len > 0) {
		if (control->after_key_update)
			return fail(control, SLUICE_ALERT_UNEXPECTED_MESSAGE,
				    "a KeyUpdate that does not end its record");
		r = next_message(control, record, &msg, &msg_len);
		if (r <= 0)
			return r;
		r = count_message(control);
		if (r == 0)
			r = find_rule(control, msg[0])->take(control, msg, msg_len, ret_event);
		if (r != 0)
			return r;
	}
	if (!control->after_key_update || !record->end)
		return 0;
	control->after_key_update = false;
	*ret_event = (struct control_event){
		.type = CONTROL_KEY_UPDATE,
		.update_requested = control->update_requested,
	};
	return 1;
}

/* is_warning() tells an alert that changes nothing from a fatal one; 1, 0 or an error. */
static int is_warning(struct control *control, uint8_t level, uint8_t description)
{
	/* RFC 8446, 6: the level is ignored; all but the closure alerts are errors. */
	if (control->version == TLS13)
		return description == SLUICE_ALERT_USER_CANCELED;
	if (level == ALERT_LEVEL_FATAL)
		return 0;
	if (level == ALERT_LEVEL_WARNING)
		return 1;
	return fail(control, SLUICE_ALERT_ILLEGAL_PARAMETER, "an alert of no known level");
}

static int take_alert(struct control *control, uint8_t level, uint8_t description,
		      struct control_event *ret_event)
{
	enum control_event_type type = CONTROL_CLOSE_NOTIFY;

	/* Sent at either level, it says the same: RFC 5246, 7.2.1 and RFC 8446, 6.1. */
	if (description != SLUICE_ALERT_CLOSE_NOTIFY) {
		int warning = is_warning(control, level, description);

		if (warning < 0)
			return warning;
		type = warning ? CONTROL_WARNING : CONTROL_ALERT;
	}
	if (type != CONTROL_WARNING)
		control->closed = true;
	else
		control->counts.warnings++;
	if (type == CONTROL_WARNING && control->warnings++ >= CONTROL_MAX_WARNINGS)
		return fail(control, SLUICE_ALERT_UNEXPECTED_MESSAGE, "too many warnings in a row");

	*ret_event = (struct control_event){ .type = type, .alert = description };
	return 1;
}

/*
 * RFC 8446, 5.1: a record has exactly one alert. TLS 1.2 allows several in one record, which are
 * taken one after the other; none is taken from two records in either version.
 */
static int feed_alert(struct control *control, struct record *record,
		      struct control_event *ret_event)
{
	while (record->len > 0 && control->alert_len < ALERT_LEN) {
		control->alert_buf[control->alert_len++] = record->data[0];
		advance(record, 1);
	}
	if (control->alert_len == 0)
		return 0;
	if (control->alert_len < ALERT_LEN)
		return record->end ? fail(control, SLUICE_ALERT_DECODE_ERROR,
					  "an alert that does not end with its record")
				   : 0;
	if (control->version == TLS13 && record->len > 0)
		return fail(control, SLUICE_ALERT_UNEXPECTED_MESSAGE,
			    "more than one alert in a record");
	if (control->version == TLS13 && !record->end)
		return 0;
	control->alert_len = 0;
	return take_alert(control, control->alert_buf[0], control->alert_buf[1], ret_event);
}

/* RFC 8446, 5.1: nothing may come between the records of a split message. */
static int check_order(struct control *control, const struct record *record)
{
	if (record->type != RECORD_HANDSHAKE && control->msg_len > 0)
		return fail(control, SLUICE_ALERT_UNEXPECTED_MESSAGE,
			    "another record inside a split handshake message");
	if (control->open_type != record->type && control->open_type != 0 &&
	    control->open_type != RECORD_DATA)
		return fail(control, SLUICE_ALERT_UNEXPECTED_MESSAGE,
			    "another record inside a control record");
	return 0;
}

/* An empty piece is an empty record only if no other piece of it came before. */
static int check_empty(struct control *control, const struct record *record)
{
	if (record->len > 0 || !record->end || control->open_type == record->type)
		return 0;
	/* RFC 8446, 5.4. Empty data is allowed to hide the length of traffic. */
	if (record->type != RECORD_DATA)
		return fail(control, SLUICE_ALERT_UNEXPECTED_MESSAGE, "an empty control record");
	if (control->empty_records >= CONTROL_MAX_EMPTY_RECORDS)
		return fail(control, SLUICE_ALERT_UNEXPECTED_MESSAGE,
			    "too many empty records in a row");
	control->empty_records++;
	control->counts.empty_records++;
	return 0;
}

/*
 * note_piece() keeps the counts of what leads nowhere. An alert is no progress for the count of
 * warnings, or a peer could send them for ever.
 */
static void note_piece(struct control *control, const struct record *record)
{
	if (record->len == 0)
		return;
	control->open_type = record->type;
	control->empty_records = 0;
	if (record->type != RECORD_ALERT)
		control->warnings = 0;
	if (record->type == RECORD_DATA)
		control->requests = 0;
}

void control_init(struct control *control, uint16_t version, bool is_server)
{
	*control = (struct control){
		.version = version,
		.is_server = is_server,
		.max_requests = CONTROL_MAX_REQUESTS,
		.max_messages = CONTROL_MAX_MESSAGES,
	};
}

void control_deinit(struct control *control)
{
	drop_message(control);
}

int control_feed(struct control *control, struct record *record, struct control_event *ret_event)
{
	int r;

	if (control->failed)
		return control->failed;
	drop_delivered(control);
	if (control->closed) {
		/* RFC 8446, 6.1: what comes after a closure alert is ignored. */
		record->len = 0;
		return 0;
	}
	if (record->type != RECORD_DATA && record->type != RECORD_HANDSHAKE &&
	    record->type != RECORD_ALERT)
		return fail(control, SLUICE_ALERT_UNEXPECTED_MESSAGE,
			    record->type == RECORD_CHANGE_CIPHER_SPEC
				    ? "a ChangeCipherSpec after the handshake"
				    : "a record of an unknown type");
	r = check_order(control, record);
	if (r < 0)
		return r;
	r = check_empty(control, record);
	if (r < 0)
		return r;
	note_piece(control, record);

	if (record->type == RECORD_DATA) {
		if (record->end)
			control->open_type = 0;
		return 0;
	}
	r = record->type == RECORD_ALERT ? feed_alert(control, record, ret_event)
					 : feed_handshake(control, record, ret_event);
	if (r >= 0 && record->len == 0 && record->end) {
		/* Taken: what is left of the record is not mistaken for an empty one. */
		control->open_type = 0;
		record->end = false;
	}
	return r;
}

/* --- sending ----------------------------------------------------------------------------- */

void control_build_alert(uint8_t out[ALERT_LEN], uint8_t alert)
{
	bool warning = alert == SLUICE_ALERT_CLOSE_NOTIFY || alert == SLUICE_ALERT_USER_CANCELED ||
		       alert == SLUICE_ALERT_NO_RENEGOTIATION;

	out[0] = warning ? ALERT_LEVEL_WARNING : ALERT_LEVEL_FATAL;
	out[1] = alert;
}

void control_build_key_update(uint8_t out[KEY_UPDATE_LEN], bool request)
{
	out[0] = MESSAGE_KEY_UPDATE;
	out[1] = 0;
	out[2] = 0;
	out[3] = KEY_UPDATE_LEN - MESSAGE_HEADER_LEN;
	out[4] = request ? 1 : 0;
}
