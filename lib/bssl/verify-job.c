// SPDX-License-Identifier: Apache-2.0
/*
 * A peer's chain and the rules for it, copied so that they can be read by another thread while the connection
 * goes its way or ends. Made and taken by stage VERIFY, run by the pool.
 */
#include "bssl/verify-job.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/sys.h"
#include "fetch/fetch.h"

/* CRLs are waited for as long as the handshake may last; a caller that judges by itself may wait less. */
static int crl_wait_ms(const struct verify_input *in)
{
	uint64_t now_us = sys->now_us(), left_ms;

	if (!in->until_us)
		return -1;
	left_ms = in->until_us > now_us ? (in->until_us - now_us) / 1000 : 0;
	return left_ms < INT_MAX ? (int)left_ms : -1;
}

static void run(struct pool_job *pool_job)
{
	struct verify_job *job = (struct verify_job *)pool_job;
	uint64_t began_us = sys->now_us();
	int limit_ms = crl_wait_ms(&job->input), before_ms = fetch_may_wait(limit_ms);

	if (before_ms >= 0 && (limit_ms < 0 || before_ms < limit_ms))
		fetch_may_wait(before_ms);
	err_clear(&job->err);
	if (job->examine)
		job->result = verify_report(&job->input, &job->report, &job->alert, &job->err);
	else
		job->result = verify_chain(&job->input, &job->alert, &job->err);
	fetch_may_wait(before_ms);
	job->took_us = sys->now_us() - began_us;
}

static void job_free(struct pool_job *pool_job)
{
	struct verify_job *job = (struct verify_job *)pool_job;

	verify_report_free(job->report);
	X509_STORE_free(job->input.trust);
	sk_CRYPTO_BUFFER_pop_free((STACK_OF(CRYPTO_BUFFER) *)job->input.chain, CRYPTO_BUFFER_free);
	sluice_profile_unref((struct sluice_profile *)job->input.profile);
	free(job);
}

/* Copies the list of certificates; their bytes are shared. NULL: no memory. */
static STACK_OF(CRYPTO_BUFFER) *
	copy_chain(const STACK_OF(CRYPTO_BUFFER) * chain, bool *ret_is_long)
{
	STACK_OF(CRYPTO_BUFFER) *copy = sk_CRYPTO_BUFFER_new_null();
	size_t i, bytes = 0, n = chain ? sk_CRYPTO_BUFFER_num(chain) : 0;
	CRYPTO_BUFFER *cert;

	for (i = 0; copy && i < n; i++) {
		cert = sk_CRYPTO_BUFFER_value(chain, i);
		bytes += CRYPTO_BUFFER_len(cert);
		if (!sk_CRYPTO_BUFFER_push(copy, cert)) {
			sk_CRYPTO_BUFFER_pop_free(copy, CRYPTO_BUFFER_free);
			return NULL;
		}
		CRYPTO_BUFFER_up_ref(cert);
	}
	*ret_is_long = n > VERIFY_SHORT_CERTS || bytes > VERIFY_SHORT_BYTES;
	return copy;
}

struct verify_job *verify_job_new(const struct verify_input *from, bool examine, void *owner)
{
	size_t name_size = from->name ? strlen(from->name) + 1 : 0;
	size_t staple_len = from->staple && from->staple->der ? from->staple->len : 0;
	struct verify_job *job = calloc(1, sizeof(*job) + name_size + staple_len);

	if (!job) {
		X509_STORE_free(from->trust);
		return NULL;
	}
	job->job = (struct pool_job){ .run = run, .free = job_free, .owner = owner };
	job->examine = examine;
	job->input = *from;
	sluice_profile_ref((struct sluice_profile *)from->profile);
	if (name_size)
		job->input.name = memcpy(job->copies, from->name, name_size);
	if (from->staple) {
		job->staple = *from->staple;
		job->input.staple = &job->staple;
	}
	if (staple_len)
		job->staple.der = memcpy(job->copies + name_size, from->staple->der, staple_len);
	job->input.chain = copy_chain(from->chain, &job->job.is_long);
	if (!job->input.chain) {
		job_free(&job->job);
		return NULL;
	}
	if (crl_check_waits(&from->profile->crl))
		job->job.is_long = true;
	if (!verify_job_is_empty(job) && verify_check_by_hook(&job->input, &job->named))
		job->input.named = &job->named;
	return job;
}

bool verify_job_is_empty(const struct verify_job *job)
{
	return !sk_CRYPTO_BUFFER_num(job->input.chain) ||
	       (!job->examine && !job->input.profile->verify_peer);
}
