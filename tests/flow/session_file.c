/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions in files: what is written and who may read it, and what is not a session. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/certs.h"
#include "support/check.h"
#include "support/fault.h"
#include "support/leaks.h"
#include "support/pair.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RUN_MS 20000

/* A path in the directory of the test's certificates, where nothing is yet. */
static const char *fresh_path(void)
{
	static char path[300];
	static unsigned int n;

	snprintf(path, sizeof(path), "%s/session-%u", certs_get()->dir, n++);
	return path;
}

/* A pair that has a session ready to be saved; the connection is closed. */
static struct sluice_session *open_session(struct pair *pair, const char *version)
{
	struct sluice_session *session;
	uint8_t byte;

	pair_open(pair, &(struct pair_setup){ .versions = version });
	assert_int_equal(pair_connect(pair), 0);
	assert_int_equal(sluice_send(pair->server, "x", 1, RUN_MS), 1);
	assert_int_equal(sluice_recv(pair->client, &byte, 1, RUN_MS), 1);
	assert_int_equal(sluice_take_session(pair->client, &session), 0);
	pair_drop(pair);
	return session;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode;
}

static void a_saved_session_resumes_when_loaded(void **state)
{
	struct sluice_session *session, *loaded;
	struct sluice_error err;
	const char *path;
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		path = fresh_path();
		session = open_session(&pair, version);
		assert_int_equal(sluice_session_save(session, path, &err), 0);
		assert_int_equal(err.code, 0);
		sluice_session_free(session);
		assert_int_equal(sluice_session_load(pair.sluice, path, &loaded, &err), 0);
		assert_int_equal(pair_resume(&pair, loaded), 0);
		sluice_session_free(loaded);
		assert_true(check_info(pair.client).resumed);
		assert_true(check_info(pair.client).peer_verified);
		pair_exchange(&pair, 1000);
		unlink(path);
		pair_close(&pair);
	}
}

static void nobody_else_can_read_the_file(void **state)
{
	struct sluice_session *session;
	struct sluice_error err;
	const char *path = fresh_path();
	mode_t mask = umask(0);
	struct pair pair;
	char byte;
	int fd;

	session = open_session(&pair, "tlsv1.3");
	assert_int_equal(sluice_session_save(session, path, &err), 0);
	assert_int_equal(mode_of(path), S_IFREG | 0600);

	/* Nor a file that others could read already, or have open now. */
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	assert_true(fd >= 0);
	assert_int_equal(mode_of(path), S_IFREG | 0666);
	assert_int_equal(sluice_session_save(session, path, &err), 0);
	assert_int_equal(mode_of(path), S_IFREG | 0600);
	assert_int_equal(read(fd, &byte, 1), 0);
	close(fd);
	unlink(path);
	umask(mask);
	sluice_session_free(session);
	pair_close(&pair);
}

static void a_link_is_not_followed(void **state)
{
	struct sluice_session *session;
	struct sluice_error err;
	char target[300];
	const char *path;
	struct pair pair;

	session = open_session(&pair, "tlsv1.3");
	snprintf(target, sizeof(target), "%s", fresh_path());
	path = fresh_path();
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(sluice_session_save(session, path, &err), -SLUICE_E_FILE);
	assert_int_equal(err.sys_errno, EEXIST);
	assert_int_equal(access(target, F_OK), -1);
	assert_true(S_ISLNK(mode_of(path)));
	unlink(path);
	sluice_session_free(session);
	pair_close(&pair);
}

static void what_cannot_be_written_is_an_error(void **state)
{
	struct sluice_session *session;
	struct sluice_error err;
	char beside[400];
	const char *path = fresh_path();
	struct pair pair;

	session = open_session(&pair, "tlsv1.3");
	snprintf(beside, sizeof(beside), "%s/no/such/directory", certs_get()->dir);
	assert_int_equal(sluice_session_save(session, beside, &err), -SLUICE_E_FILE);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_non_null(strstr(err.text, beside));
	assert_int_equal(sluice_session_save(session, certs_get()->dir, &err), -SLUICE_E_FILE);
	assert_int_equal(err.sys_errno, EEXIST);
	/* A device stays what it is. */
	assert_int_equal(sluice_session_save(session, "/dev/null", &err), -SLUICE_E_FILE);
	assert_true(S_ISCHR(mode_of("/dev/null")));

	fault_install();
	/* A full disk leaves no half of a secret behind. */
	fault_limit("write", 10);
	fault_arm("write", 3, ENOSPC);
	assert_int_equal(sluice_session_save(session, path, &err), -SLUICE_E_FILE);
	assert_int_equal(err.sys_errno, ENOSPC);
	assert_int_equal(access(path, F_OK), -1);
	fault_reset();
	fault_arm("close", 1, EIO);
	assert_int_equal(sluice_session_save(session, path, &err), -SLUICE_E_FILE);
	assert_int_equal(err.sys_errno, EIO);
	assert_int_equal(access(path, F_OK), -1);
	/* Interrupts and short writes are not errors. */
	fault_reset();
	fault_limit("write", 7);
	fault_arm("write", 2, EINTR);
	fault_arm("close", 1, EINTR);
	assert_int_equal(sluice_session_save(session, path, &err), 0);
	fault_uninstall();
	unlink(path);
	sluice_session_free(session);
	pair_close(&pair);
}

static int load(struct sluice *sluice, const void *bytes, size_t len, struct sluice_error *err)
{
	struct sluice_session *loaded = NULL;
	const char *path = certs_file("session-under-test", bytes, len);
	int r = sluice_session_load(sluice, path, &loaded, err);

	if (r < 0)
		assert_null(loaded);
	sluice_session_free(loaded);
	return r;
}

static void what_is_not_a_session_is_refused(void **state)
{
	static const size_t huge = 1024 * 1024;
	struct sluice_session *session;
	struct sluice_error err;
	const char *path = fresh_path();
	uint8_t *zeros = calloc(1, huge);
	struct pair pair;
	size_t len, i;
	char *bytes, *longer;

	assert_non_null(zeros);
	session = open_session(&pair, "tlsv1.3");
	assert_int_equal(sluice_session_save(session, path, &err), 0);
	sluice_session_free(session);
	bytes = certs_read(path, &len);
	assert_int_equal(load(pair.sluice, bytes, len, &err), 0);

	/* Every beginning of one, and one with something behind it. */
	for (i = 0; i < len; i++)
		assert_int_equal(load(pair.sluice, bytes, i, &err), -SLUICE_E_FILE);
	longer = calloc(1, len + huge);
	memcpy(longer, bytes, len);
	assert_int_equal(load(pair.sluice, longer, len + 1, &err), -SLUICE_E_FILE);
	assert_int_equal(load(pair.sluice, longer, len + huge, &err), -SLUICE_E_FILE);
	/* Empty, text, NULs, and more NULs than any session has. */
	assert_int_equal(load(pair.sluice, "", 0, &err), -SLUICE_E_FILE);
	assert_int_equal(load(pair.sluice, "not a session\n", 14, &err), -SLUICE_E_FILE);
	assert_int_equal(load(pair.sluice, zeros, 100, &err), -SLUICE_E_FILE);
	assert_int_equal(load(pair.sluice, zeros, huge, &err), -SLUICE_E_FILE);
	assert_int_equal(err.sys_errno, 0);
	assert_true(strlen(err.text) > 0);

	/* A byte changed anywhere: refused, or a session that no server takes. */
	for (i = 0; i < len; i++) {
		bytes[i] ^= 0x55;
		load(pair.sluice, bytes, len, &err);
		bytes[i] ^= 0x55;
	}
	unlink(path);
	free(zeros);
	free(bytes);
	free(longer);
	pair_close(&pair);
}

static void what_cannot_be_read_is_an_error(void **state)
{
	static const struct {
		const char *call;
		int err;
	} faults[] = { { "open", EACCES }, { "open", EMFILE }, { "read", EIO } };
	struct sluice_session *session;
	struct sluice_error err;
	const char *path = fresh_path();
	struct pair pair;
	size_t i;

	session = open_session(&pair, "tlsv1.3");
	assert_int_equal(sluice_session_load(pair.sluice, path, &session, &err), -SLUICE_E_FILE);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_int_equal(sluice_session_load(pair.sluice, certs_get()->dir, &session, &err),
			 -SLUICE_E_FILE);
	assert_int_equal(err.sys_errno, EISDIR);
	assert_int_equal(sluice_session_save(session, path, &err), 0);
	fault_install();
	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		struct sluice_session *loaded = NULL;

		fault_reset();
		fault_arm(faults[i].call, 1, faults[i].err);
		assert_int_equal(sluice_session_load(pair.sluice, path, &loaded, &err),
				 -SLUICE_E_FILE);
		assert_int_equal(err.sys_errno, faults[i].err);
		assert_null(loaded);
	}
	fault_reset();
	fault_limit("read", 5);
	fault_arm("read", 3, EINTR);
	sluice_session_free(session);
	assert_int_equal(sluice_session_load(pair.sluice, path, &session, &err), 0);
	fault_uninstall();
	unlink(path);
	sluice_session_free(session);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_saved_session_resumes_when_loaded),
		cmocka_unit_test(nobody_else_can_read_the_file),
		cmocka_unit_test(a_link_is_not_followed),
		cmocka_unit_test(what_cannot_be_written_is_an_error),
		cmocka_unit_test(what_is_not_a_session_is_refused),
		cmocka_unit_test(what_cannot_be_read_is_an_error),
	};

	return cmocka_run_group_tests_name("flow/session_file", tests, leaks_setup, leaks_teardown);
}
