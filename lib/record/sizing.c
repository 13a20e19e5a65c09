/* SPDX-License-Identifier: Apache-2.0 */
#include "record/sizing.h"

#include "record/record.h"

/* Up to how many bytes a size lasts. */
#define SMALL_END (SIZING_STEP * SIZING_SEGMENT)
#define MIDDLE_END (SMALL_END + SIZING_STEP * SIZING_MIDDLE)

void sizing_start(struct sizing *sizing, uint16_t most, bool dynamic)
{
	*sizing = (struct sizing){ .most = most, .dynamic = dynamic };
}

static uint16_t at_most(const struct sizing *sizing, uint16_t size)
{
	return size < sizing->most ? size : sizing->most;
}

static void cut(size_t *len, size_t left)
{
	if (*len > left)
		*len = left;
}

uint16_t sizing_next(struct sizing *sizing, uint64_t now_us, size_t *len)
{
	if (!sizing->dynamic)
		return sizing->most;
	if (sizing->sent && now_us - sizing->last_us >= SIZING_IDLE_US)
		sizing->sent = 0;
	if (sizing->sent < SMALL_END) {
		cut(len, SMALL_END - sizing->sent);
		return at_most(sizing, SIZING_SEGMENT);
	}
	if (sizing->sent < MIDDLE_END) {
		cut(len, MIDDLE_END - sizing->sent);
		return at_most(sizing, SIZING_MIDDLE);
	}
	return at_most(sizing, RECORD_MAX_PLAIN);
}

void sizing_sent(struct sizing *sizing, size_t n, uint64_t now_us)
{
	if (!sizing->dynamic || !n)
		return;
	sizing->last_us = now_us;
	sizing->sent = n < MIDDLE_END - sizing->sent ? sizing->sent + (uint32_t)n : MIDDLE_END;
}
