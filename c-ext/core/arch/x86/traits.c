/* SPDX-License-Identifier: MIT */
/* What an instruction is beside its kind. Encodings: Intel SDM vol. 2. */
#include "arch/x86/x86_internal.h"

#define OPCODE_STI 0xfb
#define OPCODE_IN_EAX 0xed /* in (%dx),%eax */

static bool is_prefix(uint8_t byte)
{
	return byte == 0x66 || byte == 0x67 || (byte & 0xf0) == 0x40 || (byte & 0xe7) == 0x26 || byte == 0x64 ||
	       byte == 0x65 || byte == 0xf2 || byte == 0xf3;
}

/* A repeated string instruction: its registers say how far it is. */
static bool repeats(const struct insn *insn)
{
	uint8_t opcode = insn->bytes[insn->length - 1];
	bool repeated = false;

	for (size_t i = 0; i + 1 < insn->length; i++) {
		if (!is_prefix(insn->bytes[i]))
			return false;
		repeated |= insn->bytes[i] == 0xf2 || insn->bytes[i] == 0xf3;
	}
	/* ins, outs, movs, cmps, stos, lods, scas */
	return repeated && ((opcode & 0xfc) == 0x6c || (opcode >= 0xa4 && opcode <= 0xaf && (opcode & 0xfe) != 0xa8));
}

void x86_set_traits(struct insn *insn)
{
	insn->asserts = insn->kind == INSN_TRAP && insn->bytes[0] == 0x0f; /* ud0, ud1, ud2; not int3 */
	insn->defers = insn->bytes[0] == OPCODE_STI;
	insn->repeats = repeats(insn);
	/* A PIT's ports are constants, and ACPI's timer is read by four bytes. */
	insn->wide_port = insn->kind == INSN_PORT_READ && insn->bytes[0] == OPCODE_IN_EAX;
}

bool x86_may_defer(uint8_t last)
{
	return last == OPCODE_STI;
}

/* pause F3 90, mwait 0F 01 C9, umwait F2 0F AE /6, tpause 66 0F AE /6; mwaitx 0F 01 FB (AMD APM vol. 3). Capstone 4
 * knows neither umwait nor tpause. */
bool x86_is_pause(const struct insn *insn)
{
	const uint8_t *bytes = insn->bytes;

	if (insn->kind == INSN_HALT)
		return true;
	if (insn->length == 2)
		return bytes[0] == 0xf3 && bytes[1] == 0x90;
	if (insn->length == 3)
		return bytes[0] == 0x0f && bytes[1] == 0x01 && (bytes[2] == 0xc9 || bytes[2] == 0xfb);
	if (insn->length < 4 || (bytes[0] != 0xf2 && bytes[0] != 0x66))
		return false;
	bytes += (bytes[1] & 0xf0) == 0x40; /* REX */
	return bytes[1] == 0x0f && bytes[2] == 0xae && (bytes[3] & 0xf8) == 0xf0;
}
