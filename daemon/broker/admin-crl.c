// SPDX-License-Identifier: Apache-2.0
/* Revocation lists: those in force and files with a problem, one more, or one less. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/admin.h"
#include "broker/crls.h"
#include "core/sys.h"

static const char *const kinds[] = {
	[CRL_FILE] = "file",
	[CRL_DIR] = "directory",
	[CRL_URL] = "url",
	[CRL_ADDED] = "added",
};

/* --- list ------------------------------------------------------------------------------------------- */

static void put_blob(const struct crl_set *set, struct json_object *row, const char *name,
		     const struct crl_blob *blob)
{
	char *text = strndup((const char *)crl_set_bytes(set, blob), blob->len);

	put_peer_words(row, name, text);
	free(text);
}

/* Of a source that is no URL: nothing. */
static void put_fetch(struct json_object *row, const struct broker *broker,
		      const struct crl_source *source)
{
	const struct crl_url *url = NULL;
	const struct fetch_item *item;

	if (source && source->kind == CRL_URL)
		url = crl_url_find(broker->crls, source->path);
	item = url ? &url->item : NULL;
	put_time(row, "fetched", item && item->fetched_s ? item->fetched_s : -1);
	put_time(row, "next_fetch", item ? fetch_item_next(broker, item) : -1);
	put_peer_words(row, "problem",
		       item && item->why[0] ? item->why
		       : source             ? source->problem
					    : NULL);
}

static void crl_row(struct admin_client *client, const struct crls *crls,
		    const struct crl_set_row *crl)
{
	struct json_object *row = json_object_new_object();
	int64_t now_s = sys->wall_s();
	struct crl_source *source;
	char *path, *uri = NULL;

	path = strndup((const char *)crl_set_bytes(&crls->set, &crl->path), crl->path.len);
	if (crl->uri.len)
		uri = strndup((const char *)crl_set_bytes(&crls->set, &crl->uri), crl->uri.len);
	source = path ? crl_sources_find(&crls->sources, path, uri) : NULL;
	put_blob(&crls->set, row, "issuer", &crl->issuer);
	put_text(row, "number", NULL);
	if (crl->number_len)
		put_hex(row, "number", crl->number, crl->number_len);
	put_time(row, "this_update", crl->this_update_s);
	put_time(row, "next_update", crl->next_update_s);
	put_text(row, "state",
		 crl->this_update_s > now_s                             ? "early"
		 : crl->next_update_s < 0 || crl->next_update_s < now_s ? "expired"
									: "good");
	put_number(row, "entries", crl->n_revoked);
	put_text(row, "source", source ? kinds[source->kind] : NULL);
	put_peer_words(row, "file", path);
	put_peer_words(row, "uri", uri);
	put_hex(row, "sha256", crl->sha256, sizeof(crl->sha256));
	put_fetch(row, client->broker, source);
	admin_row(client, row);
	free(path);
	free(uri);
}

/* A file or URL that has nothing in force; of others the problem is in their rows. */
static void problem_row(struct admin_client *client, const struct crl_source *source)
{
	struct json_object *row;

	if (source->n || (!source->problem && source->kind != CRL_URL))
		return;
	row = json_object_new_object();
	put_text(row, "state", "missing");
	put_text(row, "source", kinds[source->kind]);
	put_peer_words(row, "file", source->path);
	put_fetch(row, client->broker, source);
	admin_row(client, row);
}

static bool list(struct admin_client *client)
{
	const struct crls *crls = client->broker->crls;
	struct admin_job *job = &client->job;
	struct json_object *facts;

	if (!job->generation)
		job->generation = crls->generation + 1;
	if (job->generation != crls->generation + 1) {
		admin_refuse(client, "changed",
			     "the revocation lists have just changed; ask again");
		return true;
	}
	if (job->at < crls->set.n_rows) {
		crl_row(client, crls, &crls->set.rows[job->at++]);
		return false;
	}
	if (job->file < crls->sources.n) {
		problem_row(client, &crls->sources.items[job->file++]);
		return false;
	}
	facts = json_object_new_object();
	put_number(facts, "crls", crls->set.n_rows);
	admin_done(client, facts);
	return true;
}

/* --- add and delete --------------------------------------------------------------------------------- */

/* What is deleted stays so: without it the set is written as soon as that can be. */
static bool finish(struct admin_client *client, const char *fact)
{
	const struct crls *crls = client->broker->crls;
	struct json_object *facts;

	if (crls->text[0]) {
		admin_refuse(client, "crl", "%s; %s", crls->text,
			     crls->unwritten ? "it is in force until that is tried again"
					     : "nothing has changed");
		return true;
	}
	facts = json_object_new_object();
	put_number(facts, fact, client->job.rows);
	admin_done(client, facts);
	return true;
}

static const char *take_file(struct admin_client *client)
{
	const struct admin_request *request = &client->job.request;
	struct stat st;
	int fd = client->fd;

	client->fd = -1;
	if (fd < 0)
		return "the file does not come with the request";
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return "this is not a file";
	}
	return crls_add(client->broker, request->file, request->uri[0] ? request->uri : NULL, fd)
		       ? "there is no room for another CRL"
		       : NULL;
}

/* One change at a time, so that what is told of it is its own. */
static bool begin(struct admin_client *client)
{
	struct admin_job *job = &client->job;
	const char *wrong = NULL;

	if (crls_busy(client->broker)) {
		job->parked = true;
		return false;
	}
	job->rows = 1;
	if (job->request.verb == ADMIN_CRL_ADD)
		wrong = take_file(client);
	else if (!(job->rows = crls_delete(client->broker, job->request.file)))
		wrong = "nothing was added by this path or URI; `sluicectl crl list` shows it";
	if (wrong) {
		admin_refuse(client, "crl", "%s", wrong);
		return true;
	}
	job->parked = true;
	job->at = client->broker->crls->jobs + 1;
	return false;
}

static bool change(struct admin_client *client, const char *fact)
{
	const struct crls *crls = client->broker->crls;

	if (!client->job.at)
		return begin(client);
	return crls->jobs >= client->job.at ? finish(client, fact) : false;
}

bool admin_crl_list(struct admin_client *client)
{
	return list(client);
}

bool admin_crl_add(struct admin_client *client)
{
	return change(client, "added");
}

bool admin_crl_del(struct admin_client *client)
{
	return change(client, "deleted");
}
