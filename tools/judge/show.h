/* SPDX-License-Identifier: Apache-2.0 */
/* What is in a certificate, as text. Peers choose it: what comes out is printable ASCII. */
#ifndef TOOLS_JUDGE_SHOW_H
#define TOOLS_JUDGE_SHOW_H

#include <stdint.h>

#include <openssl/x509.h>

#include "verify/names.h"

#define SHOW_NAME_LEN 512
#define SHOW_TIME_LEN 32

/* show_name() writes a name as RFC 2253 does; what is too long is cut. */
void show_name(const X509_NAME *name, char ret_text[SHOW_NAME_LEN]);

/* show_general_name() writes a DNS name or an address with its kind: "DNS:a.test", "IP:192.0.2.1". */
void show_general_name(const struct general_name *name, char ret_text[SHOW_NAME_LEN]);

/* show_time() writes a time of RFC 3339, in UTC. */
void show_time(int64_t time_s, char ret_text[SHOW_TIME_LEN]);

/* show_key() writes the kind of a certificate's key: "P-256", "RSA 2048". */
void show_key(X509 *x509, char ret_text[SHOW_TIME_LEN]);

#endif
