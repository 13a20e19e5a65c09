/* SPDX-License-Identifier: Apache-2.0 */
/* What the user record path leaves in memory: no key outside locked pages, no plaintext, no buffer. */
#include "record/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/buffer.h"
#include "core/secret.h"
#include "support/handmade.h"
#include "support/mem_link.h"

static int teardown(void **state)
{
	return secret_live() == 0 ? 0 : -1;
}

/* A client's sending direction; secrets and key blocks are the bytes 0, 1, 2, ... */
static struct traffic *make_traffic(uint16_t id)
{
	const struct suite *suite = suite_find(id);
	struct traffic *rx, *tx;
	uint8_t bytes[88];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	if (suite->version == TLS13) {
		assert_int_equal(traffic_new_tls13(&tx, suite, bytes, id == 0x1302 ? 48 : 32, 0),
				 0);
		return tx;
	}
	assert_int_equal(traffic_new_tls12(&rx, &tx, suite, bytes, traffic_key_block_len(suite),
					   false, 0, 0),
			 0);
	traffic_free(rx);
	return tx;
}

/* Counts where the complement of @inverted stands in this process's heap and stack. */
static unsigned int count_outside(const uint8_t *inverted, size_t len)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	char line[512];
	unsigned int n = 0;

	assert_non_null(maps);
	assert_true(mem >= 0);
	while (fgets(line, sizeof(line), maps) != NULL) {
		uintptr_t start, end;
		uint8_t *copy;

		if (strstr(line, "[heap]") == NULL && strstr(line, "[stack]") == NULL)
			continue;
		assert_int_equal(sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &start, &end), 2);
		/* Not from the heap: the copy must not be found itself. */
		copy = mmap(NULL, end - start, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		assert_true(copy != MAP_FAILED);
		assert_int_equal(pread(mem, copy, end - start, (off_t)start), end - start);
		for (size_t i = 0; i + len <= end - start; i++) {
			size_t k = 0;

			while (k < len && (copy[i + k] ^ inverted[k]) == 0xff)
				k++;
			n += k == len;
		}
		munmap(copy, end - start);
	}
	fclose(maps);
	close(mem);
	return n;
}

static bool search_finds_the_heap(void)
{
	uint8_t inverted[16], *key = malloc(sizeof(inverted));
	unsigned int n;

	assert_non_null(key);
	for (size_t k = 0; k < sizeof(inverted); k++) {
		inverted[k] = (uint8_t)(0x53 * (k + 1));
		key[k] = inverted[k] ^ 0xff;
	}
	n = count_outside(inverted, sizeof(inverted));
	secret_wipe(key, sizeof(inverted));
	free(key);
	return n > 0;
}

/* Keys and key schedules live in memory of secret_new() only, also while they are used. */
static void no_key_on_heap_or_stack(void **state)
{
	uint8_t inverted[16];
	struct mem_link link;
	struct record record;

	if (!search_finds_the_heap()) {
		print_message("skipped: malloc() does not use [heap] here\n");
		skip();
	}
	for (size_t i = 0; suite_at(i) != NULL; i++) {
		struct traffic *traffic = make_traffic(suite_at(i)->id);

		/* A key that nothing else in this process has. */
		for (size_t k = 0; k < SUITE_MAX_KEY; k++)
			traffic->key[k] = (uint8_t) ~(0x91 * (k + 1) + i);
		for (size_t k = 0; k < sizeof(inverted); k++)
			inverted[k] = (uint8_t)(0x91 * (k + 1) + i);
		assert_int_equal(mem_link_open(&link, traffic), 0);
		assert_int_equal(mem_link_send(&link, RECORD_DATA, "x", 1), 0);
		assert_int_equal(mem_link_recv(&link, NULL, 0, &record), RECORD_READY);
		assert_int_equal(count_outside(inverted, sizeof(inverted)), 0);
		mem_link_close(&link);
		assert_int_equal(count_outside(inverted, sizeof(inverted)), 0);
		traffic_free(traffic);
	}
}

/* What was opened in place is wiped before the buffer goes back to the heap. */
static void no_plaintext_is_left_on_the_heap(void **state)
{
	struct traffic *traffic = make_traffic(0x1301);
	uint8_t inverted[16], wire[64 + HANDMADE_OVERHEAD_MAX], inner[64];
	struct mem_link link;
	struct record record;
	size_t len;

	if (!search_finds_the_heap()) {
		print_message("skipped: malloc() does not use [heap] here\n");
		traffic_free(traffic);
		skip();
	}
	assert_int_equal(mem_link_open(&link, traffic), 0);
	for (uint64_t n = 0; n < 20; n++) {
		for (size_t k = 0; k < sizeof(inverted); k++)
			inverted[k] = (uint8_t)(0xb7 * (k + 1) + n);
		for (size_t k = 0; k < sizeof(inner); k++)
			inner[k] = inverted[k % sizeof(inverted)] ^ 0xff;
		inner[sizeof(inner) - 1] = RECORD_DATA;
		len = handmade_record(wire, traffic, n, RECORD_DATA, inner, sizeof(inner));
		secret_wipe(inner, sizeof(inner));
		mem_link_put(&link, wire, len);
		assert_int_equal(mem_link_recv(&link, NULL, 0, &record), RECORD_READY);
		assert_int_equal(record.len, sizeof(inner) - 1);
		assert_true(count_outside(inverted, sizeof(inverted)) > 0);
		assert_int_equal(link.rx->ops->next(link.rx, NULL, 0, &record), RECORD_MORE);
		assert_int_equal(count_outside(inverted, sizeof(inverted)), 0);
	}
	mem_link_close(&link);
	traffic_free(traffic);
}

/* The same where only the second of two records is opened in place, behind the first. */
static void no_plaintext_is_left_of_one_of_several(void **state)
{
	struct traffic *traffic = make_traffic(0x1301);
	uint8_t inverted[16], wire[512 + HANDMADE_OVERHEAD_MAX], inner[512], dest[512];
	struct mem_link link;
	struct record record;

	if (!search_finds_the_heap()) {
		print_message("skipped: malloc() does not use [heap] here\n");
		traffic_free(traffic);
		skip();
	}
	assert_int_equal(mem_link_open(&link, traffic), 0);
	for (size_t k = 0; k < sizeof(inverted); k++)
		inverted[k] = (uint8_t)(0xd3 * (k + 1));
	for (uint64_t n = 0; n < 2; n++) {
		memset(inner, 1, sizeof(inner));
		for (size_t k = 0; n == 1 && k < sizeof(inner); k++)
			inner[k] = inverted[k % sizeof(inverted)] ^ 0xff;
		inner[sizeof(inner) - 1] = RECORD_DATA;
		mem_link_put(&link, wire,
			     handmade_record(wire, traffic, n, RECORD_DATA, inner, sizeof(inner)));
	}
	secret_wipe(inner, sizeof(inner));
	assert_int_equal(mem_link_recv(&link, dest, sizeof(dest), &record), RECORD_READY);
	assert_ptr_equal(record.data, dest);
	assert_int_equal(mem_link_recv(&link, NULL, 0, &record), RECORD_READY);
	assert_true(count_outside(inverted, sizeof(inverted)) > 0);
	link.rx->ops->used(link.rx);
	assert_int_equal(count_outside(inverted, sizeof(inverted)), 0);
	mem_link_close(&link);
	traffic_free(traffic);
}

/* Without what the thread keeps, which is of no connection. */
static size_t heap_used(void)
{
	buffer_trim();
	return mallinfo2().uordblks;
}

/* The sanitizers have an allocator of their own. */
static bool mallinfo_counts(void)
{
	size_t before = heap_used();
	void *volatile p = malloc(5000); /* volatile: or the compiler sees through it */
	bool counts = p != NULL && heap_used() >= before + 5000;

	free(p);
	return counts;
}

/* Between records neither end holds a buffer, however the waiting began. */
static void an_idle_connection_holds_no_buffer(void **state)
{
	struct traffic *traffic = make_traffic(0x1301);
	struct mem_link link;
	struct record record;
	struct msghdr msg;
	static uint8_t bytes[100000];
	size_t before;
	uint8_t *own;

	assert_int_equal(mem_link_open(&link, traffic), 0);
	mem_link_put(&link, bytes, sizeof(bytes)); /* the pipe's own memory, once and for all */
	link.wire_end = 0;
	if (!mallinfo_counts()) {
		print_message("skipped: mallinfo2() does not count here\n");
		mem_link_close(&link);
		traffic_free(traffic);
		skip();
	}
	before = heap_used();
	assert_int_equal(link.rx->ops->prep(link.rx, NULL, 0, &msg), 0);
	own = msg.msg_iov[0].iov_base;
	own[0] = 1;
	assert_int_equal(link.rx->ops->done(link.rx, -EAGAIN, &msg, &record), RECORD_MORE);
	assert_int_equal(heap_used(), before);

	assert_int_equal(mem_link_send(&link, RECORD_DATA, bytes, 70000), 0);
	assert_int_equal(heap_used(), before);
	for (int n = 0; n < 5; n++)
		assert_int_equal(mem_link_recv(&link, NULL, 0, &record), RECORD_READY);
	assert_true(heap_used() > before);
	assert_int_equal(link.rx->ops->next(link.rx, NULL, 0, &record), RECORD_MORE);
	assert_int_equal(heap_used(), before);
	mem_link_close(&link);
	traffic_free(traffic);
}

/* A peer that sends a byte of a record, or takes none, is not given a large buffer for it. */
static void what_waits_holds_no_large_buffer(void **state)
{
	struct traffic *traffic = make_traffic(0x1301);
	static uint8_t plain[60000], in[60000], rest[13000];
	struct mem_link link;
	struct record record;
	struct msghdr msg;
	size_t before, len;

	assert_int_equal(mem_link_open(&link, traffic), 0);
	for (int i = 0; i < 5; i++)
		mem_link_put(&link, plain, sizeof(plain)); /* the pipe's own memory, for all */
	link.wire_end = 0;
	if (!mallinfo_counts()) {
		print_message("skipped: mallinfo2() does not count here\n");
		mem_link_close(&link);
		traffic_free(traffic);
		skip();
	}
	assert_int_equal(mem_link_send(&link, RECORD_DATA, plain, 30000), 0);
	len = link.wire_end - 13000; /* all of the first record and the head of the second */
	memcpy(rest, link.wire + len, sizeof(rest));
	link.wire_end = len;
	before = heap_used();
	assert_int_equal(mem_link_recv(&link, in, sizeof(in), &record), RECORD_READY);
	assert_int_equal(mem_link_recv(&link, in, sizeof(in), &record), RECORD_MORE);
	assert_in_range(heap_used() - before, 1, BUFFER_RECORD_LEN + 32);
	mem_link_put(&link, rest, sizeof(rest));
	assert_int_equal(mem_link_recv(&link, in, sizeof(in), &record), RECORD_READY);
	assert_memory_equal(record.data, plain, record.len);
	assert_int_equal(mem_link_recv(&link, in, sizeof(in), &record), RECORD_MORE);
	assert_int_equal(heap_used(), before);

	assert_int_equal(link.tx->ops->prep(link.tx, RECORD_DATA, plain, 100, &msg), 100);
	assert_int_equal(link.tx->ops->done(link.tx, -EAGAIN), 100);
	assert_true(link.tx->ops->pending(link.tx));
	assert_in_range(heap_used() - before, 0, 200);
	assert_int_equal(mem_link_send(&link, RECORD_DATA, plain, 60000), 0);
	assert_in_range(heap_used() - before, 0, 200); /* malloc keeps small ones, too */
	assert_int_equal(mem_link_recv(&link, in, sizeof(in), &record), RECORD_READY);
	assert_int_equal(record.len, 100);
	mem_link_close(&link);
	traffic_free(traffic);
}

/* A receive that a ring has in flight has a buffer for as long: of what its caller has room for. */
static void a_receive_in_flight_holds_what_it_can_use(void **state)
{
	static const struct {
		size_t room, most;
	} cases[] = { { 0, BUFFER_RECORD_LEN },
		      { 4096, BUFFER_RECORD_LEN },
		      { 2 * RECORD_MAX_PLAIN - 1, BUFFER_RECORD_LEN },
		      { 2 * RECORD_MAX_PLAIN, BUFFER_LEN } };
	struct traffic *traffic = make_traffic(0x1301);
	static uint8_t in[2 * RECORD_MAX_PLAIN];
	struct mem_link link;
	struct record record;
	struct msghdr msg;
	size_t before, held;

	assert_int_equal(mem_link_open(&link, traffic), 0);
	if (!mallinfo_counts()) {
		print_message("skipped: mallinfo2() does not count here\n");
		mem_link_close(&link);
		traffic_free(traffic);
		skip();
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		before = heap_used();
		assert_int_equal(link.rx->ops->prep(link.rx, in, cases[i].room, &msg), 0);
		held = heap_used() - before;
		assert_in_range(held, msg.msg_iov[0].iov_len, cases[i].most + 32);
		assert_int_equal(link.rx->ops->done(link.rx, -ECANCELED, &msg, &record),
				 RECORD_MORE);
		assert_int_equal(heap_used(), before);
	}
	mem_link_close(&link);
	traffic_free(traffic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(no_key_on_heap_or_stack, teardown),
		cmocka_unit_test_teardown(no_plaintext_is_left_on_the_heap, teardown),
		cmocka_unit_test_teardown(no_plaintext_is_left_of_one_of_several, teardown),
		cmocka_unit_test_teardown(an_idle_connection_holds_no_buffer, teardown),
		cmocka_unit_test_teardown(what_waits_holds_no_large_buffer, teardown),
		cmocka_unit_test_teardown(a_receive_in_flight_holds_what_it_can_use, teardown),
	};

	return cmocka_run_group_tests_name("unit/record_user_memory", tests, NULL, NULL);
}
