/* SPDX-License-Identifier: Apache-2.0 */
/* Two connections of which one pauses: see pause.h. Used by flow tests only. */
#include "support/pause.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/check.h"

#define RUN_MS 20000

/* One turn of both ends; waits when neither has got anywhere. */
static void turn(struct pair *pair)
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
	if (pair->client_result == -SLUICE_E_AGAIN)
		pair->client_result = sluice_conn_dispatch(pair->client);
	if (pair->server_result == -SLUICE_E_AGAIN)
		pair->server_result = sluice_conn_dispatch(pair->server);
}

void pause_run(struct pair *pair, enum sluice_role role)
{
	const int *result = role == SLUICE_SERVER ? &pair->server_result : &pair->client_result;

	while (*result == -SLUICE_E_AGAIN)
		turn(pair);
	assert_int_equal(*result, SLUICE_PAUSED);
}

struct sluice_conn *pause_end(const struct pair *pair, enum sluice_role role)
{
	return role == SLUICE_SERVER ? pair->server : pair->client;
}

int pause_continue(struct pair *pair, enum sluice_role role, const char *text)
{
	struct sluice_options *extra = text ? check_options(text) : NULL;
	int r = sluice_handshake_continue(pause_end(pair, role), extra, SLUICE_NOWAIT);

	sluice_options_free(extra);
	*(role == SLUICE_SERVER ? &pair->server_result : &pair->client_result) = r;
	return pair_run(pair);
}

void pause_open(struct pair *pair, enum sluice_role role, struct pair_setup setup)
{
	static char text[2][1024];
	const char **options = role == SLUICE_SERVER ? &setup.server_options
						     : &setup.client_options;

	snprintf(text[role - 1], sizeof(text[0]), PAUSE "%s", *options ? *options : "");
	*options = text[role - 1];
	pair_open(pair, &setup);
	pair_start(pair, NULL);
	pause_run(pair, role);
}

struct sluice_hello pause_hello(const struct sluice_conn *conn)
{
	struct sluice_hello hello;

	assert_int_equal(sluice_hello(conn, &hello, sizeof(hello)), 0);
	return hello;
}
