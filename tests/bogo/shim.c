/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shim of BoGo, BoringSSL's protocol test runner: a client or server of the library on the user
 * record path, through the public interface. It answers every byte with its complement, as the
 * runner expects. What it is asked for and the library has not ends it with EXIT_UNIMPLEMENTED.
 * (BoringSSL's ssl/test/PORTING.md.)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <sluice/sluice.h>

#include "core/sys.h"
#include "flags.h"
#include "options/pem.h"
#include "options/profile.h"

#define WAIT_MS 20000
#define TEXT_MAX 4096
#define DAY_S 86400
/* BoringSSL's default has those without forward secrecy, too. */
#define ALL_SUITES                                                                    \
	"TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384,TLS_CHACHA20_POLY1305_SHA256," \
	"ECDHE-ECDSA-AES128-GCM-SHA256,ECDHE-RSA-AES128-GCM-SHA256,"                  \
	"ECDHE-ECDSA-AES256-GCM-SHA384,ECDHE-RSA-AES256-GCM-SHA384,"                  \
	"ECDHE-ECDSA-CHACHA20-POLY1305,ECDHE-RSA-CHACHA20-POLY1305,"                  \
	"AES128-GCM-SHA256,AES256-GCM-SHA384"

static struct sluice *sluice;

static _Noreturn void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static _Noreturn void unimplemented(const char *what)
{
	fprintf(stderr, "not implemented: %s\n", what);
	exit(EXIT_UNIMPLEMENTED);
}

/* --- the world as the runner has it ------------------------------------------------------- */

static struct sys_ops shim_sys;

/* The runner's certificates have expired, each at its own time: the shim lives when its own was new. */
static int64_t today;

static int64_t shim_wall_s(void)
{
	return today;
}

static void set_today(const char *cert_file)
{
	FILE *file = cert_file ? fopen(cert_file, "r") : NULL;
	X509 *cert = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;

	today = sys_real.wall_s();
	if (cert)
		pem_time(X509_get0_notBefore(cert), &today);
	today += DAY_S;
	X509_free(cert);
	if (file)
		fclose(file);
}

/* A transport that gives and takes one byte at a time. */
static ssize_t slow_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct iovec iov = *msg->msg_iov;
	struct msghdr one = *msg;
	ssize_t n;

	if (iov.iov_len > 1)
		iov.iov_len = 1;
	one.msg_iov = &iov;
	one.msg_iovlen = 1;
	n = sys_real.recvmsg(fd, &one, flags);
	msg->msg_flags = one.msg_flags;
	msg->msg_controllen = one.msg_controllen;
	return n;
}

static ssize_t slow_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct iovec iov = *msg->msg_iov;
	struct msghdr some = *msg;

	if (iov.iov_len > 1)
		iov.iov_len = iov.iov_len / 2;
	some.msg_iov = &iov;
	some.msg_iovlen = 1;
	return sys_real.sendmsg(fd, &some, flags);
}

static void make_world(const struct flags *flags)
{
	shim_sys = sys_real;
	shim_sys.wall_s = shim_wall_s;
	set_today(flags->cert_file);
	if (flags->async) {
		shim_sys.recvmsg = slow_recvmsg;
		shim_sys.sendmsg = slow_sendmsg;
	}
	sys = &shim_sys;
}

/* --- the profile -------------------------------------------------------------------------- */

static void set_text(struct sluice_options *opts, const char *name, const char *value)
{
	struct sluice_error err;

	if (sluice_options_set_name(opts, name, value, &err) >= 0)
		return;
	if (err.kind == SLUICE_KIND_UNSUPPORTED || err.code == SLUICE_E_OPTION)
		unimplemented(err.text);
	die("%s: %s", name, err.text);
}

static void add(char *list, const char *word)
{
	if (*list)
		strncat(list, ",", TEXT_MAX - strlen(list) - 1);
	strncat(list, word, TEXT_MAX - strlen(list) - 1);
}

static void set_versions(struct sluice_options *opts, const struct flags *flags)
{
	int min = flags->min_version ? flags->min_version : TLS1_2_VERSION;
	int max = flags->max_version ? flags->max_version : TLS1_3_VERSION;
	char list[TEXT_MAX] = "";

	if (max >= TLS1_3_VERSION && !flags->no_tls13)
		add(list, "tlsv1.3");
	if (min <= TLS1_2_VERSION && max >= TLS1_2_VERSION && !flags->no_tls12)
		add(list, "tlsv1.2");
	if (!*list)
		unimplemented("a version before TLS 1.2");
	set_text(opts, "versions", list);
}

static const char *curve_name(int curve)
{
	switch (curve) {
	case SSL_CURVE_SECP256R1:
		return "secp256r1";
	case SSL_CURVE_SECP384R1:
		return "secp384r1";
	case SSL_CURVE_SECP521R1:
		return "secp521r1";
	case SSL_CURVE_X25519:
		return "x25519";
	default:
		unimplemented("this curve");
	}
}

static void set_curves(struct sluice_options *opts, const struct codes *curves)
{
	char list[TEXT_MAX] = "";
	int i;

	for (i = 0; i < curves->n; i++)
		add(list, curve_name(curves->code[i]));
	if (*list)
		set_text(opts, "supported_groups", list);
}

static const char *sigalg_name(int code)
{
	static const struct {
		int code;
		const char *name;
	} names[] = {
		{ SSL_SIGN_ED25519, "ed25519" },
		{ SSL_SIGN_ECDSA_SECP256R1_SHA256, "ecdsa_secp256r1_sha256" },
		{ SSL_SIGN_ECDSA_SECP384R1_SHA384, "ecdsa_secp384r1_sha384" },
		{ SSL_SIGN_ECDSA_SECP521R1_SHA512, "ecdsa_secp521r1_sha512" },
		{ SSL_SIGN_RSA_PSS_RSAE_SHA256, "rsa_pss_rsae_sha256" },
		{ SSL_SIGN_RSA_PSS_RSAE_SHA384, "rsa_pss_rsae_sha384" },
		{ SSL_SIGN_RSA_PSS_RSAE_SHA512, "rsa_pss_rsae_sha512" },
		{ SSL_SIGN_RSA_PKCS1_SHA256, "rsa_pkcs1_sha256" },
		{ SSL_SIGN_RSA_PKCS1_SHA384, "rsa_pkcs1_sha384" },
		{ SSL_SIGN_RSA_PKCS1_SHA512, "rsa_pkcs1_sha512" },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].code == code)
			return names[i].name;
	unimplemented("this signature algorithm");
}

/* Sluice has one list for both. */
static void set_sigalgs(struct sluice_options *opts, const struct flags *flags)
{
	const struct codes *codes = flags->signing_prefs.n ? &flags->signing_prefs
							   : &flags->verify_prefs;
	char list[TEXT_MAX] = "";
	int i;

	if (flags->signing_prefs.n && flags->verify_prefs.n)
		unimplemented("lists of their own for signing and verifying");
	for (i = 0; i < codes->n; i++)
		add(list, sigalg_name(codes->code[i]));
	if (*list)
		set_text(opts, "signature_algs", list);
}

/* From a ProtocolNameList's bytes to words. */
static void set_alpn(struct sluice_options *opts, const char *wire)
{
	char list[TEXT_MAX] = "", name[256];
	size_t i, len, left = strlen(wire);

	for (i = 0; i < left; i += 1 + len) {
		len = (unsigned char)wire[i];
		if (!len || i + 1 + len > left)
			unimplemented("this ALPN list");
		memcpy(name, wire + i + 1, len);
		name[len] = '\0';
		if (strchr(name, ','))
			unimplemented("a comma in an ALPN name");
		add(list, name);
	}
	set_text(opts, "alpn_advertised_protocols", list);
}

static void set_client(struct sluice_options *opts, const struct flags *flags)
{
	set_text(opts, "verify", "verify_none");
	set_text(opts, "server_name_indication", flags->host_name ? flags->host_name : "disable");
	if (flags->advertise_alpn)
		set_alpn(opts, flags->advertise_alpn);
}

static void set_server(struct sluice_options *opts, const struct flags *flags)
{
	set_text(opts, "exporter", "true");
	if (flags->select_alpn)
		set_text(opts, "alpn_preferred_protocols", flags->select_alpn);
	if (flags->server_preference)
		set_text(opts, "honor_cipher_order", "true");
	if (flags->no_ticket)
		set_text(opts, "session_tickets", "false");
}

static struct sluice_options *make_options(const struct flags *flags)
{
	struct sluice_options *opts;

	if (sluice_options_new(&opts) < 0)
		die("no memory");
	set_text(opts, "record_path", "user");
	set_text(opts, "alert_timeout", "2000");
	set_versions(opts, flags);
	set_curves(opts, &flags->curves);
	set_sigalgs(opts, flags);
	set_text(opts, "ciphers", flags->cipher ? flags->cipher : ALL_SUITES);
	if (flags->cert_file)
		set_text(opts, "certfile", flags->cert_file);
	if (flags->key_file)
		set_text(opts, "keyfile", flags->key_file);
	if (flags->verify_peer || flags->require_any_client_certificate)
		unimplemented("a peer that is asked for a certificate and not held to any CA");
	if (flags->server)
		set_server(opts, flags);
	else
		set_client(opts, flags);
	return opts;
}

/* @base: whose ticket keys a server shares; NULL: nobody's. */
static struct sluice_profile *make_profile(const struct flags *flags,
					   const struct sluice_profile *base)
{
	struct sluice_options *opts = make_options(flags);
	struct sluice_profile *profile;
	struct sluice_error err;
	int r;

	if (base && flags->server)
		r = profile_derive(&profile, base, opts, &err);
	else
		r = sluice_profile_new(&profile, opts,
				       flags->server ? SLUICE_SERVER : SLUICE_CLIENT, &err);
	if (r < 0) {
		if (err.code == SLUICE_E_OPTION_CONFLICT || err.kind == SLUICE_KIND_UNSUPPORTED)
			unimplemented(err.text);
		die("profile: %s", err.text);
	}
	sluice_options_free(opts);
	return profile;
}

/* --- one connection ----------------------------------------------------------------------- */

/* BoringSSL's reason is what the runner looks for; ours is for whoever reads. */
static void complain(const struct sluice_conn *conn, const char *what, long code)
{
	struct sluice_error err = { .text = "" };
	const char *reason = NULL;

	if (conn)
		sluice_conn_error(conn, &err, sizeof(err));
	if (err.bssl_error)
		reason = ERR_reason_error_string(err.bssl_error);
	fprintf(stderr, "%s: %s: :%s: %s\n", what, sluice_error_name((int)code),
		reason ? reason : "", err.text);
}

static int dial(const struct flags *flags)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons((uint16_t)flags->port),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)flags->port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1, fd = socket(AF_INET6, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&v6, sizeof(v6))) {
		close(fd);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&v4, sizeof(v4)))
			die("connect: %s", strerror(errno));
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void expect(int expected, int got, const char *what)
{
	if (expected && expected != got)
		die("%s is %#x instead of %#x", what, got, expected);
}

static void check(struct sluice_conn *conn, const struct flags *flags, bool resumes)
{
	struct sluice_conn_info info;

	sluice_conn_info(conn, &info, sizeof(info));
	expect(flags->expect_version, info.version, "the version");
	expect(flags->expect_curve_id, info.group, "the curve");
	expect(flags->expect_peer_signature_algorithm, info.signature, "the signature algorithm");
	expect(flags->expect_cipher, info.suite, "the suite");
	/* BoringSSL chooses by what the processor has; here it has AES. */
	expect(flags->expect_cipher_aes, info.suite, "the suite");
	if (info.resumed != (resumes && !flags->expect_session_miss))
		die("the session was %sresumed", info.resumed ? "" : "not ");
	if (flags->expect_server_name && strcmp(flags->expect_server_name, info.sni))
		die("the server name is '%s'", info.sni);
	if (flags->expect_alpn && strcmp(flags->expect_alpn, info.alpn))
		die("the protocol is '%s'", info.alpn);
}

static bool send_all(struct sluice_conn *conn, const void *buf, size_t len)
{
	ssize_t n = sluice_send(conn, buf, len, WAIT_MS);

	if (n == (ssize_t)len)
		return true;
	complain(conn, "send", n);
	return false;
}

static bool export_keys(struct sluice_conn *conn, const struct flags *flags)
{
	size_t len = (size_t)flags->export_keying_material;
	const char *context = flags->export_context ? flags->export_context : "";
	uint8_t *out = calloc(1, len);
	bool ok;
	int r;

	r = sluice_export_keying_material(
		conn, out, len, flags->export_label ? flags->export_label : "",
		flags->use_export_context ? (const uint8_t *)context : NULL,
		flags->use_export_context ? strlen(context) : 0);
	if (r < 0)
		complain(conn, "export", r);
	ok = r >= 0 && send_all(conn, out, len);
	free(out);
	return ok;
}

static bool send_sizes(struct sluice_conn *conn)
{
	static const size_t sizes[] = { 0,     1,     255,   256,   257,  16383,
					16384, 16385, 32767, 32768, 32769 };
	static uint8_t buf[32769];
	size_t i;

	memset(buf, 0x42, sizeof(buf));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (!send_all(conn, buf, sizes[i]))
			return false;
	return true;
}

/* Sends back the complement of what comes, until the peer ends. */
static bool answer(struct sluice_conn *conn, const struct flags *flags)
{
	static uint8_t buf[1 << 16];
	size_t size = flags->read_size > 0 ? (size_t)flags->read_size : 512;
	ssize_t i, n;
	int r;

	if (size > sizeof(buf))
		size = sizeof(buf);
	for (;;) {
		n = sluice_recv(conn, buf, size, WAIT_MS);
		/* To the runner an end is an end; most of its tests close without close_notify. */
		if (n == -SLUICE_E_CLOSED || n == -SLUICE_E_TRUNCATED || n == -SLUICE_E_RESET)
			return true;
		if (n < 0) {
			complain(conn, "receive", n);
			return false;
		}
		r = flags->key_update ? sluice_update_keys(conn, 0, WAIT_MS) : 0;
		if (r < 0) {
			complain(conn, "key update", r);
			return false;
		}
		for (i = 0; i < n; i++)
			buf[i] ^= 0xff;
		if (!send_all(conn, buf, (size_t)n))
			return false;
	}
}

static bool wait_for_close_notify(struct sluice_conn *conn)
{
	uint8_t buf[512];
	ssize_t n;

	do {
		n = sluice_recv(conn, buf, sizeof(buf), WAIT_MS);
	} while (n > 0);
	if (n != -SLUICE_E_CLOSED)
		complain(conn, "waiting for close_notify", n);
	return n == -SLUICE_E_CLOSED;
}

static bool exchange(struct sluice_conn *conn, const struct flags *flags)
{
	if (flags->export_keying_material && !export_keys(conn, flags))
		return false;
	if (flags->write_different_record_sizes)
		return send_sizes(conn);
	if (flags->shim_writes_first && !send_all(conn, "hello", 5))
		return false;
	if (!flags->shim_shuts_down)
		return answer(conn, flags);
	if (sluice_shutdown(conn, SHUT_WR, WAIT_MS) < 0)
		return false;
	return !flags->check_close_notify || wait_for_close_notify(conn);
}

static void keep_session(struct sluice_conn *conn, const struct flags *flags,
			 struct sluice_session **session)
{
	struct sluice_session *fresh;

	if (flags->server || sluice_take_session(conn, &fresh) < 0)
		return;
	sluice_session_free(*session);
	*session = fresh;
}

static bool connection(struct sluice_profile *profile, const struct flags *flags, bool resumes,
		       struct sluice_session **session)
{
	struct sluice_conn *conn = NULL;
	struct sluice_error err;
	int fd = dial(flags);
	bool ok;
	int r;

	if (flags->server)
		r = sluice_handshake_fd(sluice, fd, profile, WAIT_MS, &conn, &err);
	else
		r = sluice_connect_fd(sluice, fd, NULL, profile, *session, WAIT_MS, &conn, &err);
	if (r < 0) {
		complain(conn, "handshake", r);
		sluice_close(conn);
		return false;
	}
	check(conn, flags, resumes);
	ok = exchange(conn, flags);
	if (ok)
		keep_session(conn, flags, session);
	sluice_close(conn);
	return ok;
}

int main(int argc, char **argv)
{
	struct flags initial, resume;
	struct sluice_profile *profile;
	struct sluice_session *session = NULL;
	struct sluice_error err;
	int i, status = 0;

	flags_parse(argc, argv, &initial, &resume);
	if (initial.handshaker_supported) {
		puts("No");
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	make_world(&initial);
	if (initial.expect_total_renegotiations)
		unimplemented("renegotiation");
	if (sluice_start(&sluice, SLUICE_TEMPORARY, &err) < 0)
		die("start: %s", err.text);
	profile = make_profile(&initial, NULL);
	for (i = 0; i <= initial.resume_count && !status; i++) {
		const struct flags *flags = i ? &resume : &initial;

		if (i == 1 && memcmp(&initial, &resume, sizeof(initial))) {
			struct sluice_profile *base = profile;

			profile = make_profile(&resume, base);
			sluice_profile_unref(base);
		}
		if (!connection(profile, flags, i > 0, &session))
			status = 1;
	}
	sluice_session_free(session);
	sluice_profile_unref(profile);
	sluice_stop(sluice);
	return status;
}
