/* SPDX-License-Identifier: Apache-2.0 */
/* From the shim's flags to a profile of the library. */
#ifndef SLUICE_TESTS_BOGO_PROFILE_H
#define SLUICE_TESTS_BOGO_PROFILE_H

#include <openssl/x509.h>

#include <sluice/sluice.h>

#include "flags.h"

/* die() ends the shim with a message for the runner. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* read_cert() reads the first certificate of a PEM file, or returns NULL. */
X509 *read_cert(const char *path);

/* make_profile() builds it; @base: whose ticket keys a server shares, NULL: nobody's. */
struct sluice_profile *make_profile(const struct flags *flags, const struct sluice_profile *base);

#endif
