// SPDX-License-Identifier: Apache-2.0
/* The requests of sock_diag(7). */
#include "diag/diag.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "diag/ends.h"
#include "diag/netlink.h"
#include "diag/parse.h"

/* Every state but LISTEN, and those in which nobody holds the socket yet or any more. */
#define STATES                                                                                    \
	(1u << TCP_ESTABLISHED | 1u << TCP_SYN_SENT | 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | \
	 1u << TCP_CLOSE_WAIT | 1u << TCP_LAST_ACK | 1u << TCP_CLOSING)
#define NO_STATES 0

#define DUMP_TRIES 5
#define REPLY_SIZE 8192 /* one socket, several times over */

struct diag {
	struct netlink ask;  /* one socket at a time */
	struct netlink dump; /* of its own: the caller may ask while we read a dump */
	struct ends ends;
	bool dumping;
	_Alignas(struct nlmsghdr) char batch[NETLINK_BATCH];
};

union request {
	struct nlmsghdr head;
	char bytes[MNL_ALIGN(sizeof(struct nlmsghdr)) + MNL_ALIGN(sizeof(struct inet_diag_req_v2))];
};

static struct inet_diag_req_v2 *begin(union request *request, uint16_t type, uint16_t flags,
				      int family)
{
	struct nlmsghdr *head = mnl_nlmsg_put_header(request->bytes);
	struct inet_diag_req_v2 *req = mnl_nlmsg_put_extra_header(head, sizeof(*req));

	head->nlmsg_type = type;
	head->nlmsg_flags = NLM_F_REQUEST | flags;
	req->sdiag_family = (uint8_t)family;
	req->sdiag_protocol = IPPROTO_TCP;
	req->idiag_ext = 1 << (INET_DIAG_INFO - 1);
	return req;
}

/* --- all of them --------------------------------------------------------------------------- */

struct dump {
	diag_each *each;
	void *arg;
	int count;
};

/* A state alone does not tell: what is left of a closed socket can be in FIN_WAIT2, without counts. */
static int take_dumped(void *arg, const struct nlmsghdr *msg)
{
	struct diag_socket socket;
	struct dump *dump = arg;
	int r = diag_parse_message(msg, &socket);

	if (r == 0 && socket.has_counts) {
		dump->each(dump->arg, &socket);
		dump->count++;
	}
	return r;
}

/* An error may leave a dump running that answers the next request with EBUSY: a new socket has none. */
static int ask_all(struct diag *diag, int family, uint32_t states, struct dump *dump)
{
	union request request;
	int r = 0;

	begin(&request, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family)->idiag_states = states;
	if (diag->dump.fd < 0)
		r = netlink_open(&diag->dump, NETLINK_SOCK_DIAG);
	if (r == 0)
		r = netlink_ask(&diag->dump, &request.head, diag->batch, sizeof(diag->batch),
				take_dumped, dump);
	if (r < 0)
		netlink_close(&diag->dump);
	return r;
}

int diag_dump(struct diag *diag, int family, diag_each *each, void *arg)
{
	struct dump dump = { .each = each, .arg = arg };
	int i, r = -EINTR;

	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	if (diag->dumping)
		return -EBUSY;
	diag->dumping = true;
	for (i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		dump.count = 0;
		r = ask_all(diag, family, STATES, &dump);
	}
	diag->dumping = false;
	return r < 0 ? r : dump.count;
}

/* --- one of them --------------------------------------------------------------------------- */

static int put_address(const struct sockaddr_storage *addr, __be32 *ret_ip, __be16 *ret_port,
		       uint32_t *ret_link)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	switch (addr->ss_family) {
	case AF_INET:
		memcpy(&in, addr, sizeof(in));
		memcpy(ret_ip, &in.sin_addr, sizeof(in.sin_addr));
		*ret_port = in.sin_port;
		return 0;
	case AF_INET6:
		memcpy(&in6, addr, sizeof(in6));
		memcpy(ret_ip, &in6.sin6_addr, sizeof(in6.sin6_addr));
		*ret_port = in6.sin6_port;
		if (in6.sin6_scope_id)
			*ret_link = in6.sin6_scope_id;
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

/* The kernel takes a cookie of all ones for any socket; no socket has it. */
static int ask_one(struct diag *diag, uint16_t type, const struct sockaddr_storage *local,
		   const struct sockaddr_storage *peer, uint64_t cookie, netlink_each *each,
		   void *arg)
{
	_Alignas(struct nlmsghdr) char reply[REPLY_SIZE];
	struct inet_diag_req_v2 *req;
	union request request;
	int r;

	if (local->ss_family != peer->ss_family)
		return -EINVAL;
	if (cookie == UINT64_MAX)
		return -ENOENT;
	req = begin(&request, type, NLM_F_ACK, local->ss_family);
	r = put_address(local, req->id.idiag_src, &req->id.idiag_sport, &req->id.idiag_if);
	if (r == 0)
		r = put_address(peer, req->id.idiag_dst, &req->id.idiag_dport, &req->id.idiag_if);
	if (r < 0)
		return r;
	req->id.idiag_cookie[0] = (uint32_t)cookie;
	req->id.idiag_cookie[1] = (uint32_t)(cookie >> 32);
	return netlink_ask(&diag->ask, &request.head, reply, sizeof(reply), each, arg);
}

static int take_found(void *arg, const struct nlmsghdr *msg)
{
	return diag_parse_message(msg, arg);
}

int diag_find(struct diag *diag, const struct sockaddr_storage *local,
	      const struct sockaddr_storage *peer, uint64_t cookie, struct diag_socket *ret_socket)
{
	struct diag_socket socket = { 0 };
	int r;

	r = ask_one(diag, SOCK_DIAG_BY_FAMILY, local, peer, cookie, take_found, &socket);
	if (r < 0)
		return r;
	if (!socket.has_counts || socket.cookie != cookie)
		return -ENOENT;
	*ret_socket = socket;
	return 0;
}

static int take_nothing(void *arg, const struct nlmsghdr *msg)
{
	return 0;
}

int diag_destroy(struct diag *diag, const struct sockaddr_storage *local,
		 const struct sockaddr_storage *peer, uint64_t cookie)
{
	return ask_one(diag, SOCK_DESTROY, local, peer, cookie, take_nothing, NULL);
}

/* --- the object ---------------------------------------------------------------------------- */

/* Groups can be joined, and asking for one socket says ENOENT, where nothing will ever be told. */
static int probe(struct diag *diag)
{
	struct dump none = { 0 };
	int r = ask_all(diag, AF_INET, NO_STATES, &none);

	return r == -ENOENT ? -EOPNOTSUPP : r;
}

int diag_new(struct diag **ret_diag, diag_each *on_end, void *arg)
{
	struct diag *diag = calloc(1, sizeof(*diag));
	int r;

	if (!diag)
		return -ENOMEM;
	diag->ask.fd = diag->dump.fd = diag->ends.netlink.fd = -1;
	r = netlink_open(&diag->ask, NETLINK_SOCK_DIAG);
	if (r == 0)
		r = probe(diag);
	if (r < 0) {
		diag_free(diag);
		return r;
	}
	if (on_end)
		ends_open(&diag->ends, on_end, arg);
	*ret_diag = diag;
	return 0;
}

struct diag *diag_free(struct diag *diag)
{
	if (!diag)
		return NULL;
	netlink_close(&diag->ends.netlink);
	netlink_close(&diag->dump);
	netlink_close(&diag->ask);
	free(diag);
	return NULL;
}

bool diag_has_events(const struct diag *diag)
{
	return diag->ends.netlink.fd >= 0;
}

int diag_fd(const struct diag *diag)
{
	return diag->ends.netlink.fd;
}

int diag_dispatch(struct diag *diag)
{
	return ends_dispatch(&diag->ends);
}
