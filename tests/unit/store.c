/* SPDX-License-Identifier: Apache-2.0 */
/* The store of a client's sessions: conn/store.h. */
#include "conn/store.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/err.h>

#define AN_HOUR 3600
#define THREADS 4
#define TURNS 5000

static SSL_CTX *ctx;

static SSL_SESSION *session_of(uint16_t version, uint64_t made)
{
	SSL_SESSION *session = SSL_SESSION_new(ctx);

	assert_non_null(session);
	assert_true(SSL_SESSION_set_protocol_version(session, version));
	SSL_SESSION_set_timeout(session, AN_HOUR);
	SSL_SESSION_set_time(session, made);
	return session;
}

/* Sessions are told apart by the time at which they were made: now, less @age. */
static SSL_SESSION *session_aged(uint16_t version, unsigned int age)
{
	return session_of(version, time(NULL) - age);
}

static const uint8_t *key_of(unsigned int number)
{
	static uint8_t key[STORE_KEY_LEN];

	memset(key, 0, sizeof(key));
	key[0] = number % 3; /* some share a bucket */
	memcpy(key + 1, &number, sizeof(number));
	return key;
}

static void assert_takes(struct store *store, unsigned int key, SSL_SESSION *expected)
{
	SSL_SESSION *session = store_take(store, key_of(key));

	assert_ptr_equal(session, expected);
	SSL_SESSION_free(session);
}

static void a_session_is_found_under_its_key_only(void **state)
{
	SSL_SESSION *one = session_aged(TLS1_3_VERSION, 0), *two = session_aged(TLS1_3_VERSION, 0);
	struct store *store = store_new();

	store_put(store, key_of(1), one);
	store_put(store, key_of(4), two);
	assert_takes(store, 7, NULL);
	assert_takes(store, 1, one);
	assert_takes(store, 4, two);
	store_free(store);
}

/* RFC 8446, C.4: a ticket that is used twice shows that the two connections are of one client. */
static void tls13_is_given_once_and_tls12_again(void **state)
{
	SSL_SESSION *once = session_aged(TLS1_3_VERSION, 0), *again;
	struct store *store = store_new();
	int i;

	again = session_aged(TLS1_2_VERSION, 0);
	store_put(store, key_of(1), once);
	assert_takes(store, 1, once);
	assert_takes(store, 1, NULL);
	store_put(store, key_of(2), again);
	for (i = 0; i < 3; i++)
		assert_takes(store, 2, again);
	store_free(store);
}

static void the_newest_is_given_first_and_the_oldest_forgotten(void **state)
{
	SSL_SESSION *sessions[STORE_MAX_PER_KEY + 1];
	struct store *store = store_new();
	int i;

	for (i = 0; i <= STORE_MAX_PER_KEY; i++) {
		sessions[i] = session_aged(TLS1_3_VERSION, 0);
		store_put(store, key_of(1), sessions[i]);
	}
	for (i = STORE_MAX_PER_KEY; i > 0; i--)
		assert_takes(store, 1, sessions[i]);
	assert_takes(store, 1, NULL);
	store_free(store);
}

static void the_store_is_bounded(void **state)
{
	struct store *store = store_new();
	SSL_SESSION *session;
	unsigned int key, found = 0;

	for (key = 0; key < STORE_MAX + 100; key++)
		store_put(store, key_of(key), session_aged(TLS1_2_VERSION, 0));
	for (key = 0; key < STORE_MAX + 100; key++) {
		session = store_take(store, key_of(key));
		assert_int_equal(session != NULL, key >= 100);
		found += session != NULL;
		SSL_SESSION_free(session);
	}
	assert_int_equal(found, STORE_MAX);
	store_free(store);
}

static void what_has_expired_is_not_given(void **state)
{
	static const uint16_t versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct store *store = store_new();
	SSL_SESSION *good;
	size_t i;

	for (i = 0; i < 2; i++) {
		good = session_aged(versions[i], AN_HOUR - 100);
		store_put(store, key_of(i), good);
		store_put(store, key_of(i), session_aged(versions[i], AN_HOUR + 1));
		store_put(store, key_of(i), session_of(versions[i], time(NULL) + 100));
		assert_takes(store, i, good);
	}
	store_free(store);
}

static void a_closed_store_keeps_nothing(void **state)
{
	struct store *store = store_new();

	store_put(store, key_of(1), session_aged(TLS1_2_VERSION, 0));
	store_close(store);
	assert_takes(store, 1, NULL);
	store_put(store, key_of(1), session_aged(TLS1_2_VERSION, 0));
	assert_takes(store, 1, NULL);
	assert_null(store_free(store));
	assert_null(store_free(NULL));
}

static void *put_and_take(void *arg)
{
	struct store *store = arg;
	uint8_t key[STORE_KEY_LEN] = { 0 };
	SSL_SESSION *session;
	int i;

	for (i = 0; i < TURNS; i++) {
		key[0] = i % 5;
		session = SSL_SESSION_new(ctx);
		SSL_SESSION_set_protocol_version(session, i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION);
		store_put(store, key, session);
		key[0] = i % 3;
		SSL_SESSION_free(store_take(store, key));
	}
	return NULL;
}

static void threads_share_it(void **state)
{
	struct store *store = store_new();
	pthread_t threads[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_and_take, store), 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	store_free(store);
}

static int make_ctx(void **state)
{
	ctx = SSL_CTX_new(TLS_with_buffers_method());
	/* Of libcrypto: a program that needs nothing of it would get whichever libssl finds by itself. */
	ERR_clear_error();
	return ctx ? 0 : -1;
}

static int free_ctx(void **state)
{
	SSL_CTX_free(ctx);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_is_found_under_its_key_only),
		cmocka_unit_test(tls13_is_given_once_and_tls12_again),
		cmocka_unit_test(the_newest_is_given_first_and_the_oldest_forgotten),
		cmocka_unit_test(the_store_is_bounded),
		cmocka_unit_test(what_has_expired_is_not_given),
		cmocka_unit_test(a_closed_store_keeps_nothing),
		cmocka_unit_test(threads_share_it),
	};

	return cmocka_run_group_tests_name("unit/store", tests, make_ctx, free_ctx);
}
