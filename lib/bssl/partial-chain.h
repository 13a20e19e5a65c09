/* SPDX-License-Identifier: Apache-2.0 */
/* A program's say in what is trusted: option partial_chain_fun. */
#ifndef SLUICE_BSSL_PARTIAL_CHAIN_H
#define SLUICE_BSSL_PARTIAL_CHAIN_H

#include <openssl/pool.h>
#include <openssl/x509.h>

#include <sluice/error.h>

struct sluice_conn;

/*
 * partial_chain_ask() asks the program of @conn about @chain. *@ret_trust is a store of the one certificate that
 * it names, which is the caller's; NULL: what the options say is trusted. On failure *@ret_alert is what the peer
 * is told. Errors: VERIFY, NOMEM.
 */
int partial_chain_ask(struct sluice_conn *conn, const STACK_OF(CRYPTO_BUFFER) * chain,
		      X509_STORE **ret_trust, uint8_t *ret_alert, struct sluice_error *ret_err);

#endif
