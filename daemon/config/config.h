/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of sluiced: one YAML file, read whole, checked whole, and immutable from then on.
 * Every error names the file, line and column and says what to write instead. Options of TLS are
 * those of the library's table; nothing of them is repeated here.
 */
#ifndef SLUICED_CONFIG_CONFIG_H
#define SLUICED_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <sluice/options.h>

#define CONFIG_PATH "/etc/sluice/sluiced.conf"
#define CONFIG_MAX_SIZE (16 * 1024 * 1024) /* bytes of the file */
#define CONFIG_NO_POOL SIZE_MAX
#define CONFIG_MAX_ITEMS 100000 /* of any list */

/* struct config_place - where something stands in the file: for errors that are found later. */
struct config_place {
	unsigned int line, column; /* from 1 */
};

/*
 * struct config_verify - what becomes of peers besides what options say: keys verify_policy and verify_socket.
 * Sets of reasons are those of common/policy.h.
 */
struct config_verify {
	bool has_policy;
	uint64_t accept, warn, refuse, ask;
	char *extensions; /* as struct policy has them */
	size_t extensions_len;
	char *path; /* of the decision service; NULL: nobody is asked */
	unsigned int timeout_ms, questions;
	bool send_chain;
};

/* config_verify_copy() returns 0 or NOMEM. config_verify_clear() frees what is in it. */
int config_verify_copy(struct config_verify *ret_copy, const struct config_verify *verify);
void config_verify_clear(struct config_verify *verify);

/*
 * config_verify_policy() makes it what handshakers go by; all of it is borrowed. Returns false: nothing is
 * said, and the library judges alone.
 */
struct policy;
bool config_verify_policy(const struct config_verify *verify, bool verify_peer, const char *profile,
			  struct policy *ret_policy);

/* struct config_host - what an SNI host has instead of its profile's options. */
struct config_host {
	struct config_place place;
	char **names; /* lower case, exact or "*.example.org" (one label); NULL at the end */
	struct sluice_options *options; /* the profile's, with the host's laid over them */
	unsigned int ocsp_fetch;        /* 1: its OCSP response is fetched */
	struct config_verify verify;    /* the same */
};

enum config_no_match {
	CONFIG_NO_MATCH_DEFAULT, /* the profile itself answers */
	CONFIG_NO_MATCH_REFUSE,  /* unrecognized_name */
};

struct config_profile {
	struct config_place place;
	char *name;
	enum sluice_role role;
	struct sluice_options *options;
	struct config_verify verify;
	struct config_host *hosts;
	size_t n_hosts;
	char *hosts_dir; /* absolute: certificates whose names are hosts too; NULL: none */
	enum config_no_match no_match;
	unsigned int ocsp_fetch; /* 1: OCSP responses are fetched, for files of hosts_dir too */
};

/*
 * struct config_pool - where programs attach: a pool, whose workers get accepted connections, or a
 * service, whose programs bring theirs. Both are in one array, services last.
 */
struct config_pool {
	struct config_place place;
	char *name;
	char *socket; /* where they attach */
	uid_t *users; /* who may attach, besides root */
	size_t n_users;
	gid_t *groups;
	size_t n_groups;
	unsigned int wait_ms; /* pool: how long a connection waits for a credit */
	bool is_service;
	size_t *profiles; /* service: indices of what may be asked for */
	size_t n_profiles;
	unsigned int handshakes; /* service: of one user, in progress at once */
};

struct config_route {
	char *sni;   /* as in config_host.names; NULL: any */
	char *alpn;  /* NULL: any */
	size_t pool; /* index */
};

/* struct config_prefix - addresses that begin with the same bits; IPv4: mapped. */
struct config_prefix {
	uint8_t address[16];
	unsigned int bits; /* of all 128 */
};

struct config_listener {
	struct config_place place;
	char *name;
	char *host; /* numeric; NULL: all addresses */
	uint16_t port;
	size_t profile, pool;        /* indices; pool: where no route fits */
	struct config_route *routes; /* the first that fits is taken */
	size_t n_routes;
	unsigned int backlog;
	unsigned int reuse_port; /* 1: other processes may listen there too (SO_REUSEPORT) */
	struct config_prefix *proxy_from; /* who must begin with a PROXY header; NULL: nobody */
	size_t n_proxy_from;
	size_t plain_pool; /* who gets connections without TLS; CONFIG_NO_POOL: nobody */
	unsigned int hello_timeout_ms; /* from accept to a whole ClientHello */
};

enum config_log_target {
	CONFIG_LOG_STDERR,
	CONFIG_LOG_JOURNAL,
	CONFIG_LOG_SYSLOG,
};

enum config_log_level {
	CONFIG_LOG_ERROR,
	CONFIG_LOG_WARNING,
	CONFIG_LOG_INFO,
	CONFIG_LOG_DEBUG,
};

enum config_recheck {
	CONFIG_RECHECK_NEVER,     /* sluicectl recheck does */
	CONFIG_RECHECK_ON_CHANGE, /* sessions are verified again when the revocation lists change */
};

struct config {
	char *path;
	struct config_listener *listeners;
	size_t n_listeners;
	struct config_profile *profiles;
	size_t n_profiles;
	struct config_pool *pools;
	size_t n_pools;
	struct {
		unsigned int handshakers;     /* processes; 0 in the file: one per core */
		unsigned int handshakes;      /* in progress at once, all together */
		unsigned int per_source;      /* of these, from one /32 or /64 */
		unsigned int per_source_rate; /* new ones of such a source in a second; 0: any */
		unsigned int penalty_ms;      /* of a source whose handshake crashed its process */
		unsigned int drain_ms;        /* how long a shutdown waits for handshakes */
		unsigned int recheck_memory;  /* bytes of peers' chains that are kept */
	} limits;
	struct {
		char *socket;
		gid_t read_group; /* (gid_t)-1: root only */
	} admin;
	struct {
		enum config_log_target target;
		enum config_log_level level;
		unsigned int rate; /* lines per second, urgent ones apart */
	} log;
	struct {
		char *socket; /* NULL: none */
		char *host;   /* of the loopback; NULL: none */
		uint16_t port;
	} metrics;
	struct {
		bool used;    /* the section is there */
		char **files; /* absolute */
		size_t n_files;
		char *dir;   /* absolute; NULL: none */
		char **urls; /* http; their hosts are allowed */
		size_t n_urls;
		enum config_recheck recheck;
	} crls;
	struct {
		char *hosts; /* fetch/hosts.h: what may be fetched from; NULL: nothing is fetched */
		unsigned int timeout_ms; /* of one fetch */
	} fetch;
	char *user; /* whom handshakers run as */
	uid_t uid;
	gid_t gid;
};

/* struct config_error - what is wrong, for people: "file:line:column: what it is; what to do". */
struct config_error {
	struct config_place place; /* 0: of the whole file */
	char text[512];
};

/*
 * config_load() reads and checks @path. Certificates and keys are not opened here. Returns 0, or a
 * negative sluice error: FILE, OPTION, OPTION_UNKNOWN, OPTION_RANGE, OPTION_CONFLICT, OPTION_ROLE,
 * OPTION_MALFORMED (not YAML, not UTF-8), UNSUPPORTED and UNSUPPORTED_*, NOMEM. @ret_err may be NULL.
 * Not for threads: users and groups are looked up by getpwnam(3) and getgrnam(3).
 */
int config_load(struct config **ret_config, const char *path, struct config_error *ret_err);

/* config_parse() does so for text in memory; @path is for errors. */
int config_parse(struct config **ret_config, const char *path, const char *text, size_t text_len,
		 struct config_error *ret_err);

/* config_prefixes_have() tells whether an address (IPv4: mapped) has one of these prefixes. */
bool config_prefixes_have(const struct config_prefix *prefixes, size_t n,
			  const uint8_t address[16]);

/* config_free() frees everything. NULL is fine. Returns NULL. */
struct config *config_free(struct config *config);

#endif
