/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may come before a ClientHello: a PROXY header, and what shows whether TLS follows at all. Not a byte is
 * taken from the socket but the header's.
 */
#ifndef SLUICED_HANDSHAKER_PREFACE_H
#define SLUICED_HANDSHAKER_PREFACE_H

#include "common/proxy.h"

/*
 * preface_header() reads what there is of a PROXY header. Returns 0 when it is whole, -SLUICE_E_AGAIN, or an
 * error, which *@ret_error (static) words: PROTOCOL (it is none), TRUNCATED, RESET, IO.
 */
int preface_header(struct proxy *proxy, int fd, const char **ret_error);

/*
 * preface_is_tls() looks at the first byte. Returns 1: a TLS record of the handshake (RFC 8446, 5.1), 0: not,
 * or an error as above.
 */
int preface_is_tls(int fd, const char **ret_error);

#endif
