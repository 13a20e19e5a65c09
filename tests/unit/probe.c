/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe over a kernel of our own making: a table of system calls that keeps descriptors,
 * remembers which of them have keys, answers as the script says and fails where it is told to. And
 * once over the kernel that the test runs on.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/secret.h"
#include "core/sys.h"
#include "record/ktls-abi.h"
#include "record/ktls.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define FD_BASE 1000
#define N_FDS 64

struct fake_socket {
	bool open, bound, listening, connected, attached, tx, rx;
	int family;
};

static struct fake {
	/* the script */
	int ulp_errno;        /* of attaching */
	int option_errno[6];  /* of the options that came later, by number */
	bool rekey;           /* a second set of TLS 1.3 keys is taken */
	uint16_t bad_cipher;  /* a cipher that is refused with ENOENT */
	uint16_t bad_version; /* a version that is refused with EPERM */
	bool bad_rx_only;     /* and only for receiving */
	int no_family;        /* an address family that there is no loopback of */
	const char *fail_call;
	unsigned int fail_first, fail_last; /* which of its calls, from 1 */
	int fail_errno;

	/* what happened */
	struct fake_socket sockets[N_FDS];
	int n_open;
	unsigned int n_calls, n_fail_call, n_hits;
} fake;

static bool fails(const char *call)
{
	fake.n_calls += strcmp(call, "mmap") != 0; /* of the socket calls */
	if (!fake.fail_call || strcmp(call, fake.fail_call) != 0)
		return false;
	fake.n_fail_call++;
	if (fake.n_fail_call < fake.fail_first || fake.n_fail_call > fake.fail_last)
		return false;
	fake.n_hits++;
	errno = fake.fail_errno;
	return true;
}

static int refuse(int err)
{
	errno = err;
	return -1;
}

static struct fake_socket *fake_socket(int fd)
{
	struct fake_socket *s;

	assert_in_range(fd, FD_BASE, FD_BASE + N_FDS - 1);
	s = &fake.sockets[fd - FD_BASE];
	assert_true(s->open);
	return s;
}

static int fake_socket_new(int domain, int type, int protocol)
{
	if (fails("socket"))
		return -1;
	assert_true(type & SOCK_CLOEXEC);
	if (domain == fake.no_family)
		return refuse(EAFNOSUPPORT);
	for (int i = 0; i < N_FDS; i++) {
		if (fake.sockets[i].open)
			continue;
		fake.sockets[i] = (struct fake_socket){ .open = true, .family = domain };
		fake.n_open++;
		return FD_BASE + i;
	}
	return refuse(EMFILE);
}

static int fake_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct fake_socket *s = fake_socket(fd);

	if (fails("bind"))
		return -1;
	assert_int_equal(addr->sa_family, s->family);
	s->bound = true;
	return 0;
}

static int fake_listen(int fd, int backlog)
{
	struct fake_socket *s = fake_socket(fd);

	if (fails("listen"))
		return -1;
	assert_true(s->bound);
	s->listening = true;
	return 0;
}

static int fake_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct fake_socket *s = fake_socket(fd);

	if (fails("getsockname"))
		return -1;
	assert_int_equal(addr->sa_family, s->family);
	return 0;
}

static int fake_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct fake_socket *s = fake_socket(fd);

	if (fails("connect"))
		return -1;
	assert_int_equal(addr->sa_family, s->family);
	assert_false(s->connected);
	s->connected = true;
	return 0;
}

static int fake_close(int fd)
{
	struct fake_socket *s = fake_socket(fd);
	bool failed = fails("close");

	s->open = false;
	fake.n_open--;
	return failed ? -1 : 0;
}

static int fake_keys(struct fake_socket *s, bool tx, const void *value)
{
	struct kabi_crypto_info head;
	bool *keyed = tx ? &s->tx : &s->rx;

	memcpy(&head, value, sizeof(head));
	if (*keyed && !(fake.rekey && head.version == TLS13))
		return refuse(EBUSY);
	if (head.cipher == fake.bad_cipher)
		return refuse(ENOENT);
	if (head.version == fake.bad_version && !(tx && fake.bad_rx_only))
		return refuse(EPERM);
	*keyed = true;
	return 0;
}

static int fake_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	struct fake_socket *s = fake_socket(fd);

	if (fails("setsockopt"))
		return -1;
	if (level == SOL_SOCKET)
		return 0;
	if (level == IPPROTO_TCP) {
		if (fake.ulp_errno)
			return refuse(fake.ulp_errno);
		s->attached = true;
		return 0;
	}
	assert_int_equal(level, 282);
	assert_in_range(name, 1, 5);
	if (!s->attached)
		return refuse(ENOPROTOOPT);
	if (name == 1 || name == 2)
		return fake_keys(s, name == 1, value);
	if (name == 4 && !s->rx)
		return refuse(EINVAL);
	return fake.option_errno[name] ? refuse(fake.option_errno[name]) : 0;
}

static void *fake_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return fails("mmap") ? MAP_FAILED : sys_real.mmap(addr, len, prot, flags, fd, offset);
}

static struct sys_ops fake_sys;

static int setup(void **state)
{
	memset(&fake, 0, sizeof(fake));
	fake_sys = sys_real;
	fake_sys.socket = fake_socket_new;
	fake_sys.bind = fake_bind;
	fake_sys.listen = fake_listen;
	fake_sys.getsockname = fake_getsockname;
	fake_sys.connect = fake_connect;
	fake_sys.close = fake_close;
	fake_sys.setsockopt = fake_setsockopt;
	fake_sys.mmap = fake_mmap;
	sys = &fake_sys;
	return 0;
}

static int teardown(void **state)
{
	sys = &sys_real;
	assert_int_equal(secret_live(), 0);
	return 0;
}

static void fail_nth(const char *call, unsigned int first, unsigned int last, int err)
{
	fake.fail_call = call;
	fake.fail_first = first;
	fake.fail_last = last;
	fake.fail_errno = err;
}

static struct sluice_capabilities probe(void)
{
	struct sluice_capabilities caps;

	memset(&caps, 0x7e, sizeof(caps));
	fake.n_calls = 0;
	fake.n_fail_call = 0;
	fake.n_hits = 0;
	ktls_probe(&caps);
	assert_int_equal(fake.n_open, 0);
	/* Not the kernel's part: left alone. */
	assert_int_equal(caps.memlock_errno, 0x7e7e7e7e);
	assert_int_equal(caps.mlkem, 0x7e7e7e7e);
	return caps;
}

static void assert_rows_are_the_table(const struct sluice_capabilities *caps)
{
	int i = 0;

	for (; suite_at((size_t)i); i++) {
		assert_true(i < caps->n_suites);
		assert_int_equal(caps->suites[i].id, suite_at((size_t)i)->id);
		assert_int_equal(caps->suites[i].version, suite_at((size_t)i)->version);
		assert_string_equal(caps->suites[i].name, suite_at((size_t)i)->name);
	}
	assert_int_equal(caps->n_suites, i);
}

/* Every errno that would have had to be asked for is @err. */
static void assert_nothing_works(const struct sluice_capabilities *caps, int err)
{
	assert_rows_are_the_table(caps);
	assert_int_equal(caps->ktls_errno, err);
	assert_int_equal(caps->rekey_tx_errno, err);
	assert_int_equal(caps->rekey_rx_errno, err);
	assert_int_equal(caps->no_pad_errno, err);
	assert_int_equal(caps->max_payload_errno, err);
	assert_int_equal(caps->zerocopy_errno, err);
	for (int i = 0; i < caps->n_suites; i++) {
		int want = suite_at((size_t)i)->kernel_cipher ? err : EOPNOTSUPP;

		assert_int_equal(caps->suites[i].kernel_tx_errno, want);
		assert_int_equal(caps->suites[i].kernel_rx_errno, want);
	}
}

static void probe_of_a_new_kernel(void **state)
{
	struct sluice_capabilities caps;

	fake.rekey = true;
	caps = probe();
	assert_nothing_works(&caps, 0); /* that is: all works */
	assert_int_equal(fake.n_calls, 59);
}

static void probe_of_an_older_kernel(void **state)
{
	struct sluice_capabilities caps;

	fake.option_errno[3] = ENOPROTOOPT;
	fake.option_errno[4] = EPERM;
	fake.option_errno[5] = EACCES;
	fake.bad_cipher = 54;
	caps = probe();
	assert_rows_are_the_table(&caps);
	assert_int_equal(caps.ktls_errno, 0);
	assert_int_equal(caps.rekey_tx_errno, EBUSY);
	assert_int_equal(caps.rekey_rx_errno, EBUSY);
	assert_int_equal(caps.zerocopy_errno, ENOPROTOOPT);
	assert_int_equal(caps.no_pad_errno, EPERM);
	assert_int_equal(caps.max_payload_errno, EACCES);
	for (int i = 0; i < caps.n_suites; i++) {
		uint16_t cipher = suite_at((size_t)i)->kernel_cipher;
		int want = cipher == 0 ? EOPNOTSUPP : cipher == 54 ? ENOENT : 0;

		assert_int_equal(caps.suites[i].kernel_tx_errno, want);
		assert_int_equal(caps.suites[i].kernel_rx_errno, want);
	}
}

static void probe_without_tls13(void **state)
{
	fake.rekey = true;
	fake.bad_version = TLS13;
	for (int rx_only = 0; rx_only <= 1; rx_only++) {
		int tx_err = rx_only ? 0 : EPERM;
		struct sluice_capabilities caps;

		fake.bad_rx_only = rx_only;
		caps = probe();
		assert_rows_are_the_table(&caps);
		assert_int_equal(caps.ktls_errno, 0);
		assert_int_equal(caps.rekey_tx_errno, tx_err);
		assert_int_equal(caps.rekey_rx_errno, EPERM);
		assert_int_equal(caps.no_pad_errno, EPERM);
		assert_int_equal(caps.zerocopy_errno, 0);
		assert_int_equal(caps.max_payload_errno, 0);
		for (int i = 0; i < caps.n_suites; i++) {
			bool refused = caps.suites[i].version == TLS13;

			assert_int_equal(caps.suites[i].kernel_tx_errno, refused ? tx_err : 0);
			assert_int_equal(caps.suites[i].kernel_rx_errno, refused ? EPERM : 0);
		}
	}
}

/* The options are tried with a suite that works, not with the first one. */
static void probe_without_the_strongest_suite(void **state)
{
	struct sluice_capabilities caps;

	fake.rekey = true;
	for (uint16_t cipher = 51; cipher <= 54; cipher++) {
		fake.bad_cipher = cipher;
		caps = probe();
		assert_int_equal(caps.ktls_errno, 0);
		assert_int_equal(caps.rekey_tx_errno, 0);
		assert_int_equal(caps.rekey_rx_errno, 0);
		assert_int_equal(caps.no_pad_errno, 0);
	}
}

static void probe_without_ktls_is_cheap(void **state)
{
	struct sluice_capabilities caps;

	fake.ulp_errno = ENOENT;
	caps = probe();
	assert_nothing_works(&caps, ENOENT);
	assert_int_equal(fake.n_calls, 10);
}

static void probe_over_ipv6_alone(void **state)
{
	struct sluice_capabilities caps;

	fake.rekey = true;
	fake.no_family = AF_INET;
	caps = probe();
	assert_nothing_works(&caps, 0);
	fake.no_family = 0;
	fail_nth("bind", 1, 1, EADDRNOTAVAIL);
	caps = probe();
	assert_nothing_works(&caps, 0);
	fail_nth("connect", 1, 1, ENETUNREACH);
	caps = probe();
	assert_nothing_works(&caps, 0);
}

static void probe_without_loopback(void **state)
{
	struct sluice_capabilities caps;

	fail_nth("bind", 1, UINT32_MAX, EADDRNOTAVAIL);
	caps = probe();
	assert_nothing_works(&caps, EADDRNOTAVAIL);
	/* A filter that drops: connect(2) gives up by SO_SNDTIMEO. */
	fail_nth("connect", 1, UINT32_MAX, EINPROGRESS);
	caps = probe();
	assert_nothing_works(&caps, ETIMEDOUT);
}

static void probe_survives_signals(void **state)
{
	struct sluice_capabilities caps;

	fake.rekey = true;
	for (unsigned int nth = 1; nth <= 8; nth++) {
		fail_nth("connect", nth, nth + 2, EINTR);
		caps = probe();
		assert_nothing_works(&caps, 0);
	}
	fail_nth("connect", 1, UINT32_MAX, EINTR); /* but not for ever */
	caps = probe();
	assert_nothing_works(&caps, EINTR);
}

/* Is there a result that is not as it would be if nothing had failed? */
static bool caps_show(const struct sluice_capabilities *caps, int err)
{
	bool shown = caps->ktls_errno == err || caps->rekey_tx_errno == err ||
		     caps->rekey_rx_errno == err || caps->no_pad_errno == err ||
		     caps->max_payload_errno == err || caps->zerocopy_errno == err;

	for (int i = 0; i < caps->n_suites; i++)
		shown = shown || caps->suites[i].kernel_tx_errno == err ||
			caps->suites[i].kernel_rx_errno == err;
	return shown;
}

/* Each call of each kind fails once, and then for good: no descriptor stays, the errno shows. */
static void probe_with_every_call_failing(void **state)
{
	static const char *const calls[] = { "socket",      "bind",       "listen",
					     "getsockname", "setsockopt", "connect" };
	static const int errs[] = { EMFILE, ENFILE, ENOMEM, ENOBUFS, EPERM, EACCES };

	fake.rekey = true;
	for (size_t c = 0; c < ARRAY_SIZE(calls); c++) {
		for (unsigned int nth = 1;; nth++) {
			int err = errs[nth % ARRAY_SIZE(errs)];
			struct sluice_capabilities caps;

			fail_nth(calls[c], nth, UINT32_MAX, err);
			caps = probe();
			if (fake.n_hits == 0)
				break;
			assert_rows_are_the_table(&caps);
			assert_true(caps_show(&caps, err));
			fail_nth(calls[c], nth, nth, err);
			caps = probe();
			assert_rows_are_the_table(&caps);
			assert_int_equal(fake.n_hits, 1);
		}
	}
	fail_nth("close", 1, UINT32_MAX, EIO);
	assert_int_equal(probe().ktls_errno, 0);
}

static void probe_without_secret_memory(void **state)
{
	void *held[1024];
	struct sluice_capabilities caps;
	size_t n = 0;

	fail_nth("mmap", 1, UINT32_MAX, ENOMEM);
	while (n < ARRAY_SIZE(held) && (held[n] = secret_new(sizeof(struct traffic))))
		n++;
	assert_in_range(n, 0, ARRAY_SIZE(held) - 1);
	caps = probe();
	while (n > 0)
		secret_free(held[--n]);
	assert_nothing_works(&caps, ENOMEM);
	assert_int_equal(fake.n_calls, 0);
}

/* The kernel that the test runs on, whatever it can: consistent, and nothing left behind. */
static void probe_of_this_kernel(void **state)
{
	struct sluice_capabilities caps;
	int before, after;

	sys = &sys_real;
	before = dup(2);
	close(before);
	ktls_probe(&caps);
	after = dup(2); /* the lowest free number: the same one again if none was left open */
	close(after);
	assert_int_equal(before, after);
	print_message("this kernel: kTLS %s, rekey %s\n",
		      caps.ktls_errno ? strerror(caps.ktls_errno) : "yes",
		      caps.rekey_rx_errno ? strerror(caps.rekey_rx_errno) : "yes");
	assert_rows_are_the_table(&caps);
	if (caps.ktls_errno) {
		assert_nothing_works(&caps, caps.ktls_errno);
		return;
	}
	assert_int_equal(caps.zerocopy_errno, 0);
	assert_int_equal(caps.no_pad_errno, 0);
	assert_true(caps.rekey_tx_errno == 0 || caps.rekey_tx_errno == EBUSY);
	assert_int_equal(caps.rekey_tx_errno, caps.rekey_rx_errno);
	assert_true(caps.max_payload_errno == 0 || caps.max_payload_errno == ENOPROTOOPT);
	for (int i = 0; i < caps.n_suites; i++) {
		int want = suite_at((size_t)i)->kernel_cipher ? 0 : EOPNOTSUPP;

		assert_int_equal(caps.suites[i].kernel_tx_errno, want);
		assert_int_equal(caps.suites[i].kernel_rx_errno, want);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(probe_of_a_new_kernel),         TEST(probe_of_an_older_kernel),
		TEST(probe_without_tls13),           TEST(probe_without_the_strongest_suite),
		TEST(probe_without_ktls_is_cheap),   TEST(probe_over_ipv6_alone),
		TEST(probe_without_loopback),        TEST(probe_survives_signals),
		TEST(probe_with_every_call_failing), TEST(probe_without_secret_memory),
		TEST(probe_of_this_kernel),
	};

	return cmocka_run_group_tests_name("unit/probe", tests, NULL, NULL);
}
