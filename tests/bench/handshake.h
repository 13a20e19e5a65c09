/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What bench_handshake measures: the ends of a handshake, made by BoringSSL alone or by us, behind one
 * set of operations, so that one loop drives both.
 */
#ifndef SLUICE_TESTS_BENCH_HANDSHAKE_H
#define SLUICE_TESTS_BENCH_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/base.h>

/* struct cell - one kind of handshake. */
struct cell {
	const char *name;
	bool rsa; /* RSA-2048, else P-256 */
	uint16_t version;
	bool resumed;
	bool client; /* the client's side is measured, which verifies the server */
};

enum { STEP_DONE, STEP_WAIT };

/* struct files - PEM: the server's certificate and key, and the CA that its peers trust. */
struct files {
	const char *cert, *key, *ca;
};

extern struct files files;

/* struct server - who accepts. Sockets do not block, and a step is made when one is readable. */
struct server {
	void *(*open)(const struct cell *cell, int *ret_fd, uint16_t *ret_port);
	void (*close)(void *server);
	void *(*accept)(void *server, int *ret_fd); /* NULL: nobody is there */
	int (*step)(void *end);
	void (*end)(void *end);
};

/* struct client - who connects, and waits for what it has to. */
struct client {
	void *(*open)(const struct cell *cell, uint16_t port);
	void (*close)(void *client);
	void *(*connect)(void *client);
	void (*end)(void *end);
};

extern const struct server bare_server, our_server;
extern const struct client bare_client, our_client;

/* need() ends the program where something is wrong that no measurement survives. */
void need(bool ok, const char *what);

/* bare_socket() listens on a port of the kernel's choice; SSL_CTX of a server, and of a client. */
int bare_socket(uint16_t *ret_port);
int bare_connect_tcp(uint16_t port);
SSL_CTX *bare_server_ctx(const struct cell *cell);
SSL_CTX *bare_client_ctx(const struct cell *cell, bool verify);

/* What the load does: handshakes by bare BoringSSL, one after the other, until its input ends. */
void bare_load(const struct cell *cell, uint16_t port);

#endif
