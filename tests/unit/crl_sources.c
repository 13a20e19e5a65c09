/* SPDX-License-Identifier: Apache-2.0 */
/* Files of revocation lists: which there are, and what becomes of one that cannot be opened now. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/crls.h"

/* Of cert.c, which has the certificates besides. */
void stamp_of(struct stamp *ret_stamp, int fd)
{
	struct stat st;

	*ret_stamp = (struct stamp){ 0 };
	if (fstat(fd, &st) == 0)
		*ret_stamp = (struct stamp){ .dev = st.st_dev, .ino = st.st_ino };
}

void stamp_path(struct stamp *ret_stamp, const char *path)
{
	struct stat st;

	*ret_stamp = (struct stamp){ 0 };
	if (stat(path, &st) == 0)
		*ret_stamp = (struct stamp){ .dev = st.st_dev, .ino = st.st_ino };
}

bool stamp_same(const struct stamp *a, const struct stamp *b)
{
	return a->ino && a->dev == b->dev && a->ino == b->ino;
}

static char path[] = "/tmp/sluice-crl-XXXXXX";

static int setup(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 || close(fd) ? -1 : 0;
}

static int teardown(void **state)
{
	return unlink(path);
}

static void a_file_is_read_when_it_has_changed(void **state)
{
	struct crl_source source = { .path = path, .fd = -1 };
	int fd = crl_source_open(&source, NULL);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(crl_source_open(&source, &source), -1);
	crl_source_untried(&source);
	fd = crl_source_open(&source, &source);
	assert_true(fd >= 0);
	close(fd);
}

/* Without a descriptor nothing is known of the file: it has not been tried. */
static void a_shortage_is_not_what_the_file_is(void **state)
{
	struct crl_source source = { .path = path, .fd = -1 };
	struct rlimit old, none;
	int fd, r;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	r = crl_source_open(&source, NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(r, -3);
	assert_string_equal(source.problem, strerror(EMFILE));
	fd = crl_source_open(&source, &source);
	assert_true(fd >= 0);
	close(fd);
	crl_source_problem(&source, NULL);
}

static void what_is_no_file_stays_so(void **state)
{
	struct crl_source source = { .path = "/tmp", .fd = -1 };

	assert_int_equal(crl_source_open(&source, NULL), -2);
	assert_string_equal(source.problem, "not a file");
	assert_int_equal(crl_source_open(&source, &source), -1);
	crl_source_problem(&source, NULL);
}

/* In any order, some with a URI, and again when some are gone. */
static void each_is_found_by_its_name(void **state)
{
	struct crl_sources sources = { 0 };
	char name[40], uri[40];
	struct crl_source *source;
	unsigned int i, n = 997;
	size_t j;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "/crls/%u", i * 31 % n / 2);
		snprintf(uri, sizeof(uri), "http://%u", i * 31 % n % 2);
		source = crl_sources_add(&sources, CRL_DIR, name, i * 31 % n % 2 ? uri : NULL, -1);
		assert_non_null(source);
		source->n = i * 31 % n;
	}
	for (j = 0; j < sources.n;)
		if (sources.items[j].n % 3 == 0)
			crl_sources_drop(&sources, j);
		else
			j++;
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "/crls/%u", i / 2);
		snprintf(uri, sizeof(uri), "http://%u", i % 2);
		source = crl_sources_find(&sources, name, i % 2 ? uri : NULL);
		assert_int_equal(!source, i % 3 == 0);
		if (source)
			assert_int_equal(source->n, i);
	}
	assert_null(crl_sources_find(&sources, "/crls/1", "http://2"));
	assert_null(crl_sources_find(&sources, "/zzz", NULL));
	crl_sources_free(&sources);
	assert_null(crl_sources_find(&sources, "/crls/1", NULL));
}

static void there_is_a_limit(void **state)
{
	struct crl_sources sources = { 0 };
	char name[40];
	unsigned int i;

	for (i = 0; i < CRL_SET_MAX; i++) {
		snprintf(name, sizeof(name), "/crls/%u", i);
		assert_non_null(crl_sources_add(&sources, CRL_DIR, name, NULL, -1));
	}
	assert_null(crl_sources_add(&sources, CRL_DIR, "/crls/more", NULL, -1));
	assert_int_equal(sources.n, CRL_SET_MAX);
	crl_sources_free(&sources);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_read_when_it_has_changed),
		cmocka_unit_test(a_shortage_is_not_what_the_file_is),
		cmocka_unit_test(what_is_no_file_stays_so),
		cmocka_unit_test(each_is_found_by_its_name),
		cmocka_unit_test(there_is_a_limit),
	};

	return cmocka_run_group_tests_name("unit/crl_sources", tests, setup, teardown);
}
