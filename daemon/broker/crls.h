/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revocation lists: which there are, where they come from, and the set that all handshakers have. The
 * broker opens files and passes descriptors on; sluice-crls parses, in a process that is started for a
 * change and ends with it. What is wrong keeps what it had.
 */
#ifndef SLUICED_BROKER_CRLS_H
#define SLUICED_BROKER_CRLS_H

#include "broker/broker.h"
#include "broker/certs.h"
#include "common/crl-set.h"

#define CRLS_MAX_PROBLEM 300

struct crls;

enum crl_kind {
	CRL_FILE,  /* the configuration names it */
	CRL_DIR,   /* of its directory */
	CRL_URL,   /* the configuration names it, and it is fetched */
	CRL_ADDED, /* by sluicectl: until it is deleted, or this broker ends */
};

/* struct crl_source - a file of CRLs. */
struct crl_source {
	enum crl_kind kind;
	char *path, *uri;   /* CRL_URL: path is the URL; uri NULL: none */
	struct stamp tried; /* what was read last, well or not */
	char *problem;      /* NULL: what is in force is what the file has */
	size_t n;           /* CRLs of it that are in force */
	int fd;             /* CRL_ADDED, CRL_URL: not read yet; else -1 */
};

struct crl_sources {
	struct crl_source *items; /* in the order in which they were added */
	uint16_t *by_name;        /* of these, by path and URI */
	size_t n;
};

/* --- crl-sources.c ---------------------------------------------------------------------------------- */

/* crl_sources_add() appends; owns @fd. Returns the new one or NULL: no memory, or too many. */
struct crl_source *crl_sources_add(struct crl_sources *sources, enum crl_kind kind,
				   const char *path, const char *uri, int fd);
struct crl_source *crl_sources_find(const struct crl_sources *sources, const char *path,
				    const char *uri);
void crl_sources_drop(struct crl_sources *sources, size_t i);
void crl_sources_free(struct crl_sources *sources);

/*
 * crl_sources_plan() lists what there is now: what the configuration names, its directory, and what was
 * added, each with what is known of it from @old. A directory that cannot be read keeps its files; the
 * reason is in *@ret_err, an errno. Returns 0 or -ENOMEM.
 */
int crl_sources_plan(struct crl_sources *ret_sources, const struct crl_sources *old,
		     const struct config *config, int *ret_err);

/*
 * crl_source_open() opens a file that is to be read. Returns its descriptor, -1: it is as it was, or with the
 * reason in source->problem -2, and -3 for a shortage of the moment: the next job tries it again.
 */
int crl_source_open(struct crl_source *source, const struct crl_source *old);
void crl_source_problem(struct crl_source *source, const char *text);

/* crl_source_untried() has the next job read it, whatever its stamp says. */
void crl_source_untried(struct crl_source *source);

/* --- crl-watch.c ------------------------------------------------------------------------------------ */

struct crl_watch {
	struct watch watch;         /* inotify(7); descriptor -1: there is none */
	uint64_t first_ms, last_ms; /* of what is not looked at yet; 0: nothing */
};

void crl_watch_open(struct broker *broker);
void crl_watch_close(struct broker *broker);

/* crl_watch_config() watches what the configuration names now. */
void crl_watch_config(struct broker *broker);
bool crl_watch_settled(const struct broker *broker);

/* --- crl-urls.c ------------------------------------------------------------------------------------- */

/* struct crl_url - a URL of the configuration. */
struct crl_url {
	TAILQ_ENTRY(crl_url) all;
	struct fetch_item item;
	int fd;     /* what came, and no job has yet; -1: nothing */
	bool given; /* the job under way has it */
};
TAILQ_HEAD(crl_urls, crl_url);

/* crl_urls_config() has those fetched that the configuration names now, and no others. */
void crl_urls_config(struct broker *broker);
struct crl_url *crl_url_find(const struct crls *crls, const char *text);

/*
 * crl_urls_give() gives a job what came; crl_urls_told() tells what became of it: @failed NULL: the set in
 * force and its sources say.
 */
bool crl_urls_give(struct crls *crls, struct crl_sources *sources);
void crl_urls_told(struct broker *broker, const char *failed);
void crl_urls_close(struct broker *broker);

/* --- crls.c ------------------------------------------------------------------------------------------- */

enum crl_phase {
	CRLS_IDLE,
	CRLS_LOOK, /* has anything changed? */
	CRLS_LOAD,
	CRLS_WRITE,
};

struct crl_job {
	enum crl_phase phase;
	struct crl_sources sources;
	size_t at;            /* the source that is looked at, or loaded */
	bool changed;         /* CRLS_LOOK: it has */
	bool sent;            /* sluice-crls has the source: its answer is next */
	struct watch channel; /* to sluice-crls */
	pid_t pid;            /* 0: it does not run */
	uint64_t began_ms, heard_ms;
	size_t n_read;
	bool again; /* something could not be had: the next job comes soon */
};

struct crls {
	struct broker *broker;
	struct crl_sources sources; /* of the set in force */
	struct crl_set set;
	int fd; /* of the set; -1: there is none */
	uint64_t generation;
	struct crl_job job;
	struct crl_sources asked; /* to be added: the next job has them */
	struct crl_watch changes;
	struct crl_urls urls;
	bool look;          /* a job is due */
	bool untried;       /* the next one reads every file, whatever its stamp says */
	bool deleted;       /* something was: a job is due */
	bool unwritten;     /* ... and the set in force has it still */
	uint64_t again_ms;  /* something could not be had: look again then; 0: no */
	uint64_t jobs;      /* that ended, well or not */
	char text[300];     /* what was wrong with what the last one should add; "": nothing */
	int64_t checked_s;  /* up to when ends of CRLs were told */
	int64_t nearest_s;  /* nextUpdate that comes next, of those that are not over; 0: none */
	uint64_t n_expired; /* CRLs in force whose nextUpdate is over */
	bool started;
};

/* crls_add() has @path, open as @fd (owned), added; crls_delete() has all of a path or URI dropped. */
int crls_add(struct broker *broker, const char *path, const char *uri, int fd);
size_t crls_delete(struct broker *broker, const char *what);

#endif
