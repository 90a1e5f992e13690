/* SPDX-License-Identifier: MIT */
#include "xref/written.h"

#include "xref/shape_decode.h"

/* ins, movs and stos; the 8-bit form is the even opcode. */
static bool is_string_store(const struct shape *shape)
{
	uint8_t even = shape->opcode & 0xfe;

	return shape->map == SHAPE_MAP_ONE && !shape->vex && (even == 0x6c || even == 0xa4 || even == 0xaa);
}

static uint16_t string_width(const struct shape *shape)
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
	size_t count = operands_list(decoder, insn, operands);

	for (size_t i = 0; i < count; i++)
		if (operands[i].memory.size) {
			*ret = operands[i].memory;
			return true;
		}
	return false;
}

/* xchg reads, too, but writes what it is given. */
static bool is_exchange(const struct shape *shape)
{
	return shape->map == SHAPE_MAP_ONE && (shape->opcode & 0xfe) == 0x86;
}

bool store_of(struct insn_decoder *decoder, const struct insn *insn, struct store *ret)
{
	struct shape shape;

	*ret = (struct store){0};
	if (!shape_decode(insn->bytes, insn->length, &shape))
		return false;
	ret->string = is_string_store(&shape);
	ret->segment = shape.segment_gs ? 'g' : shape.segment_fs ? 'f' : 0;
	ret->width = ret->string ? string_width(&shape) : shape.width;
	if (ret->string)
		return true;
	ret->updates = (shape.access & (SHAPE_READ | SHAPE_PERHAPS)) && !is_exchange(&shape);
	return (shape.access & SHAPE_WRITE) && find_place(decoder, insn, &ret->place);
}
