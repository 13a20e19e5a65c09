// SPDX-License-Identifier: Apache-2.0
/* `sluicectl top`: the state, and the sessions that move most bytes, each second. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"

#define REFRESH_MS 1000
#define TEXT_LEN 64
#define HEAD_LINES 4

struct line {
	uint64_t id, in, out, in_rate, out_rate, age_ms;
	char state[12], peer[TEXT_LEN], sni[TEXT_LEN];
};

struct lines {
	struct line *lines;
	size_t n, size;
};

struct screen {
	struct ctl ctl;
	struct lines now, before; /* before: by id */
	uint64_t now_ms, before_ms;
	char status[200];
};

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	ended = 1;
}

static uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* --- what is shown -------------------------------------------------------------------------------- */

static const char *text_of(struct json_object *row, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(row, key, &value) && value ? json_object_get_string(value)
								    : "-";
}

static uint64_t number_of(struct json_object *row, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(row, key, &value);
	return json_object_get_uint64(value);
}

static void take_session(void *arg, struct json_object *row)
{
	struct lines *lines = arg;
	struct line *line, *bigger;

	if (lines->n == lines->size) {
		lines->size = lines->size ? 2 * lines->size : 256;
		bigger = realloc(lines->lines, lines->size * sizeof(*bigger));
		if (!bigger)
			exit(CTL_REFUSED);
		lines->lines = bigger;
	}
	line = &lines->lines[lines->n++];
	*line = (struct line){ .id = number_of(row, "id"),
			       .in = number_of(row, "rx_bytes"),
			       .out = number_of(row, "tx_bytes"),
			       .age_ms = number_of(row, "age_ms") };
	snprintf(line->state, sizeof(line->state), "%s", text_of(row, "state"));
	snprintf(line->peer, sizeof(line->peer), "%s", text_of(row, "peer"));
	snprintf(line->sni, sizeof(line->sni), "%s", text_of(row, "sni"));
}

static void take_status(void *arg, struct json_object *row)
{
	struct screen *screen = arg;
	const char *state = text_of(row, "state");
	char up[FORMAT_LEN];

	snprintf(screen->status, sizeof(screen->status),
		 "%ssluiced%s %s%s%s, up %s: %s sessions, %s handshakes, %s queued, %s workers",
		 format_bold(), format_plain(), format_colour(state), state, format_plain(),
		 format_ms(up, number_of(row, "uptime_ms")), text_of(row, "sessions"),
		 text_of(row, "handshakes"), text_of(row, "queued"), text_of(row, "workers"));
}

static int by_id(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int by_rate(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	uint64_t xr = x->in_rate + x->out_rate, yr = y->in_rate + y->out_rate;

	return xr != yr ? (xr < yr ? 1 : -1) : by_id(a, b);
}

static void find_rates(struct screen *screen)
{
	uint64_t ms = screen->now_ms - screen->before_ms;
	const struct line *old;
	struct line *line;
	size_t i;

	for (i = 0; i < screen->now.n; i++) {
		line = &screen->now.lines[i];
		old = screen->before.n ? bsearch(line, screen->before.lines, screen->before.n,
						 sizeof(*line), by_id)
				       : NULL;
		if (!old || !ms || line->in < old->in || line->out < old->out)
			continue;
		line->in_rate = (line->in - old->in) * 1000 / ms;
		line->out_rate = (line->out - old->out) * 1000 / ms;
	}
}

static void print_line(const struct line *line)
{
	char in[FORMAT_LEN], out[FORMAT_LEN], in_rate[FORMAT_LEN], out_rate[FORMAT_LEN];
	char age[FORMAT_LEN];

	printf("%8llu  %s%-9s%s  %10s/s %10s/s %10s %10s  %13s  %-24s %s\n",
	       (unsigned long long)line->id, format_colour(line->state), line->state,
	       format_plain(), format_bytes(in_rate, line->in_rate),
	       format_bytes(out_rate, line->out_rate), format_bytes(in, line->in),
	       format_bytes(out, line->out), format_ms(age, line->age_ms), line->peer, line->sni);
}

static void draw(struct screen *screen)
{
	struct winsize size = { .ws_row = 24 };
	size_t i, room;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	room = size.ws_row > HEAD_LINES + 1 ? size.ws_row - HEAD_LINES - 1u : 1;
	/* Long lines are cut and not wrapped: home, clear, no wrapping. */
	printf("\033[?7l\033[H\033[J%s\nq ends\n\n", screen->status);
	printf("%s%8s  %-9s  %12s %12s %10s %10s  %13s  %-24s %s%s\n", format_bold(), "ID", "STATE",
	       "IN", "OUT", "IN", "OUT", "AGE", "PEER", "SNI", format_plain());
	for (i = 0; i < screen->now.n && i < room; i++)
		print_line(&screen->now.lines[i]);
	printf("\033[?7h");
	fflush(stdout);
}

static enum ctl_status refresh(struct screen *screen)
{
	struct lines old = screen->before;
	enum ctl_status status;

	screen->now.n = 0;
	status = ctl_ask(&screen->ctl, ctl_request("status"), take_status, screen, NULL);
	if (status == CTL_DONE)
		status = ctl_ask(&screen->ctl, ctl_request("sessions"), take_session, &screen->now,
				 NULL);
	if (status != CTL_DONE)
		return status;
	screen->now_ms = clock_ms();
	find_rates(screen);
	if (screen->now.n)
		qsort(screen->now.lines, screen->now.n, sizeof(struct line), by_rate);
	draw(screen);
	screen->before = screen->now;
	screen->before_ms = screen->now_ms;
	screen->now = old;
	if (screen->before.n)
		qsort(screen->before.lines, screen->before.n, sizeof(struct line), by_id);
	return CTL_DONE;
}

/* --- the terminal --------------------------------------------------------------------------------- */

static bool wants_end(void)
{
	struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };
	uint64_t now, until = clock_ms() + REFRESH_MS;
	char key;

	while (!ended && (now = clock_ms()) < until) {
		if (poll(&pfd, 1, (int)(until - now)) <= 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q')
			return true;
	}
	return ended;
}

static enum ctl_status run_top(const struct ctl_command *command, const struct settings *settings,
			       int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = on_signal };
	struct screen screen = { 0 };
	struct termios kept, raw;
	enum ctl_status status;

	if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &kept)) {
		fputs("sluicectl: top needs a terminal; for programs there is "
		      "`sluicectl sessions --tsv`\n",
		      stderr);
		return CTL_USAGE;
	}
	status = ctl_connect(&screen.ctl, settings->socket);
	if (status != CTL_DONE)
		return status;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	raw = kept;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	do {
		status = refresh(&screen);
	} while (status == CTL_DONE && !wants_end());
	tcsetattr(STDIN_FILENO, TCSANOW, &kept);
	ctl_close(&screen.ctl);
	free(screen.now.lines);
	free(screen.before.lines);
	return status;
}

const struct ctl_command ctl_top = {
	"top",
	"",
	"show the sessions that move most, each second",
	"q or SIGINT ends it. Only on a terminal.",
	0,
	0,
	NULL,
	false,
	run_top,
};
