// SPDX-License-Identifier: Apache-2.0
#include "common/catalog.h"
#include "common/policy.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "common/crl-cache.h"
#include "core/error.h"
#include "handover/messages.h"
#include "handover/options.h"
#include "options/hostname.h"
#include "options/options.h"
#include "options/profile.h"

#define MAX_PROFILES 65536
#define ENTRY_HEAD 4
#define BUCKETS 1024
#define BROKER_MS 1000

/* struct built - a profile that was built of an entry. */
struct built {
	LIST_ENTRY(built) in_bucket;
	TAILQ_ENTRY(built) by_use;
	uint64_t entry;
	struct sluice_profile *profile;
};

struct catalog {
	unsigned int refs;
	const uint8_t *map;
	size_t map_len;
	struct catalog_head head;
	const uint8_t *ticket_keys; /* in the map; NULL: none */
	const struct signer *signer;
	sluice_verify_fun verify_fun;
	struct crl_cache *crls;
	LIST_HEAD(, built) buckets[BUCKETS];
	TAILQ_HEAD(built_list, built) used; /* the last one first */
	size_t n_built;
};

struct catalog *catalog_ref(struct catalog *catalog)
{
	catalog->refs++;
	return catalog;
}

static void drop_built(struct catalog *catalog, struct built *built)
{
	LIST_REMOVE(built, in_bucket);
	TAILQ_REMOVE(&catalog->used, built, by_use);
	catalog->n_built--;
	sluice_profile_unref(built->profile);
	free(built);
}

struct catalog *catalog_unref(struct catalog *catalog)
{
	if (!catalog || --catalog->refs)
		return NULL;
	while (!TAILQ_EMPTY(&catalog->used))
		drop_built(catalog, TAILQ_FIRST(&catalog->used));
	munmap((void *)catalog->map, catalog->map_len);
	free(catalog);
	return NULL;
}

void catalog_set_signer(struct catalog *catalog, const struct signer *signer)
{
	catalog->signer = signer;
}

void catalog_set_verify_fun(struct catalog *catalog, sluice_verify_fun fun)
{
	catalog->verify_fun = fun;
}

void catalog_set_crls(struct catalog *catalog, struct crl_cache *crls)
{
	catalog->crls = crls;
}

/* --- the file ------------------------------------------------------------------------------- */

static size_t entry_len(const uint8_t *entry)
{
	return entry[0] | entry[1] << 8 | entry[2] << 16 | (size_t)entry[3] << 24;
}

/* Returns the message of the entry at @at and its length, or NULL: it is not within the entries. */
static const uint8_t *entry_at(const uint8_t *map, uint64_t end, uint64_t at, size_t *ret_len)
{
	const uint8_t *head;
	size_t len;

	if (at < sizeof(struct catalog_head) || at > end || end - at < ENTRY_HEAD)
		return NULL;
	head = map + at;
	len = entry_len(head);
	if (len > end - at - ENTRY_HEAD)
		return NULL;
	*ret_len = len;
	return head + ENTRY_HEAD;
}

/* Opens the message of an entry for reading. */
static bool read_entry(const struct catalog *catalog, uint64_t at, struct wire_reader *reader,
		       struct wire_head *ret_head)
{
	size_t len;
	const uint8_t *message = entry_at(catalog->map, catalog->head.profiles_at, at, &len);

	return message && wire_open(reader, message, len, ret_head);
}

static bool read_head(const uint8_t *map, size_t map_len, struct catalog_head *head)
{
	if (map_len < sizeof(*head))
		return false;
	memcpy(head, map, sizeof(*head));
	return head->magic == CATALOG_MAGIC && head->n_profiles <= MAX_PROFILES &&
	       head->profiles_at >= sizeof(*head) && head->profiles_at <= map_len &&
	       head->n_profiles * sizeof(uint64_t) <= map_len - head->profiles_at &&
	       head->names_at <= map_len &&
	       head->n_names * sizeof(struct catalog_name) <= map_len - head->names_at;
}

bool catalog_entry_next(const uint8_t *map, size_t map_len, uint64_t *at,
			const uint8_t **ret_message, size_t *ret_len)
{
	struct catalog_head head;

	if (!read_head(map, map_len, &head))
		return false;
	if (!*at)
		*at = sizeof(head);
	*ret_message = entry_at(map, head.profiles_at, *at, ret_len);
	if (!*ret_message)
		return false;
	*at += ENTRY_HEAD + *ret_len;
	return true;
}

/* The secrets are the first entry, if there are any. */
static int find_secrets(struct catalog *catalog)
{
	struct wire_reader reader;
	struct wire_head head;
	struct attr attr;

	if (!read_entry(catalog, sizeof(catalog->head), &reader, &head) ||
	    head.type != CATALOG_SECRETS)
		return 0;
	while (wire_next(&reader, &attr) == 1) {
		if (attr.type != ATTR_TICKET_KEYS)
			continue;
		if (attr.len != PROFILE_TICKET_KEYS_LEN)
			return -SLUICE_E_PROTOCOL;
		catalog->ticket_keys = attr.bytes;
	}
	return 0;
}

static int map_file(struct catalog *catalog, int fd)
{
	struct stat st;
	void *map;

	if (fstat(fd, &st) || st.st_size <= 0)
		return -SLUICE_E_PROTOCOL;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -SLUICE_E_NOMEM;
	catalog->map = map;
	catalog->map_len = (size_t)st.st_size;
	if (!read_head(catalog->map, catalog->map_len, &catalog->head))
		return -SLUICE_E_PROTOCOL;
	return find_secrets(catalog);
}

int catalog_open(struct catalog **ret_catalog, int fd)
{
	struct catalog *catalog = calloc(1, sizeof(*catalog));
	int r = catalog ? map_file(catalog, fd) : -SLUICE_E_NOMEM;

	close(fd);
	if (r < 0) {
		if (catalog && catalog->map)
			munmap((void *)catalog->map, catalog->map_len);
		free(catalog);
		return r;
	}
	catalog->refs = 1;
	TAILQ_INIT(&catalog->used);
	*ret_catalog = catalog;
	return 0;
}

/* --- profiles ------------------------------------------------------------------------------- */

/* Returns the offset of a profile's entry, or 0. */
static uint64_t profile_entry(const struct catalog *catalog, size_t index)
{
	uint64_t at;

	if (index >= catalog->head.n_profiles)
		return 0;
	memcpy(&at, catalog->map + catalog->head.profiles_at + index * sizeof(at), sizeof(at));
	return at;
}

/* struct recipe - what a profile is built of: its certificate may be another entry's than its options. */
struct recipe {
	struct sluice_options *opts;
	enum sluice_role role;
	struct attr policy;
};

/* Moves a certificate that is complete into the options. */
static int take_pair(struct recipe *recipe, struct sluice_options **pair)
{
	int r = 0;

	if (*pair && option_is_set(*pair, SLUICE_OPT_CERT))
		r = sluice_options_add_cert_key(recipe->opts, *pair, NULL);
	*pair = sluice_options_free(*pair);
	return r;
}

/* A key's id begins each certificate of several. */
static int read_certs(struct recipe *recipe, struct wire_reader reader)
{
	struct sluice_options *pair = NULL;
	struct attr attr;
	int r = 0;

	while (r == 0 && wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_KEY_ID) {
			r = take_pair(recipe, &pair);
			if (r == 0)
				r = sluice_options_new(&pair);
		}
		if (attr.type == ATTR_CERT && pair)
			r = sluice_options_set_data(pair, SLUICE_OPT_CERT, attr.bytes, attr.len,
						    NULL);
	}
	if (r == 0)
		return take_pair(recipe, &pair);
	sluice_options_free(pair);
	return r;
}

static int read_options(struct recipe *recipe, struct wire_reader reader)
{
	struct wire_reader again = reader;
	struct attr attr;
	uint64_t role;

	while (wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_POLICY)
			recipe->policy = attr;
		if (attr.type == ATTR_HOST_NAME && !recipe->opts->bound_to) {
			/* Not across hosts, though certificate and rules be the same. */
			recipe->opts->bound_to = attr.bytes;
			recipe->opts->bound_to_len = attr.len;
		}
		if (attr.type != ATTR_ROLE)
			continue;
		if (!attr_u64(&attr, &role) || (role != SLUICE_CLIENT && role != SLUICE_SERVER))
			return -SLUICE_E_PROTOCOL;
		recipe->role = (enum sluice_role)role;
	}
	return option_set_read(recipe->opts, again);
}

/* What is stapled to the certificate of a file is that of its own entry, not the profile's. */
static int read_staple(struct recipe *recipe, struct wire_reader reader)
{
	struct attr attr;
	int r = 0;

	options_drop_ocsp(recipe->opts);
	while (r == 0 && wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_OPTION + SLUICE_OPT_OCSP_RESPONSE)
			r = sluice_options_set_data(recipe->opts, SLUICE_OPT_OCSP_RESPONSE,
						    attr.bytes, attr.len, NULL);
	return r;
}

static int read_recipe(struct recipe *recipe, const struct catalog *catalog, size_t index,
		       uint64_t entry)
{
	struct wire_reader own, reader;
	struct wire_head head;
	int r;

	if (!read_entry(catalog, entry, &own, &head))
		return -SLUICE_E_PROTOCOL;
	r = read_certs(recipe, own);
	if (r < 0 || head.type != CATALOG_FILE)
		return r < 0 ? r : read_options(recipe, own);
	if (!read_entry(catalog, profile_entry(catalog, index), &reader, &head))
		return -SLUICE_E_PROTOCOL;
	r = read_options(recipe, reader);
	return r < 0 ? r : read_staple(recipe, own);
}

/* The function's rules are the same in each handshaker, so that tickets resume in all of them. */
static int set_policy(const struct catalog *catalog, struct recipe *recipe)
{
	const struct attr *attr = &recipe->policy;
	struct policy policy;
	char timeout[16];
	int r;

	if (!attr->bytes)
		return 0;
	if (!policy_read(&policy, attr->bytes, attr->len) || !catalog->verify_fun)
		return -SLUICE_E_PROTOCOL;
	recipe->opts->verify_rules = attr->bytes;
	recipe->opts->verify_rules_len = attr->len;
	r = sluice_options_set_verify_fun(recipe->opts, catalog->verify_fun, (void *)attr->bytes,
					  NULL);
	if (r < 0 || !policy.asks)
		return r;
	/* The broker keeps the time of the answer; this is for a broker that does not. */
	snprintf(timeout, sizeof(timeout), "%u", policy.timeout_ms + BROKER_MS);
	return sluice_options_set(recipe->opts, SLUICE_OPT_VERIFY_TIMEOUT, timeout, NULL);
}

/* An OCSP response may be no good any more, since the broker has checked it: nothing is stapled then. */
static int build_profile(struct sluice_profile **ret_profile, const struct catalog *catalog,
			 const struct recipe *recipe)
{
	int r = profile_new_keyless(ret_profile, recipe->opts, recipe->role, catalog->signer, NULL);

	if (r != -SLUICE_E_OCSP)
		return r;
	options_drop_ocsp(recipe->opts);
	return profile_new_keyless(ret_profile, recipe->opts, recipe->role, catalog->signer, NULL);
}

/* What else the broker has checked builds here too; only memory can be short. */
static struct sluice_profile *build(struct catalog *catalog, size_t index, uint64_t entry)
{
	struct recipe recipe = { .role = SLUICE_SERVER };
	struct sluice_profile *profile = NULL;

	if (sluice_options_new(&recipe.opts) < 0)
		return NULL;
	recipe.opts->crl_shared = true; /* all handshakers have the same set */
	if (read_recipe(&recipe, catalog, index, entry) == 0 && set_policy(catalog, &recipe) == 0 &&
	    (!catalog->crls || sluice_options_set_crl_cache(recipe.opts, &crl_cache_ops,
							    catalog->crls, NULL, NULL) == 0) &&
	    build_profile(&profile, catalog, &recipe) == 0) {
		profile->origin = catalog->map + entry;
		profile->pause_hello = recipe.role == SLUICE_SERVER;
		if (recipe.role == SLUICE_SERVER && catalog->ticket_keys)
			profile_set_ticket_keys(profile, catalog->ticket_keys);
	}
	sluice_options_free(recipe.opts);
	return profile;
}

static size_t bucket_of(uint64_t entry)
{
	return (entry * 0x9e3779b97f4a7c15u) >> 54; /* Knuth's multiplication: the upper ten bits */
}

static struct built *find_built(struct catalog *catalog, uint64_t entry)
{
	struct built *built;

	LIST_FOREACH(built, &catalog->buckets[bucket_of(entry)], in_bucket)
	if (built->entry == entry)
		return built;
	return NULL;
}

/* Those that have one that is dropped keep it. */
static struct built *add_built(struct catalog *catalog, size_t index, uint64_t entry)
{
	struct built *built = calloc(1, sizeof(*built));

	if (!built)
		return NULL;
	built->profile = build(catalog, index, entry);
	if (!built->profile) {
		free(built);
		return NULL;
	}
	built->entry = entry;
	LIST_INSERT_HEAD(&catalog->buckets[bucket_of(entry)], built, in_bucket);
	TAILQ_INSERT_HEAD(&catalog->used, built, by_use);
	if (++catalog->n_built > CATALOG_MAX_BUILT)
		drop_built(catalog, TAILQ_LAST(&catalog->used, built_list));
	return built;
}

static struct sluice_profile *profile_of(struct catalog *catalog, size_t index, uint64_t entry)
{
	struct built *built = find_built(catalog, entry);

	if (built) {
		TAILQ_REMOVE(&catalog->used, built, by_use);
		TAILQ_INSERT_HEAD(&catalog->used, built, by_use);
	} else {
		built = add_built(catalog, index, entry);
	}
	return built ? sluice_profile_ref(built->profile) : NULL;
}

struct sluice_profile *catalog_profile(struct catalog *catalog, size_t index)
{
	return profile_of(catalog, index, profile_entry(catalog, index));
}

/* --- hosts ---------------------------------------------------------------------------------- */

static int compare(const struct catalog *catalog, const struct catalog_name *slot, size_t index,
		   const char *name, size_t len)
{
	size_t slot_len = slot->text_len;
	int order;

	if (slot->profile != index)
		return slot->profile < index ? -1 : 1;
	if (slot->text > catalog->map_len || slot_len > catalog->map_len - slot->text)
		return 1; /* no broker writes that: nobody is found */
	order = memcmp(catalog->map + slot->text, name, slot_len < len ? slot_len : len);
	if (order)
		return order;
	return slot_len < len ? -1 : slot_len > len;
}

/* Returns the offset of the entry of a host, or 0. */
static uint64_t find_host(const struct catalog *catalog, size_t index, const char *name, size_t len)
{
	size_t from = 0, to = catalog->head.n_names, mid;
	struct catalog_name slot;
	int order;

	while (from < to) {
		mid = from + (to - from) / 2;
		memcpy(&slot, catalog->map + catalog->head.names_at + mid * sizeof(slot),
		       sizeof(slot));
		order = compare(catalog, &slot, index, name, len);
		if (order == 0)
			return slot.entry;
		if (order < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return 0;
}

static bool refuses(const struct catalog *catalog, size_t index)
{
	struct wire_reader reader;
	struct wire_head head;
	struct attr attr;
	uint64_t value = 0;

	if (!read_entry(catalog, profile_entry(catalog, index), &reader, &head))
		return true;
	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_NO_MATCH)
			attr_u64(&attr, &value);
	return value;
}

struct sluice_profile *catalog_host(struct catalog *catalog, size_t index, const char *sni)
{
	char name[HOST_NAME_LONGEST + 1];
	size_t len = sni ? host_name_fold(name, sni) : 0;
	const char *wildcard;
	uint64_t entry = 0;

	if (index >= catalog->head.n_profiles)
		return NULL;
	if (len)
		entry = find_host(catalog, index, name, len);
	wildcard = entry || !len ? NULL : host_name_wildcard(name);
	if (wildcard)
		entry = find_host(catalog, index, wildcard, strlen(wildcard));
	if (!entry && sni && sni[0] && refuses(catalog, index))
		return NULL;
	return profile_of(catalog, index, entry ? entry : profile_entry(catalog, index));
}

const uint8_t *catalog_key_id(const struct sluice_profile *profile, size_t i)
{
	const uint8_t *entry = profile->origin;
	struct wire_reader reader;
	struct wire_head head;
	struct attr attr;

	/* It was within the file, and could be read, when the profile was built. */
	if (!entry || !wire_open(&reader, entry + ENTRY_HEAD, entry_len(entry), &head))
		return NULL;
	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_KEY_ID && attr.len == SHA256_DIGEST_LENGTH && !i--)
			return attr.bytes;
	return NULL;
}
