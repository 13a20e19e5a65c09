/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice-fetch from the inside: a job is a request under way. fetch.c takes requests and answers
 * them, resolve.c finds addresses, transfer.c speaks HTTP. One thread; every function returns at once.
 */
#ifndef SLUICED_FETCH_FETCH_H
#define SLUICED_FETCH_FETCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <curl/curl.h>

#include "fetch/hosts.h"
#include "handover/messages.h"

#define MAX_URL 2048
#define MAX_REQUEST 8192 /* bytes of a POST */
#define MAX_TAG 256      /* bytes of a validator: ETag, Last-Modified */
#define MAX_ADDRESSES 8  /* of a name */

struct addresses {
	uint8_t bytes[MAX_ADDRESSES][16]; /* IPv4 as ::ffff:0:0/96 */
	unsigned int n;
};

enum job_state {
	JOB_WAITS,
	JOB_RESOLVES,
	JOB_TRANSFERS,
	JOB_OVER, /* answered; the resolver still has it */
};

struct job {
	TAILQ_ENTRY(job) link; /* of those that wait, or that are under way */
	enum job_state state;
	uint32_t id;
	enum fetch_kind kind;
	uint8_t *request; /* of a POST */
	size_t request_len;
	char etag[MAX_TAG], modified[MAX_TAG]; /* as they were asked with, then as they were got */
	uint64_t deadline_ms;
	size_t max_len;
	unsigned int n_redirects;

	/* of one hop */
	CURLU *url;
	char host[FETCH_MAX_HOST + 1];
	uint16_t port;
	CURL *easy;
	struct curl_slist *resolve, *headers;
	size_t head_len;
	long status;
	enum fetch_reason reason; /* why a callback ended it; FETCH_OK: none did */

	int body_fd;
	size_t body_len;
};

/* --- fetch.c ---------------------------------------------------------------------------------- */

extern struct fetch_hosts fetch_hosts; /* what may be fetched from */

uint64_t now_ms(void);

/* job_end() answers a job and frees it. job_resolved() goes on with one whose addresses are known. */
void job_end(struct job *job, enum fetch_reason reason);
void job_resolved(struct job *job, const struct addresses *addresses);

/* job_hop() begins with @job->url, the first or another one. */
void job_hop(struct job *job);

/* --- resolve.c -------------------------------------------------------------------------------- */

/*
 * resolve_open() reads how names are resolved here: name servers (@servers, "127.0.0.1:53,[::1]:53"; NULL:
 * the system's), and what /etc/hosts says of the names that may be fetched from. Returns 0 or -errno.
 */
int resolve_open(const char *servers);

/* resolve() finds the addresses of @job->host; job_resolved() may be called before it returns. */
void resolve(struct job *job);

/* resolve_fds() tells what to wait for, returns how many; resolve_wait_ms() how long at most. */
unsigned int resolve_fds(struct curl_waitfd *fds, unsigned int max);
int resolve_wait_ms(int max_ms);

/* resolve_run() takes what came, or the time that went by. */
void resolve_run(const struct curl_waitfd *fds, unsigned int n);

/* --- transfer.c ------------------------------------------------------------------------------- */

int transfer_open(void);

/* transfer_url() reads a URL into @job->url, of @base if that is not NULL. FETCH_OK or FETCH_URL. */
enum fetch_reason transfer_url(struct job *job, const char *text);

/* transfer_begin() begins the hop. FETCH_OK, or why it did not. */
enum fetch_reason transfer_begin(struct job *job, const struct addresses *addresses);

/* transfer_clear() frees what belongs to the hop. */
void transfer_clear(struct job *job);

/* transfer_wait() waits for transfers, and for @fds; transfer_run() takes what came. */
void transfer_wait(struct curl_waitfd *fds, unsigned int n, int timeout_ms);
void transfer_run(void);

#endif
