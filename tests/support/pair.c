/* SPDX-License-Identifier: Apache-2.0 */
/* Two connections in one thread: see pair.h. Used by flow tests only. */
#include "support/pair.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/certs.h"

#define RUN_MS 20000 /* a handshake that takes longer hangs */
#define PATTERN_CHUNK 65536

const char *const pair_versions[2] = { "tlsv1.3", "tlsv1.2" };

static struct sluice_profile *make_profile(enum sluice_role role, const char *text,
					   const struct pair_setup *setup)
{
	struct sluice_profile *profile = NULL;
	struct sluice_options *opts;
	struct sluice_error err;
	char line[300];

	assert_int_equal(sluice_options_new(&opts), 0);
	/* Tickets are off unless asked for. */
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_SESSION_TICKETS,
					    role == SLUICE_SERVER ? "stateless" : "manual", &err),
			 0);
	/* Whoever drives both ends cannot wait for one of them. */
	assert_int_equal(sluice_options_set_int(opts, SLUICE_OPT_ALERT_TIMEOUT, 0, &err), 0);
	if (setup && setup->set)
		setup->set(opts, role, setup->arg);
	if (sluice_options_parse(opts, text, strlen(text), &err) < 0 ||
	    sluice_profile_new(&profile, opts, role, &err) < 0) {
		sluice_format_error(&err, line, sizeof(line));
		fail_msg("profile: %s\n%s", line, text);
	}
	sluice_options_free(opts);
	return profile;
}

struct sluice_profile *pair_profile(enum sluice_role role, const char *text)
{
	return make_profile(role, text, NULL);
}

static void common_options(char *text, size_t size, const struct pair_setup *setup)
{
	snprintf(text, size, "record_path = %s\n%s%s\n", setup->path ? setup->path : "auto",
		 setup->versions ? "versions = " : "", setup->versions ? setup->versions : "");
}

void pair_open(struct pair *pair, const struct pair_setup *setup)
{
	const struct certs *certs = certs_get();
	char common[256], text[4096];
	struct sluice_error err;

	memset(pair, 0, sizeof(*pair));
	pair->host = setup->bind ? setup->bind : "127.0.0.1";
	assert_int_equal(sluice_start(&pair->sluice, SLUICE_TEMPORARY, &err), 0);
	common_options(common, sizeof(common), setup);
	snprintf(text, sizeof(text), "%scertfile = %s\nkeyfile = %s\n%s\n", common,
		 setup->cert ? setup->cert : certs->server_p256,
		 setup->key ? setup->key : certs->server_p256_key,
		 setup->server_options ? setup->server_options : "");
	pair->server_profile = make_profile(SLUICE_SERVER, text, setup);
	snprintf(text, sizeof(text), "%scacertfile = %s\nserver_name_indication = localhost\n%s\n",
		 common, certs->ca, setup->client_options ? setup->client_options : "");
	pair->client_profile = make_profile(SLUICE_CLIENT, text, setup);
	assert_int_equal(sluice_listen(pair->sluice, pair->host, 0, pair->server_profile,
				       &pair->listener, &err),
			 0);
}

void pair_start(struct pair *pair, struct sluice_session *session)
{
	struct sluice_error err;
	int r;

	r = sluice_connect(pair->sluice, pair->host, sluice_listener_port(pair->listener),
			   pair->client_profile, session, SLUICE_NOWAIT, &pair->client, &err);
	if (r != -SLUICE_E_AGAIN)
		fail_msg("connect: %s", err.text);
	assert_int_equal(sluice_transport_accept(pair->listener, RUN_MS, &pair->server), 0);
	pair->client_result = -SLUICE_E_AGAIN;
	pair->server_result = sluice_handshake(pair->server, NULL, SLUICE_NOWAIT);
}

/* Waits until one of the ends has something to do. */
static void wait_either(struct pair *pair)
{
	struct pollfd pfds[2] = {
		{ sluice_conn_fd(pair->server), sluice_conn_events(pair->server), 0 },
		{ sluice_conn_fd(pair->client), sluice_conn_events(pair->client), 0 },
	};

	if (pair->server_result != -SLUICE_E_AGAIN)
		pfds[0].fd = -1;
	if (pair->client_result != -SLUICE_E_AGAIN)
		pfds[1].fd = -1;
	assert_true(poll(pfds, 2, RUN_MS) > 0);
}

int pair_run(struct pair *pair)
{
	while (pair->client_result == -SLUICE_E_AGAIN || pair->server_result == -SLUICE_E_AGAIN) {
		if (pair->client_result == -SLUICE_E_AGAIN)
			pair->client_result = sluice_conn_dispatch(pair->client);
		if (pair->server_result == -SLUICE_E_AGAIN)
			pair->server_result = sluice_conn_dispatch(pair->server);
		if (pair->client_result == -SLUICE_E_AGAIN ||
		    pair->server_result == -SLUICE_E_AGAIN)
			wait_either(pair);
	}
	return pair->server_result ? pair->server_result : pair->client_result;
}

int pair_resume(struct pair *pair, struct sluice_session *session)
{
	pair_start(pair, session);
	return pair_run(pair);
}

int pair_connect(struct pair *pair)
{
	return pair_resume(pair, NULL);
}

void pair_drop(struct pair *pair)
{
	sluice_close(pair->client);
	sluice_close(pair->server);
	pair->client = pair->server = NULL;
}

void pair_close(struct pair *pair)
{
	pair_drop(pair);
	sluice_listener_free(pair->listener);
	sluice_profile_unref(pair->server_profile);
	sluice_profile_unref(pair->client_profile);
	sluice_stop(pair->sluice);
}

void pair_pattern(uint8_t *buf, size_t len, size_t offset)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = (uint8_t)((offset + i) * 2654435761u >> 13);
}

/* Both ends in turn, so that neither socket's buffer can block the other for ever. */
static void send_one_way(struct sluice_conn *from, struct sluice_conn *to, size_t len)
{
	uint8_t *out = malloc(PATTERN_CHUNK), *in = malloc(PATTERN_CHUNK);
	uint8_t *expected = malloc(PATTERN_CHUNK);
	size_t sent = 0, got = 0, n;
	ssize_t r;

	assert_true(out && in && expected);
	while (got < len) {
		if (sent < len) {
			n = len - sent < PATTERN_CHUNK ? len - sent : PATTERN_CHUNK;
			pair_pattern(out, n, sent);
			r = sluice_send(from, out, n, SLUICE_NOWAIT);
			assert_true(r >= 0 || r == -SLUICE_E_AGAIN);
			sent += r > 0 ? r : 0;
		} else {
			r = sluice_conn_dispatch(from);
			assert_true(r == 0 || r == -SLUICE_E_AGAIN);
		}
		while ((r = sluice_recv(to, in, PATTERN_CHUNK,
					sent == len && !(sluice_conn_events(from) & POLLOUT)
						? RUN_MS
						: SLUICE_NOWAIT)) > 0) {
			pair_pattern(expected, r, got);
			assert_memory_equal(in, expected, r);
			got += r;
			if (got == len)
				break;
		}
		assert_true(r > 0 || r == -SLUICE_E_AGAIN);
	}
	assert_int_equal(got, len);
	free(out);
	free(in);
	free(expected);
}

void pair_exchange(struct pair *pair, size_t len)
{
	send_one_way(pair->client, pair->server, len);
	send_one_way(pair->server, pair->client, len);
}

const char *pair_path(int i)
{
	static int kernel = -1;
	struct sluice_capabilities caps;
	struct sluice *sluice;
	struct sluice_error err;

	if (kernel < 0) {
		assert_int_equal(sluice_start(&sluice, SLUICE_TEMPORARY, &err), 0);
		sluice_capabilities(sluice, &caps, sizeof(caps));
		sluice_stop(sluice);
		kernel = caps.ktls_errno == 0;
	}
	if (i == 0)
		return "user";
	return i == 1 && kernel ? "kernel" : NULL;
}
