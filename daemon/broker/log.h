/* SPDX-License-Identifier: Apache-2.0 */
/* The log: lines for people and programs, for which nobody waits. */
#ifndef SLUICED_BROKER_LOG_H
#define SLUICED_BROKER_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "common/text.h"
#include "config/config.h"

struct broker;

/* log_line() writes one line of level @level and below. It does not wait: see log_dropped(). */
void log_line(const struct broker *broker, enum config_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* log_fields() writes one with fields, whose values may be a peer's. */
void log_fields(const struct broker *broker, enum config_log_level level,
		const struct text_field *fields, size_t n_fields, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* log_tick() tells how many lines were dropped, once a second and when there is room for it. */
void log_tick(const struct broker *broker);

enum log_loss {
	LOG_LOSS_RATE,    /* more than log.rate */
	LOG_LOSS_BLOCKED, /* nobody took them */
	LOG_LOSSES
};

/* log_dropped() tells how many lines there were not since the start. */
uint64_t log_dropped(enum log_loss loss);

#endif
