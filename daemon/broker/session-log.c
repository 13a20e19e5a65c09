// SPDX-License-Identifier: Apache-2.0
/* The line of a session that has ended: all that an operator may ask about it later. */
#include <inttypes.h>
#include <stdio.h>

#include <sluice/sluice.h>

#include "broker/admin.h"
#include "common/policy.h"
#include "record/suite.h"

#define MAX_FIELDS 48 /* more than there are */

/* struct sheet - the fields, and the numbers among them as texts. */
struct sheet {
	struct text_field fields[MAX_FIELDS];
	char numbers[MAX_FIELDS][24];
	size_t n;
};

static void add(struct sheet *sheet, const char *key, const char *value)
{
	sheet->fields[sheet->n++] = (struct text_field){ key, value };
}

static void add_number(struct sheet *sheet, const char *key, uint64_t value)
{
	char *text = sheet->numbers[sheet->n];

	snprintf(text, sizeof(sheet->numbers[0]), "%" PRIu64, value);
	add(sheet, key, text);
}

static void add_tls(struct sheet *sheet, const struct session *session)
{
	const struct suite *suite = suite_find(session->suite);

	if (session->version)
		add(sheet, "version", session->version == TLS13 ? "TLSv1.3" : "TLSv1.2");
	add(sheet, "suite", suite ? suite->name : NULL);
	add(sheet, "sni", session->sni);
	add(sheet, "alpn", session->alpn);
	if (!session->version)
		return;
	add(sheet, "resumed", session->resumed ? "yes" : "no");
	add(sheet, "rx_path", sluice_path_name(session->rx_path));
	add(sheet, "tx_path", sluice_path_name(session->tx_path));
	add_number(sheet, "rx_epoch", session->rx_epoch);
	add_number(sheet, "tx_epoch", session->tx_epoch);
	add_number(sheet, "rx_records", session->rx_records);
	add_number(sheet, "tx_records", session->tx_records);
}

/* Of a listener behind a proxy: whom that named, and itself. */
static void add_ends(struct sheet *sheet, const struct session *session,
		     char peer[TEXT_ADDRESS_LEN], char proxy[TEXT_ADDRESS_LEN])
{
	add(sheet, "peer", text_address(peer, session_source(session)));
	if (session->proxied)
		add(sheet, "proxy", text_address(proxy, &session->peer));
}

static void add_times(struct sheet *sheet, const struct broker *broker,
		      const struct session *session)
{
	const struct session_times *times = &session->times;

	add_number(sheet, "age_ms", broker->loop.now_ms - session->accepted_ms);
	if (!session->accepted_us)
		return; /* by the broker before this one */
	add_number(sheet, "queue_us", times->queue);
	add_number(sheet, "network_us", times->network);
	add_number(sheet, "sign_us", times->sign);
	add_number(sheet, "verify_us", times->verify);
	if (times->decision)
		add_number(sheet, "decision_us", times->decision);
	if (session->established_us)
		add_number(sheet, "total_us", times->total);
	if (times->handover)
		add_number(sheet, "handover_us", times->handover);
}

/* An alert of a handshake is fatal, whatever its level says (RFC 8446, 6). */
static void add_failure(struct sheet *sheet, const struct session *session)
{
	if (session->stage != SLUICE_STAGE_NONE)
		add(sheet, "stage", sluice_stage_name(session->stage));
	if (!session->has_alert)
		return;
	add(sheet, "alert", sluice_alert_name(session->alert));
	add(sheet, "alert_level", "fatal");
	add(sheet, "alert_from", session->alert_sent ? "us" : "peer");
}

void session_log_end(const struct broker *broker, const struct session *session, enum end end,
		     int code, const char *text)
{
	char peer[TEXT_ADDRESS_LEN], proxy[TEXT_ADDRESS_LEN];
	struct sheet sheet = { .n = 0 };
	char names[POLICY_NAMES_LEN];
	const char *listener, *pool;

	if (broker->config->log.level < CONFIG_LOG_INFO)
		return;
	admin_names(broker, session, &listener, &pool);
	add_number(&sheet, "session", session->id);
	sheet.fields[0].in_message = true;
	add(&sheet, "reason", end_name(end, code));
	add(&sheet, "text", text && *text ? text : NULL);
	add_ends(&sheet, session, peer, proxy);
	add(&sheet, "role", session->role == SLUICE_CLIENT ? "client" : "server");
	add_failure(&sheet, session);
	add(&sheet, "listener", listener);
	add(&sheet, "pool", pool);
	if (session->worker)
		add_number(&sheet, "worker", session->worker->number);
	add_tls(&sheet, session);
	add(&sheet, "identity", session->identity);
	add(&sheet, "accepted",
	    session->bad_certs ? policy_names(names, session->bad_certs) : NULL);
	add(&sheet, "decision", session->decided.text);
	if (session->version || session->plain) {
		add_number(&sheet, "rx_bytes", session->rx_bytes);
		add_number(&sheet, "tx_bytes", session->tx_bytes);
	}
	add_times(&sheet, broker, session);
	log_fields(broker, CONFIG_LOG_INFO, sheet.fields, sheet.n, "session %" PRIu64 " ended",
		   session->id);
}
