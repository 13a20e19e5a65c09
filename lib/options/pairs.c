/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Option certs_keys: several own certificates, each an option set that says where it and its key are; as
 * text a list of PEM files that have both.
 */
#include "options/options.h"

#include <string.h>

#include "core/error.h"
#include "options/sets.h"

#define NAME "certs_keys"

static bool is_of_pair(int id)
{
	switch (id) {
	case SLUICE_OPT_CERT:
	case SLUICE_OPT_CERTFILE:
	case SLUICE_OPT_KEY:
	case SLUICE_OPT_KEYFILE:
	case SLUICE_OPT_PASSWORD:
		return true;
	default:
		return false;
	}
}

int options_check_pair(const struct sluice_options *pair, bool keyless,
		       struct sluice_error *ret_err)
{
	bool cert = option_is_set(pair, SLUICE_OPT_CERT);
	bool certfile = option_is_set(pair, SLUICE_OPT_CERTFILE);
	int id;

	for (id = 0; id < SLUICE_OPTIONS; id++)
		if (option_is_set(pair, (enum sluice_option)id) && !is_of_pair(id))
			return err_set(ret_err, SLUICE_E_OPTION,
				       NAME ": an entry has a certificate and its key, and not %s",
				       option_row(id)->name);
	if (!cert && !certfile)
		return err_set(ret_err, SLUICE_E_OPTION, NAME ": an entry needs certfile or cert");
	if (!certfile && !keyless && !option_is_set(pair, SLUICE_OPT_KEY) &&
	    !option_is_set(pair, SLUICE_OPT_KEYFILE))
		return err_set(ret_err, SLUICE_E_OPTION_CONFLICT,
			       NAME ": cert needs key or keyfile");
	return 0;
}

static int add(struct option_value *value, const struct sluice_options *pair,
	       struct sluice_error *err)
{
	int r = options_check_pair(pair, true, err);

	if (r < 0)
		return r;
	r = set_list_add(&value->sets, "", pair, OPTION_MAX_CERTS);
	if (r == -SLUICE_E_OPTION_RANGE)
		return err_set(err, -r, NAME ": takes at most %d certificates", OPTION_MAX_CERTS);
	if (r < 0)
		return err_set(err, -r, NAME ": no memory");
	value->set = true;
	return 0;
}

int sluice_options_add_cert_key(struct sluice_options *opts, const struct sluice_options *pair,
				struct sluice_error *ret_err)
{
	err_clear(ret_err);
	if (!opts || !pair)
		return err_set(ret_err, SLUICE_E_INVALID, "no option set");
	return add(&opts->values[SLUICE_OPT_CERTS_KEYS], pair, ret_err);
}

/* --- from text ------------------------------------------------------------------------------------ */

static int add_file(struct option_value *value, const char *path, size_t len,
		    struct sluice_error *err)
{
	struct option_value file;
	struct sluice_options *pair;
	int r;

	if (!len)
		return err_set(err, SLUICE_E_OPTION, NAME ": takes paths separated by commas");
	if (sluice_options_new(&pair) < 0)
		return err_set(err, SLUICE_E_NOMEM, NAME ": no memory");
	r = text_parse(SLUICE_OPT_CERTFILE, path, len, &file, err);
	if (!r) {
		option_replace(pair, SLUICE_OPT_CERTFILE, &file);
		r = add(value, pair, err);
	}
	sluice_options_free(pair);
	return r;
}

int pairs_parse(const char *text, size_t text_len, struct option_value *ret_value,
		struct sluice_error *ret_err)
{
	struct option_value value = { 0 };
	const char *end = text + text_len, *comma, *from, *to;
	int r;

	do {
		comma = memchr(text, ',', (size_t)(end - text));
		from = text;
		to = comma ? comma : end;
		while (from < to && (*from == ' ' || *from == '\t'))
			from++;
		while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
			to--;
		r = add_file(&value, from, (size_t)(to - from), ret_err);
		text = comma ? comma + 1 : NULL;
	} while (!r && text);
	if (r < 0) {
		option_value_clear(&value, SLUICE_TYPE_LIST);
		return r;
	}
	*ret_value = value;
	return 0;
}
