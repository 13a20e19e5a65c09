/* SPDX-License-Identifier: Apache-2.0 */
/* Key memory: zeroed, locked, not dumped, wiped, reused, given back; what fails, fails visibly. */
#include "core/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/fault.h"

static int teardown(void **state)
{
	fault_uninstall();
	return secret_live() == 0 ? 0 : -1;
}

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] != 0)
			return false;
	}
	return true;
}

static void every_size_is_zeroed_aligned_and_apart(void **state)
{
	uint8_t *p[SECRET_MAX + 1];

	for (size_t size = 0; size <= SECRET_MAX; size++) {
		p[size] = secret_new(size);
		assert_non_null(p[size]);
		assert_int_equal((uintptr_t)p[size] % _Alignof(max_align_t), 0);
		assert_true(all_zero(p[size], size));
		memset(p[size], (int)(size % 255 + 1), size);
	}
	assert_int_equal(secret_live(), SECRET_MAX + 1);
	for (size_t size = 0; size <= SECRET_MAX; size++) {
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[size][i], size % 255 + 1);
		assert_null(secret_free(p[size]));
	}
	assert_int_equal(secret_live(), 0);
	assert_null(secret_new(SECRET_MAX + 1));
	assert_null(secret_new(SIZE_MAX));
	assert_null(secret_free(NULL));
}

static void a_freed_secret_comes_back_zeroed(void **state)
{
	uint8_t *first = secret_new(128), *again;

	memset(first, 0xa5, 128);
	secret_free(first);
	again = secret_new(128);
	assert_ptr_equal(first, again); /* last in, first out: the test shows something */
	assert_true(all_zero(again, 128));
	secret_free(again);
}

static void wipe_takes_any_length(void **state)
{
	uint8_t buf[64];

	memset(buf, 0xff, sizeof(buf));
	secret_wipe(buf + 1, 62);
	assert_int_equal(buf[0], 0xff);
	assert_int_equal(buf[63], 0xff);
	assert_true(all_zero(buf + 1, 62));
	secret_wipe(buf, 0);
	secret_wipe(NULL, 0);
	assert_int_equal(buf[0], 0xff);
}

/* What the kernel says of the mapping that holds @p. */
struct mapping {
	uintptr_t start, end;
	char flags[512];
};

static void find_mapping(const void *p, struct mapping *ret)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	char line[512];
	bool here = false;

	assert_non_null(smaps);
	ret->flags[0] = '\0';
	while (ret->flags[0] == '\0' && fgets(line, sizeof(line), smaps) != NULL) {
		uintptr_t start, end;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2) {
			here = start <= (uintptr_t)p && (uintptr_t)p < end;
			ret->start = start;
			ret->end = end;
		} else if (here && strncmp(line, "VmFlags:", 8) == 0) {
			snprintf(ret->flags, sizeof(ret->flags), "%s", line + 8);
		}
	}
	fclose(smaps);
	assert_string_not_equal(ret->flags, "");
}

static void pages_are_not_dumped(void **state)
{
	struct mapping mapping;
	void *p = secret_new(32);

	find_mapping(p, &mapping);
	assert_non_null(strstr(mapping.flags, " dd"));
	/* A child that goes on with a connection needs its keys: see secret.c. */
	assert_null(strstr(mapping.flags, " dc"));
	assert_null(strstr(mapping.flags, " wf"));
	secret_free(p);
}

/* The sanitizers make mlock() a no-op, and a limit may forbid it: then nothing can be seen. */
static bool mlock_works(void)
{
	struct mapping mapping;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool works;

	assert_true(page != MAP_FAILED);
	works = mlock(page, 4096) == 0;
	find_mapping(page, &mapping);
	works = works && strstr(mapping.flags, " lo") != NULL;
	munmap(page, 4096);
	return works;
}

static void pages_are_locked(void **state)
{
	struct mapping mapping;
	void *p;

	if (!mlock_works()) {
		print_message("skipped: mlock(2) has no effect here\n");
		skip();
	}
	p = secret_new(32);
	assert_int_equal(secret_memlock_errno(), 0);
	find_mapping(p, &mapping);
	assert_non_null(strstr(mapping.flags, " lo"));
	secret_free(p);
}

/* Counts where the complement of @inverted stands in the mapping, read as a debugger would. */
static unsigned int count_pattern(const struct mapping *mapping, const uint8_t *inverted,
				  size_t len)
{
	size_t size = mapping->end - mapping->start;
	uint8_t *copy = malloc(size);
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned int n = 0;

	assert_non_null(copy);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, copy, size, (off_t)mapping->start), size);
	close(fd);
	for (size_t i = 0; i + len <= size; i++) {
		size_t k = 0;

		while (k < len && (copy[i + k] ^ inverted[k]) == 0xff)
			k++;
		n += k == len;
	}
	free(copy);
	return n;
}

static void no_trace_is_left_after_free(void **state)
{
	static const uint8_t inverted[16] = "not in the clear";
	struct mapping mapping;
	uint8_t *keep = secret_new(128), *p[3];

	for (unsigned int i = 0; i < 3; i++) {
		p[i] = secret_new(128);
		for (size_t k = 0; k < sizeof(inverted); k++)
			p[i][i * 48 + k] = inverted[k] ^ 0xff;
	}
	find_mapping(p[0], &mapping);
	assert_int_equal(count_pattern(&mapping, inverted, sizeof(inverted)), 3);
	for (unsigned int i = 0; i < 3; i++) {
		secret_free(p[i]);
		assert_int_equal(count_pattern(&mapping, inverted, sizeof(inverted)), 2 - i);
	}
	secret_free(keep);
}

/* Has @n secrets at a time, then none. */
static void many_at_once(size_t n)
{
	void **p = calloc(n, sizeof(*p));

	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		p[i] = secret_new(600);
		assert_non_null(p[i]);
	}
	/* Every second one first, so that slabs pass from full over usable to empty. */
	for (size_t i = 0; i < n; i += 2)
		secret_free(p[i]);
	for (size_t i = 1; i < n; i += 2)
		secret_free(p[i]);
	free(p);
}

static void empty_slabs_go_back_but_for_one(void **state)
{
	unsigned int made;

	fault_install();
	many_at_once(1000);
	made = fault_count("mmap");
	assert_true(made > 10);
	assert_true(made - fault_count("munmap") <= 1);
	/* One secret at a time needs no call at all any more. */
	fault_reset();
	for (int i = 0; i < 100; i++)
		secret_free(secret_new(600));
	assert_int_equal(fault_count("mmap") + fault_count("munmap") + fault_count("mlock"), 0);
}

static void a_slab_that_cannot_go_back_is_used_again(void **state)
{
	unsigned int made;

	fault_install();
	fault_arm_from("munmap", 1, ENOMEM);
	many_at_once(1000);
	made = fault_count("mmap");
	assert_true(fault_hits("munmap") > 10);
	many_at_once(1000);
	assert_int_equal(fault_count("mmap"), made);
	fault_reset();
	many_at_once(1000);
	assert_true(fault_count("munmap") > 10);
}

#define MAX_SLOTS 64

/* Takes every free slot of @size's class, so that the next secret needs a new slab. */
static size_t take_all(size_t size, void *p[MAX_SLOTS])
{
	size_t n = 0;

	fault_arm("mmap", 1, ENOMEM);
	while (n < MAX_SLOTS && (p[n] = secret_new(size)) != NULL)
		n++;
	assert_true(n < MAX_SLOTS);
	assert_int_equal(fault_hits("mmap"), 1);
	return n;
}

static void no_memory_is_null_and_passes(void **state)
{
	void *p[MAX_SLOTS], *last;
	size_t n, live;

	fault_install();
	n = take_all(SECRET_MAX, p);
	live = secret_live();
	/* What cannot be kept out of a core dump is not used either, and not leaked. */
	fault_arm("madvise", 1, EINVAL);
	assert_null(secret_new(SECRET_MAX));
	assert_int_equal(fault_hits("madvise"), 1);
	assert_int_equal(fault_count("munmap"), 1);
	assert_int_equal(secret_live(), live);
	last = secret_new(SECRET_MAX);
	assert_non_null(last);
	secret_free(last);
	while (n > 0)
		secret_free(p[--n]);
}

static void an_unlocked_slab_is_reported_until_it_is_gone(void **state)
{
	void *p[MAX_SLOTS], *unlocked;
	int before = secret_memlock_errno();
	size_t n;

	fault_install();
	n = take_all(1024, p);
	fault_arm("mlock", 1, EPERM);
	unlocked = secret_new(1024);
	assert_non_null(unlocked);
	assert_true(all_zero(unlocked, 1024));
	assert_int_equal(fault_hits("mlock"), 1);
	assert_int_equal(secret_memlock_errno(), EPERM);
	while (n > 0)
		secret_free(p[--n]);
	assert_int_equal(secret_memlock_errno(), EPERM);
	secret_free(unlocked);
	/* Where the limits allow nothing, all the others are unlocked as well. */
	assert_int_equal(secret_memlock_errno(), before == 0 ? 0 : EPERM);
}

static void run_in_child(void (*child)(void *), void *arg, int *ret_status)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		/* A deliberate abort() is no crash to collect. */
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		child(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, ret_status, 0), pid);
}

static void use_inherited(void *arg)
{
	uint8_t *p = arg, *mine = secret_new(128);

	for (size_t i = 0; i < 128; i++) {
		if (p[i] != i)
			_exit(1);
	}
	if (mine == NULL || mine == p || !all_zero(mine, 128))
		_exit(2);
	secret_free(mine);
	secret_free(p);
}

static void a_child_has_the_keys_of_its_parent(void **state)
{
	uint8_t *p = secret_new(128);
	int status;

	for (size_t i = 0; i < 128; i++)
		p[i] = (uint8_t)i;
	run_in_child(use_inherited, p, &status);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	for (size_t i = 0; i < 128; i++)
		assert_int_equal(p[i], i);
	secret_free(p);
}

static void free_twice(void *arg)
{
	/* Quiet: the sanitizers and cmocka would report the signal. */
	signal(SIGABRT, SIG_DFL);
	secret_free(arg);
	secret_free(arg);
}

static void a_double_free_aborts(void **state)
{
	void *p = secret_new(128);
	int status;

	run_in_child(free_twice, p, &status);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	secret_free(p);
}

static void use_after_free(void *arg)
{
	volatile uint8_t *p = arg;

	signal(SIGABRT, SIG_DFL);
	secret_free(arg);
	p[100] = 1;
	secret_new(128);
}

static void a_write_after_free_is_found_on_reuse(void **state)
{
	void *p = secret_new(128);
	int status;

	run_in_child(use_after_free, p, &status);
	/* By us, or by the sanitizer before us. */
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	secret_free(p);
}

#define N_THREADS 8

static void *thread_main(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	uint8_t *p[16] = { NULL };
	size_t size[16];

	for (int i = 0; i < 20000; i++) {
		unsigned int k = (unsigned int)rand_r(&seed) % 16;

		if (p[k] == NULL) {
			size[k] = 1 + (size_t)rand_r(&seed) % SECRET_MAX;
			p[k] = secret_new(size[k]);
			if (p[k] == NULL || !all_zero(p[k], size[k]))
				return "not zero";
			memset(p[k], (int)(uintptr_t)arg, size[k]);
		} else {
			if (p[k][0] != (uint8_t)(uintptr_t)arg || p[k][size[k] - 1] != p[k][0])
				return "overwritten";
			p[k] = secret_free(p[k]);
		}
	}
	for (int k = 0; k < 16; k++)
		secret_free(p[k]);
	return NULL;
}

static void threads_do_not_meet(void **state)
{
	pthread_t threads[N_THREADS];
	void *failure;

	for (uintptr_t i = 0; i < N_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_main, (void *)(i + 1)),
				 0);
	/* Meanwhile children are born, and must not find the lock taken for ever. */
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (pid == 0) {
			alarm(10);
			secret_free(secret_new(100));
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	for (int i = 0; i < N_THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &failure), 0);
		assert_null(failure);
	}
	assert_int_equal(secret_live(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(every_size_is_zeroed_aligned_and_apart, teardown),
		cmocka_unit_test_teardown(a_freed_secret_comes_back_zeroed, teardown),
		cmocka_unit_test_teardown(wipe_takes_any_length, teardown),
		cmocka_unit_test_teardown(pages_are_not_dumped, teardown),
		cmocka_unit_test_teardown(pages_are_locked, teardown),
		cmocka_unit_test_teardown(no_trace_is_left_after_free, teardown),
		cmocka_unit_test_teardown(empty_slabs_go_back_but_for_one, teardown),
		cmocka_unit_test_teardown(a_slab_that_cannot_go_back_is_used_again, teardown),
		cmocka_unit_test_teardown(no_memory_is_null_and_passes, teardown),
		cmocka_unit_test_teardown(an_unlocked_slab_is_reported_until_it_is_gone, teardown),
		cmocka_unit_test_teardown(a_child_has_the_keys_of_its_parent, teardown),
		cmocka_unit_test_teardown(a_double_free_aborts, teardown),
		cmocka_unit_test_teardown(a_write_after_free_is_found_on_reuse, teardown),
		cmocka_unit_test_teardown(threads_do_not_meet, teardown),
	};

	return cmocka_run_group_tests_name("unit/secret", tests, NULL, NULL);
}
