// SPDX-License-Identifier: Apache-2.0
#include "core/buffer.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define SPARES 2

static __thread uint8_t *spares[SPARES];
static __thread int n_spares;
static __thread bool is_freed_at_end; /* the thread will free them: nothing is kept otherwise */

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_key;

void buffer_trim(void)
{
	while (n_spares > 0)
		free(spares[--n_spares]);
}

static void at_thread_end(void *unused)
{
	is_freed_at_end = false;
	buffer_trim();
}

static void make_key(void)
{
	has_key = pthread_key_create(&key, at_thread_end) == 0;
}

static bool may_keep(void)
{
	if (is_freed_at_end)
		return true;
	pthread_once(&once, make_key);
	is_freed_at_end = has_key && pthread_setspecific(key, spares) == 0;
	return is_freed_at_end;
}

uint8_t *buffer_take(size_t len)
{
	return len == BUFFER_LEN && n_spares > 0 ? spares[--n_spares] : malloc(len);
}

void buffer_give(uint8_t *buf, size_t len)
{
	if (buf != NULL && len == BUFFER_LEN && n_spares < SPARES && may_keep())
		spares[n_spares++] = buf;
	else
		free(buf);
}
