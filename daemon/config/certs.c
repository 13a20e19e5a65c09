/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Own certificates in a mapping: certs_keys, a list of several, and password_file, which takes a password out
 * of the configuration. Must never put a password into an error text.
 */
#include "config/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/secret.h"
#include "options/options.h"

/* --- password_file ---------------------------------------------------------------------------- */

static int fail_file(struct parse *p, const struct node *value, const char *why)
{
	char quote[PARSE_QUOTE_LEN];

	return parse_fail(p, SLUICE_E_FILE, value->place, "password_file: %s: %s",
			  parse_quote(quote, value->text), why);
}

/* Reads at most @size bytes of a regular file; a FIFO by mistake makes nobody wait. */
static ssize_t read_small(const char *path, char *buf, size_t size, const char **ret_why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	ssize_t n = -1;

	if (fd < 0 || fstat(fd, &st))
		*ret_why = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		*ret_why = "not a file";
	else if ((size_t)st.st_size >= size)
		*ret_why = "longer than a password can be";
	else if ((n = read(fd, buf, size)) < 0)
		*ret_why = strerror(errno);
	if (fd >= 0)
		close(fd);
	return n;
}

/* The file's one line, with or without its end. */
static int take_password(struct parse *p, const struct node *value, char *text, size_t len,
			 struct sluice_options *options)
{
	struct sluice_error err = { 0 };
	int r;

	if (len && text[len - 1] == '\n')
		len--;
	if (len && text[len - 1] == '\r')
		len--;
	if (!len || memchr(text, '\n', len) || memchr(text, '\0', len))
		return fail_file(p, value, "takes one line, the password");
	text[len] = '\0';
	r = sluice_options_set(options, SLUICE_OPT_PASSWORD, text, &err);
	if (r == -SLUICE_E_NOMEM)
		return parse_nomem(p);
	return r < 0 ? parse_fail(p, -r, value->place, "%s", err.text) : 0;
}

int password_file_read(struct parse *p, const struct node *value, struct sluice_options *options)
{
	size_t size = OPTION_MAX_PASSWORD + 3;
	const char *why = NULL;
	ssize_t len;
	char *text;
	int r = node_expect_line(p, "password_file", value, OPTION_MAX_STRING);

	if (r < 0)
		return r;
	text = secret_new(size);
	if (!text)
		return parse_nomem(p);
	len = read_small(value->text, text, size, &why);
	r = len < 0 ? fail_file(p, value, why)
		    : take_password(p, value, text, (size_t)len, options);
	secret_free(text);
	return r;
}

/* --- certs_keys ------------------------------------------------------------------------------- */

static int set_pair_key(struct parse *p, const struct node *key, const struct node *value,
			struct sluice_options *pair)
{
	struct sluice_error err = { 0 };
	char quote[PARSE_QUOTE_LEN];
	int r;

	if (!strcmp(key->text, "password_file"))
		return password_file_read(p, value, pair);
	if (strcmp(key->text, "certfile") != 0 && strcmp(key->text, "keyfile") != 0 &&
	    strcmp(key->text, "password") != 0)
		return parse_fail(p, SLUICE_E_OPTION_UNKNOWN, key->place,
				  "an entry of certs_keys has no key \"%s\"; it takes certfile, "
				  "keyfile, password, password_file",
				  parse_quote_key(quote, key->text));
	r = node_expect(p, key->text, value, NODE_TEXT);
	if (r < 0)
		return r;
	r = sluice_options_set_name(pair, key->text, value->text, &err);
	if (r == -SLUICE_E_NOMEM)
		return parse_nomem(p);
	return r < 0 ? parse_fail(p, -r, value->place, "%s", err.text) : 0;
}

static int fill_pair(struct parse *p, const struct node *node, struct sluice_options *pair)
{
	struct sluice_error err = { 0 };
	size_t i;
	int r = 0;

	if (node->kind == NODE_TEXT) {
		r = sluice_options_set(pair, SLUICE_OPT_CERTFILE, node->text, &err);
		return r < 0 ? parse_fail(p, -r, node->place, "%s", err.text) : 0;
	}
	r = node_expect(p, "certs_keys", node, NODE_MAP);
	if (!r && node_get(node, "password") && node_get(node, "password_file"))
		return password_twice(p, node);
	for (i = 0; !r && i < node->n_items; i += 2)
		r = set_pair_key(p, node->items[i], node->items[i + 1], pair);
	return r;
}

static int read_pair(struct parse *p, const struct node *node, struct sluice_options *options)
{
	struct sluice_error err = { 0 };
	struct sluice_options *pair;
	int r;

	if (sluice_options_new(&pair) < 0)
		return parse_nomem(p);
	r = fill_pair(p, node, pair);
	if (!r) {
		r = sluice_options_add_cert_key(options, pair, &err);
		if (r == -SLUICE_E_NOMEM)
			r = parse_nomem(p);
		else if (r < 0)
			r = parse_fail(p, -r, node->place, "%s", err.text);
	}
	sluice_options_free(pair);
	return r;
}

int certs_keys_read(struct parse *p, const struct node *value, struct sluice_options *options)
{
	size_t i;
	int r = node_expect(p, "certs_keys", value, NODE_LIST);

	if (!r && !value->n_items)
		return parse_fail(p, SLUICE_E_OPTION, value->place,
				  "certs_keys: the list is empty; write the certificates");
	for (i = 0; !r && i < value->n_items; i++)
		r = read_pair(p, value->items[i], options);
	return r;
}

/* --- both --------------------------------------------------------------------------------------- */

int password_twice(struct parse *p, const struct node *map)
{
	return parse_fail(p, SLUICE_E_OPTION_CONFLICT, node_get(map, "password_file")->place,
			  "password_file: there is a password already; take one of the two out");
}

int certs_keys_check(struct parse *p, const struct node *map, struct sluice_options *options)
{
	const struct node *one = node_get(map, "certfile"), *several = node_get(map, "certs_keys");

	if (!one)
		one = node_get(map, "keyfile");
	if (node_get(map, "password") && node_get(map, "password_file"))
		return password_twice(p, map);
	if (one && several)
		return parse_fail(p, SLUICE_E_OPTION_CONFLICT, several->place,
				  "certs_keys: goes before certfile and keyfile; write all "
				  "certificates here, or take it out");
	if (one || several) /* what a host has goes over what its profile has */
		option_value_clear(&options->values[SLUICE_OPT_CERTS_KEYS], SLUICE_TYPE_LIST);
	return 0;
}
