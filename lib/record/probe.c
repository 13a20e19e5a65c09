/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start-up probe: what this kernel's TLS takes, found by trying it on loopback connections of
 * which both ends are this process's. Called once when the library starts. Must never send or read
 * a byte, use a key that means anything, leave a descriptor behind, or block for long where
 * loopback is filtered.
 *
 * System calls: 5 for the listener, 5 per attached connection (one for each pair of version and
 * cipher, one for the options), 2 for the keys of each pair, 7 for the options. With the 3 ciphers
 * in 2 versions that makes 59. A kernel without TLS costs 10. tests/unit/probe.c counts them.
 */
#include "record/ktls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/time.h>

#include "core/secret.h"
#include "core/sys.h"
#include "record/record.h"
#include "record/suite.h"
#include "record/traffic.h"

#define CONNECT_TIMEOUT_S 1 /* loopback takes microseconds, unless a packet filter drops */
#define CONNECT_TRIES 8     /* against signals */

/* A listener on loopback, and where it is reached. */
struct loopback {
	int fd;
	socklen_t addr_len;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} addr;
};

/* Returns 0 or a positive errno, as all that follows. */
static int loopback_open(struct loopback *ret_loopback, int family)
{
	struct loopback loopback = { .fd = -1 };
	int err = 0;

	if (family == AF_INET) {
		loopback.addr.v4.sin_family = AF_INET;
		loopback.addr.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		loopback.addr_len = sizeof(loopback.addr.v4);
	} else {
		loopback.addr.v6.sin6_family = AF_INET6;
		loopback.addr.v6.sin6_addr = in6addr_loopback;
		loopback.addr_len = sizeof(loopback.addr.v6);
	}

	loopback.fd = sys->socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	if (loopback.fd < 0 || sys->bind(loopback.fd, &loopback.addr.any, loopback.addr_len) < 0 ||
	    sys->listen(loopback.fd, SLUICE_MAX_SUITES) < 0 ||
	    sys->getsockname(loopback.fd, &loopback.addr.any, &loopback.addr_len) < 0) {
		err = errno;
		if (loopback.fd >= 0)
			sys->close(loopback.fd);
		return err;
	}
	*ret_loopback = loopback;
	return 0;
}

/*
 * Makes one connection. Its other end stays in the listener's queue: nothing is exchanged, and an
 * end that was never accepted needs no descriptor and cannot be a stranger's.
 */
static int connection_open_once(const struct loopback *loopback, int *ret_fd)
{
	const struct timeval timeout = { .tv_sec = CONNECT_TIMEOUT_S };
	int fd = sys->socket(loopback->addr.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	int err;

	if (fd < 0)
		return errno;
	/* The time-out of connect(2), see socket(7); it ends in EINPROGRESS. */
	if (sys->setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    sys->connect(fd, &loopback->addr.any, loopback->addr_len) < 0) {
		err = errno == EINPROGRESS ? ETIMEDOUT : errno;
		sys->close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

/* A connect(2) that a signal ended cannot be made again on the same socket. */
static int connection_open(const struct loopback *loopback, int *ret_fd)
{
	int err = EINTR;

	for (int i = 0; i < CONNECT_TRIES && err == EINTR; i++)
		err = connection_open_once(loopback, ret_fd);
	return err;
}

/* Listens in the first address family in which a connection can be made, and makes one. */
static int loopback_find(struct loopback *ret_loopback, int *ret_fd)
{
	static const int families[] = { AF_INET, AF_INET6 };
	int err = 0;

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct loopback loopback;

		err = loopback_open(&loopback, families[i]);
		if (err)
			continue;
		err = connection_open(&loopback, ret_fd);
		if (!err) {
			*ret_loopback = loopback;
			return 0;
		}
		sys->close(loopback.fd);
	}
	return err;
}

static int install_random(int fd, enum ktls_direction dir, const struct suite *suite,
			  struct traffic *scratch)
{
	scratch->suite = suite;
	RAND_bytes(scratch->key, sizeof(scratch->key));
	RAND_bytes(scratch->iv, sizeof(scratch->iv));
	return ktls_install(fd, dir, scratch);
}

static void probe_suite(const struct loopback *loopback, const struct suite *suite,
			struct traffic *scratch, struct sluice_suite_caps *caps)
{
	int fd = -1;
	int err;

	err = connection_open(loopback, &fd);
	if (!err)
		err = ktls_attach(fd);
	caps->kernel_tx_errno = err ? err : install_random(fd, KTLS_TX, suite, scratch);
	caps->kernel_rx_errno = err ? err : install_random(fd, KTLS_RX, suite, scratch);
	if (fd >= 0)
		sys->close(fd);
}

/* Returns the row before @i that has been probed for the same cipher and version, or NULL. */
static const struct sluice_suite_caps *probed_before(const struct sluice_capabilities *caps, int i)
{
	const struct suite *suite = suite_at((size_t)i);

	for (int j = 0; j < i; j++) {
		const struct suite *other = suite_at((size_t)j);

		if (other->kernel_cipher == suite->kernel_cipher &&
		    other->version == suite->version)
			return &caps->suites[j];
	}
	return NULL;
}

static void probe_suites(const struct loopback *loopback, struct traffic *scratch,
			 struct sluice_capabilities *caps)
{
	for (int i = 0; i < caps->n_suites; i++) {
		const struct suite *suite = suite_at((size_t)i);
		const struct sluice_suite_caps *before = probed_before(caps, i);

		if (suite->kernel_cipher == 0)
			continue;
		if (before) {
			caps->suites[i].kernel_tx_errno = before->kernel_tx_errno;
			caps->suites[i].kernel_rx_errno = before->kernel_rx_errno;
		} else {
			probe_suite(loopback, suite, scratch, &caps->suites[i]);
		}
	}
}

/* Returns a TLS 1.3 suite for rekeying, of which the table has some: one that can be installed, if
 * there is one. */
static const struct suite *rekey_suite(const struct sluice_capabilities *caps)
{
	const struct suite *any = NULL;

	for (int i = 0; i < caps->n_suites; i++) {
		const struct sluice_suite_caps *row = &caps->suites[i];

		if (row->version != TLS13)
			continue;
		if (row->kernel_tx_errno == 0 && row->kernel_rx_errno == 0)
			return suite_at((size_t)i);
		if (!any)
			any = suite_at((size_t)i);
	}
	return any;
}

/* @fd is attached and has no keys. */
static void probe_options(int fd, const struct suite *suite, struct traffic *scratch,
			  struct sluice_capabilities *caps)
{
	int tx_err = install_random(fd, KTLS_TX, suite, scratch);
	int rx_err = install_random(fd, KTLS_RX, suite, scratch);

	caps->zerocopy_errno = ktls_set_option(fd, KTLS_ZEROCOPY_RO, 1);
	caps->max_payload_errno = ktls_set_option(fd, KTLS_MAX_PAYLOAD, RECORD_MAX_PLAIN);
	caps->no_pad_errno = rx_err ? rx_err : ktls_set_option(fd, KTLS_NO_PAD, 1);
	caps->rekey_tx_errno = tx_err ? tx_err : install_random(fd, KTLS_TX, suite, scratch);
	caps->rekey_rx_errno = rx_err ? rx_err : install_random(fd, KTLS_RX, suite, scratch);
}

/* Lists the suites, with @err for all that the kernel would have to be asked for. */
static void caps_init(struct sluice_capabilities *caps, int err)
{
	const struct suite *suite;
	int n = 0;

	caps->ktls_errno = err;
	caps->rekey_tx_errno = err;
	caps->rekey_rx_errno = err;
	caps->no_pad_errno = err;
	caps->max_payload_errno = err;
	caps->zerocopy_errno = err;
	for (; n < SLUICE_MAX_SUITES && (suite = suite_at((size_t)n)); n++) {
		int suite_err = suite->kernel_cipher ? err : EOPNOTSUPP;

		caps->suites[n] = (struct sluice_suite_caps){
			.id = suite->id,
			.version = suite->version,
			.name = suite->name,
			.kernel_tx_errno = suite_err,
			.kernel_rx_errno = suite_err,
		};
	}
	caps->n_suites = n;
}

void ktls_probe(struct sluice_capabilities *ret_caps)
{
	struct traffic *scratch = secret_new(sizeof(*scratch));
	struct loopback loopback = { .fd = -1 };
	int fd = -1;
	int err = ENOMEM;

	if (scratch)
		err = loopback_find(&loopback, &fd);
	if (!err)
		err = ktls_attach(fd);
	caps_init(ret_caps, err);
	if (err)
		goto out;

	probe_suites(&loopback, scratch, ret_caps);
	probe_options(fd, rekey_suite(ret_caps), scratch, ret_caps);
out:
	if (fd >= 0)
		sys->close(fd);
	if (loopback.fd >= 0)
		sys->close(loopback.fd);
	secret_free(scratch);
}
