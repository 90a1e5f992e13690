/* SPDX-License-Identifier: MIT */
/* The x86-64 architecture: Intel SDM, AMD APM, System V ABI's x86-64 supplement (psABI). */
#include <elf.h>

#include "arch/x86/x86_internal.h"

static const char *const general[X86_REGISTERS] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};

/* gdb/features/i386/64bit-core.xml */
static const struct arch_register assumed[] = {
	{"rax", 64}, {"rbx", 64},    {"rcx", 64}, {"rdx", 64}, {"rsi", 64}, {"rdi", 64}, {"rbp", 64}, {"rsp", 64},
	{"r8", 64},  {"r9", 64},     {"r10", 64}, {"r11", 64}, {"r12", 64}, {"r13", 64}, {"r14", 64}, {"r15", 64},
	{"rip", 64}, {"eflags", 32}, {"cs", 32},  {"ss", 32},  {"ds", 32},  {"es", 32},  {"fs", 32},  {"gs", 32},
	{0},
};

/* psABI, figure 3.36. */
static const uint8_t dwarf[X86_REGISTERS] = {0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15};

static const struct arch_loan loans[] = {
	{"rdtsc", {0x0f, 0x31}, 2, NULL},
	{"cpuid", {0x0f, 0xa2}, 2, NULL},
	{"rdmsr", {0x0f, 0x32}, 2, "its hypervisor reads MSRs for it"},
	{0},
};

/* EDX:EAX */
static uint64_t ticks_of(const uint32_t results[ARCH_LOAN_RESULTS])
{
	return (uint64_t)results[3] << 32 | results[0];
}

const struct arch arch_x86_64 = {
	.name = "x86-64",
	.target = "i386:x",
	.elf_machine = EM_X86_64,

	.decoder_create = x86_decoder_create,
	.decoder_destroy = x86_decoder_destroy,
	.decode = x86_decode,
	.text = x86_text,
	.condition_name = x86_condition_name,
	.kind_name = x86_kind_name,
	.is_pause = x86_is_pause,
	.operands_of = x86_operands_of,
	.operands_list = x86_operands_list,

	.written_by = x86_written_by,
	.shape = x86_shape,
	.may_be_per_cpu = x86_may_be_per_cpu,
	.widest_operand = 576, /* xsave's */

	.need = x86_need,
	.condition = x86_condition,
	.flags = x86_flags,
	.run = x86_run,

	.xml_registers = "i386",
	.assumed = assumed,
	.general = general,
	.general_count = X86_REGISTERS,
	.dwarf = dwarf,
	.pc = "rip",
	.flags_register = "eflags",
	.cpu_base = "gs_base",
	.mode = "efer", /* LMA: SDM vol. 3, 2.2.1. Before long mode the same bytes are other instructions. */
	.mode_bit = 0x400,
	.privilege = "cs",
	.privilege_bits = 3,
	.interrupts_flag = X86_IF,
	.stepping_flag = X86_TF,

	.stack_pointer = X86_RSP,
	.result = X86_RAX,
	/* psABI, 3.2.1 "Registers": all but RBX, RSP, RBP, R12 to R15. */
	.call_changes = 1u << X86_RAX | 1u << X86_RCX | 1u << X86_RDX | 1u << X86_RSI | 1u << X86_RDI | 1u << 8 |
			1u << 9 | 1u << 10 | 1u << 11,
	.link = INSN_NO_REGISTER,
	.return_pops = 8,

	.moved_back = x86_moved_back,

	.may_defer = x86_may_defer,
	.loans = loans,
	.loan_given = {X86_RAX, X86_RCX},
	.loan_results = {X86_RAX, X86_RBX, X86_RCX, X86_RDX},
	.clock_loan = "rdtsc",
	.ticks_of = ticks_of,

	.site_tables = x86_site_tables,
	.thunks = {"__x86_return_thunk", "__x86_indirect_thunk_rax", "__x86_indirect_thunk_r15", 32},
	.breakpoint = 0xcc, /* int3 */
};
