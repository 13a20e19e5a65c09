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
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <sluice/sluice.h>

#include "conn/conn.h"
#include "core/sys.h"
#include "flags.h"
#include "options/pem.h"
#include "profile.h"

#define WAIT_MS 20000
#define DAY_S 86400

static struct sluice *sluice;

/* --- the world as the runner has it ------------------------------------------------------- */

static struct sys_ops shim_sys;

/*
 * The runner's certificates have expired, each at its own time: the shim lives when its own was new,
 * and judges a peer's when that was.
 */
static int64_t today;
static struct sluice_conn *current;

static int64_t shim_wall_s(void)
{
	const STACK_OF(CRYPTO_BUFFER) *chain =
		current && current->ssl ? SSL_get0_peer_certificates(current->ssl) : NULL;
	int64_t when = today;
	X509 *cert;

	if (!chain || sk_CRYPTO_BUFFER_num(chain) == 0)
		return today;
	cert = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, 0));
	if (cert && pem_time(X509_get0_notBefore(cert), &when))
		when += DAY_S;
	X509_free(cert);
	return when;
}

static void set_today(const char *cert_file)
{
	X509 *cert = cert_file ? read_cert(cert_file) : NULL;

	today = sys_real.wall_s();
	if (cert)
		pem_time(X509_get0_notBefore(cert), &today);
	today += DAY_S;
	X509_free(cert);
}

/*
 * Nothing has come while a handshake begins, so that its connection is known before a certificate is
 * judged. Then, if the test is one of a slow transport, one byte comes at a time.
 */
static bool is_slow;

static ssize_t shim_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct iovec iov = *msg->msg_iov;
	struct msghdr one = *msg;
	ssize_t n;

	if (!current) {
		errno = EAGAIN;
		return -1;
	}
	if (is_slow && iov.iov_len > 1)
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
	shim_sys.recvmsg = shim_recvmsg;
	is_slow = flags->async;
	if (is_slow)
		shim_sys.sendmsg = slow_sendmsg;
	sys = &shim_sys;
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

static void check_peer_cert(struct sluice_conn *conn, const char *path)
{
	X509 *cert = read_cert(path);
	uint8_t *expected = NULL;
	const uint8_t *got;
	size_t got_len;
	int len = i2d_X509(cert, &expected);

	if (sluice_peercert(conn, 0, &got, &got_len) < 0 || len < 0 || got_len != (size_t)len ||
	    memcmp(got, expected, got_len))
		die("the peer's certificate is not %s", path);
	OPENSSL_free(expected);
	X509_free(cert);
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
	if (flags->expect_hrr != info.hello_retried && (flags->expect_hrr || flags->expect_no_hrr))
		die("there was %s HelloRetryRequest", info.hello_retried ? "a" : "no");
	if (flags->expect_peer_cert_file)
		check_peer_cert(conn, flags->expect_peer_cert_file);
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

static int wait_and_go_on(struct sluice_conn *conn)
{
	struct pollfd pfd = { .fd = sluice_conn_fd(conn),
			      .events = (short)sluice_conn_events(conn) };

	poll(&pfd, 1, sluice_conn_timeout(conn));
	return sluice_conn_dispatch(conn);
}

static bool connection(struct sluice_profile *profile, const struct flags *flags, bool resumes,
		       struct sluice_session **session)
{
	struct sluice_conn *conn = NULL;
	struct sluice_error err;
	int fd = dial(flags);
	bool ok = false;
	int r;

	if (flags->server)
		r = sluice_handshake_fd(sluice, fd, profile, SLUICE_NOWAIT, &conn, &err);
	else
		r = sluice_connect_fd(sluice, fd, NULL, profile, *session, SLUICE_NOWAIT, &conn,
				      &err);
	current = conn;
	while (r == -SLUICE_E_AGAIN)
		r = wait_and_go_on(conn);
	if (r < 0) {
		complain(conn, "handshake", r);
		goto out;
	}
	check(conn, flags, resumes);
	ok = exchange(conn, flags);
	if (ok)
		keep_session(conn, flags, session);
out:
	sluice_close(conn);
	current = NULL;
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
