/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meaning of a request head, by libhtp: fields, host, target, framing. Called by http.c for
 * heads that head.c has passed. What libhtp flags as ambiguous is refused; so is every
 * Content-Length that is not plain digits, because libhtp reads "-5" as 5.
 */
#include "request.h"

#include <htp/htp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REFUSED_FLAGS                                                                       \
	(HTP_FIELD_UNPARSEABLE | HTP_FIELD_INVALID | HTP_FIELD_FOLDED | HTP_FIELD_RAW_NUL | \
	 HTP_REQUEST_SMUGGLING | HTP_INVALID_FOLDING | HTP_REQUEST_INVALID_T_E |            \
	 HTP_HOST_MISSING | HTP_HOST_AMBIGUOUS | HTP_HOST_INVALID | HTP_PATH_ENCODED_NUL |  \
	 HTP_PATH_RAW_NUL | HTP_PATH_INVALID_ENCODING | HTP_PATH_INVALID |                  \
	 HTP_PATH_ENCODED_SEPARATOR | HTP_REQUEST_INVALID | HTP_REQUEST_INVALID_C_L)

struct http_parser {
	htp_cfg_t *cfg;
	uint64_t upload_max;
};

/* What one run of the parser fills. */
struct result {
	struct request *request;
	uint64_t upload_max;
	bool http11;
	int status; /* 0: understood; -1: the head never ended */
};

/* Copies a field's value. Returns false when there is none, or it does not fit. */
static bool field(const htp_tx_t *tx, const char *name, char *buf, size_t buf_len)
{
	const htp_header_t *header = htp_table_get_c(tx->request_headers, name);
	size_t len;

	if (!header)
		return false;
	len = bstr_len(header->value);
	if (len >= buf_len)
		return false;
	memcpy(buf, bstr_ptr(header->value), len);
	buf[len] = '\0';
	return true;
}

static const htp_header_t *find(const htp_tx_t *tx, const char *name)
{
	return htp_table_get_c(tx->request_headers, name);
}

/* Of these, two that differ would mean two requests. */
static bool is_repeated(const htp_tx_t *tx)
{
	static const char *const names[] = { "host", "content-length", "transfer-encoding", "range",
					     "if-modified-since" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const htp_header_t *header = find(tx, names[i]);

		if (header && (header->flags & HTP_FIELD_REPEATED))
			return true;
	}
	return false;
}

/* Returns 0 and the length of the body, or a status. */
static int body_length(const htp_tx_t *tx, uint64_t most, uint64_t *ret_len)
{
	char text[20];
	size_t digits;

	*ret_len = 0;
	if (find(tx, "transfer-encoding"))
		return 411; /* no request this server answers has a body worth unchunking */
	if (!find(tx, "content-length"))
		return 0;
	if (!field(tx, "content-length", text, sizeof(text)))
		return 413;
	digits = strspn(text, "0123456789");
	if (digits == 0 || text[digits])
		return 400;
	*ret_len = strtoull(text, NULL, 10);
	return *ret_len > most ? 413 : 0;
}

static bool has_token(const char *list, const char *token)
{
	size_t len = strlen(token);

	while (*list) {
		size_t n;

		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == len && strncasecmp(list, token, len) == 0)
			return true;
		list += n;
	}
	return false;
}

static bool keeps_alive(const htp_tx_t *tx, bool http11)
{
	char text[256];

	if (!find(tx, "connection"))
		return http11;
	/* Options too long to be looked at may hold "close". */
	if (!field(tx, "connection", text, sizeof(text)) || has_token(text, "close"))
		return false;
	return http11 || has_token(text, "keep-alive");
}

static int take_path(const htp_tx_t *tx, struct request *request)
{
	const bstr *path = tx->parsed_uri ? tx->parsed_uri->path : NULL;
	size_t len;

	if (!path)
		return request->method == METHOD_OTHER ? 0 : 400;
	len = bstr_len(path);
	if (len >= sizeof(request->path))
		return 414;
	memcpy(request->path, bstr_ptr(path), len);
	request->path[len] = '\0';
	if (request->method == METHOD_OTHER)
		return 0;
	return request->path[0] == '/' && strlen(request->path) == len ? 0 : 400;
}

static void take_conditions(const htp_tx_t *tx, bool http11, struct request *request)
{
	char date[64], expect[16];

	/* From HTTP/1.0 it is ignored: who sent it does not know interim responses (RFC 9110, section 10.1.1). */
	request->expects_continue = http11 && field(tx, "expect", expect, sizeof(expect)) &&
				    strcasecmp(expect, "100-continue") == 0;
	request->has_range = !find(tx, "if-range") &&
			     field(tx, "range", request->range, sizeof(request->range));
	request->has_if_modified_since = field(tx, "if-modified-since", date, sizeof(date)) &&
					 http_date_parse(date, &request->if_modified_since);
}

static enum request_method method_of(const htp_tx_t *tx, uint64_t upload_max)
{
	switch (tx->request_method_number) {
	case HTP_M_GET:
		return METHOD_GET;
	case HTP_M_HEAD:
		return METHOD_HEAD;
	case HTP_M_POST:
	case HTP_M_PUT:
		return upload_max ? METHOD_UPLOAD : METHOD_OTHER;
	default:
		return METHOD_OTHER;
	}
}

static int understand(const htp_tx_t *tx, const struct result *result, struct request *request)
{
	uint64_t most = REQUEST_BODY_MAX;
	int status;

	if ((tx->flags & REFUSED_FLAGS) || is_repeated(tx))
		return 400;
	request->method = method_of(tx, result->upload_max);
	request->keep_alive = keeps_alive(tx, result->http11);
	if (request->method == METHOD_UPLOAD)
		most = result->upload_max;
	status = body_length(tx, most, &request->body_len);
	if (status)
		return status;
	status = take_path(tx, request);
	if (status)
		return status;
	take_conditions(tx, result->http11, request);
	return 0;
}

static int on_headers(htp_tx_t *tx)
{
	struct result *result = htp_connp_get_user_data(tx->connp);

	if (result->status == -1)
		result->status = understand(tx, result, result->request);
	return HTP_OK;
}

struct http_parser *http_parser_new(uint64_t upload_max)
{
	struct http_parser *parser = calloc(1, sizeof(*parser));
	htp_cfg_t *cfg;

	if (!parser)
		return NULL;
	cfg = htp_config_create();
	if (!cfg) {
		free(parser);
		return NULL;
	}
	/* What file names mean is the file system's business: no case folding, no backslashes. */
	htp_config_set_server_personality(cfg, HTP_SERVER_MINIMAL);
	htp_config_set_path_separators_compress(cfg, HTP_DECODER_URL_PATH, 1);
	htp_config_set_parse_request_cookies(cfg, 0);
	htp_config_set_parse_request_auth(cfg, 0);
	htp_config_set_log_level(cfg, HTP_LOG_NONE);
	htp_config_register_request_headers(cfg, on_headers);
	parser->cfg = cfg;
	parser->upload_max = upload_max;
	return parser;
}

struct http_parser *http_parser_free(struct http_parser *parser)
{
	if (!parser)
		return NULL;
	htp_config_destroy(parser->cfg);
	free(parser);
	return NULL;
}

int request_parse(struct http_parser *parser, const uint8_t *head, size_t head_len, bool http11,
		  struct request *ret_request)
{
	struct result result = {
		.request = ret_request,
		.upload_max = parser->upload_max,
		.http11 = http11,
		.status = -1,
	};
	htp_connp_t *connp;

	/* One parser per request: libhtp would keep every transaction of a connection. */
	connp = htp_connp_create(parser->cfg);
	if (!connp)
		return 503;
	htp_connp_set_user_data(connp, &result);
	htp_connp_open(connp, NULL, 0, NULL, 0, NULL);
	htp_connp_req_data(connp, NULL, head, head_len);
	htp_connp_destroy_all(connp);
	return result.status == -1 ? 400 : result.status;
}
