/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP response by libhtp, which finds the body however it is framed. Called by exchange.c.
 * libhtp pairs responses with requests, so it is shown the request too.
 */
#include <htp/htp.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

struct http_client {
	htp_cfg_t *cfg;
	htp_connp_t *connp;
	FILE *body;
	int status;
	bool complete;
	bool write_failed;
	bool broken;
};

static int on_line(htp_tx_t *tx)
{
	struct http_client *client = htp_connp_get_user_data(tx->connp);

	client->status = tx->response_status_number;
	return HTP_OK;
}

static int on_body(htp_tx_data_t *data)
{
	struct http_client *client = htp_connp_get_user_data(data->tx->connp);

	if (data->data && fwrite(data->data, 1, data->len, client->body) != data->len)
		client->write_failed = true;
	return HTP_OK;
}

static int on_complete(htp_tx_t *tx)
{
	struct http_client *client = htp_connp_get_user_data(tx->connp);

	client->complete = true;
	return HTP_OK;
}

struct http_client *http_client_free(struct http_client *client)
{
	if (!client)
		return NULL;
	if (client->connp)
		htp_connp_destroy_all(client->connp);
	if (client->cfg)
		htp_config_destroy(client->cfg);
	free(client);
	return NULL;
}

struct http_client *http_client_new(const char *request_head, FILE *body)
{
	struct http_client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->body = body;
	client->cfg = htp_config_create();
	if (!client->cfg)
		return http_client_free(client);
	htp_config_set_response_decompression(client->cfg, 0);
	htp_config_set_log_level(client->cfg, HTP_LOG_NONE);
	htp_config_register_response_line(client->cfg, on_line);
	htp_config_register_response_body_data(client->cfg, on_body);
	htp_config_register_response_complete(client->cfg, on_complete);
	client->connp = htp_connp_create(client->cfg);
	if (!client->connp)
		return http_client_free(client);
	htp_connp_set_user_data(client->connp, client);
	htp_connp_open(client->connp, NULL, 0, NULL, 0, NULL);
	htp_connp_req_data(client->connp, NULL, request_head, strlen(request_head));
	return client;
}

static int result(const struct http_client *client)
{
	if (client->write_failed)
		return -SLUICE_E_IO;
	if (client->broken || client->status == HTP_STATUS_INVALID)
		return -SLUICE_E_PROTOCOL;
	return client->complete;
}

int http_client_feed(struct http_client *client, const void *data, size_t len)
{
	int r = htp_connp_res_data(client->connp, NULL, data, len);

	if (r == HTP_STREAM_ERROR || r == HTP_STREAM_STOP)
		client->broken = true;
	return result(client);
}

int http_client_end(struct http_client *client)
{
	if (!client->complete)
		htp_connp_close(client->connp, NULL);
	return result(client);
}

int http_client_status(const struct http_client *client)
{
	return client->status > 0 ? client->status : 0;
}
