// SPDX-License-Identifier: Apache-2.0
/*
 * The gate: BoringSSL's BIO during the handshake. It reads no byte that may stand behind the peer's
 * last handshake record, so that whatever follows that is still in the socket when the record path
 * takes over, and up to there it reads as far as it can know; it refuses what is not TLS before
 * BoringSSL sees it, bounds the bytes of a handshake, and holds a ServerHello back until its reader
 * has decided to go on. The flow owns it.
 */
#include "bssl/gate.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>

#include <sluice/error.h>

#include "core/sys.h"
#include "record/record.h"
#include "tls/control.h"

#define HANDSHAKE_HEADER_LEN 4
#define SERVER_HELLO 2
/* A ServerHello that needs more is not one that we can have asked for. */
#define MAX_HELLO 16384
/* What is read at once of a first flight. More than one record of it is unusual; many are an attack. */
#define FIRST_FLIGHT 4096
/*
 * No record with a Finished is shorter: TLS 1.2 with ChaCha20 (RFC 7905) has the header, 16 bytes of message
 * and 16 of tag; TLS 1.3 has longer ones.
 */
#define LEAST_FINISHED (RECORD_HEADER_LEN + 32)
#define ROOM (RECORD_HEADER_LEN + RECORD_MAX_CIPHER_TLS13 + LEAST_FINISHED)

static int gate_refuse(struct gate *gate, int code, int alert, const char *text)
{
	gate->status = GATE_REFUSED;
	gate->code = code;
	gate->alert = alert;
	gate->text = text;
	return -1;
}

static int gate_fail(struct gate *gate, int err, const char *text)
{
	gate->status = GATE_FAILED;
	gate->code = sys_errno_code(err);
	gate->sys_errno = err;
	gate->text = text;
	return -1;
}

/* The methods of RFC 9110, 9 and PRI of HTTP/2, as far as five bytes tell. */
static bool looks_like_http(const uint8_t header[RECORD_HEADER_LEN])
{
	static const char *const methods[] = { "GET /", "HEAD ", "POST ", "PUT /", "DELET",
					       "CONNE", "OPTIO", "TRACE", "PATCH", "PRI *" };
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (memcmp(header, methods[i], RECORD_HEADER_LEN) == 0)
			return true;
	return false;
}

/* The first record decides whether this is TLS at all. */
static int check_first(struct gate *gate, const uint8_t *header)
{
	if (looks_like_http(header))
		return gate_refuse(gate, SLUICE_E_HTTP_REQUEST, -1,
				   "a plain HTTP request came to a TLS port");
	/* SSLv2's framing, in which SSLv3 hellos once travelled (RFC 5246, E.2). */
	if ((header[0] & 0x80) && header[2] == 1)
		return gate_refuse(gate, SLUICE_E_UNSUPPORTED_VERSION,
				   SLUICE_ALERT_PROTOCOL_VERSION,
				   "an SSLv2 ClientHello is not accepted");
	if (header[0] < RECORD_CHANGE_CIPHER_SPEC || header[0] > RECORD_DATA)
		return gate_refuse(gate, SLUICE_E_NOT_TLS, SLUICE_ALERT_UNEXPECTED_MESSAGE,
				   "the first bytes are not a TLS record");
	return 0;
}

static int check_header(struct gate *gate)
{
	const uint8_t *header = gate->record;
	size_t len = (size_t)header[3] << 8 | header[4];

	if (!gate->first_seen && check_first(gate, header))
		return -1;
	gate->first_seen = true;
	if (header[1] != 3)
		return gate_refuse(gate, SLUICE_E_NOT_TLS, SLUICE_ALERT_PROTOCOL_VERSION,
				   "the record's version is not TLS");
	if (len > RECORD_MAX_CIPHER_TLS13)
		return gate_refuse(gate, SLUICE_E_RECORD_OVERFLOW, SLUICE_ALERT_RECORD_OVERFLOW,
				   "a handshake record is longer than 2^14 + 256 bytes");
	/* @have is of this record and what came with it. */
	if (gate->bytes_in - gate->have + RECORD_HEADER_LEN + len > gate->max_in)
		return gate_refuse(gate, SLUICE_E_HANDSHAKE_TOO_LARGE,
				   SLUICE_ALERT_HANDSHAKE_FAILURE,
				   "the handshake exceeds max_handshake_size");
	gate->need = RECORD_HEADER_LEN + len;
	gate->finishing |= header[0] == RECORD_DATA ||
			   (header[0] == RECORD_HANDSHAKE && gate->ccs_seen);
	gate->ccs_seen |= header[0] == RECORD_CHANGE_CIPHER_SPEC;
	return 0;
}

/*
 * How much may be read, from the beginning of the record at hand: as far as what comes is certainly of the
 * handshake. BoringSSL reads only until it has the peer's Finished, and that one is the last.
 *
 * - Who has not heard from us cannot have made his Finished: nothing that he has sent is behind it.
 * - Behind a ChangeCipherSpec (RFC 5246, 7.1; RFC 8446, D.4) and behind messages in the clear, which stand
 *   before any ChangeCipherSpec of TLS 1.2, there is a Finished still.
 * - An encrypted record may be the last, or a piece of the Finished: it and what follows are read to their ends.
 */
static size_t reach(const struct gate *gate)
{
	uint8_t type = gate->record[0];

	if (gate->answers && !gate->bytes_out)
		return gate->need > FIRST_FLIGHT ? gate->need : FIRST_FLIGHT;
	if (gate->finishing)
		return gate->need;
	if (gate->have < RECORD_HEADER_LEN)
		return LEAST_FINISHED;
	if (type == RECORD_CHANGE_CIPHER_SPEC || type == RECORD_HANDSHAKE)
		return gate->need + LEAST_FINISHED;
	return gate->need;
}

/*
 * Receives what is needed now. Returns 0 when it is there. A receive that brought less than was asked for
 * has emptied the socket of bytes (epoll(7), Q9), but not of the end that may stand behind them: bytes and FIN
 * can be one edge. So only who is told again leaves it at that; everybody else asks until nothing is there.
 */
static int fill(struct gate *gate)
{
	while (gate->have < gate->need) {
		struct iovec iov = { gate->record + gate->have, reach(gate) - gate->have };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		if (gate->drained) {
			gate->drained = false;
			gate->status = GATE_WANT_READ;
			return -1;
		}
		n = sys->recvmsg(gate->fd, &msg, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			gate->status = GATE_WANT_READ;
			return -1;
		}
		if (n < 0)
			return gate_fail(gate, errno, "receiving a handshake record");
		if (n == 0) {
			gate->status = GATE_EOF;
			return -1;
		}
		gate->drained = gate->told_again && (size_t)n < iov.iov_len;
		gate->have += n;
		gate->bytes_in += n;
	}
	return 0;
}

/* Reads one whole record. Returns 0 when gate->record holds it, unserved. */
static int read_record(struct gate *gate)
{
	if (!gate->record) {
		gate->record = malloc(ROOM);
		if (!gate->record)
			return gate_fail(gate, ENOMEM, "making room for a handshake record");
	}
	if (gate->served && gate->served == gate->need) {
		gate->have -= gate->need;
		memmove(gate->record, gate->record + gate->need, gate->have);
		gate->need = gate->served = 0;
	}
	if (!gate->need)
		gate->need = RECORD_HEADER_LEN;
	if (fill(gate))
		return -1;
	if (gate->need == RECORD_HEADER_LEN) {
		if (check_header(gate) || fill(gate))
			return -1;
	}
	return 0;
}

/* Keeps a copy of what may be the hello: certificates can fill the rest of its record. */
static int append_hello(struct gate *gate)
{
	size_t len = gate->need - RECORD_HEADER_LEN;
	uint8_t *hello;

	if (len > MAX_HELLO - gate->hello_len)
		len = MAX_HELLO - gate->hello_len;
	hello = realloc(gate->hello, gate->hello_len + len + 1);
	if (!hello)
		return gate_fail(gate, ENOMEM, "making room for a ServerHello");
	memcpy(hello + gate->hello_len, gate->record + RECORD_HEADER_LEN, len);
	gate->hello = hello;
	gate->hello_len += len;
	return 0;
}

/* RFC 8446, 4.1.3: a HelloRetryRequest is a ServerHello with this random. */
static bool is_retry_request(const uint8_t *hello, size_t len)
{
	static const uint8_t random[32] = { 0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
					    0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
					    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
					    0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c };
	const size_t at = HANDSHAKE_HEADER_LEN + 2; /* legacy_version */

	return len >= at + sizeof(random) && memcmp(hello + at, random, sizeof(random)) == 0;
}

/*
 * Looks for a whole ServerHello in what the peer has sent. A HelloRetryRequest goes through, and
 * the next one is held. A ServerHello that spans records is held at its last one: BoringSSL may
 * have the others.
 */
static int hold(struct gate *gate)
{
	size_t len;

	if (gate->record[0] != RECORD_HANDSHAKE)
		return 0;
	if (append_hello(gate))
		return -1;
	if (gate->hello_len < HANDSHAKE_HEADER_LEN || gate->hello[0] != SERVER_HELLO)
		return 0;
	len = HANDSHAKE_HEADER_LEN +
	      ((size_t)gate->hello[1] << 16 | (size_t)gate->hello[2] << 8 | gate->hello[3]);
	if (len > MAX_HELLO)
		return gate_refuse(gate, SLUICE_E_PROTOCOL, SLUICE_ALERT_ILLEGAL_PARAMETER,
				   "the ServerHello is too long");
	if (gate->hello_len < len)
		return 0;
	if (is_retry_request(gate->hello, len)) {
		gate->hello_len = 0;
		return 0;
	}
	gate->hello_len = len;
	gate->status = GATE_HELD;
	return -1;
}

static int gate_bio_read(BIO *bio, char *out, int out_len)
{
	struct gate *gate = BIO_get_data(bio);
	size_t n;

	BIO_clear_retry_flags(bio);
	if (out_len <= 0)
		return 0;
	if (gate->status == GATE_HELD || gate->status == GATE_REFUSED ||
	    gate->status == GATE_FAILED)
		goto stop;
	gate->status = GATE_OPEN;
	if (gate->need <= RECORD_HEADER_LEN || gate->served == gate->need ||
	    gate->have < gate->need) {
		if (gate->stop_behind) {
			gate->status = GATE_WANT_READ;
			goto stop;
		}
		if (read_record(gate))
			goto stop;
		if (gate->hold_hello && hold(gate))
			goto stop;
	}
	n = gate->need - gate->served;
	if (n > (size_t)out_len)
		n = out_len;
	memcpy(out, gate->record + gate->served, n);
	gate->served += n;
	return n;
stop:
	if (gate->status == GATE_EOF)
		return 0;
	if (gate->status == GATE_WANT_READ || gate->status == GATE_HELD)
		BIO_set_retry_read(bio);
	return -1;
}

static int gate_bio_write(BIO *bio, const char *in, int in_len)
{
	struct gate *gate = BIO_get_data(bio);
	struct iovec iov = { (void *)in, in_len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	BIO_clear_retry_flags(bio);
	do {
		n = sys->sendmsg(gate->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		gate->bytes_out += n;
		gate->drained |= gate->told_again;
		return n;
	}
	if (errno == EAGAIN) {
		gate->status = GATE_WANT_WRITE;
		BIO_set_retry_write(bio);
		return -1;
	}
	return gate_fail(gate, errno, "sending a handshake flight");
}

static long gate_bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *gate_method;
static pthread_once_t gate_method_once = PTHREAD_ONCE_INIT;

static void gate_method_init(void)
{
	gate_method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "sluice gate");
	if (!gate_method)
		return;
	BIO_meth_set_read(gate_method, gate_bio_read);
	BIO_meth_set_write(gate_method, gate_bio_write);
	BIO_meth_set_ctrl(gate_method, gate_bio_ctrl);
}

BIO *gate_bio(struct gate *gate)
{
	BIO *bio;

	pthread_once(&gate_method_once, gate_method_init);
	bio = gate_method ? BIO_new(gate_method) : NULL;
	if (!bio)
		return NULL;
	BIO_set_data(bio, gate);
	BIO_set_init(bio, 1);
	return bio;
}

void gate_init(struct gate *gate, int fd, size_t max_in)
{
	memset(gate, 0, sizeof(*gate));
	gate->fd = fd;
	gate->max_in = max_in;
	gate->alert = -1;
}

void gate_release(struct gate *gate)
{
	gate->hold_hello = false;
	free(gate->hello);
	gate->hello = NULL;
	gate->hello_len = 0;
	if (gate->status == GATE_HELD)
		gate->status = GATE_OPEN;
}

size_t gate_left(const struct gate *gate)
{
	return gate->have - gate->served;
}

void gate_deinit(struct gate *gate)
{
	free(gate->record);
	free(gate->hello);
	gate->record = gate->hello = NULL;
	gate->have = gate->need = gate->served = 0;
}
