/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a connection failed: a struct sluice_error whose text is allocated, as most connections have none. Where
 * there is no memory for it, the code's own words stand in its place.
 */
#ifndef SLUICE_CONN_FAILURE_H
#define SLUICE_CONN_FAILURE_H

#include <stdint.h>

#include <sluice/error.h>

struct failure {
	int code; /* 0: none */
	int stage, alert, sys_errno, x509_error;
	uint32_t bssl_error;
	uint8_t kind, alert_sent, bad_cert, crl_reason;
	char *text; /* NULL: sluice_strerror() has it */
};

/* failure_clear() makes it none. */
void failure_clear(struct failure *failure);

/* failure_put() replaces what is there; failure_get() tells it. */
void failure_put(struct failure *failure, const struct sluice_error *err);
void failure_get(const struct failure *failure, struct sluice_error *ret_err);

/* failure_set() is err_set(), and for @sys_errno other than 0 err_set_errno(). */
int failure_set(struct failure *failure, int code, int sys_errno, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
