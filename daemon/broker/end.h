/* SPDX-License-Identifier: Apache-2.0 */
/* Why sessions end: a closed list of words, so that counts of them are bounded whatever peers do. */
#ifndef SLUICED_BROKER_END_H
#define SLUICED_BROKER_END_H

enum end {
	END_NONE, /* it goes on */
	/* it is refused before its handshake */
	END_SHARE,         /* its source has its share of handshakes: limits.per_source */
	END_RATE,          /* it comes too often: limits.per_source_rate */
	END_PENALTY,       /* it has crashed a handshaker */
	END_PROXY,         /* the listener is for others, its proxies */
	END_NO_MEMORY,     /* or later */
	END_NO_HANDSHAKER, /* none took it */
	END_LAST_REFUSAL = END_NO_HANDSHAKER,
	/* it ends in the handshake or after it */
	END_CLOSED, /* by its worker or its peer */
	END_ERROR,  /* by an error of the library, whose code is told */
	END_TOLD,   /* by its worker, in words of its own */
	END_WORKER_GONE,
	END_PROGRAM_GONE, /* which had brought it */
	END_NO_WORKER,    /* none had room in time */
	END_HANDSHAKER_DIED,
	END_HANDSHAKER_LIED,
	END_KILLED, /* by the administrator */
	END_STOPPED,
	ENDS
};

/* end_name() returns its word, as in logs and counts; of END_ERROR the name of the error @code. */
const char *end_name(enum end end, int code);

/* end_text() says it in words for people; "": the word says it. */
const char *end_text(enum end end);

/*
 * end_reason() says all of it in one line: of END_ERROR the name of the error and @text, else @text, or
 * the word where there is none (NULL, "").
 */
#define END_REASON_LEN 320
void end_reason(char out[END_REASON_LEN], enum end end, int code, const char *text);

#endif
