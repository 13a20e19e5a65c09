// SPDX-License-Identifier: Apache-2.0
/*
 * Upgrades: programs attach to a service, bring connected sockets, and have TLS made on them. From its
 * answer on such a session is like one that a worker has. The program keeps its own descriptor all the
 * while, so nothing of a socket's state is believed after it was looked at: all calls of the daemon on it
 * are without waiting, whatever O_NONBLOCK says.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sluice/sluice.h>

#include "broker/broker.h"
#include "core/secret.h"
#include "handover/messages.h"

#define ANSWER_LEN 512

/* --- answers ------------------------------------------------------------------------------------- */

/* struct answer - a MSG_UPGRADED for which the socket had no room. */
struct answer {
	STAILQ_ENTRY(answer) of_worker;
	uint8_t *message;
	size_t len;
	int fd; /* -1: none */
};

static void free_content(struct broker *broker, const struct answer *answer)
{
	if (answer->fd >= 0) {
		channel_drop(answer->fd);
		broker->n_held--;
	}
	secret_wipe(answer->message, answer->len);
	free(answer->message);
}

static int send_answer(const struct worker *worker, const struct answer *answer)
{
	return channel_send(worker->watch.fd, answer->message, answer->len, &answer->fd,
			    answer->fd >= 0);
}

/* Owns what is in @content. A channel that cannot have it tells so itself. */
static void give(struct worker *worker, struct answer content)
{
	struct broker *broker = worker->pool->broker;
	struct answer *answer;

	if (STAILQ_EMPTY(&worker->answers) && send_answer(worker, &content) != -EAGAIN) {
		free_content(broker, &content);
		return;
	}
	answer = malloc(sizeof(*answer));
	if (!answer) {
		shutdown(worker->watch.fd, SHUT_RDWR); /* rather than let it wait for ever */
		free_content(broker, &content);
		return;
	}
	*answer = content;
	STAILQ_INSERT_TAIL(&worker->answers, answer, of_worker);
	broker->n_answers += content.fd >= 0;
	loop_watch(&broker->loop, &worker->watch, EPOLLOUT);
}

static void drop_first(struct worker *worker)
{
	struct answer *answer = STAILQ_FIRST(&worker->answers);

	STAILQ_REMOVE_HEAD(&worker->answers, of_worker);
	worker->pool->broker->n_answers -= answer->fd >= 0;
	free_content(worker->pool->broker, answer);
	free(answer);
}

bool upgrades_flush(struct worker *worker)
{
	struct answer *answer;
	int r;

	while ((answer = STAILQ_FIRST(&worker->answers))) {
		r = send_answer(worker, answer);
		if (r == -EAGAIN)
			return true;
		if (r < 0)
			return false;
		drop_first(worker);
	}
	return loop_watch(&worker->pool->broker->loop, &worker->watch, EPOLLIN) == 0;
}

static void refuse(struct worker *worker, uint32_t id, const struct sluice_error *err)
{
	struct answer answer = { .fd = -1 };
	uint8_t buf[ANSWER_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_UPGRADED, id);
	wire_put_u64(&wire, ATTR_ERROR, (uint64_t)err->code);
	wire_put_text(&wire, ATTR_TEXT, err->text);
	wire_put_u64(&wire, ATTR_STAGE, (uint64_t)err->stage);
	if (err->alert >= 0) {
		wire_put_u64(&wire, ATTR_ALERT, (uint64_t)err->alert);
		wire_put_u64(&wire, ATTR_ALERT_SENT, (uint64_t)err->alert_sent);
	}
	answer.len = wire_end(&wire);
	answer.message = malloc(answer.len);
	if (!answer.message) {
		shutdown(worker->watch.fd, SHUT_RDWR);
		return;
	}
	memcpy(answer.message, buf, answer.len);
	give(worker, answer);
}

/* --- the end of a handshake ---------------------------------------------------------------------- */

static void upgrade_free(struct session *session)
{
	LIST_REMOVE(session->upgrade, of_worker);
	free(session->upgrade);
	session->upgrade = NULL;
}

void upgrade_established(struct broker *broker, struct session *session)
{
	struct worker *worker = session->upgrade->worker;
	struct answer answer = { .message = session->message,
				 .len = session->message_len,
				 .fd = session->fd };

	if (session->upgrade->request.plain && session->rx_path != SLUICE_PATH_KERNEL) {
		session_end(broker, session, END_HANDSHAKER_LIED);
		return;
	}
	session->message = NULL;
	session->fd = -1;
	upgrade_free(session);
	session->state = SESSION_LIVE;
	session->worker = worker;
	LIST_INSERT_HEAD(&worker->sessions, session, of_owner);
	worker->n_sessions++;
	worker->pool->handed_over++;
	metrics_live(broker, session);
	memory_keep(broker, session);
	give(worker, answer);
}

void upgrade_end(struct session *session, const char *reason)
{
	struct upgrade *upgrade = session->upgrade;
	struct sluice_error *err = &upgrade->err;

	if (!err->code)
		err->code = SLUICE_E_HANDSHAKE;
	if (!err->text[0])
		strncpy(err->text, reason, sizeof(err->text) - 1);
	refuse(upgrade->worker, upgrade->id, err);
	upgrade_free(session);
}

void upgrades_cancel(struct worker *worker)
{
	struct broker *broker = worker->pool->broker;
	struct upgrade *upgrade;

	while ((upgrade = LIST_FIRST(&worker->upgrades))) {
		children_cancel(broker, upgrade->session);
		session_end(broker, upgrade->session, END_PROGRAM_GONE);
	}
	while (!STAILQ_EMPTY(&worker->answers))
		drop_first(worker);
}

/* --- the beginning ------------------------------------------------------------------------------- */

static int number(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value;

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? -1 : value;
}

/* Returns what is wrong with the socket, or NULL. */
static const char *check_socket(int fd, struct sockaddr_storage *ret_peer)
{
	int domain = number(fd, SO_DOMAIN);
	socklen_t len = sizeof(*ret_peer);

	if (domain < 0)
		return "the descriptor is not a socket";
	if ((domain != AF_INET && domain != AF_INET6) || number(fd, SO_PROTOCOL) != IPPROTO_TCP)
		return "the socket is not a TCP socket";
	if (number(fd, SO_ACCEPTCONN) != 0)
		return "the socket listens";
	if (getpeername(fd, (struct sockaddr *)ret_peer, &len))
		return "the socket is not connected";
	return NULL;
}

/* Returns why nothing can begin now, or NULL. */
static const char *check_room(const struct broker *broker, int *ret_code)
{
	*ret_code = SLUICE_E_POLICY;
	if (broker->stopping || broker->draining)
		return "the daemon takes no new connections";
	if (!children_ready(broker))
		return "no handshaker is ready; try again";
	if (broker->in_progress >= broker->config->limits.handshakes)
		return "the daemon has its limit of handshakes under way; try again";
	*ret_code = SLUICE_E_NOFILE;
	return listeners_have_files(broker) ? NULL
					    : "the daemon has no descriptors left; try again";
}

/* Returns what is wrong with the profile, or NULL. */
static const char *find_profile(const struct worker *worker, struct upgrade *upgrade, int *ret_code)
{
	const struct config_pool *service = worker->pool->config;
	const struct config_profile *profile;
	size_t i;

	*ret_code = SLUICE_E_POLICY;
	for (i = 0; i < service->n_profiles; i++) {
		profile = &worker->pool->broker->config->profiles[service->profiles[i]];
		if (strcmp(profile->name, upgrade->request.profile) != 0)
			continue;
		*ret_code = SLUICE_E_OPTION_ROLE;
		upgrade->profile = service->profiles[i];
		return profile->role == upgrade->request.role ? NULL
							      : "the profile is of the other role";
	}
	return "the service has no such profile";
}

/* As sluice_connect_fd(): whom a client does not name is meant by its address. */
static void name_peer(struct upgrade *upgrade, const struct sockaddr_in6 *peer)
{
	char *host = upgrade->request.host;

	if (upgrade->request.role != SLUICE_CLIENT || *host)
		return;
	if (IN6_IS_ADDR_V4MAPPED(&peer->sin6_addr))
		inet_ntop(AF_INET, peer->sin6_addr.s6_addr + 12, host, UPGRADE_HOST);
	else
		inet_ntop(AF_INET6, &peer->sin6_addr, host, UPGRADE_HOST);
}

/* Returns why not, or NULL: @upgrade is its session's then. */
static const char *start(struct upgrade *upgrade, int fd, const struct sockaddr_storage *peer)
{
	struct worker *worker = upgrade->worker;
	struct broker *broker = worker->pool->broker;
	struct session *session = session_new(broker);
	enum end refusal;

	if (!session)
		return "no memory";
	session->pool = (uint16_t)worker->pool->index;
	session->role = (uint8_t)upgrade->request.role;
	broker->metrics.pools[session->pool].brought++;
	session_describe(broker, session, fd, peer);
	name_peer(upgrade, &session->peer);
	if (upgrade->request.host[0])
		session->sni = strdup(upgrade->request.host);
	session->upgrade = upgrade;
	refusal = session_enter(broker, session);
	if (refusal) {
		session->upgrade = NULL;
		session_end(broker, session, refusal);
		return end_text(refusal);
	}
	upgrade->session = session;
	LIST_INSERT_HEAD(&worker->upgrades, upgrade, of_worker);
	if (children_handshake(broker, session, fd) == 0)
		return NULL; /* and the descriptor is the session's */
	session_leave(broker, session);
	LIST_REMOVE(upgrade, of_worker);
	session->upgrade = NULL;
	session_end(broker, session, END_NO_HANDSHAKER);
	return "no handshaker takes it; try again";
}

static uint64_t cookie_of(int fd)
{
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie = 0;

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) ? 0 : cookie;
}

/* Returns why it cannot be, with the code, or NULL: it is under way. */
static const char *begin(struct upgrade *upgrade, struct wire_reader reader,
			 struct channel_fds *fds, int *ret_code)
{
	struct broker *broker = upgrade->worker->pool->broker;
	struct sockaddr_storage peer = { 0 };
	const char *wrong;

	*ret_code = SLUICE_E_NOFILE;
	if (fds->lost)
		return "the daemon has no descriptors left; try again";
	*ret_code = SLUICE_E_INVALID;
	if (fds->n != 1)
		return "an upgrade has one descriptor";
	wrong = upgrade_request_read(&upgrade->request, reader);
	if (!wrong)
		wrong = check_socket(fds->fds[0], &peer);
	if (wrong)
		return wrong;
	wrong = find_profile(upgrade->worker, upgrade, ret_code);
	if (!wrong)
		wrong = check_room(broker, ret_code);
	if (wrong)
		return wrong;
	*ret_code = SLUICE_E_STATE;
	if (session_find_cookie(broker, cookie_of(fds->fds[0])))
		return "the socket is that of a session already";
	*ret_code = SLUICE_E_POLICY;
	wrong = start(upgrade, fds->fds[0], &peer);
	if (!wrong)
		channel_take_fd(fds);
	return wrong;
}

void upgrade_begin(struct worker *worker, uint32_t id, struct wire_reader reader,
		   struct channel_fds *fds)
{
	struct upgrade *upgrade = calloc(1, sizeof(*upgrade));
	struct sluice_error err = { .code = SLUICE_E_NOMEM, .alert = -1 };
	const char *wrong = "no memory";

	if (upgrade) {
		upgrade->worker = worker;
		upgrade->id = id;
		upgrade->err.alert = -1;
		wrong = begin(upgrade, reader, fds, &err.code);
	}
	if (!wrong)
		return;
	strncpy(err.text, wrong, sizeof(err.text) - 1);
	refuse(worker, id, &err);
	free(upgrade);
}
