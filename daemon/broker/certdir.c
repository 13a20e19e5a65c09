// SPDX-License-Identifier: Apache-2.0
/*
 * Directories of certificates. NAME.pem has a certificate with its chain; its key is in NAME.key, or
 * where there is no such file in NAME.pem too. Names that begin with a dot and all others are passed over.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker/certs.h"

#define MAX_FILES 100000
#define SUFFIX_LEN 4 /* ".pem", ".key" */

struct cert_file *cert_file_new(const char *stem)
{
	struct cert_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->refs = 1;
	file->stem = strdup(stem);
	if (file->stem)
		return file;
	free(file);
	return NULL;
}

struct cert_file *cert_file_ref(struct cert_file *file)
{
	file->refs++;
	return file;
}

void cert_file_unref(struct cert_file *file)
{
	if (--file->refs)
		return;
	cert_unref(file->cert);
	free(file->stem);
	free(file->problem);
	free(file->conflict);
	free(file);
}

int cert_dir_add(struct cert_dir *dir, struct cert_file *file)
{
	size_t size = dir->size ? 2 * dir->size : 16;
	struct cert_file **files;

	if (dir->n == dir->size) {
		files = realloc(dir->files, size * sizeof(struct cert_file *));
		if (!files) {
			cert_file_unref(file);
			return -1;
		}
		dir->files = files;
		dir->size = size;
	}
	dir->files[dir->n++] = file;
	return 0;
}

/* --- what is there --------------------------------------------------------------------------------- */

int found_put(struct found_list *list, const char *stem, bool pem, bool key)
{
	size_t size = list->size ? 2 * list->size : 64;
	struct found *items;

	if (list->n == 2 * MAX_FILES)
		return -EMFILE;
	if (list->n == list->size) {
		items = realloc(list->items, size * sizeof(*items));
		if (!items)
			return -ENOMEM;
		list->items = items;
		list->size = size;
	}
	list->items[list->n] = (struct found){ strdup(stem), pem, key };
	if (!list->items[list->n].stem)
		return -ENOMEM;
	list->n++;
	return 0;
}

static int put_name(struct found_list *list, const char *name)
{
	size_t len = strlen(name);
	char stem[256];
	bool pem, key;

	if (name[0] == '.' || len <= SUFFIX_LEN || len >= sizeof(stem))
		return 0;
	pem = strcmp(name + len - SUFFIX_LEN, ".pem") == 0;
	key = strcmp(name + len - SUFFIX_LEN, ".key") == 0;
	if (!pem && !key)
		return 0;
	memcpy(stem, name, len - SUFFIX_LEN);
	stem[len - SUFFIX_LEN] = '\0';
	return found_put(list, stem, pem, key);
}

int found_all(struct found_list *list, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			r = -errno;
			break;
		}
		r = put_name(list, entry->d_name);
	}
	closedir(dir);
	return r;
}

static bool exists(const char *path, const char *stem, const char *suffix)
{
	char name[4200];
	struct stat st;

	snprintf(name, sizeof(name), "%s/%s%s", path, stem, suffix);
	return lstat(name, &st) == 0;
}

int found_add(struct found_list *list, const char *path, const char *stem)
{
	return found_put(list, stem, exists(path, stem, ".pem"), exists(path, stem, ".key"));
}

static int by_stem(const void *a, const void *b)
{
	return strcmp(((const struct found *)a)->stem, ((const struct found *)b)->stem);
}

/* Sorts, and makes one of the two files of a stem. */
void found_sort(struct found_list *list)
{
	size_t i, n = 0;

	if (list->n)
		qsort(list->items, list->n, sizeof(*list->items), by_stem);
	for (i = 0; i < list->n; i++) {
		if (n && by_stem(&list->items[n - 1], &list->items[i]) == 0) {
			list->items[n - 1].pem |= list->items[i].pem;
			list->items[n - 1].key |= list->items[i].key;
			free(list->items[i].stem);
		} else {
			list->items[n++] = list->items[i];
		}
	}
	list->n = n;
}

void found_free(struct found_list *list)
{
	while (list->n)
		free(list->items[--list->n].stem);
	free(list->items);
	*list = (struct found_list){ 0 };
}
