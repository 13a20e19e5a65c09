/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only memory that may hold key material: locked into RAM, left out of core dumps, wiped
 * before it is reused. A child of fork(2) has its own copy, so that it can go on with a connection;
 * see secret.c for what that means.
 */
#ifndef SLUICE_CORE_SECRET_H
#define SLUICE_CORE_SECRET_H

#include <stddef.h>

#define SECRET_MAX 2048 /* the largest single secret, in bytes */

/*
 * secret_new() returns @size zeroed bytes (at most SECRET_MAX), aligned for any type, or NULL when
 * there is no memory. Thread-safe. When RLIMIT_MEMLOCK is used up the bytes are not locked, but
 * still not dumped and still wiped: secret_memlock_errno() tells.
 */
void *secret_new(size_t size);

/* secret_free() wipes and frees. NULL is fine. Returns NULL. */
void *secret_free(void *secret);

/* secret_wipe() overwrites @len bytes in a way the compiler cannot remove. */
void secret_wipe(void *p, size_t len);

/* secret_memlock_errno() returns the errno of the last failed lock, 0 if all pages are locked. */
int secret_memlock_errno(void);

/* secret_live() returns how many secrets are allocated now; tests compare it to find leaks. */
size_t secret_live(void);

#endif
