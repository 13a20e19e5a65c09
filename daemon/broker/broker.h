/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker, sluiced itself: it accepts, has handshakes made, keeps the table of sessions with the
 * secrets of their next keys, and hands sockets to workers. It parses no byte of TLS and has no private
 * key. One thread, one loop; every file here is one of its concerns, and broker.c puts them together.
 */
#ifndef SLUICED_BROKER_BROKER_H
#define SLUICED_BROKER_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "broker/children.h"
#include "broker/end.h"
#include "broker/fetch.h"
#include "broker/log.h"
#include "broker/metrics.h"
#include "broker/sessions.h"
#include "broker/sources.h"
#include "broker/staple-fetch.h"
#include "broker/workers.h"
#include "common/loop.h"
#include "common/permit.h"
#include "config/config.h"
#include "diag/diag.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/wire.h"
#include "record/traffic.h"

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

/* certs_restaple() has the catalogue written again soon: there are other OCSP responses. */
void certs_restaple(struct broker *broker);

/* --- revocation lists (crls.c; crls.h has the inside) ----------------------------------------- */

struct crls;

/* crls_open() prepares; crls_close() frees everything. Returns 0 or -errno. */
int crls_open(struct broker *broker);
void crls_close(struct broker *broker);

/*
 * crls_start() has all revocation lists loaded, and waits for it; a file that the configuration names
 * and that is wrong is an error. crls_reload() has them looked at again, without waiting; crls_busy() tells
 * whether that is under way.
 */
int crls_start(struct broker *broker, struct config_error *ret_err);
void crls_reload(struct broker *broker);
bool crls_busy(const struct broker *broker);
void crls_tick(struct broker *broker);

/* crls_give() gives a handshaker the set in force. crls_changed() is called when it is another one. */
void crls_give(struct broker *broker, const struct handshaker *handshaker);
void crls_changed(struct broker *broker);

/* crls_generation() tells of the set in force how many there were before it. */
uint32_t crls_generation(const struct broker *broker);

/* --- sessions verified again (recheck.c, chains.c; recheck.h has the inside) -------------------- */

struct chains;
struct recheck;

int recheck_open(struct broker *broker);
void recheck_close(struct broker *broker);
void recheck_tick(struct broker *broker);

/*
 * recheck_late() is for a session whose handshake is over, and may have been verified by an earlier set of CRLs:
 * a scan may be past it. With recheck: on_change it is judged; so it is by a recheck that is under way.
 */
void recheck_late(struct broker *broker, const struct session *session);

/* recheck_go_on() does what can be done now. */
void recheck_go_on(struct broker *broker);

/*
 * recheck_judged() takes a verdict: NULL, or why its handshaker is not to be believed. recheck_lost() is for
 * a handshaker that has died. recheck_waits() tells for how many milliseconds one owes its oldest verdict.
 */
const char *recheck_judged(struct handshaker *handshaker, uint32_t id, struct wire_reader reader);
void recheck_lost(struct handshaker *handshaker);
uint64_t recheck_waits(const struct handshaker *handshaker);

/* chain_keep() keeps the chain of a new session, as far as there is room; chain_drop() is for its end. */
void chain_keep(struct broker *broker, struct session *session, struct wire_reader reader);
void chain_drop(struct broker *broker, struct session *session);

/* --- a new configuration (reload.c) ----------------------------------------------------------- */

enum reload_state {
	RELOAD_IDLE,
	RELOAD_WAITS, /* for another job, or the keeper */
	RELOAD_UNDER_WAY,
};

struct reload {
	enum reload_state state;
	bool again; /* it was asked for while one was under way */
	bool all;   /* the next one loads every certificate, whatever the stamps of its files say */
	bool all_now; /* the one under way does */
	uint64_t n;   /* that ended, well or not */
	bool failed;  /* the last one; why */
	char text[512];
};

/*
 * broker_reload() has the configuration read again: all of it is taken, or nothing. With @all every
 * certificate is loaded again, and not only those whose files have changed.
 */
void broker_reload(struct broker *broker, bool all);
void reload_tick(struct broker *broker);
void reload_take(struct broker *broker, struct config *config);
void reload_ended(struct broker *broker, const char *error);

/* --- listeners (listeners.c) ------------------------------------------------------------------ */

struct listener {
	struct watch watch;
	struct broker *broker;
	size_t index;         /* in the configuration */
	unsigned int at_once; /* how many are accepted before anything else is looked at */
};

int listeners_open(struct broker *broker, struct config_error *ret_err);
void listeners_tick(struct broker *broker);
void listeners_close(struct broker *broker);

/* listeners_have_files() tells whether there are descriptors for one more handshake. */
bool listeners_have_files(const struct broker *broker);

/* session_describe() keeps the addresses and the cookie of a session's socket. */
void session_describe(struct broker *broker, struct session *session, int fd,
		      const struct sockaddr_storage *peer);

/* listeners_listen() listens at a numeric address; NULL: all. Returns the descriptor or -errno. */
int listeners_listen(const char *host, uint16_t port, unsigned int backlog, bool reuse_port);

/* listeners_room() is called when a handshake ends: accepting may go on. */
void listeners_room(struct broker *broker);

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

/*
 * service_store() gives the service manager a descriptor to keep; service_stored() returns it, or -1;
 * service_unstore() has it forgotten.
 */
void service_store(const char *name, int fd);
void service_unstore(const char *name);
int service_stored(const char *name);

/* --- all of it (broker.c) --------------------------------------------------------------------- */

struct stats {
	uint64_t accepted, established, plain, failed, ended;
	uint64_t handshaker_crashes, keeper_crashes, rekeys, rekeys_slowed, accept_paused, reloads,
		reloads_refused;
};

struct broker {
	struct loop loop;
	const char *config_path;
	struct config *config;
	int catalog_fd;
	struct certs *certs;
	struct crls *crls;
	struct chains *chains;
	struct recheck *recheck;
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
	struct deciders deciders;
	struct memory *memory;
	bool handing_on; /* the end of this process is not that of its workers' sessions */
	struct admin admin;
	struct scrape scrape;
	struct fetch fetch;
	struct staples staples;
	struct metrics metrics;
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
	unsigned int
		n_held; /* sessions behind their handshake and not yet acknowledged: each has a descriptor */
	unsigned int n_answers; /* of these, with a program whose socket has no room */
	unsigned int n_workers;
	uint64_t max_files; /* RLIMIT_NOFILE, as it was a tick ago */
};

void broker_stop(struct broker *broker);

/* broker_read_ends() takes those sessions out of the table whose sockets have ended by now. */
void broker_read_ends(struct broker *broker);

#endif
