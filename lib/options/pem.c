/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and bytes into certificates and keys. Called when profiles are built, never during a
 * handshake. What was read may be a private key: every buffer is wiped, here or by BoringSSL's
 * OPENSSL_free(), and nothing of it gets into an error text.
 */
#include "options/pem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "core/error.h"
#include "core/secret.h"
#include "core/sys.h"

#define MAX_TRIES 3       /* to read a file that others change */
#define MIN_RSA_BITS 2048 /* NIST SP 800-131A: less is disallowed for signatures */

/* --- files ---------------------------------------------------------------------------------- */

void pem_file_free(struct pem_file *file)
{
	if (file->data)
		secret_wipe(file->data, file->len);
	OPENSSL_free(file->data);
	*file = (struct pem_file){ 0 };
}

static int file_error(int err_no, const char *option, const char *path, struct sluice_error *err)
{
	int code = sys_errno_code(err_no);

	if (code != SLUICE_E_NOFILE && code != SLUICE_E_NOMEM)
		code = SLUICE_E_FILE;
	return err_set_errno(err, code, err_no, "%s: %s", option, path);
}

/* Makes room for more in a buffer that is full; the old bytes are wiped when they have moved. */
static bool grow(struct pem_file *file, size_t *size)
{
	size_t new_size = *size ? 4 * *size : 16384;
	char *data = OPENSSL_malloc(new_size);

	if (!data)
		return false;
	if (file->data) {
		memcpy(data, file->data, file->len);
		secret_wipe(file->data, file->len);
	}
	OPENSSL_free(file->data);
	file->data = data;
	*size = new_size;
	return true;
}

/* Reads @fd to its end. Returns 0 or an errno; EFBIG: more than @max bytes. */
static int read_all(int fd, struct pem_file *file, size_t max)
{
	size_t size = 0;
	ssize_t n;

	for (;;) {
		if (file->len == size && !grow(file, &size))
			return ENOMEM;
		n = sys->read(fd, file->data + file->len, size - file->len);
		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		file->len += (size_t)n;
		if (file->len > max)
			return EFBIG;
	}
}

int pem_file_read_fd(struct pem_file *ret_file, int fd)
{
	int err;

	*ret_file = (struct pem_file){ NULL };
	err = read_all(fd, ret_file, PEM_MAX_FILE);
	if (err)
		pem_file_free(ret_file);
	return err;
}

/* --- stamps --------------------------------------------------------------------------------- */

static int64_t ns_of(struct timespec ts)
{
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* What is no regular file, as a pipe, says nothing of its contents. */
static void fill_stamp(struct pem_stamp *stamp, const struct stat *st)
{
	*stamp = (struct pem_stamp){ 0 };
	if (S_ISREG(st->st_mode))
		*stamp = (struct pem_stamp){ .dev = st->st_dev,
					     .ino = st->st_ino,
					     .size = st->st_size,
					     .mtime_ns = ns_of(st->st_mtim),
					     .ctime_ns = ns_of(st->st_ctim) };
}

bool pem_stamp_path(struct pem_stamp *ret_stamp, const char *path)
{
	struct stat st;

	if (sys->stat(path, &st))
		return false;
	fill_stamp(ret_stamp, &st);
	return ret_stamp->ino;
}

bool pem_stamp_same(const struct pem_stamp *a, const struct pem_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

/* --- whole files ---------------------------------------------------------------------------- */

/* Reads an open file between two looks at it. Returns 0 or an errno; ESTALE: it was changed meanwhile. */
static int read_whole(int fd, struct pem_file *file, struct pem_stamp *stamp, size_t max)
{
	struct pem_stamp after;
	struct stat st;
	int err_no;

	if (sys->fstat(fd, &st))
		return errno;
	fill_stamp(stamp, &st);
	err_no = read_all(fd, file, max);
	if (err_no)
		return err_no;
	if (sys->fstat(fd, &st))
		return errno;
	fill_stamp(&after, &st);
	return pem_stamp_same(stamp, &after) ? 0 : ESTALE;
}

static int read_path(struct pem_file *ret_file, struct pem_stamp *ret_stamp, const char *path,
		     size_t max)
{
	struct pem_file file = { 0 };
	int fd, err_no;

	do
		fd = sys->open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return errno;
	err_no = read_whole(fd, &file, ret_stamp, max);
	sys->close(fd); /* only read from: nothing that a failure could lose */
	if (err_no)
		pem_file_free(&file);
	else
		*ret_file = file;
	return err_no;
}

static int read_file(struct pem_file *ret_file, struct pem_stamp *ret_stamp, const char *option,
		     const char *path, size_t max, struct sluice_error *err)
{
	unsigned int tries = MAX_TRIES;
	int err_no;

	do
		err_no = read_path(ret_file, ret_stamp, path, max);
	while (err_no == ESTALE && --tries);
	if (err_no == ESTALE)
		return err_set_errno(err, SLUICE_E_FILE, err_no,
				     "%s: %s is changed while it is read", option, path);
	return err_no ? file_error(err_no, option, path, err) : 0;
}

int pem_file_read_stamp(struct pem_file *ret_file, struct pem_stamp *ret_stamp, const char *option,
			const char *path, struct sluice_error *ret_err)
{
	return read_file(ret_file, ret_stamp, option, path, PEM_MAX_FILE, ret_err);
}

int pem_file_read_max(struct pem_file *ret_file, const char *option, const char *path, size_t max,
		      struct sluice_error *ret_err)
{
	struct pem_stamp stamp;

	return read_file(ret_file, &stamp, option, path, max, ret_err);
}

int pem_file_read(struct pem_file *ret_file, const char *option, const char *path,
		  struct sluice_error *ret_err)
{
	return pem_file_read_max(ret_file, option, path, PEM_MAX_FILE, ret_err);
}

/* --- BoringSSL's errors --------------------------------------------------------------------- */

/* struct queue - what BoringSSL's error queue said; it is empty now. */
struct queue {
	uint32_t first, last; /* packed; 0: none */
	bool no_memory;
	bool unsupported_key; /* known what it is, but not had */
};

static struct queue queue_take(void)
{
	struct queue queue = { .first = ERR_peek_error(), .last = ERR_peek_last_error() };
	uint32_t packed;

	while ((packed = ERR_get_error()) != 0) {
		int lib = ERR_GET_LIB(packed), reason = ERR_GET_REASON(packed);

		if (reason == ERR_R_MALLOC_FAILURE)
			queue.no_memory = true;
		if ((lib == ERR_LIB_EC && reason == EC_R_UNKNOWN_GROUP) ||
		    (lib == ERR_LIB_EVP && (reason == EVP_R_UNSUPPORTED_ALGORITHM ||
					    reason == EVP_R_UNKNOWN_PUBLIC_KEY_TYPE)))
			queue.unsupported_key = true;
	}
	return queue;
}

static bool is_end_of_pem(const struct queue *queue)
{
	return ERR_GET_LIB(queue->last) == ERR_LIB_PEM &&
	       ERR_GET_REASON(queue->last) == PEM_R_NO_START_LINE;
}

/* Fails with @code, @text and BoringSSL's reason: the first of its queue is where it began. */
static int fail(int code, const char *what, const char *text, const struct queue *queue,
		struct sluice_error *err)
{
	const char *reason = queue->first ? ERR_reason_error_string(queue->first) : NULL;

	if (queue->no_memory)
		return err_set(err, SLUICE_E_NOMEM, "%s: no memory", what);
	err_set(err, code, "%s: %s%s%s%s", what, text, reason ? " (" : "", reason ? reason : "",
		reason ? ")" : "");
	if (err)
		err->bssl_error = queue->first;
	return -code;
}

/* --- certificates --------------------------------------------------------------------------- */

static bool is_cert_name(const char *name)
{
	return !strcmp(name, PEM_STRING_X509) || !strcmp(name, PEM_STRING_X509_OLD);
}

/* Appends a certificate if it is one. Returns 1, 0 (not one), or an error. */
static int append_cert(STACK_OF(CRYPTO_BUFFER) * certs, const uint8_t *der, size_t der_len)
{
	CRYPTO_BUFFER *buffer = CRYPTO_BUFFER_new(der, der_len, NULL);
	X509 *x509 = buffer ? X509_parse_from_buffer(buffer) : NULL;
	int r = buffer ? x509 != NULL : -SLUICE_E_NOMEM;

	X509_free(x509);
	if (r == 1 && !sk_CRYPTO_BUFFER_push(certs, buffer))
		r = -SLUICE_E_NOMEM;
	if (r != 1)
		CRYPTO_BUFFER_free(buffer);
	return r;
}

/* Appends all certificates that are left in @bio. */
static int read_certs(STACK_OF(CRYPTO_BUFFER) * certs, BIO *bio, const char *what, bool lenient,
		      struct sluice_error *err)
{
	struct queue queue;
	char *name, *header;
	uint8_t *der;
	long der_len;
	int r;

	while (PEM_read_bio(bio, &name, &header, &der, &der_len)) {
		r = is_cert_name(name) ? append_cert(certs, der, (size_t)der_len) : 1;
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
		if (r == 1)
			continue;
		queue = queue_take();
		if (r < 0)
			return err_set(err, -r, "%s: no memory", what);
		if (!lenient || queue.no_memory)
			return fail(SLUICE_E_CERT_PARSE, what, "a certificate cannot be parsed",
				    &queue, err);
	}
	queue = queue_take();
	if (!is_end_of_pem(&queue))
		return fail(SLUICE_E_CERT_PARSE, what, "this is not PEM", &queue, err);
	return 0;
}

int pem_parse_certs(STACK_OF(CRYPTO_BUFFER) * *ret_certs, const struct pem_file *file,
		    const char *what, bool lenient, struct sluice_error *ret_err)
{
	STACK_OF(CRYPTO_BUFFER) *certs = sk_CRYPTO_BUFFER_new_null();
	BIO *bio = BIO_new_mem_buf(file->data, (int)file->len);
	int r;

	ERR_clear_error();
	if (certs && bio) {
		r = read_certs(certs, bio, what, lenient, ret_err);
	} else {
		r = err_set(ret_err, SLUICE_E_NOMEM, "%s: no memory", what);
	}
	if (!r && !sk_CRYPTO_BUFFER_num(certs))
		r = err_set(ret_err, SLUICE_E_CERT_PARSE, "%s: there is no PEM certificate in it",
			    what);
	BIO_free(bio);
	if (r < 0) {
		sk_CRYPTO_BUFFER_pop_free(certs, CRYPTO_BUFFER_free);
		return r;
	}
	*ret_certs = certs;
	return 0;
}

bool pem_time(const ASN1_TIME *time, int64_t *ret_s)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days, secs, ok;

	ok = epoch && ASN1_TIME_diff(&days, &secs, epoch, time);
	ASN1_TIME_free(epoch);
	ERR_clear_error();
	if (ok)
		*ret_s = (int64_t)days * 24 * 60 * 60 + secs;
	return ok;
}

/* --- keys ----------------------------------------------------------------------------------- */

static bool is_tls_curve(const EVP_PKEY *key)
{
	switch (EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)))) {
	case NID_X9_62_prime256v1:
	case NID_secp384r1:
	case NID_secp521r1:
		return true;
	default:
		return false;
	}
}

/* Finds out whether TLS has a signature algorithm for a key of this kind. */
static int check_type(const EVP_PKEY *key, const char *what, struct sluice_error *err)
{
	bool ok = false;

	switch (EVP_PKEY_id(key)) {
	case EVP_PKEY_RSA:
		if (EVP_PKEY_bits(key) < MIN_RSA_BITS)
			return err_set(err, SLUICE_E_UNSUPPORTED_KEY_TYPE,
				       "%s: an RSA key of %d bits: at least %d are needed", what,
				       EVP_PKEY_bits(key), MIN_RSA_BITS);
		ok = true;
		break;
	case EVP_PKEY_EC:
		ok = is_tls_curve(key);
		break;
	case EVP_PKEY_ED25519:
		ok = true;
		break;
	}
	if (!ok)
		return err_set(err, SLUICE_E_UNSUPPORTED_KEY_TYPE,
			       "%s: a key is RSA, ECDSA (P-256, P-384, P-521) or Ed25519", what);
	return 0;
}

static int accept_key(EVP_PKEY **ret_key, EVP_PKEY *key, const char *what, struct sluice_error *err)
{
	int r = check_type(key, what, err);

	if (r < 0) {
		EVP_PKEY_free(key);
		return r;
	}
	*ret_key = key;
	return 0;
}

struct password {
	const char *text; /* NULL: none */
	bool asked;
};

/* pem_password_cb: called only for encrypted keys. */
static int on_password(char *buf, int size, int rwflag, void *userdata)
{
	struct password *password = userdata;
	size_t len = password->text ? strlen(password->text) : 0;

	password->asked = true;
	if (!password->text || len > (size_t)size)
		return -1;
	memcpy(buf, password->text, len);
	return (int)len;
}

/* Says why there is no key. */
static int key_fail(const struct pem_file *file, const struct password *password, const char *what,
		    struct sluice_error *err)
{
	struct queue queue = queue_take();
	static const char openssh[] = "-----BEGIN OPENSSH PRIVATE KEY-----";

	if (queue.unsupported_key)
		return fail(SLUICE_E_UNSUPPORTED_KEY_TYPE, what,
			    "BoringSSL does not have this type of key", &queue, err);
	if (password->asked)
		return fail(SLUICE_E_KEY_PASSWORD, what,
			    password->text ? "the key is encrypted: the password is wrong"
					   : "the key is encrypted: option password is missing",
			    &queue, err);
	if (!is_end_of_pem(&queue))
		return fail(SLUICE_E_KEY_PARSE, what, "the private key cannot be parsed", &queue,
			    err);
	if (memmem(file->data, file->len, openssh, sizeof(openssh) - 1))
		return err_set(err, SLUICE_E_UNSUPPORTED_KEY_TYPE,
			       "%s: the key is in OpenSSH's format: make it PKCS#8", what);
	return err_set(err, SLUICE_E_KEY_PARSE, "%s: there is no PEM private key in it", what);
}

int pem_parse_key(EVP_PKEY **ret_key, const struct pem_file *file, const char *what,
		  const char *password, struct sluice_error *ret_err)
{
	struct password ask = { .text = password };
	BIO *bio = BIO_new_mem_buf(file->data, (int)file->len);
	EVP_PKEY *key;

	ERR_clear_error();
	if (!bio)
		return err_set(ret_err, SLUICE_E_NOMEM, "%s: no memory", what);
	key = PEM_read_bio_PrivateKey(bio, NULL, on_password, &ask);
	BIO_free(bio);
	if (!key)
		return key_fail(file, &ask, what, ret_err);
	return accept_key(ret_key, key, what, ret_err);
}

int pem_parse_key_der(EVP_PKEY **ret_key, const void *der, size_t der_len, const char *what,
		      struct sluice_error *ret_err)
{
	const uint8_t *p = der, *end = p + der_len;
	struct queue queue;
	EVP_PKEY *key;

	ERR_clear_error();
	key = d2i_AutoPrivateKey(NULL, &p, (long)der_len);
	queue = queue_take();
	if (key && p == end)
		return accept_key(ret_key, key, what, ret_err);
	EVP_PKEY_free(key);
	if (queue.unsupported_key)
		return fail(SLUICE_E_UNSUPPORTED_KEY_TYPE, what,
			    "BoringSSL does not have this type of key", &queue, ret_err);
	return fail(SLUICE_E_KEY_PARSE, what, "this is not a private key in DER", &queue, ret_err);
}
