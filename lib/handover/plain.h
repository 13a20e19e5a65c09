/* SPDX-License-Identifier: Apache-2.0 */
/* Connections without TLS, as a daemon hands them over from a listener with a plain_pool. */
#ifndef SLUICE_HANDOVER_PLAIN_H
#define SLUICE_HANDOVER_PLAIN_H

#include <sluice/worker.h>

#include "handover/wire.h"

/* plain_is() tells whether a MSG_CONNECTION is of such a one: its VERSION is 0. */
bool plain_is(struct wire_reader reader);

/* plain_read() reads what it says. Owns nothing. Returns 0 or -SLUICE_E_PROTOCOL. */
int plain_read(struct sluice_plain *ret_plain, struct wire_reader reader, int fd);

#endif
