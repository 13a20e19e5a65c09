/* SPDX-License-Identifier: Apache-2.0 */
/* An event loop over epoll(7): descriptors, and one tick for all that has a deadline. */
#ifndef SLUICED_COMMON_LOOP_H
#define SLUICED_COMMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#define LOOP_TICK_MS 50

struct loop;

/* struct watch - a descriptor that is watched; embedded in what it belongs to. */
struct watch {
	int fd;
	uint32_t events; /* EPOLLIN, EPOLLOUT; 0: only errors */
	void (*ready)(struct watch *watch, uint32_t events);
	bool added;
};

#define LOOP_BATCH 64

struct epoll_event;

struct loop {
	int epoll_fd;
	struct epoll_event *batch; /* what epoll_wait(2) told last */
	int batch_n, batch_at;
	bool stop;
	uint64_t now_ms; /* when the last events came */
	uint64_t next_tick_ms;
	bool quiet; /* nothing has a deadline: tick once a second */
	void (*tick)(struct loop *loop, void *arg);
	void *arg;
};

/* loop_init() returns 0 or -errno. @tick is called every LOOP_TICK_MS. */
int loop_init(struct loop *loop, void (*tick)(struct loop *loop, void *arg), void *arg);
void loop_deinit(struct loop *loop);

/* loop_watch() begins, or changes the events of, a watch. loop_forget() ends it, before close(2). */
int loop_watch(struct loop *loop, struct watch *watch, uint32_t events);
void loop_forget(struct loop *loop, struct watch *watch);

/* loop_run() runs until loop->stop. Returns 0 or -errno. */
int loop_run(struct loop *loop);

/* The same one turn at a time, for who waits for something else as well: until the tick at most. */
int loop_wait_ms(const struct loop *loop);
int loop_turn(struct loop *loop, int timeout_ms);

uint64_t loop_clock_ms(void);

#endif
