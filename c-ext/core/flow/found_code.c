/* SPDX-License-Identifier: MIT */
#include "flow/found_code.h"

const struct cfg_code *code_part(const struct cfg_input *input, uint64_t address)
{
	for (size_t i = 0; i < input->code_count; i++)
		if (address - input->code[i].address < input->code[i].size)
			return &input->code[i];
	return NULL;
}

uint32_t code_at(const struct code *code, const struct cfg_input *input, uint64_t address)
{
	const struct cfg_code *part = code_part(input, address);
	const uint32_t *index = part ? code->index[part - input->code] : NULL;

	return index ? index[address - part->address] - 1 : CFG_NONE;
}
