/* SPDX-License-Identifier: MIT */
/* A stopped thread's registers, as the stub gave them, and which of them are which. */
#ifndef CLOCKSCOPE_GUEST_REGISTERS_H
#define CLOCKSCOPE_GUEST_REGISTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
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
	const struct arch *arch;
	const struct target_register *pc;
	const struct target_register *flags;
	const struct target_register *mode;
	const struct target_register *privilege;
	const struct target_register *general[EMULATE_REGISTERS_MAX];
};

void registers_map(const struct arch *arch, const struct target *target, struct register_map *ret);

/* 0 where there is no such register. */
uint64_t registers_value(const struct target_register *reg, const struct registers *registers);

/* Whether the registers are those of the architecture, as far as writing them needs it. */
bool registers_known(const struct register_map *map, const struct registers *registers);

/* Whether the guest executes the architecture's instructions: before long mode the same bytes are others. A stub that
 * does not tell (Firecracker, gdbserver) has a guest or a program that begins so. */
bool registers_in_mode(const struct register_map *map, const struct registers *registers);

/* Whether the general registers are the same; all of them where they are not known. */
bool registers_same_general(const struct register_map *map, const struct registers *a, const struct registers *b);

#endif
