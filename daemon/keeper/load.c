// SPDX-License-Identifier: Apache-2.0
#include "keeper/load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/error.h"
#include "core/secret.h"
#include "handover/messages.h"
#include "keeper/keys.h"
#include "options/hostname.h"
#include "options/pem.h"

#define MAX_CHAIN 16

/* struct load - a MSG_LOAD: two files, which may be the same. */
struct load {
	char password[1024];
	struct pem_file cert, key;
	STACK_OF(CRYPTO_BUFFER) * chain;
	X509 *leaf;
	EVP_PKEY *pkey;
	uint8_t id[KEY_ID_LEN];
};

static int read_file(struct pem_file *file, int fd, const char *what, struct sluice_error *err)
{
	int e = EBADF;

	if (fd >= 0) {
		e = pem_file_read_fd(file, fd);
		close(fd);
	}
	return e ? err_set_errno(err, SLUICE_E_FILE, e, "%s", what) : 0;
}

static int read_files(struct load *load, struct channel_fds *fds, struct sluice_error *err)
{
	int cert_fd = channel_take_fd(fds), key_fd = channel_take_fd(fds);
	int r = read_file(&load->cert, cert_fd, "certfile", err);

	return read_file(&load->key, key_fd, "keyfile", err) < 0 ? -SLUICE_E_FILE : r;
}

static int check_pair(struct load *load, struct sluice_error *err)
{
	load->leaf = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(load->chain, 0));
	if (!load->leaf)
		return err_set(err, SLUICE_E_NOMEM, "no memory for a certificate");
	if (X509_check_private_key(load->leaf, load->pkey))
		return 0;
	ERR_clear_error();
	return err_set(err, SLUICE_E_KEY_MISMATCH, "the key does not belong to the certificate");
}

static int read_pair(struct load *load, struct channel_fds *fds, struct sluice_error *err)
{
	int r = read_files(load, fds, err);

	if (r == 0)
		r = pem_parse_certs(&load->chain, &load->cert, "certfile", false, err);
	if (r == 0)
		r = pem_parse_key(&load->pkey, &load->key, "keyfile",
				  load->password[0] ? load->password : NULL, err);
	return r < 0 ? r : check_pair(load, err);
}

/* --- what is public ----------------------------------------------------------------------------- */

static void put_name(struct wire *wire, const ASN1_STRING *value)
{
	const uint8_t *bytes = ASN1_STRING_get0_data(value);
	size_t i, len = (size_t)ASN1_STRING_length(value);
	char name[HOST_NAME_LONGEST + 1];

	if (!len || len > HOST_NAME_LONGEST || memchr(bytes, '\0', len))
		return;
	for (i = 0; i < len; i++)
		name[i] = (char)(bytes[i] >= 'A' && bytes[i] <= 'Z' ? bytes[i] - 'A' + 'a'
								    : bytes[i]);
	name[len] = '\0';
	if (!host_name_fault(name))
		wire_put(wire, ATTR_CERT_NAME, name, len);
}

/* Names that no client can ask for are passed over. */
static void put_names(struct wire *wire, X509 *leaf)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	const GENERAL_NAME *name;
	size_t i;

	for (i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		name = sk_GENERAL_NAME_value(names, i);
		if (name->type == GEN_DNS)
			put_name(wire, name->d.dNSName);
	}
	GENERAL_NAMES_free(names);
	ERR_clear_error();
}

static void put_key_type(struct wire *wire, const EVP_PKEY *pkey)
{
	const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(pkey);
	char text[32] = "Ed25519";

	if (ec)
		snprintf(text, sizeof(text), "%s",
			 EC_curve_nid2nist(EC_GROUP_get_curve_name(EC_KEY_get0_group(ec))));
	else if (EVP_PKEY_id(pkey) == EVP_PKEY_RSA)
		snprintf(text, sizeof(text), "RSA %d", EVP_PKEY_bits(pkey));
	wire_put_text(wire, ATTR_KEY_TYPE, text);
}

static void put_public(struct wire *wire, const struct load *load)
{
	size_t i, n = sk_CRYPTO_BUFFER_num(load->chain);
	const CRYPTO_BUFFER *cert;
	int64_t seconds;

	wire_put(wire, ATTR_KEY_ID, load->id, KEY_ID_LEN);
	put_key_type(wire, load->pkey);
	if (pem_time(X509_get0_notAfter(load->leaf), &seconds))
		wire_put_u64(wire, ATTR_NOT_AFTER, (uint64_t)seconds);
	for (i = 0; i < n && i < MAX_CHAIN; i++) {
		cert = sk_CRYPTO_BUFFER_value(load->chain, i);
		if (CRYPTO_BUFFER_len(cert) > UINT16_MAX)
			wire->overflow = true;
		else
			wire_put(wire, ATTR_CERT, CRYPTO_BUFFER_data(cert),
				 CRYPTO_BUFFER_len(cert));
	}
	put_names(wire, load->leaf);
}

/* --- the answer ----------------------------------------------------------------------------------- */

static void refuse(struct wire *wire, uint32_t id, int code, const char *text)
{
	wire_begin(wire, wire->buf, WIRE_MAX, MSG_LOADED, id);
	wire_put_u64(wire, ATTR_ERROR, (uint64_t)code);
	wire_put_text(wire, ATTR_TEXT, text);
}

/* The key is kept last: it is there if and only if the answer says so. */
static void answer(struct wire *wire, uint32_t id, struct load *load, struct sluice_error *err)
{
	if (err->code) {
		refuse(wire, id, err->code, err->text);
		return;
	}
	EVP_PKEY_up_ref(load->pkey);
	if (keys_keep(load->pkey, load->id) < 0) {
		refuse(wire, id, SLUICE_E_NOMEM, "no memory for a key");
		return;
	}
	wire_begin(wire, wire->buf, WIRE_MAX, MSG_LOADED, id);
	put_public(wire, load);
	if (!wire->overflow)
		return;
	keys_drop(load->id);
	refuse(wire, id, SLUICE_E_OPTION_RANGE,
	       "certfile: the chain and its names have more than 64 KiB");
}

void load_pair(struct wire *wire, uint32_t id, struct wire_reader reader, struct channel_fds *fds)
{
	struct load *load = secret_new(sizeof(*load));
	struct sluice_error err = { .alert = -1 };
	struct attr attr;

	if (!load) {
		refuse(wire, id, SLUICE_E_NOMEM, "no memory for a key");
		return;
	}
	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_PASSWORD)
			attr_text(&attr, load->password, sizeof(load->password));
	read_pair(load, fds, &err);
	answer(wire, id, load, &err);
	pem_file_free(&load->cert);
	pem_file_free(&load->key);
	sk_CRYPTO_BUFFER_pop_free(load->chain, CRYPTO_BUFFER_free);
	X509_free(load->leaf);
	EVP_PKEY_free(load->pkey);
	secret_free(load);
}
