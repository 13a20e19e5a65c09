// SPDX-License-Identifier: Apache-2.0
/* Sets of certificates: all that one catalogue names. */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "broker/certs.h"

static int by_files(const void *a, const void *b)
{
	const struct cert *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	if (!order)
		order = strcmp(x->key_path, y->key_path);
	return order ? order : memcmp(x->password, y->password, sizeof(x->password));
}

static void unref_static(void *cert)
{
	cert_unref(cert);
}

static void free_dir(struct cert_dir *dir)
{
	size_t i;

	for (i = 0; i < dir->n; i++)
		cert_file_unref(dir->files[i]);
	free(dir->files);
	free(dir->path);
}

void cert_set_free(struct cert_set *set)
{
	size_t i;

	if (!set)
		return;
	for (i = 0; i < set->n_profiles; i++)
		free(set->profiles[i].hosts);
	for (i = 0; i < set->n_dirs; i++)
		free_dir(&set->dirs[i]);
	tdestroy(set->statics, unref_static);
	free(set->profiles);
	free(set->dirs);
	free(set);
}

struct cert_dir *cert_set_dir(const struct cert_set *set, const char *path)
{
	size_t i;

	for (i = 0; set && i < set->n_dirs; i++)
		if (strcmp(set->dirs[i].path, path) == 0)
			return &set->dirs[i];
	return NULL;
}

/* Two profiles may have the same directory. */
static bool add_dir(struct cert_set *set, struct cert_profile *profile, const char *path)
{
	if (!path)
		return true;
	profile->dir = cert_set_dir(set, path);
	if (profile->dir)
		return true;
	profile->dir = &set->dirs[set->n_dirs];
	*profile->dir = (struct cert_dir){ .path = strdup(path), .wd = -1 };
	if (!profile->dir->path)
		return false;
	set->n_dirs++;
	return true;
}

struct cert_set *cert_set_new(const struct config *config)
{
	struct cert_set *set = calloc(1, sizeof(*set));
	size_t i, n = config->n_profiles;

	if (!set)
		return NULL;
	set->profiles = calloc(n + 1, sizeof(*set->profiles));
	set->dirs = calloc(n + 1, sizeof(*set->dirs));
	for (i = 0; set->profiles && set->dirs && i < n; i++) {
		set->profiles[i].hosts =
			calloc(config->profiles[i].n_hosts + 1, sizeof(struct cert_list));
		set->n_profiles++;
		if (!set->profiles[i].hosts ||
		    !add_dir(set, &set->profiles[i], config->profiles[i].hosts_dir))
			break;
	}
	if (set->n_profiles == n && i == n && set->profiles && set->dirs)
		return set;
	cert_set_free(set);
	return NULL;
}

struct cert *cert_set_find(const struct cert_set *set, const struct cert *like)
{
	struct cert **found = set ? tfind(like, &set->statics, by_files) : NULL;

	return found ? *found : NULL;
}

int cert_set_add(struct cert_set *set, struct cert *cert)
{
	if (!tsearch(cert, &set->statics, by_files))
		return -1;
	cert_ref(cert);
	return 0;
}

static void move(struct cert *cert, const uint8_t *map)
{
	cert->public = map + cert->at;
	free(cert->own);
	cert->own = NULL;
}

static void move_static(const void *node, VISIT visit, void *map)
{
	if (visit == preorder || visit == leaf)
		move(*(struct cert *const *)node, map);
}

void cert_set_moved(struct cert_set *set, const uint8_t *map)
{
	size_t i, j;

	twalk_r(set->statics, move_static, (void *)map);
	for (i = 0; i < set->n_dirs; i++)
		for (j = 0; j < set->dirs[i].n; j++)
			if (set->dirs[i].files[j]->cert)
				move(set->dirs[i].files[j]->cert, map);
}
