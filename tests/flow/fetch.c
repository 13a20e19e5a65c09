/* SPDX-License-Identifier: Apache-2.0 */
/* sluice-fetch, asked directly: what it fetches, what it refuses, and how it ends. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/sys.h"
#include "fetch/child.h"
#include "handover/channel.h"
#include "handover/wire.h"
#include "support/certs.h"
#include "support/crl-server.h"
#include "support/leaks.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define BODY "what a CA would say"
#define MAX_LEN 100000

static struct crl_server server;
static struct fetch_child child;

/* --- helpers ---------------------------------------------------------------------------------- */

static void start(const char *format, ...)
{
	char hosts[200];
	va_list args;

	va_start(args, format);
	vsnprintf(hosts, sizeof(hosts), format, args);
	va_end(args);
	child = (struct fetch_child){ .fd = -1 };
	assert_int_equal(fetch_child_start(&child, hosts), 0);
}

static void stop(void)
{
	fetch_child_end(&child);
}

static int ask(uint32_t id, const char *url, unsigned int timeout_ms)
{
	return fetch_child_ask(&child, &(struct fetch_request){ .id = id,
								.url = url,
								.timeout_ms = timeout_ms,
								.max_len = MAX_LEN,
								.etag = "",
								.modified = "" });
}

/* Waits for an answer. Returns what fetch_child_answer() does. */
static int answer(struct fetch_answer *out)
{
	struct pollfd pollfd = { .fd = child.fd, .events = POLLIN };

	assert_int_equal(poll(&pollfd, 1, 20000), 1);
	return fetch_child_answer(&child, out);
}

static enum fetch_reason fetch(const char *url, unsigned int timeout_ms, struct fetch_answer *out)
{
	assert_int_equal(ask(7, url, timeout_ms), 0);
	assert_int_equal(answer(out), 1);
	assert_int_equal(out->id, 7);
	assert_true((out->body_fd >= 0) == (out->reason == FETCH_OK));
	return out->reason;
}

/* Demands that a path of the server ends so. */
static void check(const char *path, enum fetch_reason reason)
{
	struct fetch_answer out;
	char url[300];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/%s", server.port, path);
	if (fetch(url, 5000, &out) != reason)
		fail_msg("%s: %d, not %d (HTTP %u)", path, out.reason, reason, out.status);
	if (out.body_fd >= 0)
		close(out.body_fd);
}

static void check_url(const char *url, enum fetch_reason reason)
{
	struct fetch_answer out;

	if (fetch(url, 5000, &out) != reason)
		fail_msg("%s: %d, not %d", url, out.reason, reason);
}

/* --- what is fetched -------------------------------------------------------------------------- */

static void CR_10_a_body_comes_in_a_sealed_file(void **state)
{
	struct fetch_answer out;
	uint8_t *body;
	char url[100];
	size_t len = 0;

	start("127.0.0.1:%u", server.port);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/body", server.port);
	assert_int_equal(fetch(url, 5000, &out), FETCH_OK);
	assert_int_equal(out.status, 200);
	assert_true(out.modified[0]);
	/* Nobody can change it any more: neither side needs to trust the other. */
	assert_int_equal(ftruncate(out.body_fd, 0), -1);
	assert_int_equal(pwrite(out.body_fd, "x", 1, 0), -1);
	body = fetch_body_read(out.body_fd, MAX_LEN, &len);
	assert_int_equal(len, strlen(BODY));
	assert_memory_equal(body, BODY, len);
	free(body);
	stop();
}

static void CR_10_what_is_known_is_not_sent_again(void **state)
{
	const char *const paths[] = { "tagged", "body" };
	struct fetch_request request = { .id = 1, .timeout_ms = 5000, .max_len = MAX_LEN };
	struct fetch_answer out;
	char url[100];
	size_t i;

	start("127.0.0.1:%u", server.port);
	for (i = 0; i < N(paths); i++) {
		snprintf(url, sizeof(url), "http://127.0.0.1:%u/%s", server.port,
			 i ? "body" : "tag/body");
		assert_int_equal(fetch(url, 5000, &out), FETCH_OK);
		close(out.body_fd);
		request.url = url;
		request.etag = out.etag;
		request.modified = out.modified;
		assert_true(out.etag[0] || out.modified[0]);
		assert_int_equal(fetch_child_ask(&child, &request), 0);
		assert_int_equal(answer(&out), 1);
		assert_int_equal(out.reason, FETCH_NOT_MODIFIED);
		assert_int_equal(out.body_fd, -1);
	}
	stop();
}

/* The way for OCSP, whose client is elsewhere: the body of a POST goes out, the answer comes back. */
static void a_post_has_its_body(void **state)
{
	uint8_t buf[1000], *body;
	struct fetch_answer out;
	struct wire wire;
	char url[100];
	size_t len = 0;

	start("127.0.0.1:%u", server.port);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/ocsp", server.port);
	wire_begin(&wire, buf, sizeof(buf), MSG_FETCH, 3);
	wire_put_u64(&wire, ATTR_FETCH_KIND, FETCH_OCSP);
	wire_put_text(&wire, ATTR_FETCH_URL, url);
	wire_put(&wire, ATTR_FETCH_BODY, "a\0request", 9);
	wire_put_u64(&wire, ATTR_FETCH_MS, 5000);
	wire_put_u64(&wire, ATTR_FETCH_MAX, 1000);
	assert_int_equal(channel_send(child.fd, buf, wire_end(&wire), NULL, 0), 0);
	assert_int_equal(answer(&out), 1);
	assert_int_equal(out.reason, FETCH_OK);
	body = fetch_body_read(out.body_fd, MAX_LEN, &len);
	assert_int_equal(len, 9);
	assert_memory_equal(body, "tseuqer\0a", 9);
	free(body);
	stop();
}

/* --- what is refused -------------------------------------------------------------------------- */

static void CR_10_servers_that_misbehave(void **state)
{
	start("127.0.0.1:%u", server.port);
	check("endless", FETCH_SIZE);
	check("headers", FETCH_SIZE);
	check("short", FETCH_HTTP);
	check("http0", FETCH_HTTP);
	check("nowhere", FETCH_HTTP);
	/* Nothing is decoded: what comes is the 64 KiB of the bomb, not its 64 MiB. */
	check("gzip/", FETCH_OK);
	check("garbage", FETCH_OK); /* what it is the one who asked finds out */
	stop();
}

static void CR_10_redirects_are_few_and_checked(void **state)
{
	char url[100];

	start("127.0.0.1:%u", server.port);
	check("redirect/3/body", FETCH_OK);
	check("redirect/4/body", FETCH_REDIRECTS);
	check("redirect/10/body", FETCH_REDIRECTS);
	check("to/file:///etc/passwd", FETCH_URL);
	check("to/https://127.0.0.1/body", FETCH_URL);
	check("to/http://127.0.0.2/body", FETCH_HOST);
	check("to/http://elsewhere.test/body", FETCH_HOST);
	snprintf(url, sizeof(url), "to/http://user@127.0.0.1:%u/body", server.port);
	check(url, FETCH_URL);
	/* By another name, and by another port. */
	snprintf(url, sizeof(url), "to/http://localhost:%u/body", server.port);
	check(url, FETCH_HOST);
	check("to/http://127.0.0.1:1/", FETCH_HOST);
	stop();
}

static void CR_10_urls_that_are_never_fetched(void **state)
{
	const struct {
		const char *url;
		enum fetch_reason reason;
	} cases[] = {
		{ "https://127.0.0.1/", FETCH_URL },
		{ "file:///etc/passwd", FETCH_URL },
		{ "ftp://127.0.0.1/", FETCH_URL },
		{ "ldap://127.0.0.1/cn=a?b", FETCH_URL },
		{ "http://user:word@127.0.0.1/", FETCH_URL },
		{ "/etc/passwd", FETCH_URL },
		{ "nonsense", FETCH_URL },
		{ "http://", FETCH_URL },
		{ "http://127.0.0.1/\r\nHost: other", FETCH_URL },
		{ "http://127.0.0.1:99999/", FETCH_URL },
		{ "http://[fe80::1%25lo]/", FETCH_URL },
		{ "http://127.0.0.2/", FETCH_HOST },
		{ "http://2130706434/", FETCH_HOST }, /* 127.0.0.2 */
		{ "http://0x7f.2/", FETCH_HOST },
		{ "http://[::1]/", FETCH_HOST },
		{ "http://[::ffff:127.0.0.1]/", FETCH_HOST },
		{ "http://elsewhere.test/", FETCH_HOST },
		{ "http://127.0.0.1.elsewhere.test/", FETCH_HOST },
		{ "http://10.0.0.1/", FETCH_HOST },
		{ "http://169.254.169.254/latest/", FETCH_HOST },
	};
	size_t i;

	start("127.0.0.1");
	for (i = 0; i < N(cases); i++)
		check_url(cases[i].url, cases[i].reason);
	stop();
}

/* A name that is allowed leads to this machine: that must be allowed as well. */
static void CR_10_a_name_does_not_lead_to_private_addresses(void **state)
{
	char url[100];

	snprintf(url, sizeof(url), "http://localhost:%u/body", server.port);
	start("localhost:%u", server.port);
	check_url(url, FETCH_ADDRESS);
	stop();
	start("localhost:%u,10.0.0.0/8", server.port);
	check_url(url, FETCH_ADDRESS);
	stop();
	start("localhost:%u,127.0.0.1:1", server.port);
	check_url(url, FETCH_ADDRESS);
	stop();
}

static void CR_10_a_name_may_lead_where_it_is_said(void **state)
{
	struct fetch_answer out;
	char url[100];

	snprintf(url, sizeof(url), "http://LocalHost:%u/body", server.port);
	start("localhost:%u,127.0.0.0/8", server.port);
	assert_int_equal(fetch(url, 5000, &out), FETCH_OK);
	close(out.body_fd);
	stop();
}

/* Names of a name server that whoever named the URL may control. */
static void CR_10_names_come_from_name_servers(void **state)
{
	const struct {
		const char *host;
		enum fetch_reason reason;
	} cases[] = {
		{ "here.test", FETCH_OK },          { "HERE.test", FETCH_OK },
		{ "private.test", FETCH_OK }, /* by the one address that is allowed */
		{ "metadata.test", FETCH_ADDRESS }, { "empty.test", FETCH_RESOLVE },
		{ "nowhere.test", FETCH_RESOLVE },  { "slow.test", FETCH_TIME },
	};
	char servers[32], url[100];
	struct fetch_answer out;
	size_t i;

	snprintf(servers, sizeof(servers), "127.0.0.1:%u", server.port);
	fetch_set_program(fetch_program(), servers);
	start("here.test:%1$u,private.test:%1$u,metadata.test:%1$u,empty.test:%1$u,nowhere.test:%1$u,"
	      "slow.test:%1$u,127.0.0.1",
	      server.port);
	for (i = 0; i < N(cases); i++) {
		snprintf(url, sizeof(url), "http://%s:%u/body", cases[i].host, server.port);
		if (fetch(url, 1000, &out) != cases[i].reason)
			fail_msg("%s: %d, not %d", url, out.reason, cases[i].reason);
		if (out.body_fd >= 0)
			close(out.body_fd);
	}
	stop();
	fetch_set_program(fetch_program(), NULL);
}

/* --- time and number -------------------------------------------------------------------------- */

static void CR_10_a_slow_server_runs_out_of_time(void **state)
{
	struct fetch_answer out;
	char url[100];
	uint64_t began;

	start("127.0.0.1:%u", server.port);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/hang", server.port);
	began = sys->now_us();
	assert_int_equal(fetch(url, 300, &out), FETCH_TIME);
	assert_in_range(sys->now_us() - began, 250000, 5000000);
	stop();
}

/* Eight are under way, 64 wait, and one more is too many; each is answered, and none twice. */
static void CR_10_so_many_at_once(void **state)
{
	bool seen[80] = { false };
	unsigned int i, busy = 0, late = 0;
	struct fetch_answer out;
	char url[100];

	start("127.0.0.1:%u", server.port);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/hang", server.port);
	for (i = 0; i < N(seen); i++)
		assert_int_equal(ask(i, url, 1500), 0);
	for (i = 0; i < N(seen); i++) {
		assert_int_equal(answer(&out), 1);
		assert_true(out.id < N(seen) && !seen[out.id]);
		seen[out.id] = true;
		busy += out.reason == FETCH_BUSY;
		late += out.reason == FETCH_TIME;
	}
	assert_int_equal(busy + late, N(seen));
	assert_in_range(busy, N(seen) - 8 - 64, N(seen) - 64);
	check("body", FETCH_OK);
	stop();
}

/* --- its walls -------------------------------------------------------------------------------- */

static long pid_of_child(void)
{
	char path[64], line[100];
	long pid = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", child.pidfd);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		sscanf(line, "Pid: %ld", &pid);
	fclose(file);
	assert_true(pid > 0);
	return pid;
}

/* Whether a file of the process in /proc has a line that begins with @text. */
static bool has_line(long pid, const char *name, const char *text)
{
	char path[64], line[500];
	bool has = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/%s", pid, name);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		has |= !strncmp(line, text, strlen(text)) || (text[0] == '/' && strstr(line, text));
	fclose(file);
	return has;
}

static void it_is_confined(void **state)
{
	long pid;

	if (geteuid() != 0)
		skip(); /* only root sees and drops what is looked for here */
	start("127.0.0.1");
	check_url("nonsense", FETCH_URL); /* it is up */
	pid = pid_of_child();
	assert_true(has_line(pid, "status", "Seccomp:\t2"));
	assert_true(has_line(pid, "status", "NoNewPrivs:\t1"));
	assert_true(has_line(pid, "status", "Uid:\t65534\t65534\t65534\t65534"));
	assert_true(has_line(pid, "status", "Gid:\t65534\t65534\t65534\t65534"));
	assert_true(has_line(pid, "status", "CapEff:\t0000000000000000"));
	assert_true(has_line(pid, "limits", "Max core file size        0 "));
	assert_true(has_line(pid, "limits", "Max open files            64 "));
	assert_true(has_line(pid, "maps", "/libcurl.so"));
	/* BoringSSL's libraries have no version in their names. */
	assert_false(has_line(pid, "maps", "/libcrypto.so\n"));
	assert_false(has_line(pid, "maps", "/libssl.so\n"));
	stop();
}

/* It has its channel and what it was given as 0, 1 and 2: no descriptor of the program's. */
static void it_inherits_nothing(void **state)
{
	char path[64], link[100];
	int fd, open_fd = dup(STDERR_FILENO);
	ssize_t n;

	start("127.0.0.1");
	check_url("nonsense", FETCH_URL);
	for (fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/%ld/fd/%d", pid_of_child(), fd);
		n = readlink(path, link, sizeof(link) - 1);
		if (n < 0)
			continue;
		link[n] = '\0';
		if (fd < 3)
			assert_string_equal(link, "/dev/null");
		else if (strncmp(link, "socket:", 7) != 0 && strncmp(link, "anon_inode:", 11) != 0)
			fail_msg("descriptor %d is %s", fd, link);
	}
	close(open_fd);
	stop();
}

/* --- its end ---------------------------------------------------------------------------------- */

static void wait_for_end(void)
{
	struct pollfd pollfd = { .fd = child.pidfd, .events = POLLIN };

	assert_int_equal(poll(&pollfd, 1, 10000), 1);
	stop();
}

static void it_ends_with_its_channel(void **state)
{
	int fd;

	start("127.0.0.1");
	check_url("nonsense", FETCH_URL); /* it is up */
	fd = open("/dev/null", O_RDONLY);
	dup2(fd, child.fd);
	close(fd);
	wait_for_end();
}

static void it_ends_where_messages_make_no_sense(void **state)
{
	uint8_t buf[100];
	struct wire wire;

	start("127.0.0.1");
	wire_begin(&wire, buf, sizeof(buf), MSG_FETCH_ALLOW, 0);
	wire_put_text(&wire, ATTR_FETCH_HOSTS, "10.0.0.1");
	assert_int_equal(channel_send(child.fd, buf, wire_end(&wire), NULL, 0), 0);
	wait_for_end();
	start("127.0.0.1");
	wire_begin(&wire, buf, sizeof(buf), MSG_SCRAPE, 0);
	assert_int_equal(channel_send(child.fd, buf, wire_end(&wire), NULL, 0), 0);
	wait_for_end();
}

/* A request that makes no sense is answered: the others go on. */
static void a_request_without_a_limit_is_refused(void **state)
{
	struct fetch_answer out;

	start("127.0.0.1:%u", server.port);
	assert_int_equal(ask(5, "http://127.0.0.1/", 0), 0);
	assert_int_equal(answer(&out), 1);
	assert_int_equal(out.reason, FETCH_URL);
	check("body", FETCH_OK);
	stop();
}

static void without_a_program_there_is_an_error(void **state)
{
	fetch_set_program("/nonexistent", NULL);
	child = (struct fetch_child){ .fd = -1 };
	assert_int_equal(fetch_child_start(&child, "127.0.0.1"), -ENOENT);
	assert_int_equal(child.fd, -1);
	fetch_set_program(fetch_program(), NULL);
}

static int setup(void **state)
{
	if (!fetch_program() || !crl_server_start(&server))
		return -1;
	fetch_set_program(fetch_program(), NULL);
	certs_file("body", BODY, strlen(BODY));
	return leaks_setup(state);
}

static int teardown(void **state)
{
	int r = leaks_teardown(state);

	crl_server_stop(&server);
	return r;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CR_10_a_body_comes_in_a_sealed_file),
		cmocka_unit_test(CR_10_what_is_known_is_not_sent_again),
		cmocka_unit_test(a_post_has_its_body),
		cmocka_unit_test(CR_10_servers_that_misbehave),
		cmocka_unit_test(CR_10_redirects_are_few_and_checked),
		cmocka_unit_test(CR_10_urls_that_are_never_fetched),
		cmocka_unit_test(CR_10_a_name_does_not_lead_to_private_addresses),
		cmocka_unit_test(CR_10_a_name_may_lead_where_it_is_said),
		cmocka_unit_test(CR_10_names_come_from_name_servers),
		cmocka_unit_test(CR_10_a_slow_server_runs_out_of_time),
		cmocka_unit_test(CR_10_so_many_at_once),
		cmocka_unit_test(it_is_confined),
		cmocka_unit_test(it_inherits_nothing),
		cmocka_unit_test(it_ends_with_its_channel),
		cmocka_unit_test(it_ends_where_messages_make_no_sense),
		cmocka_unit_test(a_request_without_a_limit_is_refused),
		cmocka_unit_test(without_a_program_there_is_an_error),
	};

	return cmocka_run_group_tests_name("flow/fetch", tests, setup, teardown);
}
