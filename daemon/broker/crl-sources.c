// SPDX-License-Identifier: Apache-2.0
/*
 * Files of revocation lists. Of a directory those that end in .crl or .pem, or as c_rehash(1) names them:
 * eight hex digits, .r and a number.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/crls.h"

#define MAX_SOURCES CRL_SET_MAX
#define HASH_LEN 8

/* --- lists ------------------------------------------------------------------------------------------ */

static int compare(const struct crl_source *source, const char *path, const char *uri)
{
	int order = strcmp(source->path, path);

	return order ? order : strcmp(source->uri ? source->uri : "", uri ? uri : "");
}

/* Where in by_name it is, or would be. */
static size_t find_place(const struct crl_sources *sources, const char *path, const char *uri)
{
	size_t low = 0, high = sources->n, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (compare(&sources->items[sources->by_name[middle]], path, uri) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct crl_source *crl_sources_find(const struct crl_sources *sources, const char *path,
				    const char *uri)
{
	size_t at = find_place(sources, path, uri);
	struct crl_source *source;

	if (at == sources->n)
		return NULL;
	source = &sources->items[sources->by_name[at]];
	return compare(source, path, uri) ? NULL : source;
}

static bool make_room(struct crl_sources *sources)
{
	size_t size = sources->n ? 2 * sources->n : 1;
	struct crl_source *items;
	uint16_t *by_name;

	if (sources->n >= MAX_SOURCES)
		return false;
	if (sources->n & (sources->n - 1)) /* it grows at powers of two, and at nothing */
		return true;
	items = realloc(sources->items, size * sizeof(*items));
	if (items)
		sources->items = items;
	by_name = realloc(sources->by_name, size * sizeof(*by_name));
	if (by_name)
		sources->by_name = by_name;
	return items && by_name;
}

static void free_source(struct crl_source *source)
{
	free(source->path);
	free(source->uri);
	free(source->problem);
	if (source->fd >= 0)
		close(source->fd);
}

struct crl_source *crl_sources_add(struct crl_sources *sources, enum crl_kind kind,
				   const char *path, const char *uri, int fd)
{
	struct crl_source source = { .kind = kind, .path = strdup(path), .fd = fd };
	size_t at;

	if (uri)
		source.uri = strdup(uri);
	if (!source.path || (uri && !source.uri) || !make_room(sources)) {
		free_source(&source);
		return NULL;
	}
	at = find_place(sources, path, uri);
	memmove(sources->by_name + at + 1, sources->by_name + at,
		(sources->n - at) * sizeof(*sources->by_name));
	sources->by_name[at] = (uint16_t)sources->n;
	sources->items[sources->n] = source;
	return &sources->items[sources->n++];
}

void crl_sources_drop(struct crl_sources *sources, size_t i)
{
	struct crl_source *source = &sources->items[i];
	size_t from, to = 0;

	for (from = 0; from < sources->n; from++)
		if (sources->by_name[from] != i)
			sources->by_name[to++] =
				(uint16_t)(sources->by_name[from] - (sources->by_name[from] > i));
	free_source(source);
	memmove(source, source + 1, (--sources->n - i) * sizeof(*source));
}

void crl_sources_free(struct crl_sources *sources)
{
	while (sources->n)
		free_source(&sources->items[--sources->n]);
	free(sources->items);
	free(sources->by_name);
	*sources = (struct crl_sources){ 0 };
}

/* --- what there is -------------------------------------------------------------------------------- */

static bool is_hashed(const char *name)
{
	size_t i;

	for (i = 0; i < HASH_LEN; i++)
		if (!isxdigit((unsigned char)name[i]))
			return false;
	return name[HASH_LEN] == '.' && name[HASH_LEN + 1] == 'r' && name[HASH_LEN + 2] &&
	       !name[HASH_LEN + 2 + strspn(name + HASH_LEN + 2, "0123456789")];
}

static bool is_crl_name(const char *name)
{
	size_t len = strlen(name);

	if (name[0] == '.' || len < 5)
		return false;
	return !strcmp(name + len - 4, ".crl") || !strcmp(name + len - 4, ".pem") ||
	       is_hashed(name);
}

static int add_dir(struct crl_sources *sources, const char *path)
{
	DIR *dir = opendir(path);
	char name[PATH_MAX];
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (errno = 0, entry = readdir(dir))) {
		if (!is_crl_name(entry->d_name) ||
		    snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) >=
			    (int)sizeof(name) ||
		    crl_sources_find(sources, name, NULL))
			continue;
		if (!crl_sources_add(sources, CRL_DIR, name, NULL, -1))
			r = sources->n < MAX_SOURCES ? -ENOMEM : -EMFILE;
	}
	if (!entry && errno)
		r = -errno;
	closedir(dir);
	return r;
}

static int keep_kind(struct crl_sources *sources, const struct crl_sources *old, enum crl_kind kind)
{
	size_t i;

	for (i = 0; i < old->n; i++)
		if (old->items[i].kind == kind &&
		    !crl_sources_find(sources, old->items[i].path, old->items[i].uri) &&
		    !crl_sources_add(sources, kind, old->items[i].path, old->items[i].uri, -1))
			return -ENOMEM;
	return 0;
}

static int carry_over(struct crl_source *source, const struct crl_source *old)
{
	if (!old)
		return 0;
	source->tried = old->tried;
	source->n = old->n;
	if (old->problem && !(source->problem = strdup(old->problem)))
		return -ENOMEM;
	return 0;
}

int crl_sources_plan(struct crl_sources *ret_sources, const struct crl_sources *old,
		     const struct config *config, int *ret_err)
{
	struct crl_sources sources = { 0 };
	size_t i;
	int r = 0;

	*ret_err = 0;
	for (i = 0; r == 0 && i < config->crls.n_files; i++)
		if (!crl_sources_find(&sources, config->crls.files[i], NULL) &&
		    !crl_sources_add(&sources, CRL_FILE, config->crls.files[i], NULL, -1))
			r = -ENOMEM;
	for (i = 0; r == 0 && i < config->crls.n_urls; i++)
		if (!crl_sources_find(&sources, config->crls.urls[i], NULL) &&
		    !crl_sources_add(&sources, CRL_URL, config->crls.urls[i], NULL, -1))
			r = -ENOMEM;
	if (r == 0 && config->crls.dir)
		*ret_err = -add_dir(&sources, config->crls.dir);
	if (r == 0 && *ret_err)
		r = keep_kind(&sources, old, CRL_DIR);
	if (r == 0)
		r = keep_kind(&sources, old, CRL_ADDED);
	for (i = 0; r == 0 && i < sources.n; i++)
		r = carry_over(&sources.items[i],
			       crl_sources_find(old, sources.items[i].path, sources.items[i].uri));
	if (r < 0)
		crl_sources_free(&sources);
	else
		*ret_sources = sources;
	return r;
}

/* --- one file --------------------------------------------------------------------------------------- */

void crl_source_problem(struct crl_source *source, const char *text)
{
	free(source->problem);
	source->problem = text ? strdup(text) : NULL;
}

/* Of the moment: the file may be as good as any. */
static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM;
}

void crl_source_untried(struct crl_source *source)
{
	source->tried = (struct stamp){ 0 };
}

/* Not blocking: what is named may be a FIFO by mistake. */
int crl_source_open(struct crl_source *source, const struct crl_source *old)
{
	const char *wrong = NULL;
	struct stamp now;
	struct stat st;
	int fd, err = 0;

	if (source->kind == CRL_ADDED || source->kind == CRL_URL) {
		fd = source->fd;
		source->fd = -1;
		return fd;
	}
	stamp_path(&now, source->path);
	if (old && stamp_same(&now, &source->tried))
		return -1;
	fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st))
		err = errno;
	else if (!S_ISREG(st.st_mode))
		wrong = "not a file";
	if (!err && !wrong) {
		stamp_of(&source->tried, fd);
		return fd;
	}
	if (fd >= 0)
		close(fd);
	source->tried = now;
	crl_source_problem(source, err ? strerror(err) : wrong);
	if (!is_shortage(err))
		return -2;
	crl_source_untried(source);
	return -3;
}
