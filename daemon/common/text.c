// SPDX-License-Identifier: Apache-2.0
#include "common/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MAX_KEY 64

const char *text_address(char out[TEXT_ADDRESS_LEN], const struct sockaddr_in6 *addr)
{
	char ip[INET6_ADDRSTRLEN] = "?";
	bool v4 = IN6_IS_ADDR_V4MAPPED(&addr->sin6_addr);

	if (v4)
		inet_ntop(AF_INET, addr->sin6_addr.s6_addr + 12, ip, sizeof(ip));
	else
		inet_ntop(AF_INET6, &addr->sin6_addr, ip, sizeof(ip));
	snprintf(out, TEXT_ADDRESS_LEN, v4 ? "%s:%u" : "[%s]:%u", ip, ntohs(addr->sin6_port));
	return out;
}

/* --- a line --------------------------------------------------------------------------------------- */

static bool is_plain(const char *value)
{
	const char *c;

	for (c = value; *c; c++)
		if (!isascii(*c) || !isgraph(*c) || strchr("\"\\=", *c))
			return false;
	return *value;
}

/* Returns how many bytes one byte became; @out has room for four and a NUL. */
static int escape(char *out, char c)
{
	if (c == '"' || c == '\\')
		return sprintf(out, "\\%c", c);
	if (isascii(c) && isprint(c))
		return sprintf(out, "%c", c);
	return sprintf(out, "\\x%02x", (unsigned char)c);
}

size_t text_value(char *out, size_t out_size, const char *value)
{
	bool plain = is_plain(value);
	size_t i, len = 0;

	if (out_size < 4 * TEXT_MAX_VALUE + 3 && out_size < 4 * strlen(value) + 3)
		return 0;
	if (!plain)
		out[len++] = '"';
	for (i = 0; value[i] && i < TEXT_MAX_VALUE; i++)
		len += (size_t)escape(out + len, value[i]);
	if (!plain)
		out[len++] = '"';
	out[len] = '\0';
	return len;
}

static size_t append_field(char *out, size_t out_size, const struct text_field *field)
{
	size_t len = strlen(field->key) + 2, value_len;

	if (len >= out_size)
		return 0;
	value_len = text_value(out + len, out_size - len, field->value);
	if (!value_len)
		return 0;
	out[0] = ' ';
	memcpy(out + 1, field->key, len - 2);
	out[len - 1] = '=';
	return len + value_len;
}

size_t text_line(char *out, size_t out_size, const char *message, const struct text_field *fields,
		 size_t n_fields)
{
	int n = snprintf(out, out_size, "%s%s", message, n_fields ? ":" : "");
	size_t i, len = n < 0 ? 0 : (size_t)n;

	if (len >= out_size)
		return out_size - 1;
	for (i = 0; i < n_fields; i++)
		if (fields[i].value && !fields[i].in_message)
			len += append_field(out + len, out_size - len, &fields[i]);
	out[len] = '\0';
	return len;
}

/* --- an entry of the journal ---------------------------------------------------------------------- */

/* KEY, LF, the length as 64 bits little endian, the value, LF. */
static size_t append_entry(char *out, size_t out_size, const char *key, const char *value)
{
	size_t key_len = strlen(key), value_len = strlen(value);
	uint64_t wire_len = htole64(value_len);

	if (key_len + value_len + sizeof(wire_len) + 2 > out_size)
		return 0;
	memcpy(out, key, key_len);
	out[key_len] = '\n';
	memcpy(out + key_len + 1, &wire_len, sizeof(wire_len));
	memcpy(out + key_len + 1 + sizeof(wire_len), value, value_len);
	out[key_len + 1 + sizeof(wire_len) + value_len] = '\n';
	return key_len + value_len + sizeof(wire_len) + 2;
}

static const char *journal_key(char out[MAX_KEY], const char *key)
{
	char *c;

	snprintf(out, MAX_KEY, "SLUICE_%s", key);
	for (c = out; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	return out;
}

size_t text_journal(char *out, size_t out_size, int priority, const char *message,
		    const struct text_field *fields, size_t n_fields)
{
	char key[MAX_KEY], number[2] = { (char)('0' + (priority & 7)) };
	size_t i, len = append_entry(out, out_size, "MESSAGE", message);

	len += append_entry(out + len, out_size - len, "PRIORITY", number);
	len += append_entry(out + len, out_size - len, "SYSLOG_IDENTIFIER", "sluiced");
	for (i = 0; i < n_fields; i++)
		if (fields[i].value)
			len += append_entry(out + len, out_size - len,
					    journal_key(key, fields[i].key), fields[i].value);
	return len;
}
