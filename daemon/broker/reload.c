// SPDX-License-Identifier: Apache-2.0
/*
 * The configuration is read again, and taken when all that it names is loaded. Until then, and if anything
 * is wrong, the one in force stays.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <sluice/error.h>

#include "broker/broker.h"

static bool same_pools(const struct config *a, const struct config *b)
{
	size_t i;

	if (a->n_pools != b->n_pools)
		return false;
	for (i = 0; i < a->n_pools; i++)
		if (strcmp(a->pools[i].name, b->pools[i].name) ||
		    strcmp(a->pools[i].socket, b->pools[i].socket) ||
		    a->pools[i].is_service != b->pools[i].is_service)
			return false;
	return true;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_listeners(const struct config *a, const struct config *b)
{
	size_t i;

	if (a->n_listeners != b->n_listeners)
		return false;
	for (i = 0; i < a->n_listeners; i++)
		if (!same_text(a->listeners[i].host, b->listeners[i].host) ||
		    a->listeners[i].port != b->listeners[i].port ||
		    a->listeners[i].reuse_port != b->listeners[i].reuse_port)
			return false;
	return true;
}

static bool same_metrics(const struct config *a, const struct config *b)
{
	return same_text(a->metrics.socket, b->metrics.socket) &&
	       same_text(a->metrics.host, b->metrics.host) && a->metrics.port == b->metrics.port;
}

static void begin(struct broker *broker)
{
	struct config_error err = { { 0 } };
	struct config *config;

	broker->reload.state = RELOAD_UNDER_WAY;
	broker->reload.all_now = broker->reload.all;
	broker->reload.all = false;
	if (config_load(&config, broker->config_path, &err) < 0) {
		reload_ended(broker, err.text[0] ? err.text : "no memory");
		return;
	}
	if (!same_pools(broker->config, config) || !same_listeners(broker->config, config) ||
	    !same_metrics(broker->config, config)) {
		snprintf(
			err.text, sizeof(err.text),
			"%s: listeners' addresses, pools, services and metrics change at a restart",
			broker->config_path);
		config_free(config);
		reload_ended(broker, err.text);
		return;
	}
	certs_reload(broker, config);
}

void broker_reload(struct broker *broker, bool all)
{
	struct reload *reload = &broker->reload;

	reload->all |= all;
	if (reload->state == RELOAD_UNDER_WAY) {
		reload->again = true;
		log_line(broker, CONFIG_LOG_INFO,
			 "a reload is under way: the next one begins behind it");
		return;
	}
	reload->state = RELOAD_WAITS;
	reload_tick(broker);
}

void reload_tick(struct broker *broker)
{
	if (broker->reload.state == RELOAD_WAITS && !certs_busy(broker) && broker->keeper.ready)
		begin(broker);
}

void reload_take(struct broker *broker, struct config *config)
{
	size_t i;

	config->limits.handshakers = broker->config->limits.handshakers;
	config_free(broker->config);
	broker->config = config;
	for (i = 0; i < broker->n_pools; i++)
		broker->pools[i].config = &config->pools[i];
	decide_reloaded(broker);
	crls_reload(broker);
	fetch_reloaded(broker, broker->reload.all_now);
}

void reload_ended(struct broker *broker, const char *error)
{
	struct reload *reload = &broker->reload;

	reload->n++;
	reload->failed = error;
	snprintf(reload->text, sizeof(reload->text), "%s", error ? error : "");
	if (error) {
		broker->stats.reloads_refused++;
		log_line(broker, CONFIG_LOG_ERROR, "the configuration stays as it was: %s", error);
	} else {
		broker->stats.reloads++;
		log_line(broker, CONFIG_LOG_INFO, "the configuration is new");
	}
	reload->state = reload->again ? RELOAD_WAITS : RELOAD_IDLE;
	reload->again = false;
}
