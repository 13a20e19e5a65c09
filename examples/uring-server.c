/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An echo server over io_uring whose TLS is the kernel's. Its handshakes are made by sluiced, of which it is a
 * worker; it has no TLS library, and of this project nothing but the header sluice/uring.h and the protocol
 * of docs/protocol.md. The profile should have `record_path: kernel`, as there is no other here.
 *
 *	uring-server /run/sluice/web.sock
 *
 * A connection receives, then sends what came, then receives again: one operation at a time, so that no
 * send is ever under way where keys change.
 */
#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include <sluice/uring.h>

#define AT_ONCE 256      /* connections that we have room for */
#define MAX_UPDATES 32   /* KeyUpdates of a peer in a row */
#define CLOSE_WAIT 5000  /* ms, for a peer that does not read */
#define ANSWER_WAIT 3000 /* ms, for the daemon's new keys */

/* docs/protocol.md: messages, then attributes. */
enum { ATTACH = 1, CREDIT = 2, ACK = 3, WELCOME = 16, CONNECTION = 17, REKEY = 32, REKEYED = 33 };
enum { ERROR = 1, COUNT = 6, SESSION = 32, ROLE = 34, VERSION = 35, RX_PATH = 46, TX_PATH = 47 };
enum { EARLY = 51, DIRECTION = 60 };
enum { KERNEL_PATH = 1, SERVER = 2, TLS13 = 0x0304, RX = 0, TX = 1 };

struct client {
	int fd;
	uint64_t session;
	enum { RECEIVING, SENDING, UPDATING, CLOSING } doing;
	struct sluice_uring_recv recv;
	struct sluice_uring_send send;
	struct sluice_uring_close close;
	struct sluice_uring_messages messages;
	unsigned int updates; /* of the peer, since its last data */
	size_t len, sent;     /* of @buf */
	uint8_t buf[16384];
};

static struct io_uring ring;
static int channel = -1, rekeys = -1, clients;

/* --- the protocol --------------------------------------------------------------------------- */

struct message {
	uint8_t bytes[65536];
	size_t len;
	int fd; /* that came with it, or is to go with it; -1: none */
};

static void begin(struct message *message, uint8_t type, uint32_t id)
{
	message->bytes[0] = 1; /* the version */
	message->bytes[1] = type;
	message->bytes[2] = message->bytes[3] = 0;
	id = htole32(id);
	memcpy(message->bytes + 4, &id, 4);
	message->len = 8;
	message->fd = -1;
}

static void add(struct message *message, uint16_t type, uint64_t value)
{
	const uint16_t head[2] = { htole16(type), htole16(8) };

	value = htole64(value);
	memcpy(message->bytes + message->len, head, 4);
	memcpy(message->bytes + message->len + 4, &value, 8);
	message->len += 12;
}

/* Returns where attribute @type is and its length, or NULL. The last counts. */
static const uint8_t *find(const struct message *message, uint16_t type, size_t *ret_len)
{
	const uint8_t *found = NULL;
	uint16_t head[2];
	size_t at = 8;

	while (at + 4 <= message->len) {
		memcpy(head, message->bytes + at, 4);
		at += 4;
		if (le16toh(head[1]) > message->len - at)
			break;
		if (le16toh(head[0]) == type) {
			found = message->bytes + at;
			*ret_len = le16toh(head[1]);
		}
		at += le16toh(head[1]);
	}
	return found;
}

static uint64_t number(const struct message *message, uint16_t type)
{
	size_t len = 0;
	const uint8_t *p = find(message, type, &len);
	uint64_t value = 0;

	while (p && len--)
		value = value << 8 | p[len];
	return value;
}

static int message_send(int socket, const struct message *message)
{
	struct iovec iov = { (void *)message->bytes, message->len };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (message->fd >= 0) {
		memcpy(CMSG_DATA(&control.head), &message->fd, sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Returns the message's type, 0 at the end, or -errno. */
static int message_recv(int socket, struct message *ret)
{
	struct iovec iov = { ret->bytes, sizeof(ret->bytes) };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n <= 0)
		return n < 0 ? -errno : 0;
	ret->len = (size_t)n;
	ret->fd = -1;
	if (CMSG_FIRSTHDR(&msg) && control.head.cmsg_type == SCM_RIGHTS)
		memcpy(&ret->fd, CMSG_DATA(&control.head), sizeof(int));
	return n < 8 || ret->bytes[0] != 1 ? -EPROTO : ret->bytes[1];
}

/* Waits for a message of @type. Returns 0 or -errno. */
static int await(int socket, int type, struct message *ret)
{
	struct pollfd pfd = { .fd = socket, .events = POLLIN };
	int r;

	if (poll(&pfd, 1, ANSWER_WAIT) != 1)
		return -ETIMEDOUT;
	r = message_recv(socket, ret);
	return r == type ? 0 : r < 0 ? r : -EPROTO;
}

static void credit(unsigned int count)
{
	struct message message;

	begin(&message, CREDIT, 0);
	add(&message, COUNT, count);
	message_send(channel, &message);
}

static int attach(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct message message;
	int r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (channel < 0 || connect(channel, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	begin(&message, ATTACH, 0);
	message_send(channel, &message); /* a refusal may be there already */
	r = await(channel, WELCOME, &message);
	rekeys = message.fd;
	if (r < 0 || rekeys < 0)
		return r < 0 ? r : -EPROTO;
	credit(AT_ONCE);
	return 0;
}

/*
 * The secrets of the next keys are the daemon's: it puts them into the socket. It answers within
 * microseconds; a server that cannot wait that long makes this an operation of the ring too.
 */
static int next_keys(const struct client *client, int direction)
{
	struct message message;
	int r;

	begin(&message, REKEY, 0);
	add(&message, SESSION, client->session);
	add(&message, DIRECTION, (uint64_t)direction);
	message.fd = client->fd;
	r = message_send(rekeys, &message);
	if (r == 0)
		r = await(rekeys, REKEYED, &message);
	return r < 0 ? r : number(&message, ERROR) ? -EKEYREJECTED : 0;
}

/* --- a connection --------------------------------------------------------------------------- */

static struct io_uring_sqe *next_sqe(void)
{
	if (io_uring_sq_space_left(&ring) < SLUICE_URING_CLOSE_SQES)
		io_uring_submit(&ring);
	return io_uring_get_sqe(&ring);
}

static void start(struct client *client, struct io_uring_sqe *sqe, int doing)
{
	io_uring_sqe_set_data(sqe, client);
	client->doing = doing;
}

static void receive(struct client *client)
{
	struct io_uring_sqe *sqe = next_sqe();

	sluice_uring_prep_recvmsg(sqe, client->fd, &client->recv, client->buf, sizeof(client->buf));
	start(client, sqe, RECEIVING);
}

static void send_rest(struct client *client)
{
	struct io_uring_sqe *sqe = next_sqe();

	sluice_uring_prep_send(sqe, client->fd, client->buf + client->sent,
			       client->len - client->sent, false);
	start(client, sqe, SENDING);
}

/* @alert: what the peer is told; -1: nothing, it has gone. */
static void finish(struct client *client, int alert)
{
	if (alert > 0)
		sluice_uring_clear_error(client->fd); /* it would come in place of the alert */
	if (io_uring_sq_space_left(&ring) < SLUICE_URING_CLOSE_SQES)
		io_uring_submit(&ring);
	sluice_uring_queue_close(&ring, client->fd, false, &client->close, alert, CLOSE_WAIT,
				 (uint64_t)(uintptr_t)client);
	client->doing = CLOSING;
}

/* The peer's new key is in force once this has returned 0. */
static int client_key_update(struct client *client, bool *ret_answer)
{
	if (++client->updates > MAX_UPDATES)
		return -EPROTO;
	*ret_answer |= client->messages.update_requested; /* several are answered once */
	return next_keys(client, RX);
}

/* RFC 8446, 4.6.3: before our next data. */
static void answer_update(struct client *client)
{
	struct io_uring_sqe *sqe = next_sqe();

	sluice_uring_prep_key_update(sqe, client->fd, &client->send, false);
	start(client, sqe, UPDATING);
}

static void client_control(struct client *client, struct sluice_uring_record *record)
{
	bool answer = false;

	for (;;) {
		switch (sluice_uring_next(&client->messages, record)) {
		case SLUICE_URING_NOTHING:
			if (answer)
				answer_update(client);
			else
				receive(client);
			return;
		case SLUICE_URING_WARNING:
			break;
		case SLUICE_URING_KEY_UPDATE:
			if (client_key_update(client, &answer) == 0)
				break;
			finish(client, SLUICE_URING_INTERNAL_ERROR);
			return;
		case SLUICE_URING_CLOSE_NOTIFY: /* all that came was sent back before */
			finish(client, SLUICE_URING_CLOSE_NOTIFY_ALERT);
			return;
		case SLUICE_URING_FATAL:
			finish(client, -1);
			return;
		case SLUICE_URING_REFUSE:
			finish(client, client->messages.alert);
			return;
		case SLUICE_URING_TICKET: /* none comes to a server */
		case SLUICE_URING_RENEGOTIATION:
			finish(client, SLUICE_URING_UNEXPECTED_MESSAGE);
			return;
		}
	}
}

static void client_received(struct client *client, int res)
{
	struct sluice_uring_record record;

	if (sluice_uring_is_data(&client->recv, res) && res) {
		client->updates = 0;
		client->len = (size_t)res;
		client->sent = 0;
		send_rest(client);
		return;
	}
	switch (sluice_uring_result(&client->recv, res, &record)) {
	case SLUICE_URING_DATA: /* an empty record */
	case SLUICE_URING_AGAIN:
		receive(client);
		break;
	case SLUICE_URING_CONTROL:
		client_control(client, &record);
		break;
	case SLUICE_URING_BAD_RECORD:
		finish(client, sluice_uring_alert_for(res));
		break;
	case SLUICE_URING_KEYS: /* keys that no whole KeyUpdate announced */
		finish(client, SLUICE_URING_UNEXPECTED_MESSAGE);
		break;
	default: /* cut off, or an error of the socket */
		finish(client, -1);
	}
}

static void client_sent(struct client *client, int res)
{
	if (res < 0 && sluice_uring_failed(res) != SLUICE_URING_AGAIN) {
		finish(client, -1);
		return;
	}
	client->sent += res > 0 ? (size_t)res : 0;
	if (client->sent < client->len)
		send_rest(client);
	else
		receive(client);
}

static void client_done(struct client *client, int res)
{
	switch (client->doing) {
	case RECEIVING:
		client_received(client, res);
		break;
	case SENDING:
		client_sent(client, res);
		break;
	case UPDATING: /* from here on the peer expects the new key */
		if (res < 0 || next_keys(client, TX) < 0)
			finish(client, -1);
		else
			receive(client);
		break;
	case CLOSING:
		free(client);
		clients--;
		credit(1);
		break;
	}
}

static struct client *client_new(const struct message *message)
{
	struct client *client = calloc(1, sizeof(*client));
	const uint8_t *early;

	if (!client)
		return NULL;
	client->fd = message->fd;
	client->session = number(message, SESSION);
	client->messages.tls13 = number(message, VERSION) == TLS13;
	client->messages.server = number(message, ROLE) == SERVER;
	early = find(message, EARLY, &client->len);
	if (client->len > sizeof(client->buf)) {
		free(client);
		return NULL;
	}
	if (early)
		memcpy(client->buf, early, client->len);
	return client;
}

/* The connection is ours once it is acknowledged. */
static void client_begin(const struct message *message)
{
	struct client *client = NULL;
	struct message ack;
	uint32_t id;

	memcpy(&id, message->bytes + 4, 4);
	begin(&ack, ACK, le32toh(id));
	message_send(channel, &ack);
	if (number(message, RX_PATH) == KERNEL_PATH && number(message, TX_PATH) == KERNEL_PATH)
		client = client_new(message);
	if (!client) {
		close(message->fd);
		credit(1);
		return;
	}
	clients++;
	if (client->len)
		send_rest(client);
	else
		receive(client);
}

/* --- the loop ------------------------------------------------------------------------------- */

static void watch_channel(void)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_poll_add(sqe, channel, POLLIN);
	io_uring_sqe_set_data(sqe, &channel);
}

static void channel_ready(void)
{
	static struct message message;
	int type;

	while ((type = message_recv(channel, &message)) > 0) {
		if (type == CONNECTION && message.fd >= 0)
			client_begin(&message);
		else if (message.fd >= 0)
			close(message.fd);
	}
	if (type == -EAGAIN) {
		watch_channel();
		return;
	}
	close(channel); /* the daemon is gone: what we have goes on */
	channel = -1;
}

static int serve(void)
{
	struct io_uring_cqe *cqe;
	void *data;
	int res, r;

	watch_channel();
	while (channel >= 0 || clients) {
		r = io_uring_submit_and_wait(&ring, 1);
		if (r < 0 && r != -EINTR && r != -EBUSY && r != -EAGAIN)
			return r;
		while (io_uring_peek_cqe(&ring, &cqe) == 0) {
			data = io_uring_cqe_get_data(cqe);
			res = cqe->res;
			io_uring_cqe_seen(&ring, cqe);
			if (data == &channel)
				channel_ready();
			else if (data) /* without: a step of a close */
				client_done(data, res);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sluice_uring_features features;
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: uring-server SOCKET\n");
		return 2;
	}
	r = sluice_uring_probe(&features);
	if (r == 0 && !(features.messages && features.close))
		r = -EOPNOTSUPP;
	if (r == 0)
		r = io_uring_queue_init(4 * AT_ONCE, &ring, 0);
	if (r < 0) {
		fprintf(stderr, "uring-server: io_uring: %s\n", strerror(-r));
		return 1;
	}
	r = attach(argv[1]);
	if (r == 0)
		r = serve();
	if (r < 0)
		fprintf(stderr, "uring-server: %s\n", strerror(-r));
	return r < 0;
}
