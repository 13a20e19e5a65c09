// SPDX-License-Identifier: Apache-2.0
/* What connections that are held cost the client. */
#include <malloc.h>
#include <unistd.h>

#include "load.h"

uint64_t memory_resident(void)
{
	unsigned long long size, resident;
	FILE *file;
	int n;

	malloc_trim(0); /* what handshakes have left behind is not the connections' */
	file = fopen("/proc/self/statm", "re");
	if (!file)
		return 0;
	n = fscanf(file, "%llu %llu", &size, &resident);
	fclose(file);
	return n == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

uint64_t memory_per_conn(const struct bench *bench, const struct result *result)
{
	uint64_t held = atomic_load(&bench->memory_held), n = result->full + result->resumed;

	return held > bench->memory_before && n ? (held - bench->memory_before) / n : 0;
}
