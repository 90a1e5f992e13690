/* SPDX-License-Identifier: MIT */
/* Random functions as machine code, and walks through their graphs as a recorder would see them. */
#ifndef CLOCKSCOPE_TESTS_RANDOM_CODE_H
#define CLOCKSCOPE_TESTS_RANDOM_CODE_H

#include <string.h>

#include "flow/reconstruct.h"
#include "support/decoder.h"

#define CODE_BASE 0xffffffff81000000u
#define CODE_SLOT 24u /* bytes a block */
#define CODE_BLOCKS 24u

struct random_code {
	uint8_t bytes[CODE_BLOCKS * CODE_SLOT];
	uint32_t blocks;
};

static inline uint32_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (uint32_t)(*seed >> 32);
}

/* Jumps end with their slot, so the offset counts from the start of the next one. */
static inline void put_jump(uint8_t *end, uint32_t from_slot, uint32_t to_slot)
{
	int32_t offset = ((int32_t)to_slot - (int32_t)from_slot - 1) * (int32_t)CODE_SLOT;

	memcpy(end - 4, &offset, 4);
}

/* One block: some fillers, one of which may read the clock, and a way out. */
static inline void random_block(struct random_code *code, uint32_t slot, uint64_t *seed, uint32_t clocks)
{
	uint8_t *at = code->bytes + (size_t)slot * CODE_SLOT;
	uint8_t *end = at + CODE_SLOT;
	uint32_t kind = next_random(seed) % 10;
	bool last = slot + 1 == code->blocks;

	memset(at, 0x90, CODE_SLOT);
	for (size_t i = 0; i < 4; i++) {
		uint32_t filler = next_random(seed) % 3;

		/* add %eax,%ebx must be stepped; push would unbalance the stack */
		memcpy(at + 2 * i, filler == 0 ? "\x01\xc3" : filler == 1 ? "\x89\xc3" : "\x66\x90", 2);
	}
	if (next_random(seed) % 100 < clocks)
		memcpy(at + 4, "\x0f\x31", 2); /* rdtsc */
	if (last || kind == 0) {
		end[-1] = 0xc3;
	} else if (kind < 7) {
		memcpy(end - 6, "\x0f\x85", 2);
		put_jump(end, slot, next_random(seed) % code->blocks);
	} else if (kind == 7) {
		end[-5] = 0xe9;
		put_jump(end, slot, next_random(seed) % code->blocks);
	} /* else it runs into the next block */
}

static inline void random_function(struct random_code *code, uint32_t blocks, uint64_t *seed, uint32_t clocks)
{
	code->blocks = blocks;
	for (uint32_t i = 0; i < blocks; i++)
		random_block(code, i, seed, clocks);
}

static inline struct cs_error *random_cfg(const struct random_code *code, struct cfg **ret)
{
	struct cfg_code part = {.address = CODE_BASE, .bytes = code->bytes, .size = (size_t)code->blocks * CODE_SLOT};
	struct cfg_input input = {.entry = CODE_BASE, .code = &part, .code_count = 1};

	return cfg_create(decoder, &input, ret);
}

#define WALK_BLOCKS 64u

/* A walk from the entry, and the events that it raises. */
struct walk {
	uint32_t blocks[WALK_BLOCKS];
	uint32_t count;
	struct path_event events[2 * WALK_BLOCKS + 2];
	uint32_t event_count;
	bool finished;
};

static inline void walk_hit(struct walk *walk, const struct plan_probe *probe, bool taken)
{
	walk->events[walk->event_count++] = (struct path_event){
		.address = {probe->address}, .kind = PATH_HIT, .taken = taken && probe->roles & PLAN_BRANCH};
}

/* Goes through one block, leaving it by its successor number `way` (next_count: by leaving the function). */
static inline void walk_block(const struct cfg *cfg, const struct plan *plan, struct walk *walk, uint32_t block,
			      uint32_t way)
{
	const struct cfg_block *it = &cfg->blocks[block];
	bool taken = way < it->next_count && cfg->edges[it->next + way].kind == CFG_TAKEN;
	bool seen = false;

	walk->blocks[walk->count++] = block;
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct plan_probe *probe = &plan->probes[i];

		if (probe->block != block || (probe->roles == PLAN_ENTRY && walk->count > 1))
			continue;
		walk_hit(walk, probe, taken);
		seen |= probe->roles & (PLAN_RETURN | PLAN_TAIL);
	}
	if (way < it->next_count)
		return;
	walk->finished = true;
	if (!seen)
		walk->events[walk->event_count++] = (struct path_event){.kind = PATH_RETURN};
}

/* The number of ways out of a block. */
static inline uint32_t walk_ways(const struct cfg *cfg, uint32_t block)
{
	return cfg->blocks[block].next_count + (cfg->blocks[block].exits ? 1 : 0);
}

#endif
