/* SPDX-License-Identifier: MIT */
#include "flow/code.h"

#include <string.h>

#include "base/util.h"
#include "base/vector.h"
#include "flow/jump_table.h"

/* The state of one walk over a function's code. */
struct walk {
	struct insn_decoder *decoder;
	const struct cfg_input *input;
	struct code *code;
	uint64_t *pending; /* addresses still to be visited */
	size_t pending_count, pending_room;
};

/* An instruction's targets stand together: what learns of more when others have followed takes its own along. */
static struct cs_error *move_to_end(struct code *code, struct code_insn *from)
{
	uint32_t first = code->target_count;

	if (from->targets + from->target_count == first)
		return NULL;
	for (uint32_t i = 0; i < from->target_count; i++) {
		CS_TRY(VECTOR_ROOM(code->targets, code->target_count + 1, code->target_room));
		code->targets[code->target_count++] = code->targets[from->targets + i];
	}
	from->targets = first;
	return NULL;
}

static struct cs_error *add_target(struct walk *walk, struct code_insn *from, uint64_t address, enum cfg_edge_kind kind)
{
	struct code *code = walk->code;

	for (uint32_t i = from->targets; i < from->targets + from->target_count; i++)
		if (code->targets[i].address == address)
			return NULL;
	CS_TRY(move_to_end(code, from));
	CS_TRY(VECTOR_ROOM(code->targets, code->target_count + 1, code->target_room));
	code->targets[code->target_count++] = (struct code_target){.address = address, .kind = kind};
	from->target_count++;
	CS_TRY(VECTOR_ROOM(walk->pending, walk->pending_count + 1, walk->pending_room));
	walk->pending[walk->pending_count++] = address;
	return NULL;
}

/* A transfer to an address: an edge where it stays in the function, an exit where it does not. */
static struct cs_error *go_to(struct walk *walk, struct code_insn *from, uint64_t address, enum cfg_edge_kind kind)
{
	const struct cfg_input *input = walk->input;

	if (code_part(input, address))
		return add_target(walk, from, address, kind);
	if (input->return_thunk && address == input->return_thunk)
		from->exits |= CFG_RETURNS;
	else if (kind == CFG_ALTERNATE && from->base.flags & CFG_FIXUP)
		from->exits |= CFG_UNKNOWN; /* out-of-line code without a name; Linux before 5.16 has such fixups */
	else
		from->exits |= CFG_TAIL_CALLS;
	return NULL;
}

/* The ways a replacement of an alternative can leave: its jumps, and its end. */
static struct cs_error *follow_replacement(struct walk *walk, struct code_insn *from, const struct site *site)
{
	const struct cfg_code *text = walk->input->replacements;
	uint64_t offset = text ? site->target - text->address : 0;
	uint64_t end = site->target + site->extent;
	struct insn insn = {.kind = INSN_NOP};

	if (!text || offset > text->size || site->extent > text->size - offset)
		return go_to(walk, from, site->address + site->length, CFG_ALTERNATE);
	for (uint64_t at = site->target; at < end; at = insn_next(&insn)) {
		if (!insn_decode(walk->decoder, text->bytes + (at - text->address), end - at, at, &insn))
			break;
		if ((insn.kind == INSN_BRANCH || insn.kind == INSN_JUMP) &&
		    (insn.target < site->target || insn.target > end))
			CS_TRY(go_to(walk, from, insn.target, CFG_ALTERNATE));
	}
	if (insn.kind == INSN_RETURN || (insn.kind == INSN_JUMP_INDIRECT))
		from->exits |= insn.kind == INSN_RETURN ? CFG_RETURNS : CFG_TAIL_CALLS;
	if (insn.kind == INSN_RETURN || insn.kind == INSN_JUMP_INDIRECT || insn.kind == INSN_JUMP)
		return NULL;
	return go_to(walk, from, site->address + site->length, CFG_ALTERNATE);
}

/* What the kernel's tables say of an instruction. */
static struct cs_error *apply_sites(struct walk *walk, struct code_insn *from)
{
	const struct insn *insn = &from->base.insn;
	const struct site *sites;
	size_t count;

	sites = sites_between(walk->input->sites, insn->address, insn_next(insn), &count);
	for (size_t i = 0; i < count; i++) {
		bool here = sites[i].address == insn->address;

		if (sites[i].length && sites[i].address + sites[i].length <= insn->address)
			continue;
		if (site_is_patched(sites[i].kind) || (here && sites[i].kind == SITE_FIXUP)) {
			from->base.flags |= site_is_patched(sites[i].kind) ? CFG_PATCHED : CFG_FIXUP;
			from->base.site = sites[i].kind;
		}
		if (!here)
			continue;
		if (sites[i].kind == SITE_STATIC_KEY) {
			from->falls = true;
			CS_TRY(go_to(walk, from, sites[i].target, CFG_ALTERNATE));
		} else if (sites[i].kind == SITE_FIXUP) {
			CS_TRY(go_to(walk, from, sites[i].target, CFG_ALTERNATE));
		} else if (sites[i].kind == SITE_ALTERNATIVE) {
			CS_TRY(follow_replacement(walk, from, &sites[i]));
		} else if (sites[i].kind == SITE_WARN) {
			from->falls = true;
		} else if (sites[i].kind == SITE_BUG) {
			from->perhaps = false;
		}
	}
	return NULL;
}

static struct cs_error *follow_call(struct walk *walk, struct code_insn *from)
{
	const struct cfg_input *input = walk->input;
	const struct insn *insn = &from->base.insn;
	bool never = false;

	if (insn->kind == INSN_CALL && insn->target && input->never_returns)
		CS_TRY(input->never_returns(input->context, insn->target, &never));
	/* The end of a part, with nothing after it: the callee cannot come back. */
	from->falls = !never && code_part(input, insn_next(insn));
	if (!from->falls)
		from->exits |= CFG_NEVER_RETURNS;
	/* A call into the function itself, but not of it, is a trick with the stack. */
	if (insn->kind == INSN_CALL && insn->target != walk->input->entry && code_part(walk->input, insn->target))
		return add_target(walk, from, insn->target, CFG_JUMP);
	return NULL;
}

/* Adds where an indirect jump can go, by the ways to it that are known so far. The exits hold once no more are found.
 */
static struct cs_error *follow_indirect_jump(struct walk *walk, const struct backward *backward, uint32_t jump)
{
	struct code_insn *from = &walk->code->insns[jump];
	uint64_t targets[TABLE_LIMIT];
	size_t count = 0;

	from->exits &= ~(unsigned)(CFG_TAIL_CALLS | CFG_UNKNOWN) | from->other_exits;
	switch (table_resolve(backward, jump, targets, &count)) {
	case TABLE_NONE: from->exits |= CFG_TAIL_CALLS; break;
	case TABLE_UNKNOWN: from->exits |= CFG_UNKNOWN; break;
	case TABLE_RESOLVED: break;
	}
	for (size_t i = 0; i < count; i++)
		CS_TRY(add_target(walk, from, targets[i], CFG_TABLE));
	return NULL;
}

/* All indirect jumps, once the rest is followed: what is found behind one may lead to another. */
static struct cs_error *follow_indirect_jumps(struct walk *walk)
{
	CLEANUP(backward_destroy) struct backward backward = {0};

	CS_TRY(backward_create(walk->decoder, walk->input, walk->code, &backward));
	for (uint32_t i = 0; i < walk->code->count; i++)
		if (walk->code->insns[i].base.insn.kind == INSN_JUMP_INDIRECT)
			CS_TRY(follow_indirect_jump(walk, &backward, i));
	return NULL;
}

static bool is_thunk(const struct cfg_input *input, uint64_t address)
{
	return address - input->indirect_thunks[0] < input->indirect_thunks[1] - input->indirect_thunks[0];
}

/* Where control goes after an instruction, as its bytes say. */
static struct cs_error *follow(struct walk *walk, struct code_insn *from)
{
	const struct insn *insn = &from->base.insn;

	switch (insn->kind) {
	case INSN_BRANCH: from->falls = true; return go_to(walk, from, insn->target, CFG_TAKEN);
	case INSN_JUMP:
		if (!is_thunk(walk->input, insn->target))
			return go_to(walk, from, insn->target, CFG_JUMP);
		from->exits |= CFG_TAIL_CALLS;
		return NULL;
	case INSN_JUMP_INDIRECT: return NULL; /* see follow_indirect_jumps() */
	case INSN_CALL:
	case INSN_CALL_INDIRECT: return follow_call(walk, from);
	case INSN_RETURN: from->exits |= CFG_RETURNS; return NULL;
	case INSN_TRAP:
		/* Linux has a table that tells BUG from WARN (see apply_sites()). */
		from->perhaps = insn->asserts && !walk->input->sites;
		from->exits |= CFG_NEVER_RETURNS;
		return NULL;
	case INSN_OTHER:
	case INSN_NOP:
	case INSN_HALT:
	case INSN_SELECT:
	case INSN_TRUTH:
	case INSN_CLOCK:
	case INSN_COUNTER:
	case INSN_PORT_READ:
	case INSN_PORT_WRITE:
	case INSN_SYSTEM_READ:
	case INSN_SYSTEM_WRITE:
	case INSN_IDENTIFY: from->falls = true; return NULL;
	}
	return NULL;
}

static struct cs_error *index_of(struct code *code, const struct cfg_input *input, uint64_t address, uint32_t **ret)
{
	const struct cfg_code *part = code_part(input, address);
	uint32_t **index = &code->index[part - input->code];

	if (!*index)
		*index = calloc(part->size, sizeof(**index));
	if (!*index)
		return &cs_error_no_memory;
	*ret = *index + (address - part->address);
	return NULL;
}

/* Decodes the instruction at an address and finds out where it leads. `*falls_ret`: whether the next one is to be
 * visited. */
static struct cs_error *visit(struct walk *walk, uint64_t address, bool *falls_ret)
{
	const struct cfg_code *part = code_part(walk->input, address);
	uint64_t offset = address - part->address;
	struct code *code = walk->code;
	struct code_insn *insn;
	uint32_t *slot;

	*falls_ret = false;
	CS_TRY(index_of(code, walk->input, address, &slot));
	if (*slot)
		return NULL;
	if (code->count >= CFG_MAX_INSNS)
		return cs_error_create(CS_ERROR_REFUSED, "the function at 0x%llx is too large to analyse",
				       (unsigned long long)walk->input->entry);
	CS_TRY(VECTOR_ROOM(code->insns, code->count + 1, code->room));
	insn = &code->insns[code->count];
	*insn = (struct code_insn){.targets = code->target_count};
	if (!insn_decode(walk->decoder, part->bytes + offset, part->size - offset, address, &insn->base.insn))
		return NULL;
	*slot = ++code->count;
	CS_TRY(follow(walk, insn));
	CS_TRY(apply_sites(walk, insn));
	insn->other_exits = insn->exits;
	if (insn->falls && insn->base.insn.kind == INSN_TRAP)
		insn->exits &= ~(unsigned)CFG_NEVER_RETURNS;
	*falls_ret = insn->falls && code_part(walk->input, insn_next(&insn->base.insn));
	return NULL;
}

static struct cs_error *follow_run(struct walk *walk, uint64_t address)
{
	bool falls = true;

	while (falls) {
		CS_TRY(visit(walk, address, &falls));
		if (falls)
			address = insn_next(&walk->code->insns[walk->code->count - 1].base.insn);
	}
	return NULL;
}

static struct cs_error *walk_all(struct walk *walk)
{
	CS_TRY(follow_run(walk, walk->input->entry));
	do {
		while (walk->pending_count)
			CS_TRY(follow_run(walk, walk->pending[--walk->pending_count]));
		CS_TRY(follow_indirect_jumps(walk));
	} while (walk->pending_count);
	return NULL;
}

struct cs_error *code_create(struct insn_decoder *decoder, const struct cfg_input *input, struct code **ret)
{
	struct code *code = calloc(1, sizeof(*code));
	struct walk walk = {.decoder = decoder, .input = input, .code = code};
	struct cs_error *error;

	if (!code)
		return &cs_error_no_memory;
	code->part_count = input->code_count;
	code->index = calloc(input->code_count + 1, sizeof(*code->index));
	error = code->index ? walk_all(&walk) : &cs_error_no_memory;
	free(walk.pending);
	if (error) {
		code_destroy(code);
		return error;
	}
	*ret = code;
	return NULL;
}

void code_destroy(struct code *code)
{
	if (!code)
		return;
	for (size_t i = 0; code->index && i < code->part_count; i++)
		free(code->index[i]);
	free(code->index);
	free(code->insns);
	free(code->targets);
	free(code);
}
