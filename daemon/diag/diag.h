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

/* struct diag_socket - one TCP socket as the kernel tells of it. */
struct diag_socket {
	uint64_t cookie; /* SO_COOKIE */
	struct sockaddr_storage local, peer;
	uint8_t state; /* TCP_ESTABLISHED and so on */
	uint32_t uid;
	uint64_t bytes_in;  /* tcpi_bytes_received: of TCP, records included */
	uint64_t bytes_out; /* tcpi_bytes_acked */
	uint32_t rtt_us;
	uint32_t retransmits;
	bool has_tls; /* the tls ULP is on it, and the kernel tells of it */
	uint16_t tls_version;
	uint16_t tls_cipher;
	uint8_t tls_tx, tls_rx; /* 1 base, 2 software, 3 hardware */
};

struct diag;

typedef void diag_each(void *arg, const struct diag_socket *socket);

/*
 * diag_new() opens the netlink sockets. @on_end (may be NULL) is called from diag_dispatch() for every
 * TCP socket of this network namespace that ends: it needs CAP_NET_ADMIN; without it
 * diag_has_events() is false and the caller has to poll. Errors: -errno.
 */
int diag_new(struct diag **ret_diag, diag_each *on_end, void *arg);
struct diag *diag_free(struct diag *diag);

bool diag_has_events(const struct diag *diag);

/* diag_fd() is readable when diag_dispatch() has something to do. -1 without events. */
int diag_fd(const struct diag *diag);

/*
 * diag_dispatch() calls on_end for the ends that have been told. Returns how many, or -errno;
 * -ENOBUFS: some were lost, and the caller dumps to find out which sockets are gone.
 */
int diag_dispatch(struct diag *diag);

/*
 * diag_dump() calls @each for every TCP socket of @family (AF_INET, AF_INET6) that is not listening.
 * Bounded by the kernel's own list. Returns how many, or -errno.
 */
int diag_dump(struct diag *diag, int family, diag_each *each, void *arg);

/*
 * diag_find() asks for one socket by its addresses and cookie. Returns 0, -ENOENT, or -errno.
 * diag_destroy() ends one (SOCK_DESTROY; CAP_NET_ADMIN): its owner gets ECONNABORTED.
 */
int diag_find(struct diag *diag, const struct sockaddr_storage *local,
	      const struct sockaddr_storage *peer, uint64_t cookie, struct diag_socket *ret_socket);
int diag_destroy(struct diag *diag, const struct sockaddr_storage *local,
		 const struct sockaddr_storage *peer, uint64_t cookie);

#endif
