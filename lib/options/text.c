/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options from text: single values and configuration files of `name = value` lines. Called by
 * programs and by whatever reads files for them; the text may come from anywhere, so every length
 * is bounded. It must never put a password into an error text, and on failure leaves the set as it
 * was.
 */
#include "options/options.h"

#include <arpa/inet.h>
#include <string.h>

#include "core/error.h"

/* --- one value ----------------------------------------------------------------------------- */

const char *option_quote(char out[OPTION_QUOTE_LEN], const char *value, size_t value_len)
{
	bool cut = value_len >= OPTION_QUOTE_LEN;
	size_t len = cut ? OPTION_QUOTE_LEN - 4 : value_len, i;

	for (i = 0; i < len; i++)
		out[i] = value[i] >= 0x20 && value[i] < 0x7f ? value[i] : '?';
	strcpy(out + len, cut ? "..." : "");
	return out;
}

static bool is_word(const char *word, const char *text, size_t len)
{
	return strlen(word) == len && !memcmp(word, text, len);
}

static int parse_bool(const struct option_row *row, const char *text, size_t len,
		      struct option_value *value, struct sluice_error *err)
{
	char quote[OPTION_QUOTE_LEN];

	value->number = is_word("true", text, len);
	if (!value->number && !is_word("false", text, len))
		return err_set(err, SLUICE_E_OPTION, "%s: takes true or false, not \"%s\"",
			       row->name, option_quote(quote, text, len));
	return 0;
}

static int parse_int(const struct option_row *row, const char *text, size_t len,
		     struct option_value *value, struct sluice_error *err)
{
	bool negative = len > 1 && text[0] == '-';
	char quote[OPTION_QUOTE_LEN];
	size_t i = negative;
	int64_t number = 0;

	for (; i < len && text[i] >= '0' && text[i] <= '9'; i++)
		if (number <= row->max) /* else it is too much already */
			number = 10 * number + (text[i] - '0');
	if (!len || i < len)
		return err_set(err, SLUICE_E_OPTION,
			       "%s: takes a whole number from %lld to %lld, not \"%s\"", row->name,
			       (long long)row->min, (long long)row->max,
			       option_quote(quote, text, len));
	value->number = negative ? -number : number;
	return option_check_range(row, value->number, err);
}

static int parse_enum(const struct option_row *row, const char *text, size_t len,
		      struct option_value *value, struct sluice_error *err)
{
	const char *word = row->values, *end;
	char quote[OPTION_QUOTE_LEN];
	int64_t i;

	for (i = 0; word; i++, word = *end ? end + 1 : NULL) {
		end = strchrnul(word, '|');
		if ((size_t)(end - word) == len && !memcmp(word, text, len)) {
			value->number = i;
			return 0;
		}
	}
	return err_set(err, SLUICE_E_OPTION, "%s: takes %s, not \"%s\"", row->name, row->values,
		       option_quote(quote, text, len));
}

static bool is_address(const char *name, size_t len)
{
	char address[INET_ADDRSTRLEN];
	struct in_addr ignored;

	if (len >= sizeof(address))
		return false;
	memcpy(address, name, len);
	address[len] = '\0';
	return inet_pton(AF_INET, address, &ignored) == 1;
}

static bool is_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

/* RFC 6066, 3: a DNS name in ASCII without the trailing dot, and not an address. */
static bool is_host_name(const char *name, size_t len)
{
	size_t i, label_len = 0;

	for (i = 0; i < len; i++) {
		if (name[i] == '.' && label_len) {
			label_len = 0;
		} else if (is_label_char(name[i]) && label_len < 63) {
			label_len++;
		} else {
			return false;
		}
	}
	return label_len && len <= 253 && !is_address(name, len);
}

static int parse_string(const struct option_row *row, enum sluice_option id, const char *text,
			size_t len, struct option_value *value, struct sluice_error *err)
{
	size_t max = row->type == SLUICE_TYPE_SECRET ? OPTION_MAX_PASSWORD : OPTION_MAX_STRING;
	char quote[OPTION_QUOTE_LEN];

	if (!len || memchr(text, '\0', len))
		return err_set(err, SLUICE_E_OPTION, "%s: takes a text", row->name);
	if (len > max)
		return err_set(err, SLUICE_E_OPTION_RANGE, "%s: takes at most %zu bytes", row->name,
			       max);
	if (id == SLUICE_OPT_SERVER_NAME_INDICATION && !is_host_name(text, len))
		return err_set(err, SLUICE_E_OPTION,
			       "%s: takes a host name in ASCII, or disable, not \"%s\"", row->name,
			       option_quote(quote, text, len));
	value->bytes = option_bytes_new(row->type, text, len);
	if (!value->bytes)
		return err_set(err, SLUICE_E_NOMEM, "%s: no memory", row->name);
	value->len = len;
	return 0;
}

int text_parse(enum sluice_option id, const char *text, size_t text_len,
	       struct option_value *ret_value, struct sluice_error *ret_err)
{
	const struct option_row *row = option_row((int)id);
	struct option_value value = { 0 };
	int r = -SLUICE_E_INTERNAL;

	switch (row->type) {
	case SLUICE_TYPE_BOOL:
		r = parse_bool(row, text, text_len, &value, ret_err);
		break;
	case SLUICE_TYPE_INT:
		r = parse_int(row, text, text_len, &value, ret_err);
		break;
	case SLUICE_TYPE_ENUM:
		r = parse_enum(row, text, text_len, &value, ret_err);
		break;
	case SLUICE_TYPE_LIST:
		r = id == SLUICE_OPT_CERTS_KEYS
			    ? pairs_parse(text, text_len, &value, ret_err)
			    : words_parse(id, text, text_len, &value.bytes, &value.len, ret_err);
		break;
	case SLUICE_TYPE_STRING:
	case SLUICE_TYPE_SECRET:
		r = parse_string(row, id, text, text_len, &value, ret_err);
		break;
	case SLUICE_TYPE_DATA:
		r = err_set(ret_err, SLUICE_E_OPTION, "%s: takes bytes; %s takes a path", row->name,
			    option_row((int)option_other_form(id))->name);
		break;
	case SLUICE_TYPE_TABLE:
	case SLUICE_TYPE_CALL:
		r = err_set(ret_err, SLUICE_E_OPTION, "%s: is set by programs, not by text",
			    row->name);
		break;
	}
	if (!r)
		*ret_value = value;
	return r;
}

static int set_text(struct sluice_options *opts, int id, const char *text, size_t len,
		    struct sluice_error *err)
{
	struct option_value value;
	int r;

	if (!opts || !text || !option_row(id))
		return err_set(err, SLUICE_E_INVALID, "no such option, or no value");
	r = text_parse((enum sluice_option)id, text, len, &value, err);
	if (!r)
		option_replace(opts, (enum sluice_option)id, &value);
	return r;
}

int sluice_options_set(struct sluice_options *opts, enum sluice_option id, const char *value,
		       struct sluice_error *ret_err)
{
	err_clear(ret_err);
	return set_text(opts, (int)id, value, value ? strlen(value) : 0, ret_err);
}

static int find_name(const char *name, size_t name_len, struct sluice_error *err)
{
	const char *reason = option_refused(name, name_len);
	char quote[OPTION_QUOTE_LEN];
	int id = option_find(name, name_len);

	if (reason)
		return err_set(err, SLUICE_E_UNSUPPORTED, "option \"%s\" is not supported: %s",
			       option_quote(quote, name, name_len), reason);
	if (id < 0)
		return err_set(err, SLUICE_E_OPTION_UNKNOWN, "there is no option \"%s\"",
			       option_quote(quote, name, name_len));
	return id;
}

int sluice_options_set_name(struct sluice_options *opts, const char *name, const char *value,
			    struct sluice_error *ret_err)
{
	int id;

	err_clear(ret_err);
	if (!name)
		return err_set(ret_err, SLUICE_E_INVALID, "no name");
	id = find_name(name, strlen(name), ret_err);
	return id < 0 ? id : set_text(opts, id, value, value ? strlen(value) : 0, ret_err);
}

/* --- configuration text --------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void trim(const char **text, size_t *len)
{
	while (*len && is_blank((*text)[0])) {
		(*text)++;
		(*len)--;
	}
	while (*len && is_blank((*text)[*len - 1]))
		(*len)--;
}

/* The length of a value without the comment behind it, which begins at a `#` after a blank. */
static size_t before_comment(const char *text, size_t len)
{
	size_t i;

	for (i = 1; i < len; i++)
		if (text[i] == '#' && is_blank(text[i - 1]))
			return i;
	return len;
}

/* Sets what one line says. @seen has a bit for each option that the text has set. */
static int parse_line(struct sluice_options *opts, const char *line, size_t len, uint64_t *seen,
		      struct sluice_error *err)
{
	const char *value, *equals;
	size_t name_len, value_len;
	int id;

	trim(&line, &len);
	if (!len || line[0] == '#')
		return 0;
	equals = memchr(line, '=', len);
	if (!equals || equals == line || memchr(line, '\0', len))
		return err_set(err, SLUICE_E_OPTION_MALFORMED, "not of the form name = value");
	value = equals + 1;
	value_len = (size_t)(line + len - value);
	name_len = (size_t)(equals - line);
	trim(&line, &name_len);
	id = find_name(line, name_len, err);
	if (id < 0)
		return id;
	if (*seen & 1ull << id)
		return err_set(err, SLUICE_E_OPTION_CONFLICT, "%s: is there already",
			       option_row(id)->name);
	*seen |= 1ull << id;
	/* A password may hold any character; nobody could see that it was cut at one. */
	if (option_row(id)->type != SLUICE_TYPE_SECRET)
		value_len = before_comment(value, value_len);
	trim(&value, &value_len);
	return set_text(opts, id, value, value_len, err);
}

static int parse_lines(struct sluice_options *opts, const char *text, size_t text_len,
		       struct sluice_error *err)
{
	const char *end = text + text_len, *line_end;
	struct sluice_error line_err;
	unsigned int n_line;
	uint64_t seen = 0;
	int r;

	_Static_assert(SLUICE_OPTIONS <= 64, "seen has a bit for each option");
	for (n_line = 1; text < end; n_line++, text = line_end + 1) {
		line_end = memchr(text, '\n', (size_t)(end - text));
		if (!line_end)
			line_end = end;
		err_clear(&line_err);
		r = parse_line(opts, text, (size_t)(line_end - text), &seen, &line_err);
		if (r < 0)
			return err_set(err, -r, "line %u: %s", n_line, line_err.text);
	}
	return 0;
}

int sluice_options_parse(struct sluice_options *opts, const char *text, size_t text_len,
			 struct sluice_error *ret_err)
{
	struct sluice_options *parsed;
	int r;

	err_clear(ret_err);
	if (!opts || (!text && text_len))
		return err_set(ret_err, SLUICE_E_INVALID, "no option set, or no text");
	if (text_len > OPTION_MAX_TEXT)
		return err_set(ret_err, SLUICE_E_OPTION_RANGE, "the text has more than %d bytes",
			       OPTION_MAX_TEXT);
	/* Into a copy, so that a bad line leaves nothing behind. */
	r = sluice_options_clone(&parsed, opts);
	if (r < 0)
		return err_set(ret_err, -r, "copying the options");
	r = text_len ? parse_lines(parsed, text, text_len, ret_err) : 0;
	if (!r)
		options_swap(opts, parsed);
	sluice_options_free(parsed);
	return r;
}
