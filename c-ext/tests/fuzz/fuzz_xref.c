/* SPDX-License-Identifier: MIT */
/* Whatever an ELF file holds, static questions about it neither crash nor read beyond it, nor go on for ever. */
#include <stdio.h>
#include <sys/mman.h>

#include "base/util.h"
#include "xref/call_paths.h"
#include "xref/code_search.h"
#include "xref/pointers.h"
#include "xref/symbol_name.h"

#define MOST_SYMBOLS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask_variable(struct xref *xref, const char *expression)
{
	struct xref_target target;
	struct xref_sites sites = {0};
	struct cs_error *error = xref_variable(xref, expression, &target);

	if (!error)
		error = xref_accesses(xref, &target, &sites);
	if (!error)
		error = xref_pointers(xref, &target, &sites);
	cs_error_destroy(error);
	xref_sites_clear(&sites);
}

static void ask_function(struct xref *xref, struct xref_graph *graph, const struct elf_symbol *symbol)
{
	const struct elf_symbol *function;
	struct xref_sites sites = {0};
	struct xref_paths paths = {0};
	struct cs_error *error = xref_function(xref, symbol->name, &function);

	if (!error)
		error = xref_graph_callers(graph, function, &sites);
	if (!error)
		error = xref_graph_pointers(graph, function, &sites);
	if (!error)
		error = xref_graph_paths(graph, &symbol, 1, function, &paths);
	cs_error_destroy(error);
	xref_sites_clear(&sites);
	xref_paths_clear(&paths);
}

static void ask(struct elf *elf, struct xref *xref)
{
	struct xref_graph *graph = NULL;
	const struct elf_symbol *symbols;
	size_t count;
	struct cs_error *error = elf_symbols(elf, &symbols, &count);

	if (!error)
		error = xref_graph_create(xref, &graph);
	for (size_t i = 0; !error && i < count && i < MOST_SYMBOLS; i++) {
		FREE char *field = NULL;

		if (asprintf(&field, "%s.a[1].b", symbols[i].name) < 0)
			field = NULL;
		ask_variable(xref, symbols[i].name);
		if (field)
			ask_variable(xref, field);
		ask_function(xref, graph, &symbols[i]);
	}
	cs_error_destroy(error);
	xref_graph_destroy(graph);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLOSE int fd = memfd_create("elf", MFD_CLOEXEC);
	struct elf *elf = NULL;
	struct xref *xref = NULL;
	struct cs_error *error;
	char path[32];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	error = elf_create(path, &elf);
	if (!error)
		error = xref_create(elf, &xref);
	if (!error)
		ask(elf, xref);
	cs_error_destroy(error);
	xref_destroy(xref);
	elf_destroy(elf);
	return 0;
}
