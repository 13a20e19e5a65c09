// SPDX-License-Identifier: Apache-2.0
#include "diag/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <string.h>

#include "core/sys.h"

/* The kernel answers within the call that asks it; what takes this long does not come. */
#define REPLY_TIMEOUT_US 5000000u

int netlink_open(struct netlink *nl, int family)
{
	nl->seq = 0;
	nl->fd = sys->socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, family);
	return nl->fd < 0 ? -errno : 0;
}

void netlink_close(struct netlink *nl)
{
	if (nl->fd >= 0)
		sys->close(nl->fd);
	nl->fd = -1;
}

static int wait_readable(int fd, uint64_t deadline_us)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t now = sys->now_us();

	if (now >= deadline_us)
		return -ETIMEDOUT;
	if (sys->poll(&pfd, 1, (int)((deadline_us - now + 999) / 1000)) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

int netlink_receive(const struct netlink *nl, void *buf, size_t size, uint64_t timeout_us)
{
	uint64_t deadline_us = timeout_us ? sys->now_us() + timeout_us : 0;
	struct iovec iov = { .iov_base = buf, .iov_len = size };
	struct sockaddr_nl from;
	struct msghdr msg;
	ssize_t n;
	int r;

	for (;;) {
		memset(&from, 0, sizeof(from));
		msg = (struct msghdr){
			.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &iov,
			.msg_iovlen = 1,
		};
		n = sys->recvmsg(nl->fd, &msg, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && timeout_us) {
			r = wait_readable(nl->fd, deadline_us);
			if (r < 0)
				return r;
			continue;
		}
		if (n < 0)
			return -errno;
		if (from.nl_pid != 0) /* another process; only the kernel has an answer */
			continue;
		return msg.msg_flags & MSG_TRUNC ? -EMSGSIZE : (int)n;
	}
}

static int send_request(const struct netlink *nl, struct nlmsghdr *request)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct iovec iov = { .iov_base = request, .iov_len = request->nlmsg_len };
	struct msghdr msg = {
		.msg_name = &kernel,
		.msg_namelen = sizeof(kernel),
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t n;

	do
		n = sys->sendmsg(nl->fd, &msg, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Both, NLMSG_ERROR and NLMSG_DONE, begin with an int: 0 or -errno. */
static int last_word(const struct nlmsghdr *msg)
{
	int err;

	if (mnl_nlmsg_get_payload_len(msg) < sizeof(err))
		return msg->nlmsg_type == NLMSG_DONE ? 0 : -EBADMSG;
	memcpy(&err, mnl_nlmsg_get_payload(msg), sizeof(err));
	return err <= 0 ? err : -EBADMSG;
}

int netlink_ask(struct netlink *nl, struct nlmsghdr *request, void *buf, size_t size,
		netlink_each *each, void *arg)
{
	const struct nlmsghdr *msg;
	bool interrupted = false;
	int left, r;

	request->nlmsg_seq = ++nl->seq;
	r = send_request(nl, request);
	while (r >= 0) {
		left = netlink_receive(nl, buf, size, REPLY_TIMEOUT_US);
		if (left < 0)
			return left;
		for (msg = buf; mnl_nlmsg_ok(msg, left); msg = mnl_nlmsg_next(msg, &left)) {
			if (msg->nlmsg_seq != nl->seq) /* of a request that was given up */
				continue;
			interrupted = interrupted || (msg->nlmsg_flags & NLM_F_DUMP_INTR);
			if (msg->nlmsg_type == NLMSG_ERROR || msg->nlmsg_type == NLMSG_DONE) {
				r = last_word(msg);
				return r == 0 && interrupted ? -EINTR : r;
			}
			r = msg->nlmsg_type < NLMSG_MIN_TYPE ? 0 : each(arg, msg);
			if (r < 0)
				return r;
		}
	}
	return r;
}
