/* SPDX-License-Identifier: Apache-2.0 */
/* The sections `limits`, `admin` and `log`: what is the whole daemon's. */
#include "config/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define MAX_HANDSHAKERS 1024
#define MAX_HANDSHAKES 1000000
#define MAX_MEMORY 0x80000000u /* bytes */
#define DEFAULT_RECHECK_MEMORY (64u << 20)
#define MAX_RATE 1000000
#define DEFAULT_DIRECTORY "/run/sluice"

#define OFFSET(member) offsetof(struct config, member)

static const struct field limits_rows[] = {
	{ "handshakers", field_number, OFFSET(limits.handshakers), .max = MAX_HANDSHAKERS },
	{ "handshakes", field_number, OFFSET(limits.handshakes), .min = 1, .max = MAX_HANDSHAKES },
	{ "per_source", field_number, OFFSET(limits.per_source), .min = 1, .max = MAX_HANDSHAKES },
	{ "per_source_rate", field_number, OFFSET(limits.per_source_rate), .max = MAX_HANDSHAKES },
	{ "penalty", field_number, OFFSET(limits.penalty_ms), .max = PARSE_MAX_TIME_MS },
	{ "recheck_memory", field_number, OFFSET(limits.recheck_memory), .max = MAX_MEMORY },
	{ "drain", field_number, OFFSET(limits.drain_ms), .max = PARSE_MAX_TIME_MS },
};

static const struct fields limits_fields = {
	.what = "limits",
	.rows = limits_rows,
	.n = ARRAY_LEN(limits_rows),
};

static int read_group(struct parse *p, const struct field *field, const struct node *value,
		      void *member)
{
	return group_find(p, field->name, value, member);
}

static const struct field admin_rows[] = {
	{ "socket", field_socket, OFFSET(admin.socket) },
	{ "read_group", read_group, OFFSET(admin.read_group) },
};

static const struct fields admin_fields = {
	.what = "admin",
	.rows = admin_rows,
	.n = ARRAY_LEN(admin_rows),
};

static const char *const target_words[] = {
	[CONFIG_LOG_STDERR] = "stderr",
	[CONFIG_LOG_JOURNAL] = "journal",
	[CONFIG_LOG_SYSLOG] = "syslog",
	NULL,
};

static const char *const level_words[] = {
	[CONFIG_LOG_ERROR] = "error",
	[CONFIG_LOG_WARNING] = "warning",
	[CONFIG_LOG_INFO] = "info",
	[CONFIG_LOG_DEBUG] = "debug",
	NULL,
};

static const struct field log_rows[] = {
	{ "target", field_word, OFFSET(log.target), .words = target_words },
	{ "level", field_word, OFFSET(log.level), .words = level_words },
	{ "rate", field_number, OFFSET(log.rate), .min = 1, .max = MAX_RATE },
};

static const struct fields log_fields = {
	.what = "log",
	.rows = log_rows,
	.n = ARRAY_LEN(log_rows),
};

int socket_default(struct parse *p, const char *name, struct config_place place, char **ret_path)
{
	const char *directory = getenv("RUNTIME_DIRECTORY");
	int n;

	/* Of several, which colons separate, none is ours more than another. */
	if (!directory || *directory != '/' || strchr(directory, ':'))
		directory = DEFAULT_DIRECTORY;
	n = asprintf(ret_path, "%s/%s.sock", directory, name);
	if (n < 0) {
		*ret_path = NULL;
		return parse_nomem(p);
	}
	if ((size_t)n < sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return 0;
	free(*ret_path);
	*ret_path = NULL;
	return parse_fail(p, SLUICE_E_OPTION_RANGE, place,
			  "the socket %s.sock has no room for its directory's name; add the key "
			  "\"socket\"",
			  name);
}

int daemon_read_defaults(struct parse *p)
{
	struct config *config = p->config;

	config->limits.handshakes = 1024;
	config->limits.per_source = 64;
	config->limits.penalty_ms = 60000;
	config->limits.drain_ms = 10000;
	config->limits.recheck_memory = DEFAULT_RECHECK_MEMORY;
	config->admin.read_group = (gid_t)-1;
	config->log.target = CONFIG_LOG_STDERR;
	config->log.level = CONFIG_LOG_INFO;
	config->log.rate = 1000;
	return socket_default(p, "admin", (struct config_place){ 0 }, &config->admin.socket);
}

int daemon_limits(struct parse *p, const struct field *field, const struct node *value,
		  void *member)
{
	return fields_read(p, &limits_fields, value, p->config);
}

int daemon_admin(struct parse *p, const struct field *field, const struct node *value, void *member)
{
	return fields_read(p, &admin_fields, value, p->config);
}

int daemon_log(struct parse *p, const struct field *field, const struct node *value, void *member)
{
	return fields_read(p, &log_fields, value, p->config);
}
