// SPDX-License-Identifier: Apache-2.0
/* What a worker tells of the end of a connection: how much went through it, and why it ended. */
#include <string.h>

#include <sluice/sluice.h>

#include "broker/broker.h"
#include "handover/messages.h"

/* Its text is the name of an error of the library, or a worker's own. */
static void end_as_told(struct broker *broker, struct session *session, const char *text)
{
	int code;

	if (strcmp(text, "closed") == 0 || strcmp(text, sluice_error_name(SLUICE_E_CLOSED)) == 0) {
		session_end(broker, session, END_CLOSED);
		return;
	}
	for (code = 1; code <= SLUICE_E_INTERNAL; code++)
		if (strcmp(text, sluice_error_name(code)) == 0) {
			session_end_of(broker, session, END_ERROR, code, NULL);
			return;
		}
	session_end_of(broker, session, END_TOLD, 0, text);
}

/* struct told - what a worker tells of a connection's end. */
struct told {
	uint64_t session, cookie, rx_bytes, tx_bytes, rx_epoch, tx_epoch, rx_records, tx_records;
	char text[100];
};

static void read_told(struct told *told, struct wire_reader *reader)
{
	struct attr attr;

	*told = (struct told){ .text = "closed" };
	while (wire_next(reader, &attr) == 1) {
		if (attr.type == ATTR_SESSION)
			attr_u64(&attr, &told->session);
		else if (attr.type == ATTR_COOKIE)
			attr_u64(&attr, &told->cookie);
		else if (attr.type == ATTR_RX_BYTES)
			attr_u64(&attr, &told->rx_bytes);
		else if (attr.type == ATTR_TX_BYTES)
			attr_u64(&attr, &told->tx_bytes);
		else if (attr.type == ATTR_RX_EPOCH)
			attr_u64(&attr, &told->rx_epoch);
		else if (attr.type == ATTR_TX_EPOCH)
			attr_u64(&attr, &told->tx_epoch);
		else if (attr.type == ATTR_RX_RECORDS)
			attr_u64(&attr, &told->rx_records);
		else if (attr.type == ATTR_TX_RECORDS)
			attr_u64(&attr, &told->tx_records);
		else if (attr.type == ATTR_TEXT)
			attr_text(&attr, told->text, sizeof(told->text));
	}
}

static uint32_t clamp(uint64_t n)
{
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static void take_counts(struct session *session, const struct told *told)
{
	session->rx_records = clamp(told->rx_records);
	session->tx_records = clamp(told->tx_records);
	if (session->tx_path == SLUICE_PATH_KERNEL)
		return; /* its epochs we have counted ourselves */
	session->rx_epoch = clamp(told->rx_epoch);
	session->tx_epoch = clamp(told->tx_epoch);
}

bool worker_ended(struct worker *worker, struct wire_reader *reader)
{
	struct broker *broker = worker->pool->broker;
	struct session *session;
	struct told told;

	read_told(&told, reader);
	session = session_find(broker, told.session);
	if (!session)
		return true; /* the kernel told first */
	/* Of an earlier broker: its number may be another's by now, or nobody's yet. The kernel tells. */
	if ((told.cookie && told.cookie != session->cookie) ||
	    (session->restored && !session->worker))
		return true;
	if (session->worker != worker)
		return false;
	session->rx_bytes = told.rx_bytes;
	session->tx_bytes = told.tx_bytes;
	take_counts(session, &told);
	session->ended = true;
	if (session->state == SESSION_LIVE)
		end_as_told(broker, session, told.text);
	return true;
}
