/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An option set on its way to another process of the same build: all but files, passwords and keys,
 * for which the reader gets certificates (DER) instead.
 */
#ifndef SLUICE_HANDOVER_OPTIONS_H
#define SLUICE_HANDOVER_OPTIONS_H

#include <sluice/options.h>

#include "handover/wire.h"

/* options_write() appends what is set in @opts. */
void options_write(const struct sluice_options *opts, struct wire *wire);

/*
 * options_read() sets what options_write() wrote; attributes that are not its own are passed over.
 * Errors: PROTOCOL, NOMEM.
 */
int options_read(struct sluice_options *opts, struct wire_reader reader);

#endif
