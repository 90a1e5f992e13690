/* SPDX-License-Identifier: MIT */
#include "arch/shape.h"

static int64_t read_signed(const uint8_t *bytes, size_t size)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	if (size && size < 8 && value >> (8 * size - 1))
		value |= UINT64_MAX << (8 * size);
	return (int64_t)value;
}

int64_t shape_displacement(const struct shape *shape, const uint8_t *bytes)
{
	return read_signed(bytes + shape->displacement_at, shape->displacement_size);
}

int64_t shape_immediate(const struct shape *shape, const uint8_t *bytes)
{
	return read_signed(bytes + shape->immediate_at, shape->immediate_size);
}
