/* SPDX-License-Identifier: Apache-2.0 */
/* A peer of GnuTLS that changes keys: see peer.h. It takes eight KeyUpdates a second, no more. */
#include <time.h>

#include <gnutls/gnutls.h>

#include "peer.h"

static long outcome(ssize_t n)
{
	if (n > 0)
		return n;
	if (n == 0)
		return -1;
	if (!gnutls_error_is_fatal((int)n))
		return 0;
	fprintf(stderr, "peer: %s\n", gnutls_strerror((int)n));
	return -2;
}

static long do_send(void *session, const uint8_t *buf, size_t len)
{
	return outcome(gnutls_record_send(session, buf, len));
}

static long do_recv(void *session, uint8_t *buf, size_t len)
{
	return outcome(gnutls_record_recv(session, buf, len));
}

/* Ours are up to us; those that we ask for must not be too many for ourselves. */
static bool update_keys(void *session, bool request)
{
	static struct timespec last;
	struct timespec now;
	int r;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec == last.tv_sec)
		request = false;
	else if (request)
		last = now;

	do {
		r = gnutls_session_key_update(session, request ? GNUTLS_KU_PEER : 0);
	} while (r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED);
	return r == 0;
}

static bool has_pending(void *session)
{
	return gnutls_record_check_pending(session) > 0;
}

static void check(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "peer: %s: %s\n", what, gnutls_strerror(r));
	exit(1);
}

int main(int argc, char **argv)
{
	static const struct peer_library library = { do_send, do_recv, update_keys, has_pending };
	struct peer_settings settings = peer_arguments(argc, argv);
	struct peer_exchange x = { .library = &library, .settings = &settings };
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t session;
	int r;

	check(gnutls_certificate_allocate_credentials(&credentials), "credentials");
	if (settings.is_server)
		check(gnutls_certificate_set_x509_key_file(credentials, settings.cert, settings.key,
							   GNUTLS_X509_FMT_PEM),
		      "certificate");
	else
		check(gnutls_certificate_set_x509_trust_file(credentials, settings.cert,
							     GNUTLS_X509_FMT_PEM),
		      "CA");
	check(gnutls_init(&session, settings.is_server ? GNUTLS_SERVER : GNUTLS_CLIENT), "session");
	check(gnutls_priority_set_direct(session, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL),
	      "priorities");
	check(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials), "credentials");
	if (!settings.is_server) {
		gnutls_server_name_set(session, GNUTLS_NAME_DNS, "localhost", 9);
		gnutls_session_set_verify_cert(session, "localhost", 0);
	}
	x.fd = peer_socket(&settings);
	gnutls_transport_set_int(session, x.fd);
	do {
		r = gnutls_handshake(session);
	} while (r < 0 && !gnutls_error_is_fatal(r));
	check(r, "handshake");
	fcntl(x.fd, F_SETFL, O_NONBLOCK);
	x.session = session;
	peer_run(&x);
	fcntl(x.fd, F_SETFL, 0);
	gnutls_bye(session, GNUTLS_SHUT_WR);
	while (gnutls_record_recv(session, x.echo, sizeof(x.echo)) > 0)
		;
	gnutls_deinit(session);
	gnutls_certificate_free_credentials(credentials);
	return 0;
}
