// SPDX-License-Identifier: Apache-2.0
/*
 * Building the catalogue (common/catalog.h): the keeper reads certificates and keys, because a file may
 * hold both and no byte of a key comes here; CA certificates are read here; the rest is options.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "broker/broker.h"
#include "common/catalog.h"
#include "core/error.h"
#include "core/secret.h"
#include "handover/messages.h"
#include "handover/options.h"
#include "options/credentials.h"
#include "options/options.h"
#include "options/pem.h"
#include "options/profile.h"

#define LOAD_MS 10000 /* for the keeper to read one key */
#define MAX_ENTRY (16 << 20)
#define FIRST_ENTRY (64 << 10)

/* struct builder - the file that is being written. */
struct builder {
	struct broker *broker;
	int fd;
	uint32_t n_loads;
	uint8_t *answer; /* WIRE_MAX bytes */
	size_t answer_len;
	struct config_error *err;
};

static int fail(struct builder *builder, struct config_place place, int code, const char *text)
{
	builder->err->place = place;
	snprintf(builder->err->text, sizeof(builder->err->text), "%s:%u:%u: %s",
		 builder->broker->config_path, place.line, place.column, text);
	return -code;
}

/* --- the keeper's part -------------------------------------------------------------------------- */

static int open_file(struct builder *builder, struct config_place place, const char *name,
		     const char *path)
{
	char text[400];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd >= 0)
		return fd;
	snprintf(text, sizeof(text), "%s: %s: %s", name, path, strerror(errno));
	return fail(builder, place, SLUICE_E_FILE, text);
}

static int send_load(struct builder *builder, const struct sluice_options *opts, const int fds[2])
{
	uint8_t *buf = wire_buffer_new();
	struct wire wire;
	int r = -ENOMEM;

	if (!buf)
		return r;
	wire_begin(&wire, buf, WIRE_MAX, MSG_LOAD, ++builder->n_loads);
	wire_put_text(&wire, ATTR_PASSWORD, option_text(opts, SLUICE_OPT_PASSWORD));
	r = channel_send(builder->broker->keeper.watch.fd, buf, wire_end(&wire), fds, 2);
	wire_buffer_free(buf);
	return r;
}

static int await_loaded(struct builder *builder)
{
	struct pollfd pfd = { .fd = builder->broker->keeper.watch.fd, .events = POLLIN };
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	ssize_t n;

	do {
		if (poll(&pfd, 1, LOAD_MS) <= 0)
			return -ETIMEDOUT;
		n = channel_recv(pfd.fd, builder->answer, WIRE_MAX, &fds);
		if (n == -EAGAIN)
			continue;
		if (n <= 0)
			return -EPIPE;
		channel_close_fds(&fds);
		if (!wire_open(&reader, builder->answer, (size_t)n, &head))
			return -EPROTO;
	} while (n == -EAGAIN || head.type != MSG_LOADED || head.id != builder->n_loads);
	builder->answer_len = (size_t)n;
	return 0;
}

static int load_refused(struct builder *builder, struct config_place place)
{
	struct wire_reader reader;
	struct wire_head head;
	char text[300] = "";
	uint64_t code = 0;
	struct attr attr;

	wire_open(&reader, builder->answer, builder->answer_len, &head);
	while (wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_ERROR)
			attr_u64(&attr, &code);
		if (attr.type == ATTR_TEXT)
			attr_text(&attr, text, sizeof(text));
	}
	return code ? fail(builder, place, (int)code, text) : 0;
}

/* Has the keeper load what proves our identity; builder->answer has the public part then. */
static int load_identity(struct builder *builder, const struct sluice_options *opts,
			 struct config_place place)
{
	const char *cert = option_text(opts, SLUICE_OPT_CERTFILE);
	const char *key = option_text(opts, SLUICE_OPT_KEYFILE);
	int fds[2], r;

	builder->answer_len = 0;
	if (!cert)
		return 0;
	fds[0] = open_file(builder, place, "certfile", cert);
	if (fds[0] < 0)
		return fds[0];
	fds[1] = open_file(builder, place, key ? "keyfile" : "certfile", key ? key : cert);
	if (fds[1] < 0) {
		close(fds[0]);
		return fds[1];
	}
	r = send_load(builder, opts, fds);
	close(fds[0]);
	close(fds[1]);
	if (r == 0)
		r = await_loaded(builder);
	if (r < 0)
		return fail(builder, place, SLUICE_E_IO, "the keeper does not answer");
	return load_refused(builder, place);
}

/* --- writing ------------------------------------------------------------------------------------- */

/* struct source - what one entry is made of. */
struct source {
	enum catalog_entry type;
	struct config_place place;
	enum sluice_role role;
	const struct sluice_options *opts;
	const struct config_profile *profile; /* CATALOG_PROFILE */
	char *const *names;                   /* CATALOG_HOST */
};

static void put_identity(const struct builder *builder, struct wire *wire)
{
	struct wire_reader reader;
	struct wire_head head;
	struct attr attr;

	if (!builder->answer_len)
		return;
	wire_open(&reader, builder->answer, builder->answer_len, &head);
	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_KEY_ID || attr.type == ATTR_CERT)
			wire_put(wire, attr.type, attr.bytes, attr.len);
}

/* As credentials_load() chooses: a client that verifies and names no CA trusts the system's. */
static const char *cas_of(const struct sluice_options *opts, enum sluice_role role,
			  bool *ret_system)
{
	const char *path = option_text(opts, SLUICE_OPT_CACERTFILE);

	*ret_system = !path && role == SLUICE_CLIENT && !option_is_set(opts, SLUICE_OPT_CACERTS) &&
		      option_number(opts, SLUICE_OPT_VERIFY, role);
	return *ret_system ? CREDENTIALS_SYSTEM_CAS : path;
}

static int put_cas(struct builder *builder, const struct source *source, struct wire *wire)
{
	bool system;
	const char *path = cas_of(source->opts, source->role, &system);
	STACK_OF(CRYPTO_BUFFER) *certs = NULL;
	struct sluice_error err = { .alert = -1 };
	struct pem_file file;
	size_t i;
	int r;

	if (!path)
		return 0;
	r = pem_file_read(&file, "cacertfile", path, &err);
	if (r < 0)
		return fail(builder, source->place, -r, err.text);
	r = pem_parse_certs(&certs, &file, path, system, &err);
	pem_file_free(&file);
	if (r < 0)
		return fail(builder, source->place, -r, err.text);
	for (i = 0; i < sk_CRYPTO_BUFFER_num(certs); i++) {
		const CRYPTO_BUFFER *ca = sk_CRYPTO_BUFFER_value(certs, i);

		wire_put(wire, ATTR_OPTION + SLUICE_OPT_CACERTS, CRYPTO_BUFFER_data(ca),
			 CRYPTO_BUFFER_len(ca));
	}
	sk_CRYPTO_BUFFER_pop_free(certs, CRYPTO_BUFFER_free);
	return 0;
}

static int write_entry(struct builder *builder, const struct wire *wire)
{
	size_t len = wire_end(wire);
	uint8_t head[4] = { (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16),
			    (uint8_t)(len >> 24) };

	if (write(builder->fd, head, sizeof(head)) != sizeof(head) ||
	    write(builder->fd, wire->buf, len) != (ssize_t)len)
		return -SLUICE_E_NOMEM;
	return 0;
}

static int fill_entry(struct builder *builder, const struct source *source, struct wire *wire,
		      uint8_t *buf, size_t size)
{
	char *const *name;

	wire_begin(wire, buf, size, source->type, 0);
	if (source->profile) {
		wire_put_text(wire, ATTR_NAME, source->profile->name);
		wire_put_u64(wire, ATTR_ROLE, source->profile->role);
		wire_put_u64(wire, ATTR_NO_MATCH, source->profile->no_match);
	}
	for (name = source->names; name && *name; name++)
		wire_put_text(wire, ATTR_HOST_NAME, *name);
	put_identity(builder, wire);
	option_set_write(source->opts, wire);
	return put_cas(builder, source, wire);
}

/*
 * What could not serve a connection is found here and not at the first one: the same check as in the
 * library, with all files.
 */
static int check(struct builder *builder, const struct source *source)
{
	struct sluice_error err = { .alert = -1 };
	int r = options_check(source->opts, source->role, &err);

	return r < 0 ? fail(builder, source->place, -r, err.text) : 0;
}

static int add_entry(struct builder *builder, const struct source *source)
{
	size_t size = FIRST_ENTRY;
	uint8_t *buf = NULL;
	struct wire wire;
	int r = check(builder, source);

	if (r == 0)
		r = load_identity(builder, source->opts, source->place);
	while (r == 0) {
		free(buf);
		buf = malloc(size);
		if (!buf)
			return fail(builder, source->place, SLUICE_E_NOMEM, "no memory");
		r = fill_entry(builder, source, &wire, buf, size);
		if (r < 0 || !wire.overflow)
			break;
		size *= 2;
		if (size > MAX_ENTRY)
			r = fail(builder, source->place, SLUICE_E_OPTION_RANGE,
				 "its certificates are too large");
	}
	if (r == 0 && write_entry(builder, &wire) < 0)
		r = fail(builder, source->place, SLUICE_E_NOMEM, "no memory for the catalogue");
	free(buf);
	return r;
}

static int add_profile(struct builder *builder, const struct config_profile *profile)
{
	struct source source = { CATALOG_PROFILE, profile->place, profile->role, profile->options,
				 profile };
	size_t i;
	int r = add_entry(builder, &source);

	for (i = 0; r == 0 && i < profile->n_hosts; i++) {
		source = (struct source){ CATALOG_HOST,  profile->hosts[i].place,
					  profile->role, profile->hosts[i].options,
					  NULL,          profile->hosts[i].names };
		r = add_entry(builder, &source);
	}
	return r;
}

/* New with each start of the broker: tickets of an earlier one make a full handshake. */
static int add_secrets(struct builder *builder)
{
	static uint8_t keys[PROFILE_TICKET_KEYS_LEN];
	static bool made;
	uint8_t *buf = secret_new(256);
	struct wire wire;
	int r;

	if (!buf)
		return -SLUICE_E_NOMEM;
	if (!made)
		RAND_bytes(keys, sizeof(keys));
	made = true;
	wire_begin(&wire, buf, 256, CATALOG_SECRETS, 0);
	wire_put(&wire, ATTR_TICKET_KEYS, keys, sizeof(keys));
	r = write_entry(builder, &wire);
	secret_free(buf);
	return r;
}

int catalog_build(struct broker *broker, const struct config *config, struct config_error *ret_err)
{
	struct builder builder = { .broker = broker, .err = ret_err };
	size_t i;
	int r;

	builder.fd = memfd_create("sluice-catalog", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	builder.answer = malloc(WIRE_MAX);
	r = builder.fd < 0 || !builder.answer ? -SLUICE_E_NOMEM : add_secrets(&builder);
	if (r < 0)
		snprintf(ret_err->text, sizeof(ret_err->text), "no memory for the catalogue");
	for (i = 0; r == 0 && i < config->n_profiles; i++)
		r = add_profile(&builder, &config->profiles[i]);
	if (r == 0)
		fcntl(builder.fd, F_ADD_SEALS,
		      F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	free(builder.answer);
	if (r == 0)
		return builder.fd;
	if (builder.fd >= 0)
		close(builder.fd);
	return -1;
}
