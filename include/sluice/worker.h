/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For workers of sluiced: connections arrive established, in a pool that the worker attached to. What
 * comes is an ordinary struct sluice_conn; its private key and the secrets of its next keys stay with
 * the daemon, which puts new keys into the socket when they change.
 *
 *	sluice_start(&sluice, SLUICE_TEMPORARY, &err);
 *	sluice_worker_attach(sluice, "/run/sluice/web.sock", &worker, &err);
 *	sluice_worker_credit(worker, 100);
 *	while (sluice_worker_next(worker, -1, &conn) == 0)
 *		... sluice_recv(conn, ...), sluice_send(conn, ...), sluice_close(conn) ...
 *
 * Option hibernate_after does nothing for these connections: they have no object of BoringSSL to give back, and what
 * small buffers they have they keep.
 *
 * A worker object may be used by one thread; its connections may be used by others, also after it
 * is gone. What the daemon asks of one (`sluicectl rekey`, `sluicectl kill`) is done in
 * sluice_worker_next(), whichever thread uses it: a program that never calls that is asked in vain. If the daemon is gone their keys change as soon as it is back, within two seconds, or not.
 */
#ifndef SLUICE_WORKER_H
#define SLUICE_WORKER_H

#include <sluice/sluice.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sluice_worker;

/*
 * sluice_worker_attach() attaches to the pool at @path. Nothing comes before sluice_worker_credit().
 * Errors: CONNECT, POLICY (the daemon does not let this user in), PROTOCOL (another version), NOMEM.
 */
int sluice_worker_attach(struct sluice *sluice, const char *path, struct sluice_worker **ret_worker,
			 struct sluice_error *ret_err);

/*
 * sluice_worker_reattach() attaches again after CLOSED: the daemon was restarted. Connections that the
 * worker has go on, and their keys can change again. Credits begin anew. Errors: as for attaching; try
 * again later.
 */
int sluice_worker_reattach(struct sluice_worker *worker, struct sluice_error *ret_err);

/* sluice_worker_free() detaches: what was not acknowledged goes to another worker. NULL is fine. */
struct sluice_worker *sluice_worker_free(struct sluice_worker *worker);

/* sluice_worker_fd() is readable when sluice_worker_next() has something. */
int sluice_worker_fd(const struct sluice_worker *worker);

/* sluice_worker_credit() lets @count connections more come. Errors: CLOSED, IO. */
int sluice_worker_credit(struct sluice_worker *worker, unsigned int count);

/*
 * sluice_worker_next() returns the next connection and acknowledges it. Errors: AGAIN (with
 * SLUICE_NOWAIT), TIMEOUT, CLOSED (the daemon is gone), PROTOCOL, NOMEM, NOT_TLS: one without TLS came and
 * was closed; the next call goes on.
 */
int sluice_worker_next(struct sluice_worker *worker, int timeout_ms, struct sluice_conn **ret_conn);

/*
 * struct sluice_plain - a connection that did not begin with TLS, of a pool that a listener of the daemon has
 * as its plain_pool. Nothing was read from its socket, nothing of it is encrypted, and the library has no
 * part in it.
 */
struct sluice_plain {
	int fd;           /* its socket, non-blocking: the caller's to close */
	uint64_t session; /* the daemon's number of it */
	struct sockaddr_storage local,
		peer; /* as a PROXY header named them, or as the socket tells */
	char listener[65];
};

/*
 * sluice_worker_next_any() is sluice_worker_next() for who takes connections without TLS too: one of these
 * leaves *@ret_conn NULL and fills @plain_size bytes of *@ret_plain, sizeof(struct sluice_plain) of the caller.
 * Errors: those of sluice_worker_next() but NOT_TLS, and INVALID (@plain_size is 0).
 */
int sluice_worker_next_any(struct sluice_worker *worker, int timeout_ms,
			   struct sluice_conn **ret_conn, struct sluice_plain *ret_plain,
			   size_t plain_size);

/* sluice_worker_drain() asks for no more connections; those on their way still come. */
int sluice_worker_drain(struct sluice_worker *worker);

/* sluice_conn_session() returns the daemon's number of a connection, or 0: it did not come from it. */
uint64_t sluice_conn_session(const struct sluice_conn *conn);

#ifdef __cplusplus
}
#endif
#endif
