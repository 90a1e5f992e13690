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

static struct type description;

static inline void release_guard(PyObject **object)
{
	Py_XDECREF(*object);
}

#define OBJECT CLEANUP(release_guard) PyObject

struct store *trace_writer_store(PyObject *object)
{
	return type_has(&description, object) ? ((struct trace_writer *)object)->store : NULL;
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
		struct row_frame *frame = &event->frames[i];
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

static int take_integer(PyObject *object, bool wraps, int64_t *ret)
{
	*ret = wraps ? (int64_t)PyLong_AsUnsignedLongLongMask(object) : PyLong_AsLongLong(object);
	return PyErr_Occurred() ? -1 : 0;
}

/* What the row has where a column is not given. */
static void set_default(const struct table_column *column, void *field)
{
	if (column->kind == COLUMN_KNOWN)
		*(int64_t *)field = RECORD_UNKNOWN;
	else if (column->kind == COLUMN_TEXT || column->kind == COLUMN_WHOLE)
		*(const char **)field = "";
}

static int take_column(PyObject *keep, const struct table_column *column, PyObject *object, void *field)
{
	switch (column->kind) {
	case COLUMN_NUMBER: return take_integer(object, false, field);
	case COLUMN_ADDRESS: return take_integer(object, true, field);
	case COLUMN_KNOWN: return object == Py_None ? 0 : take_integer(object, false, field);
	case COLUMN_OPTIONAL: return object == Py_None ? 0 : take_string(keep, object, field);
	case COLUMN_TEXT:
	case COLUMN_WHOLE: return take_string(keep, object, field);
	case COLUMN_FLAG: *(bool *)field = PyObject_IsTrue(object) == 1; return PyErr_Occurred() ? -1 : 0;
	case COLUMN_GIVEN:
	case COLUMN_CONTENT:
	case COLUMN_BLOB: break; /* only the core writes rows that have these */
	}
	PyErr_Format(PyExc_TypeError, "%s cannot be given", column->name);
	return -1;
}

/* How a method takes the columns of a row. */
struct signature {
	const char *method;
	enum trace_table table;
	const char *order[8]; /* those that may stand without their name, and must be given, NULL after the last */
	const char *optional; /* one of them that need not */
};

static size_t count_of(const struct signature *signature)
{
	size_t count = 0;

	while (count < ARRAY_SIZE(signature->order) && signature->order[count])
		count++;
	return count;
}

/* The argument that fills a column: *RET is borrowed, NULL where it was not given. -1 with an exception. */
static int argument_of(const struct signature *signature, const char *column, PyObject *args, PyObject *keywords,
		       PyObject **ret)
{
	bool is_optional = signature->optional && !strcmp(signature->optional, column);
	PyObject *named = keywords ? PyDict_GetItemString(keywords, column) : NULL;
	PyObject *placed = NULL;
	size_t i = 0;

	while (i < count_of(signature) && strcmp(signature->order[i], column) != 0)
		i++;
	if ((Py_ssize_t)i < PyTuple_Size(args))
		placed = PyTuple_GetItem(args, (Py_ssize_t)i);
	*ret = placed ? placed : named;
	if (i == count_of(signature) || (*ret && !(placed && named)) || (!*ret && is_optional))
		return 0;
	PyErr_Format(PyExc_TypeError, "%s() %s argument '%s'", signature->method,
		     *ret ? "got two values for" : "misses", column);
	return -1;
}

/* Fills a row of the signature's table from a call's arguments; each keyword is a column's name. */
static int take_row(PyObject *keep, const struct signature *signature, PyObject *args, PyObject *keywords, void *row)
{
	const struct table *table = &tables[signature->table];
	Py_ssize_t given = keywords ? PyDict_Size(keywords) : 0;

	if (PyTuple_Size(args) > (Py_ssize_t)count_of(signature)) {
		PyErr_Format(PyExc_TypeError, "%s() takes at most %zu arguments without a name", signature->method,
			     count_of(signature));
		return -1;
	}
	for (size_t i = 0; i < table->count; i++) {
		const struct table_column *column = &table->columns[i];
		void *field = (char *)row + column->offset;
		PyObject *object;

		set_default(column, field);
		if (argument_of(signature, column->name, args, keywords, &object) < 0 ||
		    (object && take_column(keep, column, object, field) < 0))
			return -1;
		given -= keywords && PyDict_GetItemString(keywords, column->name);
	}
	if (given > 0)
		PyErr_Format(PyExc_TypeError, "%s() takes no other names than the columns of table %s",
			     signature->method, table->name);
	return given > 0 ? -1 : 0;
}

static PyObject *writer_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"path", "force", NULL};
	OBJECT *path = NULL;
	OBJECT *self = NULL;
	int force = 0;
	struct cs_error *error;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "O&|$p:TraceWriter", names, PyUnicode_FSConverter, &path,
					 &force))
		return NULL;
	self = instance_create(type);
	if (!self)
		return NULL;
	error = store_create(PyBytes_AsString(path), force, &((struct trace_writer *)self)->store);
	return error ? raise_error(error) : TAKE_PTR(self);
}

static void writer_release(void *self)
{
	store_destroy(((struct trace_writer *)self)->store);
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

/* Takes a keyword out of the arguments that are none of the row's columns; TUPLE where it is not given. */
static PyObject *take_keyword(PyObject *keywords, const char *name, PyObject *tuple)
{
	PyObject *object = keywords ? PyDict_GetItemString(keywords, name) : NULL;

	object = Py_NewRef(object ? object : tuple);
	if (object != tuple && PyDict_DelItemString(keywords, name) < 0)
		Py_CLEAR(object);
	return object;
}

static PyObject *writer_event(PyObject *self, PyObject *args, PyObject *keywords)
{
	static const struct signature signature = {"event", TRACE_EVENT, {"run_ns", "cpu", "what", "rule"}, NULL};
	OBJECT *keep = PyList_New(0);
	OBJECT *none = PyTuple_New(0);
	OBJECT *columns = keywords ? PyDict_Copy(keywords) : PyDict_New();
	OBJECT *value_items = keep && none && columns ? take_keyword(columns, "values", none) : NULL;
	OBJECT *frame_items = value_items ? take_keyword(columns, "backtrace", none) : NULL;
	FREE struct record_value *values = NULL;
	FREE struct row_frame *frames = NULL;
	struct record_event event = {0};
	struct cs_error *error;
	int64_t seq;
	int taken;

	if (!frame_items)
		return NULL;
	taken = take_row(keep, &signature, args, columns, &event) < 0 || take_values(keep, value_items, &event) < 0 ||
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

/* Records the row that a call's arguments make. */
static PyObject *put_row(PyObject *self, const struct signature *signature, PyObject *args, PyObject *keywords)
{
	OBJECT *keep = PyList_New(0);
	union {
		struct row_expectation expectation;
		struct row_counter counter;
		struct row_source source;
		struct row_cpuid cpuid;
		struct row_msr msr;
		struct row_intervention intervention;
	} row = {0};

	if (!keep || take_row(keep, signature, args, keywords, &row) < 0)
		return NULL;
	return none_or_raise(store_row(store_of(self), signature->table, &row));
}

static PyObject *writer_expect(PyObject *self, PyObject *args, PyObject *keywords)
{
	static const struct signature signature = {
		"expect", TRACE_EXPECTATION, {"rule", "what", "function", "status", "note"}, "note"};

	return put_row(self, &signature, args, keywords);
}

static PyObject *writer_counter(PyObject *self, PyObject *args, PyObject *keywords)
{
	static const struct signature signature = {
		"counter",
		TRACE_COUNTER,
		{"function", "address", "hits", "first_run_ns", "first_cpu", "first_icount"},
		NULL};

	return put_row(self, &signature, args, keywords);
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
	static const struct signature signature = {"source", TRACE_SOURCE, {"file", "line", "text"}, NULL};

	return put_row(self, &signature, args, NULL);
}

/* cpuid(moment, leaf, subleaf, (EAX, EBX, ECX, EDX)) */
static PyObject *writer_cpuid(PyObject *self, PyObject *args)
{
	static const struct signature signature = {
		"cpuid", TRACE_CPUID, {"moment", "leaf", "subleaf", "eax", "ebx", "ecx", "edx"}, NULL};
	PyObject *moment, *leaf, *subleaf, *eax, *ebx, *ecx, *edx;
	OBJECT *flat = NULL;

	if (!PyArg_ParseTuple(args, "OOO(OOOO):cpuid", &moment, &leaf, &subleaf, &eax, &ebx, &ecx, &edx))
		return NULL;
	flat = PyTuple_Pack(7, moment, leaf, subleaf, eax, ebx, ecx, edx);
	return flat ? put_row(self, &signature, flat, NULL) : NULL;
}

static PyObject *writer_msr(PyObject *self, PyObject *args)
{
	static const struct signature signature = {"msr", TRACE_MSR, {"moment", "number", "value"}, NULL};

	return put_row(self, &signature, args, NULL);
}

static PyObject *writer_intervention(PyObject *self, PyObject *args, PyObject *keywords)
{
	static const struct signature signature = {"intervention",
						   TRACE_INTERVENTION,
						   {"number", "kind", "option", "function", "file", "line", "address"},
						   NULL};

	return put_row(self, &signature, args, keywords);
}

static PyObject *writer_intervention_use(PyObject *self, PyObject *args)
{
	static const struct signature signature = {
		"intervention_use", TRACE_INTERVENTION_USE, {"intervention", "run_ns", "cpu", "was", "became"}, NULL};
	OBJECT *keep = PyList_New(0);
	struct row_intervention_use row = {0};

	if (!keep || take_row(keep, &signature, args, NULL, &row) < 0)
		return NULL;
	row.seq = store_next_seq(store_of(self));
	return none_or_raise(store_row_intervention_use(store_of(self), &row));
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

static struct type description = {
	.name = "clockscope._core.TraceWriter",
	.doc = "A trace file being recorded. Rows are committed in batches; see schemas/trace.sql.",
	.size = sizeof(struct trace_writer),
	.create = writer_new,
	.release = writer_release,
	.methods = methods,
	.properties = properties,
};

int writer_register(PyObject *module)
{
	return type_register(module, &description);
}
