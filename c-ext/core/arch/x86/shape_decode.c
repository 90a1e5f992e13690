/* SPDX-License-Identifier: MIT */
#include "arch/x86/x86_internal.h"
#include "arch/x86/x86_shape.h"

/*
 * What follows an opcode, one character each:
 *   .  nothing      m  ModRM            b  8-bit immediate    z  16 or 32-bit immediate
 *   M  ModRM + b    Z  ModRM + z        v  as z, 64 with REX.W j  32-bit relative target
 *   w  16-bit       e  16-bit and 8-bit o  address (moffs)    3  ModRM, immediate for /0 and /1
 *   x  invalid      p  prefix or escape (never looked up here)
 */
static const char one_byte[] = "mmmmbzxxmmmmbzxp"
			       "mmmmbzxxmmmmbzxx"
			       "mmmmbzpxmmmmbzpx"
			       "mmmmbzpxmmmmbzpx"
			       "pppppppppppppppp"
			       "................"
			       "xxpmppppzZbM...."
			       "bbbbbbbbbbbbbbbb"
			       "MZxMmmmmmmmmmmmm"
			       "..........x....."
			       "oooo....bz......"
			       "bbbbbbbbvvvvvvvv"
			       "MMw.ppMZe.w..bx."
			       "mmmmxxx.mmmmmmmm"
			       "bbbbbbbbjjxb...."
			       "p.pp..33......mm";

static const char two_byte[] = "mmmmx.....x.xm.M"
			       "mmmmmmmmmmmmmmmm"
			       "mmmmxxxxmmmmmmmm"
			       "......x.pxpxxxxx"
			       "mmmmmmmmmmmmmmmm"
			       "mmmmmmmmmmmmmmmm"
			       "mmmmmmmmmmmmmmmm"
			       "MMMMmmm.mmmmmmmm"
			       "jjjjjjjjjjjjjjjj"
			       "mmmmmmmmmmmmmmmm"
			       "...mMmmm...mMmmm"
			       "mmmmmmmmmmMmmmmm"
			       "mmMmMMMm........"
			       "mmmmmmmmmmmmmmmm"
			       "mmmmmmmmmmmmmmmm"
			       "mmmmmmmmmmmmmmmm";

/* The bytes of one instruction while they are read; reading past the end is remembered, not done. */
struct cursor {
	const uint8_t *bytes;
	size_t size, at;
	bool overrun;
};

static uint8_t next(struct cursor *cursor)
{
	if (cursor->at >= cursor->size) {
		cursor->overrun = true;
		return 0;
	}
	return cursor->bytes[cursor->at++];
}

/* Reads the legacy prefixes and REX. A REX counts only right before the opcode. */
static void read_prefixes(struct cursor *cursor, struct x86_shape *shape)
{
	uint8_t rex = 0;

	for (; cursor->at < cursor->size; cursor->at++) {
		uint8_t byte = cursor->bytes[cursor->at];

		if ((byte & 0xf0) == 0x40) {
			rex = byte;
			continue;
		}
		if (byte == 0x66)
			shape->operand16 = true;
		else if (byte == 0x67)
			shape->address32 = true;
		else if (byte == 0x64)
			shape->segment_fs = true;
		else if (byte == 0x65)
			shape->all.per_cpu = true;
		else if (byte == 0xf2 || byte == 0xf3)
			shape->simd_prefix = byte;
		else if (byte != 0xf0 && byte != 0x26 && byte != 0x2e && byte != 0x36 && byte != 0x3e)
			break;
		rex = 0;
	}
	shape->wide = rex & 8;
	shape->index_extended = rex & 2;
	if (!shape->simd_prefix && shape->operand16)
		shape->simd_prefix = 0x66;
}

static uint8_t prefix_of_pp(uint8_t pp)
{
	static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};

	return prefixes[pp & 3];
}

static void read_vex(struct cursor *cursor, struct x86_shape *shape, uint8_t escape)
{
	uint8_t payload = next(cursor);

	shape->vex = true;
	shape->map = SHAPE_MAP_0F;
	if (escape == 0xc4) {
		shape->index_extended = !(payload & 0x40);
		shape->map = payload & 0x1f;
		payload = next(cursor);
		shape->wide = payload & 0x80;
	}
	shape->vector = payload >> 2 & 1;
	shape->simd_prefix = prefix_of_pp(payload);
	shape->opcode = next(cursor);
}

static void read_evex(struct cursor *cursor, struct x86_shape *shape)
{
	uint8_t first = next(cursor);
	uint8_t second = next(cursor);
	uint8_t third = next(cursor);

	shape->vex = shape->evex = true;
	shape->map = first & 7;
	shape->index_extended = !(first & 0x40);
	shape->wide = second & 0x80;
	shape->vector = third >> 5 & 3;
	shape->simd_prefix = prefix_of_pp(second);
	shape->opcode = next(cursor);
}

static void read_opcode(struct cursor *cursor, struct x86_shape *shape)
{
	uint8_t byte = next(cursor);

	if (byte == 0xc4 || byte == 0xc5) {
		read_vex(cursor, shape, byte);
	} else if (byte == 0x62) {
		read_evex(cursor, shape);
	} else if (byte == 0x0f) {
		shape->map = SHAPE_MAP_0F;
		byte = next(cursor);
		if (byte == 0x38 || byte == 0x3a) {
			shape->map = byte == 0x38 ? SHAPE_MAP_0F38 : SHAPE_MAP_0F3A;
			byte = next(cursor);
		}
		shape->opcode = byte;
	} else {
		shape->opcode = byte;
	}
}

static char follow_of(const struct x86_shape *shape)
{
	switch (shape->map) {
	case SHAPE_MAP_ONE: return one_byte[shape->opcode];
	case SHAPE_MAP_0F: return two_byte[shape->opcode];
	case SHAPE_MAP_0F38: return 'm';
	case SHAPE_MAP_0F3A: return 'M';
	case 5:
	case 6: return shape->evex ? 'm' : 'x';
	default: return 'x';
	}
}

static void read_modrm(struct cursor *cursor, struct x86_shape *shape)
{
	uint8_t mod, rm, sib;

	shape->has_modrm = true;
	shape->modrm = next(cursor);
	mod = shape->modrm >> 6;
	rm = shape->modrm & 7;
	/* mov to and from control and debug registers: always registers, whatever mod says. */
	if (mod == 3 || (shape->map == SHAPE_MAP_0F && !shape->vex && (shape->opcode & 0xfc) == 0x20))
		return;
	shape->all.memory = SHAPE_REGISTER;
	shape->all.displacement_size = mod == 1 ? 1 : mod == 2 ? 4 : 0;
	if (rm == 4) {
		sib = next(cursor);
		if (mod == 0 && (sib & 7) == 5) {
			shape->all.displacement_size = 4;
			/* Index 4 means none, unless REX.X makes it r12. */
			if ((sib >> 3 & 7) == 4 && !shape->index_extended)
				shape->all.memory = SHAPE_ABSOLUTE;
		}
	} else if (mod == 0 && rm == 5) {
		shape->all.displacement_size = 4;
		shape->all.memory = SHAPE_RELATIVE;
	}
	shape->all.displacement_at = (uint8_t)cursor->at;
	cursor->at += shape->all.displacement_size;
}

static uint8_t immediate_size(const struct x86_shape *shape, char follow)
{
	uint8_t z = shape->operand16 && !shape->wide ? 2 : 4;

	switch (follow) {
	case 'b':
	case 'M': return 1;
	case 'z':
	case 'Z': return z;
	case 'v': return shape->wide ? 8 : z;
	case 'j': return 4;
	case 'w': return 2;
	case 'e': return 3;
	case '3':
		if (shape->modrm >> 3 & 6)
			return 0;
		return shape->opcode == 0xf6 ? 1 : z;
	default: return 0;
	}
}

/* call, jmp, jcc with a relative target. */
static void set_branch(struct x86_shape *shape)
{
	uint8_t opcode = shape->opcode;

	shape->all.calls = shape->map == SHAPE_MAP_ONE && opcode == 0xe8;
	if (shape->map == SHAPE_MAP_ONE)
		shape->all.branches = shape->all.calls || opcode == 0xe9 || opcode == 0xeb || (opcode & 0xf0) == 0x70;
	else
		shape->all.branches = shape->map == SHAPE_MAP_0F && !shape->vex && (opcode & 0xf0) == 0x80;
}

bool x86_shape_decode(const uint8_t *bytes, size_t size, struct x86_shape *ret)
{
	struct cursor cursor = {.bytes = bytes, .size = size < INSN_MAX_LENGTH ? size : INSN_MAX_LENGTH};
	struct x86_shape shape = {0};
	char follow;

	read_prefixes(&cursor, &shape);
	read_opcode(&cursor, &shape);
	follow = follow_of(&shape);
	if (follow == 'x' || follow == 'p')
		return false;
	if (follow == 'm' || follow == 'M' || follow == 'Z' || follow == '3')
		read_modrm(&cursor, &shape);
	if (follow == 'o') {
		shape.all.memory = SHAPE_ABSOLUTE;
		shape.all.displacement_at = (uint8_t)cursor.at;
		shape.all.displacement_size = shape.address32 ? 4 : 8;
		cursor.at += shape.all.displacement_size;
	}
	shape.all.immediate_at = (uint8_t)cursor.at;
	shape.all.immediate_size = immediate_size(&shape, follow);
	cursor.at += shape.all.immediate_size;
	if (cursor.overrun || cursor.at > cursor.size)
		return false;
	shape.all.length = (uint8_t)cursor.at;
	if (shape.all.memory != SHAPE_NO_MEMORY)
		x86_access_classify(&shape);
	set_branch(&shape);
	*ret = shape;
	return true;
}

bool x86_shape(const uint8_t *bytes, size_t size, struct shape *ret)
{
	struct x86_shape shape;

	if (!x86_shape_decode(bytes, size, &shape))
		return false;
	*ret = shape.all;
	return true;
}

/* A prefix before the value, which is at most six bytes behind it: opcode, ModRM, SIB, other prefixes. */
bool x86_may_be_per_cpu(const uint8_t *bytes, size_t offset)
{
	for (size_t back = 2; back <= 8 && back <= offset; back++)
		if (bytes[offset - back] == 0x65)
			return true;
	return false;
}
