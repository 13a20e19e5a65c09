/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key schedule of application data: one direction's secret, keys, epoch and record number.
 * Called when the handshake exports its secrets and at every KeyUpdate. Key material must never be
 * anywhere but in memory of secret_new(): what is derived is derived in place, so there is no
 * temporary to forget.
 */
#include "record/traffic.h"

#include <string.h>

#include <openssl/digest.h>
#include <openssl/hkdf.h>

#include <sluice/error.h>

#include "core/error.h"
#include "core/secret.h"

/* RFC 8446, 7.1: the label's length byte covers "tls13 " and the longest label used here. */
#define LABEL_MAX 32

/* RFC 9846, 4.7.3 */
#define MAX_EPOCH ((1ull << 48) - 1)

struct traffic *traffic_free(struct traffic *traffic)
{
	return secret_free(traffic);
}

/*
 * HKDF-Expand-Label(Secret, Label, "", out_len) of RFC 8446, 7.1:
 *	struct { uint16 length; opaque label<7..255>; opaque context<0..255>; } HkdfLabel;
 */
static int expand_label(const struct suite *suite, uint8_t *out, size_t out_len,
			const uint8_t *secret, const char *label)
{
	static const char prefix[] = "tls13 ";
	const size_t prefix_len = sizeof(prefix) - 1, label_len = strlen(label);
	uint8_t info[2 + 1 + LABEL_MAX + 1];
	size_t len = 0;

	if (prefix_len + label_len > LABEL_MAX)
		return -SLUICE_E_INTERNAL;
	info[len++] = (uint8_t)(out_len >> 8);
	info[len++] = (uint8_t)out_len;
	info[len++] = (uint8_t)(prefix_len + label_len);
	memcpy(info + len, prefix, prefix_len);
	len += prefix_len;
	memcpy(info + len, label, label_len);
	len += label_len;
	info[len++] = 0;
	if (!HKDF_expand(out, out_len, suite->md(), secret, EVP_MD_size(suite->md()), info, len))
		return err_bssl();
	return 0;
}

/* RFC 8446, 7.3. */
static int derive_keys(struct traffic *traffic)
{
	const struct suite *suite = traffic->suite;
	int r;

	r = expand_label(suite, traffic->key, suite->key_len, traffic->secret, "key");
	if (r < 0)
		return r;
	return expand_label(suite, traffic->iv, suite->fixed_iv_len, traffic->secret, "iv");
}

int traffic_new_tls13(struct traffic **ret_traffic, const struct suite *suite,
		      const uint8_t *secret, size_t secret_len, uint64_t seq)
{
	struct traffic *traffic;
	int r;

	if (suite == NULL || suite->version != TLS13 || secret_len != EVP_MD_size(suite->md()))
		return -SLUICE_E_INVALID;
	traffic = secret_new(sizeof(*traffic));
	if (traffic == NULL)
		return -SLUICE_E_NOMEM;
	traffic->suite = suite;
	traffic->seq = seq;
	memcpy(traffic->secret, secret, secret_len);
	traffic->secret_len = secret_len;
	r = derive_keys(traffic);
	if (r < 0) {
		traffic_free(traffic);
		return r;
	}
	*ret_traffic = traffic;
	return 0;
}

size_t traffic_key_block_len(const struct suite *suite)
{
	return 2 * ((size_t)suite->key_len + suite->fixed_iv_len);
}

/* Takes the client's or the server's half of a key block. NULL when there is no memory. */
static struct traffic *take_half(const struct suite *suite, const uint8_t *key_block,
				 bool of_server, uint64_t seq)
{
	const uint8_t *keys = key_block, *ivs = key_block + 2 * (size_t)suite->key_len;
	struct traffic *traffic = secret_new(sizeof(*traffic));

	if (traffic == NULL)
		return NULL;
	traffic->suite = suite;
	traffic->seq = seq;
	memcpy(traffic->key, keys + (of_server ? suite->key_len : 0), suite->key_len);
	memcpy(traffic->iv, ivs + (of_server ? suite->fixed_iv_len : 0), suite->fixed_iv_len);
	return traffic;
}

int traffic_new_tls12(struct traffic **ret_rx, struct traffic **ret_tx, const struct suite *suite,
		      const uint8_t *key_block, size_t key_block_len, bool is_server,
		      uint64_t rx_seq, uint64_t tx_seq)
{
	struct traffic *rx, *tx;

	if (suite == NULL || suite->version != TLS12 ||
	    key_block_len != traffic_key_block_len(suite))
		return -SLUICE_E_INVALID;
	rx = take_half(suite, key_block, !is_server, rx_seq);
	tx = take_half(suite, key_block, is_server, tx_seq);
	if (rx == NULL || tx == NULL) {
		traffic_free(rx);
		traffic_free(tx);
		return -SLUICE_E_NOMEM;
	}
	*ret_rx = rx;
	*ret_tx = tx;
	return 0;
}

int traffic_next_epoch(struct traffic **ret_next, const struct traffic *traffic)
{
	const struct suite *suite = traffic->suite;
	struct traffic *next;
	int r;

	if (suite->version != TLS13)
		return -SLUICE_E_INVALID;
	if (traffic->epoch >= MAX_EPOCH)
		return -SLUICE_E_KEY_EXHAUSTED;
	next = secret_new(sizeof(*next));
	if (next == NULL)
		return -SLUICE_E_NOMEM;
	next->suite = suite;
	next->epoch = traffic->epoch + 1;
	next->secret_len = traffic->secret_len;
	r = expand_label(suite, next->secret, next->secret_len, traffic->secret, "traffic upd");
	if (r == 0)
		r = derive_keys(next);
	if (r < 0) {
		traffic_free(next);
		return r;
	}
	*ret_next = next;
	return 0;
}
