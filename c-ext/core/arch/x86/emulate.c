/* SPDX-License-Identifier: MIT */
#include "arch/x86/x86_internal.h"

#include <string.h>

/* Beside branches, jumps and nops: the forms a probe is likely to meet. */
enum form {
	FORM_NONE,
	FORM_PUSH,  /* 50+r */
	FORM_RET,   /* C3 */
	FORM_COPY,  /* 89 /r, 8B /r, both operands registers */
	FORM_SET,   /* B8+r imm, C7 /0 imm into a register */
	FORM_CLEAR, /* 31 /r, 33 /r with the same register twice */
};

struct decoded {
	enum form form;
	bool wide;     /* 64-bit operands; else 32-bit ones, which clear the upper half */
	unsigned from; /* register */
	unsigned to;
	uint64_t value;
};

static uint64_t immediate(const uint8_t *bytes, size_t size)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

static void decode_modrm(uint8_t opcode, uint8_t modrm, unsigned extend_reg, unsigned extend_rm, struct decoded *ret)
{
	unsigned reg = ((modrm >> 3) & 7) | extend_reg;
	unsigned rm = (modrm & 7) | extend_rm;
	bool to_reg = opcode == 0x8b || opcode == 0x33;

	if ((modrm & 0xc0) != 0xc0)
		return;
	ret->to = to_reg ? reg : rm;
	ret->from = to_reg ? rm : reg;
	if (opcode == 0x89 || opcode == 0x8b)
		ret->form = FORM_COPY;
	else if (reg == rm)
		ret->form = FORM_CLEAR;
}

/* Instructions with any prefix but REX are left alone. */
static struct decoded decode(const struct insn *insn)
{
	struct decoded result = {.form = FORM_NONE};
	size_t at = (insn->bytes[0] & 0xf0) == 0x40;
	uint8_t rex = at ? insn->bytes[0] : 0;
	uint8_t opcode = insn->bytes[at];
	size_t left = insn->length - at; /* opcode included */
	unsigned extend_rm = rex & 1 ? 8 : 0;
	const uint8_t *rest = insn->bytes + at + 1;

	result.wide = rex & 8;
	if (opcode == 0xc3 && left == 1 && !at) {
		result.form = FORM_RET;
	} else if ((opcode & 0xf8) == 0x50 && left == 1) {
		result.form = FORM_PUSH;
		result.from = (opcode & 7) | extend_rm;
	} else if ((opcode == 0x89 || opcode == 0x8b || opcode == 0x31 || opcode == 0x33) && left == 2) {
		decode_modrm(opcode, rest[0], rex & 4 ? 8 : 0, extend_rm, &result);
	} else if ((opcode & 0xf8) == 0xb8 && left == (result.wide ? 9u : 5u)) {
		result.form = FORM_SET;
		result.to = (opcode & 7) | extend_rm;
		result.value = immediate(rest, left - 1);
	} else if (opcode == 0xc7 && (rest[0] & 0xf8) == 0xc0 && left == 6) {
		result.form = FORM_SET;
		result.to = (rest[0] & 7) | extend_rm;
		result.value = immediate(rest + 1, 4);
		if (result.wide)
			result.value = (uint64_t)(int64_t)(int32_t)result.value;
	}
	return result;
}

enum emulate_need x86_need(const struct insn *insn)
{
	if (insn->kind == INSN_BRANCH || insn->kind == INSN_JUMP || insn->kind == INSN_NOP)
		return EMULATE_REGISTERS_ONLY;
	switch (decode(insn).form) {
	case FORM_NONE: return EMULATE_IMPOSSIBLE;
	case FORM_PUSH: return EMULATE_STORE;
	case FORM_RET: return EMULATE_LOAD;
	case FORM_COPY:
	case FORM_SET:
	case FORM_CLEAR: return EMULATE_REGISTERS_ONLY;
	}
	return EMULATE_IMPOSSIBLE;
}

static bool flags_hold(enum insn_condition condition, uint64_t rflags)
{
	bool less = !(rflags & X86_SF) != !(rflags & X86_OF);
	bool result;

	switch ((unsigned)condition >> 1) {
	case 0: result = rflags & X86_OF; break;
	case 1: result = rflags & X86_CF; break;
	case 2: result = rflags & X86_ZF; break;
	case 3: result = rflags & (X86_CF | X86_ZF); break;
	case 4: result = rflags & X86_SF; break;
	case 5: result = rflags & X86_PF; break;
	case 6: result = less; break;
	default: result = less || (rflags & X86_ZF); break;
	}
	/* The lowest bit of a condition code negates it. */
	return result != (condition & 1);
}

static uint64_t count_mask(bool narrow)
{
	return narrow ? UINT32_MAX : UINT64_MAX;
}

/* By RCX before the instruction, which the loop forms count down. */
static bool count_holds(uint8_t detail, uint64_t flags, uint64_t rcx)
{
	uint64_t left = (rcx - 1) & count_mask(detail & X86_NARROW);

	switch ((enum x86_count)(detail & ~X86_NARROW)) {
	case X86_RCXZ: return rcx == 0;
	case X86_ECXZ: return (uint32_t)rcx == 0;
	case X86_LOOP: return left != 0;
	case X86_LOOPE: return left != 0 && (flags & X86_ZF);
	case X86_LOOPNE: return left != 0 && !(flags & X86_ZF);
	case X86_NARROW: break;
	}
	return true;
}

bool x86_condition(const struct insn *insn, uint64_t flags, uint64_t rcx)
{
	if (insn_by_flags(insn->condition))
		return flags_hold(insn->condition, flags);
	return insn->condition == INSN_ALWAYS || count_holds(insn->detail, flags, rcx);
}

/* As if the comparison before the branch had found it. */
bool x86_flags(const struct insn *insn, bool holds, uint64_t flags, uint64_t *ret)
{
	/* By condition code without its lowest bit, which negates it: what to set for it to hold, what to clear for it
	 * not to. A signed comparison differs in SF and OF: there SF is made to. */
	static const struct {
		uint64_t set;
		uint64_t clear;
	} changes[] = {
		{X86_OF, X86_OF}, {X86_CF, X86_CF}, {X86_ZF, X86_ZF}, {X86_CF, X86_CF | X86_ZF},
		{X86_SF, X86_SF}, {X86_PF, X86_PF}, {0, 0},           {0, X86_ZF},
	};
	size_t kind = (size_t)insn->condition >> 1;

	*ret = flags;
	if (!insn_by_flags(insn->condition))
		return false;
	if (flags_hold(insn->condition, flags) == holds)
		return true;
	*ret = holds != ((unsigned)insn->condition & 1) ? flags | changes[kind].set : flags & ~changes[kind].clear;
	if (flags_hold(insn->condition, *ret) != holds)
		*ret ^= X86_SF;
	return true;
}

static void set(struct emulate_state *state, struct emulate_effect *effect, unsigned reg, bool wide, uint64_t value)
{
	state->general[reg] = wide ? value : (uint32_t)value;
	effect->written |= 1u << reg;
}

static void run_branch(const struct insn *insn, struct emulate_state *state, struct emulate_effect *effect)
{
	uint64_t rcx = state->general[X86_RCX];

	effect->taken = x86_condition(insn, state->flags, rcx);
	if (insn->condition == INSN_BY_REGISTER && (insn->detail & ~X86_NARROW) >= X86_LOOP)
		set(state, effect, X86_RCX, !(insn->detail & X86_NARROW), rcx - 1);
	if (effect->taken)
		state->pc = insn->target;
}

/* SDM vol. 2, XOR: OF and CF cleared, SF, ZF, PF by the result (0), AF undefined; processors clear it. */
static void clear_register(const struct decoded *decoded, struct emulate_state *state, struct emulate_effect *effect)
{
	set(state, effect, decoded->to, true, 0);
	state->flags &= ~(uint64_t)(X86_CF | X86_AF | X86_SF | X86_OF);
	state->flags |= X86_ZF | X86_PF;
	effect->flags_written = true;
}

static void run_form(const struct decoded *decoded, struct emulate_state *state, uint64_t loaded,
		     struct emulate_effect *effect)
{
	switch (decoded->form) {
	case FORM_NONE: break;
	case FORM_PUSH:
		effect->store_value = state->general[decoded->from]; /* push %rsp stores the old RSP */
		set(state, effect, X86_RSP, true, state->general[X86_RSP] - 8);
		break;
	case FORM_RET:
		state->pc = loaded;
		set(state, effect, X86_RSP, true, state->general[X86_RSP] + 8);
		break;
	case FORM_COPY: set(state, effect, decoded->to, decoded->wide, state->general[decoded->from]); break;
	case FORM_SET: set(state, effect, decoded->to, decoded->wide, decoded->value); break;
	case FORM_CLEAR: clear_register(decoded, state, effect); break;
	}
}

void x86_run(const struct insn *insn, struct emulate_state *state, uint64_t loaded, struct emulate_effect *ret)
{
	struct decoded decoded;

	memset(ret, 0, sizeof(*ret));
	state->pc = insn_next(insn);
	if (insn->kind == INSN_BRANCH) {
		run_branch(insn, state, ret);
	} else if (insn->kind == INSN_JUMP) {
		ret->taken = true;
		state->pc = insn->target;
	} else if (insn->kind != INSN_NOP) {
		decoded = decode(insn);
		run_form(&decoded, state, loaded, ret);
	}
}
