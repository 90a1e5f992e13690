/* SPDX-License-Identifier: MIT */
/* From bytes to a shape. */
#ifndef CLOCKSCOPE_XREF_SHAPE_DECODE_H
#define CLOCKSCOPE_XREF_SHAPE_DECODE_H

#include "xref/shape.h"

/* Decodes the instruction at the start of `bytes`. False where there is none: an invalid opcode, or `size`
 * ends it. */
bool shape_decode(const uint8_t *bytes, size_t size, struct shape *ret);

#endif
