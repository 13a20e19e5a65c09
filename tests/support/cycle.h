/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One whole life of a connection, as two programs would live it: listen, connect, accept, handshake,
 * data each way, a file, close_notify, close; with blocking calls, the server in a thread of its
 * own. Whatever fails in it, it ends soon and leaves nothing behind. It allocates nothing itself.
 */
#ifndef SLUICE_TESTS_SUPPORT_CYCLE_H
#define SLUICE_TESTS_SUPPORT_CYCLE_H

#include <stdbool.h>

#include <sluice/sluice.h>

struct cycle {
	struct sluice *sluice;
	struct sluice_profile *server_profile, *client_profile;
	struct sluice_session *session; /* offered by the client; NULL: none */
	bool by_fd;                     /* upgrade connected sockets */
	int file_fd;
	int client, server; /* results: 0, or the first error of that end */
};

/* cycle_open() makes what cycles share. @version as in option versions. Ends the test on failure. */
void cycle_open(struct cycle *cycle, const char *path, const char *version);
void cycle_close(struct cycle *cycle);

/* cycle_run() runs one. Returns whether both ends got through it. */
bool cycle_run(struct cycle *cycle);

/*
 * cycle_check() looks at what cycle_run() left behind: results that have names, no descriptor and no
 * secret more than at cycle_open(). @ok: it has to have got through.
 */
#define cycle_check(cycle, ok) cycle_check_at(cycle, ok, __FILE__, __LINE__)
void cycle_check_at(const struct cycle *cycle, bool ok, const char *file, int line);

#endif
