// SPDX-License-Identifier: Apache-2.0
/* Instructions of one thread by perf_event_open(2), where that is permitted. */
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "load.h"

static int open_counter(bool kernel)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.exclude_kernel = !kernel,
		.exclude_hv = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

int perf_open(const char **ret_scope)
{
	int fd = open_counter(true);

	*ret_scope = "user and kernel";
	if (fd < 0) {
		fd = open_counter(false);
		*ret_scope = "user";
	}
	if (fd < 0)
		*ret_scope = NULL;
	return fd;
}

uint64_t perf_close(int fd)
{
	uint64_t count = 0;

	if (fd < 0)
		return 0;
	if (read(fd, &count, sizeof(count)) != sizeof(count))
		count = 0;
	close(fd);
	return count;
}
