// SPDX-License-Identifier: Apache-2.0
/* The service manager: it is told when we serve, and may have opened our sockets (systemd). */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "broker/broker.h"

void service_ready(struct broker *broker)
{
	uint64_t usec = 0;

	if (sd_watchdog_enabled(1, &usec) > 0)
		broker->watchdog_ms = usec / 2000; /* twice in the time that it gives us */
	sd_notify(0, "READY=1\nSTATUS=serving");
}

void service_stopping(void)
{
	sd_notify(0, "STOPPING=1\nSTATUS=handshakes under way are finished");
}

void service_tick(struct broker *broker)
{
	if (!broker->watchdog_ms || broker->loop.now_ms < broker->watchdog_due_ms)
		return;
	broker->watchdog_due_ms = broker->loop.now_ms + broker->watchdog_ms;
	sd_notify(0, "WATCHDOG=1");
}

static bool is_at(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_storage own = { 0 };
	socklen_t own_len = sizeof(own);

	if (getsockname(fd, (struct sockaddr *)&own, &own_len) || own_len != len ||
	    own.ss_family != addr->sa_family)
		return false;
	if (own.ss_family == AF_INET)
		return memcmp(&((struct sockaddr_in *)&own)->sin_addr,
			      &((const struct sockaddr_in *)addr)->sin_addr, 4) == 0 &&
		       ((struct sockaddr_in *)&own)->sin_port ==
			       ((const struct sockaddr_in *)addr)->sin_port;
	return memcmp(&((struct sockaddr_in6 *)&own)->sin6_addr,
		      &((const struct sockaddr_in6 *)addr)->sin6_addr, 16) == 0 &&
	       ((struct sockaddr_in6 *)&own)->sin6_port ==
		       ((const struct sockaddr_in6 *)addr)->sin6_port;
}

void service_store(const char *name, int fd)
{
	char text[128];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}

/* All of the name go. */
void service_unstore(const char *name)
{
	char text[128];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	sd_notify(0, text);
}

/* Of several with this name the newest, which systemd has first. */
int service_stored(const char *name)
{
	char **names = NULL;
	int i, fd = -1, n = sd_listen_fds_with_names(0, &names);

	for (i = 0; i < n; i++) {
		if (fd < 0 && names[i] && strcmp(names[i], name) == 0)
			fd = SD_LISTEN_FDS_START + i;
		free(names[i]);
	}
	free(names);
	return fd;
}

int service_socket(const struct sockaddr *addr, socklen_t len)
{
	int i, n = sd_listen_fds(0);

	for (i = 0; i < n; i++)
		if (sd_is_socket(SD_LISTEN_FDS_START + i, AF_UNSPEC, SOCK_STREAM, 1) > 0 &&
		    is_at(SD_LISTEN_FDS_START + i, addr, len))
			return SD_LISTEN_FDS_START + i;
	return -1;
}
