// SPDX-License-Identifier: Apache-2.0
/* What a client has yet to read: bounded, and sent without waiting. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "broker/admin.h"

static bool make_room(struct admin_client *client, size_t len)
{
	size_t size = client->out_size ? client->out_size : 4096;
	char *bigger;

	if (client->out_at) {
		client->out_len -= client->out_at;
		if (client->out)
			memmove(client->out, client->out + client->out_at, client->out_len);
		client->out_at = 0;
	}
	while (size < client->out_len + len)
		size *= 2;
	if (size == client->out_size)
		return true;
	bigger = size <= ADMIN_MAX_QUEUE ? realloc(client->out, size) : NULL;
	if (!bigger)
		return false;
	client->out = bigger;
	client->out_size = size;
	return true;
}

static void queue(struct admin_client *client, const char *text, size_t len)
{
	if (client->broken || !len)
		return;
	if (len > client->out_size - client->out_len && !make_room(client, len)) {
		client->broken = true;
		return;
	}
	if (client->out_at == client->out_len)
		client->active_ms = client->broker->loop.now_ms; /* it could not read before */
	memcpy(client->out + client->out_len, text, len);
	client->out_len += len;
}

static void queue_object(struct admin_client *client, const char *before,
			 struct json_object *object, const char *after)
{
	size_t len;
	const char *text = object ? json_object_to_json_string_length(
					    object,
					    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
					    &len)
				  : NULL;

	if (text) {
		queue(client, before, strlen(before));
		queue(client, text, len);
		queue(client, after, strlen(after));
	} else {
		client->broken = true;
	}
	json_object_put(object);
}

void admin_row(struct admin_client *client, struct json_object *row)
{
	client->job.rows++;
	queue_object(client, "{\"row\":", row, "}\n");
}

void admin_done(struct admin_client *client, struct json_object *facts)
{
	struct json_object *answer = facts ? facts : json_object_new_object();

	if (answer)
		put_bool(answer, "ok", true);
	queue_object(client, "", answer, "\n");
}

void admin_refuse(struct admin_client *client, const char *error, const char *format, ...)
{
	struct json_object *answer = json_object_new_object();
	char text[700];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (answer) {
		put_bool(answer, "ok", false);
		put_text(answer, "error", error);
		put_text(answer, "text", text);
	}
	queue_object(client, "", answer, "\n");
}

void admin_flush(struct admin_client *client)
{
	ssize_t n;

	while (!client->broken && client->out_at < client->out_len) {
		n = send(client->watch.fd, client->out + client->out_at,
			 client->out_len - client->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			client->broken = n == 0 || errno != EAGAIN;
			return;
		}
		client->out_at += (size_t)n;
		client->active_ms = client->broker->loop.now_ms;
	}
	client->out_at = client->out_len = 0;
}
