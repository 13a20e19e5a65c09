/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains made to cost as much as they can: each gets an answer with a clear reason well within the time that
 * stage VERIFY has, which is the handshake's.
 */
#include <stdio.h>
#include <stdlib.h>

#include <openssl/bn.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "support/fault.h"
#include "support/verify_world.h"
#include "tls/control.h"
#include "verify/path.h"

#define BUDGET_US 10000000ull /* option handshake_timeout, by default */

/* Refused within the budget, for what @reason says. */
static void refuses_in_time(struct world *w, int alert, int x509_error, const char *reason)
{
	uint64_t began_us = sys_real.now_us();

	refuses(w, "localhost", SLUICE_E_VERIFY, alert, x509_error);
	assert_true(sys_real.now_us() - began_us < BUDGET_US);
	if (!strstr(w->err.text, reason))
		fail_msg("\"%s\" has no \"%s\"", w->err.text, reason);
}

/* Only names tell then who may have issued what. */
static void strip(struct entity *entity, const struct entity *issuer)
{
	static const int nids[] = { NID_subject_key_identifier, NID_authority_key_identifier };
	size_t i;
	int at;

	for (i = 0; i < 2; i++) {
		at = X509_get_ext_by_NID(entity->cert, nids[i], -1);
		if (at >= 0)
			X509_EXTENSION_free(X509_delete_ext(entity->cert, at));
	}
	assert_true(X509_sign(entity->cert, issuer->key, EVP_sha256()) > 0);
}

/* --- lengths --------------------------------------------------------------------------------- */

#define LONG 98 /* intermediates: with the root and the server's, 100 certificates */

static void OC_40_a_chain_of_a_hundred(void **state)
{
	struct entity cas[LONG + 1], server;
	char cn[16];
	struct world w;
	size_t i;

	world_init(&w, SLUICE_CLIENT);
	cas[0] = new_ca("Root", NULL);
	trust(&w, &cas[0]);
	for (i = 1; i <= LONG; i++) {
		snprintf(cn, sizeof(cn), "CA %zu", i);
		cas[i] = new_ca(cn, &cas[i - 1]);
	}
	server = new_server(&cas[LONG]);
	send_cert(&w, &server);
	for (i = LONG; i > 0; i--)
		send_cert(&w, &cas[i]);
	w.profile.depth = 100;
	accepts(&w, "localhost");
	w.profile.depth = LONG - 1;
	refuses_in_time(&w, SLUICE_ALERT_BAD_CERTIFICATE, X509_V_ERR_CERT_CHAIN_TOO_LONG,
			"option depth");
	w.profile.depth = 10; /* the default: the path is not even built */
	refuses_in_time(&w, SLUICE_ALERT_BAD_CERTIFICATE, X509_V_ERR_CERT_CHAIN_TOO_LONG,
			"too long");
	world_deinit(&w);
	for (i = 0; i <= LONG; i++)
		entity_free(&cas[i]);
	entity_free(&server);
}

/* --- constraints ------------------------------------------------------------------------------ */

/* @n items of @format, which has a number in it, separated by commas; free() them. */
static char *list(const char *format, size_t n)
{
	char *text = malloc(n * 48), *at = text;
	size_t i;

	assert_non_null(text);
	for (i = 0; i < n; i++) {
		at += sprintf(at, "%s", i ? "," : "");
		at += sprintf(at, format, i);
	}
	return text;
}

#define CONSTRAINTS 10000

static void OC_37_ten_thousand_name_constraints(void **state)
{
	char *constraints = list("excluded;DNS:x%zu.test", CONSTRAINTS), *names;
	struct entity root = new_ca("Root", NULL), ca, server;
	static const size_t n_names[] = { 10, 100 }; /* 250,000 comparisons are the limit */
	struct world w;
	size_t i;

	ca = certify((struct cert_spec){ .cn = "CA", .ca = true, .name_constraints = constraints },
		     CERT_KEY_P256, &root);
	for (i = 0; i < 2; i++) {
		names = list("DNS:a%zu.example", n_names[i]);
		names = realloc(names, strlen(names) + 32);
		assert_non_null(names);
		strcat(names, ",DNS:localhost");
		server = certify((struct cert_spec){ .cn = "x", .san = names }, CERT_KEY_P256, &ca);
		world_init(&w, SLUICE_CLIENT);
		trust(&w, &root);
		send_cert(&w, &server);
		send_cert(&w, &ca);
		if (i)
			refuses_in_time(&w, SLUICE_ALERT_BAD_CERTIFICATE, 0, "constraint");
		else
			accepts(&w, "localhost");
		world_deinit(&w);
		entity_free(&server);
		free(names);
	}
	entity_free(&ca);
	entity_free(&root);
	free(constraints);
}

/* --- keys ------------------------------------------------------------------------------------- */

/* A modulus of @bits that nobody has the factors of; @e as costly as it can be. */
static EVP_PKEY *rsa_key(int bits)
{
	EVP_PKEY *key = EVP_PKEY_new();
	BIGNUM *n = BN_new(), *e = BN_new();
	RSA *rsa = RSA_new();

	assert_true(n && e && rsa && BN_set_bit(n, bits - 1) && BN_add_word(n, 1) &&
		    BN_set_word(e, 65537));
	assert_true(RSA_set0_key(rsa, n, e, NULL) && EVP_PKEY_assign_RSA(key, rsa));
	return key;
}

/* Of the peer, and of the CA whose signature would have to be checked. */
static void OC_40_rsa_keys_of_16384_bits(void **state)
{
	struct entity root = new_ca("Root", NULL), ca = { .key = rsa_key(16384) }, server;
	struct cert_spec spec = {
		.cn = "x", .ca = true, .issuer = root.cert, .issuer_key = root.key, .key = ca.key
	};
	struct entity by_root = { .cert = root.cert, .key = root.key };
	struct world w;

	ca.cert = certs_make(&spec);
	server = new_server(&by_root);
	assert_true(X509_set_issuer_name(server.cert, X509_get_subject_name(ca.cert)));
	strip(&server, &root);
	world_init(&w, SLUICE_CLIENT);
	trust(&w, &root);
	send_cert(&w, &ca);
	refuses_in_time(&w, SLUICE_ALERT_BAD_CERTIFICATE, X509_V_ERR_CERT_REJECTED, "too long");
	world_deinit(&w);
	world_init(&w, SLUICE_CLIENT);
	trust(&w, &root);
	send_cert(&w, &server);
	send_cert(&w, &ca);
	refuses_in_time(&w, SLUICE_ALERT_BAD_CERTIFICATE, X509_V_ERR_CERT_REJECTED, "too long");
	assert_int_equal(w.err.bad_cert, SLUICE_BAD_CERT_WEAK_KEY);
	world_deinit(&w);
	entity_free(&root);
	entity_free(&ca);
	entity_free(&server);
}

/* --- paths ------------------------------------------------------------------------------------ */

/* struct maze - layers of CAs, each of which may have issued each of the layer below. */
#define LAYERS 8
#define WIDTH 8

struct maze {
	struct entity root, cas[LAYERS][WIDTH], server;
	struct world w;
};

/* 8^8 paths to the root, all of which break at the peer's own certificate, where it is found out last. */
static void maze_open(struct maze *m)
{
	struct entity unknown = new_ca("Layer 0", NULL);
	char cn[16];
	size_t i, j;

	m->root = new_ca("Root", NULL);
	world_init(&m->w, SLUICE_CLIENT);
	trust(&m->w, &m->root);
	m->server = new_server(&unknown);
	strip(&m->server, &unknown);
	send_cert(&m->w, &m->server);
	for (i = LAYERS; i-- > 0;) {
		snprintf(cn, sizeof(cn), "Layer %zu", i);
		for (j = 0; j < WIDTH; j++) {
			const struct entity *by = i == LAYERS - 1 ? &m->root : &m->cas[i + 1][j];

			m->cas[i][j] = new_ca(cn, by);
			strip(&m->cas[i][j], by);
			send_cert(&m->w, &m->cas[i][j]);
		}
	}
	entity_free(&unknown);
}

static void maze_close(struct maze *m)
{
	size_t i, j;

	for (i = 0; i < LAYERS; i++)
		for (j = 0; j < WIDTH; j++)
			entity_free(&m->cas[i][j]);
	world_deinit(&m->w);
	entity_free(&m->root);
	entity_free(&m->server);
}

static void OC_40_more_paths_than_anybody_can_try(void **state)
{
	struct maze m;

	maze_open(&m);
	refuses_in_time(&m.w, SLUICE_ALERT_BAD_CERTIFICATE, X509_V_ERR_CERT_REJECTED,
			"too many possible paths");
	maze_close(&m);
}

/* Where even that takes too long the time of the handshake ends it. */
static void OC_40_the_search_ends_with_its_time(void **state)
{
	struct sluice_error err;
	struct verify_input in;
	struct maze m;
	uint8_t alert;

	maze_open(&m);
	fault_install();
	in = asked(&m.w, "localhost");
	in.until_us = sys->now_us() + BUDGET_US;
	fault_arm("now_us", 3, 60); /* before the third path a minute has passed */
	err_clear(&err);
	assert_int_equal(verify_chain(&in, &alert, &err), -SLUICE_E_VERIFY);
	assert_non_null(strstr(err.text, "took too long"));
	assert_int_equal(alert, SLUICE_ALERT_BAD_CERTIFICATE);
	assert_int_equal(fault_count("now_us"), 1 + 3);
	fault_uninstall();
	maze_close(&m);
}

/* Every CA is certified by every other: circles of each length, and no anchor. */
#define CIRCLE 10

static void OC_40_crossing_circles(void **state)
{
	struct entity cas[CIRCLE], crossed[CIRCLE][CIRCLE], server, root = new_ca("Root", NULL);
	char cn[16];
	struct world w;
	size_t i, j;

	world_init(&w, SLUICE_CLIENT);
	trust(&w, &root);
	for (i = 0; i < CIRCLE; i++) {
		snprintf(cn, sizeof(cn), "CA %zu", i);
		cas[i] = new_ca(cn, NULL);
	}
	server = new_server(&cas[0]);
	send_cert(&w, &server);
	for (i = 0; i < CIRCLE; i++) {
		for (j = 0; j < CIRCLE; j++) {
			if (i == j)
				continue;
			snprintf(cn, sizeof(cn), "CA %zu", i);
			EVP_PKEY_up_ref(cas[i].key);
			crossed[i][j] = (struct entity){
				.key = cas[i].key,
				.cert = certs_make(&(struct cert_spec){ .cn = cn,
									.ca = true,
									.key = cas[i].key,
									.issuer = cas[j].cert,
									.issuer_key = cas[j].key }),
			};
			send_cert(&w, &crossed[i][j]);
		}
	}
	refuses_in_time(&w, SLUICE_ALERT_BAD_CERTIFICATE, X509_V_ERR_CERT_REJECTED,
			"too many possible paths");
	world_deinit(&w);
	for (i = 0; i < CIRCLE; i++) {
		for (j = 0; j < CIRCLE; j++)
			if (i != j)
				entity_free(&crossed[i][j]);
		entity_free(&cas[i]);
	}
	entity_free(&server);
	entity_free(&root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(OC_40_a_chain_of_a_hundred),
		cmocka_unit_test(OC_37_ten_thousand_name_constraints),
		cmocka_unit_test(OC_40_rsa_keys_of_16384_bits),
		cmocka_unit_test(OC_40_more_paths_than_anybody_can_try),
		cmocka_unit_test(OC_40_the_search_ends_with_its_time),
		cmocka_unit_test(OC_40_crossing_circles),
	};

	return cmocka_run_group_tests_name("unit/verify-bounds", tests, NULL, NULL);
}
