// SPDX-License-Identifier: Apache-2.0
/*
 * Writing the catalogue (common/catalog.h) of a set of certificates. What the keeper read of files that may
 * hold keys is here already; CA certificates are read now; the rest is options.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "broker/certs.h"
#include "broker/staple-fetch.h"
#include "common/policy.h"
#include "core/error.h"
#include "core/secret.h"
#include "handover/options.h"
#include "options/credentials.h"
#include "options/options.h"
#include "options/pem.h"
#include "options/profile.h"
#include "options/trust.h"

#define MAX_ENTRY (16 << 20)
#define FIRST_ENTRY (64 << 10)
#define MAX_CONFLICTS 20 /* that are logged at once */

/* --- entries -------------------------------------------------------------------------------------- */

/* struct source - what one entry is made of. */
struct source {
	enum catalog_entry type;
	struct config_place place;
	enum sluice_role role;
	struct cert_list certs;
	const struct sluice_options *opts; /* NULL: the profile's */
	const struct config_verify *verify;
	const char *profile_name;
	const struct config_profile *profile; /* CATALOG_PROFILE */
	char *const *names;                   /* CATALOG_HOST */
	struct cert_file *file;               /* CATALOG_FILE */
	bool ocsp_fetch;                      /* else a file has the response, if anything */
	uint64_t public_at[OPTION_MAX_CERTS]; /* in the message */
};

/* As credentials_load() chooses: a client that verifies and names no CA trusts the system's. */
static const char *cas_of(const struct sluice_options *opts, enum sluice_role role,
			  bool *ret_system)
{
	const char *path = option_text(opts, SLUICE_OPT_CACERTFILE);

	*ret_system = !path && role == SLUICE_CLIENT && !option_is_set(opts, SLUICE_OPT_CACERTS) &&
		      option_number(opts, SLUICE_OPT_VERIFY, role);
	return *ret_system ? TRUST_SYSTEM_FILE : path;
}

static int put_cas(struct broker *broker, const struct source *source, struct wire *wire)
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
		return job_fail(broker, source->place, -r, err.text);
	r = pem_parse_certs(&certs, &file, path, system, &err);
	pem_file_free(&file);
	if (r < 0)
		return job_fail(broker, source->place, -r, err.text);
	for (i = 0; i < sk_CRYPTO_BUFFER_num(certs); i++) {
		const CRYPTO_BUFFER *ca = sk_CRYPTO_BUFFER_value(certs, i);

		wire_put(wire, ATTR_OPTION + SLUICE_OPT_CACERTS, CRYPTO_BUFFER_data(ca),
			 CRYPTO_BUFFER_len(ca));
	}
	sk_CRYPTO_BUFFER_pop_free(certs, CRYPTO_BUFFER_free);
	return 0;
}

/* What the keeper said of a certificate goes in as it is, and stays there. */
static void put_public(struct source *source, size_t i, struct wire *wire)
{
	const struct cert *cert = source->certs.certs[i];

	wire_put_text(wire, ATTR_CERT_FILE, cert->path);
	source->public_at[i] = wire->len;
	if (wire->overflow || cert->public_len > wire->size - wire->len) {
		wire->overflow = true;
		return;
	}
	memcpy(wire->buf + wire->len, cert->public, cert->public_len);
	wire->len += cert->public_len;
}

/* config/verify.c has held it within its bounds. */
static void put_policy(const struct source *source, struct wire *wire)
{
	bool verify_peer = option_number(source->opts, SLUICE_OPT_VERIFY, source->role);
	uint8_t buf[POLICY_MAX_BYTES];
	struct policy policy;

	if (config_verify_policy(source->verify, verify_peer, source->profile_name, &policy))
		wire_put(wire, ATTR_POLICY, buf, policy_write(&policy, buf, sizeof(buf)));
}

/* The response to be stapled to the first certificate: fetched, of the option, or beside the file of a directory. */
static int put_staple(struct broker *broker, const struct source *source, struct wire *wire)
{
	struct cert *cert = source->certs.n ? source->certs.certs[0] : NULL;
	struct staple_source staple = { .cert = cert, .place = source->place };
	char path[4200];

	if (!cert)
		return 0;
	if (source->ocsp_fetch) {
		staples_put(broker, cert->path, wire);
		return 0;
	}
	if (source->opts) {
		staple.path = option_text(source->opts, SLUICE_OPT_OCSP_FILE);
		return staple.path ? staple_put(broker, &staple, wire) : 0;
	}
	/* NAME.pem */
	snprintf(path, sizeof(path), "%.*s.ocsp", (int)strlen(cert->path) - 4, cert->path);
	staple.path = path;
	staple.of_directory = true;
	return staple_put(broker, &staple, wire);
}

static int fill_entry(struct broker *broker, struct source *source, struct wire *wire, uint8_t *buf,
		      size_t size)
{
	char *const *name;
	size_t i;
	int r = 0;

	wire_begin(wire, buf, size, source->type, 0);
	if (source->profile) {
		wire_put_text(wire, ATTR_NAME, source->profile->name);
		wire_put_u64(wire, ATTR_ROLE, source->profile->role);
		wire_put_u64(wire, ATTR_NO_MATCH, source->profile->no_match);
	}
	for (name = source->names; name && *name; name++)
		wire_put_text(wire, ATTR_HOST_NAME, *name);
	for (i = 0; i < source->certs.n; i++)
		put_public(source, i, wire);
	if (source->opts) {
		option_set_write(source->opts, wire);
		put_policy(source, wire);
		r = put_cas(broker, source, wire);
	}
	return r < 0 ? r : put_staple(broker, source, wire);
}

/*
 * What could not serve a connection is found here and not at the first one: the same check as in the
 * library, with all files.
 */
static int check(struct broker *broker, const struct source *source)
{
	struct sluice_error err = { .alert = -1 };
	int r = source->opts ? options_check(source->opts, source->role, &err) : 0;

	return r < 0 ? job_fail(broker, source->place, -r, err.text) : 0;
}

static int write_names(struct catalog_writer *writer, const struct source *source)
{
	struct wire_reader reader;
	char *const *name;
	struct attr attr;
	int r = 0;

	for (name = source->names; r == 0 && name && *name; name++)
		r = catalog_write_name(writer, *name, strlen(*name), NULL);
	if (!source->file)
		return r;
	reader = (struct wire_reader){ source->file->cert->public, source->file->cert->public_len };
	while (r == 0 && wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_CERT_NAME)
			r = catalog_write_name(writer, (const char *)attr.bytes, attr.len,
					       source->file);
	return r;
}

static int write_entry(struct broker *broker, struct source *source)
{
	struct catalog_writer *writer = &broker->certs->job.writer;
	size_t size = FIRST_ENTRY, i;
	uint8_t *buf = NULL;
	struct wire wire;
	int r = check(broker, source);

	while (r == 0) {
		free(buf);
		buf = malloc(size);
		if (!buf)
			return job_fail(broker, source->place, SLUICE_E_NOMEM, "no memory");
		r = fill_entry(broker, source, &wire, buf, size);
		if (r < 0 || !wire.overflow)
			break;
		size *= 2;
		if (size > MAX_ENTRY)
			r = job_fail(broker, source->place, SLUICE_E_OPTION_RANGE,
				     "its certificates are too large");
	}
	if (r == 0) {
		r = catalog_write(writer, source->type, &wire);
		if (r == 0)
			r = write_names(writer, source);
		if (r < 0)
			job_fail(broker, source->place, -r, "no memory for the catalogue");
	}
	for (i = 0; r == 0 && i < source->certs.n; i++)
		source->certs.certs[i]->at = writer->entry + 4 + source->public_at[i];
	free(buf);
	return r;
}

/* New with each start of the broker: tickets of an earlier one make a full handshake. */
static int write_secrets(struct catalog_writer *writer)
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
	r = catalog_write(writer, CATALOG_SECRETS, &wire);
	secret_free(buf);
	return r;
}

/* --- steps ---------------------------------------------------------------------------------------- */

static int begin(struct broker *broker)
{
	struct cert_job *job = &broker->certs->job;

	job->writing = true;
	job->profile = job->host = 0;
	if (catalog_write_begin(&job->writer) < 0 || write_secrets(&job->writer) < 0)
		return job_fail(broker, (struct config_place){ 0 }, SLUICE_E_NOMEM,
				"no memory for the catalogue");
	return 1;
}

static void forget_conflict(struct cert_file *file)
{
	free(file->conflict);
	file->conflict = NULL;
}

/* The profile, its hosts, then its files: of two entries with one name the first has it. */
static int write_next(struct broker *broker, const struct config_profile *profile,
		      struct cert_profile *certs)
{
	size_t at = broker->certs->job.host;
	struct cert_file *file;

	if (at == 0)
		return write_entry(broker, &(struct source){ .type = CATALOG_PROFILE,
							     .place = profile->place,
							     .role = profile->role,
							     .certs = certs->own,
							     .opts = profile->options,
							     .verify = &profile->verify,
							     .profile_name = profile->name,
							     .profile = profile,
							     .ocsp_fetch = profile->ocsp_fetch });
	if (at <= profile->n_hosts)
		return write_entry(broker,
				   &(struct source){ .type = CATALOG_HOST,
						     .place = profile->hosts[at - 1].place,
						     .role = profile->role,
						     .certs = certs->hosts[at - 1],
						     .opts = profile->hosts[at - 1].options,
						     .verify = &profile->hosts[at - 1].verify,
						     .profile_name = profile->name,
						     .names = profile->hosts[at - 1].names,
						     .ocsp_fetch =
							     profile->hosts[at - 1].ocsp_fetch });
	file = certs->dir->files[at - 1 - profile->n_hosts];
	forget_conflict(file);
	if (!file->cert)
		return 0;
	return write_entry(broker, &(struct source){ .type = CATALOG_FILE,
						     .place = profile->place,
						     .role = profile->role,
						     .certs = { { file->cert }, 1 },
						     .file = file,
						     .ocsp_fetch = profile->ocsp_fetch });
}

int catalog_step(struct broker *broker)
{
	struct cert_job *job = &broker->certs->job;
	const struct config_profile *profile = &job->config->profiles[job->profile];
	struct cert_profile *certs = &job->set->profiles[job->profile];
	int r;

	if (!job->writing)
		return begin(broker);
	if (job->profile == job->config->n_profiles)
		return 0;
	r = write_next(broker, profile, certs);
	if (job->host++ == profile->n_hosts + (certs->dir ? certs->dir->n : 0)) {
		job->profile++;
		job->host = 0;
	}
	return r < 0 ? r : 1;
}

/* --- conflicts ------------------------------------------------------------------------------------ */

/* struct conflicts - of one catalogue. */
struct conflicts {
	uint64_t digest;
	size_t n;
	char texts[MAX_CONFLICTS][1024];
};

static void add_digest(uint64_t *digest, const char *text)
{
	for (; *text; text++) /* FNV-1a: only whether it is as it was matters */
		*digest = (*digest ^ (uint8_t)*text) * 0x100000001b3u;
}

static void conflict(void *arg, const char *name, size_t name_len, const void *first_source,
		     const void *second_source)
{
	const struct cert_file *first = first_source;
	struct cert_file *second = (struct cert_file *)second_source;
	struct conflicts *conflicts = arg;
	char text[1024];

	snprintf(text, sizeof(text), "%.*s is the name of %.330s, which comes first, and of %.330s",
		 (int)name_len, name, first->cert->path, second->cert->path);
	add_digest(&conflicts->digest, text);
	if (conflicts->n < MAX_CONFLICTS)
		memcpy(conflicts->texts[conflicts->n], text, sizeof(text));
	conflicts->n++;
	if (second->conflict)
		return;
	snprintf(text, sizeof(text), "%.*s is the name of %.700s too, which comes first",
		 (int)name_len, name, first->cert->path);
	second->conflict = strdup(text);
}

/* Once for what stays as it is. */
static void tell_conflicts(struct broker *broker, const struct conflicts *conflicts)
{
	size_t i;

	if (conflicts->n && conflicts->digest != broker->certs->conflicts) {
		for (i = 0; i < conflicts->n && i < MAX_CONFLICTS; i++)
			log_line(broker, CONFIG_LOG_WARNING, "%s", conflicts->texts[i]);
		if (conflicts->n > MAX_CONFLICTS)
			log_line(broker, CONFIG_LOG_WARNING, "%zu more names are in two files",
				 conflicts->n - MAX_CONFLICTS);
	}
	broker->certs->conflicts = conflicts->n ? conflicts->digest : 0;
}

int catalog_finish(struct broker *broker)
{
	struct conflicts *conflicts = calloc(1, sizeof(*conflicts));
	int fd = -1;

	if (conflicts) {
		fd = catalog_write_end(&broker->certs->job.writer, conflict, conflicts);
		tell_conflicts(broker, conflicts);
	}
	free(conflicts);
	if (fd < 0)
		return job_fail(broker, (struct config_place){ 0 }, SLUICE_E_NOMEM,
				"no memory for the catalogue");
	return fd;
}
