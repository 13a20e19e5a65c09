// SPDX-License-Identifier: Apache-2.0
/* What is configured: who answers with which certificate, and the options of the profiles. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/sha.h>
#include <openssl/x509.h>

#include "broker/admin.h"
#include "common/catalog.h"
#include "handover/messages.h"
#include "options/options.h"
#include "options/pem.h"

#define MAX_NAMES 64 /* of a host that are told */
#define LIST_LEN 4096

void admin_job_end(struct admin_job *job)
{
	if (job->map)
		munmap((void *)job->map, job->map_len);
	*job = (struct admin_job){ 0 };
}

/* Another configuration: what is left of the answer would not fit what was told. */
static bool changed(struct admin_client *client)
{
	if (client->job.reloads == client->broker->stats.reloads)
		return false;
	admin_refuse(client, "changed", "the configuration has just changed; ask again");
	return true;
}

/* --- certificates --------------------------------------------------------------------------------- */

static void put_validity(struct json_object *row, const struct attr *cert)
{
	const uint8_t *at = cert->bytes;
	X509 *x509 = d2i_X509(NULL, &at, cert->len);
	char text[32] = "";
	int64_t seconds;
	struct tm tm;
	time_t t;

	if (x509 && pem_time(X509_get0_notAfter(x509), &seconds)) {
		t = (time_t)seconds;
		if (gmtime_r(&t, &tm))
			strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	}
	put_text(row, "not_after", *text ? text : NULL);
	X509_free(x509);
}

static void put_cert(struct json_object *row, const struct attr *cert)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	if (!cert->bytes) {
		put_text(row, "not_after", NULL);
		put_text(row, "cert_sha256", NULL);
		return;
	}
	put_validity(row, cert);
	SHA256(cert->bytes, cert->len, digest);
	put_hex(row, "cert_sha256", digest, sizeof(digest));
}

static void add_name(struct json_object *names, const struct attr *attr)
{
	if (json_object_array_length(names) < MAX_NAMES)
		json_object_array_add(names, json_object_new_string_len((const char *)attr->bytes,
									attr->len));
}

static void cert_row(struct admin_client *client, struct wire_reader reader)
{
	struct json_object *row = json_object_new_object(), *names = json_object_new_array();
	struct attr attr, leaf = { 0 }, key = { 0 };
	uint64_t n_names = 0, chain = 0;

	if (!row || !names) {
		json_object_put(names);
		json_object_put(row);
		admin_row(client, NULL);
		return;
	}
	while (wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_HOST_NAME && ++n_names)
			add_name(names, &attr);
		if (attr.type == ATTR_KEY_ID)
			key = attr;
		if (attr.type == ATTR_CERT && ++chain == 1)
			leaf = attr;
	}
	put_text(row, "profile", client->job.name);
	json_object_object_add(row, "hosts", names);
	put_number(row, "n_hosts", n_names);
	put_number(row, "chain", chain);
	put_cert(row, &leaf);
	if (key.bytes)
		put_hex(row, "key_sha256", key.bytes, key.len);
	else
		put_text(row, "key_sha256", NULL);
	admin_row(client, row);
}

static void take_entry(struct admin_client *client, const uint8_t *message, size_t len)
{
	struct wire_reader reader, again;
	struct wire_head head;
	struct attr attr;

	if (!wire_open(&reader, message, len, &head) ||
	    (head.type != CATALOG_PROFILE && head.type != CATALOG_HOST))
		return;
	again = reader;
	while (head.type == CATALOG_PROFILE && wire_next(&again, &attr) == 1)
		if (attr.type == ATTR_NAME)
			attr_text(&attr, client->job.name, sizeof(client->job.name));
	cert_row(client, reader);
}

static bool map_catalog(struct admin_client *client)
{
	struct admin_job *job = &client->job;
	int fd = client->broker->catalog_fd;
	struct stat st;
	void *map;

	if (fd < 0 || fstat(fd, &st) || st.st_size <= 0)
		return false;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return false;
	job->map = map;
	job->map_len = (size_t)st.st_size;
	return true;
}

/* The catalogue that handshakers have is what is told; it lives while it is mapped. */
bool admin_certs(struct admin_client *client)
{
	struct admin_job *job = &client->job;
	const uint8_t *at;
	size_t len;

	if (!job->map && !map_catalog(client)) {
		admin_refuse(client, "memory", "no memory for the catalogue; try again");
		return true;
	}
	at = job->map + job->at;
	if (job->map_len - job->at < 4) {
		admin_done(client, NULL);
		return true;
	}
	len = at[0] | at[1] << 8 | at[2] << 16 | (size_t)at[3] << 24;
	if (len > job->map_len - job->at - 4) {
		admin_done(client, NULL);
		return true;
	}
	take_entry(client, at + 4, len);
	job->at += 4 + len;
	return false;
}

/* --- options -------------------------------------------------------------------------------------- */

static void list_text(const struct option_value *value, int id, char *out, size_t size)
{
	const uint8_t *bytes = value->bytes;
	size_t i, len = 0, step;
	uint16_t code;

	*out = '\0';
	for (i = 0; i < value->len && len + 1 < size; i += step) {
		if (id == SLUICE_OPT_ALPN_ADVERTISED_PROTOCOLS ||
		    id == SLUICE_OPT_ALPN_PREFERRED_PROTOCOLS) {
			step = 1u + bytes[i];
			len += (size_t)snprintf(out + len, size - len, "%s%.*s", i ? "," : "",
						(int)bytes[i], (const char *)bytes + i + 1);
		} else {
			step = sizeof(code);
			memcpy(&code, bytes + i, sizeof(code));
			len += (size_t)snprintf(out + len, size - len, "%s%s", i ? "," : "",
						words_name(id, code));
		}
	}
}

static void enum_text(const char *words, int64_t n, char *out, size_t size)
{
	while (n-- > 0 && (words = strchr(words, '|')))
		words++;
	snprintf(out, size, "%.*s", words ? (int)strcspn(words, "|") : 0, words ? words : "");
}

/* Returns the value in @out, or NULL: there is none. Never that of a secret, nor bytes. */
static const char *value_text(const struct config_profile *profile, int id, char *out, size_t size)
{
	const struct option_value *value = &profile->options->values[id];
	const struct option_row *option = option_row(id);
	int64_t number;

	if (!value->set)
		return profile->role == SLUICE_SERVER && option->def_server ? option->def_server
									    : option->def;
	switch (option->type) {
	case SLUICE_TYPE_SECRET:
	case SLUICE_TYPE_DATA:
		return "(set)";
	case SLUICE_TYPE_STRING:
		return value->bytes;
	case SLUICE_TYPE_LIST:
		list_text(value, id, out, size);
		return out;
	default:
		break;
	}
	number = option_number(profile->options, id, profile->role);
	if (option->type == SLUICE_TYPE_ENUM)
		enum_text(option->values, number, out, size);
	else if (option->type == SLUICE_TYPE_BOOL)
		snprintf(out, size, "%s", number ? "true" : "false");
	else
		snprintf(out, size, "%lld", (long long)number);
	return out;
}

static void option_line(struct admin_client *client, const struct config_profile *profile, int id)
{
	struct json_object *row;
	char text[LIST_LEN];

	if (!(option_row(id)->roles & profile->role))
		return;
	row = json_object_new_object();
	put_text(row, "profile", profile->name);
	put_text(row, "option", option_row(id)->name);
	put_text(row, "value", value_text(profile, id, text, sizeof(text)));
	put_text(row, "origin", option_is_set(profile->options, id) ? "file" : "default");
	admin_row(client, row);
}

bool admin_options(struct admin_client *client)
{
	const struct config *config = client->broker->config;
	size_t at = client->job.at++;

	if (changed(client))
		return true;
	if (at >= config->n_profiles * SLUICE_OPTIONS) {
		admin_done(client, NULL);
		return true;
	}
	option_line(client, &config->profiles[at / SLUICE_OPTIONS], (int)(at % SLUICE_OPTIONS));
	return false;
}
