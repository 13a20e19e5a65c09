/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the library that `serve` and `connect` both take on their command lines. */
#ifndef TOOLS_TLS_ARGS_H
#define TOOLS_TLS_ARGS_H

#include <sluice/sluice.h>

#include "args.h"

struct tls_args {
	const char *config;
	const char *cert;
	const char *key;
	const char *cacert;
	const char *ocsp_file; /* a server's alone */
	const char *alpn;      /* a row of each command's own: the two roles differ */
	const char *ciphers;
	const char *groups;
	const char *record_path;
	const char *key_update_every;
	struct arg_list options; /* name=value */
};

/* The rows for a command's table whose settings are @type with the above as @member. */
#define TLS_ARG_ROWS(type, member)                                                                      \
	{ "config", 0,                                                                                  \
	  ARG_TEXT, offsetof(type, member.config),                                                      \
	  "FILE",   "read `name = value` lines; what stands on the command line comes after" },         \
		{ "cert", 0, ARG_TEXT, offsetof(type, member.cert), "FILE", "certificate chain, PEM" }, \
		{ "key", 0, ARG_TEXT, offsetof(type, member.key), "FILE", "private key, PEM" },         \
		{ "cacert", 0, ARG_TEXT, offsetof(type, member.cacert), "FILE", "trust anchors, PEM" }, \
		{ "ciphers", 0,                                                                         \
		  ARG_TEXT,  offsetof(type, member.ciphers),                                            \
		  "LIST",    "cipher suites, separated by commas" },                                    \
		{ "groups", 0,                                                                          \
		  ARG_TEXT, offsetof(type, member.groups),                                              \
		  "LIST",   "key exchange groups, separated by commas" },                               \
		{ "record-path",                                                                        \
		  0,                                                                                    \
		  ARG_CHOICE,                                                                           \
		  offsetof(type, member.record_path),                                                   \
		  "PATH",                                                                               \
		  "auto, kernel or user: who encrypts records",                                         \
		  .choices = "auto|kernel|user" },                                                      \
		{ "key-update-every",                                                                   \
		  0,                                                                                    \
		  ARG_TEXT,                                                                             \
		  offsetof(type, member.key_update_every),                                              \
		  "BYTES",                                                                              \
		  "option key_update_at: new sending keys after so many bytes (TLS 1.3)" },             \
	{                                                                                               \
		"option", 'o', ARG_LIST, offsetof(type, member.options), "NAME=VALUE",                  \
			"any option of the library; see `sluice options`"                               \
	}

/*
 * tls_args_options() makes an option set: @tickets for session_tickets, which the library has off, the
 * file, then the named options, then -o in order. Errors: as of sluice_options_set_name() and
 * sluice_options_parse(), and FILE.
 */
int tls_args_options(const struct tls_args *args, const char *tickets,
		     struct sluice_options **ret_opts, struct sluice_error *ret_err);

/* complain() prints "sluice COMMAND: " and everything an error knows on standard error. */
void complain(const char *command, const struct sluice_error *err);

/* exit_status_of() maps a library error code, negative or positive, to enum exit_status. */
int exit_status_of(int code);

#endif
