// SPDX-License-Identifier: Apache-2.0
/* A worker's end of the hand-over: docs/protocol.md. */
#include "handover/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "conn/conn.h"
#include "core/error.h"
#include "core/secret.h"
#include "core/sys.h"
#include "handover/link.h"
#include "handover/messages.h"
#include "handover/plain.h"
#include "handover/state.h"

#define SMALL_LEN 256
#define REQUEST 1
#define BEHIND_MS 10000 /* a daemon that is behind with hundreds of our messages */

struct sluice_worker {
	struct sluice *sluice;
	struct link *link;
	struct sluice_profile *profile; /* of the last connection */
	int fd;
	uint8_t *buf; /* wire_buffer_new() */
};

static int send_message(const struct sluice_worker *worker, const struct wire *wire)
{
	int r = channel_send(worker->fd, wire->buf, wire_end(wire), NULL, 0);

	while (r == -EAGAIN && worker_link_wait(worker->fd, POLLOUT, BEHIND_MS) == 0)
		r = channel_send(worker->fd, wire->buf, wire_end(wire), NULL, 0);
	if (r == -EPIPE || r == -ECONNRESET)
		return -SLUICE_E_CLOSED;
	return r < 0 ? -SLUICE_E_IO : 0;
}

static int send_simple(struct sluice_worker *worker, enum message_type type, uint32_t id,
		       uint64_t count)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), type, id);
	if (count)
		wire_put_u64(&wire, ATTR_COUNT, count);
	return send_message(worker, &wire);
}

int sluice_worker_attach(struct sluice *sluice, const char *path, struct sluice_worker **ret_worker,
			 struct sluice_error *ret_err)
{
	struct sluice_worker *worker = calloc(1, sizeof(*worker));
	int r;

	err_clear(ret_err);
	if (!worker)
		return err_set(ret_err, SLUICE_E_NOMEM, "attaching to a pool");
	worker->sluice = sluice_ref(sluice);
	worker->fd = -1;
	worker->link = worker_link_new(path);
	worker->buf = wire_buffer_new();
	if (worker->link && worker->buf)
		r = sluice_worker_reattach(worker, ret_err);
	else
		r = err_set(ret_err, SLUICE_E_NOMEM, "attaching to a pool");
	if (r < 0) {
		sluice_worker_free(worker);
		return r;
	}
	*ret_worker = worker;
	return 0;
}

int sluice_worker_reattach(struct sluice_worker *worker, struct sluice_error *ret_err)
{
	int fd;

	err_clear(ret_err);
	fd = worker_link_attach(worker->link, ret_err);
	if (fd < 0)
		return fd;
	worker_detach(worker);
	worker->fd = fd;
	return 0;
}

struct sluice_worker *sluice_worker_free(struct sluice_worker *worker)
{
	if (!worker)
		return NULL;
	worker_detach(worker);
	worker_link_unref(worker->link);
	wire_buffer_free(worker->buf);
	sluice_profile_unref(worker->profile);
	sluice_unref(worker->sluice);
	free(worker);
	return NULL;
}

int worker_attach_begin(struct sluice_worker *worker, struct sluice_error *ret_err)
{
	err_clear(ret_err);
	return worker_link_begin(worker->link, ret_err);
}

int worker_attach_end(struct sluice_worker *worker, int fd, struct sluice_error *ret_err)
{
	err_clear(ret_err);
	fd = worker_link_end(worker->link, fd, ret_err);
	if (fd < 0)
		return fd;
	worker_detach(worker);
	worker->fd = fd;
	return 0;
}

void worker_detach(struct sluice_worker *worker)
{
	if (worker->fd >= 0)
		sys->close(worker->fd);
	worker->fd = -1;
}

int sluice_worker_fd(const struct sluice_worker *worker)
{
	return worker->fd;
}

int sluice_worker_credit(struct sluice_worker *worker, unsigned int count)
{
	return count ? send_simple(worker, MSG_CREDIT, 0, count) : -SLUICE_E_INVALID;
}

int sluice_worker_drain(struct sluice_worker *worker)
{
	return send_simple(worker, MSG_DRAIN, 0, 0);
}

/* --- connections --------------------------------------------------------------------------- */

static uint64_t number_of(struct wire_reader reader, enum attr_type type)
{
	struct attr attr;
	uint64_t number;

	while (wire_next(&reader, &attr) == 1)
		if (attr.type == type && attr_u64(&attr, &number))
			return number;
	return 0;
}

int worker_conn(struct sluice_worker *worker, const uint8_t *message, size_t len,
		struct channel_fds *fds, struct sluice_conn **ret_conn, uint32_t *ret_id)
{
	struct wire_reader reader;
	struct wire_head head;
	struct sluice_conn *conn;
	uint64_t session;
	int r;

	if (!wire_open(&reader, message, len, &head) || head.type != MSG_CONNECTION || fds->n != 1)
		return -SLUICE_E_PROTOCOL;
	*ret_id = head.id;
	if (plain_is(reader))
		return -SLUICE_E_NOT_TLS;
	session = number_of(reader, ATTR_SESSION);
	r = state_read(&conn, worker->sluice, &worker->profile, &reader, fds->fds[0]);
	if (r < 0)
		return r;
	fds->n = 0;
	conn->session_id = session;
	r = worker_link_add(worker->link, conn);
	if (r < 0) {
		conn_free(conn);
		return r;
	}
	*ret_conn = conn;
	return 0;
}

ssize_t worker_recv(struct sluice_worker *worker, const uint8_t **ret_message,
		    struct channel_fds *ret_fds)
{
	ssize_t n = channel_recv(worker->fd, worker->buf, WIRE_MAX, ret_fds);

	*ret_message = worker->buf;
	if (n > 0)
		return n;
	if (n == 0)
		return -SLUICE_E_CLOSED;
	if (n == -EAGAIN)
		return -SLUICE_E_AGAIN;
	return n == -EMSGSIZE ? -SLUICE_E_PROTOCOL : -sys_errno_code((int)-n);
}

void worker_wipe(struct sluice_worker *worker, size_t len)
{
	secret_wipe(worker->buf, len);
}

/* --- what the daemon asks of a connection -------------------------------------------------- */

struct update {
	bool both;
	struct sluice_conn_info info; /* the answer: the epochs */
};

static int update(struct sluice_conn *conn, void *arg)
{
	struct update *update = arg;
	int r = sluice_update_keys(conn, update->both, SLUICE_NOWAIT);

	sluice_conn_info(conn, &update->info, sizeof(update->info));
	return r;
}

static int update_keys(struct sluice_worker *worker, uint32_t id, struct wire_reader reader)
{
	struct update asked = { .both = number_of(reader, ATTR_BOTH) != 0 };
	uint8_t buf[SMALL_LEN];
	struct wire wire;
	int r = worker_link_ask(worker->link, number_of(reader, ATTR_SESSION), update, &asked);

	wire_begin(&wire, buf, sizeof(buf), MSG_UPDATED, id);
	if (r < 0)
		wire_put_u64(&wire, ATTR_ERROR, (uint64_t)-r);
	wire_put_u64(&wire, ATTR_RX_EPOCH, asked.info.rx.epoch);
	wire_put_u64(&wire, ATTR_TX_EPOCH, asked.info.tx.epoch);
	return send_message(worker, &wire);
}

static int dismiss(struct sluice_conn *conn, void *arg)
{
	return conn_dismiss(conn);
}

int worker_request(struct sluice_worker *worker, const uint8_t *message, size_t len)
{
	struct wire_reader reader;
	struct wire_head head;

	if (!wire_open(&reader, message, len, &head))
		return 0;
	if (head.type == MSG_UPDATE_KEYS) {
		update_keys(worker, head.id,
			    reader); /* a daemon that is gone is met by the next call */
		return 1;
	}
	if (head.type == MSG_CLOSE) {
		worker_link_ask(worker->link, number_of(reader, ATTR_SESSION), dismiss, NULL);
		return 1;
	}
	return 0;
}

/* A connection without TLS. It is acknowledged in any case: nobody else could do more with it. */
static int take_plain(struct sluice_worker *worker, const uint8_t *message, size_t len, uint32_t id,
		      struct channel_fds *fds, struct sluice_plain *ret_plain)
{
	struct sluice_plain plain;
	struct wire_reader reader;
	struct wire_head head;
	int r;

	if (!wire_open(&reader, message, len, &head))
		return -SLUICE_E_PROTOCOL;
	r = plain_read(&plain, reader, fds->fds[0]);
	if (r == 0)
		r = send_simple(worker, MSG_ACK, id, 0);
	if (r < 0)
		return r;
	if (!ret_plain)
		return -SLUICE_E_NOT_TLS;
	channel_take_fd(fds);
	*ret_plain = plain;
	return 0;
}

static int take(struct sluice_worker *worker, const uint8_t *message, size_t len,
		struct channel_fds *fds, struct sluice_conn **ret_conn,
		struct sluice_plain *ret_plain)
{
	struct sluice_conn *conn;
	uint32_t id;
	int r;

	r = worker_conn(worker, message, len, fds, &conn, &id);
	if (r == -SLUICE_E_NOT_TLS)
		return take_plain(worker, message, len, id, fds, ret_plain);
	if (r < 0)
		return r;
	r = send_simple(worker, MSG_ACK, id, 0);
	if (r < 0) {
		conn_free(conn);
		return r;
	}
	*ret_conn = conn;
	return 0;
}

/*
 * One message. Returns 0: a connection, REQUEST: something else, which is done, or an error. *@ret_conn is
 * not written for a connection without TLS; @ret_plain: NULL: none is wanted.
 */
static int next(struct sluice_worker *worker, struct sluice_conn **ret_conn,
		struct sluice_plain *ret_plain)
{
	const uint8_t *message;
	struct channel_fds fds;
	ssize_t n = worker_recv(worker, &message, &fds);
	int r;

	if (n < 0)
		return (int)n;
	if (worker_request(worker, message, (size_t)n))
		r = REQUEST;
	else
		r = take(worker, message, (size_t)n, &fds, ret_conn, ret_plain);
	channel_close_fds(&fds);
	worker_wipe(worker, (size_t)n);
	return r;
}

static int wait_next(struct sluice_worker *worker, int timeout_ms, struct sluice_conn **ret_conn,
		     struct sluice_plain *ret_plain)
{
	uint64_t deadline = deadline_from(timeout_ms);
	int r;

	while ((r = next(worker, ret_conn, ret_plain)) == -SLUICE_E_AGAIN || r == REQUEST) {
		if (r == REQUEST)
			continue;
		if (timeout_ms == SLUICE_NOWAIT)
			return -SLUICE_E_AGAIN;
		if (worker_link_wait(worker->fd, POLLIN, timeout_until(deadline)) < 0)
			return -SLUICE_E_TIMEOUT;
	}
	return r;
}

int sluice_worker_next(struct sluice_worker *worker, int timeout_ms, struct sluice_conn **ret_conn)
{
	return wait_next(worker, timeout_ms, ret_conn, NULL);
}

int sluice_worker_next_any(struct sluice_worker *worker, int timeout_ms,
			   struct sluice_conn **ret_conn, struct sluice_plain *ret_plain,
			   size_t plain_size)
{
	struct sluice_plain plain;
	struct sluice_conn *conn = NULL;
	int r;

	if (!plain_size)
		return -SLUICE_E_INVALID;
	r = wait_next(worker, timeout_ms, &conn, &plain);
	if (r < 0)
		return r;
	*ret_conn = conn;
	if (conn)
		return 0;
	memset(ret_plain, 0, plain_size);
	memcpy(ret_plain, &plain, plain_size < sizeof(plain) ? plain_size : sizeof(plain));
	return 0;
}

uint64_t sluice_conn_session(const struct sluice_conn *conn)
{
	return conn->session_id;
}
