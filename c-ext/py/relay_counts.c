/* SPDX-License-Identifier: MIT */
/* What a Relay counts: its statistics, now and at marks, and the counters of probes. */
#include "relay.h"

#include "base/util.h"
#include "record/counter.h"
#include "trace.h"

static PyObject *statistics_dict(const struct relay_statistics *counts)
{
	return Py_BuildValue("{s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K}", "packets_to_stub", counts->packets_to_stub,
			     "packets_to_gdb", counts->packets_to_gdb, "own_stops", counts->own_stops, "gdb_stops",
			     counts->gdb_stops, "run_ns", counts->run_ns, "own_stop_ns", counts->own_stop_ns, "probes",
			     counts->probes, "stood_ns", counts->stood_ns, "resumes", counts->resumes);
}

PyObject *relay_statistics_method(PyObject *self, PyObject *unused)
{
	struct relay *relay = relay_object_relay(self);
	struct relay_statistics now;

	(void)unused;
	if (!relay)
		return NULL;
	relay_get_statistics(relay, &now);
	return statistics_dict(&now);
}

PyObject *relay_restart_time_method(PyObject *self, PyObject *unused)
{
	struct relay *relay = relay_object_relay(self);

	(void)unused;
	if (!relay)
		return NULL;
	relay_restart_time(relay);
	Py_RETURN_NONE;
}

PyObject *relay_run_ns_method(PyObject *self, PyObject *unused)
{
	struct relay *relay = relay_object_relay(self);

	(void)unused;
	return relay ? PyLong_FromUnsignedLongLong(relay_run_ns(relay)) : NULL;
}

PyObject *relay_mark_method(PyObject *self, PyObject *unused)
{
	struct relay *relay = relay_object_relay(self);

	(void)unused;
	return relay ? PyLong_FromUnsignedLongLong(relay_mark(relay)) : NULL;
}

PyObject *relay_marked_method(PyObject *self, PyObject *args)
{
	struct relay *relay = relay_object_relay(self);
	struct relay_statistics counts;
	unsigned long long mark;

	if (!relay || !PyArg_ParseTuple(args, "K", &mark))
		return NULL;
	if (!relay_marked(relay, mark, &counts))
		Py_RETURN_NONE;
	return statistics_dict(&counts);
}

/* --- Counters and the trace --- */

PyObject *relay_add_counter_method(PyObject *self, PyObject *args)
{
	struct counters *counters = relay_object_counters(self);
	struct placement placement = {0};
	unsigned long long address;
	struct cs_error *error;
	const char *name;
	PyObject *result;
	int number = 0;

	if (!counters || !PyArg_ParseTuple(args, "Ks|O&", &address, &name, take_placement, &placement))
		return NULL;
	WITHOUT_GIL(error, counters_add(counters, (struct link_address){address}, &placement, name, &number));
	result = relay_outcome(error);
	Py_XDECREF(result);
	return result ? PyLong_FromLong(number) : NULL;
}

PyObject *relay_remove_counter_method(PyObject *self, PyObject *args)
{
	struct counters *counters = relay_object_counters(self);
	struct cs_error *error;
	int number;

	if (!counters || !PyArg_ParseTuple(args, "i", &number))
		return NULL;
	WITHOUT_GIL(error, counters_remove(counters, number));
	return relay_outcome(error);
}

static PyObject *known(int64_t value)
{
	return value == RECORD_UNKNOWN ? Py_NewRef(Py_None) : PyLong_FromLongLong(value);
}

static int append_counter(const struct counter *counter, void *context)
{
	PyObject *dict = PyDict_New();
	int result = -1;

	if (dict && dict_take(dict, "number", PyLong_FromLong(counter->number)) == 0 &&
	    dict_take(dict, "address", PyLong_FromUnsignedLongLong(counter->address)) == 0 &&
	    dict_take(dict, "name", string_to_object(counter->name)) == 0 &&
	    dict_take(dict, "hits", PyLong_FromUnsignedLongLong(counter->hits)) == 0 &&
	    dict_take(dict, "first_run_ns", known(counter->first_run_ns)) == 0 &&
	    dict_take(dict, "first_cpu", known(counter->first_cpu)) == 0 &&
	    dict_take(dict, "first_icount", known(counter->first_icount)) == 0 &&
	    dict_take(dict, "planted", PyBool_FromLong(counter->planted)) == 0)
		result = PyList_Append(context, dict);
	Py_XDECREF(dict);
	return result;
}

PyObject *relay_counters_method(PyObject *self, PyObject *unused)
{
	struct counters *counters = relay_object_counters(self);
	PyObject *list = counters ? PyList_New(0) : NULL;

	(void)unused;
	if (list && counters_each(counters, append_counter, list) < 0)
		Py_CLEAR(list);
	return list;
}

PyObject *relay_set_trace_method(PyObject *self, PyObject *writer)
{
	struct counters *counters = relay_object_counters(self);
	struct store *store = NULL;
	struct cs_error *error;

	if (!counters)
		return NULL;
	if (writer != Py_None && !(store = trace_writer_store(writer)))
		return NULL;
	WITHOUT_GIL(error, counters_set_store(counters, store));
	return relay_outcome(error);
}

PyObject *relay_set_replay_method(PyObject *self, PyObject *args)
{
	struct relay *relay = relay_object_relay(self);
	struct counters *counters = relay_object_counters(self);
	int on;

	if (!relay || !PyArg_ParseTuple(args, "p", &on))
		return NULL;
	relay_set_replay(relay, on);
	counters_set_replay(counters, on);
	Py_RETURN_NONE;
}
