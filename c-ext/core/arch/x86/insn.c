/* SPDX-License-Identifier: MIT */
#include "arch/x86/x86_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"

#if CS_API_MAJOR >= 5
#define X86_INS_UD2B X86_INS_UD1 /* what it was called before */
#endif

/* What capstone's instruction ids mean to the flow of control. Jumps and calls through registers or memory
 * share the id of the direct ones; their operand tells. */
struct class
{
	enum insn_kind kind;
	enum insn_condition condition;
	uint8_t detail;
};

#define CONDITIONAL(NAME, CONDITION)                                                                                   \
	[X86_INS_J##NAME] = {INSN_BRANCH, CONDITION, 0}, [X86_INS_CMOV##NAME] = {INSN_SELECT, CONDITION, 0},           \
	[X86_INS_SET##NAME] = {INSN_TRUTH, CONDITION, 0}

static const struct class classes[X86_INS_ENDING] = {
	CONDITIONAL(O, INSN_OVERFLOW),
	CONDITIONAL(NO, INSN_NOT_OVERFLOW),
	CONDITIONAL(B, INSN_BELOW),
	CONDITIONAL(AE, INSN_NOT_BELOW),
	CONDITIONAL(E, INSN_EQUAL),
	CONDITIONAL(NE, INSN_NOT_EQUAL),
	CONDITIONAL(BE, INSN_NOT_ABOVE),
	CONDITIONAL(A, INSN_ABOVE),
	CONDITIONAL(S, INSN_NEGATIVE),
	CONDITIONAL(NS, INSN_NOT_NEGATIVE),
	CONDITIONAL(P, INSN_EVEN),
	CONDITIONAL(NP, INSN_ODD),
	CONDITIONAL(L, INSN_LESS),
	CONDITIONAL(GE, INSN_NOT_LESS),
	CONDITIONAL(LE, INSN_NOT_GREATER),
	CONDITIONAL(G, INSN_GREATER),
	[X86_INS_JRCXZ] = {INSN_BRANCH, INSN_BY_REGISTER, X86_RCXZ},
	[X86_INS_JECXZ] = {INSN_BRANCH, INSN_BY_REGISTER, X86_ECXZ},
	[X86_INS_LOOP] = {INSN_BRANCH, INSN_BY_REGISTER, X86_LOOP},
	[X86_INS_LOOPE] = {INSN_BRANCH, INSN_BY_REGISTER, X86_LOOPE},
	[X86_INS_LOOPNE] = {INSN_BRANCH, INSN_BY_REGISTER, X86_LOOPNE},
	[X86_INS_NOP] = {INSN_NOP, INSN_ALWAYS, 0},
	[X86_INS_ENDBR32] = {INSN_NOP, INSN_ALWAYS, 0},
	[X86_INS_ENDBR64] = {INSN_NOP, INSN_ALWAYS, 0},
	[X86_INS_JMP] = {INSN_JUMP, INSN_ALWAYS, 0},
	[X86_INS_LJMP] = {INSN_JUMP_INDIRECT, INSN_ALWAYS, 0},
	[X86_INS_CALL] = {INSN_CALL, INSN_ALWAYS, 0},
	[X86_INS_LCALL] = {INSN_CALL_INDIRECT, INSN_ALWAYS, 0},
	[X86_INS_RET] = {INSN_RETURN, INSN_ALWAYS, 0},
	[X86_INS_RETF] = {INSN_RETURN, INSN_ALWAYS, 0},
	[X86_INS_RETFQ] = {INSN_RETURN, INSN_ALWAYS, 0},
	[X86_INS_IRET] = {INSN_RETURN, INSN_ALWAYS, 0},
	[X86_INS_IRETD] = {INSN_RETURN, INSN_ALWAYS, 0},
	[X86_INS_IRETQ] = {INSN_RETURN, INSN_ALWAYS, 0},
	[X86_INS_SYSRET] = {INSN_RETURN, INSN_ALWAYS, 0},
	[X86_INS_SYSEXIT] = {INSN_RETURN, INSN_ALWAYS, 0},
#if CS_API_MAJOR >= 5
	[X86_INS_SYSRETQ] = {INSN_RETURN, INSN_ALWAYS, 0}, /* ids of their own */
	[X86_INS_SYSEXITQ] = {INSN_RETURN, INSN_ALWAYS, 0},
#endif
	[X86_INS_UD0] = {INSN_TRAP, INSN_ALWAYS, 0},
	[X86_INS_UD2] = {INSN_TRAP, INSN_ALWAYS, 0},
	[X86_INS_UD2B] = {INSN_TRAP, INSN_ALWAYS, 0},
	[X86_INS_INT3] = {INSN_TRAP, INSN_ALWAYS, 0},
	[X86_INS_HLT] = {INSN_HALT, INSN_ALWAYS, 0},
	[X86_INS_RDTSC] = {INSN_CLOCK, INSN_ALWAYS, 0},
	[X86_INS_RDTSCP] = {INSN_CLOCK, INSN_ALWAYS, 0},
	[X86_INS_RDPMC] = {INSN_COUNTER, INSN_ALWAYS, 0},
	[X86_INS_IN] = {INSN_PORT_READ, INSN_ALWAYS, 0},
	[X86_INS_INSB] = {INSN_PORT_READ, INSN_ALWAYS, 0},
	[X86_INS_INSW] = {INSN_PORT_READ, INSN_ALWAYS, 0},
	[X86_INS_INSD] = {INSN_PORT_READ, INSN_ALWAYS, 0},
	[X86_INS_OUT] = {INSN_PORT_WRITE, INSN_ALWAYS, 0},
	[X86_INS_OUTSB] = {INSN_PORT_WRITE, INSN_ALWAYS, 0},
	[X86_INS_OUTSW] = {INSN_PORT_WRITE, INSN_ALWAYS, 0},
	[X86_INS_OUTSD] = {INSN_PORT_WRITE, INSN_ALWAYS, 0},
	[X86_INS_RDMSR] = {INSN_SYSTEM_READ, INSN_ALWAYS, 0},
	[X86_INS_WRMSR] = {INSN_SYSTEM_WRITE, INSN_ALWAYS, 0},
	[X86_INS_CPUID] = {INSN_IDENTIFY, INSN_ALWAYS, 0},
};

struct cs_error *x86_decoder_create(struct insn_decoder **ret)
{
	struct x86_decoder *decoder = calloc(1, sizeof(*decoder));

	if (!decoder)
		return &cs_error_no_memory;
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &decoder->handle) != CS_ERR_OK ||
	    cs_option(decoder->handle, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT) != CS_ERR_OK ||
	    cs_option(decoder->handle, CS_OPT_DETAIL, CS_OPT_ON) != CS_ERR_OK ||
	    !(decoder->scratch = cs_malloc(decoder->handle))) {
		x86_decoder_destroy(&decoder->common);
		return cs_error_create(CS_ERROR_SYSTEM,
				       "capstone cannot decode x86-64: is libcapstone built with x86?");
	}
	*ret = &decoder->common;
	return NULL;
}

void x86_decoder_destroy(struct insn_decoder *common)
{
	struct x86_decoder *decoder = x86_decoder(common);

	if (decoder->scratch)
		cs_free(decoder->scratch, 1);
	if (decoder->handle)
		cs_close(&decoder->handle);
	free(decoder);
}

/* Length of ModRM, SIB and displacement, or 0 where they do not fit into `size` bytes. */
static size_t modrm_length(const uint8_t *bytes, size_t size)
{
	size_t length = 1;
	uint8_t mod, rm;

	if (!size)
		return 0;
	mod = bytes[0] >> 6;
	rm = bytes[0] & 7;
	if (mod != 3 && rm == 4) {
		if (size < 2)
			return 0;
		length++;
		rm = mod == 0 && (bytes[1] & 7) == 5 ? 5 : 4;
	}
	if (mod == 1)
		length += 1;
	else if (mod == 2 || (mod == 0 && rm == 5))
		length += 4;
	return length <= size ? length : 0;
}

/* The opcode maps of instructions newer than capstone 4: 0F 01 and 0F AE (serialize, rdpkru, tpause …), 0F B9
 * (ud1), 0F 38, 0F 3A, VEX and EVEX. None of them goes elsewhere, so their length is all that is needed.
 * Returns the offset of the ModRM byte, 0 for any other opcode. */
static size_t newer_opcode(const uint8_t *bytes, size_t size, bool *immediate_ret)
{
	size_t at = 0;
	uint8_t map = 0;

	while (at < size && (bytes[at] == 0x66 || bytes[at] == 0xf2 || bytes[at] == 0xf3 || (bytes[at] & 0xf0) == 0x40))
		at++;
	if (size - at < 3)
		return 0;
	if (bytes[at] == 0x0f && (bytes[at + 1] == 0x38 || bytes[at + 1] == 0x3a)) {
		*immediate_ret = bytes[at + 1] == 0x3a;
		return at + 3;
	}
	if (bytes[at] == 0x0f) {
		*immediate_ret = false;
		return bytes[at + 1] == 0x01 || bytes[at + 1] == 0xae || bytes[at + 1] == 0xb9 ? at + 2 : 0;
	}
	if (bytes[at] == 0xc4)
		map = bytes[at + 1] & 0x1f;
	else if (bytes[at] == 0x62)
		map = bytes[at + 1] & 0x07;
	at += bytes[at] == 0x62 ? 4 : 3;
	if (map < 1 || map > 3 || at >= size)
		return 0;
	*immediate_ret = map == 3 || (map == 1 && ((bytes[at] & 0xfc) == 0x70 || bytes[at] == 0xc2));
	return at + 1;
}

/* Length of an instruction that capstone does not know, or 0. */
static size_t newer_length(const uint8_t *bytes, size_t size)
{
	bool immediate = false;
	size_t at = newer_opcode(bytes, size, &immediate);
	size_t operands = at && at < size ? modrm_length(bytes + at, size - at) : 0;
	size_t length = at + operands + immediate;

	return operands && length <= size && length <= INSN_MAX_LENGTH ? length : 0;
}

static void set_operand(const cs_x86 *detail, struct insn *insn)
{
	const cs_x86_op *first = &detail->operands[0];
	bool constant = detail->op_count == 1 && first->type == X86_OP_IMM;

	if (insn->kind == INSN_BRANCH || insn->kind == INSN_JUMP || insn->kind == INSN_CALL) {
		if (constant)
			insn->target = (uint64_t)first->imm;
		else
			insn->kind = insn->kind == INSN_CALL ? INSN_CALL_INDIRECT : INSN_JUMP_INDIRECT;
	} else if (insn->kind == INSN_PORT_READ || insn->kind == INSN_PORT_WRITE) {
		insn->port = INSN_PORT_REGISTER;
		for (size_t i = 0; i < detail->op_count; i++)
			if (detail->operands[i].type == X86_OP_IMM)
				insn->port = (int)(detail->operands[i].imm & 0xff);
	}
}

/* The forms that compilers use; whatever else changes RSP makes it unknown. Calls come back with what they found, and
 * after a return there is nothing to know. */
static int32_t stack_change(const cs_insn *decoded)
{
	const cs_x86 *detail = &decoded->detail->x86;
	const cs_x86_op *source = &detail->operands[0];
	const cs_x86_op *target = &detail->operands[detail->op_count ? detail->op_count - 1 : 0];
	bool constant = detail->op_count == 2 && source->type == X86_OP_IMM && source->imm == (int32_t)source->imm;

	if (decoded->id == X86_INS_PUSH || decoded->id == X86_INS_PUSHFQ)
		return decoded->bytes[0] == 0x66 ? INSN_STACK_UNKNOWN : -8;
	if (decoded->id == X86_INS_POPFQ)
		return 8;
	if (decoded->id == X86_INS_POP &&
	    !(detail->op_count && target->type == X86_OP_REG && target->reg == X86_REG_RSP))
		return decoded->bytes[0] == 0x66 ? INSN_STACK_UNKNOWN : 8;
	if (decoded->id == X86_INS_LEAVE || decoded->id == X86_INS_ENTER)
		return INSN_STACK_UNKNOWN;
	if (!detail->op_count || target->type != X86_OP_REG || target->reg != X86_REG_RSP ||
	    !(target->access & CS_AC_WRITE))
		return 0;
	if (decoded->id == X86_INS_ADD && constant)
		return (int32_t)source->imm;
	if (decoded->id == X86_INS_SUB && constant && source->imm != INT32_MIN)
		return -(int32_t)source->imm;
	if (decoded->id == X86_INS_LEA && source->mem.base == X86_REG_RSP && source->mem.index == X86_REG_INVALID &&
	    source->mem.disp == (int32_t)source->mem.disp)
		return (int32_t)source->mem.disp;
	return INSN_STACK_UNKNOWN;
}

#define ARITHMETIC(WHAT)                                                                                               \
	(X86_EFLAGS_##WHAT##_OF | X86_EFLAGS_##WHAT##_SF | X86_EFLAGS_##WHAT##_ZF | X86_EFLAGS_##WHAT##_AF |           \
	 X86_EFLAGS_##WHAT##_PF | X86_EFLAGS_##WHAT##_CF)

/* Reads that capstone 4 leaves out of its details. */
static bool reads_flags_untold(unsigned id)
{
	return id == X86_INS_ADC || id == X86_INS_SBB || id == X86_INS_ADCX || id == X86_INS_ADOX ||
	       id == X86_INS_PUSHFQ || id == X86_INS_LAHF || id == X86_INS_LOOPE || id == X86_INS_LOOPNE;
}

/* Writes that capstone 5 leaves out: of test with memory, and of those that version 4 did not know. */
static bool writes_flags_untold(unsigned id)
{
#if CS_API_MAJOR >= 5
	if (id == X86_INS_TPAUSE || id == X86_INS_UMWAIT || id == X86_INS_RSTORSSP || id == X86_INS_CLRSSBSY ||
	    id == X86_INS_PCONFIG || id == X86_INS_ENCLV || id == X86_INS_KTESTB || id == X86_INS_KTESTW ||
	    id == X86_INS_KTESTD || id == X86_INS_KTESTQ)
		return true;
#endif
	return id == X86_INS_TEST;
}

/* Of instructions of the FPU, capstone tells the FPU's flags in the same place; fcomi and its like write both. */
static void set_flags(const struct x86_decoder *decoder, struct insn *insn)
{
	const cs_insn *decoded = decoder->scratch;
	bool fpu = cs_insn_group(decoder->handle, decoded, X86_GRP_FPU);
	uint64_t flags = fpu ? 0 : decoded->detail->x86.eflags;
	uint64_t written = ARITHMETIC(MODIFY) | ARITHMETIC(RESET) | ARITHMETIC(SET) | ARITHMETIC(UNDEFINED);

	insn->reads_flags = (flags & ARITHMETIC(TEST)) || reads_flags_untold(decoded->id);
	insn->writes_flags = (flags & written) || writes_flags_untold(decoded->id) || fpu || insn->kind == INSN_CALL ||
			     insn->kind == INSN_CALL_INDIRECT;
}

static void classify(const struct x86_decoder *decoder, struct insn *insn)
{
	const cs_insn *decoded = decoder->scratch;

	if (decoded->id < X86_INS_ENDING && classes[decoded->id].kind != INSN_OTHER) {
		insn->kind = classes[decoded->id].kind;
		insn->condition = classes[decoded->id].condition;
		insn->detail = classes[decoded->id].detail;
		set_operand(&decoded->detail->x86, insn);
	}
	insn->stack = stack_change(decoded);
	if (insn->condition == INSN_BY_REGISTER) {
		insn->decides = X86_RCX;
		insn->detail |= decoded->detail->x86.addr_size == 4 ? X86_NARROW : 0;
	}
	set_flags(decoder, insn);
}

bool x86_decode(struct insn_decoder *common, const uint8_t *bytes, size_t size, uint64_t address, struct insn *ret)
{
	const struct x86_decoder *decoder = x86_decoder(common);
	const uint8_t *cursor = bytes;
	size_t left = size;
	uint64_t next = address;
	bool known;

	*ret = (struct insn){
		.arch = common->arch,
		.address = address,
		.condition = INSN_ALWAYS,
		.port = INSN_PORT_NONE,
		.decides = INSN_NO_REGISTER,
	};
	known = cs_disasm_iter(decoder->handle, &cursor, &left, &next, decoder->scratch);
	if (known) {
		ret->length = (uint8_t)decoder->scratch->size;
		classify(decoder, ret);
	}
	/* capstone 4 takes ud1 for two bytes: it has operands. */
	if (!known || decoder->scratch->id == X86_INS_UD2B) {
		ret->length = (uint8_t)newer_length(bytes, size < INSN_MAX_LENGTH ? size : INSN_MAX_LENGTH);
		if (!ret->length)
			return false;
		ret->writes_flags = true; /* for all that is known */
	}
	memcpy(ret->bytes, bytes, ret->length);
	x86_set_traits(ret);
	return true;
}

void x86_text(struct insn_decoder *common, const struct insn *insn, char *text, size_t size)
{
	const struct x86_decoder *decoder = x86_decoder(common);
	const uint8_t *cursor = insn->bytes;
	size_t left = insn->length;
	uint64_t address = insn->address;
	size_t used = 0;

	if (cs_disasm_iter(decoder->handle, &cursor, &left, &address, decoder->scratch)) {
		snprintf(text, size, "%s%s%s", decoder->scratch->mnemonic, decoder->scratch->op_str[0] ? " " : "",
			 decoder->scratch->op_str);
		return;
	}
	for (size_t i = 0; i < insn->length && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s0x%02x", i ? ", " : ".byte ", insn->bytes[i]);
}

const char *x86_condition_name(const struct insn *insn)
{
	static const char *const names[] = {
		"o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g",
	};
	static const char *const counts[] = {"rcxz", "ecxz", "loop", "loope", "loopne"};

	if (insn_by_flags(insn->condition))
		return names[insn->condition];
	return insn->condition == INSN_ALWAYS ? "" : counts[insn->detail & ~X86_NARROW];
}

const char *x86_kind_name(enum insn_kind kind)
{
	static const char *const names[] = {
		[INSN_OTHER] = "other",
		[INSN_NOP] = "nop",
		[INSN_BRANCH] = "branch",
		[INSN_JUMP] = "jump",
		[INSN_JUMP_INDIRECT] = "indirect jump",
		[INSN_CALL] = "call",
		[INSN_CALL_INDIRECT] = "indirect call",
		[INSN_RETURN] = "return",
		[INSN_TRAP] = "trap",
		[INSN_HALT] = "halt",
		[INSN_SELECT] = "cmov",
		[INSN_TRUTH] = "setcc",
		[INSN_CLOCK] = "rdtsc",
		[INSN_COUNTER] = "rdpmc",
		[INSN_PORT_READ] = "in",
		[INSN_PORT_WRITE] = "out",
		[INSN_SYSTEM_READ] = "rdmsr",
		[INSN_SYSTEM_WRITE] = "wrmsr",
		[INSN_IDENTIFY] = "cpuid",
	};

	return names[kind];
}
