// SPDX-License-Identifier: Apache-2.0
#include "core/buffer.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define SPARES 2

/* struct shelf - what a thread keeps of one length. */
struct shelf {
	uint8_t *spares[SPARES];
	int n;
};

static __thread struct shelf large, of_record;
static __thread bool is_freed_at_end; /* the thread will free them: nothing is kept otherwise */

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_key;

static struct shelf *shelf_for(size_t len)
{
	if (len == BUFFER_LEN)
		return &large;
	return len == BUFFER_RECORD_LEN ? &of_record : NULL;
}

static void clear(struct shelf *shelf)
{
	while (shelf->n > 0)
		free(shelf->spares[--shelf->n]);
}

void buffer_trim(void)
{
	clear(&large);
	clear(&of_record);
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
	is_freed_at_end = has_key && pthread_setspecific(key, &large) == 0;
	return is_freed_at_end;
}

uint8_t *buffer_take(size_t len)
{
	struct shelf *shelf = shelf_for(len);

	return shelf && shelf->n > 0 ? shelf->spares[--shelf->n] : malloc(len);
}

void buffer_give(uint8_t *buf, size_t len)
{
	struct shelf *shelf = shelf_for(len);

	if (buf && shelf && shelf->n < SPARES && may_keep())
		shelf->spares[shelf->n++] = buf;
	else
		free(buf);
}
