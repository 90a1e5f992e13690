/* SPDX-License-Identifier: MIT */
#include "arch/x86/x86_internal.h"
#include "arch/x86/x86_shape.h"

/* ins, movs and stos; the 8-bit form is the even opcode. */
static bool is_string_store(const struct x86_shape *shape)
{
	uint8_t even = shape->opcode & 0xfe;

	return shape->map == SHAPE_MAP_ONE && !shape->vex && (even == 0x6c || even == 0xa4 || even == 0xaa);
}

static uint16_t string_width(const struct x86_shape *shape)
{
	if (!(shape->opcode & 1))
		return 1;
	if (shape->opcode == 0x6d) /* the longest that ins has is four bytes */
		return shape->operand16 ? 2 : 4;
	return shape->wide ? 8 : shape->operand16 ? 2 : 4;
}

/* The operand in memory; movs has two, and is none of these. */
static bool find_place(struct insn_decoder *decoder, const struct insn *insn, struct operands_memory *ret)
{
	struct operand operands[OPERAND_MAX];
	size_t count = x86_operands_list(decoder, insn, operands);

	for (size_t i = 0; i < count; i++)
		if (operands[i].memory.size) {
			*ret = operands[i].memory;
			return true;
		}
	return false;
}

/* xchg reads, too, but writes what it is given. */
static bool is_exchange(const struct x86_shape *shape)
{
	return shape->map == SHAPE_MAP_ONE && (shape->opcode & 0xfe) == 0x86;
}

bool x86_written_by(struct insn_decoder *decoder, const struct insn *insn, struct written *ret)
{
	struct x86_shape shape;

	*ret = (struct written){.segment = ""};
	if (!x86_shape_decode(insn->bytes, insn->length, &shape))
		return false;
	ret->string = is_string_store(&shape);
	ret->segment = shape.all.per_cpu ? "gs" : shape.segment_fs ? "fs" : "";
	ret->width = ret->string ? string_width(&shape) : shape.all.width;
	if (ret->string)
		return true;
	ret->updates = (shape.all.access & (SHAPE_READ | SHAPE_PERHAPS)) && !is_exchange(&shape);
	return (shape.all.access & SHAPE_WRITE) && find_place(decoder, insn, &ret->place);
}
