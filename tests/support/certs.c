/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test CA. Everything is made in this process by BoringSSL, so that no test depends on files
 * that expire or on another tool. Called by tests only; a failure here is the end of the program,
 * since no test could mean anything without its certificates.
 */
#include "certs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#define DAY_S ((int64_t)24 * 60 * 60)
#define PASSWORD "open sesame"
#define SERVER_NAMES "DNS:localhost,DNS:*.example.test,IP:127.0.0.1,IP:::1"
#define MAX_FILES 64

static struct certs certs;
static char dir[64];
static pid_t dir_owner;
static char *files[MAX_FILES];
static size_t n_files;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "tests/support/certs: %s failed (errno %d)\n", what, errno);
	ERR_print_errors_fp(stderr);
	abort();
}

#define CHECK(what)                 \
	do {                        \
		if (!(what))        \
			die(#what); \
	} while (0)

/* --- keys and certificates ----------------------------------------------------------------- */

static EVP_PKEY *make_ec_key(int curve)
{
	EC_KEY *ec = EC_KEY_new_by_curve_name(curve);
	EVP_PKEY *key = EVP_PKEY_new();

	CHECK(ec && key && EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec));
	return key;
}

static EVP_PKEY *make_rsa_key(int bits)
{
	EVP_PKEY *key = EVP_PKEY_new();
	BIGNUM *e = BN_new();
	RSA *rsa = RSA_new();

	CHECK(key && e && rsa && BN_set_word(e, RSA_F4) && RSA_generate_key_ex(rsa, bits, e, NULL));
	CHECK(EVP_PKEY_assign_RSA(key, rsa));
	BN_free(e);
	return key;
}

static EVP_PKEY *make_raw_key(int type)
{
	EVP_PKEY *key;
	uint8_t seed[32];

	RAND_bytes(seed, sizeof(seed));
	CHECK(key = EVP_PKEY_new_raw_private_key(type, NULL, seed, sizeof(seed)));
	return key;
}

EVP_PKEY *certs_key(enum cert_key kind)
{
	switch (kind) {
	case CERT_KEY_P256:
		return make_ec_key(NID_X9_62_prime256v1);
	case CERT_KEY_P384:
		return make_ec_key(NID_secp384r1);
	case CERT_KEY_P521:
		return make_ec_key(NID_secp521r1);
	case CERT_KEY_ED25519:
		return make_raw_key(EVP_PKEY_ED25519);
	case CERT_KEY_RSA2048:
		return make_rsa_key(2048);
	case CERT_KEY_RSA1024:
		return make_rsa_key(1024);
	case CERT_KEY_X25519:
		return make_raw_key(EVP_PKEY_X25519);
	case CERT_KEYS:
		break;
	}
	die("certs_key");
}

static void add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, x509, NULL, NULL, 0);
	CHECK(ext = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value));
	CHECK(X509_add_ext(x509, ext, -1));
	X509_EXTENSION_free(ext);
}

static void add_ca_extensions(X509 *x509, X509 *issuer, int path_len)
{
	char text[64] = "critical,CA:TRUE";

	if (path_len)
		snprintf(text, sizeof(text), "critical,CA:TRUE,pathlen:%d", path_len - 1);
	add_extension(x509, issuer, NID_basic_constraints, text);
	add_extension(x509, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
}

static void set_names(X509 *x509, const struct cert_spec *spec)
{
	X509_NAME *name = X509_get_subject_name(x509);
	uint8_t serial[8];
	BIGNUM *bn;

	RAND_bytes(serial, sizeof(serial));
	serial[0] = 0x40 | (serial[0] & 0x3f); /* positive, never zero, always 8 bytes */
	CHECK(bn = BN_bin2bn(serial, sizeof(serial), NULL));
	CHECK(BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x509)));
	BN_free(bn);
	CHECK(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const uint8_t *)"Sluice tests",
					 -1, -1, 0));
	if (spec->cn)
		CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
						 (const uint8_t *)spec->cn, -1, -1, 0));
	if (spec->issuer)
		name = X509_get_subject_name(spec->issuer);
	CHECK(X509_set_issuer_name(x509, name));
}

static void set_validity(X509 *x509, const struct cert_spec *spec)
{
	int64_t from_s = spec->from_s, to_s = spec->to_s;
	time_t now = time(NULL);

	if (!from_s && !to_s) {
		from_s = -DAY_S;
		to_s = 365 * DAY_S;
	}
	CHECK(ASN1_TIME_adj(X509_getm_notBefore(x509), now, (int)(from_s / DAY_S),
			    (long)(from_s % DAY_S)));
	CHECK(ASN1_TIME_adj(X509_getm_notAfter(x509), now, (int)(to_s / DAY_S),
			    (long)(to_s % DAY_S)));
}

static const char *key_usage(const struct cert_spec *spec)
{
	if (spec->key_usage)
		return spec->key_usage;
	return EVP_PKEY_id(spec->key) == EVP_PKEY_RSA ? "critical,digitalSignature,keyEncipherment"
						      : "critical,digitalSignature";
}

X509 *certs_make(const struct cert_spec *spec)
{
	EVP_PKEY *signer = spec->issuer ? spec->issuer_key : spec->key;
	const EVP_MD *md = spec->md ? spec->md : EVP_sha256();
	X509 *x509 = X509_new();
	X509 *issuer = spec->issuer ? spec->issuer : x509;

	CHECK(x509 && X509_set_version(x509, X509_VERSION_3) && X509_set_pubkey(x509, spec->key));
	set_names(x509, spec);
	set_validity(x509, spec);
	if (spec->ca)
		add_ca_extensions(x509, issuer, spec->path_len);
	else
		add_extension(x509, issuer, NID_key_usage, key_usage(spec));
	add_extension(x509, issuer, NID_subject_key_identifier, "hash");
	if (spec->issuer)
		add_extension(x509, issuer, NID_authority_key_identifier, "keyid");
	if (spec->san)
		add_extension(x509, issuer, NID_subject_alt_name, spec->san);
	if (spec->eku)
		add_extension(x509, issuer, NID_ext_key_usage, spec->eku);
	if (spec->name_constraints)
		add_extension(x509, issuer, NID_name_constraints, spec->name_constraints);
	if (spec->extra_nid)
		add_extension(x509, issuer, spec->extra_nid, spec->extra);
	if (EVP_PKEY_id(signer) == EVP_PKEY_ED25519)
		md = NULL;
	CHECK(X509_sign(x509, signer, md));
	return x509;
}

/* --- files --------------------------------------------------------------------------------- */

static void remove_files(void)
{
	size_t i;

	if (getpid() != dir_owner)
		return;
	for (i = 0; i < n_files; i++) {
		unlink(files[i]);
		free(files[i]);
	}
	rmdir(dir);
}

static void make_dir(void)
{
	const char *base = getenv("TMPDIR");

	if (!base || strlen(base) > sizeof(dir) - sizeof("/sluice-certs-XXXXXX"))
		base = "/tmp";
	snprintf(dir, sizeof(dir), "%s/sluice-certs-XXXXXX", base);
	CHECK(mkdtemp(dir));
	dir_owner = getpid();
	CHECK(!atexit(remove_files));
}

/* The path of @name, remembered for removal; the same name gives the same path. */
static const char *file_path(const char *name)
{
	char *path;
	size_t i;

	if (!dir[0])
		make_dir();
	for (i = 0; i < n_files; i++)
		if (!strcmp(strrchr(files[i], '/') + 1, name))
			return files[i];
	CHECK(n_files < MAX_FILES && asprintf(&path, "%s/%s", dir, name) > 0);
	files[n_files++] = path;
	return path;
}

const char *certs_file(const char *name, const void *data, size_t len)
{
	const char *path = file_path(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len && !close(fd));
	return path;
}

char *certs_read(const char *path, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *data;

	CHECK(fd >= 0 && !fstat(fd, &st) && (data = calloc(1, (size_t)st.st_size + 1)));
	CHECK(read(fd, data, (size_t)st.st_size) == st.st_size && !close(fd));
	*ret_len = (size_t)st.st_size;
	return data;
}

uint8_t *certs_der(const char *path, size_t index, size_t *ret_len)
{
	BIO *bio = BIO_new_file(path, "r");
	char *name, *header;
	uint8_t *der, *copy;
	long len;
	size_t i;

	CHECK(bio);
	for (i = 0;; i++) {
		CHECK(PEM_read_bio(bio, &name, &header, &der, &len));
		OPENSSL_free(name);
		OPENSSL_free(header);
		if (i == index)
			break;
		OPENSSL_free(der);
	}
	BIO_free(bio);
	CHECK(copy = malloc((size_t)len));
	memcpy(copy, der, (size_t)len);
	OPENSSL_free(der);
	*ret_len = (size_t)len;
	return copy;
}

static const char *put_bio(const char *name, BIO *bio)
{
	const uint8_t *data;
	const char *path;
	size_t len;

	CHECK(BIO_mem_contents(bio, &data, &len));
	path = certs_file(name, data, len);
	BIO_free(bio);
	return path;
}

static const char *put_certs(const char *name, X509 *leaf, X509 *issuer, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());

	CHECK(bio && PEM_write_bio_X509(bio, leaf));
	if (issuer)
		CHECK(PEM_write_bio_X509(bio, issuer));
	if (key)
		CHECK(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
	return put_bio(name, bio);
}

static const char *put_key(const char *name, EVP_PKEY *key, const EVP_CIPHER *cipher)
{
	BIO *bio = BIO_new(BIO_s_mem());

	CHECK(bio && PEM_write_bio_PKCS8PrivateKey(bio, key, cipher, NULL, 0, NULL,
						   cipher ? (void *)PASSWORD : NULL));
	return put_bio(name, bio);
}

static const char *put_legacy_key(const char *name, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());

	CHECK(bio && PEM_write_bio_ECPrivateKey(bio, EVP_PKEY_get0_EC_KEY(key), EVP_aes_128_cbc(),
						NULL, 0, NULL, (void *)PASSWORD));
	return put_bio(name, bio);
}

/* --- the set ------------------------------------------------------------------------------- */

struct authority {
	EVP_PKEY *root_key, *inter_key;
	X509 *root, *inter;
};

static void make_authority(struct authority *ca)
{
	struct cert_spec root = { .cn = "Root", .ca = true };
	struct cert_spec inter = { .cn = "Intermediate", .ca = true, .path_len = 1 };
	struct cert_spec other = { .cn = "Other root", .ca = true };
	X509 *x509;

	root.key = ca->root_key = certs_key(CERT_KEY_P256);
	ca->root = certs_make(&root);
	inter.key = ca->inter_key = certs_key(CERT_KEY_P256);
	inter.issuer = ca->root;
	inter.issuer_key = ca->root_key;
	ca->inter = certs_make(&inter);
	certs.ca = put_certs("ca.pem", ca->root, NULL, NULL);
	certs.ca_key = put_key("ca-key.pem", ca->root_key, NULL);
	certs.intermediate = put_certs("intermediate.pem", ca->inter, NULL, NULL);
	certs.intermediate_key = put_key("intermediate-key.pem", ca->inter_key, NULL);

	other.key = certs_key(CERT_KEY_P256);
	x509 = certs_make(&other);
	certs.other_ca = put_certs("other-ca.pem", x509, NULL, NULL);
	certs.mismatched_key = put_key("mismatched-key.pem", other.key, NULL);
	X509_free(x509);
	root.key = other.key;
	x509 = certs_make(&root);
	certs.namesake_ca = put_certs("namesake-ca.pem", x509, NULL, NULL);
	X509_free(x509);
	EVP_PKEY_free(other.key);
}

static X509 *make_leaf(const struct authority *ca, const char *cn, const char *san, const char *eku,
		       EVP_PKEY *key)
{
	struct cert_spec spec = { .cn = cn, .san = san, .eku = eku, .key = key };

	spec.issuer = ca->inter;
	spec.issuer_key = ca->inter_key;
	return certs_make(&spec);
}

static const char *put_server(const struct authority *ca, const char *name, enum cert_key kind,
			      const char *key_name, const char **ret_key_path)
{
	EVP_PKEY *key = certs_key(kind);
	X509 *leaf = make_leaf(ca, "localhost", SERVER_NAMES, "serverAuth", key);
	const char *path = put_certs(name, leaf, ca->inter, NULL);

	*ret_key_path = put_key(key_name, key, NULL);
	X509_free(leaf);
	EVP_PKEY_free(key);
	return path;
}

/* Everything that has the key of the P-256 server. */
static void make_p256_files(const struct authority *ca)
{
	EVP_PKEY *key = certs_key(CERT_KEY_P256);
	struct cert_spec spec = { .cn = "localhost",
				  .san = SERVER_NAMES,
				  .eku = "serverAuth",
				  .key = key,
				  .issuer = ca->inter,
				  .issuer_key = ca->inter_key };
	X509 *leaf = certs_make(&spec);

	certs.server_p256 = put_certs("server-p256.pem", leaf, ca->inter, NULL);
	certs.server_p256_key = put_key("server-p256-key.pem", key, NULL);
	certs.server_combined = put_certs("server-combined.pem", leaf, ca->inter, key);
	certs.server_bare = put_certs("server-bare.pem", leaf, NULL, NULL);
	certs.encrypted_key = put_key("encrypted-key.pem", key, EVP_aes_256_cbc());
	certs.encrypted_key_legacy = put_legacy_key("encrypted-key-legacy.pem", key);
	certs.password = PASSWORD;
	X509_free(leaf);

	spec.from_s = -30 * DAY_S;
	spec.to_s = -DAY_S;
	leaf = certs_make(&spec);
	certs.expired = put_certs("expired.pem", leaf, ca->inter, NULL);
	X509_free(leaf);

	spec.from_s = DAY_S;
	spec.to_s = 30 * DAY_S;
	leaf = certs_make(&spec);
	certs.not_yet = put_certs("not-yet.pem", leaf, ca->inter, NULL);
	X509_free(leaf);

	leaf = make_leaf(ca, "elsewhere.test", "DNS:elsewhere.test", "serverAuth", key);
	certs.wrong_name = put_certs("wrong-name.pem", leaf, ca->inter, NULL);
	X509_free(leaf);

	spec.from_s = spec.to_s = 0;
	spec.issuer = NULL;
	leaf = certs_make(&spec);
	certs.self_signed = put_certs("self-signed.pem", leaf, NULL, NULL);
	X509_free(leaf);
	EVP_PKEY_free(key);
}

static void make_client(const struct authority *ca)
{
	EVP_PKEY *key = certs_key(CERT_KEY_P256);
	X509 *leaf = make_leaf(ca, "client", NULL, "clientAuth", key);

	certs.client = put_certs("client.pem", leaf, ca->inter, NULL);
	certs.client_key = put_key("client-key.pem", key, NULL);
	X509_free(leaf);
	EVP_PKEY_free(key);
}

const struct certs *certs_get(void)
{
	struct authority ca;

	if (certs.ca)
		return &certs;
	make_authority(&ca);
	certs.dir = dir;
	certs.server_rsa = put_server(&ca, "server-rsa.pem", CERT_KEY_RSA2048, "server-rsa-key.pem",
				      &certs.server_rsa_key);
	certs.server_ed25519 = put_server(&ca, "server-ed25519.pem", CERT_KEY_ED25519,
					  "server-ed25519-key.pem", &certs.server_ed25519_key);
	make_p256_files(&ca);
	make_client(&ca);
	X509_free(ca.root);
	X509_free(ca.inter);
	EVP_PKEY_free(ca.root_key);
	EVP_PKEY_free(ca.inter_key);
	return &certs;
}
