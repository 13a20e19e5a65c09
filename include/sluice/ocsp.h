/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCSP stapling of a server (RFC 6066, 8; RFC 8446, 4.4.2.1; RFC 6960). Option ocsp_file is the response of
 * the start; a newer one can be put in while connections are made. Nothing here goes to the network.
 * Clients have option ocsp, and sluice_conn_info() tells what was stapled.
 */
#ifndef SLUICE_OCSP_H
#define SLUICE_OCSP_H

#include <sluice/options.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The most bytes of a response in DER. */
#define SLUICE_OCSP_MAX_DER 65535

/*
 * sluice_profile_set_ocsp() staples @der (OCSPResponse in DER, copied) to the certificate of a server's
 * @profile, or of what clients get that ask for @host of its sni_hosts; NULL: the profile's own. It counts
 * from the next handshake on, for all connections of the profile and of those derived from it. It must be
 * good, in date, not older than the one it replaces, about the certificate, and signed by its issuer or a
 * responder of it; where the chain lacks the issuer, who has signed it cannot be checked. What is refused
 * leaves the one before in place. Any thread may call this at any time. Errors: OCSP, UNDEFINED (a client's
 * profile), INVALID, NOMEM.
 */
int sluice_profile_set_ocsp(struct sluice_profile *profile, const char *host, const void *der,
			    size_t der_len, struct sluice_error *ret_err);

/* struct sluice_ocsp_info - the response that a profile has. Seconds of the epoch; -1: not stated. */
struct sluice_ocsp_info {
	int stapled; /* 1: it is; 0: it is out of date */
	int64_t this_update_s, next_update_s;
};

/* sluice_profile_ocsp() tells of the response that there is. Errors: UNDEFINED (none), INVALID. */
int sluice_profile_ocsp(const struct sluice_profile *profile, const char *host,
			struct sluice_ocsp_info *ret_info, size_t info_size);

#ifdef __cplusplus
}
#endif
#endif
