// SPDX-License-Identifier: Apache-2.0
#include "common/catalog-write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/error.h"
#include "core/secret.h"

#define BUFFER_LEN (256 << 10)
#define MAX_NAMES 10000000u

/* struct catalog_slot - a name before the index is sorted. */
struct catalog_slot {
	const char *text;
	const void *source;
	uint64_t entry;
	uint32_t profile, text_len, order;
};

static int flush(struct catalog_writer *writer)
{
	size_t done = 0;
	ssize_t n;

	while (done < writer->buf_len) {
		n = write(writer->fd, writer->buf + done, writer->buf_len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -SLUICE_E_NOMEM;
		done += (size_t)n;
	}
	writer->buf_len = 0;
	return 0;
}

static int append(struct catalog_writer *writer, const void *bytes, size_t len)
{
	size_t n;
	int r;

	writer->at += len;
	while (len) {
		n = BUFFER_LEN - writer->buf_len < len ? BUFFER_LEN - writer->buf_len : len;
		memcpy(writer->buf + writer->buf_len, bytes, n);
		writer->buf_len += n;
		bytes = (const uint8_t *)bytes + n;
		len -= n;
		r = writer->buf_len == BUFFER_LEN ? flush(writer) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* Makes room for one more in an array that doubles. */
static int grow(void *array_ptr, size_t n, size_t size)
{
	void *bigger, *array;

	if (n & (n - 1))
		return 0;
	memcpy(&array, array_ptr, sizeof(array));
	bigger = realloc(array, (n ? 2 * n : 1) * size);
	if (!bigger)
		return -SLUICE_E_NOMEM;
	memcpy(array_ptr, &bigger, sizeof(bigger));
	return 0;
}

int catalog_write_begin(struct catalog_writer *writer)
{
	static const struct catalog_head empty;

	*writer = (struct catalog_writer){ .fd = -1 };
	writer->buf = malloc(BUFFER_LEN);
	writer->fd = memfd_create("sluice-catalog", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (!writer->buf || writer->fd < 0)
		return -SLUICE_E_NOMEM;
	return append(writer, &empty, sizeof(empty));
}

int catalog_write(struct catalog_writer *writer, enum catalog_entry type, const struct wire *wire)
{
	size_t len = wire_end(wire);
	uint8_t head[4] = { (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16),
			    (uint8_t)(len >> 24) };
	int r;

	if (!len || len > UINT32_MAX)
		return -SLUICE_E_OPTION_RANGE;
	if ((type == CATALOG_HOST || type == CATALOG_FILE) && !writer->n_profiles)
		return -SLUICE_E_INVALID;
	writer->entry = writer->at;
	if (type == CATALOG_PROFILE) {
		r = grow(&writer->profiles, writer->n_profiles, sizeof(*writer->profiles));
		if (r < 0)
			return r;
		writer->profiles[writer->n_profiles++] = writer->entry;
	}
	r = append(writer, head, sizeof(head));
	return r < 0 ? r : append(writer, wire->buf, len);
}

int catalog_write_name(struct catalog_writer *writer, const char *name, size_t name_len,
		       const void *source)
{
	int r;

	if (!writer->n_profiles || name_len > UINT16_MAX)
		return -SLUICE_E_INVALID;
	if (writer->n_slots == MAX_NAMES)
		return -SLUICE_E_OPTION_RANGE;
	r = grow(&writer->slots, writer->n_slots, sizeof(*writer->slots));
	if (r < 0)
		return r;
	writer->slots[writer->n_slots] = (struct catalog_slot){
		.text = name,
		.source = source,
		.entry = writer->entry,
		.profile = (uint32_t)writer->n_profiles - 1,
		.text_len = (uint32_t)name_len,
		.order = (uint32_t)writer->n_slots,
	};
	writer->n_slots++;
	return 0;
}

/* --- the index ------------------------------------------------------------------------------ */

static int by_text(const struct catalog_slot *x, const struct catalog_slot *y)
{
	int order;

	if (x->profile != y->profile)
		return x->profile < y->profile ? -1 : 1;
	order = memcmp(x->text, y->text, x->text_len < y->text_len ? x->text_len : y->text_len);
	if (order)
		return order;
	return x->text_len < y->text_len ? -1 : x->text_len > y->text_len;
}

static int by_name(const void *a, const void *b)
{
	const struct catalog_slot *x = a, *y = b;
	int order = by_text(x, y);

	return order ? order : x->order < y->order ? -1 : 1;
}

/* Sorts the names, and leaves the first of those that are the same. */
static void sort_names(struct catalog_writer *writer,
		       void (*conflict)(void *arg, const char *name, size_t name_len,
					const void *first, const void *second),
		       void *arg)
{
	struct catalog_slot *kept = NULL, *slot = writer->slots, *end = slot + writer->n_slots;

	if (writer->n_slots)
		qsort(slot, writer->n_slots, sizeof(*slot), by_name);
	for (; slot < end; slot++) {
		if (kept && by_text(kept, slot) == 0) {
			if (kept->entry != slot->entry && kept->source && slot->source && conflict)
				conflict(arg, slot->text, slot->text_len, kept->source,
					 slot->source);
			continue;
		}
		kept = kept ? kept + 1 : writer->slots;
		*kept = *slot;
	}
	writer->n_slots = kept ? (size_t)(kept - writer->slots) + 1 : 0;
}

/* Texts first, then the table that points to them. */
static int write_names(struct catalog_writer *writer, struct catalog_head *head)
{
	uint64_t text = writer->at;
	struct catalog_name name;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < writer->n_slots; i++)
		r = append(writer, writer->slots[i].text, writer->slots[i].text_len);
	head->names_at = writer->at;
	head->n_names = (uint32_t)writer->n_slots;
	for (i = 0; r == 0 && i < writer->n_slots; i++) {
		name = (struct catalog_name){ .entry = writer->slots[i].entry,
					      .text = text,
					      .profile = writer->slots[i].profile,
					      .text_len = writer->slots[i].text_len };
		r = append(writer, &name, sizeof(name));
		text += name.text_len;
	}
	return r;
}

int catalog_write_end(struct catalog_writer *writer,
		      void (*conflict)(void *arg, const char *name, size_t name_len,
				       const void *first, const void *second),
		      void *arg)
{
	struct catalog_head head = { .magic = CATALOG_MAGIC,
				     .n_profiles = (uint32_t)writer->n_profiles,
				     .profiles_at = writer->at };
	int fd, r = 0;

	if (writer->n_profiles)
		r = append(writer, writer->profiles, writer->n_profiles * sizeof(uint64_t));
	sort_names(writer, conflict, arg);
	if (r == 0)
		r = write_names(writer, &head);
	if (r == 0)
		r = flush(writer);
	if (r == 0 && pwrite(writer->fd, &head, sizeof(head), 0) != sizeof(head))
		r = -SLUICE_E_NOMEM;
	if (r == 0 && fcntl(writer->fd, F_ADD_SEALS,
			    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
		r = -SLUICE_E_NOMEM;
	if (r < 0)
		return r;
	fd = writer->fd;
	writer->fd = -1;
	return fd;
}

void catalog_write_free(struct catalog_writer *writer)
{
	if (writer->fd >= 0)
		close(writer->fd);
	if (writer->buf)
		secret_wipe(writer->buf, BUFFER_LEN); /* ticket keys went through it */
	free(writer->buf);
	free(writer->profiles);
	free(writer->slots);
	*writer = (struct catalog_writer){ .fd = -1 };
}
