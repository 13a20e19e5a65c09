// SPDX-License-Identifier: Apache-2.0
/*
 * Writing a set of revocation lists. An encoding that is there already, from another file or under another
 * URI, is not written twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include "common/crl-set.h"
#include "core/error.h"
#include "core/sys.h"
#include "crl/crl.h"
#include "crl/index.h"

#define AHEAD_S 300 /* that the clocks of others may be */

/* --- bytes ---------------------------------------------------------------------------------------- */

static int append(struct crl_set_writer *writer, const void *bytes, size_t len,
		  struct crl_blob *ret_blob)
{
	const uint8_t *at = bytes;
	size_t left = len;
	ssize_t n;

	if (len > CRL_SET_MAX_BYTES || writer->at > CRL_SET_MAX_BYTES - len)
		return -SLUICE_E_OPTION_RANGE;
	*ret_blob = (struct crl_blob){ writer->at, len };
	while (left) {
		n = write(writer->fd, at, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -SLUICE_E_NOMEM;
		at += n;
		left -= (size_t)n;
	}
	writer->at += len;
	return 0;
}

int crl_set_begin(struct crl_set_writer *writer)
{
	static const struct crl_set_head empty;
	struct crl_blob ignored;

	*writer = (struct crl_set_writer){ .fd = memfd_create("sluice-crls",
							      MFD_CLOEXEC | MFD_ALLOW_SEALING) };
	if (writer->fd < 0)
		return -SLUICE_E_NOMEM;
	return append(writer, &empty, sizeof(empty), &ignored);
}

/* Rows count from here on; what a failure leaves in the file is not named by any. */
static int put_row(struct crl_set_writer *writer, const struct crl_set_row *row)
{
	struct crl_set_row *rows;

	if (writer->n_rows == CRL_SET_MAX)
		return -SLUICE_E_OPTION_RANGE;
	rows = realloc(writer->rows, (writer->n_rows + 1) * sizeof(*rows));
	if (!rows)
		return -SLUICE_E_NOMEM;
	rows[writer->n_rows++] = *row;
	writer->rows = rows;
	return 0;
}

static const struct crl_set_row *find_written(const struct crl_set_writer *writer,
					      const uint8_t sha256[32])
{
	size_t i;

	for (i = 0; i < writer->n_rows; i++)
		if (!memcmp(writer->rows[i].sha256, sha256, 32))
			return &writer->rows[i];
	return NULL;
}

static void share(struct crl_set_row *row, const struct crl_set_row *written)
{
	row->der = written->der;
	row->core = written->core;
	row->entries = written->entries;
	row->issuer = written->issuer;
}

static int put_source(struct crl_set_writer *writer, struct crl_set_row *row, const char *path,
		      const char *uri)
{
	int r = append(writer, path, strlen(path), &row->path);

	return r ? r : append(writer, uri ? uri : "", uri ? strlen(uri) : 0, &row->uri);
}

/* --- one CRL -------------------------------------------------------------------------------------- */

static int put_issuer(struct crl_set_writer *writer, const struct sluice_crl *crl,
		      struct crl_set_row *row)
{
	BIO *bio = BIO_new(BIO_s_mem());
	const uint8_t *text;
	size_t len;
	int r = -SLUICE_E_NOMEM;

	if (bio &&
	    X509_NAME_print_ex(bio, X509_CRL_get_issuer(crl->x509), 0, XN_FLAG_RFC2253) >= 0 &&
	    BIO_mem_contents(bio, &text, &len))
		r = append(writer, text, len < 512 ? len : 512, &row->issuer);
	BIO_free(bio);
	return r;
}

static int fill_row(struct crl_set_writer *writer, const struct sluice_crl *crl,
		    struct crl_set_row *row)
{
	struct sluice_crl_info info;

	sluice_crl_info(crl, &info, sizeof(info));
	row->this_update_s = info.this_update_s;
	row->next_update_s = info.next_update_s;
	row->n_revoked += info.n_revoked;
	row->issuer_hash = crl->issuer_hash;
	row->number_len = (uint8_t)info.number_len;
	if (info.number)
		memcpy(row->number, info.number, info.number_len);
	return put_issuer(writer, crl, row);
}

static int put_index(struct crl_set_writer *writer, const struct crl_indexed *indexed,
		     struct crl_set_row *row)
{
	int r = append(writer, indexed->core, indexed->core_len, &row->core);

	row->serial_len = (uint8_t)indexed->serial_len;
	row->n_revoked = indexed->n;
	return r ? r
		 : append(writer, indexed->entries, indexed->n * (indexed->serial_len + 1),
			  &row->entries);
}

/* An index, or a parse that says what is wrong. */
static int put_content(struct crl_set_writer *writer, const uint8_t *der, size_t len,
		       struct crl_set_row *row, struct sluice_error *err)
{
	struct crl_indexed indexed = { 0 };
	struct sluice_crl *crl;
	int r = crl_index_make(&indexed, der, len);

	if (r == 0)
		r = put_index(writer, &indexed, row);
	else if (r > 0)
		r = 0;
	if (r == 0)
		r = sluice_crl_parse(&crl, indexed.core ? indexed.core : der,
				     indexed.core ? indexed.core_len : len, err);
	crl_indexed_free(&indexed);
	if (r < 0)
		return r;
	r = fill_row(writer, crl, row);
	sluice_crl_unref(crl);
	return r ? r : append(writer, der, len, &row->der);
}

static int put_crl(struct crl_set_writer *writer, const char *path, const char *uri,
		   const uint8_t *der, size_t len, struct sluice_error *err)
{
	const struct crl_set_row *written;
	struct crl_set_row row = { 0 };
	int r = 0;

	SHA256(der, len, row.sha256);
	written = find_written(writer, row.sha256);
	if (written)
		row = *written;
	else
		r = put_content(writer, der, len, &row, err);
	if (r == 0)
		r = put_source(writer, &row, path, uri);
	return r ? r : put_row(writer, &row);
}

/* --- files ---------------------------------------------------------------------------------------- */

/* struct batch - the CRLs of one file. */
struct batch {
	struct crl_set_writer *writer;
	const char *path, *uri;
	size_t n;
	struct sluice_error *err;
};

static int take(struct batch *batch, const uint8_t *der, size_t len)
{
	if (batch->n++ == SLUICE_CRL_MAX_FILE)
		return err_set(batch->err, SLUICE_E_OPTION_RANGE, "more than %d CRLs",
			       SLUICE_CRL_MAX_FILE);
	return put_crl(batch->writer, batch->path, batch->uri, der, len, batch->err);
}

static int take_pem(struct batch *batch, BIO *bio)
{
	char *name, *header;
	uint8_t *der;
	long len;
	int r = 0;

	while (!r && PEM_read_bio(bio, &name, &header, &der, &len)) {
		if (!strcmp(name, PEM_STRING_X509_CRL))
			r = take(batch, der, (size_t)len);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	if (!r && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		r = err_set(batch->err, SLUICE_E_CRL_PARSE, "this is not PEM");
	else if (!r && !batch->n)
		r = err_set(batch->err, SLUICE_E_CRL_PARSE, "there is no CRL in it");
	ERR_clear_error();
	return r;
}

static int take_file(struct batch *batch, const uint8_t *data, size_t len)
{
	BIO *bio;
	int r;

	/* A SEQUENCE with a length of its own; a text that PEM may have before it has no such byte. */
	if (len > 1 && data[0] == 0x30 && data[1] >= 0x80)
		return take(batch, data, len);
	ERR_clear_error();
	bio = len <= INT32_MAX ? BIO_new_mem_buf(data, (int)len) : NULL;
	if (!bio)
		return -SLUICE_E_NOMEM;
	r = take_pem(batch, bio);
	BIO_free(bio);
	return r;
}

static void go_back(struct crl_set_writer *writer, uint64_t at, size_t n_rows)
{
	writer->n_rows = n_rows;
	if (lseek(writer->fd, (off_t)at, SEEK_SET) == (off_t)at)
		writer->at = at;
}

int crl_set_read(struct crl_set_writer *writer, const char *path, const char *uri, const void *data,
		 size_t len, size_t *ret_n, struct sluice_error *ret_err)
{
	struct batch batch = { writer, path, uri, 0, ret_err };
	uint64_t at = writer->at;
	size_t n = writer->n_rows;
	int r;

	err_clear(ret_err);
	r = take_file(&batch, data, len);
	if (r < 0) {
		go_back(writer, at, n);
		if (ret_err && !ret_err->code)
			err_set(ret_err, -r, "%s",
				r == -SLUICE_E_OPTION_RANGE ? "there are too many CRLs"
							    : "no memory");
		return r;
	}
	*ret_n = batch.n;
	return 0;
}

static const char *refuse_fetched(const struct crl_set_row *row, const struct crl_set *old,
				  const char *path)
{
	size_t i;

	if (row->this_update_s > sys->wall_s() + AHEAD_S)
		return "the CRL is not valid yet";
	for (i = 0; i < old->n_rows; i++)
		if (crl_set_is(old, &old->rows[i].path, path) &&
		    row->issuer_hash == old->rows[i].issuer_hash &&
		    row->this_update_s < old->rows[i].this_update_s)
			return "the CRL is older than the one in force";
	return NULL;
}

int crl_set_fetched(struct crl_set_writer *writer, const struct crl_set *old, const char *path,
		    const void *data, size_t len, size_t *ret_n, struct sluice_error *ret_err)
{
	uint64_t at = writer->at;
	size_t i, n = writer->n_rows;
	const char *wrong = NULL;
	int r = crl_set_read(writer, path, NULL, data, len, ret_n, ret_err);

	for (i = n; r == 0 && !wrong && i < writer->n_rows; i++)
		wrong = refuse_fetched(&writer->rows[i], old, path);
	if (!wrong)
		return r;
	go_back(writer, at, n);
	*ret_n = 0;
	return err_set(ret_err, SLUICE_E_CRL_PARSE, "%s", wrong);
}

/* --- of an older set ------------------------------------------------------------------------------ */

static int copy_blob(struct crl_set_writer *writer, const struct crl_set *old,
		     struct crl_blob *blob)
{
	return append(writer, crl_set_bytes(old, blob), blob->len, blob);
}

static int copy_row(struct crl_set_writer *writer, const struct crl_set *old,
		    const struct crl_set_row *from)
{
	const struct crl_set_row *written = find_written(writer, from->sha256);
	struct crl_set_row row = *from;
	int r = 0;

	if (written)
		share(&row, written);
	else if ((r = copy_blob(writer, old, &row.der)) ||
		 (r = copy_blob(writer, old, &row.core)) ||
		 (r = copy_blob(writer, old, &row.entries)))
		return r;
	else
		r = copy_blob(writer, old, &row.issuer);
	if (!r)
		r = copy_blob(writer, old, &row.path);
	if (!r)
		r = copy_blob(writer, old, &row.uri);
	return r ? r : put_row(writer, &row);
}

int crl_set_copy(struct crl_set_writer *writer, const struct crl_set *old, const char *path,
		 const char *uri, size_t *ret_n)
{
	size_t i;
	int r;

	*ret_n = 0;
	for (i = 0; i < old->n_rows; i++) {
		if (!crl_set_is(old, &old->rows[i].path, path) ||
		    !crl_set_is(old, &old->rows[i].uri, uri))
			continue;
		r = copy_row(writer, old, &old->rows[i]);
		if (r < 0)
			return r;
		++*ret_n;
	}
	return 0;
}

/* --- the end -------------------------------------------------------------------------------------- */

int crl_set_end(struct crl_set_writer *writer)
{
	static const uint8_t zeros[alignof(struct crl_set_row)];
	struct crl_set_head head = { .magic = CRL_SET_MAGIC, .n_rows = (uint32_t)writer->n_rows };
	size_t fill = (sizeof(zeros) - writer->at % sizeof(zeros)) % sizeof(zeros);
	struct crl_blob rows = { 0 };
	int fd, r = append(writer, zeros, fill, &rows);

	if (r == 0)
		r = append(writer, writer->rows ? (const void *)writer->rows : zeros,
			   writer->n_rows * sizeof(*writer->rows), &rows);
	head.rows_at = rows.at;
	/* What a refused file left behind is beyond the end. */
	if (r == 0 && (ftruncate(writer->fd, (off_t)writer->at) ||
		       pwrite(writer->fd, &head, sizeof(head), 0) != sizeof(head) ||
		       fcntl(writer->fd, F_ADD_SEALS,
			     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)))
		r = -SLUICE_E_NOMEM;
	if (r < 0)
		return r;
	fd = writer->fd;
	writer->fd = -1;
	return fd;
}

void crl_set_free(struct crl_set_writer *writer)
{
	if (writer->fd >= 0)
		close(writer->fd);
	free(writer->rows);
	*writer = (struct crl_set_writer){ .fd = -1 };
}
