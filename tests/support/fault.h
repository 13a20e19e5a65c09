/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of system calls that fail on demand. fault_install() puts it in force; until something is
 * armed it only counts and passes every call on to sys_real. Safe to use from several threads,
 * except that arming and resetting belong to one.
 *
 * The usual loop drives one operation through a failure at every call it makes:
 *
 *	for (unsigned int nth = 1;; nth++) {
 *		fault_reset();
 *		fault_arm("mmap", nth, ENOMEM);
 *		r = operation();
 *		if (!fault_hits("mmap"))
 *			break;
 *		assert_int_equal(r, -SLUICE_E_NOMEM);
 *		assert_int_equal(fault_open_fds(), fds_before);
 *	}
 */
#ifndef SLUICE_TESTS_SUPPORT_FAULT_H
#define SLUICE_TESTS_SUPPORT_FAULT_H

#include <stddef.h>
#include <stdint.h>

#include "core/sys.h"

/* fault_sys is the table itself; a test that replaces single calls may copy it. */
extern const struct sys_ops fault_sys;

/* fault_install() resets everything and puts fault_sys in force; fault_uninstall() sys_real. */
void fault_install(void);
void fault_uninstall(void);

/* fault_reset() disarms every call, forgets the counts and sets the clocks right. */
void fault_reset(void);

/*
 * fault_arm() makes the @nth call (1 is the next one; 0 disarms) of the member named @call fail with errno
 * @err; one call fails, later ones work again. Without effect on the kernel: nothing is consumed,
 * opened or sent. close() is the exception, it closes and then reports, as Linux does.
 * now_us() and wall_s() cannot fail: from the armed call on their clock is @err seconds ahead.
 * A name that is not a member of struct sys_ops aborts the test.
 */
void fault_arm(const char *call, unsigned int nth, int err);

/* fault_arm_from() makes the @nth and every later call fail. */
void fault_arm_from(const char *call, unsigned int nth, int err);

/*
 * fault_limit() makes recvmsg, sendmsg, sendfile, pread, read or write move at most @max bytes at
 * a time; 0 lifts the limit.
 */
void fault_limit(const char *call, size_t max);

/* fault_advance_us() moves the clock of now_us() forward, and wall_s() by the full seconds. */
void fault_advance_us(uint64_t us);

/* fault_count() returns how often @call was made since the last reset, failed calls included. */
unsigned int fault_count(const char *call);

/* fault_hits() returns how many of them were made to fail. */
unsigned int fault_hits(const char *call);

/* fault_call_name() returns the @i-th member's name, NULL at the end: to loop over all calls. */
const char *fault_call_name(unsigned int i);

/* fault_open_fds() returns how many descriptors this process has open. */
int fault_open_fds(void);

#endif
