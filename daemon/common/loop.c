// SPDX-License-Identifier: Apache-2.0
#include "common/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

uint64_t loop_clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int loop_init(struct loop *loop, void (*tick)(struct loop *loop, void *arg), void *arg)
{
	*loop = (struct loop){ .tick = tick, .arg = arg };
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return -errno;
	loop->now_ms = loop_clock_ms();
	loop->next_tick_ms = loop->now_ms + LOOP_TICK_MS;
	return 0;
}

void loop_deinit(struct loop *loop)
{
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	loop->epoll_fd = -1;
}

int loop_watch(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (watch->added && watch->events == events)
		return 0;
	if (epoll_ctl(loop->epoll_fd, watch->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, watch->fd,
		      &event))
		return -errno;
	watch->added = true;
	watch->events = events;
	return 0;
}

void loop_forget(struct loop *loop, struct watch *watch)
{
	if (watch->added)
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->added = false;
}

static void tick(struct loop *loop)
{
	if (loop->now_ms < loop->next_tick_ms)
		return;
	loop->next_tick_ms = loop->now_ms + LOOP_TICK_MS;
	loop->tick(loop, loop->arg);
}

/*
 * What one event frees may be the subject of the next one: events are taken one at a time. With
 * level-triggered events none is lost, and each turn costs a system call more only under load.
 */
int loop_run(struct loop *loop)
{
	struct epoll_event event;
	struct watch *watch;
	int n, wait_ms;

	while (!loop->stop) {
		loop->now_ms = loop_clock_ms();
		tick(loop);
		wait_ms = (int)(loop->next_tick_ms - loop->now_ms);
		n = epoll_wait(loop->epoll_fd, &event, 1, wait_ms);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		loop->now_ms = loop_clock_ms();
		watch = event.data.ptr;
		watch->ready(watch, event.events);
	}
	return 0;
}
