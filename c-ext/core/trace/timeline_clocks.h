/* SPDX-License-Identifier: MIT */
/* What the events say of each clock. */
#ifndef CLOCKSCOPE_TIMELINE_CLOCKS_H
#define CLOCKSCOPE_TIMELINE_CLOCKS_H

#include "base/error.h"
#include "trace/timeline_parts.h"

/* Fills the clocks from the events; a stage of timeline_create(). CS_ERROR_FORMAT:
 * more clocks than a kernel can have. */
struct cs_error *timeline_find_clocks(struct timeline *timeline);

#endif
