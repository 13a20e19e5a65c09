/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel TLS on a socket. Owns every use of the kernel's TLS socket options and control messages:
 * the stages, the kernel record path and the probe go through here, nobody else says SOL_TLS. Must
 * never leave key bytes in memory that is not a secret's: what is written to the kernel and what
 * getsockopt(2) hands back (the traffic key among it) lives in secret_new() memory and dies with
 * the call.
 */
#include "record/ktls.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <openssl/mem.h>

#include "core/secret.h"
#include "core/sys.h"
#include "record/ktls-abi.h"

/* How the kernel takes a cipher's keys. */
struct cipher {
	uint16_t id;
	uint8_t iv_len, key_len, salt_len;
};

#define CIPHER_ROW(name, type, id, iv_len, key_len, salt_len) { id, iv_len, key_len, salt_len },

static const struct cipher ciphers[] = { KABI_CIPHERS(CIPHER_ROW) };

static const struct cipher *cipher_find(uint16_t id)
{
	for (size_t i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++) {
		if (ciphers[i].id == id)
			return &ciphers[i];
	}
	return NULL;
}

static size_t cipher_info_len(const struct cipher *cipher)
{
	return sizeof(struct kabi_crypto_info) + cipher->iv_len + cipher->key_len +
	       cipher->salt_len + KABI_SEQ_LEN;
}

static uint8_t *put(uint8_t *out, const void *p, size_t len)
{
	memcpy(out, p, len);
	return out + len;
}

/*
 * Writes the cipher_info_len() bytes that @traffic's state is to the kernel. Its nonce is salt and
 * iv one after the other. Where the record carries eight bytes of nonce (TLS 1.2, RFC 5288, 3) the
 * salt is the key block's part, and the kernel sends iv and counts it up itself: it starts at the
 * record number, as BoringSSL's does, so no value comes twice across the switch. Everywhere else
 * both together are the 12 bytes that the record number is XORed into (RFC 8446, 5.3; RFC 7905, 2).
 */
static void crypto_info_write(uint8_t *out, const struct cipher *cipher,
			      const struct traffic *traffic)
{
	const struct suite *suite = traffic->suite;
	const struct kabi_crypto_info head = { suite->version, cipher->id };
	uint8_t seq[KABI_SEQ_LEN];

	assert(suite->key_len == cipher->key_len);
	assert(suite->fixed_iv_len + suite->explicit_len == cipher->salt_len + cipher->iv_len);
	assert(suite->explicit_len == 0 || suite->explicit_len == KABI_SEQ_LEN);

	for (size_t i = 0; i < sizeof(seq); i++)
		seq[i] = (uint8_t)(traffic->seq >> (8 * (sizeof(seq) - 1 - i)));

	out = put(out, &head, sizeof(head));
	out = put(out, suite->explicit_len ? seq : traffic->iv + cipher->salt_len, cipher->iv_len);
	out = put(out, traffic->key, cipher->key_len);
	out = put(out, traffic->iv, cipher->salt_len);
	put(out, seq, sizeof(seq));
}

int ktls_attach(int fd)
{
	static const char name[] = "tls";

	if (sys->setsockopt(fd, IPPROTO_TCP, KABI_TCP_ULP, name, sizeof(name)) < 0)
		return errno;
	return 0;
}

enum sluice_path_reason ktls_attach_reason(int err)
{
	switch (err) {
	case 0:
		return SLUICE_REASON_NONE;
	case ENOENT:
		return SLUICE_REASON_NO_KTLS;
	case ENOTCONN:
		return SLUICE_REASON_NOT_ESTABLISHED;
	case EEXIST:
		return SLUICE_REASON_ULP_TAKEN;
	case EOPNOTSUPP:  /* Unix sockets, MPTCP */
	case ENOPROTOOPT: /* UDP */
	case ENOTSOCK:
		return SLUICE_REASON_SOCKET;
	case ENOMEM:
	case ENOBUFS:
		return SLUICE_REASON_NOMEM;
	default:
		return SLUICE_REASON_REFUSED;
	}
}

bool ktls_owns_option(int level, int name)
{
	return level == KABI_SOL_TLS || (level == IPPROTO_TCP && name == KABI_TCP_ULP);
}

static int direction_option(enum ktls_direction dir)
{
	return dir == KTLS_TX ? KABI_TX : KABI_RX;
}

int ktls_install(int fd, enum ktls_direction dir, const struct traffic *traffic)
{
	const struct cipher *cipher = cipher_find(traffic->suite->kernel_cipher);
	size_t len;
	uint8_t *info;
	int err = 0;

	if (!cipher)
		return EOPNOTSUPP;
	len = cipher_info_len(cipher);
	info = secret_new(len);
	if (!info)
		return ENOMEM;
	crypto_info_write(info, cipher, traffic);
	if (sys->setsockopt(fd, KABI_SOL_TLS, direction_option(dir), info, (socklen_t)len) < 0)
		err = errno;
	secret_free(info);
	return err;
}

/* Reads what a direction has in the socket. *@ret_info is the caller's. Returns 0 or an errno. */
static int info_read(int fd, enum ktls_direction dir, const struct suite *suite, uint8_t **ret_info,
		     size_t *ret_len)
{
	const struct cipher *cipher = cipher_find(suite->kernel_cipher);
	socklen_t len;
	uint8_t *info;
	int err;

	if (!cipher)
		return EOPNOTSUPP;
	len = (socklen_t)cipher_info_len(cipher);
	*ret_len = len;
	info = secret_new(len);
	if (!info)
		return ENOMEM;
	if (sys->getsockopt(fd, KABI_SOL_TLS, direction_option(dir), info, &len) < 0) {
		err = errno;
		secret_free(info);
		return err;
	}
	*ret_info = info;
	return 0;
}

int ktls_record_seq(int fd, enum ktls_direction dir, const struct suite *suite, uint64_t *ret_seq)
{
	uint64_t seq = 0;
	uint8_t *info;
	size_t len, i;
	int err = info_read(fd, dir, suite, &info, &len);

	if (err)
		return err;
	for (i = len - KABI_SEQ_LEN; i < len; i++)
		seq = seq << 8 | info[i];
	secret_free(info);
	*ret_seq = seq;
	return 0;
}

bool ktls_has_keys(int fd, enum ktls_direction dir, const struct traffic *traffic)
{
	uint8_t *have, *wanted;
	bool same = false;
	size_t len;

	if (info_read(fd, dir, traffic->suite, &have, &len))
		return false;
	wanted = secret_new(len);
	if (wanted) {
		crypto_info_write(wanted, cipher_find(traffic->suite->kernel_cipher), traffic);
		same = CRYPTO_memcmp(have, wanted, len - KABI_SEQ_LEN) == 0;
	}
	secret_free(have);
	secret_free(wanted);
	return same;
}

int ktls_repeat(int fd, enum ktls_direction dir, const struct suite *suite)
{
	uint8_t *info;
	size_t len;
	int err = info_read(fd, dir, suite, &info, &len);

	if (err)
		return err;
	if (sys->setsockopt(fd, KABI_SOL_TLS, direction_option(dir), info, (socklen_t)len) < 0)
		err = errno;
	secret_free(info);
	return err;
}

int ktls_set_option(int fd, enum ktls_option option, uint16_t value)
{
	const uint32_t wide = value;
	const void *p = &wide;
	socklen_t len = sizeof(wide);
	int name = 0;

	switch (option) {
	case KTLS_ZEROCOPY_RO:
		name = KABI_TX_ZEROCOPY_RO;
		break;
	case KTLS_NO_PAD:
		name = KABI_RX_EXPECT_NO_PAD;
		break;
	case KTLS_MAX_PAYLOAD:
		name = KABI_TX_MAX_PAYLOAD_LEN;
		p = &value;
		len = sizeof(value);
		break;
	}
	return sys->setsockopt(fd, KABI_SOL_TLS, name, p, len) < 0 ? errno : 0;
}

void ktls_set_type(struct msghdr *msg, void *control, uint8_t type)
{
	struct cmsghdr *cmsg;

	memset(control, 0, KTLS_CONTROL_LEN);
	msg->msg_control = control;
	msg->msg_controllen = KTLS_CONTROL_LEN;
	cmsg = CMSG_FIRSTHDR(msg);
	cmsg->cmsg_level = KABI_SOL_TLS;
	cmsg->cmsg_type = KABI_SET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(sizeof(type));
	*CMSG_DATA(cmsg) = type;
}

int ktls_get_type(struct msghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);

	if (msg->msg_flags & MSG_CTRUNC)
		return -2;
	if (!cmsg)
		return msg->msg_controllen == 0 ? -1 : -2;
	if (msg->msg_controllen < CMSG_LEN(sizeof(uint8_t)) ||
	    cmsg->cmsg_len != CMSG_LEN(sizeof(uint8_t)) || cmsg->cmsg_level != KABI_SOL_TLS ||
	    cmsg->cmsg_type != KABI_GET_RECORD_TYPE)
		return -2;
	return *CMSG_DATA(cmsg);
}
