/* SPDX-License-Identifier: MIT */
/* Trace: a trace opened for reading. */
#include "trace.h"

#include <inttypes.h>
#include <string.h>

#include "base/util.h"
#include "trace/sql.h"

struct trace_object {
	INSTANCE_HEAD
	struct trace *trace; /* NULL once released */
	bool closed;
	unsigned users; /* calls that read it */
};

static struct type description;

static struct cs_error *open_trace(PyObject *object, const char *path)
{
	return trace_open(path, &((struct trace_object *)object)->trace);
}

static PyObject *trace_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	return instance_open(type, args, keywords, open_trace);
}

static void trace_release(void *self)
{
	trace_destroy(((struct trace_object *)self)->trace);
}

struct trace *trace_enter(PyObject *object)
{
	struct trace_object *self = type_has(&description, object) ? (struct trace_object *)object : NULL;

	if (self && self->closed)
		raise_error(cs_error_create(CS_ERROR_STATE, "the trace is closed"));
	if (!self || self->closed)
		return NULL;
	self->users++;
	return self->trace;
}

static void release_if_closed(struct trace_object *self)
{
	if (self->closed && !self->users)
		trace_destroy(TAKE_PTR(self->trace));
}

void trace_leave(PyObject *object)
{
	struct trace_object *self = (struct trace_object *)object;

	self->users--;
	release_if_closed(self);
}

static struct timeline *timeline_of(struct trace *trace)
{
	struct timeline *timeline = NULL;
	struct cs_error *error = timeline_create(trace, &timeline);

	if (error)
		raise_error(error);
	return timeline;
}

static PyObject *trace_timeline(PyObject *self, PyObject *unused)
{
	struct trace *trace = trace_enter(self);
	struct timeline *timeline = trace ? timeline_of(trace) : NULL;
	PyObject *object = timeline ? timeline_to_object(timeline) : NULL;

	(void)unused;
	timeline_destroy(timeline);
	if (trace)
		trace_leave(self);
	return object;
}

static PyObject *column_to_object(sqlite3_stmt *statement, int column)
{
	const void *data;

	switch (sqlite3_column_type(statement, column)) {
	case SQLITE_INTEGER: return PyLong_FromLongLong(sqlite3_column_int64(statement, column));
	case SQLITE_FLOAT: return PyFloat_FromDouble(sqlite3_column_double(statement, column));
	case SQLITE_TEXT:
		data = sqlite3_column_text(statement, column);
		return text_to_object(data ? data : "", (size_t)sqlite3_column_bytes(statement, column));
	case SQLITE_BLOB:
		data = sqlite3_column_blob(statement, column);
		return PyBytes_FromStringAndSize(data, sqlite3_column_bytes(statement, column));
	default: return Py_NewRef(Py_None);
	}
}

static PyObject *row_to_object(sqlite3_stmt *statement)
{
	PyObject *row = PyDict_New();

	for (int i = 0; row && i < sqlite3_column_count(statement); i++)
		if (dict_take(row, sqlite3_column_name(statement, i), column_to_object(statement, i)) < 0)
			Py_CLEAR(row);
	return row;
}

static int bind_parameter(sqlite3_stmt *statement, int index, PyObject *object)
{
	PyObject *bytes;
	char *data;
	Py_ssize_t length;

	if (object == Py_None)
		return sqlite3_bind_null(statement, index);
	if (PyLong_Check(object)) {
		long long number = PyLong_AsLongLong(object);

		return PyErr_Occurred() ? -1 : sqlite3_bind_int64(statement, index, number);
	}
	bytes = PyUnicode_AsEncodedString(object, "utf-8", "backslashreplace");
	if (!bytes)
		return -1;
	PyBytes_AsStringAndSize(bytes, &data, &length);
	sqlite3_bind_text64(statement, index, data, (sqlite3_uint64)length, SQLITE_TRANSIENT, SQLITE_UTF8);
	Py_DECREF(bytes);
	return 0;
}

static int bind_parameters(sqlite3_stmt *statement, PyObject *parameters)
{
	Py_ssize_t count = parameters ? PySequence_Size(parameters) : 0;

	if (count >= 0 && count != sqlite3_bind_parameter_count(statement)) {
		PyErr_Format(PyExc_ValueError, "%d parameters are wanted, not %zd",
			     sqlite3_bind_parameter_count(statement), count);
		return -1;
	}
	for (Py_ssize_t i = 0; i < count; i++) {
		PyObject *object = PySequence_GetItem(parameters, i);
		int result = object ? bind_parameter(statement, (int)i + 1, object) : -1;

		Py_XDECREF(object);
		if (result < 0)
			return -1;
	}
	return count < 0 ? -1 : 0;
}

/* What a row takes in memory, about: a dict, and an object for each value. */
#define ROW_BYTES 256
#define VALUE_BYTES 16

static uint64_t size_of_row(sqlite3_stmt *statement)
{
	uint64_t size = ROW_BYTES;

	for (int i = 0; i < sqlite3_column_count(statement); i++) {
		int type = sqlite3_column_type(statement, i);
		bool is_long = type == SQLITE_TEXT || type == SQLITE_BLOB;

		size += VALUE_BYTES + (is_long ? (uint64_t)sqlite3_column_bytes(statement, i) : 0);
	}
	return size;
}

/* Appends all rows to LIST; -1 with an exception set. */
static int collect_rows(struct trace *trace, sqlite3_stmt *statement, PyObject *list)
{
	uint64_t size = 0;

	for (;;) {
		bool is_row;
		struct cs_error *error = trace_step(trace, statement, &is_row);

		if (!error && is_row && (size += size_of_row(statement)) > trace_allowance(trace))
			error = cs_error_create(CS_ERROR_FORMAT,
						"%s is damaged: its rows take more than %" PRIu64 " MiB",
						trace_path(trace), trace_allowance(trace) >> 20);
		if (error) {
			raise_error(error);
			return -1;
		}
		if (!is_row)
			return 0;
		if (list_take(list, row_to_object(statement)) < 0)
			return -1;
	}
}

static PyObject *read_rows(struct trace *trace, const char *sql, PyObject *parameters)
{
	SQL_STATEMENT *statement = NULL;
	struct cs_error *error = trace_prepare(trace, sql, &statement);
	PyObject *list;

	if (error)
		return raise_error(error);
	if (bind_parameters(statement, parameters) < 0)
		return NULL;
	list = PyList_New(0);
	if (list && collect_rows(trace, statement, list) < 0)
		Py_CLEAR(list);
	return list;
}

static PyObject *trace_rows(PyObject *self, PyObject *args)
{
	PyObject *parameters = NULL;
	PyObject *rows = NULL;
	PyObject *sql;
	PyObject *bytes;
	struct trace *trace;

	if (!PyArg_ParseTuple(args, "U|O:rows", &sql, &parameters) || !(trace = trace_enter(self)))
		return NULL;
	bytes = PyUnicode_AsUTF8String(sql);
	if (bytes)
		rows = read_rows(trace, PyBytes_AsString(bytes), parameters);
	Py_XDECREF(bytes);
	trace_leave(self);
	return rows;
}

static PyObject *read_meta(struct trace *trace)
{
	SQL_STATEMENT *statement = NULL;
	struct cs_error *error = trace_prepare(trace, "SELECT key, value FROM meta ORDER BY key", &statement);
	PyObject *dict = error ? NULL : PyDict_New();
	bool is_row = false;

	while (dict && !(error = trace_step(trace, statement, &is_row)) && is_row) {
		PyObject *key = column_to_object(statement, 0);
		PyObject *value = column_to_object(statement, 1);

		if (!key || !value || PyDict_SetItem(dict, key, value) < 0)
			Py_CLEAR(dict);
		Py_XDECREF(key);
		Py_XDECREF(value);
	}
	if (!error)
		return dict;
	Py_XDECREF(dict);
	return raise_error(error);
}

static PyObject *read_complete(struct trace *trace)
{
	SQL_STATEMENT *statement = NULL;
	bool is_row = false;
	struct cs_error *error =
		trace_prepare(trace, "SELECT 1 FROM meta WHERE key = 'complete' AND value = '1'", &statement);

	if (!error)
		error = trace_step(trace, statement, &is_row);
	return error ? raise_error(error) : PyBool_FromLong(is_row);
}

static PyObject *reading(PyObject *self, PyObject *(*read)(struct trace *trace))
{
	struct trace *trace = trace_enter(self);
	PyObject *object = trace ? read(trace) : NULL;

	if (trace)
		trace_leave(self);
	return object;
}

static PyObject *trace_meta(PyObject *self, PyObject *unused)
{
	(void)unused;
	return reading(self, read_meta);
}

static PyObject *trace_complete(PyObject *self, PyObject *unused)
{
	(void)unused;
	return reading(self, read_complete);
}

static PyObject *read_path(struct trace *trace)
{
	return PyUnicode_DecodeFSDefault(trace_path(trace));
}

static PyObject *trace_get_path(PyObject *self, void *unused)
{
	(void)unused;
	return reading(self, read_path);
}

static PyObject *trace_close(PyObject *self, PyObject *unused)
{
	struct trace_object *object = (struct trace_object *)self;

	(void)unused;
	object->closed = true;
	release_if_closed(object);
	return Py_NewRef(Py_None);
}

static PyObject *enter_block(PyObject *self, PyObject *unused)
{
	(void)unused;
	return Py_NewRef(self);
}

static PyObject *exit_block(PyObject *self, PyObject *args)
{
	return trace_close(self, args);
}

static PyMethodDef methods[] = {
	{"meta", trace_meta, METH_NOARGS, "The provenance, as a dict."},
	{"complete", trace_complete, METH_NOARGS, "Whether the recording was ended in order."},
	{"timeline", trace_timeline, METH_NOARGS, "What `timeline --format json` prints."},
	{"rows", trace_rows, METH_VARARGS, "Rows of a SELECT, each a dict."},
	{"close", trace_close, METH_NOARGS, "Close the file."},
	{"__enter__", enter_block, METH_NOARGS, NULL},
	{"__exit__", exit_block, METH_VARARGS, NULL},
	{0},
};

static PyGetSetDef properties[] = {
	{"path", trace_get_path, NULL, "The name that it was opened by.", NULL},
	{0},
};

static struct type description = {
	.name = "clockscope._core.Trace",
	.doc = "A trace opened for reading.",
	.size = sizeof(struct trace_object),
	.create = trace_new,
	.release = trace_release,
	.methods = methods,
	.properties = properties,
};

int trace_register(PyObject *module)
{
	return type_register(module, &description);
}
