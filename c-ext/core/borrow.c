/* SPDX-License-Identifier: MIT */
#include "borrow.h"

#include <string.h>

#include "relay_internal.h"

/* QEMU may end a step before it has executed anything, when the local APIC wants to be polled. */
#define STEPS_MAX 4

static const uint8_t opcodes[][2] = {
	[BORROW_RDTSC] = {0x0f, 0x31},
	[BORROW_CPUID] = {0x0f, 0xa2},
	[BORROW_RDMSR] = {0x0f, 0x32},
};

/* The registers that a borrowed instruction changes, one by one. RIP comes first: a stub that refuses to write it is
 * then left untouched. */
static struct cs_error *write_some(struct relay *relay, struct registers *registers)
{
	static const enum emulate_register changed[] = {EMULATE_RAX, EMULATE_RBX, EMULATE_RCX, EMULATE_RDX};

	CS_TRY(step_write_register(relay, relay->stop.thread, relay->map.pc, registers->pc, registers));
	for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
		const struct target_register *reg = relay->map.gpr[changed[i]];
		uint64_t value = target_value(reg, registers->bytes, registers->size);

		CS_TRY(step_write_register(relay, relay->stop.thread, reg, value, registers));
	}
	return NULL;
}

/* All registers by one `G`, as `g` gave them, where the stub takes so long a packet. */
static struct cs_error *write_registers(struct relay *relay, struct registers *registers)
{
	FREE char *hex = malloc(2 * registers->size + 1);

	if (2 * registers->size + 1 > relay->stub->packet_size)
		return write_some(relay, registers);
	if (!hex)
		return &cs_error_no_memory;
	packet_hex(registers->bytes, registers->size, hex);
	return stub_command(relay->stub, "G%s", hex);
}

static struct cs_error *copy_registers(const struct registers *from, struct registers *to)
{
	*to = *from;
	to->bytes = malloc(from->size);
	if (!to->bytes)
		return &cs_error_no_memory;
	memcpy(to->bytes, from->bytes, from->size);
	return NULL;
}

static void put(struct registers *registers, const struct target_register *reg, uint64_t value)
{
	memcpy(registers->bytes + reg->offset, &value, reg->bits / 8);
}

static bool is_privileged(const struct relay *relay, const struct registers *registers)
{
	const struct target_register *cs = relay->map.cs;

	return !cs || !(target_value(cs, registers->bytes, registers->size) & 3);
}

/* A program may not execute the kernel's text; it would fault. Kernels under Xen are unprivileged too, but stand in the
 * upper half of the addresses. */
static struct cs_error *check_privilege(struct relay *relay, enum borrow_instruction instruction,
					const struct registers *registers)
{
	if (is_privileged(relay, registers))
		return NULL;
	if (!(registers->pc >> 63))
		return cs_error_create(CS_ERROR_REFUSED, "a program runs in the guest, not its kernel");
	if (instruction == BORROW_RDMSR)
		return cs_error_create(CS_ERROR_REFUSED,
				       "the guest's kernel runs unprivileged: its hypervisor reads MSRs for it");
	return NULL;
}

static struct cs_error *check(struct relay *relay, enum borrow_instruction instruction, uint64_t address,
			      const struct registers *registers)
{
	uint8_t bytes[2];

	if (relay->replay)
		return cs_error_create(CS_ERROR_STATE, "in a replay nothing can be executed beside what was recorded");
	if (!step_known_registers(&relay->map, registers))
		return cs_error_create(CS_ERROR_REFUSED, "%s: the stub's registers are not those of a 64-bit x86",
				       relay->stub->address);
	CS_TRY(check_privilege(relay, instruction, registers));
	CS_TRY(stub_read(relay->stub, address, bytes, sizeof(bytes)));
	if (memcmp(bytes, opcodes[instruction], sizeof(bytes)) != 0)
		return cs_error_create(CS_ERROR_REFUSED,
				       "the guest's memory at 0x%llx does not hold the instruction to borrow",
				       (unsigned long long)address);
	return NULL;
}

static uint32_t low_half(const struct relay *relay, enum emulate_register which, const struct registers *registers)
{
	return (uint32_t)target_value(relay->map.gpr[which], registers->bytes, registers->size);
}

/* The registers are the borrower's now: whatever happens, the guest's own go back. */
static struct cs_error *run(struct relay *relay, struct registers *working, struct borrow_result *ret)
{
	CLEANUP(stub_reply_clear) struct stub_reply reply = {0};
	const char *thread = relay->stop.thread;
	uint64_t address = working->pc;
	bool foreign = false;

	CS_TRY(write_registers(relay, working));
	for (int i = 0; i < STEPS_MAX && !foreign && working->pc == address; i++)
		CS_TRY(step_and_look(relay, thread, working, &reply, &foreign));
	if (foreign || working->pc != address + 2)
		return cs_error_create(CS_ERROR_REFUSED, "the borrowed instruction at 0x%llx did not complete",
				       (unsigned long long)address);
	*ret = (struct borrow_result){
		.eax = low_half(relay, EMULATE_RAX, working),
		.ebx = low_half(relay, EMULATE_RBX, working),
		.ecx = low_half(relay, EMULATE_RCX, working),
		.edx = low_half(relay, EMULATE_RDX, working),
	};
	return NULL;
}

struct cs_error *relay_borrow(struct relay *relay, enum borrow_instruction instruction, uint64_t address, uint32_t eax,
			      uint32_t ecx, struct borrow_result *ret)
{
	CLEANUP(registers_clear) struct registers saved = {0};
	CLEANUP(registers_clear) struct registers working = {0};
	struct cs_error *error;
	struct cs_error *restored;

	CS_TRY(step_read_registers(relay, relay->stop.thread, &saved));
	CS_TRY(check(relay, instruction, address, &saved));
	CS_TRY(copy_registers(&saved, &working));
	put(&working, relay->map.gpr[EMULATE_RAX], eax);
	put(&working, relay->map.gpr[EMULATE_RCX], ecx);
	put(&working, relay->map.pc, address);
	working.pc = address;
	error = run(relay, &working, ret);
	restored = step_select_general(relay, relay->stop.thread);
	if (!restored)
		restored = write_registers(relay, &saved);
	if (!error)
		return restored;
	cs_error_destroy(restored);
	return error;
}

static uint64_t ticks_of(const struct borrow_result *result)
{
	return (uint64_t)result->edx << 32 | result->eax;
}

struct cs_error *relay_measure_tsc(struct relay *relay, uint64_t rdtsc_address, unsigned wait_ms, uint64_t *ticks,
				   uint64_t *elapsed_ns)
{
	struct timespec pause = {.tv_sec = wait_ms / 1000, .tv_nsec = (long)(wait_ms % 1000) * 1000000};
	struct borrow_result first;
	struct borrow_result second;
	uint64_t began = util_now_ns();

	CS_TRY(relay_borrow(relay, BORROW_RDTSC, rdtsc_address, 0, 0, &first));
	nanosleep(&pause, NULL);
	CS_TRY(relay_borrow(relay, BORROW_RDTSC, rdtsc_address, 0, 0, &second));
	*elapsed_ns = util_now_ns() - began;
	*ticks = ticks_of(&second) - ticks_of(&first);
	return NULL;
}
