// SPDX-License-Identifier: Apache-2.0
#include "broker/broker.h"

int admin_open(struct broker *broker, struct config_error *ret_err)
{
	return 0;
}

void admin_close(struct broker *broker)
{
}
