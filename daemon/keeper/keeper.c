// SPDX-License-Identifier: Apache-2.0
/*
 * sluice-keeper: the only process that has private keys. It reads them from files that the broker opens
 * and nobody else reads, and from then on makes one private key operation for each handshake that the
 * broker has announced, in the form that TLS has for it. It knows no network; its memory is locked and
 * in no core; system calls that it does not need end it.
 */
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "bssl/signer.h"
#include "common/loop.h"
#include "common/permit.h"
#include "common/process.h"
#include "core/error.h"
#include "core/secret.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/wire.h"
#include "keeper/sign.h"
#include "options/pem.h"

#define MAX_KEYS 100000
#define MAX_CHAIN 16
#define PERMITS_WINDOW (1 << 22) /* sessions that may begin while one waits */
#define KEY_ID_LEN SHA256_DIGEST_LENGTH

struct key {
	uint8_t id[KEY_ID_LEN]; /* of the SubjectPublicKeyInfo */
	EVP_PKEY *pkey;
};

/* struct client - a handshaker's channel. */
struct client {
	struct watch watch;
};

static struct keeper {
	struct loop loop;
	struct watch broker;
	void *keys; /* tsearch(3) by id */
	size_t n_keys;
	uint8_t *permit_key; /* PERMIT_KEY_LEN bytes */
	struct permits_used *used;
	uint8_t *buf; /* WIRE_MAX bytes; secret memory: passwords come in it */
} keeper;

static int by_id(const void *a, const void *b)
{
	return memcmp(((const struct key *)a)->id, ((const struct key *)b)->id, KEY_ID_LEN);
}

/* --- keys ----------------------------------------------------------------------------------- */

static int key_id(EVP_PKEY *pkey, uint8_t id[KEY_ID_LEN])
{
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(pkey, &der);

	if (len <= 0)
		return -SLUICE_E_NOMEM;
	SHA256(der, (size_t)len, id);
	OPENSSL_free(der);
	return 0;
}

/* Owns @pkey. The same key again replaces the one before. */
static int keep_key(EVP_PKEY *pkey, const uint8_t id[KEY_ID_LEN])
{
	struct key *key = calloc(1, sizeof(*key)), **found;

	if (!key || keeper.n_keys == MAX_KEYS) {
		free(key);
		EVP_PKEY_free(pkey);
		return -SLUICE_E_NOMEM;
	}
	memcpy(key->id, id, KEY_ID_LEN);
	key->pkey = pkey;
	found = tsearch(key, &keeper.keys, by_id);
	if (found && *found == key) {
		keeper.n_keys++;
		return 0;
	}
	free(key);
	EVP_PKEY_free(pkey);
	return found ? 0 : -SLUICE_E_NOMEM;
}

/* struct load - a MSG_LOAD: two files, which may be the same. */
struct load {
	char password[1024];
	struct pem_file cert, key;
	STACK_OF(CRYPTO_BUFFER) * chain;
	EVP_PKEY *pkey;
	uint8_t id[KEY_ID_LEN];
};

static int read_file(struct pem_file *file, int fd, const char *what, struct sluice_error *err)
{
	int e = fd < 0 ? EBADF : pem_file_read_fd(file, fd);

	return e ? err_set_errno(err, SLUICE_E_FILE, e, "%s", what) : 0;
}

static int check_pair(const struct load *load, struct sluice_error *err)
{
	X509 *leaf = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(load->chain, 0));
	int matches = leaf && X509_check_private_key(leaf, load->pkey);

	X509_free(leaf);
	if (matches)
		return 0;
	return err_set(err, SLUICE_E_KEY_MISMATCH, "the key does not belong to the certificate");
}

static int load_pair(struct load *load, struct channel_fds *fds, struct sluice_error *err)
{
	int cert_fd = channel_take_fd(fds), key_fd = channel_take_fd(fds);
	int r = read_file(&load->cert, cert_fd, "certfile", err);

	if (r == 0)
		r = read_file(&load->key, key_fd, "keyfile", err);
	if (cert_fd >= 0)
		close(cert_fd);
	if (key_fd >= 0)
		close(key_fd);
	if (r == 0)
		r = pem_parse_certs(&load->chain, &load->cert, "certfile", false, err);
	if (r == 0)
		r = pem_parse_key(&load->pkey, &load->key, "keyfile",
				  load->password[0] ? load->password : NULL, err);
	if (r == 0)
		r = check_pair(load, err);
	if (r == 0 && key_id(load->pkey, load->id) < 0)
		r = err_set(err, SLUICE_E_NOMEM, "no memory for a key");
	if (r == 0) {
		r = keep_key(load->pkey, load->id);
		load->pkey = NULL;
		if (r < 0)
			err_set(err, SLUICE_E_NOMEM, "no memory for a key");
	}
	return r;
}

static void answer_load(const struct load *load, uint32_t id, const struct sluice_error *err)
{
	struct wire wire;
	size_t i, n = load->chain ? sk_CRYPTO_BUFFER_num(load->chain) : 0;
	const CRYPTO_BUFFER *cert;

	wire_begin(&wire, keeper.buf, WIRE_MAX, MSG_LOADED, id);
	if (err->code) {
		wire_put_u64(&wire, ATTR_ERROR, (uint64_t)err->code);
		wire_put_text(&wire, ATTR_TEXT, err->text);
	} else {
		wire_put(&wire, ATTR_KEY_ID, load->id, KEY_ID_LEN);
		for (i = 0; i < n && i < MAX_CHAIN; i++) {
			cert = sk_CRYPTO_BUFFER_value(load->chain, i);
			wire_put(&wire, ATTR_CERT, CRYPTO_BUFFER_data(cert),
				 CRYPTO_BUFFER_len(cert));
		}
	}
	if (wire.overflow) {
		wire_begin(&wire, keeper.buf, WIRE_MAX, MSG_LOADED, id);
		wire_put_u64(&wire, ATTR_ERROR, SLUICE_E_OPTION_RANGE);
		wire_put_text(&wire, ATTR_TEXT, "certfile: the chain is too long");
	}
	channel_send(keeper.broker.fd, keeper.buf, wire_end(&wire), NULL, 0);
}

static void take_load(struct wire_reader *reader, uint32_t id, struct channel_fds *fds)
{
	struct load *load = secret_new(sizeof(*load));
	struct sluice_error err = { .alert = -1 };
	struct attr attr;

	if (!load)
		return; /* the broker's wait ends by time */
	while (wire_next(reader, &attr) == 1)
		if (attr.type == ATTR_PASSWORD)
			attr_text(&attr, load->password, sizeof(load->password));
	load_pair(load, fds, &err);
	answer_load(load, id, &err);
	pem_file_free(&load->cert);
	pem_file_free(&load->key);
	sk_CRYPTO_BUFFER_pop_free(load->chain, CRYPTO_BUFFER_free);
	EVP_PKEY_free(load->pkey);
	secret_free(load);
}

/* --- permits -------------------------------------------------------------------------------- */

static void take_permit_key(struct wire_reader *reader)
{
	struct attr attr;

	while (wire_next(reader, &attr) == 1)
		if (attr.type == ATTR_PERMIT_KEY && attr.len == PERMIT_KEY_LEN)
			memcpy(keeper.permit_key, attr.bytes, PERMIT_KEY_LEN);
}

/* struct request - a MSG_SIGN. */
struct request {
	uint64_t session, algorithm;
	struct attr permit, key_id, input;
};

static bool is_permitted(const struct request *request, enum sluice_role *ret_role)
{
	return permit_read(request->permit.bytes, request->permit.len, keeper.permit_key,
			   request->session, loop_clock_ms(), ret_role) &&
	       permits_use(keeper.used, request->session);
}

/* --- the broker ----------------------------------------------------------------------------- */

static void client_ready(struct watch *watch, uint32_t events);

static void add_client(int fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client || fd < 0) {
		free(client);
		if (fd >= 0)
			close(fd);
		return;
	}
	client->watch = (struct watch){ .fd = fd, .ready = client_ready };
	if (loop_watch(&keeper.loop, &client->watch, EPOLLIN) < 0) {
		close(fd);
		free(client);
	}
}

static void take_broker_message(size_t len, struct channel_fds *fds)
{
	struct wire_reader reader;
	struct wire_head head;

	if (!wire_open(&reader, keeper.buf, len, &head))
		exit(1); /* not our broker */
	switch (head.type) {
	case MSG_LOAD:
		take_load(&reader, head.id, fds);
		break;
	case MSG_PERMIT_KEY:
		take_permit_key(&reader);
		break;
	case MSG_CHANNEL:
		add_client(channel_take_fd(fds));
		break;
	}
}

static void broker_ready(struct watch *watch, uint32_t events)
{
	struct channel_fds fds;
	ssize_t n;

	while ((n = channel_recv(keeper.broker.fd, keeper.buf, WIRE_MAX, &fds)) > 0) {
		take_broker_message((size_t)n, &fds);
		channel_close_fds(&fds);
		secret_wipe(keeper.buf, (size_t)n);
	}
	if (n == 0 || (n != -EAGAIN && n != -EMSGSIZE))
		exit(0); /* the broker is gone */
}

/* --- handshakers ---------------------------------------------------------------------------- */

static bool read_request(struct wire_reader *reader, struct request *request)
{
	struct attr attr;
	int r;

	*request = (struct request){ 0 };
	while ((r = wire_next(reader, &attr)) == 1) {
		if (attr.type == ATTR_SESSION && !attr_u64(&attr, &request->session))
			return false;
		if (attr.type == ATTR_ALGORITHM && !attr_u64(&attr, &request->algorithm))
			return false;
		if (attr.type == ATTR_PERMIT)
			request->permit = attr;
		if (attr.type == ATTR_KEY_ID)
			request->key_id = attr;
		if (attr.type == ATTR_INPUT)
			request->input = attr;
	}
	return r == 0 && request->key_id.len == KEY_ID_LEN && request->input.len &&
	       request->input.len <= SIGNER_MAX_INPUT && request->algorithm <= UINT16_MAX;
}

static EVP_PKEY *find_key(const struct attr *id)
{
	struct key wanted, **found;

	memcpy(wanted.id, id->bytes, KEY_ID_LEN);
	found = tfind(&wanted, &keeper.keys, by_id);
	return found ? (*found)->pkey : NULL;
}

/* The answer to a refusal has no output: nothing more is said to who asks for what it may not. */
static void answer(struct client *client, uint32_t id, const struct request *request)
{
	uint8_t out[SIGNER_MAX_OUTPUT], buf[SIGNER_MAX_OUTPUT + 64];
	uint16_t algorithm = (uint16_t)request->algorithm;
	EVP_PKEY *key = find_key(&request->key_id);
	enum sluice_role role;
	struct wire wire;
	size_t len = 0;

	if (is_permitted(request, &role) && key &&
	    sign_allowed(role, algorithm, request->input.bytes, request->input.len))
		len = sign_make(key, algorithm, request->input.bytes, request->input.len, out,
				sizeof(out));
	wire_begin(&wire, buf, sizeof(buf), MSG_SIGNED, id);
	if (len)
		wire_put(&wire, ATTR_OUTPUT, out, len);
	channel_send(client->watch.fd, buf, wire_end(&wire), NULL, 0);
	secret_wipe(out, sizeof(out));
	secret_wipe(buf, sizeof(buf));
}

static void drop_client(struct client *client)
{
	loop_forget(&keeper.loop, &client->watch);
	close(client->watch.fd);
	free(client);
}

static void client_ready(struct watch *watch, uint32_t events)
{
	struct client *client = (struct client *)watch;
	uint8_t buf[SIGNER_MAX_INPUT + 256];
	struct request request;
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	ssize_t n = channel_recv(watch->fd, buf, sizeof(buf), &fds);

	if (n == -EAGAIN)
		return;
	channel_close_fds(&fds);
	if (n <= 0 || !wire_open(&reader, buf, (size_t)n, &head) || head.type != MSG_SIGN ||
	    !read_request(&reader, &request)) {
		drop_client(client);
		return;
	}
	answer(client, head.id, &request);
}

static void no_tick(struct loop *loop, void *arg)
{
}

int main(void)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int r = loop_init(&keeper.loop, no_tick, NULL);

	/* Parsed keys are on BoringSSL's heap. Without the limit a later mmap(2) would fail. */
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0)
		mlockall(MCL_CURRENT | MCL_FUTURE);
	keeper.loop.quiet = true;
	keeper.buf = wire_buffer_new();
	keeper.permit_key = secret_new(PERMIT_KEY_LEN);
	keeper.used = permits_used_new(PERMITS_WINDOW);
	if (r == 0 && (!keeper.buf || !keeper.permit_key || !keeper.used))
		r = -ENOMEM;
	keeper.broker = (struct watch){ .fd = CHILD_BROKER_FD, .ready = broker_ready };
	if (r == 0)
		r = loop_watch(&keeper.loop, &keeper.broker, EPOLLIN);
	if (r == 0)
		r = process_confine(CONFINE_KEEPER, process_id(PROCESS_UID),
				    process_id(PROCESS_GID));
	if (r == 0)
		r = loop_run(&keeper.loop);
	fprintf(stderr, "sluice-keeper: %s\n", strerror(-r));
	return 1;
}
