/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers of the PROXY protocol (proxy-protocol.txt of HAProxy) for a server that is to know whom it serves. No
 * input or output: facts in, bytes out.
 */
#ifndef SLUICED_COMMON_PROXY_WRITE_H
#define SLUICED_COMMON_PROXY_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define PROXY_WRITE_MAX 2048 /* bytes of a header, with every text at its longest */

/* struct proxy_facts - what is told of a connection. Texts may be NULL or empty, and then are left out. */
struct proxy_facts {
	struct sockaddr_storage source, destination; /* of other families than IP: none is told */
	/* version 2 only */
	const char *alpn, *sni;  /* of at most 255 bytes */
	const char *unique_id;   /* at most 128 */
	const char *version;     /* "TLSv1.3"; NULL: no TLS, and nothing of what follows */
	const char *cipher;      /* OpenSSL's name */
	const char *common_name; /* of the client's certificate, UTF-8, at most 255 */
	bool has_cert;           /* the client's certificate is known */
	bool is_resumed;         /* ... from the session before */
	bool is_verified;        /* ... and its chain was accepted */
};

/*
 * proxy_write_text() and proxy_write_binary() write versions 1 and 2 (sections 2.1, 2.2). Returns the length; a text
 * that is too long is left out.
 */
size_t proxy_write_text(uint8_t out[PROXY_WRITE_MAX], const struct proxy_facts *facts);
size_t proxy_write_binary(uint8_t out[PROXY_WRITE_MAX], const struct proxy_facts *facts);

#endif
