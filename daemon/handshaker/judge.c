// SPDX-License-Identifier: Apache-2.0
/* Another look at the chain of a peer whose handshake is long over: would it be let in now? */
#include <openssl/bytestring.h>
#include <openssl/pool.h>
#include <openssl/stack.h>

#include "bssl/verify.h"
#include "core/error.h"
#include "core/sys.h"
#include "handover/messages.h"
#include "handshaker/handshaker.h"
#include "options/profile.h"

#define MAX_CHAIN 128

/* struct judgement - a MSG_JUDGE. */
struct judgement {
	uint64_t profile, role;
	char name
		[256]; /* whom a client asked for; ours to mean, where we are the client. "": nobody */
	STACK_OF(CRYPTO_BUFFER) * chain;
};

static bool read_judgement(struct judgement *judgement, struct wire_reader *reader)
{
	CRYPTO_BUFFER *cert;
	struct attr attr;

	judgement->chain = sk_CRYPTO_BUFFER_new_null();
	while (judgement->chain && wire_next(reader, &attr) == 1) {
		if (attr.type == ATTR_PROFILE)
			attr_u64(&attr, &judgement->profile);
		else if (attr.type == ATTR_ROLE)
			attr_u64(&attr, &judgement->role);
		else if (attr.type == ATTR_SNI)
			attr_text(&attr, judgement->name, sizeof(judgement->name));
		if (attr.type != ATTR_PEER_CHAIN ||
		    sk_CRYPTO_BUFFER_num(judgement->chain) == MAX_CHAIN)
			continue;
		cert = CRYPTO_BUFFER_new(attr.bytes, attr.len, NULL);
		if (!cert || !sk_CRYPTO_BUFFER_push(judgement->chain, cert)) {
			CRYPTO_BUFFER_free(cert);
			return false;
		}
	}
	return judgement->chain;
}

/* A name that has no host any more is the profile's, whose rules are those for all others. */
static struct sluice_profile *find_profile(const struct judgement *judgement)
{
	struct sluice_profile *profile = NULL;

	if (judgement->role == SLUICE_SERVER)
		profile = catalog_host(self.catalog, judgement->profile,
				       judgement->name[0] ? judgement->name : NULL);
	return profile ? profile : catalog_profile(self.catalog, judgement->profile);
}

static const char *name_of(const struct judgement *judgement, const struct sluice_profile *profile)
{
	if (judgement->role == SLUICE_SERVER || profile->sni_disabled)
		return NULL;
	if (profile->sni)
		return profile->sni;
	return judgement->name[0] ? judgement->name : NULL;
}

/* By the policy of the profile. */
static int judge_report(struct sluice_profile *profile, struct verify_report *report,
			const char *name, struct sluice_error *err)
{
	struct verify_walk *walk =
		verify_walk_new(report, profile->verify_fun, profile->verify_state);
	uint8_t alert;
	int r;

	if (!walk)
		return err_set(err, SLUICE_E_NOMEM, "no memory for its chain");
	r = verify_walk_run(walk, NULL);
	if (r < 0)
		r = bad_cert_refuse(&walk->refused, name, &alert, err);
	verify_walk_free(walk);
	return r;
}

/* As the handshake did, but for what came with it: what was stapled then is not kept. */
static int judge(const struct judgement *judgement, struct sluice_error *err)
{
	struct sluice_profile *profile = self.catalog ? find_profile(judgement) : NULL;
	struct verify_input in = { .profile = profile, .chain = judgement->chain };
	struct verify_report *report = NULL;
	uint8_t alert;
	int r;

	if (!profile)
		return err_set(err, SLUICE_E_NOMEM, "no memory for its profile");
	in.name = name_of(judgement, profile);
	in.now_s = sys->wall_s();
	if (!profile->verify_fun)
		r = verify_chain(&in, &alert, err);
	else
		r = verify_report(&in, &report, &alert, err);
	if (report)
		r = judge_report(profile, report, in.name, err);
	sluice_profile_unref(profile);
	return r;
}

void judge_take(uint32_t id, struct wire_reader *reader)
{
	struct judgement judgement = { .role = SLUICE_SERVER };
	struct sluice_error err = { .alert = -1 };
	struct wire wire;

	if (read_judgement(&judgement, reader))
		judge(&judgement, &err);
	else
		err_set(&err, SLUICE_E_NOMEM, "no memory for its chain");
	sk_CRYPTO_BUFFER_pop_free(judgement.chain, CRYPTO_BUFFER_free);
	wire_begin(&wire, self.buf, WIRE_MAX, MSG_JUDGED, id);
	wire_put_u64(&wire, ATTR_ERROR, (uint64_t)err.code);
	if (err.code)
		wire_put_text(&wire, ATTR_TEXT, err.text);
	send_to_broker(&wire);
}

/* All of it, or nothing: a chain that is cut off would be judged otherwise. */
void judge_put_chain(struct wire *wire, const STACK_OF(CRYPTO_BUFFER) * chain)
{
	size_t i, n = chain ? sk_CRYPTO_BUFFER_num(chain) : 0, len = 0;
	const CRYPTO_BUFFER *cert;

	for (i = 0; i < n; i++)
		len += CRYPTO_BUFFER_len(sk_CRYPTO_BUFFER_value(chain, i)) + 4;
	/* What is asked with it has its room too. */
	if (wire->overflow || n > MAX_CHAIN || len > wire->size - wire->len ||
	    len > WIRE_MAX - 1024)
		return;
	for (i = 0; i < n; i++) {
		cert = sk_CRYPTO_BUFFER_value(chain, i);
		wire_put(wire, ATTR_PEER_CHAIN, CRYPTO_BUFFER_data(cert), CRYPTO_BUFFER_len(cert));
	}
}
