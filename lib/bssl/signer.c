// SPDX-License-Identifier: Apache-2.0
#include "bssl/signer.h"

#include <string.h>

#include "bssl/hooks.h"
#include "conn/conn.h"
#include "core/secret.h"

static enum ssl_private_key_result_t start(SSL *ssl, uint16_t algorithm, const uint8_t *in,
					   size_t in_len)
{
	struct sluice_conn *conn = hooks_conn(ssl);
	const struct signer *signer = conn->profile->signer;

	if (!signer || in_len > SIGNER_MAX_INPUT || conn->hs->job.state != SIGNER_IDLE)
		return ssl_private_key_failure;
	conn->hs->job.state = SIGNER_ASKED;
	if (!signer->start(signer->arg, conn, algorithm, in, in_len))
		return ssl_private_key_failure;
	return ssl_private_key_retry;
}

static enum ssl_private_key_result_t sign(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out,
					  uint16_t algorithm, const uint8_t *in, size_t in_len)
{
	return start(ssl, algorithm, in, in_len);
}

static enum ssl_private_key_result_t decrypt(SSL *ssl, uint8_t *out, size_t *out_len,
					     size_t max_out, const uint8_t *in, size_t in_len)
{
	return start(ssl, 0, in, in_len);
}

static enum ssl_private_key_result_t complete(SSL *ssl, uint8_t *out, size_t *out_len,
					      size_t max_out)
{
	struct signer_job *job = &hooks_conn(ssl)->hs->job;

	if (job->state == SIGNER_ASKED)
		return ssl_private_key_retry;
	if (job->state != SIGNER_DONE || job->out_len > max_out)
		return ssl_private_key_failure;
	memcpy(out, job->out, job->out_len);
	*out_len = job->out_len;
	signer_deinit(job);
	return ssl_private_key_success;
}

const SSL_PRIVATE_KEY_METHOD signer_method = {
	.sign = sign,
	.decrypt = decrypt,
	.complete = complete,
};

bool signer_finish(struct sluice_conn *conn, const uint8_t *out, size_t out_len)
{
	struct signer_job *job = conn->hs ? &conn->hs->job : NULL;

	if (!job || job->state != SIGNER_ASKED)
		return false;
	job->state = SIGNER_REFUSED;
	if (!out)
		return true;
	job->out = secret_new(out_len);
	if (!job->out)
		return false;
	memcpy(job->out, out, out_len);
	job->out_len = out_len;
	job->state = SIGNER_DONE;
	return true;
}

size_t signer_key(const struct sluice_conn *conn)
{
	return conn->hs->own_index;
}

void signer_deinit(struct signer_job *job)
{
	secret_free(job->out);
	*job = (struct signer_job){ SIGNER_IDLE };
}
