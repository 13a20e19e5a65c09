/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a catalogue (common/catalog.h), entry by entry. */
#ifndef SLUICED_COMMON_CATALOG_WRITE_H
#define SLUICED_COMMON_CATALOG_WRITE_H

#include "common/catalog.h"

struct catalog_slot;

/* struct catalog_writer - the file, what is not written yet, and the names so far. */
struct catalog_writer {
	int fd;
	uint8_t *buf;
	size_t buf_len;
	uint64_t at; /* in the file, of what comes next */
	uint64_t *profiles;
	size_t n_profiles;
	struct catalog_slot *slots;
	size_t n_slots;
	uint64_t entry; /* the last one */
};

/* catalog_write_begin() makes the file. All return 0 or a negative error: NOMEM, RANGE, INVALID. */
int catalog_write_begin(struct catalog_writer *writer);

/*
 * catalog_write() appends an entry: a message as wire_end() leaves it. Hosts come behind their profile.
 * writer->entry is where it is in the file.
 */
int catalog_write(struct catalog_writer *writer, enum catalog_entry type, const struct wire *wire);

/*
 * catalog_write_name() makes @name a host, served by the last entry. It and @source are borrowed until the end;
 * of two entries with one name in a profile the first has it.
 */
int catalog_write_name(struct catalog_writer *writer, const char *name, size_t name_len,
		       const void *source);

/*
 * catalog_write_end() writes the index and seals the file, whose descriptor it returns. @conflict is
 * called for each name that an entry does not get, with the sources of both; for entries without a
 * source it is not.
 */
int catalog_write_end(struct catalog_writer *writer,
		      void (*conflict)(void *arg, const char *name, size_t name_len,
				       const void *first, const void *second),
		      void *arg);

/* catalog_write_free() frees what there is, whether it was ended or not. */
void catalog_write_free(struct catalog_writer *writer);

#endif
