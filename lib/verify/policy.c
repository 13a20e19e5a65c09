/* SPDX-License-Identifier: Apache-2.0 */
/* Policies are BoringSSL's; what is done here bounds its work and sets its inputs. Called for one path. */
#include "verify/policy.h"

#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509v3.h>

#define MAX_POLICIES 256 /* of one certificate, and pairs of one mapping */
#define MAX_NODES 4096   /* that a level of the tree may have */

/* --- inputs ----------------------------------------------------------------------------------- */

static bool add_policy(X509_VERIFY_PARAM *param, const ASN1_OBJECT *policy)
{
	ASN1_OBJECT *copy = OBJ_dup(policy);

	if (copy && X509_VERIFY_PARAM_add0_policy(param, copy))
		return true;
	ASN1_OBJECT_free(copy);
	return false;
}

bool policy_prepare(X509_VERIFY_PARAM *param, const struct verify_policies *policies)
{
	size_t i, n = policies->wanted ? sk_ASN1_OBJECT_num(policies->wanted) : 0;
	unsigned long flags = X509_V_FLAG_POLICY_CHECK;
	bool ok = true;

	if (policies->explicit_policy)
		flags |= X509_V_FLAG_EXPLICIT_POLICY;
	if (policies->inhibit_mapping)
		flags |= X509_V_FLAG_INHIBIT_MAP;
	if (policies->inhibit_any)
		flags |= X509_V_FLAG_INHIBIT_ANY;
	X509_VERIFY_PARAM_set_flags(param, flags);
	/* To some versions an empty set is none of all policies, and not any. */
	if (!n)
		return add_policy(param, OBJ_nid2obj(NID_any_policy));
	for (i = 0; ok && i < n; i++)
		ok = add_policy(param, sk_ASN1_OBJECT_value(policies->wanted, i));
	return ok;
}

/* --- bounds ----------------------------------------------------------------------------------- */

/* How many policies @x509 has at most, at least 1. A malformed extension is BoringSSL's to refuse. */
static size_t count_policies(const X509 *x509)
{
	CERTIFICATEPOLICIES *policies =
		X509_get_ext_d2i(x509, NID_certificate_policies, NULL, NULL);
	size_t n = policies ? sk_POLICYINFO_num(policies) : 0;

	CERTIFICATEPOLICIES_free(policies);
	return n ? n : 1;
}

/* How many policies are mapped to the same one at most, at least 1. */
static size_t count_mapped(const POLICY_MAPPINGS *mappings)
{
	size_t i, j, n, most = 1, n_all = sk_POLICY_MAPPING_num(mappings);

	if (n_all > MAX_POLICIES)
		return MAX_NODES;
	for (i = 0; i < n_all; i++) {
		n = 0;
		for (j = 0; j < n_all; j++)
			n += !OBJ_cmp(sk_POLICY_MAPPING_value(mappings, i)->subjectDomainPolicy,
				      sk_POLICY_MAPPING_value(mappings, j)->subjectDomainPolicy);
		most = n > most ? n : most;
	}
	return most;
}

static size_t growth_of(const X509 *x509)
{
	POLICY_MAPPINGS *mappings = X509_get_ext_d2i(x509, NID_policy_mappings, NULL, NULL);
	size_t growth = mappings ? count_mapped(mappings) : 1;

	sk_POLICY_MAPPING_pop_free(mappings, POLICY_MAPPING_free);
	return growth;
}

bool policy_is_bounded(X509 *const *path, size_t n)
{
	size_t i, policies, most = 1, nodes = 1;

	for (i = 0; i < n; i++) {
		policies = count_policies(path[i]);
		if (policies > MAX_POLICIES)
			return false;
		most = policies > most ? policies : most;
		nodes *= growth_of(path[i]);
		if (nodes * most > MAX_NODES)
			return false;
	}
	ERR_clear_error();
	return true;
}
