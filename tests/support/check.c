/* SPDX-License-Identifier: Apache-2.0 */
/* Assertions about connections: see check.h. Used by flow tests only. */
#include "support/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define RUN_MS 20000

void check_error_at(const struct sluice_conn *conn, int code, int alert, const char *file, int line)
{
	struct sluice_error err;
	char text[300];
	int found;

	assert_int_equal(sluice_conn_error(conn, &err, sizeof(err)), 0);
	found = err.alert < 0 ? NO_ALERT : err.alert | (err.alert_sent ? 0x100 : 0);
	if (err.code != code || found != alert) {
		sluice_format_error(&err, text, sizeof(text));
		print_error("want %s, alert %d%s; got: %s\n", sluice_error_name(code),
			    alert < 0 ? -1 : alert & 0xff,
			    alert < 0       ? ""
			    : alert & 0x100 ? " sent"
					    : " received",
			    text);
		_fail(file, line);
	}
	/* Whatever the code is, it has a kind and a sentence. */
	assert_int_equal(err.kind, sluice_error_kind(err.code));
	assert_true(strlen(err.text) > 0);
	assert_true(err.stage > SLUICE_STAGE_NONE && err.stage < SLUICE_STAGES);
}

struct sluice_conn_info check_info(const struct sluice_conn *conn)
{
	struct sluice_conn_info info;

	assert_int_equal(sluice_conn_info(conn, &info, sizeof(info)), 0);
	return info;
}

struct sluice_options *check_options(const char *text)
{
	struct sluice_options *opts;
	struct sluice_error err;

	assert_int_equal(sluice_options_new(&opts), 0);
	if (sluice_options_parse(opts, text, strlen(text), &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return opts;
}

/* An end that was through with its handshake learns of the other's verdict when it receives. */
static int last_result(struct sluice_conn *conn, int result)
{
	uint8_t byte;

	return result < 0 ? result : (int)sluice_recv(conn, &byte, 1, RUN_MS);
}

void check_refused_at(const struct pair *pair, enum sluice_role role, int code, int alert,
		      const char *file, int line)
{
	bool server = role == SLUICE_SERVER;
	struct sluice_conn *self = server ? pair->server : pair->client;
	struct sluice_conn *other = server ? pair->client : pair->server;
	int result = server ? pair->server_result : pair->client_result;
	int other_result = server ? pair->client_result : pair->server_result;

	assert_int_equal(result, -code);
	check_error_at(self, code, ALERT_SENT(alert), file, line);
	assert_int_equal(check_info(self).alerts_sent, 1);
	assert_int_equal(last_result(other, other_result), -SLUICE_E_ALERT);
	check_error_at(other, SLUICE_E_ALERT, ALERT_RECEIVED(alert), file, line);
	assert_int_equal(check_info(other).alerts_received, 1);
	assert_int_equal(check_info(other).alerts_sent, 0);
}

void check_refusal_at(const struct pair_setup *setup, enum sluice_role role, int code, int alert,
		      const char *file, int line)
{
	struct pair pair;

	pair_open(&pair, setup);
	pair_connect(&pair);
	check_refused_at(&pair, role, code, alert, file, line);
	pair_close(&pair);
}
