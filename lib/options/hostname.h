/* SPDX-License-Identifier: Apache-2.0 */
/* Names of SNI hosts: what they may be, and under which names a server name is looked for. */
#ifndef SLUICE_OPTIONS_HOSTNAME_H
#define SLUICE_OPTIONS_HOSTNAME_H

#include <stdbool.h>
#include <stddef.h>

#define HOST_NAME_LONGEST 253 /* RFC 1035, 2.3.4: 255 bytes on the wire */

/*
 * host_name_fault() tells what is wrong with a name in lower case, and what to do; NULL: nothing. It is
 * exact, or a wildcard that stands for one label ("*.example.org").
 */
const char *host_name_fault(const char *host);

/*
 * host_name_fold() copies a server name as a client sent it, in the lower case that hosts are kept in.
 * Returns its length; 0: it is empty, or longer than the name of any host.
 */
size_t host_name_fold(char out[HOST_NAME_LONGEST + 1], const char *name);

/*
 * host_name_wildcard() turns a folded name into the wildcard that stands for it, in place: the second
 * and last name to look for. Returns where that begins, or NULL: there is only one label.
 */
const char *host_name_wildcard(char *name);

#endif
