/* SPDX-License-Identifier: Apache-2.0 */
/* From BoringSSL's error queue to ours. */
#ifndef SLUICE_BSSL_REASON_H
#define SLUICE_BSSL_REASON_H

#include <sluice/error.h>

/*
 * reason_take() empties BoringSSL's error queue into @err, in the words of enum sluice_errno, and
 * returns the negative code. An alert that the hooks have noted in @err stays.
 */
int reason_take(struct sluice_error *err);

#endif
