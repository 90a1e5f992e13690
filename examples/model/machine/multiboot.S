/* SPDX-License-Identifier: MIT */
/*
 * The multiboot header, linked into the .multiboot images only: QEMU prefers it to the PVH note, and then
 * refuses 64-bit ELF files. Specification: Multiboot 0.6.96, section 3.1.
 */
#define MAGIC 0x1badb002
#define FLAGS 0x2                       /* memory information wanted */
	.section .multiboot, "a", @progbits
	.align 4
	.long MAGIC, FLAGS, -(MAGIC + FLAGS)

	.section .note.GNU-stack, "", @progbits
