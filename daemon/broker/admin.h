/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Administration from the inside. A request is one JSON object on a line: {"request": NAME, ...}. Its
 * answer is any number of lines {"row": {...}} and one last line, {"ok": true, ...} or
 * {"ok": false, "error": WORD, "text": WHAT TO DO}. One request is answered after the other.
 *
 * Nothing here waits: what a client does not read stays in its queue, which is bounded, and what
 * makes more rows than fit (a job) goes on when there is room again. No row has a secret.
 */
#ifndef SLUICED_BROKER_ADMIN_H
#define SLUICED_BROKER_ADMIN_H

#include <json-c/json.h>

#include "broker/broker.h"

#define ADMIN_MAX_LINE (64 << 10)  /* bytes of a request */
#define ADMIN_MAX_PATH 4000        /* bytes of a file's path or a URI */
#define ADMIN_MAX_QUEUE (4 << 20)  /* bytes that a client has not read */
#define ADMIN_LOW_QUEUE (64 << 10) /* a job goes on below this */

/* --- filters (admin-filter.c) ----------------------------------------------------------------- */

#define FILTER_TEXT 256
#define FILTER_ANY_STATE -1

/* struct filter - which sessions are meant; all that is set must fit. Names: "": any. */
struct filter {
	int state; /* enum session_state or FILTER_ANY_STATE */
	char listener[FILTER_TEXT], pool[FILTER_TEXT];
	char sni[FILTER_TEXT]; /* exact, or "*.example.org" for all below it; "-": none was sent */
	char identity[FILTER_TEXT]; /* of the peer, exact; "-": it has none */
	char digest[65];            /* SHA-256 of its certificate, 64 hex digits, lower case */
	uint64_t worker;            /* 0: any */
	struct in6_addr peer;       /* IPv4: mapped */
	unsigned int peer_bits;     /* of it that count; 0: any */
	uint16_t peer_port;         /* 0: any */
	bool any;                   /* nothing is set */
};

/* filter_parse() reads the "filter" of a request (NULL: any). Returns what is wrong, or NULL. */
const char *filter_parse(struct filter *ret_filter, struct json_object *object);

/* filter_is_early() tells whether it asks only for what is known when a connection is accepted. */
bool filter_is_early(const struct filter *filter);

/* filter_fits() holds a session against it, given the names of what it belongs to. */
bool filter_fits(const struct filter *filter, const struct session *session, const char *listener,
		 const char *pool, uint64_t worker);

/* --- requests (admin-request.c) --------------------------------------------------------------- */

enum admin_verb {
	ADMIN_STATUS,
	ADMIN_SESSIONS,
	ADMIN_SESSION,
	ADMIN_STATS,
	ADMIN_WORKERS,
	ADMIN_LISTENERS,
	ADMIN_CERTS,
	ADMIN_OPTIONS,
	ADMIN_TRACE,
	ADMIN_KILL,
	ADMIN_REKEY,
	ADMIN_RECHECK,
	ADMIN_CRL_LIST,
	ADMIN_CRL_ADD,
	ADMIN_CRL_DEL,
	ADMIN_DRAIN,
	ADMIN_RELOAD,
	ADMIN_PEM_CLEAR,
	ADMIN_LOG,
	ADMIN_STOP,
	ADMIN_VERBS
};

struct admin_request {
	enum admin_verb verb;
	uint64_t id; /* session, trace, kill, rekey; 0: none */
	struct filter filter;
	enum config_log_level level;
	uint64_t for_ms; /* trace; 0: without an end */
	bool off;        /* drain: accept again */
	bool both;       /* rekey: the peer is asked for its own too */
	bool dry_run;    /* recheck: nothing is closed */
	/* crl_add, crl_del: a path (crl_del: or a URI); "": none */
	char file[ADMIN_MAX_PATH], uri[ADMIN_MAX_PATH];
};

/* admin_request_parse() reads a line. Returns NULL, or what is wrong with it for the client. */
const char *admin_request_parse(struct admin_request *ret_request, const char *line, size_t len);

/* admin_verb_acts() tells whether a request changes anything: root's alone. */
bool admin_verb_acts(enum admin_verb verb);

const char *admin_state_name(enum session_state state);
const char *admin_level_name(enum config_log_level level);

/* --- clients (admin.c, admin-queue.c) ------------------------------------------------------------------------ */

enum admin_right {
	ADMIN_NOTHING,
	ADMIN_READ,
	ADMIN_ACT,
};

struct admin_client;

/*
 * admin_step - makes the next few rows of an answer that comes in pieces, with admin_row(). Returns true
 * when it was the last piece, after admin_done() or admin_refuse().
 */
typedef bool admin_step(struct admin_client *client);

/* struct admin_job - an answer that comes in pieces: where it is. */
struct admin_job {
	admin_step *step; /* NULL: nothing is under way */
	struct admin_request request;
	bool parked;        /* it waits for something else than room: the next tick asks again */
	size_t at;          /* whatever the step counts */
	bool waiting;       /* for admin_wake(): there is nothing to do until then */
	size_t pending;     /* what workers have been asked for it */
	uint64_t until_ms;  /* trace; 0: without an end */
	uint64_t rows;      /* told, or ended */
	uint64_t failed;    /* that could not be ended, or have no new keys */
	int err;            /* why: errno */
	uint64_t reloads;   /* when it began: another configuration ends it */
	const uint8_t *map; /* a mapping that ends with the job */
	size_t map_len;
	uint64_t generation; /* of certificates, when problems began to be told */
	size_t dir, file;    /* of the problem that is told next */
	char name[80];       /* of the profile that is being told */
};

struct admin_client {
	struct watch watch;
	LIST_ENTRY(admin_client) all;
	struct broker *broker;
	uint64_t active_ms; /* when it last read or wrote */
	char *in;           /* ADMIN_MAX_LINE bytes */
	size_t in_len;
	char *out;
	size_t out_at, out_len, out_size;
	int fd;      /* that came with what it asks; -1: none */
	bool ended;  /* it asks no more */
	bool broken; /* it is dropped when the stack is unwound, or a tick later */
	LIST_ENTRY(admin_client) tracing;
	bool is_tracing;
	struct admin_job job;
};

/* admin_row() queues one row and frees it; NULL (no memory) drops the client. */
void admin_row(struct admin_client *client, struct json_object *row);

/* admin_tell() queues a row outside the client's own turn, which comes; admin_wake() goes on with its job. */
void admin_tell(struct admin_client *client, struct json_object *row);
void admin_wake(struct admin_client *client);

/* admin_done() ends an answer well; @facts (may be NULL) are added to it, and freed. */
void admin_done(struct admin_client *client, struct json_object *facts);

/* admin_refuse() ends an answer: @error is one word, the rest says what to do. */
void admin_refuse(struct admin_client *client, const char *error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* admin_flush() sends what the client takes now. */
void admin_flush(struct admin_client *client);

/* admin_job_end() forgets a job and what it holds. */
void admin_job_end(struct admin_job *job);

/* --- who (admin-access.c) --------------------------------------------------------------------- */

/* admin_listen() listens at a path, for everybody. Returns the descriptor or -errno. */
int admin_listen(const char *path);

/* admin_right_of() tells what whoever connected @fd may do now; *@ret_uid (may be NULL) is who. */
enum admin_right admin_right_of(const struct broker *broker, int fd, uid_t *ret_uid);

/* --- JSON (admin-json.c) ---------------------------------------------------------------------- */

void put_text(struct json_object *object, const char *name, const char *value);
void put_number(struct json_object *object, const char *name, uint64_t value);
void put_bool(struct json_object *object, const char *name, bool value);
void put_hex(struct json_object *object, const char *name, const uint8_t *bytes, size_t len);

/* put_time() puts seconds of the epoch as a date; negative: null. */
void put_time(struct json_object *row, const char *name, int64_t seconds);

/* put_peer_text() is for what a peer chose: only printable ASCII is left. */
void put_peer_text(struct json_object *object, const char *name, const char *value);

/* put_peer_words() leaves spaces too: of what a peer may have had a part in. */
void put_peer_words(struct json_object *object, const char *name, const char *value);

/* put_address() writes 192.0.2.1:443 or [2001:db8::1]:443. */
void put_address(struct json_object *object, const char *name, const struct sockaddr_in6 *addr);

/* --- answers ---------------------------------------------------------------------------------- */

/* admin-status.c */
bool admin_status(struct admin_client *client);
bool admin_workers(struct admin_client *client);
bool admin_listeners(struct admin_client *client);

/* admin-stats.c */
bool admin_stats(struct admin_client *client);

/* admin_refused_name() writes what connections that were refused for @end are counted as: "refused_rate". */
#define ADMIN_REFUSED_LEN 40
const char *admin_refused_name(char out[ADMIN_REFUSED_LEN], enum end end);

/* admin-sessions.c */
bool admin_sessions(struct admin_client *client);
bool admin_session(struct admin_client *client);

/* admin_put_tls() writes what was negotiated: version, suite, group, paths and their reasons. */
void admin_put_tls(struct json_object *row, const struct session *session);

/* admin-each.c */
typedef void admin_act_on(struct admin_client *client, struct session *session);

/* admin_each() does it to all that the request means, piece by piece. Returns true when all is known. */
bool admin_each(struct admin_client *client, admin_act_on *act);
void admin_no_session(struct admin_client *client);

/* admin-kill.c, admin-rekey.c */
bool admin_kill(struct admin_client *client);
void admin_killed(struct admin_client *client, const struct asked *asked);
bool admin_rekey(struct admin_client *client);
void admin_rekeyed(struct admin_client *client, const struct asked *asked);

/* admin-trace.c */
bool admin_trace(struct admin_client *client);
void admin_trace_end(struct admin_client *client);

void admin_names(const struct broker *broker, const struct session *session,
		 const char **ret_listener, const char **ret_pool);

/* admin-certs.c */
bool admin_certs(struct admin_client *client);

/* admin-crl.c */
bool admin_crl_list(struct admin_client *client);
bool admin_crl_add(struct admin_client *client);
bool admin_crl_del(struct admin_client *client);

/* admin-config.c */
bool admin_options(struct admin_client *client);

/* admin-act.c */
bool admin_drain(struct admin_client *client);
bool admin_reload(struct admin_client *client);
bool admin_log(struct admin_client *client);
bool admin_stop(struct admin_client *client);

#endif
