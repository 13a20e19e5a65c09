// SPDX-License-Identifier: Apache-2.0
#include "common/catalog.h"

#include <ctype.h>
#include <search.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "core/error.h"
#include "handover/messages.h"
#include "handover/options.h"
#include "options/profile.h"

#define MAX_PROFILES 65536
#define MAX_NAME 256

/* struct item (entry is search.h's) - a profile or a host, and what was built of it. */
struct item {
	const uint8_t *message;
	size_t len;
	const uint8_t *key_id; /* into the message */
	struct sluice_profile *profile;
};

/* struct host - a name of an entry. */
struct host {
	size_t profile;
	char *name;
	struct item *entry;
};

struct catalog {
	unsigned int refs;
	uint8_t *map;
	size_t map_len;
	struct item **profiles;
	size_t n_profiles;
	bool *refuses; /* of each profile: an unknown name */
	struct item **entries;
	size_t n_entries;
	void *hosts; /* tsearch(3) by profile and name */
	const uint8_t *ticket_keys;
	const struct signer *signer;
};

static int by_name(const void *a, const void *b)
{
	const struct host *x = a, *y = b;

	if (x->profile != y->profile)
		return x->profile < y->profile ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void free_host(void *p)
{
	struct host *host = p;

	free(host->name);
	free(host);
}

struct catalog *catalog_ref(struct catalog *catalog)
{
	catalog->refs++;
	return catalog;
}

struct catalog *catalog_unref(struct catalog *catalog)
{
	size_t i;

	if (!catalog || --catalog->refs)
		return NULL;
	tdestroy(catalog->hosts, free_host);
	for (i = 0; i < catalog->n_entries; i++) {
		sluice_profile_unref(catalog->entries[i]->profile);
		free(catalog->entries[i]);
	}
	free(catalog->entries);
	free(catalog->profiles);
	free(catalog->refuses);
	if (catalog->map)
		munmap(catalog->map, catalog->map_len);
	free(catalog);
	return NULL;
}

void catalog_set_signer(struct catalog *catalog, const struct signer *signer)
{
	catalog->signer = signer;
}

/* --- reading the file ----------------------------------------------------------------------- */

static int grow(void *array_ptr, size_t n, size_t size)
{
	void *bigger, **array = array_ptr;

	if (n & (n - 1)) /* grows at powers of two, and at nothing */
		return 0;
	bigger = realloc(*array, (n ? 2 * n : 1) * size);
	if (!bigger)
		return -SLUICE_E_NOMEM;
	*array = bigger;
	return 0;
}

static int add_host(struct catalog *catalog, struct item *entry, const struct attr *attr)
{
	struct host *host = calloc(1, sizeof(*host)), **found;

	if (host)
		host->name = strndup((const char *)attr->bytes, attr->len);
	if (!host || !host->name) {
		free(host);
		return -SLUICE_E_NOMEM;
	}
	host->profile = catalog->n_profiles - 1;
	host->entry = entry;
	found = tsearch(host, &catalog->hosts, by_name);
	if (found && *found == host)
		return 0;
	free_host(host);
	return found ? 0 : -SLUICE_E_NOMEM;
}

static int add_entry(struct catalog *catalog, const uint8_t *message, size_t len,
		     struct item **ret_entry)
{
	struct item *entry;

	if (grow(&catalog->entries, catalog->n_entries, sizeof(*catalog->entries)) < 0)
		return -SLUICE_E_NOMEM;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -SLUICE_E_NOMEM;
	entry->message = message;
	entry->len = len;
	catalog->entries[catalog->n_entries++] = entry;
	*ret_entry = entry;
	return 0;
}

static int add_profile(struct catalog *catalog, struct item *entry)
{
	size_t n = catalog->n_profiles;

	if (n == MAX_PROFILES)
		return -SLUICE_E_PROTOCOL;
	if (grow(&catalog->profiles, n, sizeof(*catalog->profiles)) < 0 ||
	    grow(&catalog->refuses, n, sizeof(*catalog->refuses)) < 0)
		return -SLUICE_E_NOMEM;
	catalog->profiles[n] = entry;
	catalog->refuses[n] = false;
	catalog->n_profiles++;
	return 0;
}

static int take_attr(struct catalog *catalog, struct item *entry, const struct attr *attr)
{
	uint64_t value;

	switch (attr->type) {
	case ATTR_TICKET_KEYS:
		if (attr->len != PROFILE_TICKET_KEYS_LEN)
			return -SLUICE_E_PROTOCOL;
		catalog->ticket_keys = attr->bytes;
		return 0;
	case ATTR_KEY_ID:
		if (attr->len != SHA256_DIGEST_LENGTH)
			return -SLUICE_E_PROTOCOL;
		entry->key_id = attr->bytes;
		return 0;
	case ATTR_NO_MATCH:
		if (!catalog->n_profiles || !attr_u64(attr, &value))
			return -SLUICE_E_PROTOCOL;
		catalog->refuses[catalog->n_profiles - 1] = value;
		return 0;
	case ATTR_HOST_NAME:
		return catalog->n_profiles ? add_host(catalog, entry, attr) : -SLUICE_E_PROTOCOL;
	default:
		return 0;
	}
}

static int take_entry(struct catalog *catalog, const uint8_t *message, size_t len)
{
	struct wire_reader reader;
	struct wire_head head;
	struct item *entry;
	struct attr attr;
	int r;

	if (!wire_open(&reader, message, len, &head))
		return -SLUICE_E_PROTOCOL;
	r = add_entry(catalog, message, len, &entry);
	if (r == 0 && head.type == CATALOG_PROFILE)
		r = add_profile(catalog, entry);
	while (r == 0 && (r = wire_next(&reader, &attr)) == 1)
		r = take_attr(catalog, entry, &attr);
	return r == -1 ? -SLUICE_E_PROTOCOL : r;
}

static int read_all(struct catalog *catalog)
{
	const uint8_t *at = catalog->map;
	size_t left = catalog->map_len, len;
	int r = 0;

	while (r == 0 && left >= 4) {
		len = at[0] | at[1] << 8 | at[2] << 16 | (size_t)at[3] << 24;
		if (len > left - 4)
			return -SLUICE_E_PROTOCOL;
		r = take_entry(catalog, at + 4, len);
		at += 4 + len;
		left -= 4 + len;
	}
	return r == 0 && left ? -SLUICE_E_PROTOCOL : r;
}

int catalog_open(struct catalog **ret_catalog, int fd)
{
	struct catalog *catalog = calloc(1, sizeof(*catalog));
	struct stat st;
	int r = -SLUICE_E_PROTOCOL;

	if (catalog && fstat(fd, &st) == 0 && st.st_size > 0) {
		catalog->map_len = (size_t)st.st_size;
		catalog->map = mmap(NULL, catalog->map_len, PROT_READ, MAP_SHARED, fd, 0);
		if (catalog->map == MAP_FAILED)
			catalog->map = NULL;
		r = catalog->map ? read_all(catalog) : -SLUICE_E_NOMEM;
	}
	close(fd);
	if (r < 0) {
		if (catalog)
			catalog->refs = 1;
		catalog_unref(catalog);
		return r;
	}
	catalog->refs = 1;
	*ret_catalog = catalog;
	return 0;
}

/* --- profiles ------------------------------------------------------------------------------- */

static int read_options(struct sluice_options *opts, const struct item *entry,
			enum sluice_role *ret_role)
{
	struct wire_reader reader, again;
	struct wire_head head;
	struct attr attr;
	uint64_t role;
	int r = 0;

	wire_open(&reader, entry->message, entry->len, &head);
	again = reader;
	while (r == 0 && wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_CERT)
			r = sluice_options_set_data(opts, SLUICE_OPT_CERT, attr.bytes, attr.len,
						    NULL);
		if (attr.type != ATTR_ROLE)
			continue;
		if (!attr_u64(&attr, &role) || (role != SLUICE_CLIENT && role != SLUICE_SERVER))
			return -SLUICE_E_PROTOCOL;
		*ret_role = (enum sluice_role)role;
	}
	return r < 0 ? r : option_set_read(opts, again);
}

/* What the broker has checked builds here too; only memory can be short. */
static struct sluice_profile *build(struct catalog *catalog, struct item *entry)
{
	enum sluice_role role = SLUICE_SERVER;
	struct sluice_options *opts;
	struct sluice_profile *profile = NULL;

	if (sluice_options_new(&opts) < 0)
		return NULL;
	if (read_options(opts, entry, &role) == 0 &&
	    profile_new_keyless(&profile, opts, role, catalog->signer, NULL) == 0) {
		profile->origin = entry;
		profile->pause_hello = role == SLUICE_SERVER;
		if (role == SLUICE_SERVER && catalog->ticket_keys)
			profile_set_ticket_keys(profile, catalog->ticket_keys);
	}
	sluice_options_free(opts);
	return profile;
}

static struct sluice_profile *profile_of(struct catalog *catalog, struct item *entry)
{
	if (!entry->profile)
		entry->profile = build(catalog, entry);
	return sluice_profile_ref(entry->profile);
}

struct sluice_profile *catalog_profile(struct catalog *catalog, size_t index)
{
	if (index >= catalog->n_profiles)
		return NULL;
	return profile_of(catalog, catalog->profiles[index]);
}

static struct item *find_host(const struct catalog *catalog, size_t index, char *name)
{
	struct host wanted = { .profile = index, .name = name }, **found;

	found = tfind(&wanted, &catalog->hosts, by_name);
	return found ? (*found)->entry : NULL;
}

struct sluice_profile *catalog_host(struct catalog *catalog, size_t index, const char *sni)
{
	char name[MAX_NAME], *dot;
	struct item *entry = NULL;
	size_t i, len = sni ? strnlen(sni, sizeof(name)) : 0;

	if (index >= catalog->n_profiles || len == sizeof(name))
		return NULL;
	for (i = 0; i < len; i++)
		name[i] = (char)tolower((unsigned char)sni[i]);
	name[len] = '\0';
	if (len)
		entry = find_host(catalog, index, name);
	dot = entry || !len ? NULL : strchr(name, '.');
	if (dot && dot > name) {
		dot[-1] = '*';
		entry = find_host(catalog, index, dot - 1);
	}
	if (!entry && len && catalog->refuses[index])
		return NULL;
	return profile_of(catalog, entry ? entry : catalog->profiles[index]);
}

const uint8_t *catalog_key_id(const struct sluice_profile *profile)
{
	const struct item *entry = profile->origin;

	return entry ? entry->key_id : NULL;
}
