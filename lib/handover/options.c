// SPDX-License-Identifier: Apache-2.0
#include "handover/options.h"

#include <string.h>

#include "handover/messages.h"
#include "options/options.h"

/* Read where the files are, and by whom they may be read; and what only a program has. */
static bool stays(int id)
{
	switch (option_row(id)->type) {
	case SLUICE_TYPE_TABLE:
	case SLUICE_TYPE_CALL:
		return true;
	default:
		break;
	}
	switch (id) {
	case SLUICE_OPT_CERT:
	case SLUICE_OPT_CERTFILE:
	case SLUICE_OPT_KEY:
	case SLUICE_OPT_KEYFILE:
	case SLUICE_OPT_PASSWORD:
	case SLUICE_OPT_CACERTFILE:
	case SLUICE_OPT_CERTS_KEYS:
	case SLUICE_OPT_OCSP_FILE:
		return true;
	default:
		return false;
	}
}

static void write_ders(const struct option_value *value, struct wire *wire, int id)
{
	const CRYPTO_BUFFER *der;
	size_t i;

	for (i = 0; i < sk_CRYPTO_BUFFER_num(value->ders); i++) {
		der = sk_CRYPTO_BUFFER_value(value->ders, i);
		wire_put(wire, ATTR_OPTION + id, CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der));
	}
}

void option_set_write(const struct sluice_options *opts, struct wire *wire)
{
	const struct option_value *value;
	int id;

	for (id = 0; id < SLUICE_OPTIONS; id++) {
		value = &opts->values[id];
		if (!value->set || stays(id))
			continue;
		if (option_row(id)->type == SLUICE_TYPE_DATA)
			write_ders(value, wire, id);
		else if (value->bytes)
			wire_put(wire, ATTR_OPTION + id, value->bytes, value->len);
		else
			wire_put_u64(wire, ATTR_OPTION + id, (uint64_t)value->number);
	}
}

static int read_value(struct sluice_options *opts, int id, const struct attr *attr)
{
	enum sluice_option_type type = option_row(id)->type;
	struct option_value value = { .set = true };
	uint64_t number;

	switch (type) {
	case SLUICE_TYPE_DATA:
		return sluice_options_set_data(opts, id, attr->bytes, attr->len, NULL);
	case SLUICE_TYPE_STRING:
	case SLUICE_TYPE_LIST:
		value.bytes = option_bytes_new(type, attr->bytes, attr->len);
		value.len = attr->len;
		if (!value.bytes)
			return -SLUICE_E_NOMEM;
		break;
	case SLUICE_TYPE_SECRET:
	case SLUICE_TYPE_TABLE:
	case SLUICE_TYPE_CALL:
		return -SLUICE_E_PROTOCOL;
	default:
		if (!attr_u64(attr, &number))
			return -SLUICE_E_PROTOCOL;
		value.number = (int64_t)number;
	}
	option_replace(opts, id, &value);
	return 0;
}

int option_set_read(struct sluice_options *opts, struct wire_reader reader)
{
	struct attr attr;
	int r, id;

	while ((r = wire_next(&reader, &attr)) == 1) {
		id = attr.type - ATTR_OPTION;
		if (id < 0 || id >= SLUICE_OPTIONS || stays(id))
			continue;
		r = read_value(opts, id, &attr);
		if (r < 0)
			return r;
	}
	return r < 0 ? -SLUICE_E_PROTOCOL : 0;
}
