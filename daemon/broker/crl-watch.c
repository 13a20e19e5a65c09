// SPDX-License-Identifier: Apache-2.0
/*
 * Changes of revocation lists, as inotify(7) tells them: of the directories that they are in, since files are
 * exchanged by rename(2). Nothing is looked at before it has been quiet for a moment; which files have
 * changed their stamps tell.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "broker/crls.h"

#define SETTLE_MS 200
#define SETTLE_AT_MOST_MS 2000 /* where it is never quiet */
#define MAX_READS 16           /* for one turn of the loop */
#define EVENTS                                                                              \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB | \
	 IN_DELETE_SELF | IN_MOVE_SELF)

static void watch_ready(struct watch *watch, uint32_t events)
{
	struct crl_watch *changes = (struct crl_watch *)watch;
	_Alignas(struct inotify_event) char buf[16384];
	int i;

	for (i = 0; i < MAX_READS && read(watch->fd, buf, sizeof(buf)) > 0; i++) {
		changes->last_ms = loop_clock_ms();
		if (!changes->first_ms)
			changes->first_ms = changes->last_ms;
	}
}

void crl_watch_close(struct broker *broker)
{
	struct crl_watch *changes = &broker->crls->changes;

	if (changes->watch.fd < 0)
		return;
	loop_forget(&broker->loop, &changes->watch);
	close(changes->watch.fd);
	changes->watch.fd = -1;
}

void crl_watch_open(struct broker *broker)
{
	struct crl_watch *changes = &broker->crls->changes;
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	*changes = (struct crl_watch){ .watch = { .fd = fd, .ready = watch_ready } };
	if (fd < 0 || loop_watch(&broker->loop, &changes->watch, EPOLLIN) < 0)
		log_line(broker, CONFIG_LOG_WARNING,
			 "crls: changes are seen at a reload only: inotify: %s", strerror(errno));
}

static void watch_dir(struct broker *broker, const char *path)
{
	int fd = broker->crls->changes.watch.fd;

	if (fd >= 0 && inotify_add_watch(fd, path, EVENTS) < 0)
		log_line(broker, CONFIG_LOG_WARNING,
			 "crls: %s: changes are seen at a reload only: %s", path, strerror(errno));
}

/* The same directory twice is one watch to the kernel. */
void crl_watch_config(struct broker *broker)
{
	const struct config *config = broker->config;
	char *path, *slash;
	size_t i;

	crl_watch_close(broker); /* what is not named any more */
	if (!config->crls.dir && !config->crls.n_files)
		return;
	crl_watch_open(broker);
	if (config->crls.dir)
		watch_dir(broker, config->crls.dir);
	for (i = 0; i < config->crls.n_files; i++) {
		path = strdup(config->crls.files[i]);
		slash = path ? strrchr(path, '/') : NULL;
		if (slash) {
			slash[slash == path] = '\0';
			watch_dir(broker, path);
		}
		free(path);
	}
}

bool crl_watch_settled(const struct broker *broker)
{
	const struct crl_watch *changes = &broker->crls->changes;
	uint64_t now = broker->loop.now_ms;

	return changes->first_ms && (now >= changes->last_ms + SETTLE_MS ||
				     now >= changes->first_ms + SETTLE_AT_MOST_MS);
}
