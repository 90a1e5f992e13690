/* SPDX-License-Identifier: MIT */
/* What a kernel says that it is. */
#include <string.h>

#include "base/util.h"
#include "elf/elf_internal.h"

struct cs_error *elf_banner(struct elf *elf, const char **ret)
{
	static const char *const names[] = {"linux_banner", "version"};
	const struct elf_symbol *symbol = NULL;
	const uint8_t *bytes = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(names) && !elf->banner && !bytes; i++) {
		CS_TRY(elf_find(elf, names[i], NULL, &symbol));
		bytes = symbol && symbol->size < 4096 ? elf_bytes(elf, symbol->address, symbol->size) : NULL;
	}
	if (!elf->banner) {
		elf->banner = bytes ? strndup((const char *)bytes, symbol->size) : strdup("");
		if (!elf->banner)
			return &cs_error_no_memory;
		elf->banner[strcspn(elf->banner, "\n")] = '\0';
	}
	*ret = elf->banner;
	return NULL;
}
