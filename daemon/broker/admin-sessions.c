// SPDX-License-Identifier: Apache-2.0
/*
 * Sessions, one or many. A listing goes through the table bucket by bucket, as far as the client reads:
 * sessions may come and go meanwhile. What lives from its beginning to its end is told once; what
 * comes or goes while it runs is told once or not at all.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include <sluice/sluice.h>

#include "broker/admin.h"
#include "common/policy.h"
#include "core/sys.h"
#include "options/options.h"
#include "record/suite.h"

#define COUNTS_MS 250    /* how old the counts of a listing may be */
#define MAX_DUMPED 20000 /* above, each row asks for its own: a dump would hold up everybody */

static const char *const versions[] = { [0] = NULL, [1] = "TLSv1.2", [2] = "TLSv1.3" };

void admin_names(const struct broker *broker, const struct session *session,
		 const char **ret_listener, const char **ret_pool)
{
	const struct config *config = broker->config;
	bool brought = session->pool < config->n_pools && config->pools[session->pool].is_service;
	bool chosen = brought || session->state != SESSION_HANDSHAKE;

	*ret_listener = session->listener < config->n_listeners
				? config->listeners[session->listener].name
				: "?";
	if (brought)
		*ret_listener = NULL;
	*ret_pool = chosen && session->pool < config->n_pools ? config->pools[session->pool].name
							      : NULL;
}

/* --- live counts ---------------------------------------------------------------------------------- */

static void take_counts(struct session *session, const struct diag_socket *socket)
{
	session->rx_bytes = socket->bytes_in;
	session->tx_bytes = socket->bytes_out;
}

static void take_dumped(void *arg, const struct diag_socket *socket)
{
	struct session *session = session_find_cookie(arg, socket->cookie);

	if (session && socket->has_counts)
		take_counts(session, socket);
}

/* All at once; what the kernel tells is kept in the sessions, so that one dump serves many. */
static void count_all(struct broker *broker)
{
	if (!broker->diag || broker->sessions.n > MAX_DUMPED ||
	    (broker->admin.counted_ms &&
	     broker->loop.now_ms - broker->admin.counted_ms < COUNTS_MS))
		return;
	diag_dump(broker->diag, AF_INET, take_dumped, broker);
	diag_dump(broker->diag, AF_INET6, take_dumped, broker);
	broker->admin.counted_ms = broker->loop.now_ms;
}

/* Returns 0 or -errno. */
static int count_one(struct broker *broker, struct session *session, struct diag_socket *ret_socket)
{
	int r = session_find_socket(broker, session, ret_socket);

	if (r == 0)
		take_counts(session, ret_socket);
	return r;
}

/* --- rows ----------------------------------------------------------------------------------------- */

static void put_group(struct json_object *row, uint16_t group)
{
	put_text(row, "group", group ? words_name(SLUICE_OPT_SUPPORTED_GROUPS, group) : NULL);
}

static void put_path(struct json_object *row, const char *name, uint8_t path)
{
	put_text(row, name, path == SLUICE_PATH_NONE ? NULL : sluice_path_name(path));
}

static struct json_object *describe(const struct broker *broker, const struct session *session)
{
	const struct suite *suite = suite_find(session->suite);
	struct json_object *row = json_object_new_object();
	const char *listener, *pool;
	uint64_t now = broker->loop.now_ms;
	int version = session->version == TLS13 ? 2 : session->version == TLS12;

	admin_names(broker, session, &listener, &pool);
	put_number(row, "id", session->id);
	put_text(row, "state", admin_state_name(session->state));
	put_text(row, "role", session->role == SLUICE_CLIENT ? "client" : "server");
	put_text(row, "listener", listener);
	put_text(row, "pool", pool);
	if (session->worker)
		put_number(row, "worker", session->worker->number);
	else
		put_text(row, "worker", NULL);
	put_address(row, "peer", session_source(session));
	put_address(row, "local", session_destination(session));
	put_peer_text(row, "sni", session->sni);
	put_peer_text(row, "alpn", session->alpn);
	put_text(row, "version", versions[version]);
	put_text(row, "suite", suite ? suite->name : NULL);
	put_path(row, "rx_path", session->rx_path);
	put_path(row, "tx_path", session->tx_path);
	put_number(row, "rx_bytes", session->rx_bytes);
	put_number(row, "tx_bytes", session->tx_bytes);
	put_number(row, "age_ms", now - session->accepted_ms);
	put_peer_text(row, "peer_identity", session->identity);
	return row;
}

static void put_reason(struct json_object *row, const char *name, uint8_t reason)
{
	put_text(row, name, reason == SLUICE_REASON_NONE ? NULL : sluice_path_reason_name(reason));
}

static void put_times(struct json_object *row, const struct session *session)
{
	const struct session_times *times = &session->times;

	put_number(row, "handshake_us", session->handshake_us);
	if (!session->established_us) /* it is not over, or nobody remembers */
		return;
	put_number(row, "queue_us", times->queue);
	put_number(row, "network_us", times->network);
	put_number(row, "sign_us", times->sign);
	put_number(row, "verify_us", times->verify);
	if (times->decision)
		put_number(row, "decision_us", times->decision);
	put_number(row, "total_us", times->total);
	if (times->handover)
		put_number(row, "handover_us", times->handover);
}

static void describe_more(struct json_object *row, const struct broker *broker,
			  const struct session *session)
{
	char names[POLICY_NAMES_LEN];

	put_group(row, session->group);
	put_bool(row, "resumed", session->resumed);
	put_bool(row, "peer_verified", session->peer_verified);
	put_peer_words(row, "peer_attributes", session->decided.attributes);
	put_text(row, "accepted",
		 session->bad_certs ? policy_names(names, session->bad_certs) : NULL);
	if (session->has_peer)
		put_hex(row, "peer_sha256", session->peer_sha256, sizeof(session->peer_sha256));
	put_reason(row, "rx_reason", session->rx_reason);
	put_reason(row, "tx_reason", session->tx_reason);
	put_bool(row, "can_rekey", session->can_rekey);
	put_times(row, session);
	put_number(row, "rx_epoch", session->rx_epoch);
	put_number(row, "tx_epoch", session->tx_epoch);
	put_number(row, "cookie", session->cookie);
	if (session->worker)
		put_number(row, "worker_pid", (uint64_t)session->worker->pid);
	if (session->established_us)
		put_number(row, "established_ms", (sys->now_us() - session->established_us) / 1000);
	if (session->proxied)
		put_address(row, "proxy", &session->peer);
}

static const char *tls_mode(uint16_t mode)
{
	static const char *const names[] = { "none", "base", "software", "hardware",
					     "hardware-records" };

	return mode < sizeof(names) / sizeof(names[0]) ? names[mode] : "?";
}

static void put_socket(struct json_object *row, const struct diag_socket *socket)
{
	put_number(row, "rtt_us", socket->rtt_us);
	put_number(row, "retransmits", socket->retransmits);
	if (!socket->has_tls)
		return;
	put_text(row, "kernel_rx", tls_mode(socket->tls_rx));
	put_text(row, "kernel_tx", tls_mode(socket->tls_tx));
}

void admin_put_tls(struct json_object *row, const struct session *session)
{
	const struct suite *suite = suite_find(session->suite);

	put_text(row, "version",
		 versions[session->version == TLS13 ? 2 : session->version == TLS12]);
	put_text(row, "suite", suite ? suite->name : NULL);
	put_group(row, session->group);
	put_bool(row, "resumed", session->resumed);
	put_path(row, "rx_path", session->rx_path);
	put_reason(row, "rx_reason", session->rx_reason);
	put_path(row, "tx_path", session->tx_path);
	put_reason(row, "tx_reason", session->tx_reason);
	put_number(row, "handshake_us", session->handshake_us);
}

/* --- requests ------------------------------------------------------------------------------------- */

bool admin_session(struct admin_client *client)
{
	struct broker *broker = client->broker;
	uint64_t id = client->job.request.id;
	struct session *session = session_find(broker, id);
	struct diag_socket socket;
	struct json_object *row;
	bool found;

	if (!session) {
		admin_refuse(client, "no-session",
			     "there is no session %llu now; `sluicectl sessions` lists them",
			     (unsigned long long)id);
		return true;
	}
	found = count_one(broker, session, &socket) == 0;
	row = describe(broker, session);
	describe_more(row, broker, session);
	if (found)
		put_socket(row, &socket);
	admin_row(client, row);
	admin_done(client, NULL);
	return true;
}

static void tell(struct admin_client *client, struct session *session)
{
	struct broker *broker = client->broker;
	struct diag_socket socket;
	const char *listener, *pool;

	admin_names(broker, session, &listener, &pool);
	if (!filter_fits(&client->job.request.filter, session, listener, pool,
			 session->worker ? session->worker->number : 0))
		return;
	if (broker->sessions.n > MAX_DUMPED)
		count_one(broker, session, &socket);
	admin_row(client, describe(broker, session));
}

bool admin_sessions(struct admin_client *client)
{
	struct broker *broker = client->broker;
	struct json_object *facts;
	struct session *session;

	if (client->job.at == 0)
		count_all(broker);
	if (client->job.at < SESSION_BUCKETS) {
		LIST_FOREACH(session, &broker->sessions.by_id[client->job.at], by_id)
		tell(client, session);
		client->job.at++;
		return false;
	}
	facts = json_object_new_object();
	put_number(facts, "sessions", client->job.rows);
	admin_done(client, facts);
	return true;
}
