// SPDX-License-Identifier: Apache-2.0
/*
 * The plain workers: who attaches, who has room, what they say. It is the broker's end of the same
 * protocol (docs/protocol.md), less what belongs to keys.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/offer.h"
#include "common/rules.h"
#include "handover/messages.h"
#include "relay/relay.h"

#define SMALL_LEN 512
#define MAX_PLAINS 1024

/* --- giving ----------------------------------------------------------------------------------- */

static bool has_room(const struct plain *plain)
{
	return plain->attached && !plain->draining && plain->credits;
}

uint64_t plain_credits(const struct relay *relay)
{
	const struct plain *plain;
	uint64_t n = 0;

	if (relay->backends.n)
		return UINT64_MAX; /* as many as there are descriptors for */
	LIST_FOREACH(plain, &relay->plains, in_relay)
	if (has_room(plain))
		n += plain->credits;
	return n;
}

static struct plain *choose(const struct relay *relay)
{
	struct plain *plain, *best = NULL;

	LIST_FOREACH(plain, &relay->plains, in_relay)
	{
		if (has_room(plain) && !plain->full && (!best || plain->n_links < best->n_links))
			best = plain;
	}
	return best;
}

static void offer(struct link *link, struct plain *plain)
{
	struct relay *relay = plain->relay;
	int r = link_pair(link);

	if (r == 0)
		r = channel_send(plain->watch.fd, link->message, link->message_len,
				 &link->their_end, 1);
	if (r < 0) {
		plain->full = true;
		return;
	}
	close(link->their_end);
	link->their_end = -1;
	TAILQ_REMOVE(&relay->waiting, link, entry);
	relay->n_waiting--;
	link->state = LINK_OFFERED;
	link->plain = plain;
	LIST_INSERT_HEAD(&plain->links, link, of_owner);
	plain->n_links++;
	plain->credits--;
}

void plain_serve(struct relay *relay)
{
	struct plain *plain;
	struct link *link;

	while ((link = TAILQ_FIRST(&relay->waiting)) && (plain = choose(relay)))
		offer(link, plain);
	upstream_balance(relay);
}

void plain_tick(struct relay *relay)
{
	struct plain *plain;

	if (relay->offer_pausing && relay->offer.fd >= 0)
		loop_watch(&relay->loop, &relay->offer, EPOLLIN);
	relay->offer_pausing = false;
	if (TAILQ_EMPTY(&relay->waiting))
		return;
	LIST_FOREACH(plain, &relay->plains, in_relay)
	plain->full = false;
	plain_serve(relay);
}

void plain_tell_ended(struct link *link, int code, const char *text)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	if (!link->plain)
		return;
	wire_begin(&wire, buf, sizeof(buf), MSG_ENDED, link->id);
	wire_put_u64(&wire, ATTR_SESSION, link->session);
	wire_put_u64(&wire, ATTR_ERROR, (uint64_t)-code);
	wire_put_text(&wire, ATTR_TEXT, text);
	/* It says more than the pair does; one that does not read it has that. */
	channel_send(link->plain->watch.fd, buf, wire_end(&wire), NULL, 0);
}

/* --- what they say ---------------------------------------------------------------------------- */

/* What it never acknowledged goes to another; the rest lives as long as its end of the pair. */
static void lose_links(struct plain *plain)
{
	struct link *link;

	while ((link = LIST_FIRST(&plain->links))) {
		if (link->state == LINK_WITHDRAWN) {
			link_forget(link);
			continue;
		}
		LIST_REMOVE(link, of_owner);
		link->plain = NULL;
		if (link->state == LINK_OFFERED)
			link_wait(link);
	}
}

static void drop(struct plain *plain, const char *why)
{
	struct relay *relay = plain->relay;

	log_line("plain worker %llu, pid %d: %s", (unsigned long long)plain->number,
		 (int)plain->pid, why);
	LIST_REMOVE(plain, in_relay);
	relay->n_plains--;
	loop_forget(&relay->loop, &plain->watch);
	close(plain->watch.fd);
	lose_links(plain);
	free(plain);
	plain_serve(relay);
}

/* No descriptor comes with it: there are no keys to change, and an aware worker goes away. */
static bool welcome(struct plain *plain)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_WELCOME, 0);
	wire_put_u64(&wire, ATTR_COUNT, plain->number);
	return channel_send(plain->watch.fd, buf, wire_end(&wire), NULL, 0) == 0;
}

/*
 * The oldest of that number that is not acknowledged: a daemon that was restarted may give it twice.
 */
static struct link *find_offered(const struct plain *plain, uint32_t id)
{
	struct link *link, *oldest = NULL;

	LIST_FOREACH(link, &plain->links, of_owner)
	{
		if (link->id == id &&
		    (link->state == LINK_OFFERED || link->state == LINK_WITHDRAWN))
			oldest = link;
	}
	return oldest;
}

static bool take_ack(struct plain *plain, uint32_t id)
{
	struct link *link = find_offered(plain, id);

	if (!link)
		return false;
	if (link->state == LINK_WITHDRAWN) {
		link_forget(link);
		return true;
	}
	upstream_ack(plain->relay, link);
	link_live(link);
	return true;
}

/* Returns why it is dropped, or NULL. */
static const char *take(struct plain *plain, size_t len, const struct channel_fds *fds)
{
	struct wire_reader reader;
	struct wire_head head;
	const char *wrong = rules_open(ROUTE_WORKER_TO_RELAY, &plain->attached, plain->relay->buf,
				       len, fds, &reader, &head);

	if (wrong)
		return wrong;
	if (head.type == MSG_ATTACH) {
		if (!welcome(plain))
			return "it cannot be welcomed";
		log_line("plain worker %llu, pid %d: attached", (unsigned long long)plain->number,
			 (int)plain->pid);
		return NULL;
	}
	switch (head.type) {
	case MSG_CREDIT:
		return offer_take_credit(&reader, &plain->credits) ? NULL
								   : "its credits are out of range";
	case MSG_ACK:
		return take_ack(plain, head.id) ? NULL : "it acknowledged what it never got";
	case MSG_ENDED:
		return NULL; /* the pair says it */
	case MSG_DRAIN:
		plain->draining = true;
		return NULL;
	default:
		return NULL;
	}
}

static void plain_ready(struct watch *watch, uint32_t events)
{
	struct plain *plain = owner_of(watch, struct plain, watch);
	struct relay *relay = plain->relay;
	struct channel_fds fds;
	const char *why;
	ssize_t n;

	n = channel_recv(watch->fd, relay->buf, WIRE_MAX, &fds);
	if (n == -EAGAIN)
		return;
	plain->full = false; /* who speaks has read, or is about to */
	if (n <= 0) {
		drop(plain, n == -EMSGSIZE ? "its message is too long" : "it detached");
		return;
	}
	why = take(plain, (size_t)n, &fds);
	channel_close_fds(&fds);
	if (why)
		drop(plain, why);
	else
		plain_serve(relay);
}

/* --- attaching -------------------------------------------------------------------------------- */

static bool may_attach(const struct relay *relay, const struct ucred *cred)
{
	size_t i;

	if (cred->uid == 0)
		return true;
	for (i = 0; i < relay->n_users; i++)
		if (relay->users[i] == cred->uid)
			return true;
	return false;
}

static struct plain *plain_new(struct relay *relay, int fd, pid_t pid)
{
	struct plain *plain = relay->n_plains < MAX_PLAINS ? calloc(1, sizeof(*plain)) : NULL;

	if (!plain)
		return NULL;
	plain->relay = relay;
	plain->pid = pid;
	plain->number = ++relay->last_plain;
	plain->watch = (struct watch){ .fd = fd, .ready = plain_ready };
	if (loop_watch(&relay->loop, &plain->watch, EPOLLIN) < 0) {
		free(plain);
		return NULL;
	}
	LIST_INSERT_HEAD(&relay->plains, plain, in_relay);
	relay->n_plains++;
	return plain;
}

static void offer_ready(struct watch *watch, uint32_t events)
{
	struct relay *relay = owner_of(watch, struct relay, offer);
	struct ucred cred;
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
		relay->offer_pausing = true; /* the backlog keeps who comes */
		loop_watch(&relay->loop, watch, 0);
	}
	if (fd < 0)
		return;
	if (channel_peer(fd, &cred) < 0 || !may_attach(relay, &cred))
		offer_refuse(fd, "this user may not attach here");
	else if (!plain_new(relay, fd, cred.pid))
		offer_refuse(fd, "there are too many workers");
}

/* Who may connect is decided by who connects (SO_PEERCRED), not by the mode of a file. */
int plain_open(struct relay *relay, const char *path)
{
	int fd = channel_listen(path, 0666);

	if (fd < 0)
		return fd;
	relay->offer_path = path;
	relay->offer = (struct watch){ .fd = fd, .ready = offer_ready };
	return loop_watch(&relay->loop, &relay->offer, EPOLLIN);
}

/* The file stays: this process has given up files. The next one takes its place. */
void plain_close(struct relay *relay)
{
	if (relay->offer.fd < 0)
		return;
	loop_forget(&relay->loop, &relay->offer);
	close(relay->offer.fd);
	relay->offer.fd = -1;
}
