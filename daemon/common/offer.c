// SPDX-License-Identifier: Apache-2.0
#include "common/offer.h"

#include "handover/channel.h"
#include "handover/messages.h"

#define REFUSAL_LEN 512
#define MAX_CREDITS 100000 /* of a worker */

void offer_refuse(int fd, const char *text)
{
	uint8_t buf[REFUSAL_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_REFUSED, 0);
	wire_put_text(&wire, ATTR_TEXT, text);
	channel_send(fd, buf, wire_end(&wire), NULL, 0);
	channel_end(fd);
}

bool offer_take_credit(struct wire_reader *reader, unsigned int *credits)
{
	struct attr attr;
	uint64_t count = 0;

	while (wire_next(reader, &attr) == 1)
		if (attr.type == ATTR_COUNT && !attr_u64(&attr, &count))
			return false;
	if (!count || count > MAX_CREDITS - *credits)
		return false;
	*credits += (unsigned int)count;
	return true;
}
