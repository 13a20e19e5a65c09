// SPDX-License-Identifier: Apache-2.0
/*
 * Jobs that make a new set of revocation lists. A step opens one file, and passes it on; all that takes
 * long is sluice-crls'. There is one job at a time; what comes meanwhile waits for its end.
 */
#include "broker/crls.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/error.h>

#include "common/process.h"
#include "common/rules.h"
#include "core/sys.h"
#include "handover/messages.h"

#define LOOKS 256       /* files that are looked at in a tick */
#define HANG_MS 60000   /* without an answer: longer than the longest CRL takes */
#define AGAIN_MS 10000  /* after which what failed for want of anything is tried again */
#define SOURCE_LEN 9000 /* bytes of a message with a path and a URI */

/* --- the end of a job ------------------------------------------------------------------------------- */

static void end_child(struct broker *broker)
{
	struct crl_job *job = &broker->crls->job;

	if (job->channel.fd >= 0) {
		loop_forget(&broker->loop, &job->channel);
		close(job->channel.fd);
		job->channel.fd = -1;
	}
	if (job->pid > 0)
		kill(job->pid, SIGKILL); /* reaped with all others */
	job->pid = 0;
}

static void job_end(struct broker *broker)
{
	struct crls *crls = broker->crls;

	end_child(broker);
	crl_sources_free(&crls->job.sources);
	crls->job = (struct crl_job){ .channel.fd = -1 };
	crls->jobs++;
}

static void crls_fail(struct broker *broker, const char *text)
{
	struct crls *crls = broker->crls;

	log_line(broker, CONFIG_LOG_ERROR, "crls: nothing changes: %s", text);
	snprintf(crls->text, sizeof(crls->text), "%s", text);
	crls->again_ms = broker->loop.now_ms + AGAIN_MS;
	crls->untried = true; /* whatever ended it may have been there before */
	crl_urls_told(broker, text);
	job_end(broker);
}

/* --- what is in force ------------------------------------------------------------------------------- */

static void tell_expired(struct broker *broker, const struct crl_set_row *row)
{
	const struct crl_set *set = &broker->crls->set;

	log_line(broker, CONFIG_LOG_WARNING,
		 "crls: %.*s, by %.*s: its next update is over, so it proves nothing any more",
		 (int)row->path.len, crl_set_bytes(set, &row->path), (int)row->issuer.len,
		 crl_set_bytes(set, &row->issuer));
}

/* What ended since the last look is told, once. */
static void look_at_ends(struct broker *broker)
{
	struct crls *crls = broker->crls;
	int64_t now_s = sys->wall_s(), next;
	size_t i;

	crls->n_expired = 0;
	crls->nearest_s = 0;
	for (i = 0; i < crls->set.n_rows; i++) {
		next = crls->set.rows[i].next_update_s;
		if (next < 0)
			continue;
		if (next >= now_s && (!crls->nearest_s || next < crls->nearest_s))
			crls->nearest_s = next;
		crls->n_expired += next < now_s;
		if (next < now_s && next >= crls->checked_s)
			tell_expired(broker, &crls->set.rows[i]);
	}
	crls->checked_s = now_s;
}

void crls_give(struct broker *broker, const struct handshaker *handshaker)
{
	uint8_t buf[64];
	struct wire wire;

	if (!broker->crls || broker->crls->fd < 0 || handshaker->watch.fd < 0)
		return;
	wire_begin(&wire, buf, sizeof(buf), MSG_CRLS, 0);
	if (channel_send(handshaker->watch.fd, buf, wire_end(&wire), &broker->crls->fd, 1) < 0)
		kill(handshaker->pid, SIGKILL); /* it does not read; the next one gets them */
}

static void take_set(struct broker *broker, const struct crl_set *set, int fd)
{
	struct crls *crls = broker->crls;
	size_t i;

	/* Those that have ended and are new here: the ends of all others were told. */
	crls->checked_s = sys->wall_s();
	crl_set_close(&crls->set);
	if (crls->fd >= 0)
		close(crls->fd);
	crls->set = *set;
	crls->fd = fd;
	crls->generation++;
	for (i = 0; i < broker->n_handshakers; i++)
		crls_give(broker, &broker->handshakers[i]);
}

static void job_commit(struct broker *broker, int fd)
{
	struct crls *crls = broker->crls;
	struct crl_job *job = &crls->job;
	struct crl_set set, old = crls->set;
	struct crl_sources sources;
	size_t i;

	if (crl_set_open(&set, fd) < 0) {
		close(fd);
		crls_fail(broker, "sluice-crls wrote what is no set");
		return;
	}
	for (i = 0; i < set.n_rows; i++)
		if (set.rows[i].next_update_s >= 0 && set.rows[i].next_update_s < sys->wall_s() &&
		    !crl_set_find(&old, set.rows[i].sha256))
			log_line(broker, CONFIG_LOG_WARNING,
				 "crls: %.*s: its next update was over when it was read",
				 (int)set.rows[i].path.len, crl_set_bytes(&set, &set.rows[i].path));
	take_set(broker, &set, fd);
	crls->unwritten = false; /* what is deleted waits for the end of a job */
	sources = crls->sources;
	crls->sources = job->sources;
	job->sources = sources;
	crl_urls_told(broker, NULL);
	look_at_ends(broker);
	if (job->again)
		crls->again_ms = broker->loop.now_ms + AGAIN_MS;
	log_line(broker, CONFIG_LOG_INFO, "crls: %zu in force, %zu files read in %" PRIu64 " ms",
		 set.n_rows, job->n_read, loop_clock_ms() - job->began_ms);
	job_end(broker);
	if (crls->started && broker->config->crls.recheck == CONFIG_RECHECK_ON_CHANGE)
		crls_changed(broker);
}

/* --- sources, one after the other ------------------------------------------------------------------- */

static int send_source(struct broker *broker, struct crl_source *source, int fd)
{
	uint8_t buf[SOURCE_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_CRL_SOURCE, (uint32_t)broker->crls->job.at);
	wire_put_text(&wire, ATTR_CRL_FILE, source->path);
	if (source->uri)
		wire_put_text(&wire, ATTR_CRL_URI, source->uri);
	if (!wire_end(&wire))
		return -EMSGSIZE;
	return channel_send(broker->crls->job.channel.fd, buf, wire_end(&wire), &fd, fd >= 0);
}

static void tell_problem(struct broker *broker, const struct crl_source *source)
{
	log_line(broker, CONFIG_LOG_WARNING, "crls: %s: %s; %s", source->path, source->problem,
		 source->n ? "what it had stays in force" : "nothing of it is in force");
}

static int send_end(struct broker *broker)
{
	uint8_t buf[64];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_CRL_END, 0);
	return channel_send(broker->crls->job.channel.fd, buf, wire_end(&wire), NULL, 0);
}

/* Sends the next file, or that there is none. */
static void load_next(struct broker *broker)
{
	struct crl_job *job = &broker->crls->job;
	const struct crl_source *old;
	struct crl_source *source;
	int fd, r;

	if (job->at == job->sources.n) {
		job->phase = CRLS_WRITE;
		if (send_end(broker) < 0)
			crls_fail(broker, "sluice-crls does not answer");
		return;
	}
	source = &job->sources.items[job->at];
	old = crl_sources_find(&broker->crls->sources, source->path, source->uri);
	fd = crl_source_open(source, old);
	if (fd < -1)
		tell_problem(broker, source);
	job->again |= fd == -3;
	job->n_read += fd >= 0;
	job->sent = fd >= 0;
	r = send_source(broker, source, fd);
	if (fd >= 0)
		close(fd);
	if (r < 0)
		crls_fail(broker, "sluice-crls does not answer");
}

/* What should be added and is wrong is not kept. */
static void drop_source(struct crl_job *job)
{
	crl_sources_drop(&job->sources, job->at);
}

static void take_taken(struct broker *broker, struct wire_reader reader, uint32_t id)
{
	struct crl_job *job = &broker->crls->job;
	char text[CRLS_MAX_PROBLEM] = "";
	struct crl_source *source;
	uint64_t n = 0, code = 0;
	struct attr attr;

	if (job->phase != CRLS_LOAD || id != job->at || job->at >= job->sources.n) {
		crls_fail(broker, "sluice-crls answers what it was not asked");
		return;
	}
	source = &job->sources.items[job->at];
	while (wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_COUNT)
			attr_u64(&attr, &n);
		else if (attr.type == ATTR_ERROR)
			attr_u64(&attr, &code);
		else if (attr.type == ATTR_TEXT)
			attr_text(&attr, text, sizeof(text));
	}
	source->n = n < CRL_SET_MAX ? n : CRL_SET_MAX;
	if (code == SLUICE_E_NOMEM) {
		crl_source_untried(source);
		job->again = true;
	}
	if (job->sent && source->kind == CRL_ADDED && text[0])
		snprintf(broker->crls->text, sizeof(broker->crls->text), "%s: %.200s", source->path,
			 text);
	if (job->sent && source->kind == CRL_ADDED && text[0] && !n) {
		drop_source(job);
		load_next(broker);
		return;
	}
	if (job->sent)
		crl_source_problem(source, text[0] ? text : NULL);
	if (job->sent && source->problem && source->kind != CRL_URL)
		tell_problem(broker, source); /* of a URL crl_urls_told() tells, once */
	job->at++;
	load_next(broker);
}

static void receive(struct broker *broker)
{
	struct crl_job *job = &broker->crls->job;
	uint8_t buf[2048];
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	ssize_t n = channel_recv(job->channel.fd, buf, sizeof(buf), &fds);
	int fd;

	if (n == -EAGAIN)
		return;
	job->heard_ms = loop_clock_ms();
	if (n <= 0 ||
	    rules_open(ROUTE_CRLS_TO_BROKER, NULL, buf, (size_t)n, &fds, &reader, &head)) {
		channel_close_fds(&fds);
		crls_fail(broker, "sluice-crls has ended");
		return;
	}
	fd = channel_take_fd(&fds);
	channel_close_fds(&fds);
	if (head.type == MSG_CRL_TAKEN)
		take_taken(broker, reader, head.id);
	else if (job->phase == CRLS_WRITE && fd >= 0)
		job_commit(broker, fd);
	else
		crls_fail(broker, "sluice-crls sent no set");
}

static void channel_ready(struct watch *watch, uint32_t events)
{
	struct crls *crls = (struct crls *)((char *)watch - offsetof(struct crls, job.channel));

	receive(crls->broker);
}

/* --- the beginning of a job ------------------------------------------------------------------------- */

static int start_child(struct broker *broker)
{
	struct crls *crls = broker->crls;
	int pair[2], r = channel_pair(pair);
	uint8_t buf[64];
	struct wire wire;
	pid_t pid;

	if (r < 0)
		return r;
	pid = process_spawn("sluice-crls", &pair[1], 1, broker->config->uid, broker->config->gid);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return pid;
	}
	crls->job.pid = pid;
	crls->job.heard_ms = loop_clock_ms();
	crls->job.channel = (struct watch){ .fd = pair[0], .ready = channel_ready };
	r = loop_watch(&broker->loop, &crls->job.channel, EPOLLIN);
	wire_begin(&wire, buf, sizeof(buf), MSG_CRLS, 0);
	if (r == 0 && crls->fd >= 0)
		r = channel_send(pair[0], buf, wire_end(&wire), &crls->fd, 1);
	return r;
}

static int add_asked(struct crls *crls, struct crl_sources *sources)
{
	struct crl_source *asked, *source;
	size_t i;

	for (i = 0; i < crls->asked.n; i++) {
		asked = &crls->asked.items[i];
		source = crl_sources_find(sources, asked->path, asked->uri);
		if (!source)
			source = crl_sources_add(sources, CRL_ADDED, asked->path, asked->uri, -1);
		if (!source)
			return -ENOMEM;
		source->kind = CRL_ADDED;
		source->fd = asked->fd;
		asked->fd = -1;
	}
	crl_sources_free(&crls->asked);
	return 0;
}

static void forget_stamps(struct crls *crls)
{
	size_t i;

	for (i = 0; crls->untried && i < crls->job.sources.n; i++)
		crl_source_untried(&crls->job.sources.items[i]);
	crls->untried = false;
}

static void begin(struct broker *broker)
{
	struct crls *crls = broker->crls;
	struct crl_job *job = &crls->job;
	int err, r;

	crls->look = false;
	crls->again_ms = 0;
	crls->changes.first_ms = 0;
	crls->text[0] = '\0';
	job->began_ms = loop_clock_ms();
	job->phase = CRLS_LOOK;
	job->changed = crls->asked.n || crls->unwritten;
	crls->deleted = false;
	r = crl_sources_plan(&job->sources, &crls->sources, broker->config, &err);
	if (r == 0)
		r = add_asked(crls, &job->sources);
	if (r < 0) {
		crls_fail(broker, strerror(-r));
		return;
	}
	if (err) {
		log_line(broker, CONFIG_LOG_ERROR, "crls: %s: %s; what it had stays in force",
			 broker->config->crls.dir, strerror(err));
		crls->again_ms = broker->loop.now_ms + AGAIN_MS;
	}
	job->changed |= job->sources.n != crls->sources.n;
	forget_stamps(crls);
	job->changed |= crl_urls_give(crls, &job->sources);
}

/* Some files at a time: has any changed since it was tried? */
static void look(struct broker *broker, size_t n)
{
	struct crls *crls = broker->crls;
	struct crl_job *job = &crls->job;
	const struct crl_source *source;
	struct stamp now;

	for (; n && !job->changed && job->at < job->sources.n; n--, job->at++) {
		source = &job->sources.items[job->at];
		if (source->kind == CRL_ADDED)
			continue;
		if (source->kind != CRL_URL)
			stamp_path(&now, source->path);
		job->changed = (source->kind != CRL_URL && !stamp_same(&now, &source->tried)) ||
			       !crl_sources_find(&crls->sources, source->path, source->uri);
	}
	if (!job->changed) {
		if (job->at == job->sources.n)
			job_end(broker);
		return;
	}
	job->at = 0;
	job->phase = CRLS_LOAD;
	if (start_child(broker) < 0)
		crls_fail(broker, "sluice-crls cannot be started");
	else
		load_next(broker);
}

/* --- for others ------------------------------------------------------------------------------------- */

bool crls_busy(const struct broker *broker)
{
	const struct crls *crls = broker->crls;

	return crls->look || crls->deleted || crls->asked.n || crls->job.phase != CRLS_IDLE;
}

uint32_t crls_generation(const struct broker *broker)
{
	return (uint32_t)broker->crls->generation;
}

void crls_reload(struct broker *broker)
{
	crl_watch_config(broker);
	broker->crls->untried |= broker->reload.all_now;
	crl_urls_config(broker);
	broker->crls->look = true;
}

int crls_add(struct broker *broker, const char *path, const char *uri, int fd)
{
	return crl_sources_add(&broker->crls->asked, CRL_ADDED, path, uri, fd) ? 0 : -ENOMEM;
}

size_t crls_delete(struct broker *broker, const char *what)
{
	struct crl_sources *sources = &broker->crls->sources;
	struct crl_source *source;
	size_t i, n = 0;

	for (i = 0; i < sources->n;) {
		source = &sources->items[i];
		if (source->kind != CRL_ADDED ||
		    (strcmp(source->path, what) && (!source->uri || strcmp(source->uri, what)))) {
			i++;
			continue;
		}
		crl_sources_drop(sources, i);
		n++;
	}
	broker->crls->deleted |= n != 0;
	broker->crls->unwritten |= n != 0;
	return n;
}

void crls_tick(struct broker *broker)
{
	struct crls *crls = broker->crls;
	struct crl_job *job = &crls->job;

	if (job->phase == CRLS_IDLE &&
	    (crls->look || crls->deleted || crls->asked.n || crl_watch_settled(broker) ||
	     (crls->again_ms && broker->loop.now_ms >= crls->again_ms)))
		begin(broker);
	if (job->phase == CRLS_LOOK)
		look(broker, LOOKS);
	else if (job->phase != CRLS_IDLE && loop_clock_ms() - job->heard_ms > HANG_MS)
		crls_fail(broker, "sluice-crls hangs");
	if (crls->set.n_rows && sys->wall_s() > crls->checked_s)
		look_at_ends(broker);
}

/* Nobody is served yet: this waits. What the configuration names must be there. */
int crls_start(struct broker *broker, struct config_error *ret_err)
{
	struct crl_job *job = &broker->crls->job;
	const struct crl_source *source;
	struct pollfd pfd = { .events = POLLIN };
	size_t i;

	crls_reload(broker);
	begin(broker);
	while (job->phase != CRLS_IDLE) {
		if (job->phase == CRLS_LOOK) {
			look(broker, SIZE_MAX);
			continue;
		}
		pfd.fd = job->channel.fd;
		if (poll(&pfd, 1, HANG_MS) > 0)
			receive(broker);
		else
			crls_fail(broker, "sluice-crls hangs");
	}
	broker->crls->started = true;
	if (broker->crls->text[0]) {
		snprintf(ret_err->text, sizeof(ret_err->text), "%s: crls: %s", broker->config_path,
			 broker->crls->text);
		return -SLUICE_E_IO;
	}
	for (i = 0; i < broker->crls->sources.n; i++) {
		source = &broker->crls->sources.items[i];
		if (source->kind != CRL_FILE || !source->problem)
			continue;
		snprintf(ret_err->text, sizeof(ret_err->text), "%s: crls: %.200s: %.200s",
			 broker->config_path, source->path, source->problem);
		return -SLUICE_E_FILE;
	}
	return 0;
}

int crls_open(struct broker *broker)
{
	struct crls *crls = calloc(1, sizeof(*crls));

	if (!crls)
		return -ENOMEM;
	crls->broker = broker;
	TAILQ_INIT(&crls->urls);
	crls->fd = crls->job.channel.fd = crls->changes.watch.fd = -1;
	broker->crls = crls;
	return 0;
}

void crls_close(struct broker *broker)
{
	struct crls *crls = broker->crls;

	if (!crls)
		return;
	job_end(broker);
	crl_urls_close(broker);
	crl_watch_close(broker);
	crl_sources_free(&crls->sources);
	crl_sources_free(&crls->asked);
	crl_set_close(&crls->set);
	if (crls->fd >= 0)
		close(crls->fd);
	free(crls);
	broker->crls = NULL;
}
