// SPDX-License-Identifier: Apache-2.0
/*
 * What a profile's policy says of a peer (keys verify_policy, verify_socket): the verify_fun of handshakers. It
 * decides about each reason by itself; where a decision service is asked, once about a peer and last, the
 * handshake waits for the broker's word. Must never accept for want of an answer.
 */
#include "common/policy.h"

#include <sluice/sluice.h>

#include "handover/messages.h"
#include "handshaker/handshaker.h"

/* Asks the service about a peer with which nothing else is wrong. */
static int ask_service(struct session *session, const struct policy *policy,
		       const struct sluice_verify_event *event, int *reason)
{
	*reason = SLUICE_BAD_CERT_UNDECIDED;
	if (!question_send(session, policy, event))
		return SLUICE_VRET_FAIL;
	session->deciding = true;
	return SLUICE_VRET_LATER;
}

/* @session is NULL at another look at its chain: what is accepted was told then. */
static void tell_accepted(struct session *session, const struct policy *policy, uint64_t bit)
{
	if (!session)
		return;
	session->bad_certs |= bit;
	session->warn_bad_certs |= policy->warn & bit;
}

static int judge_reason(struct session *session, const struct policy *policy, int reason)
{
	uint64_t bit = POLICY_BIT(reason);

	if (!(policy->accept & bit))
		return SLUICE_VRET_FAIL;
	tell_accepted(session, policy, bit);
	return SLUICE_VRET_VALID;
}

static int judge_extension(struct session *session, const struct policy *policy,
			   const struct sluice_verify_event *event, int *reason)
{
	switch (policy_extension(policy, event->oid, event->critical)) {
	case POLICY_ACCEPT:
		if (event->critical)
			tell_accepted(session, policy, POLICY_BIT(SLUICE_BAD_CERT_CRITICAL_EXT));
		return SLUICE_VRET_VALID;
	case POLICY_REFUSE:
		*reason = event->critical ? SLUICE_BAD_CERT_CRITICAL_EXT
					  : SLUICE_BAD_CERT_APPLICATION;
		return SLUICE_VRET_FAIL;
	default:
		return SLUICE_VRET_UNKNOWN;
	}
}

int policy_verify(struct sluice_conn *conn, const struct sluice_verify_event *event, void **state,
		  int *reason)
{
	struct session *session = conn ? self.sessions[conn->session_id % MAX_HANDSHAKES] : NULL;
	struct policy policy;

	/* Of a resumed session nobody is asked (stage_verify()). */
	if (conn && (!session || session->conn != conn))
		return SLUICE_VRET_FAIL;
	policy_from(&policy, *state);
	switch (event->type) {
	case SLUICE_EVT_BAD_CERT:
		return judge_reason(session, &policy, event->reason);
	case SLUICE_EVT_EXTENSION:
		return judge_extension(session, &policy, event, reason);
	case SLUICE_EVT_VALID_PEER:
		return session && policy.asks ? ask_service(session, &policy, event, reason)
					      : SLUICE_VRET_VALID;
	default:
		return SLUICE_VRET_VALID;
	}
}

void policy_decided(uint32_t slot, struct wire_reader *reader)
{
	struct session *session = slot < MAX_HANDSHAKES ? self.sessions[slot] : NULL;
	uint64_t id = 0, reason = SLUICE_BAD_CERT_UNDECIDED;
	struct attr attr;
	int r;

	while (wire_next(reader, &attr) == 1) {
		if (attr.type == ATTR_SESSION)
			attr_u64(&attr, &id);
		else if (attr.type == ATTR_REASON)
			attr_u64(&attr, &reason);
	}
	/* The slot may have another session by now. */
	if (!session || session->id != id || !session->deciding || session->failed)
		return;
	times_resume(session);
	session->deciding = false;
	r = sluice_verify_continue(
		session->conn, reason ? SLUICE_VRET_FAIL : SLUICE_VRET_VALID,
		reason < SLUICE_BAD_CERTS ? (int)reason : SLUICE_BAD_CERT_UNDECIDED, SLUICE_NOWAIT);
	session_go_on(session, r);
}
