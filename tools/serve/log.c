/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of `sluice serve`: one line per connection, when it ends, on standard output; and the
 * counters. The only file of the server that writes anywhere but to peers.
 */
#include <stdio.h>
#include <string.h>

#include "describe.h"
#include "peer.h"

static void log_json(const struct peer *peer, const struct sluice_conn_info *info,
		     const struct sluice_error *err)
{
	struct json_object *object = describe_conn(info);
	char addr[64];

	if (!object)
		return;
	describe_addr(&peer->addr.any, addr, sizeof(addr));
	json_object_object_add(object, "peer", json_object_new_string(addr));
	json_object_object_add(object, "requests", json_object_new_uint64(peer->requests));
	if (peer->end_code < 0) {
		json_object_object_add(object, "code",
				       json_object_new_string(sluice_error_name(peer->end_code)));
		json_object_object_add(object, "error", describe_error(err));
	}
	describe_print(object, stdout);
}

static void log_text(const struct peer *peer, const struct sluice_conn_info *info,
		     const struct sluice_error *err)
{
	char addr[64], facts[1024], text[512] = "in order";

	describe_addr(&peer->addr.any, addr, sizeof(addr));
	describe_conn_text(info, facts, sizeof(facts));
	if (peer->end_code < 0)
		sluice_format_error(err, text, sizeof(text));
	printf("conn=%llu peer=%s %s requests=%llu end=\"%s\"\n", (unsigned long long)info->id,
	       addr, facts, (unsigned long long)peer->requests, text);
	fflush(stdout);
}

void log_peer(const struct peer *peer)
{
	const struct serve_settings *settings = peer->worker->server->settings;
	struct sluice_conn_info info = { 0 };
	struct sluice_error err = { .alert = -1 };

	if (settings->quiet)
		return;
	sluice_conn_info(peer->conn, &info, sizeof(info));
	sluice_conn_error(peer->conn, &err, sizeof(err));
	if (peer->end_code < 0 && err.code == 0) {
		/* Ours, not the library's: the time that a peer may be idle, a file's end. */
		err.code = -peer->end_code;
		err.kind = sluice_error_kind(peer->end_code);
		err.stage = info.stage;
		snprintf(err.text, sizeof(err.text), "%s", sluice_strerror(peer->end_code));
	}
	if (settings->json_log)
		log_json(peer, &info, &err);
	else
		log_text(peer, &info, &err);
}

void log_refused(const struct server *server, const struct sluice_error *err)
{
	char text[512];

	if (server->settings->quiet)
		return;
	sluice_format_error(err, text, sizeof(text));
	fprintf(stderr, "sluice serve: a connection could not be started: %s\n", text);
}

void stats_print(const struct stats *stats, FILE *out)
{
	flockfile(out);
#define STATS_PRINT(name)                \
	fprintf(out, "%s %llu\n", #name, \
		(unsigned long long)atomic_load_explicit(&stats->name, memory_order_relaxed));
	STATS(STATS_PRINT)
#undef STATS_PRINT
	fflush(out);
	funlockfile(out);
}
