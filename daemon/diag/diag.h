/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel knows of TCP sockets that are no longer ours, by sock_diag(7) over libmnl: live
 * byte counts and the state of kernel TLS by cookie, notice of the end of a socket with its last
 * counts, and ending one.
 */
#ifndef SLUICED_DIAG_DIAG_H
#define SLUICED_DIAG_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * struct diag_socket - one TCP socket as the kernel tells of it. An AF_INET6 socket that speaks IPv4
 * has IPv4-mapped addresses.
 */
struct diag_socket {
	uint64_t cookie; /* SO_COOKIE */
	struct sockaddr_storage local, peer;
	uint32_t device;    /* index of the interface that it is bound to, or 0 */
	uint8_t state;      /* TCP_ESTABLISHED and so on */
	uint32_t uid;       /* of its owner; 0 in an end, where the kernel does not tell */
	bool has_counts;    /* the four below are the kernel's */
	uint64_t bytes_in;  /* tcpi_bytes_received: of TCP, records included; a FIN counts as one */
	uint64_t bytes_out; /* tcpi_bytes_acked; a SYN and a FIN that were acknowledged count too */
	uint32_t rtt_us;
	uint32_t retransmits; /* segments, since it was connected */
	bool has_tls;         /* the tls ULP is on it; Linux 6.12 tells only CAP_NET_ADMIN */
	uint16_t tls_version; /* 0 before the first key */
	uint16_t tls_cipher;
	uint16_t tls_tx, tls_rx; /* 1 base, 2 software, 3 hardware, 4 hardware records */
};

struct diag;

typedef void diag_each(void *arg, const struct diag_socket *socket);

/*
 * diag_new() opens the netlink sockets. @on_end (may be NULL) is called from diag_dispatch() for every
 * TCP socket of this network namespace that ends, with its last counts and without what belongs to
 * TLS. Where the kernel does not let us listen, diag_has_events() is false and the caller has to poll.
 * Errors: -EOPNOTSUPP when the kernel does not tell of TCP sockets (CONFIG_INET_TCP_DIAG), or -errno.
 */
int diag_new(struct diag **ret_diag, diag_each *on_end, void *arg);
struct diag *diag_free(struct diag *diag);

bool diag_has_events(const struct diag *diag);

/* diag_fd() is readable when diag_dispatch() has something to do. -1 without events. */
int diag_fd(const struct diag *diag);

/*
 * diag_dispatch() calls on_end for ends that have been told; so many at a time that others get their
 * turn: go by diag_fd(). Returns how many, or -errno; -ENOBUFS: some were lost, and the caller dumps
 * to find out which sockets are gone. Ends after the return are told again.
 */
int diag_dispatch(struct diag *diag);

/*
 * diag_dump() calls @each for every TCP socket of @family (AF_INET, AF_INET6) that has a peer: not for
 * listening ones, and not for those that have ended and leave a TIME_WAIT. Returns how many, or
 * -errno; -EINTR: the kernel's list changed at every attempt. The list may change while it is read,
 * so a socket can come twice or be passed over: what is missing, diag_find() looks for.
 * @each may call diag_find() and diag_destroy(), but not diag_dump() (-EBUSY) or diag_free().
 */
int diag_dump(struct diag *diag, int family, diag_each *each, void *arg);

/*
 * diag_find() asks for one socket by its addresses and cookie. Returns 0, -ENOENT (it has ended), or
 * -errno. A socket that is bound to a device is found only with that: in sin6_scope_id, IPv4 by mapped
 * addresses.
 * diag_destroy() ends one (SOCK_DESTROY): its owner gets ECONNABORTED. -EPERM without CAP_NET_ADMIN,
 * -EOPNOTSUPP without CONFIG_INET_DIAG_DESTROY.
 */
int diag_find(struct diag *diag, const struct sockaddr_storage *local,
	      const struct sockaddr_storage *peer, uint64_t cookie, struct diag_socket *ret_socket);
int diag_destroy(struct diag *diag, const struct sockaddr_storage *local,
		 const struct sockaddr_storage *peer, uint64_t cookie);

#endif
