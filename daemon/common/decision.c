// SPDX-License-Identifier: Apache-2.0
#include "common/decision.h"

#include <string.h>

#include <json-c/json.h>
#include <openssl/sha.h>

#define MAX_DEPTH 4

/* A text that logs, counts and workers can show: no control characters, no NUL within it. */
static const char *take_text(char out[DECISION_TEXT], struct json_object *value)
{
	size_t i, len = (size_t)json_object_get_string_len(value);
	const char *text = json_object_get_string(value);

	if (!json_object_is_type(value, json_type_string))
		return "reason, identity and attributes are texts";
	if (len >= DECISION_TEXT)
		return "reason, identity and attributes have at most 255 bytes";
	for (i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return "reason, identity and attributes have no control characters";
	memcpy(out, text, len);
	out[len] = '\0';
	return NULL;
}

/* With its length: a text in JSON may have a NUL in it. */
static bool is_word(struct json_object *value, const char *word)
{
	return json_object_is_type(value, json_type_string) &&
	       (size_t)json_object_get_string_len(value) == strlen(word) &&
	       strcmp(json_object_get_string(value), word) == 0;
}

static const char *take_answer(struct decision *decision, struct json_object *value)
{
	decision->accepted = is_word(value, "accept");
	return decision->accepted || is_word(value, "refuse") ? NULL : "answer is accept or refuse";
}

static const char *take_question(struct decision *decision, struct json_object *value)
{
	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) <= 0)
		return "question is the number of one";
	decision->question = (uint64_t)json_object_get_int64(value);
	return NULL;
}

static const char *take(struct decision *decision, const char *key, struct json_object *value,
			bool *answered)
{
	if (strcmp(key, "question") == 0)
		return take_question(decision, value);
	if (strcmp(key, "answer") == 0) {
		*answered = true;
		return take_answer(decision, value);
	}
	if (strcmp(key, "reason") == 0)
		return take_text(decision->reason, value);
	if (strcmp(key, "identity") == 0)
		return take_text(decision->identity, value);
	if (strcmp(key, "attributes") == 0)
		return take_text(decision->attributes, value);
	return "it has a key that no answer has";
}

static const char *read_object(struct decision *decision, struct json_object *object)
{
	struct json_object_iter it;
	bool answered = false;
	const char *wrong;

	if (!json_object_is_type(object, json_type_object))
		return "an answer is one JSON object on one line";
	json_object_object_foreachC(object, it)
	{
		wrong = take(decision, it.key, it.val, &answered);
		if (wrong)
			return wrong;
	}
	return answered && decision->question ? NULL : "an answer has question and answer";
}

const char *decision_parse(struct decision *ret, const char *line, size_t len)
{
	struct json_tokener *tokener;
	struct decision decision = { 0 };
	struct json_object *object;
	const char *wrong;

	if (len > DECISION_MAX_ANSWER)
		return "its line is too long";
	tokener = json_tokener_new_ex(MAX_DEPTH);
	if (!tokener)
		return "no memory";
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, line, (int)len);
	if (!object || json_tokener_get_error(tokener) != json_tokener_success ||
	    json_tokener_get_parse_end(tokener) != len)
		wrong = "an answer is one JSON object on one line";
	else
		wrong = read_object(&decision, object);
	json_object_put(object);
	json_tokener_free(tokener);
	if (!wrong)
		*ret = decision;
	return wrong;
}

/* What JSON has outside of strings: no comment, and no other kind of string, in which a brace is none. */
static bool is_plain(uint8_t c)
{
	return c && strchr("{}[]:,0123456789+-.Etrufalsen", c);
}

bool decision_is_object(const uint8_t *text, size_t len)
{
	bool in_string = false, escaped = false;
	size_t i, depth = 0;

	if (!len || text[0] != '{')
		return false;
	for (i = 0; i < len; i++) {
		if (text[i] < ' ' || (!in_string && text[i] != '"' && !is_plain(text[i])))
			return false;
		if (text[i] == '"' && !escaped)
			in_string = !in_string;
		else if (!in_string && text[i] == '{')
			depth++;
		else if (!in_string && text[i] == '}' && !--depth)
			return i + 1 == len;
		escaped = in_string && !escaped && text[i] == '\\';
	}
	return false;
}

uint64_t decision_service_id(const char *path, unsigned int timeout_ms, unsigned int questions)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	uint64_t id;
	SHA256_CTX sha;

	SHA256_Init(&sha);
	SHA256_Update(&sha, path, strlen(path) + 1);
	SHA256_Update(&sha, &timeout_ms, sizeof(timeout_ms));
	SHA256_Update(&sha, &questions, sizeof(questions));
	SHA256_Final(digest, &sha);
	memcpy(&id, digest, sizeof(id));
	return id;
}
