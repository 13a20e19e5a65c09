/* SPDX-License-Identifier: Apache-2.0 */
/* The ends of sockets that the kernel announces to groups of sock_diag(7). */
#ifndef SLUICED_DIAG_ENDS_H
#define SLUICED_DIAG_ENDS_H

#include "diag/diag.h"
#include "diag/netlink.h"

/* struct ends - who is told of them. The socket is closed where there are no events. */
struct ends {
	struct netlink netlink;
	diag_each *on_end;
	void *arg;
};

/* ends_open() leaves the socket closed when the kernel does not let us listen. */
void ends_open(struct ends *ends, diag_each *on_end, void *arg);

/* ends_dispatch() is diag_dispatch(). */
int ends_dispatch(struct ends *ends);

#endif
