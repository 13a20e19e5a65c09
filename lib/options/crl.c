// SPDX-License-Identifier: Apache-2.0
/*
 * The options crl_check and crl_cache: which cache a text means, and the operations of a program.
 * Called where options are set and where a profile is built.
 */
#include <string.h>

#include "core/error.h"
#include "options/options.h"
#include "options/profile.h"

static const struct {
	const char *word;
	const struct sluice_crl_cache_ops *ops;
} caches[] = {
	{ "internal", &sluice_crl_internal_ops },
	{ "hash_dir", &sluice_crl_hash_dir_ops },
};

/* Takes the cache that @text names, and what stands after it as arguments. */
static bool find_cache(const char *text, struct crl_check *check)
{
	size_t i, len = strcspn(text, " ");

	for (i = 0; i < sizeof(caches) / sizeof(caches[0]); i++) {
		if (strlen(caches[i].word) != len || memcmp(caches[i].word, text, len) != 0)
			continue;
		check->ops = caches[i].ops;
		check->args = text + len + strspn(text + len, " ");
		return true;
	}
	return false;
}

int crl_check_get(struct crl_check *ret_check, const struct sluice_options *opts,
		  enum sluice_role role, struct sluice_error *ret_err)
{
	const char *text = option_text(opts, SLUICE_OPT_CRL_CACHE);
	struct crl_check check = { .ops = opts->crl_ops, .db = opts->crl_db };
	char quote[OPTION_QUOTE_LEN];

	check.mode = (enum crl_mode)option_number(opts, SLUICE_OPT_CRL_CHECK, role);
	if (check.mode && !option_number(opts, SLUICE_OPT_VERIFY, role))
		return err_set(ret_err, SLUICE_E_OPTION_CONFLICT,
			       "crl_check: needs verify = verify_peer");
	if (!text)
		text = option_row(SLUICE_OPT_CRL_CACHE)->def;
	if (check.ops)
		check.args = text;
	else if (!find_cache(text, &check))
		return err_set(ret_err, SLUICE_E_OPTION,
			       "crl_cache: takes internal or hash_dir dir=PATH, not \"%s\"",
			       option_quote(quote, text, strlen(text)));
	*ret_check = check;
	if (check.ops->check_args)
		return check.ops->check_args(check.db, check.args, ret_err);
	if (check.args[0])
		return err_set(ret_err, SLUICE_E_OPTION, "crl_cache: takes no arguments");
	return 0;
}

int sluice_options_set_crl_cache(struct sluice_options *opts,
				 const struct sluice_crl_cache_ops *ops, void *db, const char *args,
				 struct sluice_error *ret_err)
{
	struct option_value value = { 0 };

	err_clear(ret_err);
	if (!opts || !ops || ops->size < sizeof(*ops))
		return err_set(ret_err, SLUICE_E_INVALID, "crl_cache: no operations");
	value.len = args ? strnlen(args, OPTION_MAX_STRING + 1) : 0;
	if (value.len > OPTION_MAX_STRING)
		return err_set(ret_err, SLUICE_E_OPTION_RANGE, "crl_cache: takes at most %d bytes",
			       OPTION_MAX_STRING);
	value.bytes = option_bytes_new(SLUICE_TYPE_STRING, args ? args : "", value.len);
	if (!value.bytes)
		return err_set(ret_err, SLUICE_E_NOMEM, "crl_cache: no memory");
	option_replace(opts, SLUICE_OPT_CRL_CACHE, &value);
	opts->crl_ops = ops;
	opts->crl_db = db;
	return 0;
}
