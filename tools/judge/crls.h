/* SPDX-License-Identifier: Apache-2.0 */
/* The CRLs of `sluice verify`: read from files and requests, and what they are asked. */
#ifndef TOOLS_JUDGE_CRLS_H
#define TOOLS_JUDGE_CRLS_H

#include <json-c/json.h>

#include "crl/check.h"

/*
 * struct verify_crls - a cache with CRLs. One that RFC 5280 forbids to evaluate (an unknown critical
 * extension) is left out, and counted: it is no reason to leave a request without a verdict.
 */
struct verify_crls {
	struct sluice_crl_db *db; /* NULL: nothing was given */
	size_t n_left_out;
};

/* verify_crls_add_file() adds the CRLs of a file, in PEM or DER. Errors: those of sluice_crl_insert_file(). */
int verify_crls_add_file(struct verify_crls *crls, const char *path, struct sluice_error *ret_err);

/*
 * verify_crls_add_json() adds those of an array of strings, each PEM with any number of CRLs or one in
 * DER in base64. Errors: also OPTION (it is no such array).
 */
int verify_crls_add_json(struct verify_crls *crls, struct json_object *array,
			 struct sluice_error *ret_err);

/* verify_crls_check() is what to hold a path against; valid as long as @crls. */
struct crl_check verify_crls_check(const struct verify_crls *crls, enum crl_mode mode);

/* verify_crl_mode() reads a word of option crl_check. False: it is none. */
bool verify_crl_mode(const char *word, enum crl_mode *ret_mode);

void verify_crls_clear(struct verify_crls *crls);

#endif
