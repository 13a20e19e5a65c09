/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow of one connection:
 *
 *   TCP -> HELLO -> POLICY -> HANDSHAKE -> VERIFY -> EXPORT -> INSTALL -> LIVE -> CLOSED
 *
 * One file and one function per stage; flow.c has the table. No stage calls another.
 */
#ifndef SLUICE_FLOW_FLOW_H
#define SLUICE_FLOW_FLOW_H

#include "conn/conn.h"

/* What a stage returns; an error ends this connection and no other. */
enum stage_result {
	STAGE_DONE = 0,
	STAGE_WAIT = 1,   /* for conn->events */
	STAGE_PAUSED = 2, /* done, and the next one waits for sluice_handshake_continue() */
	STAGE_HELD = 3,   /* for the program, which has until hs->answer_us */
};

int stage_tcp(struct sluice_conn *conn);
int stage_hello(struct sluice_conn *conn);
int stage_policy(struct sluice_conn *conn);
int stage_handshake(struct sluice_conn *conn);
int stage_verify(struct sluice_conn *conn);
int stage_export(struct sluice_conn *conn);
int stage_install(struct sluice_conn *conn);

/* Where BoringSSL stopped. */
enum drive_result {
	DRIVE_COMPLETE,
	DRIVE_WAIT,   /* for conn->events */
	DRIVE_HELLO,  /* the peer's hello is here */
	DRIVE_VERIFY, /* the peer's chain is here */
	DRIVE_CERT,   /* client_cert_cb answers later */
};

/* drive() runs BoringSSL's handshake up to its next stop, or fails the connection. */
int drive(struct sluice_conn *conn);

/*
 * drive_hello() gives BoringSSL the held ServerHello and nothing behind it. A client that refuses
 * the hello calls it before its alert: a server reads that only under the keys that follow from the
 * hello (RFC 8446, 5 and 6).
 */
void drive_hello(struct sluice_conn *conn);

/*
 * flow_run() takes a connection as far as it goes without waiting. Returns 0 (LIVE), SLUICE_PAUSED,
 * -SLUICE_E_AGAIN, or the error that ended it.
 */
int flow_run(struct sluice_conn *conn);

/* flow_begin() makes what the handshake needs; @offered is referenced. */
int flow_begin(struct sluice_conn *conn, SSL_SESSION *offered);

/* flow_resume() ends a pause: the time budget runs again. */
void flow_resume(struct sluice_conn *conn);

/* flow_deadline() returns when dispatch has to be called, UINT64_MAX: never. */
uint64_t flow_deadline(const struct sluice_conn *conn);

/* flow_is_judging() tells whether the peer's chain is with the pool (hs->judging). */
bool flow_is_judging(const struct sluice_conn *conn);

/* flow_forget_job() lets it go: the job ends into nowhere. */
void flow_forget_job(struct sluice_conn *conn);

/* handshake_free() frees what only the handshake needs. */
void handshake_free(struct sluice_conn *conn);

#endif
