/* SPDX-License-Identifier: MIT */
#include "arch/x86/x86_shape.h"

#define READ SHAPE_READ
#define WRITE SHAPE_WRITE
#define BOTH (SHAPE_READ | SHAPE_WRITE)

/*
 * One character an opcode: r reads, w writes, u updates (both), a takes the address, n touches nothing
 * (prefetch, nop), g depends on ModRM.reg or a prefix: decided by the functions below.
 */
static const char one_byte[] = "uurrrrrruurrrrrr"
			       "uurrrrrruurrrrrr"
			       "uurrrrrruurrrrrr"
			       "uurrrrrrrrrrrrrr"
			       "nnnnnnnnnnnnnnnn"
			       "nnnnnnnnnnnnnnnn"
			       "nnnrnnnnnrnrnnnn"
			       "nnnnnnnnnnnnnnnn"
			       "ggngrruuwwrrwarw"
			       "nnnnnnnnnnnnnnnn"
			       "rrwwnnnnnnnnnnnn"
			       "nnnnnnnnnnnnnnnn"
			       "uunnnnwwnnnnnnnn"
			       "uuuunnnngggggggg"
			       "nnnnnnnnnnnnnnnn"
			       "nnnnnnggnnnnnngg";

static const char two_byte[] = "ggrrnnnnnnnnnnnr"
			       "rwrwrrrwnnnnnnnn"
			       "nnnnnnnnrwrwrrrr"
			       "nnnnnnnnnnnnnnnn"
			       "rrrrrrrrrrrrrrrr"
			       "rrrrrrrrrrrrrrrr"
			       "rrrrrrrrrrrrrrrr"
			       "rrrrrrrngrrrrrgw"
			       "nnnnnnnnnnnnnnnn"
			       "gggggggggggggggg"
			       "nnnruunnnnnuuugr"
			       "uururrrrrrgurrrr"
			       "uurwrrrgnnnnnnnn"
			       "rrrrrrwrrrrrrrrr"
			       "rrrrrrrwrrrrrrrr"
			       "rrrrrrrrrrrrrrrr";

static uint8_t access_of_letter(char letter)
{
	switch (letter) {
	case 'r': return READ;
	case 'w': return WRITE;
	case 'u': return BOTH;
	case 'a': return SHAPE_ADDRESS;
	default: return 0;
	}
}

static uint8_t reg_of(const struct x86_shape *shape)
{
	return shape->modrm >> 3 & 7;
}

/* x87: rows d8 to df, columns ModRM.reg. */
static uint8_t x87_access(const struct x86_shape *shape)
{
	static const char *const rows[8] = {
		"rrrrrrrr", /* d8 arithmetic on m32 */
		"rnwwrrww", /* d9 fld fst fstp fldenv fldcw fnstenv fnstcw */
		"rrrrrrrr", /* da arithmetic on m32 integers */
		"rwwwnrnw", /* db fild fisttp fist fistp, fld m80, fstp m80 */
		"rrrrrrrr", /* dc arithmetic on m64 */
		"rwwwrnww", /* dd fld fisttp fst fstp frstor fnsave fnstsw */
		"rrrrrrrr", /* de arithmetic on m16 integers */
		"rwwwrrww", /* df fild fisttp fist fistp, fbld fild64 fbstp fistp64 */
	};

	return access_of_letter(rows[shape->opcode - 0xd8][reg_of(shape)]);
}

static uint16_t x87_width(const struct x86_shape *shape)
{
	static const uint8_t rows[8][8] = {
		{4, 4, 4, 4, 4, 4, 4, 4},   {4, 4, 4, 4, 28, 2, 28, 2}, {4, 4, 4, 4, 4, 4, 4, 4},
		{4, 4, 4, 4, 4, 10, 4, 10}, {8, 8, 8, 8, 8, 8, 8, 8},   {8, 8, 8, 8, 108, 8, 108, 2},
		{2, 2, 2, 2, 2, 2, 2, 2},   {2, 2, 2, 2, 10, 8, 10, 8},
	};

	return rows[shape->opcode - 0xd8][reg_of(shape)];
}

static uint8_t one_byte_group(const struct x86_shape *shape)
{
	uint8_t reg = reg_of(shape);

	switch (shape->opcode) {
	case 0x80:
	case 0x81:
	case 0x83: return reg == 7 ? READ : BOTH; /* cmp; add or adc sbb and sub xor */
	case 0xf6:
	case 0xf7: return reg == 2 || reg == 3 ? BOTH : READ; /* not neg; test mul div */
	case 0xfe:
	case 0xff: return reg < 2 ? BOTH : READ; /* inc dec; call jmp push */
	default: return x87_access(shape);
	}
}

/* 0f ae: fxsave fxrstor ldmxcsr stmxcsr xsave xrstor xsaveopt clflush; with a prefix /6 is clwb, tpause. */
static uint8_t save_group(const struct x86_shape *shape)
{
	static const char letters[] = "wrrwurun"; /* xsave and xsaveopt read XSTATE_BV, too */
	uint8_t reg = reg_of(shape);

	return reg == 6 && shape->simd_prefix ? 0 : access_of_letter(letters[reg]);
}

static uint8_t two_byte_group(const struct x86_shape *shape)
{
	static const char descriptor_tables[] = "wwrrwnrn"; /* sgdt sidt lgdt lidt smsw - lmsw invlpg */
	static const char wide_compares[] = "nunrwwrw";     /* cmpxchg16b xrstors xsavec xsaves vmptrld vmptrst */
	uint8_t reg = reg_of(shape);

	switch (shape->opcode) {
	case 0x00: return reg < 2 ? WRITE : READ; /* sldt str; lldt ltr verr verw */
	case 0x01: return access_of_letter(descriptor_tables[reg]);
	case 0x78: return shape->evex ? READ : WRITE; /* vcvt…; vmread */
	case 0x7e: return shape->simd_prefix == 0xf3 ? READ : WRITE;
	case 0xae: return save_group(shape);
	case 0xba: return reg == 4 ? READ : BOTH; /* bt; bts btr btc */
	case 0xc7: return access_of_letter(wide_compares[reg]);
	default: /* 90 to 9f: setcc; with VEX kmov, which stores by 91 alone */
		return shape->vex && shape->opcode != 0x91 ? READ : WRITE;
	}
}

static uint8_t map_0f38(const struct x86_shape *shape)
{
	uint8_t opcode = shape->opcode;

	if (shape->vex) {
		bool masked_store = opcode == 0x2e || opcode == 0x2f || opcode == 0x8e;
		bool compress = shape->evex && (opcode == 0x8a || opcode == 0x8b || opcode == 0x63);
		bool scatter = shape->evex && opcode >= 0xa0 && opcode <= 0xa3;
		bool narrow = shape->evex && shape->simd_prefix == 0xf3 && opcode >= 0x10 && opcode <= 0x35 &&
			      (opcode & 0x0f) < 6;

		return masked_store || compress || scatter || narrow ? WRITE : READ;
	}
	switch (opcode) {
	case 0xf1: return shape->simd_prefix == 0xf2 ? READ : WRITE; /* crc32; movbe */
	case 0xf5:
	case 0xf9: return WRITE;                             /* wruss, movdiri */
	case 0xf6: return shape->simd_prefix ? READ : WRITE; /* adcx adox; wrss */
	default: return READ;
	}
}

static uint8_t map_0f3a(const struct x86_shape *shape)
{
	switch (shape->opcode) {
	case 0x14:
	case 0x15:
	case 0x16:
	case 0x17: /* pextr, extractps */
	case 0x19:
	case 0x1b:
	case 0x1d:
	case 0x39:
	case 0x3b: /* vextract, vcvtps2ph */ return WRITE;
	default: return READ;
	}
}

static uint8_t access_of(const struct x86_shape *shape)
{
	char letter;

	switch (shape->map) {
	case SHAPE_MAP_ONE:
		letter = one_byte[shape->opcode];
		return letter == 'g' ? one_byte_group(shape) : access_of_letter(letter);
	case SHAPE_MAP_0F:
		letter = two_byte[shape->opcode];
		return letter == 'g' ? two_byte_group(shape) : access_of_letter(letter);
	case SHAPE_MAP_0F38: return map_0f38(shape);
	case SHAPE_MAP_0F3A: return map_0f3a(shape);
	default: return shape->opcode == 0x11 ? WRITE : READ; /* EVEX maps 5 and 6: vmovsh stores by 11 */
	}
}

static uint16_t general_width(const struct x86_shape *shape)
{
	return shape->wide ? 8 : shape->operand16 ? 2 : 4;
}

static uint16_t one_byte_width(const struct x86_shape *shape)
{
	uint8_t opcode = shape->opcode;

	if (opcode >= 0xd8 && opcode <= 0xdf)
		return x87_width(shape);
	if (opcode == 0x63)
		return 4;
	if (opcode == 0x8c || opcode == 0x8e)
		return 2;
	/* push, pop, call and jmp have 64-bit operands without REX.W; far ones are 6 to 10 bytes. */
	if (opcode == 0x8f || (opcode == 0xff && reg_of(shape) >= 2))
		return shape->operand16 ? 2 : opcode == 0xff && (reg_of(shape) == 3 || reg_of(shape) == 5) ? 10 : 8;
	/* The others have their 8-bit form at the even opcode. */
	if (!(opcode & 1) && opcode != 0x62)
		return 1;
	return opcode == 0x69 || opcode == 0x6b || (opcode & 1) ? general_width(shape) : 1;
}

/* SSE and AVX: whole vectors, but for the scalar and half-vector moves. */
static uint16_t vector_width(const struct x86_shape *shape)
{
	uint8_t opcode = shape->opcode;
	bool scalar = shape->simd_prefix == 0xf2 || shape->simd_prefix == 0xf3;

	if (opcode == 0x12 || opcode == 0x13 || opcode == 0x16 || opcode == 0x17)
		return scalar ? 16 : 8;
	if (opcode == 0x7e && shape->simd_prefix == 0xf3)
		return 8;
	if (opcode == 0x6e || opcode == 0x7e)
		return shape->wide ? 8 : 4;
	if (opcode == 0xd6)
		return 8;
	if (scalar && opcode != 0x6f && opcode != 0x7f && opcode != 0xf0)
		return shape->simd_prefix == 0xf3 ? 4 : 8;
	return (uint16_t)(16 << shape->vector);
}

static uint16_t save_width(uint8_t reg)
{
	/* An xsave area is at least its legacy part and header; how much follows, XCR0 decides. */
	static const uint16_t widths[] = {512, 512, 4, 4, 576, 576, 576, 64};

	return widths[reg];
}

static uint16_t two_byte_width(const struct x86_shape *shape)
{
	uint8_t opcode = shape->opcode;

	switch (opcode) {
	case 0x00: return 2;
	case 0x01: return reg_of(shape) < 4 ? 10 : 2;
	case 0x02:
	case 0x03: return 2;
	case 0x78:
	case 0x79: return shape->evex ? 64 : 8;
	case 0xae: return save_width(reg_of(shape));
	case 0xb0:
	case 0xb6:
	case 0xbe:
	case 0xc0: return 1;
	case 0xb7:
	case 0xbf: return 2;
	case 0xc4: return 2;
	case 0xc7: return reg_of(shape) == 1 ? (shape->wide ? 16 : 8) : reg_of(shape) < 6 ? 576 : 8;
	default: break;
	}
	if ((opcode & 0xf0) == 0x90)
		return shape->vex ? general_width(shape) : 1;
	if ((opcode & 0xf0) == 0x40 || (opcode >= 0xa0 && opcode <= 0xc3 && opcode != 0xc2))
		return general_width(shape);
	return vector_width(shape);
}

static uint16_t map_0f3a_width(const struct x86_shape *shape)
{
	switch (shape->opcode) {
	case 0x14: return 1; /* pextrb */
	case 0x15: return 2; /* pextrw */
	case 0x16:
	case 0x17: return shape->wide ? 8 : 4; /* pextrd, pextrq, extractps */
	case 0x19:
	case 0x39: return 16; /* a vector's lane of 128 bits */
	case 0x1b:
	case 0x3b: return 32;                             /* of 256 bits */
	case 0x1d: return (uint16_t)(8 << shape->vector); /* vcvtps2ph halves it */
	default: return vector_width(shape);
	}
}

static uint16_t width_of(const struct x86_shape *shape)
{
	switch (shape->map) {
	case SHAPE_MAP_ONE: return one_byte_width(shape);
	case SHAPE_MAP_0F: return two_byte_width(shape);
	case SHAPE_MAP_0F38:
		if (shape->opcode == 0xf8)
			return 64;
		return shape->opcode >= 0xf0 ? general_width(shape) : vector_width(shape);
	case SHAPE_MAP_0F3A: return map_0f3a_width(shape);
	default: return vector_width(shape);
	}
}

/* cmpxchg, cmpxchg8b and 16b, maskmov and its kind, compress and scatter. */
static bool writes_perhaps(const struct x86_shape *shape)
{
	uint8_t opcode = shape->opcode;

	if (shape->map == SHAPE_MAP_0F && !shape->vex)
		return opcode == 0xb0 || opcode == 0xb1 || (opcode == 0xc7 && reg_of(shape) == 1);
	if (shape->map != SHAPE_MAP_0F38 || !shape->vex)
		return false;
	return opcode == 0x2e || opcode == 0x2f || opcode == 0x8e || opcode == 0x8a || opcode == 0x8b ||
	       opcode == 0x63 || (opcode >= 0xa0 && opcode <= 0xa3);
}

void x86_access_classify(struct x86_shape *shape)
{
	shape->all.access = access_of(shape);
	if ((shape->all.access & WRITE) && writes_perhaps(shape))
		shape->all.access |= SHAPE_PERHAPS;
	shape->all.width = width_of(shape);
	if (shape->map == SHAPE_MAP_0F && !shape->vex) {
		uint8_t opcode = shape->opcode;

		shape->all.indexes_bits = opcode == 0xa3 || opcode == 0xab || opcode == 0xb3 || opcode == 0xbb;
	}
}
