/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel that takes one set of keys for each direction and no other, as those before 6.14 do;
 * newer ones are made to by this, through the seam of system calls.
 */
#ifndef SLUICE_TESTS_OLD_KERNEL_H
#define SLUICE_TESTS_OLD_KERNEL_H

#include <errno.h>
#include <string.h>

#include "core/sys.h"
#include "support/pair.h"

#define OLD_KERNEL_SOL_TLS 282
#define OLD_KERNEL_TX 1
#define OLD_KERNEL_RX 2

static struct sys_ops old_kernel;
static uint8_t old_kernel_keys[1024]; /* by descriptor: what is installed */

static int old_kernel_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	bool is_key = level == OLD_KERNEL_SOL_TLS &&
		      (name == OLD_KERNEL_TX || name == OLD_KERNEL_RX);
	int r;

	assert_true(fd >= 0 && (size_t)fd < sizeof(old_kernel_keys));
	if (is_key && (old_kernel_keys[fd] & name)) {
		errno = EBUSY;
		return -1;
	}
	r = sys_real.setsockopt(fd, level, name, value, len);
	if (r == 0 && is_key)
		old_kernel_keys[fd] |= name;
	return r;
}

static int old_kernel_close(int fd)
{
	if (fd >= 0 && (size_t)fd < sizeof(old_kernel_keys))
		old_kernel_keys[fd] = 0;
	return sys_real.close(fd);
}

static inline void old_kernel_end(void)
{
	sys = &sys_real;
}

/*
 * old_kernel_begin() opens a pair with @options at both ends on the kernel path of such a kernel;
 * old_kernel_end() after pair_close(). False, after a message, where the kernel has no TLS.
 */
static inline bool old_kernel_begin(struct pair *pair, const char *options)
{
	struct sluice_capabilities caps;

	if (!pair_path(1)) {
		print_message("skipped: this kernel has no TLS\n");
		return false;
	}
	memset(old_kernel_keys, 0, sizeof(old_kernel_keys));
	old_kernel = sys_real;
	old_kernel.setsockopt = old_kernel_setsockopt;
	old_kernel.close = old_kernel_close;
	sys = &old_kernel;
	pair_open(pair,
		  &(struct pair_setup){ .server_options = options, .client_options = options });
	assert_int_equal(sluice_capabilities(pair->sluice, &caps, sizeof(caps)), 0);
	assert_int_equal(caps.rekey_tx_errno, EBUSY);
	return true;
}

#endif
