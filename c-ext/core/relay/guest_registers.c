/* SPDX-License-Identifier: MIT */
#include "relay/guest_registers.h"

#include <stdlib.h>
#include <string.h>

#define EFER_LMA 0x400u /* Intel SDM vol. 3, 2.2.1 */

void registers_clear(struct registers *registers)
{
	free(registers->bytes);
	*registers = (struct registers){0};
}

void registers_map(const struct target *target, struct register_map *ret)
{
	static const char *const names[EMULATE_REGISTERS] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15",
	};

	ret->pc = target_find(target, "rip");
	ret->flags = target_find(target, "eflags");
	ret->efer = target_find(target, "efer");
	ret->cs = target_find(target, "cs");
	for (size_t i = 0; i < EMULATE_REGISTERS; i++)
		ret->gpr[i] = target_find(target, names[i]);
}

uint64_t registers_value(const struct target_register *reg, const struct registers *registers)
{
	return reg ? target_value(reg, registers->bytes, registers->size) : 0;
}

static bool is_there(const struct target_register *reg, const struct registers *registers, uint32_t bits)
{
	return reg && reg->bits == bits && reg->offset + bits / 8 <= registers->size;
}

bool registers_known(const struct register_map *map, const struct registers *registers)
{
	if (!is_there(map->pc, registers, 64) ||
	    (!is_there(map->flags, registers, 32) && !is_there(map->flags, registers, 64)))
		return false;
	for (size_t i = 0; i < EMULATE_REGISTERS; i++)
		if (!is_there(map->gpr[i], registers, 64))
			return false;
	return true;
}

bool registers_in_long_mode(const struct register_map *map, const struct registers *registers)
{
	return !map->efer || registers_value(map->efer, registers) & EFER_LMA;
}

bool registers_same_general(const struct register_map *map, const struct registers *a, const struct registers *b)
{
	if (!registers_known(map, a) || !registers_known(map, b))
		return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
	for (size_t i = 0; i < EMULATE_REGISTERS; i++)
		if (registers_value(map->gpr[i], a) != registers_value(map->gpr[i], b))
			return false;
	return true;
}
