// SPDX-License-Identifier: Apache-2.0
/*
 * Connections outlive their worker object, and the daemon: a link is shared by all of a worker's, and
 * attaches by itself when keys must change and the daemon was restarted. Used by any thread.
 */
#include "handover/link.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "conn/epoch.h"
#include "core/error.h"
#include "core/sys.h"
#include "handover/channel.h"
#include "handover/guest.h"
#include "handover/messages.h"
#include "handover/wire.h"
#include "handover/worker.h"

#define SMALL_LEN 512
#define WELCOME_MS 5000
#define RETRY_MS 20
#define REKEY_MS 2000 /* a daemon that is busy answers within a few hundred microseconds */

struct link {
	struct guests guests;
	atomic_uint refs;
	pthread_mutex_t lock;
	int fd;      /* for MSG_REKEY and MSG_ENDED */
	int main_fd; /* of an attachment that was made for that one's sake; -1: the worker has it */
	char path[];
};

int worker_link_wait(int fd, short events, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	uint64_t deadline = deadline_from(timeout_ms);
	int r;

	do {
		r = sys->poll(&pfd, 1, timeout_until(deadline));
	} while (r < 0 && errno == EINTR && sys->now_us() < deadline);
	return r > 0 ? 0 : -SLUICE_E_TIMEOUT;
}

/* --- attaching ----------------------------------------------------------------------------- */

/*
 * A refusal has its reason in words. Waits at most @timeout_ms. Returns the second socket, or an error.
 */
static int read_welcome(int fd, int timeout_ms, struct sluice_error *err)
{
	uint8_t buf[SMALL_LEN];
	char text[200] = "";
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	struct attr attr;
	ssize_t n;
	int r;

	if (worker_link_wait(fd, POLLIN, timeout_ms) < 0)
		return err_set(err, SLUICE_E_CONNECT, "the daemon does not answer");
	n = channel_recv(fd, buf, sizeof(buf), &fds);
	if (n <= 0)
		return err_set(err, SLUICE_E_CONNECT, "the daemon closed the connection");
	if (!wire_open(&reader, buf, (size_t)n, &head)) {
		r = err_set(err, SLUICE_E_PROTOCOL, "the daemon speaks another version");
	} else if (head.type == MSG_REFUSED) {
		while (wire_next(&reader, &attr) == 1)
			if (attr.type == ATTR_TEXT)
				attr_text(&attr, text, sizeof(text));
		r = err_set(err, SLUICE_E_POLICY, "the daemon refuses: %s", text);
	} else if (head.type != MSG_WELCOME || fds.n != 1) {
		r = err_set(err, SLUICE_E_PROTOCOL, "the daemon does not welcome us");
	} else {
		r = channel_take_fd(&fds);
	}
	channel_close_fds(&fds);
	return r;
}

int worker_link_begin(const struct link *link, struct sluice_error *ret_err)
{
	int fd = channel_connect(link->path);
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	if (fd < 0)
		return err_set_errno(ret_err, SLUICE_E_CONNECT, -fd, "attaching to %s", link->path);
	wire_begin(&wire, buf, sizeof(buf), MSG_ATTACH, 0);
	wire_put_u64(&wire, ATTR_KNOWS, KNOWS_UPDATE_KEYS | KNOWS_CLOSE);
	channel_send(fd, buf, wire_end(&wire), NULL, 0); /* a refusal may be there already */
	return fd;
}

static void close_both(struct link *link)
{
	if (link->fd >= 0)
		sys->close(link->fd);
	if (link->main_fd >= 0)
		sys->close(link->main_fd);
	link->fd = link->main_fd = -1;
}

/* With the lock. @fd is closed if the daemon does not welcome us. */
static int welcomed(struct link *link, int fd, int timeout_ms, struct sluice_error *err)
{
	int second = read_welcome(fd, timeout_ms, err);

	if (second < 0) {
		sys->close(fd);
		return second;
	}
	close_both(link);
	link->fd = second;
	link->main_fd = fd;
	return 0;
}

/* With the lock. */
static int attach_again(struct link *link, struct sluice_error *err)
{
	int fd = worker_link_begin(link, err);

	return fd < 0 ? fd : welcomed(link, fd, WELCOME_MS, err);
}

static bool is_open(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLRDHUP };

	return fd >= 0 && sys->poll(&pfd, 1, 0) == 0;
}

static int take_main_fd(struct link *link)
{
	int fd = link->main_fd;

	link->main_fd = -1;
	return fd;
}

int worker_link_attach(struct link *link, struct sluice_error *ret_err)
{
	int r = 0;

	pthread_mutex_lock(&link->lock);
	if (!is_open(link->main_fd)) /* a connection may have been here first */
		r = attach_again(link, ret_err);
	if (r == 0)
		r = take_main_fd(link);
	pthread_mutex_unlock(&link->lock);
	return r;
}

/*
 * A connection that changed its keys meanwhile has attached, and is that attachment's session now: closing it
 * would end the session for the daemon. So ours is given up.
 */
int worker_link_end(struct link *link, int fd, struct sluice_error *ret_err)
{
	int r = 0;

	pthread_mutex_lock(&link->lock);
	if (is_open(link->main_fd))
		sys->close(fd);
	else
		r = welcomed(link, fd, 0, ret_err);
	if (r == 0)
		r = take_main_fd(link);
	pthread_mutex_unlock(&link->lock);
	return r;
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
		if (worker_link_wait(fd, POLLIN, REKEY_MS) < 0)
			return -SLUICE_E_REKEY;
		n = channel_recv(fd, buf, sizeof(buf), &fds);
		if (n == -EAGAIN)
			continue;
		if (n <= 0)
			return -SLUICE_E_CLOSED;
		channel_close_fds(&fds);
		if (!wire_open(&reader, buf, (size_t)n, &head) || head.type != MSG_REKEYED)
			return -SLUICE_E_REKEY;
	} while (n == -EAGAIN || head.id != id);
	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_ERROR && !attr_u64(&attr, &error))
			return -SLUICE_E_REKEY;
	return error ? -SLUICE_E_REKEY : 0;
}

/* One try. Returns 0, REKEY: refused, or CLOSED: the daemon is gone. */
static int try_rekey(struct link *link, const struct sluice_conn *conn, enum ktls_direction dir)
{
	static atomic_uint last_id;
	uint32_t id = atomic_fetch_add(&last_id, 1) + 1;
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_REKEY, id);
	wire_put_u64(&wire, ATTR_SESSION, conn->session_id);
	wire_put_u64(&wire, ATTR_DIRECTION, dir == KTLS_TX);
	if (channel_send(link->fd, buf, wire_end(&wire), &conn->fd, 1) < 0)
		return -SLUICE_E_CLOSED;
	return await_rekeyed(link->fd, id);
}

/* Nothing can be sent or received meanwhile: a daemon that is being restarted is waited for. */
static int rekey(void *arg, struct sluice_conn *conn, enum ktls_direction dir)
{
	uint64_t deadline = deadline_from(REKEY_MS);
	struct link *link = ((struct guest *)arg)->link;
	int r;

	pthread_mutex_lock(&link->lock);
	while ((r = try_rekey(link, conn, dir)) == -SLUICE_E_CLOSED && sys->now_us() < deadline)
		if (attach_again(link, NULL) < 0)
			sys->poll(NULL, 0, RETRY_MS);
	pthread_mutex_unlock(&link->lock);
	return r < 0 ? -SLUICE_E_REKEY : 0;
}

/* --- the end ------------------------------------------------------------------------------- */

/* For the daemon's records. If it is gone, or does not keep up, nobody waits for it. */
static void tell_end(struct link *link, const struct sluice_conn *conn, const char *why)
{
	socklen_t len = sizeof(uint64_t);
	struct sluice_conn_info info;
	uint8_t buf[SMALL_LEN];
	uint64_t cookie;
	struct wire wire;

	sluice_conn_info(conn, &info, sizeof(info));
	wire_begin(&wire, buf, sizeof(buf), MSG_ENDED, 0);
	wire_put_u64(&wire, ATTR_SESSION, conn->session_id);
	/* A daemon that was restarted without its memory may have given the number again. */
	if (sys->getsockopt(conn->fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0)
		wire_put_u64(&wire, ATTR_COOKIE, cookie);
	wire_put_u64(&wire, ATTR_RX_BYTES, info.rx.bytes);
	wire_put_u64(&wire, ATTR_TX_BYTES, info.tx.bytes);
	wire_put_u64(&wire, ATTR_RX_EPOCH, info.rx.epoch);
	wire_put_u64(&wire, ATTR_TX_EPOCH, info.tx.epoch);
	wire_put_u64(&wire, ATTR_RX_RECORDS, info.rx.records);
	wire_put_u64(&wire, ATTR_TX_RECORDS, info.tx.records);
	wire_put_text(&wire, ATTR_TEXT, why);
	pthread_mutex_lock(&link->lock);
	channel_send(link->fd, buf, wire_end(&wire), NULL, 0);
	pthread_mutex_unlock(&link->lock);
}

static void ended(void *arg, struct sluice_conn *conn)
{
	struct guest *guest = arg;
	struct link *link = guest->link;

	guest_remove(guest, &link->guests);
	if (conn)
		tell_end(link, conn, conn->err.code ? sluice_error_name(conn->err.code) : "closed");
	guest_free(guest, &link->guests);
	worker_link_unref(link);
}

void worker_ended(struct sluice_conn *conn, const char *why)
{
	struct guest *guest = conn->home->arg;
	struct link *link = guest->link;

	conn->home = NULL;
	if (!conn->tx_traffic)
		epoch_forget_update(conn); /* close_notify goes out under the present key */
	guest_free(guest, &link->guests);
	tell_end(link, conn, why);
	worker_link_unref(link);
}

static void depart(void *arg)
{
	struct guest *guest = arg;

	guest_remove(guest, &guest->link->guests);
}

static const struct home_ops home_ops = {
	.rekey = rekey,
	.ended = ended,
	.enter = guest_enter,
	.leave = guest_leave,
	.depart = depart,
};

/* --- the object ---------------------------------------------------------------------------- */

struct link *worker_link_new(const char *path)
{
	struct link *link = calloc(1, sizeof(*link) + strlen(path) + 1);

	if (!link)
		return NULL;
	atomic_init(&link->refs, 1);
	pthread_mutex_init(&link->lock, NULL);
	pthread_mutex_init(&link->guests.lock, NULL);
	link->fd = link->main_fd = -1;
	strcpy(link->path, path);
	return link;
}

struct link *worker_link_ref(struct link *link)
{
	atomic_fetch_add(&link->refs, 1);
	return link;
}

int worker_link_add(struct link *link, struct sluice_conn *conn)
{
	struct guest *guest = guest_new(conn, &link->guests);

	if (!guest)
		return -SLUICE_E_NOMEM;
	guest->link = worker_link_ref(link);
	guest->home.ops = &home_ops;
	conn->home = &guest->home;
	return 0;
}

int worker_link_ask(struct link *link, uint64_t session, guest_ask *ask, void *arg)
{
	return guests_ask(&link->guests, session, ask, arg);
}

void worker_link_unref(struct link *link)
{
	if (!link || atomic_fetch_sub(&link->refs, 1) != 1)
		return;
	close_both(link);
	pthread_mutex_destroy(&link->guests.lock);
	pthread_mutex_destroy(&link->lock);
	free(link);
}
