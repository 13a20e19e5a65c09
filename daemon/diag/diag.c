// SPDX-License-Identifier: Apache-2.0
#include "diag/diag.h"
