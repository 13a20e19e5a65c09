// SPDX-License-Identifier: Apache-2.0
/*
 * What a new set of certificates is made of: what is as it was comes from the set in force, the rest is
 * for the keeper to load. A step looks at one certificate.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/certs.h"
#include "options/options.h"
#include "options/sets.h"

#define PATH_LEN 4200

static int no_memory(struct broker *broker)
{
	return job_fail(broker, (struct config_place){ 0 }, SLUICE_E_NOMEM, "no memory");
}

/* Owns the reference to @cert. */
static int want(struct broker *broker, struct want wanted)
{
	struct want *kept = malloc(sizeof(*kept));

	if (!kept) {
		cert_unref(wanted.cert);
		return no_memory(broker);
	}
	*kept = wanted;
	if (kept->old)
		cert_ref(kept->old);
	if (kept->file)
		cert_file_ref(kept->file);
	TAILQ_INSERT_TAIL(&broker->certs->job.todo, kept, all);
	return 0;
}

/* Whether a file whose stamp is the same is the same. */
static bool trusts_stamps(const struct broker *broker)
{
	return broker->certs->job.kind != CERT_RELOAD || !broker->reload.all_now;
}

/* --- of the configuration ------------------------------------------------------------------------- */

/* struct source - a profile or host: where its certificates go, and whose options it has. */
struct source {
	struct cert_list *list;
	const struct sluice_options *opts;
	struct config_place place;
	enum sluice_role role;
};

/*
 * What could not serve a connection is found here and not at the first one: the same check as in the
 * library, with all files.
 */
static int check(struct broker *broker, const struct source *source)
{
	struct sluice_error err = { .alert = -1 };
	int r = options_check(source->opts, source->role, &err);

	return r < 0 ? job_fail(broker, source->place, -r, err.text) : 0;
}

/* @opts says where one certificate is; its password is its own, or that of all. */
static int plan_cert(struct broker *broker, const struct source *source,
		     const struct sluice_options *opts)
{
	struct cert_job *job = &broker->certs->job;
	const struct sluice_options *secret =
		option_is_set(opts, SLUICE_OPT_PASSWORD) ? opts : source->opts;
	struct cert *cert, *shared, *known, *old;

	cert = cert_new(broker, option_text(opts, SLUICE_OPT_CERTFILE),
			option_text(opts, SLUICE_OPT_KEYFILE),
			option_text(secret, SLUICE_OPT_PASSWORD));
	if (!cert)
		return no_memory(broker);
	known = shared = cert_set_find(job->set, cert);
	old = cert_set_find(broker->certs->set, cert);
	if (!known && old && job->kind != CERT_RESTART &&
	    (job->kind == CERT_RESCAN || (trusts_stamps(broker) && cert_is_fresh(old))))
		known = old;
	source->list->certs[source->list->n++] = known ? known : cert;
	if (!shared && cert_set_add(job->set, known ? known : cert) < 0) {
		cert_unref(cert);
		return no_memory(broker);
	}
	if (known) {
		cert_unref(cert);
		return 0;
	}
	return want(
		broker,
		(struct want){ .cert = cert, .old = old, .place = source->place, .opts = secret });
}

static int plan_source(struct broker *broker, const struct source *source)
{
	const struct set_list *several = source->opts->values[SLUICE_OPT_CERTS_KEYS].sets;
	size_t i, n = set_list_count(several);
	int r = check(broker, source);

	for (i = 0; r == 0 && i < n; i++)
		r = plan_cert(broker, source, set_list_at(several, i));
	if (r < 0 || n || !option_is_set(source->opts, SLUICE_OPT_CERTFILE))
		return r;
	return plan_cert(broker, source, source->opts);
}

/* Returns 1, or 0 when all were looked at. */
static int plan_static(struct broker *broker)
{
	struct cert_job *job = &broker->certs->job;
	const struct config_profile *profile = &job->config->profiles[job->profile];
	struct cert_profile *certs;
	const struct config_host *host;
	int r;

	if (job->profile == job->config->n_profiles)
		return 0;
	certs = &job->set->profiles[job->profile];
	if (job->host == 0) {
		r = plan_source(broker, &(struct source){ &certs->own, profile->options,
							  profile->place, profile->role });
	} else {
		host = &profile->hosts[job->host - 1];
		r = plan_source(broker,
				&(struct source){ &certs->hosts[job->host - 1], host->options,
						  host->place, profile->role });
	}
	if (job->host++ == profile->n_hosts) {
		job->profile++;
		job->host = 0;
	}
	return r < 0 ? r : 1;
}

/* --- of directories ------------------------------------------------------------------------------- */

/* Whose options files of a directory have: those of the first profile that has it. */
static const struct config_profile *owner(const struct cert_job *job, const struct cert_dir *dir)
{
	size_t i;

	for (i = 0; i + 1 < job->set->n_profiles; i++)
		if (job->set->profiles[i].dir == dir)
			break;
	return &job->config->profiles[i];
}

/* Only what changed, or for a new keeper all that there was. */
static int find_some(struct cert_job *job, const struct cert_dir *dir, const struct cert_dir *old)
{
	const struct dirty *dirty;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && job->kind == CERT_RESTART && i < old->n; i++)
		r = found_put(&job->found, old->files[i]->stem, true,
			      old->files[i]->cert &&
				      old->files[i]->cert->path != old->files[i]->cert->key_path);
	for (i = 0; r == 0 && job->kind == CERT_RESCAN && i < job->changes.n_dirty; i++) {
		dirty = &job->changes.dirty[i];
		if (dirty->wd == dir->wd)
			r = found_add(&job->found, dir->path, dirty->stem);
	}
	return r;
}

static bool is_whole(const struct cert_job *job, const struct cert_dir *dir,
		     const struct cert_dir *old)
{
	size_t i;

	if (job->kind == CERT_RESTART)
		return !old;
	if (job->kind != CERT_RESCAN || !old || job->changes.all)
		return true;
	for (i = 0; i < job->changes.n_dirty; i++)
		if (job->changes.dirty[i].wd == dir->wd && !job->changes.dirty[i].stem)
			return true;
	return false;
}

/* It is watched before it is read: what changes in between is told then. */
static int open_dir(struct broker *broker, struct cert_dir *dir, const struct cert_dir *old)
{
	struct cert_job *job = &broker->certs->job;
	char text[PATH_LEN];
	int r;

	dir->wd = cert_watch_add(broker, dir->path);
	job->dir_whole = is_whole(job, dir, old);
	job->dir_open = true;
	job->old_at = job->new_at = 0;
	r = job->dir_whole ? found_all(&job->found, dir->path) : find_some(job, dir, old);
	found_sort(&job->found);
	if (r == 0)
		return 0;
	snprintf(text, sizeof(text), "hosts_dir: %.400s: %s", dir->path, strerror(-r));
	if (job->kind == CERT_START || job->kind == CERT_RELOAD)
		return job_fail(broker, owner(job, dir)->place, SLUICE_E_FILE, text);
	log_line(broker, CONFIG_LOG_ERROR, "%s; its certificates stay in force", text);
	found_free(&job->found);
	job->dir_whole = false;
	broker->certs->changes.again_ms = broker->loop.now_ms + 10000;
	return 0;
}

/* A copy of @old with the stamps of now, or a new one. */
static struct cert_file *renew(const struct cert_file *old, const char *stem,
			       const struct stamp stamps[2])
{
	struct cert_file *file = cert_file_new(stem);

	if (!file)
		return NULL;
	memcpy(file->tried, stamps, sizeof(file->tried));
	if (old && old->cert)
		file->cert = cert_ref(old->cert);
	return file;
}

/* Looks at one file. */
static int plan_file(struct broker *broker, struct cert_dir *dir, const struct found *found,
		     struct cert_file *old)
{
	char path[PATH_LEN], key_path[PATH_LEN];
	struct cert_job *job = &broker->certs->job;
	const struct config_profile *profile = owner(job, dir);
	struct stamp stamps[2] = { { 0 } };
	struct cert_file *file;
	struct cert *cert;

	snprintf(path, sizeof(path), "%s/%s.pem", dir->path, found->stem);
	snprintf(key_path, sizeof(key_path), "%s/%s.key", dir->path, found->stem);
	if (job->kind != CERT_RESTART) {
		stamp_path(&stamps[0], path);
		stamps[1] = stamps[0];
		if (found->key)
			stamp_path(&stamps[1], key_path);
	}
	if (old && trusts_stamps(broker) && stamp_same(&stamps[0], &old->tried[0]) &&
	    stamp_same(&stamps[1], &old->tried[1]))
		return cert_dir_add(dir, cert_file_ref(old)) < 0 ? no_memory(broker) : 0;
	file = renew(old, found->stem, stamps);
	if (!file || cert_dir_add(dir, file) < 0)
		return no_memory(broker);
	if (job->kind != CERT_RESTART && trusts_stamps(broker) && file->cert &&
	    stamp_same(&stamps[0], &file->cert->stamps[0]) &&
	    stamp_same(&stamps[1], &file->cert->stamps[1]))
		return 0; /* what was there before is back */
	cert = cert_new(broker, path, found->key ? key_path : NULL,
			option_text(profile->options, SLUICE_OPT_PASSWORD));
	if (!cert)
		return no_memory(broker);
	return want(broker, (struct want){ .cert = cert,
					   .old = file->cert,
					   .file = file,
					   .place = profile->place,
					   .opts = profile->options });
}

static void tell_removed(struct broker *broker, const struct cert_dir *dir,
			 const struct cert_file *file)
{
	log_line(broker, CONFIG_LOG_INFO, "%s/%s.pem is gone", dir->path, file->stem);
}

/* Merges what there was and what was found: one stem. Returns 1, 0 at the end, or an error. */
static int merge(struct broker *broker, struct cert_dir *dir, const struct cert_dir *old)
{
	struct cert_job *job = &broker->certs->job;
	struct cert_file *file = old && job->old_at < old->n ? old->files[job->old_at] : NULL;
	struct found *found = job->new_at < job->found.n ? &job->found.items[job->new_at] : NULL;
	int order, r = 0;

	if (!file && !found)
		return 0;
	order = !file ? 1 : !found ? -1 : strcmp(file->stem, found->stem);
	job->old_at += order <= 0;
	job->new_at += order >= 0;
	if (order < 0 && !job->dir_whole)
		r = cert_dir_add(dir, cert_file_ref(file)) < 0 ? no_memory(broker) : 0;
	else if (order < 0 || (order == 0 && !found->pem))
		tell_removed(broker, dir, file);
	else if (found->pem)
		r = plan_file(broker, dir, found, order == 0 ? file : NULL);
	else if (found->key)
		log_line(broker, CONFIG_LOG_WARNING, "%s/%s.key: there is no %s.pem", dir->path,
			 found->stem, found->stem);
	return r < 0 ? r : 1;
}

static int plan_dirs(struct broker *broker)
{
	struct cert_job *job = &broker->certs->job;
	struct cert_dir *dir = &job->set->dirs[job->dir], *old;
	int r;

	if (job->dir == job->set->n_dirs)
		return 0;
	old = cert_set_dir(broker->certs->set, dir->path);
	r = job->dir_open ? merge(broker, dir, old) : open_dir(broker, dir, old);
	if (r == 0 && job->dir_open && job->old_at == (old ? old->n : 0) &&
	    job->new_at == job->found.n) {
		found_free(&job->found);
		job->dir_open = false;
		job->dir++;
	}
	return r < 0 ? r : 1;
}

int cert_plan(struct broker *broker)
{
	int r = plan_static(broker);

	return r ? r : plan_dirs(broker);
}
