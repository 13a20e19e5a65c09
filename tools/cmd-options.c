/* SPDX-License-Identifier: Apache-2.0 */
/* `sluice options` and `sluice errors`: the library's two tables, printed. */
#include <stdbool.h>
#include <string.h>

#include "command.h"
#include "describe.h"

struct list_settings {
	bool json;
	const char *role;
};

static const struct arg options_args[] = {
	{ "json", 0, ARG_FLAG, offsetof(struct list_settings, json), NULL, "print JSON" },
	{ "role", 0, ARG_CHOICE, offsetof(struct list_settings, role), "ROLE",
	  "only the options of a client or a server", .choices = "client|server" },
	{ NULL },
};

static const struct arg errors_args[] = {
	{ "json", 0, ARG_FLAG, offsetof(struct list_settings, json), NULL, "print JSON" },
	{ NULL },
};

static const char *const type_names[] = {
	[SLUICE_TYPE_BOOL] = "true|false",
	[SLUICE_TYPE_INT] = "number",
	[SLUICE_TYPE_ENUM] = "word",
	[SLUICE_TYPE_STRING] = "text",
	[SLUICE_TYPE_LIST] = "list",
	[SLUICE_TYPE_DATA] = "bytes",
	[SLUICE_TYPE_SECRET] = "secret",
	[SLUICE_TYPE_TABLE] = "table of a program",
	[SLUICE_TYPE_CALL] = "function of a program",
};

static const char *role_name(int roles)
{
	if (roles == (SLUICE_CLIENT | SLUICE_SERVER))
		return "both";
	return roles == SLUICE_CLIENT ? "client" : "server";
}

static void print_option(const struct sluice_option_info *info)
{
	printf("%s\n    %s\n", info->name, info->help);
	if (info->type == SLUICE_TYPE_INT)
		printf("    role: %s; type: number from %lld to %lld", role_name(info->roles),
		       (long long)info->min, (long long)info->max);
	else
		printf("    role: %s; type: %s", role_name(info->roles), type_names[info->type]);
	if (info->values)
		printf(" of %s", info->values);
	printf("; default: %s", info->def ? info->def : "none");
	if (info->def_server)
		printf(", for a server: %s", info->def_server);
	putchar('\n');
}

static struct json_object *option_json(const struct sluice_option_info *info)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "name", json_object_new_string(info->name));
	json_object_object_add(object, "role", json_object_new_string(role_name(info->roles)));
	json_object_object_add(object, "type", json_object_new_string(type_names[info->type]));
	json_object_object_add(object, "default",
			       info->def ? json_object_new_string(info->def) : NULL);
	if (info->def_server)
		json_object_object_add(object, "default_server",
				       json_object_new_string(info->def_server));
	if (info->values)
		json_object_object_add(object, "values", json_object_new_string(info->values));
	if (info->type == SLUICE_TYPE_INT) {
		json_object_object_add(object, "min", json_object_new_int64(info->min));
		json_object_object_add(object, "max", json_object_new_int64(info->max));
	}
	json_object_object_add(object, "help", json_object_new_string(info->help));
	return object;
}

static int roles_of(const char *role)
{
	if (!role)
		return SLUICE_CLIENT | SLUICE_SERVER;
	return strcmp(role, "client") == 0 ? SLUICE_CLIENT : SLUICE_SERVER;
}

static int options_run(int argc, char **argv)
{
	struct list_settings settings = { 0 };
	struct json_object *list = NULL;
	struct sluice_option_info info;
	int r, id, roles;

	r = args_parse(options_args, &settings, argc, argv);
	if (r < 0 || r < argc)
		return EXIT_USAGE;
	roles = roles_of(settings.role);
	if (settings.json)
		list = json_object_new_array();
	for (id = 0; sluice_option_info(id, &info, sizeof(info)) >= 0; id++) {
		if (!(info.roles & roles))
			continue;
		if (settings.json)
			json_object_array_add(list, option_json(&info));
		else
			print_option(&info);
	}
	describe_print(list, stdout);
	return EXIT_OK;
}

const struct command cmd_options = {
	.name = "options",
	.synopsis = "[--json] [--role client|server]",
	.summary = "list the options of the library",
	.args = options_args,
	.run = options_run,
};

static struct json_object *error_json(int code)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "code", json_object_new_int(code));
	json_object_object_add(object, "name", json_object_new_string(sluice_error_name(code)));
	json_object_object_add(object, "kind",
			       json_object_new_string(describe_kind(sluice_error_kind(code))));
	json_object_object_add(object, "text", json_object_new_string(sluice_strerror(code)));
	return object;
}

static int errors_run(int argc, char **argv)
{
	struct list_settings settings = { 0 };
	struct json_object *list = NULL;
	int r, code;

	r = args_parse(errors_args, &settings, argc, argv);
	if (r < 0 || r < argc)
		return EXIT_USAGE;
	if (settings.json)
		list = json_object_new_array();
	for (code = SLUICE_OK; code <= SLUICE_E_INTERNAL; code++) {
		if (strchr(sluice_error_name(code), '?'))
			continue; /* numbers are given out with gaps */
		if (settings.json)
			json_object_array_add(list, error_json(code));
		else
			printf("%4d  %-34s %-11s %s\n", code, sluice_error_name(code),
			       describe_kind(sluice_error_kind(code)), sluice_strerror(code));
	}
	describe_print(list, stdout);
	return EXIT_OK;
}

const struct command cmd_errors = {
	.name = "errors",
	.synopsis = "[--json]",
	.summary = "list the error codes of the library",
	.args = errors_args,
	.run = errors_run,
};
