// SPDX-License-Identifier: Apache-2.0
/*
 * The life of a connection object: made around a socket, failed once, freed once. It owns its
 * descriptor from the moment conn_new() succeeds.
 */
#include "conn/conn.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "conn/handshake.h"
#include "conn/hibernate.h"
#include "core/error.h"
#include "core/pool.h"
#include "core/secret.h"
#include "core/sys.h"
#include "flow/flow.h"
#include "record/ktls.h"

#define LOOK_AGAIN_MS 10

/* Of the process, not of a root object: an id names one connection, whoever asks. */
static atomic_ullong last_id;

struct sluice *sluice_ref(struct sluice *sluice)
{
	atomic_fetch_add_explicit(&sluice->refs, 1, memory_order_relaxed);
	return sluice;
}

struct sluice *sluice_unref(struct sluice *sluice)
{
	if (!sluice || atomic_fetch_sub_explicit(&sluice->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	pool_free(sluice->pool);
	store_free(sluice->store);
	free(sluice);
	return NULL;
}

int conn_new(struct sluice_conn **ret_conn, struct sluice *sluice, struct sluice_profile *profile,
	     enum sluice_role role, int fd)
{
	struct sluice_conn *conn;

	if (profile->role != role)
		return -SLUICE_E_OPTION_ROLE;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return -SLUICE_E_NOMEM;
	conn->sluice = sluice_ref(sluice);
	conn->profile = sluice_profile_ref(profile);
	conn->role = role;
	conn->fd = fd;
	conn->stage = SLUICE_STAGE_TCP;
	failure_clear(&conn->err);
	conn->info.id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
	conn->info.role = role;
	conn->info.stage = conn->stage;
	*ret_conn = conn;
	return 0;
}

struct sluice_conn *conn_free(struct sluice_conn *conn)
{
	if (!conn)
		return NULL;
	if (conn->home)
		conn->home->ops->ended(conn->home->arg, conn);
	if (conn->rx)
		conn->rx->ops->free(conn->rx);
	if (conn->tx)
		conn->tx->ops->free(conn->tx);
	traffic_free(conn->rx_traffic);
	traffic_free(conn->tx_traffic);
	control_deinit(&conn->control);
	SSL_free(conn->ssl);
	handshake_free(conn);
	hello_free(conn->hello);
	sk_CRYPTO_BUFFER_pop_free(conn->peer_chain, CRYPTO_BUFFER_free);
	SSL_SESSION_free(conn->session);
	if (conn->early)
		secret_wipe(conn->early, conn->early_len);
	free(conn->early);
	free(conn->ends);
	if (conn->small)
		secret_wipe(conn->small, CONN_SMALL_LEN); /* application data */
	free(conn->small);
	free(conn->host);
	failure_clear(&conn->err);
	free(conn->info.sni);
	free(conn->info.alpn);
	free(conn->info.peer_identity);
	free(conn->info.attributes);
	if (conn->fd >= 0)
		sys->close(conn->fd);
	sluice_profile_unref(conn->profile);
	sluice_unref(conn->sluice);
	free(conn);
	return NULL;
}

const char *conn_reference(const struct sluice_conn *conn)
{
	if (conn->role == SLUICE_SERVER || conn->profile->sni_disabled)
		return NULL;
	return conn->profile->sni ? conn->profile->sni : conn->host;
}

void conn_attach(struct sluice_conn *conn)
{
	int err = conn->sluice->caps.ktls_errno;

	if (conn->profile->path_mode == PATH_USER)
		return;
	if (!err)
		err = ktls_attach(conn->fd);
	conn->ulp_reason = ktls_attach_reason(err);
}

void conn_set_nodelay(int fd)
{
	int one = 1;

	sys->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

int conn_queue(struct sluice_conn *conn, uint8_t type, const uint8_t *bytes, size_t len,
	       bool new_epoch)
{
	struct outgoing *out = &conn->outgoing[conn->n_outgoing];

	if (conn->n_outgoing == OUTGOING_MAX)
		return -SLUICE_E_STATE;
	out->type = type;
	out->len = len;
	memcpy(out->bytes, bytes, len);
	out->new_epoch = new_epoch;
	conn->n_outgoing++;
	return 0;
}

/* The alert takes the place of whatever is queued but not in flight: nothing follows it. */
static void queue_alert(struct sluice_conn *conn, int alert)
{
	uint8_t bytes[ALERT_LEN];

	conn->n_outgoing = conn->in_flight == SEND_CONTROL ? 1 : 0;
	control_build_alert(bytes, alert);
	conn_queue(conn, RECORD_ALERT, bytes, sizeof(bytes), false);
	conn->info.alerts_sent++;
	conn->write_closed = true;
	if (conn->in_flight == SEND_NONE)
		conn_flush(conn);
}

/* BoringSSL counts its own alerts through the hooks; ours are counted where they are queued. */
static void send_alert(struct sluice_conn *conn, int alert)
{
	bool by_bssl = !conn->tx && conn->ssl && conn->hs && SSL_get_wbio(conn->ssl);

	if (!by_bssl && (!conn->tx || conn->write_closed))
		return;
	conn->err.alert = alert;
	conn->err.alert_sent = 1;
	if (by_bssl)
		SSL_send_fatal_alert(conn->ssl, alert);
	else
		queue_alert(conn, alert);
}

int conn_fail(struct sluice_conn *conn, int code, int alert, int sys_errno, const char *text)
{
	if (!conn->dead) {
		conn->dead = true;
		/* What ended the sending direction alone is not the reason any more. */
		if (conn->write_closed)
			conn->err.code = conn->err.sys_errno = 0;
		if (!conn->err.code)
			conn->err.stage = conn->stage;
		if (sys_errno)
			failure_set(&conn->err, code, sys_errno, "%s", text);
		else
			failure_set(&conn->err, code, 0, "%s: %s", sluice_strerror(code), text);
		/* If that fails, it is not the reason either. */
		if (alert >= 0)
			send_alert(conn, alert);
	}
	return -conn->err.code;
}

uint64_t deadline_from(int timeout_ms)
{
	return timeout_ms < 0 ? UINT64_MAX : sys->now_us() + 1000ull * timeout_ms;
}

int timeout_until(uint64_t deadline_us)
{
	uint64_t now = sys->now_us();
	uint64_t ms;

	if (deadline_us == UINT64_MAX)
		return -1;
	if (deadline_us <= now)
		return 0;
	ms = (deadline_us - now + 999) / 1000;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

int conn_wait(const struct sluice_conn *conn, int events, uint64_t deadline_us)
{
	struct pollfd pfd = { .fd = conn->fd, .events = events };
	int r;

	do {
		r = sys->poll(&pfd, 1, timeout_until(deadline_us));
	} while (r < 0 && errno == EINTR && sys->now_us() < deadline_us);
	if (r < 0 && errno != EINTR)
		return -sys_errno_code(errno);
	return r > 0 ? 0 : -SLUICE_E_TIMEOUT;
}

int sluice_conn_fd(const struct sluice_conn *conn)
{
	return conn->fd;
}

int conn_live_events(const struct sluice_conn *conn)
{
	return (conn->read_closed || conn->dead ? 0 : POLLIN) |
	       (conn->n_outgoing || conn->tx->ops->pending(conn->tx) ? POLLOUT : 0);
}

int sluice_conn_events(const struct sluice_conn *conn)
{
	int events;

	if (conn->closing)
		return conn->events;
	if (conn->stage < SLUICE_STAGE_LIVE)
		return conn->dead || conn->paused ? 0 : conn->events;
	conn_enter(conn);
	events = conn_live_events(conn);
	conn_leave(conn);
	return events;
}

int sluice_conn_timeout(const struct sluice_conn *conn)
{
	int timeout_ms;

	if (conn->closing)
		return timeout_until(conn->close_deadline);
	if (conn->dead)
		return -1;
	if (conn->stage == SLUICE_STAGE_LIVE)
		return timeout_until(hibernate_at(conn));
	timeout_ms = timeout_until(flow_deadline(conn));
	/* A call that could wait has left certificates with a thread, and this loop has no descriptor that tells. */
	if (conn->stage < SLUICE_STAGE_LIVE && flow_is_judging(conn) &&
	    !pool_has_fd(conn->sluice->pool) && (timeout_ms < 0 || timeout_ms > LOOK_AGAIN_MS))
		return LOOK_AGAIN_MS;
	return timeout_ms;
}

int sluice_conn_dispatch(struct sluice_conn *conn)
{
	int r;

	if (conn->stage < SLUICE_STAGE_LIVE)
		return handshake_wait(conn, SLUICE_NOWAIT);
	conn_enter(conn);
	r = conn_flush(conn);
	r = conn->dead ? -conn->err.code : r;
	hibernate(conn);
	conn_leave(conn);
	return r;
}
