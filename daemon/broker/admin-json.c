// SPDX-License-Identifier: Apache-2.0
/* Facts as JSON. Where there is no memory the object is NULL, and admin_row() drops its client. */
#include <ctype.h>
#include <stdio.h>
#include <time.h>

#include "broker/admin.h"

#define TEXT_LEN 260
#define HEX_MAX 64

static void put(struct json_object *object, const char *name, struct json_object *value)
{
	if (object)
		json_object_object_add(object, name, value);
	else
		json_object_put(value);
}

void put_text(struct json_object *object, const char *name, const char *value)
{
	put(object, name, value ? json_object_new_string(value) : NULL);
}

void put_number(struct json_object *object, const char *name, uint64_t value)
{
	put(object, name, json_object_new_uint64(value));
}

void put_bool(struct json_object *object, const char *name, bool value)
{
	put(object, name, json_object_new_boolean(value));
}

void put_hex(struct json_object *object, const char *name, const uint8_t *bytes, size_t len)
{
	char text[2 * HEX_MAX + 1] = "";
	size_t i;

	for (i = 0; i < len && i < HEX_MAX; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	put_text(object, name, text);
}

static void put_tamed(struct json_object *object, const char *name, const char *value,
		      int (*is_harmless)(int))
{
	char text[TEXT_LEN];
	size_t i;

	for (i = 0; value && value[i] && i + 1 < sizeof(text); i++)
		text[i] = isascii(value[i]) && is_harmless(value[i]) ? value[i] : '?';
	text[value ? i : 0] = '\0';
	put_text(object, name, value ? text : NULL);
}

void put_peer_text(struct json_object *object, const char *name, const char *value)
{
	put_tamed(object, name, value, isgraph);
}

void put_peer_words(struct json_object *object, const char *name, const char *value)
{
	put_tamed(object, name, value, isprint);
}

void put_address(struct json_object *object, const char *name, const struct sockaddr_in6 *addr)
{
	char text[TEXT_ADDRESS_LEN];

	put_text(object, name, text_address(text, addr));
}

void put_time(struct json_object *row, const char *name, int64_t seconds)
{
	time_t t = (time_t)seconds;
	char text[32];
	struct tm tm;

	put_text(row, name,
		 seconds >= 0 && gmtime_r(&t, &tm) &&
				 strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm)
			 ? text
			 : NULL);
}
