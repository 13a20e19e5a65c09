// SPDX-License-Identifier: Apache-2.0
/*
 * A client's sessions: made from tickets that arrive on the record path, kept for the next connection
 * or handed to the program, and kept in files. What a session holds is as good as a key; files are
 * made with mode 0600.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/sha.h>

#include "conn/conn.h"
#include "core/error.h"
#include "core/secret.h"
#include "core/sys.h"

/* A session with a chain of certificates fits many times over. */
#define SESSION_FILE_MAX (256 * 1024)

/* Hashes @text and its end. */
static void hash_text(SHA256_CTX *sha, const char *text)
{
	SHA256_Update(sha, text ? text : "", text ? strlen(text) + 1 : 1);
}

/*
 * Sessions are kept for the host and port that were dialled and the name that was sent, and for who
 * judges the server by the same rules: @rules.
 */
static void make_store_key(struct sluice_conn *conn, const uint8_t *rules, size_t rules_len)
{
	struct sockaddr_in6 addr = { 0 }; /* the port is where that of IPv4 is */
	socklen_t len = sizeof(addr);
	SHA256_CTX sha;

	sys->getpeername(conn->fd, (struct sockaddr *)&addr, &len);
	SHA256_Init(&sha);
	SHA256_Update(&sha, rules, rules_len);
	SHA256_Update(&sha, &addr.sin6_port, sizeof(addr.sin6_port));
	hash_text(&sha, conn->host);
	hash_text(&sha, conn->info.sni);
	SHA256_Final(conn->store_key, &sha);
}

int session_bind(struct sluice_conn *conn)
{
	const char *name = conn->profile->verify_peer ? conn_reference(conn) : NULL;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	const uint8_t *rules;
	size_t rules_len;
	SHA256_CTX sha;

	rules = SSL_get0_session_id_context(conn->ssl, &rules_len);
	SHA256_Init(&sha);
	SHA256_Update(&sha, rules, rules_len);
	if (name)
		SHA256_Update(&sha, name, strlen(name));
	SHA256_Final(digest, &sha);
	if (!SSL_set_session_id_context(conn->ssl, digest, sizeof(digest)))
		return conn_fail(conn, SLUICE_E_INTERNAL, -1, 0, "binding sessions");
	if (conn->profile->tickets == TICKETS_AUTO)
		make_store_key(conn, digest, sizeof(digest));
	return 0;
}

static bool fits(const struct sluice_conn *conn, const SSL_SESSION *session)
{
	const uint8_t *ours, *theirs;
	unsigned int their_len;
	size_t our_len;

	ours = SSL_get0_session_id_context(conn->ssl, &our_len);
	theirs = SSL_SESSION_get0_id_context(session, &their_len);
	return our_len == their_len && memcmp(ours, theirs, our_len) == 0;
}

int session_offer(struct sluice_conn *conn)
{
	SSL_SESSION *kept = NULL, *session = conn->hs->offered;
	bool ok = true;

	if (!session && conn->profile->tickets == TICKETS_AUTO)
		session = kept = store_take(conn->sluice->store, conn->store_key);
	if (session && fits(conn, session))
		ok = SSL_set_session(conn->ssl, session);
	SSL_SESSION_free(kept);
	return ok ? 0 : conn_fail(conn, SLUICE_E_NOMEM, -1, 0, "offering a session");
}

void session_keep(struct sluice_conn *conn, SSL_SESSION *session)
{
	conn->info.tickets++;
	if (conn->profile->tickets == TICKETS_AUTO) {
		store_put(conn->sluice->store, conn->store_key, session);
		return;
	}
	SSL_SESSION_free(conn->session);
	conn->session = session;
}

/* A ticket that cannot be used costs a later full handshake, not this connection. */
void session_from_ticket(struct sluice_conn *conn, const uint8_t *msg, size_t msg_len)
{
	SSL_SESSION *session;

	if (!conn->ssl || conn->profile->tickets == TICKETS_DISABLED)
		return;
	session = SSL_process_tls13_new_session_ticket(conn->ssl, msg, msg_len);
	ERR_clear_error();
	if (session)
		session_keep(conn, session);
}

static int wrap(SSL_SESSION *ssl_session, struct sluice_session **ret_session)
{
	struct sluice_session *session = calloc(1, sizeof(*session));

	if (!session)
		return -SLUICE_E_NOMEM;
	session->ssl_session = ssl_session;
	*ret_session = session;
	return 0;
}

int sluice_take_session(struct sluice_conn *conn, struct sluice_session **ret_session)
{
	int r;

	if (!conn->session)
		return -SLUICE_E_UNDEFINED;
	r = wrap(conn->session, ret_session);
	if (r == 0)
		conn->session = NULL;
	return r;
}

struct sluice_session *sluice_session_free(struct sluice_session *session)
{
	if (!session)
		return NULL;
	SSL_SESSION_free(session->ssl_session);
	free(session);
	return NULL;
}

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
	ssize_t n;

	while (len) {
		n = sys->write(fd, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		bytes += n;
		len -= n;
	}
	return 0;
}

/*
 * Makes the file anew: one that is there would keep its mode, and whoever has it open would read
 * along. Only a file is replaced, no link and no device.
 */
static int create(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && unlink(path))
		return -1;
	return sys->open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

int sluice_session_save(const struct sluice_session *session, const char *path,
			struct sluice_error *ret_err)
{
	uint8_t *bytes = NULL;
	size_t len;
	int fd, err, r = 0;

	err_clear(ret_err);
	if (!SSL_SESSION_to_bytes(session->ssl_session, &bytes, &len))
		return err_set(ret_err, SLUICE_E_NOMEM, "serializing a session");
	fd = create(path);
	err = fd < 0 ? errno : write_all(fd, bytes, len);
	/* close(2): the descriptor is gone in any case, and EINTR says nothing of the file. */
	if (fd >= 0 && sys->close(fd) && !err && errno != EINTR)
		err = errno;
	if (fd >= 0 && err)
		unlink(path);
	if (err)
		r = err_set_errno(ret_err, SLUICE_E_FILE, err, "writing session file %s", path);
	secret_wipe(bytes, len);
	OPENSSL_free(bytes);
	return r;
}

/* Reads a whole file of at most @max bytes. Returns the length or -errno. */
static ssize_t read_all(const char *path, uint8_t *bytes, size_t max)
{
	int fd = sys->open(path, O_RDONLY | O_CLOEXEC, 0);
	size_t len = 0;
	ssize_t n = 0;
	int err = 0;

	if (fd < 0)
		return -errno;
	while (len < max) {
		n = sys->read(fd, bytes + len, max - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += n;
	}
	if (n < 0)
		err = errno;
	sys->close(fd);
	return err ? -err : (ssize_t)len;
}

int sluice_session_load(struct sluice *sluice, const char *path,
			struct sluice_session **ret_session, struct sluice_error *ret_err)
{
	uint8_t *bytes = malloc(SESSION_FILE_MAX);
	SSL_CTX *ctx = SSL_CTX_new(TLS_with_buffers_method());
	SSL_SESSION *ssl_session = NULL;
	ssize_t len = 0;
	int r;

	err_clear(ret_err);
	if (!bytes || !ctx) {
		r = err_set(ret_err, SLUICE_E_NOMEM, "loading a session");
		goto out;
	}
	len = read_all(path, bytes, SESSION_FILE_MAX);
	if (len < 0) {
		r = err_set_errno(ret_err, SLUICE_E_FILE, -len, "reading session file %s", path);
		goto out;
	}
	ssl_session = SSL_SESSION_from_bytes(bytes, len, ctx);
	if (!ssl_session) {
		ERR_clear_error();
		r = err_set(ret_err, SLUICE_E_FILE, "%s does not hold a session", path);
		goto out;
	}
	r = wrap(ssl_session, ret_session);
	if (r < 0)
		SSL_SESSION_free(ssl_session);
out:
	if (bytes && len > 0)
		secret_wipe(bytes, len);
	free(bytes);
	SSL_CTX_free(ctx);
	return r;
}
