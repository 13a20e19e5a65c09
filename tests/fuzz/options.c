/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for configuration text (options/text.c, words.c, check.c). The input is a whole file.
 * What is refused must leave the set as it was and say why on one line; what is accepted must be in
 * range, must be the same when it is read again and when it is copied, and must either come to
 * versions and suites that fit or be a named contradiction.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/secret.h"
#include "options/options.h"
#include "options/sets.h"
#include "record/suite.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool equal(const struct sluice_options *a, const struct sluice_options *b)
{
	for (int id = 0; id < SLUICE_OPTIONS; id++) {
		const struct option_value *x = &a->values[id], *y = &b->values[id];

		if (x->set != y->set || x->number != y->number || x->len != y->len ||
		    !x->bytes != !y->bytes || (x->len && memcmp(x->bytes, y->bytes, x->len)))
			return false;
	}
	return true;
}

static void check_error(int r, const struct sluice_error *err)
{
	REQUIRE(r < 0 && err->code == -r && err->kind == (int)sluice_error_kind(r));
	REQUIRE(err->text[0]);
	for (const char *c = err->text; *c; c++)
		REQUIRE((unsigned char)*c >= 0x20);
}

static void check_codes(enum sluice_option id, const struct option_value *value)
{
	const uint16_t *codes = value->bytes;
	size_t n = value->len / sizeof(*codes);

	REQUIRE(n > 0 && n <= OPTION_MAX_CODES && value->len % sizeof(*codes) == 0);
	for (size_t i = 0; i < n; i++) {
		REQUIRE(strcmp(words_name(id, codes[i]), "?"));
		REQUIRE(id != SLUICE_OPT_SUPPORTED_GROUPS || words_group_nid(codes[i]));
		for (size_t j = 0; j < i; j++)
			REQUIRE(codes[i] != codes[j]);
	}
}

/* RFC 7301, 3.1: names of 1 to 255 bytes, each behind its length. */
static void check_alpn(const struct option_value *value)
{
	const uint8_t *p = value->bytes, *end = p + value->len;

	REQUIRE(p < end);
	for (; p < end; p += 1 + *p)
		REQUIRE(*p > 0 && *p < end - p);
}

static void check_value(enum sluice_option id, const struct option_value *value)
{
	const struct option_row *row = option_row((int)id);

	switch (row->type) {
	case SLUICE_TYPE_BOOL:
	case SLUICE_TYPE_ENUM:
		REQUIRE(value->number >= 0 && value->number <= 5);
		break;
	case SLUICE_TYPE_INT:
		REQUIRE(value->number >= row->min && value->number <= row->max);
		break;
	case SLUICE_TYPE_STRING:
	case SLUICE_TYPE_SECRET:
		REQUIRE(value->len > 0 && strlen(value->bytes) == value->len);
		break;
	case SLUICE_TYPE_LIST:
		if (option_is_peers(id))
			REQUIRE(value->len > 0 && strlen(value->bytes) == value->len);
		else if (row->values)
			check_codes(id, value);
		else if (id == SLUICE_OPT_CERTS_KEYS)
			REQUIRE(set_list_count(value->sets) > 0 &&
				set_list_count(value->sets) <= OPTION_MAX_CERTS);
		else
			check_alpn(value);
		break;
	case SLUICE_TYPE_DATA:
	case SLUICE_TYPE_TABLE:
	case SLUICE_TYPE_CALL:
		abort(); /* they cannot come from text */
	}
}

static void check_meaning(const struct sluice_options *opts, enum sluice_role role)
{
	struct protocol protocol;
	struct sluice_error err = { 0 };
	int r = options_check(opts, role, &err);

	if (r < 0)
		check_error(r, &err);
	err = (struct sluice_error){ 0 };
	r = protocol_resolve(opts, &protocol, &err);
	if (r < 0) {
		check_error(r, &err);
		return;
	}
	REQUIRE(protocol.min_version >= TLS12 && protocol.max_version <= TLS13);
	REQUIRE(protocol.min_version <= protocol.max_version);
	REQUIRE(protocol.n_suites && protocol.n_groups && protocol.n_sigalgs);
}

static void check_accepted(const struct sluice_options *opts, const struct sluice_options *again)
{
	struct sluice_options *other;

	for (int id = 0; id < SLUICE_OPTIONS; id++)
		if (opts->values[id].set)
			check_value((enum sluice_option)id, &opts->values[id]);
	REQUIRE(equal(opts, again));
	REQUIRE(sluice_options_new(&other) == 0);
	REQUIRE(options_overlay(other, opts) == 0);
	check_meaning(other, SLUICE_CLIENT);
	check_meaning(other, SLUICE_SERVER);
	sluice_options_free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sluice_options *opts, *again, *before;
	size_t secrets = secret_live();
	struct sluice_error err;
	int r;

	REQUIRE(sluice_options_new(&opts) == 0 && sluice_options_new(&again) == 0);
	REQUIRE(sluice_options_set(opts, SLUICE_OPT_DEPTH, "7", &err) == 0);
	REQUIRE(sluice_options_set(again, SLUICE_OPT_DEPTH, "7", &err) == 0);
	REQUIRE(sluice_options_clone(&before, opts) == 0);
	r = sluice_options_parse(opts, (const char *)data, size, &err);
	REQUIRE(sluice_options_parse(again, (const char *)data, size, NULL) == r);
	if (r < 0) {
		check_error(r, &err);
		REQUIRE(equal(opts, before));
	} else {
		check_accepted(opts, again);
	}
	sluice_options_free(opts);
	sluice_options_free(again);
	sluice_options_free(before);
	REQUIRE(secret_live() == secrets);
	return 0;
}
