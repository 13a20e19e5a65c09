/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session of `sluice connect`: opening the connection, showing what was negotiated and with
 * whom, waiting for a ticket. Facts and errors go to standard error; standard output is for data.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "describe.h"

#define NAME_LEN 512

struct names {
	char subject[NAME_LEN];
	char issuer[NAME_LEN];
};

static bool peer_names(const struct client *client, struct names *ret_names)
{
	const uint8_t *der;
	size_t len;

	return sluice_peercert(client->conn, 0, &der, &len) >= 0 &&
	       certificate_names(der, len, ret_names->subject, ret_names->issuer, NAME_LEN) >= 0;
}

static const char *verify_text(const struct client *client, const struct sluice_conn_info *info)
{
	if (client->settings->insecure)
		return "not verified (--insecure)";
	return info->peer_verified ? "verified" : "not verified";
}

static void show_text(const struct client *client, const struct sluice_conn_info *info)
{
	char path[64];
	struct names names;

	fprintf(stderr, "%s, %s, %s%s\n", info->version_name, info->suite_name,
		info->group ? info->group_name : "no key exchange group",
		info->resumed ? ", resumed" : "");
	if (info->sni[0])
		fprintf(stderr, "server name: %s\n", info->sni);
	if (info->alpn[0])
		fprintf(stderr, "protocol: %s\n", info->alpn);
	if (peer_names(client, &names))
		fprintf(stderr, "certificate: %s\n     issuer: %s\n", names.subject, names.issuer);
	fprintf(stderr, "certificate is %s\n", verify_text(client, info));
	if (info->ocsp != SLUICE_OCSP_NOT_ASKED)
		fprintf(stderr, "stapled OCSP response: %s\n", sluice_ocsp_name(info->ocsp));
	describe_path(&info->tx, path, sizeof(path));
	fprintf(stderr, "sending by %s; ", path);
	describe_path(&info->rx, path, sizeof(path));
	fprintf(stderr, "receiving by %s\n", path);
	if (info->tx.reason != SLUICE_REASON_NONE)
		fprintf(stderr, "%s\n", sluice_path_reason_text(info->tx.reason));
}

static void show_json(const struct client *client, const struct sluice_conn_info *info)
{
	struct json_object *object = describe_conn(info);
	struct names names;

	if (object && peer_names(client, &names)) {
		json_object_object_add(object, "subject", json_object_new_string(names.subject));
		json_object_object_add(object, "issuer", json_object_new_string(names.issuer));
	}
	describe_print(object, stderr);
}

void client_show(const struct client *client)
{
	struct sluice_conn_info info;

	if (client->settings->quiet || sluice_conn_info(client->conn, &info, sizeof(info)) < 0)
		return;
	if (client->settings->json)
		show_json(client, &info);
	else
		show_text(client, &info);
}

static void show_end_text(const struct sluice_conn_info *info)
{
	fprintf(stderr, "sent %llu bytes, received %llu\n", (unsigned long long)info->tx.bytes,
		(unsigned long long)info->rx.bytes);
	if (info->tx.epoch || info->rx.epoch)
		fprintf(stderr, "keys changed: ours %llu times, the server's %llu times\n",
			(unsigned long long)info->tx.epoch, (unsigned long long)info->rx.epoch);
}

void client_show_end(const struct client *client)
{
	struct json_object *object;
	struct sluice_conn_info info;

	if (!client->conn || client->settings->quiet ||
	    sluice_conn_info(client->conn, &info, sizeof(info)) < 0 ||
	    info.stage != SLUICE_STAGE_LIVE)
		return;
	if (!client->settings->json) {
		show_end_text(&info);
		return;
	}
	object = json_object_new_object();
	json_object_object_add(object, "end", describe_conn(&info));
	describe_print(object, stderr);
}

void client_complain(const struct client *client, int code, const struct sluice_error *err)
{
	struct sluice_error plain = { .alert = -1 };

	if (err->code == 0) {
		fail(&plain, code < 0 ? -code : code, 0, "%s", sluice_strerror(code));
		err = &plain;
	}
	if (client->settings->json) {
		struct json_object *object = json_object_new_object();

		json_object_object_add(object, "error", describe_error(err));
		describe_print(object, stderr);
		return;
	}
	complain("connect", err);
}

int client_failed(const struct client *client, int code)
{
	struct sluice_error err = { .alert = -1 };

	sluice_conn_error(client->conn, &err, sizeof(err));
	if (err.code != -code)
		err.code = 0; /* a time-out is no error of the connection */
	client_complain(client, code, &err);
	return code;
}

static int open_starttls(struct client *client, struct sluice_error *err)
{
	const struct connect_settings *settings = client->settings;
	int timeout = (int)settings->timeout;
	int r, fd;

	r = tcp_connect(client->host, client->port, timeout, &fd, err);
	if (r < 0)
		return r;
	r = starttls(fd, settings->starttls, timeout, err);
	if (r >= 0)
		r = sluice_connect_fd(client->sluice, fd, client->host, client->profile,
				      client->session, timeout, &client->conn, err);
	if (!client->conn)
		close(fd);
	return r;
}

int client_open(struct client *client)
{
	struct sluice_error err = { .alert = -1 };
	int r;

	if (client->settings->starttls)
		r = open_starttls(client, &err);
	else
		r = sluice_connect(client->sluice, client->host,
				   (uint16_t)strtoul(client->port, NULL, 10), client->profile,
				   client->session, (int)client->settings->timeout, &client->conn,
				   &err);
	while (r == SLUICE_PAUSED) /* option handshake = hello: nothing to add */
		r = sluice_handshake_continue(client->conn, NULL, (int)client->settings->timeout);
	if (r < 0) {
		if (client->conn && err.code == 0)
			sluice_conn_error(client->conn, &err, sizeof(err));
		client_complain(client, r, &err);
		return r;
	}
	client_show(client);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int client_ticket(struct client *client, int timeout_ms)
{
	int64_t deadline = now_ms() + timeout_ms;
	struct sluice_session *session;
	char scrap[4096];
	ssize_t n = 0;
	int r;

	/* Tickets come in the stream of records: receiving is what makes them arrive. */
	while ((r = sluice_take_session(client->conn, &session)) == -SLUICE_E_UNDEFINED) {
		int64_t left = deadline - now_ms();

		if (left <= 0 || (n < 0 && n != -SLUICE_E_TIMEOUT))
			return r;
		n = sluice_recv(client->conn, scrap, sizeof(scrap), (int)left);
	}
	if (r < 0)
		return r;
	sluice_session_free(client->session);
	client->session = session;
	return 0;
}
