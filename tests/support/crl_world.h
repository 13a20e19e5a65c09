/* SPDX-License-Identifier: Apache-2.0 */
/* A CA with a server's certificate, and CRLs by it. For one test program each. */
#ifndef SLUICE_TESTS_SUPPORT_CRL_WORLD_H
#define SLUICE_TESTS_SUPPORT_CRL_WORLD_H

#include "support/crls.h"
#include "support/verify_world.h"

static struct entity ca, server;

static inline int crl_world_setup(void **state)
{
	ca = new_ca("Root", NULL);
	server = new_server(&ca);
	return 0;
}

static inline int crl_world_teardown(void **state)
{
	entity_free(&ca);
	entity_free(&server);
	return 0;
}

/* make() makes a CRL by @ca; free() its bytes. */
static inline struct crl_der make(struct crl_spec spec)
{
	struct crl_der crl;

	spec.issuer = ca.cert;
	spec.key = ca.key;
	crl.der = crls_make(&spec, &crl.len);
	return crl;
}

#endif
