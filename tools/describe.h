/* SPDX-License-Identifier: Apache-2.0 */
/* One connection's facts, as JSON and as text: the same words in every command. */
#ifndef TOOLS_DESCRIBE_H
#define TOOLS_DESCRIBE_H

#include <stdio.h>

#include <json-c/json.h>
#include <sluice/sluice.h>

/* describe_kind() returns the name of an enum sluice_kind. */
const char *describe_kind(int kind);

/* describe_error() makes an object of an error; NULL when there is no memory. */
struct json_object *describe_error(const struct sluice_error *err);

/* describe_conn() makes an object of a connection's facts; NULL when there is no memory. */
struct json_object *describe_conn(const struct sluice_conn_info *info);

/* describe_conn_text() writes the same facts as one line of `name=value` words. */
void describe_conn_text(const struct sluice_conn_info *info, char *buf, size_t buf_len);

/* describe_path() writes "kernel", or "user (suite)": the path and why it is not the kernel's. */
void describe_path(const struct sluice_direction *direction, char *buf, size_t buf_len);

/* describe_addr() writes "192.0.2.1:443" or "[2001:db8::1]:443". */
void describe_addr(const struct sockaddr *addr, char *buf, size_t buf_len);

/* describe_print() prints an object as one line and drops it. NULL is fine. */
void describe_print(struct json_object *object, FILE *out);

#endif
