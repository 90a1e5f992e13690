/* SPDX-License-Identifier: MIT */
/*
 * What becomes of text whose image is moved: the kernel adds the offset to each field that holds an address, and takes
 * it off those that count from the instruction to what does not move with it, the per-CPU variables.
 */
#ifndef CLOCKSCOPE_MOVED_H
#define CLOCKSCOPE_MOVED_H

#include "arch/insn.h"
#include "base/placement.h"

/* Makes text as the guest has it what it was before the image was moved, as far as it differs from the file's by that.
 */
void moved_back(const struct arch *arch, const struct placement *placement, const uint8_t *original, uint8_t *bytes,
		size_t size);

/* Whether the bytes that the guest has are the instruction, which was decoded where the file has it. */
bool moved_holds(const struct placement *placement, const struct insn *insn, const uint8_t *bytes);

/* The instruction as it runs. */
struct insn moved_insn(const struct placement *placement, const struct insn *insn, const uint8_t *bytes);

#endif
