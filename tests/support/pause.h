/* SPDX-License-Identifier: Apache-2.0 */
/* A pair of which one end pauses at the hello (option handshake = hello). */
#ifndef SLUICE_TESTS_SUPPORT_PAUSE_H
#define SLUICE_TESTS_SUPPORT_PAUSE_H

#include "support/pair.h"

#define PAUSE "handshake = hello\n"

/* pause_open() opens a pair of which the end of @role pauses, and runs it up to there. */
void pause_open(struct pair *pair, enum sluice_role role, struct pair_setup setup);

/* pause_run() runs a pair that was started until the end of @role pauses. */
void pause_run(struct pair *pair, enum sluice_role role);

/* pause_end() returns the connection of @role. */
struct sluice_conn *pause_end(const struct pair *pair, enum sluice_role role);

/* pause_continue() goes on with @text as further options (NULL: none). Returns as pair_run(). */
int pause_continue(struct pair *pair, enum sluice_role role, const char *text);

/* pause_hello() returns what sluice_hello() says. */
struct sluice_hello pause_hello(const struct sluice_conn *conn);

#endif
