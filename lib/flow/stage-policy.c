// SPDX-License-Identifier: Apache-2.0
/*
 * POLICY: the hello is held against the profile before BoringSSL answers it. What was changed
 * during a pause is in the profile already (sluice_handshake_continue()); over it goes what a server has
 * for the name that was asked for.
 */
#include "conn/host.h"
#include "core/error.h"
#include "flow/flow.h"

/*
 * BoringSSL offers its three TLS 1.3 suites always; a narrower choice of ours is enforced on the
 * server's answer (RFC 8446, 4.1.3: illegal_parameter).
 */
static int check_server_choice(struct sluice_conn *conn)
{
	struct sluice_hello hello;
	const struct suite *suite;

	hello_export(conn->hello, &hello);
	suite = hello.n_suites ? suite_find(hello.suites[0]) : NULL;
	if (!suite || suite->version != TLS13 ||
	    (conn->profile->suites13 & 1u << (suite->id - 0x1301)))
		return 0;
	drive_hello(conn);
	return conn_fail(conn, SLUICE_E_NO_SHARED, SLUICE_ALERT_ILLEGAL_PARAMETER, 0,
			 "the server chose a suite that option ciphers excludes");
}

int stage_policy(struct sluice_conn *conn)
{
	int r = 0;

	if (conn->role == SLUICE_CLIENT) {
		if (conn->hello)
			r = check_server_choice(conn);
		gate_release(&conn->hs->gate);
	} else {
		r = host_choose(conn);
	}
	conn->hs->hello_passed = true;
	if (r < 0)
		return r;
	return r == SLUICE_PAUSED ? STAGE_PAUSED : STAGE_DONE;
}
