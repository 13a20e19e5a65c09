/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of the daemon: how they are started, and what they give up. */
#ifndef SLUICED_COMMON_PROCESS_H
#define SLUICED_COMMON_PROCESS_H

#include <sys/types.h>

/* Descriptors that a child finds its channels at. */
#define CHILD_BROKER_FD 3
#define CHILD_KEEPER_FD 4   /* handshaker only */
#define CHILD_LOADS_FD 4    /* keeper only: keys come and go there */
#define CHILD_LISTENER_FD 4 /* sluice-metrics only: and up */

/*
 * process_spawn() starts @program, a sibling of this program, with @fds at 3 and up, to run as @uid and @gid, and nothing else
 * but standard output and error. Returns its pid or -errno.
 */
pid_t process_spawn(const char *program, const int *fds, unsigned int n_fds, uid_t uid, gid_t gid);

/* process_id() tells a child as which user or group it shall run: what its broker said, or nobody. */
#define PROCESS_UID "SLUICE_UID"
#define PROCESS_GID "SLUICE_GID"
unsigned int process_id(const char *which);

/* enum confinement - what a process needs no more once it is set up. */
enum confinement {
	CONFINE_KEEPER,     /* no network, no new files */
	CONFINE_HANDSHAKER, /* sockets that it is given, no files */
	CONFINE_RELAY,      /* besides those new local sockets, and its ring */
	CONFINE_METRICS,    /* a handshaker's, and what they accept */
	CONFINE_FETCH,      /* a handshaker's, and sockets of the network that connect */
	CONFINE_CRLS,       /* no network; files that it is given, and memory files */
	CONFINE_CONNECTOR,  /* a handshaker's, and sockets that connect, local ones too */
};

/*
 * process_confine() drops privileges for good: another user (@uid 0: stays), no new privileges, not
 * dumpable, no core, then a list of system calls that are left (seccomp); any other one ends the
 * process. Children end with their parent, have an empty root directory (if root calls) and a limit
 * of memory; a relay has no parent that matters, and it and its connector have local sockets to connect to. Returns 0 or -errno.
 */
int process_confine(enum confinement confinement, uid_t uid, gid_t gid);

/* process_become() is the part of it that a process needs whose children are to be confined: user, privileges, core. */
int process_become(uid_t uid, gid_t gid);

/*
 * process_refuse_others() has local sockets, signals and whatever else reaches other processes, and other programs,
 * fail with EACCES; for one that must have files. Returns 0 or -errno.
 */
int process_refuse_others(void);

#endif
