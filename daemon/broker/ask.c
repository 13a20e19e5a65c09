// SPDX-License-Identifier: Apache-2.0
/*
 * What workers are asked of the connections that they have: new keys, or a proper end. The broker has no
 * descriptor of these. A worker answers in its own time, or not at all: whoever wants to know is told
 * when it did, or when its time is over, and nothing here waits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/sluice.h>

#include "broker/broker.h"
#include "handover/messages.h"

#define SMALL_LEN 128
#define MAX_ASKS 4096
#define REKEY_MS 3000
#define CLOSE_MS 1000 /* for the worker and the peer, before the kernel ends the socket */

struct ask {
	TAILQ_ENTRY(ask) all;
	uint32_t id;
	enum ask_kind kind;
	struct session *session;
	struct admin_client *client; /* NULL: it is gone */
	uint64_t deadline_ms;
};

/* Frees @ask; its session goes on. */
static void finish(struct broker *broker, struct ask *ask, struct asked *asked)
{
	struct admin_client *client = ask->client;

	asked->kind = ask->kind;
	asked->session = ask->session->id;
	ask->session->ask = NULL;
	TAILQ_REMOVE(&broker->asks, ask, all);
	broker->n_asks--;
	free(ask);
	if (client)
		admin_asked(client, asked);
}

static int send_ask(struct broker *broker, const struct ask *ask, bool both)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), ask->kind == ASK_REKEY ? MSG_UPDATE_KEYS : MSG_CLOSE,
		   ask->id);
	wire_put_u64(&wire, ATTR_SESSION, ask->session->id);
	if (ask->kind == ASK_REKEY)
		wire_put_u64(&wire, ATTR_BOTH, both);
	return channel_send(ask->session->worker->watch.fd, buf, wire_end(&wire), NULL, 0);
}

/* An end goes before new keys. */
static int replace(struct broker *broker, struct session *session, enum ask_kind kind)
{
	if (session->ask->kind == kind || kind == ASK_REKEY)
		return -EBUSY;
	finish(broker, session->ask, &(struct asked){ .code = SLUICE_E_CLOSED });
	return 0;
}

int ask_worker(struct broker *broker, struct session *session, enum ask_kind kind, bool both,
	       struct admin_client *client)
{
	unsigned int needed = kind == ASK_REKEY ? KNOWS_UPDATE_KEYS : KNOWS_CLOSE;
	struct ask *ask;
	int r;

	if (session->state != SESSION_LIVE || !session->worker ||
	    !(session->worker->knows & needed))
		return -EOPNOTSUPP;
	if (session->ask) {
		r = replace(broker, session, kind);
		if (r < 0)
			return r;
	}
	ask = broker->n_asks < MAX_ASKS ? calloc(1, sizeof(*ask)) : NULL;
	if (!ask)
		return -ENOMEM;
	*ask = (struct ask){ .id = ++broker->last_ask,
			     .kind = kind,
			     .session = session,
			     .client = client,
			     .deadline_ms = broker->loop.now_ms +
					    (kind == ASK_REKEY ? REKEY_MS : CLOSE_MS) };
	if (send_ask(broker, ask, both) < 0) {
		free(ask);
		return -EAGAIN;
	}
	session->ask = ask;
	TAILQ_INSERT_TAIL(&broker->asks, ask, all);
	broker->n_asks++;
	return 0;
}

void ask_answered(struct worker *worker, uint32_t id, struct wire_reader *reader)
{
	struct broker *broker = worker->pool->broker;
	struct asked asked = { 0 };
	uint64_t code = 0;
	struct attr attr;
	struct ask *ask;

	TAILQ_FOREACH(ask, &broker->asks, all)
	if (ask->id == id)
		break;
	if (!ask || ask->kind != ASK_REKEY || ask->session->worker != worker)
		return;
	while (wire_next(reader, &attr) == 1) {
		if (attr.type == ATTR_ERROR)
			attr_u64(&attr, &code);
		else if (attr.type == ATTR_RX_EPOCH)
			attr_u64(&attr, &asked.rx_epoch);
		else if (attr.type == ATTR_TX_EPOCH)
			attr_u64(&attr, &asked.tx_epoch);
	}
	asked.code = code <= INT32_MAX ? (int)code : SLUICE_E_INTERNAL;
	/* On the kernel path the broker has put them in, and has told. */
	if (!code && ask->session->tx_path != SLUICE_PATH_KERNEL)
		trace_rekey(broker, ask->session, false, asked.tx_epoch);
	finish(broker, ask, &asked);
}

bool ask_ended(struct broker *broker, struct session *session)
{
	bool wanted = session->ask->kind == ASK_CLOSE;
	struct asked asked = { .code = wanted ? 0 : SLUICE_E_CLOSED };

	finish(broker, session->ask, &asked);
	return wanted;
}

void asks_forget(struct broker *broker, const struct admin_client *client)
{
	struct ask *ask;

	TAILQ_FOREACH(ask, &broker->asks, all)
	if (ask->client == client)
		ask->client = NULL;
}

static void give_up(struct broker *broker, struct ask *ask)
{
	struct asked asked = { .code = SLUICE_E_TIMEOUT };

	if (ask->kind == ASK_CLOSE) {
		asked.err = -admin_destroy(broker, ask->session);
		asked.code = SLUICE_E_IO;
		if (!asked.err)
			return; /* with the end of the session */
	}
	finish(broker, ask, &asked);
}

void asks_tick(struct broker *broker)
{
	struct ask *ask, *next;

	for (ask = TAILQ_FIRST(&broker->asks); ask; ask = next) {
		next = TAILQ_NEXT(ask, all);
		if (broker->loop.now_ms >= ask->deadline_ms)
			give_up(broker, ask);
	}
}
