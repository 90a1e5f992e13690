/* SPDX-License-Identifier: MIT */
/* diff_function(): one function in two traces. */
#include "trace.h"

#include <inttypes.h>

#include "trace/diff.h"

static PyObject *point_to_object(const struct diff_point *point)
{
	return Py_BuildValue("{s:L,s:L,s:L,s:K,s:O,s:O,s:O}", "invocation", (long long)point->invocation, "seq",
			     (long long)point->seq, "ordinal", (long long)point->ordinal, "address",
			     (unsigned long long)point->address, "taken", point->taken ? Py_True : Py_False, "decided",
			     point->decided ? Py_True : Py_False, "reached", point->reached ? Py_True : Py_False);
}

static PyObject *pair_of(const uint64_t numbers[2])
{
	return Py_BuildValue("(KK)", (unsigned long long)numbers[0], (unsigned long long)numbers[1]);
}

static PyObject *points_to_object(const struct diff_result *result)
{
	PyObject *a, *b;

	if (!result->diverges)
		return Py_NewRef(Py_None);
	a = point_to_object(&result->at[0]);
	b = a ? point_to_object(&result->at[1]) : NULL;
	if (!b) {
		Py_XDECREF(a);
		return NULL;
	}
	return Py_BuildValue("(NN)", a, b);
}

static PyObject *result_to_object(const struct diff_result *result)
{
	return Py_BuildValue("{s:O,s:N,s:K,s:N,s:K,s:K,s:N,s:K,s:K,s:N}", "same_code",
			     result->same_code ? Py_True : Py_False, "branches", pair_of(result->branches), "paired",
			     (unsigned long long)result->paired, "invocations", pair_of(result->invocations),
			     "compared", (unsigned long long)result->compared, "differing",
			     (unsigned long long)result->differing, "unpaired", pair_of(result->unpaired), "cut_short",
			     (unsigned long long)result->cut_short, "decisions", (unsigned long long)result->decisions,
			     "divergence", points_to_object(result));
}

static bool is_interrupted(void *context)
{
	(void)context;
	return PyErr_CheckSignals() < 0;
}

static PyObject *compare_open(struct trace *traces[2], const int64_t functions[2])
{
	struct diff_result result;
	struct cs_error *error = diff_function(traces, functions, is_interrupted, NULL, &result);

	if (!error)
		return result_to_object(&result);
	if (!PyErr_Occurred())
		return raise_error(error);
	cs_error_destroy(error);
	return NULL;
}

static PyObject *compare(PyObject *module, PyObject *args)
{
	PyObject *a, *b;
	PyObject *result = NULL;
	long long functions[2];
	struct trace *traces[2];

	(void)module;
	if (!PyArg_ParseTuple(args, "OLOL:diff_function", &a, &functions[0], &b, &functions[1]))
		return NULL;
	if (a == b)
		return PyErr_Format(PyExc_ValueError, "a trace is compared with itself: open it twice");
	traces[0] = trace_enter(a);
	traces[1] = traces[0] ? trace_enter(b) : NULL;
	if (traces[1])
		result = compare_open(traces, (int64_t[2]){functions[0], functions[1]});
	if (traces[1])
		trace_leave(b);
	if (traces[0])
		trace_leave(a);
	return result;
}

static PyMethodDef methods[] = {
	{"diff_function", compare, METH_VARARGS, "Compare a function's invocations in two traces."},
	{0},
};

int diff_register(PyObject *module)
{
	return PyModule_AddFunctions(module, methods);
}
