/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large buffers for moments: bytes on their way between a socket and an AEAD. Connections have none
 * while nothing is under way, so each thread keeps two of each length that it has used, one for each direction,
 * and bulk data neither goes to the allocator for every record nor to memory that the cache has forgotten.
 */
#ifndef SLUICE_CORE_BUFFER_H
#define SLUICE_CORE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

/* Five TLS records of full length, sealed: 64 KiB that a program reads at a time, and a head before them. */
#define BUFFER_LEN ((size_t)5 * (16384 + 32))

/* One record of any version, sealed, and its header (RFC 5246, 6.2.3). */
#define BUFFER_RECORD_LEN ((size_t)5 + 16384 + 2048)

/*
 * buffer_take() returns @len bytes, uninitialized: as many as one of the lengths above are one of the thread's
 * own if it has one. NULL: no memory. buffer_give() takes back what was taken with the same @len, by
 * any thread; the caller has wiped what must not stay. NULL is fine.
 */
uint8_t *buffer_take(size_t len);
void buffer_give(uint8_t *buf, size_t len);

/*
 * buffer_trim() frees what this thread keeps; the end of a thread does, by a function of this library: who
 * unloads it by dlclose(3) has ended the threads that used it before.
 */
void buffer_trim(void);

#endif
