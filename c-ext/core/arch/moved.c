/* SPDX-License-Identifier: MIT */
#include "arch/moved.h"

#include <string.h>

#include "arch/arch.h"

void moved_back(const struct arch *arch, const struct placement *placement, const uint8_t *original, uint8_t *bytes,
		size_t size)
{
	arch->moved_back(placement, original, bytes, size);
}

bool moved_holds(const struct placement *placement, const struct insn *insn, const uint8_t *bytes)
{
	uint8_t there[INSN_MAX_LENGTH];

	memcpy(there, bytes, insn->length);
	moved_back(insn->arch, placement, insn->bytes, there, insn->length);
	return memcmp(there, insn->bytes, insn->length) == 0;
}

struct insn moved_insn(const struct placement *placement, const struct insn *insn, const uint8_t *bytes)
{
	struct insn moved = *insn;

	moved.address = placement_run(placement, (struct link_address){insn->address}).value;
	if (insn->target) /* counts from the instruction */
		moved.target = insn->target + (moved.address - insn->address);
	memcpy(moved.bytes, bytes, insn->length);
	return moved;
}
