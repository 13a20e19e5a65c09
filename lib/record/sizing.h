/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much plaintext a record of ours carries: as much as may be, or little where little arrives
 * at once. A receiver opens a record when all of it is there. While a connection is young its
 * congestion window is small, and 16 KiB are several round trips: records that fit a segment give the
 * peer something to do meanwhile. Sans-I/O; the time comes from the caller.
 */
#ifndef SLUICE_RECORD_SIZING_H
#define SLUICE_RECORD_SIZING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One TCP segment in the common worst case: 1500 bytes less 60 of IPv6 with timestamps and room for a
 * tunnel, less 22 of header, type and tag. Sizes and steps are those of Cloudflare's patch for nginx
 * (ssl_dyn_rec_*): 40 records of each, which slow start gets through in three or four round trips.
 */
#define SIZING_SEGMENT 1369
#define SIZING_MIDDLE 4229
#define SIZING_STEP 40
#define SIZING_IDLE_US 1000000 /* RFC 6298: TCP's first RTO, after which its window may be small */

struct sizing {
	uint16_t most; /* plaintext bytes, whatever else */
	bool dynamic;
	uint32_t sent; /* since the connection began or was idle; no more is counted than matters */
	uint64_t last_us;
};

/* sizing_start() begins: records of up to @most bytes; @dynamic: small ones first. */
void sizing_start(struct sizing *sizing, uint16_t most, bool dynamic);

/*
 * sizing_next() returns how many bytes the next record may have, at @now_us (unused unless dynamic), and cuts
 * @len where that changes.
 */
uint16_t sizing_next(struct sizing *sizing, uint64_t now_us, size_t *len);

/* sizing_sent() is told of @n bytes. */
void sizing_sent(struct sizing *sizing, size_t n, uint64_t now_us);

#endif
