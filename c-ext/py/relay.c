/* SPDX-License-Identifier: MIT */
/* Relay: the connection to a guest's stub. All waiting is done without the GIL. */
#include "relay.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "record/counter.h"

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

struct counters *relay_object_counters(PyObject *object)
{
	return relay_object_relay(object) ? SELF(object)->counters : NULL;
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

/* --- The type --- */

static PyObject *close_method(PyObject *self, PyObject *unused)
{
	(void)unused;
	close_relay(SELF(self));
	Py_RETURN_NONE;
}

#define WITH_KEYWORDS(FUNCTION) ((PyCFunction)(void (*)(void))(FUNCTION))

static PyMethodDef methods[] = {
	{"capabilities", relay_capabilities_method, METH_NOARGS, NULL},
	{"statistics", relay_statistics_method, METH_NOARGS, NULL},
	{"mark", relay_mark_method, METH_NOARGS, NULL},
	{"marked", relay_marked_method, METH_VARARGS, NULL},
	{"run_ns", relay_run_ns_method, METH_NOARGS, NULL},
	{"restart_time", relay_restart_time_method, METH_NOARGS, NULL},
	{"request", WITH_KEYWORDS(relay_request_method), METH_VARARGS | METH_KEYWORDS, NULL},
	{"monitor", WITH_KEYWORDS(relay_monitor_method), METH_VARARGS | METH_KEYWORDS, NULL},
	{"read_memory", relay_read_memory_method, METH_VARARGS, NULL},
	{"write_memory", relay_write_memory_method, METH_VARARGS, NULL},
	{"read_registers", relay_read_registers_method, METH_VARARGS, NULL},
	{"add_counter", relay_add_counter_method, METH_VARARGS, NULL},
	{"remove_counter", relay_remove_counter_method, METH_VARARGS, NULL},
	{"counters", relay_counters_method, METH_NOARGS, NULL},
	{"set_trace", relay_set_trace_method, METH_O, NULL},
	{"set_replay", relay_set_replay_method, METH_VARARGS, NULL},
	{"instructions", relay_instructions_method, METH_NOARGS, NULL},
	{"borrow", relay_borrow_method, METH_VARARGS, NULL},
	{"measure_tsc", relay_measure_tsc_method, METH_VARARGS, NULL},
	{"set_idle_limit", relay_set_idle_limit_method, METH_VARARGS, NULL},
	{"resume", relay_resume_method, METH_VARARGS, NULL},
	{"wait", relay_wait_method, METH_VARARGS, NULL},
	{"interrupt", relay_interrupt_method, METH_NOARGS, NULL},
	{"settle", relay_settle_method, METH_NOARGS, NULL},
	{"detach", relay_detach_method, METH_NOARGS, NULL},
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
