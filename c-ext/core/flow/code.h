/* SPDX-License-Identifier: MIT */
/*
 * The first half of building a CFG: the instructions that can be reached from an entry, and for each of them
 * where control can go next. cfg.c makes blocks of them.
 */
#ifndef CLOCKSCOPE_CODE_H
#define CLOCKSCOPE_CODE_H

#include "flow/found_code.h"

struct cs_error *code_create(struct insn_decoder *decoder, const struct cfg_input *input, struct code **ret);
void code_destroy(struct code *code);

#endif
