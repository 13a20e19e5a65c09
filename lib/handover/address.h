/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as texts of messages: "192.0.2.1:443", "[2001:db8::1]:443". */
#ifndef SLUICE_HANDOVER_ADDRESS_H
#define SLUICE_HANDOVER_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "handover/wire.h"

/*
 * wire_put_address() appends an attribute, or nothing for a family that is not of IP. An IPv4 address that is
 * mapped to IPv6 is written as the IPv4 address that it is.
 */
void wire_put_address(struct wire *wire, uint16_t type, const struct sockaddr *addr);

/* attr_address() returns false for what wire_put_address() does not write. */
bool attr_address(struct sockaddr_storage *ret_addr, const struct attr *attr);

#endif
