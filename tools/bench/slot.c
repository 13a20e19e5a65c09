// SPDX-License-Identifier: Apache-2.0
/*
 * A slot: one connection at a time, and the operation that goes on on it. No call waits. Called by
 * loader.c with what epoll says; exchange.c does what comes after the handshake.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "load.h"

#define PAUSE_NS (10 * NS_PER_MS)    /* after a failure: nobody is hammered */
#define TICKET_NS (1000 * NS_PER_MS) /* how long a ticket is waited for */

static uint64_t timeout_ns(const struct slot *slot)
{
	return (uint64_t)slot->loader->bench->settings->timeout * NS_PER_MS;
}

static void unwatch(struct slot *slot)
{
	slot->watched = -1; /* closing the descriptor takes it out of epoll */
	slot->conn = NULL;
	if (slot->http)
		htp_connp_destroy_all(slot->http);
	slot->http = NULL;
}

static void watch(struct slot *slot)
{
	struct epoll_event event = { .data.ptr = slot };
	int op, events;

	if (!slot->conn || sluice_conn_fd(slot->conn) < 0)
		return;
	/* poll's and epoll's events have the same numbers (epoll_ctl(2)). */
	events = sluice_conn_events(slot->conn);
	if (slot->state == SLOT_FREE || slot->state == SLOT_HELD || slot->state == SLOT_EXCHANGE ||
	    slot->state == SLOT_TICKET)
		events |= EPOLLIN;
	if (slot->state == SLOT_EXCHANGE && slot->slowed)
		events &= ~EPOLLIN; /* slot_tick() goes on */
	/* What was held back may have left by a receive meanwhile: the library waits for nothing then. */
	if (slot->state == SLOT_EXCHANGE && exchange_is_sending(slot))
		events |= EPOLLOUT;
	if (events == slot->watched)
		return;
	op = slot->watched < 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	event.events = (uint32_t)events;
	if (epoll_ctl(slot->loader->epoll_fd, op, sluice_conn_fd(slot->conn), &event) == 0)
		slot->watched = events;
}

/* The connection is gone: the slot is free, or waits a moment. */
static void gone(struct slot *slot)
{
	unwatch(slot);
	if (slot->failed) {
		slot->failed = false;
		slot->state = SLOT_PAUSE;
		slot->deadline = slot->loader->now + PAUSE_NS;
		return;
	}
	slot->state = SLOT_FREE;
	loader_free(slot->loader, slot);
}

static void close_step(struct slot *slot)
{
	slot->state = SLOT_CLOSING;
	if (slot->conn && sluice_close_nowait(slot->conn) == -SLUICE_E_AGAIN)
		watch(slot);
	else
		gone(slot);
}

static void op_ended(struct slot *slot)
{
	slot->has_op = false;
	slot->priming = false;
}

static void op_failed(struct slot *slot, const char *name, int code, const char *text)
{
	struct loader *loader = slot->loader;

	/* A connection that should have brought a session stands for the operation that it was for. */
	if ((slot->has_op || loader_next(loader, slot)) &&
	    slot->intended >= loader->bench->measure_ns)
		loader->result.failed++;
	op_ended(slot);
	loader_error(loader, name, code < 0 ? -code : code, text);
	slot->session = sluice_session_free(slot->session);
	slot->failed = true;
	close_step(slot);
}

static void conn_failed(struct slot *slot, int code)
{
	struct sluice_error err = { .text = "" };

	if (slot->conn)
		sluice_conn_error(slot->conn, &err, sizeof(err));
	op_failed(slot, sluice_error_name(code), code,
		  err.code == abs(code) ? err.text : sluice_strerror(code));
}

static void op_done(struct slot *slot)
{
	struct loader *loader = slot->loader;
	struct result *result = &loader->result;
	struct sample *sample;

	loader->now = now_ns();
	op_ended(slot);
	if (slot->intended < loader->bench->measure_ns) {
		result->warm_up_ops++;
		return;
	}
	hist_add(&result->latency, loader->now - slot->intended);
	result->ok++;
	result->last_ns = loader->now;
	sample = loader_sample(loader);
	if (sample)
		sample->ops++;
	atomic_store_explicit(&loader->done, result->ok, memory_order_relaxed);
}

/* --- sessions */

/*
 * Takes the session for the next operation. TLS 1.2 sends it in the handshake, and a session that was
 * not renewed is good for more; of TLS 1.3 it comes behind the handshake, and each is used once.
 */
static void ticket_step(struct slot *slot)
{
	struct sluice_session *session;
	struct sluice_conn_info info;
	char scrap[1024];
	ssize_t n;

	do
		n = sluice_recv(slot->conn, scrap, sizeof(scrap), SLUICE_NOWAIT);
	while (n > 0);
	if (sluice_take_session(slot->conn, &session) >= 0) {
		sluice_session_free(slot->session);
		slot->session = session;
		close_step(slot);
		return;
	}
	sluice_conn_info(slot->conn, &info, sizeof(info));
	if (slot->session && info.version == 0x0303) {
		close_step(slot);
		return;
	}
	if (n == -SLUICE_E_AGAIN && slot->loader->now < slot->deadline)
		return;
	slot->session = sluice_session_free(slot->session);
	if (slot->priming)
		op_failed(slot, "NO_TICKET", 0, "the server sent no session ticket");
	else
		close_step(slot);
}

static void await_ticket(struct slot *slot, bool spent)
{
	if (spent)
		slot->session = sluice_session_free(slot->session);
	slot->state = SLOT_TICKET;
	slot->deadline = slot->loader->now + TICKET_NS;
	ticket_step(slot);
}

/* --- the stages of an operation */

static void exchange_step(struct slot *slot)
{
	char name[48];
	const char *verdict;
	int r;

	slot->again = false;
	r = exchange_run(slot);
	if (r == 0) {
		slot->loader->again |= slot->again;
		return;
	}
	if (r < 0) {
		conn_failed(slot, r);
		return;
	}
	verdict = exchange_verdict(slot, name, sizeof(name));
	if (verdict) {
		op_failed(slot, verdict, 0, "the response is not what it should be");
		return;
	}
	op_done(slot);
	if (!slot->loader->bench->settings->keep_alive || slot->close_after) {
		close_step(slot);
		return;
	}
	slot->state = SLOT_FREE;
	loader_free(slot->loader, slot);
}

static void begin_exchange(struct slot *slot)
{
	exchange_begin(slot);
	slot->state = SLOT_EXCHANGE;
	slot->deadline = slot->loader->now + timeout_ns(slot);
	exchange_step(slot);
}

/* Nothing but tickets and new keys is due to a connection that is held. */
static void held_step(struct slot *slot)
{
	char scrap[64];
	ssize_t n = sluice_recv(slot->conn, scrap, sizeof(scrap), SLUICE_NOWAIT);

	if (n > 0)
		op_failed(slot, "UNASKED_DATA", 0, "data came while nothing was asked for");
	else if (n != -SLUICE_E_AGAIN)
		conn_failed(slot, (int)n);
}

static void held_tick(struct slot *slot)
{
	if (slot->loader->now < slot->loader->bench->end_ns)
		return;
	slot->intended = slot->loader->now; /* the latency is the request's */
	begin_exchange(slot);
	watch(slot);
}

static void established(struct slot *slot)
{
	struct result *result = &slot->loader->result;
	enum bench_mode mode = slot->loader->bench->mode;
	struct sluice_conn_info info;

	sluice_conn_info(slot->conn, &info, sizeof(info));
	if (!result->info.version)
		result->info = info;
	if (info.resumed)
		result->resumed++;
	else
		result->full++;
	if (mode == MODE_IDLE) {
		slot->state = SLOT_HELD;
	} else if (mode > MODE_RESUME) {
		begin_exchange(slot);
	} else if (mode == MODE_RESUME && !slot->priming && !info.resumed) {
		op_failed(slot, "NOT_RESUMED", 0, "the server did not resume the session");
	} else if (mode == MODE_RESUME) {
		if (!slot->priming)
			op_done(slot);
		await_ticket(slot, info.version != 0x0303);
	} else {
		op_done(slot);
		close_step(slot);
	}
}

static void handshake_step(struct slot *slot)
{
	int r = sluice_conn_dispatch(slot->conn);

	if (r == 0)
		established(slot);
	else if (r != -SLUICE_E_AGAIN)
		conn_failed(slot, r < 0 ? r : -SLUICE_E_STATE);
}

static void connect_step(struct slot *slot)
{
	struct loader *loader = slot->loader;
	struct bench *bench = loader->bench;
	struct sluice_error err = { .text = "" };
	int r;

	slot->state = SLOT_HANDSHAKE;
	slot->deadline = loader->now + timeout_ns(slot);
	r = sluice_connect(loader->sluice, bench->address, (uint16_t)atoi(bench->port),
			   bench->profile, slot->session, SLUICE_NOWAIT, &slot->conn, &err);
	if (r == 0)
		established(slot);
	else if (r != -SLUICE_E_AGAIN)
		op_failed(slot, sluice_error_name(r), r, err.text);
}

void slot_begin(struct slot *slot)
{
	slot->priming = !slot->has_op;
	if (slot->conn)
		begin_exchange(slot);
	else
		connect_step(slot);
	watch(slot);
}

/* A connection between two requests: tickets and new keys come, and the end; no data. */
static void idle_step(struct slot *slot)
{
	char scrap[64];
	ssize_t n = sluice_recv(slot->conn, scrap, sizeof(scrap), SLUICE_NOWAIT);

	if (n == -SLUICE_E_AGAIN)
		return;
	if (n > 0)
		loader_error(slot->loader, "UNASKED_DATA", 0, "data came between two requests");
	else if (n != -SLUICE_E_CLOSED)
		loader_error(slot->loader, sluice_error_name((int)n), (int)-n,
			     "while the connection was idle");
	/* It stays on the stack: the next operation connects. */
	shutdown(sluice_conn_fd(slot->conn), SHUT_RDWR);
	sluice_close(slot->conn);
	unwatch(slot);
}

void slot_ready(struct slot *slot)
{
	switch (slot->state) {
	case SLOT_HANDSHAKE:
		handshake_step(slot);
		break;
	case SLOT_HELD:
		held_step(slot);
		break;
	case SLOT_EXCHANGE:
		exchange_step(slot);
		break;
	case SLOT_TICKET:
		ticket_step(slot);
		break;
	case SLOT_CLOSING:
		close_step(slot);
		break;
	case SLOT_FREE:
		if (slot->conn)
			idle_step(slot);
		break;
	case SLOT_PAUSE:
		break;
	}
	watch(slot);
}

void slot_tick(struct slot *slot)
{
	if (slot->state == SLOT_PAUSE && slot->loader->now >= slot->deadline) {
		slot->state = SLOT_FREE;
		loader_free(slot->loader, slot);
	} else if (slot->state == SLOT_HELD) {
		held_tick(slot);
	} else if (slot->state == SLOT_CLOSING || slot->state == SLOT_TICKET ||
		   (slot->state == SLOT_EXCHANGE && slot->slowed) ||
		   (slot->state == SLOT_HANDSHAKE && sluice_conn_timeout(slot->conn) == 0)) {
		slot_ready(slot);
	} else if ((slot->state == SLOT_HANDSHAKE || slot->state == SLOT_EXCHANGE) &&
		   slot->loader->now >= slot->deadline) {
		op_failed(slot, sluice_error_name(SLUICE_E_TIMEOUT), SLUICE_E_TIMEOUT,
			  slot->state == SLOT_HANDSHAKE ? "the handshake took too long"
							: "no progress for --timeout");
		watch(slot);
	}
}

void slot_cut(struct slot *slot)
{
	bool idle = slot->state == SLOT_FREE;

	if (slot->has_op && slot->intended >= slot->loader->bench->measure_ns)
		slot->loader->result.unfinished++;
	/* What is under way would be waited for. */
	if (slot->conn && !idle && sluice_conn_fd(slot->conn) >= 0)
		shutdown(sluice_conn_fd(slot->conn), SHUT_RDWR);
	sluice_close(slot->conn);
	unwatch(slot);
	slot->session = sluice_session_free(slot->session);
}
