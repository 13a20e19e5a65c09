// SPDX-License-Identifier: Apache-2.0
/* What is configured: the options of the profiles. */
#include <stdio.h>
#include <string.h>

#include "broker/admin.h"
#include "options/options.h"

#define LIST_LEN 4096

/* Another configuration: what is left of the answer would not fit what was told. */
static bool changed(struct admin_client *client)
{
	if (client->job.reloads == client->broker->stats.reloads)
		return false;
	admin_refuse(client, "changed", "the configuration has just changed; ask again");
	return true;
}

/* --- options -------------------------------------------------------------------------------------- */

static void list_text(const struct option_value *value, int id, char *out, size_t size)
{
	const uint8_t *bytes = value->bytes;
	size_t i, len = 0, step;
	uint16_t code;

	*out = '\0';
	if (option_is_peers(id)) {
		snprintf(out, size, "%s", (const char *)value->bytes);
		return;
	}
	for (i = 0; i < value->len && len + 1 < size; i += step) {
		if (id == SLUICE_OPT_ALPN_ADVERTISED_PROTOCOLS ||
		    id == SLUICE_OPT_ALPN_PREFERRED_PROTOCOLS) {
			step = 1u + bytes[i];
			len += (size_t)snprintf(out + len, size - len, "%s%.*s", i ? "," : "",
						(int)bytes[i], (const char *)bytes + i + 1);
		} else {
			step = sizeof(code);
			memcpy(&code, bytes + i, sizeof(code));
			len += (size_t)snprintf(out + len, size - len, "%s%s", i ? "," : "",
						words_name(id, code));
		}
	}
}

static void enum_text(const char *words, int64_t n, char *out, size_t size)
{
	while (n-- > 0 && (words = strchr(words, '|')))
		words++;
	snprintf(out, size, "%.*s", words ? (int)strcspn(words, "|") : 0, words ? words : "");
}

/* Returns the value in @out, or NULL: there is none. Never that of a secret, nor bytes. */
static const char *value_text(const struct config_profile *profile, int id, char *out, size_t size)
{
	const struct option_value *value = &profile->options->values[id];
	const struct option_row *option = option_row(id);
	int64_t number;

	if (!value->set)
		return profile->role == SLUICE_SERVER && option->def_server ? option->def_server
									    : option->def;
	switch (option->type) {
	case SLUICE_TYPE_SECRET:
	case SLUICE_TYPE_DATA:
		return "(set)";
	case SLUICE_TYPE_STRING:
		return value->bytes;
	case SLUICE_TYPE_LIST:
		list_text(value, id, out, size);
		return out;
	default:
		break;
	}
	number = option_number(profile->options, id, profile->role);
	if (option->type == SLUICE_TYPE_ENUM)
		enum_text(option->values, number, out, size);
	else if (option->type == SLUICE_TYPE_BOOL)
		snprintf(out, size, "%s", number ? "true" : "false");
	else
		snprintf(out, size, "%lld", (long long)number);
	return out;
}

static void option_line(struct admin_client *client, const struct config_profile *profile, int id)
{
	struct json_object *row;
	char text[LIST_LEN];

	if (!(option_row(id)->roles & profile->role))
		return;
	row = json_object_new_object();
	put_text(row, "profile", profile->name);
	put_text(row, "option", option_row(id)->name);
	put_text(row, "value", value_text(profile, id, text, sizeof(text)));
	put_text(row, "origin", option_is_set(profile->options, id) ? "file" : "default");
	admin_row(client, row);
}

bool admin_options(struct admin_client *client)
{
	const struct config *config = client->broker->config;
	size_t at = client->job.at++;

	if (changed(client))
		return true;
	if (at >= config->n_profiles * SLUICE_OPTIONS) {
		admin_done(client, NULL);
		return true;
	}
	option_line(client, &config->profiles[at / SLUICE_OPTIONS], (int)(at % SLUICE_OPTIONS));
	return false;
}
