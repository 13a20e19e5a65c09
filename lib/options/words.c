/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of the LIST options and the code points behind them. What others know and this project
 * does not do is refused by its name, with the reason, and not as a spelling mistake: BoringSSL
 * itself would take NULL-SHA, 3DES and unknown signature algorithms without a word. Called by the
 * setters; it must never let a word pass that profile.c cannot turn into a setting.
 */
#include "options/options.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/nid.h>

#include "config.h"
#include "core/error.h"
#include "record/suite.h"
#include "verify/rules.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

struct word {
	const char *name;
	uint16_t code;
	const char *refused; /* why it is not supported; NULL: it is */
};

static const char no_code[] = "BoringSSL does not have it";
static const char old_version[] = "it is deprecated (RFC 8996)";
static const char ssl2[] = "it is prohibited (RFC 6176)";
static const char datagrams[] = "only TLS over TCP is supported";
static const char old_group[] = "BoringSSL does not have it, and RFC 8422 deprecates it";
static const char finite_field[] = "BoringSSL has no finite-field Diffie-Hellman";
static const char sha1[] = "SHA-1 signatures are refused";

static const struct word versions[] = {
	{ "tlsv1.3", TLS13, NULL },  { "tlsv1.2", TLS12, NULL },   { "tlsv1.1", 0, old_version },
	{ "tlsv1", 0, old_version }, { "dtlsv1.3", 0, datagrams }, { "dtlsv1.2", 0, datagrams },
	{ "dtlsv1", 0, datagrams },  { "sslv2", 0, ssl2 },
};

/* RFC 8446, 4.2.7, with the older names of RFC 8422. */
static const struct word groups[] = {
#if HAVE_MLKEM
	{ "x25519mlkem768", 0x11ec, NULL },
#else
	{ "x25519mlkem768", 0x11ec, no_code },
#endif
	{ "x25519", 29, NULL },
	{ "secp256r1", 23, NULL },
	{ "secp384r1", 24, NULL },
	{ "secp521r1", 25, NULL },
	{ "x448", 30, no_code },
	{ "secp256k1", 22, old_group },
	{ "secp224r1", 21, old_group },
	{ "secp224k1", 20, old_group },
	{ "secp192r1", 19, old_group },
	{ "secp192k1", 18, old_group },
	{ "secp160r2", 17, old_group },
	{ "secp160r1", 16, old_group },
	{ "secp160k1", 15, old_group },
	{ "sect571r1", 14, old_group },
	{ "sect571k1", 13, old_group },
	{ "sect409r1", 12, old_group },
	{ "sect409k1", 11, old_group },
	{ "sect283r1", 10, old_group },
	{ "sect283k1", 9, old_group },
	{ "sect239k1", 8, old_group },
	{ "sect233r1", 7, old_group },
	{ "sect233k1", 6, old_group },
	{ "sect193r2", 5, old_group },
	{ "sect193r1", 4, old_group },
	{ "sect163r2", 3, old_group },
	{ "sect163r1", 2, old_group },
	{ "sect163k1", 1, old_group },
	{ "brainpoolP256r1", 26, no_code },
	{ "brainpoolP384r1", 27, no_code },
	{ "brainpoolP512r1", 28, no_code },
	{ "secp256r1mlkem768", 0x11eb, no_code },
	{ "secp384r1mlkem1024", 0x11ed, no_code },
	{ "mlkem768", 0x201, no_code },
	{ "mlkem1024", 0x202, no_code },
	{ "ffdhe2048", 256, finite_field },
	{ "ffdhe3072", 257, finite_field },
	{ "ffdhe4096", 258, finite_field },
	{ "ffdhe6144", 259, finite_field },
	{ "ffdhe8192", 260, finite_field },
};

/* RFC 8446, 4.2.3. */
static const struct word sigalgs[] = {
	{ "ed25519", 0x0807, NULL },
	{ "ecdsa_secp256r1_sha256", 0x0403, NULL },
	{ "ecdsa_secp384r1_sha384", 0x0503, NULL },
	{ "ecdsa_secp521r1_sha512", 0x0603, NULL },
	{ "rsa_pss_rsae_sha256", 0x0804, NULL },
	{ "rsa_pss_rsae_sha384", 0x0805, NULL },
	{ "rsa_pss_rsae_sha512", 0x0806, NULL },
	{ "rsa_pkcs1_sha256", 0x0401, NULL },
	{ "rsa_pkcs1_sha384", 0x0501, NULL },
	{ "rsa_pkcs1_sha512", 0x0601, NULL },
	{ "rsa_pkcs1_sha1", 0x0201, sha1 },
	{ "ecdsa_sha1", 0x0203, sha1 },
	{ "ed448", 0x0808, no_code },
	{ "rsa_pss_pss_sha256", 0x0809, no_code },
	{ "rsa_pss_pss_sha384", 0x080a, no_code },
	{ "rsa_pss_pss_sha512", 0x080b, no_code },
};

/*
 * The parts of which the names of cipher suites are made, IANA's (TLS_RSA_WITH_AES_128_CBC_SHA) and
 * OpenSSL's (AES128-SHA). A name made of nothing else is a suite's; why it is refused is the first
 * reason in this order.
 */
static const struct suite_part {
	const char *name;
	const char *reason;
} suite_parts[] = {
	{ "NULL", "it does not encrypt" },
	{ "anon", "it does not authenticate" },
	{ "ADH", "it does not authenticate" },
	{ "AECDH", "it does not authenticate" },
	{ "EXPORT", "it is broken" },
	{ "EXP", "it is broken" },
	{ "RC4", "it is broken" },
	{ "RC2", "it is broken" },
	{ "DES", "it is broken" },
	{ "DES40", "it is broken" },
	{ "3DES", "it is broken" },
	{ "CBC3", "it is broken" },
	{ "IDEA", "it is broken" },
	{ "SRP", "BoringSSL has no SRP" },
	{ "KRB5", "BoringSSL has no Kerberos suites" },
	{ "DSS", "BoringSSL has no DSS" },
	{ "PSK", "pre-shared keys are not supported" },
	{ "DHE", finite_field },
	{ "EDH", finite_field },
	{ "DH", finite_field },
	{ "ECDH", "static ECDH has no forward secrecy" },
	{ "SEED", no_code },
	{ "CAMELLIA", no_code },
	{ "CAMELLIA128", no_code },
	{ "CAMELLIA256", no_code },
	{ "ARIA", no_code },
	{ "ARIA128", no_code },
	{ "ARIA256", no_code },
	{ "SM4", no_code },
	{ "SM3", no_code },
	{ "CCM", no_code },
	{ "CCM8", no_code },
	{ "CBC", "CBC suites are not supported" },
	{ "GCM", "it has no forward secrecy" },
	{ "CHACHA20", no_code },
	{ "POLY1305", no_code },
	/* A cipher without a mode in its name is CBC. */
	{ "AES", "CBC suites are not supported" },
	{ "AES128", "CBC suites are not supported" },
	{ "AES256", "CBC suites are not supported" },
	{ "SHA", no_code },
	{ "SHA256", no_code },
	{ "SHA384", no_code },
	{ "MD5", no_code },
	{ "TLS", NULL },
	{ "WITH", NULL },
	{ "RSA", NULL },
	{ "ECDHE", NULL },
	{ "ECDSA", NULL },
	{ "EDE", NULL },
	{ "8", NULL },
	{ "40", NULL },
	{ "56", NULL },
	{ "128", NULL },
	{ "256", NULL },
};

/* The parts that every name of a suite has one of: what authenticates the records. */
static const char *const suite_macs[] = { "SHA", "SHA256", "SHA384", "MD5",
					  "SM3", "CCM",    "CCM8",   "POLY1305" };

static bool is_part(const char *name, const char *part, size_t part_len)
{
	return strlen(name) == part_len && !memcmp(name, part, part_len);
}

static size_t find_part(const char *part, size_t part_len)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(suite_parts); i++)
		if (is_part(suite_parts[i].name, part, part_len))
			break;
	return i;
}

static bool is_mac(const char *part, size_t part_len)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(suite_macs); i++)
		if (is_part(suite_macs[i], part, part_len))
			return true;
	return false;
}

/* Why the suite of this name is refused; NULL: it is not the name of a suite. */
static const char *suite_refused(const char *name, size_t name_len)
{
	size_t best = ARRAY_LEN(suite_parts) - 1, n_parts = 0, part_len, i;
	const char *end = name + name_len;
	bool has_mac = false;

	for (; name < end; name += part_len + 1, n_parts++) {
		for (part_len = 0; name + part_len < end; part_len++)
			if (name[part_len] == '_' || name[part_len] == '-')
				break;
		i = find_part(name, part_len);
		if (i == ARRAY_LEN(suite_parts))
			return NULL;
		if (i < best)
			best = i;
		has_mac = has_mac || is_mac(name, part_len);
	}
	return has_mac && n_parts > 1 ? suite_parts[best].reason : NULL;
}

/* --- one word ------------------------------------------------------------------------------- */

static int refuse(int code, enum sluice_option id, const char *word, size_t word_len,
		  const char *reason, struct sluice_error *err)
{
	char quote[OPTION_QUOTE_LEN];

	return err_set(err, code, "%s: %s is not supported: %s", option_row(id)->name,
		       option_quote(quote, word, word_len), reason);
}

static int unknown(enum sluice_option id, int code, const char *word, size_t word_len,
		   struct sluice_error *err)
{
	const struct option_row *row = option_row(id);
	char quote[OPTION_QUOTE_LEN];

	return err_set(err, code, "%s: there is no \"%s\"; takes %s", row->name,
		       option_quote(quote, word, word_len), row->values);
}

static int parse_suite(const char *word, size_t word_len, uint16_t *ret_code,
		       struct sluice_error *err)
{
	const struct suite *suite = suite_find_name(word, word_len);
	const char *reason = suite_refused(word, word_len);

	/* BoringSSL has one PSK suite, and no option to give it a key. */
	if (suite && !strstr(suite->name, "_PSK_")) {
		*ret_code = suite->id;
		return 0;
	}
	if (reason)
		return refuse(SLUICE_E_UNSUPPORTED_SUITE, SLUICE_OPT_CIPHERS, word, word_len,
			      reason, err);
	return unknown(SLUICE_OPT_CIPHERS, SLUICE_E_OPTION, word, word_len, err);
}

static const struct word *word_table(enum sluice_option id, size_t *ret_n, int *ret_refusal)
{
	switch ((int)id) {
	case SLUICE_OPT_VERSIONS:
		*ret_n = ARRAY_LEN(versions);
		*ret_refusal = SLUICE_E_UNSUPPORTED_VERSION;
		return versions;
	case SLUICE_OPT_SUPPORTED_GROUPS:
		*ret_n = ARRAY_LEN(groups);
		*ret_refusal = SLUICE_E_UNSUPPORTED_GROUP;
		return groups;
	case SLUICE_OPT_SIGNATURE_ALGS:
	case SLUICE_OPT_SIGNATURE_ALGS_CERT:
		*ret_n = ARRAY_LEN(sigalgs);
		*ret_refusal = SLUICE_E_UNSUPPORTED_SIGALG;
		return sigalgs;
	default:
		*ret_n = 0;
		*ret_refusal = SLUICE_E_OPTION;
		return NULL;
	}
}

static int parse_word(enum sluice_option id, const char *word, size_t word_len, uint16_t *ret_code,
		      struct sluice_error *err)
{
	const struct word *words;
	int refusal;
	size_t i, n;

	if (id == SLUICE_OPT_CIPHERS)
		return parse_suite(word, word_len, ret_code, err);
	if (id == SLUICE_OPT_VERSIONS && is_part("sslv3", word, word_len))
		return refuse(SLUICE_E_UNSUPPORTED_SSLV3, id, word, word_len,
			      "it is prohibited (RFC 7568)", err);
	words = word_table(id, &n, &refusal);
	for (i = 0; i < n; i++) {
		if (!is_part(words[i].name, word, word_len))
			continue;
		if (words[i].refused)
			return refuse(refusal, id, word, word_len, words[i].refused, err);
		*ret_code = words[i].code;
		return 0;
	}
	/* There are more signature algorithms than anyone can list: one name serves for all others. */
	if (words != sigalgs)
		refusal = SLUICE_E_OPTION;
	return unknown(id, refusal, word, word_len, err);
}

/* --- lists ---------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Takes the next word off @text: up to a comma, without the blanks around it. */
static void next_word(const char **text, const char *end, const char **ret_word, size_t *ret_len)
{
	const char *word = *text, *comma = memchr(word, ',', (size_t)(end - word));
	const char *word_end = comma ? comma : end;

	*text = comma ? comma + 1 : NULL;
	while (word < word_end && is_blank(*word))
		word++;
	while (word_end > word && is_blank(word_end[-1]))
		word_end--;
	*ret_word = word;
	*ret_len = (size_t)(word_end - word);
}

int words_parse_codes(enum sluice_option id, const char *text, size_t text_len,
		      uint16_t codes[OPTION_MAX_CODES], size_t *ret_n, struct sluice_error *ret_err)
{
	const char *name = option_row(id)->name, *end = text + text_len, *word;
	char quote[OPTION_QUOTE_LEN];
	size_t word_len, n = 0, i;
	uint16_t code = 0;
	int r;

	while (text) {
		next_word(&text, end, &word, &word_len);
		if (!word_len)
			return err_set(ret_err, SLUICE_E_OPTION,
				       "%s: takes words separated by commas", name);
		r = parse_word(id, word, word_len, &code, ret_err);
		if (r < 0)
			return r;
		for (i = 0; i < n; i++)
			if (codes[i] == code)
				return err_set(ret_err, SLUICE_E_OPTION, "%s: %s is there twice",
					       name, option_quote(quote, word, word_len));
		if (n == OPTION_MAX_CODES)
			return err_set(ret_err, SLUICE_E_OPTION_RANGE, "%s: more than %d words",
				       name, OPTION_MAX_CODES);
		codes[n++] = code;
	}
	*ret_n = n;
	return 0;
}

/* RFC 7301, 3.1: a ProtocolNameList holds names of 1 to 255 bytes. */
static int parse_alpn(enum sluice_option id, const char *text, size_t text_len, uint8_t *wire,
		      size_t *ret_len, struct sluice_error *err)
{
	const char *name = option_row(id)->name, *end = text + text_len, *word;
	size_t word_len, len = 0;

	while (text) {
		next_word(&text, end, &word, &word_len);
		if (!word_len)
			return err_set(err, SLUICE_E_OPTION,
				       "%s: a protocol's name must not be empty", name);
		if (word_len > 255)
			return err_set(err, SLUICE_E_OPTION,
				       "%s: a protocol's name has at most 255 bytes", name);
		wire[len++] = (uint8_t)word_len;
		memcpy(wire + len, word, word_len);
		len += word_len;
	}
	*ret_len = len;
	return 0;
}

static bool is_alpn(enum sluice_option id)
{
	return id == SLUICE_OPT_ALPN_ADVERTISED_PROTOCOLS ||
	       id == SLUICE_OPT_ALPN_PREFERRED_PROTOCOLS;
}

/* Keeps the text: a profile reads it again, wherever it is built. */
static int parse_peers(enum sluice_option id, const char *text, size_t text_len, void **ret_bytes,
		       size_t *ret_len, struct sluice_error *err)
{
	struct peer_rules *rules;
	int r = rules_parse(&rules, option_row(id)->name, text, text_len, err);

	if (r < 0)
		return r;
	rules_free(rules);
	*ret_bytes = option_bytes_new(SLUICE_TYPE_LIST, text, text_len);
	if (!*ret_bytes)
		return err_set(err, SLUICE_E_NOMEM, "%s: no memory", option_row(id)->name);
	*ret_len = text_len;
	return 0;
}

int words_parse(enum sluice_option id, const char *text, size_t text_len, void **ret_bytes,
		size_t *ret_len, struct sluice_error *ret_err)
{
	size_t size = OPTION_MAX_CODES * sizeof(uint16_t), len = 0;
	void *bytes;
	int r;

	if (text_len > OPTION_MAX_LIST)
		return err_set(ret_err, SLUICE_E_OPTION_RANGE, "%s: longer than %d bytes",
			       option_row(id)->name, OPTION_MAX_LIST);
	if (option_is_peers(id))
		return parse_peers(id, text, text_len, ret_bytes, ret_len, ret_err);
	/* A name's comma becomes its length byte; the first has none. */
	bytes = malloc(is_alpn(id) ? text_len + 1 : size);
	if (!bytes)
		return err_set(ret_err, SLUICE_E_NOMEM, "%s: no memory", option_row(id)->name);
	if (is_alpn(id)) {
		r = parse_alpn(id, text, text_len, bytes, &len, ret_err);
	} else {
		r = words_parse_codes(id, text, text_len, bytes, &len, ret_err);
		len *= sizeof(uint16_t);
	}
	if (r < 0) {
		free(bytes);
		return r;
	}
	*ret_bytes = bytes;
	*ret_len = len;
	return 0;
}

const char *words_name(enum sluice_option id, uint16_t code)
{
	const struct suite *suite = id == SLUICE_OPT_CIPHERS ? suite_find(code) : NULL;
	const struct word *words;
	int refusal;
	size_t i, n;

	words = word_table(id, &n, &refusal);
	for (i = 0; i < n; i++)
		if (words[i].code == code)
			return words[i].name;
	return suite ? suite->name : "?";
}

int words_group_nid(uint16_t group)
{
	switch (group) {
	case 23:
		return NID_X9_62_prime256v1;
	case 24:
		return NID_secp384r1;
	case 25:
		return NID_secp521r1;
	case 29:
		return NID_X25519;
#if HAVE_MLKEM
	case 0x11ec:
		return NID_X25519MLKEM768;
#endif
	default:
		return NID_undef;
	}
}
