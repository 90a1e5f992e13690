/* SPDX-License-Identifier: MIT */
#include "acpi.h"

#include <stddef.h>

#include "machine.h"

struct acpi_facts acpi;

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length; /* from here on in revision 2 and later */
	uint64_t xsdt;
} __attribute__((packed));

struct table {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision, creator, creator_revision;
} __attribute__((packed));

static bool bytes_equal(const char *a, const char *b, size_t n)
{
	while (n && *a == *b) {
		a++;
		b++;
		n--;
	}
	return n == 0;
}

/* Fields are unaligned; x86 does not mind, the compiler must be told. */
static uint64_t field(const struct table *table, unsigned offset, unsigned size)
{
	const uint8_t *p = (const uint8_t *)table + offset;
	uint64_t value = 0;

	if (offset + size > table->length)
		return 0;
	while (size--)
		value = value << 8 | p[size];
	return value;
}

static const struct rsdp *rsdp_search(void)
{
	for (uint64_t p = 0xe0000; p < 0x100000; p += 16)
		if (bytes_equal((const char *)p, "RSD PTR ", 8))
			return (const struct rsdp *)p;
	return NULL;
}

/* ACPI 6.4, table 5.9: the fixed description table. */
static void read_fadt(const struct table *fadt)
{
	enum { PM1A_CONTROL = 64, PM_TIMER = 76, FLAGS = 112, SLEEP_CONTROL = 244 + 4 };
	enum { FLAG_TIMER_32 = 1 << 8, FLAG_REDUCED = 1 << 20 };
	uint64_t flags = field(fadt, FLAGS, 4);

	if (flags & FLAG_REDUCED) {
		acpi.sleep_control_base = field(fadt, SLEEP_CONTROL, 8);
		return;
	}
	acpi.pm1a_control_port = (uint16_t)field(fadt, PM1A_CONTROL, 4);
	acpi.pm_timer_port = (uint16_t)field(fadt, PM_TIMER, 4);
	acpi.pm_timer_32_bits = flags & FLAG_TIMER_32;
}

/* ACPI 6.4, 5.2.12: entries of type 0 are local APICs; flag 1 says enabled. */
static void read_madt(const struct table *madt)
{
	unsigned size;

	for (unsigned at = 44; at + 8 <= madt->length; at += size) {
		size = (unsigned)field(madt, at + 1, 1);
		if (size < 2)
			return;
		if (field(madt, at, 1) == 0 && (field(madt, at + 4, 4) & 1) && acpi.cpu_count < MAX_CPUS)
			acpi.cpu_apic_ids[acpi.cpu_count++] = (uint8_t)field(madt, at + 3, 1);
	}
}

static void read_table(const struct table *table)
{
	if (bytes_equal(table->signature, "FACP", 4))
		read_fadt(table);
	else if (bytes_equal(table->signature, "APIC", 4))
		read_madt(table);
	else if (bytes_equal(table->signature, "HPET", 4))
		acpi.hpet_base = field(table, 44, 8);
}

void acpi_init(uint64_t address)
{
	const struct rsdp *rsdp = address ? (const struct rsdp *)address : rsdp_search();
	const struct table *root;
	unsigned size; /* of a pointer in the root table */

	if (!rsdp)
		return;
	size = rsdp->revision >= 2 && rsdp->xsdt ? 8 : 4;
	root = (const struct table *)(size == 8 ? rsdp->xsdt : rsdp->rsdt);
	if (!root)
		return;
	acpi.present = true;
	for (unsigned at = sizeof(*root); at + size <= root->length; at += size)
		read_table((const struct table *)field(root, at, size));
}
