/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work whose instructions are known, to hold counters against: tests/bench/instructions, callgrind.
 *
 *   counted loop N    2 N instructions, and a few to start and end a program
 *   counted seal N    N records of 16 KiB sealed in place by EVP_AEAD with AES-128-GCM
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/aead.h>

#define RECORD 16384

static void need(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "counted: %s\n", what);
	exit(1);
}

static void loop(uint64_t n)
{
#ifdef __x86_64__
	__asm__ volatile("1: sub $1, %0\n\tjnz 1b" : "+r"(n) : : "cc");
#else
	(void)n;
	need(0, "the loop is written for x86-64");
#endif
}

static void seal(uint64_t n)
{
	static uint8_t key[16], record[RECORD + EVP_AEAD_MAX_OVERHEAD];
	uint8_t nonce[12] = {}, ad[5] = { 23, 3, 3, 0x40, 0x11 };
	EVP_AEAD_CTX ctx;
	size_t len;

	need(EVP_AEAD_CTX_init(&ctx, EVP_aead_aes_128_gcm(), key, sizeof(key), 16, NULL),
	     "no AEAD");
	while (n--) {
		memcpy(nonce + 4, &n, sizeof(n));
		need(EVP_AEAD_CTX_seal(&ctx, record, &len, sizeof(record), nonce, sizeof(nonce),
				       record, RECORD, ad, sizeof(ad)),
		     "cannot seal");
	}
	EVP_AEAD_CTX_cleanup(&ctx);
}

int main(int argc, char **argv)
{
	uint64_t n;

	need(argc == 3, "usage: counted loop|seal N");
	n = strtoull(argv[2], NULL, 10);
	need(n > 0, "N is a number from 1");
	if (!strcmp(argv[1], "loop"))
		loop(n);
	else if (!strcmp(argv[1], "seal"))
		seal(n);
	else
		need(0, "usage: counted loop|seal N");
	return 0;
}
