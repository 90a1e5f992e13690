/* SPDX-License-Identifier: MIT */
#include "arch/x86/x86_internal.h"

#include <string.h>

#include "base/util.h"

#define ALL_REGISTERS ((1u << X86_REGISTERS) - 1)

/* The names of each register's parts, widest first. */
static const uint16_t names[X86_REGISTERS][5] = {
	{X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL, X86_REG_AH},
	{X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL, X86_REG_CH},
	{X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL, X86_REG_DH},
	{X86_REG_RBX, X86_REG_EBX, X86_REG_BX, X86_REG_BL, X86_REG_BH},
	{X86_REG_RSP, X86_REG_ESP, X86_REG_SP, X86_REG_SPL, 0},
	{X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL, 0},
	{X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL, 0},
	{X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL, 0},
	{X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B, 0},
	{X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B, 0},
	{X86_REG_R10, X86_REG_R10D, X86_REG_R10W, X86_REG_R10B, 0},
	{X86_REG_R11, X86_REG_R11D, X86_REG_R11W, X86_REG_R11B, 0},
	{X86_REG_R12, X86_REG_R12D, X86_REG_R12W, X86_REG_R12B, 0},
	{X86_REG_R13, X86_REG_R13D, X86_REG_R13W, X86_REG_R13B, 0},
	{X86_REG_R14, X86_REG_R14D, X86_REG_R14W, X86_REG_R14B, 0},
	{X86_REG_R15, X86_REG_R15D, X86_REG_R15W, X86_REG_R15B, 0},
};

static int number_of(unsigned reg)
{
	for (int i = 0; reg && i < X86_REGISTERS; i++)
		for (size_t k = 0; k < ARRAY_SIZE(names[i]); k++)
			if (names[i][k] == reg)
				return i;
	return OPERANDS_NO_REGISTER;
}

static void set_memory(const struct insn *insn, const cs_x86_op *operand, struct operands_memory *memory)
{
	memory->base = number_of(operand->mem.base);
	memory->index = number_of(operand->mem.index);
	memory->scale = operand->mem.scale;
	memory->displacement = operand->mem.disp;
	memory->size = operand->size;
	if (operand->mem.base == X86_REG_RIP)
		memory->displacement += (int64_t)insn_next(insn);
}

/* The operand that is written comes last in AT&T syntax. */
struct pair {
	const cs_x86_op *source, *target;
	bool to_register, from_register, from_constant;
};

static struct pair pair_of(const cs_x86 *detail)
{
	struct pair pair = {.target = &detail->operands[detail->op_count ? detail->op_count - 1 : 0]};

	pair.source = &detail->operands[0];
	pair.to_register = detail->op_count > 0 && pair.target->type == X86_OP_REG;
	pair.from_register = detail->op_count == 2 && pair.source->type == X86_OP_REG;
	pair.from_constant = detail->op_count == 2 && pair.source->type == X86_OP_IMM;
	return pair;
}

static enum operands_shape shape_of_move(const struct pair *pair, struct operands *ret)
{
	if (pair->from_constant) {
		ret->constant = pair->source->imm;
		return OPERANDS_SET;
	}
	return pair->from_register ? OPERANDS_COPY : OPERANDS_LOAD;
}

static enum operands_shape shape_of_arithmetic(unsigned id, const struct pair *pair, struct operands *ret)
{
	if (id == X86_INS_INC || id == X86_INS_DEC) {
		ret->constant = id == X86_INS_INC ? 1 : -1;
		return OPERANDS_ADD;
	}
	if (pair->from_constant) {
		ret->constant = id == X86_INS_SUB ? -(uint64_t)pair->source->imm : (uint64_t)pair->source->imm;
		return OPERANDS_ADD;
	}
	return pair->from_register && id == X86_INS_ADD ? OPERANDS_ADD_REGISTER : OPERANDS_OTHER;
}

static enum operands_shape shape_of_comparison(unsigned id, const struct pair *pair, struct operands *ret)
{
	bool itself = pair->from_register && pair->source->reg == pair->target->reg;

	if (id == X86_INS_TEST)
		return itself ? OPERANDS_COMPARE : OPERANDS_OTHER;
	if (!pair->from_constant)
		return OPERANDS_OTHER;
	ret->constant = pair->source->imm;
	return OPERANDS_COMPARE;
}

/* Shapes of instructions whose target is a register. */
static enum operands_shape shape_of(unsigned id, const struct pair *pair, struct operands *ret)
{
	if (id == X86_INS_MOV || id == X86_INS_MOVABS || id == X86_INS_MOVZX || id == X86_INS_MOVSXD ||
	    id == X86_INS_MOVSX)
		return shape_of_move(pair, ret);
	if (id == X86_INS_ADD || id == X86_INS_SUB || id == X86_INS_INC || id == X86_INS_DEC)
		return shape_of_arithmetic(id, pair, ret);
	if (id == X86_INS_CMP || id == X86_INS_TEST)
		return shape_of_comparison(id, pair, ret);
	if (id == X86_INS_AND && pair->from_constant) {
		ret->constant = pair->source->imm;
		return OPERANDS_MASK;
	}
	if (id == X86_INS_XOR && pair->from_register && pair->source->reg == pair->target->reg)
		return OPERANDS_SET;
	if (id == X86_INS_LEA && ret->memory.base < 0 && ret->memory.index < 0) {
		ret->constant = ret->memory.displacement;
		return OPERANDS_SET;
	}
	return OPERANDS_OTHER;
}

static uint32_t bits_of(const uint16_t *registers, uint8_t count)
{
	uint32_t bits = 0;

	for (uint8_t i = 0; i < count; i++) {
		int reg = number_of(registers[i]);

		if (reg >= 0)
			bits |= 1u << reg;
	}
	return bits;
}

static void set_accesses(const struct x86_decoder *decoder, struct operands *ret)
{
	cs_regs read, written;
	uint8_t read_count, written_count;

	if (cs_regs_access(decoder->handle, decoder->scratch, read, &read_count, written, &written_count) !=
	    CS_ERR_OK) {
		ret->written = ret->read = ALL_REGISTERS;
		return;
	}
	ret->written = bits_of(written, written_count);
	ret->read = bits_of(read, read_count);
}

/* Pushes name no memory operand. */
static bool stores(const struct insn *insn, const cs_x86 *detail)
{
	for (size_t i = 0; i < detail->op_count; i++)
		if (detail->operands[i].type == X86_OP_MEM && detail->operands[i].access & CS_AC_WRITE)
			return true;
	return insn->stack < 0 && insn->stack != INSN_STACK_UNKNOWN && insn->kind == INSN_OTHER;
}

static void set_from(const struct pair *pair, struct operands *ret)
{
	ret->from = number_of(pair->source->reg);
	ret->from_size = pair->source->size;
}

void x86_operands_of(struct insn_decoder *common, const struct insn *insn, struct operands *ret)
{
	const struct x86_decoder *decoder = x86_decoder(common);
	const uint8_t *cursor = insn->bytes;
	size_t left = insn->length;
	uint64_t address = insn->address;
	const cs_x86 *detail;
	struct pair pair;

	*ret = (struct operands){.reg = OPERANDS_NO_REGISTER, .from = OPERANDS_NO_REGISTER};
	if (!cs_disasm_iter(decoder->handle, &cursor, &left, &address, decoder->scratch)) {
		ret->written = ret->read = ALL_REGISTERS; /* unknown to capstone */
		ret->stores = true;
		return;
	}
	detail = &decoder->scratch->detail->x86;
	for (size_t i = 0; i < detail->op_count; i++)
		if (detail->operands[i].type == X86_OP_MEM)
			set_memory(insn, &detail->operands[i], &ret->memory);
	set_accesses(decoder, ret);
	ret->stores = stores(insn, detail);
	pair = pair_of(detail);
	if (pair.from_register || (detail->op_count == 1 && pair.to_register))
		set_from(&pair, ret);
	if (insn->kind == INSN_JUMP_INDIRECT) {
		ret->shape = OPERANDS_JUMP;
	} else if (pair.to_register) {
		ret->reg = number_of(pair.target->reg);
		ret->size = pair.target->size;
		ret->shape = shape_of(decoder->scratch->id, &pair, ret);
		/* Writes to one or two bytes leave the rest of the register as it was. */
		if (ret->size < 4 && ret->shape != OPERANDS_COMPARE)
			ret->shape = OPERANDS_OTHER;
	}
}

/* Takes the text up to the next comma outside of parentheses; what follows it. */
static const char *take_text(const char *text, char *ret)
{
	size_t length = 0;
	bool inside = false;

	while (text[length] && (inside || text[length] != ',')) {
		inside = text[length] == '(' || (inside && text[length] != ')');
		length++;
	}
	if (length < OPERAND_TEXT_MAX)
		memcpy(ret, text, length);
	text += length;
	return text + strspn(text, ", ");
}

size_t x86_operands_list(struct insn_decoder *common, const struct insn *insn, struct operand *ret)
{
	const struct x86_decoder *decoder = x86_decoder(common);
	const uint8_t *cursor = insn->bytes;
	size_t left = insn->length, count = 0;
	uint64_t address = insn->address;
	const char *text = decoder->scratch->op_str;
	const cs_x86 *detail = &decoder->scratch->detail->x86;

	if (!cs_disasm_iter(decoder->handle, &cursor, &left, &address, decoder->scratch))
		return 0;
	for (; count < detail->op_count && count < OPERAND_MAX && *text; count++) {
		const cs_x86_op *operand = &detail->operands[count];

		ret[count] = (struct operand){.reg = OPERANDS_NO_REGISTER};
		text = take_text(text, ret[count].text);
		if (operand->type == X86_OP_REG)
			ret[count].reg = number_of(operand->reg);
		else if (operand->type == X86_OP_MEM)
			set_memory(insn, operand, &ret[count].memory);
	}
	return count;
}
