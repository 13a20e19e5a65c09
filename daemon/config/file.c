/* SPDX-License-Identifier: Apache-2.0 */
/* A file, whole and bounded, into memory that is wiped: there may be passwords in it. */
#include "config/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/secret.h"
#include "core/sys.h"

#define FIRST_SIZE 16384

static int fail_file(struct parse *p, int err)
{
	const struct config_place whole = { 0 };

	if (err == ENOMEM)
		return parse_nomem(p);
	if (err == EFBIG)
		return parse_fail(p, SLUICE_E_OPTION_RANGE, whole,
				  "has more than %d bytes; make it smaller", CONFIG_MAX_SIZE);
	if (err == EISDIR)
		return parse_fail(p, SLUICE_E_FILE, whole,
				  "is a directory; give the path of a file");
	return parse_fail(p, SLUICE_E_FILE, whole,
			  "cannot be read: %s; look at the path and at who may read it",
			  strerror(err));
}

/* Makes room for more in a buffer that is full; the old bytes are wiped when they have moved. */
static bool grow(char **text, size_t len, size_t *size)
{
	size_t new_size = *size ? 4 * *size : FIRST_SIZE;
	char *new_text = malloc(new_size);

	if (!new_text)
		return false;
	if (*text) {
		memcpy(new_text, *text, len);
		secret_wipe(*text, len);
		free(*text);
	}
	*text = new_text;
	*size = new_size;
	return true;
}

/* Returns 0 or an errno. */
static int read_all(int fd, char **text, size_t *len)
{
	size_t size = 0;
	ssize_t n;

	for (;;) {
		if (*len == size && !grow(text, *len, &size))
			return ENOMEM;
		n = sys->read(fd, *text + *len, size - *len);
		if (!n)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		*len += (size_t)n;
		if (*len > CONFIG_MAX_SIZE)
			return EFBIG;
	}
}

int file_read(struct parse *p, char **ret_text, size_t *ret_len)
{
	char *text = NULL;
	size_t len = 0;
	int fd = sys->open(p->path, O_RDONLY | O_CLOEXEC, 0), err;

	if (fd < 0)
		return fail_file(p, errno);
	err = read_all(fd, &text, &len);
	sys->close(fd);
	if (err) {
		if (text)
			secret_wipe(text, len);
		free(text);
		return fail_file(p, err);
	}
	*ret_text = text;
	*ret_len = len;
	return 0;
}
