/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of sluiced: every kind of mistake, where it is said to be, and in what words. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/secret.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define LISTENERS "listeners: [{name: a, address: ':443', profile: p, pool: w}]\n"
#define PROFILES "profiles: {p: {certfile: /c}}\n"
#define POOLS "pools: {w: {socket: /s}}\n"
#define SECTIONS LISTENERS PROFILES POOLS /* three lines */

/* What stands at line 3, in a listener, a profile, a host, a pool. */
#define LISTENER(text) PROFILES POOLS "listeners: [{" text "}]\n"
#define PROFILE(text) LISTENERS POOLS "profiles: {p: {" text "}}\n"
#define HOST(text) PROFILE("hosts: [{" text "}]")
#define NAME(text) HOST("names: [" text "]")
#define POOL(text) LISTENERS PROFILES "pools: {w: {" text "}}\n"
#define SERVICE(text) PROFILES "\nservices: {s: {" text "}}\n"
#define CLIENT(text)                                   \
	"services: {s: {socket: /t, profiles: [p]}}\n" \
	"profiles: {p: {role: client, " text "}}\n"
#define A "name: a, address: ':1', profile: p, pool: w"
#define ADDRESS(text) LISTENER("name: a, profile: p, pool: w, address: " text)
#define ROUTES(text) LISTENER(A ", routes: [" text "]")
#define PROXIES(text) LISTENER(A ", proxy_from: [" text "]")
#define TWO(a, b)                                                                               \
	PROFILES POOLS "listeners:\n- {profile: p, pool: w, " a "}\n- {profile: p, pool: w, " b \
		       "}\n"
#define FORTY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct mistake {
	const char *text;
	int code;
	const char *says; /* the beginning */
} mistakes[] = {
	/* The file. */
	{ "", SLUICE_E_OPTION, "f:1:1: the file is empty; it needs listeners, profiles and pools" },
	{ "# nothing\n\n", SLUICE_E_OPTION, "f:1:1: the file is empty" },
	{ "---\n", SLUICE_E_OPTION, "f:2:1: the file: takes keys with values, not nothing; " },
	{ "- a\n", SLUICE_E_OPTION, "f:1:1: the file: takes keys with values, not a list; write" },
	{ "hello\n", SLUICE_E_OPTION, "f:1:1: the file: takes keys with values, not one value" },
	{ PROFILES POOLS, SLUICE_E_OPTION, "f:1:1: the file needs the key \"listeners\"; add it" },
	{ LISTENERS POOLS, SLUICE_E_OPTION, "f:1:1: the file needs the key \"profiles\"" },
	{ LISTENERS PROFILES, SLUICE_E_OPTION, "f:1:1: the file needs the key \"pools\"" },
	{ SECTIONS "lisn: x\n", SLUICE_E_OPTION_UNKNOWN,
	  "f:4:1: the file has no key \"lisn\"; it takes listeners, profiles, pools, services, "
	  "admin, user, limits, log, metrics" },
	{ SECTIONS "logs: {}\n", SLUICE_E_OPTION_UNKNOWN,
	  "f:4:1: the file has no key \"logs\"; did you mean \"log\"?" },
	{ SECTIONS "admni: {}\n", SLUICE_E_OPTION_UNKNOWN,
	  "f:4:1: the file has no key \"admni\"; did you mean \"admin\"?" },
	{ SECTIONS "log: {level: info}\nadmin: {}\nlog: {}\n", SLUICE_E_OPTION_CONFLICT,
	  "f:6:1: the key \"log\" is there already, at line 4, column 1; keep one of them" },
	{ SECTIONS "log:\n", SLUICE_E_OPTION, "f:4:5: log: takes keys with values, not nothing" },

	/* YAML. */
	{ SECTIONS "log: {level: info\nuser: x\n", SLUICE_E_OPTION_MALFORMED,
	  "f:5:5: not YAML: did not find expected ',' or '}', while parsing a flow mapping; look" },
	{ SECTIONS "log:\n  level: info\n target: stderr\n", SLUICE_E_OPTION_MALFORMED,
	  "f:6:2: not YAML: did not find expected key, while parsing a block mapping; look at" },
	{ SECTIONS "log:\n\tlevel: info\n", SLUICE_E_OPTION_MALFORMED,
	  "f:5:1: not YAML: found character that cannot start any token" },
	{ SECTIONS "user: 'x\n", SLUICE_E_OPTION_MALFORMED,
	  "f:5:1: not YAML: found unexpected end of stream, while scanning a quoted scalar" },
	{ SECTIONS "user: a: b\n", SLUICE_E_OPTION_MALFORMED,
	  "f:4:8: not YAML: mapping values are not allowed in this context; put a value with" },
	{ SECTIONS "user: @a\n", SLUICE_E_OPTION_MALFORMED,
	  "f:4:7: not YAML: found character that "
	  "cannot start any token, while " },
	{ SECTIONS "user: &a b\n", SLUICE_E_OPTION,
	  "f:4:7: anchors and aliases (& and *) are not" },
	{ SECTIONS "admin: &a {}\n", SLUICE_E_OPTION, "f:4:8: anchors and aliases" },
	{ SECTIONS "admin: &a []\n", SLUICE_E_OPTION, "f:4:8: anchors and aliases" },
	{ SECTIONS "user: *a\n", SLUICE_E_OPTION, "f:4:7: anchors and aliases" },
	{ SECTIONS "user: !!str a\n", SLUICE_E_OPTION, "f:4:7: tags (!) are not taken; write" },
	{ SECTIONS "admin: !a {}\n", SLUICE_E_OPTION, "f:4:8: tags (!) are not taken" },
	{ SECTIONS "admin: !a []\n", SLUICE_E_OPTION, "f:4:8: tags (!) are not taken" },
	{ SECTIONS "user: !a!b c\n", SLUICE_E_OPTION_MALFORMED,
	  "f:4:7: not YAML: found undefined tag handle" },
	{ SECTIONS "---\nuser: a\n", SLUICE_E_OPTION,
	  "f:4:1: a second document; take out the line \"---\"" },
	{ SECTIONS "? [a]\n: b\n", SLUICE_E_OPTION,
	  "f:4:3: a key is a word, not a list or a mapping; write \"key: value\"" },
	{ SECTIONS "user: \"a\\0b\"\n", SLUICE_E_OPTION, "f:4:7: a NUL in a text; take it out" },
	{ "a: [[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]\n", SLUICE_E_OPTION_RANGE,
	  "f:1:19: nested more than 16 deep; nothing here is" },

	/* Encodings. */
	{ SECTIONS "user: \"\xc3\xa9\xff\"\n", SLUICE_E_OPTION_MALFORMED,
	  "f:4:9: not UTF-8; save the file as UTF-8" },
	{ "\xff\xfe"
	  "a",
	  SLUICE_E_OPTION_MALFORMED, "f:1:1: not UTF-8" },
	{ "a: \xed\xa0\x80\n", SLUICE_E_OPTION_MALFORMED, "f:1:4: not UTF-8" },
	{ "a: \xc0\xaf\n", SLUICE_E_OPTION_MALFORMED, "f:1:4: not UTF-8" },
	{ "a: \xc3", SLUICE_E_OPTION_MALFORMED, "f:1:4: not UTF-8" },
	{ "ab: \x01\n", SLUICE_E_OPTION_MALFORMED, "f:1:5: a control character; take it out" },

	/* Listeners. */
	{ PROFILES POOLS "listeners: {a: b}\n", SLUICE_E_OPTION,
	  "f:3:12: listeners: takes a list, not keys with values; begin each entry with \"- \"" },
	{ PROFILES POOLS "listeners: []\n", SLUICE_E_OPTION,
	  "f:3:12: listeners: the list is empty; add one" },
	{ PROFILES POOLS "listeners: [a]\n", SLUICE_E_OPTION,
	  "f:3:13: a listener: takes keys with values, not one value" },
	{ LISTENER("address: ':1', profile: p, pool: w"), SLUICE_E_OPTION,
	  "f:3:13: a listener needs the key \"name\"; add it" },
	{ LISTENER("name: a, profile: p, pool: w"), SLUICE_E_OPTION,
	  "f:3:13: a listener needs the key \"address\"" },
	{ LISTENER("name: a, address: ':1', pool: w"), SLUICE_E_OPTION,
	  "f:3:13: a listener needs the key \"profile\"" },
	{ LISTENER("name: a, address: ':1', profile: p"), SLUICE_E_OPTION,
	  "f:3:13: a listener needs the key \"pool\"" },
	{ LISTENER("adress: ':1'"), SLUICE_E_OPTION_UNKNOWN,
	  "f:3:14: a listener has no key \"adress\"; did you mean \"address\"?" },
	{ LISTENER("xyzzy: 1"), SLUICE_E_OPTION_UNKNOWN,
	  "f:3:14: a listener has no key \"xyzzy\"; it takes name, address, profile, pool, "
	  "backlog, reuse_port, routes, proxy_from, plain_pool, hello_timeout" },
	{ LISTENER("name: [a]"), SLUICE_E_OPTION, "f:3:20: name: takes one value, not a list; " },
	{ LISTENER("name: ''"), SLUICE_E_OPTION, "f:3:20: name: has no value; write one" },
	{ LISTENER("name: a b"), SLUICE_E_OPTION, "f:3:20: name: a name takes letters, digits, " },
	{ LISTENER("name: -a"), SLUICE_E_OPTION, "f:3:20: name: a name takes letters, digits, " },
	{ LISTENER("name: " FORTY_A FORTY_A), SLUICE_E_OPTION_RANGE,
	  "f:3:20: name: takes at most 64 bytes; write something shorter" },
	{ LISTENER("name: \"a\\nb\""), SLUICE_E_OPTION,
	  "f:3:20: name: takes one line without control characters" },
	{ LISTENER(A ", backlog: 0"), SLUICE_E_OPTION_RANGE,
	  "f:3:68: backlog: takes 1 to 65535, not 0" },
	{ LISTENER(A ", backlog: 65536"), SLUICE_E_OPTION_RANGE, "f:3:68: backlog: takes 1 to" },
	{ LISTENER(A ", backlog: 99999999999999999999999"), SLUICE_E_OPTION_RANGE,
	  "f:3:68: backlog: takes 1 to 65535, not 99999999999999999999999" },
	{ LISTENER(A ", backlog: -1"), SLUICE_E_OPTION,
	  "f:3:68: backlog: takes a whole number from 1 to 65535, not \"-1\"" },
	{ LISTENER(A ", backlog: 1k"), SLUICE_E_OPTION, "f:3:68: backlog: takes a whole number" },
	{ LISTENER("name: a, profile: q, pool: w, address: ':1'"), SLUICE_E_OPTION,
	  "f:3:32: profile: there is no profile \"q\"; add it to the section profiles" },
	{ LISTENER("name: a, profile: p, pool: v, address: ':1'"), SLUICE_E_OPTION,
	  "f:3:41: pool: there is no pool \"v\"; add it to the section pools" },
	{ POOLS "profiles: {website: {}}\nlisteners: [{profile: webiste}]\n", SLUICE_E_OPTION,
	  "f:3:23: profile: there is no profile \"webiste\"; did you mean \"website\"?" },
	{ POOLS "profiles: {p: {role: client}}\nlisteners: [{" A "}]\n", SLUICE_E_OPTION_ROLE,
	  "f:3:47: profile: \"p\" (line 2) is of the role client; a listener needs one of" },
	{ TWO("name: a, address: ':1'", "name: a, address: ':2'"), SLUICE_E_OPTION_CONFLICT,
	  "f:5:31: the listener \"a\" is there already, at line 4, column 31; keep one" },
	{ TWO("name: a, address: ':1'", "name: b, address: ':1'"), SLUICE_E_OPTION_CONFLICT,
	  "f:5:43: the address \":1\" is there already, at line 4, column 43" },
	{ TWO("name: a, address: '[0::1]:1'", "name: b, address: '[::1]:1'"),
	  SLUICE_E_OPTION_CONFLICT, "f:5:43: the address \"[::1]:1\" is there already, at line 4" },
	{ TWO("name: a, address: '0.0.0.0:1'", "name: b, address: ':1'"), SLUICE_E_OPTION_CONFLICT,
	  "f:5:43: the address \":1\" is all addresses, and \"0.0.0.0:1\" is there already, at "
	  "line 4, column 43" },
	{ TWO("name: a, address: ':1'", "name: b, address: '[::]:1'"), SLUICE_E_OPTION_CONFLICT,
	  "f:4:43: the address \":1\" is all addresses, and \"[::]:1\" is there already, at line "
	  "5" },

	/* Addresses. */
	{ ADDRESS("443"), SLUICE_E_OPTION, "f:3:53: address: takes \"192.0.2.1:443\", " },
	{ ADDRESS("'*:443'"), SLUICE_E_OPTION, "f:3:53: address: takes \"192.0.2.1:443\", " },
	{ ADDRESS("'localhost:443'"), SLUICE_E_OPTION, "f:3:53: address: takes " },
	{ ADDRESS("'::1:443'"), SLUICE_E_OPTION, "f:3:53: address: takes " },
	{ ADDRESS("'[::1]443'"), SLUICE_E_OPTION, "f:3:53: address: takes " },
	{ ADDRESS("'[]:443'"), SLUICE_E_OPTION, "f:3:53: address: takes " },
	{ ADDRESS("'[fe80::1%eth0]:443'"), SLUICE_E_OPTION, "f:3:53: address: takes " },
	{ ADDRESS("'[192.0.2.1]:443'"), SLUICE_E_OPTION, "f:3:53: address: takes " },
	{ ADDRESS("'192.0.2.256:443'"), SLUICE_E_OPTION, "f:3:53: address: takes " },
	{ ADDRESS("':0'"), SLUICE_E_OPTION_RANGE,
	  "f:3:53: address: takes a port from 1 to 65535 behind the last colon" },
	{ ADDRESS("':65536'"), SLUICE_E_OPTION_RANGE, "f:3:53: address: takes a port" },
	{ ADDRESS("':'"), SLUICE_E_OPTION_RANGE, "f:3:53: address: takes a port" },
	{ ADDRESS("':https'"), SLUICE_E_OPTION_RANGE, "f:3:53: address: takes a port" },
	{ ADDRESS("':1 '"), SLUICE_E_OPTION_RANGE, "f:3:53: address: takes a port" },
	{ ADDRESS("':000001'"), SLUICE_E_OPTION_RANGE, "f:3:53: address: takes a port" },
	{ ADDRESS("{a: b}"), SLUICE_E_OPTION, "f:3:53: address: takes one value, not keys with" },

	/* Who may begin with a PROXY header, and connections without TLS. */
	{ LISTENER(A ", proxy_from: 10.0.0.0/8"), SLUICE_E_OPTION,
	  "f:3:71: proxy_from: takes a list, not one value; begin each entry with \"- \"" },
	{ PROXIES(""), SLUICE_E_OPTION,
	  "f:3:71: proxy_from: the list is empty; add an address, or take it out" },
	{ PROXIES("10.0.0.0/8, 10.0.0.0/33"), SLUICE_E_OPTION,
	  "f:3:84: proxy_from: takes \"192.0.2.1\", \"192.0.2.0/24\", \"2001:db8::1\" or "
	  "\"2001:db8::/32\", not \"10.0.0.0/33\"; write one of these, in quotes" },
	{ PROXIES("'::/129'"), SLUICE_E_OPTION, "f:3:72: proxy_from: takes " },
	{ PROXIES("10.0.0/8"), SLUICE_E_OPTION, "f:3:72: proxy_from: takes " },
	{ PROXIES("10.0.0.0/"), SLUICE_E_OPTION, "f:3:72: proxy_from: takes " },
	{ PROXIES("10.0.0.0/08"), SLUICE_E_OPTION, "f:3:72: proxy_from: takes " },
	{ PROXIES("10.0.0.0/-1"), SLUICE_E_OPTION, "f:3:72: proxy_from: takes " },
	{ PROXIES("10.0.0.0/255.0.0.0"), SLUICE_E_OPTION, "f:3:72: proxy_from: takes " },
	{ PROXIES("10.0.0.0/8/8"), SLUICE_E_OPTION, "f:3:72: proxy_from: takes " },
	{ PROXIES("/8"), SLUICE_E_OPTION, "f:3:72: proxy_from: takes " },
	{ PROXIES("localhost"), SLUICE_E_OPTION, "f:3:72: proxy_from: takes " },
	{ PROXIES("'[::1]'"), SLUICE_E_OPTION, "f:3:72: proxy_from: takes " },
	{ PROXIES("'::ffff:10.0.0.1'"), SLUICE_E_OPTION, "f:3:72: proxy_from: takes " },
	{ PROXIES("10.1.0.0/8"), SLUICE_E_OPTION,
	  "f:3:72: proxy_from: \"10.1.0.0/8\" has bits behind its prefix; did you mean "
	  "\"10.0.0.0/8\"?" },
	{ PROXIES("'2001:db8::1/32'"), SLUICE_E_OPTION,
	  "f:3:72: proxy_from: \"2001:db8::1/32\" has bits behind its prefix; did you mean "
	  "\"2001:db8::/32\"?" },
	{ PROXIES("[a]"), SLUICE_E_OPTION, "f:3:72: proxy_from: takes one value, not a list" },
	{ LISTENER(A ", plain_pool: v"), SLUICE_E_OPTION,
	  "f:3:71: plain_pool: there is no pool \"v\"; add it to the section pools" },
	{ LISTENER(A ", hello_timeout: 0"), SLUICE_E_OPTION_RANGE,
	  "f:3:74: hello_timeout: takes 1 to 3600000, not 0" },

	/* Routes. */
	{ LISTENER(A ", routes: x"), SLUICE_E_OPTION, "f:3:67: routes: takes a list, not one" },
	{ ROUTES("{sni: a.b}"), SLUICE_E_OPTION, "f:3:68: a route needs the key \"pool\"" },
	{ ROUTES("{pool: w}"), SLUICE_E_OPTION,
	  "f:3:68: a route needs the key \"sni\", \"alpn\" or both; where no route fits" },
	{ ROUTES("{pool: v, sni: a.b}"), SLUICE_E_OPTION, "f:3:75: pool: there is no pool \"v\"" },
	{ ROUTES("{snl: a.b, pool: w}"), SLUICE_E_OPTION_UNKNOWN,
	  "f:3:69: a route has no key \"snl\"; did you mean \"sni\"?" },
	{ ROUTES("{sni: 'a..b', pool: w}"), SLUICE_E_OPTION,
	  "f:3:74: sni: \"a..b\" is not a DNS name; write one like" },
	{ ROUTES("{alpn: " FORTY_A FORTY_A FORTY_A FORTY_A FORTY_A FORTY_A FORTY_A ", pool: w}"),
	  SLUICE_E_OPTION_RANGE, "f:3:75: alpn: takes at most 255 bytes" },
	{ ROUTES("{sni: a.b, pool: w}, {sni: a.b, alpn: h2, pool: w}, {sni: A.B, pool: w}"),
	  SLUICE_E_OPTION_CONFLICT,
	  "f:3:120: the same route for \"a.b\" is there already, at line 3, column 68" },

	/* Profiles and options. */
	{ LISTENERS POOLS "profiles: []\n", SLUICE_E_OPTION,
	  "f:3:11: profiles: takes keys with values, not a list" },
	{ LISTENERS POOLS "profiles: {p: x}\n", SLUICE_E_OPTION,
	  "f:3:15: a profile: takes keys with values, not one value" },
	{ LISTENERS POOLS "profiles: {'a/b': {}}\n", SLUICE_E_OPTION,
	  "f:3:12: profiles: a name takes letters, digits, " },
	{ LISTENERS POOLS "profiles: {p: {}, p: {}}\n", SLUICE_E_OPTION_CONFLICT,
	  "f:3:19: the key \"p\" is there already, at line 3, column 12" },
	{ PROFILE("role: peer"), SLUICE_E_OPTION,
	  "f:3:22: role: takes server or client, not \"peer\"" },
	{ PROFILE("no_match: no"), SLUICE_E_OPTION,
	  "f:3:26: no_match: takes default or refuse, not \"no\"" },
	{ PROFILE("no_match: refuse"), SLUICE_E_OPTION_CONFLICT,
	  "f:3:26: no_match: refuse without hosts refuses everybody; add hosts" },
	{ PROFILE("hosts_dir: certs"), SLUICE_E_OPTION,
	  "f:3:27: hosts_dir: takes an absolute path, not \"certs\"; begin it with" },
	{ PROFILE("role: client, hosts_dir: /certs"), SLUICE_E_OPTION_CONFLICT,
	  "f:3:41: hosts_dir: only for the role server; take it out" },
	{ PROFILE("role: client, no_match: default"), SLUICE_E_OPTION_CONFLICT,
	  "f:3:40: no_match: only for the role server; take it out" },
	{ PROFILE("role: client, hosts: []"), SLUICE_E_OPTION_CONFLICT,
	  "f:3:37: hosts: only for the role server; take it out" },
	{ PROFILE("certfiel: /c"), SLUICE_E_OPTION_UNKNOWN,
	  "f:3:16: a profile has no key or option \"certfiel\"; did you mean \"certfile\"?" },
	{ PROFILE("host: []"), SLUICE_E_OPTION_UNKNOWN,
	  "f:3:16: a profile has no key or option \"host\"; did you mean \"hosts\"?" },
	{ PROFILE("xyzzy: 1"), SLUICE_E_OPTION_UNKNOWN,
	  "f:3:16: a profile has no key or option \"xyzzy\"; `sluice options` shows those" },
	{ PROFILE("dhfile: /d"), SLUICE_E_UNSUPPORTED,
	  "f:3:16: option \"dhfile\" is not supported: BoringSSL has no finite-field Diffie-" },
	{ PROFILE("alpn_advertised_protocols: [h2]"), SLUICE_E_OPTION_ROLE,
	  "f:3:16: alpn_advertised_protocols: is an option of a client; take it out, or change" },
	{ PROFILE("role: client, ticket_count: 1"), SLUICE_E_OPTION_ROLE,
	  "f:3:30: ticket_count: is an option of a server; take it out" },
	{ PROFILE("depth: 101"), SLUICE_E_OPTION_RANGE, "f:3:23: depth: takes 0 to 100" },
	{ PROFILE("depth: ten"), SLUICE_E_OPTION, "f:3:23: depth: takes a whole number from 0 to" },
	{ PROFILE("depth: [1]"), SLUICE_E_OPTION, "f:3:23: depth: takes one value, not a list" },
	{ PROFILE("depth: "), SLUICE_E_OPTION, "f:3:23: depth: takes a whole number from 0 to" },
	{ PROFILE("verify: yes"), SLUICE_E_OPTION,
	  "f:3:24: verify: takes verify_none|verify_peer" },
	{ PROFILE("crl_check: peer"), SLUICE_E_OPTION_CONFLICT,
	  "f:3:12: crl_check: there are no revocation lists; add the section crls with" },
	{ PROFILE("crl_cache: internal"), SLUICE_E_UNSUPPORTED,
	  "f:3:27: crl_cache: the section crls says where revocation lists come from" },
	{ PROFILE("crl_check: yes"), SLUICE_E_OPTION,
	  "f:3:27: crl_check: takes false|true|peer|best_effort" },
	{ PROFILE("cert: abc"), SLUICE_E_OPTION, "f:3:22: cert: takes bytes; certfile takes a" },
	{ PROFILE("versions: [tlsv1.2, sslv3]"), SLUICE_E_UNSUPPORTED_SSLV3,
	  "f:3:26: versions: sslv3 is not supported" },
	{ PROFILE("versions: tlsv1.1"), SLUICE_E_UNSUPPORTED_VERSION, "f:3:26: versions: tlsv1.1" },
	{ PROFILE("ciphers: RC4-SHA"), SLUICE_E_UNSUPPORTED_SUITE, "f:3:25: ciphers: RC4-SHA" },
	{ PROFILE("versions: []"), SLUICE_E_OPTION, "f:3:26: versions: takes words separated by" },
	{ PROFILE("versions: [[a]]"), SLUICE_E_OPTION,
	  "f:3:27: versions: takes one value, not a list" },
	{ PROFILE("versions: ['tlsv1.2,tlsv1.3']"), SLUICE_E_OPTION,
	  "f:3:27: versions: a comma in an entry of a list; make it two entries" },
	{ PROFILE("versions: {a: b}"), SLUICE_E_OPTION, "f:3:26: versions: takes one value, not " },

	/* Hosts. */
	{ PROFILE("hosts: {a: b}"), SLUICE_E_OPTION, "f:3:23: hosts: takes a list, not keys with" },
	{ PROFILE("hosts: [a]"), SLUICE_E_OPTION, "f:3:24: a host: takes keys with values, not" },
	{ HOST("certfile: /c"), SLUICE_E_OPTION, "f:3:24: a host needs the key \"names\"; add it" },
	{ HOST("names: a.b"), SLUICE_E_OPTION, "f:3:32: names: takes a list, not one value; " },
	{ HOST("names: []"), SLUICE_E_OPTION, "f:3:32: names: the list is empty; write the names" },
	{ HOST("name: [a.b]"), SLUICE_E_OPTION, "f:3:24: a host needs the key \"names\"" },
	{ HOST("names: [a.b], role: server"), SLUICE_E_OPTION_UNKNOWN,
	  "f:3:39: a host has no key or option \"role\"; `sluice options` shows" },
	{ HOST("names: [a.b], depth: 101"), SLUICE_E_OPTION_RANGE, "f:3:46: depth: takes 0 to" },
	{ HOST("names: [a.b, c.d, A.b]"), SLUICE_E_OPTION_CONFLICT,
	  "f:3:43: the host \"a.b\" is there already, at line 3, column 33; keep one of them" },
	{ PROFILE("hosts: [{names: [a.b]}, {names: ['*.b']}, {names: ['*.B']}]"),
	  SLUICE_E_OPTION_CONFLICT,
	  "f:3:67: the host \"*.b\" is there already, at line 3, column "
	  "49" },
	{ NAME("[a]"), SLUICE_E_OPTION, "f:3:33: names: takes one value, not a list" },
	{ NAME("''"), SLUICE_E_OPTION, "f:3:33: names: has no value; write one" },
	{ NAME("b\xc3\xbc"
	       "cher.example"),
	  SLUICE_E_OPTION,
	  "f:3:33: names: \"b??cher.example\" is not ASCII; write what DNS has, " },
	{ NAME("192.0.2.1"), SLUICE_E_OPTION, "f:3:33: names: \"192.0.2.1\" is an address or has" },
	{ NAME("'::1'"), SLUICE_E_OPTION, "f:3:33: names: \"::1\" is an address or has a port" },
	{ NAME("'a.b:443'"), SLUICE_E_OPTION, "f:3:33: names: \"a.b:443\" is an address or has a" },
	{ NAME("a.b."), SLUICE_E_OPTION, "f:3:33: names: \"a.b.\" ends with a dot, and what " },
	{ NAME("'*'"), SLUICE_E_OPTION, "f:3:33: names: \"*\" would be every name; what has no" },
	{ NAME("'*a.b'"), SLUICE_E_OPTION, "f:3:33: names: \"*a.b\" has a \"*\" that is not all" },
	{ NAME("a.*.b"), SLUICE_E_OPTION, "f:3:33: names: \"a.*.b\" has a \"*\" that is not all" },
	{ NAME("'*.*.b'"), SLUICE_E_OPTION, "f:3:33: names: \"*.*.b\" has a \"*\" that is not" },
	{ NAME("'*.'"), SLUICE_E_OPTION, "f:3:33: names: \"*.\" ends with a dot" },
	{ NAME(".a"), SLUICE_E_OPTION, "f:3:33: names: \".a\" is not a DNS name; write one like" },
	{ NAME("a..b"), SLUICE_E_OPTION, "f:3:33: names: \"a..b\" is not a DNS name" },
	{ NAME("-a.b"), SLUICE_E_OPTION, "f:3:33: names: \"-a.b\" is not a DNS name" },
	{ NAME("a-.b"), SLUICE_E_OPTION, "f:3:33: names: \"a-.b\" is not a DNS name" },
	{ NAME("a b"), SLUICE_E_OPTION, "f:3:33: names: \"a b\" is not a DNS name" },
	{ NAME("a/b"), SLUICE_E_OPTION, "f:3:33: names: \"a/b\" is not a DNS name" },
	{ NAME(FORTY_A FORTY_A ".b"), SLUICE_E_OPTION, "f:3:33: names: \"" FORTY_A },

	/* Pools. */
	{ LISTENERS PROFILES "pools: x\n", SLUICE_E_OPTION,
	  "f:3:8: pools: takes keys with values" },
	{ LISTENERS PROFILES "pools: {w: /s}\n", SLUICE_E_OPTION, "f:3:12: a pool: takes keys " },
	{ LISTENERS PROFILES "pools: {'': {}}\n", SLUICE_E_OPTION, "f:3:9: pools: has no value; " },
	{ POOL("socket: s"), SLUICE_E_OPTION,
	  "f:3:21: socket: takes an absolute path, not \"s\"; begin it with \"/\"" },
	{ POOL("socket: /" FORTY_A FORTY_A FORTY_A), SLUICE_E_OPTION_RANGE,
	  "f:3:21: socket: takes at most 107 bytes; write something shorter" },
	{ POOL("socket: /s, wait: 3600001"), SLUICE_E_OPTION_RANGE,
	  "f:3:31: wait: takes 0 to 3600000, not 3600001" },
	{ POOL("socket: /s, users: root"), SLUICE_E_OPTION,
	  "f:3:32: users: takes a list, not one value; begin each entry with \"- \"" },
	{ POOL("socket: /s, groups: root"), SLUICE_E_OPTION, "f:3:33: groups: takes a list, not" },
	{ POOL("socket: /s, users: [0, no-such-user]"), SLUICE_E_OPTION,
	  "f:3:36: users: there is no user \"no-such-user\"; create it, or write another" },
	{ POOL("socket: /s, groups: [no-such-group]"), SLUICE_E_OPTION,
	  "f:3:34: groups: there is no group \"no-such-group\"; create it" },
	{ POOL("socket: /s, users: [4294967295]"), SLUICE_E_OPTION_RANGE,
	  "f:3:33: users: takes 0 to 4294967294, not 4294967295" },
	{ POOL("socket: /s}, v: {socket: /s"), SLUICE_E_OPTION_CONFLICT,
	  "f:3:38: the socket \"/s\" is there already, at line 3, column 21; keep one of them" },
	{ POOL("socket: /run/sluice/admin.sock"), SLUICE_E_OPTION_CONFLICT,
	  "f:3:21: the socket \"/run/sluice/admin.sock\" is taken by default; choose another" },
	{ SECTIONS "admin: {socket: /s}\n", SLUICE_E_OPTION_CONFLICT,
	  "f:4:17: the socket \"/s\" is there already, at line 3, column 21; keep one of them" },

	/* Services. */
	{ SERVICE("socket: /t"), SLUICE_E_OPTION,
	  "f:3:15: a service needs the key \"profiles\"; add it" },
	{ SERVICE("profiles: [p]"), SLUICE_E_OPTION,
	  "f:3:15: a service needs the key \"socket\"; add it" },
	{ SERVICE("socket: /t, profiles: []"), SLUICE_E_OPTION,
	  "f:3:38: profiles: the list is empty; write what may be asked for" },
	{ SERVICE("socket: /t, profiles: p"), SLUICE_E_OPTION,
	  "f:3:38: profiles: takes a list, not" },
	{ SERVICE("socket: /t, profiles: [p, q]"), SLUICE_E_OPTION,
	  "f:3:42: profile: there is no profile \"q\"" },
	{ SERVICE("socket: /t, profiles: [p], handshakes: 0"), SLUICE_E_OPTION_RANGE,
	  "f:3:55: handshakes: takes 1 to 1000000" },
	{ SERVICE("socket: /t, profiles: [p], wait: 1"), SLUICE_E_OPTION_UNKNOWN,
	  "f:3:43: a service has no key \"wait\"" },
	{ SERVICE("socket: /t, profiles: [p], users: [no-such-user]"), SLUICE_E_OPTION,
	  "f:3:51: users: there is no user \"no-such-user\"" },
	{ SECTIONS "services: {w: {socket: /t, profiles: [p]}}\n", SLUICE_E_OPTION_CONFLICT,
	  "f:4:12: the name \"w\" is that of a pool already, at line 3, column 9" },
	{ SECTIONS "services: {t: {socket: /s, profiles: [p]}}\n", SLUICE_E_OPTION_CONFLICT,
	  "f:4:24: the socket \"/s\" is there already, at line 3, column 21" },
	{ LISTENERS PROFILES "services: {w: {socket: /t, profiles: [p]}}\n", SLUICE_E_OPTION,
	  "f:1:1: the file needs the key \"pools\"; add it" },
	{ PROFILES POOLS "services: {t: {socket: /t, profiles: [p]}}\n"
			 "listeners: [{name: a, address: ':1', profile: p, pool: t}]\n",
	  SLUICE_E_OPTION, "f:4:56: pool: there is no pool \"t\"" },
	{ "profiles: {p: {role: client, session_tickets: manual}}\n", SLUICE_E_OPTION,
	  "f:1:1: the file needs the key \"listeners\"" },
	{ CLIENT("session_tickets: manual"), SLUICE_E_UNSUPPORTED,
	  "f:2:47: session_tickets: a client of the daemon keeps no sessions" },
	{ CLIENT("handshake: hello"), SLUICE_E_UNSUPPORTED,
	  "f:2:41: handshake: a client of the daemon does not pause" },

	/* The rest. */
	{ SECTIONS "limits: {handshake: 1}\n", SLUICE_E_OPTION_UNKNOWN,
	  "f:4:10: limits has no key \"handshake\"; did you mean \"handshakes\"?" },
	{ SECTIONS "limits: {handshakes: 0}\n", SLUICE_E_OPTION_RANGE,
	  "f:4:22: handshakes: takes 1 to 1000000, not 0" },
	{ SECTIONS "limits: {handshakers: 1025}\n", SLUICE_E_OPTION_RANGE,
	  "f:4:23: handshakers: takes 0 to 1024, not 1025" },
	{ SECTIONS "limits: {per_source: 0}\n", SLUICE_E_OPTION_RANGE,
	  "f:4:22: per_source: takes" },
	{ SECTIONS "limits: {per_source_rate: 1000001}\n", SLUICE_E_OPTION_RANGE,
	  "f:4:27: per_source_rate: takes 0 to 1000000, not 1000001" },
	{ SECTIONS "limits: {penalty: 1m}\n", SLUICE_E_OPTION, "f:4:19: penalty: takes a whole" },
	{ SECTIONS "limits: {drain: 1.5}\n", SLUICE_E_OPTION, "f:4:17: drain: takes a whole" },
	{ SECTIONS "admin: {read_group: no-such}\n", SLUICE_E_OPTION,
	  "f:4:21: read_group: there is no group \"no-such\"" },
	{ SECTIONS "log: {level: loud}\n", SLUICE_E_OPTION,
	  "f:4:14: level: takes error, warning, info or debug, not \"loud\"" },
	{ SECTIONS "log: {target: file}\n", SLUICE_E_OPTION,
	  "f:4:15: target: takes stderr, journal or syslog, not \"file\"" },
	{ SECTIONS "log: {rate: 0}\n", SLUICE_E_OPTION_RANGE,
	  "f:4:13: rate: takes 1 to 1000000, not 0" },
	{ SECTIONS "metrics: {adress: x}\n", SLUICE_E_OPTION_UNKNOWN,
	  "f:4:11: metrics has no key \"adress\"; did you mean \"address\"?" },
	{ SECTIONS "metrics: {socket: metrics}\n", SLUICE_E_OPTION,
	  "f:4:19: socket: takes an absolute path" },
	{ SECTIONS "metrics: {socket: /s}\n", SLUICE_E_OPTION_CONFLICT,
	  "f:4:19: the socket \"/s\" is there already, at line 3, column 21; keep one of them" },
	{ SECTIONS "metrics: {address: '127.0.0.1'}\n", SLUICE_E_OPTION, "f:4:20: address: takes" },
	{ SECTIONS "metrics: {address: '127.0.0.1:0'}\n", SLUICE_E_OPTION_RANGE,
	  "f:4:20: address: takes a port" },
	{ SECTIONS "metrics: {address: '192.0.2.1:9180'}\n", SLUICE_E_OPTION,
	  "f:4:20: metrics: address: \"192.0.2.1:9180\" is not of the loopback" },
	{ SECTIONS "metrics: {address: ':9180'}\n", SLUICE_E_OPTION,
	  "f:4:20: metrics: address: \":9180\" is not of the loopback" },
	{ SECTIONS "metrics: {address: '[::ffff:127.0.0.1]:9180'}\n", SLUICE_E_OPTION,
	  "f:4:20: metrics: address: \"[::ffff:127.0.0.1]:9180\" is not of the loopback" },
	{ SECTIONS "user: no-such-user\n", SLUICE_E_OPTION,
	  "f:4:7: user: there is no user \"no-such-user\"" },
	{ SECTIONS "user: 4294967294\n", SLUICE_E_OPTION, "f:4:7: user: there is no user \"42949" },
	{ SECTIONS "user: root\n", SLUICE_E_OPTION, "f:4:7: user: handshakes do not run as root" },
	{ SECTIONS "user: '0'\n", SLUICE_E_OPTION, "f:4:7: user: handshakes do not run as root" },
	{ SECTIONS "user: [a]\n", SLUICE_E_OPTION, "f:4:7: user: takes one value, not a list" },
};

static int parse(const char *text, size_t len, struct config_error *err)
{
	struct config *config = NULL;
	int r = config_parse(&config, "f", text, len, err);

	assert_true(!r == !!config);
	config_free(config);
	return r;
}

static void every_mistake_has_its_place_and_words(void **state)
{
	const struct mistake *m;
	struct config_error err;
	bool failed = false;
	char place[32];
	size_t i;
	int r;

	for (i = 0; i < ARRAY_LEN(mistakes); i++) {
		m = &mistakes[i];
		r = parse(m->text, strlen(m->text), &err);
		snprintf(place, sizeof(place), "f:%u:%u: ", err.place.line, err.place.column);
		if (r == -m->code && !strncmp(err.text, m->says, strlen(m->says)) &&
		    !strncmp(err.text, place, strlen(place)))
			continue;
		failed = true;
		print_error("%s\n  wanted %s \"%s\"\n  got %s \"%s\"\n", m->text,
			    sluice_error_name(m->code), m->says, sluice_error_name(r), err.text);
	}
	assert_false(failed);
}

/* The texts without a mistake around which those of the table are made. */
static void what_the_mistakes_are_made_of_is_right(void **state)
{
	static const char *const texts[] = {
		SECTIONS,
		LISTENER(A),
		PROFILE("depth: 1"),
		NAME("a.b"),
		NAME("xn--bcher-kva.example, _a.b, a, 1.2.3.4.5, '*.com', r3---sn.x"),
		POOL("socket: /s, users: [root], groups: ['0']"),
		ADDRESS("'[::1]:443'"),
		ROUTES("{sni: a.b, pool: w}, {sni: a.b, alpn: h2, pool: w}, {alpn: h2, pool: w}"),
		TWO("name: a, address: '0.0.0.0:1'", "name: b, address: '[::]:1'"),
		TWO("name: a, address: ':1'", "name: b, address: ':2'"),
		SECTIONS "user: nobody\n",
		SECTIONS "user: '65534'\n",
		SECTIONS "admin: {socket: /a, read_group: 0}\n",
		"%YAML 1.1\n---\n" SECTIONS "...\n",
	};
	struct config_error err;
	size_t i;

	for (i = 0; i < ARRAY_LEN(texts); i++)
		if (parse(texts[i], strlen(texts[i]), &err) < 0)
			fail_msg("%s: %s", texts[i], err.text);
}

/* --- passwords ---------------------------------------------------------------------------------- */

static void no_error_shows_a_password(void **state)
{
	static const char *const texts[] = {
		PROFILE("password: [hunter2]"),
		PROFILE("password: {hunter2: a}"),
		PROFILE("pasword: hunter2"),
		PROFILE("password: hunter2, password: hunter2"),
		PROFILE("password: hunter2, depth: 101"),
		PROFILE("password=hunter2: a"),
		PROFILE("password hunter2: a"),
		PROFILE("password=hunter2: a, password=hunter2: a"),
		HOST("password: hunter2"),
		HOST("names: [a.b], password: [hunter2]"),
		PROFILE("hosts: ['password: hunter2']"),
		LISTENERS POOLS "profiles:\n  p:\n    password hunter2\n",
		LISTENERS POOLS "profiles:\n  p:\n    password=hunter2\n    depth: 1\n",
		LISTENERS POOLS "profiles:\n  p:\n    password: 'hunter2\n",
		LISTENERS POOLS "profiles:\n  p:\n    password: &hunter2 a\n",
		LISTENERS POOLS "profiles:\n  p:\n    password: *hunter2\n",
		LISTENERS POOLS "profiles:\n  p:\n    password: !hunter2\n",
		LISTENERS POOLS "profiles:\n  p:\n    password: hunter2: a\n",
		LISTENERS POOLS "profiles:\n  p:\n    password: \"hunter2\\0\"\n",
		SECTIONS "password: hunter2\n",
	};
	char text[3000], a[1200];
	struct config_error err;
	size_t i;

	for (i = 0; i < ARRAY_LEN(texts); i++) {
		assert_true(parse(texts[i], strlen(texts[i]), &err) < 0);
		if (strstr(err.text, "hunter2"))
			fail_msg("%s", err.text);
	}
	memset(a, 'Z', sizeof(a) - 1);
	a[sizeof(a) - 1] = '\0';
	snprintf(text, sizeof(text), PROFILE("password: %s"), a);
	assert_int_equal(parse(text, strlen(text), &err), -SLUICE_E_OPTION_RANGE);
	assert_null(strstr(err.text, "ZZ"));
	assert_non_null(strstr(err.text, "f:3:26: password: "));
}

/* --- bounds ------------------------------------------------------------------------------------- */

static void what_is_too_large_is_refused(void **state)
{
	size_t len = CONFIG_MAX_SIZE + 1, i;
	char *text = malloc(len);
	struct config_error err;

	memset(text, '\n', len);
	assert_int_equal(parse(text, len, &err), -SLUICE_E_OPTION_RANGE);
	assert_string_equal(err.text, "f: has more than 16777216 bytes; make it smaller");
	assert_int_equal(err.place.line, 0);
	assert_int_equal(parse(text, len - 1, &err), -SLUICE_E_OPTION);
	assert_string_equal(err.text, "f:1:1: the file is empty; it needs listeners, profiles and "
				      "pools");
	/* a: [x,x,... */
	memcpy(text, "a: [", 4);
	for (i = 4; i < 2 * CONFIG_MAX_ITEMS + 10; i += 2)
		memcpy(text + i, "x,", 2);
	assert_int_equal(parse(text, i, &err), -SLUICE_E_OPTION_RANGE);
	assert_string_equal(err.text, "f:1:200005: more than 100000 entries; remove some");
	/* Deep, and as deep as one line of libyaml may be. */
	memset(text, '[', len - 1);
	assert_int_equal(parse(text, len - 1, &err), -SLUICE_E_OPTION_RANGE);
	assert_string_equal(err.text, "f:1:17: nested more than 16 deep; nothing here is");
	memset(text, '{', len - 1);
	assert_int_equal(parse(text, len - 1, &err), -SLUICE_E_OPTION);
	free(text);
}

/* An error is one line of printable characters that fits, however long its parts are. */
static void errors_are_one_line(void **state)
{
	static const char text[] = SECTIONS "\"\\n\\e\\x9b" FORTY_A FORTY_A FORTY_A "\": x\n";
	struct config *config = NULL;
	struct config_error err;
	char path[600];

	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	path[sizeof(path) - 2] = '\n';
	assert_int_equal(config_parse(&config, path, text, sizeof(text) - 1, &err),
			 -SLUICE_E_OPTION_UNKNOWN);
	assert_null(config);
	assert_null(strpbrk(err.text, "\n\x1b\x9b"));
	assert_non_null(strstr(err.text, "pp?:4:1: the file has no key \""));
	assert_non_null(strstr(err.text, "; it takes listeners"));
	assert_int_equal(config_parse(&config, path, text, sizeof(text) - 1, NULL),
			 -SLUICE_E_OPTION_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mistake_has_its_place_and_words),
		cmocka_unit_test(what_the_mistakes_are_made_of_is_right),
		cmocka_unit_test(no_error_shows_a_password),
		cmocka_unit_test(what_is_too_large_is_refused),
		cmocka_unit_test(errors_are_one_line),
	};

	return cmocka_run_group_tests_name("unit/config-refused", tests, NULL, NULL);
}
