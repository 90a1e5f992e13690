/* SPDX-License-Identifier: MIT */
/*
 * Entry of the boot processor (PVH and multiboot, both in 32-bit protected mode without paging),
 * the trampoline of the others, and the interrupt stubs.
 *
 * Sources: Xen's docs/misc/pvh.pandoc (entry state, note XEN_ELFNOTE_PHYS32_ENTRY), the Multiboot 0.6.96
 * specification, Intel SDM volume 3, sections 9.8.5 (to IA-32e mode) and 8.4.4 (INIT-SIPI-SIPI).
 */
	.cfi_sections .debug_frame

#define KERNEL_BASE 0xffffffff80000000
#define PHYSICAL(symbol) ((symbol) - KERNEL_BASE)

#define CR0_PE_MP_PG 0x80000003
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define PAGE_PRESENT_WRITE 3
#define PAGE_LARGE 0x80

#define SELECTOR_CODE64 8
#define SELECTOR_DATA 16
#define SELECTOR_CODE32 24

/* Where the other processors begin, in real mode: an address below 1 MiB, a multiple of 4 KiB. */
#define TRAMPOLINE 0x8000

	.section .note.Xen, "a", @note
	.align 4
	.long 4, 4, 18                  /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long PHYSICAL(boot_entry)

	.text
	.code32
	.globl boot_entry
	.type boot_entry, @function
boot_entry:
	cli
	cld
	movl %eax, PHYSICAL(boot_magic)
	movl %ebx, PHYSICAL(boot_information)
	movl $PHYSICAL(boot_stack_top), %esp
	call build_page_tables
	lgdt PHYSICAL(gdt_pointer)
	call enter_long_mode
	ljmp $SELECTOR_CODE64, $PHYSICAL(boot_entry_64)
	.size boot_entry, . - boot_entry

/* The first 4 GiB one to one, and the first 1 GiB again at -2 GiB, in pages of 2 MiB. */
	.type build_page_tables, @function
build_page_tables:
	movl $PHYSICAL(page_directory) + PAGE_PRESENT_WRITE, %eax
	movl $PHYSICAL(pointers_low), %edi
	movl $4, %ecx
1:	movl %eax, (%edi)
	addl $4096, %eax
	addl $8, %edi
	loop 1b
	movl $PHYSICAL(page_directory) + PAGE_PRESENT_WRITE, PHYSICAL(pointers_high) + 510 * 8
	movl $PHYSICAL(pointers_low) + PAGE_PRESENT_WRITE, PHYSICAL(page_root)
	movl $PHYSICAL(pointers_high) + PAGE_PRESENT_WRITE, PHYSICAL(page_root) + 511 * 8
	movl $PAGE_PRESENT_WRITE + PAGE_LARGE, %eax
	movl $PHYSICAL(page_directory), %edi
	movl $2048, %ecx
1:	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	loop 1b
	ret
	.size build_page_tables, . - build_page_tables

/* Paging on, in compatibility mode until the caller's far jump. */
	.type enter_long_mode, @function
enter_long_mode:
	movl %cr4, %eax
	orl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $PHYSICAL(page_root), %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	wrmsr
	movl $CR0_PE_MP_PG, %eax
	movl %eax, %cr0
	ret
	.size enter_long_mode, . - enter_long_mode

	.code64
	.type boot_entry_64, @function
boot_entry_64:
	movabsq $1f, %rax
	jmp *%rax
1:	movw $SELECTOR_DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movq $boot_stack_top, %rsp
	xorl %ebp, %ebp
	pushq $0                        /* a return address that ends every backtrace */
	jmp machine_start
	.size boot_entry_64, . - boot_entry_64

/*
 * Copied to TRAMPOLINE. A processor comes here in real mode with CS = TRAMPOLINE / 16, so offsets are
 * relative to the copy until the far jump into 32-bit code, which runs at its own place.
 */
	.globl trampoline_begin, trampoline_end
	.code16
trampoline_begin:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	lgdtl trampoline_gdt - trampoline_begin
	movl $1, %eax
	movl %eax, %cr0
	ljmpl $SELECTOR_CODE32, $PHYSICAL(secondary_entry)
	.align 4
trampoline_gdt:
	.word gdt_end - gdt - 1
	.long PHYSICAL(gdt)
trampoline_end:

	.code32
	.type secondary_entry, @function
secondary_entry:
	movw $SELECTOR_DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl PHYSICAL(secondary_stack), %esp
	call enter_long_mode
	ljmp $SELECTOR_CODE64, $PHYSICAL(secondary_entry_64)
	.size secondary_entry, . - secondary_entry

	.code64
	.type secondary_entry_64, @function
secondary_entry_64:
	movabsq $1f, %rax
	jmp *%rax
1:	movq $KERNEL_BASE, %rax
	addq %rax, %rsp
	xorl %ebp, %ebp
	pushq $0
	jmp machine_start_secondary
	.size secondary_entry_64, . - secondary_entry_64

/* One stub a vector, 16 bytes each: the error code (0 where the processor pushes none) and the vector. */
	.globl interrupt_stubs
	.align 16
interrupt_stubs:
	.set vector, 0
	.rept 256
	.align 16
	.if !((vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21))
	pushq $0
	.endif
	pushq $vector
	jmp interrupt_common
	.set vector, vector + 1
	.endr

/* The order of the pushes is struct interrupt_frame's, backwards. The CFI lets GDB unwind through it. */
	.type interrupt_common, @function
interrupt_common:
	.cfi_startproc simple
	.cfi_signal_frame
	.cfi_def_cfa rsp, 16
	.cfi_offset rip, 0
	.cfi_offset rsp, 24
	.macro save register
	pushq %\register
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \register, 0
	.endm
	.irp register, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	save \register
	.endr
	movq %rsp, %rdi
	movq %rsp, %rbp
	andq $-16, %rsp
	.cfi_def_cfa_register rbp
	cld
	call interrupt_dispatch
	movq %rbp, %rsp
	.cfi_def_cfa_register rsp
	.irp register, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	popq %\register
	.cfi_adjust_cfa_offset -8
	.cfi_restore \register
	.endr
	addq $16, %rsp
	.cfi_adjust_cfa_offset -16
	iretq
	.cfi_endproc
	.size interrupt_common, . - interrupt_common

/* void context_switch(uint64_t *save, uint64_t load): change stacks; callee-saved registers travel on them. */
	.globl context_switch
	.type context_switch, @function
context_switch:
	.cfi_startproc
	.irp register, rbp, rbx, r12, r13, r14, r15
	pushq %\register
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \register, 0
	.endr
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	.irp register, r15, r14, r13, r12, rbx, rbp
	popq %\register
	.cfi_adjust_cfa_offset -8
	.cfi_restore \register
	.endr
	ret
	.cfi_endproc
	.size context_switch, . - context_switch

/* Where a new thread's first context_switch returns to; its argument and function lie in saved registers. */
	.globl thread_trampoline
	.type thread_trampoline, @function
thread_trampoline:
	xorl %ebp, %ebp
	movq %rbx, %rdi
	pushq $0
	jmp *%r12
	.size thread_trampoline, . - thread_trampoline

	.section .rodata
	.align 8
gdt:
	.quad 0
	.quad 0x00af9b000000ffff        /* 64-bit code */
	.quad 0x00cf93000000ffff        /* data */
	.quad 0x00cf9b000000ffff        /* 32-bit code */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad PHYSICAL(gdt)

	.data
	.globl boot_magic, boot_information, secondary_stack
	.align 4
boot_magic:
	.long 0
boot_information:
	.long 0
secondary_stack:                        /* physical; set before a processor is started */
	.long 0

	.bss
	.align 4096
page_root:
	.skip 4096
pointers_low:
	.skip 4096
pointers_high:
	.skip 4096
page_directory:
	.skip 4 * 4096
boot_stack:
	.skip 16384
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
