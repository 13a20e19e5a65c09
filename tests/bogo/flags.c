/* SPDX-License-Identifier: Apache-2.0 */
/* The shim's command line. One table; whatever is not in it is not implemented. */
#include "flags.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum flag_type {
	FLAG_BOOL,
	FLAG_INT,
	FLAG_TEXT,
	FLAG_CODES,
};

#define FIELD(name) offsetof(struct flags, name)

static const struct flag {
	const char *name;
	enum flag_type type;
	size_t offset;
} table[] = {
	{ "port", FLAG_INT, FIELD(port) },
	{ "resume-count", FLAG_INT, FIELD(resume_count) },
	{ "server", FLAG_BOOL, FIELD(server) },
	{ "async", FLAG_BOOL, FIELD(async) },
	{ "is-handshaker-supported", FLAG_BOOL, FIELD(handshaker_supported) },
	{ "min-version", FLAG_INT, FIELD(min_version) },
	{ "max-version", FLAG_INT, FIELD(max_version) },
	{ "expect-version", FLAG_INT, FIELD(expect_version) },
	{ "no-tls13", FLAG_BOOL, FIELD(no_tls13) },
	{ "no-tls12", FLAG_BOOL, FIELD(no_tls12) },
	{ "key-file", FLAG_TEXT, FIELD(key_file) },
	{ "cert-file", FLAG_TEXT, FIELD(cert_file) },
	{ "cipher", FLAG_TEXT, FIELD(cipher) },
	{ "curves", FLAG_CODES, FIELD(curves) },
	{ "signing-prefs", FLAG_CODES, FIELD(signing_prefs) },
	{ "verify-prefs", FLAG_CODES, FIELD(verify_prefs) },
	{ "server-preference", FLAG_BOOL, FIELD(server_preference) },
	{ "verify-peer", FLAG_BOOL, FIELD(verify_peer) },
	{ "require-any-client-certificate", FLAG_BOOL, FIELD(require_any_client_certificate) },
	{ "host-name", FLAG_TEXT, FIELD(host_name) },
	{ "expect-server-name", FLAG_TEXT, FIELD(expect_server_name) },
	{ "advertise-alpn", FLAG_TEXT, FIELD(advertise_alpn) },
	{ "select-alpn", FLAG_TEXT, FIELD(select_alpn) },
	{ "expect-alpn", FLAG_TEXT, FIELD(expect_alpn) },
	{ "no-ticket", FLAG_BOOL, FIELD(no_ticket) },
	{ "expect-session-miss", FLAG_BOOL, FIELD(expect_session_miss) },
	{ "expect-no-session", FLAG_BOOL, FIELD(expect_no_session) },
	{ "expect-peer-cert-file", FLAG_TEXT, FIELD(expect_peer_cert_file) },
	{ "expect-hrr", FLAG_BOOL, FIELD(expect_hrr) },
	{ "expect-no-hrr", FLAG_BOOL, FIELD(expect_no_hrr) },
	{ "expect-curve-id", FLAG_INT, FIELD(expect_curve_id) },
	{ "expect-peer-signature-algorithm", FLAG_INT, FIELD(expect_peer_signature_algorithm) },
	{ "expect-cipher", FLAG_INT, FIELD(expect_cipher) },
	{ "expect-cipher-aes", FLAG_INT, FIELD(expect_cipher_aes) },
	{ "expect-cipher-no-aes", FLAG_INT, FIELD(expect_cipher_no_aes) },
	{ "shim-writes-first", FLAG_BOOL, FIELD(shim_writes_first) },
	{ "shim-shuts-down", FLAG_BOOL, FIELD(shim_shuts_down) },
	{ "check-close-notify", FLAG_BOOL, FIELD(check_close_notify) },
	{ "key-update", FLAG_BOOL, FIELD(key_update) },
	{ "write-different-record-sizes", FLAG_BOOL, FIELD(write_different_record_sizes) },
	{ "read-size", FLAG_INT, FIELD(read_size) },
	{ "export-keying-material", FLAG_INT, FIELD(export_keying_material) },
	{ "export-label", FLAG_TEXT, FIELD(export_label) },
	{ "export-context", FLAG_TEXT, FIELD(export_context) },
	{ "use-export-context", FLAG_BOOL, FIELD(use_export_context) },
	{ "expect-total-renegotiations", FLAG_INT, FIELD(expect_total_renegotiations) },
	/* True of every connection here, or of no consequence to the other side. */
	{ "no-tls11", FLAG_BOOL, FIELD(ignored) },
	{ "no-tls1", FLAG_BOOL, FIELD(ignored) },
	{ "enforce-rsa-key-usage", FLAG_BOOL, FIELD(ignored) },
	{ "forbid-renegotiation-after-handshake", FLAG_BOOL, FIELD(ignored) },
	{ "expect-extended-master-secret", FLAG_BOOL, FIELD(ignored) },
	{ "expect-secure-renegotiation", FLAG_BOOL, FIELD(ignored) },
	{ "decline-alpn", FLAG_BOOL, FIELD(ignored) },
	{ "implicit-handshake", FLAG_BOOL, FIELD(ignored) },
	{ "no-op-extra-handshake", FLAG_BOOL, FIELD(ignored) },
	{ "handshake-twice", FLAG_BOOL, FIELD(ignored) },
	{ "partial-write", FLAG_BOOL, FIELD(ignored) },
	{ "use-exporter-between-reads", FLAG_BOOL, FIELD(ignored) },
	{ "use-early-callback", FLAG_BOOL, FIELD(ignored) },
	{ "use-old-client-cert-callback", FLAG_BOOL, FIELD(ignored) },
	{ "use-custom-verify-callback", FLAG_BOOL, FIELD(ignored) },
	{ "cbc-record-splitting", FLAG_BOOL, FIELD(ignored) },
};

void unimplemented(const char *what)
{
	const char *path = getenv("SLUICE_BOGO_ASKED");
	char line[300];
	int fd, len = snprintf(line, sizeof(line), "%.280s\n", what);

	fprintf(stderr, "not implemented: %s", line);
	fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
	if (fd >= 0 && write(fd, line, (size_t)len) != len)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	exit(EXIT_UNIMPLEMENTED);
}

static const struct flag *find(const char *name)
{
	char unknown[100];
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	snprintf(unknown, sizeof(unknown), "-%s", name);
	unimplemented(unknown);
}

static void set(struct flags *flags, const struct flag *flag, const char *value)
{
	void *field = (char *)flags + flag->offset;
	struct codes *codes = field;

	switch (flag->type) {
	case FLAG_BOOL:
		*(bool *)field = true;
		break;
	case FLAG_INT:
		*(int *)field = atoi(value);
		break;
	case FLAG_TEXT:
		*(const char **)field = value;
		break;
	case FLAG_CODES:
		if (codes->n == FLAGS_MAX_CODES)
			unimplemented("so long a list");
		codes->code[codes->n++] = atoi(value);
		break;
	}
}

/* Takes @prefix off @name; false if it is not there. */
static bool skip_prefix(const char **name, const char *prefix)
{
	size_t len = strlen(prefix);

	if (strncmp(*name, prefix, len) != 0)
		return false;
	*name += len;
	return true;
}

void flags_parse(int argc, char **argv, struct flags *ret_initial, struct flags *ret_resume)
{
	int i;

	memset(ret_initial, 0, sizeof(*ret_initial));
	memset(ret_resume, 0, sizeof(*ret_resume));
	for (i = 1; i < argc; i++) {
		const char *name = argv[i], *value = NULL;
		const struct flag *flag;
		bool initial, resume;

		if (!skip_prefix(&name, "-"))
			unimplemented("an argument without a flag");
		initial = skip_prefix(&name, "on-initial-");
		resume = !initial &&
			 (skip_prefix(&name, "on-resume-") || skip_prefix(&name, "on-retry-"));
		flag = find(name);
		if (flag->type != FLAG_BOOL && i + 1 == argc)
			unimplemented("a flag without its value");
		if (flag->type != FLAG_BOOL)
			value = argv[++i];
		if (!resume)
			set(ret_initial, flag, value);
		if (!initial)
			set(ret_resume, flag, value);
	}
}
