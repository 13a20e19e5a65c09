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

#include "common/policy.h"
#include "core/secret.h"
#include "handover/messages.h"
#include "handover/options.h"
#include "options/context.h"
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

/* --- who may connect -------------------------------------------------------------------------- */

static int nobody(struct sluice_conn *conn, const struct sluice_verify_event *event, void **state,
		  int *reason)
{
	return SLUICE_VRET_FAIL;
}

/* A profile that verifies, and hosts with the same certificate and rules, or others. */
static void write_policies(struct file *file, size_t cut)
{
	static const char *const hosts[] = { "a.example", "b.example" };
	struct policy policy = { .accept = 2, .profile = "p", .asks = true, .timeout_ms = 5000 };
	uint8_t buf[256], *der;
	size_t i, len = policy_write(&policy, buf, sizeof(buf)), der_len;

	begin_file(file);
	for (i = 0; i < 3; i++) {
		begin(file, i ? CATALOG_HOST : CATALOG_PROFILE);
		if (i)
			wire_put_text(&file->wire, ATTR_HOST_NAME, hosts[i - 1]);
		wire_put_u64(&file->wire, ATTR_ROLE, SLUICE_SERVER);
		put_identity(file, 1);
		wire_put_u64(&file->wire, ATTR_OPTION + SLUICE_OPT_VERIFY, 1);
		der = certs_der(certs_get()->server_p256, 0, &der_len);
		wire_put(&file->wire, ATTR_OPTION + SLUICE_OPT_CACERTS, der, der_len);
		free(der);
		wire_put(&file->wire, ATTR_POLICY, buf, len - cut);
		end(file, i ? CATALOG_HOST : CATALOG_PROFILE);
		name(file, i ? hosts[i - 1] : NULL, NULL);
	}
	end_file(file);
}

static struct catalog *policies(size_t cut)
{
	static struct file file;
	struct catalog *catalog;

	write_policies(&file, cut);
	assert_int_equal(open_bytes(&catalog, file.bytes, file.len), 0);
	catalog_set_signer(catalog, &signer);
	return catalog;
}

static void a_policy_becomes_a_function(void **state)
{
	struct catalog *catalog = policies(0);
	struct sluice_profile *profile;
	struct policy policy;

	catalog_set_verify_fun(catalog, nobody);
	profile = catalog_profile(catalog, 0);
	assert_non_null(profile);
	assert_ptr_equal(profile->verify_fun, nobody);
	assert_int_equal(profile->verify_timeout_ms, 6000); /* the broker's answer comes first */
	policy_from(&policy, profile->verify_state);
	assert_int_equal(policy.accept, 2);
	assert_string_equal(policy.profile, "p");
	sluice_profile_unref(profile);
	catalog_unref(catalog);
}

/* Without who judges, or without all of the rules, there is no profile that would be more lenient. */
static void a_policy_that_nobody_knows(void **state)
{
	struct catalog *catalog = policies(0);

	assert_null(catalog_profile(catalog, 0));
	catalog_unref(catalog);
	catalog = policies(1);
	catalog_set_verify_fun(catalog, nobody);
	assert_null(catalog_profile(catalog, 0));
	catalog_unref(catalog);
}

/* Returns whether sessions of one resume at the other. */
static bool share_sessions(struct catalog *a, const char *sni_a, struct catalog *b,
			   const char *sni_b)
{
	struct sluice_profile *one = catalog_host(a, 0, sni_a), *other = catalog_host(b, 0, sni_b);
	bool same = one && other &&
		    !memcmp(one->settings->session_context, other->settings->session_context,
			    sizeof(one->settings->session_context));

	assert_true(one && other);
	sluice_profile_unref(one);
	sluice_profile_unref(other);
	return same;
}

/* Catalogues of two processes, or of before a reload and after it. */
static void SV_19_sessions_are_of_a_host_and_its_rules(void **state)
{
	struct catalog *a = policies(0), *b = policies(0);

	catalog_set_verify_fun(a, nobody);
	catalog_set_verify_fun(b, nobody);
	assert_true(share_sessions(a, "a.example", b, "a.example"));
	assert_true(share_sessions(a, NULL, b, NULL));
	assert_false(share_sessions(a, "a.example", b, "b.example"));
	assert_false(share_sessions(a, NULL, b, "b.example"));
	catalog_unref(a);
	catalog_unref(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_policy_becomes_a_function),
		cmocka_unit_test(a_policy_that_nobody_knows),
		cmocka_unit_test(SV_19_sessions_are_of_a_host_and_its_rules),
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
