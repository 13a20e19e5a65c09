/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confines itself as a process of sluiced does and then makes a system call, for tests/daemon/walls.sh:
 *
 *	confined keeper|handshaker|relay|metrics|fetch
 *		open|socket|udp|local|ptrace|execve|fork|kill|connect|ring|time|getsockopt|accept
 *
 * Prints "confined", then "survived" if the call did not end the process.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/process.h"

static void make_call(const char *name)
{
	char *const none[] = { NULL };
	struct sockaddr addr = { .sa_family = AF_UNIX };
	socklen_t len = sizeof(int);
	int value;

	if (!strcmp(name, "open"))
		open("/etc/passwd", O_RDONLY);
	else if (!strcmp(name, "socket"))
		socket(AF_INET, SOCK_STREAM, 0);
	else if (!strcmp(name, "udp"))
		socket(AF_INET6, SOCK_DGRAM, 0);
	else if (!strcmp(name, "local"))
		socket(AF_UNIX, SOCK_STREAM, 0);
	else if (!strcmp(name, "ring"))
		syscall(SYS_io_uring_setup, 4, NULL);
	else if (!strcmp(name, "ptrace"))
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	else if (!strcmp(name, "execve"))
		execve("/bin/true", none, none);
	else if (!strcmp(name, "fork"))
		syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	else if (!strcmp(name, "kill"))
		kill(1, 0);
	else if (!strcmp(name, "connect"))
		connect(0, &addr, sizeof(addr));
	else if (!strcmp(name, "time"))
		syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &(struct timespec){ 0 });
	else if (!strcmp(name, "getsockopt"))
		getsockopt(0, SOL_SOCKET, SO_TYPE, &value, &len);
	else if (!strcmp(name, "accept"))
		accept4(0, NULL, NULL, 0);
}

static enum confinement confinement_of(const char *name)
{
	if (!strcmp(name, "keeper"))
		return CONFINE_KEEPER;
	if (!strcmp(name, "metrics"))
		return CONFINE_METRICS;
	if (!strcmp(name, "fetch"))
		return CONFINE_FETCH;
	return strcmp(name, "relay") ? CONFINE_HANDSHAKER : CONFINE_RELAY;
}

int main(int argc, char **argv)
{
	int r;

	if (argc != 3)
		return 2;
	r = process_confine(confinement_of(argv[1]), 65534, 65534);
	if (r < 0) {
		fprintf(stderr, "confined: %s\n", strerror(-r));
		return 2;
	}
	if (write(1, "confined\n", 9) != 9)
		return 2;
	make_call(argv[2]);
	return write(1, "survived\n", 9) == 9 ? 0 : 2;
}
