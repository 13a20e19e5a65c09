/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRLs by HTTP for the built-in cache: its argument "http=MS hosts=LIST". For each list there is one
 * process sluice-fetch and one thread that asks it, both begun by the first certificate that needs
 * them. Handshakes only wait, and not longer than their budget; what comes later the next one finds.
 */
#ifndef SLUICE_FETCH_FETCH_H
#define SLUICE_FETCH_FETCH_H

#include <stdbool.h>

#include <sluice/crl.h>

#define FETCH_MAX_WAIT_MS 30000

/* fetch_args_check() checks the arguments. 0 or -SLUICE_E_OPTION, OPTION_RANGE. */
int fetch_args_check(const char *args, struct sluice_error *ret_err);

/* fetch_args_wait() tells whether look-ups with these arguments may wait. */
bool fetch_args_wait(const char *args);

/*
 * fetch_crl_wait() adds the CRLs of the http URIs of @point, and waits for them as long as the budget of
 * this thread has time. Returns 0, SLUICE_CRL_NOT_AVAILABLE or -SLUICE_E_*. Any thread.
 */
int fetch_crl_wait(const char *args, const struct sluice_dist_point *point,
		   struct sluice_crl_found *found);

/*
 * The budget is a path's, not a look-up's: fetch_budget_begin() says that another path is looked at by
 * this thread. fetch_may_wait() says how long what runs in it may wait, in milliseconds; negative: as long
 * as the argument says, which is so where nobody says otherwise. Returns what held before.
 */
void fetch_budget_begin(void);
int fetch_may_wait(int timeout_ms);

/* fetch_end() ends all threads and processes, and forgets what they fetched. For tests. */
void fetch_end(void);

#endif
