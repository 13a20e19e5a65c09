// SPDX-License-Identifier: Apache-2.0
/*
 * A program's end of a service: sockets go to the daemon, answers come in any order. docs/protocol.md.
 */
#include <sluice/via.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "core/error.h"
#include "core/secret.h"
#include "core/sys.h"
#include "handover/channel.h"
#include "handover/link.h"
#include "handover/messages.h"
#include "handover/state.h"

#define REQUEST_LEN 1024

/* struct pending - an upgrade from its request to who is told of its end. */
struct pending {
	TAILQ_ENTRY(pending) entry;
	uint32_t id;
	int fd; /* the caller's */
	bool done;
	struct sluice_conn *conn; /* done: NULL if it failed */
	struct sluice_error err;
};

struct sluice_via {
	struct sluice *sluice;
	struct link *link;
	struct sluice_profile *profile; /* of the last connection */
	int fd;
	uint32_t last_id;
	uint8_t *buf; /* wire_buffer_new() */
	TAILQ_HEAD(, pending) pending;
};

/* --- the object ---------------------------------------------------------------------------- */

int sluice_via_open(struct sluice *sluice, const char *path, struct sluice_via **ret_via,
		    struct sluice_error *ret_err)
{
	struct sluice_via *via = calloc(1, sizeof(*via));
	int r;

	err_clear(ret_err);
	if (!via)
		return err_set(ret_err, SLUICE_E_NOMEM, "attaching to a service");
	via->sluice = sluice_ref(sluice);
	via->fd = -1;
	via->link = worker_link_new(path);
	via->buf = wire_buffer_new();
	TAILQ_INIT(&via->pending);
	if (via->link && via->buf)
		r = via->fd = worker_link_attach(via->link, ret_err);
	else
		r = err_set(ret_err, SLUICE_E_NOMEM, "attaching to a service");
	if (r < 0) {
		sluice_via_free(via);
		return r;
	}
	*ret_via = via;
	return 0;
}

static void pending_free(struct sluice_via *via, struct pending *pending)
{
	TAILQ_REMOVE(&via->pending, pending, entry);
	free(pending);
}

/* What nobody asked for any more: its socket stays the caller's. */
static void forget(struct sluice_via *via, struct pending *pending)
{
	if (pending->conn) {
		pending->conn->fd = -1;
		conn_free(pending->conn);
	}
	pending_free(via, pending);
}

struct sluice_via *sluice_via_free(struct sluice_via *via)
{
	struct pending *pending;

	if (!via)
		return NULL;
	while ((pending = TAILQ_FIRST(&via->pending)))
		forget(via, pending);
	if (via->fd >= 0)
		sys->close(via->fd);
	worker_link_unref(via->link);
	wire_buffer_free(via->buf);
	sluice_profile_unref(via->profile);
	sluice_unref(via->sluice);
	free(via);
	return NULL;
}

int sluice_via_fd(const struct sluice_via *via)
{
	return via->fd;
}

/* --- asking -------------------------------------------------------------------------------- */

static int check(const struct sluice_upgrade *upgrade, struct sluice_error *err)
{
	if (upgrade->size < sizeof(*upgrade) || !upgrade->profile ||
	    (upgrade->role != SLUICE_CLIENT && upgrade->role != SLUICE_SERVER))
		return err_set(err, SLUICE_E_INVALID, "an upgrade has a role and a profile");
	return 0;
}

static int send_request(const struct sluice_via *via, const struct pending *pending,
			const struct sluice_upgrade *upgrade, uint64_t deadline)
{
	uint8_t buf[REQUEST_LEN];
	struct wire wire;
	int r;

	wire_begin(&wire, buf, sizeof(buf), MSG_UPGRADE, pending->id);
	wire_put_u64(&wire, ATTR_ROLE, (uint64_t)upgrade->role);
	wire_put_text(&wire, ATTR_NAME, upgrade->profile);
	wire_put_text(&wire, ATTR_HOST, upgrade->host);
	wire_put_text(&wire, ATTR_ALPN, upgrade->alpn);
	if (!wire_end(&wire))
		return -SLUICE_E_INVALID;
	do {
		r = channel_send(via->fd, buf, wire_end(&wire), &pending->fd, 1);
	} while (r == -EAGAIN && worker_link_wait(via->fd, POLLOUT, timeout_until(deadline)) == 0);
	if (r == -EAGAIN)
		return -SLUICE_E_AGAIN;
	if (r == -EPIPE || r == -ECONNRESET)
		return -SLUICE_E_CLOSED;
	return r == -EBADF ? -SLUICE_E_INVALID : r < 0 ? -SLUICE_E_IO : 0;
}

static int ask(struct sluice_via *via, int fd, const struct sluice_upgrade *upgrade,
	       uint64_t deadline, struct pending **ret_pending, struct sluice_error *err)
{
	struct pending *pending = calloc(1, sizeof(*pending));
	int r;

	if (!pending)
		return err_set(err, SLUICE_E_NOMEM, "asking for an upgrade");
	pending->id = ++via->last_id;
	pending->fd = fd;
	r = send_request(via, pending, upgrade, deadline);
	if (r < 0) {
		free(pending);
		return err_set(err, -r, "asking for an upgrade: %s", sluice_strerror(r));
	}
	TAILQ_INSERT_TAIL(&via->pending, pending, entry);
	*ret_pending = pending;
	return 0;
}

/* --- answers ------------------------------------------------------------------------------- */

/* What an answer says of failure; code 0: nothing. */
static void read_error(struct sluice_error *err, struct wire_reader reader)
{
	uint64_t value, code = 0, alert = UINT64_MAX, sent = 0, stage = 0;
	char text[sizeof(err->text)] = "";
	struct attr attr;

	while (wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_TEXT)
			attr_text(&attr, text, sizeof(text));
		else if (!attr_u64(&attr, &value))
			continue;
		else if (attr.type == ATTR_ERROR)
			code = value;
		else if (attr.type == ATTR_ALERT)
			alert = value;
		else if (attr.type == ATTR_ALERT_SENT)
			sent = value;
		else if (attr.type == ATTR_STAGE)
			stage = value;
	}
	err_clear(err);
	if (!code)
		return;
	err_set(err, code <= INT8_MAX ? (int)code : SLUICE_E_INTERNAL, "%s", text);
	err->alert = alert <= UINT8_MAX ? (int)alert : -1;
	err->alert_sent = sent == 1;
	err->stage = stage < SLUICE_STAGES ? (int)stage : SLUICE_STAGE_NONE;
}

static uint64_t session_of(struct wire_reader reader)
{
	struct attr attr;
	uint64_t session;

	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_SESSION && attr_u64(&attr, &session))
			return session;
	return 0;
}

static void finish(struct sluice_via *via, struct pending *pending, struct wire_reader reader)
{
	uint64_t session = session_of(reader);
	int r;

	pending->done = true;
	read_error(&pending->err, reader);
	if (pending->err.code)
		return;
	r = state_read(&pending->conn, via->sluice, &via->profile, &reader, pending->fd);
	if (r == 0) {
		pending->conn->session_id = session;
		r = worker_link_add(via->link, pending->conn);
		if (r == 0)
			return;
		pending->conn->fd = -1; /* stays the program's */
		conn_free(pending->conn);
	}
	pending->conn = NULL;
	err_set(&pending->err, -r, "taking the connection: %s", sluice_strerror(r));
}

static void lose_all(struct sluice_via *via)
{
	struct pending *pending;

	TAILQ_FOREACH(pending, &via->pending, entry)
	if (!pending->done) {
		pending->done = true;
		err_clear(&pending->err);
		err_set(&pending->err, SLUICE_E_CLOSED, "the daemon is gone");
	}
}

/* One message. The socket that comes with it is the one that the caller has. */
static int take_one(struct sluice_via *via)
{
	struct pending *pending;
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	ssize_t n = channel_recv(via->fd, via->buf, WIRE_MAX, &fds);

	if (n == -EAGAIN)
		return -SLUICE_E_AGAIN;
	if (n > 0)
		channel_close_fds(&fds);
	if (n <= 0 || !wire_open(&reader, via->buf, (size_t)n, &head) ||
	    head.type != MSG_UPGRADED) {
		lose_all(via);
		return -SLUICE_E_CLOSED;
	}
	TAILQ_FOREACH(pending, &via->pending, entry)
	if (pending->id == head.id && !pending->done) {
		finish(via, pending, reader);
		break;
	}
	secret_wipe(via->buf, (size_t)n);
	return 0;
}

/* Until @wanted, or any if it is NULL, is done. */
static int await(struct sluice_via *via, const struct pending *wanted, int timeout_ms,
		 uint64_t deadline, struct pending **ret_pending)
{
	struct pending *pending;
	int r;

	for (;;) {
		TAILQ_FOREACH(pending, &via->pending, entry)
		if (pending->done && (!wanted || pending == wanted)) {
			*ret_pending = pending;
			return 0;
		}
		r = take_one(via);
		if (r == -SLUICE_E_CLOSED && TAILQ_EMPTY(&via->pending))
			return r;
		if (r != -SLUICE_E_AGAIN)
			continue;
		if (timeout_ms == SLUICE_NOWAIT)
			return r;
		if (worker_link_wait(via->fd, POLLIN, timeout_until(deadline)) < 0)
			return -SLUICE_E_TIMEOUT;
	}
}

static int tell(struct sluice_via *via, struct pending *pending, struct sluice_conn **ret_conn,
		struct sluice_error *ret_err)
{
	int r = -pending->err.code;

	if (r < 0 && ret_err)
		*ret_err = pending->err;
	if (r == 0)
		*ret_conn = pending->conn;
	pending_free(via, pending);
	return r;
}

int sluice_upgrade_via(struct sluice_via *via, int fd, const struct sluice_upgrade *upgrade,
		       int timeout_ms, struct sluice_conn **ret_conn, struct sluice_error *ret_err)
{
	uint64_t deadline = deadline_from(timeout_ms);
	struct pending *pending = NULL;
	int r;

	err_clear(ret_err);
	r = check(upgrade, ret_err);
	if (r == 0)
		r = ask(via, fd, upgrade, deadline, &pending, ret_err);
	if (r < 0)
		return r;
	r = await(via, pending, timeout_ms, deadline, &pending);
	return r < 0 ? r : tell(via, pending, ret_conn, ret_err);
}

int sluice_via_next(struct sluice_via *via, int timeout_ms, int *ret_fd,
		    struct sluice_conn **ret_conn, struct sluice_error *ret_err)
{
	struct pending *pending;
	int r;

	err_clear(ret_err);
	*ret_fd = -1;
	r = await(via, NULL, timeout_ms, deadline_from(timeout_ms), &pending);
	if (r < 0)
		return r;
	*ret_fd = pending->fd;
	return tell(via, pending, ret_conn, ret_err);
}
