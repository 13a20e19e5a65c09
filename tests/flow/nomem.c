/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory runs out, once, at every allocation of a connection's life: the library's own (ld --wrap)
 * and BoringSSL's (its hook). Nothing crashes, hangs or is left behind, and what is reported has a
 * name. SLUICE_TEST_LONG takes every one of BoringSSL's; else it is one in STRIDE.
 *
 * Linked with --wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strndup,--wrap=SSL_free.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/mem.h>
#include <openssl/ssl.h>

#include "core/buffer.h"
#include "support/cycle.h"
#include "support/leaks.h"
#include "support/pair.h"

#define STRIDE 29

static const char *const versions[] = { "tlsv1.3", "tlsv1.2" };

/* struct source - counts allocations and lets one fail; 0: none. */
struct source {
	atomic_uint count, fail_at;
};

static struct source ours, boringssl;

static bool fails(struct source *source)
{
	return atomic_fetch_add(&source->count, 1) + 1 == atomic_load(&source->fail_at);
}

/* Nothing that the thread has kept stands in for what is allocated. */
static void arm(struct source *source, unsigned int nth)
{
	buffer_trim();
	atomic_store(&source->count, 0);
	atomic_store(&source->fail_at, nth);
}

/* Returns whether the one that was to fail has. */
static bool disarm(struct source *source)
{
	unsigned int fail_at = atomic_exchange(&source->fail_at, 0);

	return atomic_load(&source->count) >= fail_at;
}

/* --- the library's ----------------------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__real_strndup(const char *s, size_t n);
char *__wrap_strndup(const char *s, size_t n);

void *__wrap_malloc(size_t size)
{
	return fails(&ours) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails(&ours) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails(&ours) ? NULL : __real_realloc(p, size);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fails(&ours) ? NULL : __real_strndup(s, n);
}

/* --- BoringSSL's ------------------------------------------------------------------------- */

/*
 * BoringSSL makes a copy of the list of ex_data indices to free them, and loses the data when there
 * is no memory for it. That is not ours to mend: nothing fails while it frees.
 */
void __real_SSL_free(SSL *ssl);
void __wrap_SSL_free(SSL *ssl);

static _Thread_local bool freeing;

void __wrap_SSL_free(SSL *ssl)
{
	freeing = true;
	__real_SSL_free(ssl);
	freeing = false;
}

/* The three weak functions of BoringSSL's mem.c; the size is kept in front of the bytes. */
#define HEAD 16

__attribute__((visibility("default"))) void *OPENSSL_memory_alloc(size_t size);
__attribute__((visibility("default"))) void OPENSSL_memory_free(void *p);
__attribute__((visibility("default"))) size_t OPENSSL_memory_get_size(void *p);

void *OPENSSL_memory_alloc(size_t size)
{
	char *p;

	if ((!freeing && fails(&boringssl)) || size > SIZE_MAX - HEAD)
		return NULL;
	p = __real_malloc(size + HEAD);
	if (!p)
		return NULL;
	memcpy(p, &size, sizeof(size));
	return p + HEAD;
}

void OPENSSL_memory_free(void *p)
{
	if (p)
		free((char *)p - HEAD);
}

size_t OPENSSL_memory_get_size(void *p)
{
	size_t size = 0;

	if (p)
		memcpy(&size, (char *)p - HEAD, sizeof(size));
	return size;
}

/* --- the tests --------------------------------------------------------------------------- */

/* Returns how many allocations there are to fail. */
static unsigned int fail_each(struct cycle *cycle, struct source *source, unsigned int stride)
{
	unsigned int nth;

	for (nth = 1;; nth += stride) {
		arm(source, nth);
		cycle_run(cycle);
		if (!disarm(source)) {
			cycle_check(cycle, true);
			return nth - 1;
		}
		cycle_check(cycle, false);
		if (source == &ours)
			assert_true((cycle->client == 0 && cycle->server == 0) ||
				    cycle->client == -SLUICE_E_NOMEM ||
				    cycle->server == -SLUICE_E_NOMEM);
		cycle_run(cycle);
		cycle_check(cycle, true);
	}
}

static void run(struct source *source, unsigned int stride, unsigned int at_least)
{
	struct cycle cycle;
	size_t v, by_fd;

	PAIR_FOR_EACH_PATH(path)
	{
		for (v = 0; v < 2; v++) {
			for (by_fd = 0; by_fd < 2; by_fd++) {
				cycle_open(&cycle, path, versions[v]);
				cycle.by_fd = by_fd;
				assert_true(fail_each(&cycle, source, stride) >= at_least);
				cycle_close(&cycle);
			}
		}
	}
}

static void AL_07_the_librarys_memory_runs_out(void **state)
{
	run(&ours, 1, 8);
}

static void AL_07_boringssls_memory_runs_out(void **state)
{
	run(&boringssl, getenv("SLUICE_TEST_LONG") ? 1 : STRIDE, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(AL_07_the_librarys_memory_runs_out),
		cmocka_unit_test(AL_07_boringssls_memory_runs_out),
	};

	return cmocka_run_group_tests_name("flow/nomem", tests, leaks_setup, leaks_teardown);
}
