/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of option sets: the hosts of sni_hosts, by name, and the certificates of certs_keys. */
#ifndef SLUICE_OPTIONS_SETS_H
#define SLUICE_OPTIONS_SETS_H

#include <stddef.h>

#include <sluice/options.h>

struct set_list;

/*
 * set_list_add() appends a copy of @opts to a list that may be NULL, and may be shared by copies of its
 * option set: they keep what they have. On failure, also for more than @max, the list is what it was.
 * Errors: OPTION_RANGE, NOMEM.
 */
int set_list_add(struct set_list **list, const char *name, const struct sluice_options *opts,
		 size_t max);

/* set_list_ref() takes another reference; set_list_unref() drops one. NULL is fine. */
struct set_list *set_list_ref(struct set_list *list);
struct set_list *set_list_unref(struct set_list *list);

/* set_list_count() tells how many there are; set_list_at() and set_list_name() borrow one. */
size_t set_list_count(const struct set_list *list);
const struct sluice_options *set_list_at(const struct set_list *list, size_t i);
const char *set_list_name(const struct set_list *list, size_t i);

#endif
