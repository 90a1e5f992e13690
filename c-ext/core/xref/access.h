/* SPDX-License-Identifier: MIT */
/* What an instruction does to its memory operand: reads, writes, both, or only its address; and how many bytes.
 * Source: Intel SDM volume 2, the instructions' own pages. */
#ifndef CLOCKSCOPE_ACCESS_H
#define CLOCKSCOPE_ACCESS_H

#include "xref/shape.h"

/* Sets `access`, `width` and `indexes_bits` of a shape that has a memory operand. */
void access_classify(struct shape *shape);

#endif
