/* SPDX-License-Identifier: MIT */
/* Whatever a file holds, opening it and looking symbols up neither crashes nor reads beyond it. */
#include <stdio.h>
#include <sys/mman.h>

#include "base/util.h"
#include "elf/elf.h"
#include "elf/sites.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct elf *elf)
{
	const struct elf_symbol *symbols, *found;
	struct cs_error *error;
	const char *banner;
	struct sites *sites = NULL;
	struct elf_segment segment;
	size_t count;

	cs_error_destroy(elf_banner(elf, &banner));
	for (size_t i = 0; i < 8 && elf_segment(elf, i, &segment); i++)
		elf_bytes_from(elf, segment.address, &count);
	elf_has_section(elf, ".debug_info");
	elf_is_stripped(elf);
	elf_build_id_notes(elf);
	cs_error_destroy(sites_create(elf, &sites));
	sites_destroy(sites);
	error = elf_symbols(elf, &symbols, &count);
	if (error)
		count = 0;
	cs_error_destroy(error);
	for (size_t i = 0; i < count && i < 64; i++) {
		cs_error_destroy(elf_symbol_at(elf, symbols[i].address, &found));
		cs_error_destroy(elf_find_variant(elf, symbols[i].name, NULL, &found));
		elf_bytes(elf, symbols[i].address, symbols[i].size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLOSE int fd = memfd_create("elf", MFD_CLOEXEC);
	struct elf *elf = NULL;
	struct cs_error *error;
	char path[32];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	error = elf_create(path, &elf);
	if (!error)
		use(elf);
	cs_error_destroy(error);
	elf_destroy(elf);
	return 0;
}
