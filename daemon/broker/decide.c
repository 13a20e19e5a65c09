// SPDX-License-Identifier: Apache-2.0
#include "broker/decide.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <json-c/json.h>
#include <sluice/sluice.h>

#include "broker/admin.h"
#include "broker/broker.h"
#include "common/decision.h"
#include "handover/messages.h"

#define SMALL_LEN 256
#define HEAD_LEN 1024
#define MAX_OUT (4 << 20) /* bytes that a service has not read */
#define FIRST_BACKOFF_MS 100
#define MAX_BACKOFF_MS 5000

/* struct question - one that waits for its answer. */
struct question {
	TAILQ_ENTRY(question) in_decider;
	struct decider *decider;
	struct session *session;
	uint64_t number, deadline_ms;
	uint32_t id; /* the handshaker's */
};

/* struct decider - a service of the configuration, connected or not. */
struct decider {
	struct watch watch;
	LIST_ENTRY(decider) all;
	struct broker *broker;
	uint64_t service; /* decision_service_id() */
	char *path;
	unsigned int timeout_ms, max;
	TAILQ_HEAD(, question) questions; /* the oldest first, which is due first */
	size_t n;
	uint64_t last; /* question's number */
	uint64_t retry_ms;
	unsigned int n_failed;  /* connections, one after the other */
	unsigned int n_unasked; /* answers to no question, one after the other */
	char *out;              /* what waits to be read by it */
	size_t out_len, out_size;
	size_t in_len;
	char in[DECISION_MAX_ANSWER + 1];
};

/* --- answers ---------------------------------------------------------------------------------- */

static void tell_handshaker(const struct question *question, int reason)
{
	const struct session *session = question->session;
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	if (!session->handshaker)
		return;
	wire_begin(&wire, buf, sizeof(buf), MSG_DECIDED, question->id);
	wire_put_u64(&wire, ATTR_SESSION, session->id);
	wire_put_u64(&wire, ATTR_REASON, (uint64_t)reason);
	/* One that does not keep up finds out by time, and refuses. */
	channel_send(session->handshaker->watch.fd, buf, wire_end(&wire), NULL, 0);
}

static void question_free(struct question *question)
{
	TAILQ_REMOVE(&question->decider->questions, question, in_decider);
	question->decider->n--;
	question->session->question = NULL;
	free(question);
}

/* Nobody has decided: @text says why. */
static void fail_session(struct session *session, const char *text)
{
	free(session->decided.text);
	session->decided.text = strdup(text);
	session->decided.refused = true;
}

static void fail_question(struct question *question, const char *text)
{
	fail_session(question->session, text);
	tell_handshaker(question, SLUICE_BAD_CERT_UNDECIDED);
	question_free(question);
}

static char *copy(const char *text, bool *good)
{
	char *copied = *text ? strdup(text) : NULL;

	*good = *good && (copied || !*text);
	return copied;
}

static void settle(struct question *question, const struct decision *decision)
{
	struct decided *decided = &question->session->decided;
	bool good = true;

	decided->text = copy(decision->reason, &good);
	decided->identity = copy(decision->identity, &good);
	decided->attributes = copy(decision->attributes, &good);
	if (!good) {
		fail_question(question, "no memory for the answer of the decision service");
		return;
	}
	decided->refused = !decision->accepted;
	tell_handshaker(question, decision->accepted ? 0 : SLUICE_BAD_CERT_DENIED);
	question_free(question);
}

/* --- the connection --------------------------------------------------------------------------- */

/* It is gone, or not what it should be: whoever waits for it has no answer. */
static void disconnect(struct decider *decider, const char *why)
{
	struct broker *broker = decider->broker;
	struct question *question;
	char text[300];

	snprintf(text, sizeof(text), "the decision service at %s: %s", decider->path, why);
	log_line(broker, CONFIG_LOG_WARNING, "%s", text);
	if (decider->watch.fd >= 0) {
		loop_forget(&broker->loop, &decider->watch);
		close(decider->watch.fd);
	}
	decider->watch.fd = -1;
	decider->out_len = decider->in_len = 0;
	decider->n_unasked = 0;
	decider->retry_ms = broker->loop.now_ms + (FIRST_BACKOFF_MS << decider->n_failed);
	if (decider->retry_ms > broker->loop.now_ms + MAX_BACKOFF_MS)
		decider->retry_ms = broker->loop.now_ms + MAX_BACKOFF_MS;
	else
		decider->n_failed++;
	while ((question = TAILQ_FIRST(&decider->questions)))
		fail_question(question, text);
}

/* Returns false: the connection has ended. */
static bool flush(struct decider *decider)
{
	ssize_t n;

	while (decider->out_len) {
		n = send(decider->watch.fd, decider->out, decider->out_len,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0) {
			disconnect(decider, strerror(errno));
			return false;
		}
		decider->out_len -= (size_t)n;
		memmove(decider->out, decider->out + n, decider->out_len);
	}
	if (loop_watch(&decider->broker->loop, &decider->watch,
		       EPOLLIN | (decider->out_len ? EPOLLOUT : 0)) == 0)
		return true;
	disconnect(decider, "no memory to watch it");
	return false;
}

/*
 * Answers to what is not asked any more, or never was, are passed over: as many as there may be questions.
 * Returns false: the connection has ended.
 */
static bool take_answer(struct decider *decider, const struct decision *decision)
{
	struct question *question;

	TAILQ_FOREACH(question, &decider->questions, in_decider)
	if (question->number >= decision->question)
		break;
	if (question && question->number == decision->question) {
		decider->n_failed = decider->n_unasked = 0;
		settle(question, decision);
		return true;
	}
	if (!decider->n_unasked)
		log_line(decider->broker, CONFIG_LOG_DEBUG,
			 "the decision service at %s answers what it is not asked", decider->path);
	if (decider->n_unasked++ < decider->max)
		return true;
	disconnect(decider, "it answers what it is not asked");
	return false;
}

static void take_lines(struct decider *decider)
{
	struct decision decision;
	size_t len, at = 0;
	const char *wrong;
	char *end;

	while ((end = memchr(decider->in + at, '\n', decider->in_len - at))) {
		len = (size_t)(end - decider->in) - at;
		wrong = decision_parse(&decision, decider->in + at, len);
		if (wrong) {
			disconnect(decider, wrong);
			return;
		}
		if (!take_answer(decider, &decision))
			return;
		at += len + 1;
	}
	decider->in_len -= at;
	memmove(decider->in, decider->in + at, decider->in_len);
	if (decider->in_len == sizeof(decider->in))
		disconnect(decider, "its line is too long");
}

static void decider_ready(struct watch *watch, uint32_t events)
{
	struct decider *decider = (struct decider *)watch;
	ssize_t n;

	if ((events & EPOLLOUT) && !flush(decider))
		return;
	/* Once: others have a turn before it is read again. */
	n = recv(watch->fd, decider->in + decider->in_len, sizeof(decider->in) - decider->in_len,
		 MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) {
		disconnect(decider, n ? strerror(errno) : "it has closed the connection");
		return;
	}
	decider->in_len += (size_t)n;
	take_lines(decider);
}

/* A local socket is connected at once, or its queue is full. Returns false: there is no service. */
static bool connected(struct decider *decider)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct broker *broker = decider->broker;
	int fd;

	if (decider->watch.fd >= 0)
		return true;
	if (broker->loop.now_ms < decider->retry_ms)
		return false;
	strncpy(addr.sun_path, decider->path, sizeof(addr.sun_path) - 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	decider->watch.fd = fd;
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	    loop_watch(&broker->loop, &decider->watch, EPOLLIN) == 0)
		return true;
	disconnect(decider, strerror(errno));
	return false;
}

/* --- questions -------------------------------------------------------------------------------- */

/* Whose connection it is: the broker's part of the line. Returns its length, 0: no memory. */
static size_t write_head(char head[HEAD_LEN], const struct broker *broker,
			 const struct question *question)
{
	const struct session *session = question->session;
	struct json_object *object = json_object_new_object();
	const char *text, *listener, *pool;
	size_t len = 0;

	admin_names(broker, session, &listener, &pool);
	put_number(object, "question", question->number);
	put_number(object, "session", session->id);
	put_text(object, "role", session->role == SLUICE_CLIENT ? "client" : "server");
	put_text(object, "listener", listener);
	put_address(object, "peer", session_source(session));
	put_address(object, "local", session_destination(session));
	text = object ? json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN) : NULL;
	if (text && strlen(text) < HEAD_LEN) {
		len = strlen(text) - 1; /* it goes on */
		memcpy(head, text, len);
	}
	json_object_put(object);
	return len;
}

static bool reserve(struct decider *decider, size_t len)
{
	size_t size = decider->out_size ? decider->out_size : 65536;
	char *out;

	if (len > MAX_OUT - decider->out_len)
		return false;
	while (size < decider->out_len + len)
		size *= 2;
	if (size == decider->out_size)
		return true;
	out = realloc(decider->out, size);
	if (!out)
		return false;
	decider->out = out;
	decider->out_size = size;
	return true;
}

static void append(struct decider *decider, const void *bytes, size_t len)
{
	memcpy(decider->out + decider->out_len, bytes, len);
	decider->out_len += len;
}

/* A line: the broker's object, with the handshaker's as its last member. */
static bool write_line(struct decider *decider, const struct question *question,
		       const struct attr *body)
{
	static const char member[] = ",\"tls\":";
	char head[HEAD_LEN];
	size_t len = write_head(head, decider->broker, question);

	if (!len || !reserve(decider, len + sizeof(member) + body->len + 2))
		return false;
	append(decider, head, len);
	append(decider, member, sizeof(member) - 1);
	append(decider, body->bytes, body->len);
	append(decider, "}\n", 2);
	return true;
}

static struct question *question_new(struct decider *decider, struct session *session, uint32_t id)
{
	struct question *question = calloc(1, sizeof(*question));

	if (!question)
		return NULL;
	question->decider = decider;
	question->session = session;
	question->number = ++decider->last;
	question->deadline_ms = decider->broker->loop.now_ms + decider->timeout_ms;
	question->id = id;
	session->question = question;
	TAILQ_INSERT_TAIL(&decider->questions, question, in_decider);
	decider->n++;
	return question;
}

/* Returns why nobody decides, or NULL: it is asked. */
static const char *ask(struct decider *decider, struct session *session, uint32_t id,
		       const struct attr *body)
{
	struct question *question;

	if (!decider)
		return "the configuration does not have its decision service any more";
	if (decider->n >= decider->max)
		return "the decision service has too many questions open";
	if (!connected(decider))
		return "there is no decision service";
	question = question_new(decider, session, id);
	if (!question)
		return "no memory for a question";
	if (!write_line(decider, question, body)) {
		question_free(question);
		return "the decision service does not read, or there is no memory";
	}
	flush(decider); /* or everything that is open has failed */
	return NULL;
}

/* --- services --------------------------------------------------------------------------------- */

static bool has_service(const struct config_verify *verify, uint64_t service)
{
	return verify->path &&
	       decision_service_id(verify->path, verify->timeout_ms, verify->questions) == service;
}

static const struct config_verify *find_configured(const struct config *config, uint64_t service)
{
	const struct config_profile *profile;
	size_t i, j;

	for (i = 0; i < config->n_profiles; i++) {
		profile = &config->profiles[i];
		if (has_service(&profile->verify, service))
			return &profile->verify;
		for (j = 0; j < profile->n_hosts; j++)
			if (has_service(&profile->hosts[j].verify, service))
				return &profile->hosts[j].verify;
	}
	return NULL;
}

/* A handshaker chooses among those of the configuration, and no path. */
static struct decider *find(struct broker *broker, uint64_t service)
{
	const struct config_verify *verify;
	struct decider *decider;

	LIST_FOREACH(decider, &broker->deciders, all)
	if (decider->service == service)
		return decider;
	verify = find_configured(broker->config, service);
	decider = verify ? calloc(1, sizeof(*decider)) : NULL;
	if (!decider)
		return NULL;
	decider->path = strdup(verify->path);
	if (!decider->path) {
		free(decider);
		return NULL;
	}
	decider->watch = (struct watch){ .fd = -1, .ready = decider_ready };
	decider->broker = broker;
	decider->service = service;
	decider->timeout_ms = verify->timeout_ms;
	decider->max = verify->questions;
	TAILQ_INIT(&decider->questions);
	LIST_INSERT_HEAD(&broker->deciders, decider, all);
	return decider;
}

static void decider_free(struct decider *decider)
{
	struct question *question;

	while ((question = TAILQ_FIRST(&decider->questions)))
		fail_question(question,
			      "the configuration does not have its decision service any more");
	if (decider->watch.fd >= 0) {
		loop_forget(&decider->broker->loop, &decider->watch);
		close(decider->watch.fd);
	}
	LIST_REMOVE(decider, all);
	free(decider->path);
	free(decider->out);
	free(decider);
}

/* --- from outside ----------------------------------------------------------------------------- */

const char *decide_ask(struct broker *broker, struct session *session, uint32_t id,
		       struct wire_reader reader)
{
	struct question unasked = { .session = session, .id = id };
	struct attr attr, body = { 0 };
	uint64_t service = 0;
	const char *why;

	while (wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_SERVICE)
			attr_u64(&attr, &service);
		else if (attr.type == ATTR_QUESTION)
			body = attr;
	}
	if (session->asked)
		return "a second question about a peer";
	/* What became two members, or two lines, would be asked in another session's name. */
	if (body.len > DECISION_MAX_BODY || !decision_is_object(body.bytes, body.len))
		return "a question that is none";
	session->asked = true;
	why = ask(find(broker, service), session, id, &body);
	if (!why)
		return NULL;
	fail_session(session, why);
	tell_handshaker(&unasked, SLUICE_BAD_CERT_UNDECIDED);
	return NULL;
}

void decide_forget(struct session *session)
{
	if (session->question)
		question_free(session->question);
	free(session->decided.text);
	free(session->decided.identity);
	free(session->decided.attributes);
	session->decided = (struct decided){ 0 };
}

void decide_tick(struct broker *broker)
{
	struct question *question;
	struct decider *decider;

	LIST_FOREACH(decider, &broker->deciders, all)
	while ((question = TAILQ_FIRST(&decider->questions)) &&
	       question->deadline_ms <= broker->loop.now_ms)
		fail_question(question, "the decision service did not answer in time");
}

void decide_reloaded(struct broker *broker)
{
	struct decider *decider = LIST_FIRST(&broker->deciders), *next;

	for (; decider; decider = next) {
		next = LIST_NEXT(decider, all);
		if (!find_configured(broker->config, decider->service))
			decider_free(decider);
	}
}

void decide_close(struct broker *broker)
{
	while (!LIST_EMPTY(&broker->deciders))
		decider_free(LIST_FIRST(&broker->deciders));
}
