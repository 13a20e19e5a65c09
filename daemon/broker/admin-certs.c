// SPDX-License-Identifier: Apache-2.0
/* Certificates: who answers with which, until when, and which files are not in force, and why. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/sha.h>

#include "broker/admin.h"
#include "broker/certs.h"
#include "options/options.h"

#define MAX_NAMES 64 /* of a host that are told */
#define S_PER_DAY 86400

void admin_job_end(struct admin_job *job)
{
	if (job->map)
		munmap((void *)job->map, job->map_len);
	*job = (struct admin_job){ 0 };
}

/* --- those in force ------------------------------------------------------------------------------- */

/* struct facts - what an entry says. */
struct facts {
	struct attr leaf, key, not_after, type, file, staple;
	struct json_object *names;
	uint64_t n_hosts, n_names, chain;
};

static void add_name(struct facts *facts, const struct attr *attr)
{
	if (json_object_array_length(facts->names) < MAX_NAMES)
		json_object_array_add(facts->names, json_object_new_string_len(
							    (const char *)attr->bytes, attr->len));
}

/*
 * The hosts of the configuration, or of a file in a directory those of its certificate; and certificate
 * @index of the entry, which begins with its file.
 */
static void read_facts(struct facts *facts, struct wire_reader reader, enum catalog_entry type,
		       size_t index)
{
	uint16_t host = type == CATALOG_FILE ? ATTR_CERT_NAME : ATTR_HOST_NAME;
	struct attr attr;
	size_t files = 0;

	while (wire_next(&reader, &attr) == 1) {
		if (attr.type == host && ++facts->n_hosts)
			add_name(facts, &attr);
		if (attr.type == ATTR_OPTION + SLUICE_OPT_OCSP_RESPONSE)
			facts->staple = attr;
		if (attr.type == ATTR_CERT_FILE && files++ == index)
			facts->file = attr;
		if (files != index + 1)
			continue;
		if (attr.type == ATTR_KEY_ID)
			facts->key = attr;
		if (attr.type == ATTR_CERT && ++facts->chain == 1)
			facts->leaf = attr;
		if (attr.type == ATTR_NOT_AFTER)
			facts->not_after = attr;
		if (attr.type == ATTR_KEY_TYPE)
			facts->type = attr;
	}
}

static size_t count_certs(struct wire_reader reader)
{
	struct attr attr;
	size_t n = 0;

	while (wire_next(&reader, &attr) == 1)
		n += attr.type == ATTR_CERT_FILE;
	return n;
}

static void put_attr_text(struct json_object *row, const char *name, const struct attr *attr)
{
	char text[4200];

	put_text(row, name, attr->bytes && attr_text(attr, text, sizeof(text)) ? text : NULL);
}

static void put_expiry(struct json_object *row, const struct attr *attr)
{
	uint64_t seconds;
	char text[32];
	struct tm tm;
	time_t t;
	int64_t left;

	if (!attr->bytes || !attr_u64(attr, &seconds))
		return;
	t = (time_t)seconds;
	left = (int64_t)seconds - (int64_t)time(NULL);
	if (gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		put_text(row, "not_after", text);
	/* Whole days: 0 on the last one, -1 from the moment on that it has ended. */
	left = left < 0 ? -((-left + S_PER_DAY - 1) / S_PER_DAY) : left / S_PER_DAY;
	if (row)
		json_object_object_add(row, "days_left", json_object_new_int64(left));
}

static void put_digest(struct json_object *row, const struct attr *leaf)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	if (!leaf->bytes) {
		put_text(row, "cert_sha256", NULL);
		return;
	}
	SHA256(leaf->bytes, leaf->len, digest);
	put_hex(row, "cert_sha256", digest, sizeof(digest));
}

/* Of the first certificate of an entry; others have none. */
static void put_staple(struct json_object *row, const struct broker *broker,
		       const struct facts *facts, size_t index)
{
	const struct fetched *fetched = NULL;
	const char *state = NULL, *why = NULL;

	if (!index && facts->leaf.bytes) {
		fetched = staples_find(broker, facts->leaf.bytes, facts->leaf.len);
		state = fetched               ? staple_state_name(staple_state(fetched))
			: facts->staple.bytes ? "file"
					      : "none";
	}
	if (fetched)
		why = fetched->problem[0] ? fetched->problem : fetched->item.why;
	put_text(row, "staple", state);
	put_time(row, "staple_until", fetched && fetched->der ? fetched->next_s : -1);
	put_time(row, "staple_next_fetch",
		 fetched && fetched->item.url ? fetch_item_next(broker, &fetched->item) : -1);
	put_text(row, "staple_problem", why && why[0] ? why : NULL);
}

static void cert_row(struct admin_client *client, struct wire_reader reader,
		     enum catalog_entry type, size_t index)
{
	struct json_object *row = json_object_new_object();
	struct facts facts = { .names = json_object_new_array() };

	if (!row || !facts.names) {
		json_object_put(facts.names);
		json_object_put(row);
		admin_row(client, NULL);
		return;
	}
	read_facts(&facts, reader, type, index);
	put_text(row, "profile", client->job.name);
	json_object_object_add(row, "hosts", facts.names);
	put_number(row, "n_hosts", facts.n_hosts);
	put_number(row, "chain", facts.chain);
	put_text(row, "not_after", NULL);
	put_text(row, "days_left", NULL);
	put_expiry(row, &facts.not_after);
	put_digest(row, &facts.leaf);
	if (facts.key.bytes)
		put_hex(row, "key_sha256", facts.key.bytes, facts.key.len);
	else
		put_text(row, "key_sha256", NULL);
	put_attr_text(row, "key_type", &facts.type);
	put_attr_text(row, "file", &facts.file);
	put_staple(row, client->broker, &facts, index);
	put_text(row, "problem", NULL);
	admin_row(client, row);
}

static void take_entry(struct admin_client *client, const uint8_t *message, size_t len)
{
	struct wire_reader reader, again;
	struct wire_head head;
	struct attr attr;
	size_t i, n;

	if (!wire_open(&reader, message, len, &head) || head.type < CATALOG_PROFILE ||
	    head.type > CATALOG_FILE)
		return;
	again = reader;
	while (head.type == CATALOG_PROFILE && wire_next(&again, &attr) == 1)
		if (attr.type == ATTR_NAME)
			attr_text(&attr, client->job.name, sizeof(client->job.name));
	n = count_certs(reader);
	for (i = 0; i < n || i == 0; i++) /* a profile without one has a row, too */
		cert_row(client, reader, (enum catalog_entry)head.type, i);
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
	job->generation = client->broker->certs->generation;
	return true;
}

/* --- files with a problem ------------------------------------------------------------------------- */

static const char *profile_of(const struct broker *broker, const struct cert_dir *dir)
{
	const struct cert_set *set = broker->certs->set;
	size_t i;

	for (i = 0; i < set->n_profiles; i++)
		if (set->profiles[i].dir == dir)
			return broker->config->profiles[i].name;
	return NULL;
}

static void problem_row(struct admin_client *client, const struct cert_dir *dir,
			const struct cert_file *file, const char *problem)
{
	struct json_object *row = json_object_new_object();
	char path[4300], text[1200];

	snprintf(path, sizeof(path), "%s/%s.pem", dir->path, file->stem);
	snprintf(text, sizeof(text), "%s; %s", problem,
		 !file->problem ? "the other names are its own"
		 : file->cert   ? "the certificate that it had stays in force"
				: "it is not in force");
	put_text(row, "profile", profile_of(client->broker, dir));
	put_text(row, "file", path);
	put_text(row, "problem", text);
	admin_row(client, row);
}

/* Returns false after the last one. */
static bool next_problem(struct admin_client *client)
{
	const struct cert_set *set = client->broker->certs->set;
	struct admin_job *job = &client->job;
	const struct cert_file *file;
	const struct cert_dir *dir;

	for (; job->dir < set->n_dirs; job->dir++, job->file = 0) {
		dir = &set->dirs[job->dir];
		while (job->file < dir->n) {
			file = dir->files[job->file++];
			if (file->problem || file->conflict) {
				problem_row(client, dir, file,
					    file->problem ? file->problem : file->conflict);
				return true;
			}
		}
	}
	return false;
}

/* The catalogue that handshakers have is what is told; it lives while it is mapped. */
bool admin_certs(struct admin_client *client)
{
	struct admin_job *job = &client->job;
	const uint8_t *message;
	uint64_t at = job->at;
	size_t len;

	if (!job->map && !map_catalog(client)) {
		admin_refuse(client, "memory", "no memory for the catalogue; try again");
		return true;
	}
	if (catalog_entry_next(job->map, job->map_len, &at, &message, &len)) {
		job->at = at;
		take_entry(client, message, len);
		return false;
	}
	if (job->generation != client->broker->certs->generation) {
		admin_refuse(client, "changed", "certificates have just changed; ask again");
		return true;
	}
	if (next_problem(client))
		return false;
	admin_done(client, NULL);
	return true;
}
