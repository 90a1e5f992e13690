/* SPDX-License-Identifier: MIT */
#include "relay/guest_registers.h"

#include <stdlib.h>
#include <string.h>

void registers_clear(struct registers *registers)
{
	free(registers->bytes);
	*registers = (struct registers){0};
}

void registers_map(const struct arch *arch, const struct target *target, struct register_map *ret)
{
	ret->arch = arch;
	ret->pc = target_find(target, arch->pc);
	ret->flags = target_find(target, arch->flags_register);
	ret->mode = target_find(target, arch->mode);
	ret->privilege = target_find(target, arch->privilege);
	for (size_t i = 0; i < arch->general_count; i++)
		ret->general[i] = target_find(target, arch->general[i]);
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
	for (size_t i = 0; i < map->arch->general_count; i++)
		if (!is_there(map->general[i], registers, 64))
			return false;
	return true;
}

bool registers_in_mode(const struct register_map *map, const struct registers *registers)
{
	return !map->mode || registers_value(map->mode, registers) & map->arch->mode_bit;
}

bool registers_same_general(const struct register_map *map, const struct registers *a, const struct registers *b)
{
	if (!registers_known(map, a) || !registers_known(map, b))
		return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
	for (size_t i = 0; i < map->arch->general_count; i++)
		if (registers_value(map->general[i], a) != registers_value(map->general[i], b))
			return false;
	return true;
}
