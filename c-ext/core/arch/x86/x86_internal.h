/* SPDX-License-Identifier: MIT */
/* What the files of this folder share. */
#ifndef CLOCKSCOPE_X86_INTERNAL_H
#define CLOCKSCOPE_X86_INTERNAL_H

#include <capstone/capstone.h>

#include "arch/arch.h"
#include "arch/x86/registers.h"

/* `detail` of instructions that decide by RCX. */
enum x86_count {
	X86_RCXZ,
	X86_ECXZ,
	X86_LOOP,
	X86_LOOPE,
	X86_LOOPNE,
	X86_NARROW = 0x80, /* added: it counts in ECX, not RCX (address-size prefix) */
};

struct x86_decoder {
	struct insn_decoder common;
	csh handle;       /* x86-64, AT&T syntax, with details */
	cs_insn *scratch; /* the instruction decoded last */
};

static inline struct x86_decoder *x86_decoder(struct insn_decoder *decoder)
{
	return (struct x86_decoder *)decoder;
}

extern const struct arch arch_x86_64;

/* insn.c */
struct cs_error *x86_decoder_create(struct insn_decoder **ret);
void x86_decoder_destroy(struct insn_decoder *decoder);
bool x86_decode(struct insn_decoder *decoder, const uint8_t *bytes, size_t size, uint64_t address, struct insn *ret);
void x86_text(struct insn_decoder *decoder, const struct insn *insn, char *text, size_t size);
const char *x86_condition_name(const struct insn *insn);
const char *x86_kind_name(enum insn_kind kind);

/* traits.c: what an instruction is beside its kind, seen from its bytes. */
void x86_set_traits(struct insn *insn);
bool x86_may_defer(uint8_t last);
bool x86_is_pause(const struct insn *insn);

/* operands.c */
void x86_operands_of(struct insn_decoder *decoder, const struct insn *insn, struct operands *ret);
size_t x86_operands_list(struct insn_decoder *decoder, const struct insn *insn, struct operand *ret);

/* emulate.c
 *
 * Emulated are jcc, jrcxz, jecxz, loop*, jmp, nop, endbr64, push r64, near ret, mov between registers, mov of a
 * constant, xor of a register with itself. Facts: Intel SDM vol. 1, appendix B (conditions); vol. 2 for each
 * instruction. */
enum emulate_need x86_need(const struct insn *insn);
bool x86_condition(const struct insn *insn, uint64_t flags, uint64_t rcx);
bool x86_flags(const struct insn *insn, bool holds, uint64_t flags, uint64_t *ret);
void x86_run(const struct insn *insn, struct emulate_state *state, uint64_t loaded, struct emulate_effect *ret);

/* moved_fields.c */
void x86_moved_back(const struct placement *placement, const uint8_t *original, uint8_t *bytes, size_t size);

/* shape_decode.c: see arch.h. */
bool x86_shape(const uint8_t *bytes, size_t size, struct shape *ret);
bool x86_may_be_per_cpu(const uint8_t *bytes, size_t offset);

/* written.c */
bool x86_written_by(struct insn_decoder *decoder, const struct insn *insn, struct written *ret);

/* patched.c */
extern const struct site_table x86_site_tables[];

#endif
