/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control records after the handshake: alerts, KeyUpdate, tickets. Part of sluice/uring.h, and of use to any
 * program that receives from a socket with kernel TLS: nothing here knows of a ring or a descriptor.
 */
#ifndef SLUICE_URING_MESSAGES_H
#define SLUICE_URING_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Record types (RFC 8446, 5.1), and the alerts that something here sends or tells apart (RFC 8446, 6). */
#define SLUICE_URING_TYPE_ALERT 21
#define SLUICE_URING_TYPE_HANDSHAKE 22
#define SLUICE_URING_TYPE_DATA 23

#define SLUICE_URING_CLOSE_NOTIFY_ALERT 0
#define SLUICE_URING_UNEXPECTED_MESSAGE 10
#define SLUICE_URING_BAD_RECORD_MAC 20
#define SLUICE_URING_RECORD_OVERFLOW 22
#define SLUICE_URING_ILLEGAL_PARAMETER 47
#define SLUICE_URING_DECODE_ERROR 50
#define SLUICE_URING_INTERNAL_ERROR 80
#define SLUICE_URING_USER_CANCELED 90
#define SLUICE_URING_NO_RENEGOTIATION 100

/* struct sluice_uring_record - a record that came, or a piece of one. @data is in the receive's buffer. */
struct sluice_uring_record {
	const uint8_t *data;
	size_t len;
	uint8_t type; /* SLUICE_URING_TYPE_* */
	bool end;     /* @data ends where a record does. Data of several records may be one piece */
};

/* What a control record says. */
enum sluice_uring_event {
	SLUICE_URING_NOTHING,       /* the record is used up: receive again */
	SLUICE_URING_CLOSE_NOTIFY,  /* the stream was whole; sending may go on (RFC 8446, 6.1) */
	SLUICE_URING_FATAL,         /* @alert ended the connection: close(2), nothing is sent */
	SLUICE_URING_WARNING,       /* @alert, and the connection goes on */
	SLUICE_URING_TICKET,        /* NewSessionTicket, which was passed over */
	SLUICE_URING_KEY_UPDATE,    /* put the next receiving key in before anything is received */
	SLUICE_URING_RENEGOTIATION, /* TLS 1.2: answer with a no_renegotiation alert, and go on */
	SLUICE_URING_REFUSE,        /* not allowed: answer with @alert, which is fatal, and close */
};

/*
 * struct sluice_uring_messages - what a connection has to remember between control records. Set @tls13 and
 * @server, and zero the rest. Messages may come in pieces, several in a record, and several records to a
 * message; none is kept.
 */
struct sluice_uring_messages {
	bool tls13, server;
	uint8_t alert; /* of the last FATAL, WARNING or REFUSE */
	bool update_requested; /* of the last KEY_UPDATE: the peer wants one of ours, before our next data */
	uint8_t open;          /* the type of record that @head is of */
	uint8_t have;          /* bytes of @head */
	uint8_t head[5]; /* a message's header and first byte, or an alert */
	uint32_t skip;   /* bytes until the message's end */
};

static inline enum sluice_uring_event sluice_uring_refuse(struct sluice_uring_messages *messages,
							  uint8_t alert)
{
	messages->alert = alert;
	return SLUICE_URING_REFUSE;
}

/* Takes up to @want bytes together in @head. Returns whether they are there. */
static inline bool sluice_uring_gather(struct sluice_uring_messages *messages,
				       struct sluice_uring_record *record, uint8_t want)
{
	while (messages->have < want && record->len) {
		messages->head[messages->have++] = *record->data++;
		record->len--;
	}
	return messages->have == want;
}

/* RFC 8446, 6: the level says nothing in TLS 1.3. RFC 5246, 7.2: a warning is one by its level. */
static inline enum sluice_uring_event sluice_uring_alert(struct sluice_uring_messages *messages,
							 struct sluice_uring_record *record)
{
	bool warning;

	if (!sluice_uring_gather(messages, record, 2))
		return record->end ? sluice_uring_refuse(messages, SLUICE_URING_DECODE_ERROR)
				   : SLUICE_URING_NOTHING;
	messages->have = 0;
	messages->alert = messages->head[1];
	if (messages->alert == SLUICE_URING_CLOSE_NOTIFY_ALERT)
		return SLUICE_URING_CLOSE_NOTIFY;
	warning = messages->tls13 ? messages->alert == SLUICE_URING_USER_CANCELED
				  : messages->head[0] == 1;
	return warning ? SLUICE_URING_WARNING : SLUICE_URING_FATAL;
}

/* What message @type is to this side, or REFUSE (RFC 8446, 4.6; RFC 5246, 7.4.1). */
static inline enum sluice_uring_event
sluice_uring_message(const struct sluice_uring_messages *messages, uint8_t type)
{
	if (type == 24 && messages->tls13)
		return SLUICE_URING_KEY_UPDATE;
	if (type == 4 && messages->tls13 && !messages->server)
		return SLUICE_URING_TICKET;
	if (type == (messages->server ? 1 : 0) && !messages->tls13)
		return SLUICE_URING_RENEGOTIATION;
	return SLUICE_URING_REFUSE;
}

/* RFC 8446, 4.6.3; 5.1: a message before a change of keys ends its record. */
static inline enum sluice_uring_event
sluice_uring_key_update(struct sluice_uring_messages *messages, struct sluice_uring_record *record)
{
	if (messages->skip != 1)
		return sluice_uring_refuse(messages, SLUICE_URING_DECODE_ERROR);
	if (!sluice_uring_gather(messages, record, 5))
		return SLUICE_URING_NOTHING;
	messages->have = 0;
	messages->skip = 0;
	if (messages->head[4] > 1)
		return sluice_uring_refuse(messages, SLUICE_URING_ILLEGAL_PARAMETER);
	if (record->len || !record->end)
		return sluice_uring_refuse(messages, SLUICE_URING_UNEXPECTED_MESSAGE);
	messages->update_requested = messages->head[4] == 1;
	return SLUICE_URING_KEY_UPDATE;
}

static inline enum sluice_uring_event sluice_uring_handshake(struct sluice_uring_messages *messages,
							     struct sluice_uring_record *record)
{
	enum sluice_uring_event event;
	uint32_t n;

	if (messages->have < 4) {
		if (!sluice_uring_gather(messages, record, 4))
			return SLUICE_URING_NOTHING;
		messages->skip = (uint32_t)messages->head[1] << 16 |
				 (uint32_t)messages->head[2] << 8 | messages->head[3];
	}
	event = sluice_uring_message(messages, messages->head[0]);
	if (event == SLUICE_URING_REFUSE)
		return sluice_uring_refuse(messages, SLUICE_URING_UNEXPECTED_MESSAGE);
	if (event == SLUICE_URING_KEY_UPDATE)
		return sluice_uring_key_update(messages, record);
	n = messages->skip < record->len ? messages->skip : (uint32_t)record->len;
	record->data += n;
	record->len -= n;
	messages->skip -= n;
	if (messages->skip)
		return SLUICE_URING_NOTHING;
	messages->have = 0;
	return event;
}

/*
 * sluice_uring_next() takes the next message of a control record and advances it: call until NOTHING. After
 * FATAL and REFUSE nothing more is to be read. How many messages a peer may send is the caller's to say:
 * each costs it a record, each KEY_UPDATE costs us a key.
 */
static inline enum sluice_uring_event sluice_uring_next(struct sluice_uring_messages *messages,
							struct sluice_uring_record *record)
{
	if (record->len == 0)
		return SLUICE_URING_NOTHING;
	/* RFC 8446, 5.1: nothing comes between the records of a message. */
	if (messages->have && record->type != messages->open)
		return sluice_uring_refuse(messages, SLUICE_URING_UNEXPECTED_MESSAGE);
	messages->open = record->type;
	if (record->type == SLUICE_URING_TYPE_ALERT)
		return sluice_uring_alert(messages, record);
	if (record->type == SLUICE_URING_TYPE_HANDSHAKE)
		return sluice_uring_handshake(messages, record);
	return sluice_uring_refuse(messages, SLUICE_URING_UNEXPECTED_MESSAGE);
}

#ifdef __cplusplus
}
#endif
#endif
