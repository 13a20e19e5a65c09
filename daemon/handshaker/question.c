// SPDX-License-Identifier: Apache-2.0
/*
 * The question to a decision service: all that is known of a peer, as one line of JSON, made here because
 * certificates are parsed here. The broker adds whose connection it is, and reads nothing of this. What
 * cannot be told exactly is not asked, and so refused: nobody should decide by half of it.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>
#include <openssl/base64.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/mem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "bssl/verify.h"
#include "common/decision.h"
#include "common/policy.h"
#include "handover/messages.h"
#include "handshaker/handshaker.h"
#include "options/pem.h"
#include "verify/names.h"

#define MAX_NAME 4096 /* bytes of a subject or issuer as text */
#define MAX_NAMES 256 /* of a certificate; DNS names have up to 253 bytes */

/* --- parts ------------------------------------------------------------------------------------ */

static bool add(struct json_object *object, const char *key, struct json_object *value)
{
	return value && json_object_object_add(object, key, value) == 0;
}

static bool add_text(struct json_object *object, const char *key, const char *text)
{
	return add(object, key, json_object_new_string(text));
}

static bool add_hex(struct json_object *object, const char *key, const uint8_t *bytes, size_t len)
{
	char text[2 * 64 + 1] = "";
	size_t i;

	if (len > 64)
		return false;
	for (i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return add_text(object, key, text);
}

static bool add_digest(struct json_object *object, const char *key, const uint8_t *bytes,
		       size_t len)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256(bytes, len, digest);
	return add_hex(object, key, digest, sizeof(digest));
}

/* RFC 4514, in ASCII: whatever is not is escaped. */
static bool add_name(struct json_object *object, const char *key, const X509_NAME *name)
{
	unsigned long flags = XN_FLAG_RFC2253 | ASN1_STRFLGS_ESC_MSB;
	BIO *bio = BIO_new(BIO_s_mem());
	const uint8_t *bytes;
	char text[MAX_NAME];
	size_t len;
	bool good;

	good = bio && X509_NAME_print_ex(bio, name, 0, flags) >= 0 &&
	       BIO_mem_contents(bio, &bytes, &len) && len < sizeof(text) &&
	       !memchr(bytes, '\0', len);
	if (good) {
		memcpy(text, bytes, len);
		text[len] = '\0';
		good = add_text(object, key, text);
	}
	BIO_free(bio);
	return good;
}

static bool is_printable(const uint8_t *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return len > 0;
}

/* "dns:a.test", in the words of allow_peers; of other kinds only that there is one. */
static struct json_object *describe_name(const struct general_name *name)
{
	const uint8_t *data = CBS_data(&name->value);
	size_t len = CBS_len(&name->value);
	const char *kind = name->kind == NAME_DNS     ? "dns"
			   : name->kind == NAME_EMAIL ? "email"
						      : "uri";
	char text[MAX_NAME], address[INET6_ADDRSTRLEN];

	if (name->kind == NAME_IP) {
		if ((len != 4 && len != 16) ||
		    !inet_ntop(len == 4 ? AF_INET : AF_INET6, data, address, sizeof(address)))
			return NULL;
		snprintf(text, sizeof(text), "ip:%s", address);
		return json_object_new_string(text);
	}
	if (name->kind != NAME_DNS && name->kind != NAME_EMAIL && name->kind != NAME_URI)
		return json_object_new_string("other");
	if (!is_printable(data, len) || len > sizeof(text) - 8)
		return NULL;
	snprintf(text, sizeof(text), "%s:%.*s", kind, (int)len, (const char *)data);
	return json_object_new_string(text);
}

static bool add_names(struct json_object *object, const X509 *leaf)
{
	struct json_object *list = json_object_new_array(), *text;
	struct general_name name;
	size_t n = 0;
	CBS rest;
	int r;

	if (!add(object, "names", list))
		return false;
	r = san_get(leaf, &rest);
	if (r <= 0)
		return r == 0;
	while (general_name_get(&rest, &name)) {
		text = describe_name(&name);
		if (!text || ++n > MAX_NAMES || json_object_array_add(list, text) < 0) {
			json_object_put(text);
			return false;
		}
	}
	return true;
}

static bool add_serial(struct json_object *object, X509 *leaf)
{
	BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL);
	char *hex = bn ? BN_bn2hex(bn) : NULL;
	bool good = hex && strlen(hex) < 256 && add_text(object, "serial", hex);

	OPENSSL_free(hex);
	BN_free(bn);
	return good;
}

static bool add_key(struct json_object *object, X509 *leaf)
{
	uint8_t *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der);
	bool good = len > 0 && add_digest(object, "key_sha256", der, (size_t)len);

	OPENSSL_free(der);
	return good;
}

static bool add_cert(struct json_object *object, X509 *leaf,
		     const struct sluice_verify_event *event)
{
	int64_t not_after_s;

	return add_name(object, "subject", X509_get_subject_name(leaf)) &&
	       add_name(object, "issuer", X509_get_issuer_name(leaf)) && add_names(object, leaf) &&
	       add_serial(object, leaf) && pem_time(X509_get0_notAfter(leaf), &not_after_s) &&
	       add(object, "not_after", json_object_new_int64(not_after_s)) &&
	       add_digest(object, "cert_sha256", event->cert, event->cert_len) &&
	       add_key(object, leaf);
}

static struct json_object *base64(const CRYPTO_BUFFER *der)
{
	size_t len = CRYPTO_BUFFER_len(der), size;
	struct json_object *text;
	uint8_t *out;

	if (len > DECISION_MAX_BODY || !EVP_EncodedLength(&size, len))
		return NULL;
	out = malloc(size);
	if (!out)
		return NULL;
	EVP_EncodeBlock(out, CRYPTO_BUFFER_data(der), len);
	text = json_object_new_string((const char *)out);
	free(out);
	return text;
}

/* As the peer sent it. */
static bool add_chain(struct json_object *object, const STACK_OF(CRYPTO_BUFFER) * chain)
{
	struct json_object *list = json_object_new_array(), *text;
	size_t i;

	if (!add(object, "chain", list))
		return false;
	for (i = 0; i < sk_CRYPTO_BUFFER_num(chain); i++) {
		text = base64(sk_CRYPTO_BUFFER_value(chain, i));
		if (!text || json_object_array_add(list, text) < 0) {
			json_object_put(text);
			return false;
		}
	}
	return true;
}

static bool add_reasons(struct json_object *object, uint64_t reasons)
{
	struct json_object *list = json_object_new_array(), *name;
	int reason;

	if (!add(object, "reasons", list))
		return false;
	for (reason = 1; reason < SLUICE_BAD_CERTS; reason++) {
		if (!(reasons & POLICY_BIT(reason)))
			continue;
		name = json_object_new_string(sluice_bad_cert_name(reason));
		if (!name || json_object_array_add(list, name) < 0) {
			json_object_put(name);
			return false;
		}
	}
	return true;
}

/* What was negotiated: texts that a peer chose are of printable ASCII, or they are not told. */
static bool add_hello(struct json_object *object, const struct sluice_conn *conn)
{
	const char *sni = conn->role == SLUICE_CLIENT
				  ? conn->host
				  : SSL_get_servername(conn->ssl, TLSEXT_NAMETYPE_host_name);
	const uint8_t *alpn;
	unsigned int alpn_len;
	char text[256];

	SSL_get0_alpn_selected(conn->ssl, &alpn, &alpn_len);
	if (sni && *sni && is_printable((const uint8_t *)sni, strlen(sni)) &&
	    !add_text(object, "server_name", sni))
		return false;
	if (!alpn_len || alpn_len >= sizeof(text) || !is_printable(alpn, alpn_len))
		return true;
	memcpy(text, alpn, alpn_len);
	text[alpn_len] = '\0';
	return add_text(object, "alpn", text);
}

/* json-c seeds its tables with the first member, maybe from a file. */
bool question_prepare(void)
{
	struct json_object *object = json_object_new_object();
	bool good = object && add_text(object, "a", "b");

	json_object_put(object);
	return good;
}

/* --- all of it -------------------------------------------------------------------------------- */

static bool describe(struct json_object *object, const struct session *session,
		     const struct policy *policy, const struct sluice_verify_event *event,
		     X509 *leaf)
{
	const struct sluice_conn *conn = session->conn;
	const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(conn->ssl);
	char identity[IDENTITY_SIZE];

	verify_identity(conn->profile, chain, identity);
	return add_text(object, "profile", policy->profile) && add_hello(object, conn) &&
	       add_text(object, "version", SSL_get_version(conn->ssl)) &&
	       (!identity[0] || add_text(object, "identity", identity)) &&
	       add_reasons(object, session->bad_certs) && add_cert(object, leaf, event) &&
	       (!policy->send_chain || add_chain(object, chain));
}

static bool send_text(const struct session *session, const struct policy *policy, const char *text)
{
	size_t len = strlen(text);
	struct wire wire;

	if (len > DECISION_MAX_BODY)
		return false;
	wire_begin(&wire, self.buf, WIRE_MAX, MSG_QUESTION, session->slot);
	wire_put_u64(&wire, ATTR_SESSION, session->id);
	wire_put_u64(&wire, ATTR_SERVICE, policy->service);
	wire_put(&wire, ATTR_QUESTION, text, len);
	if (!wire_end(&wire))
		return false;
	send_to_broker(&wire);
	return true;
}

bool question_send(const struct session *session, const struct policy *policy,
		   const struct sluice_verify_event *event)
{
	const uint8_t *der = event->cert;
	X509 *leaf = d2i_X509(NULL, &der, (long)event->cert_len);
	struct json_object *object = json_object_new_object();
	const char *text = NULL;

	if (leaf && object && describe(object, session, policy, event, leaf))
		text = json_object_to_json_string_ext(
			object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text && !send_text(session, policy, text))
		text = NULL;
	json_object_put(object);
	X509_free(leaf);
	return text;
}
