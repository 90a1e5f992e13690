/* SPDX-License-Identifier: MIT */
/* BranchRecorder: from a function's name to its probes in the guest and its rows in the trace. */
#include <pthread.h>
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

/* What the recorder is given, and uses until it is released. */
struct material {
	pthread_mutex_t lock; /* the ELF finds its symbols when first asked, and two threads ask */
	struct elf *elf;
	struct lines *lines;
	struct analyser *analyser;
	struct traced_function *functions;
	struct hints hints;
};

struct recorder_object {
	INSTANCE_HEAD
	bool busy;           /* a thread is in a call; guarded by the GIL, which that call may have given up */
	struct relay *relay; /* all held until it is stopped */
	struct store *store;
	struct recorder *recorder; /* NULL: it was stopped */
	struct material *material; /* the recorder's, while there is one */
	struct plan_options plan;
};

#define SELF(OBJECT) ((struct recorder_object *)(OBJECT))

static void material_destroy(void *context)
{
	struct material *material = context;

	if (!material)
		return;
	while (material->functions) {
		struct traced_function *next = material->functions->next;

		analysis_destroy(material->functions->analysis);
		free(material->functions);
		material->functions = next;
	}
	analyser_destroy(material->analyser);
	lines_destroy(material->lines);
	elf_destroy(material->elf);
	hints_release(&material->hints);
	pthread_mutex_destroy(&material->lock);
	free(material);
}

/* --- Names and lines, from the ELF --- */

/* In the relay's thread, too. */
static void name_address(void *context, uint64_t address, char *text, size_t size)
{
	struct material *material = context;
	const struct elf_symbol *symbol = NULL;
	struct cs_error *error;

	pthread_mutex_lock(&material->lock);
	error = elf_symbol_at(material->elf, address, &symbol);
	pthread_mutex_unlock(&material->lock);
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
		size_t count = branch->kind == INSN_BRANCH
				       ? variables_compared(self->material->lines,
							    analyser_decoder(self->material->analyser), cfg, b, found)
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
	struct record_source source = source_of(self->material->lines, &analysis->cfg->insns[0].insn);
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
	CS_TRY(store_function(self->store, &row, analyser_decoder(self->material->analyser), source_of,
			      self->material->lines, &added->id));
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

/* The relay's thread may want a name before it comes to this. */
static struct cs_error *read_guest(void *context, uint64_t address, void *buffer, size_t size)
{
	struct piece piece = {address, buffer, size};
	struct recorder_object *self = context;
	struct cs_error *error;

	pthread_mutex_unlock(&self->material->lock);
	error = relay_call(self->relay, read_piece, &piece);
	pthread_mutex_lock(&self->material->lock);
	return error;
}

static struct cs_error *analyse(struct recorder_object *self, const struct elf_symbol *symbol, struct analysis **ret,
				struct added *added)
{
	struct material *material = self->material;
	CLEANUP(guest_text_release) struct guest_text text = {.count = 0};
	const struct analysis_options options = {
		.hints = material->hints.known,
		.plan = self->plan,
	};

	CS_TRY(guest_text_read(material->analyser, symbol, read_guest, self, &text));
	added->different = text.different;
	return guest_text_analyse(material->analyser, symbol, &text, &options, ret);
}

static struct cs_error *add_locked(struct recorder_object *self, const struct elf_symbol *symbol,
				   const struct analysis **ret, struct added *added)
{
	struct traced_function *function = calloc(1, sizeof(*function));
	struct cs_error *error;

	if (!function)
		return &cs_error_no_memory;
	error = analyse(self, symbol, &function->analysis, added);
	if (error) {
		free(function);
		return error;
	}
	function->next = self->material->functions;
	self->material->functions = function;
	*ret = function->analysis;
	return record_one(self, function->analysis, added);
}

static struct cs_error *add_one(struct recorder_object *self, const struct elf_symbol *symbol,
				const struct analysis **ret, struct added *added)
{
	struct cs_error *error;

	pthread_mutex_lock(&self->material->lock);
	error = add_locked(self, symbol, ret, added);
	pthread_mutex_unlock(&self->material->lock);
	return error;
}

/* The next function that the compiler made of NAME, but for the cold parts, which belong to theirs; NULL: none. */
static struct cs_error *next_variant(struct recorder_object *self, const char *name, const struct elf_symbol **symbol)
{
	struct cs_error *error;

	pthread_mutex_lock(&self->material->lock);
	do
		error = elf_find_variant(self->material->elf, name, *symbol, symbol);
	while (!error && *symbol && (elf_is_cold_part((*symbol)->name) || !(*symbol)->function));
	pthread_mutex_unlock(&self->material->lock);
	return error;
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

/* --- Calls --- */

/* Begins a call: false with an exception set where the recorder was stopped, or another thread is in one. */
static bool enter(PyObject *object)
{
	struct recorder_object *self = SELF(object);

	if (self->busy)
		raise_error(cs_error_create(CS_ERROR_STATE, "this recorder is in use by another thread"));
	else if (!self->recorder)
		raise_error(cs_error_create(CS_ERROR_STATE, "this recorder was stopped"));
	else
		self->busy = true;
	return !PyErr_Occurred();
}

/* The same for what is of use only while the relay is there. */
static bool enter_connected(PyObject *object)
{
	if (!enter(object))
		return false;
	if (relay_state(SELF(object)->relay) != RELAY_CLOSED)
		return true;
	SELF(object)->busy = false;
	raise_error(relay_closed(SELF(object)->relay));
	return false;
}

/* Ends a call: None, or the exception. */
static PyObject *leave(PyObject *object, struct cs_error *error)
{
	SELF(object)->busy = false;
	return relay_outcome(error);
}

static PyObject *add_all(struct recorder_object *self, const char *name)
{
	const struct elf_symbol *symbol = NULL;
	PyObject *list = PyList_New(0);

	while (list) {
		const struct analysis *analysis = NULL;
		struct added added = {0};
		struct cs_error *error;
		PyObject *dict;

		WITHOUT_GIL(error, next_variant(self, name, &symbol));
		if (!error && !symbol)
			return list;
		if (!error)
			WITHOUT_GIL(error, add_one(self, symbol, &analysis, &added));
		Py_XDECREF(relay_outcome(error));
		dict = PyErr_Occurred() ? NULL : describe(analysis, &added);
		if (!dict || PyList_Append(list, dict) < 0)
			Py_CLEAR(list);
		Py_XDECREF(dict);
	}
	return NULL;
}

static PyObject *add(PyObject *object, PyObject *args)
{
	PyObject *list;
	const char *name;

	if (!PyArg_ParseTuple(args, "s", &name) || !enter_connected(object))
		return NULL;
	list = add_all(SELF(object), name);
	SELF(object)->busy = false;
	return list;
}

static PyObject *within(PyObject *object, PyObject *args)
{
	long long child, parent;

	if (!PyArg_ParseTuple(args, "LL", &child, &parent) || !enter_connected(object))
		return NULL;
	return leave(object, recorder_within(SELF(object)->recorder, child, parent));
}

static PyObject *gate(PyObject *object, PyObject *args)
{
	unsigned long long address;
	long long id;
	int opens;

	if (!PyArg_ParseTuple(args, "LKp", &id, &address, &opens) || !enter_connected(object))
		return NULL;
	return leave(object, recorder_gate(SELF(object)->recorder, id, address, opens));
}

static PyObject *note(PyObject *object, PyObject *args)
{
	const char *text;
	long long id;

	if (!PyArg_ParseTuple(args, "Ls", &id, &text) || !enter(object))
		return NULL;
	return leave(object, store_note(SELF(object)->store, id, text));
}

static PyObject *replaced(PyObject *object, PyObject *args)
{
	long long id;

	if (!PyArg_ParseTuple(args, "L", &id) || !enter_connected(object))
		return NULL;
	return leave(object, recorder_replaced(SELF(object)->recorder, id));
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
	PyObject *list, *none;

	(void)unused;
	if (!enter_connected(object))
		return NULL;
	WITHOUT_GIL(error, recorder_arm(SELF(object)->recorder, note_refusal, &refusals));
	none = leave(object, error);
	Py_XDECREF(none);
	list = none ? PyList_New((Py_ssize_t)refusals.count) : NULL;
	for (size_t i = 0; list && i < refusals.count; i++)
		if (PyList_SetItem(list, (Py_ssize_t)i, PyLong_FromLongLong(refusals.ids[i])) < 0)
			Py_CLEAR(list);
	return list;
}

/* --- Life --- */

/* Without the GIL. Waits for the stub. */
static void release(void *context)
{
	struct recorder_object *self = context;

	recorder_destroy(TAKE_PTR(self->recorder));
	store_destroy(TAKE_PTR(self->store));
	relay_destroy(TAKE_PTR(self->relay));
	self->material = NULL;
}

static struct cs_error *stop_and_release(struct recorder_object *self)
{
	struct cs_error *error = recorder_stop(self->recorder);

	/* While the guest runs, all is as before. */
	if (recorder_is_stopped(self->recorder))
		release(self);
	return error;
}

/* Lifts the probes and writes the rest. */
static PyObject *stop(PyObject *object, PyObject *unused)
{
	struct recorder_object *self = SELF(object);
	struct cs_error *error;

	(void)unused;
	if (!self->recorder && !self->busy)
		Py_RETURN_NONE;
	if (!enter(object))
		return NULL;
	WITHOUT_GIL(error, stop_and_release(self));
	return leave(object, error);
}

static struct cs_error *open_file(struct material *material, const char *path)
{
	CS_TRY(elf_create(path, &material->elf));
	CS_TRY(lines_create(material->elf, &material->lines));
	return analyser_create(material->elf, &material->analyser);
}

/* Takes the material. */
static struct cs_error *begin(struct recorder_object *self, const char *path, struct material *material,
			      struct recorder_options *options)
{
	struct cs_error *error = open_file(material, path);

	options->name = name_address;
	options->release = material_destroy;
	options->context = material;
	if (!error)
		error = recorder_create(self->relay, self->store, options, &self->recorder);
	if (error)
		material_destroy(material);
	else
		self->material = material;
	return error;
}

struct arguments {
	PyObject *relay, *writer, *references, *measuring, *pointees;
	const char *path;
	int replay, intrusive, allow_patched, probe_returns, catch_returns;
	unsigned budget, hit_limit;
	unsigned long long task_pointer, task_name;
};

static bool parse(PyObject *args, PyObject *keywords, struct arguments *ret)
{
	static char *names[] = {"relay",      "writer",        "elf",           "replay",
				"intrusive",  "allow_patched", "probe_returns", "catch_returns",
				"budget",     "hit_limit",     "task_pointer",  "task_name",
				"references", "measuring",     "pointees",      NULL};

	*ret = (struct arguments){.probe_returns = 1, .catch_returns = 1, .hit_limit = 1000};
	return PyArg_ParseTupleAndKeywords(args, keywords, "OOs|$pppppIIKKOOO", names, &ret->relay, &ret->writer,
					   &ret->path, &ret->replay, &ret->intrusive, &ret->allow_patched,
					   &ret->probe_returns, &ret->catch_returns, &ret->budget, &ret->hit_limit,
					   &ret->task_pointer, &ret->task_name, &ret->references, &ret->measuring,
					   &ret->pointees);
}

static struct material *material_create(const struct arguments *given)
{
	struct material *material = calloc(1, sizeof(*material));

	if (!material) {
		PyErr_NoMemory();
		return NULL;
	}
	pthread_mutex_init(&material->lock, NULL);
	if (hints_take(&material->hints, given->references, given->measuring, given->pointees) == 0)
		return material;
	material_destroy(material);
	return NULL;
}

static int begin_object(struct recorder_object *self, const struct arguments *given)
{
	struct recorder_options options = {
		.hit_limit = given->hit_limit,
		.intrusive = given->intrusive,
		.replay = given->replay,
		.catch_returns = given->catch_returns,
		.task_pointer = given->task_pointer,
		.task_name = given->task_name,
	};
	struct material *material = material_create(given);
	struct relay *relay = material ? relay_object_relay(given->relay) : NULL;
	struct store *store = relay ? trace_writer_store(given->writer) : NULL;
	struct cs_error *error;

	if (!store) {
		material_destroy(material);
		return -1;
	}
	self->relay = relay_hold(relay);
	self->store = store_hold(store);
	self->plan = (struct plan_options){
		.budget = given->budget,
		.intrusive = given->intrusive,
		.allow_patched = given->allow_patched,
		.probe_returns = given->probe_returns,
	};
	WITHOUT_GIL(error, begin(self, given->path, material, &options));
	Py_XDECREF(relay_outcome(error));
	return PyErr_Occurred() ? -1 : 0;
}

static PyObject *recorder_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct arguments given;
	PyObject *object;

	if (!parse(args, keywords, &given))
		return NULL;
	object = allocate(type, 0);
	if (object && begin_object(SELF(object), &given) < 0)
		Py_CLEAR(object);
	return object;
}

static void recorder_dealloc(PyObject *object)
{
	instance_destroy(object, release);
}

static PyObject *statistics(PyObject *object, PyObject *unused)
{
	struct recorder_statistics now = {0};

	(void)unused;
	if (SELF(object)->recorder || SELF(object)->busy) {
		if (!enter(object))
			return NULL;
		recorder_get_statistics(SELF(object)->recorder, &now);
		SELF(object)->busy = false;
	}
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
	{Py_tp_new, recorder_new},
	{Py_tp_init, instance_init_once},
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
