/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink as diag.c needs it: a request and the replies to it, and what comes unasked. Messages are
 * libmnl's, system calls go through core/sys.h. It knows nothing of what the messages say.
 */
#ifndef SLUICED_DIAG_NETLINK_H
#define SLUICED_DIAG_NETLINK_H

#include <stddef.h>
#include <stdint.h>
#include <linux/netlink.h>

/* struct netlink - a socket; fd is -1 while it is closed. */
struct netlink {
	int fd;
	uint32_t seq;
};

/* The kernel never makes a batch longer than this, if it may be this long. */
#define NETLINK_BATCH 32768

/* netlink_each - a message of a reply. What it returns below 0 ends the request with that. */
typedef int netlink_each(void *arg, const struct nlmsghdr *msg);

/* netlink_open() speaks to @family of the kernel (NETLINK_*), without ever blocking. */
int netlink_open(struct netlink *nl, int family);
void netlink_close(struct netlink *nl);

/*
 * netlink_receive() takes one datagram of the kernel; -EMSGSIZE: it did not fit and is lost.
 * @timeout_us 0: -EAGAIN if there is none, otherwise -ETIMEDOUT after that time.
 */
int netlink_receive(const struct netlink *nl, void *buf, size_t size, uint64_t timeout_us);

/*
 * netlink_ask() sends @request, which it completes by its sequence number, and calls @each for every
 * message until the kernel says that it was the last. Needs NLM_F_DUMP or NLM_F_ACK. @buf is for the
 * replies, aligned as a struct nlmsghdr. Returns 0 or -errno: the kernel's own, -ETIMEDOUT, or
 * -EINTR for a dump that was not of one piece.
 * After an error the socket may still hold replies: dumps need another one.
 */
int netlink_ask(struct netlink *nl, struct nlmsghdr *request, void *buf, size_t size,
		netlink_each *each, void *arg);

#endif
