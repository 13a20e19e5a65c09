// SPDX-License-Identifier: Apache-2.0
/*
 * sluice-fetch: fetches CRLs and OCSP responses by HTTP for the process that started it, so that
 * neither a process with keys nor a handshake ever speaks HTTP. Whoever takes it over has sockets to
 * the network and nothing else: what it answers is signed by a CA, or worth nothing.
 *
 * Requests come one by one through its only channel; so many are under way at once, so many wait, and
 * every one is answered: with a body in a sealed memory file, or why there is none. It ends with its
 * channel.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/process.h"
#include "common/rules.h"
#include "core/sys.h"
#include "fetch/fetch.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/wire.h"

#define MAX_JOBS 8   /* at once */
#define MAX_QUEUE 64 /* that wait */
#define MAX_MS 60000
#define MAX_LEN (16u << 20) /* bytes of a body */
#define MAX_FILES 64
#define MAX_MESSAGE (16 * 1024)
#define MAX_SERVERS 256 /* bytes of a list of name servers */
#define ANSWER_LEN 1024
#define ALLOW_MS 10000 /* until the first message */
#define MAX_FDS 24
#define WAIT_MS 1000

TAILQ_HEAD(jobs, job);

struct fetch_hosts fetch_hosts;

static struct {
	bool begun;
	struct jobs waiting, running; /* also such as are over and still being resolved */
	unsigned int n_waiting, n_running;
} self = {
	.waiting = TAILQ_HEAD_INITIALIZER(self.waiting),
	.running = TAILQ_HEAD_INITIALIZER(self.running),
};

uint64_t now_ms(void)
{
	return sys->now_us() / 1000;
}

static void __attribute__((noreturn)) give_up(const char *why)
{
	fprintf(stderr, "sluice-fetch: %s\n", why);
	exit(1);
}

/* --- answers ---------------------------------------------------------------------------------- */

static int try_answer(const struct job *job, enum fetch_reason reason, int body_fd)
{
	uint8_t buf[ANSWER_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_FETCHED, job->id);
	wire_put_u64(&wire, ATTR_FETCH_REASON, reason);
	if (job->status)
		wire_put_u64(&wire, ATTR_FETCH_STATUS, (uint64_t)job->status);
	if (reason == FETCH_OK && job->etag[0])
		wire_put_text(&wire, ATTR_FETCH_ETAG, job->etag);
	if (reason == FETCH_OK && job->modified[0])
		wire_put_text(&wire, ATTR_FETCH_MODIFIED, job->modified);
	return channel_send(CHILD_BROKER_FD, buf, wire_end(&wire), &body_fd, body_fd >= 0);
}

/*
 * ETOOMANYREFS: this user's processes, of which there are others, have more descriptors on their way than this
 * one may have open (unix(7)).
 */
static void send_answer(const struct job *job, enum fetch_reason reason, int body_fd)
{
	int r = try_answer(job, reason, body_fd);

	if (r == -ETOOMANYREFS)
		r = try_answer(job, FETCH_RESOURCES, -1);
	/* It has asked for more than it reads, or is gone. */
	if (r < 0)
		exit(0);
}

static void answer(const struct job *job, enum fetch_reason reason)
{
	int fd = -1;

	if (reason == FETCH_OK) {
		fd = job->body_fd;
		if (fcntl(fd, F_ADD_SEALS,
			  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)) {
			fd = -1;
			reason = FETCH_RESOURCES;
		}
	}
	send_answer(job, reason, fd);
}

static void job_free(struct job *job)
{
	transfer_clear(job);
	if (job->body_fd >= 0)
		close(job->body_fd);
	curl_url_cleanup(job->url);
	free(job->request);
	free(job);
}

void job_end(struct job *job, enum fetch_reason reason)
{
	bool resolves = job->state == JOB_RESOLVES;

	answer(job, reason);
	if (job->state == JOB_WAITS) {
		TAILQ_REMOVE(&self.waiting, job, link);
		self.n_waiting--;
		job_free(job);
		return;
	}
	job->state = JOB_OVER;
	if (resolves)
		return; /* its place is free when its addresses have come */
	TAILQ_REMOVE(&self.running, job, link);
	self.n_running--;
	job_free(job);
}

void job_resolved(struct job *job, const struct addresses *addresses)
{
	enum fetch_reason reason;

	if (job->state == JOB_OVER) {
		TAILQ_REMOVE(&self.running, job, link);
		self.n_running--;
		job_free(job);
		return;
	}
	job->state = JOB_TRANSFERS;
	reason = transfer_begin(job, addresses);
	if (reason != FETCH_OK)
		job_end(job, reason);
}

void job_hop(struct job *job)
{
	job->state = JOB_TRANSFERS;
	if (!fetch_hosts_allow(&fetch_hosts, job->host, job->port))
		job_end(job, FETCH_HOST);
	else
		resolve(job);
}

/* --- requests --------------------------------------------------------------------------------- */

/* What goes into a line of a header. */
static bool take_tag(const struct attr *attr, char tag[MAX_TAG])
{
	size_t i;

	if (!attr_text(attr, tag, MAX_TAG))
		return false;
	for (i = 0; tag[i]; i++)
		if ((unsigned char)tag[i] < ' ' || tag[i] == 0x7f)
			return false;
	return true;
}

static bool take_request(struct job *job, const struct attr *attr)
{
	if (attr->len > MAX_REQUEST || job->request)
		return false;
	job->request = malloc(attr->len + 1u);
	if (!job->request)
		return false;
	memcpy(job->request, attr->bytes, attr->len);
	job->request_len = attr->len;
	return true;
}

static bool take_number(const struct attr *attr, uint64_t max, uint64_t *ret)
{
	return attr_u64(attr, ret) && *ret && *ret <= max;
}

static bool take_attr(struct job *job, const struct attr *attr, char url[MAX_URL + 1])
{
	uint64_t value = 0;
	bool ok = true;

	switch (attr->type) {
	case ATTR_FETCH_URL:
		return attr_text(attr, url, MAX_URL + 1);
	case ATTR_FETCH_KIND:
		ok = take_number(attr, FETCH_OCSP, &value);
		job->kind = (enum fetch_kind)value;
		return ok;
	case ATTR_FETCH_BODY:
		return take_request(job, attr);
	case ATTR_FETCH_MS:
		ok = take_number(attr, MAX_MS, &value);
		job->deadline_ms = now_ms() + value;
		return ok;
	case ATTR_FETCH_MAX:
		ok = take_number(attr, MAX_LEN, &value);
		job->max_len = value;
		return ok;
	case ATTR_FETCH_ETAG:
		return take_tag(attr, job->etag);
	case ATTR_FETCH_MODIFIED:
		return take_tag(attr, job->modified);
	default:
		return true;
	}
}

/* FETCH_OK, or FETCH_URL where the request makes no sense. */
static enum fetch_reason take_job(struct job *job, struct wire_reader *reader)
{
	char url[MAX_URL + 1] = "";
	struct attr attr;
	int r;

	while ((r = wire_next(reader, &attr)) > 0)
		if (!take_attr(job, &attr, url))
			return FETCH_URL;
	if (r < 0 || !url[0] || !job->kind || !job->deadline_ms || !job->max_len ||
	    (job->kind == FETCH_OCSP) != !!job->request)
		return FETCH_URL;
	return transfer_url(job, url);
}

static void refuse(uint32_t id, enum fetch_reason reason)
{
	const struct job job = { .id = id };

	send_answer(&job, reason, -1);
}

static void take_fetch(uint32_t id, struct wire_reader *reader)
{
	struct job *job = self.n_waiting < MAX_QUEUE ? calloc(1, sizeof(*job)) : NULL;
	enum fetch_reason reason;

	if (!job) {
		refuse(id, self.n_waiting < MAX_QUEUE ? FETCH_RESOURCES : FETCH_BUSY);
		return;
	}
	job->id = id;
	job->body_fd = -1;
	reason = take_job(job, reader);
	if (reason != FETCH_OK) {
		refuse(id, reason);
		job_free(job);
		return;
	}
	TAILQ_INSERT_TAIL(&self.waiting, job, link);
	self.n_waiting++;
}

/* Returns false where there is nothing more now. */
static bool take_message(uint8_t buf[MAX_MESSAGE], struct wire_reader *ret_reader,
			 struct wire_head *ret_head)
{
	struct channel_fds fds;
	const char *wrong;
	ssize_t n = channel_recv(CHILD_BROKER_FD, buf, MAX_MESSAGE, &fds);

	if (n == -EAGAIN)
		return false;
	if (n <= 0)
		exit(0); /* its owner is gone */
	wrong = rules_open(ROUTE_OWNER_TO_FETCH, &self.begun, buf, (size_t)n, &fds, ret_reader,
			   ret_head);
	channel_close_fds(&fds);
	if (wrong)
		give_up(wrong);
	return true;
}

/* --- the loop --------------------------------------------------------------------------------- */

static void begin_waiting(void)
{
	struct job *job;

	while (self.n_running < MAX_JOBS && (job = TAILQ_FIRST(&self.waiting))) {
		TAILQ_REMOVE(&self.waiting, job, link);
		self.n_waiting--;
		TAILQ_INSERT_TAIL(&self.running, job, link);
		self.n_running++;
		job_hop(job);
	}
}

/* libcurl ends its transfers itself; the others are ended here. */
static int end_late(struct jobs *jobs, int wait_ms)
{
	struct job *job, *next;
	uint64_t now = now_ms();

	for (job = TAILQ_FIRST(jobs); job; job = next) {
		next = TAILQ_NEXT(job, link);
		if (job->state != JOB_WAITS && job->state != JOB_RESOLVES)
			continue;
		if (job->deadline_ms <= now)
			job_end(job, FETCH_TIME);
		else if (job->deadline_ms - now < (uint64_t)wait_ms)
			wait_ms = (int)(job->deadline_ms - now);
	}
	return wait_ms;
}

static void turn(void)
{
	struct curl_waitfd fds[MAX_FDS] = { { .fd = CHILD_BROKER_FD, .events = CURL_WAIT_POLLIN } };
	unsigned int n = 1 + resolve_fds(fds + 1, MAX_FDS - 1);
	uint8_t buf[MAX_MESSAGE];
	struct wire_reader reader;
	struct wire_head head;
	int wait_ms;

	wait_ms = end_late(&self.running, end_late(&self.waiting, WAIT_MS));
	transfer_wait(fds, n, resolve_wait_ms(wait_ms));
	resolve_run(fds + 1, n - 1);
	transfer_run();
	while (take_message(buf, &reader, &head))
		take_fetch(head.id, &reader);
	begin_waiting();
}

/* --- start ------------------------------------------------------------------------------------ */

static void allow(struct wire_reader *reader, char servers[MAX_SERVERS])
{
	char text[FETCH_MAX_HOSTS_TEXT + 1];
	struct attr attr;
	const char *at;
	int r;

	while ((r = wire_next(reader, &attr)) > 0) {
		if (attr.type == ATTR_FETCH_HOSTS && (!attr_text(&attr, text, sizeof(text)) ||
						      fetch_hosts_parse(&fetch_hosts, text, &at)))
			give_up("its list of hosts makes no sense");
		if (attr.type == ATTR_FETCH_DNS && !attr_text(&attr, servers, MAX_SERVERS))
			give_up("its list of name servers makes no sense");
	}
	if (r < 0)
		give_up("its first message is cut off");
}

static void wait_for_begin(char servers[MAX_SERVERS])
{
	struct pollfd pollfd = { .fd = CHILD_BROKER_FD, .events = POLLIN };
	uint8_t buf[MAX_MESSAGE];
	struct wire_reader reader;
	struct wire_head head;

	if (poll(&pollfd, 1, ALLOW_MS) != 1 || !take_message(buf, &reader, &head))
		give_up("nobody says what may be fetched");
	allow(&reader, servers);
}

int main(void)
{
	const struct rlimit files = { MAX_FILES, MAX_FILES };
	char servers[MAX_SERVERS] = "";
	int r;

	setrlimit(RLIMIT_NOFILE, &files);
	wait_for_begin(servers);
	r = resolve_open(servers[0] ? servers : NULL);
	if (r == 0)
		r = transfer_open();
	if (r == 0)
		r = process_confine(CONFINE_FETCH, process_id(PROCESS_UID),
				    process_id(PROCESS_GID));
	if (r < 0)
		give_up(strerror(-r));
	for (;;)
		turn();
}
