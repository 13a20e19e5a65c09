// SPDX-License-Identifier: Apache-2.0
/*
 * sluice-crls: parses revocation lists, and writes those that are in force into one file for all
 * handshakers (common/crl-set.h). It is started for a change and ends with it. CRLs come from outside,
 * and a large one takes a while: here they hold up no handshake and no signature, what crashes is this change
 * alone, and who has parsed what peers send (a handshaker) has no say in what is revoked. OCSP responses that
 * were fetched are checked by another one, which is started for them.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crl-set.h"
#include "common/process.h"
#include "common/rules.h"
#include "core/error.h"
#include "crls/staple.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/wire.h"

/* Base64 and line ends of the longest CRL, and room for others beside it. */
#define MAX_FILE ((size_t)SLUICE_CRL_MAX_DER * 3 / 2)

static struct crls {
	struct crl_set old;
	struct crl_set_writer writer;
	uint8_t *buf; /* WIRE_MAX bytes */
} crls;

/* --- messages --------------------------------------------------------------------------------------- */

static void send_to_broker(const struct wire *wire, const int *fd)
{
	struct pollfd pfd = { .fd = CHILD_BROKER_FD, .events = POLLOUT };
	int r;

	while ((r = channel_send(CHILD_BROKER_FD, wire->buf, wire_end(wire), fd, fd ? 1 : 0)) ==
	       -EAGAIN)
		poll(&pfd, 1, -1);
	if (r < 0)
		exit(0); /* the broker is gone */
}

static void tell_taken(uint32_t id, size_t n, const struct sluice_error *err)
{
	struct wire wire;

	wire_begin(&wire, crls.buf, WIRE_MAX, MSG_CRL_TAKEN, id);
	wire_put_u64(&wire, ATTR_COUNT, n);
	if (err->code) {
		wire_put_u64(&wire, ATTR_ERROR, (uint64_t)err->code);
		wire_put_text(&wire, ATTR_TEXT, err->text);
	}
	send_to_broker(&wire, NULL);
}

/* --- a file ----------------------------------------------------------------------------------------- */

/* It may grow while it is read: no more than it had is taken, and what is cut off does not parse. */
static int read_all(int fd, uint8_t **ret_data, size_t *ret_len, struct sluice_error *err)
{
	size_t len = 0;
	uint8_t *data;
	struct stat st;
	ssize_t n = 1;

	/* The descriptor shares its place with who wrote the file. */
	if (fstat(fd, &st) || st.st_size < 0 || lseek(fd, 0, SEEK_SET))
		return err_set_errno(err, SLUICE_E_FILE, errno, "it cannot be read");
	if ((size_t)st.st_size > MAX_FILE)
		return err_set(err, SLUICE_E_OPTION_RANGE, "a file of CRLs has at most %zu bytes",
			       MAX_FILE);
	data = malloc((size_t)st.st_size + 1);
	if (!data)
		return err_set(err, SLUICE_E_NOMEM, "no memory for a CRL");
	while (len < (size_t)st.st_size && n > 0) {
		n = read(fd, data + len, (size_t)st.st_size - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			len += (size_t)n;
	}
	if (n < 0) {
		free(data);
		return err_set_errno(err, SLUICE_E_FILE, errno, "it cannot be read");
	}
	*ret_data = data;
	*ret_len = len;
	return 0;
}

/* What was fetched, and so comes from anybody: it is parsed here and not in the broker. */
static void take_staple(uint32_t id, struct wire_reader reader, struct channel_fds *fds)
{
	struct sluice_error err = { .alert = -1 };
	struct ocsp_verdict verdict = { 0 };
	int fd = channel_take_fd(fds);
	uint8_t *der = NULL;
	struct wire wire;
	size_t len;

	if (fd >= 0 && read_all(fd, &der, &len, &err) == 0)
		staple_judge(reader, der, len, &verdict);
	else
		verdict.reason = "it cannot be read";
	free(der);
	if (fd >= 0)
		close(fd);
	wire_begin(&wire, crls.buf, WIRE_MAX, MSG_STAPLE_CHECKED, id);
	if (verdict.reason)
		wire_put_text(&wire, ATTR_TEXT, verdict.reason);
	wire_put_u64(&wire, ATTR_THIS_UPDATE, (uint64_t)verdict.this_update_s);
	wire_put_u64(&wire, ATTR_NEXT_UPDATE, (uint64_t)verdict.next_update_s);
	send_to_broker(&wire, NULL);
}

static size_t load(int fd, const char *path, const char *uri, struct sluice_error *err)
{
	uint8_t *data = NULL;
	size_t len = 0, n = 0;

	if (read_all(fd, &data, &len, err) < 0)
		return 0;
	if (path[0] == '/') /* files; all else are URLs */
		crl_set_read(&crls.writer, path, uri, data, len, &n, err);
	else
		crl_set_fetched(&crls.writer, &crls.old, path, data, len, &n, err);
	free(data);
	return n;
}

/* What is wrong keeps what there was of it. */
static void take_source(uint32_t id, struct wire_reader *reader, struct channel_fds *fds)
{
	char path[CRL_SET_MAX_TEXT + 1] = "", uri[CRL_SET_MAX_TEXT + 1] = "";
	struct sluice_error err = { .alert = -1 };
	int fd = channel_take_fd(fds);
	size_t n = 0, kept = 0;
	struct attr attr;

	while (wire_next(reader, &attr) == 1) {
		if (attr.type == ATTR_CRL_FILE)
			attr_text(&attr, path, sizeof(path));
		else if (attr.type == ATTR_CRL_URI)
			attr_text(&attr, uri, sizeof(uri));
	}
	if (fd >= 0) {
		n = load(fd, path, uri[0] ? uri : NULL, &err);
		close(fd);
	}
	if (!n && crls.old.map &&
	    crl_set_copy(&crls.writer, &crls.old, path, uri[0] ? uri : NULL, &kept) < 0)
		exit(1); /* without memory for what is in force: it stays as it is */
	tell_taken(id, n + kept, &err);
}

static void finish(void)
{
	int fd = crl_set_end(&crls.writer);
	struct wire wire;

	if (fd < 0)
		exit(1);
	wire_begin(&wire, crls.buf, WIRE_MAX, MSG_CRLS, 0);
	send_to_broker(&wire, &fd);
	exit(0);
}

static void take_old(struct channel_fds *fds)
{
	int fd = channel_take_fd(fds);

	if (fd < 0 || crl_set_open(&crls.old, fd) < 0)
		exit(1);
	close(fd);
}

static void take_message(void)
{
	struct pollfd pfd = { .fd = CHILD_BROKER_FD, .events = POLLIN };
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	ssize_t n = channel_recv(CHILD_BROKER_FD, crls.buf, WIRE_MAX, &fds);

	if (n == -EAGAIN) {
		poll(&pfd, 1, -1);
		return;
	}
	if (n <= 0)
		exit(0);
	if (rules_open(ROUTE_BROKER_TO_CRLS, NULL, crls.buf, (size_t)n, &fds, &reader, &head))
		exit(1);
	if (head.type == MSG_CRLS)
		take_old(&fds);
	else if (head.type == MSG_CRL_SOURCE)
		take_source(head.id, &reader, &fds);
	else if (head.type == MSG_STAPLE)
		take_staple(head.id, reader, &fds);
	else
		finish();
	channel_close_fds(&fds);
}

int main(void)
{
	int r = process_confine(CONFINE_CRLS, process_id(PROCESS_UID), process_id(PROCESS_GID));

	crls.buf = malloc(WIRE_MAX);
	if (r < 0 || !crls.buf || crl_set_begin(&crls.writer) < 0) {
		fprintf(stderr, "sluice-crls: %s\n", strerror(r < 0 ? -r : ENOMEM));
		return 1;
	}
	for (;;)
		take_message();
}
