// SPDX-License-Identifier: Apache-2.0
/*
 * sluice-handshaker: runs the handshakes that the broker gives it, many at a time, with profiles from
 * the catalogue and private keys that the keeper has. It has no files, no keys and no privileges, only
 * the sockets that it is given; what comes of a handshake, with the secrets, goes to the broker,
 * which has kept the socket that it accepted. If it crashes on what a peer sent, these handshakes are lost and nothing else.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/catalog.h"
#include "common/loop.h"
#include "common/permit.h"
#include "common/process.h"
#include "common/rules.h"
#include "conn/conn.h"
#include "conn/handshake.h"
#include "core/secret.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/state.h"
#include "handover/wire.h"
#include "handshaker/handshaker.h"
#include "handshaker/trace.h"

#define ALIVE_MS 200 /* while it has handshakes it says something that often */

struct handshaker self;

/* --- the end of a session --------------------------------------------------------------------- */

void session_free(struct session *session)
{
	loop_forget(&self.loop, &session->watch);
	self.sessions[session->slot] = NULL;
	self.free_slots[self.n_free++] = session->slot;
	self.loop.quiet = --self.n_sessions == 0;
	free(session->proxy);
	free(session->host);
	sluice_profile_unref(session->profile);
	sluice_options_free(session->extra);
	catalog_unref(session->catalog);
	free(session);
}

void send_to_broker(const struct wire *wire)
{
	size_t len = wire_end(wire);
	struct pollfd pfd = { .fd = self.broker.fd, .events = POLLOUT };
	int r;

	while ((r = channel_send(self.broker.fd, self.buf, len, NULL, 0)) == -EAGAIN)
		poll(&pfd, 1, -1); /* it is behind: so are we */
	secret_wipe(self.buf, len);
	if (r < 0)
		exit(0); /* the broker is gone */
	self.told_ms = self.loop.now_ms;
}

static void tell_ready(void)
{
	struct wire wire;

	wire_begin(&wire, self.buf, WIRE_MAX, MSG_READY, 0);
	send_to_broker(&wire);
}

void tell_failure(struct session *session, int code, const char *text)
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
	wire_put_text(&wire, ATTR_TEXT, err.code ? err.text : text);
	if (err.alert >= 0) {
		wire_put_u64(&wire, ATTR_ALERT, (uint64_t)err.alert);
		wire_put_u64(&wire, ATTR_ALERT_SENT, (uint64_t)err.alert_sent);
	}
	wire_put_u64(&wire, ATTR_STAGE, (uint64_t)err.stage);
	wire_put_text(&wire, ATTR_SNI, info.sni);
	times_put(session, &wire);
	send_to_broker(&wire);
}

/* The alert is waited for, but no longer than alert_timeout. */
static void close_step(struct session *session)
{
	const struct linger none = { 0 };
	int events;

	loop_forget(&self.loop, &session->watch);
	/* Whose program has a descriptor too may have made close(2) wait for the peer. */
	setsockopt(session->watch.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	if (sluice_close_nowait(session->conn) != -SLUICE_E_AGAIN) {
		session_free(session);
		return;
	}
	events = sluice_conn_events(session->conn);
	loop_watch(&self.loop, &session->watch,
		   (events & POLLIN ? EPOLLIN : 0) | (events & POLLOUT ? EPOLLOUT : 0) |
			   EPOLLRDHUP);
}

void session_fail(struct session *session, int code)
{
	tell_failure(session, code, NULL);
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

	wire_begin(&wire, self.buf, WIRE_MAX, MSG_ESTABLISHED, session->slot);
	wire_put_u64(&wire, ATTR_SESSION, session->id);
	times_put(session, &wire);
	session->conn->info.bad_certs |= session->bad_certs;
	wire_put_u64(&wire, ATTR_WARN_BAD_CERTS, session->warn_bad_certs);
	if (state_write(session->conn, &wire) < 0 || !wire_end(&wire)) {
		session_fail(session, -SLUICE_E_INTERNAL);
		return;
	}
	if (session->conn->profile->verify_peer)
		judge_put_chain(&wire, session->conn->peer_chain);
	/* The broker has its own descriptor: when it goes on, nobody here has one any more. */
	loop_forget(&self.loop, &session->watch);
	state_release(session->conn);
	session_free(session);
	send_to_broker(&wire);
}

struct sluice_profile *session_adapt(const struct session *session, struct sluice_profile *profile)
{
	struct sluice_profile *derived = NULL;

	if (!session->extra || !profile)
		return profile;
	if (profile_derive(&derived, profile, session->extra, NULL) == 0) {
		derived->origin = profile->origin;
		derived->pause_hello = profile->pause_hello;
	}
	sluice_profile_unref(profile);
	return derived;
}

static void tell_host(const struct session *session, const struct sluice_profile *profile)
{
	struct sluice_profile *other = catalog_host(session->catalog, session->profile_index, NULL);

	trace_host(self.broker.fd, session->id, catalog_key_id(profile, 0), profile == other);
	sluice_profile_unref(other);
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
	if (session->traced)
		trace_hello(self.broker.fd, session->id, &hello);
	profile = catalog_host(session->catalog, session->profile_index, hello.sni);
	if (!profile) {
		sluice_abort(session->conn, SLUICE_ALERT_UNRECOGNIZED_NAME);
		return -SLUICE_E_POLICY;
	}
	if (session->traced)
		tell_host(session, profile);
	profile = session_adapt(session, profile);
	if (!profile)
		return -SLUICE_E_NOMEM;
	r = handshake_use_profile(session->conn, profile);
	return r < 0 ? r : sluice_handshake_continue(session->conn, NULL, SLUICE_NOWAIT);
}

/* What the peer sends meanwhile stays in its socket. */
static void await_decision(struct session *session)
{
	times_pause(session);
	loop_forget(&self.loop, &session->watch);
}

void session_go_on(struct session *session, int r)
{
	int events;

	if (r == SLUICE_PAUSED && !session->deciding && !session->chosen)
		r = choose(session);
	if (r == SLUICE_PAUSED && session->deciding) {
		await_decision(session);
		return;
	}
	if (r == 0) {
		established(session);
		return;
	}
	if (r != -SLUICE_E_AGAIN) {
		session_fail(session, r);
		return;
	}
	times_pause(session);
	events = sluice_conn_events(session->conn);
	if (!events && !session->watch.added)
		return; /* the keeper's answer or the deadline is next */
	if (loop_watch(&self.loop, &session->watch,
		       (events & POLLIN ? EPOLLIN : 0) | (events & POLLOUT ? EPOLLOUT : 0)) < 0)
		session_fail(session, -SLUICE_E_NOMEM);
}

void session_dispatch(struct session *session)
{
	times_resume(session);
	session_go_on(session, sluice_conn_dispatch(session->conn));
}

static void session_ready(struct watch *watch, uint32_t events)
{
	struct session *session = (struct session *)watch;

	if (session->greeting != GREETING_DONE) {
		times_resume(session);
		greeting_go_on(session);
	} else if (session->failed) {
		close_step(session);
	} else if (session->waiting && !(events & (EPOLLIN | EPOLLOUT))) {
		/* The peer is gone; the keeper's answer finds that out. */
		loop_forget(&self.loop, watch);
	} else {
		session_dispatch(session);
	}
}

/* --- the broker ------------------------------------------------------------------------------- */

/* struct request - a MSG_HANDSHAKE. */
struct request {
	uint64_t id, profile, role, plain, expects, hello_ms, traced, accepted_us;
	char host[254], alpn[256]; /* "": none */
	uint8_t permit[PERMIT_LEN];
};

static bool read_request(struct request *request, struct wire_reader *reader)
{
	struct attr attr;
	bool good = true;

	*request = (struct request){ .role = SLUICE_SERVER };
	while (good && wire_next(reader, &attr) == 1) {
		if (attr.type == ATTR_SESSION)
			good = attr_u64(&attr, &request->id);
		else if (attr.type == ATTR_PROFILE)
			good = attr_u64(&attr, &request->profile);
		else if (attr.type == ATTR_ROLE)
			good = attr_u64(&attr, &request->role);
		else if (attr.type == ATTR_PLAIN)
			good = attr_u64(&attr, &request->plain);
		else if (attr.type == ATTR_EXPECTS)
			good = attr_u64(&attr, &request->expects);
		else if (attr.type == ATTR_HELLO_TIMEOUT)
			good = attr_u64(&attr, &request->hello_ms);
		else if (attr.type == ATTR_ACCEPTED_US)
			good = attr_u64(&attr, &request->accepted_us);
		else if (attr.type == ATTR_TRACE)
			good = attr_u64(&attr, &request->traced);
		else if (attr.type == ATTR_PERMIT && attr.len == PERMIT_LEN)
			memcpy(request->permit, attr.bytes, PERMIT_LEN);
		else if (attr.type == ATTR_HOST)
			good = attr_text(&attr, request->host, sizeof(request->host));
		else if (attr.type == ATTR_ALPN)
			good = attr_text(&attr, request->alpn, sizeof(request->alpn));
	}
	return good;
}

/* A program without TLS can use a socket whose records the kernel makes, and no other. */
static int make_extra(struct sluice_options **ret_extra, const struct request *request)
{
	struct sluice_options *extra;
	int r = 0;

	*ret_extra = NULL;
	if (!request->plain && !request->alpn[0])
		return 0;
	if (sluice_options_new(&extra) < 0)
		return -SLUICE_E_NOMEM;
	if (request->plain)
		r = sluice_options_set(extra, SLUICE_OPT_RECORD_PATH, "kernel", NULL);
	if (r == 0 && request->alpn[0])
		r = sluice_options_set(extra, SLUICE_OPT_ALPN_ADVERTISED_PROTOCOLS, request->alpn,
				       NULL);
	if (r < 0)
		sluice_options_free(extra);
	else
		*ret_extra = extra;
	return r;
}

static struct session *session_new(const struct request *request)
{
	struct session *session = self.n_free ? calloc(1, sizeof(*session)) : NULL;

	if (!session)
		return NULL;
	if (request->role == SLUICE_CLIENT && request->host[0])
		session->host = strdup(request->host);
	if ((request->host[0] && request->role == SLUICE_CLIENT && !session->host) ||
	    make_extra(&session->extra, request) < 0) {
		free(session->host);
		free(session);
		return NULL;
	}
	session->id = request->id;
	memcpy(session->permit, request->permit, PERMIT_LEN);
	session->slot = self.free_slots[--self.n_free];
	session->watch = (struct watch){ .fd = -1, .ready = session_ready };
	session->catalog = catalog_ref(self.catalog);
	session->role = (enum sluice_role)request->role;
	session->profile_index = request->profile;
	session->expects = (uint8_t)request->expects;
	session->traced = request->traced;
	times_begin(session, request->accepted_us);
	session->since_ms = self.loop.now_ms;
	session->hello_ms = request->hello_ms ? session->since_ms + request->hello_ms : UINT64_MAX;
	self.sessions[session->slot] = session;
	self.n_sessions++;
	self.loop.quiet = false;
	return session;
}

static void take_handshake(struct wire_reader *reader, struct channel_fds *fds)
{
	struct session *session = NULL, unmade = { .id = 0 };
	struct request request;
	int fd = channel_take_fd(fds);

	if (read_request(&request, reader) && fd >= 0)
		session = session_new(&request);
	if (session) {
		session->watch.fd = fd;
		greeting_begin(session);
		return;
	}
	if (fd >= 0)
		close(fd);
	unmade.id = request.id;
	tell_failure(&unmade, -SLUICE_E_NOMEM, NULL);
}

/* Nobody waits for it any more, or its source may not: nothing is told. */
static void take_cancel(struct wire_reader *reader)
{
	struct session *session;
	struct request request;
	uint32_t i;

	if (!read_request(&request, reader))
		return;
	for (i = 0; i < MAX_HANDSHAKES; i++) {
		session = self.sessions[i];
		if (!session || session->id != request.id || session->failed)
			continue;
		if (session->conn) {
			session->failed = true;
			session->waiting = false;
			close_step(session);
		} else {
			greeting_end(session);
		}
		return;
	}
}

/* Handshakes that have begun keep what they began with. */
static void take_catalog(struct channel_fds *fds)
{
	struct catalog *catalog;
	int fd = channel_take_fd(fds);

	if (fd < 0 || catalog_open(&catalog, fd) < 0)
		return;
	catalog_set_signer(catalog, &self.signer);
	catalog_set_verify_fun(catalog, policy_verify);
	catalog_set_crls(catalog, &self.crls);
	catalog_unref(self.catalog);
	self.catalog = catalog;
}

/* An older set would pass what has been revoked since: without memory it is for another process. */
static void take_crls(struct channel_fds *fds)
{
	int fd = channel_take_fd(fds);

	if (fd < 0)
		return;
	if (crl_cache_take(&self.crls, fd) < 0)
		exit(1);
	close(fd);
}

static void take_channel(struct channel_fds *fds)
{
	keeper_lose();
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
	if (n <= 0 ||
	    rules_open(ROUTE_BROKER_TO_HANDSHAKER, NULL, self.buf, (size_t)n, &fds, &reader, &head))
		exit(0);
	if (head.type == MSG_CONFIG)
		take_catalog(&fds);
	else if (head.type == MSG_CRLS)
		take_crls(&fds);
	else if (head.type == MSG_CHANNEL)
		take_channel(&fds);
	else if (head.type == MSG_HANDSHAKE && self.catalog)
		take_handshake(&reader, &fds);
	else if (head.type == MSG_JUDGE)
		judge_take(head.id, &reader);
	else if (head.type == MSG_CANCEL)
		take_cancel(&reader);
	else if (head.type == MSG_DECIDED)
		policy_decided(head.id, &reader);
	else if (head.type == MSG_GO_ON)
		greeting_answered(head.id, &reader);
	channel_close_fds(&fds);
}

/* Deadlines. */
static void tick(struct loop *loop, void *arg)
{
	struct session *session;
	uint32_t i, left = self.n_sessions;

	/* What the broker knows a process by that hangs is its silence. */
	if (left && loop->now_ms - self.told_ms >= ALIVE_MS)
		tell_ready();
	for (i = 0; i < MAX_HANDSHAKES && left; i++) {
		session = self.sessions[i];
		if (!session)
			continue;
		left--;
		if (!session->chosen && !session->failed && self.loop.now_ms >= session->hello_ms) {
			greeting_is_late(session);
			continue;
		}
		if (!session->conn || sluice_conn_timeout(session->conn) != 0)
			continue;
		if (session->failed)
			close_step(session);
		else
			session_dispatch(session);
	}
}

static int prepare(void)
{
	struct sluice_error err;
	uint32_t i;
	int r;

	for (i = 0; i < MAX_HANDSHAKES; i++)
		self.free_slots[self.n_free++] = MAX_HANDSHAKES - 1 - i;
	self.signer = (struct signer){ keeper_ask, NULL };
	self.buf = wire_buffer_new();
	r = self.buf ? loop_init(&self.loop, tick, NULL) : -ENOMEM;
	if (r == 0 && !question_prepare())
		r = -ENOMEM;
	if (r == 0 && sluice_start(&self.sluice, SLUICE_PERMANENT, &err) < 0)
		r = -ENOMEM;
	/* The pool are the other handshakers; a thread could not be started in here. */
	if (r == 0)
		sluice_set_verify_threads(self.sluice, 0);
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
	int r = prepare();

	if (r == 0)
		r = process_confine(CONFINE_HANDSHAKER, process_id(PROCESS_UID),
				    process_id(PROCESS_GID));
	if (r == 0) {
		tell_ready();
		r = loop_run(&self.loop);
	}
	fprintf(stderr, "sluice-handshaker: %s\n", strerror(-r));
	return 1;
}
