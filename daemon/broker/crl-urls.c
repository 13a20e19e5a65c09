// SPDX-License-Identifier: Apache-2.0
/*
 * Revocation lists that are fetched: section `crls`, `urls`. What sluice-fetch brings goes to sluice-crls
 * as a file does; when it is fetched again the set in force says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/crls.h"

static void drop(struct broker *broker, struct crl_url *url)
{
	TAILQ_REMOVE(&broker->crls->urls, url, all);
	if (url->fd >= 0)
		close(url->fd);
	fetch_item_drop(broker, &url->item);
	free(url);
}

/* Until nextUpdate of the first of its lists that ends. */
static void count(struct broker *broker, struct crl_url *url)
{
	const struct crl_set *set = &broker->crls->set;
	int64_t this_s = 0, next_s = -1;
	size_t i;

	for (i = 0; i < set->n_rows; i++) {
		if (!crl_set_is(set, &set->rows[i].path, url->item.url) ||
		    set->rows[i].next_update_s < 0)
			continue;
		if (next_s >= 0 && next_s <= set->rows[i].next_update_s)
			continue;
		this_s = set->rows[i].this_update_s;
		next_s = set->rows[i].next_update_s;
	}
	fetch_item_good(broker, &url->item, this_s, next_s);
}

static void taken(struct broker *broker, struct fetch_item *item, int fd)
{
	struct crl_url *url = (struct crl_url *)((char *)item - offsetof(struct crl_url, item));

	if (fd < 0) {
		count(broker, url);
		return;
	}
	url->fd = fd;
	broker->crls->look = true;
}

static bool is_named(const struct config *config, const char *text)
{
	size_t i;

	for (i = 0; i < config->crls.n_urls; i++)
		if (!strcmp(config->crls.urls[i], text))
			return true;
	return false;
}

struct crl_url *crl_url_find(const struct crls *crls, const char *text)
{
	struct crl_url *url;

	TAILQ_FOREACH(url, &crls->urls, all)
	if (!strcmp(url->item.url, text))
		return url;
	return NULL;
}

static void add(struct broker *broker, const char *text)
{
	struct crl_url *url = calloc(1, sizeof(*url));
	char *copy = strdup(text);

	if (!url || !copy) {
		log_line(broker, CONFIG_LOG_ERROR, "crls: %s: no memory; a reload tries again",
			 text);
		free(url);
		free(copy);
		return;
	}
	url->fd = -1;
	url->item = (struct fetch_item){
		.what = FETCH_FOR_CRL, .url = copy, .max_len = SLUICE_CRL_MAX_DER, .taken = taken
	};
	TAILQ_INSERT_TAIL(&broker->crls->urls, url, all);
	fetch_item_add(broker, &url->item);
}

void crl_urls_config(struct broker *broker)
{
	const struct config *config = broker->config;
	struct crl_url *url, *next;
	size_t i;

	for (url = TAILQ_FIRST(&broker->crls->urls); url; url = next) {
		next = TAILQ_NEXT(url, all);
		if (!is_named(config, url->item.url))
			drop(broker, url);
	}
	for (i = 0; i < config->crls.n_urls; i++)
		if (!crl_url_find(broker->crls, config->crls.urls[i]))
			add(broker, config->crls.urls[i]);
}

/* Returns whether there is anything new. */
bool crl_urls_give(struct crls *crls, struct crl_sources *sources)
{
	struct crl_source *source;
	struct crl_url *url;
	bool any = false;

	TAILQ_FOREACH(url, &crls->urls, all)
	{
		source = crl_sources_find(sources, url->item.url, NULL);
		if (url->fd < 0 || !source || source->kind != CRL_URL)
			continue;
		source->fd = url->fd;
		url->fd = -1;
		url->given = any = true;
	}
	return any;
}

void crl_urls_told(struct broker *broker, const char *failed)
{
	const struct crl_source *source;
	struct crl_url *url;

	TAILQ_FOREACH(url, &broker->crls->urls, all)
	{
		if (!url->given)
			continue;
		url->given = false;
		source = crl_sources_find(&broker->crls->sources, url->item.url, NULL);
		if (failed || !source || source->problem)
			fetch_item_bad(broker, &url->item,
				       failed || !source ? "sluice-crls has not taken it"
							 : source->problem);
		else
			count(broker, url);
	}
}

void crl_urls_close(struct broker *broker)
{
	while (!TAILQ_EMPTY(&broker->crls->urls))
		drop(broker, TAILQ_FIRST(&broker->crls->urls));
}
