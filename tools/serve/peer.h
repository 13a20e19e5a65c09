/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver of one connection: handshake, receiving, sending, closing, by the ring. What is said
 * on the connection is the application's business (struct app: echo or http). Loop thread only.
 *
 * At most one receive (rx) and one send (tx) are in flight. Each is tried first, and only after
 * EAGAIN is the socket polled: a readable record may have left the socket already, and a poll
 * would then wait for ever.
 */
#ifndef TOOLS_SERVE_PEER_H
#define TOOLS_SERVE_PEER_H

#include <netinet/in.h>

#include <sluice/sluice.h>

#include "server.h"

struct peer;

/* What an application does; each is called with the connection live. */
struct app {
	size_t rx_size;                 /* of the receive buffer */
	int (*start)(struct peer *);    /* the handshake is done; 0, or -1 without memory */
	void (*data)(struct peer *);    /* more bytes are in rx_buf */
	void (*sent)(struct peer *);    /* everything given to peer_send*() is with the kernel */
	void (*end)(struct peer *);     /* the peer will send nothing more */
	void (*drain)(struct peer *);   /* come to an end soon */
	void (*expired)(struct peer *); /* the deadline passed: end, now or soon */
	void (*free)(struct peer *);    /* drop app_data */
};

enum peer_state {
	PEER_HANDSHAKE,
	PEER_LIVE,
	PEER_FLUSH,  /* sending what is left, then close_notify */
	PEER_LINGER, /* our end is said: waiting for the peer's */
	PEER_DEAD,   /* waiting for the ring to let go */
};

enum rx_step {
	RX_POLL,
	RX_MESSAGE,
	RX_RAW, /* discarding bytes of a connection that failed */
	RX_END, /* waiting for the peer's end */
};

enum tx_step {
	TX_POLL,
	TX_MESSAGE,
	TX_READ,       /* file to buffer */
	TX_SPLICE_IN,  /* file to pipe */
	TX_SPLICE_OUT, /* pipe to socket */
};

/* The file being sent; fd < 0: none. */
struct peer_file {
	int fd;
	bool direct;    /* page cache to socket; else through @buf */
	bool in_memory; /* its file system is tmpfs: never a disk to wait for */
	int pipe[2];    /* -1: not in use */
	uint64_t offset;
	uint64_t left;
	size_t in_pipe;
	size_t room;  /* how much of it the present key may seal */
	uint8_t *buf; /* what was read */
	size_t buf_len;
	size_t head_len;
};

struct peer {
	struct peer *prev, *next; /* of the worker */
	struct worker *worker;
	struct sluice_conn *conn;
	int fd; /* the connection's */
	enum peer_state state;
	int end_code; /* why it ended, -SLUICE_E_*; 0: in order */
	bool established;
	bool rx_ended;   /* nothing more can be received */
	bool rx_raw;     /* what still comes is not to be decrypted, only discarded */
	bool rx_wanted;  /* the application waits for data */
	bool sending;    /* the application waits for sent() */
	bool notify;     /* close_notify is to be sent at the end */
	bool polled_out; /* closing: the socket had room */
	bool key_update_due;
	enum rx_step rx_step;
	enum tx_step tx_step;
	struct op rx, tx;
	struct op io; /* the application's own: files */
	struct deferred release;
	bool releasing;
	struct timer timer;
	uint64_t deadline_ms;
	uint8_t *rx_buf; /* only while there is something in it, or about to be */
	size_t rx_len;
	size_t rx_size;        /* of the buffer, when there is one */
	const uint8_t *tx_buf; /* the application's; until sent() */
	size_t tx_len;
	struct peer_file file;
	uint64_t requests; /* http */
	void *app_data;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} addr;
};

/* peer_new() takes an accepted socket and starts its handshake. Owns @fd in every case. */
void peer_new(struct worker *worker, int fd);

/* peer_receive() asks for more bytes: data() is called when rx_len has grown, or end(). */
void peer_receive(struct peer *peer);

/* peer_await() does so where nothing is likely to be there yet. */
void peer_await(struct peer *peer);

/*
 * peer_rx_resize() makes the receive buffer @size bytes, or leaves one that holds more. Not while a receive is in
 * flight: an application's data() may. Returns false without memory.
 */
bool peer_rx_resize(struct peer *peer, size_t size);

/* peer_consume() drops the first @n bytes of rx_buf. */
void peer_consume(struct peer *peer, size_t n);

/* peer_send() sends @buf, which must stay; then sent() is called. */
void peer_send(struct peer *peer, const void *buf, size_t len);

/*
 * peer_send_file() sends @head, which is copied or stays, and @left bytes of @fd from @offset on;
 * then sent() is called. Takes over @fd.
 */
void peer_send_file(struct peer *peer, const void *head, size_t head_len, int fd, uint64_t offset,
		    uint64_t left);

/* peer_deadline() lets expired() be called @ms from now, instead of whenever it was to be. */
void peer_deadline(struct peer *peer, int64_t ms);

/* peer_finish() ends in order: what is left, close_notify, the transport. */
void peer_finish(struct peer *peer);

/* peer_send_failed() ends after a send that failed with @code: in order, or at once if the peer is gone. */
void peer_send_failed(struct peer *peer, int code);

/* peer_fail() ends after @code (-SLUICE_E_*): what the library has to say, then the transport. */
void peer_fail(struct peer *peer, int code);

/* peer_abort() ends at once; with @code 0 the reason is one already known. */
void peer_abort(struct peer *peer, int code);

/*
 * peer_update_keys() starts a new epoch of the sending direction; to be called when nothing is
 * being sent. Returns 0 or why not, -SLUICE_E_*.
 */
int peer_update_keys(struct peer *peer);

/* Between the driver's files. */
void peer_rx_done(struct op *op, int res);
void peer_tx_done(struct op *op, int res);
void peer_tx_pump(struct peer *peer);
void peer_tx_idle(struct peer *peer);
void peer_close_step(struct peer *peer);
void peer_linger_receive(struct peer *peer);
void peer_release(struct peer *peer); /* frees a dead peer once the ring has let go */
bool peer_kernel_tx(const struct peer *peer);
bool peer_file_pump(struct peer *peer);
bool peer_file_room(struct peer *peer);
bool peer_file_follows(
	const struct peer *peer); /* pages of a file, into the record that is begun */
void peer_file_done(struct peer *peer, int res);
void peer_file_drop(struct peer *peer);

/* log_peer() writes the line of a connection that ends. */
void log_peer(const struct peer *peer);

/* log_refused() writes the line of a socket that never became a connection. */
void log_refused(const struct server *server, const struct sluice_error *err);

#endif
