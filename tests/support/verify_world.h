/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains made for a case of path validation, and a profile with the least that verify.c reads.
 * Included by unit programs; must never count a refusal whose reason is another than expected.
 */
#ifndef SLUICE_TESTS_SUPPORT_VERIFY_WORLD_H
#define SLUICE_TESTS_SUPPORT_VERIFY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/x509.h>

#include "bssl/verify.h"
#include "core/error.h"
#include "core/sys.h"
#include "support/certs.h"

#define SERVER_NAMES "DNS:localhost,DNS:*.example.test,IP:127.0.0.1,IP:::1"

/* struct entity - a certificate with the key it certifies. */
struct entity {
	X509 *cert;
	EVP_PKEY *key;
};

static inline struct entity certify(struct cert_spec spec, enum cert_key kind,
				    const struct entity *issuer)
{
	struct entity entity = { .key = certs_key(kind) };

	spec.key = entity.key;
	if (issuer) {
		spec.issuer = issuer->cert;
		spec.issuer_key = issuer->key;
	}
	entity.cert = certs_make(&spec);
	return entity;
}

static inline struct entity new_ca(const char *cn, const struct entity *issuer)
{
	return certify((struct cert_spec){ .cn = cn, .ca = true }, CERT_KEY_P256, issuer);
}

static inline struct entity new_server(const struct entity *issuer)
{
	return certify(
		(struct cert_spec){ .cn = "server", .san = SERVER_NAMES, .eku = "serverAuth" },
		CERT_KEY_P256, issuer);
}

static inline void entity_free(struct entity *entity)
{
	X509_free(entity->cert);
	EVP_PKEY_free(entity->key);
}

/* struct world - one verification: who verifies, what is trusted, what the peer sends. */
struct world {
	struct sluice_profile profile;
	STACK_OF(CRYPTO_BUFFER) * chain;
	uint8_t alert;
	struct sluice_error err;
};

static inline void world_init(struct world *w, enum sluice_role role)
{
	memset(w, 0, sizeof(*w));
	w->profile.role = role;
	w->profile.verify_peer = true;
	w->profile.depth = 10;
	w->profile.name_rule = NAMES_HTTPS;
	w->profile.trust = X509_STORE_new();
	w->chain = sk_CRYPTO_BUFFER_new_null();
	assert_true(w->profile.trust && w->chain);
}

static inline void world_deinit(struct world *w)
{
	X509_STORE_free(w->profile.trust);
	sk_CRYPTO_BUFFER_pop_free(w->chain, CRYPTO_BUFFER_free);
}

static inline void trust(struct world *w, const struct entity *entity)
{
	assert_int_equal(X509_STORE_add_cert(w->profile.trust, entity->cert), 1);
}

static inline void send_der(struct world *w, const uint8_t *der, size_t len)
{
	CRYPTO_BUFFER *buffer = CRYPTO_BUFFER_new(der, len, NULL);

	assert_true(buffer && sk_CRYPTO_BUFFER_push(w->chain, buffer));
}

static inline void send_cert(struct world *w, const struct entity *entity)
{
	uint8_t *der = NULL;
	int len = i2d_X509(entity->cert, &der);

	assert_true(len > 0);
	send_der(w, der, (size_t)len);
	OPENSSL_free(der);
}

static inline struct verify_input asked(const struct world *w, const char *name)
{
	return (struct verify_input){
		.profile = &w->profile,
		.chain = w->chain,
		.name = name,
		.now_s = sys->wall_s(),
	};
}

static inline int verify(struct world *w, const char *name)
{
	struct verify_input in = asked(w, name);

	err_clear(&w->err);
	w->alert = 0xff;
	return verify_chain(&in, &w->alert, &w->err);
}

static inline void accepts(struct world *w, const char *name)
{
	if (verify(w, name) < 0)
		fail_msg("%s: %s", name ? name : "-", w->err.text);
	assert_int_equal(w->err.code, SLUICE_OK);
	assert_int_equal(w->alert, 0xff);
}

/* Demands a refusal; @x509_error 0: any. */
static inline void refuses(struct world *w, const char *name, int code, int alert, int x509_error)
{
	struct verify_input in = asked(w, name);
	int r = verify(w, name);

	if (r != -code || w->err.code != code || w->alert != alert ||
	    (x509_error && w->err.x509_error != x509_error))
		fail_msg("%s: %s \"%s\", alert %s, X.509 error %d", name ? name : "-",
			 sluice_error_name(r), w->err.text, sluice_alert_name(w->alert),
			 w->err.x509_error);
	assert_true(strlen(w->err.text) > 20);
	/* Nobody has to listen. */
	assert_int_equal(verify_chain(&in, &w->alert, NULL), -code);
}

/* The usual world: root -> intermediate -> server. */
struct usual {
	struct entity root, intermediate, server;
	struct world w;
};

static inline void usual_init(struct usual *u)
{
	u->root = new_ca("Root", NULL);
	u->intermediate = new_ca("Intermediate", &u->root);
	u->server = new_server(&u->intermediate);
	world_init(&u->w, SLUICE_CLIENT);
	trust(&u->w, &u->root);
	send_cert(&u->w, &u->server);
	send_cert(&u->w, &u->intermediate);
}

static inline void usual_deinit(struct usual *u)
{
	world_deinit(&u->w);
	entity_free(&u->root);
	entity_free(&u->intermediate);
	entity_free(&u->server);
}

#endif
