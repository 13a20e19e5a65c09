/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which servers may be fetched from: "crl.example.com, crl.example.org:8080, 10.0.0.0/8". A name
 * allows itself, at one port (80 where none is given); where it leads must be an address of the
 * public internet, or one that the list has too. An address or prefix allows itself in a URL, at
 * its port or 80; for where a name leads its port counts only if one is given.
 *
 * The library checks a list where it is an option's, sluice-fetch holds every URL and every socket
 * against it.
 */
#ifndef SLUICE_FETCH_HOSTS_H
#define SLUICE_FETCH_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FETCH_MAX_HOSTS 64
#define FETCH_MAX_HOST 253        /* bytes of a name */
#define FETCH_MAX_HOSTS_TEXT 4095 /* bytes of a list */
#define FETCH_HTTP_PORT 80

struct fetch_host {
	char name[FETCH_MAX_HOST + 1]; /* lower case; "": the prefix */
	uint8_t address[16];           /* IPv4 as ::ffff:0:0/96 */
	unsigned int bits;
	uint16_t port; /* 0: none is given */
};

struct fetch_hosts {
	struct fetch_host hosts[FETCH_MAX_HOSTS];
	size_t n;
};

/*
 * fetch_hosts_parse() reads a list. Returns NULL, or what is wrong with the entry that *@ret_at is
 * set to.
 */
const char *fetch_hosts_parse(struct fetch_hosts *ret_hosts, const char *text, const char **ret_at);

/* fetch_address() reads an address as it stands in a URL, without brackets. */
bool fetch_address(const char *text, uint8_t ret_address[16]);

/*
 * fetch_hosts_allow() tells whether a URL may have host @name, as it stands there, and @port. Where it
 * leads is another question: fetch_hosts_allow_address().
 */
bool fetch_hosts_allow(const struct fetch_hosts *hosts, const char *name, uint16_t port);
bool fetch_hosts_allow_address(const struct fetch_hosts *hosts, const uint8_t address[16],
			       uint16_t port);

/*
 * fetch_url_host() takes host and port out of an http URL, as fetch_hosts_allow() wants them: for an early
 * word to who has written it. sluice-fetch reads the URL itself. False: it is none, or has a user.
 */
bool fetch_url_host(const char *url, char ret_host[FETCH_MAX_HOST + 1], uint16_t *ret_port);

/*
 * fetch_is_public() tells whether an address is one of the public internet, by the registries of
 * special purposes (RFC 6890): not a network of one's own, no multicast, no tunnel into one.
 */
bool fetch_is_public(const uint8_t address[16]);

#endif
