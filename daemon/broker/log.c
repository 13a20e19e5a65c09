// SPDX-License-Identifier: Apache-2.0
/*
 * One line for an event. Bounded in rate, and never waited for: what was dropped, because there was too
 * much or because nobody took it, is counted and told when there is room again.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "broker/broker.h"
#include "common/sink.h"

#define MAX_MESSAGE 600
#define MAX_LINE (PIPE_BUF - 64) /* room for what stands before it */
#define MAX_ENTRY 8192

static const struct {
	int priority;
	const char *word;
} levels[] = {
	[CONFIG_LOG_ERROR] = { LOG_ERR, "error" },
	[CONFIG_LOG_WARNING] = { LOG_WARNING, "warning" },
	[CONFIG_LOG_INFO] = { LOG_INFO, "info" },
	[CONFIG_LOG_DEBUG] = { LOG_DEBUG, "debug" },
};

static struct {
	uint64_t second, n[2];
	uint64_t dropped[LOG_LOSSES], told; /* since the start; as many as were told of */
} state;

/* --- where it goes -------------------------------------------------------------------------------- */

/* With the level before it, as sd-daemon(3) has it, for a journal that reads standard error. */
static int put_stderr(enum config_log_level level, bool numbered, const char *line)
{
	char out[PIPE_BUF];
	int n;

	if (numbered)
		n = snprintf(out, sizeof(out), "<%d>%s\n", levels[level].priority, line);
	else
		n = snprintf(out, sizeof(out), "sluiced: %s: %s\n", levels[level].word, line);
	return sink_stderr(out, (size_t)n);
}

/* RFC 3164, as syslog(3) writes it. */
static int put_syslog(enum config_log_level level, const char *line)
{
	char out[PIPE_BUF], date[32] = "";
	time_t now = time(NULL);
	struct tm tm;
	int n;

	if (localtime_r(&now, &tm))
		strftime(date, sizeof(date), "%h %e %T", &tm);
	n = snprintf(out, sizeof(out), "<%d>%s sluiced[%d]: %s",
		     LOG_DAEMON | levels[level].priority, date, (int)getpid(), line);
	return sink_syslog(out, (size_t)n);
}

static int put_journal(enum config_log_level level, const char *line,
		       const struct text_field *fields, size_t n_fields)
{
	char out[MAX_ENTRY];
	int r = sink_journal(out, text_journal(out, sizeof(out), levels[level].priority, line,
					       fields, n_fields));

	return r == -ENOENT ? put_stderr(level, true, line) : r;
}

static int put(const struct broker *broker, enum config_log_level level, const char *message,
	       const struct text_field *fields, size_t n_fields)
{
	char line[MAX_LINE];

	text_line(line, sizeof(line), message, fields, n_fields);
	if (broker->config && broker->config->log.target == CONFIG_LOG_SYSLOG)
		return put_syslog(level, line);
	if (broker->config && broker->config->log.target == CONFIG_LOG_JOURNAL)
		return put_journal(level, line, fields, n_fields);
	return put_stderr(level, false, line);
}

/* --- how much ------------------------------------------------------------------------------------- */

uint64_t log_dropped(enum log_loss loss)
{
	return state.dropped[loss];
}

void log_tick(const struct broker *broker)
{
	uint64_t second = broker->loop.now_ms / 1000;
	uint64_t dropped = state.dropped[LOG_LOSS_RATE] + state.dropped[LOG_LOSS_BLOCKED];
	char line[64];

	if (second == state.second)
		return;
	state.second = second;
	state.n[0] = state.n[1] = 0;
	if (dropped == state.told)
		return;
	snprintf(line, sizeof(line), "%llu lines were dropped",
		 (unsigned long long)(dropped - state.told));
	if (put(broker, CONFIG_LOG_WARNING, line, NULL, 0) == 0)
		state.told = dropped;
}

/* What is told of every connection does not keep warnings and errors from being told. */
static bool allowed(const struct broker *broker, enum config_log_level level)
{
	bool urgent = level <= CONFIG_LOG_WARNING;

	if (broker->config && level > broker->config->log.level)
		return false;
	log_tick(broker);
	if (!broker->config || state.n[urgent]++ < broker->config->log.rate)
		return true;
	state.dropped[LOG_LOSS_RATE]++;
	return false;
}

/* What is quoted in a message makes no line of its own, and no escape sequence. */
static void say(const struct broker *broker, enum config_log_level level,
		const struct text_field *fields, size_t n_fields, const char *format, va_list args)
{
	char message[MAX_MESSAGE], *p;

	if (!allowed(broker, level))
		return;
	vsnprintf(message, sizeof(message), format, args);
	for (p = message; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	if (put(broker, level, message, fields, n_fields) < 0)
		state.dropped[LOG_LOSS_BLOCKED]++;
}

void log_fields(const struct broker *broker, enum config_log_level level,
		const struct text_field *fields, size_t n_fields, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(broker, level, fields, n_fields, format, args);
	va_end(args);
}

void log_line(const struct broker *broker, enum config_log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(broker, level, NULL, 0, format, args);
	va_end(args);
}
