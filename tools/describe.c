/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the program writes down connections, errors and addresses. Called by the log of `serve` and
 * by `connect`. Peers choose server names and protocols, so everything they chose is escaped.
 */
#include "describe.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>

static const char *const kind_names[] = {
	[SLUICE_KIND_OK] = "ok",
	[SLUICE_KIND_WAIT] = "wait",
	[SLUICE_KIND_IO] = "io",
	[SLUICE_KIND_CLOSED] = "closed",
	[SLUICE_KIND_ALERT] = "alert",
	[SLUICE_KIND_PROTO] = "protocol",
	[SLUICE_KIND_VERIFY] = "verify",
	[SLUICE_KIND_CONFIG] = "config",
	[SLUICE_KIND_USAGE] = "usage",
	[SLUICE_KIND_LIMIT] = "limit",
	[SLUICE_KIND_KERNEL] = "kernel",
	[SLUICE_KIND_UNSUPPORTED] = "unsupported",
	[SLUICE_KIND_INTERNAL] = "internal",
};

const char *describe_kind(int kind)
{
	if (kind < 0 || kind >= (int)(sizeof(kind_names) / sizeof(kind_names[0])))
		return "unknown";
	return kind_names[kind];
}

static void add_text(struct json_object *object, const char *name, const char *value)
{
	json_object_object_add(object, name, value ? json_object_new_string(value) : NULL);
}

static void add_number(struct json_object *object, const char *name, uint64_t value)
{
	json_object_object_add(object, name, json_object_new_uint64(value));
}

/* What a peer chose, as a word that can neither end a line of the log nor break JSON's UTF-8. */
static const char *word(const char *text, char *buf, size_t buf_len)
{
	size_t i;

	for (i = 0; text[i] && i + 1 < buf_len; i++)
		buf[i] = isascii(text[i]) && isgraph(text[i]) ? text[i] : '?';
	buf[i] = '\0';
	return buf;
}

struct json_object *describe_error(const struct sluice_error *err)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	add_text(object, "name", sluice_error_name(err->code));
	add_text(object, "kind", describe_kind(err->kind));
	add_text(object, "stage", sluice_stage_name(err->stage));
	if (err->alert >= 0) {
		add_text(object, "alert", sluice_alert_name(err->alert));
		json_object_object_add(object, "alert_sent",
				       json_object_new_boolean(err->alert_sent));
	}
	if (err->sys_errno)
		add_text(object, "errno", strerrorname_np(err->sys_errno));
	if (err->x509_error)
		add_number(object, "x509_error", (uint64_t)err->x509_error);
	if (err->bad_cert)
		add_text(object, "bad_cert", sluice_bad_cert_name(err->bad_cert));
	add_text(object, "text", err->text);
	return object;
}

static struct json_object *describe_direction(const struct sluice_direction *direction)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	add_text(object, "path", sluice_path_name(direction->path));
	if (direction->reason != SLUICE_REASON_NONE)
		add_text(object, "reason", sluice_path_reason_name(direction->reason));
	add_number(object, "bytes", direction->bytes);
	add_number(object, "records", direction->records);
	add_number(object, "epoch", direction->epoch);
	return object;
}

/* What was asked of the kernel's TLS besides keys, and what became of it. */
static void describe_ktls(struct json_object *object, const struct sluice_conn_info *info)
{
	if (info->tx_max_payload && info->tx_max_payload_len != SLUICE_KTLS_NOT_ASKED)
		add_number(object, "tx_max_payload", info->tx_max_payload);
	if (info->tx_max_payload_len != SLUICE_KTLS_NOT_ASKED)
		add_text(object, "tx_max_payload_len",
			 sluice_ktls_use_name(info->tx_max_payload_len));
	if (info->tx_zerocopy_ro != SLUICE_KTLS_NOT_ASKED)
		add_text(object, "tx_zerocopy_ro", sluice_ktls_use_name(info->tx_zerocopy_ro));
	if (info->rx_expect_no_pad != SLUICE_KTLS_NOT_ASKED)
		add_text(object, "rx_expect_no_pad", sluice_ktls_use_name(info->rx_expect_no_pad));
}

/* Why the keys of our sending direction changed, and how often. */
static struct json_object *describe_rekeys(const struct sluice_conn_info *info)
{
	static const char *const causes[SLUICE_REKEY_CAUSES] = {
		[SLUICE_REKEY_CALL] = "call",
		[SLUICE_REKEY_BYTES] = "bytes",
		[SLUICE_REKEY_RECORDS] = "records",
		[SLUICE_REKEY_PEER] = "peer",
	};
	struct json_object *object = json_object_new_object();
	int i;

	for (i = 0; object && i < SLUICE_REKEY_CAUSES; i++)
		add_number(object, causes[i], info->rekeys[i]);
	return object;
}

struct json_object *describe_conn(const struct sluice_conn_info *info)
{
	struct json_object *object = json_object_new_object();
	char text[sizeof(info->sni)];

	if (!object)
		return NULL;
	add_number(object, "id", info->id);
	add_text(object, "stage", sluice_stage_name(info->stage));
	add_text(object, "version", info->version ? info->version_name : NULL);
	add_text(object, "suite", info->suite ? info->suite_name : NULL);
	add_text(object, "group", info->group ? info->group_name : NULL);
	json_object_object_add(object, "resumed", json_object_new_boolean(info->resumed));
	json_object_object_add(object, "verified", json_object_new_boolean(info->peer_verified));
	if (info->peer_identity[0])
		json_object_object_add(object, "identity",
				       json_object_new_string(info->peer_identity));
	add_text(object, "sni", info->sni[0] ? word(info->sni, text, sizeof(text)) : NULL);
	add_text(object, "alpn", info->alpn[0] ? word(info->alpn, text, sizeof(text)) : NULL);
	json_object_object_add(object, "tx", describe_direction(&info->tx));
	json_object_object_add(object, "rx", describe_direction(&info->rx));
	describe_ktls(object, info);
	json_object_object_add(object, "can_rekey", json_object_new_boolean(info->can_rekey));
	json_object_object_add(object, "rekeys", describe_rekeys(info));
	if (info->role == SLUICE_CLIENT)
		add_text(object, "ocsp", sluice_ocsp_name(info->ocsp));
	add_number(object, "handshake_us", info->handshake_us);
	add_number(object, "tickets", info->tickets);
	add_number(object, "key_updates_received", info->key_updates_received);
	add_number(object, "renegotiations_refused", info->renegotiations_refused);
	add_number(object, "warnings_received", info->warnings_received);
	add_number(object, "empty_records_received", info->empty_records_received);
	add_number(object, "alerts_sent", info->alerts_sent);
	add_number(object, "alerts_received", info->alerts_received);
	return object;
}

void describe_path(const struct sluice_direction *direction, char *buf, size_t buf_len)
{
	if (direction->reason == SLUICE_REASON_NONE)
		snprintf(buf, buf_len, "%s", sluice_path_name(direction->path));
	else
		snprintf(buf, buf_len, "%s(%s)", sluice_path_name(direction->path),
			 sluice_path_reason_name(direction->reason));
}

void describe_conn_text(const struct sluice_conn_info *info, char *buf, size_t buf_len)
{
	char sni[sizeof(info->sni)], alpn[sizeof(info->alpn)], tx[64], rx[64];

	describe_path(&info->tx, tx, sizeof(tx));
	describe_path(&info->rx, rx, sizeof(rx));
	snprintf(buf, buf_len,
		 "version=%s suite=%s group=%s resumed=%s sni=%s alpn=%s tx=%s rx=%s"
		 " bytes_out=%llu bytes_in=%llu epochs_out=%llu epochs_in=%llu handshake_us=%u",
		 info->version ? info->version_name : "-", info->suite ? info->suite_name : "-",
		 info->group ? info->group_name : "-", info->resumed ? "yes" : "no",
		 info->sni[0] ? word(info->sni, sni, sizeof(sni)) : "-",
		 info->alpn[0] ? word(info->alpn, alpn, sizeof(alpn)) : "-", tx, rx,
		 (unsigned long long)info->tx.bytes, (unsigned long long)info->rx.bytes,
		 (unsigned long long)info->tx.epoch, (unsigned long long)info->rx.epoch,
		 info->handshake_us);
}

void describe_addr(const struct sockaddr *addr, char *buf, size_t buf_len)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)addr;
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)addr;
	char text[INET6_ADDRSTRLEN] = "?";

	switch (addr->sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		snprintf(buf, buf_len, "%s:%u", text, ntohs(in->sin_port));
		return;
	case AF_INET6:
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		snprintf(buf, buf_len, "[%s]:%u", text, ntohs(in6->sin6_port));
		return;
	default:
		snprintf(buf, buf_len, "-");
	}
}

void describe_print(struct json_object *object, FILE *out)
{
	if (!object)
		return;
	/* The object is written in one call, so that lines of several threads do not mix. */
	flockfile(out);
	fputs(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
							     JSON_C_TO_STRING_NOSLASHESCAPE),
	      out);
	fputc('\n', out);
	fflush(out);
	funlockfile(out);
	json_object_put(object);
}
