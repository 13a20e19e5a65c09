// SPDX-License-Identifier: Apache-2.0
/*
 * CRLs in a directory, named as c_rehash(1) does: the hash of the issuer's name, and .rN. Called by
 * handshakes in any thread. BoringSSL's own reader keeps what it has read forever, and so a
 * revocation that came later would be missed: this one looks at every file each time, and parses it
 * again when it has changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/error.h"
#include "core/sys.h"
#include "crl/crl.h"

#define MAX_FILES 256 /* of one hash */
#define MAX_DIR 4000  /* bytes; with a file in it no longer than PATH_MAX */
#define N_SLOTS 64    /* files that are kept parsed */

/* struct slot - a file as it was when it was parsed. */
struct slot {
	char *path;
	struct stat st;
	struct crl_list list;
};

static struct slot slots[N_SLOTS];
static unsigned int next_slot;
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;

/* --- arguments -------------------------------------------------------------------------------- */

static const char *dir_of(const char *args)
{
	return !strncmp(args, "dir=", 4) && args[4] ? args + 4 : NULL;
}

static int check_args(void *db, const char *args, struct sluice_error *ret_err)
{
	const char *dir = dir_of(args);

	if (!dir)
		return err_set(ret_err, SLUICE_E_OPTION, "crl_cache: hash_dir needs dir=PATH");
	if (strlen(dir) > MAX_DIR)
		return err_set(ret_err, SLUICE_E_OPTION_RANGE,
			       "crl_cache: dir takes at most %d bytes", MAX_DIR);
	return 0;
}

/* --- files ------------------------------------------------------------------------------------ */

/* Whether nothing was written since; of a link, to what it leads to now. */
static bool is_unchanged(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       !memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) &&
	       !memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim));
}

static int copy_list(struct crl_list *to, const struct crl_list *from)
{
	size_t i;
	int r = 0;

	for (i = 0; !r && i < from->n; i++)
		r = crl_list_add(to, from->crls[i], SLUICE_CRL_MAX_FILE);
	return r;
}

/* Returns 1 with the CRLs of the file if they are kept, 0 if not. Errors: NOMEM. */
static int get_kept(const char *path, const struct stat *st, struct crl_list *list)
{
	size_t i;
	int r = 0;

	pthread_mutex_lock(&slots_lock);
	for (i = 0; !r && i < N_SLOTS; i++) {
		if (!slots[i].path || strcmp(slots[i].path, path) != 0 ||
		    !is_unchanged(&slots[i].st, st))
			continue;
		r = copy_list(list, &slots[i].list);
		r = r < 0 ? r : 1;
	}
	pthread_mutex_unlock(&slots_lock);
	return r;
}

/* Keeps them instead of what was parsed of this file before, or longest ago. */
static void keep(const char *path, const struct stat *st, const struct crl_list *list)
{
	struct slot old, new = { .path = strdup(path), .st = *st };
	size_t i;

	if (!new.path || copy_list(&new.list, list) < 0) {
		crl_list_clear(&new.list);
		free(new.path);
		return; /* parsed again the next time */
	}
	pthread_mutex_lock(&slots_lock);
	for (i = 0; i < N_SLOTS; i++)
		if (slots[i].path && !strcmp(slots[i].path, path))
			break;
	if (i == N_SLOTS)
		i = next_slot++ % N_SLOTS;
	old = slots[i];
	slots[i] = new;
	pthread_mutex_unlock(&slots_lock);
	crl_list_clear(&old.list);
	free(old.path);
}

/* Reads one file. Returns 1, 0 (there is none), or an error: then nobody knows what was in it. */
static int read_file(const char *path, struct crl_list *list)
{
	struct stat before, after;
	int r;

	if (stat(path, &before) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -SLUICE_E_FILE;
	if (!S_ISREG(before.st_mode))
		return -SLUICE_E_FILE;
	r = get_kept(path, &before, list);
	if (r)
		return r;
	r = crl_file_read(list, path, true, NULL);
	if (r < 0)
		return r;
	/* What was written while it was read is read again the next time. */
	if (!stat(path, &after) && is_unchanged(&before, &after))
		keep(path, &before, list);
	return 1;
}

/* --- the operations --------------------------------------------------------------------------- */

/* Adds what is in force and by @issuer: another name can have the same hash. */
static int add_current(struct sluice_crl_found *found, const struct crl_list *list,
		       const X509_NAME *issuer, int64_t now_s)
{
	struct sluice_crl *crl;
	size_t i;
	int r = 0;

	for (i = 0; !r && i < list->n; i++) {
		crl = list->crls[i];
		if (crl->next_update_s >= now_s &&
		    !X509_NAME_cmp(X509_CRL_get_issuer(crl->x509), issuer))
			r = sluice_crl_found_add(found, crl);
	}
	return r;
}

/*
 * Adds the files of a hash up to the first number that is missing. A file that cannot be read makes
 * the answer an error, but does not hide what the files after it revoke.
 */
static int select_hash(const char *dir, const X509_NAME *issuer, uint32_t hash,
		       struct sluice_crl_found *found)
{
	char path[MAX_DIR + sizeof("/01234567.r4294967295")];
	struct crl_list list = { 0 };
	int64_t now_s = sys->wall_s();
	int r = 0, read = 1;
	unsigned int i;

	for (i = 0; read && r != -SLUICE_E_NOMEM && i < MAX_FILES; i++) {
		snprintf(path, sizeof(path), "%s/%08x.r%u", dir, hash, i);
		read = read_file(path, &list);
		if (read > 0)
			read = add_current(found, &list, issuer, now_s) ?: 1;
		if (read < 0)
			r = read;
		crl_list_clear(&list);
	}
	return r;
}

static int select_issuer(void *db, const char *args, const uint8_t *issuer, size_t issuer_len,
			 struct sluice_crl_found *found)
{
	X509_NAME *name = d2i_X509_NAME(NULL, &issuer, (long)issuer_len);
	int r;

	if (!name)
		return err_bssl();
	r = select_hash(dir_of(args), name, (uint32_t)X509_NAME_hash(name), found);
	X509_NAME_free(name);
	return r;
}

const struct sluice_crl_cache_ops sluice_crl_hash_dir_ops = {
	.size = sizeof(struct sluice_crl_cache_ops),
	.check_args = check_args,
	.select = select_issuer,
};
