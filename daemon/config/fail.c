/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the errors of a configuration are worded: where, what, and what to write instead. Called by
 * everything here that finds one. It must never show more of a file than a word that was named.
 */
#include "config/parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_PATH 160    /* bytes of the path in an error: the rest must have room */
#define MAX_DISTANCE 32 /* bytes of words that are compared */

static int print_place(char *out, size_t size, const char *path, struct config_place place)
{
	size_t len = strlen(path);
	const char *dots = len > MAX_PATH ? "..." : "";

	if (len > MAX_PATH)
		path += len - MAX_PATH;
	if (!place.line)
		return snprintf(out, size, "%s%s: ", dots, path);
	return snprintf(out, size, "%s%s:%u:%u: ", dots, path, place.line, place.column);
}

int parse_fail(struct parse *p, int code, struct config_place place, const char *format, ...)
{
	struct config_error *err = p->err;
	va_list args;
	size_t len;
	char *c;

	if (err->text[0])
		return -code;
	err->place = place;
	len = (size_t)print_place(err->text, sizeof(err->text), p->path, place);
	va_start(args, format);
	vsnprintf(err->text + len, sizeof(err->text) - len, format, args);
	va_end(args);
	for (c = err->text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?'; /* a path may hold anything, and this goes to terminals */
	return -code;
}

int parse_nomem(struct parse *p)
{
	return parse_fail(p, SLUICE_E_NOMEM, (struct config_place){ 0 },
			  "no memory to read it; free some and try again");
}

static const char *quote(char out[PARSE_QUOTE_LEN], const char *text, size_t len)
{
	bool cut = len >= PARSE_QUOTE_LEN;
	size_t i;

	if (cut)
		len = PARSE_QUOTE_LEN - 4;
	for (i = 0; i < len; i++)
		out[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	strcpy(out + len, cut ? "..." : "");
	return out;
}

const char *parse_quote(char out[PARSE_QUOTE_LEN], const char *text)
{
	return quote(out, text, strlen(text));
}

const char *parse_quote_key(char out[PARSE_QUOTE_LEN], const char *key)
{
	return quote(out, key, strcspn(key, " \t\n="));
}

/* Levenshtein's distance; a word longer than MAX_DISTANCE is far from everything. */
static size_t distance(const char *a, const char *b)
{
	size_t n_a = strlen(a), n_b = strlen(b), i, j, diagonal, above, best;
	size_t row[MAX_DISTANCE + 1];

	if (n_a > MAX_DISTANCE || n_b > MAX_DISTANCE)
		return MAX_DISTANCE;
	for (j = 0; j <= n_b; j++)
		row[j] = j;
	for (i = 1; i <= n_a; i++) {
		diagonal = row[0];
		row[0] = i;
		for (j = 1; j <= n_b; j++) {
			above = row[j];
			best = diagonal + (a[i - 1] != b[j - 1]);
			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			diagonal = above;
		}
	}
	return row[n_b];
}

/* Two swapped letters of a short word are near (2), half of it is not. */
void nearest_try(struct nearest *nearest, const char *word)
{
	size_t d = distance(nearest->text, word), len = strlen(nearest->text);

	if (d > 3 || 2 * d > len || (nearest->word && d >= nearest->distance))
		return;
	nearest->word = word;
	nearest->distance = d;
}

void words_append(char *out, size_t size, const char *separator, const char *word)
{
	size_t len = strlen(out);

	snprintf(out + len, size - len, "%s%s", len ? separator : "", word);
}
