/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker, sluiced itself: it accepts, has handshakes made, keeps the table of sessions with the
 * secrets of their next keys, and hands sockets to workers. It parses no byte of TLS and has no private
 * key. One thread, one loop; every file here is one of its concerns, and broker.c puts them together.
 */
#ifndef SLUICED_BROKER_BROKER_H
#define SLUICED_BROKER_BROKER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "common/loop.h"
#include "config/config.h"
#include "diag/diag.h"
#include "handover/channel.h"
#include "handover/wire.h"
#include "record/traffic.h"

struct broker;
struct session;
struct worker;

/* --- children (children.c) -------------------------------------------------------------------- */

struct keeper {
	struct watch watch;
	pid_t pid;
};

struct handshaker {
	struct watch watch;
	struct broker *broker;
	pid_t pid;
	bool ready;
	unsigned int in_progress;
	uint64_t restart_ms; /* not running: when it is started again; 0: running */
	unsigned int crashes;
	LIST_HEAD(, session) sessions; /* being negotiated by it */
};

/* children_start() starts the keeper. Returns 0 or -errno. */
int children_start(struct broker *broker);

/* children_configure() gives every handshaker the catalogue, and starts those that are missing. */
int children_configure(struct broker *broker, int catalog_fd);
void children_tick(struct broker *broker);
void children_stop(struct broker *broker);

/* children_reap() is for SIGCHLD. */
void children_reap(struct broker *broker);

/* children_handshake() gives a socket to the handshaker with the least to do. Returns 0 or -errno. */
int children_handshake(struct broker *broker, struct session *session, int fd);

/* children_forget() takes back what the keeper may do for a session. */
void children_forget(struct broker *broker, uint64_t session);

/* --- certificates (catalog.c) ----------------------------------------------------------------- */

/*
 * catalog_build() has the keeper load all keys and writes the catalogue of @config into a sealed
 * memory file. Returns its descriptor, or -1 with the reason in *@ret_err.
 */
int catalog_build(struct broker *broker, const struct config *config, struct config_error *ret_err);

/* --- listeners (listeners.c) ------------------------------------------------------------------ */

struct listener {
	struct watch watch;
	struct broker *broker;
	size_t index; /* in the configuration */
	uint64_t accepted;
};

int listeners_open(struct broker *broker, struct config_error *ret_err);
void listeners_tick(struct broker *broker);
void listeners_close(struct broker *broker);

/* listeners_room() is called when a handshake ends: accepting may go on. */
void listeners_room(struct broker *broker);

/* --- sessions (sessions.c) -------------------------------------------------------------------- */

enum session_state {
	SESSION_HANDSHAKE,
	SESSION_QUEUED,  /* established; no worker has room */
	SESSION_OFFERED, /* on its way to a worker, not acknowledged */
	SESSION_LIVE,
};

struct session {
	LIST_ENTRY(session) by_id, by_cookie;
	LIST_ENTRY(session) of_owner; /* of its handshaker or worker */
	TAILQ_ENTRY(session) in_pool; /* QUEUED */
	uint64_t id, cookie;
	enum session_state state;
	struct sockaddr_in6 local, peer; /* IPv4: mapped */
	uint16_t listener, pool;
	struct handshaker *handshaker;
	struct worker *worker;
	uint64_t accepted_ms, established_ms, queued_ms;
	uint16_t version, suite, group;
	uint8_t rx_path, tx_path, rx_reason, tx_reason;
	bool resumed, peer_verified, can_rekey;
	uint32_t handshake_us;
	char *sni, *alpn;
	uint8_t peer_sha256[32];
	bool has_peer;
	struct traffic *rx, *tx; /* the next keys come from these; NULL: not on the kernel path */
	uint64_t rx_bytes, tx_bytes; /* as the worker or the kernel told last */
	/* until it is acknowledged */
	int fd;
	uint8_t *message;
	size_t message_len;
};

#define SESSION_BUCKETS 16384

struct sessions {
	LIST_HEAD(, session) by_id[SESSION_BUCKETS];
	LIST_HEAD(, session) by_cookie[SESSION_BUCKETS];
	uint64_t last_id;
	size_t n;
};

struct session *session_new(struct broker *broker);
struct session *session_find(struct broker *broker, uint64_t id);
struct session *session_find_cookie(struct broker *broker, uint64_t cookie);
void session_set_cookie(struct broker *broker, struct session *session, uint64_t cookie);

/* session_established() reads what the handshaker tells. Returns false for what is no such message. */
bool session_established(struct session *session, struct wire_reader reader);

/* session_settled() frees what only an unacknowledged session needs, its descriptor included. */
void session_settled(struct session *session);

/* session_end() logs the end, counts it and frees all. */
void session_end(struct broker *broker, struct session *session, const char *reason);

/* --- workers (workers.c) ---------------------------------------------------------------------- */

struct pool {
	struct watch watch; /* where workers attach */
	struct broker *broker;
	const struct config_pool *config;
	size_t index;
	LIST_HEAD(, worker) workers;
	TAILQ_HEAD(, session) queue;
	size_t n_queued;
	uint64_t handed_over, timed_out, requeued;
};

struct worker {
	struct watch watch, rekey;
	LIST_ENTRY(worker) in_pool;
	struct pool *pool;
	pid_t pid;
	uid_t uid;
	uint64_t number;
	unsigned int credits;
	bool attached, draining;
	LIST_HEAD(, session) sessions;
	size_t n_sessions;
	uint64_t rekeys;
};

int pools_open(struct broker *broker, struct config_error *ret_err);
void pools_tick(struct broker *broker);
void pools_close(struct broker *broker);

/* pools_offer() gives an established session to a worker of its pool, or queues it. */
void pools_offer(struct broker *broker, struct session *session);

/* --- new keys (rekey.c) ----------------------------------------------------------------------- */

/*
 * rekey_answer() serves one MSG_REKEY of a worker: the socket must be the session's by its cookie.
 * Returns false when the worker is to be dropped.
 */
bool rekey_answer(struct broker *broker, struct worker *worker, const uint8_t *message, size_t len,
		  struct channel_fds *fds);

/* --- administration (admin.c) ----------------------------------------------------------------- */

struct admin_client;

struct admin {
	struct watch watch;
	char *path;
	LIST_HEAD(, admin_client) clients;
	size_t n_clients;
	uint64_t counted_ms; /* when the kernel was last asked for the counts of all sockets */
};

int admin_open(struct broker *broker, struct config_error *ret_err);
void admin_tick(struct broker *broker);
void admin_close(struct broker *broker);

/* --- all of it (broker.c) --------------------------------------------------------------------- */

struct stats {
	uint64_t accepted, established, failed, ended;
	uint64_t handshaker_crashes, keeper_crashes, rekeys, accept_paused, reloads,
		reloads_refused;
};

struct broker {
	struct loop loop;
	const char *config_path;
	struct config *config;
	int catalog_fd;
	struct keeper keeper;
	struct handshaker *handshakers;
	size_t n_handshakers;
	struct listener *listeners;
	size_t n_listeners;
	bool accepting;
	bool draining;      /* the administrator has closed the listeners */
	uint64_t resume_ms; /* accepting pauses until then: no descriptors, no memory */
	unsigned int in_progress;
	struct pool *pools;
	size_t n_pools;
	struct sessions sessions;
	struct admin admin;
	struct watch diag_watch;
	struct diag *diag;
	struct watch signals;
	struct stats stats;
	uint64_t started_ms;
	uint8_t *buf; /* WIRE_MAX bytes; secret memory */
	bool stopping;
	uint64_t stop_ms;
	uint64_t last_worker;
};

/* broker_reload() reads the configuration again: all of it is taken, or nothing. */
int broker_reload(struct broker *broker, struct config_error *ret_err);
void broker_stop(struct broker *broker);

/* log_line() writes one line of level @level and below. */
void log_line(const struct broker *broker, enum config_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
