// SPDX-License-Identifier: Apache-2.0
#include "support/crl-server.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/certs.h"

static const char script[] =
#include "crl-server.py.h"
	;

static void run(int out)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(out, STDOUT_FILENO);
	close_range(STDERR_FILENO + 1, ~0u, 0);
	execlp("python3", "python3", "-c", script, certs_get()->dir, NULL);
	_exit(127);
}

bool crl_server_start(struct crl_server *server)
{
	char line[32] = "";
	int ends[2];
	bool ok;

	*server = (struct crl_server){ .pid = 0 };
	certs_get(); /* made once, and here */
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	server->pid = fork();
	assert_true(server->pid >= 0);
	if (server->pid == 0)
		run(ends[1]);
	close(ends[1]);
	server->log = fdopen(ends[0], "r");
	ok = fgets(line, sizeof(line), server->log) && sscanf(line, "port %u", &server->port) == 1;
	if (ok)
		fcntl(ends[0], F_SETFL, O_NONBLOCK);
	else
		crl_server_stop(server);
	return ok;
}

void crl_server_stop(struct crl_server *server)
{
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	fclose(server->log);
}

unsigned int crl_server_asked(struct crl_server *server, const char *path)
{
	unsigned int i, n = 0;

	while (server->n_asked < sizeof(server->asked) / sizeof(server->asked[0]) &&
	       fgets(server->asked[server->n_asked], sizeof(server->asked[0]), server->log))
		server->n_asked++;
	clearerr(server->log);
	for (i = 0; i < server->n_asked; i++)
		n += !strncmp(server->asked[i], path, strlen(path));
	return n;
}

const char *fetch_program(void)
{
	static char path[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	assert_true(n > 0);
	path[n] = '\0';
	slash = strrchr(path, '/');
	strcpy(slash, "/../daemon/sluice-fetch");
	return access(path, X_OK) == 0 ? path : NULL;
}
