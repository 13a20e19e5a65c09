/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record sender and receiver joined by a growing buffer. Unit tests and fuzz targets of the user
 * record path call it. It must treat the two ends as record.h says a connection does, so that a
 * change of that contract shows here first.
 */
#include "support/mem_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int mem_link_open(struct mem_link *link, const struct traffic *traffic)
{
	int r;

	*link = (struct mem_link){ 0 };
	r = record_user_tx_new(&link->tx, traffic);
	if (r < 0)
		return r;
	r = record_user_rx_new(&link->rx, traffic);
	if (r < 0)
		link->tx = link->tx->ops->free(link->tx);
	return r;
}

void mem_link_close(struct mem_link *link)
{
	link->tx->ops->free(link->tx);
	link->rx->ops->free(link->rx);
	free(link->wire);
	*link = (struct mem_link){ 0 };
}

void mem_link_put(struct mem_link *link, const void *bytes, size_t len)
{
	if (link->wire_size - link->wire_end < len) {
		link->wire_size = 2 * link->wire_size + len;
		link->wire = realloc(link->wire, link->wire_size);
		if (link->wire == NULL) {
			perror("mem_link_put");
			abort();
		}
	}
	if (len > 0)
		memcpy(link->wire + link->wire_end, bytes, len);
	link->wire_end += len;
}

/* Returns the errno that this call is to fail with, or 0. */
static int refusal(struct mem_link *link)
{
	static const int errnos[] = { EAGAIN, EINTR, ECANCELED };
	unsigned int call = link->calls++;

	return link->stutter && call % 2 == 0 ? errnos[call / 2 % 3] : 0;
}

static size_t limited(const struct mem_link *link, size_t len)
{
	return link->chunk > 0 && len > link->chunk ? link->chunk : len;
}

/* Performs @msg as sendmsg(2) does; -errno on failure. */
static ssize_t perform_send(struct mem_link *link, const struct msghdr *msg)
{
	int err = refusal(link);
	size_t len;

	if (err != 0)
		return -err;
	if (msg->msg_iovlen == 0)
		return 0;
	len = limited(link, msg->msg_iov[0].iov_len);
	mem_link_put(link, msg->msg_iov[0].iov_base, len);
	return (ssize_t)len;
}

ssize_t mem_link_get(struct mem_link *link, struct msghdr *msg)
{
	int err = refusal(link);
	size_t len = link->wire_end - link->wire_start;

	if (err != 0)
		return -err;
	if (len == 0)
		return -EAGAIN;
	if (len > msg->msg_iov[0].iov_len)
		len = msg->msg_iov[0].iov_len;
	len = limited(link, len);
	memcpy(msg->msg_iov[0].iov_base, link->wire + link->wire_start, len);
	link->wire_start += len;
	if (link->wire_start == link->wire_end)
		link->wire_start = link->wire_end = 0;
	return (ssize_t)len;
}

int mem_link_send(struct mem_link *link, uint8_t type, const void *buf, size_t len)
{
	const struct record_tx_ops *ops = link->tx->ops;
	const uint8_t *p = buf;
	struct msghdr msg;
	ssize_t n;

	while (len > 0 || ops->pending(link->tx)) {
		n = ops->prep(link->tx, type, p, len, &msg);
		if (n < 0)
			return (int)n;
		n = ops->done(link->tx, perform_send(link, &msg));
		if (n < 0)
			return (int)n;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int mem_link_recv(struct mem_link *link, void *buf, size_t buf_len, struct record *ret_record)
{
	const struct record_rx_ops *ops = link->rx->ops;
	struct msghdr msg;
	int r;

	for (;;) {
		r = ops->next(link->rx, buf, buf_len, ret_record);
		if (r != RECORD_MORE)
			return r;
		r = ops->prep(link->rx, buf, buf_len, &msg);
		if (r < 0)
			return r;
		if (link->wire_start == link->wire_end)
			return ops->done(link->rx, -EAGAIN, &msg, ret_record);
		r = ops->done(link->rx, mem_link_get(link, &msg), &msg, ret_record);
		if (r != RECORD_MORE)
			return r;
	}
}
