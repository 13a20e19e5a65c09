// SPDX-License-Identifier: Apache-2.0
/*
 * What comes before a handshake: a PROXY header where the listener is behind a proxy, the broker's word on
 * whom it names, and the first byte where there may be something else than TLS. All of it, and the
 * ClientHello, in the time of the listener's hello_timeout.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "conn/handshake.h"
#include "handover/messages.h"
#include "handshaker/handshaker.h"
#include "handshaker/preface.h"

void greeting_end(struct session *session)
{
	int fd = session->watch.fd;

	session_free(session);
	close(fd);
}

static void refuse(struct session *session, int code, const char *text)
{
	tell_failure(session, code, text);
	greeting_end(session);
}

static void start_tls(struct session *session)
{
	struct sluice_error err;
	int r = fd_conn_new(self.sluice, session->watch.fd, session->host, session->profile, NULL,
			    session->role, &session->conn, &err);

	if (r < 0) {
		refuse(session, r, err.text);
		return;
	}
	session->greeting = GREETING_DONE;
	session->chosen = session->role == SLUICE_CLIENT; /* it awaits no hello */
	session->conn->keep_keys = session->conn->told_again = true;
	session->conn->session_id = session->slot;
	r = handshake_wait(session->conn, SLUICE_NOWAIT);
	/* What came before was of its time too. */
	session->conn->deadline_us -= 1000 * (self.loop.now_ms - session->since_ms);
	session_go_on(session, r);
}

static void put_endpoint(struct wire *wire, uint16_t type, const struct sockaddr_in6 *addr)
{
	uint8_t bytes[ENDPOINT_LEN];

	memcpy(bytes, &addr->sin6_addr, 16);
	memcpy(bytes + 16, &addr->sin6_port, 2);
	wire_put(wire, type, bytes, sizeof(bytes));
}

/* Nothing is done for the peer until the broker has counted it. */
static void ask_broker(struct session *session)
{
	struct wire wire;

	wire_begin(&wire, self.buf, WIRE_MAX, MSG_PROXIED, session->slot);
	wire_put_u64(&wire, ATTR_SESSION, session->id);
	if (session->proxy->named) {
		put_endpoint(&wire, ATTR_SOURCE, &session->proxy->source);
		put_endpoint(&wire, ATTR_DESTINATION, &session->proxy->destination);
	}
	send_to_broker(&wire);
	free(session->proxy);
	session->proxy = NULL;
	session->greeting = GREETING_ANSWER;
	times_pause(session);
	loop_forget(&self.loop, &session->watch);
}

static void hand_back(struct session *session)
{
	struct wire wire;

	wire_begin(&wire, self.buf, WIRE_MAX, MSG_PLAIN, session->slot);
	wire_put_u64(&wire, ATTR_SESSION, session->id);
	times_put(session, &wire);
	greeting_end(session);
	send_to_broker(&wire);
}

static void wait_for_bytes(struct session *session)
{
	times_pause(session);
	if (loop_watch(&self.loop, &session->watch, EPOLLIN) < 0)
		refuse(session, -SLUICE_E_NOMEM, NULL);
}

static void greet_header(struct session *session)
{
	const char *error = NULL;
	int r = preface_header(session->proxy, session->watch.fd, &error);

	if (r == 0)
		ask_broker(session);
	else if (r == -SLUICE_E_AGAIN)
		wait_for_bytes(session);
	else
		refuse(session, r, error);
}

void greeting_go_on(struct session *session)
{
	const char *error = NULL;
	int r = 1;

	if (session->greeting == GREETING_HEADER) {
		greet_header(session);
		return;
	}
	if (session->expects & EXPECTS_PLAIN)
		r = preface_is_tls(session->watch.fd, &error);
	if (r == 1)
		start_tls(session);
	else if (r == 0)
		hand_back(session);
	else if (r == -SLUICE_E_AGAIN)
		wait_for_bytes(session);
	else
		refuse(session, r, error);
}

/* A new session, which has its socket. */
void greeting_begin(struct session *session)
{
	uint64_t whole_ms;

	session->profile =
		session_adapt(session, catalog_profile(session->catalog, session->profile_index));
	session->greeting = session->expects & EXPECTS_PROXY ? GREETING_HEADER : GREETING_BYTE;
	if (session->expects & EXPECTS_PROXY)
		session->proxy = calloc(1, sizeof(*session->proxy));
	if (!session->profile || (session->expects & EXPECTS_PROXY && !session->proxy)) {
		refuse(session, -SLUICE_E_NOMEM, NULL);
		return;
	}
	whole_ms = session->since_ms + session->profile->handshake_timeout_ms;
	if (whole_ms < session->hello_ms)
		session->hello_ms = whole_ms;
	greeting_go_on(session);
}

void greeting_is_late(struct session *session)
{
	static const char *const texts[] = {
		[GREETING_HEADER] = "the PROXY header did not come in time",
		[GREETING_ANSWER] = "the broker did not answer in time",
		[GREETING_BYTE] = "the first byte did not come in time",
		[GREETING_DONE] = "the ClientHello did not come in time",
	};
	const char *text = texts[session->greeting];

	times_resume(session);
	if (session->conn)
		session_fail(session,
			     conn_fail(session->conn, SLUICE_E_HANDSHAKE_TIMEOUT, -1, 0, text));
	else
		refuse(session, -SLUICE_E_HANDSHAKE_TIMEOUT, text);
}

/* The slot may have another session by now. */
void greeting_answered(uint32_t slot, struct wire_reader *reader)
{
	struct session *session = slot < MAX_HANDSHAKES ? self.sessions[slot] : NULL;
	uint64_t id = 0;
	struct attr attr;

	while (wire_next(reader, &attr) == 1)
		if (attr.type == ATTR_SESSION)
			attr_u64(&attr, &id);
	if (!session || session->id != id || session->greeting != GREETING_ANSWER)
		return;
	times_resume(session);
	session->greeting = GREETING_BYTE;
	greeting_go_on(session);
}
