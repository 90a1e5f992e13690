/* SPDX-License-Identifier: MIT */
/* What a Relay tells of its stub, and asks of it: packets, memory, registers. */
#include "relay.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "rsp/icount.h"

/* --- What is known --- */

static PyObject *features(const struct stub *stub)
{
	PyObject *dict = PyDict_New();

	for (size_t i = 0; dict && i < stub->feature_count; i++) {
		PyObject *name = string_to_object(stub->features[i].name);
		PyObject *value = string_to_object(stub->features[i].value);

		if (!name || !value || PyDict_SetItem(dict, name, value) < 0)
			Py_CLEAR(dict);
		Py_XDECREF(name);
		Py_XDECREF(value);
	}
	return dict;
}

static PyObject *registers(const struct target *target)
{
	PyObject *list = PyList_New((Py_ssize_t)target->count);

	for (size_t i = 0; list && i < target->count; i++) {
		const struct target_register *reg = &target->registers[i];
		PyObject *name = string_to_object(reg->name);
		PyObject *item = name ? Py_BuildValue("{s:O,s:I,s:I,s:n}", "name", name, "bitsize", reg->bits, "regnum",
						      reg->number, "offset", (Py_ssize_t)reg->offset)
				      : NULL;

		Py_XDECREF(name);
		if (!item || PyList_SetItem(list, (Py_ssize_t)i, item) < 0)
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *vcont(const struct stub *stub)
{
	PyObject *list = PyList_New(0);

	for (const char *action = stub->vcont; list && *action; action++)
		if (list_take(list, PyUnicode_FromStringAndSize(action, 1)) < 0)
			Py_CLEAR(list);
	return list;
}

PyObject *relay_capabilities_method(PyObject *self, PyObject *unused)
{
	struct relay *relay = relay_object_relay(self);
	PyObject *dict = relay ? PyDict_New() : NULL;
	const struct stub *stub;

	(void)unused;
	if (!dict)
		return NULL;
	stub = relay_stub(relay);
	if (dict_take(dict, "packet_size", PyLong_FromSize_t(stub->packet_size)) < 0 ||
	    dict_take(dict, "no_ack", PyBool_FromLong(stub->no_ack)) < 0 ||
	    dict_take(dict, "multiprocess", PyBool_FromLong(stub->multiprocess)) < 0 ||
	    dict_take(dict, "vcont", vcont(stub)) < 0 || dict_take(dict, "features", features(stub)) < 0 ||
	    dict_take(dict, "architecture", string_to_object(stub->target->architecture)) < 0 ||
	    dict_take(dict, "registers", registers(stub->target)) < 0)
		Py_CLEAR(dict);
	return dict;
}

/* --- Requests --- */

struct request {
	const char *payload;
	Py_ssize_t length;
	unsigned timeout_ms;
	struct stub_reply reply;
};

/* Runs FUNCTION with another time limit than the stub's usual one. */
static struct cs_error *limited(struct stub *stub, const struct request *request,
				struct cs_error *(*function)(struct stub *, struct request *), struct request *context)
{
	unsigned usual = stub->timeout_ms;
	struct cs_error *error;

	stub->timeout_ms = request->timeout_ms;
	error = function(stub, context);
	stub->timeout_ms = usual;
	return error;
}

static struct cs_error *send_request(struct stub *stub, struct request *request)
{
	return stub_request(stub, request->payload, (size_t)request->length, &request->reply);
}

static struct cs_error *do_request(struct stub *stub, void *context)
{
	return limited(stub, context, send_request, context);
}

static bool parse_request(PyObject *args, PyObject *keywords, const char *format, char **names, struct request *request)
{
	double timeout = 5.0;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, format, names, &request->payload, &request->length, &timeout))
		return false;
	if (!(timeout > 0 && timeout < 1e6)) {
		raise_error(cs_error_create(CS_ERROR_ARGUMENT, "a time limit is a number of seconds above 0"));
		return false;
	}
	request->timeout_ms = (unsigned)(timeout * 1e3);
	return true;
}

PyObject *relay_request_method(PyObject *self, PyObject *args, PyObject *keywords)
{
	struct relay *relay = relay_object_relay(self);
	static char *names[] = {"packet", "timeout", NULL};
	struct request ask = {0};
	struct cs_error *error;
	PyObject *result;

	if (!relay || !parse_request(args, keywords, "y#|d", names, &ask))
		return NULL;
	WITHOUT_GIL(error, relay_call(relay, do_request, &ask));
	result = relay_outcome(error);
	if (result) {
		Py_DECREF(result);
		result = PyBytes_FromStringAndSize(ask.reply.text, (Py_ssize_t)ask.reply.length);
	}
	stub_reply_clear(&ask.reply);
	return result;
}

static struct cs_error *send_monitor(struct stub *stub, struct request *request)
{
	return stub_monitor(stub, request->payload, &request->reply.text);
}

static struct cs_error *do_monitor(struct stub *stub, void *context)
{
	return limited(stub, context, send_monitor, context);
}

PyObject *relay_monitor_method(PyObject *self, PyObject *args, PyObject *keywords)
{
	struct relay *relay = relay_object_relay(self);
	static char *names[] = {"command", "timeout", NULL};
	struct request ask = {0};
	struct cs_error *error;
	PyObject *result;

	if (!relay || !parse_request(args, keywords, "s#|d", names, &ask))
		return NULL;
	WITHOUT_GIL(error, relay_call(relay, do_monitor, &ask));
	result = relay_outcome(error);
	if (result) {
		Py_DECREF(result);
		result = string_to_object(ask.reply.text);
	}
	stub_reply_clear(&ask.reply);
	return result;
}

struct memory {
	unsigned long long address;
	void *bytes;
	Py_ssize_t length;
};

static struct cs_error *do_read(struct stub *stub, void *context)
{
	struct memory *memory = context;

	return stub_read(stub, memory->address, memory->bytes, (size_t)memory->length);
}

PyObject *relay_read_memory_method(PyObject *self, PyObject *args)
{
	struct relay *relay = relay_object_relay(self);
	struct memory memory;
	struct cs_error *error;
	PyObject *result;

	if (!relay || !PyArg_ParseTuple(args, "Kn", &memory.address, &memory.length))
		return NULL;
	if (memory.length < 0 || memory.length > (Py_ssize_t)1 << 30)
		return raise_error(cs_error_create(CS_ERROR_ARGUMENT, "a length is from 0 to 1 GiB"));
	memory.bytes = malloc((size_t)memory.length + 1);
	if (!memory.bytes)
		return PyErr_NoMemory();
	WITHOUT_GIL(error, relay_call(relay, do_read, &memory));
	result = relay_outcome(error);
	if (result) {
		Py_DECREF(result);
		result = PyBytes_FromStringAndSize(memory.bytes, memory.length);
	}
	free(memory.bytes);
	return result;
}

static struct cs_error *do_write(struct stub *stub, void *context)
{
	struct memory *memory = context;

	return stub_write(stub, memory->address, memory->bytes, (size_t)memory->length);
}

PyObject *relay_write_memory_method(PyObject *self, PyObject *args)
{
	struct relay *relay = relay_object_relay(self);
	struct memory memory;
	struct cs_error *error;

	if (!relay || !PyArg_ParseTuple(args, "Ky#", &memory.address, (char **)&memory.bytes, &memory.length))
		return NULL;
	WITHOUT_GIL(error, relay_call(relay, do_write, &memory));
	return relay_outcome(error);
}

struct registers_call {
	struct relay *relay;
	const char *thread;
	uint8_t *bytes;
	size_t length;
};

static struct cs_error *do_read_registers(struct stub *stub, void *context)
{
	struct registers_call *read = context;

	(void)stub;
	return relay_read_registers(read->relay, read->thread, &read->bytes, &read->length);
}

PyObject *relay_read_registers_method(PyObject *self, PyObject *args)
{
	struct relay *relay = relay_object_relay(self);
	struct registers_call read = {.relay = relay, .thread = ""};
	struct cs_error *error;
	PyObject *result;

	if (!relay || !PyArg_ParseTuple(args, "|s", &read.thread))
		return NULL;
	WITHOUT_GIL(error, relay_call(relay, do_read_registers, &read));
	result = relay_outcome(error);
	if (result) {
		Py_DECREF(result);
		result = PyBytes_FromStringAndSize((char *)read.bytes, (Py_ssize_t)read.length);
	}
	free(read.bytes);
	return result;
}

struct icount_call {
	uint64_t instructions;
};

static struct cs_error *do_instructions(struct stub *stub, void *context)
{
	return replay_instructions(stub, &((struct icount_call *)context)->instructions);
}

PyObject *relay_instructions_method(PyObject *self, PyObject *unused)
{
	struct relay *relay = relay_object_relay(self);
	struct icount_call ask = {0};
	struct cs_error *error;
	PyObject *result;

	(void)unused;
	if (!relay)
		return NULL;
	WITHOUT_GIL(error, relay_call(relay, do_instructions, &ask));
	result = relay_outcome(error);
	Py_XDECREF(result);
	return result ? PyLong_FromUnsignedLongLong(ask.instructions) : NULL;
}
