/* SPDX-License-Identifier: Apache-2.0 */
#include "line.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "judge: %s\n", what);
	exit(2);
}

static int digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Decodes in place and returns the length. */
static size_t decode(char *text)
{
	uint8_t *out = (uint8_t *)text;
	uint32_t bits = 0;
	size_t n = 0;
	int have = 0;

	for (; *text && *text != '='; text++) {
		if (digit(*text) < 0)
			die("bad base64");
		bits = bits << 6 | (uint32_t)digit(*text);
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (uint8_t)(bits >> have);
		}
	}
	return n;
}

static size_t parse_certs(struct line_cert *certs, char *text)
{
	char *save, *word;
	size_t n = 0;

	for (word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (n == LINE_MAX_CERTS)
			die("too many certificates");
		certs[n].len = decode(word);
		certs[n++].der = (uint8_t *)word;
	}
	return n;
}

void line_parse(struct line *ret_line, char *text)
{
	char *words[9], *save = NULL;
	size_t i;

	for (i = 0; i < 9; i++) {
		words[i] = strtok_r(i ? NULL : text, " \n", &save);
		if (!words[i])
			die("a line with too few words");
	}
	ret_line->id = words[0];
	ret_line->client = !strcmp(words[1], "client");
	ret_line->now_s = atoll(words[2]);
	ret_line->name = strcmp(words[3], "-") ? words[3] : NULL;
	if (ret_line->name)
		ret_line->name[decode(ret_line->name)] = '\0';
	ret_line->depth = strcmp(words[4], "-") ? atoi(words[4]) : -1;
	ret_line->partial = *words[5] == '1';
	ret_line->n_trust = strcmp(words[6], "-") ? parse_certs(ret_line->trust, words[6]) : 0;
	ret_line->n_chain = strcmp(words[7], "-") ? parse_certs(ret_line->chain, words[7]) : 0;
	ret_line->revocation = strcmp(words[8], "-") != 0;
	ret_line->n_crls = ret_line->revocation && strcmp(words[8], "none")
				   ? parse_certs(ret_line->crls, words[8])
				   : 0;
}

void line_answer(const struct line *line, const char *reason)
{
	printf("%s %s", line->id, reason ? "no " : "ok");
	for (; reason && *reason; reason++)
		putchar(isprint((unsigned char)*reason) ? *reason : '?');
	putchar('\n');
	fflush(stdout);
}
