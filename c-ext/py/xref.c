/* SPDX-License-Identifier: MIT */
/* Xref: the static questions, asked of an ELF file. schemas/xref.schema.json describes the answers. */
#include "analyser.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "base/util.h"
#include "elf/inlined.h"
#include "elf/lines.h"
#include "xref/call_paths.h"
#include "xref/code_search.h"
#include "xref/pointers.h"
#include "xref/symbol_name.h"

#define LOOKUPS_KEPT 512

struct xref_object {
	INSTANCE_HEAD
	struct elf *elf;
	struct xref *xref;
	struct xref_graph *graph; /* made when first asked for */
	struct insn_decoder *decoder;
	struct lines *lines;
	size_t lookups; /* of source lines */
};

/* Names come from the ELF, which is not trusted to hold UTF-8. */
static PyObject *string_or_empty(const char *text)
{
	return string_to_object(text ? text : "");
}

/* "name+0x8"; "" for an address that no symbol covers. */
static PyObject *with_offset(const struct elf_symbol *symbol, uint64_t address)
{
	FREE char *text = NULL;

	if (!symbol)
		return string_to_object("");
	if (address == symbol->address)
		return string_to_object(symbol->name);
	if (asprintf(&text, "%s+0x%" PRIx64, symbol->name, address - symbol->address) < 0) {
		text = NULL;
		return PyErr_NoMemory();
	}
	return string_to_object(text);
}

/* libdw keeps every line table that it has read, and sites come in the order of their addresses: what is behind
 * can go, so that answers with thousands of sites stay small. */
static struct cs_error *renew_lines(struct xref_object *self)
{
	struct lines *fresh;

	if (++self->lookups % LOOKUPS_KEPT)
		return NULL;
	CS_TRY(lines_create(self->elf, &fresh));
	lines_destroy(self->lines);
	self->lines = fresh;
	return NULL;
}

/* "file:line"; "" where DWARF has none. */
static PyObject *source(const struct line *line)
{
	FREE char *text = NULL;

	if (!line->file)
		return string_to_object("");
	if (asprintf(&text, "%s:%d", line->file, line->line) < 0) {
		text = NULL;
		return PyErr_NoMemory();
	}
	return string_to_object(text);
}

/* A function's name, for a part that was split off without its suffix; "" for code that no symbol covers. */
static PyObject *base_name(const struct elf_symbol *function)
{
	if (!function)
		return string_to_object("");
	return text_to_object(function->name, elf_base_name_length(function->name));
}

static PyObject *disassembly(struct xref_object *self, uint64_t address)
{
	char text[160] = "(bad)";
	struct insn insn;

	for (size_t size = INSN_MAX_LENGTH; size; size--) {
		const uint8_t *bytes = elf_bytes(self->elf, address, size);

		if (!bytes)
			continue; /* the section ends sooner */
		if (insn_decode(self->decoder, bytes, size, address, &insn))
			insn_text(self->decoder, &insn, text, sizeof(text));
		break;
	}
	return string_to_object(text);
}

static struct cs_error *instruction_to_object(struct xref_object *self, const struct xref_site *site, PyObject **ret)
{
	const struct elf_symbol *function, *target;
	struct line line = {.file = NULL};

	CS_TRY(xref_symbol_over(self->xref, site->address, &function));
	CS_TRY(xref_symbol_over(self->xref, site->target, &target));
	CS_TRY(renew_lines(self));
	lines_position(self->lines, site->address, &line);
	*ret = Py_BuildValue("{s:N,s:N,s:N,s:N,s:N,s:N,s:O}", "address", hexadecimal(site->address), "function",
			     base_name(function), "symbol", with_offset(function, site->address), "source",
			     source(&line), "instruction", disassembly(self, site->address), "target",
			     with_offset(target, site->target), "indexed", site->indexed ? Py_True : Py_False);
	if (*ret && (site->access & SHAPE_PERHAPS) && PyDict_SetItemString(*ret, "perhaps", Py_True) < 0)
		Py_CLEAR(*ret);
	return NULL;
}

static const char *section_name(struct xref_object *self, uint64_t address)
{
	size_t count;
	const struct elf_section *sections = elf_sections(self->elf, &count);

	for (size_t i = 0; i < count; i++)
		if (address - sections[i].address < sections[i].size)
			return sections[i].name;
	return NULL;
}

static struct cs_error *datum_to_object(struct xref_object *self, const struct xref_site *site, PyObject **ret)
{
	const struct elf_symbol *holder, *target;

	CS_TRY(xref_symbol_over(self->xref, site->address, &holder));
	CS_TRY(xref_symbol_over(self->xref, site->target, &target));
	*ret = Py_BuildValue("{s:N,s:N,s:N,s:N}", "address", hexadecimal(site->address), "object",
			     with_offset(holder, site->address), "section",
			     string_or_empty(section_name(self, site->address)), "target",
			     with_offset(target, site->target));
	return NULL;
}

static struct cs_error *site_to_object(struct xref_object *self, const struct xref_site *site, PyObject **ret)
{
	if (site->kind == XREF_POINTER || site->kind == XREF_RELATIVE)
		return datum_to_object(self, site, ret);
	return instruction_to_object(self, site, ret);
}

typedef bool (*site_filter)(const struct xref_site *site);

static bool reads(const struct xref_site *site)
{
	return site->access & SHAPE_READ;
}

static bool writes(const struct xref_site *site)
{
	return site->access & SHAPE_WRITE;
}

static bool takes_address(const struct xref_site *site)
{
	return site->access & SHAPE_ADDRESS;
}

static bool is_call_or_jump(const struct xref_site *site)
{
	return site->kind == XREF_CALL || site->kind == XREF_JUMP;
}

/* Appends the sites that the filter lets through. -1 with an exception set. */
static int append_sites(struct xref_object *self, PyObject *list, const struct xref_sites *sites, site_filter filter)
{
	for (size_t i = 0; i < sites->count; i++) {
		PyObject *object = NULL;
		struct cs_error *error =
			filter(&sites->items[i]) ? site_to_object(self, &sites->items[i], &object) : NULL;
		int result = object ? list_take(list, object) : 0;

		if (error)
			raise_error(error);
		if (result < 0 || PyErr_Occurred())
			return -1;
	}
	return 0;
}

/* A list of those sites; NULL with an exception set. */
static PyObject *sites_to_object(struct xref_object *self, const struct xref_sites *sites, site_filter filter)
{
	PyObject *list = PyList_New(0);

	if (list && append_sites(self, list, sites, filter) < 0)
		Py_CLEAR(list);
	return list;
}

/* All that is found of one variable. */
struct findings {
	struct xref_target target;
	struct xref_sites instructions, data;
	bool complete; /* false: a per-CPU variable in a kernel without relocations */
};

static void findings_clear(struct findings *findings)
{
	xref_sites_clear(&findings->instructions);
	xref_sites_clear(&findings->data);
}

static struct cs_error *find_accesses(struct xref_object *self, const char *expression, struct findings *ret)
{
	CS_TRY(xref_variable(self->xref, expression, &ret->target));
	CS_TRY(xref_accesses(self->xref, &ret->target, &ret->instructions));
	CS_TRY(xref_pointers(self->xref, &ret->target, &ret->data));
	ret->complete = true;
	return ret->target.zero_based ? xref_has_relocations(self->xref, &ret->complete) : NULL;
}

static PyObject *findings_to_object(struct xref_object *self, const struct findings *findings, const char *expression,
				    bool writers)
{
	const struct xref_target *target = &findings->target;
	PyObject *taken = sites_to_object(self, &findings->instructions, takes_address);

	if (taken && append_sites(self, taken, &findings->data, takes_address) < 0)
		Py_CLEAR(taken);
	if (!taken)
		return NULL;
	return Py_BuildValue("{s:N,s:N,s:K,s:O,s:N,s:N}", "variable", string_to_object(expression), "variable_address",
			     hexadecimal(target->low), "size", (unsigned long long)(target->high - target->low),
			     "complete", findings->complete ? Py_True : Py_False, writers ? "writers" : "readers",
			     sites_to_object(self, &findings->instructions, writers ? writes : reads), "address_taken",
			     taken);
}

static PyObject *answer_accesses(PyObject *self, PyObject *args, bool writers)
{
	struct xref_object *object = (struct xref_object *)self;
	CLEANUP(findings_clear) struct findings findings = {0};
	struct cs_error *error;
	const char *expression;

	if (!PyArg_ParseTuple(args, "s", &expression))
		return NULL;
	error = find_accesses(object, expression, &findings);
	return error ? raise_error(error) : findings_to_object(object, &findings, expression, writers);
}

static PyObject *xref_writers(PyObject *self, PyObject *args)
{
	return answer_accesses(self, args, true);
}

static PyObject *xref_readers(PyObject *self, PyObject *args)
{
	return answer_accesses(self, args, false);
}

static struct cs_error *need_graph(struct xref_object *self)
{
	return self->graph ? NULL : xref_graph_create(self->xref, &self->graph);
}

/* The roots that this kernel has, of those that Linux, NetBSD and FreeBSD have. */
static struct cs_error *find_roots(struct xref_object *self, const struct elf_symbol **roots, size_t limit,
				   size_t *count_ret)
{
	/* The last ones are where the boot loader or the ELF's entry leads to: what runs before the others is called
	 * from there. */
	static const char *const names[] = {"start_kernel", "main",  "mi_startup", "hammer_time",         "startup_64",
					    "start",        "btext", "_start",     "secondary_startup_64"};

	*count_ret = 0;
	for (size_t i = 0; i < ARRAY_SIZE(names) && *count_ret < limit; i++) {
		const struct elf_symbol *found;

		CS_TRY(elf_find(self->elf, names[i], NULL, &found));
		if (found && elf_text_section(self->elf, found->address))
			roots[(*count_ret)++] = found;
	}
	return NULL;
}

#define MOST_ROOTS 9

struct call_findings {
	const struct elf_symbol *function;
	struct xref_sites calls, pointers;
	struct xref_paths paths;
};

static void call_findings_clear(struct call_findings *findings)
{
	xref_sites_clear(&findings->calls);
	xref_sites_clear(&findings->pointers);
	xref_paths_clear(&findings->paths);
}

static struct cs_error *find_callers(struct xref_object *self, const char *expression, struct call_findings *ret)
{
	const struct elf_symbol *roots[MOST_ROOTS];
	size_t root_count;

	CS_TRY(xref_function(self->xref, expression, &ret->function));
	CS_TRY(need_graph(self));
	ret->function = xref_graph_function(self->graph, ret->function);
	CS_TRY(xref_graph_callers(self->graph, ret->function, &ret->calls));
	CS_TRY(xref_graph_pointers(self->graph, ret->function, &ret->pointers));
	CS_TRY(find_roots(self, roots, MOST_ROOTS, &root_count));
	return xref_graph_paths(self->graph, roots, root_count, ret->function, &ret->paths);
}

static PyObject *path_to_object(const struct xref_path *path)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < path->count; i++) {
		PyObject *step = Py_BuildValue("{s:N,s:O}", "symbol", string_to_object(path->steps[i].symbol->name),
					       "by_pointer", path->steps[i].by_pointer ? Py_True : Py_False);

		if (list_take(list, step) < 0)
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *paths_to_object(const struct xref_paths *paths)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < paths->count; i++)
		if (list_take(list, path_to_object(&paths->items[i])) < 0)
			Py_CLEAR(list);
	return list;
}

static PyObject *pathless_to_object(const struct xref_paths *paths)
{
	static const char *const why[] = {
		[XREF_AROUND] = "only through the function itself",
		[XREF_EXPORTED] = "only modules can call it",
		[XREF_UNCALLED] = "nothing can call it",
		[XREF_APART] = "nothing calls what calls it",
	};
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < paths->pathless_count; i++) {
		const struct xref_pathless *one = &paths->pathless[i];

		if (list_take(list, Py_BuildValue("{s:N,s:s}", "caller", string_to_object(one->caller->name), "why",
						  why[one->why])) < 0)
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *xref_callers(PyObject *self, PyObject *args)
{
	struct xref_object *object = (struct xref_object *)self;
	CLEANUP(call_findings_clear) struct call_findings findings = {0};
	struct cs_error *error;
	const char *expression;

	if (!PyArg_ParseTuple(args, "s:callers", &expression))
		return NULL;
	error = find_callers(object, expression, &findings);
	if (error)
		return raise_error(error);
	return Py_BuildValue("{s:N,s:N,s:N,s:N,s:N,s:N}", "function", string_to_object(findings.function->name),
			     "function_address", hexadecimal(findings.function->address), "callers",
			     sites_to_object(object, &findings.calls, is_call_or_jump), "address_taken",
			     sites_to_object(object, &findings.pointers, takes_address), "paths",
			     paths_to_object(&findings.paths), "pathless", pathless_to_object(&findings.paths));
}

/* Two sets of names: who calls, who holds a pointer. */
struct incoming {
	PyObject *callers, *holders;
};

static struct cs_error *note_incoming(void *context, const struct elf_symbol *from, bool by_pointer)
{
	struct incoming *incoming = context;

	/* What fails leaves a Python exception, which is looked for at the end. */
	set_take(by_pointer ? incoming->holders : incoming->callers, string_to_object(from->name));
	return NULL;
}

static struct cs_error *find_incoming(struct xref_object *self, const char *expression, struct incoming *incoming)
{
	const struct elf_symbol *function;

	CS_TRY(xref_function(self->xref, expression, &function));
	CS_TRY(need_graph(self));
	return xref_graph_incoming(self->graph, function, note_incoming, incoming);
}

static PyObject *xref_incoming(PyObject *self, PyObject *args)
{
	struct incoming incoming = {PySet_New(NULL), PySet_New(NULL)};
	struct cs_error *error = NULL;
	PyObject *result = NULL;
	const char *expression;

	if (incoming.callers && incoming.holders && PyArg_ParseTuple(args, "s:incoming", &expression)) {
		error = find_incoming((struct xref_object *)self, expression, &incoming);
		if (error)
			raise_error(error);
		else if (!PyErr_Occurred())
			result = Py_BuildValue("(OO)", incoming.callers, incoming.holders);
	}
	Py_XDECREF(incoming.callers);
	Py_XDECREF(incoming.holders);
	return result;
}

static struct cs_error *note_inlined(void *context, const struct inlined_copy *copy)
{
	struct line line = {.file = copy->file, .line = copy->line};
	PyObject *object =
		Py_BuildValue("{s:N,s:N,s:N,s:N,s:N}", "function", string_to_object(copy->function), "within",
			      string_to_object(copy->within), "address", hexadecimal(copy->address), "source",
			      source(&line), "declared", string_or_empty(copy->declared));

	/* What fails leaves a Python exception, which is looked for at the end. */
	list_take(context, object);
	return NULL;
}

static PyObject *xref_inlined(PyObject *self, PyObject *args)
{
	FREE const char **names = NULL;
	struct cs_error *error;
	PyObject *sequence, *list;
	Py_ssize_t count;

	if (!PyArg_ParseTuple(args, "O!:inlined", &PyTuple_Type, &sequence))
		return NULL;
	count = PyTuple_Size(sequence);
	names = calloc((size_t)count + 1, sizeof(*names));
	if (!names)
		return PyErr_NoMemory();
	for (Py_ssize_t i = 0; i < count; i++)
		if (!(names[i] = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(sequence, i), NULL)))
			return NULL;
	list = PyList_New(0);
	error = list ? inlined_find(((struct xref_object *)self)->lines, names, (size_t)count, note_inlined, list)
		     : NULL;
	if (error)
		raise_error(error);
	if (PyErr_Occurred())
		Py_CLEAR(list);
	return list;
}

/* One more function that another is inlined into. */
static struct cs_error *note_container(void *context, const struct inlined_copy *copy)
{
	PyObject *function = string_to_object(copy->function), *within = string_to_object(copy->within);
	PyObject *containers = function ? PyDict_GetItemWithError(context, function) : NULL;

	Py_XINCREF(containers);
	if (function && within && !containers && !PyErr_Occurred()) {
		containers = PySet_New(NULL);
		if (containers)
			PyDict_SetItem(context, function, containers);
	}
	if (containers && within)
		PySet_Add(containers, within);
	Py_XDECREF(containers);
	Py_XDECREF(function);
	Py_XDECREF(within);
	return PyErr_Occurred() ? &cs_error_no_memory : NULL;
}

static PyObject *xref_containers(PyObject *self, PyObject *unused)
{
	PyObject *found = PyDict_New();
	struct cs_error *error =
		found ? inlined_find(((struct xref_object *)self)->lines, NULL, 0, note_container, found) : NULL;

	(void)unused;
	if (error && !PyErr_Occurred())
		raise_error(error);
	if (PyErr_Occurred())
		Py_CLEAR(found);
	return found;
}

static PyObject *xref_functions(PyObject *self, PyObject *unused)
{
	(void)unused;
	return elf_names(((struct xref_object *)self)->elf, true);
}

static struct cs_error *open_file(PyObject *object, const char *path)
{
	struct xref_object *self = (struct xref_object *)object;

	CS_TRY(elf_create(path, &self->elf));
	CS_TRY(xref_create(self->elf, &self->xref));
	CS_TRY(lines_create(self->elf, &self->lines));
	return insn_decoder_create(elf_arch(self->elf), &self->decoder);
}

static PyObject *xref_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	return instance_open(type, args, keywords, open_file);
}

static void xref_release(void *self)
{
	struct xref_object *object = self;

	insn_decoder_destroy(object->decoder);
	lines_destroy(object->lines);
	xref_graph_destroy(object->graph);
	xref_destroy(object->xref);
	elf_destroy(object->elf);
}

static PyMethodDef methods[] = {
	{"writers", xref_writers, METH_VARARGS, "Every instruction that writes a variable."},
	{"readers", xref_readers, METH_VARARGS, "Every instruction that reads a variable."},
	{"callers", xref_callers, METH_VARARGS, "Who calls a function, who holds its address, paths to it."},
	{"incoming", xref_incoming, METH_VARARGS, "Who calls a function, and what holds its address: names only."},
	{"inlined", xref_inlined, METH_VARARGS, "Where functions were inlined, by DWARF."},
	{"containers", xref_containers, METH_NOARGS, "Of each function that was inlined, the functions that it is in."},
	{"functions", xref_functions, METH_NOARGS, "The names of all functions."},
	{NULL, NULL, 0, NULL},
};

static struct type description = {
	.name = "clockscope._core.Xref",
	.doc = "Static questions about a kernel's ELF file.",
	.size = sizeof(struct xref_object),
	.create = xref_new,
	.release = xref_release,
	.methods = methods,
};

int xref_register(PyObject *module)
{
	return type_register(module, &description);
}
