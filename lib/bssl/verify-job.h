/* SPDX-License-Identifier: Apache-2.0 */
/* The validation of a peer's chain as a job that any thread can do. */
#ifndef SLUICE_BSSL_VERIFY_JOB_H
#define SLUICE_BSSL_VERIFY_JOB_H

#include "bssl/verify.h"
#include "core/pool.h"

/* A chain of more certificates or bytes may cost more than a few signatures. */
#define VERIFY_SHORT_CERTS 4
#define VERIFY_SHORT_BYTES 16384

/*
 * struct verify_job - owns what it reads, references of the profile and of the certificates' bytes
 * included, and nothing of a connection.
 */
struct verify_job {
	struct pool_job job; /* first */
	struct verify_input input;
	struct verify_verdict named;
	struct staple staple;
	bool examine; /* verify_report(), for a program that is asked; else verify_chain() */

	/* What came of it. */
	int result;
	uint8_t alert;
	struct sluice_error err;
	struct verify_report *report; /* of verify_report(); the job's until it is taken */
	uint64_t took_us;

	char copies[]; /* of @input: the name, and what is stapled */
};

/*
 * verify_job_new() copies @from for a job of @owner; @from->trust is the job's then, also on failure.
 * It calls the hostname check of the program, if there is one. NULL: no memory.
 */
struct verify_job *verify_job_new(const struct verify_input *from, bool examine, void *owner);

/* verify_job_is_empty() tells whether there is nothing to do: no certificate, or verify = none. */
bool verify_job_is_empty(const struct verify_job *job);

#endif
