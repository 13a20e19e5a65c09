/* SPDX-License-Identifier: Apache-2.0 */
/* Which servers may be fetched from: lists, URLs' hosts, addresses. */
#include "fetch/hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/error.h"
#include "fetch/fetch.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct fetch_hosts hosts;

static void parse(const char *text)
{
	const char *at, *wrong = fetch_hosts_parse(&hosts, text, &at);

	if (wrong)
		fail_msg("%s: \"%s\" %s", text, at, wrong);
}

static bool allows_address(const char *text, uint16_t port)
{
	uint8_t address[16];

	assert_true(fetch_address(text, address));
	return fetch_hosts_allow_address(&hosts, address, port);
}

static void CR_10_lists(void **state)
{
	parse("crl.example.com, CRL.example.org:8080,10.0.0.0/8,[2001:db8::/32]:81,fd00::1");
	assert_int_equal(hosts.n, 5);
	assert_string_equal(hosts.hosts[1].name, "crl.example.org");
	assert_int_equal(hosts.hosts[1].port, 8080);
	assert_int_equal(hosts.hosts[2].bits, 96 + 8);
	assert_int_equal(hosts.hosts[3].port, 81);
	assert_int_equal(hosts.hosts[3].bits, 32);
	assert_int_equal(hosts.hosts[4].bits, 128);
}

static void CR_10_lists_that_are_none(void **state)
{
	const char *const texts[] = {
		"",
		",",
		"a,,b",
		"a b",
		"a,",
		"a:",
		"a:0",
		"a:65536",
		"a:80x",
		":80",
		"*",
		"*.example.com",
		"http://a",
		"a/b",
		"a_b/8",
		"10.0.0.0/33",
		"10.0.0.1/8",
		"10.0.0.0/",
		"10.0.0.0/08x",
		"127.1",
		"2130706433",
		"1.2.3.4.5",
		"[::1",
		"[::1]x",
		"::ffff:10.0.0.1",
		"::1/129",
		"a..b",
		".a",
		"a.",
		"a\nb",
		"b\xc3\xbc.de",
	};
	const char *at;
	size_t i;

	for (i = 0; i < N(texts); i++)
		if (!fetch_hosts_parse(&hosts, texts[i], &at))
			fail_msg("%s is taken", texts[i]);
}

static void CR_10_lists_have_a_length(void **state)
{
	char text[FETCH_MAX_HOSTS_TEXT + 10] = "";
	const char *at;
	size_t i;

	for (i = 0; i < FETCH_MAX_HOSTS; i++)
		sprintf(text + strlen(text), "%sh%zu", i ? "," : "", i);
	parse(text);
	strcat(text, ",more");
	assert_string_equal(fetch_hosts_parse(&hosts, text, &at), "is one too many");
	assert_string_equal(at, "more");
	memset(text, 'a', sizeof(text) - 1);
	assert_non_null(fetch_hosts_parse(&hosts, text, &at));
	text[FETCH_MAX_HOST + 1] = '\0';
	assert_non_null(fetch_hosts_parse(&hosts, text, &at));
	text[FETCH_MAX_HOST] = '\0';
	parse(text);
}

static void CR_10_hosts_of_urls(void **state)
{
	parse("crl.example.com,other.test:8080,10.0.0.0/8,[fd00::/8]:81");
	assert_true(fetch_hosts_allow(&hosts, "crl.example.com", 80));
	assert_true(fetch_hosts_allow(&hosts, "CRL.Example.COM", 80));
	assert_false(fetch_hosts_allow(&hosts, "crl.example.com", 8080));
	assert_false(fetch_hosts_allow(&hosts, "crl.example.com.", 80));
	assert_false(fetch_hosts_allow(&hosts, "x.crl.example.com", 80));
	assert_false(fetch_hosts_allow(&hosts, "example.com", 80));
	assert_false(fetch_hosts_allow(&hosts, "", 80));
	assert_true(fetch_hosts_allow(&hosts, "other.test", 8080));
	assert_false(fetch_hosts_allow(&hosts, "other.test", 80));
	assert_true(fetch_hosts_allow(&hosts, "10.200.1.1", 80));
	assert_false(fetch_hosts_allow(&hosts, "10.200.1.1", 81));
	assert_false(fetch_hosts_allow(&hosts, "11.0.0.1", 80));
	/* Public, but nobody has allowed it. */
	assert_false(fetch_hosts_allow(&hosts, "93.184.216.34", 80));
	assert_true(fetch_hosts_allow(&hosts, "fd12::1", 81));
	assert_false(fetch_hosts_allow(&hosts, "fd12::1", 80));
	assert_false(fetch_hosts_allow(&hosts, "::ffff:10.0.0.1", 80));
}

static void CR_10_where_names_lead(void **state)
{
	parse("crl.example.com:8080,10.0.0.0/8,192.168.1.1:80");
	assert_true(allows_address("93.184.216.34", 8080));
	assert_true(allows_address("10.1.1.1", 8080)); /* no port is given */
	assert_true(allows_address("192.168.1.1", 80));
	assert_false(allows_address("192.168.1.1", 8080));
	assert_false(allows_address("192.168.1.2", 80));
	assert_false(allows_address("127.0.0.1", 8080));
	assert_false(allows_address("::1", 8080));
	parse("::/0");
	assert_true(allows_address("::1", 80));
	assert_false(allows_address("127.0.0.1", 80));
}

static void CR_10_public_addresses(void **state)
{
	const char *const public[] = { "1.1.1.1",         "93.184.216.34",      "100.63.255.255",
				       "100.128.0.0",     "172.15.255.255",     "172.32.0.0",
				       "223.255.255.255", "2606:2800:220:1::1", "2001:200::1",
				       "2a00::1" };
	const char *const others[] = { "0.0.0.0",
				       "10.0.0.1",
				       "100.64.0.1",
				       "127.0.0.1",
				       "127.255.255.254",
				       "169.254.169.254",
				       "172.16.0.1",
				       "172.31.255.255",
				       "192.0.0.1",
				       "192.0.2.1",
				       "192.168.0.1",
				       "198.18.0.1",
				       "198.51.100.1",
				       "203.0.113.1",
				       "224.0.0.1",
				       "255.255.255.255",
				       "::",
				       "::1",
				       "fe80::1",
				       "fd00::1",
				       "ff02::1",
				       "2001:db8::1",
				       "2001::1",
				       "2002:7f00:1::",
				       "64:ff9b::7f00:1",
				       "3fff::1" };
	uint8_t address[16];
	size_t i;

	for (i = 0; i < N(public); i++)
		if (!fetch_address(public[i], address) || !fetch_is_public(address))
			fail_msg("%s is not public", public[i]);
	for (i = 0; i < N(others); i++)
		if (!fetch_address(others[i], address) || fetch_is_public(address))
			fail_msg("%s is public", others[i]);
}

static void CR_10_host_and_port_of_a_url(void **state)
{
	static const struct {
		const char *url, *host;
		uint16_t port;
	} cases[] = {
		{ "http://crl.test/a.crl", "crl.test", 80 },
		{ "HTTP://crl.test:8080?x", "crl.test", 8080 },
		{ "http://[2001:db8::1]:81/", "2001:db8::1", 81 },
		{ "http://10.0.0.1", "10.0.0.1", 80 },
		{ "https://crl.test/", NULL, 0 },
		{ "http://", NULL, 0 },
		{ "http:///a", NULL, 0 },
		{ "http://:80/", NULL, 0 },
		{ "http://user@crl.test/", NULL, 0 },
		{ "http://crl.test:/", NULL, 0 },
		{ "http://crl.test:65536/", NULL, 0 },
		{ "http://[2001:db8::1/", NULL, 0 },
	};
	char host[FETCH_MAX_HOST + 1];
	uint16_t port;
	size_t i;
	bool ok;

	for (i = 0; i < N(cases); i++) {
		ok = fetch_url_host(cases[i].url, host, &port);
		if (ok != !!cases[i].host ||
		    (ok && (strcmp(host, cases[i].host) || port != cases[i].port)))
			fail_msg("%s: %s %u", cases[i].url, ok ? host : "refused", ok ? port : 0u);
	}
}

/* Fetching is off, and nothing but complete arguments turns it on. */
static void CR_10_what_http_takes(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *says;
	} cases[] = {
		{ "http=2000 hosts=crl.example.com:80,10.0.0.0/8", 0, "" },
		{ "hosts=[fd00::/8]:8080 http=1", 0, "" },
		{ "http=30000 hosts=a", 0, "" },
		{ "http=5000", SLUICE_E_OPTION, "needs hosts" },
		{ "hosts=a", SLUICE_E_OPTION, "needs hosts" },
		{ "http=5000 hosts=", SLUICE_E_OPTION, "is empty" },
		{ "http=5000 hosts=a,,b", SLUICE_E_OPTION, "is empty" },
		{ "http=5000 hosts=a,*.b", SLUICE_E_OPTION, "\"*.b\" is no name" },
		{ "http=5000 hosts=10.0.0.1/8", SLUICE_E_OPTION, "behind its prefix" },
		{ "http=0 hosts=a", SLUICE_E_OPTION_RANGE, "1 to 30000" },
		{ "http=30001 hosts=a", SLUICE_E_OPTION_RANGE, "1 to 30000" },
		{ "http=-1 hosts=a", SLUICE_E_OPTION_RANGE, "1 to 30000" },
		{ "http= hosts=a", SLUICE_E_OPTION_RANGE, "1 to 30000" },
		{ "http=5000 hosts=a https=1", SLUICE_E_OPTION, "or nothing" },
	};
	struct sluice_error err;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		err_clear(&err);
		if (fetch_args_check(cases[i].text, &err) != -cases[i].code ||
		    !strstr(err.text, cases[i].says))
			fail_msg("%s: %s", cases[i].text, err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CR_10_lists),
		cmocka_unit_test(CR_10_lists_that_are_none),
		cmocka_unit_test(CR_10_lists_have_a_length),
		cmocka_unit_test(CR_10_hosts_of_urls),
		cmocka_unit_test(CR_10_where_names_lead),
		cmocka_unit_test(CR_10_public_addresses),
		cmocka_unit_test(CR_10_host_and_port_of_a_url),
		cmocka_unit_test(CR_10_what_http_takes),
	};

	return cmocka_run_group_tests_name("unit/fetch_hosts", tests, NULL, NULL);
}
