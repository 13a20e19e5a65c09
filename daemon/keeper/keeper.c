// SPDX-License-Identifier: Apache-2.0
/*
 * sluice-keeper: the only process that has private keys. It reads them from files that the broker opens
 * and nobody else reads, and from then on makes one private key operation for each handshake that the
 * broker has announced, in the form that TLS has for it. It knows no network; its memory is locked and
 * in no core; system calls that it does not need end it.
 */
#include <errno.h>
#include <poll.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bssl/signer.h"
#include "common/loop.h"
#include "common/permit.h"
#include "common/process.h"
#include "common/rules.h"
#include "core/secret.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/wire.h"
#include "keeper/keys.h"
#include "keeper/load.h"
#include "keeper/sign.h"

#define PERMITS_WINDOW (1 << 22) /* sessions that may begin while one waits */

/* struct client - a handshaker's channel. */
struct client {
	struct watch watch;
};

static struct keeper {
	struct loop loop;
	struct watch broker, loads;
	uint8_t *permit_key; /* PERMIT_KEY_LEN bytes */
	struct permits_used *used;
	uint8_t *buf; /* WIRE_MAX bytes; secret memory: passwords come in it */
} keeper;

/* --- permits -------------------------------------------------------------------------------- */

static void take_permit_key(struct wire_reader *reader)
{
	struct attr attr;

	while (wire_next(reader, &attr) == 1)
		if (attr.type == ATTR_PERMIT_KEY && attr.len == PERMIT_KEY_LEN)
			memcpy(keeper.permit_key, attr.bytes, PERMIT_KEY_LEN);
}

/* struct request - a MSG_SIGN. */
struct request {
	uint64_t session, algorithm;
	struct attr permit, key_id, input;
};

static bool is_permitted(const struct request *request, enum sluice_role *ret_role)
{
	return permit_read(request->permit.bytes, request->permit.len, keeper.permit_key,
			   request->session, loop_clock_ms(), ret_role) &&
	       permits_use(keeper.used, request->session);
}

/* --- the broker ----------------------------------------------------------------------------- */

static void client_ready(struct watch *watch, uint32_t events);

static void add_client(int fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client || fd < 0) {
		free(client);
		if (fd >= 0)
			close(fd);
		return;
	}
	client->watch = (struct watch){ .fd = fd, .ready = client_ready };
	if (loop_watch(&keeper.loop, &client->watch, EPOLLIN) < 0) {
		close(fd);
		free(client);
	}
}

/* A channel that is full of answers is read again: the broker is behind, and so are we. */
static void send_to_broker(int fd, const struct wire *wire)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	int r;

	while ((r = channel_send(fd, wire->buf, wire_end(wire), NULL, 0)) == -EAGAIN)
		poll(&pfd, 1, -1);
	if (r < 0)
		exit(0); /* the broker is gone */
}

static void answer_ping(uint32_t id)
{
	uint8_t buf[64];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_PONG, id);
	wire_put_u64(&wire, ATTR_COUNT, keys_count());
	send_to_broker(keeper.broker.fd, &wire);
}

static void take_broker_message(size_t len, struct channel_fds *fds)
{
	static bool begun;
	struct wire_reader reader;
	struct wire_head head;

	if (rules_open(ROUTE_BROKER_TO_KEEPER, &begun, keeper.buf, len, fds, &reader, &head))
		exit(1); /* not our broker */
	switch (head.type) {
	case MSG_PERMIT_KEY:
		take_permit_key(&reader);
		break;
	case MSG_CHANNEL:
		add_client(channel_take_fd(fds));
		break;
	case MSG_PING:
		answer_ping(head.id);
		break;
	}
}

static void broker_ready(struct watch *watch, uint32_t events)
{
	struct channel_fds fds;
	ssize_t n;

	while ((n = channel_recv(keeper.broker.fd, keeper.buf, WIRE_MAX, &fds)) > 0) {
		take_broker_message((size_t)n, &fds);
		channel_close_fds(&fds);
		secret_wipe(keeper.buf, (size_t)n);
	}
	if (n == 0 || (n != -EAGAIN && n != -EMSGSIZE))
		exit(0); /* the broker is gone */
}

static void unload(struct wire_reader *reader)
{
	struct attr attr;

	while (wire_next(reader, &attr) == 1)
		if (attr.type == ATTR_KEY_ID && attr.len == KEY_ID_LEN)
			keys_drop(attr.bytes);
}

/* One key at a time, so that handshakes that want a signature do not wait for all of a reload. */
static void loads_ready(struct watch *watch, uint32_t events)
{
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	struct wire wire;
	ssize_t n = channel_recv(watch->fd, keeper.buf, WIRE_MAX, &fds);

	if (n == -EAGAIN || n == -EMSGSIZE)
		return;
	if (n <= 0)
		exit(0);
	if (rules_open(ROUTE_BROKER_TO_KEEPER, NULL, keeper.buf, (size_t)n, &fds, &reader, &head))
		exit(1);
	if (head.type == MSG_LOAD) {
		wire = (struct wire){ .buf = keeper.buf };
		load_pair(&wire, head.id, reader, &fds);
		send_to_broker(watch->fd, &wire);
	} else if (head.type == MSG_UNLOAD) {
		unload(&reader);
	}
	channel_close_fds(&fds);
	secret_wipe(keeper.buf, (size_t)n);
}

/* --- handshakers ---------------------------------------------------------------------------- */

static bool read_request(struct wire_reader *reader, struct request *request)
{
	struct attr attr;
	int r;

	*request = (struct request){ 0 };
	while ((r = wire_next(reader, &attr)) == 1) {
		if (attr.type == ATTR_SESSION && !attr_u64(&attr, &request->session))
			return false;
		if (attr.type == ATTR_ALGORITHM && !attr_u64(&attr, &request->algorithm))
			return false;
		if (attr.type == ATTR_PERMIT)
			request->permit = attr;
		if (attr.type == ATTR_KEY_ID)
			request->key_id = attr;
		if (attr.type == ATTR_INPUT)
			request->input = attr;
	}
	return r == 0 && request->key_id.len == KEY_ID_LEN && request->input.len &&
	       request->input.len <= SIGNER_MAX_INPUT && request->algorithm <= UINT16_MAX;
}

/* The answer to a refusal has no output: nothing more is said to who asks for what it may not. */
static void answer(struct client *client, uint32_t id, const struct request *request)
{
	uint8_t out[SIGNER_MAX_OUTPUT], buf[SIGNER_MAX_OUTPUT + 64];
	uint16_t algorithm = (uint16_t)request->algorithm;
	EVP_PKEY *key = keys_find(request->key_id.bytes);
	enum sluice_role role;
	struct wire wire;
	size_t len = 0;

	if (is_permitted(request, &role) && key &&
	    sign_allowed(role, algorithm, request->input.bytes, request->input.len))
		len = sign_make(key, algorithm, request->input.bytes, request->input.len, out,
				sizeof(out));
	wire_begin(&wire, buf, sizeof(buf), MSG_SIGNED, id);
	if (len)
		wire_put(&wire, ATTR_OUTPUT, out, len);
	channel_send(client->watch.fd, buf, wire_end(&wire), NULL, 0);
	secret_wipe(out, sizeof(out));
	secret_wipe(buf, sizeof(buf));
}

static void drop_client(struct client *client)
{
	loop_forget(&keeper.loop, &client->watch);
	close(client->watch.fd);
	free(client);
}

static void client_ready(struct watch *watch, uint32_t events)
{
	struct client *client = (struct client *)watch;
	uint8_t buf[SIGNER_MAX_INPUT + 256];
	struct request request;
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	ssize_t n = channel_recv(watch->fd, buf, sizeof(buf), &fds);

	if (n == -EAGAIN)
		return;
	if (n <= 0 ||
	    rules_open(ROUTE_HANDSHAKER_TO_KEEPER, NULL, buf, (size_t)n, &fds, &reader, &head) ||
	    !read_request(&reader, &request)) {
		channel_close_fds(&fds);
		drop_client(client);
		return;
	}
	answer(client, head.id, &request);
}

static void no_tick(struct loop *loop, void *arg)
{
}

int main(void)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int r = loop_init(&keeper.loop, no_tick, NULL);

	/* Parsed keys are on BoringSSL's heap. Without the limit a later mmap(2) would fail. */
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0)
		mlockall(MCL_CURRENT | MCL_FUTURE);
	keeper.loop.quiet = true;
	keeper.buf = wire_buffer_new();
	keeper.permit_key = secret_new(PERMIT_KEY_LEN);
	keeper.used = permits_used_new(PERMITS_WINDOW);
	if (r == 0 && (!keeper.buf || !keeper.permit_key || !keeper.used))
		r = -ENOMEM;
	keeper.broker = (struct watch){ .fd = CHILD_BROKER_FD, .ready = broker_ready };
	if (r == 0)
		r = loop_watch(&keeper.loop, &keeper.broker, EPOLLIN);
	keeper.loads = (struct watch){ .fd = CHILD_LOADS_FD, .ready = loads_ready };
	if (r == 0)
		r = loop_watch(&keeper.loop, &keeper.loads, EPOLLIN);
	if (r == 0)
		r = process_confine(CONFINE_KEEPER, process_id(PROCESS_UID),
				    process_id(PROCESS_GID));
	if (r == 0)
		r = loop_run(&keeper.loop);
	fprintf(stderr, "sluice-keeper: %s\n", strerror(-r));
	return 1;
}
