/* SPDX-License-Identifier: MIT */
#include "machine.h"

#include "acpi.h"
#include "console.h"
#include "cpu.h"

#define MULTIBOOT_MAGIC 0x2badb002 /* in EAX; Multiboot 0.6.96, section 3.2 */
#define MULTIBOOT_HAS_COMMAND_LINE (1u << 2)
#define PVH_MAGIC 0x336ec578 /* Xen's arch-x86/hvm/start_info.h */

#define ACPI_SLEEP_ENABLE_PM1 (1u << 13)          /* ACPI 6.4, 4.8.3.2; QEMU's type for S5 is 0 */
#define ACPI_SLEEP_S5_REDUCED (5u << 2 | 1u << 5) /* ACPI 6.4, 4.8.3.7; QEMU's GED wants type 5 */

struct pvh_start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, command_line, rsdp;
};

struct multiboot_info {
	uint32_t flags, memory_lower, memory_upper, boot_device, command_line;
};

extern uint32_t boot_magic, boot_information;
_Noreturn void machine_start(void);
void interrupts_init(void);

static const char *command_line = "";

/* ---- strings and the command line ---- */

bool string_equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* What follows prefix in s, or NULL. */
static const char *after_prefix(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return NULL;
	return s;
}

bool option_value(const char *word, const char **value)
{
	for (const char *p = command_line; *p;) {
		const char *rest = after_prefix(p, word);

		if (rest && (*rest == '=' || *rest == ' ' || *rest == 0)) {
			*value = *rest == '=' ? rest + 1 : "";
			return true;
		}
		while (*p && *p != ' ')
			p++;
		while (*p == ' ')
			p++;
	}
	return false;
}

bool option(const char *word)
{
	const char *value;

	return option_value(word, &value);
}

uint64_t option_number(const char *word, uint64_t otherwise)
{
	uint64_t number = 0;
	const char *p;

	if (!option_value(word, &p))
		return otherwise;
	for (; *p >= '0' && *p <= '9'; p++)
		number = number * 10 + (uint64_t)(*p - '0');
	return number;
}

bool list_has(const char *list, const char *item)
{
	for (const char *p = list; *p && *p != ' ';) {
		const char *rest = after_prefix(p, item);

		if (rest && (*rest == ',' || *rest == ' ' || *rest == 0))
			return true;
		while (*p && *p != ' ' && *p != ',')
			p++;
		if (*p == ',')
			p++;
	}
	return false;
}

/* ---- the hypervisor ---- */

struct hypervisor_frequencies hypervisor_frequencies(void)
{
	struct hypervisor_frequencies found = {0};

	if (cpuid(0x40000000).eax >= 0x40000010) {
		struct cpuid_registers r = cpuid(0x40000010);

		found.tsc_khz = r.eax;
		found.bus_khz = r.ebx;
	}
	found.tsc_khz = (uint32_t)option_number("vm_tsc_khz", found.tsc_khz);
	found.bus_khz = (uint32_t)option_number("vm_bus_khz", found.bus_khz);
	return found;
}

/* ---- the way in ---- */

/* Returns the RSDP's physical address, 0 where the loader does not tell. */
static uint64_t read_boot_information(void)
{
	const struct pvh_start_info *pvh = (const struct pvh_start_info *)(uint64_t)boot_information;
	const struct multiboot_info *multiboot = (const struct multiboot_info *)(uint64_t)boot_information;

	/* First: qboot, microvm's firmware, leaves multiboot's magic in EAX when it enters by PVH. */
	if (pvh->magic == PVH_MAGIC) {
		if (pvh->command_line)
			command_line = (const char *)pvh->command_line;
		return pvh->rsdp;
	}
	if (boot_magic != MULTIBOOT_MAGIC)
		panic("neither PVH nor multiboot started this kernel");
	if (multiboot->flags & MULTIBOOT_HAS_COMMAND_LINE)
		command_line = (const char *)(uint64_t)multiboot->command_line;
	return 0;
}

void machine_start(void)
{
	console_init();
	acpi_init(read_boot_information());
	interrupts_init();
	printf("%s\n", kernel_banner);
	printf("This is a model of clockscope's test bed: another kernel's clock bring-up in names and order, "
	       "not that kernel.\n");
	printf("command line: %s\n", command_line);
	kernel_main();
	machine_exit();
}

/* ---- threads ---- */

extern const char thread_trampoline[];

uint64_t thread_prepare(void *stack, size_t size, void (*function)(void *), void *argument)
{
	uint64_t *sp = (uint64_t *)((char *)stack + size);

	*--sp = (uint64_t)thread_trampoline;
	*--sp = 0;                  /* rbp */
	*--sp = (uint64_t)argument; /* rbx */
	*--sp = (uint64_t)function; /* r12 */
	for (int i = 0; i < 3; i++) /* r13 to r15 */
		*--sp = 0;
	return (uint64_t)sp;
}

/* ---- the way out ---- */

/* By a page fault rather than by an instruction that faults: weak KVMs emulate, and know not all of those. */
static void triple_fault(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = {0, 0};
	const volatile char *unmapped = (const volatile char *)(1ull << 40);

	__asm__ volatile("lidt %0" : : "m"(none));
	(void)*unmapped;
}

void machine_exit(void)
{
	interrupts_disable();
	printf("model: done\n");
	if (acpi.pm1a_control_port)
		outw(acpi.pm1a_control_port, ACPI_SLEEP_ENABLE_PM1);
	else if (acpi.sleep_control_base)
		*(volatile uint8_t *)acpi.sleep_control_base = ACPI_SLEEP_S5_REDUCED;
	else
		triple_fault();
	for (;;) /* the power goes off a moment later */
		cpu_relax();
}

void panic(const char *why)
{
	printf("panic: %s\n", why);
	machine_exit();
}
