/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel TLS on a socket: attach, install, rekey, probe. The only place that says SOL_TLS. */
#ifndef SLUICE_RECORD_KTLS_H
#define SLUICE_RECORD_KTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <sluice/info.h>

#include "record/traffic.h"

enum ktls_direction {
	KTLS_TX,
	KTLS_RX,
};

/* The size of the control buffer that a receive on a kernel-path socket needs. */
#define KTLS_CONTROL_LEN CMSG_SPACE(sizeof(unsigned char))

/*
 * ktls_attach() attaches the ULP to a connected socket; plain bytes still flow. Returns 0 or the
 * positive errno of setsockopt(2): ENOENT no kernel TLS, ENOTCONN not established, EEXIST another
 * ULP, EOPNOTSUPP not TCP.
 */
int ktls_attach(int fd);

/* ktls_attach_reason() says what an errno of ktls_attach() means for the record path. */
enum sluice_path_reason ktls_attach_reason(int err);

/*
 * ktls_install() puts one direction's keys into the socket, the first time or for the next epoch.
 * No receive may be in flight. No copy of the keys stays behind. Returns 0 or a positive errno; the
 * socket is unchanged then. EOPNOTSUPP: the kernel's interface has no such cipher. EBUSY: keyed
 * already, and no rekeying (TLS 1.2, or an older kernel).
 */
int ktls_install(int fd, enum ktls_direction dir, const struct traffic *traffic);

enum ktls_option {
	KTLS_ZEROCOPY_RO, /* sendfile's pages will not change: 0 or 1 */
	KTLS_NO_PAD,      /* the peer is expected not to pad: 0 or 1; TLS 1.3, after KTLS_RX */
	KTLS_MAX_PAYLOAD, /* plaintext bytes of a record, from 63 (TLS 1.3) or 64 to 16384 */
};

/*
 * ktls_set_option() sets one of the kernel's own options on an attached socket. Returns 0 or a
 * positive errno; ENOPROTOOPT: this kernel does not have it.
 */
int ktls_set_option(int fd, enum ktls_option option, uint16_t value);

/* ktls_record_seq() reads the live record number of a direction. Returns 0 or a positive errno. */
int ktls_record_seq(int fd, enum ktls_direction dir, const struct suite *suite, uint64_t *ret_seq);

/* ktls_has_keys() tells whether a direction's keys in the socket are those of @traffic. */
bool ktls_has_keys(int fd, enum ktls_direction dir, const struct traffic *traffic);

/*
 * ktls_repeat() puts the keys that a direction has into the socket once more, at the record where it
 * stands. Returns 0 or an errno.
 */
int ktls_repeat(int fd, enum ktls_direction dir, const struct suite *suite);

/* ktls_set_type() makes @msg carry a record type; @control must hold KTLS_CONTROL_LEN bytes. */
void ktls_set_type(struct msghdr *msg, void *control, uint8_t type);

/*
 * ktls_get_type() reads the record type that came with @msg. Returns the type, -1 when there is
 * none (end of the transport), -2 when the control message is malformed or cut.
 */
int ktls_get_type(struct msghdr *msg);

/* ktls_owns_option() tells whether a socket option is one that only this library may set. */
bool ktls_owns_option(int level, int name);

/*
 * ktls_probe() finds out on loopback socket pairs what this kernel takes and fills the kernel's
 * part of @ret_caps. Never fails: what could not be tried carries its errno.
 */
void ktls_probe(struct sluice_capabilities *ret_caps);

#endif
