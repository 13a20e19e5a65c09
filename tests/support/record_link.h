/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two record layers in one process, joined by loopback TCP, without a handshake: each end on the
 * kernel's or the user's path, in any suite and at any record number. And the records that neither
 * path would send: sealed here by hand, from the RFCs, as a third opinion.
 */
#ifndef SLUICE_TESTS_RECORD_LINK_H
#define SLUICE_TESTS_RECORD_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/info.h>

#include "record/record.h"

/*
 * link_probe() asks this kernel what it can do, once per program. Where it cannot do what a test is
 * about, the link_need() functions say so and skip the test; they come before all else in it.
 */
int link_probe(void **state);
extern struct sluice_capabilities link_caps;

void link_need(int err, const char *what); /* @err 0: it is there */
void link_need_ktls(void);
void link_need_rekey(void);
const struct suite *link_need_suite(uint16_t id);

/* One suite of each cipher and version; those of TLS 1.3 come first. */
#define LINK_N_SUITES 6
#define LINK_N_SUITES_TLS13 3
extern const uint16_t link_suites[LINK_N_SUITES];

struct link_setup {
	int family; /* AF_INET, AF_INET6 */
	const struct suite *suite;
	uint64_t seq;               /* of each direction's first record */
	enum sluice_path near, far; /* who runs the records of each end */
	int send_buf;               /* near's SO_SNDBUF; 0: the kernel's own choice */
};

struct link_end {
	int fd;
	struct traffic *rx_keys, *tx_keys; /* of the epoch in force */
	struct record_rx *rx;
	struct record_tx *tx;
};

struct link {
	struct link_end near, far;
};

/* All of these end the test when something fails that should not. */

/* link_tcp() makes a connected pair of sockets; everything else uses them with MSG_DONTWAIT. */
void link_tcp(int family, int *ret_near, int *ret_far);

/* link_keys() makes both directions' keys for both ends, at random. */
void link_keys(struct link *link, const struct suite *suite, uint64_t seq);

/* link_arm() gives @end its record path; with the kernel's the keys go into the socket. */
void link_arm(struct link_end *end, enum sluice_path path);

/* link_open() does all three. */
void link_open(struct link *link, const struct link_setup *setup);
void link_close(struct link *link);

/* link_send() makes one attempt, and returns as record_tx_ops.done(). */
ssize_t link_send(struct link_end *end, uint8_t type, const void *buf, size_t len);

/* link_send_all() sends a record that the socket has room for. */
void link_send_all(struct link_end *end, uint8_t type, const void *buf, size_t len);

/*
 * link_recv() waits for the next thing to arrive, at most for a second or two. Returns as
 * record_rx_ops.done(), and RECORD_MORE when nothing came.
 */
int link_recv(struct link_end *end, void *buf, size_t len, struct record *ret_record);

/* link_expect() receives exactly this record, in one piece. */
void link_expect(struct link_end *end, uint8_t type, const void *bytes, size_t len);

/* One step of a conversation: @len bytes of this type. */
struct link_item {
	uint8_t type;
	size_t len;
};

/*
 * link_run() sends the items, receives with a buffer of @buf_len bytes, and compares: every byte,
 * the place of each control record between the data, and where it ends.
 */
void link_run(struct link_end *from, struct link_end *to, const struct link_item *items,
	      size_t n_items, size_t buf_len);

/* link_rekey_tx() and link_rekey_rx() go on to the next epoch and return what the path says. */
int link_rekey_tx(struct link_end *end);
int link_rekey_rx(struct link_end *end);

#define LINK_MAX_SEALED (RECORD_HEADER_LEN + RECORD_MAX_CIPHER_TLS12 + 64)

/*
 * link_seal() writes one record under @keys with number @seq, with @pad bytes of TLS 1.3 padding.
 * Returns its length.
 */
size_t link_seal(uint8_t out[LINK_MAX_SEALED], const struct traffic *keys, uint64_t seq,
		 uint8_t type, const void *plain, size_t len, size_t pad);

/* link_send_raw() writes bytes to the socket of an end that has no kernel keys. */
void link_send_raw(struct link_end *end, const void *bytes, size_t len);

/* link_send_sealed() seals as link_seal() with the end's keys, at @seq, and sends. */
void link_send_sealed(struct link_end *end, uint64_t seq, uint8_t type, const void *plain,
		      size_t len, size_t pad);

#endif
