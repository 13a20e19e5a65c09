/* SPDX-License-Identifier: Apache-2.0 */
/* The buffers that threads keep: used again, no more than two of a length, and gone with the thread. */
#include "core/buffer.h"

#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t heap_used(void)
{
	return mallinfo2().uordblks;
}

/* The sanitizers have an allocator of their own. */
static void need_mallinfo(void)
{
	size_t before = heap_used();
	void *volatile p = malloc(5000); /* volatile: or the compiler sees through it */
	int counts = p != NULL && heap_used() >= before + 5000;

	free(p);
	if (!counts) {
		print_message("skipped: mallinfo2() does not count here\n");
		skip();
	}
}

static void what_was_used_last_is_used_again(void **state)
{
	static const size_t lens[] = { BUFFER_LEN, BUFFER_RECORD_LEN };
	uint8_t *a, *b;
	size_t i;

	for (i = 0; i < 2; i++) {
		a = buffer_take(lens[i]);
		b = buffer_take(lens[i]);
		assert_true(a && b && a != b);
		memset(a, 1, lens[i]);
		memset(b, 2, lens[i]);
		buffer_give(a, lens[i]);
		buffer_give(b, lens[i]);
		assert_ptr_equal(buffer_take(lens[i]), b);
		assert_ptr_equal(buffer_take(lens[i]), a);
		buffer_give(b, lens[i]);
		buffer_give(a, lens[i]);
		buffer_give(NULL, lens[i]);
	}
	buffer_trim();
	buffer_trim();
}

/* Nobody who asks for another length gets one, and none that has another is kept. */
static void other_lengths_are_not_kept(void **state)
{
	uint8_t *small = buffer_take(100), *large = buffer_take(BUFFER_LEN), *other;

	buffer_give(large, BUFFER_LEN);
	other = buffer_take(BUFFER_LEN + 1);
	assert_ptr_not_equal(other, large);
	memset(other, 1, BUFFER_LEN + 1);
	buffer_give(other, BUFFER_LEN + 1);
	buffer_give(small, 100);
	assert_ptr_equal(buffer_take(BUFFER_LEN), large);
	buffer_give(large, BUFFER_LEN);
	buffer_trim();
}

static void two_are_kept(void **state)
{
	uint8_t *bufs[5];
	size_t before;
	int i;

	need_mallinfo();
	buffer_trim();
	before = heap_used();
	for (i = 0; i < 5; i++)
		bufs[i] = buffer_take(BUFFER_LEN);
	for (i = 0; i < 5; i++)
		buffer_give(bufs[i], BUFFER_LEN);
	assert_in_range(heap_used() - before, 2 * BUFFER_LEN, 2 * BUFFER_LEN + 1000);
	buffer_trim();
	assert_int_equal(heap_used(), before);
}

/* A buffer may be given back by another thread than took it. The leak checkers see the rest. */
static void *use(void *arg)
{
	uint8_t *mine = buffer_take(BUFFER_LEN);

	buffer_give(arg, BUFFER_LEN);
	buffer_give(mine, BUFFER_LEN);
	return mine;
}

static void a_thread_takes_its_own_away(void **state)
{
	pthread_t thread;
	size_t before = 0;
	void *theirs;
	int i;

	need_mallinfo();
	for (i = 0; i < 20; i++) {
		assert_int_equal(pthread_create(&thread, NULL, use, buffer_take(BUFFER_LEN)), 0);
		assert_int_equal(pthread_join(thread, &theirs), 0);
		assert_non_null(theirs);
		/* What the first thread costs once and for all is there then. */
		if (i == 0)
			before = heap_used();
	}
	assert_in_range(heap_used(), 0, before + BUFFER_LEN / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_used_last_is_used_again),
		cmocka_unit_test(other_lengths_are_not_kept),
		cmocka_unit_test(two_are_kept),
		cmocka_unit_test(a_thread_takes_its_own_away),
	};

	return cmocka_run_group_tests_name("unit/buffer", tests, NULL, NULL);
}
