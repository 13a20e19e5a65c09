/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users and groups by name or number, from whatever nsswitch.conf(5) says. Not for threads: the
 * results of getpwnam(3) and getgrnam(3) are shared.
 */
#include "config/parse.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_USER "nobody"
#define MAX_ID 4294967294u /* (uid_t)-1 is "no change" to chown(2) and setresuid(2) */

/* Reads a number. Returns 1, 0 if it is a name, or an error. */
static int read_id(struct parse *p, const char *name, const struct node *node, unsigned int *ret_id)
{
	const struct field field = { .name = name, .max = MAX_ID };
	int r = node_expect_line(p, name, node, PARSE_MAX_USER);

	if (r < 0)
		return r;
	if (node->text[strspn(node->text, "0123456789")])
		return 0;
	r = field_number(p, &field, node, ret_id);
	return r < 0 ? r : 1;
}

/* getpwnam(3) lists what errno may be when there is just no such name. */
static int fail_missing(struct parse *p, const char *name, const char *kind,
			struct config_place place, const char *text, int err)
{
	char quote[PARSE_QUOTE_LEN];

	if (err == ENOMEM)
		return parse_nomem(p);
	if (err == EIO || err == EMFILE || err == ENFILE || err == EINTR)
		return parse_fail(p, SLUICE_E_FILE, place,
				  "%s: cannot look up the %s \"%s\": %s; write its number", name,
				  kind, parse_quote(quote, text), strerror(err));
	return parse_fail(p, SLUICE_E_OPTION, place,
			  "%s: there is no %s \"%s\"; create it, or write another", name, kind,
			  parse_quote(quote, text));
}

int user_find(struct parse *p, const char *name, const struct node *node, uid_t *ret_uid)
{
	const struct passwd *user;
	int r = read_id(p, name, node, ret_uid);

	if (r)
		return r < 0 ? r : 0;
	errno = 0;
	user = getpwnam(node->text);
	if (!user)
		return fail_missing(p, name, "user", node->place, node->text, errno);
	*ret_uid = user->pw_uid;
	return 0;
}

int group_find(struct parse *p, const char *name, const struct node *node, gid_t *ret_gid)
{
	const struct group *group;
	int r = read_id(p, name, node, ret_gid);

	if (r)
		return r < 0 ? r : 0;
	errno = 0;
	group = getgrnam(node->text);
	if (!group)
		return fail_missing(p, name, "group", node->place, node->text, errno);
	*ret_gid = group->gr_gid;
	return 0;
}

int user_read(struct parse *p, const struct node *node)
{
	struct config_place place = node ? node->place : (struct config_place){ 0 };
	const char *text = DEFAULT_USER;
	const struct passwd *user;
	unsigned int uid;
	int r = node ? read_id(p, "user", node, &uid) : 0;

	if (r < 0)
		return r;
	if (node)
		text = node->text;
	errno = 0;
	user = r ? getpwuid(uid) : getpwnam(text); /* a number needs an entry too: its group */
	if (!user)
		return fail_missing(p, "user", "user", place, text, errno);
	if (!user->pw_uid)
		return parse_fail(p, SLUICE_E_OPTION, place,
				  "user: handshakes do not run as root; write a user without "
				  "rights, as \"" DEFAULT_USER "\"");
	p->config->uid = user->pw_uid;
	p->config->gid = user->pw_gid;
	p->config->user = strdup(user->pw_name);
	return p->config->user ? 0 : parse_nomem(p);
}
