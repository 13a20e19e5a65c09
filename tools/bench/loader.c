// SPDX-License-Identifier: Apache-2.0
/*
 * A thread of the load: its event loop, when operations begin, and its results. In a closed loop an
 * operation begins when the one before it has ended; in an open loop when the schedule says so, and
 * its latency counts from there even when every slot is busy (no coordinated omission).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define TICK_NS (10 * NS_PER_MS) /* how late a time-out may be noticed */
#define EVENTS 128
#define SERIES_MAX 864000u /* a day */

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* --- results */

static struct error_count *error_kind(struct result *result, const char *name)
{
	int i;

	for (i = 0; i < result->n_kinds; i++) {
		if (strcmp(result->kinds[i].name, name) == 0)
			return &result->kinds[i];
	}
	if (result->n_kinds == ERROR_KINDS)
		return NULL;
	return &result->kinds[result->n_kinds++];
}

void loader_error(struct loader *loader, const char *name, int code, const char *text)
{
	struct result *result = &loader->result;
	struct error_count *kind;

	if (result->n_kinds == ERROR_KINDS - 1 && !error_kind(result, name))
		return;
	kind = error_kind(result, name);
	if (result->errors++ == 0)
		result->first_code = code;
	if (kind->count++ == 0) {
		snprintf(kind->name, sizeof(kind->name), "%s", name);
		snprintf(kind->text, sizeof(kind->text), "%s", text);
		kind->code = code;
	}
	atomic_store_explicit(&loader->failed, result->errors, memory_order_relaxed);
}

struct sample *loader_sample(struct loader *loader)
{
	struct result *result = &loader->result;
	struct sample *grown;
	size_t at, n;

	if (loader->now < loader->bench->measure_ns)
		return NULL;
	at = (loader->now - loader->bench->measure_ns) / SERIES_NS;
	if (at < result->n_series)
		return &result->series[at];
	n = at + 256;
	grown = n < SERIES_MAX ? realloc(result->series, n * sizeof(*grown)) : NULL;
	if (!grown)
		return NULL;
	memset(grown + result->n_series, 0, (n - result->n_series) * sizeof(*grown));
	result->series = grown;
	result->n_series = n;
	return &grown[at];
}

void loader_bytes(struct loader *loader, uint64_t in, uint64_t out)
{
	struct sample *sample = loader_sample(loader);

	if (loader->now < loader->bench->measure_ns)
		return;
	loader->result.bytes_in += in;
	loader->result.bytes_out += out;
	if (sample)
		sample->bytes += in + out;
}

static uint64_t processor_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * NS_PER_S +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

/* What the processor did before the measurement, start and warm-up, does not count. */
static void begin_counting(struct loader *loader)
{
	if (loader->counted_from || loader->now < loader->bench->measure_ns)
		return;
	loader->counted_from = loader->now;
	loader->cpu_from = processor_ns();
	loader->perf_fd = perf_open(&loader->result.instructions_scope);
}

static void end_counting(struct loader *loader)
{
	uint64_t wall = now_ns() - loader->counted_from;

	if (!loader->counted_from)
		return;
	loader->result.instructions = perf_close(loader->perf_fd);
	loader->result.cpu_ns = processor_ns() - loader->cpu_from;
	loader->result.busiest_permille = wall ? loader->result.cpu_ns * 1000 / wall : 0;
}

/* --- which operation begins when */

/* The operations of an open loop are dealt out to the threads in turn. */
static uint64_t due_at(const struct loader *loader, uint64_t index)
{
	const struct bench *bench = loader->bench;
	uint64_t k = index * (uint64_t)bench->settings->threads + (uint64_t)loader->id;

	return schedule_due(bench->start_ns, (uint64_t)bench->settings->rate, k);
}

static bool past_count(const struct loader *loader)
{
	const struct bench_settings *settings = loader->bench->settings;
	uint64_t k = loader->index * (uint64_t)settings->threads + (uint64_t)loader->id;

	/* Those of the warm-up, which take whole seconds, are not among the count. */
	return settings->count &&
	       k >= (uint64_t)(settings->warm_up * settings->rate + settings->count);
}

static bool next_of_schedule(struct loader *loader, struct slot *slot)
{
	uint64_t due = due_at(loader, loader->index);

	if (past_count(loader) || (loader->bench->end_ns && due >= loader->bench->end_ns)) {
		loader->finished = true;
		return false;
	}
	if (due > loader->now)
		return false;
	loader->index++;
	slot->intended = due;
	return true;
}

static bool next_at_once(struct loader *loader, struct slot *slot)
{
	struct bench *bench = loader->bench;

	if (bench->settings->count && loader->now >= bench->measure_ns &&
	    atomic_fetch_add(&bench->claimed, 1) >= (uint64_t)bench->settings->count) {
		loader->finished = true;
		return false;
	}
	slot->intended = loader->now;
	return true;
}

bool loader_next(struct loader *loader, struct slot *slot)
{
	const struct bench *bench = loader->bench;

	if (!loader->finished)
		loader->finished = atomic_load(&bench->stop) ||
				   (bench->end_ns && loader->now >= bench->end_ns);
	if (loader->finished)
		return false;
	slot->has_op = bench->settings->rate ? next_of_schedule(loader, slot)
					     : next_at_once(loader, slot);
	return slot->has_op;
}

/* --- slots */

void loader_free(struct loader *loader, struct slot *slot)
{
	loader->free[loader->n_free++] = slot;
}

/* Slots come one after the other, over all threads, until the ramp is over. */
static void ramp_up(struct loader *loader)
{
	const struct bench *bench = loader->bench;
	const struct bench_settings *settings = bench->settings;
	uint64_t ramp = (uint64_t)settings->ramp * NS_PER_S, place;

	while (loader->n_active < loader->n_slots) {
		place = (uint64_t)loader->n_active * (uint64_t)settings->threads +
			(uint64_t)loader->id;
		if (loader->now < bench->start_ns + ramp / (uint64_t)settings->connections * place)
			return;
		loader_free(loader, &loader->slots[loader->n_active++]);
	}
}

static void begin_due(struct loader *loader)
{
	while (loader->n_free && !loader->finished) {
		struct slot *slot = loader->free[loader->n_free - 1];
		bool primes = loader->bench->mode == MODE_RESUME && !slot->session;

		loader->now = now_ns();
		if (!primes && !loader_next(loader, slot))
			return;
		loader->n_free--;
		slot_begin(slot);
	}
}

/* One thread looks for all, as memory is the process's. */
static void look_at_memory(struct loader *loader)
{
	struct bench *bench = loader->bench;

	if (loader->id == 0 && bench->mode == MODE_IDLE && loader->now >= bench->end_ns &&
	    !atomic_load(&bench->memory_held))
		atomic_store(&bench->memory_held, memory_resident());
}

static void tick(struct loader *loader, uint64_t *next_tick)
{
	int i;

	if (loader->now < *next_tick)
		return;
	*next_tick = loader->now + TICK_NS;
	ramp_up(loader);
	look_at_memory(loader);
	for (i = 0; i < loader->n_active; i++)
		slot_tick(&loader->slots[i]);
}

static void run_again(struct loader *loader)
{
	int i;

	if (!loader->again)
		return;
	loader->again = false;
	for (i = 0; i < loader->n_active; i++) {
		if (loader->slots[i].state == SLOT_EXCHANGE && loader->slots[i].again)
			slot_ready(&loader->slots[i]);
	}
}

/* --- the loop */

static bool is_busy(const struct loader *loader)
{
	int i;

	for (i = 0; i < loader->n_active; i++) {
		if (loader->slots[i].has_op || loader->slots[i].state == SLOT_CLOSING)
			return true;
	}
	return false;
}

/* Whether everything has ended that is waited for: of bulk data at the end of the time nothing is. */
static bool is_over(struct loader *loader)
{
	const struct bench *bench = loader->bench;
	uint64_t grace = (uint64_t)bench->settings->timeout * NS_PER_MS;

	if (atomic_load(&bench->stop))
		return true;
	if (bench->end_ns && loader->now >= bench->end_ns) {
		loader->finished = true;
		if (bench->mode >= MODE_DOWNLOAD || loader->now >= bench->end_ns + grace)
			return true;
	}
	return loader->finished && !is_busy(loader);
}

static void wait_for(struct loader *loader, uint64_t next_tick)
{
	struct epoll_event events[EVENTS];
	uint64_t until = next_tick, left;
	struct timespec ts = { 0 };
	int i, n;

	loader->now = now_ns();
	if (loader->bench->settings->rate && loader->n_free && !loader->finished) {
		uint64_t due = due_at(loader, loader->index);

		until = due < until ? due : until;
	}
	left = until > loader->now && !loader->again ? until - loader->now : 0;
	ts.tv_nsec = (long)left; /* at most a tick */
	n = epoll_pwait2(loader->epoll_fd, events, EVENTS, &ts, NULL);
	if (n < 0 && errno != EINTR) /* a sandbox may not know it: late by up to a millisecond */
		n = epoll_wait(loader->epoll_fd, events, EVENTS, (int)(left / NS_PER_MS) + !!left);
	loader->now = now_ns();
	for (i = 0; i < n; i++)
		slot_ready(events[i].data.ptr);
}

static void loop(struct loader *loader)
{
	uint64_t next_tick = 0;

	loader->now = now_ns();
	while (!is_over(loader)) {
		begin_counting(loader);
		tick(loader, &next_tick);
		begin_due(loader);
		wait_for(loader, next_tick);
		run_again(loader);
	}
}

static int start(struct loader *loader)
{
	int i;

	loader->slots = calloc((size_t)loader->n_slots, sizeof(*loader->slots));
	loader->free = calloc((size_t)loader->n_slots, sizeof(*loader->free));
	loader->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!loader->slots || !loader->free || loader->epoll_fd < 0) {
		loader->fatal.code = loader->epoll_fd < 0 ? SLUICE_E_NOFILE : SLUICE_E_NOMEM;
		loader->fatal.alert = -1;
		return -loader->fatal.code;
	}
	for (i = 0; i < loader->n_slots; i++) {
		loader->slots[i].loader = loader;
		loader->slots[i].watched = -1;
	}
	return sluice_start(&loader->sluice, SLUICE_TEMPORARY, &loader->fatal);
}

/* What an open loop owed when its time was over. */
static void count_unsent(struct loader *loader)
{
	const struct bench *bench = loader->bench;
	uint64_t end = bench->end_ns && bench->end_ns < loader->now ? bench->end_ns : loader->now;

	if (!bench->settings->rate)
		return;
	while (!past_count(loader) && due_at(loader, loader->index) < end) {
		if (due_at(loader, loader->index) >= bench->measure_ns)
			loader->result.unsent++;
		loader->index++;
	}
}

void *loader_run(void *arg)
{
	struct loader *loader = arg;
	int i;

	if (start(loader) >= 0) {
		loop(loader);
		end_counting(loader);
		count_unsent(loader);
	}
	for (i = 0; i < loader->n_active; i++)
		slot_cut(&loader->slots[i]);
	sluice_stop(loader->sluice);
	if (loader->epoll_fd >= 0)
		close(loader->epoll_fd);
	free(loader->slots);
	free(loader->free);
	atomic_fetch_sub(&loader->bench->running, 1);
	return NULL;
}
