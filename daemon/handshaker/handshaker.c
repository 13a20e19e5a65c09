// SPDX-License-Identifier: Apache-2.0
/*
 * sluice-handshaker: runs the handshakes that the broker gives it, many at a time, with profiles from
 * the catalogue and private keys that the keeper has. It has no files, no keys and no privileges, only
 * the sockets that it is given; what comes of a handshake, with the secrets, goes to the broker, and the
 * socket with it. If it crashes on what a peer sent, these handshakes are lost and nothing else.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/catalog.h"
#include "common/loop.h"
#include "common/process.h"
#include "conn/conn.h"
#include "conn/handshake.h"
#include "core/secret.h"
#include "core/sys.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/state.h"
#include "handover/wire.h"

#define MAX_HANDSHAKES 16384
#define SLOT_BITS 14

/* struct session - a handshake, or the end of one that failed. */
struct session {
	struct watch watch;
	struct sluice_conn *conn;
	struct sluice_profile *profile; /* of the listener */
	struct catalog *catalog;
	uint64_t id;
	uint32_t slot;
	size_t profile_index;
	bool chosen;  /* the host is known */
	bool failed;  /* told to the broker; only the end is left */
	bool waiting; /* for the keeper's answer to @request */
	uint32_t request;
	uint64_t since_us; /* when it began to wait */
	uint64_t queue_us, network_us, sign_us;
};

static struct handshaker {
	struct loop loop;
	struct watch broker, keeper;
	struct sluice *sluice;
	struct catalog *catalog;
	struct signer signer;
	struct session *sessions[MAX_HANDSHAKES];
	uint32_t free_slots[MAX_HANDSHAKES];
	uint32_t n_free, n_sessions;
	uint32_t last_request;
	uint8_t *buf; /* WIRE_MAX bytes; secret memory */
} self;

/* --- where the time goes ------------------------------------------------------------------------ */

/* What has passed since pause_clock() went to the keeper, or else to the peer. */
static void resume_clock(struct session *session)
{
	uint64_t now = sys->now_us();

	*(session->waiting ? &session->sign_us : &session->network_us) += now - session->since_us;
	session->since_us = now;
}

static void pause_clock(struct session *session)
{
	session->since_us = sys->now_us();
}

static void put_times(const struct session *session, struct wire *wire)
{
	wire_put_u64(wire, ATTR_QUEUE_US, session->queue_us);
	wire_put_u64(wire, ATTR_NETWORK_US, session->network_us);
	wire_put_u64(wire, ATTR_SIGN_US, session->sign_us);
	wire_put_u64(wire, ATTR_VERIFY_US, session->conn ? session->conn->verify_us : 0);
}

/* --- the end of a session --------------------------------------------------------------------- */

static void session_free(struct session *session)
{
	loop_forget(&self.loop, &session->watch);
	self.sessions[session->slot] = NULL;
	self.free_slots[self.n_free++] = session->slot;
	self.loop.quiet = --self.n_sessions == 0;
	sluice_profile_unref(session->profile);
	catalog_unref(session->catalog);
	free(session);
}

static void send_to_broker(const struct wire *wire, const int *fd)
{
	size_t len = wire_end(wire);
	struct pollfd pfd = { .fd = self.broker.fd, .events = POLLOUT };
	int r;

	while ((r = channel_send(self.broker.fd, self.buf, len, fd, fd ? 1 : 0)) == -EAGAIN)
		poll(&pfd, 1, -1); /* it is behind: so are we */
	secret_wipe(self.buf, len);
	if (r < 0)
		exit(0); /* the broker is gone */
}

static void tell_failure(struct session *session, int code)
{
	struct sluice_error err = { .alert = -1 };
	struct sluice_conn_info info = { 0 };
	struct wire wire;

	if (session->conn) {
		sluice_conn_error(session->conn, &err, sizeof(err));
		sluice_conn_info(session->conn, &info, sizeof(info));
	}
	wire_begin(&wire, self.buf, WIRE_MAX, MSG_FAILED, session->slot);
	wire_put_u64(&wire, ATTR_SESSION, session->id);
	wire_put_u64(&wire, ATTR_ERROR, (uint64_t)(err.code ? err.code : -code));
	wire_put_text(&wire, ATTR_TEXT, err.text);
	if (err.alert >= 0) {
		wire_put_u64(&wire, ATTR_ALERT, (uint64_t)err.alert);
		wire_put_u64(&wire, ATTR_ALERT_SENT, (uint64_t)err.alert_sent);
	}
	wire_put_u64(&wire, ATTR_STAGE, (uint64_t)err.stage);
	wire_put_text(&wire, ATTR_SNI, info.sni);
	put_times(session, &wire);
	send_to_broker(&wire, NULL);
}

/* The alert is waited for, but no longer than alert_timeout. */
static void close_step(struct session *session)
{
	int events;

	loop_forget(&self.loop, &session->watch);
	if (sluice_close_nowait(session->conn) != -SLUICE_E_AGAIN) {
		session_free(session);
		return;
	}
	events = sluice_conn_events(session->conn);
	loop_watch(&self.loop, &session->watch,
		   (events & POLLIN ? EPOLLIN : 0) | (events & POLLOUT ? EPOLLOUT : 0) |
			   EPOLLRDHUP);
}

static void fail(struct session *session, int code)
{
	tell_failure(session, code);
	session->failed = true;
	session->waiting = false;
	if (session->conn)
		close_step(session);
	else
		session_free(session);
}

/* --- a handshake ------------------------------------------------------------------------------ */

static void established(struct session *session)
{
	struct wire wire;
	int fd = sluice_conn_fd(session->conn);

	wire_begin(&wire, self.buf, WIRE_MAX, MSG_ESTABLISHED, session->slot);
	wire_put_u64(&wire, ATTR_SESSION, session->id);
	put_times(session, &wire);
	if (state_write(session->conn, &wire) < 0 || !wire_end(&wire)) {
		fail(session, -SLUICE_E_INTERNAL);
		return;
	}
	send_to_broker(&wire, &fd);
	loop_forget(&self.loop, &session->watch);
	state_release(session->conn);
	session_free(session);
}

/* The hello is here: which host is it for? */
static int choose(struct session *session)
{
	struct sluice_profile *profile;
	struct sluice_hello hello;
	int r = sluice_hello(session->conn, &hello, sizeof(hello));

	if (r < 0)
		return r;
	session->chosen = true;
	profile = catalog_host(session->catalog, session->profile_index, hello.sni);
	if (!profile) {
		sluice_abort(session->conn, SLUICE_ALERT_UNRECOGNIZED_NAME);
		return -SLUICE_E_POLICY;
	}
	r = handshake_use_profile(session->conn, profile);
	return r < 0 ? r : sluice_handshake_continue(session->conn, NULL, SLUICE_NOWAIT);
}

static void go_on(struct session *session, int r)
{
	int events;

	if (r == SLUICE_PAUSED && !session->chosen)
		r = choose(session);
	if (r == 0) {
		established(session);
		return;
	}
	if (r != -SLUICE_E_AGAIN) {
		fail(session, r);
		return;
	}
	pause_clock(session);
	events = sluice_conn_events(session->conn);
	if (!events && !session->watch.added)
		return; /* the keeper's answer or the deadline is next */
	if (loop_watch(&self.loop, &session->watch,
		       (events & POLLIN ? EPOLLIN : 0) | (events & POLLOUT ? EPOLLOUT : 0)) < 0)
		fail(session, -SLUICE_E_NOMEM);
}

static void dispatch(struct session *session)
{
	resume_clock(session);
	go_on(session, sluice_conn_dispatch(session->conn));
}

static void session_ready(struct watch *watch, uint32_t events)
{
	struct session *session = (struct session *)watch;

	if (session->failed) {
		close_step(session);
	} else if (session->waiting && !(events & (EPOLLIN | EPOLLOUT))) {
		/* The peer is gone; the keeper's answer finds that out. */
		loop_forget(&self.loop, watch);
	} else {
		dispatch(session);
	}
}

/* --- the keeper ------------------------------------------------------------------------------- */

static bool ask_keeper(void *arg, struct sluice_conn *conn, uint16_t algorithm, const uint8_t *in,
		       size_t in_len)
{
	const uint8_t *key_id = catalog_key_id(conn->profile);
	struct session *session = self.sessions[conn->session_id % MAX_HANDSHAKES];
	uint8_t buf[SIGNER_MAX_INPUT + 256];
	struct wire wire;

	if (!key_id || !session || session->conn != conn)
		return false;
	/* Where the answer goes. Its slot may have another session by then. */
	session->request = session->slot | ++self.last_request << SLOT_BITS;
	wire_begin(&wire, buf, sizeof(buf), MSG_SIGN, session->request);
	wire_put_u64(&wire, ATTR_SESSION, session->id);
	wire_put(&wire, ATTR_KEY_ID, key_id, 32);
	wire_put_u64(&wire, ATTR_ALGORITHM, algorithm);
	wire_put(&wire, ATTR_INPUT, in, in_len);
	session->waiting = true;
	return wire_end(&wire) && channel_send(self.keeper.fd, buf, wire_end(&wire), NULL, 0) == 0;
}

static void take_signature(struct session *session, struct wire_reader *reader)
{
	struct attr attr, output = { 0 };

	while (wire_next(reader, &attr) == 1)
		if (attr.type == ATTR_OUTPUT)
			output = attr;
	resume_clock(session);
	session->waiting = false;
	if (signer_finish(session->conn, output.bytes, output.len))
		dispatch(session);
}

/* What it was asked is lost; the broker starts a new one and sends a channel to it (MSG_CHANNEL). */
static void lose_keeper(void)
{
	struct session *session;
	uint32_t i;

	if (self.keeper.fd < 0)
		return;
	loop_forget(&self.loop, &self.keeper);
	close(self.keeper.fd);
	self.keeper.fd = -1;
	for (i = 0; i < MAX_HANDSHAKES; i++) {
		session = self.sessions[i];
		if (!session || !session->waiting)
			continue;
		resume_clock(session);
		session->waiting = false;
		if (signer_finish(session->conn, NULL, 0))
			dispatch(session);
	}
}

static void keeper_ready(struct watch *watch, uint32_t events)
{
	uint8_t buf[SIGNER_MAX_OUTPUT + 256];
	struct wire_reader reader;
	struct channel_fds fds;
	struct session *session;
	struct wire_head head;
	ssize_t n = channel_recv(watch->fd, buf, sizeof(buf), &fds);

	if (n == -EAGAIN)
		return;
	channel_close_fds(&fds);
	if (n <= 0 || !wire_open(&reader, buf, (size_t)n, &head) || head.type != MSG_SIGNED) {
		lose_keeper();
		return;
	}
	session = self.sessions[head.id % MAX_HANDSHAKES];
	if (session && session->waiting && session->request == head.id)
		take_signature(session, &reader);
	secret_wipe(buf, sizeof(buf));
}

/* --- the broker ------------------------------------------------------------------------------- */

static struct session *session_new(uint64_t id, size_t profile_index)
{
	struct session *session = self.n_free ? calloc(1, sizeof(*session)) : NULL;

	if (!session)
		return NULL;
	session->id = id;
	session->slot = self.free_slots[--self.n_free];
	session->watch = (struct watch){ .fd = -1, .ready = session_ready };
	session->catalog = catalog_ref(self.catalog);
	session->profile_index = profile_index;
	self.sessions[session->slot] = session;
	self.n_sessions++;
	self.loop.quiet = false;
	return session;
}

/* Owns @fd. */
static void start(struct session *session, int fd)
{
	struct sluice_error err;
	int r;

	session->profile = catalog_profile(session->catalog, session->profile_index);
	if (!session->profile) {
		close(fd);
		fail(session, -SLUICE_E_NOMEM);
		return;
	}
	r = fd_conn_new(self.sluice, fd, NULL, session->profile, NULL, SLUICE_SERVER,
			&session->conn, &err);
	if (r < 0) {
		close(fd);
		fail(session, r);
		return;
	}
	session->watch.fd = fd;
	session->conn->keep_keys = true;
	session->conn->session_id = session->slot;
	go_on(session, sluice_handshake(session->conn, NULL, SLUICE_NOWAIT));
}

static void take_handshake(struct wire_reader *reader, struct channel_fds *fds)
{
	uint64_t id = 0, profile = 0, accepted_us = 0, now_us = sys->now_us();
	struct session *session;
	struct attr attr;
	int fd = channel_take_fd(fds);

	while (wire_next(reader, &attr) == 1) {
		if (attr.type == ATTR_SESSION)
			attr_u64(&attr, &id);
		if (attr.type == ATTR_PROFILE)
			attr_u64(&attr, &profile);
		if (attr.type == ATTR_ACCEPTED_US)
			attr_u64(&attr, &accepted_us);
	}
	session = fd < 0 ? NULL : session_new(id, profile);
	if (session) {
		session->queue_us = now_us - accepted_us;
		start(session, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	session = &(struct session){ .id = id };
	tell_failure(session, -SLUICE_E_NOMEM);
}

/* Handshakes that have begun keep what they began with. */
static void take_catalog(struct channel_fds *fds)
{
	struct catalog *catalog;
	int fd = channel_take_fd(fds);

	if (fd < 0 || catalog_open(&catalog, fd) < 0)
		return;
	catalog_set_signer(catalog, &self.signer);
	catalog_unref(self.catalog);
	self.catalog = catalog;
}

static void take_channel(struct channel_fds *fds)
{
	lose_keeper();
	self.keeper.fd = channel_take_fd(fds);
	if (self.keeper.fd >= 0)
		loop_watch(&self.loop, &self.keeper, EPOLLIN);
}

static void broker_ready(struct watch *watch, uint32_t events)
{
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	ssize_t n = channel_recv(watch->fd, self.buf, WIRE_MAX, &fds);

	if (n == -EAGAIN)
		return;
	if (n <= 0 || !wire_open(&reader, self.buf, (size_t)n, &head))
		exit(0);
	if (head.type == MSG_CONFIG)
		take_catalog(&fds);
	else if (head.type == MSG_CHANNEL)
		take_channel(&fds);
	else if (head.type == MSG_HANDSHAKE && self.catalog)
		take_handshake(&reader, &fds);
	channel_close_fds(&fds);
}

/* Deadlines. */
static void tick(struct loop *loop, void *arg)
{
	struct session *session;
	uint32_t i, left = self.n_sessions;

	for (i = 0; i < MAX_HANDSHAKES && left; i++) {
		session = self.sessions[i];
		if (!session)
			continue;
		left--;
		if (sluice_conn_timeout(session->conn) != 0)
			continue;
		if (session->failed)
			close_step(session);
		else
			dispatch(session);
	}
}

static int prepare(void)
{
	struct sluice_error err;
	uint32_t i;
	int r;

	for (i = 0; i < MAX_HANDSHAKES; i++)
		self.free_slots[self.n_free++] = MAX_HANDSHAKES - 1 - i;
	self.signer = (struct signer){ ask_keeper, NULL };
	self.buf = wire_buffer_new();
	r = self.buf ? loop_init(&self.loop, tick, NULL) : -ENOMEM;
	if (r == 0 && sluice_start(&self.sluice, SLUICE_PERMANENT, &err) < 0)
		r = -ENOMEM;
	self.broker = (struct watch){ .fd = CHILD_BROKER_FD, .ready = broker_ready };
	self.keeper = (struct watch){ .fd = CHILD_KEEPER_FD, .ready = keeper_ready };
	if (r == 0)
		r = loop_watch(&self.loop, &self.broker, EPOLLIN);
	if (r == 0)
		r = loop_watch(&self.loop, &self.keeper, EPOLLIN);
	return r;
}

int main(void)
{
	struct wire wire;
	int r = prepare();

	if (r == 0)
		r = process_confine(CONFINE_HANDSHAKER, process_id(PROCESS_UID),
				    process_id(PROCESS_GID));
	if (r == 0) {
		wire_begin(&wire, self.buf, WIRE_MAX, MSG_READY, 0);
		send_to_broker(&wire, NULL);
		r = loop_run(&self.loop);
	}
	fprintf(stderr, "sluice-handshaker: %s\n", strerror(-r));
	return 1;
}
