/* SPDX-License-Identifier: Apache-2.0 */
/* A connection from the inside: the state that the stages of the flow hand on to each other. */
#ifndef SLUICE_CONN_CONN_H
#define SLUICE_CONN_CONN_H

#include <netdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include <sluice/sluice.h>

#include "bssl/gate.h"
#include "bssl/hello.h"
#include "bssl/signer.h"
#include "bssl/verify-job.h"
#include "conn/failure.h"
#include "conn/store.h"
#include "options/profile.h"
#include "record/ktls.h"
#include "record/record.h"
#include "record/sizing.h"
#include "tls/control.h"
#include "verify/hook.h"

struct sluice {
	atomic_uint refs;
	struct store *store;
	struct pool *pool; /* judges chains */
	enum sluice_start_type type;
	struct sluice_capabilities caps;
};

struct sluice *sluice_ref(struct sluice *sluice);
struct sluice *sluice_unref(struct sluice *sluice);

struct sluice_session {
	SSL_SESSION *ssl_session;
};

/* What the handshake needs and the established connection does not. Freed after INSTALL. */
struct handshake {
	struct gate gate;
	struct addrinfo *addrs, *addr; /* client: what is still to be tried */
	SSL_SESSION *offered;          /* client: the session to resume */
	struct signer_job job;         /* the private key operation, where the key is elsewhere */
	size_t own_index;              /* which of the own certificates is shown */
	struct credentials *own;       /* client_cert_cb: what it has; NULL: the profile's */
	bool cert_asked;               /* client_cert_cb: sluice_handshake_continue() answers */
	bool cert_answered;            /* client_cert_cb has said what it wants */
	bool name_asked;               /* sni_fun: sluice_handshake_continue() brings the answer */
	bool hello_passed;             /* the server's hello callback may let BoringSSL go on */
	bool client_done;              /* client: the ServerHello went through the gate */
	bool verify_known;             /* VERIFY has decided */
	bool complete;                 /* SSL_do_handshake() returned success */
	uint8_t verify_alert;          /* 0: accepted */
	struct verify_job *judging;    /* the peer's chain is with the pool, or has been judged */
	struct verify_walk *walk;      /* verify_fun is being asked */
	uint64_t answer_us;            /* when the pause ends at the latest; 0: never */
	uint64_t stage_since_us;
	uint64_t paused_us; /* when the pause began; 0: not paused */
	struct traffic *rx, *tx;
};

/* A control message waiting to be sent. */
struct outgoing {
	uint8_t type; /* enum record_type */
	uint8_t len;
	uint8_t bytes[KEY_UPDATE_LEN];
	bool new_epoch; /* the next record is of the next epoch */
};

#define OUTGOING_MAX 4
#define CONN_SMALL_LEN 1024

/* How far sluice_close() has come. */
enum closing {
	CLOSING_NOT,
	CLOSING_SEND,   /* what was accepted, close_notify or an alert, FIN */
	CLOSING_LINGER, /* our alert is on its way */
};

enum send_in_flight {
	SEND_NONE,
	SEND_DATA,
	SEND_CONTROL,
	SEND_PENDING,
};

/*
 * struct home - the process that a connection was handed over from. On the kernel path it has the secrets:
 * rekey() has it put the next keys of a direction into the socket, and returns 0 or -SLUICE_E_REKEY.
 * ended() tells it what became of the connection, which is about to be freed; NULL: it went on to
 * another process, and nothing is told.
 *
 * That process can ask something of the connection too (conn_dismiss(), new keys), by the thread that
 * its messages reach. enter() and leave() keep that thread out while the connection's own is in a call,
 * but for where it waits; depart() ends it: whoever closes is asked nothing more.
 */
struct home_ops {
	int (*rekey)(void *arg, struct sluice_conn *conn, enum ktls_direction dir);
	void (*ended)(void *arg, struct sluice_conn *conn);
	void (*enter)(void *arg);
	void (*leave)(void *arg);
	void (*depart)(void *arg);
};

struct home {
	const struct home_ops *ops;
	void *arg;
};

/* struct ends - who is at the ends of a connection, where its socket does not tell: behind a proxy. */
struct ends {
	struct sockaddr_storage local, peer; /* family 0: as the socket tells */
};

struct conn_direction {
	uint64_t bytes;
	uint64_t epoch; /* where another process has the secrets; else the traffic's counts */
	uint8_t path, reason;
};

/*
 * struct conn_info - of sluice_conn_info() what is known here only. The rest, and the names of numbers, are
 * found when somebody asks: this is part of every idle connection.
 */
struct conn_info {
	uint64_t id;
	char *sni, *alpn, *peer_identity, *attributes; /* by conn_text(); NULL: none */
	struct conn_direction tx, rx;
	uint64_t bad_certs;
	int bad_cert, x509_error;
	uint32_t tickets, alerts_sent, alerts_received;
	uint32_t rekeys[SLUICE_REKEY_CAUSES];
	uint32_t handshake_us, handshake_bytes_in, handshake_bytes_out;
	uint16_t version, suite, group, signature;
	uint8_t role, stage, resumed, hello_retried, peer_verified, ocsp;
	uint8_t tx_max_payload_len, tx_zerocopy_ro, rx_expect_no_pad; /* enum sluice_ktls_use */
};

struct sluice_conn {
	struct sluice *sluice;
	struct sluice_profile *profile;
	int fd;
	enum sluice_role role;
	enum sluice_stage stage;
	bool paused;
	bool may_wait; /* whoever drives the handshake waits for what it waits for */
	int events;    /* before LIVE and while closing: what is waited for */
	char *host;    /* client: the reference identity; NULL: none */
	uint64_t started_us;
	uint64_t deadline_us; /* of the handshake; LIVE: of hibernate_after */
	uint64_t verify_us;   /* what judging the peer's chain took */
	struct failure err;
	struct conn_info info;

	SSL *ssl; /* LIVE: only what needs no record layer; its BIOs are gone */
	struct handshake *hs;
	struct hello *hello;
	STACK_OF(CRYPTO_BUFFER) * peer_chain;
	SSL_SESSION *session; /* client: the newest */
	uint8_t store_key[STORE_KEY_LEN];

	const struct suite *suite;
	bool told_again; /* what waits for its descriptor is told until it has read: poll(2), not edges */
	bool keep_keys;    /* INSTALL keeps all of both directions: the connection will be moved */
	bool cannot_rekey; /* so says the process that has the secrets */
	const struct home *home; /* where it was handed over from; NULL: made here */
	uint64_t session_id;     /* as that process knows it */
	struct ends *ends;       /* as that process was told; NULL: as the socket tells */
	enum sluice_path_reason ulp_reason;
	struct traffic *rx_traffic, *tx_traffic;
	struct record_rx *rx;
	struct record_tx *tx;
	struct sizing sizing; /* of the records of tx */
	struct control control;

	uint8_t *early; /* plaintext that BoringSSL had already opened */
	size_t early_len, early_used;
	struct record rest; /* of a record for which the receiver had no room */
	void *recv_buf;
	size_t recv_len;
	uint8_t *small; /* CONN_SMALL_LEN bytes, see rio_recv_prep(); NULL until needed */
	struct msghdr recv_msg, send_msg;
	size_t discarded;

	struct outgoing outgoing[OUTGOING_MAX];
	unsigned int n_outgoing;
	enum send_in_flight in_flight;
	uint64_t epoch_bytes; /* info.tx.bytes when the sending epoch began */
	uint64_t confirmed;   /* kernel path: tx->records when the kernel was last asked */
	bool update_asked;    /* the peer owes us a KeyUpdate */
	bool update_owed;     /* and we owe it one, before our next data */
	bool receiving;       /* rio_recv_prep() was called, and rio_recv_done() not yet */
	bool recv_filled;     /* the last receive left no room: there may be more */
	bool unblocked;       /* epoch_unblock() was called since the last record */
	bool read_closed;     /* close_notify came */
	bool write_closed;    /* close_notify is queued or sent */
	bool dead;            /* failed: an alert may still go out, nothing else */

	enum closing closing;
	int close_result;
	uint64_t close_deadline;
};

/* conn_enter() and conn_leave() stand around all that uses the records of a connection. No nesting. */
static inline void conn_enter(const struct sluice_conn *conn)
{
	if (conn->home)
		conn->home->ops->enter(conn->home->arg);
}

static inline void conn_leave(const struct sluice_conn *conn)
{
	if (conn->home)
		conn->home->ops->leave(conn->home->arg);
}

/* conn_new() makes a connection around @fd (-1: none yet); owns it only on success. */
int conn_new(struct sluice_conn **ret_conn, struct sluice *sluice, struct sluice_profile *profile,
	     enum sluice_role role, int fd);

/* conn_free() closes the socket at once and frees everything. NULL is fine. Returns NULL. */
struct sluice_conn *conn_free(struct sluice_conn *conn);

/*
 * conn_reference() returns what the peer's certificate must be for: the name that was asked for, or
 * the host that was dialled; NULL: for anyone.
 */
const char *conn_reference(const struct sluice_conn *conn);

/* conn_attach() attaches the kernel's record layer to the connected socket, if it will be used. */
void conn_attach(struct sluice_conn *conn);

/*
 * conn_set_nodelay() keeps small records of a socket of our own making from waiting for Nagle's timer
 * behind an unacknowledged one. Refusal is harmless: a socket that died already says so later.
 */
void conn_set_nodelay(int fd);

/*
 * conn_fail() ends a connection with @code and, unless @alert is negative, queues or sends that
 * alert. The first failure stays. Returns its negative code.
 */
int conn_fail(struct sluice_conn *conn, int code, int alert, int sys_errno, const char *text);

/*
 * conn_wait() waits for @events until @deadline_us (UINT64_MAX: for ever). Returns 0, or
 * -SLUICE_E_TIMEOUT, or -SLUICE_E_IO.
 */
int conn_wait(const struct sluice_conn *conn, int events, uint64_t deadline_us);

/* conn_live_events() is what an established connection waits for, besides room for data: poll(2)'s. */
int conn_live_events(const struct sluice_conn *conn);

/* deadline_from() turns a time-out into a time of sys->now_us(). */
uint64_t deadline_from(int timeout_ms);

/* timeout_until() turns it back, rounded up so that a wait never ends too early; -1: for ever. */
int timeout_until(uint64_t deadline_us);

/*
 * conn_text() replaces a text of conn->info; what is longer than sluice_conn_info() has room for is cut. Returns
 * 0 or -SLUICE_E_NOMEM.
 */
int conn_text(char **text, const char *bytes, size_t len);

/* conn_snapshot() keeps what BoringSSL knows of the finished handshake. */
int conn_snapshot(struct sluice_conn *conn);

/* conn_queue() queues a control record. Returns 0, or -SLUICE_E_STATE when too many wait. */
int conn_queue(struct sluice_conn *conn, uint8_t type, const uint8_t *bytes, size_t len,
	       bool new_epoch);

/*
 * conn_dismiss() ends a connection for the process that it came from: close_notify behind what was
 * accepted, and FIN, as far as the peer has room; then all calls fail but those that close. Returns 0 or AGAIN.
 */
int conn_dismiss(struct sluice_conn *conn);

/* conn_flush() sends what is queued and pending, without waiting. Returns 0, AGAIN or an error. */
int conn_flush(struct sluice_conn *conn);

/*
 * conn_room() cuts @len to what may be sent now, before a KeyUpdate is due or records change their size.
 * Returns 0, also where something must be sent first (rio_send_pending()), or an error. conn_sent() is told
 * of application data that was accepted, conn_received() of what was given to a receiver.
 */
int conn_room(struct sluice_conn *conn, size_t *len);
void conn_sent(struct sluice_conn *conn, size_t n);
void conn_received(struct sluice_conn *conn, size_t n);

/* live_start() begins LIVE: the record paths are in place. */
void live_start(struct sluice_conn *conn);

/*
 * live_record() handles one record: data goes to @buf, control records to the connection. Returns
 * the bytes of data, 0 for none, or an error.
 */
ssize_t live_record(struct sluice_conn *conn, struct record *record, void *buf, size_t buf_len);

/* live_spliced() handles @n bytes of data that somebody else took out of the socket. Returns 0 or an error. */
int live_spliced(struct sluice_conn *conn, size_t n);

/* live_eof() is the end of the transport; returns CLOSED or TRUNCATED as a negative code. */
int live_eof(struct sluice_conn *conn);

/*
 * session_bind() ties a client's sessions to what its server is judged by: the rules of the profile
 * that conn->ssl was made from, and the name. Returns 0, or fails the connection.
 */
int session_bind(struct sluice_conn *conn);

/*
 * session_offer() offers the server a session made under the same rules: the program's, else, with
 * session_tickets = auto, one that was kept. Returns 0, or fails the connection.
 */
int session_offer(struct sluice_conn *conn);

/* session_from_ticket() makes the newest session of a NewSessionTicket message. */
void session_from_ticket(struct sluice_conn *conn, const uint8_t *msg, size_t msg_len);

/* session_keep() takes a new session to where the option wants it; owns @session. */
void session_keep(struct sluice_conn *conn, SSL_SESSION *session);

#endif
