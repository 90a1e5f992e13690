/* SPDX-License-Identifier: MIT */
/* TraceWriter: a trace being recorded. */
#include "trace.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "record/path_rows.h"

struct trace_writer {
	INSTANCE_HEAD
	struct store *store;
};

static PyObject *writer_type;

static inline void release_guard(PyObject **object)
{
	Py_XDECREF(*object);
}

#define OBJECT CLEANUP(release_guard) PyObject

struct store *trace_writer_store(PyObject *object)
{
	int is = PyObject_IsInstance(object, writer_type);

	if (is == 0)
		PyErr_SetString(PyExc_TypeError, "a TraceWriter is wanted");
	return is > 0 ? ((struct trace_writer *)object)->store : NULL;
}

static PyObject *none_or_raise(struct cs_error *error)
{
	return error ? raise_error(error) : Py_NewRef(Py_None);
}

/* Text as UTF-8 bytes. What Python cannot encode (a guest's stray bytes, decoded with surrogateescape)
 * becomes an escape rather than an error. */
static PyObject *encode(PyObject *text)
{
	if (!PyUnicode_Check(text))
		return PyErr_Format(PyExc_TypeError, "text is wanted, not %R", (PyObject *)Py_TYPE(text));
	return PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
}

/* As encode(), for a field that is a C string; *RET points into the bytes, which go into KEEP. */
static int take_string(PyObject *keep, PyObject *text, const char **ret)
{
	OBJECT *bytes = encode(text);
	char *data;

	/* Without a length to set, this refuses NUL bytes. */
	if (!bytes || PyBytes_AsStringAndSize(bytes, &data, NULL) < 0 || PyList_Append(keep, bytes) < 0)
		return -1;
	*ret = data;
	return 0;
}

static int take_number(PyObject *number, struct record_value *value)
{
	int overflow;

	value->kind = RECORD_VALUE_SIGNED;
	value->number = (uint64_t)PyLong_AsLongLongAndOverflow(number, &overflow);
	if (overflow > 0) {
		value->kind = RECORD_VALUE_UNSIGNED;
		value->number = PyLong_AsUnsignedLongLong(number);
	} else if (overflow < 0) {
		PyErr_SetString(PyExc_OverflowError, "a value is below -2**63");
	}
	return PyErr_Occurred() ? -1 : 0;
}

static int take_value(PyObject *keep, PyObject *name, PyObject *content, struct record_value *value)
{
	OBJECT *bytes = NULL;
	char *data;
	Py_ssize_t length;

	if (take_string(keep, name, &value->name) < 0)
		return -1;
	if (content == Py_None) {
		value->kind = RECORD_VALUE_UNREADABLE;
		return 0;
	}
	if (PyLong_Check(content))
		return take_number(content, value);
	bytes = encode(content);
	if (!bytes || PyBytes_AsStringAndSize(bytes, &data, &length) < 0 || PyList_Append(keep, bytes) < 0)
		return -1;
	value->kind = RECORD_VALUE_TEXT;
	value->text = data;
	value->length = (size_t)length;
	return 0;
}

/* Zeroed room for one element of SIZE for each item of a sequence; *COUNT says how many. */
static void *allocate_for(PyObject *sequence, size_t size, size_t *count)
{
	Py_ssize_t length = PySequence_Size(sequence);
	void *array = length < 0 ? NULL : calloc((size_t)length + 1, size);

	if (length >= 0 && !array)
		PyErr_NoMemory();
	*count = array ? (size_t)length : 0;
	return array;
}

/* values: (name, int | str | None), … */
static int take_values(PyObject *keep, PyObject *sequence, struct record_event *event)
{
	event->values = allocate_for(sequence, sizeof(*event->values), &event->value_count);
	if (!event->values)
		return -1;
	for (size_t i = 0; i < event->value_count; i++) {
		OBJECT *item = PySequence_GetItem(sequence, (Py_ssize_t)i);
		PyObject *name;
		PyObject *content;

		if (!item || !PyArg_ParseTuple(item, "OO;a value is (name, content)", &name, &content) ||
		    take_value(keep, name, content, &event->values[i]) < 0)
			return -1;
	}
	return 0;
}

/* backtrace: (function, file, line, address, inlined), … */
static int take_frames(PyObject *keep, PyObject *sequence, struct record_event *event)
{
	event->frames = allocate_for(sequence, sizeof(*event->frames), &event->frame_count);
	if (!event->frames)
		return -1;
	for (size_t i = 0; i < event->frame_count; i++) {
		struct record_frame *frame = &event->frames[i];
		OBJECT *item = PySequence_GetItem(sequence, (Py_ssize_t)i);
		PyObject *function;
		PyObject *file;
		long long line;
		unsigned long long address;
		int inlined;

		if (!item ||
		    !PyArg_ParseTuple(item, "OOLKp;a frame is (function, file, line, address, inlined)", &function,
				      &file, &line, &address, &inlined) ||
		    take_string(keep, function, &frame->function) < 0 || take_string(keep, file, &frame->file) < 0)
			return -1;
		frame->line = line;
		frame->address = address;
		frame->inlined = inlined;
	}
	return 0;
}

/* "O&" converter of what may be None. */
static int convert_known(PyObject *object, void *ret)
{
	int64_t *number = ret;

	*number = object == Py_None ? RECORD_UNKNOWN : PyLong_AsLongLong(object);
	return !PyErr_Occurred();
}

static PyObject *writer_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"path", "force", NULL};
	allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	OBJECT *path = NULL;
	OBJECT *self = NULL;
	int force = 0;
	struct cs_error *error;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "O&|$p:TraceWriter", names, PyUnicode_FSConverter, &path,
					 &force))
		return NULL;
	self = allocate(type, 0);
	if (!self)
		return NULL;
	error = store_create(PyBytes_AsString(path), force, &((struct trace_writer *)self)->store);
	return error ? raise_error(error) : TAKE_PTR(self);
}

static void writer_release(void *self)
{
	store_destroy(((struct trace_writer *)self)->store);
}

static void writer_dealloc(PyObject *self)
{
	instance_destroy(self, writer_release);
}

static struct store *store_of(PyObject *self)
{
	return ((struct trace_writer *)self)->store;
}

static PyObject *writer_path(PyObject *self, void *closure)
{
	(void)closure;
	return PyUnicode_DecodeFSDefault(store_path(store_of(self)));
}

static PyObject *writer_meta(PyObject *self, PyObject *args)
{
	OBJECT *keep = PyList_New(0);
	PyObject *key;
	PyObject *value;
	const char *key_text;
	const char *value_text;

	if (!keep || !PyArg_ParseTuple(args, "OO:meta", &key, &value) || take_string(keep, key, &key_text) < 0 ||
	    take_string(keep, value, &value_text) < 0)
		return NULL;
	return none_or_raise(store_meta(store_of(self), key_text, value_text));
}

/* The texts of an event, in the order in which event() parses them. */
struct event_texts {
	PyObject *what, *rule, *function, *file, *thread, *clock;
};

static int take_event_texts(PyObject *keep, const struct event_texts *texts, struct record_event *event)
{
	const struct {
		PyObject *object;
		const char **ret;
	} fields[] = {
		{texts->what, &event->what}, {texts->rule, &event->rule},     {texts->function, &event->function},
		{texts->file, &event->file}, {texts->thread, &event->thread}, {texts->clock, &event->clock},
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		*fields[i].ret = "";
		if (fields[i].object && fields[i].object != Py_None &&
		    take_string(keep, fields[i].object, fields[i].ret) < 0)
			return -1;
	}
	if (!texts->clock || texts->clock == Py_None)
		event->clock = NULL;
	return 0;
}

static PyObject *writer_event(PyObject *self, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"run_ns", "cpu",    "what",     "rule", "function", "file",   "line",      "address",
				"thread", "icount", "guest_ns", "tsc",  "clock",    "values", "backtrace", NULL};
	OBJECT *keep = PyList_New(0);
	OBJECT *none = PyTuple_New(0);
	FREE struct record_value *values = NULL;
	FREE struct record_frame *frames = NULL;
	PyObject *value_items = none;
	PyObject *frame_items = none;
	struct event_texts texts = {0};
	struct record_event event = {.guest_ns = RECORD_UNKNOWN, .icount = RECORD_UNKNOWN, .tsc = RECORD_UNKNOWN};
	struct cs_error *error;
	long long run_ns, cpu, line = 0;
	unsigned long long address = 0;
	int64_t seq;
	int taken;

	if (!keep || !none ||
	    !PyArg_ParseTupleAndKeywords(args, keywords, "LLUU|$UULKUO&O&O&OOO:event", names, &run_ns, &cpu,
					 &texts.what, &texts.rule, &texts.function, &texts.file, &line, &address,
					 &texts.thread, convert_known, &event.icount, convert_known, &event.guest_ns,
					 convert_known, &event.tsc, &texts.clock, &value_items, &frame_items))
		return NULL;
	event.run_ns = run_ns;
	event.cpu = cpu;
	event.line = line;
	event.address = address;
	taken = take_event_texts(keep, &texts, &event) < 0 || take_values(keep, value_items, &event) < 0 ||
		take_frames(keep, frame_items, &event) < 0;
	values = event.values;
	frames = event.frames;
	if (taken)
		return NULL;
	error = store_event(store_of(self), &event, &seq);
	return error ? raise_error(error) : PyLong_FromLongLong(seq);
}

static PyObject *writer_add_value(PyObject *self, PyObject *args)
{
	OBJECT *keep = PyList_New(0);
	struct record_value value = {0};
	long long seq;
	PyObject *name;
	PyObject *content;

	if (!keep || !PyArg_ParseTuple(args, "LOO:add_value", &seq, &name, &content) ||
	    take_value(keep, name, content, &value) < 0)
		return NULL;
	return none_or_raise(store_add_value(store_of(self), seq, &value));
}

static PyObject *writer_expect(PyObject *self, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"rule", "what", "function", "status", "note", NULL};
	OBJECT *keep = PyList_New(0);
	struct record_expectation expectation = {.note = ""};
	PyObject *rule, *what, *function, *status, *note = NULL;

	if (!keep || !PyArg_ParseTupleAndKeywords(args, keywords, "OOOO|O:expect", names, &rule, &what, &function,
						  &status, &note))
		return NULL;
	if (take_string(keep, rule, &expectation.rule) < 0 || take_string(keep, what, &expectation.what) < 0 ||
	    take_string(keep, function, &expectation.function) < 0 ||
	    take_string(keep, status, &expectation.status) < 0 ||
	    (note && take_string(keep, note, &expectation.note) < 0))
		return NULL;
	return none_or_raise(store_expect(store_of(self), &expectation));
}

static PyObject *writer_counter(PyObject *self, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"function", "address", "hits", "first_run_ns", "first_cpu", "first_icount", NULL};
	OBJECT *keep = PyList_New(0);
	struct record_counter counter = {0};
	PyObject *function;
	unsigned long long address;
	long long hits;

	if (!keep || !PyArg_ParseTupleAndKeywords(args, keywords, "OKLO&O&O&:counter", names, &function, &address,
						  &hits, convert_known, &counter.first_run_ns, convert_known,
						  &counter.first_cpu, convert_known, &counter.first_icount))
		return NULL;
	if (take_string(keep, function, &counter.function) < 0)
		return NULL;
	counter.address = address;
	counter.hits = hits;
	return none_or_raise(store_counter(store_of(self), &counter));
}

static PyObject *writer_flush(PyObject *self, PyObject *unused)
{
	(void)unused;
	return none_or_raise(store_flush(store_of(self)));
}

static PyObject *writer_close(PyObject *self, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"complete", "reason", NULL};
	OBJECT *keep = PyList_New(0);
	PyObject *reason;
	const char *text;
	int complete;

	if (!keep || !PyArg_ParseTupleAndKeywords(args, keywords, "pO:close", names, &complete, &reason) ||
	    take_string(keep, reason, &text) < 0)
		return NULL;
	return none_or_raise(store_close(store_of(self), complete, text));
}

#define KEYWORDS(FUNCTION) ((PyCFunction)(void (*)(void))(FUNCTION)), METH_VARARGS | METH_KEYWORDS

static PyObject *writer_source(PyObject *self, PyObject *args)
{
	OBJECT *keep = PyList_New(0);
	PyObject *file;
	PyObject *content;
	const char *name;
	const char *text;
	int line;

	if (!keep || !PyArg_ParseTuple(args, "UiU", &file, &line, &content) || take_string(keep, file, &name) < 0 ||
	    take_string(keep, content, &text) < 0)
		return NULL;
	return none_or_raise(store_source(store_of(self), name, line, text));
}

static PyObject *writer_cpuid(PyObject *self, PyObject *args)
{
	OBJECT *keep = PyList_New(0);
	PyObject *moment;
	struct record_cpuid cpuid;

	if (!keep ||
	    !PyArg_ParseTuple(args, "UII(IIII):cpuid", &moment, &cpuid.leaf, &cpuid.subleaf, &cpuid.registers[0],
			      &cpuid.registers[1], &cpuid.registers[2], &cpuid.registers[3]) ||
	    take_string(keep, moment, &cpuid.moment) < 0)
		return NULL;
	return none_or_raise(store_cpuid(store_of(self), &cpuid));
}

static PyObject *writer_msr(PyObject *self, PyObject *args)
{
	OBJECT *keep = PyList_New(0);
	PyObject *moment;
	const char *text;
	unsigned number;
	unsigned long long value;

	if (!keep || !PyArg_ParseTuple(args, "UIK:msr", &moment, &number, &value) ||
	    take_string(keep, moment, &text) < 0)
		return NULL;
	return none_or_raise(store_msr(store_of(self), text, number, value));
}

static PyObject *writer_intervention(PyObject *self, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"number", "kind", "option", "function", "file", "line", "address", NULL};
	struct record_intervention row = {0};
	PyObject *kind, *option, *function, *file;
	OBJECT *keep = PyList_New(0);
	unsigned long long address;
	long long number, line;

	if (!keep || !PyArg_ParseTupleAndKeywords(args, keywords, "LUUUULK:intervention", names, &number, &kind,
						  &option, &function, &file, &line, &address))
		return NULL;
	if (take_string(keep, kind, &row.kind) < 0 || take_string(keep, option, &row.option) < 0 ||
	    take_string(keep, function, &row.function) < 0 || take_string(keep, file, &row.file) < 0)
		return NULL;
	row.number = number;
	row.line = line;
	row.address = address;
	return none_or_raise(store_intervention(store_of(self), &row));
}

static PyObject *writer_intervention_use(PyObject *self, PyObject *args)
{
	struct record_intervention_use row = {0};
	OBJECT *keep = PyList_New(0);
	long long number, run_ns, cpu;
	PyObject *was, *became;

	if (!keep || !PyArg_ParseTuple(args, "LLLUU:intervention_use", &number, &run_ns, &cpu, &was, &became) ||
	    take_string(keep, was, &row.was) < 0 || take_string(keep, became, &row.became) < 0)
		return NULL;
	row.seq = store_next_seq(store_of(self));
	row.intervention = number;
	row.run_ns = run_ns;
	row.cpu = cpu;
	return none_or_raise(store_intervention_use(store_of(self), &row));
}

static PyMethodDef methods[] = {
	{"meta", writer_meta, METH_VARARGS, "Set one row of provenance."},
	{"event", KEYWORDS(writer_event), "Record an event; its seq."},
	{"add_value", writer_add_value, METH_VARARGS, "Add a value to an event."},
	{"expect", KEYWORDS(writer_expect), "Record what the profile expects."},
	{"counter", KEYWORDS(writer_counter), "Record, or replace, an entry counter."},
	{"cpuid", writer_cpuid, METH_VARARGS, "Record, or replace, what a CPUID leaf told the guest."},
	{"msr", writer_msr, METH_VARARGS, "Record, or replace, what an MSR told the guest."},
	{"intervention", KEYWORDS(writer_intervention), "Record what is to be changed in the guest."},
	{"intervention_use", writer_intervention_use, METH_VARARGS, "Record that it was changed."},
	{"source", writer_source, METH_VARARGS, "Record the text of a source line."},
	{"flush", writer_flush, METH_NOARGS, "Commit what is pending."},
	{"close", KEYWORDS(writer_close), "Commit, say how the recording ended, leave one ordinary file."},
	{0},
};

static PyObject *writer_logged(PyObject *self, void *closure)
{
	(void)closure;
	return PyBool_FromLong(store_is_logged(store_of(self)));
}

static PyGetSetDef properties[] = {
	{"logged", writer_logged, NULL, "Whether a part of the closed trace lies in its log.", NULL},
	{"path", writer_path, NULL, "The file's name, as given.", NULL},
	{0},
};

static PyType_Slot slots[] = {
	{Py_tp_new, writer_new},
	{Py_tp_init, instance_init_once},
	{Py_tp_dealloc, writer_dealloc},
	{Py_tp_methods, methods},
	{Py_tp_getset, properties},
	{Py_tp_doc, "A trace file being recorded. Rows are committed in batches; see schemas/trace.sql."},
	{0},
};

static PyType_Spec spec = {
	.name = "clockscope._core.TraceWriter",
	.basicsize = sizeof(struct trace_writer),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = slots,
};

int writer_register(PyObject *module)
{
	return type_register(module, &spec, &writer_type);
}
