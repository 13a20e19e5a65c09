// SPDX-License-Identifier: Apache-2.0
/*
 * INSTALL: the keys go to where the records are made: into the socket, or into our own record
 * layer. Everything that can be known is decided first; then RX, then TX. Once the kernel has taken
 * one direction it cannot give it back, so a refusal of the other one ends the connection: a socket
 * is never half armed. No receive is in flight: the handshake waits in poll, never in recvmsg.
 */
#include <errno.h>

#include "core/error.h"
#include "flow/flow.h"
#include "record/ktls.h"

/* Why the kernel path is not taken; REASON_NONE when it can be tried. */
static enum sluice_path_reason decide(const struct sluice_conn *conn)
{
	const struct sluice_capabilities *caps = &conn->sluice->caps;
	int i;

	if (conn->profile->path_mode == PATH_USER)
		return SLUICE_REASON_OPTION;
	if (conn->ulp_reason != SLUICE_REASON_NONE)
		return conn->ulp_reason;
	if (conn->suite->version == TLS13 && conn->profile->rekey_user_path &&
	    (caps->rekey_rx_errno || caps->rekey_tx_errno))
		return SLUICE_REASON_REKEY;
	if (!conn->suite->kernel_cipher)
		return SLUICE_REASON_SUITE;
	for (i = 0; i < caps->n_suites; i++)
		if (caps->suites[i].id == conn->suite->id)
			return caps->suites[i].kernel_rx_errno || caps->suites[i].kernel_tx_errno
				       ? SLUICE_REASON_SUITE
				       : SLUICE_REASON_NONE;
	return SLUICE_REASON_SUITE;
}

static enum sluice_path_reason refusal(int err)
{
	return err == ENOMEM ? SLUICE_REASON_NOMEM : SLUICE_REASON_REFUSED;
}

/* The sending direction is still ours: our own record layer can seal the alert. */
static int give_up(struct sluice_conn *conn, int code, int err, const char *text)
{
	int r = record_user_tx_new(&conn->tx, conn->hs->tx);

	return conn_fail(conn, code, r < 0 ? -1 : SLUICE_ALERT_INTERNAL_ERROR, err, text);
}

static int use_user_path(struct sluice_conn *conn, enum sluice_path_reason reason, int err)
{
	int r;

	if (conn->profile->path_mode == PATH_KERNEL)
		return give_up(conn, SLUICE_E_KTLS_UNAVAILABLE, err,
			       sluice_path_reason_text(reason));
	conn->info.rx.reason = conn->info.tx.reason = reason;
	conn->info.rx.path = conn->info.tx.path = SLUICE_PATH_USER;
	r = record_user_rx_new(&conn->rx, conn->hs->rx);
	if (r == 0)
		r = record_user_tx_new(&conn->tx, conn->hs->tx);
	if (r < 0)
		return conn_fail(conn, -r, -1, 0, "making the user record path");
	return 0;
}

static int use_kernel_path(struct sluice_conn *conn)
{
	int err = ktls_install(conn->fd, KTLS_RX, conn->hs->rx);
	int r;

	if (err)
		return use_user_path(conn, refusal(err), err);
	err = ktls_install(conn->fd, KTLS_TX, conn->hs->tx);
	if (err)
		return give_up(conn, SLUICE_E_KTLS_INSTALL, err,
			       "the kernel took the receiving keys and refused the others");
	conn->info.rx.path = conn->info.tx.path = SLUICE_PATH_KERNEL;
	r = record_kernel_rx_new(&conn->rx, conn->fd, conn->hs->rx);
	if (r == 0)
		r = record_kernel_tx_new(&conn->tx, conn->fd, conn->hs->tx);
	if (r < 0)
		return conn_fail(conn, -r, -1, 0, "making the kernel record path");
	return 0;
}

/* One of the kernel's own options, for a socket with keys. The connection goes on without it. */
static enum sluice_ktls_use set_option(const struct sluice_conn *conn, enum ktls_option option,
				       uint16_t value, int probed_errno)
{
	int err;

	if (conn->info.tx.path != SLUICE_PATH_KERNEL)
		return SLUICE_KTLS_USER_PATH;
	if (option == KTLS_NO_PAD && conn->suite->version != TLS13)
		return SLUICE_KTLS_VERSION;
	if (probed_errno)
		return SLUICE_KTLS_MISSING;
	err = ktls_set_option(conn->fd, option, value);
	return err ? SLUICE_KTLS_REFUSED : SLUICE_KTLS_IN_FORCE;
}

/*
 * What the profile wants of the kernel's TLS besides keys. The limit stays with the socket wherever it goes, to
 * programs that know nothing of it too; dynamic sizes are for whoever sends by this library.
 */
static void set_options(struct sluice_conn *conn)
{
	const struct sluice_capabilities *caps = &conn->sluice->caps;
	const struct sluice_profile *profile = conn->profile;
	struct sluice_conn_info *info = &conn->info;

	if (profile->tx_max_payload_len < RECORD_MAX_PLAIN || profile->dynamic_record_size)
		info->tx_max_payload_len = set_option(conn, KTLS_MAX_PAYLOAD,
						      profile->tx_max_payload_len,
						      caps->max_payload_errno);
	if (info->tx_max_payload_len == SLUICE_KTLS_IN_FORCE)
		conn->tx->max_payload = profile->tx_max_payload_len;
	if (profile->tx_zerocopy_ro)
		info->tx_zerocopy_ro = set_option(conn, KTLS_ZEROCOPY_RO, 1, caps->zerocopy_errno);
	if (profile->rx_expect_no_pad)
		info->rx_expect_no_pad = set_option(conn, KTLS_NO_PAD, 1, caps->no_pad_errno);
}

/* From here on only the next epoch's secret is needed, and under TLS 1.2 nothing is. */
static void keep_secrets(struct sluice_conn *conn)
{
	struct handshake *hs = conn->hs;

	if (conn->suite->version != TLS13 && !conn->keep_keys)
		return;
	conn->rx_traffic = hs->rx;
	conn->tx_traffic = hs->tx;
	hs->rx = hs->tx = NULL;
}

int stage_install(struct sluice_conn *conn)
{
	enum sluice_path_reason reason = decide(conn);
	int r;

	r = reason == SLUICE_REASON_NONE ? use_kernel_path(conn) : use_user_path(conn, reason, 0);
	if (r < 0)
		return r;
	set_options(conn);
	keep_secrets(conn);
	live_start(conn);
	return STAGE_DONE;
}
