/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys for tests, made when first asked for and removed when the process ends. */
#ifndef SLUICE_TESTS_CERTS_H
#define SLUICE_TESTS_CERTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

/*
 * struct certs - PEM files: root CA -> intermediate CA -> leaves, all valid for a year unless said
 * otherwise. A file of a leaf holds the leaf and the intermediate; each has its key beside it.
 * Server leaves are for localhost, *.example.test, 127.0.0.1 and ::1.
 */
struct certs {
	const char *dir;
	const char *ca;                                  /* the root: cacertfile */
	const char *ca_key;                              /* P-256 */
	const char *other_ca;                            /* a root that issued nothing */
	const char *namesake_ca;                         /* the same, with the name of the root */
	const char *intermediate;                        /* alone */
	const char *intermediate_key;                    /* P-256 */
	const char *server_rsa, *server_rsa_key;         /* RSA, 2048 bits */
	const char *server_p256, *server_p256_key;       /* ECDSA */
	const char *server_ed25519, *server_ed25519_key; /* Ed25519 */
	const char *server_combined; /* the P-256 leaf, the intermediate and the key in one file */
	const char *server_bare;     /* the P-256 leaf without the intermediate */
	const char *client, *client_key; /* ECDSA P-256, CN=client */

	/* The rest have the key server_p256_key. */
	const char *expired;     /* since yesterday */
	const char *not_yet;     /* from tomorrow on */
	const char *wrong_name;  /* for elsewhere.test only */
	const char *self_signed; /* for localhost, issued by itself */

	const char *mismatched_key;       /* P-256, belongs to no certificate */
	const char *encrypted_key;        /* server_p256_key, PKCS#8, AES-256 */
	const char *encrypted_key_legacy; /* server_p256_key, "Proc-Type: 4,ENCRYPTED", AES-128 */
	const char *password;             /* of both */
};

/* certs_get() returns the files. Never fails: a test that cannot have them ends here. */
const struct certs *certs_get(void);

/* certs_file() writes a file into the directory of certs_get() and returns its path. */
const char *certs_file(const char *name, const void *data, size_t len);

/* certs_read() reads a whole file; free() it. A NUL follows the last byte. */
char *certs_read(const char *path, size_t *ret_len);

/* certs_der() gives the DER bytes of PEM block @index of a file, counted from 0; free() them. */
uint8_t *certs_der(const char *path, size_t index, size_t *ret_len);

enum cert_key {
	CERT_KEY_P256,
	CERT_KEY_P384,
	CERT_KEY_P521,
	CERT_KEY_ED25519,
	CERT_KEY_RSA2048,
	CERT_KEY_RSA1024,
	CERT_KEY_X25519, /* can sign nothing */
	CERT_KEYS
};

/* certs_key() makes a key of a kind. */
EVP_PKEY *certs_key(enum cert_key kind);

/* struct cert_spec - a certificate to be made; what is zero has a sensible default. */
struct cert_spec {
	const char *cn;
	const char *san;              /* "DNS:localhost,IP:127.0.0.1"; NULL: no extension */
	const char *eku;              /* "serverAuth"; NULL: no extension */
	const char *key_usage;        /* NULL: what goes with the key */
	const char *name_constraints; /* "permitted;DNS:example.test"; NULL: no extension */
	int extra_nid;                /* another extension; NID_undef: none */
	const char *extra;            /* and its value, as in a configuration of openssl(1) */
	bool ca;                      /* basicConstraints CA:TRUE and keyUsage keyCertSign */
	int path_len;                 /* of a CA, plus 1; 0: no limit */
	int64_t from_s, to_s;         /* relative to now; both 0: a day ago to a year ahead */
	EVP_PKEY *key;
	X509 *issuer; /* NULL: signed by its own key */
	EVP_PKEY *issuer_key;
	const EVP_MD *md; /* NULL: SHA-256, or none where the key knows its own */
};

/* certs_make() makes a certificate; X509_free() it. */
X509 *certs_make(const struct cert_spec *spec);

#endif
