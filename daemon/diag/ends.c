// SPDX-License-Identifier: Apache-2.0
#include "diag/ends.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/sock_diag.h>

#include "core/sys.h"
#include "diag/parse.h"

#define MESSAGE_SIZE 4096 /* one end, several times over */

/* Ends wait in this much memory; the kernel doubles it, and charges more than 512 bytes for one. */
#define EVENT_MEMORY (4 * 1024 * 1024)
#define EVENTS_WAITING (2 * EVENT_MEMORY / 512)
#define EVENTS_AT_ONCE 1024

/*
 * Linux lets everybody join, and sends without CONFIG_INET_DIAG_DESTROY, which is about ending
 * sockets; but a kernel before 4.3 has no groups, and a security module may refuse: then the caller
 * polls.
 */
void ends_open(struct ends *ends, diag_each *on_end, void *arg)
{
	static const int groups[] = { SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY };
	struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int memory = EVENT_MEMORY, fd, r;
	size_t i;

	ends->on_end = on_end;
	ends->arg = arg;
	if (netlink_open(&ends->netlink, NETLINK_SOCK_DIAG) < 0)
		return;
	fd = ends->netlink.fd;
	/* By force past net.core.rmem_max; without CAP_NET_ADMIN what is allowed has to do. */
	if (sys->setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &memory, sizeof(memory)) < 0)
		sys->setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &memory, sizeof(memory));
	/* Without an address of its own a socket joins, too, but is passed over. */
	r = sys->bind(fd, (struct sockaddr *)&any, sizeof(any));
	for (i = 0; r == 0 && i < sizeof(groups) / sizeof(groups[0]); i++)
		r = sys->setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
				    sizeof(groups[i]));
	if (r < 0)
		netlink_close(&ends->netlink);
}

/* An end that cannot be read is as good as lost. */
static int tell(const struct ends *ends, const void *batch, int left, bool *ret_lost)
{
	const struct nlmsghdr *msg;
	struct diag_socket socket;
	int count = 0;

	for (msg = batch; mnl_nlmsg_ok(msg, left); msg = mnl_nlmsg_next(msg, &left)) {
		if (diag_parse_message(msg, &socket) < 0) {
			*ret_lost = true;
			continue;
		}
		ends->on_end(ends->arg, &socket);
		count++;
	}
	return count;
}

/*
 * After an overrun the kernel adds nothing until the queue is empty (NETLINK_S_CONGESTED), and does
 * not report that again: what waits is taken first, so that a dump afterwards misses no end.
 */
int ends_dispatch(struct ends *ends)
{
	_Alignas(struct nlmsghdr) char batch[MESSAGE_SIZE];
	int count = 0, left, r;
	bool lost = false;

	if (ends->netlink.fd < 0)
		return 0;
	for (left = EVENTS_AT_ONCE; left > 0; left--) {
		r = netlink_receive(&ends->netlink, batch, sizeof(batch), 0);
		if (r == -EAGAIN)
			break;
		if (r == -ENOBUFS || r == -EMSGSIZE) {
			left = lost ? left : EVENTS_WAITING;
			lost = true;
		} else if (r < 0) {
			return r;
		} else {
			count += tell(ends, batch, r, &lost);
		}
	}
	return lost ? -ENOBUFS : count;
}
