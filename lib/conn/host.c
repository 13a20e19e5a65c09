// SPDX-License-Identifier: Apache-2.0
/*
 * The host that a client asks for (RFC 6066, 3): looked up in the table of option sni_hosts, or asked of
 * option sni_fun. Called by stage POLICY. A name that nobody knows is served with what there is: that is no
 * error, and no alert.
 */
#include "conn/host.h"

#include "conn/handshake.h"
#include "core/error.h"
#include "options/hosts.h"

const char *host_name_of(const struct sluice_conn *conn, char name[HOST_NAME_LONGEST + 1])
{
	struct sluice_hello hello;

	hello_export(conn->hello, &hello);
	return hello.sni && host_name_fold(name, hello.sni) ? name : NULL;
}

/* What was prepared with the profile will do, unless the connection has options of its own. */
static int use_host(struct sluice_conn *conn, const struct host *host)
{
	if (conn->profile->hosts_are_older)
		return handshake_lay_over(conn, host->opts, host->name);
	return handshake_use_profile(conn, sluice_profile_ref(host->profile));
}

static int ask(struct sluice_conn *conn, const char *name)
{
	const struct sluice_profile *profile = conn->profile;
	struct sluice_options *extra = NULL;
	int r = profile->sni_fun(profile->sni_arg, conn, name, &extra);

	if (r < 0) {
		r = conn_fail(conn, SLUICE_E_POLICY, SLUICE_ALERT_UNRECOGNIZED_NAME, 0,
			      "sni_fun refuses the server name");
	} else if (r == SLUICE_PAUSED) {
		conn->hs->name_asked = true;
	} else {
		r = extra ? handshake_lay_over(conn, extra, name) : 0;
	}
	sluice_options_free(extra);
	return r;
}

int host_choose(struct sluice_conn *conn)
{
	char room[HOST_NAME_LONGEST + 1];
	const char *name = host_name_of(conn, room);
	const struct host *host;

	if (!name)
		return 0;
	if (conn->profile->sni_fun)
		return ask(conn, name);
	host = conn->profile->hosts ? host_table_find(conn->profile->hosts, name) : NULL;
	return host ? use_host(conn, host) : 0;
}
