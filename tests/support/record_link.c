/* SPDX-License-Identifier: Apache-2.0 */
/* Record layers over a socket pair: see record_link.h. Used by flow tests only. */
#include "support/record_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/aead.h>
#include <openssl/digest.h>
#include <openssl/rand.h>

#include "record/ktls.h"
#include "record/traffic.h"

#define WAIT_MS 2000 /* for one arrival */
#define RUN_MS 60000 /* for a conversation, on an emulated machine */
#define POLL_MS 100

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- what there is ---- */

struct sluice_capabilities link_caps;

const uint16_t link_suites[LINK_N_SUITES] = { 0x1301, 0x1302, 0x1303, 0xc02f, 0xc030, 0xcca8 };

int link_probe(void **state)
{
	ktls_probe(&link_caps);
	return 0;
}

void link_need(int err, const char *what)
{
	if (err == 0)
		return;
	print_message("skipped: this kernel has no %s: %s\n", what, strerror(err));
	skip();
}

void link_need_ktls(void)
{
	link_need(link_caps.ktls_errno, "kTLS");
}

void link_need_rekey(void)
{
	link_need_ktls();
	link_need(link_caps.rekey_tx_errno, "rekeying for sending");
	link_need(link_caps.rekey_rx_errno, "rekeying for receiving");
}

const struct suite *link_need_suite(uint16_t id)
{
	link_need_ktls();
	for (int i = 0; i < link_caps.n_suites; i++) {
		const struct sluice_suite_caps *row = &link_caps.suites[i];

		if (row->id == id)
			link_need(row->kernel_tx_errno ? row->kernel_tx_errno
						       : row->kernel_rx_errno,
				  row->name);
	}
	return suite_find(id);
}

/* ---- opening and closing ---- */

void link_tcp(int family, int *ret_near, int *ret_far)
{
	struct sockaddr_storage addr = { .ss_family = (sa_family_t)family };
	struct sockaddr *any = (struct sockaddr *)&addr;
	socklen_t len = sizeof(struct sockaddr_in);
	const int one = 1;
	int listener;

	if (family == AF_INET6) {
		((struct sockaddr_in6 *)&addr)->sin6_addr = in6addr_loopback;
		len = sizeof(struct sockaddr_in6);
	} else {
		((struct sockaddr_in *)&addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
	listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(listener >= 0);
	assert_int_equal(bind(listener, any, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, any, &len), 0);
	*ret_near = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(*ret_near, any, len), 0);
	*ret_far = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(*ret_far >= 0);
	close(listener);
	assert_int_equal(setsockopt(*ret_near, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(*ret_far, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
}

static void keys_tls13(struct traffic **ret_sender, struct traffic **ret_receiver,
		       const struct suite *suite, uint64_t seq)
{
	uint8_t secret[SUITE_MAX_HASH];
	size_t len = EVP_MD_size(suite->md());

	RAND_bytes(secret, len);
	assert_int_equal(traffic_new_tls13(ret_sender, suite, secret, len, seq), 0);
	assert_int_equal(traffic_new_tls13(ret_receiver, suite, secret, len, seq), 0);
}

void link_keys(struct link *link, const struct suite *suite, uint64_t seq)
{
	struct link_end *near = &link->near, *far = &link->far;
	uint8_t block[2 * (SUITE_MAX_KEY + SUITE_MAX_IV)];
	size_t len = traffic_key_block_len(suite);

	if (suite->version == TLS13) {
		keys_tls13(&near->tx_keys, &far->rx_keys, suite, seq);
		keys_tls13(&far->tx_keys, &near->rx_keys, suite, seq);
		return;
	}
	assert_in_range(len, 1, sizeof(block));
	RAND_bytes(block, len);
	assert_int_equal(traffic_new_tls12(&near->rx_keys, &near->tx_keys, suite, block, len, false,
					   seq, seq),
			 0);
	assert_int_equal(traffic_new_tls12(&far->rx_keys, &far->tx_keys, suite, block, len, true,
					   seq, seq),
			 0);
}

void link_arm(struct link_end *end, enum sluice_path path)
{
	if (path == SLUICE_PATH_USER) {
		assert_int_equal(record_user_rx_new(&end->rx, end->rx_keys), 0);
		assert_int_equal(record_user_tx_new(&end->tx, end->tx_keys), 0);
		return;
	}
	assert_int_equal(ktls_attach(end->fd), 0);
	assert_int_equal(ktls_install(end->fd, KTLS_RX, end->rx_keys), 0);
	assert_int_equal(ktls_install(end->fd, KTLS_TX, end->tx_keys), 0);
	assert_int_equal(record_kernel_rx_new(&end->rx, end->fd, end->rx_keys), 0);
	assert_int_equal(record_kernel_tx_new(&end->tx, end->fd, end->tx_keys), 0);
}

void link_open(struct link *link, const struct link_setup *setup)
{
	memset(link, 0, sizeof(*link));
	link_tcp(setup->family ? setup->family : AF_INET, &link->near.fd, &link->far.fd);
	if (setup->send_buf)
		assert_int_equal(setsockopt(link->near.fd, SOL_SOCKET, SO_SNDBUF, &setup->send_buf,
					    sizeof(setup->send_buf)),
				 0);
	link_keys(link, setup->suite, setup->seq);
	link_arm(&link->near, setup->near);
	link_arm(&link->far, setup->far);
}

static void end_close(struct link_end *end)
{
	if (end->rx)
		end->rx->ops->free(end->rx);
	if (end->tx)
		end->tx->ops->free(end->tx);
	traffic_free(end->rx_keys);
	traffic_free(end->tx_keys);
	if (end->fd >= 0)
		close(end->fd);
	*end = (struct link_end){ .fd = -1 };
}

void link_close(struct link *link)
{
	end_close(&link->near);
	end_close(&link->far);
}

/* ---- one record ---- */

ssize_t link_send(struct link_end *end, uint8_t type, const void *buf, size_t len)
{
	struct msghdr msg;
	ssize_t n = end->tx->ops->prep(end->tx, type, buf, len, &msg);

	if (n < 0)
		return n;
	n = sendmsg(end->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	return end->tx->ops->done(end->tx, n < 0 ? -errno : n);
}

void link_send_all(struct link_end *end, uint8_t type, const void *buf, size_t len)
{
	assert_int_equal(link_send(end, type, buf, len), len);
	if (end->tx->ops->pending(end->tx))
		assert_int_equal(link_send(end, type, NULL, 0), 0);
	assert_false(end->tx->ops->pending(end->tx));
}

/* One receive that does not wait. */
static int recv_now(struct link_end *end, void *buf, size_t len, struct record *ret_record)
{
	struct msghdr msg;
	ssize_t n;
	int r;

	r = end->rx->ops->next(end->rx, buf, len, ret_record);
	if (r != RECORD_MORE)
		return r;
	assert_int_equal(end->rx->ops->prep(end->rx, buf, len, &msg), 0);
	n = recvmsg(end->fd, &msg, MSG_DONTWAIT);
	return end->rx->ops->done(end->rx, n < 0 ? -errno : n, &msg, ret_record);
}

/* Asks again and again: with new keys due, poll(2) says nothing of a record that is there. */
int link_recv(struct link_end *end, void *buf, size_t len, struct record *ret_record)
{
	int64_t deadline = now_ms() + WAIT_MS;
	int r;

	for (;;) {
		struct pollfd pollfd = { .fd = end->fd, .events = POLLIN };

		r = recv_now(end, buf, len, ret_record);
		if (r != RECORD_MORE || now_ms() > deadline)
			return r;
		poll(&pollfd, 1, POLL_MS);
	}
}

void link_expect(struct link_end *end, uint8_t type, const void *bytes, size_t len)
{
	uint8_t *buf = malloc(len + 1);
	struct record record;

	assert_non_null(buf);
	assert_int_equal(link_recv(end, buf, len + 1, &record), RECORD_READY);
	assert_int_equal(record.type, type);
	assert_int_equal(record.len, len);
	assert_true(record.end);
	assert_memory_equal(record.data, bytes, len);
	free(buf);
}

/* ---- a conversation ---- */

/* Where one side stands: in which item, and how far into it. */
struct cursor {
	const struct link_item *items;
	size_t n_items, item, offset;
};

/* A byte that tells its item and its place in it, at a period that no record length shares. */
static uint8_t pattern(size_t item, size_t offset)
{
	return (uint8_t)(item * 31 + offset % 251);
}

static void cursor_skip_ended(struct cursor *at)
{
	while (at->item < at->n_items && at->offset == at->items[at->item].len) {
		at->item++;
		at->offset = 0;
	}
}

/* Returns whether anything was taken. */
static bool run_send(struct link_end *from, struct cursor *at, uint8_t *scratch)
{
	const struct link_item *item = &at->items[at->item];
	ssize_t n;

	if (from->tx->ops->pending(from->tx)) {
		assert_int_equal(link_send(from, RECORD_DATA, NULL, 0), 0);
		return !from->tx->ops->pending(from->tx);
	}
	if (at->item == at->n_items)
		return false;
	for (size_t i = at->offset; i < item->len; i++)
		scratch[i] = pattern(at->item, i);
	n = link_send(from, item->type, scratch + at->offset, item->len - at->offset);
	assert_true(n >= 0);
	/* Control records of one record's size go whole or not at all. */
	if (item->type != RECORD_DATA && n > 0)
		assert_int_equal(n, item->len);
	at->offset += (size_t)n;
	cursor_skip_ended(at);
	return n > 0;
}

/* Data may come joined across items of data; a control record only by itself. */
static void check_record(struct cursor *at, const struct record *record)
{
	for (size_t i = 0; i < record->len; i++) {
		assert_true(at->item < at->n_items);
		if (record->type != at->items[at->item].type ||
		    record->data[i] != pattern(at->item, at->offset))
			fail_msg("item %zu, byte %zu: type %u, 0x%02x", at->item, at->offset,
				 record->type, record->data[i]);
		at->offset++;
		if (record->type != RECORD_DATA)
			assert_int_equal(record->end && i + 1 == record->len,
					 at->offset == at->items[at->item].len);
		cursor_skip_ended(at);
	}
}

/* Returns whether anything came. */
static bool run_recv(struct link_end *to, struct cursor *at, uint8_t *buf, size_t buf_len)
{
	struct record record;
	int r = recv_now(to, buf, buf_len, &record);

	if (r == RECORD_MORE)
		return false;
	assert_int_equal(r, RECORD_READY);
	check_record(at, &record);
	return true;
}

static size_t longest(const struct link_item *items, size_t n_items)
{
	size_t max = 1;

	for (size_t i = 0; i < n_items; i++)
		max = items[i].len > max ? items[i].len : max;
	return max;
}

void link_run(struct link_end *from, struct link_end *to, const struct link_item *items,
	      size_t n_items, size_t buf_len)
{
	struct cursor sent = { items, n_items, 0, 0 }, received = { items, n_items, 0, 0 };
	uint8_t *scratch = malloc(longest(items, n_items)), *buf = malloc(buf_len);
	int64_t deadline = now_ms() + RUN_MS;

	assert_non_null(scratch);
	assert_non_null(buf);
	while (received.item < n_items) {
		struct pollfd pollfd = { .fd = to->fd, .events = POLLIN };
		bool moved = run_send(from, &sent, scratch);

		while (run_recv(to, &received, buf, buf_len))
			moved = true;
		if (!moved)
			poll(&pollfd, 1, POLL_MS);
		if (now_ms() > deadline)
			fail_msg("stuck: sent to item %zu, received to item %zu, byte %zu",
				 sent.item, received.item, received.offset);
	}
	free(scratch);
	free(buf);
}

/* ---- epochs ---- */

int link_rekey_tx(struct link_end *end)
{
	struct traffic *next = NULL;
	int r;

	assert_int_equal(traffic_next_epoch(&next, end->tx_keys), 0);
	r = end->tx->ops->rekey(end->tx, next);
	traffic_free(r == 0 ? end->tx_keys : next);
	end->tx_keys = r == 0 ? next : end->tx_keys;
	return r;
}

int link_rekey_rx(struct link_end *end)
{
	struct traffic *next = NULL;
	int r;

	assert_int_equal(traffic_next_epoch(&next, end->rx_keys), 0);
	r = end->rx->ops->rekey(end->rx, next);
	traffic_free(r == 0 ? end->rx_keys : next);
	end->rx_keys = r == 0 ? next : end->rx_keys;
	return r;
}

/* ---- records by hand ---- */

static void put_seq(uint8_t out[8], uint64_t seq)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(seq >> (56 - 8 * i));
}

/* RFC 8446, 5.3 and RFC 7905, 2; RFC 5288, 3 with the record number as the explicit part. */
static void make_nonce(uint8_t nonce[12], const struct traffic *keys, const uint8_t seq[8])
{
	memcpy(nonce, keys->iv, 12);
	for (int i = 0; i < 8; i++)
		nonce[4 + i] = keys->suite->explicit_len ? seq[i] : nonce[4 + i] ^ seq[i];
}

size_t link_seal(uint8_t out[LINK_MAX_SEALED], const struct traffic *keys, uint64_t seq,
		 uint8_t type, const void *plain, size_t len, size_t pad)
{
	const struct suite *suite = keys->suite;
	bool tls13 = suite->version == TLS13;
	size_t inner_len = len + (tls13 ? 1 + pad : 0), ad_len, sealed_len, body_len;
	uint8_t nonce[12], ad[13], *inner = calloc(1, inner_len + 1);
	uint8_t *body = out + RECORD_HEADER_LEN + suite->explicit_len;
	EVP_AEAD_CTX *ctx;

	assert_non_null(inner);
	memcpy(inner, plain, len);
	if (tls13)
		inner[len] = type; /* TLSInnerPlaintext, the zeros behind it are there */
	body_len = suite->explicit_len + inner_len + SUITE_TAG_LEN;
	assert_in_range(body_len, 1, LINK_MAX_SEALED - RECORD_HEADER_LEN);

	put_seq(ad, seq);
	make_nonce(nonce, keys, ad);
	memcpy(out + RECORD_HEADER_LEN, ad, suite->explicit_len);
	out[0] = tls13 ? RECORD_DATA : type;
	out[1] = out[2] = 3;
	out[3] = (uint8_t)(body_len >> 8);
	out[4] = (uint8_t)body_len;
	/* RFC 5246, 6.2.3.3: number, type, version, length of plain; RFC 8446, 5.2: the header. */
	memcpy(ad + 8, out, RECORD_HEADER_LEN);
	ad[11] = (uint8_t)(len >> 8);
	ad[12] = (uint8_t)len;
	ad_len = tls13 ? RECORD_HEADER_LEN : sizeof(ad);

	ctx = EVP_AEAD_CTX_new(suite->aead(), keys->key, suite->key_len, SUITE_TAG_LEN);
	assert_non_null(ctx);
	assert_int_equal(EVP_AEAD_CTX_seal(ctx, body, &sealed_len, inner_len + SUITE_TAG_LEN, nonce,
					   sizeof(nonce), inner, inner_len, tls13 ? out : ad,
					   ad_len),
			 1);
	EVP_AEAD_CTX_free(ctx);
	free(inner);
	return RECORD_HEADER_LEN + body_len;
}

void link_send_raw(struct link_end *end, const void *bytes, size_t len)
{
	assert_int_equal(send(end->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL), len);
}

void link_send_sealed(struct link_end *end, uint64_t seq, uint8_t type, const void *plain,
		      size_t len, size_t pad)
{
	uint8_t out[LINK_MAX_SEALED];

	link_send_raw(end, out, link_seal(out, end->tx_keys, seq, type, plain, len, pad));
}
