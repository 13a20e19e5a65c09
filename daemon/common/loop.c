// SPDX-License-Identifier: Apache-2.0
#include "common/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/sys.h"

#define QUIET_MS 1000

uint64_t loop_clock_ms(void)
{
	return sys->now_us() / 1000;
}

int loop_init(struct loop *loop, void (*tick)(struct loop *loop, void *arg), void *arg)
{
	*loop = (struct loop){ .tick = tick, .arg = arg };
	loop->batch = calloc(LOOP_BATCH, sizeof(*loop->batch));
	if (!loop->batch)
		return -ENOMEM;
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
	free(loop->batch);
	loop->batch = NULL;
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
	int i;

	/* What one event frees may be the subject of the next one. */
	for (i = loop->batch_at; i < loop->batch_n; i++)
		if (loop->batch[i].data.ptr == watch)
			loop->batch[i].data.ptr = NULL;
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

static void run_batch(struct loop *loop)
{
	struct epoll_event *event;
	struct watch *watch;

	while (loop->batch_at < loop->batch_n) {
		event = &loop->batch[loop->batch_at++];
		watch = event->data.ptr;
		if (watch)
			watch->ready(watch, event->events);
	}
	loop->batch_at = loop->batch_n = 0;
}

int loop_wait_ms(const struct loop *loop)
{
	uint64_t now_ms = loop_clock_ms();

	if (loop->quiet)
		return QUIET_MS;
	return now_ms < loop->next_tick_ms ? (int)(loop->next_tick_ms - now_ms) : 0;
}

int loop_turn(struct loop *loop, int timeout_ms)
{
	int n = epoll_wait(loop->epoll_fd, loop->batch, LOOP_BATCH, timeout_ms);

	if (n < 0 && errno != EINTR)
		return -errno;
	loop->now_ms = loop_clock_ms();
	loop->batch_n = n > 0 ? n : 0;
	run_batch(loop);
	tick(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	int r = 0;

	while (r == 0 && !loop->stop)
		r = loop_turn(loop, loop_wait_ms(loop));
	return r;
}
