/* SPDX-License-Identifier: MIT */
/* Relay: the connection to a guest's stub. All waiting is done without the GIL. */
#include "relay.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "record/counter.h"
#include "relay/borrow.h"
#include "rsp/icount.h"
#include "trace.h"

struct relay_object {
	INSTANCE_HEAD
	struct relay *relay; /* held to the object's end: other threads may be in a call when it is closed */
	struct counters *counters;
	bool closed;
	struct relay_object *next, **link; /* among all there are; guarded by the GIL */
};

static struct type description;
static struct relay_object *all;
static unsigned long main_thread;

#define SELF(OBJECT) ((struct relay_object *)(OBJECT))

/* Ctrl-C: Python's own handler decides; the exception it sets stays with the waiting thread. Signals are the main
 * thread's; another must not ask for the GIL here, for when Python ends it would not come back. */
static bool interrupted(void)
{
	PyGILState_STATE state;
	bool is;

	if (PyThread_get_thread_ident() != main_thread || instance_in_destructor())
		return false;
	state = PyGILState_Ensure();
	is = PyErr_Occurred() || PyErr_CheckSignals() < 0;
	PyGILState_Release(state);
	return is;
}

/* None, or the exception: the KeyboardInterrupt that gave the wait up, if there is one, before what
 * giving up led to. */
PyObject *relay_outcome(struct cs_error *error)
{
	if (PyErr_Occurred()) {
		cs_error_destroy(error);
		return NULL;
	}
	return error ? raise_error(error) : Py_NewRef(Py_None);
}

static bool is_open(PyObject *self)
{
	if (!SELF(self)->closed)
		return true;
	raise_error(cs_error_create(CS_ERROR_CLOSED, "the connection was closed"));
	return false;
}

struct relay *relay_object_relay(PyObject *object)
{
	return type_has(&description, object) && is_open(object) ? SELF(object)->relay : NULL;
}

static void list(struct relay_object *self)
{
	self->next = all;
	self->link = &all;
	if (all)
		all->link = &self->next;
	all = self;
}

static void unlist(PyObject *object)
{
	struct relay_object *self = SELF(object);

	if (self->link)
		*self->link = self->next;
	if (self->next)
		self->next->link = self->link;
}

static struct cs_error *create(struct relay_object *self, const char *address, double connect_timeout,
			       double request_timeout)
{
	CS_TRY(relay_create(address, (unsigned)(connect_timeout * 1e3), (unsigned)(request_timeout * 1e3), interrupted,
			    &self->relay));
	CS_TRY(counters_create(self->relay, &self->counters));
	counters_set_replay(self->counters, relay_is_replay(self->relay));
	return NULL;
}

/* Asked with the first relay: `threading` takes long to import for those who only read traces. */
static int find_main_thread(void)
{
	PyObject *threading = main_thread ? NULL : PyImport_ImportModule("threading");
	PyObject *thread = threading ? PyObject_CallMethod(threading, "main_thread", NULL) : NULL;
	PyObject *ident = thread ? PyObject_GetAttrString(thread, "ident") : NULL;

	if (ident)
		main_thread = PyLong_AsUnsignedLong(ident);
	Py_XDECREF(ident);
	Py_XDECREF(thread);
	Py_XDECREF(threading);
	return PyErr_Occurred() ? -1 : 0;
}

static PyObject *relay_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"address", "connect_timeout", "request_timeout", NULL};
	double connect_timeout = 5.0;
	double request_timeout = 5.0;
	struct relay_object *object;
	struct cs_error *error;
	const char *address;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "s|$dd:Relay", names, &address, &connect_timeout,
					 &request_timeout))
		return NULL;
	if (!(connect_timeout > 0 && connect_timeout < 1e6) || !(request_timeout > 0 && request_timeout < 1e6))
		return raise_error(cs_error_create(CS_ERROR_ARGUMENT, "a time limit is a number of seconds above 0"));
	if (find_main_thread() < 0)
		return NULL;
	object = SELF(instance_create(type));
	if (!object)
		return NULL;
	WITHOUT_GIL(error, create(object, address, connect_timeout, request_timeout));
	Py_XDECREF(relay_outcome(error));
	if (PyErr_Occurred()) {
		Py_DECREF(object);
		return NULL;
	}
	list(object);
	return (PyObject *)object;
}

/* What others hold of the relay they go on using. */
static void release(void *context)
{
	struct relay_object *object = context;

	counters_destroy(object->counters);
	relay_destroy(object->relay);
}

static void close_relay(struct relay_object *object)
{
	object->closed = true;
	Py_BEGIN_ALLOW_THREADS relay_stop(object->relay);
	cs_error_destroy(counters_set_store(object->counters, NULL)); /* writes what is pending */
	Py_END_ALLOW_THREADS
}

/* When Python ends: threads that still wait for a relay are not waited for, and keep it from its own end. */
static PyObject *close_all(PyObject *module, PyObject *unused)
{
	struct relay_object *object = all;

	(void)module;
	(void)unused;
	while (object) {
		if (object->closed) {
			object = object->next;
			continue;
		}
		Py_INCREF((PyObject *)object);
		close_relay(object);
		Py_DECREF(object);
		object = all; /* there may be others by now */
	}
	Py_RETURN_NONE;
}

/* --- What is known --- */

static PyObject *get_socket_path(PyObject *self, void *closure)
{
	(void)closure;
	return is_open(self) ? PyUnicode_FromString(relay_socket_path(SELF(self)->relay)) : NULL;
}

static PyObject *get_state(PyObject *self, void *closure)
{
	static const char *const names[] = {
		[RELAY_STOPPED] = "stopped",
		[RELAY_RUNNING] = "running",
		[RELAY_EXITED] = "exited",
		[RELAY_CLOSED] = "closed",
	};

	(void)closure;
	return PyUnicode_FromString(names[SELF(self)->closed ? RELAY_CLOSED : relay_state(SELF(self)->relay)]);
}

static PyObject *get_reason(PyObject *self, void *closure)
{
	FREE char *reason = SELF(self)->closed ? strdup("the connection was closed") : relay_reason(SELF(self)->relay);

	(void)closure;
	return reason ? string_to_object(reason) : PyErr_NoMemory();
}

static PyObject *get_replay(PyObject *self, void *closure)
{
	(void)closure;
	return is_open(self) ? PyBool_FromLong(relay_is_replay(SELF(self)->relay)) : NULL;
}

static PyObject *get_borrow_refusal(PyObject *self, void *closure)
{
	FREE char *text = relay_borrow_refusal(SELF(self)->relay);

	(void)closure;
	return text ? string_to_object(text) : PyErr_NoMemory();
}

static PyObject *get_idle_reached(PyObject *self, void *closure)
{
	(void)closure;
	return is_open(self) ? PyBool_FromLong(relay_idle_reached(SELF(self)->relay)) : NULL;
}

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

static PyObject *capabilities(PyObject *self, PyObject *unused)
{
	PyObject *dict = is_open(self) ? PyDict_New() : NULL;
	const struct stub *stub;

	(void)unused;
	if (!dict)
		return NULL;
	stub = relay_stub(SELF(self)->relay);
	if (dict_take(dict, "packet_size", PyLong_FromSize_t(stub->packet_size)) < 0 ||
	    dict_take(dict, "no_ack", PyBool_FromLong(stub->no_ack)) < 0 ||
	    dict_take(dict, "multiprocess", PyBool_FromLong(stub->multiprocess)) < 0 ||
	    dict_take(dict, "vcont", vcont(stub)) < 0 || dict_take(dict, "features", features(stub)) < 0 ||
	    dict_take(dict, "architecture", string_to_object(stub->target->architecture)) < 0 ||
	    dict_take(dict, "registers", registers(stub->target)) < 0)
		Py_CLEAR(dict);
	return dict;
}

static PyObject *statistics(PyObject *self, PyObject *unused)
{
	struct relay_statistics now;

	(void)unused;
	if (!is_open(self))
		return NULL;
	relay_get_statistics(SELF(self)->relay, &now);
	return relay_statistics_dict(&now);
}

static PyObject *restart_time(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (!is_open(self))
		return NULL;
	relay_restart_time(SELF(self)->relay);
	Py_RETURN_NONE;
}

static PyObject *run_ns(PyObject *self, PyObject *unused)
{
	(void)unused;
	return is_open(self) ? PyLong_FromUnsignedLongLong(relay_run_ns(SELF(self)->relay)) : NULL;
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

static PyObject *request(PyObject *self, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"packet", "timeout", NULL};
	struct request ask = {0};
	struct cs_error *error;
	PyObject *result;

	if (!is_open(self) || !parse_request(args, keywords, "y#|d", names, &ask))
		return NULL;
	WITHOUT_GIL(error, relay_call(SELF(self)->relay, do_request, &ask));
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

static PyObject *monitor(PyObject *self, PyObject *args, PyObject *keywords)
{
	static char *names[] = {"command", "timeout", NULL};
	struct request ask = {0};
	struct cs_error *error;
	PyObject *result;

	if (!is_open(self) || !parse_request(args, keywords, "s#|d", names, &ask))
		return NULL;
	WITHOUT_GIL(error, relay_call(SELF(self)->relay, do_monitor, &ask));
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

static PyObject *read_memory(PyObject *self, PyObject *args)
{
	struct memory memory;
	struct cs_error *error;
	PyObject *result;

	if (!is_open(self) || !PyArg_ParseTuple(args, "Kn", &memory.address, &memory.length))
		return NULL;
	if (memory.length < 0 || memory.length > (Py_ssize_t)1 << 30)
		return raise_error(cs_error_create(CS_ERROR_ARGUMENT, "a length is from 0 to 1 GiB"));
	memory.bytes = malloc((size_t)memory.length + 1);
	if (!memory.bytes)
		return PyErr_NoMemory();
	WITHOUT_GIL(error, relay_call(SELF(self)->relay, do_read, &memory));
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

static PyObject *write_memory(PyObject *self, PyObject *args)
{
	struct memory memory;
	struct cs_error *error;

	if (!is_open(self) || !PyArg_ParseTuple(args, "Ky#", &memory.address, (char **)&memory.bytes, &memory.length))
		return NULL;
	WITHOUT_GIL(error, relay_call(SELF(self)->relay, do_write, &memory));
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

static PyObject *read_registers(PyObject *self, PyObject *args)
{
	struct registers_call read = {.relay = SELF(self)->relay, .thread = ""};
	struct cs_error *error;
	PyObject *result;

	if (!is_open(self) || !PyArg_ParseTuple(args, "|s", &read.thread))
		return NULL;
	WITHOUT_GIL(error, relay_call(SELF(self)->relay, do_read_registers, &read));
	result = relay_outcome(error);
	if (result) {
		Py_DECREF(result);
		result = PyBytes_FromStringAndSize((char *)read.bytes, (Py_ssize_t)read.length);
	}
	free(read.bytes);
	return result;
}

/* --- Counters and the trace --- */

static PyObject *add_counter(PyObject *self, PyObject *args)
{
	struct placement placement = {0};
	unsigned long long address;
	struct cs_error *error;
	const char *name;
	PyObject *result;
	int number = 0;

	if (!is_open(self) || !PyArg_ParseTuple(args, "Ks|O&", &address, &name, take_placement, &placement))
		return NULL;
	WITHOUT_GIL(error,
		    counters_add(SELF(self)->counters, (struct link_address){address}, &placement, name, &number));
	result = relay_outcome(error);
	Py_XDECREF(result);
	return result ? PyLong_FromLong(number) : NULL;
}

static PyObject *remove_counter(PyObject *self, PyObject *args)
{
	struct cs_error *error;
	int number;

	if (!is_open(self) || !PyArg_ParseTuple(args, "i", &number))
		return NULL;
	WITHOUT_GIL(error, counters_remove(SELF(self)->counters, number));
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

static PyObject *list_counters(PyObject *self, PyObject *unused)
{
	PyObject *list = is_open(self) ? PyList_New(0) : NULL;

	(void)unused;
	if (list && counters_each(SELF(self)->counters, append_counter, list) < 0)
		Py_CLEAR(list);
	return list;
}

static PyObject *set_trace(PyObject *self, PyObject *writer)
{
	struct store *store = NULL;
	struct cs_error *error;

	if (!is_open(self))
		return NULL;
	if (writer != Py_None && !(store = trace_writer_store(writer)))
		return NULL;
	WITHOUT_GIL(error, counters_set_store(SELF(self)->counters, store));
	return relay_outcome(error);
}

static PyObject *set_replay(PyObject *self, PyObject *args)
{
	int on;

	if (!is_open(self) || !PyArg_ParseTuple(args, "p", &on))
		return NULL;
	relay_set_replay(SELF(self)->relay, on);
	counters_set_replay(SELF(self)->counters, on);
	Py_RETURN_NONE;
}

struct icount_call {
	uint64_t instructions;
};

static struct cs_error *do_instructions(struct stub *stub, void *context)
{
	return replay_instructions(stub, &((struct icount_call *)context)->instructions);
}

static PyObject *instructions(PyObject *self, PyObject *unused)
{
	struct icount_call ask = {0};
	struct cs_error *error;
	PyObject *result;

	(void)unused;
	if (!is_open(self))
		return NULL;
	WITHOUT_GIL(error, relay_call(SELF(self)->relay, do_instructions, &ask));
	result = relay_outcome(error);
	Py_XDECREF(result);
	return result ? PyLong_FromUnsignedLongLong(ask.instructions) : NULL;
}

struct borrow_call {
	struct relay *relay;
	enum borrow_instruction instruction;
	unsigned long long address;
	unsigned eax, ecx;
	struct borrow_result result;
};

static struct cs_error *do_borrow(struct stub *stub, void *context)
{
	struct borrow_call *call = context;

	(void)stub;
	return relay_borrow(call->relay, call->instruction, call->address, call->eax, call->ecx, &call->result);
}

static PyObject *borrow(PyObject *self, PyObject *args)
{
	static const char *const names[] = {
		[BORROW_RDTSC] = "rdtsc",
		[BORROW_CPUID] = "cpuid",
		[BORROW_RDMSR] = "rdmsr",
	};
	struct borrow_call ask = {.relay = SELF(self)->relay};
	struct cs_error *error;
	const char *name;
	PyObject *result;

	if (!is_open(self) || !PyArg_ParseTuple(args, "sK|II", &name, &ask.address, &ask.eax, &ask.ecx))
		return NULL;
	while (ask.instruction < ARRAY_SIZE(names) && strcmp(names[ask.instruction], name) != 0)
		ask.instruction++;
	if (ask.instruction == ARRAY_SIZE(names))
		return raise_error(
			cs_error_create(CS_ERROR_ARGUMENT, "only rdtsc, cpuid and rdmsr are borrowed, not %s", name));
	WITHOUT_GIL(error, relay_call(ask.relay, do_borrow, &ask));
	result = relay_outcome(error);
	Py_XDECREF(result);
	return result ? Py_BuildValue("(IIII)", ask.result.eax, ask.result.ebx, ask.result.ecx, ask.result.edx) : NULL;
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
	return relay_measure_tsc(call->relay, call->address, (unsigned)(call->seconds * 1e3), &call->ticks,
				 &call->elapsed_ns);
}

static PyObject *measure_tsc(PyObject *self, PyObject *args)
{
	struct measure_call ask = {.relay = SELF(self)->relay, .seconds = 0.02};
	struct cs_error *error;
	PyObject *result;

	if (!is_open(self) || !PyArg_ParseTuple(args, "K|d", &ask.address, &ask.seconds))
		return NULL;
	if (!(ask.seconds >= 0 && ask.seconds <= 10))
		return raise_error(cs_error_create(CS_ERROR_ARGUMENT, "the wait is from 0 to 10 seconds"));
	WITHOUT_GIL(error, relay_call(ask.relay, do_measure, &ask));
	result = relay_outcome(error);
	Py_XDECREF(result);
	return result ? Py_BuildValue("(KK)", (unsigned long long)ask.ticks, (unsigned long long)ask.elapsed_ns) : NULL;
}

static PyObject *set_idle_limit(PyObject *self, PyObject *args)
{
	double seconds;

	if (!is_open(self) || !PyArg_ParseTuple(args, "d", &seconds))
		return NULL;
	if (!(seconds >= 0 && seconds < 1e9))
		return raise_error(cs_error_create(CS_ERROR_ARGUMENT, "the idle limit is a number of seconds from 0"));
	relay_set_idle_limit(SELF(self)->relay, (uint64_t)(seconds * 1e9));
	Py_RETURN_NONE;
}

/* --- Without GDB --- */

static PyObject *resume(PyObject *self, PyObject *args)
{
	const char *payload = "";
	struct cs_error *error;

	if (!is_open(self) || !PyArg_ParseTuple(args, "|y", &payload))
		return NULL;
	WITHOUT_GIL(error, relay_resume(SELF(self)->relay, payload[0] ? payload : NULL));
	return relay_outcome(error);
}

static PyObject *wait_for_stop(PyObject *self, PyObject *args)
{
	FREE char *stop = NULL;
	struct cs_error *error;
	PyObject *result;
	double timeout;

	if (!is_open(self) || !PyArg_ParseTuple(args, "d", &timeout))
		return NULL;
	if (!(timeout >= 0 && timeout < 1e6))
		return raise_error(cs_error_create(CS_ERROR_ARGUMENT, "a time limit is a number of seconds from 0"));
	WITHOUT_GIL(error, relay_wait(SELF(self)->relay, (unsigned)(timeout * 1e3), &stop));
	result = relay_outcome(error);
	if (result && stop) {
		Py_DECREF(result);
		result = PyBytes_FromString(stop);
	}
	return result;
}

static PyObject *interrupt(PyObject *self, PyObject *unused)
{
	struct cs_error *error;

	(void)unused;
	if (!is_open(self))
		return NULL;
	WITHOUT_GIL(error, relay_interrupt(SELF(self)->relay));
	return relay_outcome(error);
}

static PyObject *settle(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (!is_open(self))
		return NULL;
	Py_BEGIN_ALLOW_THREADS;
	relay_settle(SELF(self)->relay);
	Py_END_ALLOW_THREADS;
	Py_RETURN_NONE;
}

static PyObject *detach(PyObject *self, PyObject *unused)
{
	struct cs_error *error;

	(void)unused;
	if (!is_open(self))
		return NULL;
	WITHOUT_GIL(error, relay_detach(SELF(self)->relay));
	return relay_outcome(error);
}

static PyObject *close_method(PyObject *self, PyObject *unused)
{
	(void)unused;
	close_relay(SELF(self));
	Py_RETURN_NONE;
}

#define WITH_KEYWORDS(FUNCTION) ((PyCFunction)(void (*)(void))(FUNCTION))

static PyMethodDef methods[] = {
	{"capabilities", capabilities, METH_NOARGS, NULL},
	{"statistics", statistics, METH_NOARGS, NULL},
	{"mark", relay_mark_method, METH_NOARGS, NULL},
	{"marked", relay_marked_method, METH_VARARGS, NULL},
	{"run_ns", run_ns, METH_NOARGS, NULL},
	{"restart_time", restart_time, METH_NOARGS, NULL},
	{"request", WITH_KEYWORDS(request), METH_VARARGS | METH_KEYWORDS, NULL},
	{"monitor", WITH_KEYWORDS(monitor), METH_VARARGS | METH_KEYWORDS, NULL},
	{"read_memory", read_memory, METH_VARARGS, NULL},
	{"write_memory", write_memory, METH_VARARGS, NULL},
	{"read_registers", read_registers, METH_VARARGS, NULL},
	{"add_counter", add_counter, METH_VARARGS, NULL},
	{"remove_counter", remove_counter, METH_VARARGS, NULL},
	{"counters", list_counters, METH_NOARGS, NULL},
	{"set_trace", set_trace, METH_O, NULL},
	{"set_replay", set_replay, METH_VARARGS, NULL},
	{"instructions", instructions, METH_NOARGS, NULL},
	{"borrow", borrow, METH_VARARGS, NULL},
	{"measure_tsc", measure_tsc, METH_VARARGS, NULL},
	{"set_idle_limit", set_idle_limit, METH_VARARGS, NULL},
	{"resume", resume, METH_VARARGS, NULL},
	{"wait", wait_for_stop, METH_VARARGS, NULL},
	{"interrupt", interrupt, METH_NOARGS, NULL},
	{"settle", settle, METH_NOARGS, NULL},
	{"detach", detach, METH_NOARGS, NULL},
	{"close", close_method, METH_NOARGS, NULL},
	{0},
};

static PyGetSetDef properties[] = {
	{"socket_path", get_socket_path, NULL, NULL, NULL},
	{"state", get_state, NULL, NULL, NULL},
	{"reason", get_reason, NULL, NULL, NULL},
	{"idle_reached", get_idle_reached, NULL, NULL, NULL},
	{"replay", get_replay, NULL, NULL, NULL},
	{"borrow_refusal", get_borrow_refusal, NULL, NULL, NULL},
	{0},
};

static struct type description = {
	.name = "clockscope._core.Relay",
	.doc = "The one connection to a guest's gdbstub; see _core.pyi.",
	.size = sizeof(struct relay_object),
	.create = relay_new,
	.release = release,
	.methods = methods,
	.properties = properties,
	.leave = unlist,
};

/* The thread that signals are delivered to. */
static int close_at_exit(void)
{
	static PyMethodDef method = {"close_all", close_all, METH_NOARGS, NULL};
	PyObject *atexit = PyImport_ImportModule("atexit");
	PyObject *function = atexit ? PyCFunction_New(&method, NULL) : NULL;
	PyObject *result = function ? PyObject_CallMethod(atexit, "register", "O", function) : NULL;

	Py_XDECREF(result);
	Py_XDECREF(function);
	Py_XDECREF(atexit);
	return result ? 0 : -1;
}

int relay_register(PyObject *module)
{
	if (close_at_exit() < 0)
		return -1;
	return type_register(module, &description);
}
