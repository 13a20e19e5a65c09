// SPDX-License-Identifier: Apache-2.0
/* Signatures: the keeper is asked, and the handshake goes on when it has answered. */
#include <errno.h>
#include <unistd.h>

#include "bssl/signer.h"
#include "common/rules.h"
#include "core/secret.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handshaker/handshaker.h"
#include "handshaker/trace.h"

#define SLOT_BITS 14 /* MAX_HANDSHAKES */

bool keeper_ask(void *arg, struct sluice_conn *conn, uint16_t algorithm, const uint8_t *in,
		size_t in_len)
{
	const uint8_t *key_id = catalog_key_id(conn->profile, signer_key(conn));
	struct session *session = self.sessions[conn->session_id % MAX_HANDSHAKES];
	uint8_t buf[SIGNER_MAX_INPUT + 256];
	struct wire wire;

	if (!key_id || !session || session->conn != conn)
		return false;
	/* Where the answer goes. Its slot may have another session by then. */
	session->request = session->slot | ++self.last_request << SLOT_BITS;
	wire_begin(&wire, buf, sizeof(buf), MSG_SIGN, session->request);
	wire_put_u64(&wire, ATTR_SESSION, session->id);
	wire_put(&wire, ATTR_PERMIT, session->permit, PERMIT_LEN);
	wire_put(&wire, ATTR_KEY_ID, key_id, 32);
	wire_put_u64(&wire, ATTR_ALGORITHM, algorithm);
	wire_put(&wire, ATTR_INPUT, in, in_len);
	session->waiting = true;
	if (session->traced)
		trace_sign(self.broker.fd, session->id, algorithm);
	return wire_end(&wire) && channel_send(self.keeper.fd, buf, wire_end(&wire), NULL, 0) == 0;
}

static void take_signature(struct session *session, struct wire_reader *reader)
{
	struct attr attr, output = { 0 };

	while (wire_next(reader, &attr) == 1)
		if (attr.type == ATTR_OUTPUT)
			output = attr;
	times_resume(session);
	session->waiting = false;
	if (session->traced)
		trace_signed(self.broker.fd, session->id, output.len != 0);
	if (signer_finish(session->conn, output.bytes, output.len))
		session_dispatch(session);
}

void keeper_lose(void)
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
		times_resume(session);
		session->waiting = false;
		if (signer_finish(session->conn, NULL, 0))
			session_dispatch(session);
	}
}

void keeper_ready(struct watch *watch, uint32_t events)
{
	uint8_t buf[SIGNER_MAX_OUTPUT + 256];
	struct wire_reader reader;
	struct channel_fds fds;
	struct session *session;
	struct wire_head head;
	ssize_t n = channel_recv(watch->fd, buf, sizeof(buf), &fds);

	if (n == -EAGAIN)
		return;
	if (n <= 0 ||
	    rules_open(ROUTE_KEEPER_TO_HANDSHAKER, NULL, buf, (size_t)n, &fds, &reader, &head)) {
		channel_close_fds(&fds);
		keeper_lose();
		return;
	}
	session = self.sessions[head.id % MAX_HANDSHAKES];
	if (session && session->waiting && session->request == head.id)
		take_signature(session, &reader);
	secret_wipe(buf, sizeof(buf));
}
