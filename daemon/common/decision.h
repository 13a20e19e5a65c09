/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a decision service is asked about a peer and what it answers: lines of JSON on a stream socket,
 * docs/protocol.md. Both are bounded; an answer that is anything but one is refused with its reason.
 */
#ifndef SLUICED_COMMON_DECISION_H
#define SLUICED_COMMON_DECISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DECISION_MAX_BODY 61440  /* bytes of what a handshaker says of a peer */
#define DECISION_MAX_ANSWER 8192 /* bytes of a line */
#define DECISION_TEXT 256        /* of each text in an answer, with its end */
#define DECISION_MAX_OPEN 16384  /* questions of one service without an answer */

/* struct decision - an answer. */
struct decision {
	uint64_t question;
	bool accepted;
	char reason[DECISION_TEXT];     /* "": none was given */
	char identity[DECISION_TEXT];   /* "": that of the certificate */
	char attributes[DECISION_TEXT]; /* "": none */
};

/*
 * decision_parse() reads a line, without its end. Returns NULL, or what is wrong with it: static. @ret is
 * written only where nothing is.
 */
const char *decision_parse(struct decision *ret, const char *line, size_t len);

/*
 * decision_is_object() tells whether a text that nobody has parsed can be a member of a line: whatever reads it
 * as JSON finds one object, which begins and ends with it. What is in there may be wrong.
 */
bool decision_is_object(const uint8_t *text, size_t len);

/*
 * decision_service_id() makes the number of a service of what the configuration says of it: the same in each
 * process, and after a reload.
 */
uint64_t decision_service_id(const char *path, unsigned int timeout_ms, unsigned int questions);

#endif
