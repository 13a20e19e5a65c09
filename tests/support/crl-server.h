/* SPDX-License-Identifier: Apache-2.0 */
/* The server of crl-server.py: what it is asked for can be counted. Ends the test on failure. */
#ifndef SLUICE_TESTS_CRL_SERVER_H
#define SLUICE_TESTS_CRL_SERVER_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct crl_server {
	pid_t pid;
	FILE *log;
	unsigned int port;
	char asked[64][128]; /* the requests that were seen by crl_server_asked() */
	unsigned int n_asked;
};

/*
 * crl_server_start() serves the directory of certs_get() at a port of 127.0.0.1. Returns false where
 * there is no python3.
 */
bool crl_server_start(struct crl_server *server);
void crl_server_stop(struct crl_server *server);

/* crl_server_asked() counts the requests of @path ("/one.crl ": the space is its end) up to now. */
unsigned int crl_server_asked(struct crl_server *server, const char *path);

/* fetch_program() is the sluice-fetch of this build, NULL if there is none. */
const char *fetch_program(void);

#endif
