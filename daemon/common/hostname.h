/* SPDX-License-Identifier: Apache-2.0 */
/* Names of SNI hosts: those of the configuration and those in certificates. */
#ifndef SLUICED_COMMON_HOSTNAME_H
#define SLUICED_COMMON_HOSTNAME_H

#define HOST_NAME_LONGEST 253 /* RFC 1035, 2.3.4: 255 bytes on the wire */

/*
 * host_name_fault() tells what is wrong with a name in lower case, and what to do; NULL: nothing. It is
 * exact, or a wildcard that stands for one label ("*.example.org").
 */
const char *host_name_fault(const char *host);

#endif
