// SPDX-License-Identifier: Apache-2.0
#include "handover/state.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "conn/epoch.h"
#include "core/error.h"
#include "core/secret.h"
#include "core/sys.h"
#include "handover/address.h"
#include "handover/messages.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A certificate that is larger is told of by its digest only. */
#define MAX_CERT 16384

void keys_write(struct wire *wire, uint16_t type, const struct traffic *traffic)
{
	uint8_t *at = wire_room(wire, type, STATE_KEYS_LEN);
	size_t i;

	if (!at)
		return;
	for (i = 0; i < 8; i++) {
		*at++ = (uint8_t)(traffic->epoch >> (8 * i));
		at[7] = (uint8_t)(traffic->seq >> (8 * i));
	}
	at += 8;
	*at++ = (uint8_t)traffic->secret_len;
	memcpy(at, traffic->secret, SUITE_MAX_HASH);
	at += SUITE_MAX_HASH;
	memcpy(at, traffic->key, SUITE_MAX_KEY);
	at += SUITE_MAX_KEY;
	memcpy(at, traffic->iv, SUITE_MAX_IV);
}

int keys_read(struct traffic **ret_traffic, const struct attr *attr, const struct suite *suite)
{
	const uint8_t *at = attr->bytes;
	struct traffic *traffic;
	size_t i;

	if (attr->len != STATE_KEYS_LEN || at[16] > SUITE_MAX_HASH)
		return -SLUICE_E_PROTOCOL;
	traffic = secret_new(sizeof(*traffic));
	if (!traffic)
		return -SLUICE_E_NOMEM;
	traffic->suite = suite;
	for (i = 0; i < 8; i++) {
		traffic->epoch |= (uint64_t)at[i] << (8 * i);
		traffic->seq |= (uint64_t)at[8 + i] << (8 * i);
	}
	traffic->secret_len = at[16];
	at += 17;
	memcpy(traffic->secret, at, SUITE_MAX_HASH);
	at += SUITE_MAX_HASH;
	memcpy(traffic->key, at, SUITE_MAX_KEY);
	at += SUITE_MAX_KEY;
	memcpy(traffic->iv, at, SUITE_MAX_IV);
	*ret_traffic = traffic;
	return 0;
}

static void write_peer(const struct sluice_conn *conn, struct wire *wire)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	const CRYPTO_BUFFER *leaf;

	if (!sk_CRYPTO_BUFFER_num(conn->peer_chain))
		return;
	leaf = sk_CRYPTO_BUFFER_value(conn->peer_chain, 0);
	SHA256(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf), digest);
	wire_put(wire, ATTR_PEER_SHA256, digest, sizeof(digest));
	if (CRYPTO_BUFFER_len(leaf) <= MAX_CERT)
		wire_put(wire, ATTR_PEER_CERT, CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf));
}

/* struct number - a number of a connection or its profile, and the attribute that carries it. */
struct number {
	uint16_t type;
	uint16_t offset, size;
};

#define NUMBER(type, of, member)                                      \
	{                                                             \
		type, offsetof(of, member), sizeof(((of *)0)->member) \
	}
#define INFO(type, member) NUMBER(type, struct sluice_conn_info, member)
#define LIMIT(type, member) NUMBER(type, struct sluice_profile, member)

static const struct number info_numbers[] = {
	INFO(ATTR_ROLE, role),
	INFO(ATTR_VERSION, version),
	INFO(ATTR_SUITE, suite),
	INFO(ATTR_GROUP, group),
	INFO(ATTR_SIGNATURE, signature),
	INFO(ATTR_RESUMED, resumed),
	INFO(ATTR_HELLO_RETRIED, hello_retried),
	INFO(ATTR_PEER_VERIFIED, peer_verified),
	INFO(ATTR_RX_PATH, rx.path),
	INFO(ATTR_TX_PATH, tx.path),
	INFO(ATTR_RX_REASON, rx.reason),
	INFO(ATTR_TX_REASON, tx.reason),
	INFO(ATTR_HANDSHAKE_US, handshake_us),
	INFO(ATTR_HANDSHAKE_IN, handshake_bytes_in),
	INFO(ATTR_HANDSHAKE_OUT, handshake_bytes_out),
};

/* What counts after the handshake; the first of them are always told. */
#define REQUIRED_LIMITS 5
static const struct number limit_numbers[] = {
	LIMIT(ATTR_KEY_UPDATE_AT, key_update_at),
	LIMIT(ATTR_KEY_UPDATE_RECORDS, key_update_records),
	LIMIT(ATTR_LIMIT_KEY_UPDATES, limit_key_updates),
	LIMIT(ATTR_LIMIT_CONTROL_RECORDS, limit_control_records),
	LIMIT(ATTR_ALERT_TIMEOUT, alert_timeout_ms),
	LIMIT(ATTR_TX_MAX_PAYLOAD_LEN, tx_max_payload_len),
	LIMIT(ATTR_DYNAMIC_RECORD_SIZE, dynamic_record_size),
};

static void write_numbers(struct wire *wire, const struct number *numbers, size_t n,
			  const void *from)
{
	uint64_t value;
	size_t i;

	for (i = 0; i < n; i++) {
		value = 0;
		memcpy(&value, (const uint8_t *)from + numbers[i].offset, numbers[i].size);
		wire_put_u64(wire, numbers[i].type, value); /* of little-endian machines only */
	}
}

/* Returns which of these numbers the attribute is, from 1, 0: none, or -SLUICE_E_PROTOCOL: no number. */
static int read_number(const struct number *numbers, size_t n, void *to, const struct attr *attr)
{
	uint64_t value;
	size_t i;

	for (i = 0; i < n && numbers[i].type != attr->type; i++)
		;
	if (i == n)
		return 0;
	if (!attr_u64(attr, &value) || (numbers[i].size < 8 && value >> (8 * numbers[i].size)))
		return -SLUICE_E_PROTOCOL;
	memcpy((uint8_t *)to + numbers[i].offset, &value, numbers[i].size);
	return (int)i + 1;
}

int state_write(const struct sluice_conn *conn, struct wire *wire)
{
	const struct sluice_conn_info *info = &conn->info;

	if (conn->stage != SLUICE_STAGE_LIVE || conn->dead || conn->n_outgoing || conn->rest.len ||
	    info->rx.bytes || info->tx.bytes || !conn->rx_traffic || !conn->tx_traffic)
		return -SLUICE_E_STATE;
	write_numbers(wire, info_numbers, ARRAY_SIZE(info_numbers), info);
	write_numbers(wire, limit_numbers, ARRAY_SIZE(limit_numbers), conn->profile);
	wire_put_text(wire, ATTR_SNI, info->sni);
	wire_put_text(wire, ATTR_ALPN, info->alpn);
	wire_put_text(wire, ATTR_HOST, conn->host);
	if (info->peer_identity[0])
		wire_put_text(wire, ATTR_PEER_IDENTITY, info->peer_identity);
	if (info->bad_certs)
		wire_put_u64(wire, ATTR_BAD_CERTS, info->bad_certs);
	write_peer(conn, wire);
	wire_put_u64(wire, ATTR_CAN_REKEY, epoch_can_change(conn));
	if (conn->early_len)
		wire_put(wire, ATTR_EARLY, conn->early, conn->early_len);
	keys_write(wire, ATTR_RX_KEYS, conn->rx_traffic);
	keys_write(wire, ATTR_TX_KEYS, conn->tx_traffic);
	return 0;
}

struct sluice_conn *state_release(struct sluice_conn *conn)
{
	int fd = conn->fd;

	if (conn->home)
		conn->home->ended(conn->home->arg, NULL);
	conn->home = NULL;
	conn->fd = -1;
	conn_free(conn);
	if (fd >= 0)
		sys->close(
			fd); /* the other process has its own descriptor: this says nothing to the peer */
	return NULL;
}

/* --- reading ------------------------------------------------------------------------------- */

/* struct parts - what cannot be put in its place before everything is known. */
struct parts {
	struct attr rx_keys, tx_keys, early, cert;
	struct ends ends;
	bool can_rekey;
};

/* Which was accepted first is not told: the first of the enumeration stands for it. */
static bool read_bad_certs(struct sluice_conn_info *info, const struct attr *attr)
{
	if (!attr_u64(attr, &info->bad_certs) || info->bad_certs >> SLUICE_BAD_CERTS)
		return false;
	info->bad_cert = info->bad_certs ? __builtin_ctzll(info->bad_certs) : 0;
	return true;
}

static bool read_attr(struct sluice_conn *conn, struct parts *parts, const struct attr *attr)
{
	uint64_t value;
	int r;

	switch (attr->type) {
	case ATTR_SNI:
		return attr_text(attr, conn->info.sni, sizeof(conn->info.sni));
	case ATTR_ALPN:
		return attr_text(attr, conn->info.alpn, sizeof(conn->info.alpn));
	case ATTR_PEER_IDENTITY:
		return attr_text(attr, conn->info.peer_identity, sizeof(conn->info.peer_identity));
	case ATTR_PEER_ATTRIBUTES:
		return attr_text(attr, conn->info.attributes, sizeof(conn->info.attributes));
	case ATTR_BAD_CERTS:
		return read_bad_certs(&conn->info, attr);
	case ATTR_CAN_REKEY:
		parts->can_rekey = attr_u64(attr, &value) && value;
		return true;
	case ATTR_RX_KEYS:
		parts->rx_keys = *attr;
		return true;
	case ATTR_TX_KEYS:
		parts->tx_keys = *attr;
		return true;
	case ATTR_EARLY:
		parts->early = *attr;
		return true;
	case ATTR_PEER_CERT:
		parts->cert = *attr;
		return true;
	case ATTR_LOCAL:
		return attr_address(&parts->ends.local, attr);
	case ATTR_PEER:
		return attr_address(&parts->ends.peer, attr);
	default:
		r = read_number(info_numbers, ARRAY_SIZE(info_numbers), &conn->info, attr);
		return r >= 0;
	}
}

static void read_names(struct sluice_conn_info *info, const struct suite *suite)
{
	const char *group = SSL_get_curve_name(info->group);

	strcpy(info->version_name, info->version == TLS13 ? "TLSv1.3" : "TLSv1.2");
	strncpy(info->suite_name, suite->name, sizeof(info->suite_name) - 1);
	if (group)
		strncpy(info->group_name, group, sizeof(info->group_name) - 1);
}

/* A direction on the kernel path has its keys in the socket; their secrets are the broker's. */
static int read_keys(struct traffic **ret_traffic, const struct attr *attr,
		     const struct suite *suite)
{
	if (attr->bytes)
		return keys_read(ret_traffic, attr, suite);
	*ret_traffic = secret_new(sizeof(**ret_traffic));
	if (!*ret_traffic)
		return -SLUICE_E_NOMEM;
	(*ret_traffic)->suite = suite;
	return 0;
}

static int make_paths(struct sluice_conn *conn, const struct parts *parts)
{
	int rx_path = conn->info.rx.path, tx_path = conn->info.tx.path;
	int r;

	if ((rx_path != SLUICE_PATH_KERNEL && rx_path != SLUICE_PATH_USER) || rx_path != tx_path ||
	    (rx_path == SLUICE_PATH_USER && (!parts->rx_keys.bytes || !parts->tx_keys.bytes)))
		return -SLUICE_E_PROTOCOL;
	r = read_keys(&conn->rx_traffic, &parts->rx_keys, conn->suite);
	if (r == 0)
		r = read_keys(&conn->tx_traffic, &parts->tx_keys, conn->suite);
	if (r == 0)
		r = rx_path == SLUICE_PATH_KERNEL
			    ? record_kernel_rx_new(&conn->rx, conn->fd, conn->rx_traffic)
			    : record_user_rx_new(&conn->rx, conn->rx_traffic);
	if (r == 0)
		r = tx_path == SLUICE_PATH_KERNEL
			    ? record_kernel_tx_new(&conn->tx, conn->fd, conn->tx_traffic)
			    : record_user_tx_new(&conn->tx, conn->tx_traffic);
	return r;
}

static int keep_bytes(struct sluice_conn *conn, const struct parts *parts)
{
	CRYPTO_BUFFER *cert;

	if (parts->ends.local.ss_family || parts->ends.peer.ss_family) {
		conn->ends = malloc(sizeof(*conn->ends));
		if (!conn->ends)
			return -SLUICE_E_NOMEM;
		*conn->ends = parts->ends;
	}
	if (parts->early.len) {
		conn->early = malloc(parts->early.len);
		if (!conn->early)
			return -SLUICE_E_NOMEM;
		memcpy(conn->early, parts->early.bytes, parts->early.len);
		conn->early_len = parts->early.len;
	}
	if (!parts->cert.len)
		return 0;
	conn->peer_chain = sk_CRYPTO_BUFFER_new_null();
	cert = CRYPTO_BUFFER_new(parts->cert.bytes, parts->cert.len, NULL);
	if (conn->peer_chain && cert && sk_CRYPTO_BUFFER_push(conn->peer_chain, cert))
		return 0;
	CRYPTO_BUFFER_free(cert);
	return -SLUICE_E_NOMEM;
}

static int read_all(struct sluice_conn *conn, struct wire_reader *reader)
{
	struct parts parts = { 0 };
	struct attr attr;
	int r;

	while ((r = wire_next(reader, &attr)) == 1)
		if (!read_attr(conn, &parts, &attr))
			return -SLUICE_E_PROTOCOL;
	if (r < 0)
		return -SLUICE_E_PROTOCOL;
	conn->suite = suite_find(conn->info.suite);
	if (!conn->suite || conn->suite->version != conn->info.version)
		return -SLUICE_E_UNSUPPORTED_SUITE;
	read_names(&conn->info, conn->suite);
	r = make_paths(conn, &parts);
	if (r == 0)
		r = keep_bytes(conn, &parts);
	conn->cannot_rekey = !parts.can_rekey;
	return r;
}

/* struct terms - what a profile is chosen by. */
struct terms {
	enum sluice_role role;
	struct sluice_profile limits; /* only what limit_numbers has */
};

static int read_terms(struct terms *terms, struct wire_reader reader)
{
	unsigned int missing = (1u << REQUIRED_LIMITS) - 1;
	const struct sluice_profile *limits = &terms->limits;
	uint64_t role = UINT64_MAX;
	struct attr attr;
	int i;

	while (wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_ROLE && !attr_u64(&attr, &role))
			return -SLUICE_E_PROTOCOL;
		i = read_number(limit_numbers, ARRAY_SIZE(limit_numbers), &terms->limits, &attr);
		if (i < 0)
			return i;
		if (i)
			missing &= ~(1u << (i - 1));
	}
	terms->role = (enum sluice_role)role;
	if (limits->tx_max_payload_len < 64 || limits->tx_max_payload_len > RECORD_MAX_PLAIN)
		return -SLUICE_E_PROTOCOL;
	return missing || (role != SLUICE_CLIENT && role != SLUICE_SERVER) ? -SLUICE_E_PROTOCOL : 0;
}

static bool fits(const struct sluice_profile *profile, const struct terms *terms)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(limit_numbers); i++)
		if (memcmp((const uint8_t *)profile + limit_numbers[i].offset,
			   (const uint8_t *)&terms->limits + limit_numbers[i].offset,
			   limit_numbers[i].size))
			return false;
	return profile->role == terms->role;
}

static int bare_profile(struct sluice_profile **ret_profile, const struct terms *terms)
{
	struct sluice_options *opts;
	size_t i;
	int r = sluice_options_new(&opts);

	if (r < 0)
		return r;
	r = profile_new_bare(ret_profile, opts, terms->role, NULL);
	sluice_options_free(opts);
	for (i = 0; r == 0 && i < ARRAY_SIZE(limit_numbers); i++)
		memcpy((uint8_t *)*ret_profile + limit_numbers[i].offset,
		       (const uint8_t *)&terms->limits + limit_numbers[i].offset,
		       limit_numbers[i].size);
	return r;
}

/* One connection is like the one before it, mostly. */
static int choose_profile(struct sluice_profile **last, const struct terms *terms)
{
	struct sluice_profile *profile;
	int r;

	if (*last && fits(*last, terms))
		return 0;
	r = bare_profile(&profile, terms);
	if (r < 0)
		return r;
	sluice_profile_unref(*last);
	*last = profile;
	return 0;
}

int state_read(struct sluice_conn **ret_conn, struct sluice *sluice, struct sluice_profile **last,
	       struct wire_reader *reader, int fd)
{
	struct terms terms = { .limits.tx_max_payload_len = RECORD_MAX_PLAIN };
	struct sluice_conn *conn;
	int r = read_terms(&terms, *reader);

	if (r == 0)
		r = choose_profile(last, &terms);
	if (r == 0)
		r = conn_new(&conn, sluice, *last, terms.role, fd);
	if (r < 0)
		return r;
	r = read_all(conn, reader);
	if (r < 0) {
		conn->fd = -1;
		conn_free(conn);
		return r;
	}
	conn->stage = conn->info.stage = SLUICE_STAGE_LIVE;
	live_start(conn);
	*ret_conn = conn;
	return 0;
}
