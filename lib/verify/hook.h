/* SPDX-License-Identifier: Apache-2.0 */
/* The verify hook: a program is asked about a path and what is wrong with it (option verify_fun). */
#ifndef SLUICE_VERIFY_HOOK_H
#define SLUICE_VERIFY_HOOK_H

#include <stdbool.h>

#include <openssl/x509.h>

#include "verify/reason.h"

/* More is wrong with no path that anybody wants to hear of. */
#define VERIFY_MAX_FINDINGS 64

/* struct verify_report - a path, and everything that is wrong with it, in the order it was found. */
struct verify_report {
	STACK_OF(X509) * path; /* the peer's own first; owned */
	bool anchored;         /* the last one is trusted */
	struct verify_finding findings[VERIFY_MAX_FINDINGS];
	size_t n;
	int crl_reason; /* of the one that is revoked; 0: none is stated */
	bool all;       /* look for everything; else for the first only */
};

/*
 * verify_note() adds a finding; @text (static, or NULL) says it better than BoringSSL. What is there already
 * is not added again. Returns whether to look for more.
 */
bool verify_note(struct verify_report *report, int reason, int x509_error, size_t index,
		 const char *text);

/*
 * verify_fatal() returns a finding that nobody is asked about, or NULL: a check that could not be made, or
 * one that is about no certificate of the path.
 */
const struct verify_finding *verify_fatal(const struct verify_report *report);

/* verify_report_free() frees a report of calloc(3). NULL is fine. Returns NULL. */
struct verify_report *verify_report_free(struct verify_report *report);

/* struct verify_walk - how far a program has been asked about a report. */
struct verify_walk {
	struct verify_report *report; /* owned */
	sluice_verify_fun fun;
	void *state;
	size_t left; /* certificates of the path that are not done */
	size_t finding;
	int extension;
	struct sluice_verify_event awaited; /* what an answer is awaited to, where @asked */
	bool asked;
	bool answered;
	int answer, reason;
	struct verify_finding refused; /* where @fun refuses */
};

/* verify_walk_new() begins at the root; owns @report also on failure. NULL: no memory. */
struct verify_walk *verify_walk_new(struct verify_report *report, sluice_verify_fun fun,
				    void *state);

/* verify_walk_run() asks on. Returns 0 (accepted), SLUICE_PAUSED, or -SLUICE_E_VERIFY with @refused. */
int verify_walk_run(struct verify_walk *walk, struct sluice_conn *conn);

/* verify_walk_answer() is the answer that was awaited. Errors: STATE, INVALID. */
int verify_walk_answer(struct verify_walk *walk, int answer, int reason);

/* verify_walk_free() frees. NULL is fine. Returns NULL. */
struct verify_walk *verify_walk_free(struct verify_walk *walk);

#endif
