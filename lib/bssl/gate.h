/* SPDX-License-Identifier: Apache-2.0 */
/* What stands between BoringSSL and the socket during a handshake. */
#ifndef SLUICE_BSSL_GATE_H
#define SLUICE_BSSL_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/base.h>

/* Why the last read or write of BoringSSL did not go through. */
enum gate_status {
	GATE_OPEN, /* it did */
	GATE_WANT_READ,
	GATE_WANT_WRITE,
	GATE_HELD,    /* a whole ServerHello is here; gate_release() lets it through */
	GATE_EOF,     /* the transport ended */
	GATE_REFUSED, /* the peer's bytes are not taken: code, alert, text */
	GATE_FAILED,  /* a system call failed: code, sys_errno */
};

struct gate {
	int fd; /* borrowed */
	enum gate_status status;
	int code;  /* GATE_REFUSED, GATE_FAILED: enum sluice_errno */
	int alert; /* GATE_REFUSED: the alert to send, or -1 for none */
	int sys_errno;
	const char *text; /* static storage */
	size_t max_in;    /* bytes in, at most */
	size_t bytes_in, bytes_out;
	bool hold_hello;  /* client: stop at the ServerHello */
	bool stop_behind; /* let nothing through behind the record that was held */
	bool answers;     /* server: the peer speaks first */
	bool told_again; /* who waits is told as long as something, or the end, is there: by poll(2), not by edges */
	bool drained; /* told_again only: no bytes were left in this run of the flow, so wait and do not ask */
	bool first_seen; /* the first record's header was looked at */
	bool ccs_seen;   /* a ChangeCipherSpec of the peer's */
	bool finishing;  /* an encrypted record of the peer's: its Finished may have begun */
	uint8_t *
		record; /* the record being read, and the beginning of what follows; NULL: nothing was */
	size_t have, need; /* read so far, and the length that the record will have */
	size_t served;     /* given to BoringSSL */
	uint8_t *hello;    /* the held handshake message, over all its records */
	size_t hello_len;
};

/* gate_init() prepares a gate; gate_bio() makes the BIO that SSL_set_bio() takes. */
void gate_init(struct gate *gate, int fd, size_t max_in);
BIO *gate_bio(struct gate *gate);

/* gate_release() lets the held ServerHello through and holds nothing from then on. */
void gate_release(struct gate *gate);

/*
 * gate_left() tells how many bytes were read and not given to BoringSSL. At the end of a handshake there are
 * none, unless the peer has sent what its Finished stands behind, or should.
 */
size_t gate_left(const struct gate *gate);

/* gate_deinit() frees what is held; may be called twice. The BIO must be gone. */
void gate_deinit(struct gate *gate);

#endif
