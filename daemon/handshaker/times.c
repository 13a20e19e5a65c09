// SPDX-License-Identifier: Apache-2.0
/* Where the time of a handshake goes. What is left of it when all waiting is told is our own. */
#include "core/sys.h"
#include "handover/messages.h"
#include "handshaker/handshaker.h"

void times_begin(struct session *session, uint64_t accepted_us)
{
	session->since_us = sys->now_us();
	session->queue_us = session->since_us - accepted_us;
}

/* For the keeper, for the broker's word on a PROXY header, or else for the peer. */
static uint64_t *waited_for(struct session *session)
{
	if (session->waiting)
		return &session->sign_us;
	if (session->deciding)
		return &session->decision_us;
	return session->greeting == GREETING_ANSWER ? &session->queue_us : &session->network_us;
}

void times_pause(struct session *session)
{
	session->since_us = sys->now_us();
}

void times_resume(struct session *session)
{
	uint64_t now = sys->now_us();

	*waited_for(session) += now - session->since_us;
	session->since_us = now;
}

void times_put(const struct session *session, struct wire *wire)
{
	wire_put_u64(wire, ATTR_QUEUE_US, session->queue_us);
	wire_put_u64(wire, ATTR_NETWORK_US, session->network_us);
	wire_put_u64(wire, ATTR_SIGN_US, session->sign_us);
	wire_put_u64(wire, ATTR_DECISION_US, session->decision_us);
	wire_put_u64(wire, ATTR_VERIFY_US, session->conn ? session->conn->verify_us : 0);
}
