/* SPDX-License-Identifier: MIT */
#include "arch/machines.h"

#include <elf.h>
#include <string.h>

#include "base/util.h"

const struct arch *machine_of_elf(uint16_t elf_machine)
{
	const struct arch *arch = NULL;

	for (size_t i = 0; (arch = arch_at(i)) && arch->elf_machine != elf_machine; i++)
		;
	return arch;
}

const char *machine_name_of_elf(uint16_t elf_machine)
{
	static const struct {
		uint16_t machine;
		const char *name;
	} names[] = {
		{EM_386, "i386"},
		{EM_X86_64, "x86-64"},
		{EM_AARCH64, "aarch64"},
		{EM_ARM, "arm"},
		{EM_RISCV, "riscv"},
		{EM_PPC, "powerpc"},
		{EM_PPC64, "powerpc64"},
		{EM_S390, "s390x"},
		{EM_SPARCV9, "sparc64"},
		{EM_MIPS, "mips"},
		{EM_IA_64, "ia64"},
		{EM_ALPHA, "alpha"},
		{258 /* EM_LOONGARCH */, "loongarch"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].machine == elf_machine)
			return names[i].name;
	return "another machine";
}

const struct arch *machine_of_target(const char *name)
{
	const struct arch *arch = NULL;

	for (size_t i = 0; (arch = arch_at(i)) && strncmp(name, arch->target, strlen(arch->target)) != 0; i++)
		;
	return arch;
}

/* gdb/features: i386/32bit-core.xml, aarch64-core.xml, riscv/64bit-cpu.xml, arm/arm-core.xml, rs6000/power64-core.xml,
 * s390-core64.xml, loongarch/base64.xml. arm's cpsr is aarch64's too. */
const struct machine_mark *machine_mark_at(size_t index)
{
	static const struct machine_mark marks[] = {
		{"eip", "i386"},    {"x0", "aarch64"}, {"zero", "riscv"},     {"cpsr", "arm"},
		{"ctr", "powerpc"}, {"pswa", "s390x"}, {"badv", "loongarch"},
	};

	return index < ARRAY_SIZE(marks) ? &marks[index] : NULL;
}

const char *machine_name_of_size(size_t size)
{
	switch (size) {
	case 64: /* general registers alone, as KGDB's */
	case 308:
	case 312:
	case 344: return "i386";
	case 268: /* without its vector registers */
	case 788:
	case 796: return "aarch64";
	default: return NULL;
	}
}
