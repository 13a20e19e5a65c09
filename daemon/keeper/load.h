/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys from files into the keeper; what is public of them goes back to the broker. */
#ifndef SLUICED_KEEPER_LOAD_H
#define SLUICED_KEEPER_LOAD_H

#include "handover/channel.h"
#include "handover/wire.h"

/*
 * load_pair() serves MSG_LOAD @id: reads the certificate file and the key file of @fds, which may be the
 * same, keeps the key and writes MSG_LOADED into @wire, whose buffer has WIRE_MAX bytes and may be the
 * one that @reader reads.
 */
void load_pair(struct wire *wire, uint32_t id, struct wire_reader reader, struct channel_fds *fds);

#endif
