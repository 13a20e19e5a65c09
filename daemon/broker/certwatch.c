// SPDX-License-Identifier: Apache-2.0
/*
 * Changes in directories of certificates, as inotify(7) tells them. Nothing is looked at before it has
 * been quiet for a moment: files are often written in pieces, and certificates with their keys.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "broker/certs.h"

#define SETTLE_MS 200
#define SETTLE_AT_MOST_MS 2000 /* where it is never quiet */
#define MAX_READS 16           /* for one turn of the loop */
#define EVENTS                                                                              \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB | \
	 IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

static void add_dirty(struct cert_watch *watch, int wd, const char *stem)
{
	struct dirty *dirty = watch->dirty;
	size_t i;

	for (i = 0; i < watch->n_dirty; i++)
		if (dirty[i].wd == wd && (!dirty[i].stem || (stem && !strcmp(dirty[i].stem, stem))))
			return;
	if (watch->n_dirty == CERT_MAX_DIRTY) {
		watch->all = true;
		return;
	}
	dirty[i] = (struct dirty){ wd, stem ? strdup(stem) : NULL };
	watch->n_dirty++;
}

/* Returns the length of a name without what tells its kind; 0: of no kind that matters. */
static size_t stem_len(const char *name, size_t len)
{
	static const char *const suffixes[] = { ".pem", ".key", ".ocsp" };
	size_t i, n;

	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		n = strlen(suffixes[i]);
		if (len > n && !memcmp(name + len - n, suffixes[i], n))
			return len - n;
	}
	return 0;
}

/* A rename of "..data" is how Kubernetes exchanges all files of a directory. */
static bool note(struct cert_watch *watch, const struct inotify_event *event)
{
	size_t len = event->len ? strnlen(event->name, event->len) : 0;
	char stem[256];

	if (event->mask & IN_Q_OVERFLOW) {
		watch->all = true;
		return true;
	}
	if (event->mask & IN_IGNORED)
		return false;
	if (!len || strncmp(event->name, "..", 2) == 0) {
		add_dirty(watch, event->wd, NULL);
		return true;
	}
	len = stem_len(event->name, len);
	if (event->name[0] == '.' || !len || len >= sizeof(stem))
		return false;
	memcpy(stem, event->name, len);
	stem[len] = '\0';
	add_dirty(watch, event->wd, stem);
	return true;
}

static void watch_ready(struct watch *watch, uint32_t events)
{
	struct cert_watch *changes = (struct cert_watch *)watch;
	_Alignas(struct inotify_event) char buf[16384];
	const struct inotify_event *event;
	uint64_t now = loop_clock_ms();
	ssize_t n;
	char *at;
	int i;

	for (i = 0; i < MAX_READS && (n = read(watch->fd, buf, sizeof(buf))) > 0; i++) {
		for (at = buf; at < buf + n; at += sizeof(*event) + event->len) {
			event = (const struct inotify_event *)at;
			if (!note(changes, event))
				continue;
			changes->last_ms = now;
			if (!changes->first_ms)
				changes->first_ms = now;
		}
	}
}

void cert_watch_open(struct broker *broker)
{
	struct cert_watch *watch = &broker->certs->changes;
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	watch->watch = (struct watch){ .fd = fd, .ready = watch_ready };
	if (fd < 0 || loop_watch(&broker->loop, &watch->watch, EPOLLIN) < 0)
		log_line(broker, CONFIG_LOG_WARNING,
			 "hosts_dir: changes are seen at a reload only: inotify: %s",
			 strerror(errno));
}

void cert_watch_close(struct broker *broker)
{
	struct cert_watch *watch = &broker->certs->changes;

	cert_watch_forget(watch);
	if (watch->watch.fd < 0)
		return;
	loop_forget(&broker->loop, &watch->watch);
	close(watch->watch.fd);
	watch->watch.fd = -1;
}

int cert_watch_add(struct broker *broker, const char *path)
{
	int fd = broker->certs->changes.watch.fd;
	int wd = fd < 0 ? -1 : inotify_add_watch(fd, path, EVENTS);

	if (fd >= 0 && wd < 0)
		log_line(broker, CONFIG_LOG_WARNING,
			 "hosts_dir: %s: changes are seen at a reload only: %s", path,
			 strerror(errno));
	return wd;
}

bool cert_watch_settled(const struct broker *broker)
{
	const struct cert_watch *watch = &broker->certs->changes;
	uint64_t now = broker->loop.now_ms;

	if (watch->again_ms && now >= watch->again_ms)
		return true;
	return watch->first_ms &&
	       (now >= watch->last_ms + SETTLE_MS || now >= watch->first_ms + SETTLE_AT_MOST_MS);
}

void cert_watch_forget(struct cert_watch *watch)
{
	while (watch->n_dirty)
		free(watch->dirty[--watch->n_dirty].stem);
	watch->all = false;
	watch->first_ms = watch->last_ms = watch->again_ms = 0;
}
