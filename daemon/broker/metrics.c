// SPDX-License-Identifier: Apache-2.0
/* Counting. Numbers only: what they are called is in metrics-tell.c. */
#include "broker/metrics.h"

#include <errno.h>
#include <stdlib.h>

#include <sluice/sluice.h>

#include "broker/broker.h"
#include "record/suite.h"

int metrics_open(struct broker *broker)
{
	struct metrics *metrics = &broker->metrics;

	metrics->listeners = calloc(broker->config->n_listeners + 1, sizeof(*metrics->listeners));
	metrics->pools = calloc(broker->config->n_pools + 1, sizeof(*metrics->pools));
	return metrics->listeners && metrics->pools ? 0 : -SLUICE_E_NOMEM;
}

void metrics_close(struct broker *broker)
{
	free(broker->metrics.listeners);
	free(broker->metrics.pools);
	broker->metrics.listeners = NULL;
	broker->metrics.pools = NULL;
}

static void count_suite(struct metrics *metrics, const struct session *session)
{
	const struct suite *suite;
	size_t i;

	for (i = 0; i < METRICS_SUITES && (suite = suite_at(i)); i++)
		if (suite->id == session->suite)
			metrics->suites[i][session->resumed]++;
}

void metrics_established(struct broker *broker, const struct session *session)
{
	const struct session_times *times = &session->times;
	struct metrics *metrics = &broker->metrics;

	count_suite(metrics, session);
	histogram_add(&metrics->total, times->total);
	histogram_add(&metrics->queue, times->queue);
	histogram_add(&metrics->network, times->network);
	if (times->sign)
		histogram_add(&metrics->sign, times->sign);
	if (times->verify)
		histogram_add(&metrics->verify, times->verify);
}

void metrics_handed_over(struct broker *broker, const struct session *session)
{
	histogram_add(&broker->metrics.handover, session->times.handover);
}

static void count_live(struct broker *broker, const struct session *session, uint64_t by)
{
	struct metrics *metrics = &broker->metrics;

	metrics->live[METRICS_RX][session->rx_path % METRICS_PATHS] += by;
	metrics->live[METRICS_TX][session->tx_path % METRICS_PATHS] += by;
	metrics->pools[session->pool].live += by;
}

void metrics_live(struct broker *broker, struct session *session)
{
	session->taken = true;
	count_live(broker, session, 1);
}

static void count_end(struct ends_count *count, enum end end, int code)
{
	if (end == END_ERROR)
		count->errors[code > 0 && code < METRICS_ERRORS ? code : SLUICE_E_INTERNAL]++;
	else
		count->ends[end]++;
}

static void count_unmade(struct broker *broker, const struct session *session, enum end end,
			 int code)
{
	struct listener_counts *listener = &broker->metrics.listeners[session->listener];
	struct pool_counts *service = &broker->metrics.pools[session->pool];
	bool brought = broker->config->pools[session->pool].is_service;

	if (end <= END_LAST_REFUSAL)
		count_end(brought ? &service->refused : &listener->refused, end, code);
	else
		count_end(brought ? &service->failed : &listener->failed, end, code);
}

void metrics_ended(struct broker *broker, const struct session *session, enum end end, int code)
{
	struct metrics *metrics = &broker->metrics;

	if (session->taken)
		count_live(broker, session, (uint64_t)-1);
	if (!session->established_us && !session->restored) {
		count_unmade(broker, session, end, code);
		return;
	}
	count_end(&metrics->pools[session->pool].ended, end, code);
	metrics->bytes[METRICS_RX] += session->rx_bytes;
	metrics->bytes[METRICS_TX] += session->tx_bytes;
	if (session->tx_path == SLUICE_PATH_KERNEL)
		return; /* new keys were counted as they were made */
	metrics->rekeys[METRICS_RX] += session->rx_epoch;
	metrics->rekeys[METRICS_TX] += session->tx_epoch;
}

void metrics_pause(struct broker *broker, int err)
{
	enum metrics_pause pause = PAUSE_HANDSHAKERS;

	if (err == EMFILE || err == ENFILE)
		pause = PAUSE_DESCRIPTORS;
	else if (err == ENOMEM || err == ENOBUFS)
		pause = PAUSE_MEMORY;
	broker->metrics.pauses[pause]++;
}

uint64_t metrics_refused(const struct broker *broker, enum end end)
{
	const struct metrics *metrics = &broker->metrics;
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < broker->config->n_listeners; i++)
		n += metrics->listeners[i].refused.ends[end];
	for (i = 0; i < broker->config->n_pools; i++)
		n += metrics->pools[i].refused.ends[end];
	return n;
}
