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

#include <sluice/error.h>

#include "common/loop.h"
#include "common/permit.h"
#include "config/config.h"
#include "diag/diag.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/wire.h"
#include "record/traffic.h"

struct admin_client;
struct ask;
struct broker;
struct answer;
struct session;
struct upgrade;
struct worker;

/* --- the keeper (keeper.c) --------------------------------------------------------------------- */

struct keeper {
	struct watch watch; /* permits, and whether it is alive */
	struct watch loads; /* keys come and go */
	pid_t pid;
	uint64_t number;     /* of all that there were: keys belong to one of them */
	uint64_t asked_ms;   /* when it was asked whether it is alive; 0: it has answered */
	uint64_t asking_ms;  /* when it is asked next */
	uint64_t keys;       /* that it had then */
	bool ready;          /* it has the keys of the catalogue */
	uint64_t restart_ms; /* not running: when it is started again; 0: running */
	uint64_t started_ms;
	unsigned int crashes;
};

/* keeper_start() starts the keeper, which has no keys then. Returns 0 or -errno. */
int keeper_start(struct broker *broker);

/* keeper_give_channel() gives it its end of a handshaker's channel; the descriptor stays the caller's. */
void keeper_give_channel(struct broker *broker, int fd);

/* keeper_receive() takes what it says of keys. Returns false when it is gone. */
bool keeper_receive(struct broker *broker);

/* keeper_has_keys() is for a new one that has loaded all keys; keeper_has_no_keys() for one that cannot. */
void keeper_has_keys(struct broker *broker);
void keeper_has_no_keys(struct broker *broker, const char *reason);

/* keeper_died() is for its SIGCHLD. keeper_tick() starts it again, and ends one that hangs. */
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
	uint64_t started_ms, heard_ms;
	bool lies; /* nothing that it says counts any more */
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

/* children_cancel() ends a handshake for which nobody waits any more. */
void children_cancel(struct broker *broker, const struct session *session);

/* children_handshake() gives a socket to the handshaker with the least to do. Returns 0 or -errno. */
int children_handshake(struct broker *broker, struct session *session, int fd);

/* children_pair() makes a channel in which thousands of messages may wait. Returns 0 or -errno. */
int children_pair(int ret_fds[2]);

/* children_backoff() tells how many milliseconds a child waits for its restart. */
uint64_t children_backoff(unsigned int crashes);

/* --- beginnings (greeting.c) -------------------------------------------------------------------- */

/*
 * greeting_proxied() takes what a handshaker read of a PROXY header, and answers: the handshake may go on, or
 * it may not and the session is ended. Returns NULL, or why the handshaker is not to be believed.
 */
const char *greeting_proxied(struct broker *broker, struct session *session,
			     struct wire_reader reader, uint32_t id);

/*
 * greeting_connection() writes what a worker gets of a session: what the handshaker said, less what stays
 * here, and our own. Returns the length, or 0: it had no room. Wipe @buf, of WIRE_MAX bytes, afterwards.
 */
size_t greeting_connection(const struct broker *broker, const struct session *session,
			   struct wire_reader reader, uint8_t *buf);

/* --- certificates (certs.c; certs.h has the inside) ------------------------------------------- */

struct certs;

/* certs_open() prepares; certs_close() frees everything. Returns 0 or -errno. */
int certs_open(struct broker *broker);
void certs_close(struct broker *broker);

/*
 * certs_start() has all certificates of the configuration loaded, and waits for it. Returns the
 * descriptor of the catalogue, or -1 with the reason in *@ret_err.
 */
int certs_start(struct broker *broker, struct config_error *ret_err);

/*
 * certs_reload() does so for a new configuration, which it owns, without waiting; reload_take() and
 * reload_ended() follow. certs_restart() does so for a new keeper; keeper_has_keys() follows.
 * certs_busy() tells whether neither can begin now.
 */
void certs_reload(struct broker *broker, struct config *config);
void certs_restart(struct broker *broker);
bool certs_busy(const struct broker *broker);

/* certs_loaded() is for an answer of the keeper. Returns false for what is none. */
bool certs_loaded(struct broker *broker, uint32_t id, struct wire_reader reader);
void certs_keeper_died(struct broker *broker);
void certs_tick(struct broker *broker);

/* --- a new configuration (reload.c) ----------------------------------------------------------- */

enum reload_state {
	RELOAD_IDLE,
	RELOAD_WAITS, /* for another job, or the keeper */
	RELOAD_UNDER_WAY,
};

struct reload {
	enum reload_state state;
	bool again;  /* it was asked for while one was under way */
	uint64_t n;  /* that ended, well or not */
	bool failed; /* the last one; why */
	char text[512];
};

/* broker_reload() has the configuration read again: all of it is taken, or nothing. */
void broker_reload(struct broker *broker);
void reload_tick(struct broker *broker);
void reload_take(struct broker *broker, struct config *config);
void reload_ended(struct broker *broker, const char *error);

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

/* listeners_have_files() tells whether there are descriptors for one more handshake. */
bool listeners_have_files(const struct broker *broker);

/* session_describe() keeps the addresses and the cookie of a session's socket. */
void session_describe(struct broker *broker, struct session *session, int fd,
		      const struct sockaddr_storage *peer);

/* listeners_room() is called when a handshake ends: accepting may go on. */
void listeners_room(struct broker *broker);

/* --- sources (sources.c) ---------------------------------------------------------------------- */

#define SOURCE_BUCKETS 4096
#define SOURCE_IDLE_MAX 65536 /* 6 MiB of those that have nothing under way */
#define SOURCE_SWEPT 4096     /* in one tick: more than can have come since the last one */

/* Why a connection is not served; sources.c has the words. */
enum refusal {
	REFUSED_NOT,
	REFUSED_NOMEM,
	REFUSED_PENALTY, /* its source has crashed a handshaker */
	REFUSED_SHARE,   /* limits.per_source */
	REFUSED_RATE,    /* limits.per_source_rate */
	REFUSED_PROXY,   /* the listener is for others, its proxies */
	REFUSALS,
};

/* struct source_row - sources, those that came longest ago first. */
struct source_row {
	TAILQ_HEAD(, source) sources;
	size_t n;
};

struct sources {
	LIST_HEAD(, source) buckets[SOURCE_BUCKETS];
	struct source_row idle, penalised;
	size_t n;
	uint64_t seed;
};

void sources_init(struct sources *sources, uint64_t seed);

/*
 * source_enter() counts a handshake of an address that may have @share of them under way and @rate new ones
 * in a second (0: any number), or tells why it may not begin. source_of_user() stands for a user of this
 * machine.
 */
struct sockaddr_in6 source_of_user(uid_t uid);
enum refusal source_enter(struct broker *broker, const struct sockaddr_in6 *addr,
			  unsigned int share, unsigned int rate);
void source_leave(struct broker *broker, const struct sockaddr_in6 *addr);

/* refusal_text() is for logs; refusal_name() for counts. */
const char *refusal_text(enum refusal refusal);
const char *refusal_name(enum refusal refusal);

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

/* struct proxied - what a PROXY header says of a connection; IPv4: mapped. */
struct proxied {
	struct sockaddr_in6 source, destination;
};

struct session {
	LIST_ENTRY(session) by_id, by_cookie;
	LIST_ENTRY(session) of_owner; /* of its handshaker or worker */
	TAILQ_ENTRY(session) in_pool; /* QUEUED */
	uint64_t id, cookie;
	enum session_state state;
	uint8_t role;                    /* enum sluice_role: ours */
	struct sockaddr_in6 local, peer; /* of the socket; IPv4: mapped */
	struct proxied *proxied;         /* NULL: the socket's addresses are those of the ends */
	uint16_t listener, pool;
	uint16_t plain_pool; /* EXPECTS_PLAIN */
	uint8_t expects;     /* enum expects: what may come still */
	bool counted;        /* among the handshakes of its source */
	struct handshaker *handshaker;
	struct worker *worker;
	struct upgrade *upgrade; /* brought by a program that waits for the answer; else NULL */
	uint64_t accepted_ms, established_ms, queued_ms;
	uint16_t version, suite, group;
	uint8_t rx_path, tx_path, rx_reason, tx_reason;
	bool resumed, peer_verified, can_rekey;
	bool plain;        /* no TLS */
	bool ended;        /* before its MSG_ACK, which comes another way */
	unsigned int seen; /* in which poll of the kernel's list */
	uint32_t handshake_us;
	char *sni, *alpn, *identity; /* of a client @sni is whom it meant */
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
	struct ask *ask;     /* what its worker is asked; NULL: nothing */
	struct trace *trace; /* NULL: nobody follows it */
};

#define SESSION_BUCKETS 16384

struct sessions {
	LIST_HEAD(, session) by_id[SESSION_BUCKETS];
	LIST_HEAD(, session) by_cookie[SESSION_BUCKETS];
	uint64_t last_id;
	size_t n;
};

/* session_source() is the peer, and session_destination() whom it connected to, as far as we are told. */
static inline const struct sockaddr_in6 *session_source(const struct session *session)
{
	return session->proxied ? &session->proxied->source : &session->peer;
}

static inline const struct sockaddr_in6 *session_destination(const struct session *session)
{
	return session->proxied ? &session->proxied->destination : &session->local;
}

/* session_enter() counts it among the handshakes of its source; session_leave() ends that. */
enum refusal session_enter(struct broker *broker, struct session *session);
void session_leave(struct broker *broker, struct session *session);

struct session *session_new(struct broker *broker);
struct session *session_find(struct broker *broker, uint64_t id);
struct session *session_find_cookie(struct broker *broker, uint64_t cookie);
void session_set_cookie(struct broker *broker, struct session *session, uint64_t cookie);

/* session_restored() makes one that a worker has since before this broker was started. */
struct session *session_restored(struct broker *broker, uint64_t id, uint64_t cookie);

/* session_established() reads what the handshaker tells. Returns false for what is no such message. */
bool session_established(struct session *session, struct wire_reader reader);

/* session_settled() frees what only an unacknowledged session needs, its descriptor included. */
void session_settled(struct broker *broker, struct session *session);

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
	bool pausing; /* nobody can attach: no descriptors */
	uint64_t handed_over, timed_out, requeued;
};

/* struct worker - who is attached; of a service a program that brings connections. */
struct worker {
	struct watch watch, rekey;
	LIST_ENTRY(worker) in_pool;
	struct pool *pool;
	pid_t pid;
	uid_t uid;
	uint64_t number;
	unsigned int credits;
	unsigned int knows;               /* enum worker_knows */
	bool knocked, attached, draining; /* knocked: it asked to attach */
	bool full; /* its socket: nothing is offered until it says something, or a tick later */
	uint64_t since_ms;
	LIST_HEAD(, session) sessions;
	size_t n_sessions;
	uint64_t rekeys;
	LIST_HEAD(, upgrade) upgrades; /* under way */
	STAILQ_HEAD(, answer)
	answers;                   /* that its socket has no room for; nothing is read meanwhile */
	unsigned int rekey_tokens; /* one for each MSG_REKEY; with none left its next ones wait */
	uint64_t refilled_ms;
	bool slowed; /* it has been without one since it last had all */
};

int pools_open(struct broker *broker, struct config_error *ret_err);
void pools_tick(struct broker *broker);
void pools_close(struct broker *broker);

/* pools_offer() gives an established session to a worker of its pool, or queues it. */
void pools_offer(struct broker *broker, struct session *session);

/* --- upgrades (upgrades.c, upgrade-request.c) ------------------------------------------------- */

#define UPGRADE_NAME 65 /* bytes of texts in a request, with their NUL */
#define UPGRADE_HOST 254
#define UPGRADE_ALPN 256

/* struct upgrade_request - a MSG_UPGRADE as it came. Texts: "": not given. */
struct upgrade_request {
	enum sluice_role role;
	char profile[UPGRADE_NAME], host[UPGRADE_HOST], alpn[UPGRADE_ALPN];
	bool plain;
};

/* upgrade_request_read() reads one. Returns NULL, or what is wrong with it for the program. */
const char *upgrade_request_read(struct upgrade_request *ret_request, struct wire_reader reader);

/* struct upgrade - what is known of a session until its program has the answer. */
struct upgrade {
	LIST_ENTRY(upgrade) of_worker;
	struct session *session;
	struct worker *worker;
	struct upgrade_request request;
	uint32_t id;    /* the program's */
	size_t profile; /* index */
	struct sluice_error err;
};

/* upgrade_begin() takes a MSG_UPGRADE; what cannot be begun is answered at once. */
void upgrade_begin(struct worker *worker, uint32_t id, struct wire_reader reader,
		   const struct channel_fds *fds);

/* upgrade_established() answers with the session's message and socket. */
void upgrade_established(struct broker *broker, struct session *session);

/* upgrade_end() answers that it failed, and why; for session_end(). */
void upgrade_end(struct session *session, const char *reason);

/* upgrades_cancel() ends what a program that goes away has under way, and frees its answers. */
void upgrades_cancel(struct worker *worker);

/* upgrades_flush() sends answers that wait. Returns false when nobody can get them. */
bool upgrades_flush(struct worker *worker);

/* session_payer() returns whose share a session's handshake is of: its source's, or a user's. */
struct sockaddr_in6 session_payer(const struct session *session);

/* --- what workers are asked (ask.c) ----------------------------------------------------------- */

enum ask_kind {
	ASK_REKEY, /* new keys when sending, and of the peer's with @both: MSG_UPDATE_KEYS */
	ASK_CLOSE, /* close_notify and the end: MSG_CLOSE; without it, the kernel ends the socket */
};

/* struct asked - what came of it. */
struct asked {
	enum ask_kind kind;
	uint64_t session;
	int code; /* enum sluice_errno; SLUICE_E_TIMEOUT: no answer */
	int err;  /* ASK_CLOSE, of the kernel: errno */
	uint64_t rx_epoch, tx_epoch;
};

/*
 * ask_worker() asks the worker of a live session, and does not wait. @client (NULL: nobody) is told by
 * admin_asked() in bounded time. Returns 0, -EOPNOTSUPP: there is no worker that knows this,
 * -EBUSY: it is being asked, -EAGAIN: the worker does not read, or -ENOMEM.
 */
int ask_worker(struct broker *broker, struct session *session, enum ask_kind kind, bool both,
	       struct admin_client *client);

/* ask_answered() reads MSG_UPDATED. What is not expected (any more) is passed over. */
void ask_answered(struct worker *worker, uint32_t id, struct wire_reader *reader);

/* ask_ended() is for the end of a session that is being asked. Returns whether that was asked for. */
bool ask_ended(struct broker *broker, struct session *session);

/* asks_forget() is for the end of a client: what was asked goes on. */
void asks_forget(struct broker *broker, const struct admin_client *client);
void asks_tick(struct broker *broker);

/* --- following sessions (trace.c) ------------------------------------------------------------- */

/*
 * trace_begin() is for a new session: whether anybody follows it is decided here, and costs nothing
 * afterwards. trace_add() is for one that is there already. Without memory it is not followed.
 */
void trace_begin(struct broker *broker, struct session *session);
void trace_add(struct broker *broker, struct session *session);

/* What happens to a session; all return at once where session->trace is NULL. */
void trace_given(struct broker *broker, struct session *session);
void trace_told(struct broker *broker, struct session *session, struct wire_reader reader);
void trace_failed(struct broker *broker, struct session *session, int alert, bool sent);
void trace_established(struct broker *broker, struct session *session);
void trace_state(struct broker *broker, struct session *session, const char *event);
void trace_rekey(struct broker *broker, struct session *session, bool receiving, uint64_t epoch);
void trace_ended(struct broker *broker, struct session *session, const char *reason);

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

/*
 * rekey_limit() is for after an answer: a worker that has used up what it may ask for is not listened to,
 * until rekey_refill(), for every tick, gives it more. It gets all its answers, later.
 */
void rekey_limit(struct broker *broker, struct worker *worker);
void rekey_refill(struct broker *broker, struct worker *worker);

/* --- administration (admin.c) ----------------------------------------------------------------- */

struct admin {
	struct watch watch;
	char *path;
	LIST_HEAD(, admin_client) clients;
	LIST_HEAD(, admin_client) tracers;
	size_t n_clients;
	size_t n_tracers;
	uint64_t counted_ms; /* when the kernel was last asked for the counts of all sockets */
};

/* admin_asked() tells a client what came of what it had a worker asked. */
void admin_asked(struct admin_client *client, const struct asked *asked);

/* admin_destroy() has the kernel end a session's socket. Returns 0: a live @session is gone, or -errno. */
int admin_destroy(struct broker *broker, struct session *session);

int admin_open(struct broker *broker, struct config_error *ret_err);
void admin_tick(struct broker *broker);
void admin_close(struct broker *broker);

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
	uint64_t accepted, established, plain, failed, ended;
	uint64_t refused[REFUSALS];
	uint64_t handshaker_crashes, keeper_crashes, rekeys, rekeys_slowed, accept_paused, reloads,
		reloads_refused;
};

struct broker {
	struct loop loop;
	const char *config_path;
	struct config *config;
	int catalog_fd;
	struct certs *certs;
	struct reload reload;
	struct keeper keeper;
	uint8_t *permit_key; /* PERMIT_KEY_LEN bytes; secret memory */
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
	TAILQ_HEAD(, ask) asks;
	size_t n_asks;
	uint32_t last_ask;
	struct memory *memory;
	bool handing_on; /* the end of this process is not that of its workers' sessions */
	struct admin admin;
	struct diag *diag;
	uint64_t poll_ms; /* when the kernel's list is read next; 0: it tells by itself */
	unsigned int polls;
	struct watch signals;
	struct stats stats;
	uint64_t started_ms;
	uint64_t watchdog_ms, watchdog_due_ms;
	uint8_t *buf, *out; /* wire_buffer_new(): what came, what is being written */
	bool stopping;
	uint64_t stop_ms;
	uint64_t last_worker;
	unsigned int n_held; /* sessions that have a descriptor here: not acknowledged yet */
	unsigned int n_workers;
	uint64_t max_files; /* RLIMIT_NOFILE, as it was a tick ago */
};

void broker_stop(struct broker *broker);

/* broker_read_ends() takes those sessions out of the table whose sockets have ended by now. */
void broker_read_ends(struct broker *broker);

/* log_line() writes one line of level @level and below. */
void log_line(const struct broker *broker, enum config_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
