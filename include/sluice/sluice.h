/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libsluice: TLS connections whose record layer is the kernel's.
 *
 * Start the library, build a profile, then listen or connect. BoringSSL negotiates; at the end of
 * the handshake the keys go into the socket (or into our own record layer where the kernel cannot
 * take them: sluice_conn_info() says which, and why), and from there on sending and receiving are
 * plain system calls.
 *
 * One set of verbs serves both ways of use. Calls that may wait take a time-out in milliseconds:
 * SLUICE_INFINITY waits for ever, SLUICE_NOWAIT tries once and returns -SLUICE_E_AGAIN. With a
 * foreign event loop, wait for sluice_conn_events() on sluice_conn_fd() or for
 * sluice_conn_timeout(), and call again. Receive until -SLUICE_E_AGAIN before waiting: a readable
 * record may already have left the socket.
 *
 * A connection belongs to one thread at a time; different connections are independent. The library
 * does not log, read the environment or touch signals, and no call returns key material.
 */
#ifndef SLUICE_H
#define SLUICE_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <sluice/error.h>
#include <sluice/info.h>
#include <sluice/ocsp.h>
#include <sluice/options.h>
#include <sluice/verify.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_INFINITY (-1)
#define SLUICE_NOWAIT 0

/* Positive outcomes of a handshake. */
#define SLUICE_PAUSED 1 /* stopped until the program has decided: continue or cancel */

struct sluice_listener;
struct sluice_session;

/* --- the library ------------------------------------------------------------------------- */

/*
 * What a program wants when the daemon that serves it goes away. Without a daemon the types are
 * equal.
 */
enum sluice_start_type {
	SLUICE_TEMPORARY,
	SLUICE_TRANSIENT,
	SLUICE_PERMANENT,
};

/*
 * sluice_start() probes the kernel and BoringSSL on a loopback pair and makes the root object.
 * Errors: INVALID, NOMEM.
 */
int sluice_start(struct sluice **ret_sluice, enum sluice_start_type type,
		 struct sluice_error *ret_err);

/*
 * sluice_stop() drops the root object and forgets the sessions that it kept. Connections keep working
 * until they are closed: their keys are theirs. NULL is fine. Returns 0.
 */
int sluice_stop(struct sluice *sluice);

/* sluice_capabilities() copies what the probe found. */
int sluice_capabilities(const struct sluice *sluice, struct sluice_capabilities *ret_caps,
			size_t caps_size);

/* sluice_versions() names the versions of everything involved. Needs no root object. */
int sluice_versions(struct sluice_versions *ret_versions, size_t versions_size);

/* --- listening --------------------------------------------------------------------------- */

/*
 * sluice_listen() binds and listens on TCP @host (NULL: any) and @port (0: chosen by the kernel).
 * The profile is referenced. Errors: IO, RESOLVE, NOMEM, NOFILE, INVALID.
 */
int sluice_listen(struct sluice *sluice, const char *host, uint16_t port,
		  struct sluice_profile *profile, struct sluice_listener **ret_listener,
		  struct sluice_error *ret_err);

int sluice_listener_fd(const struct sluice_listener *listener);
int sluice_listener_port(const struct sluice_listener *listener);

/* sluice_listener_free() closes the listening socket; accepted connections live on. */
struct sluice_listener *sluice_listener_free(struct sluice_listener *listener);

/*
 * sluice_transport_accept() accepts one TCP connection; no TLS byte is read. The connection
 * inherits the listener's profile. Errors: TIMEOUT, AGAIN, NOFILE, NOMEM, IO; the listener
 * remains usable after each of them.
 */
int sluice_transport_accept(struct sluice_listener *listener, int timeout_ms,
			    struct sluice_conn **ret_conn);

/* --- handshake --------------------------------------------------------------------------- */

/*
 * sluice_handshake() runs the server's handshake on an accepted connection, up to the installed
 * keys. @extra (may be NULL) is laid over the listener's options for this connection.
 * Returns 0, or SLUICE_PAUSED: with option handshake = hello, where sluice_hello() tells then what the
 * peer offered, and where sni_fun or verify_fun answers later. With SLUICE_NOWAIT: -SLUICE_E_AGAIN, then call sluice_conn_dispatch().
 * On any other error the alert is out and only sluice_close() is left to do.
 */
int sluice_handshake(struct sluice_conn *conn, const struct sluice_options *extra, int timeout_ms);

/*
 * sluice_handshake_fd() makes a server connection of a connected TCP socket and runs its
 * handshake. On success, and whenever *@ret_conn is set, the descriptor belongs to the connection
 * and is set non-blocking; otherwise it stays the caller's. The caller must have no read in flight.
 */
int sluice_handshake_fd(struct sluice *sluice, int fd, struct sluice_profile *profile,
			int timeout_ms, struct sluice_conn **ret_conn,
			struct sluice_error *ret_err);

/*
 * sluice_connect() resolves @host, connects, and runs the client's handshake. @host is the
 * reference identity and, unless it is an address, the server name; option
 * server_name_indication overrides both. Name resolution blocks. *@ret_conn is set once there is a
 * connection to continue or to ask for its error: also with -SLUICE_E_AGAIN and after a failed
 * handshake.
 */
int sluice_connect(struct sluice *sluice, const char *host, uint16_t port,
		   struct sluice_profile *profile, struct sluice_session *session, int timeout_ms,
		   struct sluice_conn **ret_conn, struct sluice_error *ret_err);

/*
 * sluice_connect_fd() upgrades a connected TCP socket as client. Ownership as for
 * sluice_handshake_fd(). @host is as above, NULL: the address of the peer.
 */
int sluice_connect_fd(struct sluice *sluice, int fd, const char *host,
		      struct sluice_profile *profile, struct sluice_session *session,
		      int timeout_ms, struct sluice_conn **ret_conn, struct sluice_error *ret_err);

/* sluice_hello() describes the peer's hello of a connection that is paused or further. */
int sluice_hello(const struct sluice_conn *conn, struct sluice_hello *ret_hello, size_t hello_size);

/*
 * sluice_handshake_continue() goes on after SLUICE_PAUSED. @extra (may be NULL) may set what the
 * handshake has not used yet; where sni_fun answers later, it is the answer. After verify_fun has asked for
 * time, sluice_verify_continue() goes on instead. Errors: STATE, OPTION_TOO_LATE, and those of
 * sluice_handshake().
 */
int sluice_handshake_continue(struct sluice_conn *conn, const struct sluice_options *extra,
			      int timeout_ms);

/*
 * sluice_abort() ends a paused or established connection by a fatal @alert (enum sluice_alert) of the
 * caller's choice, such as access_denied. Nothing can be sent or received any more; data that were
 * accepted and are not sent are lost. Then close. Errors: INVALID (not an alert that may be sent so),
 * STATE.
 */
int sluice_abort(struct sluice_conn *conn, int alert);

/*
 * sluice_handshake_cancel() ends a handshake that is paused, or whose peer's certificates are being judged, with
 * a fatal user_canceled alert.
 */
int sluice_handshake_cancel(struct sluice_conn *conn);

/* --- data -------------------------------------------------------------------------------- */

/*
 * sluice_send() sends all of @buf, sluice_sendv() all of @iov. Returns the number of bytes
 * accepted: fewer than given only when the time passed (with SLUICE_NOWAIT: when the socket was
 * full); -SLUICE_E_TIMEOUT or -SLUICE_E_AGAIN when it is none. Accepted bytes belong to the
 * connection: they are sent before anything else and before it closes.
 */
ssize_t sluice_send(struct sluice_conn *conn, const void *buf, size_t buf_len, int timeout_ms);
ssize_t sluice_sendv(struct sluice_conn *conn, const struct iovec *iov, int n_iov, int timeout_ms);

/*
 * sluice_sendfile() sends @count bytes of @file_fd from *@offset on, and moves *@offset. On the
 * kernel path the pages go from the page cache to the socket. A file that cannot be read is
 * -SLUICE_E_FILE and leaves the connection as it is.
 */
ssize_t sluice_sendfile(struct sluice_conn *conn, int file_fd, off_t *offset, size_t count,
			int timeout_ms);

/*
 * sluice_recv() receives what is available, at least one byte and at most @buf_len.
 * sluice_recv_exact() receives exactly @buf_len bytes. What arrived before a time-out is kept for
 * the next call. Errors: CLOSED (close_notify), TRUNCATED (end without it), ALERT, RESET, TIMEOUT,
 * AGAIN, NOT_ESTABLISHED, and the protocol errors, after which an alert is out.
 */
ssize_t sluice_recv(struct sluice_conn *conn, void *buf, size_t buf_len, int timeout_ms);
ssize_t sluice_recv_exact(struct sluice_conn *conn, void *buf, size_t buf_len, int timeout_ms);

/* sluice_discarded() returns the bytes that a recv_exact() could not complete at the end. */
size_t sluice_discarded(const struct sluice_conn *conn);

/*
 * sluice_update_keys() starts a new epoch of our sending direction (TLS 1.3); with @request the
 * peer is asked to do the same. After -SLUICE_E_AGAIN or -SLUICE_E_TIMEOUT the message is queued and
 * goes out before the next data. Errors: STATE, UNDEFINED (TLS 1.2), REKEY (no kernel support).
 */
int sluice_update_keys(struct sluice_conn *conn, int request, int timeout_ms);

/*
 * sluice_renegotiate() always returns -SLUICE_E_UNSUPPORTED_RENEGOTIATION: BoringSSL cannot start a
 * renegotiation, and a key in use by the kernel could not take part in one. The connection stays as
 * it is. New keys come by sluice_update_keys() under TLS 1.3, and by a new connection under TLS 1.2.
 */
int sluice_renegotiate(struct sluice_conn *conn);

/* --- the end ----------------------------------------------------------------------------- */

/*
 * sluice_shutdown() ends one direction (SHUT_WR: close_notify, then FIN) or both. What was accepted
 * is sent first; after -SLUICE_E_TIMEOUT or -SLUICE_E_AGAIN call again.
 */
int sluice_shutdown(struct sluice_conn *conn, int how, int timeout_ms);

/*
 * sluice_close() sends what was accepted and close_notify, closes the socket and frees the
 * connection, in every case and also on failure. Waits at most 5 seconds for a peer that does not
 * read and, where a fatal alert of ours was sent, at most option alert_timeout for a peer that does
 * not go: a socket that is closed at once may reset the connection before the alert is read.
 * sluice_close_timeout() also waits for the peer's close_notify, at most @timeout_ms. NULL is fine.
 */
int sluice_close(struct sluice_conn *conn);
int sluice_close_timeout(struct sluice_conn *conn, int timeout_ms);

/*
 * sluice_close_nowait() does the same without waiting. While it returns -SLUICE_E_AGAIN, wait for
 * sluice_conn_events() or sluice_conn_timeout() and call it again, and nothing else; after any other
 * result the connection is gone.
 */
int sluice_close_nowait(struct sluice_conn *conn);

/* --- event loops ------------------------------------------------------------------------- */

/* sluice_conn_fd() returns the socket: for waiting, and for sluice/steps.h; reading or writing it breaks the stream. */
int sluice_conn_fd(const struct sluice_conn *conn);

/* sluice_conn_events() returns what to wait for: POLLIN, POLLOUT, both; closing also POLLRDHUP. */
int sluice_conn_events(const struct sluice_conn *conn);

/* sluice_conn_timeout() returns the milliseconds until dispatch must be called, or -1. */
int sluice_conn_timeout(const struct sluice_conn *conn);

/*
 * sluice_conn_dispatch() does what can be done without waiting: handshake, sending what was
 * accepted, giving back what option hibernate_after is about. Returns 0 (established, nothing left to send), SLUICE_PAUSED, -SLUICE_E_AGAIN or the
 * error that ended the connection.
 */
int sluice_conn_dispatch(struct sluice_conn *conn);

/*
 * Judging a peer's certificates takes as long as the peer makes it take, up to a few hundred milliseconds. The
 * root object has threads for that, started when the first certificates come: min(4, processors).
 *
 * A call that may wait uses them, and waits no longer than it may. An event loop uses them once it has
 * called sluice_ready_fd(), which returns a descriptor of the root object (its own, not to be read or closed)
 * that is readable while sluice_ready() has connections whose certificates have been judged: dispatch each
 * that it returns, until it returns NULL. Before that first call, dispatch judges by itself. While
 * certificates are with the threads, sluice_conn_events() is 0, the handshake's time runs, and the
 * connection can be cancelled, aborted and closed. An event loop that would have more than some thousand
 * certificates wait is refused with -SLUICE_E_BUSY; long chains wait behind short ones, and some hundred at most.
 *
 * Functions of options are called by the thread that drives the handshake, but for the operations of option
 * crl_cache, which the threads call. All signals are blocked in them. After fork(2) the child has none of
 * them: what it begins with the same root object it judges by itself; connections that wait for a verdict
 * stay the parent's. Fork while no thread is at work, best before the first peer's certificates: a child that does
 * not execute another program may else find a CRL or a file locked for good. sluice_stop(), or closing the last connection after it, waits for what a thread is
 * just judging. Programs with several event loops start a root object for each.
 *
 * sluice_set_verify_threads() sets how many there are, at most 64; 0: every call judges by itself.
 * Errors: INVALID, STATE (they are running); of sluice_ready_fd(): NOFILE, NOMEM, IO, STATE (a child).
 */
int sluice_set_verify_threads(struct sluice *sluice, unsigned int n);
int sluice_ready_fd(struct sluice *sluice);
struct sluice_conn *sluice_ready(struct sluice *sluice);

/* --- knowing ----------------------------------------------------------------------------- */

int sluice_conn_info(const struct sluice_conn *conn, struct sluice_conn_info *ret_info,
		     size_t info_size);

/* sluice_conn_error() copies the error that ended the connection; code 0 if none did. */
int sluice_conn_error(const struct sluice_conn *conn, struct sluice_error *ret_err,
		      size_t err_size);

/*
 * sluice_peername() and sluice_sockname() tell the addresses of both ends: those of the socket, or of a
 * connection that came to a daemon through a proxy, those that its PROXY header named.
 */
int sluice_peername(const struct sluice_conn *conn, struct sockaddr_storage *ret_addr);
int sluice_sockname(const struct sluice_conn *conn, struct sockaddr_storage *ret_addr);

/*
 * sluice_setopt() and sluice_getopt() are setsockopt(2) and getsockopt(2), except that TLS's own
 * levels and options are refused with -SLUICE_E_POLICY: they belong to the connection.
 */
int sluice_setopt(struct sluice_conn *conn, int level, int name, const void *value, socklen_t len);
int sluice_getopt(const struct sluice_conn *conn, int level, int name, void *value, socklen_t *len);

/* sluice_negotiated_protocol() gives the ALPN protocol. Errors: PROTOCOL_NOT_NEGOTIATED. */
int sluice_negotiated_protocol(const struct sluice_conn *conn, const char **ret_protocol,
			       size_t *ret_protocol_len);

/* sluice_peercert() gives the peer's certificate @index (0: its own), DER. Errors: NO_PEERCERT. */
int sluice_peercert(const struct sluice_conn *conn, size_t index, const uint8_t **ret_der,
		    size_t *ret_der_len);

/*
 * sluice_export_keying_material() is the exporter of RFC 5705 and RFC 8446, 7.5. @context may be
 * NULL (TLS 1.2 tells absent from empty). Errors: INVALID, NOT_ESTABLISHED, UNDEFINED (a server
 * without option exporter; option hibernate_after, and it was silent for so long).
 */
int sluice_export_keying_material(struct sluice_conn *conn, uint8_t *out, size_t out_len,
				  const char *label, const uint8_t *context, size_t context_len);

/* --- sessions (client) ------------------------------------------------------------------- */

/*
 * sluice_take_session() hands over the newest session of a client connection with option
 * session_tickets = manual; it is the caller's. A TLS 1.3 session is good for one connection. With
 * auto the library keeps sessions in the root object and offers them by itself.
 * Errors: UNDEFINED (no ticket came yet, or none is for the program).
 */
int sluice_take_session(struct sluice_conn *conn, struct sluice_session **ret_session);

/*
 * sluice_session_save() writes a session to a new file of mode 0600, sluice_session_load() reads
 * one. The file holds what it takes to resume: keep it as you keep a private key.
 */
int sluice_session_save(const struct sluice_session *session, const char *path,
			struct sluice_error *ret_err);
int sluice_session_load(struct sluice *sluice, const char *path,
			struct sluice_session **ret_session, struct sluice_error *ret_err);
struct sluice_session *sluice_session_free(struct sluice_session *session);

#ifdef __cplusplus
}
#endif
#endif
