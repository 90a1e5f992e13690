/* SPDX-License-Identifier: MIT */
#include "arch/arch.h"

#include "base/util.h"

extern const struct arch arch_x86_64; /* arch/x86/x86_64.c */

const struct arch *arch_at(size_t index)
{
	static const struct arch *const known[] = {&arch_x86_64};

	return index < ARRAY_SIZE(known) ? known[index] : NULL;
}

struct cs_error *insn_decoder_create(const struct arch *arch, struct insn_decoder **ret)
{
	CS_TRY(arch->decoder_create(ret));
	(*ret)->arch = arch;
	return NULL;
}

void insn_decoder_destroy(struct insn_decoder *decoder)
{
	if (decoder)
		decoder->arch->decoder_destroy(decoder);
}

const struct arch *insn_decoder_arch(const struct insn_decoder *decoder)
{
	return decoder->arch;
}

bool insn_decode(struct insn_decoder *decoder, const uint8_t *bytes, size_t size, uint64_t address, struct insn *ret)
{
	return decoder->arch->decode(decoder, bytes, size, address, ret);
}

void insn_text(struct insn_decoder *decoder, const struct insn *insn, char *text, size_t size)
{
	decoder->arch->text(decoder, insn, text, size);
}

const char *insn_condition_name(const struct insn *insn)
{
	return insn->arch->condition_name(insn);
}

const char *insn_kind_name(const struct insn *insn)
{
	return insn->arch->kind_name(insn->kind);
}

bool insn_is_clock_access(const struct insn *insn)
{
	return insn->kind == INSN_CLOCK || insn->kind == INSN_COUNTER || insn->kind == INSN_PORT_READ ||
	       insn->kind == INSN_PORT_WRITE;
}

bool insn_is_pause(const struct insn *insn)
{
	return insn->arch->is_pause(insn);
}

bool insn_condition_of(enum insn_condition condition, uint64_t left, uint64_t right, unsigned size)
{
	uint64_t mask = size == 8 ? UINT64_MAX : UINT32_MAX;
	uint64_t sign = size == 8 ? 1ull << 63 : 1ull << 31;
	bool below = (left & mask) < (right & mask);
	uint64_t result = (left - right) & mask;
	bool overflow = (left ^ right) & (left ^ result) & sign;
	bool less = !(result & sign) != !overflow;
	bool holds;

	switch ((unsigned)condition >> 1) {
	case INSN_OVERFLOW >> 1: holds = overflow; break;
	case INSN_BELOW >> 1: holds = below; break;
	case INSN_EQUAL >> 1: holds = !result; break;
	case INSN_NOT_ABOVE >> 1: holds = below || !result; break;
	case INSN_NEGATIVE >> 1: holds = result & sign; break;
	case INSN_EVEN >> 1: holds = !__builtin_parity((unsigned)result & 0xff); break;
	case INSN_LESS >> 1: holds = less; break;
	case INSN_NOT_GREATER >> 1: holds = less || !result; break;
	default: return true;
	}
	return holds != (condition & 1);
}

void operands_of(struct insn_decoder *decoder, const struct insn *insn, struct operands *ret)
{
	decoder->arch->operands_of(decoder, insn, ret);
}

void operands_with_callee(struct insn_decoder *decoder, const struct insn *insn, struct operands *ret)
{
	decoder->arch->operands_of(decoder, insn, ret);
	if (insn->kind == INSN_CALL || insn->kind == INSN_CALL_INDIRECT)
		ret->written |= decoder->arch->call_changes;
}

size_t operands_list(struct insn_decoder *decoder, const struct insn *insn, struct operand *ret)
{
	return decoder->arch->operands_list(decoder, insn, ret);
}

bool written_by(struct insn_decoder *decoder, const struct insn *insn, struct written *ret)
{
	return decoder->arch->written_by(decoder, insn, ret);
}

enum emulate_need emulate_need(const struct insn *insn)
{
	return insn->length ? insn->arch->need(insn) : EMULATE_IMPOSSIBLE;
}

bool emulate_condition(const struct insn *insn, uint64_t flags, uint64_t value)
{
	return insn->arch->condition(insn, flags, value);
}

bool emulate_flags(const struct insn *insn, bool holds, uint64_t flags, uint64_t *ret)
{
	return insn->arch->flags(insn, holds, flags, ret);
}

void emulate_run(const struct insn *insn, struct emulate_state *state, uint64_t loaded, struct emulate_effect *ret)
{
	insn->arch->run(insn, state, loaded, ret);
}
