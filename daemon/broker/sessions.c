// SPDX-License-Identifier: Apache-2.0
/* The table of sessions, from accept to the end, by number and by socket cookie. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sluice/sluice.h>

#include "broker/broker.h"
#include "common/policy.h"
#include "core/secret.h"
#include "core/sys.h"
#include "handover/messages.h"
#include "handover/state.h"

#define MAX_SINCE_US 3600000000u
#define MAX_IDENTITY 255 /* bytes */

static size_t bucket(uint64_t key)
{
	return key % SESSION_BUCKETS;
}

struct session *session_new(struct broker *broker)
{
	struct sessions *table = &broker->sessions;
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->id = ++table->last_id;
	session->role = SLUICE_SERVER;
	session->fd = -1;
	session->accepted_ms = broker->loop.now_ms;
	session->accepted_us = sys->now_us();
	LIST_INSERT_HEAD(&table->by_id[bucket(session->id)], session, by_id);
	table->n++;
	return session;
}

struct session *session_restored(struct broker *broker, uint64_t id, uint64_t cookie)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->id = id;
	session->role = SLUICE_SERVER;
	session->fd = -1;
	session->state = SESSION_LIVE;
	session->restored = true;
	LIST_INSERT_HEAD(&broker->sessions.by_id[bucket(id)], session, by_id);
	session_set_cookie(broker, session, cookie);
	broker->sessions.n++;
	return session;
}

struct session *session_find(struct broker *broker, uint64_t id)
{
	struct session *session;

	LIST_FOREACH(session, &broker->sessions.by_id[bucket(id)], by_id)
	if (session->id == id)
		return session;
	return NULL;
}

struct session *session_find_cookie(struct broker *broker, uint64_t cookie)
{
	struct session *session;

	LIST_FOREACH(session, &broker->sessions.by_cookie[bucket(cookie)], by_cookie)
	if (session->cookie == cookie)
		return session;
	return NULL;
}

/* Addresses as diag has them: it takes mapped ones for IPv4. */
static void session_ends(const struct session *session, struct sockaddr_storage *ret_local,
			 struct sockaddr_storage *ret_peer)
{
	memset(ret_local, 0, sizeof(*ret_local));
	memset(ret_peer, 0, sizeof(*ret_peer));
	memcpy(ret_local, &session->local, sizeof(session->local));
	memcpy(ret_peer, &session->peer, sizeof(session->peer));
}

int session_find_socket(struct broker *broker, const struct session *session,
			struct diag_socket *ret_socket)
{
	struct sockaddr_storage local, peer;

	if (!broker->diag || !session->cookie)
		return -EOPNOTSUPP;
	session_ends(session, &local, &peer);
	return diag_find(broker->diag, &local, &peer, session->cookie, ret_socket);
}

int session_destroy_socket(struct broker *broker, const struct session *session)
{
	struct sockaddr_storage local, peer;

	if (!broker->diag || !session->cookie)
		return -EOPNOTSUPP;
	session_ends(session, &local, &peer);
	return diag_destroy(broker->diag, &local, &peer, session->cookie);
}

void session_set_cookie(struct broker *broker, struct session *session, uint64_t cookie)
{
	session->cookie = cookie;
	LIST_INSERT_HEAD(&broker->sessions.by_cookie[bucket(cookie)], session, by_cookie);
}

struct sockaddr_in6 session_payer(const struct session *session)
{
	return session->upgrade ? source_of_user(session->upgrade->worker->uid)
				: *session_source(session);
}

enum end session_enter(struct broker *broker, struct session *session)
{
	struct sockaddr_in6 payer = session_payer(session);
	unsigned int share = session->upgrade ? broker->pools[session->pool].config->handshakes
					      : broker->config->limits.per_source;
	unsigned int rate = session->upgrade ? 0 : broker->config->limits.per_source_rate;
	enum end refusal = source_enter(broker, &payer, share, rate);

	session->counted = !refusal;
	return refusal;
}

void session_leave(struct broker *broker, struct session *session)
{
	struct sockaddr_in6 payer;

	if (!session->counted)
		return;
	payer = session_payer(session);
	source_leave(broker, &payer);
	session->counted = false;
}

/* --- time --------------------------------------------------------------------------------------- */

static uint32_t clamp_us(uint64_t us)
{
	return us < MAX_SINCE_US ? (uint32_t)us : MAX_SINCE_US;
}

uint32_t session_since(uint64_t then_us)
{
	return clamp_us(sys->now_us() - then_us);
}

bool session_take_time(struct session *session, const struct attr *attr)
{
	uint64_t us = 0;

	attr_u64(attr, &us);
	switch (attr->type) {
	case ATTR_QUEUE_US:
		session->times.queue = clamp_us(us);
		return true;
	case ATTR_NETWORK_US:
		session->times.network = clamp_us(us);
		return true;
	case ATTR_SIGN_US:
		session->times.sign = clamp_us(us);
		return true;
	case ATTR_VERIFY_US:
		session->times.verify = clamp_us(us);
		return true;
	case ATTR_DECISION_US:
		session->times.decision = clamp_us(us);
		return true;
	default:
		return false;
	}
}

/* --- what the handshaker tells ----------------------------------------------------------------- */

static bool read_number(struct session *session, const struct attr *attr)
{
	uint64_t value;

	if (!attr_u64(attr, &value))
		return false;
	switch (attr->type) {
	case ATTR_ROLE:
		return value == session->role;
	case ATTR_VERSION:
		session->version = (uint16_t)value;
		break;
	case ATTR_SUITE:
		session->suite = (uint16_t)value;
		break;
	case ATTR_GROUP:
		session->group = (uint16_t)value;
		break;
	case ATTR_RESUMED:
		session->resumed = value;
		break;
	case ATTR_PEER_VERIFIED:
		session->peer_verified = value;
		break;
	case ATTR_RX_PATH:
		session->rx_path = (uint8_t)value;
		break;
	case ATTR_TX_PATH:
		session->tx_path = (uint8_t)value;
		break;
	case ATTR_RX_REASON:
		session->rx_reason = (uint8_t)value;
		break;
	case ATTR_TX_REASON:
		session->tx_reason = (uint8_t)value;
		break;
	case ATTR_CAN_REKEY:
		session->can_rekey = value;
		break;
	case ATTR_HANDSHAKE_US:
		session->handshake_us = (uint32_t)value;
		break;
	case ATTR_BAD_CERTS:
		session->bad_certs = value & POLICY_ALL;
		break;
	case ATTR_WARN_BAD_CERTS:
		session->warn_bad_certs = value & POLICY_ALL;
		break;
	}
	return true;
}

bool session_take_sni(struct session *session, const struct attr *attr)
{
	if (session->upgrade && session->sni)
		return true; /* its program has said whom it means */
	free(session->sni);
	session->sni = strndup((const char *)attr->bytes, attr->len);
	return session->sni;
}

static bool read_attr(struct session *session, const struct attr *attr)
{
	switch (attr->type) {
	case ATTR_SNI:
		return session_take_sni(session, attr);
	case ATTR_ALPN:
		free(session->alpn);
		session->alpn = strndup((const char *)attr->bytes, attr->len);
		return session->alpn;
	case ATTR_PEER_IDENTITY:
		if (attr->len > MAX_IDENTITY)
			return false;
		free(session->identity);
		session->identity = strndup((const char *)attr->bytes, attr->len);
		return session->identity;
	case ATTR_PEER_SHA256:
		session->has_peer = attr->len == sizeof(session->peer_sha256);
		if (session->has_peer)
			memcpy(session->peer_sha256, attr->bytes, attr->len);
		return session->has_peer;
	case ATTR_ROLE:
	case ATTR_VERSION:
	case ATTR_SUITE:
	case ATTR_GROUP:
	case ATTR_RESUMED:
	case ATTR_PEER_VERIFIED:
	case ATTR_RX_PATH:
	case ATTR_TX_PATH:
	case ATTR_RX_REASON:
	case ATTR_TX_REASON:
	case ATTR_CAN_REKEY:
	case ATTR_HANDSHAKE_US:
	case ATTR_BAD_CERTS:
	case ATTR_WARN_BAD_CERTS:
		return read_number(session, attr);
	default:
		session_take_time(session, attr);
		return true;
	}
}

/* The secrets of the kernel path stay here; those of the user path are the worker's. */
static bool keep_keys(struct session *session, const struct attr *rx, const struct attr *tx)
{
	const struct suite *suite = suite_find(session->suite);

	if (!suite || suite->version != session->version)
		return false;
	if (session->rx_path != SLUICE_PATH_KERNEL || suite->version != TLS13)
		return true;
	return rx->bytes && tx->bytes && keys_read(&session->rx, rx, suite) == 0 &&
	       keys_read(&session->tx, tx, suite) == 0;
}

/* Whom the decision service has decided about is who it says. */
static bool take_decision(struct session *session)
{
	if (session->asked && (session->question || session->decided.refused))
		return false;
	if (!session->decided.identity)
		return true;
	free(session->identity);
	session->identity = strdup(session->decided.identity);
	return session->identity;
}

bool session_established(struct session *session, struct wire_reader reader)
{
	struct attr attr, rx = { 0 }, tx = { 0 };
	int r;

	while ((r = wire_next(&reader, &attr)) == 1) {
		if (attr.type == ATTR_RX_KEYS)
			rx = attr;
		else if (attr.type == ATTR_TX_KEYS)
			tx = attr;
		else if (!read_attr(session, &attr))
			return false;
	}
	return r == 0 && keep_keys(session, &rx, &tx) && take_decision(session);
}

/* --- the end ----------------------------------------------------------------------------------- */

void session_settled(struct broker *broker, struct session *session)
{
	if (session->fd >= 0) {
		channel_drop(session->fd);
		broker->n_held -= !session->handshaker; /* those are counted as in progress */
	}
	session->fd = -1;
	if (session->message)
		secret_wipe(session->message, session->message_len);
	free(session->message);
	session->message = NULL;
}

static void detach(struct broker *broker, struct session *session)
{
	if (session->handshaker) {
		LIST_REMOVE(session, of_owner);
		session->handshaker->in_progress--;
		broker->in_progress--;
	}
	session_leave(broker, session);
	if (session->worker) {
		LIST_REMOVE(session, of_owner);
		session->worker->n_sessions--;
	}
	if (session->state == SESSION_QUEUED) {
		TAILQ_REMOVE(&broker->pools[session->pool].queue, session, in_pool);
		broker->pools[session->pool].n_queued--;
	}
}

void session_end(struct broker *broker, struct session *session, enum end end)
{
	session_end_of(broker, session, end, 0, end_text(end));
}

void session_end_of(struct broker *broker, struct session *session, enum end end, int code,
		    const char *text)
{
	char reason[END_REASON_LEN];
	bool negotiating = session->handshaker;

	if (session->ask && ask_ended(broker, session)) {
		end = END_KILLED;
		text = end_text(end);
	}
	end_reason(reason, end, code, text);
	trace_ended(broker, session, reason);
	session_log_end(broker, session, end, code, text);
	metrics_ended(broker, session, end, code);
	detach(broker, session);
	if (session->upgrade)
		upgrade_end(session, reason);
	LIST_REMOVE(session, by_id);
	if (session->cookie)
		LIST_REMOVE(session, by_cookie);
	broker->sessions.n--;
	broker->stats.ended++;
	session_settled(broker, session);
	if (!broker->handing_on || session->state != SESSION_LIVE)
		memory_forget(broker, session);
	chain_drop(broker, session);
	traffic_free(session->rx);
	traffic_free(session->tx);
	free(session->sni);
	free(session->alpn);
	free(session->identity);
	decide_forget(session);
	free(session->proxied);
	free(session->trace);
	free(session);
	if (negotiating)
		listeners_room(broker);
}
