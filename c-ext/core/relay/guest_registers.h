/* SPDX-License-Identifier: MIT */
/* A stopped thread's registers, as the stub gave them, and which of them are which. */
#ifndef CLOCKSCOPE_GUEST_REGISTERS_H
#define CLOCKSCOPE_GUEST_REGISTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/emulate.h"
#include "rsp/description.h"

/* The reply to `g`. */
struct registers {
	uint8_t *bytes;
	size_t size;
	uint64_t pc;
};

void registers_clear(struct registers *registers);

/* The registers that an emulated instruction may use; NULL where the stub has no such register. */
struct register_map {
	const struct target_register *pc;
	const struct target_register *flags;
	const struct target_register *efer;
	const struct target_register *cs;
	const struct target_register *gpr[EMULATE_REGISTERS];
};

void registers_map(const struct target *target, struct register_map *ret);

/* 0 where there is no such register. */
uint64_t registers_value(const struct target_register *reg, const struct registers *registers);

/* Whether the registers are those of a 64-bit x86, as far as writing them needs it. */
bool registers_known(const struct register_map *map, const struct registers *registers);

/* Before long mode the same bytes are other instructions. A stub that does not tell EFER (Firecracker,
 * gdbserver) has a guest or a program that begins in it. */
bool registers_in_long_mode(const struct register_map *map, const struct registers *registers);

/* Whether the general registers are the same; all of them where they are not known. */
bool registers_same_general(const struct register_map *map, const struct registers *a, const struct registers *b);

#endif
