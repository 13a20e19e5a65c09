/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a command line to an option set of the library, and from the library's errors to messages
 * and exit statuses. Called by `serve` and `connect`; knows no connection.
 */
#include "tls-args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

#define CONFIG_MAX (1 << 20) /* a configuration file is a few lines; a device never ends */

static int file_error(const char *path, int sys_errno, struct sluice_error *ret_err)
{
	memset(ret_err, 0, sizeof(*ret_err));
	ret_err->code = SLUICE_E_FILE;
	ret_err->kind = sluice_error_kind(SLUICE_E_FILE);
	ret_err->alert = -1;
	ret_err->sys_errno = sys_errno;
	snprintf(ret_err->text, sizeof(ret_err->text), "cannot read '%s': %s", path,
		 strerror(sys_errno));
	return -SLUICE_E_FILE;
}

static int read_config(struct sluice_options *opts, const char *path, struct sluice_error *ret_err)
{
	char *text = NULL;
	FILE *file;
	size_t n;
	int r;

	file = fopen(path, "re");
	if (!file)
		return file_error(path, errno, ret_err);
	text = malloc(CONFIG_MAX);
	if (!text) {
		r = file_error(path, ENOMEM, ret_err);
		goto out;
	}
	n = fread(text, 1, CONFIG_MAX, file);
	if (ferror(file))
		r = file_error(path, errno, ret_err);
	else if (n == CONFIG_MAX)
		r = file_error(path, EFBIG, ret_err);
	else
		r = sluice_options_parse(opts, text, n, ret_err);
out:
	if (text)
		explicit_bzero(text, CONFIG_MAX); /* it may hold a key's password */
	free(text);
	fclose(file);
	return r;
}

static int set_pair(struct sluice_options *opts, const char *pair, struct sluice_error *ret_err)
{
	const char *equals = strchr(pair, '=');
	char name[64];
	size_t len;

	len = equals ? (size_t)(equals - pair) : strlen(pair);
	if (!equals || len >= sizeof(name)) {
		memset(ret_err, 0, sizeof(*ret_err));
		ret_err->code = SLUICE_E_OPTION_MALFORMED;
		ret_err->kind = sluice_error_kind(SLUICE_E_OPTION_MALFORMED);
		ret_err->alert = -1;
		snprintf(ret_err->text, sizeof(ret_err->text), "-o takes NAME=VALUE, not '%s'",
			 pair);
		return -SLUICE_E_OPTION_MALFORMED;
	}
	memcpy(name, pair, len);
	name[len] = '\0';
	return sluice_options_set_name(opts, name, equals + 1, ret_err);
}

static int set_named(struct sluice_options *opts, const struct tls_args *args,
		     struct sluice_error *ret_err)
{
	const struct {
		enum sluice_option id;
		const char *value;
	} named[] = {
		{ SLUICE_OPT_CERTFILE, args->cert },
		{ SLUICE_OPT_KEYFILE, args->key },
		{ SLUICE_OPT_CACERTFILE, args->cacert },
		{ SLUICE_OPT_OCSP_FILE, args->ocsp_file },
		{ SLUICE_OPT_CIPHERS, args->ciphers },
		{ SLUICE_OPT_SUPPORTED_GROUPS, args->groups },
		{ SLUICE_OPT_RECORD_PATH, args->record_path },
		{ SLUICE_OPT_KEY_UPDATE_AT, args->key_update_every },
	};
	size_t i;
	int r;

	for (i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		if (!named[i].value)
			continue;
		r = sluice_options_set(opts, named[i].id, named[i].value, ret_err);
		if (r < 0)
			return r;
	}
	return 0;
}

int tls_args_options(const struct tls_args *args, const char *tickets,
		     struct sluice_options **ret_opts, struct sluice_error *ret_err)
{
	struct sluice_options *opts;
	size_t i;
	int r;

	r = sluice_options_new(&opts);
	if (r < 0)
		return r;
	r = sluice_options_set(opts, SLUICE_OPT_SESSION_TICKETS, tickets, ret_err);
	if (r >= 0 && args->config)
		r = read_config(opts, args->config, ret_err);
	if (r >= 0)
		r = set_named(opts, args, ret_err);
	for (i = 0; r >= 0 && i < args->options.n; i++)
		r = set_pair(opts, args->options.items[i], ret_err);
	if (r < 0) {
		sluice_options_free(opts);
		return r;
	}
	*ret_opts = opts;
	return 0;
}

void complain(const char *command, const struct sluice_error *err)
{
	char line[512];

	sluice_format_error(err, line, sizeof(line));
	fprintf(stderr, "sluice %s: %s\n", command, line);
}

int exit_status_of(int code)
{
	if (code < 0)
		code = -code;
	switch (code) {
	case SLUICE_OK:
		return EXIT_OK;
	case SLUICE_E_TIMEOUT:
	case SLUICE_E_HANDSHAKE_TIMEOUT:
		return EXIT_TIMEOUT;
	case SLUICE_E_CONNECT:
	case SLUICE_E_RESOLVE:
		return EXIT_TCP;
	default:
		break; /* the kind decides */
	}
	switch (sluice_error_kind(code)) {
	case SLUICE_KIND_ALERT:
		return EXIT_ALERT;
	case SLUICE_KIND_VERIFY:
		return EXIT_VERIFY;
	case SLUICE_KIND_CONFIG:
	case SLUICE_KIND_UNSUPPORTED:
		return EXIT_USAGE;
	default:
		return EXIT_FAILED;
	}
}
