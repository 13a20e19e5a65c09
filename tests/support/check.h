/* SPDX-License-Identifier: Apache-2.0 */
/* Assertions of flow tests that name the line of the test. */
#ifndef SLUICE_TESTS_SUPPORT_CHECK_H
#define SLUICE_TESTS_SUPPORT_CHECK_H

#include <sluice/sluice.h>

#include "support/pair.h"

/*
 * check_error() compares why a connection ended: a positive code, and the alert with who sent it
 * (ALERT_SENT, ALERT_RECEIVED), or NO_ALERT.
 */
#define NO_ALERT (-1)
#define ALERT_SENT(alert) ((alert) | 0x100)
#define ALERT_RECEIVED(alert) (alert)
#define check_error(conn, code, alert) check_error_at(conn, code, alert, __FILE__, __LINE__)
void check_error_at(const struct sluice_conn *conn, int code, int alert, const char *file,
		    int line);

/* check_info() returns what sluice_conn_info() says. */
struct sluice_conn_info check_info(const struct sluice_conn *conn);

/* check_options() parses `name = value` lines; sluice_options_free() them. */
struct sluice_options *check_options(const char *text);

/*
 * check_refused() looks at a handshake that the end of @role ended with @code and @alert: it sent
 * that one alert, and the other end was told. check_refusal() makes the
 * connection, too; the members of a struct pair_setup follow.
 */
#define check_refused(pair, role, code, alert) \
	check_refused_at(pair, role, code, alert, __FILE__, __LINE__)
void check_refused_at(const struct pair *pair, enum sluice_role role, int code, int alert,
		      const char *file, int line);
#define check_refusal(role, code, alert, ...) \
	check_refusal_at(&(struct pair_setup){ __VA_ARGS__ }, role, code, alert, __FILE__, __LINE__)
void check_refusal_at(const struct pair_setup *setup, enum sluice_role role, int code, int alert,
		      const char *file, int line);

#endif
