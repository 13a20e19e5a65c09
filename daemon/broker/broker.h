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
#include <sys/socket.h>
#include <sys/types.h>

#include "broker/end.h"
#include "broker/metrics.h"
#include "common/loop.h"
#include "common/text.h"
#include "config/config.h"
#include "diag/diag.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/wire.h"
#include "record/traffic.h"

struct broker;
struct session;
struct worker;

/* --- the keeper (keeper.c) --------------------------------------------------------------------- */

struct keeper {
	struct watch watch;
	pid_t pid;
	bool ready;          /* it has the keys of the catalogue */
	uint64_t restart_ms; /* not running: when it is started again; 0: running */
	uint64_t started_ms;
	unsigned int crashes;
};

/* keeper_start() starts the keeper, which has no keys then. Returns 0 or -errno. */
int keeper_start(struct broker *broker);

/* keeper_tell() sends it a message about a session, or 0, with or without a descriptor. */
void keeper_tell(struct broker *broker, enum message_type type, uint64_t session, const int *fd);

/* keeper_died() is for its SIGCHLD. keeper_tick() starts it again. */
void keeper_died(struct broker *broker, int status);
void keeper_tick(struct broker *broker);
void keeper_stop(struct broker *broker);

/* --- children (children.c) -------------------------------------------------------------------- */

struct handshaker {
	struct watch watch;
	struct broker *broker;
	pid_t pid;
	bool ready;
	unsigned int in_progress;
	uint64_t restart_ms; /* not running: when it is started again; 0: running */
	uint64_t started_ms;
	unsigned int crashes;
	LIST_HEAD(, session) sessions; /* being negotiated by it */
};

/* children_configure() gives every handshaker the catalogue, and starts those that are missing. */
int children_configure(struct broker *broker, int catalog_fd);

/* children_ready() tells whether handshakes can be made: there is a keeper and a handshaker. */
bool children_ready(const struct broker *broker);
void children_tick(struct broker *broker);
void children_stop(struct broker *broker);

/* children_reap() is for SIGCHLD. */
void children_reap(struct broker *broker);

/* children_handshake() gives a socket to the handshaker with the least to do. Returns 0 or -errno. */
int children_handshake(struct broker *broker, struct session *session, int fd);

/* children_pair() makes a channel in which thousands of messages may wait. Returns 0 or -errno. */
int children_pair(int ret_fds[2]);

/* children_backoff() tells how many milliseconds a child waits for its restart. */
uint64_t children_backoff(unsigned int crashes);

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
};

int listeners_open(struct broker *broker, struct config_error *ret_err);
void listeners_tick(struct broker *broker);
void listeners_close(struct broker *broker);

/* listeners_listen() listens at a numeric address; NULL: all. Returns the descriptor or -errno. */
int listeners_listen(const char *host, uint16_t port, unsigned int backlog);

/* listeners_room() is called when a handshake ends: accepting may go on. */
void listeners_room(struct broker *broker);

/* --- sources (sources.c) ---------------------------------------------------------------------- */

#define SOURCE_BUCKETS 4096

struct sources {
	LIST_HEAD(, source) buckets[SOURCE_BUCKETS];
	size_t n, swept;
	uint64_t seed;
};

/* source_enter() counts a handshake of an address. Returns ENDS, or why it may not begin. */
enum end source_enter(struct broker *broker, const struct sockaddr_in6 *addr);
void source_leave(struct broker *broker, const struct sockaddr_in6 *addr);

/* source_penalise() keeps an address out for limits.penalty. */
void source_penalise(struct broker *broker, const struct sockaddr_in6 *addr);
void sources_tick(struct broker *broker);
void sources_free(struct broker *broker);

/* --- sessions (sessions.c) -------------------------------------------------------------------- */

enum session_state {
	SESSION_HANDSHAKE,
	SESSION_QUEUED,  /* established; no worker has room */
	SESSION_OFFERED, /* on its way to a worker, not acknowledged */
	SESSION_LIVE,
};

/* struct session_times - where the time went: microseconds, more than an hour told as one. */
struct session_times {
	uint32_t queue;    /* from accept to a handshaker's start */
	uint32_t network;  /* of the handshake: waiting for the peer */
	uint32_t sign;     /* ... for the keeper; 0: nothing was signed */
	uint32_t verify;   /* judging the peer's chain; 0: there was none */
	uint32_t total;    /* from accept to its being established */
	uint32_t handover; /* from there to the worker's acknowledgement */
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
	uint64_t accepted_ms, queued_ms;
	uint64_t accepted_us, established_us; /* 0: before this broker, not yet */
	uint16_t version, suite, group;
	uint8_t rx_path, tx_path, rx_reason, tx_reason;
	bool resumed, peer_verified, can_rekey;
	bool ended;        /* before its MSG_ACK, which comes another way */
	bool counted;      /* in metrics.live */
	unsigned int seen; /* in which poll of the kernel's list */
	uint32_t handshake_us;
	struct session_times times;
	uint32_t rx_epoch, tx_epoch; /* as often keys changed, as far as is known */
	char *sni, *alpn;
	uint8_t peer_sha256[32];
	bool has_peer;
	uint32_t slot;           /* in the memory that outlives the broker, +1; 0: none */
	bool restored;           /* its last keys may be one step ahead of ours */
	struct traffic *rx, *tx; /* the next keys come from these, until memory_keep() has them */
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

/* session_restored() makes one that a worker has since before this broker was started. */
struct session *session_restored(struct broker *broker, uint64_t id, uint64_t cookie);

/* session_established() reads what the handshaker tells. Returns false for what is no such message. */
bool session_established(struct session *session, struct wire_reader reader);

/* session_take_sni() keeps the name that the peer asked for; false: no memory. */
bool session_take_sni(struct session *session, const struct attr *attr);

/* session_take_time() reads where the time went. Returns false for what is another attribute. */
bool session_take_time(struct session *session, const struct attr *attr);

/* session_settled() frees what only an unacknowledged session needs, its descriptor included. */
void session_settled(struct broker *broker, struct session *session);

/*
 * session_end() logs the end, counts it and frees all. session_end_of() is for END_ERROR and END_TOLD:
 * @code is that of the library's error, @text what is known besides.
 */
void session_end(struct broker *broker, struct session *session, enum end end);
void session_end_of(struct broker *broker, struct session *session, enum end end, int code,
		    const char *text);

/* session_log_end() writes the line of a session that ends (session-log.c). */
void session_log_end(const struct broker *broker, const struct session *session, enum end end,
		     int code, const char *text);

/* session_since() tells what has passed since a time of sys->now_us(), at most an hour. */
uint32_t session_since(uint64_t then_us);

/* --- workers (workers.c) ---------------------------------------------------------------------- */

struct pool {
	struct watch watch; /* where workers attach */
	struct broker *broker;
	const struct config_pool *config;
	size_t index;
	LIST_HEAD(, worker) workers;
	TAILQ_HEAD(, session) queue;
	size_t n_queued;
	bool pausing; /* nobody can attach: no descriptors */
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
	bool knocked, attached, draining; /* knocked: it asked to attach */
	bool full; /* its socket: nothing is offered until it says something, or a tick later */
	uint64_t since_ms;
	LIST_HEAD(, session) sessions;
	size_t n_sessions;
	uint64_t rekeys;
};

int pools_open(struct broker *broker, struct config_error *ret_err);
void pools_tick(struct broker *broker);
void pools_close(struct broker *broker);

/* pools_offer() gives an established session to a worker of its pool, or queues it. */
void pools_offer(struct broker *broker, struct session *session);

/* --- what outlives the broker (memory.c) ------------------------------------------------------ */

struct memory;

/* memory_open() takes over what an earlier broker left, or begins anew. */
void memory_open(struct broker *broker);
void memory_close(struct broker *broker);

/* memory_keep() is for a session that a worker has taken: it takes its keys. memory_forget() is for its end. */
void memory_keep(struct broker *broker, struct session *session);

/*
 * memory_take_keys() returns the keys of a direction for the caller to advance, or NULL where there are
 * none; memory_put_keys() takes them back, advanced or not.
 */
struct traffic *memory_take_keys(struct broker *broker, struct session *session, bool receiving);
void memory_put_keys(struct broker *broker, struct session *session, bool receiving,
		     struct traffic *traffic);
void memory_forget(struct broker *broker, struct session *session);

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

/* --- counts for others (scrape.c) -------------------------------------------------------------- */

struct scrape {
	struct watch watch;
	pid_t pid; /* of sluice-metrics; 0: it does not run */
	int unix_fd, tcp_fd;
	char *path;
	bool asked;
	uint64_t restart_ms; /* 0: it runs, or is not wanted */
	uint64_t started_ms;
	unsigned int n_crashes;
};

/* scrape_open() listens where the configuration says so, and starts sluice-metrics. */
int scrape_open(struct broker *broker, struct config_error *ret_err);
void scrape_tick(struct broker *broker);
void scrape_close(struct broker *broker);

/* scrape_died() is for its SIGCHLD. */
void scrape_died(struct broker *broker, int status);

/* --- the service manager (service.c) ---------------------------------------------------------- */

void service_ready(struct broker *broker);
void service_stopping(void);
void service_tick(struct broker *broker);

/* service_socket() returns an inherited socket that listens at this address, or -1. */
int service_socket(const struct sockaddr *addr, socklen_t len);

/* service_store() gives the service manager a descriptor to keep; service_stored() returns it, or -1. */
void service_store(const char *name, int fd);
int service_stored(const char *name);

/* --- all of it (broker.c) --------------------------------------------------------------------- */

struct stats {
	uint64_t accepted, established, failed, ended, refused;
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
	uint64_t handshake_ms; /* the longest that any may take */
	uint64_t watched_ms;   /* when hanging ones were looked for */
	struct listener *listeners;
	size_t n_listeners;
	bool accepting;
	bool draining;      /* the administrator has closed the listeners */
	uint64_t resume_ms; /* accepting pauses until then: no descriptors, no memory */
	unsigned int in_progress;
	struct pool *pools;
	size_t n_pools;
	struct sources sources;
	struct sessions sessions;
	struct memory *memory;
	bool handing_on; /* the end of this process is not that of its workers' sessions */
	struct admin admin;
	struct scrape scrape;
	struct metrics metrics;
	struct watch diag_watch;
	struct diag *diag;
	uint64_t poll_ms; /* when the kernel's list is read next; 0: it tells by itself */
	unsigned int polls;
	struct watch signals;
	struct stats stats;
	uint64_t started_ms, started_unix; /* the latter in seconds */
	uint64_t watchdog_ms, watchdog_due_ms;
	uint8_t *buf, *out; /* wire_buffer_new(): what came, what is being written */
	bool stopping;
	uint64_t stop_ms;
	uint64_t last_worker;
	unsigned int n_held; /* sessions that have a descriptor here: not acknowledged yet */
	unsigned int n_workers;
	uint64_t max_files; /* RLIMIT_NOFILE, as it was a tick ago */
};

/* broker_reload() reads the configuration again: all of it is taken, or nothing. */
int broker_reload(struct broker *broker, struct config_error *ret_err);
void broker_stop(struct broker *broker);

/* --- the log (log.c) -------------------------------------------------------------------------- */

/* log_line() writes one line of level @level and below. It does not wait: see log_dropped(). */
void log_line(const struct broker *broker, enum config_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* log_fields() writes one with fields, whose values may be a peer's. */
void log_fields(const struct broker *broker, enum config_log_level level,
		const struct text_field *fields, size_t n_fields, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* log_tick() tells how many lines were dropped, once a second and when there is room for it. */
void log_tick(const struct broker *broker);

enum log_loss {
	LOG_LOSS_RATE,    /* more than log.rate */
	LOG_LOSS_BLOCKED, /* nobody took them */
	LOG_LOSSES
};

/* log_dropped() tells how many lines there were not since the start. */
uint64_t log_dropped(enum log_loss loss);

#endif
