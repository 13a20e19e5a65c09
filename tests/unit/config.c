/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of sluiced: what is read from it, and what is not on an allocation that fails.
 * Its mistakes are in config-refused.c. Linked with --wrap=malloc,--wrap=calloc,--wrap=realloc,
 * --wrap=strdup,--wrap=yaml_parser_initialize,--wrap=yaml_parser_parse.
 */
#include "config/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <yaml.h>

#include "core/secret.h"
#include "options/options.h"
#include "support/fault.h"

/* The file that comes with the daemon, as a string. */
static const char example[] =
#include "sluiced.conf.example.h"
	;

/* --- a memory that runs out -------------------------------------------------------------------- */

static unsigned int n_allocations, fail_at;

static bool fails(void)
{
	return ++n_allocations == fail_at;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
int __real_yaml_parser_initialize(yaml_parser_t *parser);
int __wrap_yaml_parser_initialize(yaml_parser_t *parser);
int __real_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event);
int __wrap_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event);

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

int __wrap_yaml_parser_initialize(yaml_parser_t *parser)
{
	return fails() ? 0 : __real_yaml_parser_initialize(parser);
}

/* As libyaml does it; what it allocates itself is its own. */
int __wrap_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event)
{
	if (!fails())
		return __real_yaml_parser_parse(parser, event);
	parser->error = YAML_MEMORY_ERROR;
	return 0;
}

/* --- helpers ----------------------------------------------------------------------------------- */

static struct config *parse(const char *text)
{
	struct config_error err;
	struct config *config;

	if (config_parse(&config, "test.conf", text, strlen(text), &err) < 0)
		fail_msg("%s", err.text);
	return config;
}

static const char *option(const struct sluice_options *options, enum sluice_option id)
{
	return option_text(options, id);
}

static const char small[] = "listeners: [{name: a, address: ':443', profile: p, pool: w}]\n"
			    "profiles: {p: {certfile: /c}}\n"
			    "pools: {w: {socket: /s}}\n";

/* --- what is read ------------------------------------------------------------------------------ */

static void the_example_is_read(void **state)
{
	struct config *config = parse(example);
	const struct config_listener *https = &config->listeners[0];
	const struct config_profile *web = &config->profiles[0];
	const struct config_host *shop = &web->hosts[0], *internal = &web->hosts[1];

	assert_string_equal(config->path, "test.conf");
	assert_int_equal(config->n_listeners, 2);
	assert_string_equal(https->name, "https");
	assert_string_equal(https->host, "::");
	assert_int_equal(https->port, 443);
	assert_int_equal(https->profile, 0);
	assert_int_equal(https->pool, 0);
	assert_int_equal(https->n_routes, 2);
	assert_string_equal(https->routes[0].sni, "api.example.org");
	assert_null(https->routes[0].alpn);
	assert_int_equal(https->routes[0].pool, 1);
	assert_string_equal(https->routes[1].sni, "*.grpc.example.org");
	assert_string_equal(https->routes[1].alpn, "h2");
	assert_string_equal(config->listeners[1].host, "192.0.2.1");
	assert_null(https->proxy_from);
	assert_true(https->plain_pool == CONFIG_NO_POOL);
	assert_int_equal(config->listeners[1].profile, 1);
	assert_int_equal(config->listeners[1].pool, 2);
	assert_int_equal(config->n_profiles, 3);
	assert_int_equal(web->n_hosts, 2);
	assert_string_equal(web->hosts_dir, "/etc/sluice/certs");
	assert_string_equal(shop->names[0], "shop.example");
	assert_string_equal(shop->names[1], "*.shop.example");
	assert_null(shop->names[2]);
	assert_string_equal(option(shop->options, SLUICE_OPT_CERTFILE),
			    "/etc/sluice/shop.example.pem");
	assert_string_equal(option(internal->options, SLUICE_OPT_CERTFILE),
			    "/etc/sluice/example.org.pem");
	assert_true(option_is_set(internal->options, SLUICE_OPT_VERIFY));
	assert_false(option_is_set(web->options, SLUICE_OPT_VERIFY));
	assert_int_equal(config->n_pools, 4);
	assert_false(config->pools[2].is_service);
	assert_true(config->pools[3].is_service);
	assert_string_equal(config->pools[3].name, "tls");
	assert_int_equal(config->pools[3].handshakes, 256);
	assert_int_equal(config->profiles[config->pools[3].profiles[0]].role, SLUICE_CLIENT);
	assert_int_equal(config->pools[0].n_users, 1);
	assert_int_equal(config->pools[0].users[0], 0);
	assert_int_equal(config->admin.read_group, 0);
	config_free(config);
}

/* Its programs bring all connections. */
static void a_daemon_of_services_needs_no_listener(void **state)
{
	struct config *config =
		parse("profiles: {in: {certfile: /c}, out: {role: client}}\n"
		      "services: {s: {socket: /s, profiles: [out, in], users: [7]}}\n");
	const struct config_pool *service = &config->pools[0];

	assert_int_equal(config->n_listeners, 0);
	assert_int_equal(config->n_pools, 1);
	assert_true(service->is_service);
	assert_string_equal(service->name, "s");
	assert_string_equal(service->socket, "/s");
	assert_int_equal(service->n_profiles, 2);
	assert_int_equal(service->profiles[0], 1);
	assert_int_equal(service->profiles[1], 0);
	assert_int_equal(service->users[0], 7);
	assert_int_equal(service->handshakes, 256);
	assert_int_equal(config->profiles[1].role, SLUICE_CLIENT);
	config_free(config);
}

static bool in_list(const struct config_listener *listener, const char *text)
{
	struct in6_addr addr;

	assert_int_equal(inet_pton(AF_INET6, text, &addr), 1);
	return config_prefixes_have(listener->proxy_from, listener->n_proxy_from, addr.s6_addr);
}

static void proxies_are_found_by_their_prefixes(void **state)
{
	static const char *const inside[] = { "::ffff:10.0.0.0",
					      "::ffff:10.255.255.255",
					      "::ffff:192.0.2.1",
					      "::ffff:198.51.100.130",
					      "2001:db8::1",
					      "2001:db8:ffff::",
					      "::1" };
	static const char *const outside[] = { "::ffff:11.0.0.0",
					       "::ffff:9.255.255.255",
					       "::ffff:192.0.2.2",
					       "::ffff:198.51.100.127",
					       "2001:db9::",
					       "::2",
					       "::ffff:198.51.100.192",
					       "::10.0.0.1" };
	struct config *config =
		parse("listeners: [{name: a, address: ':443', profile: p, pool: w, plain_pool: v, "
		      "hello_timeout: 250, proxy_from: [10.0.0.0/8, 192.0.2.1, 198.51.100.128/26, "
		      "'2001:db8::/32', '::1']}, {name: b, address: ':1', profile: p, pool: w, "
		      "proxy_from: ['::/0']}, {name: c, address: ':2', profile: p, pool: w, "
		      "proxy_from: [0.0.0.0/0]}]\n"
		      "profiles: {p: {certfile: /c}}\npools: {w: {socket: /s}, v: {socket: /t}}\n"
		      "limits: {per_source_rate: 20}\n");
	size_t i;

	for (i = 0; i < sizeof(inside) / sizeof(inside[0]); i++)
		assert_true(in_list(&config->listeners[0], inside[i]));
	for (i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		assert_false(in_list(&config->listeners[0], outside[i]));
	/* All of a family is not all of the other. */
	assert_true(in_list(&config->listeners[1], "2001:db8::1"));
	assert_false(in_list(&config->listeners[1], "::ffff:192.0.2.1"));
	assert_true(in_list(&config->listeners[2], "::ffff:192.0.2.1"));
	assert_false(in_list(&config->listeners[2], "::1"));
	assert_int_equal(config->listeners[0].plain_pool, 1);
	assert_int_equal(config->listeners[0].hello_timeout_ms, 250);
	assert_int_equal(config->limits.per_source_rate, 20);
	config_free(config);
}

/* What the example shows as defaults are the defaults. */
static void defaults_are_those_of_the_example(void **state)
{
	struct config *a = parse(example), *b = parse(small);

	assert_memory_equal(&a->limits, &b->limits, sizeof(a->limits));
	assert_int_equal(a->log.target, b->log.target);
	assert_int_equal(a->log.level, b->log.level);
	assert_int_equal(a->log.rate, b->log.rate);
	assert_string_equal(a->metrics.host, "127.0.0.1");
	assert_int_equal(a->metrics.port, 9180);
	assert_null(b->metrics.socket); /* nothing is told by default */
	assert_null(b->metrics.host);
	assert_string_equal(a->admin.socket, b->admin.socket);
	assert_string_equal(a->user, b->user);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_int_not_equal(a->uid, 0);
	assert_int_equal(a->pools[0].wait_ms, b->pools[0].wait_ms);
	assert_int_equal(a->listeners[0].backlog, b->listeners[0].backlog);
	assert_int_equal(a->listeners[0].hello_timeout_ms, b->listeners[0].hello_timeout_ms);
	assert_int_equal(a->profiles[0].role, b->profiles[0].role);
	assert_int_equal(a->profiles[0].no_match, b->profiles[0].no_match);
	assert_int_equal(b->admin.read_group, (gid_t)-1);
	assert_int_equal(b->limits.handshakes, 1024);
	assert_int_equal(b->limits.per_source, 64);
	assert_int_equal(b->limits.penalty_ms, 60000);
	assert_int_equal(b->limits.drain_ms, 10000);
	assert_int_equal(b->pools[0].wait_ms, 5000);
	assert_null(b->listeners[0].host);
	config_free(a);
	config_free(b);
}

/* A host begins with all options of its profile, and sections refer to each other in any order. */
/* Where systemd says, or where it would; not in one of several directories, and never cut off. */
static void sockets_lie_in_the_directory_of_the_daemon(void **state)
{
	static const char three_lines[] =
		"listeners: [{name: a, address: ':443', profile: p, pool: w}]\n"
		"profiles: {p: {certfile: /c}}\n"
		"pools: {w: {users: [root]}}\n";
	static const char taken[] = "profiles: {p: {certfile: /c}}\n"
				    "pools: {admin: {wait: 1}}\n"
				    "services: {s: {socket: /s, profiles: [p]}}\n";
	static const char path[] =
		"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaa";
	static const struct {
		const char *directory, *pool, *admin;
	} cases[] = {
		{ NULL, "/run/sluice/w.sock", "/run/sluice/admin.sock" },
		{ "/run/user/7/x", "/run/user/7/x/w.sock", "/run/user/7/x/admin.sock" },
		{ "/run/a:/run/b", "/run/sluice/w.sock", "/run/sluice/admin.sock" },
		{ "here", "/run/sluice/w.sock", "/run/sluice/admin.sock" },
	};
	struct config_error err;
	struct config *config;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsetenv("RUNTIME_DIRECTORY");
		if (cases[i].directory)
			setenv("RUNTIME_DIRECTORY", cases[i].directory, 1);
		config = parse(three_lines);
		assert_string_equal(config->pools[0].socket, cases[i].pool);
		assert_string_equal(config->admin.socket, cases[i].admin);
		config_free(config);
	}
	setenv("RUNTIME_DIRECTORY", path, 1); /* room for w.sock, none for admin.sock */
	assert_int_equal(config_parse(&config, "f", three_lines, strlen(three_lines), &err),
			 -SLUICE_E_OPTION_RANGE);
	assert_string_equal(err.text, "f: the socket admin.sock has no room for its directory's "
				      "name; add the key \"socket\"");
	unsetenv("RUNTIME_DIRECTORY");
	assert_int_equal(config_parse(&config, "f", taken, strlen(taken), &err),
			 -SLUICE_E_OPTION_CONFLICT);
	assert_string_equal(err.text, "f:2:9: the socket \"/run/sluice/admin.sock\" is taken by "
				      "default; choose another");
}

static void the_order_is_free(void **state)
{
	struct config *config = parse(
		"profiles:\n"
		"  p:\n"
		"    hosts:\n"
		"    - certfile: /other\n"
		"      names: [A.Example, '*.B.EXAMPLE']\n"
		"    no_match: refuse\n"
		"    depth: '3'\n"
		"    ciphers: TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384\n"
		"    certfile: /c\n"
		"  q: {role: client, server_name_indication: no}\n"
		"log: {level: debug, target: journal, rate: 1}\n"
		"metrics: {address: '[::1]:1'}\n"
		"listeners:\n"
		"- {pool: w, profile: p, address: '[2001:DB8:0::1]:65535', name: a, backlog: 1}\n"
		"pools: {v: {socket: /v, wait: 0}, w: {socket: /w, users: ['7', 4294967294]}}\n"
		"limits: {handshakers: 3, penalty: 0}\n");
	const struct config_profile *p = &config->profiles[0];

	assert_string_equal(p->hosts[0].names[0], "a.example");
	assert_string_equal(p->hosts[0].names[1], "*.b.example");
	assert_string_equal(option(p->hosts[0].options, SLUICE_OPT_CERTFILE), "/other");
	assert_int_equal(option_number(p->hosts[0].options, SLUICE_OPT_DEPTH, SLUICE_SERVER), 3);
	assert_int_equal(p->hosts[0].place.line, 4);
	assert_int_equal(p->hosts[0].place.column, 7);
	assert_int_equal(p->place.line, 2);
	assert_int_equal(p->no_match, CONFIG_NO_MATCH_REFUSE);
	assert_int_equal(config->profiles[1].role, SLUICE_CLIENT);
	assert_string_equal(option(config->profiles[1].options, SLUICE_OPT_SERVER_NAME_INDICATION),
			    "no");
	assert_string_equal(config->listeners[0].host, "2001:db8::1");
	assert_int_equal(config->listeners[0].port, 65535);
	assert_int_equal(config->listeners[0].pool, 1);
	assert_int_equal(config->listeners[0].backlog, 1);
	assert_int_equal(config->pools[0].wait_ms, 0);
	assert_int_equal(config->pools[1].users[0], 7);
	assert_int_equal(config->pools[1].users[1], 4294967294u);
	assert_int_equal(config->limits.handshakers, 3);
	assert_int_equal(config->limits.penalty_ms, 0);
	assert_int_equal(config->log.target, CONFIG_LOG_JOURNAL);
	assert_int_equal(config->log.level, CONFIG_LOG_DEBUG);
	assert_int_equal(config->log.rate, 1);
	assert_string_equal(config->metrics.host, "::1");
	assert_int_equal(config->metrics.port, 1);
	config_free(config);
}

/* Everything that looks like a number, a truth value or nothing is a text. */
static void no_type_is_guessed(void **state)
{
	struct config *config = parse("listeners: [{name: 1e3, address: ':443', profile: yes, "
				      "pool: 0x10}]\n"
				      "profiles: {yes: {certfile: ~}}\n"
				      "pools: {0x10: {socket: /s}}\n");

	assert_string_equal(config->listeners[0].name, "1e3");
	assert_string_equal(config->profiles[0].name, "yes");
	assert_string_equal(option(config->profiles[0].options, SLUICE_OPT_CERTFILE), "~");
	assert_string_equal(config->pools[0].name, "0x10");
	config_free(config);
}

static void a_byte_order_mark_is_skipped(void **state)
{
	char text[sizeof(small) + 3];

	snprintf(text, sizeof(text), "\xef\xbb\xbf%s", small);
	config_free(parse(text));
}

static void nothing_is_freed(void **state)
{
	assert_null(config_free(NULL));
}

static void passwords_are_wiped_with_the_options(void **state)
{
	size_t before = secret_live();
	struct config *config = parse("listeners: [{name: a, address: ':1', profile: p, pool: w}]\n"
				      "profiles: {p: {certfile: /c, password: pw, hosts: [{names: "
				      "[a.b]}, {names: [c.d], password: 'x: y'}]}}\n"
				      "pools: {w: {socket: /s}}\n");

	assert_string_equal(option(config->profiles[0].hosts[0].options, SLUICE_OPT_PASSWORD),
			    "pw");
	assert_string_equal(option(config->profiles[0].hosts[1].options, SLUICE_OPT_PASSWORD),
			    "x: y");
	assert_int_equal(secret_live(), before + 3);
	config_free(config);
	assert_int_equal(secret_live(), before);
}

/* --- many -------------------------------------------------------------------------------------- */

#define MANY 10000

static char *many_hosts(unsigned int n, const char *last)
{
	char *text = malloc((size_t)n * 160 + sizeof(small) + 200), *c = text;
	unsigned int i;

	if (!text)
		abort();
	c += sprintf(c, "%s",
		     "listeners: [{name: a, address: ':443', profile: p, pool: w}]\n"
		     "pools: {w: {socket: /s}}\n"
		     "profiles:\n  p:\n    certfile: /c\n    password: secret\n"
		     "    hosts:\n");
	for (i = 0; i < n; i++)
		c += sprintf(c,
			     "    - names: [host%u.example.org, '*.host%u.example.org']\n"
			     "      certfile: /etc/sluice/host%u.pem\n",
			     i, i, i);
	sprintf(c, "%s", last);
	return text;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void ten_thousand_hosts_take_no_time(void **state)
{
	char *text = many_hosts(MANY, "");
	double start = now();
	struct config *config = parse(text);

	/* Far from what it takes, but under valgrind; what is quadratic takes minutes there. */
	assert_true(now() - start < 30);
	print_message("# %u hosts: %.0f ms\n", MANY, (now() - start) * 1e3);
	assert_int_equal(config->profiles[0].n_hosts, MANY);
	assert_string_equal(config->profiles[0].hosts[MANY - 1].names[0], "host9999.example.org");
	config_free(config);
	free(text);
}

static void the_one_of_ten_thousand_that_is_twice(void **state)
{
	char *text = many_hosts(MANY, "    - names: [HOST77.example.org]\n");
	struct config *config = NULL;
	struct config_error err;

	assert_int_equal(config_parse(&config, "f", text, strlen(text), &err),
			 -SLUICE_E_OPTION_CONFLICT);
	assert_string_equal(err.text,
			    "f:20008:15: the host \"host77.example.org\" is there already, at line "
			    "162, column 15; keep one of them");
	assert_null(config);
	free(text);
}

/* --- files and memory -------------------------------------------------------------------------- */

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void a_file_is_read(void **state)
{
	char dir[] = "/tmp/sluice-config-XXXXXX", path[64], *text = many_hosts(1000, "");
	struct config_error err;
	struct config *config;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sluiced.conf", dir);
	write_file(path, text);
	fault_install();
	fault_limit("read", 4000);
	if (config_load(&config, path, &err) < 0)
		fail_msg("%s", err.text);
	fault_uninstall();
	assert_string_equal(config->path, path);
	assert_int_equal(config->profiles[0].n_hosts, 1000);
	config_free(config);
	unlink(path);
	rmdir(dir);
	free(text);
}

/* An interrupted read goes on; every other failure is told in words. */
static void a_file_that_cannot_be_read(void **state)
{
	static const struct {
		const char *path, *call;
		int err, code;
		const char *says;
	} cases[] = {
		{ "/nonexistent/f", NULL, 0, SLUICE_E_FILE,
		  "/nonexistent/f: cannot be read: No such file or directory; look at the path" },
		{ "/", NULL, 0, SLUICE_E_FILE, "/: is a directory; give the path of a file" },
		{ "/dev/zero", NULL, 0, SLUICE_E_OPTION_RANGE,
		  "/dev/zero: has more than 16777216 bytes; make it smaller" },
		{ "/dev/null", "open", EACCES, SLUICE_E_FILE,
		  "/dev/null: cannot be read: Permission denied; look at the path" },
		{ "/dev/null", "read", EIO, SLUICE_E_FILE,
		  "/dev/null: cannot be read: Input/output error; " },
		{ "/dev/null", "read", EINTR, SLUICE_E_OPTION, "/dev/null:1:1: the file is empty" },
	};
	int fds = fault_open_fds();
	struct config_error err;
	struct config *config;
	size_t i;
	int r;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fault_install();
		if (cases[i].call)
			fault_arm(cases[i].call, 1, cases[i].err);
		r = config_load(&config, cases[i].path, &err);
		fault_uninstall();
		if (r != -cases[i].code || strncmp(err.text, cases[i].says, strlen(cases[i].says)))
			fail_msg("%s: %s \"%s\"", cases[i].path, sluice_error_name(r), err.text);
		assert_int_equal(fault_open_fds(), fds);
		assert_int_equal(config_load(&config, "/", NULL), -SLUICE_E_FILE);
	}
}

static void memory_runs_out_at_every_allocation(void **state)
{
	char dir[] = "/tmp/sluice-config-XXXXXX", path[64];
	size_t secrets = secret_live();
	struct config *config = NULL;
	struct config_error err;
	unsigned int nth;
	int r;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sluiced.conf", dir);
	write_file(path, example);
	for (nth = 1;; nth++) {
		n_allocations = 0;
		fail_at = nth;
		r = config_load(&config, path, &err);
		fail_at = 0;
		if (n_allocations < nth)
			break;
		if (r != -SLUICE_E_NOMEM || !strstr(err.text, "sluiced.conf: no memory"))
			fail_msg("allocation %u: %s \"%s\"", nth, sluice_error_name(r), err.text);
		assert_null(config);
		assert_int_equal(secret_live(), secrets);
	}
	assert_int_equal(r, 0);
	assert_true(nth > 300);
	config_free(config);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_is_read),
		cmocka_unit_test(proxies_are_found_by_their_prefixes),
		cmocka_unit_test(defaults_are_those_of_the_example),
		cmocka_unit_test(a_daemon_of_services_needs_no_listener),
		cmocka_unit_test(sockets_lie_in_the_directory_of_the_daemon),
		cmocka_unit_test(the_order_is_free),
		cmocka_unit_test(no_type_is_guessed),
		cmocka_unit_test(a_byte_order_mark_is_skipped),
		cmocka_unit_test(nothing_is_freed),
		cmocka_unit_test(passwords_are_wiped_with_the_options),
		cmocka_unit_test(ten_thousand_hosts_take_no_time),
		cmocka_unit_test(the_one_of_ten_thousand_that_is_twice),
		cmocka_unit_test(a_file_is_read),
		cmocka_unit_test(a_file_that_cannot_be_read),
		cmocka_unit_test(memory_runs_out_at_every_allocation),
	};

	return cmocka_run_group_tests_name("unit/config", tests, NULL, NULL);
}
