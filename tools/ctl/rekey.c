// SPDX-License-Identifier: Apache-2.0
/* `sluicectl rekey`: new keys, and what became of each session that was meant. */
#include "ctl.h"

static const struct column rekey_columns[] = {
	{ "id", "ID", COLUMN_NUMBER },
	{ "result", "RESULT", COLUMN_STATE },
	{ "tx_epoch", "SENDING EPOCH", COLUMN_NUMBER },
	{ "rx_epoch", "RECEIVING EPOCH", COLUMN_NUMBER },
	{ "why", "WHY" },
	{ NULL },
};

static enum ctl_status run_rekey(const struct ctl_command *command, const struct settings *settings,
				 int argc, char **argv)
{
	struct json_object *request = ctl_request(command->name);

	if (!ctl_mean(request, argc, argv)) {
		json_object_put(request);
		return CTL_USAGE;
	}
	json_object_object_add(request, "both", json_object_new_boolean(settings->both));
	return ctl_rows(settings, command->columns, request);
}

const struct ctl_command ctl_rekey = {
	"rekey",
	"ID | KEY=VALUE...",
	"give a session new keys, or all that the filters fit",
	"The filters are those of `sessions`. The session's worker sends a KeyUpdate (RFC 8446, 4.6.3);\n"
	"with --both the peer is asked for one too, and answers in its own time. RESULT: done; waits:\n"
	"the peer does not read, the KeyUpdate goes out behind what waits; refused: TLS 1.2, a kernel\n"
	"that cannot, or no worker has it; timeout: the worker did not answer within 3 seconds; failed.\n"
	"Status 0: all are done; 1: some are not, or no session fits.",
	1,
	8,
	rekey_columns,
	false,
	run_rekey,
	CTL_OPTION_BOTH,
};
