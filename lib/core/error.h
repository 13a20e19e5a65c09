/* SPDX-License-Identifier: Apache-2.0 */
/* How the library fills a struct sluice_error. */
#ifndef SLUICE_CORE_ERROR_H
#define SLUICE_CORE_ERROR_H

#include <sluice/error.h>

#define ERR_NO_ALERT (-1)

/*
 * err_set() records why something failed and returns -@code, so that a caller can write
 * `return err_set(err, SLUICE_E_OPTION, "...")`. An error that is already there stays: the first is
 * the most specific. @err may be NULL. @code is positive.
 */
int err_set(struct sluice_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* err_set_errno() does the same and keeps @sys_errno, whose text is appended. */
int err_set_errno(struct sluice_error *err, int code, int sys_errno, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * err_bssl() tells why a function of BoringSSL failed that can only fail for want of memory, or by
 * our mistake: -SLUICE_E_NOMEM or -SLUICE_E_INTERNAL. Empties BoringSSL's error queue.
 */
int err_bssl(void);

/* err_clear() makes @err an empty error. NULL is fine. */
void err_clear(struct sluice_error *err);

#endif
