/* SPDX-License-Identifier: Apache-2.0 */
/* A process sluice-fetch: started, asked, ended. Used by one thread; nothing here waits for long. */
#ifndef SLUICE_FETCH_CHILD_H
#define SLUICE_FETCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "handover/messages.h"

#define FETCH_MAX_URL 2048 /* bytes */
#define FETCH_MAX_TAG 256  /* bytes of a validator of HTTP, with its NUL */

struct fetch_child {
	int fd; /* its channel; -1: there is none */
	int pidfd;
	unsigned int deaths; /* in a row, without an answer in between */
	uint64_t retry_us;   /* it is not started before */
};

/* struct fetch_request - borrowed. */
struct fetch_request {
	uint32_t id;
	const char *url;
	unsigned int timeout_ms;
	size_t max_len;
	const char *etag, *modified; /* of what is known; "": nothing is */
	const uint8_t *body;         /* of a POST for an OCSP response; NULL: a GET for a CRL */
	size_t body_len;
};

struct fetch_answer {
	uint32_t id;
	enum fetch_reason reason;
	int body_fd;         /* FETCH_OK only: the receiver's; else -1 */
	unsigned int status; /* of HTTP; 0: there was no answer */
	char etag[FETCH_MAX_TAG], modified[FETCH_MAX_TAG];
};

/*
 * fetch_set_program() says which program is started, and which name servers it asks ("127.0.0.1:53");
 * NULL: that of this build, and the system's. For tests, before anything is fetched.
 */
void fetch_set_program(const char *path, const char *name_servers);

/* fetch_child_start() starts it for the list @hosts (fetch/hosts.h). Returns 0 or -errno. */
int fetch_child_start(struct fetch_child *child, const char *hosts);

/*
 * fetch_child_end() ends it, if there is one, and leaves nothing of it behind. It may be started
 * again after a while that doubles from 0.1 to 30 seconds, unless it has answered since.
 */
void fetch_child_end(struct fetch_child *child);

/*
 * fetch_child_allow() sends the first message, where another has started the process: only @child->fd is
 * used then, as by all that follows. Returns 0 or -errno.
 */
int fetch_child_allow(int fd, const char *hosts);

/* fetch_child_ask() sends a request. Returns 0 or -errno; -EAGAIN: later. */
int fetch_child_ask(struct fetch_child *child, const struct fetch_request *request);

/*
 * fetch_child_answer() receives one. Returns 1, 0 (nothing more now), or -errno: it is gone, or makes
 * no sense and is to be ended.
 */
int fetch_child_answer(struct fetch_child *child, struct fetch_answer *ret_answer);

/*
 * fetch_body_read() reads a body of at most @max bytes; free() it. NULL: it is not sealed, longer, or
 * there is no memory. Closes @fd.
 */
uint8_t *fetch_body_read(int fd, size_t max, size_t *ret_len);

#endif
