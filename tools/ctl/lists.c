// SPDX-License-Identifier: Apache-2.0
/* The commands that show something: one row of this table each, and one function for all. */
#include "ctl.h"

static const struct column status_columns[] = {
	{ "version", "Version" },
	{ "state", "State", COLUMN_STATE },
	{ "pid", "Process" },
	{ "uptime_ms", "Up for", COLUMN_MS },
	{ "config", "Configuration" },
	{ "log_level", "Log level" },
	{ "sessions", "Sessions" },
	{ "handshakes", "Handshakes now" },
	{ "handshakes_limit", "Handshakes at most" },
	{ "queued", "Queued" },
	{ "workers", "Workers" },
	{ "pools", "Pools" },
	{ "listeners", "Listeners" },
	{ "handshakers", "Handshakers" },
	{ "live_counts", "Live counts" },
	{ "refused_share", "Refused: share" },
	{ "refused_rate", "Refused: rate" },
	{ "refused_penalty", "Refused: penalty" },
	{ "refused_proxy", "Refused: no proxy" },
	{ "refused_no_memory", "Refused: no memory" },
	{ "refused_no_handshaker", "Refused: no handshaker" },
	{ NULL },
};

static const struct column sessions_columns[] = {
	{ "id", "ID", COLUMN_NUMBER },
	{ "state", "STATE", COLUMN_STATE },
	{ "role", "ROLE" },
	{ "listener", "LISTENER" },
	{ "pool", "POOL" },
	{ "worker", "WORKER", COLUMN_NUMBER },
	{ "peer", "PEER" },
	{ "local", "LOCAL", COLUMN_TEXT, true },
	{ "sni", "SNI" },
	{ "alpn", "ALPN", COLUMN_TEXT, true },
	{ "version", "TLS" },
	{ "suite", "SUITE", COLUMN_TEXT, true },
	{ "rx_path", "RX", COLUMN_TEXT, true },
	{ "tx_path", "TX" },
	{ "rx_bytes", "IN", COLUMN_BYTES },
	{ "tx_bytes", "OUT", COLUMN_BYTES },
	{ "age_ms", "AGE", COLUMN_MS },
	{ "peer_identity", "IDENTITY" },
	{ NULL },
};

static const struct column session_columns[] = {
	{ "id", "Session" },
	{ "state", "State", COLUMN_STATE },
	{ "role", "Role" },
	{ "listener", "Listener" },
	{ "pool", "Pool" },
	{ "worker", "Worker" },
	{ "worker_pid", "Worker's process" },
	{ "peer", "Peer" },
	{ "local", "Local" },
	{ "sni", "Server name" },
	{ "alpn", "Protocol" },
	{ "version", "TLS" },
	{ "suite", "Suite" },
	{ "group", "Group" },
	{ "resumed", "Resumed" },
	{ "peer_verified", "Peer verified" },
	{ "peer_identity", "Peer's identity" },
	{ "peer_attributes", "... which is" },
	{ "accepted", "Accepted in spite of" },
	{ "peer_sha256", "Peer's certificate" },
	{ "rx_path", "Receiving by" },
	{ "rx_reason", "... because" },
	{ "tx_path", "Sending by" },
	{ "tx_reason", "... because" },
	{ "kernel_rx", "Kernel receives" },
	{ "kernel_tx", "Kernel sends" },
	{ "can_rekey", "Can change keys" },
	{ "rx_bytes", "In", COLUMN_BYTES },
	{ "tx_bytes", "Out", COLUMN_BYTES },
	{ "rtt_us", "Round trip", COLUMN_US },
	{ "retransmits", "Retransmits" },
	{ "handshake_us", "Handshake took", COLUMN_US },
	{ "established_ms", "Established for", COLUMN_MS },
	{ "age_ms", "Age", COLUMN_MS },
	{ "cookie", "Socket cookie" },
	{ "proxy", "Through the proxy" },
	{ "queue_us", "Waited for a handshaker", COLUMN_US },
	{ "network_us", "... for the peer", COLUMN_US },
	{ "sign_us", "... for the keeper", COLUMN_US },
	{ "verify_us", "Judging the peer took", COLUMN_US },
	{ "decision_us", "... and the decision service", COLUMN_US },
	{ "total_us", "From accept to established", COLUMN_US },
	{ "handover_us", "From there to its worker", COLUMN_US },
	{ "rx_epoch", "Keys changed, receiving" },
	{ "tx_epoch", "Keys changed, sending" },
	{ NULL },
};

static const struct column stats_columns[] = {
	{ "scope", "SCOPE" },
	{ "name", "COUNT OF" },
	{ "value", "VALUE", COLUMN_NUMBER },
	{ NULL },
};

static const struct column workers_columns[] = {
	{ "worker", "WORKER", COLUMN_NUMBER },
	{ "pool", "POOL" },
	{ "state", "STATE", COLUMN_STATE },
	{ "pid", "PID", COLUMN_NUMBER },
	{ "uid", "UID", COLUMN_NUMBER },
	{ "sessions", "SESSIONS", COLUMN_NUMBER },
	{ "credits", "CREDITS", COLUMN_NUMBER },
	{ "rekeys", "REKEYS", COLUMN_NUMBER },
	{ NULL },
};

static const struct column listeners_columns[] = {
	{ "listener", "LISTENER" },
	{ "address", "ADDRESS" },
	{ "state", "STATE", COLUMN_STATE },
	{ "profile", "PROFILE" },
	{ "pool", "POOL" },
	{ "routes", "ROUTES", COLUMN_NUMBER },
	{ "backlog", "BACKLOG", COLUMN_NUMBER, true },
	{ "accepted", "ACCEPTED", COLUMN_NUMBER },
	{ NULL },
};

static const struct column certs_columns[] = {
	{ "profile", "PROFILE" },
	{ "hosts", "HOSTS" },
	{ "n_hosts", "NAMES", COLUMN_NUMBER, true },
	{ "chain", "CHAIN", COLUMN_NUMBER },
	{ "not_after", "GOOD UNTIL" },
	{ "cert_sha256", "CERTIFICATE SHA-256", COLUMN_TEXT, true },
	{ "key_sha256", "KEY SHA-256", COLUMN_TEXT, true },
	{ "days_left", "DAYS", COLUMN_NUMBER },
	{ "key_type", "KEY" },
	{ "file", "FILE" },
	{ "staple", "STAPLE", COLUMN_STATE },
	{ "staple_until", "STAPLE UNTIL" },
	{ "staple_next_fetch", "NEXT FETCH", COLUMN_TEXT, true },
	{ "staple_problem", "STAPLE PROBLEM" },
	{ "problem", "PROBLEM" },
	{ NULL },
};

static const struct column options_columns[] = {
	{ "profile", "PROFILE" },
	{ "option", "OPTION" },
	{ "origin", "FROM" },
	{ "value", "VALUE" },
	{ NULL },
};

static struct json_object *make_request(const struct ctl_command *command, int argc, char **argv)
{
	struct json_object *request = ctl_request(command->name), *filter;

	if (!argc)
		return request;
	if (command->one) {
		json_object_object_add(request, "id", ctl_id(argv[0]));
		if (json_object_object_get(request, "id"))
			return request;
	} else {
		filter = ctl_filter(argc, argv);
		json_object_object_add(request, "filter", filter);
		if (filter)
			return request;
	}
	json_object_put(request);
	return NULL;
}

enum ctl_status ctl_rows(const struct settings *settings, const struct column *columns,
			 struct json_object *request)
{
	enum ctl_status status;
	struct table table;
	struct ctl ctl;

	status = ctl_connect(&ctl, settings->socket);
	if (status != CTL_DONE) {
		json_object_put(request);
		return status;
	}
	table_begin(&table, columns, table_format(settings));
	table.wide = settings->wide;
	status = ctl_ask(&ctl, request, table_row, &table, NULL);
	if (table.n_rows || settings->json)
		table_end(&table);
	ctl_close(&ctl);
	return status;
}

static enum ctl_status show(const struct ctl_command *command, const struct settings *settings,
			    int argc, char **argv)
{
	struct json_object *request = make_request(command, argc, argv), *answer;
	enum ctl_status status;
	struct table table;
	struct ctl ctl;

	if (!request)
		return CTL_USAGE;
	status = ctl_connect(&ctl, settings->socket);
	if (status != CTL_DONE) {
		json_object_put(request);
		return status;
	}
	table_begin(&table, command->columns, table_format(settings));
	table.wide = settings->wide;
	table.one = command->one;
	status = ctl_ask(&ctl, request, table_row, &table, &answer);
	if (status == CTL_DONE || table.n_rows || (settings->json && !table.one))
		table_end(&table);
	else if (settings->json && answer)
		printf("%s\n", json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN));
	/* Whoever gives a filter asks whether there are any. */
	if (status == CTL_DONE && argc && !table.n_rows)
		status = CTL_REFUSED;
	json_object_put(answer);
	ctl_close(&ctl);
	return status;
}

const struct ctl_command ctl_lists[] = {
	{ "status", "", "show the state of the daemon", NULL, 0, 0, status_columns, true, show },
	{ "sessions", "[KEY=VALUE]...", "list sessions, those that all filters fit",
	  "Filters: state=handshake|queued|offered|live, listener=NAME, pool=NAME, worker=NUMBER,\n"
	  "sni=NAME (*.example.org: all below it; -: none was sent), peer=ADDRESS, ADDRESS/BITS,\n"
	  "ADDRESS:PORT or [ADDRESS]:PORT, identity=TEXT (of the peer; -: it has none),\n"
	  "sha256=DIGEST (of its certificate). Status 1: no session fits them.\n"
	  "Bytes are those of TCP, records included. --json and --tsv come in no order.",
	  0, 8, sessions_columns, false, show },
	{ "session", "ID", "show all that is known of one session", NULL, 1, 1, session_columns,
	  true, show },
	{ "stats", "", "show what was counted since the start", NULL, 0, 0, stats_columns, false,
	  show },
	{ "workers", "", "list the workers of all pools", NULL, 0, 0, workers_columns, false,
	  show },
	{ "listeners", "", "list the listeners", NULL, 0, 0, listeners_columns, false, show },
	{ "certs", "", "list certificates: for which names, until when",
	  "HOSTS is empty for what a profile has for all other names. At most 64 names of a host\n"
	  "are shown; n_hosts counts all. KEY SHA-256 is of the SubjectPublicKeyInfo. Files of a\n"
	  "hosts_dir with a PROBLEM come last; what was in force before them still is, if it was.\n"
	  "STAPLE: the OCSP response, if it is fetched: good, stale (its time is over) or none; file: it is\n"
	  "not fetched; a file has it.",
	  0, 0, certs_columns, false, show },
	{ "options", "", "list the TLS options of every profile, as they are in effect",
	  "What hosts have of their own is not in the list. Secrets are never shown.", 0, 0,
	  options_columns, false, show },
	{ NULL },
};
