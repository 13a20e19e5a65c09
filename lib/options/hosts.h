/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SNI hosts of a server: as an option set lists them, and as its profile has them, each with a profile of
 * its own that is laid over the server's.
 */
#ifndef SLUICE_OPTIONS_HOSTS_H
#define SLUICE_OPTIONS_HOSTS_H

#include <stddef.h>

#include <sluice/options.h>

#include "options/hostname.h"
#include "options/sets.h"

struct host_table;

/*
 * host_table_new() builds the profiles of all hosts of @list over @base, which has none itself.
 * Errors: OPTION_CONFLICT (a name twice), OPTION_TOO_LATE, and those of a profile; the text names the host.
 */
int host_table_new(struct host_table **ret_table, struct set_list *list,
		   const struct sluice_profile *base, struct sluice_error *ret_err);

struct host_table *host_table_ref(struct host_table *table);
struct host_table *host_table_unref(struct host_table *table);

/* struct host - one of a table; borrowed from it. */
struct host {
	const char *name;
	const struct sluice_options *opts; /* over those of the server */
	struct sluice_profile *profile; /* both, as they were when the server's profile was built */
};

/* host_table_find() returns the host for @server_name, or NULL. */
const struct host *host_table_find(const struct host_table *table, const char *server_name);

#endif
