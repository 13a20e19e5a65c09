// SPDX-License-Identifier: Apache-2.0
/*
 * One thread for each list of hosts: it asks a process, takes its answers, and is the only one that
 * starts or ends it. Threads with handshakes share the table of URLs with it, under one lock that
 * nobody holds while a CRL is parsed.
 */
#include "fetch/fetch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/error.h"
#include "core/sys.h"
#include "fetch/child.h"
#include "fetch/hosts.h"
#include "fetch/target.h"

#define MAX_FETCHERS 4 /* lists of hosts in one process */
#define MAX_FLYING 16  /* requests that a process has */
#define MAX_URIS 4     /* of one distribution point */
#define FETCH_MS 20000 /* of one fetch: longer than any handshake waits */
#define GRACE_MS 3000  /* after that the process hangs */
#define LONGEST_POLL_MS 10000

struct fetcher {
	struct fetcher *next;
	char hosts[FETCH_MAX_HOSTS_TEXT + 1];
	pthread_t thread;
	int wake_fd;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct fetch_targets targets;
	bool stop;

	struct fetch_child child; /* the thread's alone */
};

static struct {
	pthread_mutex_t lock;
	struct fetcher *first;
	unsigned int n;
} all = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Thread_local int may_wait_ms = -1;
static _Thread_local uint64_t budget_us; /* when it ends; 0: it has not begun */

/* --- arguments -------------------------------------------------------------------------------- */

struct args {
	unsigned int wait_ms;
	const char *hosts; /* not ended */
	size_t hosts_len;
};

static int take_wait(struct args *args, const char *value, size_t len, struct sluice_error *err)
{
	unsigned long ms = strspn(value, "0123456789") == len && len <= 5 ? strtoul(value, NULL, 10)
									  : 0;

	if (!len || !ms || ms > FETCH_MAX_WAIT_MS)
		return err_set(err, SLUICE_E_OPTION_RANGE,
			       "crl_cache: http takes 1 to %d milliseconds", FETCH_MAX_WAIT_MS);
	args->wait_ms = (unsigned int)ms;
	return 0;
}

static int take_arg(struct args *args, const char *text, size_t len, struct sluice_error *err)
{
	if (len >= 5 && !memcmp(text, "http=", 5))
		return take_wait(args, text + 5, len - 5, err);
	if (len < 6 || memcmp(text, "hosts=", 6) != 0)
		return err_set(err, SLUICE_E_OPTION,
			       "crl_cache: internal takes http=MS hosts=LIST, or nothing");
	args->hosts = text + 6;
	args->hosts_len = len - 6;
	return 0;
}

static int args_parse(struct args *ret_args, const char *text, struct sluice_error *err)
{
	struct args args = { .wait_ms = 0 };
	size_t len;
	int r = 0;

	for (text += strspn(text, " "); !r && *text; text += strspn(text, " ")) {
		len = strcspn(text, " ");
		r = take_arg(&args, text, len, err);
		text += len;
	}
	if (!r && (!args.wait_ms || !args.hosts))
		r = err_set(
			err, SLUICE_E_OPTION,
			"crl_cache: http needs hosts, those that may be fetched from, and hosts http");
	if (!r)
		*ret_args = args;
	return r;
}

int fetch_args_check(const char *text, struct sluice_error *ret_err)
{
	char hosts[FETCH_MAX_HOSTS_TEXT + 1];
	struct fetch_hosts *parsed;
	struct args args;
	const char *wrong, *at;
	int r = args_parse(&args, text, ret_err);

	if (r < 0)
		return r;
	snprintf(hosts, sizeof(hosts), "%.*s", (int)args.hosts_len, args.hosts);
	parsed = malloc(sizeof(*parsed));
	if (!parsed)
		return err_set(ret_err, SLUICE_E_NOMEM, "crl_cache: no memory");
	wrong = fetch_hosts_parse(parsed, hosts, &at);
	free(parsed);
	if (wrong)
		return err_set(ret_err, SLUICE_E_OPTION, "crl_cache: hosts: \"%.*s\" %s",
			       (int)strcspn(at, ", "), at, wrong);
	return 0;
}

/* --- the thread ------------------------------------------------------------------------------- */

static void wake(struct fetcher *fetcher)
{
	const uint64_t one = 1;

	/* It cannot fail but where the count is full: then it is awake. */
	if (write(fetcher->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* Without the lock, as all that takes time. */
static void lose_child(struct fetcher *fetcher)
{
	size_t i;

	fetch_child_end(&fetcher->child);
	pthread_mutex_lock(&fetcher->lock);
	for (i = 0; i < fetcher->targets.n; i++)
		target_lost(fetcher->targets.targets[i]);
	pthread_cond_broadcast(&fetcher->changed);
	pthread_mutex_unlock(&fetcher->lock);
}

/* No process can be started: that is not tried again for each certificate. */
static void fail_queued(struct fetcher *fetcher)
{
	size_t i;

	pthread_mutex_lock(&fetcher->lock);
	for (i = 0; i < fetcher->targets.n; i++)
		if (fetcher->targets.targets[i]->state == TARGET_QUEUED)
			target_failed(fetcher->targets.targets[i], FETCH_PROCESS);
	pthread_cond_broadcast(&fetcher->changed);
	pthread_mutex_unlock(&fetcher->lock);
}

/* Returns how many are queued by now, or -ETIMEDOUT: the process hangs. */
static int look(struct fetcher *fetcher)
{
	const struct fetch_target *target;
	uint64_t now = sys->now_us();
	int n = 0;
	size_t i;

	pthread_mutex_lock(&fetcher->lock);
	for (i = 0; n >= 0 && i < fetcher->targets.n; i++) {
		target = fetcher->targets.targets[i];
		target_due(fetcher->targets.targets[i]);
		if (target->state == TARGET_FLYING && now > target->overdue_us)
			n = -ETIMEDOUT;
		else
			n += target->state == TARGET_QUEUED;
	}
	pthread_mutex_unlock(&fetcher->lock);
	return n;
}

static void keep_child(struct fetcher *fetcher)
{
	int n = look(fetcher);

	if (n < 0)
		lose_child(fetcher);
	if (n <= 0 || fetcher->child.fd >= 0 || sys->now_us() < fetcher->child.retry_us)
		return;
	if (fetch_child_start(&fetcher->child, fetcher->hosts) < 0)
		fail_queued(fetcher);
}

static int ask(struct fetcher *fetcher, struct fetch_target *target)
{
	const struct fetch_request request = {
		.id = fetcher->targets.next_id,
		.url = target->url,
		.timeout_ms = FETCH_MS,
		.max_len = SLUICE_CRL_MAX_DER,
		.etag = target->crl ? target->etag : "",
		.modified = target->crl ? target->modified : "",
	};
	int r = fetch_child_ask(&fetcher->child, &request);

	if (r == 0)
		target_asked(&fetcher->targets, target, FETCH_MS + GRACE_MS);
	return r;
}

/* What does not go out now goes at the next turn; that the process is gone shows when it is read. */
static void send_queued(struct fetcher *fetcher)
{
	struct fetch_target *target;
	unsigned int flying = 0;
	size_t i;

	for (i = 0; i < fetcher->targets.n; i++)
		flying += fetcher->targets.targets[i]->state == TARGET_FLYING;
	for (i = 0; i < fetcher->targets.n && flying < MAX_FLYING; i++) {
		target = fetcher->targets.targets[i];
		if (target->state != TARGET_QUEUED)
			continue;
		if (ask(fetcher, target) < 0)
			return;
		flying++;
	}
}

/* Without the lock: that takes as long as the CRL is large. NULL: what came is none. */
static struct sluice_crl *parse(int body_fd, size_t *ret_len)
{
	struct sluice_crl *crl = NULL;
	uint8_t *der = fetch_body_read(body_fd, SLUICE_CRL_MAX_DER, ret_len);

	/* RFC 5280, 4.2.1.13: one CRL in DER. */
	if (der && sluice_crl_parse(&crl, der, *ret_len, NULL) < 0)
		crl = NULL;
	free(der);
	return crl;
}

static void take_answer(struct fetcher *fetcher, const struct fetch_answer *answer)
{
	struct sluice_crl *crl = NULL;
	struct fetch_target *target;
	size_t len = 0;

	if (answer->reason == FETCH_OK)
		crl = parse(answer->body_fd, &len);
	pthread_mutex_lock(&fetcher->lock);
	target = target_find(&fetcher->targets, answer->id);
	if (target && crl)
		target_took(&fetcher->targets, target, crl, len, answer);
	else if (target && answer->reason == FETCH_NOT_MODIFIED && target->crl)
		target_confirmed(target);
	else if (target)
		target_failed(target, answer->reason == FETCH_OK ? FETCH_CONTENT : answer->reason);
	else
		sluice_crl_unref(crl);
	pthread_cond_broadcast(&fetcher->changed);
	pthread_mutex_unlock(&fetcher->lock);
}

static void take_answers(struct fetcher *fetcher)
{
	struct fetch_answer answer;
	int r;

	while ((r = fetch_child_answer(&fetcher->child, &answer)) > 0)
		take_answer(fetcher, &answer);
	if (r < 0)
		lose_child(fetcher);
}

/* Short while something is under way, or waits for another process. */
static int poll_ms(const struct fetcher *fetcher)
{
	size_t i;

	for (i = 0; i < fetcher->targets.n; i++)
		if (fetcher->targets.targets[i]->state != TARGET_IDLE)
			return 100;
	return LONGEST_POLL_MS;
}

static void *run(void *arg)
{
	struct fetcher *fetcher = arg;
	struct pollfd fds[2] = { { .fd = fetcher->wake_fd, .events = POLLIN },
				 { .events = POLLIN } };
	uint64_t count;
	bool stop;
	int wait_ms;

	for (;;) {
		keep_child(fetcher);
		pthread_mutex_lock(&fetcher->lock);
		if (fetcher->child.fd >= 0)
			send_queued(fetcher);
		wait_ms = poll_ms(fetcher);
		stop = fetcher->stop;
		pthread_mutex_unlock(&fetcher->lock);
		if (stop)
			break;
		fds[1].fd = fetcher->child.fd;
		fds[1].revents = 0;
		poll(fds, 2, wait_ms);
		if (fds[0].revents && read(fetcher->wake_fd, &count, sizeof(count)) < 0)
			continue;
		if (fds[1].revents)
			take_answers(fetcher);
	}
	fetch_child_end(&fetcher->child);
	return NULL;
}

/* --- its life --------------------------------------------------------------------------------- */

static struct fetcher *fetcher_free(struct fetcher *fetcher)
{
	if (fetcher->wake_fd >= 0)
		close(fetcher->wake_fd);
	targets_clear(&fetcher->targets);
	pthread_cond_destroy(&fetcher->changed);
	pthread_mutex_destroy(&fetcher->lock);
	free(fetcher);
	return NULL;
}

/* No signal of the program is this thread's. */
static int start_thread(struct fetcher *fetcher)
{
	sigset_t every, before;
	int r;

	sigfillset(&every);
	pthread_sigmask(SIG_SETMASK, &every, &before);
	r = pthread_create(&fetcher->thread, NULL, run, fetcher);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

static struct fetcher *fetcher_new(const char *hosts, size_t len)
{
	struct fetcher *fetcher = calloc(1, sizeof(*fetcher));
	pthread_condattr_t attr;

	if (!fetcher)
		return NULL;
	memcpy(fetcher->hosts, hosts, len);
	fetcher->child.fd = -1;
	pthread_mutex_init(&fetcher->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&fetcher->changed, &attr);
	pthread_condattr_destroy(&attr);
	fetcher->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fetcher->wake_fd < 0 || start_thread(fetcher))
		return fetcher_free(fetcher);
	return fetcher;
}

/* After fork(2) the child has our memory and not our threads: it begins anew, if it fetches at all. */
static void forget_after_fork(void)
{
	struct fetcher *fetcher;

	for (fetcher = all.first; fetcher; fetcher = fetcher->next) {
		close(fetcher->wake_fd);
		if (fetcher->child.fd >= 0) {
			close(fetcher->child.fd);
			close(fetcher->child.pidfd);
		}
	}
	all.first = NULL;
	all.n = 0;
	pthread_mutex_init(&all.lock, NULL);
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, forget_after_fork);
}

static struct fetcher *find(const struct args *args)
{
	struct fetcher *fetcher;

	for (fetcher = all.first; fetcher; fetcher = fetcher->next)
		if (strlen(fetcher->hosts) == args->hosts_len &&
		    !memcmp(fetcher->hosts, args->hosts, args->hosts_len))
			break;
	return fetcher;
}

static struct fetcher *get(const struct args *args)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct fetcher *fetcher;

	pthread_once(&once, watch_forks);
	pthread_mutex_lock(&all.lock);
	fetcher = find(args);
	if (!fetcher && all.n < MAX_FETCHERS && args->hosts_len <= FETCH_MAX_HOSTS_TEXT) {
		fetcher = fetcher_new(args->hosts, args->hosts_len);
		if (fetcher) {
			fetcher->next = all.first;
			all.first = fetcher;
			all.n++;
		}
	}
	pthread_mutex_unlock(&all.lock);
	return fetcher;
}

void fetch_end(void)
{
	struct fetcher *fetcher, *next;

	pthread_mutex_lock(&all.lock);
	for (fetcher = all.first; fetcher; fetcher = next) {
		next = fetcher->next;
		pthread_mutex_lock(&fetcher->lock);
		fetcher->stop = true;
		pthread_mutex_unlock(&fetcher->lock);
		wake(fetcher);
		pthread_join(fetcher->thread, NULL);
		fetcher_free(fetcher);
	}
	all.first = NULL;
	all.n = 0;
	pthread_mutex_unlock(&all.lock);
}

/* --- look-ups --------------------------------------------------------------------------------- */

void fetch_budget_begin(void)
{
	budget_us = 0;
}

int fetch_may_wait(int timeout_ms)
{
	int before = may_wait_ms;

	may_wait_ms = timeout_ms;
	return before;
}

bool fetch_args_wait(const char *args)
{
	return strstr(args, "http=");
}

/* Of the real clock, which pthread_cond_timedwait(3) has. */
static struct timespec budget_end(unsigned int wait_ms)
{
	if (may_wait_ms >= 0 && (unsigned int)may_wait_ms < wait_ms)
		wait_ms = (unsigned int)may_wait_ms;
	if (!budget_us)
		budget_us = sys_real.now_us() + 1000ull * wait_ms;
	return (struct timespec){ .tv_sec = (time_t)(budget_us / 1000000),
				  .tv_nsec = (long)(budget_us % 1000000 * 1000) };
}

struct wanted {
	struct fetch_target *targets[MAX_URIS];
	size_t n;
};

static bool is_http(const char *uri)
{
	return !strncasecmp(uri, "http://", 7) && strnlen(uri, FETCH_MAX_URL + 1) <= FETCH_MAX_URL;
}

/* Returns whether the thread has something to do. */
static bool want(struct fetcher *fetcher, const struct sluice_dist_point *point,
		 struct wanted *wanted)
{
	struct fetch_target *target;
	bool any = false;
	size_t i;

	for (i = 0; i < point->n_uris && wanted->n < MAX_URIS; i++) {
		if (!is_http(point->uris[i]))
			continue;
		target = target_get(&fetcher->targets, point->uris[i]);
		if (!target)
			continue;
		target->waiters++;
		wanted->targets[wanted->n++] = target;
		any |= target_want(target);
	}
	return any;
}

/* One CRL is enough: the URIs of a point lead to the same (RFC 5280, 4.2.1.13). */
static bool is_settled(const struct wanted *wanted)
{
	bool settled = true;
	size_t i;

	for (i = 0; i < wanted->n; i++) {
		if (target_has(wanted->targets[i]))
			return true;
		settled &= wanted->targets[i]->state == TARGET_IDLE;
	}
	return settled;
}

static int add_found(const struct wanted *wanted, struct sluice_crl_found *found)
{
	int r = SLUICE_CRL_NOT_AVAILABLE, one = 0;
	size_t i;

	for (i = 0; one >= 0 && i < wanted->n; i++) {
		one = target_add_found(wanted->targets[i], found);
		r = one == SLUICE_CRL_NOT_AVAILABLE ? r : one;
	}
	return r;
}

int fetch_crl_wait(const char *text, const struct sluice_dist_point *point,
		   struct sluice_crl_found *found)
{
	struct wanted wanted = { .n = 0 };
	struct fetcher *fetcher;
	struct timespec end;
	struct args args;
	int r = args_parse(&args, text, NULL);
	size_t i;

	if (r < 0)
		return r;
	fetcher = get(&args);
	if (!fetcher)
		return SLUICE_CRL_NOT_AVAILABLE;
	end = budget_end(args.wait_ms);
	pthread_mutex_lock(&fetcher->lock);
	if (want(fetcher, point, &wanted))
		wake(fetcher);
	while (!is_settled(&wanted) &&
	       pthread_cond_timedwait(&fetcher->changed, &fetcher->lock, &end) == 0)
		;
	r = add_found(&wanted, found);
	for (i = 0; i < wanted.n; i++)
		wanted.targets[i]->waiters--;
	pthread_mutex_unlock(&fetcher->lock);
	return r;
}
