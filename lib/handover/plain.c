// SPDX-License-Identifier: Apache-2.0
#include "handover/plain.h"

#include "handover/address.h"
#include "handover/messages.h"

bool plain_is(struct wire_reader reader)
{
	uint64_t version = UINT64_MAX;
	struct attr attr;

	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_VERSION && !attr_u64(&attr, &version))
			return false;
	return version == 0;
}

static bool read_attr(struct sluice_plain *plain, const struct attr *attr)
{
	switch (attr->type) {
	case ATTR_SESSION:
		return attr_u64(attr, &plain->session);
	case ATTR_LISTENER:
		return attr_text(attr, plain->listener, sizeof(plain->listener));
	case ATTR_LOCAL:
		return attr_address(&plain->local, attr);
	case ATTR_PEER:
		return attr_address(&plain->peer, attr);
	default:
		return true;
	}
}

int plain_read(struct sluice_plain *ret_plain, struct wire_reader reader, int fd)
{
	struct sluice_plain plain = { .fd = fd };
	struct attr attr;
	int r;

	while ((r = wire_next(&reader, &attr)) == 1)
		if (!read_attr(&plain, &attr))
			return -SLUICE_E_PROTOCOL;
	if (r < 0 || !plain.session)
		return -SLUICE_E_PROTOCOL;
	*ret_plain = plain;
	return 0;
}
