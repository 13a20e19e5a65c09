/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice-relay: for workers that know nothing of TLS. It takes connections out of a pool and offers
 * them at a socket of its own by the same protocol, but what a plain worker gets is one end of a pair
 * of local stream sockets, and the plaintext goes through the other. One thread, one loop.
 */
#ifndef SLUICE_RELAY_RELAY_H
#define SLUICE_RELAY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <sluice/sluice.h>
#include <sluice/via.h>

#include "common/loop.h"
#include "handover/channel.h"
#include "handover/wire.h"
#include "handover/worker.h"
#include "relay/backend.h"
#include "relay/pipes.h"
#include "relay/ring.h"
#include "relay/supervise.h"

#define RELAY_CHUNK 65536 /* bytes that wait in one direction of a connection, at most */

struct link;
struct plain;
struct relay;

/* --- the daemon (upstream.c) ------------------------------------------------------------------ */

struct upstream {
	struct watch watch;
	struct watch attaching; /* fd -1: no try is under way */
	struct sluice_worker *worker;
	uint64_t credits; /* that the daemon has of us */
	bool gone;
	uint64_t next_ms, back_off_ms; /* gone: the next try, or the end of the present one */
};

int upstream_open(struct relay *relay, const char *path, struct sluice_error *ret_err);
void upstream_close(struct relay *relay);

/* upstream_balance() gives the daemon as many credits as the plain workers have to spare. */
void upstream_balance(struct relay *relay);
void upstream_ack(struct relay *relay, const struct link *link);
void upstream_drain(struct relay *relay);

/* upstream_leave() detaches: what waits here goes to another worker. */
void upstream_leave(struct relay *relay);

/* upstream_tick() attaches again when the daemon is gone. */
void upstream_tick(struct relay *relay);

/* --- plain workers (plain.c) ------------------------------------------------------------------ */

struct plain {
	struct watch watch;
	LIST_ENTRY(plain) in_relay;
	struct relay *relay;
	uint64_t number;
	pid_t pid;
	unsigned int credits;
	bool attached, draining;
	bool full; /* its channel takes no more, until it speaks or the next tick */
	LIST_HEAD(, link) links;
	size_t n_links;
};

int plain_open(struct relay *relay, const char *path);
void plain_close(struct relay *relay);

/* plain_credits() is how many connections plain workers can still be offered. */
uint64_t plain_credits(const struct relay *relay);

/* plain_serve() offers what waits to whoever has room. */
void plain_serve(struct relay *relay);

/* plain_tick() tries those again that were behind. */
void plain_tick(struct relay *relay);

/* plain_tell_ended() says that a connection did not end in order. */
void plain_tell_ended(struct link *link, int code, const char *text);

/* --- connections (link.c) --------------------------------------------------------------------- */

enum link_state {
	LINK_WAITING,   /* for a plain worker with room, or a backend */
	LINK_OFFERED,   /* not acknowledged: the TLS socket is untouched */
	LINK_WITHDRAWN, /* was offered; the connection is gone, its plain worker may not know yet */
	LINK_LIVE,
	LINK_LINGER, /* the plain worker is gone, all is sent: the peer's end is waited for */
	LINK_CLOSING,
};

/* struct flow - one direction: what was read and not written yet. */
struct flow {
	uint8_t *buf; /* NULL while nothing waits */
	size_t off, len;
	struct pipe *pipe;  /* what waits is in it, and not in @buf (splice.c) */
	unsigned int large; /* reads in a row that were */
	bool dry;           /* @pipe: nothing more was there to fill it with */
	bool ended;         /* nothing more can be read */
	bool shut;          /* the other side was told so */
	bool discard;       /* the other side takes nothing more: what is read is dropped */
};

struct link {
	struct watch tls, pair; /* pair: our end of it, or the socket of a backend */
	struct relay *relay;
	TAILQ_ENTRY(link) entry; /* WAITING: relay->waiting */
	LIST_ENTRY(link) of_owner;
	LIST_ENTRY(link) timed; /* with a deadline */
	bool is_timed;
	enum link_state state;
	struct plain *plain;     /* NULL: not offered, or it is gone */
	struct dial dial;        /* WAITING: for a backend */
	size_t group;            /* of backends */
	struct backend *backend; /* LIVE: where it goes; NULL: to a plain worker */
	uint64_t moved_ms;       /* when data did last; of a backend */
	struct sluice_conn *conn;
	uint64_t session;
	uint32_t id;
	int their_end; /* of the pair; -1: given away */
	uint8_t *message;
	size_t message_len;
	uint64_t since_ms;       /* WAITING, LINGER, or no progress */
	struct flow in, out;     /* peer to worker, worker to peer */
	bool yielding;           /* in: it is the others' turn */
	struct op in_op, out_op; /* of the ring: one each way, and no data moves while it is busy */
	bool never_waits;        /* both sockets: O_NONBLOCK */
	bool refused;            /* in: splice(2) found something else than data */
	size_t asked;            /* in: what the receive has room for */
	bool more; /* in: it was filled, and the buffer has room for what is behind it */
	bool in_drained, out_drained; /* the last read was not filled: poll before the next */
	bool stopping; /* when both are idle it lingers, or ends for the reason why */
	const char *why;
	bool abort_due; /* internal_error, before it ends */
	bool aborted;   /* the worker closed without having read all */
	bool hung_up;   /* the worker closed its end */
	int failure;    /* -SLUICE_E_*, of the TLS connection */
};

/* link_new() makes a connection that waits. Owns @conn on success. Returns NULL. */
struct link *link_new(struct relay *relay, struct sluice_conn *conn, uint32_t id,
		      const uint8_t *message, size_t len);

/*
 * link_joined() makes one that is live, between @conn and the plaintext of @plain. Owns both on success. Returns 0 or
 * -SLUICE_E_NOMEM.
 */
int link_joined(struct relay *relay, struct sluice_conn *conn, int plain, struct backend *backend);

/* link_dial() connects it to a backend; if there is none it ends. */
void link_dial(struct link *link);

/* link_pair() makes a new pair; their_end is what a worker gets. Returns 0 or -errno. */
int link_pair(struct link *link);

/* link_wait() puts it back to those that wait, as if it had just come. */
void link_wait(struct link *link);

/* link_live() begins to move data: a worker has acknowledged it. */
void link_live(struct link *link);

/* link_close() ends the pair, then the TLS connection; nothing must be done with it afterwards. */
void link_close(struct link *link, const char *why);

/* link_linger() waits a little for the peer's end: a reset could overtake what was sent. */
void link_linger(struct link *link);

/* link_leave() frees one that nobody acknowledged, and says nothing to its peer. */
void link_leave(struct link *link);

/* link_withdraw_all() leaves all that nobody acknowledged: the daemon's channel ended. */
void link_withdraw_all(struct relay *relay);

/* link_forget() frees one that was withdrawn. */
void link_forget(struct link *link);

/* link_timed() has link_tick() look at it from now on. */
void link_timed(struct link *link);
void link_tick(struct relay *relay);

/* flow_drop() frees the buffer; flow_advance() takes bytes off its front, and frees it behind the last. */
void flow_drop(struct flow *flow);
void flow_advance(struct flow *flow, size_t n);

/* --- ends (ends.c) ---------------------------------------------------------------------------- */

/* link_fail() keeps the first failure. link_fail_here(): it is ours, and bytes are lost. */
void link_fail(struct link *link, int code);
void link_fail_here(struct link *link);

/* link_fail_out(): nothing more can be sent to the peer. */
void link_fail_out(struct link *link, int code);

/* link_refused_in(): nothing more can be written to the worker, for this errno. */
void link_refused_in(struct link *link, int err);

/* What the other side is told when everything before is written. End_out may have to be repeated. */
void link_end_in(struct link *link);
void link_end_out(struct link *link);

/* link_settle() returns true when the link is not live any more, or gone. */
bool link_settle(struct link *link);

/* --- whom a backend serves (preamble.c) -------------------------------------------------------- */

enum preamble {
	PREAMBLE_NONE,
	PREAMBLE_PROXY_1, /* the header of the PROXY protocol, version 1 */
	PREAMBLE_PROXY_2,
};

/* preamble_begin() puts it before all that comes from the peer. Returns 0 or -SLUICE_E_NOMEM. */
int preamble_begin(struct link *link);

/* --- data by epoll (pump.c) ------------------------------------------------------------------- */

/* pump_run() moves what can be moved without waiting, and watches for the rest. */
void pump_run(struct link *link);

/* --- data by io_uring (stream.c) -------------------------------------------------------------- */

/* stream_run() starts what can be done, in either direction, and is called again when it is done. */
void stream_run(struct link *link);

/*
 * stream_stop() returns true when nothing of it is in the kernel; else it will not be for long, and
 * link_close() with @why, or for NULL link_linger(), are called then.
 */
bool stream_stop(struct link *link, const char *why);

/* --- plaintext in, TLS out (join.c) -------------------------------------------------------------- */

struct joiner {
	struct watch listener; /* fd -1: none */
	struct watch service;
	struct sluice_via *via; /* NULL: the daemon is gone */
	const char *service_path, *profile;
	const char *host; /* whom it means; NULL: the address */
	uint64_t next_ms, back_off_ms;
	LIST_HEAD(, join) joins;
	size_t n;
};

/* One of several sockets at an address is the first, and finds out whether it is another's. */
enum join_share { JOIN_ALONE, JOIN_FIRST, JOIN_NEXT };

/* join_bind() listens at "ADDRESS:PORT". Returns NULL, or what is wrong. */
const char *join_bind(const char *text, enum join_share share, int *ret_fd);

/* join_open() attaches to the service; join_tick() does so again, and accepts. */
int join_open(struct relay *relay, struct sluice_error *ret_err);
void join_tick(struct relay *relay);

/* join_close() listens no more; join_end() ends all that is not made yet. */
void join_close(struct relay *relay);
void join_end(struct relay *relay);

/* --- all of it (relay.c) ---------------------------------------------------------------------- */

#define MAX_USERS 64

/* How data goes (--io). */
enum relay_io {
	IO_AUTO,   /* what costs least where it was measured: IO_URING (docs/performance.md) */
	IO_URING,  /* through buffers, by io_uring */
	IO_SPLICE, /* the same, and bulk of the kernel path by splice(2) */
	IO_URING_SPLICE, /* the same, and the splices by io_uring */
	IO_EPOLL,
};

struct relay {
	struct loop loop;
	struct ring ring;
	struct sluice *sluice;
	struct upstream upstream;
	struct watch offer, signals;
	const char *pool_path, *offer_path, *listen_text;
	uid_t users[MAX_USERS];
	size_t n_users;
	uint64_t wait_ms, drain_ms;
	uid_t uid; /* whom to become; 0: stays */
	gid_t gid;
	enum relay_io io;
	struct pipes pipes;
	uint64_t spliced; /* bytes, in both directions */
	uint64_t max_files;
	LIST_HEAD(, plain) plains;
	size_t n_plains;
	bool offer_pausing; /* no descriptor for who comes, until the next tick */
	uint64_t last_plain;
	TAILQ_HEAD(, link) waiting;
	size_t n_waiting, n_links;
	LIST_HEAD(, link) timed;
	struct backends backends;
	enum preamble preamble;
	struct joiner joiner;
	unsigned int n_workers; /* 1: this process is the only one */
	unsigned int number;    /* of several: which worker; 0: none of them */
	unsigned int cpus[MAX_WORKERS], n_cpus;
	uint64_t resolve_s; /* names are looked up so often; 0: when told */
	struct watch boss;  /* fd -1: there is none */
	bool draining, failed;
	uint64_t drained_ms; /* when what is left ends too; RELAY_NEVER */
	uint64_t n_taken;    /* connections, since the start */
	uint8_t *buf;        /* WIRE_MAX bytes; secret memory */
	uint8_t *scratch;    /* RELAY_CHUNK bytes */
};

#define owner_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* relay_options() returns -1: go on, or the exit status (options.c). */
int relay_options(struct relay *relay, int argc, char **argv);

#define RELAY_NEVER UINT64_MAX

/* relay_run() is one worker, from its start to its end. Returns the exit status. */
int relay_run(struct relay *relay);

/* relay_tell_start() logs what goes where; @io: ", by" what, or "". */
void relay_tell_start(const struct relay *relay, const char *io);

/* relay_tell_boss() tells the supervisor, if there is one. */
void relay_tell_boss(const struct relay *relay, enum word word);

void relay_drain(struct relay *relay);

/* relay_room() is how many more connections there are descriptors for. */
uint64_t relay_room(const struct relay *relay);

/* log_line() is for people. log_as() has worker @number in front of its lines from now on. */
void log_as(unsigned int number);
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
