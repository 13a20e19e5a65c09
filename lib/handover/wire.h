/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between processes: a head of eight bytes, then attributes of a type, a length and that
 * many bytes. Numbers are little endian. A message is one datagram of a SOCK_SEQPACKET socket, so its
 * length is known and a reader cannot get out of step. Unknown attributes are passed over; whoever
 * reads checks every length. docs/protocol.md lists them all.
 */
#ifndef SLUICE_HANDOVER_WIRE_H
#define SLUICE_HANDOVER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION 1
#define WIRE_MAX (64 * 1024) /* bytes of a message */
#define WIRE_HEAD_LEN 8

/*
 * wire_buffer_new() makes WIRE_MAX bytes for messages that may hold secrets: locked where the limit
 * allows, in no core dump, not inherited. wire_buffer_free() wipes and frees; NULL is fine. Returns NULL.
 */
uint8_t *wire_buffer_new(void);
uint8_t *wire_buffer_free(uint8_t *buf);

/* struct wire_head - what a message begins with. */
struct wire_head {
	uint8_t version;
	uint8_t type;
	uint32_t id; /* which request, session or connection; the message's own business */
};

/* struct wire - a message that is being written. An overflow is remembered and told at the end. */
struct wire {
	uint8_t *buf;
	size_t len, size;
	bool overflow;
};

/* wire_begin() starts a message in @buf. wire_end() returns its length, or 0: it had no room. */
void wire_begin(struct wire *wire, uint8_t *buf, size_t size, uint8_t type, uint32_t id);
size_t wire_end(const struct wire *wire);

void wire_put(struct wire *wire, uint16_t type, const void *bytes, size_t len);
void wire_put_u64(struct wire *wire, uint16_t type, uint64_t value);
void wire_put_text(struct wire *wire, uint16_t type, const char *text);

/* wire_room() appends an attribute of @len bytes and returns where they go, or NULL. */
void *wire_room(struct wire *wire, uint16_t type, size_t len);

/* struct attr - an attribute that was read; @bytes point into the message. */
struct attr {
	uint16_t type;
	uint16_t len;
	const uint8_t *bytes;
};

/* struct wire_reader - goes through a message. */
struct wire_reader {
	const uint8_t *at;
	size_t left;
};

/* wire_open() reads the head. Returns false for what is no message of this version. */
bool wire_open(struct wire_reader *reader, const uint8_t *buf, size_t len,
	       struct wire_head *ret_head);

/*
 * wire_next() reads the next attribute: 1, 0 at the end, or -1: the message is cut off. A caller that
 * gets -1 ends its channel.
 */
int wire_next(struct wire_reader *reader, struct attr *ret_attr);

/* attr_u64() reads a number of one to eight bytes; attr_text() copies a text without NULs in it. */
bool attr_u64(const struct attr *attr, uint64_t *ret_value);
bool attr_text(const struct attr *attr, char *out, size_t out_size);

#endif
