// SPDX-License-Identifier: Apache-2.0
/*
 * Bytes to struct diag_socket. Attributes are walked here and not by mnl_attr_for_each(): that ends
 * silently at an attribute that is cut off, and reads headers where they may not be aligned.
 */
#include "diag/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <string.h>

/* Since then a struct tcp_info has what we count. */
#define TCP_INFO_COUNTS_END (offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(uint64_t))

struct attr {
	int type;
	const uint8_t *data;
	size_t len;
};

typedef int take_attr(const struct attr *attr, struct diag_socket *socket);

/* Nothing may be left that is too short for an attribute; only the padding of the last may miss. */
static int each_attr(const uint8_t *at, size_t left, take_attr *take, struct diag_socket *socket)
{
	struct nlattr head;
	struct attr attr;
	size_t step;
	int r;

	while (left) {
		if (left < sizeof(head))
			return -EBADMSG;
		memcpy(&head, at, sizeof(head));
		if (head.nla_len < NLA_HDRLEN || head.nla_len > left)
			return -EBADMSG;
		attr.type = head.nla_type & NLA_TYPE_MASK;
		attr.data = at + NLA_HDRLEN;
		attr.len = head.nla_len - (size_t)NLA_HDRLEN;
		r = take(&attr, socket);
		if (r < 0)
			return r;
		step = NLA_ALIGN((size_t)head.nla_len);
		if (step > left)
			step = left;
		at += step;
		left -= step;
	}
	return 0;
}

static int take_u16(const struct attr *attr, uint16_t *ret_value)
{
	if (attr->len != sizeof(*ret_value))
		return -EBADMSG;
	memcpy(ret_value, attr->data, sizeof(*ret_value));
	return 0;
}

static int take_tls(const struct attr *attr, struct diag_socket *socket)
{
	switch (attr->type) {
	case TLS_INFO_VERSION:
		return take_u16(attr, &socket->tls_version);
	case TLS_INFO_CIPHER:
		return take_u16(attr, &socket->tls_cipher);
	case TLS_INFO_TXCONF:
		return take_u16(attr, &socket->tls_tx);
	case TLS_INFO_RXCONF:
		return take_u16(attr, &socket->tls_rx);
	default:
		return 0;
	}
}

/* What other protocols above TCP say of themselves does not concern us. */
static int take_ulp(const struct attr *attr, struct diag_socket *socket)
{
	size_t len = attr->len;

	switch (attr->type) {
	case INET_ULP_INFO_NAME:
		while (len && attr->data[len - 1] == 0)
			len--;
		socket->has_tls = len == 3 && memcmp(attr->data, "tls", 3) == 0;
		return 0;
	case INET_ULP_INFO_TLS:
		return each_attr(attr->data, attr->len, take_tls, socket);
	default:
		return 0;
	}
}

/* The structure grows from kernel to kernel, at its end. */
static void take_info(const struct attr *attr, struct diag_socket *socket)
{
	struct tcp_info info = { 0 };

	if (attr->len < TCP_INFO_COUNTS_END)
		return;
	memcpy(&info, attr->data, attr->len < sizeof(info) ? attr->len : sizeof(info));
	socket->has_counts = true;
	socket->bytes_in = info.tcpi_bytes_received;
	socket->bytes_out = info.tcpi_bytes_acked;
	socket->rtt_us = info.tcpi_rtt;
	socket->retransmits = info.tcpi_total_retrans;
}

static int take_top(const struct attr *attr, struct diag_socket *socket)
{
	switch (attr->type) {
	case INET_DIAG_INFO:
		take_info(attr, socket);
		return 0;
	case INET_DIAG_ULP_INFO:
		return each_attr(attr->data, attr->len, take_ulp, socket);
	default:
		return 0;
	}
}

static void set_in(struct sockaddr_storage *ret_addr, const __be32 *ip, __be16 port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = port };

	in.sin_addr.s_addr = *ip;
	memcpy(ret_addr, &in, sizeof(in));
}

/* Elsewhere than on a link the interface is no part of an address. */
static void set_in6(struct sockaddr_storage *ret_addr, const __be32 *ip, __be16 port, uint32_t link)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = port };

	memcpy(&in6.sin6_addr, ip, sizeof(in6.sin6_addr));
	if (IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr))
		in6.sin6_scope_id = link;
	memcpy(ret_addr, &in6, sizeof(in6));
}

static int take_id(const struct inet_diag_msg *msg, struct diag_socket *socket)
{
	const struct inet_diag_sockid *id = &msg->id;

	switch (msg->idiag_family) {
	case AF_INET:
		set_in(&socket->local, id->idiag_src, id->idiag_sport);
		set_in(&socket->peer, id->idiag_dst, id->idiag_dport);
		break;
	case AF_INET6:
		set_in6(&socket->local, id->idiag_src, id->idiag_sport, id->idiag_if);
		set_in6(&socket->peer, id->idiag_dst, id->idiag_dport, id->idiag_if);
		break;
	default:
		return -EBADMSG;
	}
	socket->device = id->idiag_if;
	socket->cookie = id->idiag_cookie[0] | (uint64_t)id->idiag_cookie[1] << 32;
	socket->state = msg->idiag_state;
	socket->uid = msg->idiag_uid;
	return 0;
}

int diag_parse(const void *bytes, size_t len, struct diag_socket *ret_socket)
{
	struct diag_socket socket;
	struct inet_diag_msg msg;
	size_t head = NLMSG_ALIGN(sizeof(msg));
	int r;

	if (len < head)
		return -EBADMSG;
	memcpy(&msg, bytes, sizeof(msg));
	memset(&socket, 0, sizeof(socket));
	r = take_id(&msg, &socket);
	if (r == 0)
		r = each_attr((const uint8_t *)bytes + head, len - head, take_top, &socket);
	if (r == 0)
		*ret_socket = socket;
	return r;
}

int diag_parse_message(const struct nlmsghdr *msg, struct diag_socket *ret_socket)
{
	if (msg->nlmsg_type != SOCK_DIAG_BY_FAMILY || msg->nlmsg_len < NLMSG_HDRLEN)
		return -EBADMSG;
	return diag_parse(NLMSG_DATA(msg), msg->nlmsg_len - NLMSG_HDRLEN, ret_socket);
}
