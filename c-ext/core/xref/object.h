/* SPDX-License-Identifier: MIT */
/* What only the static questions need of an ELF file: relocations that the linker kept (--emit-relocs), the source
 * file of a static symbol, and DWARF with its raw bytes. Each part is read at its first use. */
#ifndef CLOCKSCOPE_OBJECT_H
#define CLOCKSCOPE_OBJECT_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct object;

/* `elf` is libelf's handle, which must outlive the object. */
struct cs_error *object_create(struct Elf *elf, struct object **ret);
void object_destroy(struct object *object);

/* Whether the linker kept the relocations of code and data. */
struct cs_error *object_has_relocations(struct object *object, bool *ret);

/* Whether an absolute relocation (R_X86_64_64, _32, _32S) applies to the bytes at this virtual address: its value is
 * then an address, whatever it looks like. */
struct cs_error *object_is_relocated(struct object *object, uint64_t address, bool *ret);

/* The source file that the symbol table names for the static symbols at an address; NULL for a global one. The
 * string belongs to the object. */
struct cs_error *object_file_of(struct object *object, uint64_t address, const char **ret);

/* libdw's handle and the bytes of .debug_info. `*ret` NULL: no DWARF. `*bytes_ret` NULL: compressed or not there. */
struct cs_error *object_dwarf(struct object *object, Dwarf **ret, const uint8_t **bytes_ret, size_t *size_ret);

#endif
