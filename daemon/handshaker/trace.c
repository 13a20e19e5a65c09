// SPDX-License-Identifier: Apache-2.0
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/sys.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/wire.h"
#include "handshaker/trace.h"

#define LIST_LEN 200 /* of the names in a list; the rest is left out */
#define MESSAGE_LEN 1024

/* struct event - a message on its way. */
struct event {
	uint8_t buf[MESSAGE_LEN];
	struct wire wire;
};

static void begin(struct event *event, uint64_t session, enum trace_event type)
{
	wire_begin(&event->wire, event->buf, sizeof(event->buf), MSG_TRACE, 0);
	wire_put_u64(&event->wire, ATTR_SESSION, session);
	wire_put_u64(&event->wire, ATTR_EVENT, type);
	wire_put_u64(&event->wire, ATTR_TIME_US, sys->now_us());
}

/* A broker that is behind misses it. */
static void send_event(struct event *event, int broker_fd)
{
	channel_send(broker_fd, event->buf, wire_end(&event->wire), NULL, 0);
}

static void put_alpn(struct wire *wire, const uint8_t *list, size_t len)
{
	char text[LIST_LEN + 2] = "";
	size_t i, out = 0;

	for (i = 0; i < len && i + 1 + list[i] <= len && out + 1 + list[i] < LIST_LEN;
	     i += 1u + list[i]) {
		if (out)
			text[out++] = ',';
		memcpy(text + out, list + i + 1, list[i]);
		out += list[i];
	}
	wire_put(wire, ATTR_ALPN, text, out);
}

/* Numbers that are none of TLS's are GREASE (RFC 8701), or of the future. */
static void put_versions(struct wire *wire, const struct sluice_hello *hello)
{
	static const char *const names[] = { "SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3" };
	char text[LIST_LEN] = "";
	size_t i, len = 0, n = hello->n_versions ? hello->n_versions : 1;
	uint16_t version;

	for (i = 0; i < n && len + 16 < sizeof(text); i++) {
		version = hello->n_versions ? hello->versions[i] : hello->legacy_version;
		if (version >= 0x0300 && version <= 0x0304)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
						i ? "," : "", names[version - 0x0300]);
		else
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s0x%04x",
						i ? "," : "", version);
	}
	wire_put_text(wire, ATTR_TEXT, text);
}

void trace_hello(int broker_fd, uint64_t session, const struct sluice_hello *hello)
{
	struct event event;

	begin(&event, session, TRACE_HELLO);
	wire_put_text(&event.wire, ATTR_SNI, hello->sni);
	put_alpn(&event.wire, hello->alpn, hello->alpn_len);
	put_versions(&event.wire, hello);
	send_event(&event, broker_fd);
}

void trace_host(int broker_fd, uint64_t session, const uint8_t *key_id, bool is_default)
{
	struct event event;

	begin(&event, session, TRACE_HOST);
	wire_put_u64(&event.wire, ATTR_NO_MATCH, is_default);
	if (key_id)
		wire_put(&event.wire, ATTR_KEY_ID, key_id, 32);
	send_event(&event, broker_fd);
}

void trace_sign(int broker_fd, uint64_t session, uint16_t algorithm)
{
	struct event event;

	begin(&event, session, TRACE_SIGN);
	wire_put_u64(&event.wire, ATTR_ALGORITHM, algorithm);
	send_event(&event, broker_fd);
}

void trace_signed(int broker_fd, uint64_t session, bool good)
{
	struct event event;

	begin(&event, session, TRACE_SIGNED);
	if (!good)
		wire_put_u64(&event.wire, ATTR_ERROR, SLUICE_E_HANDSHAKE);
	send_event(&event, broker_fd);
}
