/* SPDX-License-Identifier: MIT */
/* Small ELF files for tests: a few sections with literal bytes, and symbols in them. */
#ifndef CLOCKSCOPE_TESTS_ELF_IMAGE_H
#define CLOCKSCOPE_TESTS_ELF_IMAGE_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IMAGE_SIZE 16384
#define IMAGE_SECTIONS 8

struct image {
	uint8_t bytes[IMAGE_SIZE];
	size_t used;
	Elf64_Shdr sections[IMAGE_SECTIONS];
	unsigned section_count;
	Elf64_Sym symbols[32];
	unsigned symbol_count;
	char names[2048]; /* of symbols and of sections */
	size_t names_used;
};

static inline uint32_t image_name(struct image *image, const char *name)
{
	uint32_t at = (uint32_t)image->names_used;

	memcpy(image->names + at, name, strlen(name) + 1);
	image->names_used += strlen(name) + 1;
	return at;
}

static inline void image_start(struct image *image)
{
	Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(header),
		.e_shentsize = sizeof(Elf64_Shdr),
	};

	memset(image, 0, sizeof(*image));
	memcpy(image->bytes, &header, sizeof(header));
	image->used = sizeof(header);
	image->names_used = 1;
	image->section_count = 1;
	image->symbol_count = 1;
}

/* Adds a section; its index. `bytes` NULL: it has no bytes in the file. */
static inline uint16_t image_section(struct image *image, const char *name, uint32_t type, uint64_t flags,
				     uint64_t address, const void *bytes, size_t size)
{
	Elf64_Shdr *section = &image->sections[image->section_count];

	image->used = (image->used + 7) & ~(size_t)7;
	*section = (Elf64_Shdr){
		.sh_name = image_name(image, name),
		.sh_type = type,
		.sh_flags = flags,
		.sh_addr = address,
		.sh_offset = image->used,
		.sh_size = size,
		.sh_addralign = 1,
	};
	if (bytes) {
		memcpy(image->bytes + image->used, bytes, size);
		image->used += size;
	}
	return (uint16_t)image->section_count++;
}

static inline void image_symbol(struct image *image, const char *name, int type, uint16_t section, uint64_t address,
				uint64_t size)
{
	image->symbols[image->symbol_count++] = (Elf64_Sym){
		.st_name = image_name(image, name),
		.st_info = (unsigned char)ELF64_ST_INFO(STB_GLOBAL, type),
		.st_shndx = section,
		.st_value = address,
		.st_size = size,
	};
}

/* Adds symbol table, names and section headers. */
static inline void image_finish(struct image *image)
{
	Elf64_Ehdr header;
	uint16_t table = image_section(image, ".symtab", SHT_SYMTAB, 0, 0, image->symbols,
				       image->symbol_count * sizeof(Elf64_Sym));
	uint16_t names = image_section(image, ".strtab", SHT_STRTAB, 0, 0, NULL, 0);

	image->sections[table].sh_link = names;
	image->sections[table].sh_entsize = sizeof(Elf64_Sym);
	memcpy(image->bytes + image->used, image->names, image->names_used);
	image->sections[names].sh_offset = image->used;
	image->sections[names].sh_size = image->names_used;
	image->used = (image->used + image->names_used + 7) & ~(size_t)7;
	memcpy(&header, image->bytes, sizeof(header));
	header.e_shoff = image->used;
	header.e_shnum = (Elf64_Half)image->section_count;
	header.e_shstrndx = names;
	memcpy(image->bytes, &header, sizeof(header));
	memcpy(image->bytes + image->used, image->sections, image->section_count * sizeof(Elf64_Shdr));
	image->used += image->section_count * sizeof(Elf64_Shdr);
}

/* Writes `size` bytes of it to a new file; `path` has room for 32 characters. */
static inline bool image_write(const struct image *image, size_t size, char *path)
{
	FILE *file;
	int fd;

	strcpy(path, "/tmp/clockscope-XXXXXX");
	fd = mkstemp(path);
	file = fd >= 0 ? fdopen(fd, "wb") : NULL;
	return file && fwrite(image->bytes, 1, size, file) == size && fclose(file) == 0;
}

#endif
