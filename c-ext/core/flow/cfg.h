/* SPDX-License-Identifier: MIT */
/*
 * The control-flow graph of one function: basic blocks, edges, dominators, loops.
 *
 * Code is followed from the entry, so only what can be reached is there. A call does not end a block
 * unless it never returns. A place that the kernel patches, or where an exception is fixed up, has an edge
 * for each way control may go, whatever stands in memory at the moment.
 */
#ifndef CLOCKSCOPE_CFG_H
#define CLOCKSCOPE_CFG_H

#include "flow/graph.h"

/* As traces and reports name it: "next", "taken", "jump", "table", "alternate". */
const char *cfg_edge_name(enum cfg_edge_kind kind);

/* Builds the graph. CS_ERROR_FORMAT where the entry is in no part, CS_ERROR_REFUSED where the function is
 * too large (CFG_MAX_INSNS). */
struct cs_error *cfg_create(struct insn_decoder *decoder, const struct cfg_input *input, struct cfg **ret);
void cfg_destroy(struct cfg *cfg);

/* The block that holds an address, or CFG_NONE. */
uint32_t cfg_block_at(const struct cfg *cfg, uint64_t address);

/* Index of the instruction that starts at an address, or CFG_NONE. */
uint32_t cfg_insn_at(const struct cfg *cfg, uint64_t address);

/* A block's last instruction. */
const struct cfg_insn *cfg_last(const struct cfg *cfg, uint32_t block);

/* Whether a block ends in a conditional jump that is not patched; the blocks it leads to. */
bool cfg_decides(const struct cfg *cfg, uint32_t block, uint32_t *taken_ret, uint32_t *not_taken_ret);

/* Index of the instruction whose flags a block's last one finds: the last before it in the block that writes them;
 * CFG_NONE where none does. */
uint32_t cfg_comparison(const struct cfg *cfg, uint32_t block);

#endif
