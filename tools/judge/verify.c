/* SPDX-License-Identifier: Apache-2.0 */
/* `sluice verify`: would this certificate be accepted, and if not, why? */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sluice/sluice.h>

#include "command.h"
#include "core/error.h"
#include "describe.h"
#include "options/pem.h"
#include "options/trust.h"
#include "checks.h"

struct settings {
	const char *chain, *batch;
	struct arg_list trust;
	bool system;
	const char *host, *ip, *time;
	const char *ocsp, *ocsp_check;
	bool client, partial_chain, json, checks;
	int64_t depth;
	struct arg_list crls;
	const char *crl_check;
	struct arg_list policies;
	bool explicit_policy, inhibit_policy_mapping, inhibit_any_policy;
};

static const struct arg verify_args[] = {
	{ "chain", 0, ARG_TEXT, offsetof(struct settings, chain), "FILE",
	  "the certificate in PEM, then any others that came with it" },
	{ "batch", 0, ARG_TEXT, offsetof(struct settings, batch), "FILE",
	  "requests in JSON, one per line; -: standard input" },
	{ "trust", 0, ARG_LIST, offsetof(struct settings, trust), "PATH",
	  "trusted certificates: a PEM file, or a directory of them; repeatable" },
	{ "system", 0, ARG_FLAG, offsetof(struct settings, system), NULL,
	  "trust what this machine trusts" },
	{ "host", 0, ARG_TEXT, offsetof(struct settings, host), "NAME",
	  "the DNS name that it must be for" },
	{ "ip", 0, ARG_TEXT, offsetof(struct settings, ip), "ADDRESS",
	  "the address that it must be for" },
	{ "client", 0, ARG_FLAG, offsetof(struct settings, client), NULL,
	  "it is a client's; otherwise a server's" },
	{ "time", 0, ARG_TEXT, offsetof(struct settings, time), "TIME",
	  "judge at this time (seconds of the epoch, or 2026-01-31T12:00:00Z)" },
	{ "depth", 0, ARG_NUMBER, offsetof(struct settings, depth), "N",
	  "intermediates allowed, not counting self-issued ones (10)", .min = 0, .max = 100 },
	{ "partial-chain", 0, ARG_FLAG, offsetof(struct settings, partial_chain), NULL,
	  "a trusted certificate need not be self-signed" },
	{ "ocsp", 0, ARG_TEXT, offsetof(struct settings, ocsp), "FILE",
	  "the OCSP response that came with it, DER or PEM" },
	{ "ocsp-check", 0, ARG_CHOICE, offsetof(struct settings, ocsp_check), "WHEN",
	  "as option ocsp: off, if_present (default with --ocsp) or must",
	  .choices = "off|if_present|must" },
	{ "crl", 0, ARG_LIST, offsetof(struct settings, crls), "FILE",
	  "CRLs, in PEM or DER; repeatable" },
	{ "crl-check", 0, ARG_CHOICE, offsetof(struct settings, crl_check), "WHICH",
	  "which certificates must not be revoked (true, with --crl)",
	  .choices = "false|true|peer|best_effort" },
	{ "policies", 0, ARG_LIST, offsetof(struct settings, policies), "OID",
	  "evaluate policies, and accept this one; any: any; repeatable" },
	{ "explicit-policy", 0, ARG_FLAG, offsetof(struct settings, explicit_policy), NULL,
	  "the path must be valid for a policy" },
	{ "inhibit-policy-mapping", 0, ARG_FLAG, offsetof(struct settings, inhibit_policy_mapping),
	  NULL, "one policy is not mapped to another" },
	{ "inhibit-any-policy", 0, ARG_FLAG, offsetof(struct settings, inhibit_any_policy), NULL,
	  "anyPolicy in a certificate stands for none" },
	{ "json", 0, ARG_FLAG, offsetof(struct settings, json), NULL, "print JSON" },
	{ "checks", 0, ARG_FLAG, offsetof(struct settings, checks), NULL,
	  "verdicts of a batch have the path and each check, too" },
	{ NULL },
};

static int unusable(const char *why)
{
	fprintf(stderr, "sluice verify: %s\n", why);
	return VERIFY_UNUSABLE;
}

static int load_chain(struct verify_request *request, const char *path, struct sluice_error *err)
{
	struct pem_file file;
	int r;

	r = pem_file_read(&file, "--chain", path, err);
	if (r < 0)
		return r;
	r = verify_certs(&request->certs, file.data, file.len, path, err);
	pem_file_free(&file);
	return r;
}

static int load_trust(struct verify_request *request, const struct settings *settings,
		      struct sluice_error *err)
{
	size_t i;
	int r = 0;

	request->trust = X509_STORE_new();
	if (!request->trust)
		return err_set(err, SLUICE_E_NOMEM, "no memory for CA certificates");
	for (i = 0; !r && i < settings->trust.n; i++)
		r = trust_add_path(request->trust, "--trust", settings->trust.items[i], err);
	if (!r && settings->system)
		r = trust_add_system(request->trust, "--system", err);
	return r;
}

static int load_ocsp(struct verify_ocsp *ocsp, const struct settings *settings,
		     struct sluice_error *err)
{
	ocsp->mode = settings->ocsp ? OCSP_IF_PRESENT : OCSP_OFF;
	if (settings->ocsp_check)
		verify_ocsp_mode(settings->ocsp_check, &ocsp->mode);
	return settings->ocsp ? ocsp_read_file(&ocsp->der, "--ocsp", settings->ocsp, err) : 0;
}

static int load_crls(struct verify_case *it, const struct settings *settings,
		     struct sluice_error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; !r && i < settings->crls.n; i++)
		r = verify_crls_add_file(&it->crls, settings->crls.items[i], err);
	if (!r && it->crls.n_left_out)
		fprintf(stderr, "sluice verify: %zu CRLs that cannot be evaluated are left out\n",
			it->crls.n_left_out);
	it->crl_mode = settings->crls.n ? CRL_CHECK_TRUE : CRL_CHECK_FALSE;
	if (settings->crl_check)
		verify_crl_mode(settings->crl_check, &it->crl_mode);
	return r;
}

static int load_policies(struct verify_case *it, const struct settings *settings,
			 struct sluice_error *err)
{
	STACK_OF(ASN1_OBJECT) *wanted = NULL;
	size_t i;
	int r = 0;

	for (i = 0; !r && i < settings->policies.n; i++)
		r = verify_add_policy(&wanted, settings->policies.items[i], err);
	it->policies = (struct verify_policies){
		.wanted = wanted,
		.explicit_policy = settings->explicit_policy,
		.inhibit_mapping = settings->inhibit_policy_mapping,
		.inhibit_any = settings->inhibit_any_policy,
	};
	it->evaluate_policies = wanted || settings->explicit_policy ||
				settings->inhibit_policy_mapping || settings->inhibit_any_policy;
	return r;
}

static bool is_address(const char *text)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* What of the command line contradicts itself; NULL: nothing. */
static const char *check(const struct settings *settings)
{
	struct reference reference;

	if (!settings->chain == !settings->batch)
		return "either --chain or --batch is needed";
	if (settings->host && settings->ip)
		return "--host and --ip exclude each other";
	if (settings->batch && (settings->host || settings->ip))
		return "in a batch the name is in the request";
	if (settings->batch && settings->ocsp)
		return "in a batch the OCSP response is in the request";
	if (settings->client && (settings->ocsp || settings->ocsp_check))
		return "--ocsp is of a server: clients staple nothing";
	if (settings->ip && !is_address(settings->ip))
		return "--ip is not an address";
	if (settings->host &&
	    (reference_parse(&reference, settings->host, NULL) < 0 || reference.kind != NAME_DNS))
		return "--host is not a DNS name in ASCII";
	if (settings->chain && !settings->trust.n && !settings->system)
		return "--trust or --system is needed";
	return NULL;
}

static int run_one(const struct settings *settings, struct verify_case *it)
{
	struct verify_request *request = &it->request;
	struct json_object *verdict;
	enum verify_status status;
	struct sluice_error err;

	err_clear(&err);
	request->name = settings->host ? settings->host : settings->ip;
	it->with_checks = true;
	if (load_chain(request, settings->chain, &err) < 0)
		return unusable(err.text);
	verdict = verify_judge(it, &status);
	if (!verdict)
		return unusable("no memory");
	if (settings->json) {
		describe_print(verdict, stdout);
		return (int)status;
	}
	verify_print(verdict);
	json_object_put(verdict);
	return (int)status;
}

static int run_batch(const struct settings *settings, const struct verify_case *it)
{
	FILE *in = strcmp(settings->batch, "-") == 0 ? stdin : fopen(settings->batch, "re");
	int r;

	if (!in) {
		perror("sluice verify: --batch");
		return VERIFY_UNUSABLE;
	}
	r = (int)verify_batch(in, it);
	if (in != stdin)
		fclose(in);
	return r;
}

static int verify_main(int argc, char **argv)
{
	struct settings settings = { .depth = 10 };
	struct verify_case it = { .request = { .now_s = time(NULL), .rule = NAMES_HTTPS } };
	struct verify_request *request = &it.request;
	struct sluice_error err;
	const char *wrong;
	int r;

	r = args_parse(verify_args, &settings, argc, argv);
	if (r < 0)
		return VERIFY_UNUSABLE;
	wrong = r < argc ? "there are no operands" : check(&settings);
	if (!wrong && settings.time && !verify_time(settings.time, &request->now_s))
		wrong = "--time is neither seconds nor a time as 2026-01-31T12:00:00Z";
	if (wrong)
		return unusable(wrong);
	request->peer = settings.client ? SLUICE_CLIENT : SLUICE_SERVER;
	request->depth = (int)settings.depth;
	request->partial_chain = settings.partial_chain;
	it.with_checks = settings.checks;
	err_clear(&err);
	if (load_trust(request, &settings, &err) < 0 || load_crls(&it, &settings, &err) < 0 ||
	    load_policies(&it, &settings, &err) < 0 || load_ocsp(&it.ocsp, &settings, &err) < 0)
		r = unusable(err.text);
	else
		r = settings.batch ? run_batch(&settings, &it) : run_one(&settings, &it);
	X509_STORE_free(request->trust);
	sk_X509_pop_free(request->certs, X509_free);
	CRYPTO_BUFFER_free(it.ocsp.der);
	verify_crls_clear(&it.crls);
	sk_ASN1_OBJECT_pop_free((STACK_OF(ASN1_OBJECT) *)it.policies.wanted, ASN1_OBJECT_free);
	return r;
}

const struct command cmd_verify = {
	.name = "verify",
	.synopsis = "--chain FILE (--trust PATH | --system) [OPTION]... | --batch FILE [OPTION]...",
	.summary = "judge a certificate as a handshake would",
	.details =
		"The exit status is 0 for a certificate that is accepted, 1 for one that is not, and 2\n"
		"where there was nothing to judge. In a batch it is 0 or 2. A request of a batch has\n"
		"chain and trust (PEM, or arrays of PEM), name, names, time, peer (server or client),\n"
		"depth, partial_chain, key_usage, extended_key_usage, crls (an array: PEM, or DER in\n"
		"base64), crl_check, policies (an array of OIDs), explicit_policy,\n"
		"inhibit_policy_mapping, inhibit_any_policy, ocsp (PEM, or DER in base64) and\n"
		"ocsp_check (off, if_present or must); what it leaves out is taken from the command\n"
		"line. A test case of x509-limbo is a request too. The id comes back in the verdict.\n"
		"Checks are ok, failed, undetermined, not reached or not asked.",
	.args = verify_args,
	.run = verify_main,
};
