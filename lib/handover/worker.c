// SPDX-License-Identifier: Apache-2.0
/* A worker's end of the hand-over, and of the service that changes keys: docs/protocol.md. */
#include <sluice/worker.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn/conn.h"
#include "core/error.h"
#include "core/secret.h"
#include "core/sys.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/state.h"
#include "handover/worker.h"

#define SMALL_LEN 256
#define WELCOME_MS 5000
#define BEHIND_MS 10000 /* a daemon that is behind with hundreds of our messages */
#define REKEY_MS 2000   /* a daemon that is busy answers within a few hundred microseconds */

/* struct link - what the connections of a worker need of it; lives as long as one of them. */
struct link {
	struct home home;
	atomic_uint refs;
	pthread_mutex_t lock;
	int fd; /* for MSG_REKEY and MSG_ENDED */
};

struct sluice_worker {
	struct sluice *sluice;
	struct link *link;
	int fd;
	uint8_t *buf; /* WIRE_MAX bytes; secret memory */
};

static int wait_for(int fd, short events, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	uint64_t deadline = deadline_from(timeout_ms);
	int r;

	do {
		r = sys->poll(&pfd, 1, timeout_until(deadline));
	} while (r < 0 && errno == EINTR && sys->now_us() < deadline);
	return r > 0 ? 0 : -SLUICE_E_TIMEOUT;
}

/* --- new keys ------------------------------------------------------------------------------ */

/* Reads answers until the one to @id: an earlier one may have come too late. */
static int await_rekeyed(int fd, uint32_t id)
{
	uint8_t buf[SMALL_LEN];
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	struct attr attr;
	uint64_t error = 0;
	ssize_t n;

	do {
		if (wait_for(fd, POLLIN, REKEY_MS) < 0)
			return -SLUICE_E_REKEY;
		n = channel_recv(fd, buf, sizeof(buf), &fds);
		if (n == -EAGAIN)
			continue;
		if (n <= 0)
			return -SLUICE_E_REKEY;
		channel_close_fds(&fds);
		if (!wire_open(&reader, buf, (size_t)n, &head) || head.type != MSG_REKEYED)
			return -SLUICE_E_REKEY;
	} while (n == -EAGAIN || head.id != id);
	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_ERROR && !attr_u64(&attr, &error))
			return -SLUICE_E_REKEY;
	return error ? -SLUICE_E_REKEY : 0;
}

static int rekey(void *arg, struct sluice_conn *conn, enum ktls_direction dir)
{
	static atomic_uint last_id;
	struct link *link = arg;
	uint8_t buf[SMALL_LEN];
	struct wire wire;
	uint32_t id = atomic_fetch_add(&last_id, 1) + 1;
	int r;

	wire_begin(&wire, buf, sizeof(buf), MSG_REKEY, id);
	wire_put_u64(&wire, ATTR_SESSION, conn->session_id);
	wire_put_u64(&wire, ATTR_DIRECTION, dir == KTLS_TX);
	pthread_mutex_lock(&link->lock);
	r = channel_send(link->fd, buf, wire_end(&wire), &conn->fd, 1);
	r = r < 0 ? -SLUICE_E_REKEY : await_rekeyed(link->fd, id);
	pthread_mutex_unlock(&link->lock);
	return r;
}

static void link_unref(struct link *link)
{
	if (!link || atomic_fetch_sub(&link->refs, 1) != 1)
		return;
	if (link->fd >= 0)
		sys->close(link->fd);
	pthread_mutex_destroy(&link->lock);
	free(link);
}

/* For the daemon's records. If it is gone, or does not keep up, nobody waits for it. */
static void tell_end(const struct link *link, const struct sluice_conn *conn, const char *why)
{
	struct sluice_conn_info info;
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	sluice_conn_info(conn, &info, sizeof(info));
	wire_begin(&wire, buf, sizeof(buf), MSG_ENDED, 0);
	wire_put_u64(&wire, ATTR_SESSION, conn->session_id);
	wire_put_u64(&wire, ATTR_RX_BYTES, info.rx.bytes);
	wire_put_u64(&wire, ATTR_TX_BYTES, info.tx.bytes);
	wire_put_u64(&wire, ATTR_RX_EPOCH, info.rx.epoch);
	wire_put_u64(&wire, ATTR_TX_EPOCH, info.tx.epoch);
	wire_put_text(&wire, ATTR_TEXT, why);
	channel_send(link->fd, buf, wire_end(&wire), NULL, 0);
}

static void ended(void *arg, struct sluice_conn *conn)
{
	struct link *link = arg;

	if (conn)
		tell_end(link, conn, conn->err.code ? sluice_error_name(conn->err.code) : "closed");
	link_unref(link);
}

void worker_ended(struct sluice_conn *conn, const char *why)
{
	struct link *link = conn->home->arg;

	conn->home = NULL;
	tell_end(link, conn, why);
	link_unref(link);
}

static struct link *link_new(void)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	atomic_init(&link->refs, 1);
	pthread_mutex_init(&link->lock, NULL);
	link->fd = -1;
	link->home = (struct home){ rekey, ended, link };
	return link;
}

/* --- attaching ----------------------------------------------------------------------------- */

static int send_simple(struct sluice_worker *worker, enum message_type type, uint32_t id,
		       uint64_t count)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;
	int r;

	wire_begin(&wire, buf, sizeof(buf), type, id);
	if (count)
		wire_put_u64(&wire, ATTR_COUNT, count);
	r = channel_send(worker->fd, buf, wire_end(&wire), NULL, 0);
	while (r == -EAGAIN && wait_for(worker->fd, POLLOUT, BEHIND_MS) == 0)
		r = channel_send(worker->fd, buf, wire_end(&wire), NULL, 0);
	if (r == -EPIPE || r == -ECONNRESET)
		return -SLUICE_E_CLOSED;
	return r < 0 ? -SLUICE_E_IO : 0;
}

/* A refusal has its reason in words. */
static int read_welcome(struct sluice_worker *worker, struct sluice_error *err)
{
	char text[200] = "";
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	struct attr attr;
	ssize_t n;
	int r = 0;

	if (wait_for(worker->fd, POLLIN, WELCOME_MS) < 0)
		return err_set(err, SLUICE_E_CONNECT, "the daemon does not answer");
	n = channel_recv(worker->fd, worker->buf, WIRE_MAX, &fds);
	if (n ==
	    -ECONNRESET) /* unix(7): it did not read what we sent; what it said comes after that */
		n = channel_recv(worker->fd, worker->buf, WIRE_MAX, &fds);
	if (n <= 0)
		return err_set(err, SLUICE_E_CONNECT, "the daemon closed the connection");
	if (!wire_open(&reader, worker->buf, (size_t)n, &head)) {
		r = err_set(err, SLUICE_E_PROTOCOL, "the daemon speaks another version");
	} else if (head.type == MSG_REFUSED) {
		while (wire_next(&reader, &attr) == 1)
			if (attr.type == ATTR_TEXT)
				attr_text(&attr, text, sizeof(text));
		r = err_set(err, SLUICE_E_POLICY, "the daemon refuses: %s", text);
	} else if (head.type != MSG_WELCOME || fds.n != 1) {
		r = err_set(err, SLUICE_E_PROTOCOL, "the daemon does not welcome us");
	} else {
		worker->link->fd = channel_take_fd(&fds);
	}
	channel_close_fds(&fds);
	return r;
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
	worker->link = link_new();
	worker->buf = wire_buffer_new();
	worker->fd = channel_connect(path);
	if (worker->fd < 0)
		r = err_set_errno(ret_err, SLUICE_E_CONNECT, -worker->fd, "attaching to %s", path);
	else if (!worker->link || !worker->buf)
		r = err_set(ret_err, SLUICE_E_NOMEM, "attaching to a pool");
	else
		r = send_simple(worker, MSG_ATTACH, 0, 0);
	if (r == -SLUICE_E_IO)
		err_set(ret_err, SLUICE_E_IO, "attaching to %s", path);
	if (r == 0 || r == -SLUICE_E_CLOSED) /* a refusal may be there already */
		r = read_welcome(worker, ret_err);
	if (r < 0) {
		sluice_worker_free(worker);
		return r;
	}
	*ret_worker = worker;
	return 0;
}

struct sluice_worker *sluice_worker_free(struct sluice_worker *worker)
{
	if (!worker)
		return NULL;
	if (worker->fd >= 0)
		sys->close(worker->fd);
	link_unref(worker->link);
	wire_buffer_free(worker->buf);
	sluice_unref(worker->sluice);
	free(worker);
	return NULL;
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

static uint64_t session_of(struct wire_reader reader)
{
	struct attr attr;
	uint64_t session;

	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_SESSION && attr_u64(&attr, &session))
			return session;
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
	session = session_of(reader);
	r = state_read(&conn, worker->sluice, &reader, fds->fds[0]);
	if (r < 0)
		return r;
	fds->n = 0;
	conn->session_id = session;
	atomic_fetch_add(&worker->link->refs, 1);
	conn->home = &worker->link->home;
	*ret_conn = conn;
	*ret_id = head.id;
	return 0;
}

ssize_t worker_recv(struct sluice_worker *worker, const uint8_t **ret_message,
		    struct channel_fds *ret_fds)
{
	ssize_t n = channel_recv(worker->fd, worker->buf, WIRE_MAX, ret_fds);

	*ret_message = worker->buf;
	if (n > 0)
		return n;
	if (n == 0 || n == -ECONNRESET)
		return -SLUICE_E_CLOSED;
	if (n == -EAGAIN)
		return -SLUICE_E_AGAIN;
	return n == -EMSGSIZE ? -SLUICE_E_PROTOCOL : -sys_errno_code((int)-n);
}

void worker_wipe(struct sluice_worker *worker, size_t len)
{
	secret_wipe(worker->buf, len);
}

static int take(struct sluice_worker *worker, const uint8_t *message, size_t len,
		struct channel_fds *fds, struct sluice_conn **ret_conn)
{
	struct sluice_conn *conn;
	uint32_t id;
	int r;

	r = worker_conn(worker, message, len, fds, &conn, &id);
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

int sluice_worker_next(struct sluice_worker *worker, int timeout_ms, struct sluice_conn **ret_conn)
{
	const uint8_t *message;
	struct channel_fds fds;
	ssize_t n;
	int r;

	n = worker_recv(worker, &message, &fds);
	while (n == -SLUICE_E_AGAIN) {
		if (timeout_ms == SLUICE_NOWAIT)
			return -SLUICE_E_AGAIN;
		if (wait_for(worker->fd, POLLIN, timeout_ms) < 0)
			return -SLUICE_E_TIMEOUT;
		n = worker_recv(worker, &message, &fds);
	}
	if (n < 0)
		return (int)n;
	r = take(worker, message, (size_t)n, &fds, ret_conn);
	channel_close_fds(&fds);
	worker_wipe(worker, (size_t)n);
	return r;
}

uint64_t sluice_conn_session(const struct sluice_conn *conn)
{
	return conn->session_id;
}
