// SPDX-License-Identifier: Apache-2.0
#include "handover/wire.h"

#include <string.h>
#include <sys/mman.h>

#include "core/secret.h"
#include "core/sys.h"

#define ATTR_HEAD_LEN 4

static void put_le(uint8_t *out, uint64_t value, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_le(const uint8_t *in, size_t len)
{
	uint64_t value = 0;

	while (len--)
		value = value << 8 | in[len];
	return value;
}

uint8_t *wire_buffer_new(void)
{
	uint8_t *buf = sys->mmap(NULL, WIRE_MAX, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (buf == MAP_FAILED)
		return NULL;
	if (sys->madvise(buf, WIRE_MAX, MADV_DONTDUMP) < 0 ||
	    sys->madvise(buf, WIRE_MAX, MADV_WIPEONFORK) < 0) {
		sys->munmap(buf, WIRE_MAX);
		return NULL;
	}
	sys->mlock(buf, WIRE_MAX);
	return buf;
}

uint8_t *wire_buffer_free(uint8_t *buf)
{
	if (!buf)
		return NULL;
	secret_wipe(buf, WIRE_MAX);
	sys->munmap(buf, WIRE_MAX);
	return NULL;
}

void wire_begin(struct wire *wire, uint8_t *buf, size_t size, uint8_t type, uint32_t id)
{
	*wire = (struct wire){ .buf = buf, .size = size, .len = WIRE_HEAD_LEN };
	wire->overflow = size < WIRE_HEAD_LEN;
	if (wire->overflow)
		return;
	buf[0] = WIRE_VERSION;
	buf[1] = type;
	buf[2] = buf[3] = 0;
	put_le(buf + 4, id, 4);
}

size_t wire_end(const struct wire *wire)
{
	return wire->overflow ? 0 : wire->len;
}

void *wire_room(struct wire *wire, uint16_t type, size_t len)
{
	uint8_t *at = wire->buf + wire->len;

	if (wire->overflow || len > UINT16_MAX || wire->size - wire->len < ATTR_HEAD_LEN + len) {
		wire->overflow = true;
		return NULL;
	}
	put_le(at, type, 2);
	put_le(at + 2, len, 2);
	wire->len += ATTR_HEAD_LEN + len;
	return at + ATTR_HEAD_LEN;
}

void wire_put(struct wire *wire, uint16_t type, const void *bytes, size_t len)
{
	void *at = wire_room(wire, type, len);

	if (at && len)
		memcpy(at, bytes, len);
}

void wire_put_u64(struct wire *wire, uint16_t type, uint64_t value)
{
	uint8_t bytes[8];

	put_le(bytes, value, sizeof(bytes));
	wire_put(wire, type, bytes, sizeof(bytes));
}

void wire_put_text(struct wire *wire, uint16_t type, const char *text)
{
	if (text && *text)
		wire_put(wire, type, text, strlen(text));
}

bool wire_open(struct wire_reader *reader, const uint8_t *buf, size_t len,
	       struct wire_head *ret_head)
{
	if (len < WIRE_HEAD_LEN || buf[0] != WIRE_VERSION || buf[2] || buf[3])
		return false;
	ret_head->version = buf[0];
	ret_head->type = buf[1];
	ret_head->id = (uint32_t)get_le(buf + 4, 4);
	reader->at = buf + WIRE_HEAD_LEN;
	reader->left = len - WIRE_HEAD_LEN;
	return true;
}

int wire_next(struct wire_reader *reader, struct attr *ret_attr)
{
	size_t len;

	if (reader->left == 0)
		return 0;
	if (reader->left < ATTR_HEAD_LEN)
		return -1;
	len = get_le(reader->at + 2, 2);
	if (reader->left - ATTR_HEAD_LEN < len)
		return -1;
	ret_attr->type = (uint16_t)get_le(reader->at, 2);
	ret_attr->len = (uint16_t)len;
	ret_attr->bytes = reader->at + ATTR_HEAD_LEN;
	reader->at += ATTR_HEAD_LEN + len;
	reader->left -= ATTR_HEAD_LEN + len;
	return 1;
}

bool attr_u64(const struct attr *attr, uint64_t *ret_value)
{
	if (attr->len < 1 || attr->len > 8)
		return false;
	*ret_value = get_le(attr->bytes, attr->len);
	return true;
}

bool attr_text(const struct attr *attr, char *out, size_t out_size)
{
	if (attr->len >= out_size || memchr(attr->bytes, '\0', attr->len))
		return false;
	memcpy(out, attr->bytes, attr->len);
	out[attr->len] = '\0';
	return true;
}
