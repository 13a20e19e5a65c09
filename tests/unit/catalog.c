/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue: which host answers for a name, and files that are not what a broker writes. */
#include "common/catalog-write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/secret.h"
#include "handover/messages.h"
#include "handover/options.h"
#include "options/credentials.h"
#include "options/profile.h"
#include "support/certs.h"

#define MAX_FILE 65536
#define MAX_ENTRY 16384

/* struct file - a catalogue that is being written, and then its bytes. */
struct file {
	struct catalog_writer writer;
	uint8_t entry[MAX_ENTRY];
	struct wire wire;
	uint8_t bytes[MAX_FILE];
	size_t len;
	char conflicts[256];
};

static void begin_file(struct file *file)
{
	assert_int_equal(catalog_write_begin(&file->writer), 0);
	file->conflicts[0] = '\0';
}

static void note_conflict(void *arg, const char *name, size_t name_len, const void *first,
			  const void *second)
{
	struct file *file = arg;
	size_t len = strlen(file->conflicts);

	snprintf(file->conflicts + len, sizeof(file->conflicts) - len, "%.*s:%s,%s ", (int)name_len,
		 name, (const char *)first, (const char *)second);
}

static void end_file(struct file *file)
{
	int fd = catalog_write_end(&file->writer, note_conflict, file);
	ssize_t n;

	assert_true(fd >= 0);
	n = pread(fd, file->bytes, MAX_FILE, 0);
	assert_true(n > 0 && n < MAX_FILE);
	file->len = (size_t)n;
	close(fd);
	catalog_write_free(&file->writer);
}

static void begin(struct file *file, enum catalog_entry type)
{
	wire_begin(&file->wire, file->entry, MAX_ENTRY, type, 0);
}

static void end(struct file *file, enum catalog_entry type)
{
	assert_int_equal(catalog_write(&file->writer, type, &file->wire), 0);
}

static void put_identity(struct file *file, uint8_t id)
{
	uint8_t key_id[32], *der;
	size_t len;

	memset(key_id, id, sizeof(key_id));
	wire_put(&file->wire, ATTR_KEY_ID, key_id, sizeof(key_id));
	der = certs_der(certs_get()->server_p256, 0, &len);
	wire_put(&file->wire, ATTR_CERT, der, len);
	free(der);
}

static void put_options(struct file *file, const char *versions)
{
	struct sluice_options *opts;

	assert_int_equal(sluice_options_new(&opts), 0);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_VERSIONS, versions, NULL), 0);
	option_set_write(opts, &file->wire);
	sluice_options_free(opts);
}

static void put_profile(struct file *file, uint8_t id, bool refuses)
{
	begin(file, CATALOG_PROFILE);
	wire_put_text(&file->wire, ATTR_NAME, "profile");
	wire_put_u64(&file->wire, ATTR_ROLE, SLUICE_SERVER);
	wire_put_u64(&file->wire, ATTR_NO_MATCH, refuses);
	put_identity(file, id);
	put_options(file, "tlsv1.3");
	end(file, CATALOG_PROFILE);
}

static void name(struct file *file, const char *text, const char *source)
{
	if (text)
		assert_int_equal(catalog_write_name(&file->writer, text, strlen(text), source), 0);
}

static void put_host(struct file *file, uint8_t id, const char *one, const char *other)
{
	begin(file, CATALOG_HOST);
	put_identity(file, id);
	put_options(file, "tlsv1.2");
	end(file, CATALOG_HOST);
	name(file, one, NULL);
	name(file, other, NULL);
}

/* A certificate of a directory, which has the options of its profile. */
static void put_file(struct file *file, uint8_t id, const char *one, const char *other,
		     const char *source)
{
	begin(file, CATALOG_FILE);
	put_identity(file, id);
	end(file, CATALOG_FILE);
	name(file, one, source);
	name(file, other, source);
}

/* Profile 0 takes every name, profile 1 only those of its hosts. */
static void write_sample(struct file *file)
{
	static const uint8_t keys[PROFILE_TICKET_KEYS_LEN] = { 1 };

	begin_file(file);
	begin(file, CATALOG_SECRETS);
	wire_put(&file->wire, ATTR_TICKET_KEYS, keys, sizeof(keys));
	end(file, CATALOG_SECRETS);
	put_profile(file, 1, false);
	put_host(file, 2, "a.example", "b.example");
	put_host(file, 3, "*.example", NULL);
	put_profile(file, 4, true);
	put_host(file, 5, "a.example", NULL);
	put_host(file, 6, "*.sub.example", "x.sub.example");
	put_file(file, 7, "a.example", "file.example", "first"); /* a host goes before a file */
	put_file(file, 8, "file.example", "*.files.example", "second");
	end_file(file);
}

static int open_bytes(struct catalog **ret_catalog, const uint8_t *bytes, size_t len)
{
	int fd = memfd_create("catalog", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	return catalog_open(ret_catalog, fd);
}

static bool no_key(void *arg, struct sluice_conn *conn, uint16_t algorithm, const uint8_t *in,
		   size_t in_len)
{
	return false;
}

static const struct signer signer = { no_key, NULL };

static struct catalog *sample(void)
{
	static struct file file;
	struct catalog *catalog;

	write_sample(&file);
	assert_int_equal(open_bytes(&catalog, file.bytes, file.len), 0);
	catalog_set_signer(catalog, &signer);
	return catalog;
}

/* The number in the key id of what answers for a name; 0: nobody does. */
static int who(struct catalog *catalog, size_t index, const char *sni)
{
	struct sluice_profile *profile = catalog_host(catalog, index, sni);
	int id;

	if (!profile)
		return 0;
	assert_non_null(catalog_key_id(profile, 0));
	id = catalog_key_id(profile, 0)[0];
	sluice_profile_unref(profile);
	return id;
}

static void exact_names_and_wildcards(void **state)
{
	struct catalog *catalog = sample();

	assert_int_equal(who(catalog, 0, "a.example"), 2);
	assert_int_equal(who(catalog, 0, "b.example"), 2);
	assert_int_equal(who(catalog, 0, "c.example"), 3);
	assert_int_equal(who(catalog, 0, "A.eXaMple"), 2);
	assert_int_equal(who(catalog, 0, "C.EXAMPLE"), 3);
	assert_int_equal(who(catalog, 1, "a.example"), 5);
	assert_int_equal(who(catalog, 1, "y.sub.example"), 6);
	assert_int_equal(who(catalog, 1, "x.sub.example"), 6);
	assert_int_equal(who(catalog, 1, "file.example"), 7);
	assert_int_equal(who(catalog, 1, "x.files.example"), 8);
	assert_int_equal(who(catalog, 0, "file.example"), 3);
	catalog_unref(catalog);
}

static void a_wildcard_is_one_label(void **state)
{
	struct catalog *catalog = sample();

	assert_int_equal(who(catalog, 0, "example"), 1);
	assert_int_equal(who(catalog, 0, ".example"), 1);
	assert_int_equal(who(catalog, 0, "x.c.example"), 1);
	assert_int_equal(who(catalog, 0, "*.example"), 3); /* nobody is called that; harmless */
	assert_int_equal(who(catalog, 0, "aexample"), 1);
	assert_int_equal(who(catalog, 0, "."), 1);
	assert_int_equal(who(catalog, 0, "a."), 1);
	catalog_unref(catalog);
}

static void no_match(void **state)
{
	struct catalog *catalog = sample();
	char longest[300];

	assert_int_equal(who(catalog, 0, "other.test"), 1);
	assert_int_equal(who(catalog, 1, "other.test"), 0);
	assert_int_equal(who(catalog, 1, "b.example"), 0); /* of the other profile */
	assert_int_equal(who(catalog, 1, "sub.example"), 0);
	assert_int_equal(who(catalog, 0, NULL), 1);
	assert_int_equal(who(catalog, 1, NULL), 4);
	assert_int_equal(who(catalog, 1, ""), 4);
	assert_int_equal(who(catalog, 2, "a.example"), 0);
	assert_int_equal(who(catalog, SIZE_MAX, NULL), 0);
	memset(longest, 'a', sizeof(longest));
	longest[255] = '\0';
	assert_int_equal(who(catalog, 0, longest), 1);
	longest[255] = 'a';
	longest[299] = '\0';
	assert_int_equal(who(catalog, 0, longest), 1); /* the name of no host */
	catalog_unref(catalog);
}

/* Each of several certificates has its key; the order is the file's. */
static void a_profile_with_several_certificates(void **state)
{
	static struct file file;
	struct sluice_profile *profile;
	struct catalog *catalog;

	begin_file(&file);
	begin(&file, CATALOG_PROFILE);
	wire_put_text(&file.wire, ATTR_NAME, "profile");
	wire_put_u64(&file.wire, ATTR_ROLE, SLUICE_SERVER);
	put_identity(&file, 7);
	put_identity(&file, 8);
	put_options(&file, "tlsv1.3");
	end(&file, CATALOG_PROFILE);
	end_file(&file);
	assert_int_equal(open_bytes(&catalog, file.bytes, file.len), 0);
	catalog_set_signer(catalog, &signer);
	profile = catalog_profile(catalog, 0);
	assert_non_null(profile);
	assert_int_equal(profile->creds->n_own, 2);
	assert_int_equal(catalog_key_id(profile, 0)[31], 7);
	assert_int_equal(catalog_key_id(profile, 1)[31], 8);
	assert_null(catalog_key_id(profile, 2));
	sluice_profile_unref(profile);
	catalog_unref(catalog);
}

static void profiles_have_their_options(void **state)
{
	struct catalog *catalog = sample(), *again = catalog_ref(catalog);
	struct sluice_profile *profile = catalog_profile(catalog, 0), *host;

	assert_non_null(profile);
	assert_ptr_equal(profile->signer, &signer);
	assert_true(profile->pause_hello);
	assert_int_equal(catalog_key_id(profile, 0)[31], 1);
	assert_null(catalog_profile(catalog, 2));
	host = catalog_host(catalog, 0, "a.example");
	assert_int_equal(host->suites13, 0); /* TLS 1.2 only */
	assert_int_not_equal(profile->suites13, 0);
	/* Built once, and alive for as long as anybody has it. */
	assert_ptr_equal(host, catalog_host(catalog, 0, "b.example"));
	sluice_profile_unref(host);
	catalog_unref(catalog);
	catalog_unref(again);
	assert_int_equal(profile->role, SLUICE_SERVER);
	sluice_profile_unref(profile);
	sluice_profile_unref(host);
}

/* --- files that no broker writes ---------------------------------------------------------------- */

/* Whatever opens can be used: profiles are built of it, or are not. */
static void use(const uint8_t *bytes, size_t len)
{
	static const char *const names[] = { NULL, "a.example", "x.example", "y.sub.example", "z" };
	struct catalog *catalog;
	size_t i, j;

	if (open_bytes(&catalog, bytes, len) < 0)
		return;
	catalog_set_signer(catalog, &signer);
	for (i = 0; i < 3; i++) {
		sluice_profile_unref(catalog_profile(catalog, i));
		for (j = 0; j < sizeof(names) / sizeof(names[0]); j++)
			sluice_profile_unref(catalog_host(catalog, i, names[j]));
	}
	catalog_unref(catalog);
}

/* Under valgrind every one takes minutes: tests/run has it take every so many there. */
static size_t stride(void)
{
	const char *text = getenv("SLUICE_TEST_STRIDE");
	int n = text ? atoi(text) : 1;

	return n > 0 ? (size_t)n : 1;
}

static void cut_off_at_every_byte(void **state)
{
	static struct file file;
	struct catalog *catalog;
	size_t len;

	write_sample(&file);
	for (len = 0; len < file.len; len += stride())
		assert_true(open_bytes(&catalog, file.bytes, len) < 0);
}

static void wrong_at_every_byte(void **state)
{
	static const uint8_t changes[] = { 0x01, 0x80, 0xff };
	static struct file file;
	size_t i, j;

	write_sample(&file);
	for (i = 0; i < file.len; i += stride())
		for (j = 0; j < sizeof(changes); j++) {
			file.bytes[i] ^= changes[j];
			use(file.bytes, file.len);
			file.bytes[i] ^= changes[j];
		}
}

static void out_of_order(void **state)
{
	static struct file file;
	struct catalog *catalog;

	begin_file(&file);
	begin(&file, CATALOG_HOST);
	put_identity(&file, 1);
	assert_int_equal(catalog_write(&file.writer, CATALOG_HOST, &file.wire), -SLUICE_E_INVALID);
	assert_int_equal(catalog_write_name(&file.writer, "a", 1, NULL), -SLUICE_E_INVALID);
	put_profile(&file, 1, false);
	put_host(&file, 2, "a.example", "a.example");
	put_host(&file, 3, "a.example", NULL); /* the first counts */
	end_file(&file);
	assert_int_equal(open_bytes(&catalog, file.bytes, file.len), 0);
	catalog_set_signer(catalog, &signer);
	assert_int_equal(who(catalog, 0, "a.example"), 2);
	assert_string_equal(file.conflicts, "");
	catalog_unref(catalog);
}

static void names_that_two_files_have(void **state)
{
	static struct file file;
	struct catalog *catalog;

	write_sample(&file);
	assert_string_equal(file.conflicts, "file.example:first,second ");
	assert_int_equal(open_bytes(&catalog, file.bytes, file.len), 0);
	catalog_unref(catalog);
}

/* More hosts than a reader keeps profiles of, and one that is wanted again and again. */
static void profiles_are_built_and_dropped(void **state)
{
	enum { HOSTS = 3 * CATALOG_MAX_BUILT };
	struct sluice_profile *first, *again;
	static char names[HOSTS][32];
	static struct file file;
	struct catalog *catalog;
	size_t i;
	int fd;

	begin_file(&file);
	put_profile(&file, 1, false);
	for (i = 0; i < HOSTS; i++) {
		snprintf(names[i], sizeof(names[i]), "h%zu.example", i);
		put_file(&file, (uint8_t)(2 + i % 100), names[i], NULL, NULL);
	}
	fd = catalog_write_end(&file.writer, NULL, NULL);
	assert_true(fd >= 0);
	catalog_write_free(&file.writer);
	assert_int_equal(catalog_open(&catalog, fd), 0);
	catalog_set_signer(catalog, &signer);
	first = catalog_host(catalog, 0, names[0]);
	assert_int_equal(first->suites13 != 0, 1); /* the profile's options */
	for (i = 0; i < HOSTS; i++) {
		assert_int_equal(who(catalog, 0, names[i]), 2 + i % 100);
		assert_int_equal(who(catalog, 0, names[1]), 3);
	}
	again = catalog_host(catalog, 0, names[0]);
	assert_ptr_not_equal(again, first); /* it was dropped, and whoever had it has it */
	assert_int_equal(catalog_key_id(first, 0)[0], 2);
	sluice_profile_unref(again);
	sluice_profile_unref(first);
	catalog_unref(catalog);
}

static void a_role_that_is_none(void **state)
{
	static const uint64_t roles[] = { 0, 3, 255, (1ull << 32) + SLUICE_SERVER };
	static struct file file;
	struct catalog *catalog;
	size_t i;

	for (i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		begin_file(&file);
		begin(&file, CATALOG_PROFILE);
		wire_put_u64(&file.wire, ATTR_ROLE, roles[i]);
		put_identity(&file, 1);
		end(&file, CATALOG_PROFILE);
		end_file(&file);
		assert_int_equal(open_bytes(&catalog, file.bytes, file.len), 0);
		catalog_set_signer(catalog, &signer);
		assert_null(catalog_profile(catalog, 0));
		catalog_unref(catalog);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact_names_and_wildcards),
		cmocka_unit_test(a_wildcard_is_one_label),
		cmocka_unit_test(no_match),
		cmocka_unit_test(profiles_have_their_options),
		cmocka_unit_test(a_profile_with_several_certificates),
		cmocka_unit_test(cut_off_at_every_byte),
		cmocka_unit_test(wrong_at_every_byte),
		cmocka_unit_test(out_of_order),
		cmocka_unit_test(names_that_two_files_have),
		cmocka_unit_test(profiles_are_built_and_dropped),
		cmocka_unit_test(a_role_that_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
