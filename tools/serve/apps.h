/* SPDX-License-Identifier: Apache-2.0 */
/* The applications of `sluice serve`. */
#ifndef TOOLS_SERVE_APPS_H
#define TOOLS_SERVE_APPS_H

#include "peer.h"

extern const struct app app_echo;
extern const struct app app_http;

#endif
