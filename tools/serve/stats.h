/* SPDX-License-Identifier: Apache-2.0 */
/* The counters of a server: one list gives the field, and the name under which it is printed. */
#ifndef TOOLS_SERVE_STATS_H
#define TOOLS_SERVE_STATS_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#define STATS(X)              \
	X(accepted)           \
	X(accept_pauses)      \
	X(closed)             \
	X(handshakes)         \
	X(handshakes_resumed) \
	X(handshakes_failed)  \
	X(tx_kernel)          \
	X(tx_user)            \
	X(rx_kernel)          \
	X(rx_user)            \
	X(bytes_in)           \
	X(bytes_out)          \
	X(key_updates)        \
	X(timeouts)           \
	X(errors)             \
	X(http_requests)      \
	X(http_errors)        \
	X(files_spliced)

/* Shared by all workers; nothing is decided by them, so relaxed order is enough. */
struct stats {
#define STATS_FIELD(name) atomic_uint_least64_t name;
	STATS(STATS_FIELD)
#undef STATS_FIELD
};

static inline void stats_add(atomic_uint_least64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* stats_print() prints `name value` lines. */
void stats_print(const struct stats *stats, FILE *out);

#endif
