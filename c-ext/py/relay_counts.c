/* SPDX-License-Identifier: MIT */
/* What a relay counts, as dicts: now, and at marks. */
#include "relay.h"

PyObject *relay_statistics_dict(const struct relay_statistics *counts)
{
	return Py_BuildValue("{s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K}", "packets_to_stub", counts->packets_to_stub,
			     "packets_to_gdb", counts->packets_to_gdb, "own_stops", counts->own_stops, "gdb_stops",
			     counts->gdb_stops, "run_ns", counts->run_ns, "own_stop_ns", counts->own_stop_ns, "probes",
			     counts->probes, "stood_ns", counts->stood_ns, "resumes", counts->resumes);
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
	return relay_statistics_dict(&counts);
}
