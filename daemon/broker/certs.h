/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates: which there are, which files they come from, and the catalogue that is made of them.
 *
 * What is in force is a set (struct cert_set), which does not change. A job makes a new one beside it: it
 * plans what has to be loaded, has the keeper load it, writes the catalogue, and puts both in force at
 * once. A certificate whose files are as they were goes from set to set. No job makes the broker wait.
 */
#ifndef SLUICED_BROKER_CERTS_H
#define SLUICED_BROKER_CERTS_H

#include "broker/broker.h"
#include "common/catalog-write.h"
#include "options/options.h"

#define CERT_KEY_ID_LEN 32

/* struct stamp - a file, as fstat(2) had it; inode 0: not to be relied on. */
struct stamp {
	uint64_t dev, ino;
	int64_t size, mtime_ns, ctime_ns;
};

/* stamp_of() takes that of an open file; stamp_path() of a path, which may not exist. */
void stamp_of(struct stamp *ret_stamp, int fd);
void stamp_path(struct stamp *ret_stamp, const char *path);
bool stamp_same(const struct stamp *a, const struct stamp *b);

/* --- one certificate with its key (cert.c) ------------------------------------------------------ */

struct cert {
	unsigned int refs;
	struct broker *broker;
	char *path, *key_path; /* the same text: one file */
	uint8_t password[32];  /* SHA-256; another one makes another certificate */
	struct stamp stamps[2];
	uint64_t keeper; /* number of the keeper that has its key; 0: none */
	uint8_t key_id[CERT_KEY_ID_LEN];
	uint8_t *own;          /* the public part until a catalogue has it */
	const uint8_t *public; /* attributes of MSG_LOADED: own, or in the catalogue in force */
	size_t public_len;
	uint64_t at;   /* of the public part in the catalogue that is being written */
	uint8_t *ocsp; /* the last response that was good; NULL: none */
	size_t ocsp_len;
	int64_t ocsp_this_update_s;
	char *ocsp_path;         /* of its file; the same certificate may have another elsewhere */
	struct stamp ocsp_stamp; /* of the file that was read last, well or not */
};

/* cert_new() makes one that is not loaded. @key_path NULL: in the same file. NULL: no memory. */
struct cert *cert_new(struct broker *broker, const char *path, const char *key_path,
		      const char *password);
struct cert *cert_ref(struct cert *cert);

/* cert_unref() drops a reference; NULL is fine. The last one has the keeper drop the key. */
void cert_unref(struct cert *cert);

/* cert_is_fresh() tells whether the files are those that were loaded. */
bool cert_is_fresh(const struct cert *cert);

/*
 * cert_open_file() opens a file that has to be one, not blocking: what is named may be a FIFO. Returns a
 * descriptor and its stamp, or -1 with the reason in @text.
 */
int cert_open_file(const char *option, const char *path, struct stamp *stamp, char *text,
		   size_t text_size);

/* cert_open() opens both files for the keeper. Returns 0, or -1 with the reason in @text. */
int cert_open(struct cert *cert, int ret_fds[2], char *text, size_t text_size);

/* cert_loaded() takes the keeper's answer: 0, or -1 with the reason in @text. */
int cert_loaded(struct cert *cert, struct wire_reader reader, char *text, size_t text_size);

/* cert_adopt() gives a certificate whose key cannot be had the public part of another. */
int cert_adopt(struct cert *cert, const struct cert *other);

/* struct retired - a key that no catalogue names any more; handshakes under way may. */
struct retired {
	TAILQ_ENTRY(retired) all;
	uint64_t keeper, due_ms;
	uint8_t key_id[CERT_KEY_ID_LEN];
};
TAILQ_HEAD(retired_list, retired);

/* retired_tick() has the keeper drop what is not needed any more. */
void retired_tick(struct broker *broker);

/* --- directories (certdir.c) ---------------------------------------------------------------------- */

/* struct cert_file - NAME.pem of a directory, with NAME.key or without. Shared by sets. */
struct cert_file {
	unsigned int refs;
	char *stem;            /* NAME */
	struct cert *cert;     /* in force; NULL: none */
	struct stamp tried[2]; /* what was loaded last, well or not */
	char *problem;         /* NULL: the certificate is that of the files */
	char *conflict;        /* a name that another file has; NULL: none */
};

struct cert_dir {
	char *path;
	int wd;                   /* inotify(7); -1: not watched */
	struct cert_file **files; /* sorted by stem */
	size_t n, size;
};

/* struct found - what a directory has now. */
struct found {
	char *stem;
	bool pem, key;
};

struct found_list {
	struct found *items;
	size_t n, size;
};

/* found_all() reads a directory; found_add() looks for one stem. Errors: -errno. found_sort() comes last. */
int found_all(struct found_list *list, const char *path);
int found_add(struct found_list *list, const char *path, const char *stem);
int found_put(struct found_list *list, const char *stem, bool pem, bool key);
void found_sort(struct found_list *list);
void found_free(struct found_list *list);

struct cert_file *cert_file_new(const char *stem);
struct cert_file *cert_file_ref(struct cert_file *file);
void cert_file_unref(struct cert_file *file);

/* cert_dir_add() appends @file, whose reference it takes. Errors: -1, no memory. */
int cert_dir_add(struct cert_dir *dir, struct cert_file *file);

/* --- sets (certset.c) ----------------------------------------------------------------------------- */

/* struct cert_list - the certificates of one profile or host, by preference. */
struct cert_list {
	struct cert *certs[OPTION_MAX_CERTS]; /* borrowed from the set */
	size_t n;
};

struct cert_profile {
	struct cert_list own;
	struct cert_list *hosts; /* of each host of the configuration */
	struct cert_dir *dir;
};

struct cert_set {
	struct cert_profile *profiles;
	size_t n_profiles;
	struct cert_dir *dirs;
	size_t n_dirs;
	void *statics; /* tsearch(3): those that the configuration names; owned */
};

struct cert_set *cert_set_new(const struct config *config);
void cert_set_free(struct cert_set *set);
struct cert *cert_set_find(const struct cert_set *set, const struct cert *like);
int cert_set_add(struct cert_set *set, struct cert *cert);
struct cert_dir *cert_set_dir(const struct cert_set *set, const char *path);

/* cert_set_moved() makes all public parts those of the catalogue that was written. */
void cert_set_moved(struct cert_set *set, const uint8_t *map);

/* --- changes of directories (certwatch.c) ------------------------------------------------------- */

#define CERT_MAX_DIRTY 256

/* struct dirty - a stem that something happened to; NULL: anything in the directory. */
struct dirty {
	int wd;
	char *stem;
};

struct cert_watch {
	struct watch watch; /* inotify(7); descriptor -1: there is none */
	struct dirty dirty[CERT_MAX_DIRTY];
	size_t n_dirty;
	bool all;                   /* too much happened to be kept */
	uint64_t first_ms, last_ms; /* of what is not looked at yet; 0: nothing */
	uint64_t again_ms;          /* something could not be had: look at all again then; 0: no */
};

void cert_watch_open(struct broker *broker);
void cert_watch_close(struct broker *broker);
int cert_watch_add(struct broker *broker, const char *path);

/* cert_watch_settled() tells whether there are changes, and the last is some time ago. */
bool cert_watch_settled(const struct broker *broker);
void cert_watch_forget(struct cert_watch *watch);

/* --- jobs (certs.c, certplan.c) ------------------------------------------------------------------- */

enum cert_job_kind {
	CERT_START,   /* the first set: any error ends it */
	CERT_RELOAD,  /* of a new configuration: any error refuses it */
	CERT_RESCAN,  /* of what changed in directories */
	CERT_RESTART, /* the same set for a new keeper */
};

enum cert_phase {
	CERT_IDLE,
	CERT_PLAN,
	CERT_LOAD,
	CERT_WRITE,
};

/* struct want - a certificate that the keeper has to load. */
struct want {
	TAILQ_ENTRY(want) all;
	struct cert *cert;
	struct cert *old;       /* what is in force now; NULL: nothing */
	struct cert_file *file; /* of a directory; NULL: of the configuration */
	struct config_place place;
	const struct sluice_options *opts;
	uint32_t id;
};
TAILQ_HEAD(want_list, want);

struct cert_job {
	enum cert_job_kind kind;
	enum cert_phase phase;
	struct config *config; /* CERT_RELOAD: the new one, owned; else that in force */
	struct cert_set *set;
	size_t profile, host;       /* where planning and writing are */
	size_t dir, old_at, new_at; /* where planning of directories is */
	bool dir_open, dir_whole;
	struct found_list found;
	struct cert_watch changes; /* CERT_RESCAN: what is looked at */
	struct want_list todo, sent;
	unsigned int n_sent;
	size_t n_loaded;
	struct catalog_writer writer;
	bool writing;
	uint64_t began_ms;
	bool restaples; /* CERT_RESCAN for OCSP responses */
	struct config_error err;
};

struct certs {
	struct broker *broker;
	struct cert_set *set; /* in force */
	const uint8_t *map;   /* its catalogue */
	size_t map_len;
	uint64_t generation;
	struct cert_job job;
	int start_fd; /* the catalogue of CERT_START */
	struct watch
		wake; /* eventfd(2), always readable: watched while a job has something to do */
	uint32_t last_load;
	struct cert_watch changes;
	uint64_t
		restaple_ms; /* when the catalogue is written for new OCSP responses; 0: there are none */
	uint64_t took_ms; /* the last job */
	struct retired_list retired;
	uint64_t conflicts; /* a digest of those that were logged last */
};

/* cert_plan() does a bit of planning: 1 there is more, 0 done, or negative: job.err says why. */
int cert_plan(struct broker *broker);

/* catalog_step() writes the next entry, catalog_finish() ends the file. As cert_plan(). */
int catalog_step(struct broker *broker);
int catalog_finish(struct broker *broker);

/* struct staple_source - where the OCSP response of a certificate comes from (staple.c). */
struct staple_source {
	struct cert *cert;
	const char *path;
	bool of_directory; /* it need not be there, and what is wrong with it refuses nothing */
	struct config_place place;
};

/*
 * staple_put() adds the response to an entry that has its certificates already. 0, or negative where it ends
 * the job: job.err says why.
 */
int staple_put(struct broker *broker, const struct staple_source *source, struct wire *wire);

/* staple_inherit() has @cert, if it is the same one as @old, begin with the last good response of that. */
void staple_inherit(struct cert *cert, const struct cert *old);

/* job_fail() puts "file:line:column: text" into job.err and returns -@code. */
int job_fail(struct broker *broker, struct config_place place, int code, const char *text);

#endif
