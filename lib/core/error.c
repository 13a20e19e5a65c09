/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that is known about an error code, in one table, and how a struct sluice_error is
 * filled and printed. Called by every layer. It must never put more than one line into a text, and
 * never replace an error by a later one: the first is the most specific.
 */
#include "core/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

struct row {
	int code;
	enum sluice_kind kind;
	const char *name;
	const char *text;
};

#define ROW(code, kind, text)                                                \
	{                                                                    \
		SLUICE_E_##code, SLUICE_KIND_##kind, "SLUICE_E_" #code, text \
	}

/* clang-format off */
static const struct row rows[] = {
	{ SLUICE_OK, SLUICE_KIND_OK, "SLUICE_OK", "no error" },

	ROW(AGAIN, WAIT, "the operation would block"),
	ROW(TIMEOUT, WAIT, "the call's time-out passed"),

	ROW(CLOSED, CLOSED, "the connection is closed"),
	ROW(TRUNCATED, IO, "the transport ended without close_notify: data may be missing"),
	ROW(RESET, IO, "the connection was reset"),
	ROW(CONNECT, IO, "the TCP connection could not be made"),
	ROW(RESOLVE, IO, "the host name has no address"),
	ROW(IO, IO, "a system call failed"),

	ROW(ALERT, ALERT, "the peer sent a fatal alert"),
	ROW(PROTOCOL, PROTO, "the peer broke the protocol"),
	ROW(BAD_RECORD_MAC, PROTO, "a record could not be decrypted"),
	ROW(RECORD_OVERFLOW, PROTO, "a record is longer than the protocol allows"),
	ROW(NOT_TLS, PROTO, "the peer does not speak TLS"),
	ROW(HTTP_REQUEST, PROTO, "a plain HTTP request came to a TLS port"),
	ROW(NO_SHARED, PROTO, "no version, cipher suite, group or protocol in common with the peer"),
	ROW(HANDSHAKE, PROTO, "the handshake failed"),
	ROW(HANDSHAKE_TIMEOUT, IO, "the handshake took too long"),
	ROW(HANDSHAKE_TOO_LARGE, PROTO, "the peer's handshake messages are too large"),

	ROW(VERIFY, VERIFY, "the peer's certificate chain is not valid"),
	ROW(HOSTNAME, VERIFY, "the peer's certificate is not for this name"),
	ROW(NO_PEERCERT, VERIFY, "the peer sent no certificate"),
	ROW(PEER_REFUSED, VERIFY, "the peer's identity is not one that may connect"),

	ROW(OPTION, CONFIG, "the value does not suit the option"),
	ROW(OPTION_UNKNOWN, CONFIG, "there is no such option"),
	ROW(OPTION_RANGE, CONFIG, "the option's value is out of range"),
	ROW(OPTION_CONFLICT, CONFIG, "two options contradict each other"),
	ROW(OPTION_ROLE, CONFIG, "the option does not exist for this role"),
	ROW(OPTION_TOO_LATE, CONFIG, "the handshake has used this option already"),
	ROW(OPTION_MALFORMED, CONFIG, "the option is not of the form name = value"),
	ROW(FILE, IO, "a file could not be read"),
	ROW(CERT_PARSE, CONFIG, "this is not a certificate"),
	ROW(KEY_PARSE, CONFIG, "this is not a private key"),
	ROW(KEY_PASSWORD, CONFIG, "the private key is encrypted: the password is missing or wrong"),
	ROW(KEY_MISMATCH, CONFIG, "the private key does not belong to the certificate"),
	ROW(CERT_EXPIRED, CONFIG, "the certificate has expired"),
	ROW(CERT_NOT_YET, CONFIG, "the certificate is not valid yet"),
	ROW(NO_CERT, CONFIG, "a server needs a certificate"),
	ROW(CRL_PARSE, CONFIG, "this is not a CRL"),
	ROW(OCSP, CONFIG, "this OCSP response cannot be used"),

	ROW(INVALID, USAGE, "an argument makes no sense"),
	ROW(STATE, USAGE, "the connection's state does not allow this"),
	ROW(NOT_ESTABLISHED, USAGE, "the handshake is not complete"),
	ROW(PROTOCOL_NOT_NEGOTIATED, USAGE, "no application protocol was negotiated"),
	ROW(UNDEFINED, USAGE, "this connection does not have the item"),
	ROW(POLICY, USAGE, "the policy forbids this"),

	ROW(NOMEM, LIMIT, "out of memory"),
	ROW(NOFILE, LIMIT, "out of file descriptors"),
	ROW(MISSING_DEP, KERNEL, "something this call needs is not present on this machine"),
	ROW(ABI, USAGE, "header and library do not fit together"),
	ROW(KTLS_UNAVAILABLE, KERNEL, "the kernel record path is required, and cannot be taken"),
	ROW(KEY_EXHAUSTED, CLOSED, "the key has sealed as many records as it may, and cannot be changed"),
	ROW(KTLS_INSTALL, KERNEL, "the kernel took the keys of one direction and refused the other's"),
	ROW(BUSY, LIMIT, "too much waits to be done already"),
	ROW(REKEY, KERNEL, "the next epoch's keys could not be installed"),

	ROW(UNSUPPORTED, UNSUPPORTED, "this is not supported"),
	ROW(UNSUPPORTED_VERSION, UNSUPPORTED, "this protocol version is not supported"),
	ROW(UNSUPPORTED_SSLV3, UNSUPPORTED, "SSL 3.0 is not supported"),
	ROW(UNSUPPORTED_SUITE, UNSUPPORTED, "this cipher suite is not supported"),
	ROW(UNSUPPORTED_GROUP, UNSUPPORTED, "this key exchange group is not supported"),
	ROW(UNSUPPORTED_SIGALG, UNSUPPORTED, "this signature algorithm is not supported"),
	ROW(UNSUPPORTED_KEY_TYPE, UNSUPPORTED, "this type of private key is not supported"),
	ROW(UNSUPPORTED_RENEGOTIATION, UNSUPPORTED,
	    "renegotiation is not supported; in TLS 1.3 sluice_update_keys() changes keys"),
	ROW(UNSAFE_REFUSED, UNSUPPORTED, "this would make connections unsafe"),

	ROW(INTERNAL, INTERNAL, "internal error"),
};
/* clang-format on */

/* RFC 8446, 6 and B.2; RFC 7301, 3.2 (120); RFC 9849, 5 (121). */
static const char *const alert_names[] = {
	[0] = "close_notify",
	[10] = "unexpected_message",
	[20] = "bad_record_mac",
	[21] = "decryption_failed",
	[22] = "record_overflow",
	[30] = "decompression_failure",
	[40] = "handshake_failure",
	[41] = "no_certificate",
	[42] = "bad_certificate",
	[43] = "unsupported_certificate",
	[44] = "certificate_revoked",
	[45] = "certificate_expired",
	[46] = "certificate_unknown",
	[47] = "illegal_parameter",
	[48] = "unknown_ca",
	[49] = "access_denied",
	[50] = "decode_error",
	[51] = "decrypt_error",
	[60] = "export_restriction",
	[70] = "protocol_version",
	[71] = "insufficient_security",
	[80] = "internal_error",
	[86] = "inappropriate_fallback",
	[90] = "user_canceled",
	[100] = "no_renegotiation",
	[109] = "missing_extension",
	[110] = "unsupported_extension",
	[111] = "certificate_unobtainable",
	[112] = "unrecognized_name",
	[113] = "bad_certificate_status_response",
	[114] = "bad_certificate_hash_value",
	[115] = "unknown_psk_identity",
	[116] = "certificate_required",
	[117] = "general_error",
	[120] = "no_application_protocol",
	[121] = "ech_required",
};

static const char *const stage_names[SLUICE_STAGES] = {
	[SLUICE_STAGE_NONE] = "none",           [SLUICE_STAGE_TCP] = "tcp",
	[SLUICE_STAGE_HELLO] = "hello",         [SLUICE_STAGE_POLICY] = "policy",
	[SLUICE_STAGE_HANDSHAKE] = "handshake", [SLUICE_STAGE_VERIFY] = "verify",
	[SLUICE_STAGE_EXPORT] = "export",       [SLUICE_STAGE_INSTALL] = "install",
	[SLUICE_STAGE_LIVE] = "live",
};

/* Returns the row of @code, which may be negative, or NULL. */
static const struct row *find(int code)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].code == code || rows[i].code == -(long long)code)
			return &rows[i];
	}
	return NULL;
}

const char *sluice_strerror(int code)
{
	const struct row *row = find(code);

	return row != NULL ? row->text : "unknown error code";
}

const char *sluice_error_name(int code)
{
	const struct row *row = find(code);

	return row != NULL ? row->name : "SLUICE_E_?";
}

enum sluice_kind sluice_error_kind(int code)
{
	const struct row *row = find(code);

	return row != NULL ? row->kind : SLUICE_KIND_INTERNAL;
}

const char *sluice_alert_name(int alert)
{
	if (alert < 0 || (size_t)alert >= ARRAY_LEN(alert_names) || alert_names[alert] == NULL)
		return "unknown";
	return alert_names[alert];
}

const char *sluice_stage_name(int stage)
{
	if (stage < 0 || stage >= SLUICE_STAGES)
		return "unknown";
	return stage_names[stage];
}

/* A line being written into a fixed buffer; what does not fit is dropped. */
struct line {
	char *buf;
	size_t size, len;
	bool cut;
};

static void __attribute__((format(printf, 2, 0)))
line_vadd(struct line *line, const char *format, va_list args)
{
	size_t room = line->size - line->len;
	int n = vsnprintf(line->buf + line->len, room, format, args);

	if (n < 0)
		return;
	line->cut = line->cut || (size_t)n >= room;
	line->len += (size_t)n >= room ? room - 1 : (size_t)n;
}

static void __attribute__((format(printf, 2, 3)))
line_add(struct line *line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_vadd(line, format, args);
	va_end(args);
}

/*
 * Ends the line. Names and paths in it may come from the peer or a file: control characters would
 * let them forge log lines or steer a terminal.
 */
static void line_end(struct line *line)
{
	static const char dots[] = "...";

	if (line->cut && line->len >= sizeof(dots))
		memcpy(line->buf + line->len - (sizeof(dots) - 1), dots, sizeof(dots) - 1);
	for (size_t i = 0; i < line->len; i++) {
		unsigned char c = (unsigned char)line->buf[i];

		if (c < 0x20 || c == 0x7f)
			line->buf[i] = '?';
	}
}

static void __attribute__((format(printf, 4, 0)))
set(struct sluice_error *err, int code, int sys_errno, const char *format, va_list args)
{
	struct line line;

	if (err == NULL || err->code != SLUICE_OK)
		return;
	line = (struct line){ .buf = err->text, .size = sizeof(err->text) };
	line_vadd(&line, format, args);
	if (sys_errno != 0) {
		const char *text = strerrordesc_np(sys_errno);

		line_add(&line, ": %s", text != NULL ? text : "unknown errno");
	}
	line_end(&line);
	err->code = code;
	err->kind = (int)sluice_error_kind(code);
	err->sys_errno = sys_errno;
}

int err_set(struct sluice_error *err, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set(err, code, 0, format, args);
	va_end(args);
	return -code;
}

int err_set_errno(struct sluice_error *err, int code, int sys_errno, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set(err, code, sys_errno, format, args);
	va_end(args);
	return -code;
}

int err_bssl(void)
{
	uint32_t packed = ERR_peek_error();

	ERR_clear_error();
	return ERR_GET_REASON(packed) == ERR_R_MALLOC_FAILURE ? -SLUICE_E_NOMEM
							      : -SLUICE_E_INTERNAL;
}

void err_clear(struct sluice_error *err)
{
	if (err == NULL)
		return;
	*err = (struct sluice_error){ .alert = ERR_NO_ALERT };
}

/* Appends the facts that came with an error, in the order of the structure. */
static void add_facts(struct line *line, const struct sluice_error *err)
{
	char bssl[128];
	const char *name;

	if (err->stage != SLUICE_STAGE_NONE)
		line_add(line, ", stage %s", sluice_stage_name(err->stage));
	if (err->alert >= 0)
		line_add(line, ", alert %s(%d) %s", sluice_alert_name(err->alert), err->alert,
			 err->alert_sent ? "sent" : "received");
	if (err->sys_errno != 0) {
		name = strerrorname_np(err->sys_errno);
		line_add(line, ", errno %s(%d)", name != NULL ? name : "?", err->sys_errno);
	}
	if (err->x509_error != 0)
		line_add(line, ", X.509 error %d: %s", err->x509_error,
			 X509_verify_cert_error_string(err->x509_error));
	if (err->bssl_error != 0) {
		ERR_error_string_n(err->bssl_error, bssl, sizeof(bssl));
		line_add(line, ", %s", bssl);
	}
}

int sluice_format_error(const struct sluice_error *err, char *buf, size_t buf_len)
{
	struct line line = { .buf = buf, .size = buf_len };

	if (buf == NULL || buf_len == 0)
		return 0;
	line_add(&line, "%s", err->text[0] != '\0' ? err->text : sluice_strerror(err->code));
	line_add(&line, " [%s", sluice_error_name(err->code));
	add_facts(&line, err);
	line_add(&line, "]");
	line_end(&line);
	return (int)line.len;
}
