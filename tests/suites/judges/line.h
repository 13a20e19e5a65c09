/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the judges are asked (tests/suites/jury.py writes it): a line of nine words for each case,
 *
 *	ID server|client SECONDS NAME DEPTH PARTIAL TRUST CHAIN CRLS
 *
 * with "-" for no name and no depth, 0 or 1 for PARTIAL, the name in base64 and the certificates in
 * base64 with commas between them. CRLS are those of everybody on the path, written like certificates; "none" is none
 * at all, and "-" that revocation is not asked. The answer is a line too: "ID ok" or "ID no REASON".
 */
#ifndef SUITES_JUDGES_LINE_H
#define SUITES_JUDGES_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_MAX_CERTS 1024

struct line_cert {
	uint8_t *der; /* points into the line, which it has overwritten */
	size_t len;
};

struct line {
	const char *id;
	bool client, partial;
	int64_t now_s;
	char *name;      /* NULL: none */
	int depth;       /* -1: none */
	bool revocation; /* is asked */
	size_t n_trust, n_chain, n_crls;
	struct line_cert trust[LINE_MAX_CERTS], chain[LINE_MAX_CERTS], crls[LINE_MAX_CERTS];
};

/* line_parse() takes a line apart, which it changes. Whoever writes lines writes no others: it ends the program. */
void line_parse(struct line *ret_line, char *text);

/* line_answer() prints a verdict; @reason NULL: accepted. */
void line_answer(const struct line *line, const char *reason);

#endif
