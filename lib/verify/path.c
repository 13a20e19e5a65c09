/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for a path, depth first with backtracking. Which certificate may follow is told by names
 * and key identifiers, which cost nothing; a path that has reached a trust anchor is judged
 * (candidate.c), and what the verdict says of one certificate or of one signature holds for all paths
 * that are still to come. It must never judge more than path.h allows.
 */
#include "verify/path.h"

#include <string.h>

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "core/sys.h"
#include "verify/candidate.h"
#include "verify/reason.h"

#define TOO_MANY "there are too many possible paths from it"

/* An issuer whose key has not made the signature; @subject NULL: of no use to anybody. */
struct dead_edge {
	const X509 *issuer, *subject;
};

struct search {
	const struct verify_request *request;
	STACK_OF(X509) * others; /* the peer's but its own, each once; borrowed */
	const STACK_OF(X509_OBJECT) * anchors;
	X509 *path[PATH_MAX_LEN + 1]; /* one more than is allowed, where that is told */
	size_t n, max;                /* certificates in @path; how many there may be */
	int n_steps, n_signatures;    /* that are still allowed */
	struct dead_edge dead[PATH_MAX_SIGNATURES];
	size_t n_dead;
	struct verify_verdict best; /* of what was refused */
	int best_rank;
	X509 *furthest[PATH_MAX_LEN + 1]; /* the path that @best is about */
	size_t n_furthest;
	unsigned int n_paths;
};

enum rank {
	RANK_DEAD_END,  /* no anchor was reached */
	RANK_UNRELATED, /* one was, but it did not sign */
	RANK_REFUSED,
	RANK_VALID,
};

/* --- certificates --------------------------------------------------------------------------- */

/* By names, key identifiers and key usage; no signature is checked. */
static bool may_have_issued(X509 *issuer, X509 *subject)
{
	return X509_check_issued(issuer, subject) == X509_V_OK;
}

/* A certificate that says it issued itself: no other can be above it. */
static bool is_top(X509 *x509)
{
	int r = X509_check_issued(x509, x509);

	return r == X509_V_OK || r == X509_V_ERR_KEYUSAGE_NO_CERTSIGN;
}

/* RFC 5280, 3.2: signed by its own key. */
static bool is_self_signed(X509 *x509)
{
	EVP_PKEY *key = is_top(x509) ? X509_get_pubkey(x509) : NULL;
	bool self_signed = key && X509_verify(x509, key) == 1;

	EVP_PKEY_free(key);
	return self_signed;
}

/* The same name and key: certificates that sign each other make a circle of these. */
static bool is_same_entity(const X509 *a, const X509 *b)
{
	const ASN1_BIT_STRING *key_a = X509_get0_pubkey_bitstr(a);
	const ASN1_BIT_STRING *key_b = X509_get0_pubkey_bitstr(b);

	return !X509_NAME_cmp(X509_get_subject_name(a), X509_get_subject_name(b)) &&
	       ASN1_STRING_cmp((const ASN1_STRING *)key_a, (const ASN1_STRING *)key_b) == 0;
}

static bool is_in_path(const struct search *s, const X509 *x509)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (is_same_entity(s->path[i], x509))
			return true;
	}
	return false;
}

static bool is_dead(const struct search *s, const X509 *issuer, const X509 *subject)
{
	size_t i;

	for (i = 0; i < s->n_dead; i++) {
		if (s->dead[i].issuer == issuer &&
		    (!s->dead[i].subject || s->dead[i].subject == subject))
			return true;
	}
	return false;
}

static X509 *anchor_at(const struct search *s, size_t i)
{
	return X509_OBJECT_get0_X509(sk_X509_OBJECT_value(s->anchors, i));
}

/* --- verdicts ------------------------------------------------------------------------------- */

static enum rank rank_of(int x509_error)
{
	switch (x509_error) {
	case X509_V_OK:
		return RANK_VALID;
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		return RANK_UNRELATED;
	default:
		return RANK_REFUSED;
	}
}

/* Keeps what says most about why there is no path; the path itself is that of now. */
static void note(struct search *s, struct verify_verdict verdict, enum rank rank)
{
	if (s->best.x509_error && (int)rank < s->best_rank)
		return;
	if (s->best.x509_error && (int)rank == s->best_rank &&
	    (rank != RANK_DEAD_END || verdict.index <= s->best.index))
		return;
	s->best = verdict;
	s->best_rank = (int)rank;
	memcpy(s->furthest, s->path, s->n * sizeof(s->path[0]));
	s->n_furthest = s->n;
}

static void note_dead_end(struct search *s, int x509_error)
{
	note(s, (struct verify_verdict){ .x509_error = x509_error, .index = s->n - 1 },
	     RANK_DEAD_END);
}

/* The same because of @x509, which would have been the next. */
static void note_dead_end_at(struct search *s, int x509_error, X509 *x509)
{
	s->path[s->n++] = x509;
	note_dead_end(s, x509_error);
	s->n--;
}

/* Ends the search: true. */
static bool give_up(struct search *s, const char *reason)
{
	s->best = (struct verify_verdict){ .x509_error = X509_V_ERR_CERT_REJECTED,
					   .reason = reason,
					   .anchored = s->best.anchored };
	return true;
}

static bool is_too_late(const struct search *s)
{
	return s->request->until_us && sys->now_us() >= s->request->until_us;
}

/* Does the verdict hold for that certificate in whatever path it is? */
static bool is_of_certificate(const struct search *s, const struct verify_verdict *verdict)
{
	switch (verdict->x509_error) {
	case X509_V_ERR_CERT_REJECTED: /* of schemes that are listed, the issuer's key tells */
		return verdict->bad_cert == SLUICE_BAD_CERT_WEAK_KEY ||
		       (verdict->bad_cert == SLUICE_BAD_CERT_WEAK_SIGNATURE &&
			!s->request->n_sigalgs);
	case X509_V_ERR_CERT_NOT_YET_VALID:
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_INVALID_CA:
	case X509_V_ERR_INVALID_EXTENSION:
	case X509_V_ERR_INVALID_PURPOSE:
	case X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION:
		return true;
	default:
		return false;
	}
}

/* Comparing names took more than it may: each other path could cost as much. */
static bool is_limit(const struct verify_verdict *verdict)
{
	return verdict->x509_error == X509_V_ERR_CERT_REJECTED && !verdict->bad_cert;
}

/* What is known from a refusal for the paths to come. True: there is no use in any. */
static bool learn(struct search *s, const struct verify_verdict *verdict)
{
	size_t i = verdict->index;

	if (verdict->x509_error == X509_V_ERR_OUT_OF_MEM ||
	    verdict->x509_error == X509_V_ERR_UNSPECIFIED || is_limit(verdict))
		return true;
	if (i == 0 && is_of_certificate(s, verdict))
		return true;
	if (i >= s->n || s->n_dead == sizeof(s->dead) / sizeof(s->dead[0]))
		return false;
	if (is_of_certificate(s, verdict))
		s->dead[s->n_dead++] = (struct dead_edge){ s->path[i], NULL };
	else if (verdict->x509_error == X509_V_ERR_CERT_SIGNATURE_FAILURE && i + 1 < s->n)
		s->dead[s->n_dead++] = (struct dead_edge){ s->path[i + 1], s->path[i] };
	return false;
}

/* Copies the path that the verdict is about for the caller, who frees it. */
static STACK_OF(X509) * hand_out(const struct search *s)
{
	STACK_OF(X509) *path = sk_X509_new_null();
	size_t i;

	for (i = 0; path && i < s->n_furthest; i++) {
		if (!sk_X509_push(path, s->furthest[i])) {
			sk_X509_pop_free(path, X509_free);
			return NULL;
		}
		X509_up_ref(s->furthest[i]);
	}
	return path;
}

/* Judges the path, which ends with an anchor. True: the search is over. */
static bool judge(struct search *s)
{
	struct verify_verdict verdict;

	s->n_signatures -= (int)s->n - 1; /* all but the anchor's */
	if (s->n_signatures < 0)
		return give_up(s, TOO_MANY);
	if (is_too_late(s))
		return give_up(s, "it took too long to find a path from it");
	s->n_paths++;
	verdict = candidate_judge(s->request, s->path, s->n);
	verdict.anchored = true;
	note(s, verdict, rank_of(verdict.x509_error));
	return !verdict.x509_error || learn(s, &verdict);
}

/* --- the search ----------------------------------------------------------------------------- */

static bool extend(struct search *s);

/* Puts @x509 at the end of the path and goes on from there. True: the search is over. */
static bool step(struct search *s, X509 *x509, bool anchor)
{
	bool over;

	if (is_dead(s, x509, s->path[s->n - 1]) || is_in_path(s, x509))
		return false;
	if (s->n == s->max) {
		note_dead_end_at(s, X509_V_ERR_CERT_CHAIN_TOO_LONG, x509);
		return false;
	}
	if (!s->n_steps--)
		return give_up(s, TOO_MANY);
	s->path[s->n++] = x509;
	over = anchor ? judge(s) : extend(s);
	s->n--;
	return over;
}

/* Tries the trusted certificates that may have issued the last of the path. */
static bool extend_by_trusted(struct search *s)
{
	X509 *last = s->path[s->n - 1], *x509;
	bool over = false;
	size_t i;

	for (i = 0; !over && i < sk_X509_OBJECT_num(s->anchors); i++) {
		x509 = anchor_at(s, i);
		if (x509 && may_have_issued(x509, last))
			over = step(s, x509, s->request->partial_chain || is_top(x509));
	}
	return over;
}

static bool extend_by_sent(struct search *s)
{
	X509 *last = s->path[s->n - 1], *x509;
	bool over = false;
	size_t i;

	for (i = 0; !over && i < sk_X509_num(s->others); i++) {
		x509 = sk_X509_value(s->others, i);
		if (!may_have_issued(x509, last))
			continue;
		if (is_top(x509))
			note_dead_end_at(s, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, x509);
		else
			over = step(s, x509, false);
	}
	return over;
}

static bool extend(struct search *s)
{
	if (extend_by_trusted(s) || extend_by_sent(s))
		return true;
	note_dead_end(s, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
	return false;
}

/* Is the peer's certificate itself trusted, and may it end a path? */
static bool is_trusted_itself(const struct search *s)
{
	X509 *leaf = s->path[0], *x509;
	size_t i;

	for (i = 0; i < sk_X509_OBJECT_num(s->anchors); i++) {
		x509 = anchor_at(s, i);
		if (x509 && !X509_cmp(x509, leaf))
			return s->request->partial_chain || is_self_signed(leaf);
	}
	return false;
}

/* Lists the peer's certificates but its own, each once. False: no memory. */
static bool collect(struct search *s)
{
	const STACK_OF(X509) *certs = s->request->certs;
	size_t i, j;
	X509 *x509;

	s->others = sk_X509_new_null();
	if (!s->others)
		return false;
	for (i = 1; i < sk_X509_num(certs); i++) {
		x509 = sk_X509_value(certs, i);
		for (j = 0; j < sk_X509_num(s->others); j++) {
			if (!X509_cmp(sk_X509_value(s->others, j), x509))
				break;
		}
		if (j == sk_X509_num(s->others) && !sk_X509_push(s->others, x509))
			return false;
	}
	return true;
}

static void search(struct search *s)
{
	if (is_trusted_itself(s) && judge(s))
		return;
	if (extend(s))
		return;
	if (s->best.x509_error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY && !s->best.index &&
	    is_self_signed(s->path[0]))
		s->best.x509_error = X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT;
}

static int positive(int n)
{
	return n > 0 ? n : 0;
}

void path_find(struct verify_verdict *verdict, const struct verify_request *request)
{
	X509 *leaf = sk_X509_value(request->certs, 0);
	struct search s = {
		.request = request,
		.path = { leaf },
		.n = 1,
		.n_steps = PATH_MAX_STEPS,
		.n_signatures = PATH_MAX_SIGNATURES,
		.furthest = { leaf },
		.n_furthest = 1,
	};

	if (request->budget) {
		s.n_steps = request->budget->steps;
		s.n_signatures = request->budget->signatures;
	}
	s.max = (size_t)request->depth + 2 + PATH_MAX_SELF_ISSUED;
	if (request->depth < 0 || s.max > PATH_MAX_LEN)
		s.max = PATH_MAX_LEN;
	s.anchors = request->trust ? X509_STORE_get0_objects(request->trust) : NULL;
	if (sk_X509_num(request->certs) > PATH_MAX_CERTS)
		give_up(&s, "too many others came with it");
	else if (collect(&s))
		search(&s);
	else
		s.best.x509_error = X509_V_ERR_OUT_OF_MEM;
	sk_X509_free(s.others);
	if (request->budget)
		*request->budget =
			(struct verify_budget){ positive(s.n_steps), positive(s.n_signatures) };
	*verdict = s.best;
	verdict->n_paths = s.n_paths;
	verdict->path = hand_out(&s);
	if (!verdict->path)
		verdict->x509_error = X509_V_ERR_OUT_OF_MEM;
}
