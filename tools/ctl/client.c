// SPDX-License-Identifier: Apache-2.0
/* The connection to the daemon: a line out, lines back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl.h"
#include "handover/channel.h"

#define TIMEOUT_S 60       /* a reload waits for keys to be read */
#define MAX_LINE (8 << 20) /* bytes of an answer's line */
#define FIRST_SIZE (64 << 10)

static const char *advice(int err)
{
	switch (err) {
	case ENOENT:
	case ECONNREFUSED:
		return "is sluiced running? Another path is given by --socket";
	case EACCES:
		return "this user may not even try: use sudo";
	case EAGAIN:
		return "the daemon is busy; try again";
	default:
		return "give the path of `admin: socket` of its configuration by --socket";
	}
}

static enum ctl_status unreachable(const struct ctl *ctl, int err)
{
	fprintf(stderr, "sluicectl: %s: %s; %s\n", ctl->path, strerror(err), advice(err));
	return CTL_UNREACHABLE;
}

enum ctl_status ctl_connect(struct ctl *ctl, const char *path)
{
	const struct timeval timeout = { .tv_sec = TIMEOUT_S };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	*ctl = (struct ctl){ .fd = -1, .path = path, .send_fd = -1 };
	if (strlen(path) >= sizeof(addr.sun_path))
		return unreachable(ctl, ENAMETOOLONG);
	strcpy(addr.sun_path, path);
	ctl->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ctl->fd < 0)
		return unreachable(ctl, errno);
	setsockopt(ctl->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(ctl->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(ctl->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return CTL_DONE;
	unreachable(ctl, errno);
	ctl_close(ctl);
	return CTL_UNREACHABLE;
}

void ctl_close(struct ctl *ctl)
{
	if (ctl->fd >= 0)
		close(ctl->fd);
	ctl->fd = -1;
	free(ctl->buf);
	ctl->buf = NULL;
}

void ctl_wait_for_ever(struct ctl *ctl)
{
	const struct timeval none = { 0 };

	setsockopt(ctl->fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
}

struct json_object *ctl_request(const char *name)
{
	struct json_object *request = json_object_new_object();

	json_object_object_add(request, "request", json_object_new_string(name));
	return request;
}

/* The first byte takes the descriptor along. */
static ssize_t send_some(const struct ctl *ctl, const char *text, size_t len, bool first)
{
	if (first && ctl->send_fd >= 0)
		return channel_send(ctl->fd, text, 1, &ctl->send_fd, 1) < 0 ? -1 : 1;
	return send(ctl->fd, text, len, MSG_NOSIGNAL);
}

/* What the daemon answers is read even where it did not take all: it says why. */
static void send_line(const struct ctl *ctl, struct json_object *request)
{
	const char *text = json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN);
	size_t at = 0, len = strlen(text);
	ssize_t n;

	while (at <= len) {
		n = send_some(ctl, at < len ? text + at : "\n", at < len ? len - at : 1, !at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		at += (size_t)n;
	}
}

static int make_room(struct ctl *ctl)
{
	size_t size = ctl->size ? ctl->size : FIRST_SIZE;
	char *bigger;

	if (ctl->at) {
		ctl->len -= ctl->at;
		memmove(ctl->buf, ctl->buf + ctl->at, ctl->len);
		ctl->at = 0;
	}
	if (ctl->buf && ctl->len < ctl->size)
		return 0;
	if (ctl->buf)
		size *= 2;
	bigger = size <= MAX_LINE ? realloc(ctl->buf, size) : NULL;
	if (!bigger)
		return -ENOMEM;
	ctl->buf = bigger;
	ctl->size = size;
	return 0;
}

/* The next line, without its end; valid until the next call. Returns 0 or -errno. */
static int next_line(struct ctl *ctl, const char **ret_line)
{
	size_t searched = ctl->at;
	char *end;
	ssize_t n;

	for (;;) {
		end = ctl->len > searched ? memchr(ctl->buf + searched, '\n', ctl->len - searched)
					  : NULL;
		if (end)
			break;
		searched = ctl->len - ctl->at;
		if (make_room(ctl) < 0)
			return -ENOMEM;
		n = recv(ctl->fd, ctl->buf + ctl->len, ctl->size - ctl->len, 0);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EPIPE;
		ctl->len += n > 0 ? (size_t)n : 0;
	}
	*end = '\0';
	*ret_line = ctl->buf + ctl->at;
	ctl->at = (size_t)(end - ctl->buf) + 1;
	return 0;
}

static enum ctl_status lost(const struct ctl *ctl, int err)
{
	if (err == EAGAIN)
		fprintf(stderr, "sluicectl: %s: no answer for %d s; the daemon is busy or hangs\n",
			ctl->path, TIMEOUT_S);
	else
		fprintf(stderr, "sluicectl: %s: the daemon broke off; its log says why\n",
			ctl->path);
	return CTL_UNREACHABLE;
}

/* The names of requests that a daemon lists do not have ours: it was started before it was upgraded. */
static bool is_older(const char *name, const char *text)
{
	const char *at = text;
	size_t len = strlen(name);

	if (strncmp(text, "request takes ", 14) != 0)
		return false;
	while ((at = strstr(at + 1, name)))
		if (at[-1] == ' ' &&
		    (at[len] == ',' || at[len] == ' ' || !at[len] || at[len] == ';'))
			return false;
	return true;
}

static enum ctl_status finish(struct json_object *answer, const char *name)
{
	struct json_object *ok, *text = NULL, *error = NULL;
	const char *word, *said;

	if (json_object_object_get_ex(answer, "ok", &ok) && json_object_get_boolean(ok))
		return CTL_DONE;
	json_object_object_get_ex(answer, "text", &text);
	json_object_object_get_ex(answer, "error", &error);
	said = text ? json_object_get_string(text) : "refused";
	word = error ? json_object_get_string(error) : "";
	if (strcmp(word, "request") == 0 && is_older(name, said)) {
		fprintf(stderr,
			"sluicectl: the daemon that runs is older than this sluicectl (" SLUICE_VERSION
			") and does not know %s; restart sluiced\n",
			name);
		return CTL_REFUSED;
	}
	fprintf(stderr, "sluicectl: %s\n", said);
	return strcmp(word, "request") == 0 ? CTL_USAGE : CTL_REFUSED;
}

enum ctl_status ctl_ask(struct ctl *ctl, struct json_object *request, ctl_row *each, void *arg,
			struct json_object **ret_answer)
{
	struct json_object *object = NULL, *row;
	enum ctl_status status;
	const char *line = NULL;
	int r;

	char name[32];

	if (ret_answer)
		*ret_answer = NULL;
	snprintf(name, sizeof(name), "%s",
		 json_object_get_string(json_object_object_get(request, "request")));
	send_line(ctl, request);
	json_object_put(request);
	while ((r = next_line(ctl, &line)) == 0) {
		object = json_tokener_parse(line);
		if (!object)
			return lost(ctl, EPROTO);
		if (!json_object_object_get_ex(object, "row", &row))
			break;
		if (each)
			each(arg, row);
		json_object_put(object);
	}
	if (r < 0)
		return lost(ctl, -r);
	status = finish(object, name);
	if (ret_answer)
		*ret_answer = object;
	else
		json_object_put(object);
	return status;
}

/* --- filters -------------------------------------------------------------------------------------- */

static bool is_key(const char *word, size_t len)
{
	static const char *const keys[] = { "state", "listener", "pool",     "worker",
					    "sni",   "peer",     "identity", "sha256" };
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strlen(keys[i]) == len && strncmp(keys[i], word, len) == 0)
			return true;
	return false;
}

struct json_object *ctl_filter(int argc, char **argv)
{
	struct json_object *filter = json_object_new_object();
	char key[16] = "";
	size_t len;
	int i;

	for (i = 0; i < argc; i++) {
		len = strcspn(argv[i], "=");
		if (!argv[i][len] || !argv[i][len + 1] || !is_key(argv[i], len)) {
			fprintf(stderr,
				"sluicectl: '%s' is no filter: write state=, listener=, pool=, "
				"worker=, sni=, peer=, identity= or sha256= and a value, as in "
				"state=live\n",
				argv[i]);
			json_object_put(filter);
			return NULL;
		}
		snprintf(key, sizeof(key), "%.*s", (int)len, argv[i]);
		if (json_object_object_get_ex(filter, key, NULL)) {
			fprintf(stderr, "sluicectl: %s= is there twice; all filters must fit\n",
				key);
			json_object_put(filter);
			return NULL;
		}
		json_object_object_add(filter, key, json_object_new_string(argv[i] + len + 1));
	}
	return filter;
}
