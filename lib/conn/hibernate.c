// SPDX-License-Identifier: Apache-2.0
#include "conn/hibernate.h"

#include <stdlib.h>

#include "core/secret.h"
#include "core/sys.h"

/* A receive that is in the kernel may write to the small buffer, and the rest of a record lies in it. */
static bool small_is_free(const struct sluice_conn *conn)
{
	return conn->small && !conn->receiving && !conn->rest.len;
}

static bool early_is_used(const struct sluice_conn *conn)
{
	return conn->early && conn->early_used == conn->early_len;
}

void hibernate_put_off(struct sluice_conn *conn)
{
	if (conn->profile->hibernate_after_ms)
		conn->deadline_us =
			sys->now_us() + (uint64_t)conn->profile->hibernate_after_ms * 1000;
}

uint64_t hibernate_at(const struct sluice_conn *conn)
{
	if (!conn->profile->hibernate_after_ms || conn->stage != SLUICE_STAGE_LIVE)
		return UINT64_MAX;
	if (!conn->ssl && !small_is_free(conn) && !early_is_used(conn))
		return UINT64_MAX;
	return conn->deadline_us;
}

static void *drop(void *buf, size_t len)
{
	secret_wipe(buf, len); /* application data */
	free(buf);
	return NULL;
}

void hibernate(struct sluice_conn *conn)
{
	uint64_t at = hibernate_at(conn);

	if (at == UINT64_MAX || sys->now_us() < at)
		return;
	SSL_free(conn->ssl);
	conn->ssl = NULL;
	if (small_is_free(conn))
		conn->small = drop(conn->small, CONN_SMALL_LEN);
	if (early_is_used(conn)) {
		conn->early = drop(conn->early, conn->early_len);
		conn->early_len = conn->early_used = 0;
	}
	hibernate_put_off(
		conn); /* a small buffer may be made again: not at once for every receive */
}
