// SPDX-License-Identifier: Apache-2.0
/* One line for an event. Bounded in rate: what was dropped is counted and told. */
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

#include "broker/broker.h"

#define LINES_PER_SECOND 1000

static const struct {
	int priority;
	const char *word;
} levels[] = {
	[CONFIG_LOG_ERROR] = { LOG_ERR, "error" },
	[CONFIG_LOG_WARNING] = { LOG_WARNING, "warning" },
	[CONFIG_LOG_INFO] = { LOG_INFO, "info" },
	[CONFIG_LOG_DEBUG] = { LOG_DEBUG, "debug" },
};

static void put(const struct broker *broker, enum config_log_level level, const char *line)
{
	/* sd-daemon(3): a line's level before it, for the journal that reads standard error. */
	if (broker->config && broker->config->log.target == CONFIG_LOG_SYSLOG)
		syslog(levels[level].priority, "%s", line);
	else if (broker->config && broker->config->log.target == CONFIG_LOG_JOURNAL)
		fprintf(stderr, "<%d>%s\n", levels[level].priority, line);
	else
		fprintf(stderr, "sluiced: %s: %s\n", levels[level].word, line);
}

/* What is told of every connection does not keep warnings and errors from being told. */
static bool allowed(const struct broker *broker, enum config_log_level level)
{
	static uint64_t second, n[2], dropped;
	bool urgent = level <= CONFIG_LOG_WARNING;
	char line[64];

	if (broker->loop.now_ms / 1000 != second) {
		second = broker->loop.now_ms / 1000;
		n[0] = n[1] = 0;
		if (dropped) {
			snprintf(line, sizeof(line), "%llu lines were dropped",
				 (unsigned long long)dropped);
			put(broker, CONFIG_LOG_WARNING, line);
			dropped = 0;
		}
	}
	if (n[urgent]++ < LINES_PER_SECOND)
		return true;
	dropped++;
	return false;
}

void log_line(const struct broker *broker, enum config_log_level level, const char *format, ...)
{
	char line[600], *p;
	va_list args;

	if ((broker->config && level > broker->config->log.level) || !allowed(broker, level))
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (p = line; *p; p++) /* names come from peers: no line of theirs, no escape sequence */
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	put(broker, level, line);
}
