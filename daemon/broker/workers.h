/* SPDX-License-Identifier: Apache-2.0 */
/* Workers of pools, and programs of services: what they get, bring, ask for, and are asked. */
#ifndef SLUICED_BROKER_WORKERS_H
#define SLUICED_BROKER_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <sluice/sluice.h>

#include "common/loop.h"
#include "config/config.h"
#include "handover/channel.h"
#include "handover/wire.h"

struct admin_client;
struct answer;
struct ask;
struct broker;
struct session;

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

/* pool_workers() counts who is attached to it. */
size_t pool_workers(const struct pool *pool);

int pools_open(struct broker *broker, struct config_error *ret_err);
void pools_tick(struct broker *broker);
void pools_close(struct broker *broker);

/* pools_offer() gives an established session to a worker of its pool, or queues it. */
void pools_offer(struct broker *broker, struct session *session);

/* worker_ended() takes a MSG_ENDED (worker-ended.c). Returns false when the worker is to be dropped. */
bool worker_ended(struct worker *worker, struct wire_reader *reader);

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
		   struct channel_fds *fds);

/* upgrade_established() answers with the session's message and socket. */
void upgrade_established(struct broker *broker, struct session *session);

/* upgrade_end() answers that it failed, and why; for session_end(). */
void upgrade_end(struct session *session, const char *reason);

/* upgrades_cancel() ends what a program that goes away has under way, and frees its answers. */
void upgrades_cancel(struct worker *worker);

/* upgrades_flush() sends answers that wait. Returns false when nobody can get them. */
bool upgrades_flush(struct worker *worker);

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

/* --- new keys (rekey.c) ----------------------------------------------------------------------- */

/*
 * rekey_answer() serves one MSG_REKEY of a worker: the socket must be the session's by its cookie.
 * Returns false when the worker is to be dropped.
 */
bool rekey_answer(struct broker *broker, struct worker *worker, uint32_t request,
		  struct wire_reader reader, const struct channel_fds *fds);

/*
 * rekey_limit() is for after an answer: a worker that has used up what it may ask for is not listened to,
 * until rekey_refill(), for every tick, gives it more. It gets all its answers, later.
 */
void rekey_limit(struct broker *broker, struct worker *worker);
void rekey_refill(struct broker *broker, struct worker *worker);

#endif
