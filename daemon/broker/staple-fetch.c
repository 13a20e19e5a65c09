// SPDX-License-Identifier: Apache-2.0
/* OCSP responses that are fetched: of which certificates, checked by whom, and when they are stapled. */
#include "broker/staple-fetch.h"

#include <errno.h>
#include <search.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "broker/broker.h"
#include "broker/certs.h"
#include "common/process.h"
#include "common/rules.h"
#include "core/sys.h"
#include "fetch/hosts.h"
#include "ocsp/ocsp.h"

#define HANG_MS 5000 /* without an answer of sluice-crls */

/* --- those there are ------------------------------------------------------------------------------ */

static int by_digest(const void *a, const void *b)
{
	const struct fetched *x = a, *y = b;

	return memcmp(x->digest, y->digest, sizeof(x->digest));
}

const struct fetched *staples_find(const struct broker *broker, const uint8_t *der, size_t len)
{
	struct fetched like, **found;

	SHA256(der, len, like.digest);
	found = tfind(&like, &broker->staples.tree, by_digest);
	return found ? *found : NULL;
}

static struct fetched *make(struct broker *broker, const uint8_t *der, size_t len)
{
	struct fetched *fetched = calloc(1, sizeof(*fetched));

	if (!fetched)
		return NULL;
	fetched->fd = -1;
	SHA256(der, len, fetched->digest);
	if (!tsearch(fetched, &broker->staples.tree, by_digest)) {
		free(fetched);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&broker->staples.all, fetched, all);
	return fetched;
}

static void drop(struct broker *broker, struct fetched *fetched)
{
	struct staples *staples = &broker->staples;

	tdelete(fetched, &staples->tree, by_digest);
	TAILQ_REMOVE(&staples->all, fetched, all);
	if (fetched->fd >= 0) {
		TAILQ_REMOVE(&staples->queue, fetched, in_queue);
		close(fetched->fd);
	}
	if (staples->checked == fetched)
		staples->checked = NULL;
	if (fetched->item.url)
		fetch_item_drop(broker, &fetched->item);
	free(fetched->certs);
	free(fetched->der);
	free(fetched);
}

void staples_sweep(struct broker *broker)
{
	struct fetched *fetched, *next;

	for (fetched = TAILQ_FIRST(&broker->staples.all); fetched; fetched = next) {
		next = TAILQ_NEXT(fetched, all);
		if (fetched->generation != broker->certs->generation)
			drop(broker, fetched);
	}
}

enum staple_state staple_state(const struct fetched *fetched)
{
	if (!fetched->der)
		return STAPLE_NONE;
	return fetched->next_s < sys->wall_s() ? STAPLE_STALE : STAPLE_GOOD;
}

const char *staple_state_name(enum staple_state state)
{
	static const char *const names[STAPLE_STATES] = { "none", "good", "stale" };

	return names[state];
}

/* --- what a responder answered -------------------------------------------------------------------- */

/* Returns NULL, or why it does not take the place of what there is. */
static const char *keep(struct broker *broker, struct fetched *fetched, int fd, int64_t this_s,
			int64_t next_s)
{
	uint8_t *der;
	size_t len;

	if (fetched->der && this_s < fetched->this_s) {
		close(fd);
		return "the response is older than the one in force";
	}
	der = fetch_body_read(fd, OCSP_MAX_DER, &len);
	if (!der)
		return "no memory for the response";
	if (!fetched->der || len != fetched->der_len || memcmp(der, fetched->der, len))
		certs_restaple(broker);
	free(fetched->der);
	fetched->der = der;
	fetched->der_len = len;
	fetched->this_s = this_s;
	fetched->next_s = next_s;
	return NULL;
}

static void take_checked(struct broker *broker, struct fetched *fetched, struct wire_reader reader)
{
	uint64_t this_s = 0, next_s = 0;
	char text[FETCH_MAX_WHY] = "";
	const char *wrong = text;
	int fd = fetched->fd;
	struct attr attr;

	while (wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_TEXT)
			attr_text(&attr, text, sizeof(text));
		if (attr.type == ATTR_THIS_UPDATE)
			attr_u64(&attr, &this_s);
		if (attr.type == ATTR_NEXT_UPDATE)
			attr_u64(&attr, &next_s);
	}
	TAILQ_REMOVE(&broker->staples.queue, fetched, in_queue);
	fetched->fd = -1;
	if (!text[0])
		wrong = keep(broker, fetched, fd, (int64_t)this_s, (int64_t)next_s);
	else
		close(fd);
	if (wrong)
		fetch_item_bad(broker, &fetched->item, wrong);
	else
		fetch_item_good(broker, &fetched->item, (int64_t)this_s, (int64_t)next_s);
}

/* --- who checks it -------------------------------------------------------------------------------- */

static void end_checker(struct broker *broker, bool kill_it)
{
	struct staples *staples = &broker->staples;

	if (staples->channel.fd < 0)
		return;
	loop_forget(&broker->loop, &staples->channel);
	close(staples->channel.fd); /* which ends it */
	staples->channel.fd = -1;
	if (kill_it)
		kill(staples->pid, SIGKILL);
	staples->pid = 0;
}

/* It is gone, hangs, or makes no sense: whatever it had is to blame. */
static void checker_failed(struct broker *broker)
{
	struct staples *staples = &broker->staples;
	struct fetched *fetched = staples->checked;

	end_checker(broker, true);
	staples->checked = NULL;
	if (!fetched)
		return;
	TAILQ_REMOVE(&staples->queue, fetched, in_queue);
	close(fetched->fd);
	fetched->fd = -1;
	fetch_item_bad(broker, &fetched->item, "sluice-crls has not checked the response");
}

static void check_next(struct broker *broker);

static void checker_ready(struct watch *watch, uint32_t events)
{
	struct broker *broker =
		(struct broker *)((char *)watch - offsetof(struct broker, staples.channel));
	struct staples *staples = &broker->staples;
	struct fetched *fetched = staples->checked;
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	uint8_t buf[2048];
	ssize_t n = channel_recv(watch->fd, buf, sizeof(buf), &fds);

	if (n == -EAGAIN)
		return;
	if (n <= 0 ||
	    rules_open(ROUTE_CRLS_TO_BROKER, NULL, buf, (size_t)n, &fds, &reader, &head) ||
	    head.type != MSG_STAPLE_CHECKED) {
		channel_close_fds(&fds);
		checker_failed(broker);
		return;
	}
	channel_close_fds(&fds);
	if (!fetched || head.id != staples->id)
		return; /* of a certificate that has gone meanwhile */
	staples->checked = NULL;
	take_checked(broker, fetched, reader);
	check_next(broker);
}

static int start_checker(struct broker *broker)
{
	struct staples *staples = &broker->staples;
	int pair[2], r = channel_pair(pair);

	if (r < 0)
		return r;
	r = process_spawn("sluice-crls", &pair[1], 1, broker->config->uid, broker->config->gid);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	staples->pid = r;
	staples->channel = (struct watch){ .fd = pair[0], .ready = checker_ready };
	return loop_watch(&broker->loop, &staples->channel, EPOLLIN);
}

static int send_check(struct broker *broker, const struct fetched *fetched)
{
	struct staples *staples = &broker->staples;
	struct wire wire;

	wire_begin(&wire, broker->out, WIRE_MAX, MSG_STAPLE, ++staples->id);
	if (fetched->certs_len > wire.size - wire.len)
		return -EMSGSIZE;
	memcpy(wire.buf + wire.len, fetched->certs, fetched->certs_len);
	wire.len += fetched->certs_len;
	return channel_send(staples->channel.fd, wire.buf, wire_end(&wire), &fetched->fd, 1);
}

/* One after the other; without any the process ends. */
static void check_next(struct broker *broker)
{
	struct staples *staples = &broker->staples;

	if (staples->checked)
		return;
	if (TAILQ_EMPTY(&staples->queue)) {
		end_checker(broker, false);
		return;
	}
	staples->checked = TAILQ_FIRST(&staples->queue);
	staples->asked_ms = broker->loop.now_ms;
	if ((staples->channel.fd < 0 && start_checker(broker) < 0) ||
	    send_check(broker, staples->checked) < 0)
		checker_failed(broker);
}

static void taken(struct broker *broker, struct fetch_item *item, int fd)
{
	struct fetched *fetched = (struct fetched *)((char *)item - offsetof(struct fetched, item));

	if (fd < 0) { /* nothing was conditional */
		fetch_item_bad(broker, item, "the server answers what it was not asked");
		return;
	}
	fetched->fd = fd;
	TAILQ_INSERT_TAIL(&broker->staples.queue, fetched, in_queue);
	check_next(broker);
}

void staples_tick(struct broker *broker)
{
	struct staples *staples = &broker->staples;

	if (broker->stopping)
		return;
	if (staples->channel.fd >= 0 && broker->loop.now_ms - staples->asked_ms > HANG_MS)
		checker_failed(broker);
	check_next(broker);
}

/* --- which are fetched ---------------------------------------------------------------------------- */

static bool first_cert(struct wire_reader entry, struct attr *ret_attr)
{
	while (wire_next(&entry, ret_attr) == 1)
		if (ret_attr->type == ATTR_CERT)
			return true;
	return false;
}

static X509 *parse(const struct attr *attr)
{
	const uint8_t *at = attr->bytes;

	return d2i_X509(NULL, &at, (long)attr->len);
}

/* The one that has issued @cert: of the chains, or of the CAs. */
static X509 *find_issuer(struct wire_reader entry, X509 *cert, struct attr *ret_attr)
{
	X509 *issuer;

	while (wire_next(&entry, ret_attr) == 1) {
		if (ret_attr->type != ATTR_CERT &&
		    ret_attr->type != ATTR_OPTION + SLUICE_OPT_CACERTS)
			continue;
		issuer = parse(ret_attr);
		if (issuer && X509_check_issued(issuer, cert) == X509_V_OK)
			return issuer;
		X509_free(issuer);
	}
	return NULL;
}

static bool is_allowed(const struct config *config, const char *url)
{
	char host[FETCH_MAX_HOST + 1];
	struct fetch_hosts hosts;
	const char *at;
	uint16_t port;

	return config->fetch.hosts && fetch_url_host(url, host, &port) &&
	       !fetch_hosts_parse(&hosts, config->fetch.hosts, &at) &&
	       fetch_hosts_allow(&hosts, host, port);
}

static bool keep_certs(struct fetched *fetched, const struct attr *leaf, const struct attr *issuer)
{
	size_t size = leaf->len + issuer->len + 64u;
	struct wire wire;
	uint8_t *buf = malloc(size);

	if (!buf)
		return false;
	wire_begin(&wire, buf, size, MSG_STAPLE, 0);
	wire_put(&wire, ATTR_CERT, leaf->bytes, leaf->len);
	wire_put(&wire, ATTR_CERT, issuer->bytes, issuer->len);
	fetched->certs_len = wire.len - WIRE_HEAD_LEN;
	memmove(buf, buf + WIRE_HEAD_LEN, fetched->certs_len);
	free(fetched->certs);
	fetched->certs = buf;
	return !wire.overflow;
}

static bool make_request(struct fetched *fetched, X509 *cert, X509 *issuer, const char *url)
{
	struct fetch_item *item = &fetched->item;
	uint8_t *der = NULL;
	size_t len = 0;

	if (ocsp_request_make(cert, issuer, &der, &len) < 0)
		return false;
	*item = (struct fetch_item){ .what = FETCH_FOR_OCSP,
				     .url = strdup(url),
				     .body = malloc(len),
				     .body_len = len,
				     .max_len = OCSP_MAX_DER,
				     .taken = taken };
	if (item->body)
		memcpy(item->body, der, len);
	OPENSSL_free(der);
	if (item->url && item->body)
		return true;
	free(item->url);
	free(item->body);
	item->url = NULL;
	return false;
}

/* Returns NULL, or why it cannot be fetched. */
static const char *prepare(struct broker *broker, struct fetched *fetched, struct wire_reader entry,
			   const struct attr *leaf)
{
	X509 *cert = parse(leaf), *issuer = NULL;
	char url[FETCH_MAX_URL + 1];
	const char *wrong = NULL;
	struct attr attr;

	if (cert)
		issuer = find_issuer(entry, cert, &attr);
	if (!cert)
		wrong = "no memory";
	else if (!issuer)
		wrong = "its issuer's certificate is not in the file, nor among cacertfile's";
	else if (!ocsp_responder_url(cert, url, sizeof(url)))
		wrong = "it names no OCSP responder with an http URL";
	else if (!is_allowed(broker->certs->job.config, url))
		wrong = "the host of its OCSP responder is not among the hosts of fetch";
	else if (!keep_certs(fetched, leaf, &attr) || !make_request(fetched, cert, issuer, url))
		wrong = "no memory";
	X509_free(issuer);
	X509_free(cert);
	ERR_clear_error();
	return wrong;
}

void staples_put(struct broker *broker, const char *path, struct wire *wire)
{
	struct wire_reader entry = { wire->buf + WIRE_HEAD_LEN, wire->len - WIRE_HEAD_LEN };
	struct fetched *fetched;
	const char *wrong = NULL;
	struct attr leaf;

	if (wire->overflow || !first_cert(entry, &leaf))
		return;
	fetched = (struct fetched *)staples_find(broker, leaf.bytes, leaf.len);
	if (!fetched)
		fetched = make(broker, leaf.bytes, leaf.len);
	if (!fetched)
		return; /* the next catalogue tries again */
	fetched->generation = broker->certs->generation + 1;
	if (!fetched->item.url) {
		wrong = prepare(broker, fetched, entry, &leaf);
		if (!wrong) {
			fetched->item.whom = strdup(path);
			fetch_item_add(broker, &fetched->item);
		}
		if (wrong && strcmp(wrong, fetched->problem))
			log_line(broker, CONFIG_LOG_WARNING,
				 "ocsp_fetch: %s: %s; nothing is stapled", path, wrong);
		snprintf(fetched->problem, sizeof(fetched->problem), "%s", wrong ? wrong : "");
	}
	if (fetched->der)
		wire_put(wire, ATTR_OPTION + SLUICE_OPT_OCSP_RESPONSE, fetched->der,
			 fetched->der_len);
}

/* --- all of it ------------------------------------------------------------------------------------ */

void staples_open(struct broker *broker)
{
	struct staples *staples = &broker->staples;

	staples->channel.fd = -1;
	TAILQ_INIT(&staples->all);
	TAILQ_INIT(&staples->queue);
}

void staples_close(struct broker *broker)
{
	end_checker(broker, true);
	while (!TAILQ_EMPTY(&broker->staples.all))
		drop(broker, TAILQ_FIRST(&broker->staples.all));
}
