/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An option set on its way to another process of the same build: all but files, passwords and keys,
 * for which the reader gets certificates (DER) instead.
 */
#ifndef SLUICE_HANDOVER_OPTIONS_H
#define SLUICE_HANDOVER_OPTIONS_H

#include <sluice/options.h>

#include "handover/wire.h"

/* option_set_write() appends what is set in @opts. */
void option_set_write(const struct sluice_options *opts, struct wire *wire);

/*
 * option_set_read() sets what option_set_write() wrote; attributes that are not its own are passed over.
 * Errors: PROTOCOL, NOMEM.
 */
int option_set_read(struct sluice_options *opts, struct wire_reader reader);

#endif
