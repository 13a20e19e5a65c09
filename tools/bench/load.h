/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of `sluice bench` share. Threads share nothing but struct bench, which is constant
 * while they run but for its atomics; each has an event loop, a root object of the library, its
 * slots (one connection at a time each) and its results, which are merged at the end.
 */
#ifndef TOOLS_BENCH_LOAD_H
#define TOOLS_BENCH_LOAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <htp/htp.h>
#include <openssl/sha.h>
#include <sluice/sluice.h>

#include "hist.h"
#include "tls-args.h"

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define SERIES_NS (100 * NS_PER_MS) /* of one entry of struct result's series */
#define ERROR_KINDS 24              /* that are counted by name; what comes after is OTHER */
#define HEAD_MAX 4096
#define ANSWER_MAX 256
#define KNOWN_HEAD_MAX 1024
#define PATTERN_LEN 262144 /* what is sent, over and over; no period of it is a record's */

enum bench_mode {
	MODE_HANDSHAKE, /* connect, full handshake, close */
	MODE_RESUME,    /* the same with the session of the slot's connection before */
	MODE_IDLE,      /* connect, handshake, nothing until the time is over, then a request */
	MODE_REQUEST,   /* GET, and the whole response */
	MODE_DOWNLOAD,  /* the same, meant for large bodies */
	MODE_UPLOAD,    /* POST of --size bytes, and the whole response */
	MODE_ECHO,      /* --size bytes there, and the same bytes back */
};

struct bench_settings {
	struct tls_args tls;
	const char *mode;
	const char *servername;
	const char *alpn;
	const char *path;
	const char *verify_body;
	const char *json;
	const char *html;
	int64_t duration, count; /* seconds, operations; 0: not limited by it */
	int64_t connections, threads;
	int64_t rate;      /* operations a second; 0: closed loop */
	int64_t size;      /* bytes of a body; -1: not said */
	int64_t read_rate; /* bytes a second of each connection; 0: as they come */
	int64_t ramp, warm_up;
	int64_t timeout; /* ms */
	bool keep_alive;
	bool insecure;
	bool tls12;
	bool tls13;
	bool quiet;
};

struct bench {
	const struct bench_settings *settings;
	enum bench_mode mode;
	const char *target; /* HOST:PORT as it was given */
	char host[256];
	char port[8];
	char address[64]; /* numeric: names are resolved once */
	struct sluice_profile *profile;
	htp_cfg_t *http;
	char head[HEAD_MAX]; /* of a request */
	size_t head_len;
	uint8_t sha256[SHA256_DIGEST_LENGTH];           /* of --verify-body */
	char sent_sha256[2 * SHA256_DIGEST_LENGTH + 1]; /* of what is uploaded, in hex */
	uint8_t *pattern;                               /* PATTERN_LEN bytes */
	uint64_t start_ns, measure_ns;                  /* measure: once warmed up */
	uint64_t end_ns;                                /* 0: no duration */
	uint64_t memory_before;                         /* resident, of MODE_IDLE */
	atomic_uint_fast64_t memory_held;               /* the same when all are held */
	atomic_uint_fast64_t claimed;                   /* operations begun, of --count */
	atomic_int running;                             /* threads */
	atomic_bool stop;
};

struct error_count {
	char name[48]; /* sluice_error_name(), HTTP_STATUS_404, BODY_LENGTH, BODY_SHA256, ... */
	int code;      /* enum sluice_errno; 0: not the library's */
	uint64_t count;
	char text[200]; /* of the first */
};

struct sample {
	uint64_t ops, bytes;
};

struct result {
	struct hist latency;               /* ns, of measured operations that succeeded */
	uint64_t ok, errors;               /* measured or not: an error is never left out */
	uint64_t failed;                   /* operations among the errors */
	uint64_t warm_up_ops;              /* not measured */
	uint64_t unsent;                   /* of an open loop: due, and not begun at the end */
	uint64_t unfinished;               /* begun, and cut off at the end */
	uint64_t full, resumed;            /* handshakes, of everything */
	uint64_t bytes_in, bytes_out;      /* application data while measured */
	uint64_t last_ns;                  /* of the last measured operation's end */
	uint64_t cpu_ns, busiest_permille; /* processor time; the greatest share of a thread */
	uint64_t instructions;             /* valid if instructions_scope */
	const char *instructions_scope;    /* "user and kernel", "user"; NULL: not available */
	struct error_count kinds[ERROR_KINDS];
	int n_kinds;
	int first_code; /* of the first error; 0: none, or not the library's */
	struct sample *series;
	size_t n_series;
	struct sluice_conn_info info; /* of a connection; version 0: none was established */
};

enum slot_state {
	SLOT_FREE, /* may have an idle connection */
	SLOT_HANDSHAKE,
	SLOT_HELD, /* MODE_IDLE: says nothing until the time is over */
	SLOT_EXCHANGE,
	SLOT_TICKET, /* done; waits for the session of the next operation */
	SLOT_CLOSING,
	SLOT_PAUSE, /* after a failure, for a moment */
};

struct loader;

struct slot {
	struct loader *loader;
	enum slot_state state;
	struct sluice_conn *conn;
	struct sluice_session *session;
	htp_connp_t *http;
	uint64_t intended; /* start of the operation: the schedule's, or its own */
	uint64_t deadline; /* of progress; in SLOT_PAUSE: its end */
	uint64_t sent, received;
	uint64_t began, taken; /* --read-rate: since when, and how many bytes came */
	uint64_t left;         /* of a body that is not libhtp's to read */
	SHA256_CTX sha;
	char answer[ANSWER_MAX]; /* the beginning of what an upload is answered with */
	size_t answer_len;
	int watched; /* events in epoll; -1: not there */
	int status;  /* of the response */
	bool has_op, priming, failed;
	bool begun, direct;         /* the response: its head has come; it is a known one */
	bool complete, close_after; /* the response */
	bool slowed;                /* reads no more until its rate allows */
	bool again;                 /* has more to do without waiting */
};

/* struct known_head - the head of a response, and what libhtp found in it. */
struct known_head {
	char text[KNOWN_HEAD_MAX];
	size_t len;
	const struct slot *slot; /* libhtp reads it there; NULL: it has */
	bool valid;
	bool close_after;
	uint64_t body; /* bytes */
};

struct loader {
	struct bench *bench;
	pthread_t thread;
	int id, n_slots, epoll_fd;
	struct slot *slots;
	struct slot **free;   /* a stack */
	int n_free, n_active; /* active: ramped up */
	bool again;           /* of some slot */
	uint64_t now;
	uint64_t index; /* of the next operation of an open loop */
	bool finished;  /* no further operation begins */
	struct sluice *sluice;
	uint64_t counted_from, cpu_from; /* ns; 0: not yet measured */
	int perf_fd;
	struct result result;
	struct known_head known;
	atomic_uint_fast64_t done, failed; /* for the progress line */
	struct sluice_error fatal;         /* code: the loader could not start */
};

/* loader_run() is a thread: runs the loader's load to its end. @arg is the loader. */
void *loader_run(void *arg);

/* loader_next() gives the slot an operation to begin now; false: none is due, or none is left. */
bool loader_next(struct loader *loader, struct slot *slot);

/* loader_error() counts an error by name; @text is kept of the first. */
void loader_error(struct loader *loader, const char *name, int code, const char *text);

/* loader_free() puts a slot back on the stack. */
void loader_free(struct loader *loader, struct slot *slot);

/* loader_sample() returns the sample of the present time; NULL: not measured, or no memory. */
struct sample *loader_sample(struct loader *loader);

/* loader_bytes() counts application bytes if they are measured. */
void loader_bytes(struct loader *loader, uint64_t in, uint64_t out);

uint64_t now_ns(void);

/* slot_begin() begins the operation that the slot has, or a connection for a session to resume. */
void slot_begin(struct slot *slot);

/* slot_ready() does what can be done without waiting; slot_tick() also looks at the time. */
void slot_ready(struct slot *slot);
void slot_tick(struct slot *slot);

/* slot_cut() ends the slot: what is under way is dropped without a word to the peer. */
void slot_cut(struct slot *slot);

/* exchange_begin() prepares a request of an established connection. */
void exchange_begin(struct slot *slot);

/*
 * exchange_run() sends and receives what it can. Returns 1 when it is complete, 0 when more must come
 * or @slot->again is set, or the library's error. What is wrong with the body is not for it to judge.
 */
int exchange_run(struct slot *slot);

/* exchange_is_sending() tells whether the exchange has bytes that the library has not taken yet. */
bool exchange_is_sending(const struct slot *slot);

/* exchange_verdict() returns what is wrong with a complete exchange, a name; NULL: nothing. */
const char *exchange_verdict(struct slot *slot, char *buf, size_t buf_len);

/* exchange_setup() makes head, pattern and parser settings, exchange_free() drops them. Errors: NOMEM, INVALID. */
int exchange_setup(struct bench *bench);
void exchange_free(struct bench *bench);

/* head_match() returns how long the head is that @data begins with if it is the known one; 0: it is not. */
size_t head_match(const struct known_head *known, const uint8_t *data, size_t len);

/*
 * head_see() keeps the head that @data begins with, if it is whole; head_learn() has it known, when libhtp has found
 * that the response of @slot was good for it and had a length.
 */
void head_see(struct known_head *known, const struct slot *slot, const uint8_t *data, size_t len);
void head_learn(struct known_head *known, const struct slot *slot, uint64_t body);

/* memory_resident() returns the bytes of this process that are in memory; 0: not known. */
uint64_t memory_resident(void);

/* memory_per_conn() returns what a held connection costs; 0: not measured. */
uint64_t memory_per_conn(const struct bench *bench, const struct result *result);

/* perf_open() counts this thread's instructions; -1: not permitted. */
int perf_open(const char **ret_scope);
uint64_t perf_close(int fd);

/* report_text(), report_json() and report_html() write what was measured; @seconds is its time. */
void report_text(const struct bench *bench, const struct result *result, double seconds, FILE *out);
int report_json(const struct bench *bench, const struct result *result, double seconds,
		const char *path);
int report_html(const struct bench *bench, const struct result *result, double seconds,
		const char *path);

/*
 * report_series() sums the series up to at most REPORT_POINTS whole intervals of *@ret_interval
 * seconds, and returns how many they are.
 */
#define REPORT_POINTS 200
size_t report_series(const struct result *result, double seconds, struct sample *ret_samples,
		     double *ret_interval);

/* report_open() and report_close() say on standard error what is wrong with a file. */
FILE *report_open(const char *path);
int report_close(FILE *file, const char *path);

/* report_client_limited() tells whether the client itself had no processor time to spare. */
bool report_client_limited(const struct result *result);

#endif
