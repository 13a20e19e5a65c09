// SPDX-License-Identifier: Apache-2.0
/*
 * Names of backends, looked up again while workers serve. A process of its own does it: it may take long, and what
 * comes from name servers is parsed there. It is the relay's user and reads files, as getaddrinfo(3) must, but has
 * no descriptors besides a pipe, and cannot reach other processes or local sockets, sluiced's above all. When the addresses are others, workers
 * with these take the places of those that have the old ones, which go on until their connections have ended.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/process.h"
#include "relay/relay.h"
#include "relay/supervise.h"

#define LOOK_UP_MS 30000

/* struct answer - one address of a backend, or why there is none. */
struct answer {
	uint32_t of;       /* which text; the number of texts: that was all */
	uint32_t addr_len; /* 0: none */
	struct sockaddr_storage addr;
	char name[BACKEND_NAME];
};

#define MAX_ANSWERS (2 * MAX_BACKENDS + 1)

/* --- its process ------------------------------------------------------------------------------ */

static void say(int fd, const struct answer *answer)
{
	if (write(fd, answer, sizeof(*answer)) != (ssize_t)sizeof(*answer))
		_exit(1);
}

static void look_up(const struct backends *old, uint32_t of, int fd)
{
	struct answer answer;
	struct backends found;
	const char *wrong;
	size_t i;

	memset(&found, 0, sizeof(found));
	found.connector = -1;
	wrong = backend_add(&found, old->texts[of].text, false);
	for (i = 0; !wrong && i < found.n; i++) {
		memset(&answer, 0, sizeof(answer));
		answer.of = of;
		answer.addr_len = found.list[i].addr_len;
		answer.addr = found.list[i].addr;
		memcpy(answer.name, found.list[i].name, sizeof(answer.name));
		say(fd, &answer);
	}
	if (wrong) {
		memset(&answer, 0, sizeof(answer));
		answer.of = of;
		snprintf(answer.name, sizeof(answer.name), "%s", wrong);
		say(fd, &answer);
	}
	backends_free(&found);
}

static void __attribute__((noreturn)) look_all_up(const struct backends *backends, int fd)
{
	struct answer end;
	sigset_t none;
	uint32_t i;

	close_others(fd, -1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "sluice-resolve");
	if (process_refuse_others() < 0)
		_exit(1);
	for (i = 0; i < backends->n_texts; i++)
		if (backend_is_name(backends->texts[i].text))
			look_up(backends, i, fd);
	memset(&end, 0, sizeof(end));
	end.of = i;
	say(fd, &end);
	_exit(0);
}

/* --- its answers ------------------------------------------------------------------------------ */

static bool is_printable(const struct answer *answer)
{
	const char *at = answer->name;

	if (!memchr(answer->name, 0, sizeof(answer->name)))
		return false;
	while (isprint((unsigned char)*at))
		at++;
	return !*at;
}

/* An address of the network, at the port that was told. */
static bool is_address(const struct answer *answer, const char *text)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&answer->addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&answer->addr;
	unsigned long port = strtoul(strrchr(text, ':') + 1, NULL, 10);

	if (answer->addr.ss_family == AF_INET)
		return answer->addr_len == sizeof(*in) && ntohs(in->sin_port) == port;
	return answer->addr.ss_family == AF_INET6 && answer->addr_len == sizeof(*in6) &&
	       ntohs(in6->sin6_port) == port;
}

/* The process that looked up may have been taken over by what it read. */
static bool is_sane(const struct backends *old, const struct answer *answer)
{
	const char *text = answer->of < old->n_texts ? old->texts[answer->of].text : NULL;

	return text && backend_is_name(text) && is_printable(answer) &&
	       (!answer->addr_len || is_address(answer, text));
}

static bool is_known(const struct backends *backends, const struct backend *backend)
{
	size_t i;

	for (i = 0; i < backends->n; i++)
		if (backends->list[i].of == backend->of &&
		    backends->list[i].addr_len == backend->addr_len &&
		    memcmp(&backends->list[i].addr, &backend->addr, backend->addr_len) == 0)
			return true;
	return false;
}

static bool are_same(const struct backends *a, const struct backends *b)
{
	size_t i;

	for (i = 0; i < a->n && a->n == b->n; i++)
		if (!is_known(b, &a->list[i]))
			return false;
	return a->n == b->n;
}

/* For every name that has none now. */
static const char *keep_old(struct backends *new, const struct backends *old)
{
	bool has[MAX_BACKENDS] = { false };
	const char *wrong = NULL;
	size_t i;

	for (i = 0; i < new->n; i++)
		has[new->list[i].of] = true;
	for (i = 0; i < old->n && !wrong; i++)
		if (!has[old->list[i].of])
			wrong = backend_put(new, old->list[i].of, old->list[i].name,
					    &old->list[i].addr, old->list[i].addr_len);
	return wrong;
}

/* Returns NULL, or why all stays as it is. */
static const char *read_all(struct backends *new, const struct backends *old,
			    const struct answer *answers, size_t n)
{
	const char *wrong = NULL;
	size_t i;

	if (!n || answers[--n].of != old->n_texts)
		return "it has ended in the middle";
	for (i = 0; i < n && !wrong; i++) {
		if (!is_sane(old, &answers[i]))
			return "an answer that makes no sense";
		if (answers[i].addr_len)
			wrong = backend_put(new, answers[i].of, answers[i].name, &answers[i].addr,
					    (socklen_t)answers[i].addr_len);
		else
			log_line("backend %s: %s; its addresses stay",
				 old->texts[answers[i].of].text, answers[i].name);
	}
	return wrong ? wrong : keep_old(new, old);
}

static void take(struct supervisor *supervisor)
{
	struct backends *old = &supervisor->relay->backends, new = *old;
	const struct answer *answers = (const struct answer *)supervisor->resolver.buf;
	size_t i, n = supervisor->resolver.len / sizeof(*answers);
	const char *wrong;

	new.list = NULL;
	new.n = 0;
	wrong = read_all(&new, old, answers, n);
	if (wrong) {
		log_line("looking names up: %s; all addresses stay", wrong);
	} else if (are_same(old, &new)) {
		log_line("names looked up: %zu addresses, as before", new.n);
	} else {
		for (i = 0; i < new.n; i++)
			if (!is_known(old, &new.list[i]))
				log_line("backend %s is new", new.list[i].name);
		log_line("names looked up: %zu addresses for %zu, new workers", new.n, old->n);
		free(old->list);
		*old = new;
		supervisor->generation++;
		return;
	}
	free(new.list);
}

static void finish(struct supervisor *supervisor)
{
	struct resolver *resolver = &supervisor->resolver;

	loop_forget(&supervisor->loop, &resolver->watch);
	close(resolver->watch.fd);
	resolver->watch.fd = -1;
	free(resolver->buf);
	resolver->buf = NULL;
}

static void answer_ready(struct watch *watch, uint32_t events)
{
	struct supervisor *supervisor = owner_of(watch, struct supervisor, resolver.watch);
	struct resolver *resolver = &supervisor->resolver;
	size_t room = MAX_ANSWERS * sizeof(struct answer) - resolver->len;
	ssize_t n = read(watch->fd, resolver->buf + resolver->len, room);

	if (n > 0) {
		resolver->len += (size_t)n;
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	take(supervisor);
	finish(supervisor);
}

/* --- time ------------------------------------------------------------------------------------- */

static int begin(struct supervisor *supervisor)
{
	struct resolver *resolver = &supervisor->resolver;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	resolver->len = 0;
	resolver->deadline_ms = supervisor->loop.now_ms + LOOK_UP_MS;
	resolver->watch = (struct watch){ .fd = fds[0], .ready = answer_ready };
	resolver->buf = malloc(MAX_ANSWERS * sizeof(struct answer));
	r = resolver->buf ? loop_watch(&supervisor->loop, &resolver->watch, EPOLLIN) : -ENOMEM;
	if (r == 0) {
		resolver->pid = fork();
		r = resolver->pid < 0 ? -errno : 0;
	}
	if (r == 0 && resolver->pid == 0) {
		fcntl(fds[1], F_SETFL, 0);
		look_all_up(&supervisor->relay->backends, fds[1]);
	}
	close(fds[1]);
	if (r < 0)
		finish(supervisor);
	return r;
}

void resolver_begin(struct supervisor *supervisor)
{
	struct resolver *resolver = &supervisor->resolver;
	uint64_t now_ms = supervisor->loop.now_ms;
	int r;

	resolver->next_ms = now_ms + supervisor->relay->resolve_s * UINT64_C(1000);
	resolver->again = resolver->watch.fd >= 0;
	if (resolver->again || !supervisor->serving || supervisor->ending)
		return;
	r = begin(supervisor);
	if (r < 0)
		log_line("looking names up: %s", strerror(-r));
}

void resolver_tick(struct supervisor *supervisor)
{
	struct resolver *resolver = &supervisor->resolver;
	uint64_t now_ms = supervisor->loop.now_ms;

	if (resolver->watch.fd >= 0) {
		if (now_ms < resolver->deadline_ms)
			return;
		log_line("looking names up takes too long: all addresses stay");
		if (resolver->pid > 0)
			kill(resolver->pid, SIGKILL);
		finish(supervisor);
	} else if (resolver->again) {
		resolver_begin(supervisor);
	} else if (supervisor->relay->resolve_s && supervisor->serving &&
		   now_ms >= resolver->next_ms) {
		if (resolver->next_ms)
			resolver_begin(supervisor);
		else
			resolver->next_ms = now_ms + supervisor->relay->resolve_s * UINT64_C(1000);
	}
}
