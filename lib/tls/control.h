/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control records after the handshake: alerts and post-handshake messages. Sans-I/O: records in,
 * events out, and alerts and messages built as bytes. One body of code for both record paths.
 */
#ifndef SLUICE_TLS_CONTROL_H
#define SLUICE_TLS_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/error.h>

#include "record/record.h"

#define ALERT_LEVEL_WARNING 1
#define ALERT_LEVEL_FATAL 2
#define ALERT_LEN 2
#define KEY_UPDATE_LEN 5

/* The largest message taken: a NewSessionTicket with every vector full (RFC 8446, 4.6.1). */
#define CONTROL_MAX_MESSAGE (4 + 4 + 4 + 1 + 255 + 2 + 65535 + 2 + 65534)

/*
 * What a peer may send in a row without getting anywhere; one more is unexpected_message. RFC 8446
 * has no numbers; these are BoringSSL's.
 */
#define CONTROL_MAX_EMPTY_RECORDS 32
#define CONTROL_MAX_WARNINGS 4
#define CONTROL_MAX_REQUESTS 32

/* And handshake messages of any kind in a minute, which no honest peer needs. */
#define CONTROL_MAX_MESSAGES 6000

enum control_event_type {
	CONTROL_CLOSE_NOTIFY,  /* the peer will send nothing more */
	CONTROL_ALERT,         /* fatal; @alert */
	CONTROL_WARNING,       /* a warning that changes nothing; @alert */
	CONTROL_TICKET,        /* one NewSessionTicket message with its header; @msg, @msg_len */
	CONTROL_KEY_UPDATE,    /* the peer's next record is of the next epoch; @update_requested */
	CONTROL_RENEGOTIATION, /* TLS 1.2: the peer asks to renegotiate; answer no_renegotiation */
};

struct control_event {
	enum control_event_type type;
	uint8_t alert;
	bool update_requested;
	const uint8_t *msg; /* until the next call */
	size_t msg_len;
};

/* struct control_counts - what has come, whether or not it led anywhere. */
struct control_counts {
	uint64_t key_updates;
	uint64_t renegotiations; /* asked for */
	uint64_t tickets;
	uint64_t warnings;
	uint64_t empty_records;
};

/* struct control - the receiving state of one connection. */
struct control {
	/* For the caller to set: limits after control_init(), the time before control_feed(). */
	unsigned int max_requests; /* KeyUpdates and renegotiations without data between */
	unsigned int max_messages; /* handshake messages in a minute */
	uint64_t now_us;

	struct control_counts counts;
	uint16_t version;
	bool is_server;
	bool closed;           /* close_notify or a fatal alert came: what follows is ignored */
	bool after_key_update; /* a KeyUpdate came and its record has not ended yet */
	bool update_requested; /* of that KeyUpdate */
	uint8_t open_type;     /* type of the record whose pieces arrive; 0: between records */
	uint8_t *msg;          /* reassembly; NULL until a message is split */
	size_t msg_len, msg_size;
	uint8_t alert_buf[ALERT_LEN];
	size_t alert_len;
	unsigned int empty_records; /* consecutive */
	unsigned int warnings;      /* consecutive */
	unsigned int requests;      /* KeyUpdates and renegotiations since the last byte of data */
	unsigned int messages;      /* since @minute_us */
	uint64_t minute_us;
	int failed;            /* the error that every further call returns; 0: none */
	uint8_t fail_alert;    /* after an error: the alert to send */
	const char *fail_text; /* and why, for people; static storage */
};

void control_init(struct control *control, uint16_t version, bool is_server);

/* control_deinit() frees what is held; may be called twice. */
void control_deinit(struct control *control);

/*
 * control_feed() takes a record or piece of one from *@record on and advances it, its end included.
 * Returns 1 with an event (call again with the rest), 0 when the record or piece is used up. A
 * failure is final: -SLUICE_E_PROTOCOL or -SLUICE_E_NOMEM, now and from every later call;
 * control->fail_alert is to be sent.
 * Records of type data only pass through here to be held against open fragments and counted: they
 * return 0 with the record untouched if they may be delivered (an empty one is not the end of
 * anything), and emptied if they came after close_notify or a fatal alert.
 */
int control_feed(struct control *control, struct record *record, struct control_event *ret_event);

/*
 * control_build_alert() and control_build_key_update() write a message's bytes. The level follows
 * from the description: warning for close_notify, user_canceled and no_renegotiation.
 */
void control_build_alert(uint8_t out[ALERT_LEN], uint8_t alert);
void control_build_key_update(uint8_t out[KEY_UPDATE_LEN], bool request);

#endif
