// SPDX-License-Identifier: Apache-2.0
/* Requests, read strictly: what is not known is refused, so that a typing error kills nothing. */
#include <string.h>

#include "broker/admin.h"

#define MAX_DEPTH 4
#define MAX_FOR_S 86400

/* What a request may have besides its name. */
#define HAS_ID 1u
#define HAS_FILTER 2u
#define HAS_LEVEL 4u
#define HAS_OFF 8u
#define HAS_BOTH 16u
#define HAS_FOR 32u
#define HAS_DRY_RUN 64u
#define HAS_FILE 128u
#define HAS_URI 256u

static const struct {
	const char *name;
	unsigned int has;
	bool acts;
} verbs[ADMIN_VERBS] = {
	[ADMIN_STATUS] = { "status", 0, false },
	[ADMIN_SESSIONS] = { "sessions", HAS_FILTER, false },
	[ADMIN_SESSION] = { "session", HAS_ID, false },
	[ADMIN_STATS] = { "stats", 0, false },
	[ADMIN_WORKERS] = { "workers", 0, false },
	[ADMIN_LISTENERS] = { "listeners", 0, false },
	[ADMIN_CERTS] = { "certs", 0, false },
	[ADMIN_OPTIONS] = { "options", 0, false },
	[ADMIN_TRACE] = { "trace", HAS_ID | HAS_FILTER | HAS_FOR, false },
	[ADMIN_KILL] = { "kill", HAS_ID | HAS_FILTER, true },
	[ADMIN_REKEY] = { "rekey", HAS_ID | HAS_FILTER | HAS_BOTH, true },
	[ADMIN_RECHECK] = { "recheck", HAS_ID | HAS_FILTER | HAS_DRY_RUN, true },
	[ADMIN_CRL_LIST] = { "crl_list", 0, false },
	[ADMIN_CRL_ADD] = { "crl_add", HAS_FILE | HAS_URI, true },
	[ADMIN_CRL_DEL] = { "crl_del", HAS_FILE, true },
	[ADMIN_DRAIN] = { "drain", HAS_OFF, true },
	[ADMIN_RELOAD] = { "reload", 0, true },
	[ADMIN_PEM_CLEAR] = { "pem_clear", 0, true },
	[ADMIN_LOG] = { "log", HAS_LEVEL, true },
	[ADMIN_STOP] = { "stop", 0, true },
};

static const char *const levels[] = {
	[CONFIG_LOG_ERROR] = "error",
	[CONFIG_LOG_WARNING] = "warning",
	[CONFIG_LOG_INFO] = "info",
	[CONFIG_LOG_DEBUG] = "debug",
};

bool admin_verb_acts(enum admin_verb verb)
{
	return verbs[verb].acts;
}

const char *admin_level_name(enum config_log_level level)
{
	return levels[level];
}

static const char *take_verb(struct admin_request *request, struct json_object *object)
{
	struct json_object *name;
	size_t i;

	if (json_object_object_get_ex(object, "request", &name) &&
	    json_object_is_type(name, json_type_string)) {
		for (i = 0; i < ADMIN_VERBS; i++) {
			if (strcmp(verbs[i].name, json_object_get_string(name)) == 0) {
				request->verb = (enum admin_verb)i;
				return NULL;
			}
		}
	}
	return "request takes status, sessions, session, stats, workers, listeners, certs, options, "
	       "trace, kill, rekey, recheck, crl_list, crl_add, crl_del, drain, reload, log or stop";
}

static const char *take_id(struct admin_request *request, struct json_object *value)
{
	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) <= 0)
		return "id takes the number of a session";
	request->id = json_object_get_uint64(value);
	return NULL;
}

static const char *take_level(struct admin_request *request, struct json_object *value)
{
	const char *text = json_object_get_string(value);
	size_t i;

	for (i = 0; text && i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(levels[i], text) == 0) {
			request->level = (enum config_log_level)i;
			return NULL;
		}
	}
	return "level takes error, warning, info or debug";
}

static const char *take_bool(bool *ret_value, struct json_object *value, const char *wrong)
{
	*ret_value = json_object_get_boolean(value);
	return json_object_is_type(value, json_type_boolean) ? NULL : wrong;
}

static const char *take_for(struct admin_request *request, struct json_object *value)
{
	int64_t seconds = json_object_get_int64(value);

	if (!json_object_is_type(value, json_type_int) || seconds < 1 || seconds > MAX_FOR_S)
		return "for takes 1 to 86400 seconds";
	request->for_ms = (uint64_t)seconds * 1000;
	return NULL;
}

static const char *take_text(char text[ADMIN_MAX_PATH], struct json_object *value,
			     const char *wrong)
{
	size_t len = (size_t)json_object_get_string_len(value);
	const char *bytes = json_object_get_string(value);

	if (!json_object_is_type(value, json_type_string) || !len || len >= ADMIN_MAX_PATH ||
	    strlen(bytes) != len)
		return wrong;
	memcpy(text, bytes, len + 1);
	return NULL;
}

static const char *take(struct admin_request *request, const char *key, struct json_object *value,
			unsigned int *seen)
{
	unsigned int has = verbs[request->verb].has;

	if (strcmp(key, "request") == 0)
		return NULL;
	if (strcmp(key, "id") == 0 && (has & HAS_ID)) {
		*seen |= HAS_ID;
		return take_id(request, value);
	}
	if (strcmp(key, "filter") == 0 && (has & HAS_FILTER)) {
		*seen |= HAS_FILTER;
		return filter_parse(&request->filter, value);
	}
	if (strcmp(key, "level") == 0 && (has & HAS_LEVEL)) {
		*seen |= HAS_LEVEL;
		return take_level(request, value);
	}
	if (strcmp(key, "off") == 0 && (has & HAS_OFF))
		return take_bool(&request->off, value, "off takes true or false");
	if (strcmp(key, "both") == 0 && (has & HAS_BOTH))
		return take_bool(&request->both, value, "both takes true or false");
	if (strcmp(key, "file") == 0 && (has & HAS_FILE))
		return take_text(request->file, value, "file takes a path of 1 to 3999 bytes");
	if (strcmp(key, "uri") == 0 && (has & HAS_URI))
		return take_text(request->uri, value, "uri takes a URI of 1 to 3999 bytes");
	if (strcmp(key, "dry_run") == 0 && (has & HAS_DRY_RUN))
		return take_bool(&request->dry_run, value, "dry_run takes true or false");
	if (strcmp(key, "for") == 0 && (has & HAS_FOR))
		return take_for(request, value);
	return "this request does not take one of its keys";
}

/* What it must have. A kill of everything is not what one gets by leaving something out. */
static const char *complete(const struct admin_request *request, unsigned int seen)
{
	if (request->verb == ADMIN_SESSION && !request->id)
		return "session needs the id of one";
	if (request->verb == ADMIN_LOG && !(seen & HAS_LEVEL))
		return "log needs a level: error, warning, info or debug";
	if ((request->verb == ADMIN_KILL || request->verb == ADMIN_REKEY ||
	     request->verb == ADMIN_TRACE) &&
	    !request->id == request->filter.any)
		return "this needs an id or a filter with at least one key, and not both";
	if ((request->verb == ADMIN_CRL_ADD || request->verb == ADMIN_CRL_DEL) && !request->file[0])
		return "this needs a file";
	if (request->verb == ADMIN_RECHECK && request->id && !request->filter.any)
		return "recheck takes an id or a filter, and not both";
	if (request->verb == ADMIN_TRACE && !filter_is_early(&request->filter))
		return "trace takes an id, or a filter of peer, listener or both";
	return NULL;
}

static const char *read_object(struct admin_request *request, struct json_object *object)
{
	struct json_object_iter it;
	unsigned int seen = 0;
	const char *wrong;

	if (!json_object_is_type(object, json_type_object))
		return "a request is one JSON object on one line";
	wrong = take_verb(request, object);
	if (wrong)
		return wrong;
	json_object_object_foreachC(object, it)
	{
		wrong = take(request, it.key, it.val, &seen);
		if (wrong)
			return wrong;
	}
	return complete(request, seen);
}

const char *admin_request_parse(struct admin_request *ret_request, const char *line, size_t len)
{
	struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	struct json_object *object;
	const char *wrong;

	*ret_request = (struct admin_request){ 0 };
	filter_parse(&ret_request->filter, NULL);
	if (!tokener)
		return "no memory";
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, line, (int)len);
	/* A number at the end of its text could go on, so only objects are ever complete. */
	if (!object || json_tokener_get_error(tokener) != json_tokener_success ||
	    json_tokener_get_parse_end(tokener) != len)
		wrong = "a request is one JSON object on one line";
	else
		wrong = read_object(ret_request, object);
	json_object_put(object);
	json_tokener_free(tokener);
	return wrong;
}
