/* SPDX-License-Identifier: MIT */
/* The decoder that every test of a program uses. Include after cmocka.h; once in a program. */
#ifndef CLOCKSCOPE_TESTS_DECODER_H
#define CLOCKSCOPE_TESTS_DECODER_H

#include "arch/arch.h"

static struct insn_decoder *decoder;

static inline int decoder_set_up(void **state)
{
	(void)state;
	assert_null(insn_decoder_create(arch_at(0), &decoder));
	return 0;
}

static inline int decoder_tear_down(void **state)
{
	(void)state;
	insn_decoder_destroy(decoder);
	return 0;
}

#endif
