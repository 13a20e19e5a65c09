/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines for logs, with values that peers chose: whatever is in them, a line stays one line, and its
 * keys are ours.
 */
#ifndef SLUICED_COMMON_TEXT_H
#define SLUICED_COMMON_TEXT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

/* text_address() writes 192.0.2.1:443 or [2001:db8::1]:443; IPv4 is mapped. Returns @out. */
#define TEXT_ADDRESS_LEN (INET6_ADDRSTRLEN + 10)
const char *text_address(char out[TEXT_ADDRESS_LEN], const struct sockaddr_in6 *addr);

/* struct text_field - a key and its value. NULL: not known, and left out. */
struct text_field {
	const char *key; /* lower case letters and '_' */
	const char *value;
	bool in_message; /* the message says it already */
};

#define TEXT_MAX_VALUE 255 /* bytes of a value; what follows is cut */

/*
 * text_value() writes a value as it stands behind `key=`: as it is if it is of printable ASCII without
 * blank, quote, backslash and `=`; else in quotes, \" and \\ and \xNN for what is not printable ASCII.
 * Returns its length; what has no room is left out whole and is 0.
 */
size_t text_value(char *out, size_t out_size, const char *value);

/* text_line() writes "message: key=value key=value"; fields for which there is no room are left out. */
size_t text_line(char *out, size_t out_size, const char *message, const struct text_field *fields,
		 size_t n_fields);

/*
 * text_journal() writes an entry of the journal's native protocol (systemd, "Native Journal Protocol"):
 * MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, and each field as SLUICE_KEY. All values have their length
 * before them, so that none can end early. Returns the bytes; fields without room are left out.
 */
size_t text_journal(char *out, size_t out_size, int priority, const char *message,
		    const struct text_field *fields, size_t n_fields);

#endif
