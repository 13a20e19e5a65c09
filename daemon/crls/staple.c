// SPDX-License-Identifier: Apache-2.0
#include "crls/staple.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include "core/sys.h"
#include "handover/messages.h"

static X509 *next_cert(struct wire_reader *reader)
{
	const uint8_t *at;
	struct attr attr;

	while (wire_next(reader, &attr) == 1) {
		at = attr.bytes;
		if (attr.type == ATTR_CERT)
			return d2i_X509(NULL, &at, (long)attr.len);
	}
	return NULL;
}

void staple_judge(struct wire_reader reader, const uint8_t *der, size_t len,
		  struct ocsp_verdict *ret_verdict)
{
	X509 *cert = next_cert(&reader), *issuer = next_cert(&reader);

	if (!cert || !issuer)
		*ret_verdict = (struct ocsp_verdict){ .reason = "no memory for the certificates" };
	else if (len > OCSP_MAX_DER)
		*ret_verdict = (struct ocsp_verdict){ .reason = "the OCSP response is too long" };
	else
		ocsp_check(ret_verdict, der, len, cert, issuer, sys->wall_s());
	/* Newer information is available all the time then; it is not asked for all the time. */
	if (ret_verdict->next_update_s < 0)
		ret_verdict->next_update_s = ret_verdict->this_update_s + OCSP_MAX_AGE_S;
	X509_free(issuer);
	X509_free(cert);
	ERR_clear_error();
}
