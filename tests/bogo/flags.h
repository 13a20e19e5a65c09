/* SPDX-License-Identifier: Apache-2.0 */
/* What BoGo's runner asks of the shim: its command line, taken apart. */
#ifndef SLUICE_TESTS_BOGO_FLAGS_H
#define SLUICE_TESTS_BOGO_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#define FLAGS_MAX_CODES 16
#define EXIT_UNIMPLEMENTED 89 /* of PORTING.md */

struct codes {
	int n;
	int code[FLAGS_MAX_CODES];
};

/* Of one connection: the first one, or those that resume. */
struct flags {
	int port, resume_count;
	bool server, async, handshaker_supported;
	int min_version, max_version, expect_version;
	bool no_tls13, no_tls12;
	const char *key_file, *cert_file, *cipher;
	struct codes curves, signing_prefs, verify_prefs;
	bool server_preference;
	bool verify_peer, require_any_client_certificate;
	const char *host_name, *expect_server_name;
	const char *advertise_alpn, *select_alpn, *expect_alpn;
	bool no_ticket, expect_session_miss, expect_no_session;
	const char *expect_peer_cert_file;
	bool expect_hrr, expect_no_hrr;
	int expect_curve_id, expect_peer_signature_algorithm;
	int expect_cipher, expect_cipher_aes, expect_cipher_no_aes;
	bool shim_writes_first, shim_shuts_down, check_close_notify, key_update;
	bool write_different_record_sizes;
	int read_size;
	int export_keying_material;
	const char *export_label, *export_context;
	bool use_export_context;
	int expect_total_renegotiations;
	bool ignored; /* of flags that change nothing here */
};

/*
 * unimplemented() ends the shim where it is asked for something that Sluice does not have. The
 * runner forgets why; the file that SLUICE_BOGO_ASKED names does not.
 */
_Noreturn void unimplemented(const char *what);

/*
 * flags_parse() fills the flags of the first connection and of those after it. An unknown flag is
 * unimplemented().
 */
void flags_parse(int argc, char **argv, struct flags *ret_initial, struct flags *ret_resume);

#endif
