/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two record paths behind one interface, one object per direction. An object never makes the
 * data system calls itself: prep() says what to hand to recvmsg(2) or sendmsg(2), done() takes the
 * result. So the same code runs under poll loops, io_uring and tests with byte-at-a-time
 * transports. Whatever a record means is decided above (tls/control.h).
 */
#ifndef SLUICE_RECORD_RECORD_H
#define SLUICE_RECORD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <sluice/info.h>

#include "record/traffic.h"

enum record_type {
	RECORD_CHANGE_CIPHER_SPEC = 20,
	RECORD_ALERT = 21,
	RECORD_HANDSHAKE = 22,
	RECORD_DATA = 23,
};

#define RECORD_HEADER_LEN 5
#define RECORD_MAX_PLAIN 16384
/* RFC 8446, 5.2: 2^14 + 256; RFC 5246, 6.2.3: 2^14 + 2048. */
#define RECORD_MAX_CIPHER_TLS13 (RECORD_MAX_PLAIN + 256)
#define RECORD_MAX_CIPHER_TLS12 (RECORD_MAX_PLAIN + 2048)

/*
 * struct record - a record, or a piece of one where the receiver's buffer was smaller. The kernel
 * joins records of data; @end then says that one of them ended, not that the last one did.
 */
struct record {
	uint8_t type;
	bool end;            /* the last byte is the record's last */
	const uint8_t *data; /* until the next prep() or next() */
	size_t len;
};

/* Outcomes of the receiving calls; errors are -SLUICE_E_*. */
enum record_result {
	RECORD_MORE = 0,  /* nothing yet: prep() and receive */
	RECORD_READY = 1, /* *ret_record is filled */
	RECORD_EOF = 2,   /* the transport ended, between or inside records */
	RECORD_REKEY = 3, /* the kernel waits for the next epoch's keys */
};

struct record_rx;
struct record_tx;

struct record_rx_ops {
	enum sluice_path path;

	/* next() gives a record that has left the socket already: READY, MORE, or an error. */
	int (*next)(struct record_rx *rx, struct record *ret_record);

	/*
	 * prep() fills @msg for one receive. @buf takes plaintext if the path can put it there at
	 * once; the record then points into it.
	 */
	int (*prep)(struct record_rx *rx, void *buf, size_t buf_len, struct msghdr *msg);

	/* done() takes recvmsg's result: a count, 0, or -errno (EAGAIN and EINTR are MORE). */
	int (*done)(struct record_rx *rx, ssize_t res, struct msghdr *msg,
		    struct record *ret_record);

	/* rekey() installs the next epoch; the old keys stay in force if it fails. */
	int (*rekey)(struct record_rx *rx, const struct traffic *next);

	struct record_rx *(*free)(struct record_rx *rx);
};

struct record_tx_ops {
	enum sluice_path path;

	/*
	 * prep() takes up to @len bytes of type @type and fills @msg for one send; with @len 0 it
	 * prepares what is pending. Returns the bytes taken, which may be fewer; 0 with pending
	 * bytes prepared when those must go first; or an error. @buf must stay until done().
	 * Never called between a prep() and its done().
	 */
	ssize_t (*prep)(struct record_tx *tx, uint8_t type, const void *buf, size_t len,
			struct msghdr *msg);

	/*
	 * done() takes sendmsg's result (a count or -errno). Returns how many of the bytes that
	 * prep() took now belong to the connection; the rest must be given again. 0 after EAGAIN
	 * on the kernel path, the full count on the user path, where sealed bytes stay pending.
	 */
	ssize_t (*done)(struct record_tx *tx, ssize_t res);

	/* pending() tells whether sealed bytes wait for room in the socket. */
	bool (*pending)(const struct record_tx *tx);

	/*
	 * limit() lets records that follow have up to @max_payload bytes of plaintext. Where the kernel
	 * cannot be told, one send is one record, and prep() takes no more than that; @max_payload
	 * of the head is what is in force, and stays what it was while a record is open (MSG_MORE).
	 */
	void (*limit)(struct record_tx *tx, uint16_t max_payload);

	int (*rekey)(struct record_tx *tx, const struct traffic *next);

	struct record_tx *(*free)(struct record_tx *tx);
};

/* The common heads; the paths embed them. */
struct record_rx {
	const struct record_rx_ops *ops;
	uint64_t records; /* of this epoch; the kernel path counts what it delivered */
};

struct record_tx {
	const struct record_tx_ops *ops;
	uint64_t records;     /* of this epoch; the kernel path estimates by size */
	uint16_t max_payload; /* plaintext bytes of a record of data, at most */
	bool by_length;       /* each send must be one record, and not longer than that */
};

/*
 * record_user_rx_new() and record_user_tx_new() make the user path's ends from a direction's state;
 * @traffic is read, not kept. Errors: NOMEM, INTERNAL.
 */
int record_user_rx_new(struct record_rx **ret_rx, const struct traffic *traffic);
int record_user_tx_new(struct record_tx **ret_tx, const struct traffic *traffic);

/*
 * record_kernel_rx_new() and record_kernel_tx_new() make the kernel path's ends around @fd, whose
 * keys ktls_install() has already put in; @fd is borrowed.
 */
int record_kernel_rx_new(struct record_rx **ret_rx, int fd, const struct traffic *traffic);
int record_kernel_tx_new(struct record_tx **ret_tx, int fd, const struct traffic *traffic);

#endif
