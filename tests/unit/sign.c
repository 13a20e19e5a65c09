/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper signs: the forms that a handshake of each role has, and nothing else. */
#include "keeper/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ECDSA_SHA256 0x0403
#define RSA_DECRYPTION 0
#define DIGEST 32

/* RFC 8446, 4.4.3 */
static size_t tls13(uint8_t *out, const char *words)
{
	memset(out, 0x20, 64);
	strcpy((char *)out + 64, words);
	memset(out + 64 + strlen(words) + 1, 7, DIGEST);
	return 64 + strlen(words) + 1 + DIGEST;
}

/* RFC 5246, 7.4.8: a ClientHello of so many bytes, and the first byte of what is behind it. */
static size_t tls12(uint8_t *out, size_t hello, uint8_t next)
{
	memset(out, 0xaa, 4 + hello + 1);
	out[0] = 1;
	out[1] = 0;
	out[2] = (uint8_t)(hello >> 8);
	out[3] = (uint8_t)hello;
	out[4 + hello] = next;
	return 4 + hello + 1;
}

static int may(enum sluice_role role, const uint8_t *in, size_t len)
{
	return sign_allowed(role, ECDSA_SHA256, in, len);
}

static void tls13_has_the_words_of_its_role(void **state)
{
	uint8_t in[256];
	size_t len = tls13(in, "TLS 1.3, server CertificateVerify");

	assert_true(may(SLUICE_SERVER, in, len));
	assert_false(may(SLUICE_CLIENT, in, len));
	assert_false(may(SLUICE_SERVER, in, 64));
	len = tls13(in, "TLS 1.3, client CertificateVerify");
	assert_true(may(SLUICE_CLIENT, in, len));
	assert_false(may(SLUICE_SERVER, in, len));
	len = tls13(in, "TLS 1.3, certificate of somebody");
	assert_false(may(SLUICE_CLIENT, in, len));
	assert_false(may(SLUICE_SERVER, in, len));
}

static void a_client_of_tls12_signs_its_messages(void **state)
{
	uint8_t in[2048];
	size_t len = tls12(in, 500, 2);

	assert_true(may(SLUICE_CLIENT, in, len));
	assert_false(may(SLUICE_CLIENT, in, len - 1)); /* no second message */
	assert_false(may(SLUICE_CLIENT, in, 3));
	in[0] = 2;
	assert_false(may(SLUICE_CLIENT, in, len));
	len = tls12(in, 500, 11);
	assert_false(may(SLUICE_CLIENT, in, len));
	memset(in, 0xff, sizeof(in)); /* a length beyond the end */
	in[0] = 1;
	assert_false(may(SLUICE_CLIENT, in, sizeof(in)));
}

/* RFC 8422, 5.4: two randoms, then the parameters. */
static void a_server_of_tls12_signs_its_key_share(void **state)
{
	uint8_t in[64 + 69];

	memset(in, 0x5a, sizeof(in));
	assert_true(may(SLUICE_SERVER, in, sizeof(in)));
	assert_false(may(SLUICE_SERVER, in, 64));
	assert_false(may(SLUICE_CLIENT, in, sizeof(in)));
}

static void only_servers_decrypt(void **state)
{
	uint8_t in[256] = { 0 };

	assert_true(sign_allowed(SLUICE_SERVER, RSA_DECRYPTION, in, sizeof(in)));
	assert_false(sign_allowed(SLUICE_CLIENT, RSA_DECRYPTION, in, sizeof(in)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tls13_has_the_words_of_its_role),
		cmocka_unit_test(a_client_of_tls12_signs_its_messages),
		cmocka_unit_test(a_server_of_tls12_signs_its_key_share),
		cmocka_unit_test(only_servers_decrypt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
