/* SPDX-License-Identifier: Apache-2.0 */
/* One message at a time, with descriptors, over a SOCK_SEQPACKET socket: the only SCM_RIGHTS. */
#ifndef SLUICE_HANDOVER_CHANNEL_H
#define SLUICE_HANDOVER_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define CHANNEL_MAX_FDS 4

/* struct channel_fds - descriptors that came with a message; whoever receives them owns them. */
struct channel_fds {
	int fds[CHANNEL_MAX_FDS];
	unsigned int n;
	bool lost; /* there were some, and this process had no room for them (EMFILE): n is 0 */
};

/* channel_pair() makes two connected ends, close-on-exec. Returns 0 or -errno. */
int channel_pair(int ret_fds[2]);

/*
 * channel_send() sends a message without waiting; the descriptors stay the caller's. Returns 0 or
 * -errno; -EAGAIN: the peer does not keep up.
 */
int channel_send(int fd, const void *buf, size_t len, const int *fds, unsigned int n_fds);

/*
 * channel_recv() receives one without waiting. Returns its length, 0 at the end, or -errno; -EMSGSIZE:
 * it was longer than @size, or had more descriptors than anyone may send: nothing is kept of it. What
 * the other end said before it went is received also where it left messages of ours unread.
 */
ssize_t channel_recv(int fd, void *buf, size_t size, struct channel_fds *ret_fds);

/*
 * channel_drop() closes a socket of another's making without waiting for its peer, whatever SO_LINGER
 * its owner has set (socket(7)).
 */
void channel_drop(int fd);

/* channel_close_fds() closes those that are left; channel_take_fd() takes the first, or -1. */
void channel_close_fds(struct channel_fds *fds);
int channel_take_fd(struct channel_fds *fds);

/*
 * channel_end() closes a channel behind what was sent: a close(2) over something unread would let the
 * peer read ECONNRESET instead (unix(7), SOCK_SEQPACKET).
 */
void channel_end(int fd);

/* channel_peer() tells who is at the other end (SO_PEERCRED). Returns 0 or -errno. */
int channel_peer(int fd, struct ucred *ret_cred);

/* channel_listen() listens at @path, replacing a socket that nobody listens at. -errno on failure. */
int channel_listen(const char *path, mode_t mode);

/* channel_connect() connects to one. Returns the descriptor or -errno. */
int channel_connect(const char *path);

#endif
