// SPDX-License-Identifier: Apache-2.0
/*
 * Jobs that make a new set of certificates: in steps that are short, between which everybody is served
 * with the set in force. There is one at a time; what comes meanwhile waits for its end.
 */
#include "broker/certs.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/secret.h"
#include "options/options.h"

#define STEP_MS 2      /* of one turn of the loop */
#define WINDOW 8       /* loads that the keeper has at a time */
#define AGAIN_MS 10000 /* after which what failed for want of memory is tried again */
#define RESTAPLE_MS 200
#define MAX_TOLD 20    /* new certificates of one job that are logged by name */
#define START_MS 20000 /* without any progress at the start */

int job_fail(struct broker *broker, struct config_place place, int code, const char *text)
{
	struct config_error *err = &broker->certs->job.err;

	err->place = place;
	if (place.line)
		snprintf(err->text, sizeof(err->text), "%s:%u:%u: %s", broker->config_path,
			 place.line, place.column, text);
	else
		snprintf(err->text, sizeof(err->text), "%s", text);
	return -code;
}

/* --- the end of a job ------------------------------------------------------------------------------- */

static void want_free(struct want_list *list, struct want *want)
{
	TAILQ_REMOVE(list, want, all);
	cert_unref(want->cert);
	cert_unref(want->old);
	if (want->file)
		cert_file_unref(want->file);
	free(want);
}

static void job_clear(struct broker *broker)
{
	struct cert_job *job = &broker->certs->job;

	while (!TAILQ_EMPTY(&job->todo))
		want_free(&job->todo, TAILQ_FIRST(&job->todo));
	while (!TAILQ_EMPTY(&job->sent))
		want_free(&job->sent, TAILQ_FIRST(&job->sent));
	found_free(&job->found);
	cert_watch_forget(&job->changes);
	if (job->writing)
		catalog_write_free(&job->writer);
	cert_set_free(job->set);
	if (job->kind == CERT_RELOAD)
		config_free(job->config);
	*job = (struct cert_job){ .phase = CERT_IDLE };
	TAILQ_INIT(&job->todo);
	TAILQ_INIT(&job->sent);
	loop_watch(&broker->loop, &broker->certs->wake, 0);
}

static void job_refuse(struct broker *broker)
{
	struct cert_job *job = &broker->certs->job;
	enum cert_job_kind kind = job->kind;
	struct config_error err = job->err;

	if (kind == CERT_RESCAN) {
		log_line(broker, CONFIG_LOG_ERROR, "hosts_dir: nothing changes: %s", err.text);
		broker->certs->changes.all = true;
		broker->certs->changes.again_ms = broker->loop.now_ms + AGAIN_MS;
	}
	job_clear(broker);
	broker->certs->job.err = err;
	if (kind == CERT_RELOAD)
		reload_ended(broker, err.text);
	if (kind == CERT_RESTART)
		keeper_has_no_keys(broker, err.text);
}

static bool still_watched(const struct cert_set *set, int wd)
{
	size_t i;

	for (i = 0; i < set->n_dirs; i++)
		if (set->dirs[i].wd == wd)
			return true;
	return false;
}

static void unwatch(struct broker *broker, const struct cert_set *old, const struct cert_set *set)
{
	size_t i;

	for (i = 0; old && i < old->n_dirs; i++)
		if (old->dirs[i].wd >= 0 && !still_watched(set, old->dirs[i].wd))
			inotify_rm_watch(broker->certs->changes.watch.fd, old->dirs[i].wd);
}

/* The set and its catalogue are in force from here on. */
static void take_set(struct broker *broker, const uint8_t *map, size_t map_len)
{
	struct certs *certs = broker->certs;
	struct cert_set *old = certs->set;

	cert_set_moved(certs->job.set, map);
	unwatch(broker, old, certs->job.set);
	certs->set = certs->job.set;
	certs->job.set = NULL;
	certs->generation++;
	cert_set_free(old);
	if (certs->map)
		munmap((void *)certs->map, certs->map_len);
	certs->map = map;
	certs->map_len = map_len;
}

static void job_commit(struct broker *broker, int fd)
{
	struct cert_job *job = &broker->certs->job;
	enum cert_job_kind kind = job->kind;
	size_t loaded = job->n_loaded;
	uint64_t ms = loop_clock_ms() - job->began_ms;
	bool quiet = job->restaples && !loaded; /* that is told where it is fetched */
	struct stat st;
	void *map = MAP_FAILED;

	if (fstat(fd, &st) == 0)
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		close(fd);
		job_fail(broker, (struct config_place){ 0 }, SLUICE_E_NOMEM,
			 "no memory for the catalogue");
		job_refuse(broker);
		return;
	}
	take_set(broker, map, (size_t)st.st_size);
	broker->certs->took_ms = ms;
	staples_sweep(broker);
	if (kind == CERT_RELOAD)
		reload_take(broker, job->config);
	job->config = NULL;
	job_clear(broker);
	if (kind == CERT_RESTART)
		keeper_has_keys(broker);
	if (kind == CERT_START)
		broker->certs->start_fd = fd;
	else
		children_configure(broker, fd);
	if (kind != CERT_START && !quiet)
		log_line(broker, CONFIG_LOG_INFO, "certificates: %zu loaded in %llu ms", loaded,
			 (unsigned long long)ms);
	if (kind == CERT_RELOAD)
		reload_ended(broker, NULL);
}

/* --- loading ---------------------------------------------------------------------------------------- */

static bool is_for_all(const struct want *want, const struct cert_job *job)
{
	return !want->file && (job->kind == CERT_START || job->kind == CERT_RELOAD);
}

/* A file of a directory, or any for a new keeper: the others go on. */
static void pass_over(struct broker *broker, struct want *want, const char *text)
{
	bool stays = want->old && broker->certs->job.kind != CERT_RESTART;
	struct cert_file *file = want->file;

	log_line(broker, CONFIG_LOG_WARNING, "%s: %s; %s", want->cert->path, text,
		 stays       ? "the certificate that it had stays in force"
		 : want->old ? "handshakes for it fail"
			     : "it is not in force");
	if (!file) {
		if (want->old && cert_adopt(want->cert, want->old) == 0)
			staple_inherit(want->cert, want->old);
		return;
	}
	free(file->problem);
	file->problem = strdup(text);
	if (broker->certs->job.kind == CERT_RESTART)
		memset(file->tried, 0, sizeof(file->tried));
}

/* Returns 0, or an error that ends the job. */
static int load_failed(struct broker *broker, struct want *want, const char *text)
{
	if (is_for_all(want, &broker->certs->job))
		return job_fail(broker, want->place, SLUICE_E_FILE, text);
	pass_over(broker, want, text);
	return 0;
}

/* Errors of the moment: the file may be as good as any. */
static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM;
}

/* Returns 1: sent, 0: not, or an error that ends the job. */
static int send_load(struct broker *broker, struct want *want)
{
	struct certs *certs = broker->certs;
	char text[4400] = "";
	struct wire wire;
	int fds[2], r;

	errno = 0;
	if (cert_open(want->cert, fds, text, sizeof(text)) < 0) {
		if (is_shortage(errno) && want->file) {
			memset(want->file->tried, 0, sizeof(want->file->tried));
			certs->changes.all = true;
			certs->changes.again_ms = broker->loop.now_ms + AGAIN_MS;
		}
		return load_failed(broker, want, text);
	}
	wire_begin(&wire, broker->out, WIRE_MAX, MSG_LOAD, ++certs->last_load);
	wire_put_text(&wire, ATTR_PASSWORD, option_text(want->opts, SLUICE_OPT_PASSWORD));
	r = channel_send(broker->keeper.loads.fd, broker->out, wire_end(&wire), fds, 2);
	secret_wipe(broker->out, wire.len);
	close(fds[0]);
	close(fds[1]);
	want->id = certs->last_load;
	if (r < 0)
		return job_fail(broker, want->place, SLUICE_E_IO, "the keeper does not answer");
	return 1;
}

/* Sends what fits. Returns 1: waiting, 0: all is loaded, or an error. */
static int load_step(struct broker *broker)
{
	struct cert_job *job = &broker->certs->job;
	struct want *want = TAILQ_FIRST(&job->todo);
	int r;

	if (!want || job->n_sent == WINDOW)
		return want || job->n_sent ? 1 : 0;
	r = send_load(broker, want);
	if (r <= 0) {
		want_free(&job->todo, want);
		return r < 0 ? r : 1;
	}
	TAILQ_REMOVE(&job->todo, want, all);
	TAILQ_INSERT_TAIL(&job->sent, want, all);
	job->n_sent++;
	return 1;
}

static bool has_name(const struct cert *cert)
{
	struct wire_reader reader = { cert->public, cert->public_len };
	struct attr attr;

	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_CERT_NAME)
			return true;
	return false;
}

static int take_loaded(struct broker *broker, struct want *want, struct wire_reader reader)
{
	struct cert_file *file = want->file;
	char text[300];

	if (cert_loaded(want->cert, reader, text, sizeof(text)) < 0)
		return load_failed(broker, want, text);
	broker->certs->job.n_loaded++;
	if (want->old)
		staple_inherit(want->cert, want->old);
	if (!file)
		return 0;
	if (!has_name(want->cert))
		return load_failed(broker, want, "there is no DNS name in the certificate");
	memcpy(file->tried, want->cert->stamps, sizeof(file->tried));
	cert_unref(file->cert);
	file->cert = cert_ref(want->cert);
	if (broker->certs->job.kind == CERT_RESCAN && broker->certs->job.n_loaded <= MAX_TOLD)
		log_line(broker, CONFIG_LOG_INFO, "%s is new", want->cert->path);
	return 0;
}

/* --- steps ------------------------------------------------------------------------------------------ */

static bool is_waiting(const struct cert_job *job)
{
	return job->phase == CERT_LOAD &&
	       (job->n_sent == WINDOW || (TAILQ_EMPTY(&job->todo) && job->n_sent));
}

static int one_step(struct broker *broker)
{
	struct cert_job *job = &broker->certs->job;
	int r;

	if (job->phase == CERT_PLAN)
		r = cert_plan(broker);
	else if (job->phase == CERT_LOAD)
		r = load_step(broker);
	else
		r = catalog_step(broker);
	if (r != 0)
		return r;
	if (job->phase != CERT_WRITE) {
		job->phase++;
		return 1;
	}
	r = catalog_finish(broker);
	if (r >= 0)
		job_commit(broker, r);
	return r < 0 ? r : 0;
}

/* Goes on until the keeper has to answer, or others have waited long enough. */
static void go_on(struct broker *broker)
{
	struct cert_job *job = &broker->certs->job;
	uint64_t until = loop_clock_ms() + STEP_MS;
	int r = 1;

	while (job->phase != CERT_IDLE && !is_waiting(job) && r > 0 && loop_clock_ms() < until)
		r = one_step(broker);
	if (r < 0)
		job_refuse(broker);
	if (job->phase != CERT_IDLE)
		loop_watch(&broker->loop, &broker->certs->wake, is_waiting(job) ? 0 : EPOLLIN);
}

static void wake_ready(struct watch *watch, uint32_t events)
{
	struct certs *certs = (struct certs *)((char *)watch - offsetof(struct certs, wake));

	go_on(certs->broker);
}

bool certs_loaded(struct broker *broker, uint32_t id, struct wire_reader reader)
{
	struct cert_job *job = &broker->certs->job;
	struct want *want = TAILQ_FIRST(&job->sent);
	int r;

	if (!want || want->id != id)
		return id <= broker->certs->last_load; /* of a job that has been ended */
	job->n_sent--;
	r = take_loaded(broker, want, reader);
	want_free(&job->sent, want);
	if (r < 0)
		job_refuse(broker);
	else
		go_on(broker);
	return true;
}

/* --- what begins a job ------------------------------------------------------------------------------ */

static int begin(struct broker *broker, enum cert_job_kind kind, struct config *config)
{
	struct certs *certs = broker->certs;
	struct cert_job *job = &certs->job;

	job->err = (struct config_error){ { 0 } };
	job->kind = kind;
	job->config = config;
	job->phase = CERT_PLAN;
	job->began_ms = loop_clock_ms();
	job->restaples = kind == CERT_RESCAN && certs->restaple_ms;
	certs->restaple_ms = 0; /* whatever is written has them */
	job->set = cert_set_new(config);
	if (kind == CERT_RESCAN) {
		job->changes = certs->changes;
		certs->changes.n_dirty = 0;
	}
	if (kind != CERT_RESTART)
		cert_watch_forget(&certs->changes); /* all of it is looked at now */
	if (job->set && loop_watch(&broker->loop, &certs->wake, EPOLLIN) == 0)
		return 0;
	job_fail(broker, (struct config_place){ 0 }, SLUICE_E_NOMEM, "no memory");
	job_refuse(broker);
	return -SLUICE_E_NOMEM;
}

bool certs_busy(const struct broker *broker)
{
	return broker->certs->job.phase != CERT_IDLE;
}

void certs_reload(struct broker *broker, struct config *config)
{
	begin(broker, CERT_RELOAD, config);
}

void certs_restart(struct broker *broker)
{
	begin(broker, CERT_RESTART, broker->config);
}

void certs_keeper_died(struct broker *broker)
{
	if (broker->certs->job.phase == CERT_IDLE)
		return;
	job_fail(broker, (struct config_place){ 0 }, SLUICE_E_IO, "the keeper does not answer");
	job_refuse(broker);
}

/* Where there are many certificates, for several at once: nine tenths of the time are for others. */
void certs_restaple(struct broker *broker)
{
	struct certs *certs = broker->certs;

	if (!certs->restaple_ms)
		certs->restaple_ms = broker->loop.now_ms + RESTAPLE_MS + 9 * certs->took_ms;
}

void certs_tick(struct broker *broker)
{
	uint64_t restaple_ms = broker->certs->restaple_ms;

	retired_tick(broker);
	if (!certs_busy(broker) && broker->keeper.ready &&
	    (cert_watch_settled(broker) || (restaple_ms && broker->loop.now_ms >= restaple_ms)))
		begin(broker, CERT_RESCAN, broker->config);
}

/* Nobody is served yet: this waits. */
int certs_start(struct broker *broker, struct config_error *ret_err)
{
	struct cert_job *job = &broker->certs->job;
	struct pollfd pfd = { .fd = broker->keeper.loads.fd, .events = POLLIN };
	int r = begin(broker, CERT_START, broker->config);

	while (r == 0 && job->phase != CERT_IDLE) {
		go_on(broker);
		if (!is_waiting(job))
			continue;
		r = poll(&pfd, 1, START_MS) > 0 && keeper_receive(broker) ? 0 : -SLUICE_E_IO;
	}
	if (r == 0 && broker->certs->set)
		return broker->certs->start_fd;
	if (certs_busy(broker))
		certs_keeper_died(broker);
	*ret_err = job->err;
	return -1;
}

int certs_open(struct broker *broker)
{
	struct certs *certs = calloc(1, sizeof(*certs));

	if (!certs)
		return -ENOMEM;
	certs->broker = broker;
	TAILQ_INIT(&certs->job.todo);
	TAILQ_INIT(&certs->job.sent);
	TAILQ_INIT(&certs->retired);
	certs->wake =
		(struct watch){ .fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK), .ready = wake_ready };
	broker->certs = certs;
	if (certs->wake.fd < 0)
		return -errno;
	cert_watch_open(broker);
	return 0;
}

void certs_close(struct broker *broker)
{
	struct certs *certs = broker->certs;
	struct retired *retired;

	if (!certs)
		return;
	job_clear(broker);
	cert_watch_close(broker);
	cert_set_free(certs->set);
	while ((retired = TAILQ_FIRST(&certs->retired))) {
		TAILQ_REMOVE(&certs->retired, retired, all);
		free(retired);
	}
	if (certs->map)
		munmap((void *)certs->map, certs->map_len);
	if (certs->wake.fd >= 0)
		close(certs->wake.fd);
	free(certs);
	broker->certs = NULL;
}
