/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PEM cache: what is read again and when, files that change at every moment, calls that fail, limits,
 * and threads.
 */
#include "options/pem-cache.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "options/credentials.h"
#include "options/profile.h"
#include "support/certs.h"
#include "support/fault.h"
#include "support/profiles.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define SECOND_US 1000000ull
#define OLD_US (3600 * SECOND_US) /* from now on no file is young */

static int setup(void **state)
{
	fault_install();
	fault_advance_us(OLD_US);
	sluice_clear_pem_cache();
	sluice_set_pem_cache_clean(SLUICE_PEM_CACHE_CLEAN_MS);
	return 0;
}

static int teardown(void **state)
{
	sluice_clear_pem_cache();
	fault_uninstall();
	return 0;
}

static void put(const char *name, const char *from)
{
	size_t len;
	char *text = certs_read(from, &len);

	certs_file(name, text, len);
	free(text);
}

/* A profile of a file; the caller's. */
static struct sluice_profile *of(const char *path)
{
	return build_ok(SLUICE_SERVER, PAIRS("certfile", path));
}

static const CRYPTO_BUFFER *leaf(const struct sluice_profile *profile)
{
	return sk_CRYPTO_BUFFER_value(profile->creds->own[0].chain, 0);
}

/* Reads that a profile of @path makes. */
static unsigned int opens(const char *path)
{
	unsigned int before = fault_count("open");

	sluice_profile_unref(of(path));
	return fault_count("open") - before;
}

/* Another identity in one file: RSA, with its key. */
static const char *rsa_both(void)
{
	const struct certs *c = certs_get();
	size_t cert_len, key_len;
	char *cert = certs_read(c->server_rsa, &cert_len),
	     *key = certs_read(c->server_rsa_key, &key_len);
	char *both = malloc(cert_len + key_len);
	const char *path;

	memcpy(both, cert, cert_len);
	memcpy(both + cert_len, key, key_len);
	path = certs_file("rsa-both.pem", both, cert_len + key_len);
	free(both);
	free(cert);
	free(key);
	return path;
}

static void AP_10_a_file_is_parsed_once(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_profile *first = of(c->server_combined), *second;
	unsigned int before = fault_count("open");

	second = of(c->server_combined);
	assert_int_equal(fault_count("open"), before);
	assert_ptr_equal(leaf(first), leaf(second)); /* shared, not copied */
	assert_ptr_equal(first->creds->own[0].key, second->creds->own[0].key);
	sluice_profile_unref(first);
	sluice_profile_unref(second);
}

/* However a file comes to have something else, the next profile has that; the last one keeps what it had. */
static void AP_10_a_changed_file_is_read_again(void **state)
{
	const char *rsa = rsa_both();
	const char *path = certs_file("changing.pem", "", 0);
	struct sluice_profile *before, *after;
	char other[400];
	struct stat st;

	put("changing.pem", certs_get()->server_combined);
	before = of(path);
	assert_int_equal(opens(path), 0);
	put("changing.pem", rsa); /* in place */
	after = of(path);
	assert_int_equal(EVP_PKEY_id(before->creds->own[0].key), EVP_PKEY_EC);
	assert_int_equal(EVP_PKEY_id(after->creds->own[0].key), EVP_PKEY_RSA);
	sluice_profile_unref(after);

	put("other.pem", certs_get()->server_combined); /* by another inode */
	snprintf(other, sizeof(other), "%s/other.pem", certs_get()->dir);
	assert_int_equal(rename(other, path), 0);
	after = of(path);
	assert_int_equal(EVP_PKEY_id(after->creds->own[0].key), EVP_PKEY_EC);
	sluice_profile_unref(after);

	/* The same size and time of modification: the time of change tells. */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(opens(path), 0);
	usleep(20000); /* beyond the kernel's tick */
	put("changing.pem", certs_get()->server_combined);
	assert_int_equal(
		utimensat(AT_FDCWD, path, (struct timespec[]){ st.st_atim, st.st_mtim }, 0), 0);
	assert_true(opens(path) > 0);
	sluice_profile_unref(before);
}

static void AP_10_a_link_that_points_elsewhere(void **state)
{
	const char *rsa = rsa_both();
	struct sluice_profile *profile;
	char path[400];

	snprintf(path, sizeof(path), "%s/link.pem", certs_get()->dir);
	unlink(path);
	assert_int_equal(symlink(certs_get()->server_combined, path), 0);
	sluice_profile_unref(of(path));
	unlink(path);
	assert_int_equal(symlink(rsa, path), 0);
	profile = of(path);
	assert_int_equal(EVP_PKEY_id(profile->creds->own[0].key), EVP_PKEY_RSA);
	sluice_profile_unref(profile);
	unlink(path);
}

/* What becomes wrong is an error, and not served from memory; nor does it stay there. */
static void AP_10_a_file_that_becomes_wrong(void **state)
{
	const char *path = certs_file("wrong.pem", "", 0);

	put("wrong.pem", certs_get()->server_combined);
	sluice_profile_unref(of(path));
	certs_file("wrong.pem", "not PEM", 7);
	build_fails(SLUICE_SERVER, PAIRS("certfile", path), SLUICE_E_CERT_PARSE, PAIRS(path));
	unlink(path);
	build_fails(SLUICE_SERVER, PAIRS("certfile", path), SLUICE_E_FILE, PAIRS(path));
	assert_int_equal(pem_cache_count(), 0);
	put("wrong.pem", certs_get()->server_combined);
	sluice_profile_unref(of(path));
	unlink(path);
}

/* A file that has just changed may change again within the same tick of the clock. */
static void AP_10_what_is_young_is_not_kept(void **state)
{
	const char *path;

	fault_reset();
	put("young.pem", certs_get()->server_combined);
	path = certs_file("young.pem", "", 0);
	put("young.pem", certs_get()->server_combined);
	sluice_profile_unref(of(path));
	assert_int_equal(pem_cache_count(), 0);
	fault_advance_us(3 * SECOND_US);
	sluice_profile_unref(of(path));
	assert_int_equal(pem_cache_count(), 2); /* certificates and key */
	unlink(path);
}

/* A key behind a password is only for who has the password. */
static void AP_10_OC_11_encrypted_keys_are_not_kept(void **state)
{
	const struct certs *c = certs_get();

	sluice_profile_unref(
		build_ok(SLUICE_SERVER, PAIRS("certfile", c->server_p256, "keyfile",
					      c->encrypted_key, "password", c->password)));
	assert_int_equal(pem_cache_count(), 1);
	build_fails(SLUICE_SERVER, PAIRS("certfile", c->server_p256, "keyfile", c->encrypted_key),
		    SLUICE_E_KEY_PASSWORD, PAIRS("password"));
}

static void AP_11_clearing_reads_everything_again(void **state)
{
	const char *path = certs_get()->server_combined;
	struct sluice_profile *profile = of(path);

	assert_int_equal(opens(path), 0);
	sluice_clear_pem_cache();
	assert_int_equal(pem_cache_count(), 0);
	assert_int_equal(EVP_PKEY_id(profile->creds->own[0].key),
			 EVP_PKEY_EC); /* it keeps its own */
	assert_int_equal(opens(path), 2);
	sluice_profile_unref(profile);
}

/* What nobody asks for between two checks goes, and so does what changed. */
static void AP_09_what_is_not_used_goes(void **state)
{
	const struct certs *c = certs_get();

	assert_int_equal(sluice_set_pem_cache_clean(-1), -SLUICE_E_OPTION_RANGE);
	assert_int_equal(sluice_set_pem_cache_clean(SLUICE_PEM_CACHE_CLEAN_MAX_MS + 1),
			 -SLUICE_E_OPTION_RANGE);
	sluice_profile_unref(of(c->server_combined)); /* a first check is due, of nothing */
	fault_advance_us(121 * SECOND_US);
	sluice_profile_unref(
		build_ok(SLUICE_CLIENT, PAIRS("cacertfile", c->ca))); /* checks: all was used */
	assert_int_equal(pem_cache_count(), 3);
	fault_advance_us(119 * SECOND_US);
	sluice_profile_unref(build_ok(SLUICE_CLIENT, PAIRS("cacertfile", c->ca)));
	assert_int_equal(pem_cache_count(), 3); /* not yet */
	fault_advance_us(2 * SECOND_US);
	sluice_profile_unref(build_ok(SLUICE_CLIENT, PAIRS("cacertfile", c->ca)));
	assert_int_equal(pem_cache_count(), 1);

	assert_int_equal(sluice_set_pem_cache_clean(1000), 0);
	sluice_profile_unref(of(c->server_combined));
	assert_int_equal(pem_cache_count(), 3);
	fault_advance_us(1001000);
	sluice_profile_unref(of(c->server_combined));
	fault_advance_us(1001000);
	sluice_profile_unref(of(c->server_combined));
	assert_int_equal(pem_cache_count(), 2);
}

static void AP_10_it_is_bounded(void **state)
{
	char name[32], paths[PEM_CACHE_FILES + 10][128];
	struct sluice_error err = { 0 };
	STACK_OF(CRYPTO_BUFFER) * certs;
	size_t i, len;
	char *text = certs_read(certs_get()->ca, &len);
	unsigned int before;
	FILE *file;

	for (i = 0; i < ARRAY_LEN(paths); i++) {
		snprintf(name, sizeof(name), "bound-%zu.pem", i);
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", certs_get()->dir, name);
		file = fopen(paths[i], "w");
		assert_non_null(file);
		assert_int_equal(fwrite(text, 1, len, file), len);
		fclose(file);
		assert_int_equal(pem_cache_certs(&certs, "x", paths[i], "x", false, &err), 0);
		sk_CRYPTO_BUFFER_pop_free(certs, CRYPTO_BUFFER_free);
	}
	assert_int_equal(pem_cache_count(), PEM_CACHE_FILES);
	before = fault_count("open");
	assert_int_equal(pem_cache_certs(&certs, "x", paths[i - 1], "x", false, &err), 0);
	sk_CRYPTO_BUFFER_pop_free(certs, CRYPTO_BUFFER_free);
	assert_int_equal(fault_count("open"), before); /* the last are there */
	assert_int_equal(pem_cache_certs(&certs, "x", paths[0], "x", false, &err), 0);
	sk_CRYPTO_BUFFER_pop_free(certs, CRYPTO_BUFFER_free);
	assert_int_equal(fault_count("open"), before + 1); /* the first have gone */
	for (i = 0; i < ARRAY_LEN(paths); i++)
		unlink(paths[i]);
	free(text);
}

/* --- while it is read ---------------------------------------------------------------------- */

static struct sys_ops changing;
static const char *changing_path;
static unsigned int changes;

/* Somebody writes to the file behind each read of its first bytes. */
static ssize_t read_and_change(int fd, void *buf, size_t count)
{
	ssize_t n = fault_sys.read(fd, buf, count);
	int other;

	if (n > 1 && changes) { /* not what it has just added */
		changes--;
		usleep(20000);
		other = open(changing_path, O_WRONLY | O_APPEND);
		assert_true(other >= 0 && write(other, "\n", 1) == 1);
		close(other);
	}
	return n;
}

static void AP_10_a_file_that_changes_while_it_is_read(void **state)
{
	struct sluice_error err = { 0 };
	STACK_OF(CRYPTO_BUFFER) * certs;
	unsigned int before = fault_count("open");
	int fds = fault_open_fds();

	changing_path = certs_file("torn.pem", "", 0);
	put("torn.pem", certs_get()->ca);
	changing = fault_sys;
	changing.read = read_and_change;
	sys = &changing;
	changes = 1; /* once: it is read again */
	assert_int_equal(pem_cache_certs(&certs, "certfile", changing_path, "x", false, &err), 0);
	assert_int_equal(fault_count("open"), before + 2);
	sk_CRYPTO_BUFFER_pop_free(certs, CRYPTO_BUFFER_free);
	sluice_clear_pem_cache();
	changes = 100; /* always */
	assert_int_equal(pem_cache_certs(&certs, "certfile", changing_path, "x", false, &err),
			 -SLUICE_E_FILE);
	if (!strstr(err.text, "is changed while it is read"))
		fail_msg("%s", err.text);
	assert_int_equal(pem_cache_count(), 0);
	assert_int_equal(fault_open_fds(), fds);
	sys = &fault_sys;
	unlink(changing_path);
}

/* A pipe has no stamp: it is read, and not kept. */
static void AP_10_pipes_are_read_and_not_kept(void **state)
{
	struct sluice_error err = { 0 };
	STACK_OF(CRYPTO_BUFFER) * certs;
	char path[64], *text;
	int fds[2];
	size_t len;

	text = certs_read(certs_get()->ca, &len);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], text, len), len);
	close(fds[1]);
	snprintf(path, sizeof(path), "/dev/fd/%d", fds[0]);
	assert_int_equal(pem_cache_certs(&certs, "x", path, "x", false, &err), 0);
	sk_CRYPTO_BUFFER_pop_free(certs, CRYPTO_BUFFER_free);
	assert_int_equal(pem_cache_count(), 0);
	close(fds[0]);
	free(text);
}

/* --- calls that fail ----------------------------------------------------------------------- */

static void AP_10_every_call_may_fail(void **state)
{
	static const struct {
		const char *call;
		int err_no, code;
	} faults[] = {
		{ "open", EMFILE, SLUICE_E_NOFILE },
		{ "open", ENOMEM, SLUICE_E_NOMEM },
		{ "fstat", EIO, SLUICE_E_FILE },
		{ "fstat", ENOMEM, SLUICE_E_NOMEM },
		{ "read", EIO, SLUICE_E_FILE },
		{ "stat", ENOMEM, 0 },
		{ "stat", EACCES, 0 },
	};
	const struct certs *c = certs_get();
	struct sluice_profile *profile;
	struct sluice_error err = { 0 };
	int fds = fault_open_fds(), r;
	unsigned int nth;
	size_t i;

	for (i = 0; i < ARRAY_LEN(faults); i++) {
		for (nth = 1;; nth++) {
			fault_reset();
			fault_advance_us(OLD_US);
			sluice_clear_pem_cache();
			if (!strcmp(faults[i].call, "stat")) /* only what is there is looked at */
				sluice_profile_unref(of(c->server_combined));
			fault_arm(faults[i].call, nth, faults[i].err_no);
			r = build(&profile, SLUICE_SERVER, &err,
				  PAIRS("certfile", c->server_combined));
			if (!fault_hits(faults[i].call))
				break;
			assert_int_equal(r, -faults[i].code);
			if (r < 0)
				assert_int_equal(err.sys_errno, faults[i].err_no);
			sluice_profile_unref(profile);
			assert_int_equal(fault_open_fds(), fds);
		}
		sluice_profile_unref(profile);
	}
}

/* --- threads ------------------------------------------------------------------------------- */

static atomic_bool over;

static void *build_many(void *path)
{
	struct sluice_profile *profile;
	struct sluice_error err = { 0 };
	unsigned int i;

	for (i = 0; i < 60; i++) {
		if (build(&profile, SLUICE_SERVER, &err, PAIRS("certfile", path)) < 0)
			return (void *)1;
		sluice_profile_unref(profile);
	}
	return NULL;
}

static void *clear_many(void *arg)
{
	while (!atomic_load(&over)) {
		sluice_clear_pem_cache();
		sluice_set_pem_cache_clean(0);
		usleep(300);
	}
	return NULL;
}

static void AP_10_AP_11_many_threads(void **state)
{
	const char *paths[] = { certs_get()->server_combined, rsa_both() };
	pthread_t threads[4], clearer;
	void *failed;
	size_t i;

	atomic_store(&over, false);
	assert_int_equal(pthread_create(&clearer, NULL, clear_many, NULL), 0);
	for (i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, build_many, (void *)paths[i % 2]), 0);
	for (i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	atomic_store(&over, true);
	pthread_join(clearer, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(AP_10_a_file_is_parsed_once, setup, teardown),
		cmocka_unit_test_setup_teardown(AP_10_a_changed_file_is_read_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(AP_10_a_link_that_points_elsewhere, setup,
						teardown),
		cmocka_unit_test_setup_teardown(AP_10_a_file_that_becomes_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(AP_10_what_is_young_is_not_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(AP_10_OC_11_encrypted_keys_are_not_kept, setup,
						teardown),
		cmocka_unit_test_setup_teardown(AP_11_clearing_reads_everything_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(AP_09_what_is_not_used_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(AP_10_it_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(AP_10_a_file_that_changes_while_it_is_read, setup,
						teardown),
		cmocka_unit_test_setup_teardown(AP_10_pipes_are_read_and_not_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(AP_10_every_call_may_fail, setup, teardown),
		cmocka_unit_test_setup_teardown(AP_10_AP_11_many_threads, setup, teardown),
	};

	return cmocka_run_group_tests_name("unit/pem_cache", tests, NULL, NULL);
}
