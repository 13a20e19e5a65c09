/* SPDX-License-Identifier: Apache-2.0 */
/* A message of sock_diag(7), from its bytes: no descriptors, no libmnl. */
#ifndef SLUICED_DIAG_PARSE_H
#define SLUICED_DIAG_PARSE_H

#include <stddef.h>
#include <linux/netlink.h>

#include "diag/diag.h"

/*
 * diag_parse() reads a struct inet_diag_msg and its attributes; @bytes need no alignment. What it
 * does not know it passes over. Returns 0, or -EBADMSG when something is cut off or has a size that
 * its type cannot have.
 */
int diag_parse(const void *bytes, size_t len, struct diag_socket *ret_socket);

/* diag_parse_message() reads a whole message, which is as long as its header says. */
int diag_parse_message(const struct nlmsghdr *msg, struct diag_socket *ret_socket);

#endif
