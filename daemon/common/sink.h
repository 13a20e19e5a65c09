/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where log lines go, without ever waiting: whoever does not read them, has died, or has no room loses
 * them, and is told of as an error. syslog(3) and sd_journal_sendv(3) wait for their reader, so what they
 * would send is sent here. Of one thread; what is open stays open.
 */
#ifndef SLUICED_COMMON_SINK_H
#define SLUICED_COMMON_SINK_H

#include <stddef.h>

/* sink_stderr() writes a line of at most PIPE_BUF bytes, its end included. Returns 0 or -errno. */
int sink_stderr(const char *line, size_t len);

/* sink_journal() and sink_syslog() send a datagram; -ENOENT: there is no such socket here. */
int sink_journal(const char *entry, size_t len);
int sink_syslog(const char *entry, size_t len);

#endif
