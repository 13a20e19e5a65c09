/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transcripts for tls/control.h: what comes in, what comes out. A script runs whole and in pieces,
 * and each piece lies in memory of its own that is gone after the call, so that a memory checker
 * sees a byte too many and an event that outlives its record.
 */
#ifndef SLUICE_TESTS_PLAYER_H
#define SLUICE_TESTS_PLAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record/suite.h"
#include "tls/control.h"

#define PLAYER_MAX_RECORDS 6

#define CLIENT false
#define SERVER true

#define REC(type, bytes)                       \
	{                                      \
		type, sizeof(bytes) - 1, bytes \
	}
#define HS(bytes) REC(RECORD_HANDSHAKE, bytes)
#define AL(bytes) REC(RECORD_ALERT, bytes)
#define DATA(bytes) REC(RECORD_DATA, bytes)

struct script_record {
	uint8_t type;
	size_t len;
	const char *bytes;
};

/*
 * struct script - @expect are the events in words: close, alert(N), warning(N), ticket(LENGTH),
 * key_update(REQUESTED), renegotiation; data is a record to be delivered, ignored one that is not;
 * error(ALERT) ends a script.
 */
struct script {
	uint16_t version;
	bool is_server;
	const char *expect;
	struct script_record records[PLAYER_MAX_RECORDS];
};

/* How records are cut into the pieces that the engine sees. */
enum cut {
	CUT_NOWHERE,
	CUT_AFTER_EACH_BYTE,
	CUT_AFTER_EACH_BYTE_END_APART, /* an empty last piece tells the end */
	CUT_IN_THE_MIDDLE,
	CUTS
};

struct player {
	struct control control;
	enum cut cut;
	bool stop_when_empty; /* do not call again with nothing left */
	uint8_t *stream;      /* all bytes of handshake records so far */
	size_t stream_len, stream_seen;
	size_t fed, delivered; /* bytes: in all; of this data record */
	char out[512];         /* the events in words, a space before each */
};

void player_start(struct player *player, uint16_t version, bool is_server);
void player_stop(struct player *player);

/* player_record() feeds one record. Returns 0 or the error. */
int player_record(struct player *player, uint8_t type, const char *bytes, size_t len);

/* player_check_memory() holds what is allocated against what was fed. */
void player_check_memory(const struct player *player);

/* player_run() is a cmocka test: *@state is the struct script. */
void player_run(void **state);

#define cmocka_unit_test_script(name, version, is_server, expect, ...)        \
	{                                                                     \
#name, player_run, NULL, NULL, (void *)&(const struct script) \
		{                                                             \
			version, is_server, expect,                           \
			{                                                     \
				__VA_ARGS__                                   \
			}                                                     \
		}                                                             \
	}

#endif
