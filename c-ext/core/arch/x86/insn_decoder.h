/* SPDX-License-Identifier: MIT */
/* The decoder's inside, shared by insn.c and operands.c alone. */
#ifndef CLOCKSCOPE_INSN_DECODER_H
#define CLOCKSCOPE_INSN_DECODER_H

#include <capstone/capstone.h>

struct insn_decoder {
	csh handle;       /* x86-64, AT&T syntax, with details */
	cs_insn *scratch; /* the instruction decoded last */
};

#endif
