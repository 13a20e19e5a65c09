/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the relay connects to: its backends, which are told at the start and never change; when names have other
 * addresses other workers take over (supervise.h). The relay itself makes no sockets of the network: a process of its own, the connector, makes them, to these addresses and no
 * others.
 */
#ifndef SLUICE_RELAY_BACKEND_H
#define SLUICE_RELAY_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "common/loop.h"

#define MAX_BACKENDS 64 /* addresses; struct dial has a bit for each */
#define MAX_ROUTES 64
#define BACKEND_NAME 300

struct link;
struct relay;
struct sluice_conn;

enum check_kind { CHECK_NONE, CHECK_TCP, CHECK_HTTP };

/* struct check - whether a backend is well: one try at a time. */
struct check {
	struct watch watch; /* fd -1: none is under way */
	struct relay *relay;
	uint64_t next_ms, deadline_ms;
	bool is_asked;       /* HTTP: the answer is waited for */
	bool is_failing;     /* it is not well, and is a last resort */
	unsigned int in_row; /* results that say the opposite */
	uint64_t good, bad;
	char head[13]; /* of the answer: "HTTP/1.1 200" */
	size_t head_len;
};

/* struct backend - one address. A name with several is as many of them. */
struct backend {
	char name[BACKEND_NAME]; /* as told, with the address where a name was told */
	uint32_t of;             /* backends->texts: whose address it is */
	bool is_backup;          /* only where no other is well */
	uint8_t group;           /* of which route: its number and 1; 0: of none */
	struct check check;
	uint64_t taken, refused; /* connections, since the start */
	struct sockaddr_storage addr;
	socklen_t addr_len;
	bool down;         /* the last try failed */
	uint64_t again_ms; /* down: until then others are tried before it */
	LIST_HEAD(, link) links;
	size_t n_links;
};

/* struct backend_text - a backend as it was told. */
struct backend_text {
	const char *text;
	bool is_backup;
	uint8_t group;
};

/* struct backend_route - whose connections go to a group of backends; NULL: anybody's. */
struct backend_route {
	const char *listener, *sni, *alpn;
	const char *text; /* as it was told */
	char *words;      /* what the others are in */
};

struct backends {
	struct backend *list;
	struct backend_text texts[MAX_BACKENDS];
	size_t n_texts;
	struct backend_route routes[MAX_ROUTES];
	size_t n_routes;
	size_t n, next;             /* next: where the search begins, so that all get their turn */
	int connector;              /* -1: it is gone */
	struct watch connector_end; /* tells that at once */
	uint64_t connect_ms, rest_ms; /* for a try; how long one that failed comes last */
	uint64_t retries;             /* when all were tried in vain */
	uint64_t idle_ms, look_ms; /* 0: they may be idle for ever; when that is looked at next */
	bool is_short;             /* the last try had no descriptor, port or memory; said once */
	bool tick_short;           /* the same, at this tick */
	TAILQ_HEAD(, dial) dials;
	enum check_kind check;
	const char *check_path;
	uint64_t check_ms, check_wait_ms; /* from one to the next; how long one may take */
	uint64_t rise, fall;              /* so many good ones in a row: well; bad ones: not */
	uint64_t keep_idle_s, keep_interval_s, keep_count; /* TCP keep-alive; idle 0: not told */
	uint64_t user_timeout_ms;                          /* TCP_USER_TIMEOUT; 0: the kernel's */
};

/* struct dial - connecting to one backend after the other; embedded in what wants the connection. */
struct dial {
	struct watch watch; /* the try under way */
	TAILQ_ENTRY(dial) entry;
	struct relay *relay;
	void (*done)(struct dial *dial, struct backend *backend, int fd);
	struct backend *backend;
	size_t group;
	uint64_t tried; /* bits */
	uint64_t deadline_ms;
	bool active;
	bool waits;        /* no try is under way, and the next comes ... */
	bool is_short;     /* ... when we are not short of something any more */
	uint64_t again_ms; /* ... then, with all that were tried before */
	uint64_t rounds;
	uint64_t wait_until_ms;
};

/*
 * backend_add() adds what "HOST:PORT", "[ADDRESS]:PORT" or "unix:PATH" stands for; names are looked up here. The
 * text is borrowed. It is of the route that was told last, if there is one. Returns NULL, or what is wrong.
 */
const char *backend_add(struct backends *backends, const char *text, bool is_backup);

/* backend_put() adds one address of text @of. Returns NULL, or what is wrong. */
const char *backend_put(struct backends *backends, uint32_t of, const char *name, const void *addr,
			socklen_t len);

/* backend_is_local() is whether it is "unix:PATH". */
bool backend_is_local(const char *text);

/* backend_is_name() is whether it has a name that is to be looked up. */
bool backend_is_name(const char *text);

/* address_split() cuts such a text, but unix:, at its last colon. Returns NULL, or what is wrong. */
const char *address_split(const char *text, char *host, size_t host_size, char **ret_port);
void backends_free(struct backends *backends);

/*
 * route_add() adds "listener=NAME,sni=NAME,alpn=NAME", or a part of it; the text is borrowed. Returns NULL, or what
 * is wrong. routes_check() returns the text of one that has no backends, or NULL.
 */
const char *route_add(struct backends *backends, const char *text);
const char *routes_check(const struct backends *backends);

/* route_choose() returns the group of a connection that came by @message. */
size_t route_choose(const struct backends *backends, const struct sluice_conn *conn,
		    const uint8_t *message, size_t len);

/*
 * dial_start() connects to the backend of @group that has the least connections, and then to others. @done is told a
 * connected socket, which becomes its owner's, or -1: none was to be had. It may be called at once. Where this
 * process is short of descriptors it waits for them, as long as a connection may wait for a backend.
 */
void dial_start(struct relay *relay, struct dial *dial, size_t group,
		void (*done)(struct dial *dial, struct backend *backend, int fd));

/* dial_is_ours() is whether an error of -errno says nothing of a backend: this machine is short of something. */
bool dial_is_ours(int error);

/* dial_stop() ends one that is under way; nothing is told. dial_tick() is for those that take too long. */
void dial_stop(struct dial *dial);
void dial_tick(struct relay *relay);

/* backend_tick() ends connections on which nothing has moved for too long. */
void backend_tick(struct relay *relay);

/* backend_figures() logs what became of connections and checks. */
void backend_figures(const struct relay *relay);

/* --- whether they are well (check.c) ----------------------------------------------------------- */

/* check_tick() begins those that are due, and ends those that take too long. */
void check_tick(struct relay *relay);

/* backend_tune() says of a TCP socket what was told of keep-alive and of data that nobody acknowledges. */
void backend_tune(const struct backends *backends, int fd);

/* --- the connector (connector.c) -------------------------------------------------------------- */

/*
 * connector_start() forks it, to run as another user (@uid 0: the same); before this process is confined and has
 * threads. Returns 0 or -errno.
 */
int connector_start(struct backends *backends, uid_t uid, gid_t gid);

/*
 * connector_socket() has it begin a connection to backend @i. Returns a non-blocking socket, which is
 * writable when it is connected, or -errno; -EPIPE: there is no connector any more.
 */
int connector_socket(struct backends *backends, size_t i);

/* connector_watch() has its end noticed when it comes, and not at the next connection. Returns 0 or -errno. */
int connector_watch(struct backends *backends, struct loop *loop);

#endif
