/* SPDX-License-Identifier: MIT */
/* Analyser: the static analysis of a kernel's functions, as dicts. schemas/cfg.schema.json says what the verb makes of
 * it. */
#include "analyser.h"
#include "window_hints.h"

#include <string.h>

#include "base/util.h"
#include "elf/lines.h"
#include "flow/analysis.h"

#define INLINE_LEVELS 16

#define SELF(OBJECT) ((struct analyser_object *)(OBJECT))

/* Names of the bits set in a mask. */
static PyObject *bits(unsigned mask, const char *const *names, size_t count)
{
	PyObject *list = PyList_New(0);

	for (size_t i = 0; list && i < count; i++)
		if (mask >> i & 1 && list_take(list, string_to_object(names[i])) < 0)
			Py_CLEAR(list);
	return list;
}

/* An index, or None for CFG_NONE. */
static PyObject *index_or_none(uint32_t index)
{
	return index == CFG_NONE ? Py_NewRef(Py_None) : PyLong_FromUnsignedLong(index);
}

static PyObject *instruction(struct analyser_object *self, const struct analysis *analysis, uint32_t index)
{
	const struct cfg_insn *insn = &analysis->cfg->insns[index];
	char text[160];

	insn_text(analyser_decoder(self->analyser), &insn->insn, text, sizeof(text));
	return Py_BuildValue("{s:K,s:I,s:s,s:s,s:N,s:i,s:N,s:s,s:N}", "address", (unsigned long long)insn->insn.address,
			     "length", (unsigned)insn->insn.length, "kind", insn_kind_name(&insn->insn), "condition",
			     insn_condition_name(&insn->insn), "target",
			     insn->insn.target ? PyLong_FromUnsignedLongLong(insn->insn.target) : Py_NewRef(Py_None),
			     "port", insn->insn.port, "text", string_to_object(text), "site",
			     insn->flags ? site_kind_name(insn->site) : "", "in_window",
			     PyBool_FromLong(analysis->windows->inside[index]));
}

static PyObject *instructions(struct analyser_object *self, const struct analysis *analysis,
			      const struct cfg_block *block)
{
	PyObject *list = PyList_New(0);

	for (uint32_t i = 0; list && i < block->insn_count; i++)
		if (list_take(list, instruction(self, analysis, block->insn + i)) < 0)
			Py_CLEAR(list);
	return list;
}

static PyObject *successors(const struct cfg *cfg, const struct cfg_block *block)
{
	PyObject *list = PyList_New(0);

	for (uint32_t i = block->next; list && i < block->next + block->next_count; i++)
		if (list_take(list, Py_BuildValue("{s:I,s:s}", "to", cfg->edges[i].to, "kind",
						  cfg_edge_name(cfg->edges[i].kind))) < 0)
			Py_CLEAR(list);
	return list;
}

static PyObject *one_block(struct analyser_object *self, const struct analysis *analysis, uint32_t number)
{
	static const char *const exits[] = {"returns", "tail call", "never returns", "unknown"};
	static const char *const gaps[] = {"window", "patched", "budget"};
	const struct cfg_block *block = &analysis->cfg->blocks[number];

	return Py_BuildValue("{s:I,s:K,s:K,s:N,s:N,s:N,s:I,s:N,s:N,s:N,s:N}", "number", number, "start",
			     (unsigned long long)block->start, "end", (unsigned long long)block->end, "next",
			     successors(analysis->cfg, block), "exits", bits(block->exits, exits, ARRAY_SIZE(exits)),
			     "dominator", index_or_none(block->dominator), "depth", block->depth, "cold",
			     PyBool_FromLong(block->cold), "gaps",
			     bits(analysis->plan->gaps[number], gaps, ARRAY_SIZE(gaps)), "window",
			     index_or_none(analysis->windows->window_of[number]), "instructions",
			     instructions(self, analysis, block));
}

static PyObject *blocks(struct analyser_object *self, const struct analysis *analysis)
{
	PyObject *list = PyList_New(0);

	for (uint32_t i = 0; list && i < analysis->cfg->block_count; i++)
		if (list_take(list, one_block(self, analysis, analysis->cfg->by_address[i])) < 0)
			Py_CLEAR(list);
	return list;
}

static PyObject *loops(const struct cfg *cfg)
{
	PyObject *list = PyList_New(0);

	for (uint32_t i = 0; list && i < cfg->loop_count; i++) {
		const struct cfg_loop *loop = &cfg->loops[i];
		PyObject *dict =
			Py_BuildValue("{s:I,s:N,s:I,s:I,s:N,s:I}", "head", loop->head, "parent",
				      index_or_none(loop->parent), "depth", loop->depth, "blocks", loop->block_count,
				      "irreducible", PyBool_FromLong(loop->irreducible), "rounds", loop->rounds);

		if (list_take(list, dict) < 0)
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *windows(const struct windows *windows)
{
	PyObject *list = PyList_New(0);

	for (uint32_t i = 0; list && i < windows->count; i++) {
		const struct window *window = &windows->items[i];
		PyObject *dict = Py_BuildValue("{s:K,s:K,s:I,s:N}", "from", (unsigned long long)window->from, "to",
					       (unsigned long long)window->to, "blocks", window->block_count, "polls",
					       PyBool_FromLong(window->polls));

		if (list_take(list, dict) < 0)
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *addresses(const uint64_t *items, uint32_t count)
{
	PyObject *list = PyList_New(0);

	for (uint32_t i = 0; list && i < count; i++)
		if (list_take(list, PyLong_FromUnsignedLongLong(items[i])) < 0)
			Py_CLEAR(list);
	return list;
}

static PyObject *probes(const struct plan *plan)
{
	static const char *const roles[] = {"entry", "branch", "block", "return", "tail call"};
	PyObject *list = PyList_New(0);

	for (uint32_t i = 0; list && i < plan->count; i++) {
		const struct plan_probe *probe = &plan->probes[i];
		PyObject *dict = Py_BuildValue(
			"{s:K,s:I,s:N,s:N,s:d,s:N,s:N}", "address", (unsigned long long)probe->address, "block",
			probe->block, "roles", bits(probe->roles, roles, ARRAY_SIZE(roles)), "stepped",
			PyBool_FromLong(probe->need == EMULATE_IMPOSSIBLE), "frequency", probe->frequency, "in_window",
			PyBool_FromLong(probe->in_window), "patched", PyBool_FromLong(probe->patched));

		if (list_take(list, dict) < 0)
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *describe(struct analyser_object *self, const struct analysis *analysis)
{
	const struct plan *plan = analysis->plan;

	return Py_BuildValue(
		"{s:N,s:K,s:N,s:N,s:N,s:N,s:N,s:N,s:N,s:N,s:N,s:d,s:d,s:I,s:I}", "function",
		string_to_object(analysis->symbol.name), "entry", (unsigned long long)analysis->symbol.address,
		"complete", PyBool_FromLong(analysis->cfg->complete), "determined", PyBool_FromLong(plan->determined),
		"traceable", PyBool_FromLong(plan->entry != PLAN_NO_ENTRY), "blocks", blocks(self, analysis), "loops",
		loops(analysis->cfg), "windows", windows(analysis->windows), "window_callees",
		addresses(analysis->windows->callees, analysis->windows->callee_count), "window_pointers",
		addresses(analysis->windows->pointers, analysis->windows->pointer_count), "probes", probes(plan),
		"stops", plan->cost, "naive_stops", plan->naive_cost, "branches", plan->naive_count, "left_out",
		plan->left_out);
}

/* --- Methods --- */

typedef PyObject *(*describer)(struct analyser_object *self, const struct analysis *analysis, uint64_t ns);

static PyObject *whole(struct analyser_object *self, const struct analysis *analysis, uint64_t ns)
{
	(void)ns;
	return describe(self, analysis);
}

static PyObject *summary(struct analyser_object *self, const struct analysis *analysis, uint64_t ns)
{
	const struct plan *plan = analysis->plan;

	(void)self;
	return Py_BuildValue("{s:N,s:I,s:I,s:I,s:I,s:N,s:d,s:d,s:I,s:K}", "function",
			     string_to_object(analysis->symbol.name), "blocks", analysis->cfg->block_count, "branches",
			     plan->naive_count, "probes", plan->count, "windows", analysis->windows->count,
			     "determined", PyBool_FromLong(plan->determined), "stops", plan->cost, "naive_stops",
			     plan->naive_cost, "left_out", plan->left_out, "ns", (unsigned long long)ns);
}

/* Analyses each function that the compiler made of `name`. */
static PyObject *analyse_all(struct analyser_object *self, const char *name, const struct analysis_options *options,
			     describer describe_one)
{
	PyObject *list = PyList_New(0);
	const struct elf_symbol *symbol = NULL;
	struct cs_error *error = NULL;

	while (list && !(error = elf_find_variant(self->elf, name, symbol, &symbol)) && symbol) {
		struct analysis *analysis = NULL;
		uint64_t began = util_now_ns();

		if (elf_is_cold_part(symbol->name) || !symbol->function)
			continue;
		error = analysis_create(self->analyser, symbol, options, &analysis);
		if (error)
			break;
		if (list_take(list, describe_one(self, analysis, util_now_ns() - began)) < 0)
			Py_CLEAR(list);
		analysis_destroy(analysis);
	}
	if (!error)
		return list;
	Py_XDECREF(list);
	return raise_error(error);
}

/* Made at first use: who asks for names waits for no tables of patched places. -1 with an exception set. */
static int prepare(struct analyser_object *self)
{
	struct cs_error *error = self->analyser ? NULL : analyser_create(self->elf, &self->analyser);

	if (!error && !self->lines)
		error = lines_create(self->elf, &self->lines);
	if (error)
		raise_error(error);
	return error ? -1 : 0;
}

static PyObject *answer(PyObject *object, PyObject *args, PyObject *keywords, describer describe_one)
{
	static char *names[] = {"name",      "references",    "measuring",     "pointees", "noreturn",
				"intrusive", "allow_patched", "probe_returns", "budget",   NULL};
	struct analysis_options options = {.plan = {.probe_returns = true}};
	CLEANUP(hints_release) struct hints hints = {.known = {.references = NULL}};
	struct given_hints given = {NULL, NULL, NULL, NULL};
	int intrusive = 0, allow_patched = 0, probe_returns = 1;
	const char *name;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "s|$OOOOpppI", names, &name, &given.references,
					 &given.measuring, &given.pointees, &given.noreturn, &intrusive, &allow_patched,
					 &probe_returns, &options.plan.budget))
		return NULL;
	if (prepare(SELF(object)) < 0 || hints_take(&hints, &given) < 0)
		return NULL;
	options.hints = hints.known;
	options.plan.intrusive = intrusive;
	options.plan.allow_patched = allow_patched;
	options.plan.probe_returns = probe_returns;
	return analyse_all(SELF(object), name, &options, describe_one);
}

static PyObject *analyse(PyObject *object, PyObject *args, PyObject *keywords)
{
	return answer(object, args, keywords, whole);
}

static PyObject *summarise(PyObject *object, PyObject *args, PyObject *keywords)
{
	return answer(object, args, keywords, summary);
}

static PyObject *source(PyObject *object, PyObject *args)
{
	struct line levels[INLINE_LEVELS];
	PyObject *list = NULL;
	unsigned long long address;
	size_t count;

	if (!PyArg_ParseTuple(args, "K", &address) || prepare(SELF(object)) < 0 || !(list = PyList_New(0)))
		return NULL;
	count = lines_at(SELF(object)->lines, address, levels, INLINE_LEVELS);
	for (size_t i = 0; list && i < count; i++) {
		PyObject *level =
			Py_BuildValue("(N,N,i)", string_to_object(levels[i].function ? levels[i].function : ""),
				      string_to_object(levels[i].file ? levels[i].file : ""), levels[i].line);

		if (list_take(list, level) < 0)
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *in_window(PyObject *object, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"address", "references", "measuring", "pointees", "noreturn", NULL};
	CLEANUP(hints_release) struct hints hints = {.known = {.references = NULL}};
	struct given_hints given = {NULL, NULL, NULL, NULL};
	unsigned long long address;
	struct cs_error *error;
	bool inside;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "K|$OOOO", names, &address, &given.references,
					 &given.measuring, &given.pointees, &given.noreturn) ||
	    prepare(SELF(object)) < 0 || hints_take(&hints, &given) < 0)
		return NULL;
	error = analysis_in_window(SELF(object)->analyser, address, &hints.known, &inside);
	return error ? raise_error(error) : PyBool_FromLong(inside);
}

/* --- Life --- */

static struct cs_error *open_file(PyObject *object, const char *path)
{
	return elf_create(path, &SELF(object)->elf);
}

static PyObject *create(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	return instance_open(type, args, keywords, open_file);
}

static void release(void *object)
{
	analyser_destroy(SELF(object)->analyser);
	lines_destroy(SELF(object)->lines);
	elf_destroy(SELF(object)->elf);
}

static PyMethodDef methods[] = {
	{"analyse", (PyCFunction)(void (*)(void))analyse, METH_VARARGS | METH_KEYWORDS, NULL},
	{"summarise", (PyCFunction)(void (*)(void))summarise, METH_VARARGS | METH_KEYWORDS, NULL},
	{"in_window", (PyCFunction)(void (*)(void))in_window, METH_VARARGS | METH_KEYWORDS, NULL},
	{"source", source, METH_VARARGS, NULL},
	ELF_METHODS,
	{NULL, NULL, 0, NULL},
};

static struct type description = {
	.name = "clockscope._core.Analyser",
	.doc = "Static analysis of a kernel's functions; see _core.pyi.",
	.size = sizeof(struct analyser_object),
	.create = create,
	.release = release,
	.methods = methods,
	.properties = elf_properties,
};

int cfg_register(PyObject *module)
{
	return type_register(module, &description);
}
