/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server and a client connection of the library in one process, over loopback TCP, driven in turn
 * by one thread. Flow tests run over every record path that this kernel has:
 *
 *	PAIR_FOR_EACH_PATH(path) {
 *		struct pair pair;
 *		pair_open(&pair, &(struct pair_setup){ .path = path });
 *		assert_int_equal(pair_connect(&pair), 0);
 *		...
 *		pair_close(&pair);
 *	}
 */
#ifndef SLUICE_TESTS_SUPPORT_PAIR_H
#define SLUICE_TESTS_SUPPORT_PAIR_H

#include <sluice/sluice.h>

struct pair_setup {
	const char *path;           /* record_path of both ends; NULL: auto */
	const char *versions;       /* of both ends; NULL: the default */
	const char *server_options; /* further `name = value` lines */
	const char *client_options; /* the client trusts the test CA already */
	const char *cert, *key;     /* the server's; NULL: P-256 */
	const char *bind;           /* NULL: 127.0.0.1 */
	/* What text cannot set; NULL: nothing. */
	void (*set)(struct sluice_options *opts, enum sluice_role role, void *arg);
	void *arg;
};

struct pair {
	struct sluice *sluice;
	struct sluice_profile *server_profile, *client_profile;
	struct sluice_listener *listener;
	struct sluice_conn *server, *client;
	int server_result, client_result; /* of the last pair_connect() */
	const char *host;
};

/* pair_open() builds profiles and listens. Ends the test on failure. */
void pair_open(struct pair *pair, const struct pair_setup *setup);

/*
 * pair_connect() makes one connection and runs both handshakes to their end. Returns the first
 * result of both that is not 0; both are in the pair.
 */
int pair_connect(struct pair *pair);
int pair_resume(struct pair *pair, struct sluice_session *session);

/* pair_start() connects TCP and starts both handshakes without running them. */
void pair_start(struct pair *pair, struct sluice_session *session);

/* pair_run() runs both handshakes until each is done, paused or failed. Returns as above. */
int pair_run(struct pair *pair);

/* pair_drop() closes both connections; pair_close() also everything else. */
void pair_drop(struct pair *pair);
void pair_close(struct pair *pair);

/* pair_exchange() sends a pattern of @len bytes each way and compares it. */
void pair_exchange(struct pair *pair, size_t len);

/* pair_pattern() fills @buf with bytes that tell their position from @offset on. */
void pair_pattern(uint8_t *buf, size_t len, size_t offset);

/* pair_profile() builds a profile from `name = value` lines. Ends the test on failure. */
struct sluice_profile *pair_profile(enum sluice_role role, const char *text);

/* pair_path() names record path @i of those this kernel can take, NULL at the end. */
const char *pair_path(int i);

/* PAIR_FOR_EACH_VERSION() does the same with the words of option versions. */
extern const char *const pair_versions[2];

#define PAIR_FOR_EACH_VERSION(version)                      \
	for (int version_i = 0; version_i < 2; version_i++) \
		for (const char *version = pair_versions[version_i]; version; version = NULL)

#define PAIR_FOR_EACH_PATH(path)                          \
	for (int pair_i = 0; pair_path(pair_i); pair_i++) \
		for (const char *path = pair_path(pair_i); path; path = NULL)

#endif
