/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for the answers of decision services: a line from outside. What is refused says why; what is
 * accepted is of a question, and its texts are whole and can be shown.
 */
#include <stdlib.h>
#include <string.h>

#include "common/decision.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char text[DECISION_TEXT])
{
	size_t i, len = strnlen(text, DECISION_TEXT);

	REQUIRE(len < DECISION_TEXT);
	for (i = 0; i < len; i++)
		REQUIRE((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct decision decision = { 0 };
	const char *wrong = decision_parse(&decision, (const char *)data, size);

	if (wrong) {
		REQUIRE(*wrong && !decision.question);
		return 0;
	}
	REQUIRE(decision.question > 0 && decision.question <= INT64_MAX);
	check_text(decision.reason);
	check_text(decision.identity);
	check_text(decision.attributes);
	return 0;
}
