/* SPDX-License-Identifier: MIT */
/* BranchRecorder: from a function's name to its probes in the guest and its rows in the trace. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "elf/lines.h"
#include "flow/guest_text.h"
#include "flow/variables.h"
#include "record/recorder.h"
#include "relay.h"
#include "trace.h"
#include "window_hints.h"

#define INLINE_LEVELS 16

/* A function under trace: the recorder borrows its analysis. */
struct traced_function {
	struct analysis *analysis;
	struct traced_function *next;
};

struct recorder_object {
	PyObject_HEAD PyObject *relay; /* kept alive: the recorder uses what they hold */
	PyObject *writer;
	struct store *store;
	struct elf *elf;
	struct lines *lines;
	struct analyser *analyser;
	struct recorder *recorder;
	struct traced_function *functions;
	struct plan_options plan;
	struct hints hints;
};

#define SELF(OBJECT) ((struct recorder_object *)(OBJECT))

/* --- Names and lines, from the ELF --- */

/* In the relay's thread, while the guest runs; add() uses the ELF while it stands. */
static void name_address(void *context, uint64_t address, char *text, size_t size)
{
	const struct elf_symbol *symbol = NULL;
	struct cs_error *error = elf_symbol_at(context, address, &symbol);

	cs_error_destroy(error);
	text[0] = '\0';
	if (!error && symbol)
		snprintf(text, size, "%s+0x%llx", symbol->name, (unsigned long long)(address - symbol->address));
}

static bool decides(const struct insn *insn)
{
	return insn->kind == INSN_BRANCH || insn->kind == INSN_CMOV || insn->kind == INSN_SETCC;
}

/* To find the inlined function takes milliseconds, so that is done only where a decision is shown. */
static struct record_source source_of(void *context, const struct insn *insn)
{
	struct record_source source = {"", 0, ""};
	struct line levels[INLINE_LEVELS];
	size_t count;

	if (decides(insn))
		count = lines_at(context, insn->address, levels, INLINE_LEVELS);
	else
		count = lines_position(context, insn->address, &levels[0]);
	if (!count)
		return source;
	source.file = levels[0].file ? levels[0].file : "";
	source.line = levels[0].line;
	if (decides(insn) && levels[0].inlined && levels[0].function)
		source.inlined = levels[0].function;
	return source;
}

/* --- Adding a function --- */

/* Adds a reason to those in the text; none where there is nothing to count. */
static void add_reason(char *text, size_t size, uint32_t count, const char *what)
{
	size_t used = strlen(text);

	if (count)
		snprintf(text + used, size - used, "%s%u %s", used ? ", " : "not always told: ", count, what);
}

/* What the paths will lack, and why; empty where they lack nothing. */
static void explain_gaps(const struct analysis *analysis, char *text, size_t size)
{
	const struct plan *plan = analysis->plan;
	uint32_t window = 0;
	uint32_t patched = 0;
	uint32_t unknown = 0;

	text[0] = '\0';
	if (plan->determined && analysis->cfg->complete)
		return;
	for (uint32_t i = 0; i < analysis->cfg->block_count; i++) {
		window += (plan->gaps[i] & PLAN_GAP_WINDOW) != 0;
		patched += (plan->gaps[i] & PLAN_GAP_PATCHED) != 0;
		unknown += (analysis->cfg->blocks[i].exits & CFG_UNKNOWN) != 0;
	}
	add_reason(text, size, window, "blocks in timing windows");
	add_reason(text, size, patched, "blocks on patched text");
	add_reason(text, size, plan->left_out, "probes over the budget");
	add_reason(text, size, unknown, "indirect jumps with unknown targets");
}

static struct cs_error *record_variables(struct recorder_object *self, const struct analysis *analysis, int64_t id)
{
	const struct cfg *cfg = analysis->cfg;

	for (uint32_t b = 0; b < cfg->block_count; b++) {
		const struct insn *branch = &cfg_last(cfg, b)->insn;
		struct variable found[OPERAND_MAX];
		size_t count =
			branch->kind == INSN_BRANCH
				? variables_compared(self->lines, analyser_decoder(self->analyser), cfg, b, found)
				: 0;

		for (size_t i = 0; i < count; i++)
			CS_TRY(store_variable(self->store, id, branch->address, found[i].operand, found[i].name));
	}
	return NULL;
}

struct added {
	int64_t id;
	uint64_t different; /* as in struct guest_text */
	char note[256];
};

static void explain(const struct analysis *analysis, struct added *added)
{
	size_t used;

	explain_gaps(analysis, added->note, sizeof(added->note));
	used = strlen(added->note);
	if (added->different != UINT64_MAX)
		snprintf(added->note + used, sizeof(added->note) - used,
			 "%sanalysed as it is in memory, which is not the symbol file's code at 0x%llx",
			 used ? "; " : "", (unsigned long long)added->different);
}

static struct cs_error *record_one(struct recorder_object *self, const struct analysis *analysis, struct added *added)
{
	struct record_source source = source_of(self->lines, &analysis->cfg->insns[0].insn);
	struct record_function row = {
		.name = analysis->symbol.name,
		.file = source.file,
		.line = source.line,
		.note = added->note,
		.cfg = analysis->cfg,
		.windows = analysis->windows,
		.plan = analysis->plan,
	};

	/* Strings of `lines` hold only until the next look-up. */
	FREE char *file = strdup(source.file);

	if (!file)
		return &cs_error_no_memory;
	row.file = file;
	explain(analysis, added);
	CS_TRY(store_function(self->store, &row, analyser_decoder(self->analyser), source_of, self->lines, &added->id));
	CS_TRY(record_variables(self, analysis, added->id));
	return recorder_add(self->recorder, added->id, analysis->cfg, analysis->windows, analysis->plan);
}

struct piece {
	uint64_t address;
	void *buffer;
	size_t size;
};

static struct cs_error *read_piece(struct stub *stub, void *context)
{
	const struct piece *piece = context;

	return stub_read(stub, piece->address, piece->buffer, piece->size);
}

static struct cs_error *read_guest(void *context, uint64_t address, void *buffer, size_t size)
{
	struct piece piece = {address, buffer, size};

	return relay_call(context, read_piece, &piece);
}

static struct cs_error *analyse(struct recorder_object *self, struct relay *relay, const struct elf_symbol *symbol,
				struct analysis **ret, struct added *added)
{
	CLEANUP(guest_text_release) struct guest_text text = {.count = 0};
	const struct analysis_options options = {
		.hints = self->hints.known,
		.plan = self->plan,
	};

	CS_TRY(guest_text_read(self->analyser, symbol, read_guest, relay, &text));
	added->different = text.different;
	return guest_text_analyse(self->analyser, symbol, &text, &options, ret);
}

static struct cs_error *add_one(struct recorder_object *self, struct relay *relay, const struct elf_symbol *symbol,
				const struct analysis **ret, struct added *added)
{
	struct traced_function *function = calloc(1, sizeof(*function));
	struct cs_error *error;

	if (!function)
		return &cs_error_no_memory;
	error = analyse(self, relay, symbol, &function->analysis, added);
	if (error) {
		free(function);
		return error;
	}
	function->next = self->functions;
	self->functions = function;
	*ret = function->analysis;
	return record_one(self, function->analysis, added);
}

static PyObject *describe(const struct analysis *analysis, const struct added *added)
{
	const struct plan *plan = analysis->plan;
	PyObject *name = PyUnicode_DecodeUTF8(analysis->symbol.name, (Py_ssize_t)strlen(analysis->symbol.name),
					      "backslashreplace");
	PyObject *dict = name ? Py_BuildValue("{s:L,s:N,s:K,s:I,s:I,s:I,s:O,s:s,s:d,s:d}", "id", (long long)added->id,
					      "name", name, "address", (unsigned long long)analysis->symbol.address,
					      "probes", plan->count, "windows", analysis->windows->count, "branches",
					      plan->naive_count, "determined", plan->determined ? Py_True : Py_False,
					      "note", added->note, "cost", plan->cost, "naive_cost", plan->naive_cost)
			      : NULL;

	return dict;
}

static bool is_live(PyObject *object)
{
	if (!SELF(object)->recorder)
		PyErr_SetString(PyExc_ValueError, "this recorder was stopped");
	return SELF(object)->recorder != NULL;
}

/* Adds every function that the compiler made of `name`, but for the cold parts, which belong to theirs. */
static PyObject *add(PyObject *object, PyObject *args)
{
	struct recorder_object *self = SELF(object);
	const struct elf_symbol *symbol = NULL;
	PyObject *list = NULL;
	struct relay *relay;
	const char *name;
	struct cs_error *error;

	if (!is_live(object) || !PyArg_ParseTuple(args, "s", &name) || !(relay = relay_object_relay(self->relay)) ||
	    !(list = PyList_New(0)))
		return NULL;
	while (!(error = elf_find_variant(self->elf, name, symbol, &symbol)) && symbol) {
		const struct analysis *analysis = NULL;
		struct added added = {0};
		PyObject *dict;

		if (elf_is_cold_part(symbol->name) || !symbol->function)
			continue;
		Py_BEGIN_ALLOW_THREADS error = add_one(self, relay, symbol, &analysis, &added);
		Py_END_ALLOW_THREADS if (error) break;
		dict = describe(analysis, &added);
		if (!dict || PyList_Append(list, dict) < 0) {
			Py_XDECREF(dict);
			Py_DECREF(list);
			return NULL;
		}
		Py_DECREF(dict);
	}
	if (!error)
		return list;
	Py_DECREF(list);
	return relay_outcome(error);
}

static PyObject *within(PyObject *object, PyObject *args)
{
	long long child, parent;
	struct cs_error *error;

	if (!is_live(object) || !PyArg_ParseTuple(args, "LL", &child, &parent))
		return NULL;
	error = recorder_within(SELF(object)->recorder, child, parent);
	return relay_outcome(error);
}

static PyObject *gate(PyObject *object, PyObject *args)
{
	unsigned long long address;
	struct cs_error *error;
	long long id;
	int opens;

	if (!is_live(object) || !PyArg_ParseTuple(args, "LKp", &id, &address, &opens))
		return NULL;
	error = recorder_gate(SELF(object)->recorder, id, address, opens);
	return relay_outcome(error);
}

static PyObject *note(PyObject *object, PyObject *args)
{
	struct cs_error *error;
	const char *text;
	long long id;

	if (!is_live(object) || !PyArg_ParseTuple(args, "Ls", &id, &text))
		return NULL;
	error = store_note(SELF(object)->store, id, text);
	return relay_outcome(error);
}

static PyObject *replaced(PyObject *object, PyObject *args)
{
	long long id;

	if (!is_live(object) || !PyArg_ParseTuple(args, "L", &id))
		return NULL;
	return relay_outcome(recorder_replaced(SELF(object)->recorder, id));
}

struct refusals {
	int64_t ids[64];
	size_t count;
};

static void note_refusal(void *context, int64_t id)
{
	struct refusals *refusals = context;

	if (refusals->count < ARRAY_SIZE(refusals->ids))
		refusals->ids[refusals->count++] = id;
}

static PyObject *arm(PyObject *object, PyObject *unused)
{
	struct refusals refusals = {.count = 0};
	struct cs_error *error;
	PyObject *list;

	(void)unused;
	if (!is_live(object))
		return NULL;
	Py_BEGIN_ALLOW_THREADS error = recorder_arm(SELF(object)->recorder, note_refusal, &refusals);
	Py_END_ALLOW_THREADS if (error) return relay_outcome(error);
	list = PyList_New((Py_ssize_t)refusals.count);
	for (size_t i = 0; list && i < refusals.count; i++)
		if (PyList_SetItem(list, (Py_ssize_t)i, PyLong_FromLongLong(refusals.ids[i])) < 0)
			Py_CLEAR(list);
	return list;
}

/* --- Life --- */

static struct cs_error *write_rows(void *context)
{
	return recorder_write(context);
}

static void release(struct recorder_object *self)
{
	if (self->recorder && self->relay)
		relay_object_set_writer(self->relay, NULL, NULL);
	recorder_destroy(TAKE_PTR(self->recorder));
	while (self->functions) {
		struct traced_function *next = self->functions->next;

		analysis_destroy(self->functions->analysis);
		free(self->functions);
		self->functions = next;
	}
	analyser_destroy(TAKE_PTR(self->analyser));
	lines_destroy(TAKE_PTR(self->lines));
	elf_destroy(TAKE_PTR(self->elf));
	hints_release(&self->hints);
	Py_CLEAR(self->relay);
	Py_CLEAR(self->writer);
}

/* Lifts the probes and writes the rest. */
static PyObject *stop(PyObject *object, PyObject *unused)
{
	struct recorder_object *self = SELF(object);
	struct cs_error *error;

	(void)unused;
	if (!self->recorder)
		Py_RETURN_NONE;
	relay_object_set_writer(self->relay, NULL, NULL);
	Py_BEGIN_ALLOW_THREADS error = recorder_stop(self->recorder);
	Py_END_ALLOW_THREADS if (error && error->code == CS_ERROR_STATE) /* the guest runs: as before */
		relay_object_set_writer(self->relay, write_rows, self->recorder);
	else release(self);
	return relay_outcome(error);
}

static struct cs_error *open_all(struct recorder_object *self, struct relay *relay, const char *path,
				 struct recorder_options *options)
{
	CS_TRY(elf_create(path, &self->elf));
	CS_TRY(lines_create(self->elf, &self->lines));
	CS_TRY(analyser_create(self->elf, &self->analyser));
	options->name = name_address;
	options->name_context = self->elf;
	return recorder_create(relay, self->store, options, &self->recorder);
}

static int recorder_init(PyObject *object, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"relay",      "writer",        "elf",           "replay",
				"intrusive",  "allow_patched", "probe_returns", "catch_returns",
				"budget",     "hit_limit",     "task_pointer",  "task_name",
				"references", "measuring",     "pointees",      NULL};
	struct recorder_object *self = SELF(object);
	struct recorder_options options = {.hit_limit = 1000};
	int replay = 0, intrusive = 0, allow_patched = 0, probe_returns = 1, catch_returns = 1;
	unsigned long long task_pointer = 0, task_name = 0;
	PyObject *relay, *writer, *references = NULL, *measuring = NULL, *pointees = NULL;
	struct cs_error *error;
	struct relay *core;
	const char *path;

	if (self->relay) {
		PyErr_SetString(PyExc_TypeError, "a BranchRecorder is made once");
		return -1;
	}
	if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOs|$pppppIIKKOOO", names, &relay, &writer, &path, &replay,
					 &intrusive, &allow_patched, &probe_returns, &catch_returns, &self->plan.budget,
					 &options.hit_limit, &task_pointer, &task_name, &references, &measuring,
					 &pointees))
		return -1;
	core = relay_object_relay(relay);
	self->store = core ? trace_writer_store(writer) : NULL;
	if (!self->store || hints_take(&self->hints, references, measuring, pointees) < 0)
		return -1;
	self->relay = Py_NewRef(relay);
	self->writer = Py_NewRef(writer);
	self->plan.intrusive = intrusive;
	self->plan.allow_patched = allow_patched;
	self->plan.probe_returns = probe_returns;
	options.intrusive = intrusive;
	options.replay = replay;
	options.catch_returns = catch_returns;
	options.task_pointer = task_pointer;
	options.task_name = task_name;
	error = open_all(self, core, path, &options);
	if (error) {
		raise_error(error);
		return -1;
	}
	relay_object_set_writer(relay, write_rows, self->recorder);
	return 0;
}

static void recorder_dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);
	freefunc release_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
	struct recorder_object *self = SELF(object);

	if (self->recorder) {
		struct cs_error *error;

		relay_object_set_writer(self->relay, NULL, NULL);
		error = recorder_stop(self->recorder);
		/* A guest that runs still meets the probes: what they use is never released then. */
		if (error && error->code == CS_ERROR_STATE) {
			self->recorder = NULL;
			self->functions = NULL;
			self->analyser = NULL;
			self->elf = NULL;
		}
		cs_error_destroy(error);
	}
	release(self);
	release_object(object);
	Py_DECREF(type);
}

static PyObject *statistics(PyObject *object, PyObject *unused)
{
	struct recorder_statistics now = {0};

	(void)unused;
	if (SELF(object)->recorder)
		recorder_get_statistics(SELF(object)->recorder, &now);
	return Py_BuildValue("{s:K,s:K,s:K,s:K,s:K}", "stops", now.stops, "invocations", now.invocations, "orphans",
			     now.orphans, "mismatches", now.mismatches, "lifted", now.lifted);
}

static PyMethodDef methods[] = {
	{"add", add, METH_VARARGS, NULL},
	{"within", within, METH_VARARGS, NULL},
	{"gate", gate, METH_VARARGS, NULL},
	{"note", note, METH_VARARGS, NULL},
	{"replaced", replaced, METH_VARARGS, NULL},
	{"arm", arm, METH_NOARGS, NULL},
	{"stop", stop, METH_NOARGS, NULL},
	{"statistics", statistics, METH_NOARGS, NULL},
	{0},
};

static PyType_Slot slots[] = {
	{Py_tp_doc, "Records the branches of functions; see _core.pyi."},
	{Py_tp_new, PyType_GenericNew},
	{Py_tp_init, recorder_init},
	{Py_tp_dealloc, recorder_dealloc},
	{Py_tp_methods, methods},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "clockscope._core.BranchRecorder",
	.basicsize = sizeof(struct recorder_object),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = slots,
};

int recorder_register(PyObject *module)
{
	return type_register(module, &spec, NULL);
}
