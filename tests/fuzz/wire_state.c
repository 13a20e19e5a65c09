/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for handover/state.c: the input is a MSG_CONNECTION as a worker gets it. What is read of it
 * can be looked at and freed; what is refused leaves the descriptor open.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <sluice/sluice.h>

#include "core/secret.h"
#include "handover/state.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(struct sluice_conn *conn)
{
	struct sluice_conn_info info;

	REQUIRE(sluice_conn_info(conn, &info, sizeof(info)) >= 0);
	REQUIRE(info.stage == SLUICE_STAGE_LIVE);
	REQUIRE(info.version == 0x0303 || info.version == 0x0304);
	sluice_conn_events(conn);
	sluice_conn_timeout(conn);
	state_release(conn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sluice_profile *profile;
	static struct sluice *sluice;
	struct wire_reader reader;
	struct sluice_conn *conn;
	struct sluice_error err;
	struct wire_head head;
	int fd;

	if (!sluice)
		REQUIRE(sluice_start(&sluice, SLUICE_TEMPORARY, &err) == 0);
	if (!wire_open(&reader, data, size, &head))
		return 0;
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	REQUIRE(fd >= 0);
	if (state_read(&conn, sluice, &profile, &reader, fd) == 0)
		look(conn);
	else
		REQUIRE(close(fd) == 0);
	REQUIRE(secret_live() == 0);
	return 0;
}
