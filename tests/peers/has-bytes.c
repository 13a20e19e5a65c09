/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a process has bytes anywhere in its memory, for tests/daemon/walls.sh:
 *
 *	has-bytes PID HEX
 *
 * Exits 0 if it has, 1 if not, 2 if its memory cannot be read.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_BYTES 4096
#define CHUNK (1 << 20)

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t n = 0;
	unsigned int byte;

	while (n < MAX_BYTES && sscanf(hex + 2 * n, "%2x", &byte) == 1)
		out[n++] = (uint8_t)byte;
	return n;
}

/* Chunks overlap by the length of what is looked for. */
static int search(int fd, uint64_t from, uint64_t to, const uint8_t *bytes, size_t len)
{
	static uint8_t buf[CHUNK];
	ssize_t n;

	while (from < to) {
		n = pread(fd, buf, to - from < CHUNK ? to - from : CHUNK, (off_t)from);
		if (n < (ssize_t)len)
			return 0; /* [vvar] and the like cannot be read */
		if (memmem(buf, (size_t)n, bytes, len))
			return 1;
		from += (uint64_t)n - (n == CHUNK ? len - 1 : 0);
	}
	return 0;
}

int main(int argc, char **argv)
{
	char path[64], line[600], rights[8];
	uint8_t bytes[MAX_BYTES];
	uint64_t from, to, read_bytes = 0;
	size_t len;
	FILE *maps;
	int mem;

	if (argc != 3 || !(len = from_hex(argv[2], bytes)))
		return 2;
	snprintf(path, sizeof(path), "/proc/%s/mem", argv[1]);
	mem = open(path, O_RDONLY);
	snprintf(path, sizeof(path), "/proc/%s/maps", argv[1]);
	maps = fopen(path, "r");
	if (mem < 0 || !maps)
		return 2;
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &to, rights) != 3 ||
		    rights[0] != 'r' || strstr(line, "[vsyscall]"))
			continue;
		if (search(mem, from, to, bytes, len))
			return 0;
		read_bytes += to - from;
	}
	return read_bytes ? 1 : 2;
}
