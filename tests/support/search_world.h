/* SPDX-License-Identifier: Apache-2.0 */
/* What verify_run() is asked, without a profile. Included by unit programs. */
#ifndef SLUICE_TESTS_SUPPORT_SEARCH_WORLD_H
#define SLUICE_TESTS_SUPPORT_SEARCH_WORLD_H

#include <time.h>

#include "support/verify_world.h"
#include "verify/path.h"

#define PATH(...) ((const struct entity *const[]){ __VA_ARGS__, NULL })

/* struct search_world - what verify_run() is asked, without a profile. */
struct search_world {
	struct verify_request request;
	struct verify_verdict verdict;
};

static inline void search_init(struct search_world *w)
{
	*w = (struct search_world){ .request = { .certs = sk_X509_new_null(),
						 .trust = X509_STORE_new(),
						 .peer = SLUICE_SERVER,
						 .name = "localhost",
						 .rule = NAMES_HTTPS,
						 .now_s = time(NULL),
						 .depth = 10 } };
	assert_true(w->request.certs && w->request.trust);
}

static inline void search_deinit(struct search_world *w)
{
	verify_verdict_clear(&w->verdict);
	sk_X509_pop_free(w->request.certs, X509_free);
	X509_STORE_free(w->request.trust);
}

static inline void offer(struct search_world *w, const struct entity *entity)
{
	X509_up_ref(entity->cert);
	assert_true(sk_X509_push(w->request.certs, entity->cert));
}

static inline void anchor(struct search_world *w, const struct entity *entity)
{
	assert_true(X509_STORE_add_cert(w->request.trust, entity->cert));
}

/* The path must be that of @ends, leaf first, ended by NULL. */
static inline void finds(struct search_world *w, const struct entity *const *path)
{
	size_t i;

	verify_verdict_clear(&w->verdict);
	verify_run(&w->verdict, &w->request);
	if (w->verdict.x509_error)
		fail_msg("%zu: %s", w->verdict.index, w->verdict.reason);
	for (i = 0; path[i]; i++) {
		assert_true(i < sk_X509_num(w->verdict.path));
		assert_int_equal(X509_cmp(sk_X509_value(w->verdict.path, i), path[i]->cert), 0);
	}
	assert_int_equal(i, sk_X509_num(w->verdict.path));
}

static inline void finds_none(struct search_world *w, int x509_error)
{
	verify_verdict_clear(&w->verdict);
	verify_run(&w->verdict, &w->request);
	if (w->verdict.x509_error != x509_error)
		fail_msg("%d instead of %d: %zu: %s", w->verdict.x509_error, x509_error,
			 w->verdict.index, w->verdict.reason ? w->verdict.reason : "accepted");
	assert_ptr_equal(sk_X509_value(w->verdict.path, 0), sk_X509_value(w->request.certs, 0));
	assert_true(w->verdict.index < sk_X509_num(w->verdict.path));
	assert_non_null(w->verdict.reason);
	assert_int_not_equal(w->verdict.code, SLUICE_OK);
	assert_true(w->verdict.n_paths <= PATH_MAX_SIGNATURES);
}

#endif
