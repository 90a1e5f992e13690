/* SPDX-License-Identifier: MIT */
/* Driving the guest of a Relay without GDB, and what it is made to execute. */
#include "relay.h"

#include <string.h>

#include "base/util.h"

/* --- Without GDB --- */

PyObject *relay_resume_method(PyObject *self, PyObject *args)
{
	struct relay *relay = relay_object_relay(self);
	const char *payload = "";
	struct cs_error *error;

	if (!relay || !PyArg_ParseTuple(args, "|y", &payload))
		return NULL;
	WITHOUT_GIL(error, relay_resume(relay, payload[0] ? payload : NULL));
	return relay_outcome(error);
}

PyObject *relay_wait_method(PyObject *self, PyObject *args)
{
	struct relay *relay = relay_object_relay(self);
	FREE char *stop = NULL;
	struct cs_error *error;
	PyObject *result;
	double timeout;

	if (!relay || !PyArg_ParseTuple(args, "d", &timeout))
		return NULL;
	if (!(timeout >= 0 && timeout < 1e6))
		return raise_error(cs_error_create(CS_ERROR_ARGUMENT, "a time limit is a number of seconds from 0"));
	WITHOUT_GIL(error, relay_wait(relay, (unsigned)(timeout * 1e3), &stop));
	result = relay_outcome(error);
	if (result && stop) {
		Py_DECREF(result);
		result = PyBytes_FromString(stop);
	}
	return result;
}

PyObject *relay_interrupt_method(PyObject *self, PyObject *unused)
{
	struct relay *relay = relay_object_relay(self);
	struct cs_error *error;

	(void)unused;
	if (!relay)
		return NULL;
	WITHOUT_GIL(error, relay_interrupt(relay));
	return relay_outcome(error);
}

PyObject *relay_settle_method(PyObject *self, PyObject *unused)
{
	struct relay *relay = relay_object_relay(self);

	(void)unused;
	if (!relay)
		return NULL;
	Py_BEGIN_ALLOW_THREADS;
	relay_settle(relay);
	Py_END_ALLOW_THREADS;
	Py_RETURN_NONE;
}

PyObject *relay_detach_method(PyObject *self, PyObject *unused)
{
	struct relay *relay = relay_object_relay(self);
	struct cs_error *error;

	(void)unused;
	if (!relay)
		return NULL;
	WITHOUT_GIL(error, relay_detach(relay));
	return relay_outcome(error);
}

/* --- Borrowed instructions --- */

struct borrow_call {
	struct relay *relay;
	const char *name;
	unsigned long long address;
	uint32_t given[ARCH_LOAN_GIVEN];
	uint32_t result[ARCH_LOAN_RESULTS];
};

static struct cs_error *do_borrow(struct stub *stub, void *context)
{
	struct borrow_call *call = context;

	(void)stub;
	return relay_borrow(call->relay, call->name, call->address, call->given, call->result);
}

PyObject *relay_borrow_method(PyObject *self, PyObject *args)
{
	struct relay *relay = relay_object_relay(self);
	struct borrow_call ask = {.relay = relay};
	struct cs_error *error;
	PyObject *result;

	if (!relay || !PyArg_ParseTuple(args, "sK|II", &ask.name, &ask.address, &ask.given[0], &ask.given[1]))
		return NULL;
	WITHOUT_GIL(error, relay_call(ask.relay, do_borrow, &ask));
	result = relay_outcome(error);
	Py_XDECREF(result);
	return result ? Py_BuildValue("(IIII)", ask.result[0], ask.result[1], ask.result[2], ask.result[3]) : NULL;
}

struct measure_call {
	struct relay *relay;
	unsigned long long address;
	double seconds;
	uint64_t ticks, elapsed_ns;
};

static struct cs_error *do_measure(struct stub *stub, void *context)
{
	struct measure_call *call = context;

	(void)stub;
	return relay_measure_clock(call->relay, call->address, (unsigned)(call->seconds * 1e3), &call->ticks,
				   &call->elapsed_ns);
}

PyObject *relay_measure_tsc_method(PyObject *self, PyObject *args)
{
	struct relay *relay = relay_object_relay(self);
	struct measure_call ask = {.relay = relay, .seconds = 0.02};
	struct cs_error *error;
	PyObject *result;

	if (!relay || !PyArg_ParseTuple(args, "K|d", &ask.address, &ask.seconds))
		return NULL;
	if (!(ask.seconds >= 0 && ask.seconds <= 10))
		return raise_error(cs_error_create(CS_ERROR_ARGUMENT, "the wait is from 0 to 10 seconds"));
	WITHOUT_GIL(error, relay_call(ask.relay, do_measure, &ask));
	result = relay_outcome(error);
	Py_XDECREF(result);
	return result ? Py_BuildValue("(KK)", (unsigned long long)ask.ticks, (unsigned long long)ask.elapsed_ns) : NULL;
}

PyObject *relay_set_idle_limit_method(PyObject *self, PyObject *args)
{
	struct relay *relay = relay_object_relay(self);
	double seconds;

	if (!relay || !PyArg_ParseTuple(args, "d", &seconds))
		return NULL;
	if (!(seconds >= 0 && seconds < 1e9))
		return raise_error(cs_error_create(CS_ERROR_ARGUMENT, "the idle limit is a number of seconds from 0"));
	relay_set_idle_limit(relay, (uint64_t)(seconds * 1e9));
	Py_RETURN_NONE;
}
