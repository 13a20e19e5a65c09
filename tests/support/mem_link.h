/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction of the user record path over memory: a sender, a pipe of bytes, a receiver. The
 * pipe cuts and refuses as it is told; there is no socket and no time, so every run is the same.
 * Nothing here asserts: unit tests and fuzz targets judge.
 */
#ifndef SLUICE_TESTS_SUPPORT_MEM_LINK_H
#define SLUICE_TESTS_SUPPORT_MEM_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record/record.h"

struct mem_link {
	struct record_tx *tx;
	struct record_rx *rx;
	uint8_t *wire; /* bytes sent and not yet received, from wire_start to wire_end */
	size_t wire_start, wire_end, wire_size;
	size_t chunk; /* the most bytes one call moves; 0: no limit */
	bool stutter; /* every second call fails with EAGAIN, EINTR or ECANCELED */
	unsigned int calls;
};

/*
 * mem_link_open() makes both ends from one direction's state, mem_link_close() frees them. Returns
 * 0 or the error of the record path.
 */
int mem_link_open(struct mem_link *link, const struct traffic *traffic);
void mem_link_close(struct mem_link *link);

/* mem_link_put() appends bytes to the wire as they are; mem_link_get() performs @msg as recvmsg. */
void mem_link_put(struct mem_link *link, const void *bytes, size_t len);
ssize_t mem_link_get(struct mem_link *link, struct msghdr *msg);

/* mem_link_send() gives all of @buf to the sender and sends until nothing is pending. */
int mem_link_send(struct mem_link *link, uint8_t type, const void *buf, size_t len);

/*
 * mem_link_recv() receives until there is a record, or nothing more on the wire (MORE),
 * or an error. @buf is where the receiver may put plaintext.
 */
int mem_link_recv(struct mem_link *link, void *buf, size_t buf_len, struct record *ret_record);

#endif
