// SPDX-License-Identifier: Apache-2.0
/*
 * HANDSHAKE: keys are agreed and our identity is proven, up to the peer's certificate if it shows
 * one, else to the end.
 */
#include "flow/flow.h"

int stage_handshake(struct sluice_conn *conn)
{
	int r = drive(conn);

	if (r < 0)
		return r;
	return r == DRIVE_WAIT ? STAGE_WAIT : STAGE_DONE;
}
