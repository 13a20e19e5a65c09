/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For programs that have TLS made by sluiced on sockets of their own, as client or as server: private keys,
 * certificates and trust anchors are the daemon's, in a profile that the program names. What comes back
 * is an ordinary struct sluice_conn; the secrets of its next keys stay with the daemon, as for a worker.
 *
 *	struct sluice_upgrade upgrade = { .size = sizeof(upgrade), .role = SLUICE_CLIENT,
 *					  .profile = "outgoing", .host = "www.example.org" };
 *
 *	sluice_start(&sluice, SLUICE_TEMPORARY, &err);
 *	sluice_via_open(sluice, "/run/sluice/tls.sock", &via, &err);
 *	sluice_upgrade_via(via, fd, &upgrade, 10000, &conn, &err);
 *	... sluice_send(conn, ...), sluice_recv(conn, ...), sluice_close(conn) ...
 *
 * A via object may be used by one thread; its connections may be used by others. They outlive it, but
 * on the kernel path their keys change only as long as it is there.
 */
#ifndef SLUICE_VIA_H
#define SLUICE_VIA_H

#include <sluice/sluice.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sluice_via;

/* struct sluice_upgrade - what is wanted. What is not set is 0. */
struct sluice_upgrade {
	size_t size;           /* of this structure */
	enum sluice_role role; /* ours; the profile's too */
	const char *profile;   /* of those that the service has */
	const char *host; /* client: as of sluice_connect_fd(); NULL: the address of the peer */
	const char *alpn; /* client: "h2,http/1.1" instead of the profile's; NULL: as it is */
};

/*
 * sluice_via_open() attaches to the service at @path. Errors: CONNECT, POLICY (the daemon does not let
 * this user in), PROTOCOL (another version), NOMEM.
 */
int sluice_via_open(struct sluice *sluice, const char *path, struct sluice_via **ret_via,
		    struct sluice_error *ret_err);

/* sluice_via_free() detaches and ends what is under way; the sockets stay the caller's. NULL is fine. */
struct sluice_via *sluice_via_free(struct sluice_via *via);

/*
 * sluice_upgrade_via() has TLS made on the connected TCP socket @fd, which becomes non-blocking. Until it
 * has ended the caller keeps the socket open and does not read or write it. On success it belongs to
 * *@ret_conn; after an error it is the caller's, to be closed. After AGAIN (with SLUICE_NOWAIT) and
 * TIMEOUT the handshake goes on, and sluice_via_next() has its end.
 * Errors: those of sluice_connect_fd() and sluice_handshake_fd(); INVALID (the daemon cannot use the
 * socket, or what was asked for makes no sense), POLICY (no such profile here, or a limit is reached),
 * OPTION_ROLE, STATE (the socket has TLS, or is being upgraded), NOFILE, CLOSED (the daemon is gone), AGAIN.
 */
int sluice_upgrade_via(struct sluice_via *via, int fd, const struct sluice_upgrade *upgrade,
		       int timeout_ms, struct sluice_conn **ret_conn, struct sluice_error *ret_err);

/*
 * sluice_via_next() takes the end of an upgrade that nobody waited for: *@ret_fd is its socket, whether
 * it went well (0) or not. *@ret_fd is -1 where none has ended: AGAIN, TIMEOUT, or CLOSED: the daemon is
 * gone, and all upgrades have been told.
 */
int sluice_via_next(struct sluice_via *via, int timeout_ms, int *ret_fd,
		    struct sluice_conn **ret_conn, struct sluice_error *ret_err);

/* sluice_via_fd() is readable when sluice_via_next() may have something. */
int sluice_via_fd(const struct sluice_via *via);

#ifdef __cplusplus
}
#endif
#endif
