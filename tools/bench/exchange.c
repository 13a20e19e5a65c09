// SPDX-License-Identifier: Apache-2.0
/*
 * One request and its response on an established connection, or one echo, without waiting. libhtp
 * finds the end of a response however it is framed. Called by slot.c.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "load.h"

#define CHUNK 65536
#define HASHED_MAX (1 << 30) /* hashing more would take longer than many a load */
#define ROUNDS 32            /* of one turn, so that other connections have theirs */

static int on_line(htp_tx_t *tx)
{
	struct slot *slot = htp_connp_get_user_data(tx->connp);

	slot->status = tx->response_status_number;
	return HTP_OK;
}

static void keep_answer(struct slot *slot, const uint8_t *data, size_t len)
{
	size_t room = sizeof(slot->answer) - 1 - slot->answer_len;

	if (len > room)
		len = room;
	memcpy(slot->answer + slot->answer_len, data, len);
	slot->answer_len += len;
	slot->answer[slot->answer_len] = '\0';
}

static void take_body(struct slot *slot, const uint8_t *data, size_t len)
{
	slot->received += len;
	if (slot->loader->bench->mode == MODE_UPLOAD)
		keep_answer(slot, data, len);
	if (slot->loader->bench->settings->verify_body)
		SHA256_Update(&slot->sha, data, len);
}

static int on_body(htp_tx_data_t *data)
{
	if (data->data)
		take_body(htp_connp_get_user_data(data->tx->connp), data->data, data->len);
	return HTP_OK;
}

static bool has_connection(htp_tx_t *tx, const char *word)
{
	htp_header_t *header = htp_table_get_c(tx->response_headers, "connection");

	return header && bstr_index_of_c_nocase(header->value, word) >= 0;
}

static int on_complete(htp_tx_t *tx)
{
	struct slot *slot = htp_connp_get_user_data(tx->connp);

	/* libhtp knows 100 only to be an interim one, and takes what follows the others for unasked. */
	if (slot->status >= 100 && slot->status < 200 && slot->status != 101) {
		slot->status = 0;
		return HTP_OK;
	}
	slot->complete = true;
	slot->close_after = has_connection(tx, "close") ||
			    (tx->response_protocol_number != HTP_PROTOCOL_1_1 &&
			     !has_connection(tx, "keep-alive"));
	if (slot->status == 200 && tx->response_transfer_coding == HTP_CODING_IDENTITY &&
	    tx->response_content_length >= 0)
		head_learn(&slot->loader->known, slot, (uint64_t)tx->response_content_length);
	return HTP_OK;
}

/* Neighbours and pages differ, so that bytes that are lost or come twice show. */
static uint8_t pattern_byte(size_t i)
{
	return (uint8_t)(i % 251 ^ i >> 8);
}

static int make_head(struct bench *bench)
{
	const struct bench_settings *settings = bench->settings;
	char length[64] = "";
	int n;

	if (bench->mode == MODE_UPLOAD)
		snprintf(length, sizeof(length), "Content-Length: %lld\r\n",
			 (long long)settings->size);
	n = snprintf(bench->head, sizeof(bench->head),
		     "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sluice\r\nAccept: */*\r\n%s%s\r\n",
		     bench->mode == MODE_UPLOAD ? "POST" : "GET", settings->path,
		     settings->servername ? settings->servername : bench->target, length,
		     settings->keep_alive ? "" : "Connection: close\r\n");
	if (n < 0 || (size_t)n >= sizeof(bench->head))
		return -SLUICE_E_INVALID;
	bench->head_len = (size_t)n;
	return 0;
}

/* What a server must say that has got it all; once, as every upload is the same. */
static void hash_upload(struct bench *bench)
{
	uint64_t left = (uint64_t)bench->settings->size;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA256_CTX sha;
	size_t i, n;

	SHA256_Init(&sha);
	for (; left; left -= n) {
		n = left < PATTERN_LEN ? left : PATTERN_LEN;
		SHA256_Update(&sha, bench->pattern, n);
	}
	SHA256_Final(digest, &sha);
	for (i = 0; i < sizeof(digest); i++)
		snprintf(bench->sent_sha256 + 2 * i, 3, "%02x", digest[i]);
}

int exchange_setup(struct bench *bench)
{
	size_t i;

	bench->pattern = malloc(PATTERN_LEN);
	bench->http = htp_config_create();
	if (!bench->pattern || !bench->http)
		return -SLUICE_E_NOMEM;
	for (i = 0; i < PATTERN_LEN; i++)
		bench->pattern[i] = pattern_byte(i);
	if (bench->mode == MODE_UPLOAD && bench->settings->size <= HASHED_MAX)
		hash_upload(bench);
	htp_config_set_response_decompression(bench->http, 0);
	htp_config_set_log_level(bench->http, HTP_LOG_NONE);
	htp_config_set_tx_auto_destroy(bench->http, 1);
	htp_config_register_response_line(bench->http, on_line);
	htp_config_register_response_body_data(bench->http, on_body);
	htp_config_register_response_complete(bench->http, on_complete);
	return make_head(bench);
}

void exchange_free(struct bench *bench)
{
	free(bench->pattern);
	if (bench->http)
		htp_config_destroy(bench->http);
}

/* libhtp pairs responses with requests: it is shown one without its body. */
static int show_request(struct slot *slot)
{
	static const char get[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	static const char post[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
	const char *text = slot->loader->bench->mode == MODE_UPLOAD ? post : get;

	if (!slot->http) {
		slot->http = htp_connp_create(slot->loader->bench->http);
		if (!slot->http)
			return -SLUICE_E_NOMEM;
		htp_connp_set_user_data(slot->http, slot);
		htp_connp_open(slot->http, NULL, 0, NULL, 0, NULL);
	}
	return htp_connp_req_data(slot->http, NULL, text, strlen(text)) == HTP_STREAM_ERROR
		       ? -SLUICE_E_NOMEM
		       : 0;
}

void exchange_begin(struct slot *slot)
{
	slot->sent = 0;
	slot->received = 0;
	slot->answer_len = 0;
	slot->answer[0] = '\0';
	slot->status = 0;
	slot->began = slot->loader->now;
	slot->taken = 0;
	slot->begun = slot->direct = false;
	slot->complete = false;
	slot->close_after = false;
	SHA256_Init(&slot->sha);
}

/* What is sent next: the head, then the pattern from the place where it is. */
static size_t next_piece(const struct slot *slot, const void **ret_data)
{
	const struct bench *bench = slot->loader->bench;
	uint64_t head = bench->mode == MODE_ECHO ? 0 : bench->head_len;
	uint64_t body = bench->mode >= MODE_UPLOAD ? (uint64_t)bench->settings->size : 0;
	uint64_t at, left;

	if (slot->sent < head) {
		*ret_data = bench->head + slot->sent;
		return head - slot->sent;
	}
	at = (slot->sent - head) % PATTERN_LEN;
	left = head + body - slot->sent;
	*ret_data = bench->pattern + at;
	return left < PATTERN_LEN - at ? left : PATTERN_LEN - at;
}

bool exchange_is_sending(const struct slot *slot)
{
	const void *data;

	return !slot->complete && next_piece(slot, &data) > 0;
}

/* Returns 0, also when there is nothing more to send, or the error. */
static int send_some(struct slot *slot, int *rounds)
{
	const void *data;
	size_t len;
	ssize_t n;

	while (!slot->complete && (len = next_piece(slot, &data)) > 0) {
		if ((*rounds)-- <= 0) {
			slot->again = true;
			return 0;
		}
		n = sluice_send(slot->conn, data, len, SLUICE_NOWAIT);
		if (n == -SLUICE_E_AGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		slot->sent += (uint64_t)n;
		loader_bytes(slot->loader, 0, (uint64_t)n);
	}
	return 0;
}

/* Returns 0 or PROTOCOL: not what was sent. */
static int take_echo(struct slot *slot, const uint8_t *data, size_t len)
{
	const struct bench *bench = slot->loader->bench;
	size_t at, n;

	if (len > slot->sent - slot->received)
		return -SLUICE_E_PROTOCOL;
	while (len) {
		at = slot->received % PATTERN_LEN;
		n = len < PATTERN_LEN - at ? len : PATTERN_LEN - at;
		if (memcmp(bench->pattern + at, data, n) != 0)
			return -SLUICE_E_PROTOCOL;
		slot->received += n;
		data += n;
		len -= n;
	}
	slot->complete = slot->received == (uint64_t)bench->settings->size;
	return 0;
}

static int take_direct(struct slot *slot, const uint8_t *data, size_t len)
{
	if (len > slot->left)
		return -SLUICE_E_PROTOCOL;
	take_body(slot, data, len);
	slot->left -= len;
	slot->complete = !slot->left;
	return 0;
}

/* The beginning of a response: who reads it. Returns how long a known head is, or the error. */
static ssize_t begin_response(struct slot *slot, const uint8_t *data, size_t len)
{
	struct known_head *known = &slot->loader->known;
	size_t head = head_match(known, data, len);

	slot->begun = true;
	if (!head) {
		head_see(known, slot, data, len);
		return show_request(slot);
	}
	slot->direct = true;
	slot->status = 200;
	slot->left = known->body;
	slot->close_after = known->close_after;
	return (ssize_t)head;
}

static int take(struct slot *slot, const uint8_t *data, size_t len)
{
	ssize_t head;
	int r;

	loader_bytes(slot->loader, len, 0);
	slot->taken += len;
	if (slot->loader->bench->mode == MODE_ECHO)
		return take_echo(slot, data, len);
	head = slot->begun ? 0 : begin_response(slot, data, len);
	if (head < 0)
		return (int)head;
	if (slot->direct)
		return take_direct(slot, data + head, len - (size_t)head);
	r = htp_connp_res_data(slot->http, NULL, data, len);
	if (r == HTP_STREAM_ERROR || r == HTP_STREAM_STOP || slot->status == HTP_STATUS_INVALID)
		return -SLUICE_E_PROTOCOL;
	return 0;
}

/* The peer has ended in order, which may be how it ends a body. */
static int take_end(struct slot *slot)
{
	if (slot->loader->bench->mode == MODE_ECHO || !slot->status)
		return -SLUICE_E_CLOSED;
	if (!slot->direct)
		htp_connp_close(slot->http, NULL);
	slot->close_after = true;
	return slot->complete ? 0 : -SLUICE_E_TRUNCATED;
}

/* How much may be read now, by --read-rate: in pieces of a hundredth of a second's, the time between two ticks. */
static size_t read_room(const struct slot *slot)
{
	double rate = (double)slot->loader->bench->settings->read_rate, room;

	if (rate <= 0)
		return CHUNK;
	room = rate * (double)(now_ns() - slot->began) / NS_PER_S - (double)slot->taken;
	if (room < 1 || (room < CHUNK && room < rate / 100))
		return 0;
	return room < CHUNK ? (size_t)room : CHUNK;
}

static int receive_some(struct slot *slot, int *rounds)
{
	uint8_t buf[CHUNK];
	size_t room;
	ssize_t n;
	int r;

	while (!slot->complete) {
		if ((*rounds)-- <= 0) {
			slot->again = true;
			return 0;
		}
		room = read_room(slot);
		slot->slowed = !room;
		if (!room)
			return 0;
		n = sluice_recv(slot->conn, buf, room, SLUICE_NOWAIT);
		if (n == -SLUICE_E_AGAIN)
			return 0;
		r = n > 0                   ? take(slot, buf, (size_t)n)
		    : n == -SLUICE_E_CLOSED ? take_end(slot)
					    : (int)n;
		if (r < 0)
			return r;
		slot->close_after |= slot->complete && n == -SLUICE_E_CLOSED;
	}
	return 0;
}

int exchange_run(struct slot *slot)
{
	uint64_t before = slot->sent + slot->received;
	int rounds = ROUNDS, r;

	r = send_some(slot, &rounds);
	rounds = ROUNDS;
	if (r >= 0)
		r = receive_some(slot, &rounds);
	if (slot->sent + slot->received != before)
		slot->deadline = slot->loader->now +
				 (uint64_t)slot->loader->bench->settings->timeout * NS_PER_MS;
	return r < 0 ? r : slot->complete;
}

/* A server that says what it has got (`sluice serve --upload-max`) must have got what was sent. */
static const char *upload_verdict(const struct slot *slot)
{
	const struct bench *bench = slot->loader->bench;
	const char *said = strstr(slot->answer, "\"sha256\": \"");
	const void *data;

	if (next_piece(slot, &data))
		return "BODY_NOT_TAKEN";
	if (said && bench->sent_sha256[0] && !strstr(said, bench->sent_sha256))
		return "BODY_SHA256";
	return NULL;
}

const char *exchange_verdict(struct slot *slot, char *buf, size_t buf_len)
{
	const struct bench *bench = slot->loader->bench;
	const struct bench_settings *settings = bench->settings;
	uint8_t digest[SHA256_DIGEST_LENGTH];

	if (bench->mode == MODE_ECHO)
		return NULL;
	if (slot->status < 200 || slot->status >= 300) {
		snprintf(buf, buf_len, "HTTP_STATUS_%03d", slot->status);
		return buf;
	}
	if (bench->mode == MODE_UPLOAD)
		return upload_verdict(slot);
	if (settings->size >= 0 && slot->received != (uint64_t)settings->size)
		return "BODY_LENGTH";
	SHA256_Final(digest, &slot->sha);
	if (settings->verify_body && memcmp(digest, bench->sha256, sizeof(digest)) != 0)
		return "BODY_SHA256";
	return NULL;
}
