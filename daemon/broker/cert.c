// SPDX-License-Identifier: Apache-2.0
/* One certificate with its key: the files, what the keeper said of them, and the end of the key. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "broker/certs.h"
#include "options/pem.h"

#define NS_PER_S 1000000000LL
#define RACY_NS \
	100000000LL /* clocks of file systems are coarser than this one, but not by that much */
#define RETIRED_PER_MESSAGE 1024
#define RETIRED_MS 3000 /* beyond the longest handshake_timeout */

/* --- stamps ------------------------------------------------------------------------------------- */

static int64_t ns_of(struct timespec ts)
{
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* A file that changed just now may change again without another time: it is never the same. */
static void fill_stamp(struct stamp *stamp, const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	*stamp = (struct stamp){ .dev = st->st_dev,
				 .ino = st->st_ino,
				 .size = st->st_size,
				 .mtime_ns = ns_of(st->st_mtim),
				 .ctime_ns = ns_of(st->st_ctim) };
	if (ns_of(now) - stamp->ctime_ns < RACY_NS)
		stamp->ino = 0;
}

void stamp_of(struct stamp *ret_stamp, int fd)
{
	struct stat st;

	*ret_stamp = (struct stamp){ 0 };
	if (fstat(fd, &st) == 0)
		fill_stamp(ret_stamp, &st);
}

void stamp_path(struct stamp *ret_stamp, const char *path)
{
	struct stat st;

	*ret_stamp = (struct stamp){ 0 };
	if (stat(path, &st) == 0)
		fill_stamp(ret_stamp, &st);
}

bool stamp_same(const struct stamp *a, const struct stamp *b)
{
	return a->ino && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

/* --- certificates ------------------------------------------------------------------------------- */

struct cert *cert_new(struct broker *broker, const char *path, const char *key_path,
		      const char *password)
{
	struct cert *cert = calloc(1, sizeof(*cert));

	if (!cert)
		return NULL;
	cert->refs = 1;
	cert->broker = broker;
	cert->path = strdup(path);
	cert->key_path = key_path && cert->path ? strdup(key_path) : cert->path;
	if (!cert->key_path) {
		free(cert->path);
		free(cert);
		return NULL;
	}
	if (password)
		SHA256((const uint8_t *)password, strlen(password), cert->password);
	return cert;
}

struct cert *cert_ref(struct cert *cert)
{
	cert->refs++;
	return cert;
}

static void retire(struct cert *cert)
{
	struct broker *broker = cert->broker;
	struct retired *retired;

	if (!cert->keeper || cert->keeper != broker->keeper.number)
		return;
	retired = calloc(1, sizeof(*retired));
	if (!retired)
		return; /* it stays until the keeper is another one */
	retired->keeper = cert->keeper;
	retired->due_ms = broker->loop.now_ms + broker->handshake_ms + RETIRED_MS;
	memcpy(retired->key_id, cert->key_id, sizeof(retired->key_id));
	TAILQ_INSERT_TAIL(&broker->certs->retired, retired, all);
}

void cert_unref(struct cert *cert)
{
	if (!cert || --cert->refs)
		return;
	retire(cert);
	if (cert->key_path != cert->path)
		free(cert->key_path);
	free(cert->path);
	free(cert->own);
	free(cert->ocsp);
	free(cert->ocsp_path);
	free(cert);
}

bool cert_is_fresh(const struct cert *cert)
{
	struct stamp now;

	stamp_path(&now, cert->path);
	if (!stamp_same(&now, &cert->stamps[0]))
		return false;
	if (cert->key_path != cert->path)
		stamp_path(&now, cert->key_path);
	return stamp_same(&now, &cert->stamps[1]);
}

int cert_open_file(const char *option, const char *path, struct stamp *stamp, char *text,
		   size_t text_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	const char *wrong = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		wrong = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		wrong = "not a file";
	else if (st.st_size == 0)
		wrong = "empty";
	else if ((uint64_t)st.st_size > PEM_MAX_FILE)
		wrong = strerror(EFBIG);
	if (!wrong) {
		fill_stamp(stamp, &st);
		return fd;
	}
	snprintf(text, text_size, "%s: %s: %s", option, path, wrong);
	if (fd >= 0)
		close(fd);
	return -1;
}

int cert_open(struct cert *cert, int ret_fds[2], char *text, size_t text_size)
{
	const char *option = cert->key_path != cert->path ? "keyfile" : "certfile";

	ret_fds[0] = cert_open_file("certfile", cert->path, &cert->stamps[0], text, text_size);
	if (ret_fds[0] < 0)
		return -1;
	ret_fds[1] = cert_open_file(option, cert->key_path, &cert->stamps[1], text, text_size);
	if (ret_fds[1] >= 0)
		return 0;
	close(ret_fds[0]);
	return -1;
}

int cert_loaded(struct cert *cert, struct wire_reader reader, char *text, size_t text_size)
{
	struct wire_reader whole = reader;
	bool has_id = false;
	struct attr attr;
	uint64_t code = 0;

	snprintf(text, text_size, "the keeper's answer makes no sense");
	while (wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_ERROR)
			attr_u64(&attr, &code);
		if (attr.type == ATTR_TEXT)
			attr_text(&attr, text, text_size);
		if (attr.type == ATTR_KEY_ID && attr.len == sizeof(cert->key_id)) {
			memcpy(cert->key_id, attr.bytes, attr.len);
			has_id = true;
		}
	}
	if (code || !has_id)
		return -1;
	cert->keeper = cert->broker->keeper.number;
	cert->own = malloc(whole.left);
	if (!cert->own) {
		snprintf(text, text_size, "no memory for a certificate");
		return -1;
	}
	memcpy(cert->own, whole.at, whole.left);
	cert->public = cert->own;
	cert->public_len = whole.left;
	return 0;
}

int cert_adopt(struct cert *cert, const struct cert *other)
{
	cert->own = malloc(other->public_len);
	if (!cert->own)
		return -1;
	memcpy(cert->own, other->public, other->public_len);
	cert->public = cert->own;
	cert->public_len = other->public_len;
	memset(cert->stamps, 0, sizeof(cert->stamps)); /* the next look tries again */
	return 0;
}

/* --- keys that are not needed any more ---------------------------------------------------------- */

static bool is_due(const struct broker *broker, const struct retired *retired)
{
	return retired->keeper != broker->keeper.number || !broker->in_progress ||
	       broker->loop.now_ms >= retired->due_ms;
}

void retired_tick(struct broker *broker)
{
	struct retired_list *list = &broker->certs->retired;
	struct retired *retired, *next;
	uint8_t *buf = broker->out;
	struct wire wire;
	size_t n = 0;

	if (TAILQ_EMPTY(list))
		return;
	wire_begin(&wire, buf, WIRE_MAX, MSG_UNLOAD, 0);
	TAILQ_FOREACH(retired, list, all)
	{
		if (!is_due(broker, retired) || n == RETIRED_PER_MESSAGE)
			break;
		n++;
		if (retired->keeper == broker->keeper.number)
			wire_put(&wire, ATTR_KEY_ID, retired->key_id, sizeof(retired->key_id));
	}
	if (!n || (wire.len > WIRE_HEAD_LEN && broker->keeper.loads.fd >= 0 &&
		   channel_send(broker->keeper.loads.fd, buf, wire_end(&wire), NULL, 0) == -EAGAIN))
		return;
	for (retired = TAILQ_FIRST(list); n--; retired = next) {
		next = TAILQ_NEXT(retired, all);
		TAILQ_REMOVE(list, retired, all);
		free(retired);
	}
}
