/* SPDX-License-Identifier: Apache-2.0 */
/* What whoever offers connections says to workers and takes from them: broker and relay. docs/protocol.md. */
#ifndef SLUICED_COMMON_OFFER_H
#define SLUICED_COMMON_OFFER_H

#include <stdbool.h>
#include <stdint.h>

#include "handover/wire.h"

/* offer_refuse() says why whoever connected may not attach, and closes @fd. */
void offer_refuse(int fd, const char *text);

/* offer_take_credit() adds a MSG_CREDIT's to *@credits. Returns false if it is out of range. */
bool offer_take_credit(struct wire_reader *reader, unsigned int *credits);

#endif
