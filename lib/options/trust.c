/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files, directories and bytes into trust anchors. Called when profiles are built and by `sluice
 * verify`, never during a handshake. A file that is wrong is an error, and never just not trusted.
 */
#include "options/trust.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "core/error.h"
#include "core/sys.h"
#include "options/pem-cache.h"

#define WHAT_LEN 140 /* source and path in an error text */

int trust_add_certs(X509_STORE *store, const STACK_OF(CRYPTO_BUFFER) * certs,
		    struct sluice_error *ret_err)
{
	bool ok = true;
	X509 *x509;
	size_t i;

	for (i = 0; ok && i < sk_CRYPTO_BUFFER_num(certs); i++) {
		x509 = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(certs, i));
		ok = x509 && X509_STORE_add_cert(store, x509);
		X509_free(x509);
	}
	ERR_clear_error();
	return ok ? 0 : err_set(ret_err, SLUICE_E_NOMEM, "no memory for CA certificates");
}

static int add_file(X509_STORE *store, const char *what, const char *path, bool lenient,
		    struct sluice_error *err)
{
	STACK_OF(CRYPTO_BUFFER) *certs = NULL;
	size_t len = strlen(path), max = WHAT_LEN - 32;
	char where[WHAT_LEN];
	int r;

	snprintf(where, sizeof(where), "%.24s: %s%s", what, len > max ? "..." : "",
		 len > max ? path + len - max : path);
	r = pem_cache_certs(&certs, what, path, where, lenient, err);
	if (!r) {
		r = trust_add_certs(store, certs, err);
		sk_CRYPTO_BUFFER_pop_free(certs, CRYPTO_BUFFER_free);
	}
	return r;
}

static bool is_cert_name(const char *name)
{
	static const char *const endings[] = { ".pem", ".crt", ".cer" };
	size_t i, len = strlen(name);

	if (name[0] == '.')
		return false;
	for (i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		if (len > 4 && !strcmp(name + len - 4, endings[i]))
			return true;
	}
	return false;
}

static int add_entries(X509_STORE *store, const char *what, const char *path, DIR *dir,
		       struct sluice_error *err)
{
	const struct dirent *entry;
	size_t n = 0;
	char *file;
	int r = 0;

	while (!r && (errno = 0, entry = readdir(dir)) != NULL) {
		if (!is_cert_name(entry->d_name))
			continue;
		if (n++ == TRUST_MAX_FILES)
			return err_set(err, SLUICE_E_FILE, "%s: %.100s has more than %d files",
				       what, path, TRUST_MAX_FILES);
		if (asprintf(&file, "%s/%s", path, entry->d_name) < 0)
			return err_set(err, SLUICE_E_NOMEM, "%s: no memory", what);
		r = add_file(store, what, file, false, err);
		free(file);
	}
	if (!r && errno)
		return err_set_errno(err, SLUICE_E_FILE, errno, "%s: %.100s", what, path);
	if (!r && !n)
		return err_set(err, SLUICE_E_FILE,
			       "%s: no file in %.100s is named .pem, .crt or .cer", what, path);
	return r;
}

int trust_add_path(X509_STORE *store, const char *what, const char *path,
		   struct sluice_error *ret_err)
{
	DIR *dir = opendir(path);
	int r;

	if (!dir && errno == ENOTDIR)
		return add_file(store, what, path, false, ret_err);
	if (!dir) {
		r = sys_errno_code(errno);
		if (r != SLUICE_E_NOFILE && r != SLUICE_E_NOMEM)
			r = SLUICE_E_FILE;
		return err_set_errno(ret_err, r, errno, "%s: %.100s", what, path);
	}
	r = add_entries(store, what, path, dir, ret_err);
	closedir(dir);
	return r;
}

int trust_add_system(X509_STORE *store, const char *what, struct sluice_error *ret_err)
{
	return add_file(store, what, TRUST_SYSTEM_FILE, true, ret_err);
}
